//! A sealer beside the load: what is posted is in the log as it is on a node, and the figures pay for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use ledger::proof::{Ring, Salts, Signer};
use ledger::sealing::Sealer;
use ledger::{Journal, JournalId};

use crate::platform::clock::Clock;
use crate::platform::ids::Ids;

/// From one turn to the next, as on a node: a commit each, and commits are what the journal waits for.
const PACE: Duration = Duration::from_millis(400);
/// How often to look how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long all that was posted may take to be in the log.
const PATIENCE: Duration = Duration::from_secs(300);

/// A thread that seals one journal until it is dropped.
pub struct Sealing {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    failed: AtomicBool,
    /// Every record up to this seq is under a signed head.
    whole: AtomicI64,
}

/// Keys of one run, which nobody keeps.
///
/// # Errors
/// Never in practice: random bytes make keys.
pub fn ring() -> anyhow::Result<Ring> {
    let mut secret = [0; 32];
    Ids::system().fill(&mut secret);
    let mut salts = Salts::default();
    salts.add(1, &secret);
    Ids::system().fill(&mut secret);
    let signer = Signer::from_seed(&secret).context("no signing key")?;
    Ring::new(vec![signer], salts).context("no keys")
}

impl Sealing {
    /// Begins to seal what this node leads.
    ///
    /// # Errors
    /// When there is no database session or no thread.
    pub fn start(url: &str, ring: Arc<Ring>, journal: Journal, id: JournalId) -> anyhow::Result<Self> {
        let (shared, conn) = (Arc::<Shared>::default(), PgConnection::establish(url)?);
        let seen = Arc::clone(&shared);
        let body = move || {
            let worked = seal(&seen, conn, &ring, &journal, id);
            seen.failed.store(worked.is_err(), Ordering::SeqCst);
        };
        let thread = std::thread::Builder::new().name("bench-sealer".into()).spawn(body)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Waits until every record up to `seq` is under a signed head, and tells how long that took.
    ///
    /// # Errors
    /// When it does not happen.
    pub async fn whole(&self, seq: i64) -> anyhow::Result<Duration> {
        let began = Instant::now();
        while self.shared.whole.load(Ordering::SeqCst) < seq {
            anyhow::ensure!(!self.shared.failed.load(Ordering::SeqCst), "the sealer failed");
            anyhow::ensure!(began.elapsed() < PATIENCE, "the sealer is left behind");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(began.elapsed())
    }
}

impl Drop for Sealing {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the sealer panicked");
        }
    }
}

fn seal(shared: &Shared, mut conn: PgConnection, ring: &Ring, journal: &Journal, id: JournalId) -> anyhow::Result<()> {
    let mut sealer = Sealer::told(journal.fresh());
    while !shared.stop.load(Ordering::SeqCst) {
        let epoch = journal.leading_epoch(id).context("the journal is not led any more")?;
        let sealed = sealer.turn(&mut conn, ring, id, epoch, Clock::System.now().timestamp_micros());
        let sealed = sealed.map_err(|error| anyhow::anyhow!(error))?;
        if let Some(whole) = sealed.whole {
            shared.whole.store(whole, Ordering::SeqCst);
        }
        if sealed.behind == 0 {
            std::thread::sleep(PACE);
        }
    }
    Ok(())
}
