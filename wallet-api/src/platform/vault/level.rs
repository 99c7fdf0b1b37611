//! Holding database and erasure ledger against each other: a restored backup forgets again, and nothing opens before.
//!
//! Both ways: what the ledger has and the database lacks is destroyed again, with the receipt it had; what the database has
//! and the ledger lacks (a node died between commit and ledger, or another node of another machine forgot) is
//! written down. At a node's start, and every [`EVERY`] after that: a database can be restored under a running node.

use std::collections::HashSet;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use diesel::{Connection, PgConnection};
use uuid::Uuid;

use super::receipt::Receipt;
use super::{Ordering, Vault, VaultError, store};
use crate::platform::db::{DbError, HouseDb};

/// From one comparison to the next.
const EVERY: Duration = Duration::from_secs(10);
/// The same while the last one failed.
const TROUBLED: Duration = Duration::from_secs(1);

impl Vault {
    /// Compares the database with the erasure ledger, both ways; tells how many persons were forgotten again. From then on
    /// the vault opens. Run it with a connection that sees all tenants.
    ///
    /// # Errors
    /// [`VaultError::Receipt`] for a line of the ledger that nobody we know signed; what ledger or database say. The vault
    /// stays as open as it was, unless erasures are seen to be missing: then it is closed until they are not.
    pub fn level(&self, conn: &mut PgConnection) -> Result<usize, VaultError> {
        let Some(ledger) = &self.0.parts.ledger else { return Ok(0) };
        let (tallies, mut again) = (ledger.tallies()?, 0_usize);
        for tenant in store::tenants(conn)? {
            if store::tally(conn, tenant)? != tallies.get(&tenant).copied().unwrap_or_default() {
                again = again.saturating_add(self.level_tenant(conn, tenant)?);
            }
        }
        self.0.is_level.store(true, Ordering::SeqCst);
        Ok(again)
    }

    fn level_tenant(&self, conn: &mut PgConnection, tenant: i64) -> Result<usize, VaultError> {
        let ledger = self.ledger()?;
        let there: Vec<Receipt> = store::receipts(conn, tenant)?.iter().filter_map(|text| read(text)).collect();
        let persons: HashSet<Uuid> = there.iter().map(|receipt| receipt.person).collect();
        // Only what one of ours signed: a line that could not be replayed must not get in.
        let signed: Vec<Receipt> = there.iter().filter(|receipt| self.is_ours(receipt)).cloned().collect();
        ledger.add(&signed)?;
        let lost: Vec<Receipt> = ledger.of(tenant).into_iter().filter(|line| !persons.contains(&line.person)).collect();
        if lost.is_empty() {
            return Ok(0);
        }
        self.0.is_level.store(false, Ordering::SeqCst);
        tracing::warn!(
            tenant,
            erasures = lost.len(),
            "this database lacks erasures, as one restored from a backup does"
        );
        for receipt in &lost {
            self.check(receipt)?;
            conn.transaction(|conn| {
                store::person_key_to_forget(conn, tenant, receipt.person)?;
                store::erase(conn, (tenant, receipt.person), receipt.erased_at, &receipt.text())
            })?;
        }
        tracing::warn!(tenant, erasures = lost.len(), "they were forgotten again");
        Ok(lost.len())
    }

    fn is_ours(&self, receipt: &Receipt) -> bool {
        let checked = self.check(receipt);
        checked.inspect_err(|error| tracing::error!(%error, "an erasure in the database is not written down")).is_ok()
    }

    /// That one of ours signed it: nobody is forgotten because somebody wrote into a file.
    fn check(&self, receipt: &Receipt) -> Result<(), VaultError> {
        let signers = self.0.parts.signers.as_ref().ok_or(VaultError::NoSigner)?;
        let keys: Vec<_> = signers.ring().public_keys().collect();
        receipt.check(&keys).map_err(|error| VaultError::Receipt(error.to_string()))
    }
}

fn read(text: &str) -> Option<Receipt> {
    let receipt = Receipt::parse(text);
    receipt.inspect_err(|error| tracing::error!(%error, "an erasure in the database does not read")).ok()
}

/// Why a turn failed.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Pool(#[from] DbError),
}

/// A thread that keeps database and ledger level. Ends when it is dropped.
pub struct Keeper {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Compares at once, and again and again.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(vault: Vault, db: HouseDb) -> std::io::Result<Self> {
        if vault.ledger().is_err() {
            return Ok(Self { stop: None, thread: None }); // nothing to compare with
        }
        let (stop, stopped) = mpsc::channel();
        let turn = move || {
            db.blocking(|conn| Ok::<_, TurnError>(vault.level(conn)?)).map(drop).map_err(|error| {
                tracing::error!(%error, "database and erasure ledger could not be compared; trying again");
            })
        };
        let run = move || {
            loop {
                let wait = if turn().is_ok() { EVERY } else { TROUBLED };
                if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("erasures".into()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("who compares erasures panicked");
        }
    }
}
