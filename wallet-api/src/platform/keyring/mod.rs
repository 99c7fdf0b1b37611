//! Who may come in: machine clients by their API key.
//!
//! `Authorization: Bearer tsk_<prefix>_<secret>`: the prefix finds the key, the SHA-256 of the whole proves it (the
//! secret has 256 random bits, so no slow hash is needed). What the directory said is kept for [`FRESH`], counted from
//! before it was asked: a revoked key is refused after at most that long, on every node. Prefixes nobody has are kept as
//! long, so that a flood of them asks the database once each. Whatever is wrong with a key, the answer is the same 401.
//! Not here: how keys are made and stored (`identity`), how much they may ask (`limits`), and people, who will be another [`Actor`].

mod caller;
mod key;
mod may;
mod scope;
mod tenant;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use subtle::ConstantTimeEq;

pub use caller::{Actor, Caller};
pub use key::ApiKey;
pub use may::May;
pub use scope::{Scope, UnknownScope};
pub use tenant::{Tenant, TenantSecret};

use super::clock::Clock;
use super::db::Db;
use super::problem::Problem;

/// How long an answer of the directory is believed; so, how long a revoked key may still work.
pub const FRESH: Duration = Duration::from_secs(1);

/// The same for an answer that came before somebody said that the key may have changed. Not zero: whoever says so again
/// and again makes us ask twenty times a second, not at every request.
pub const DOUBTED: Duration = Duration::from_millis(50);

/// How many prefixes are remembered; past it unknown ones go first.
const REMEMBERED: usize = 10_000;

/// A live key as the directory knows it.
#[derive(Debug)]
pub struct KeyRecord {
    /// Its number within the tenant.
    pub id: i64,
    /// [`ApiKey::hash`] of the key that fits.
    pub hash: [u8; 32],
    /// Whom it lets in.
    pub caller: Caller,
}

/// Who keeps the keys.
pub trait Directory: Send + Sync + 'static {
    /// The key with this prefix, unless it is revoked.
    ///
    /// # Errors
    /// What the database says.
    fn find(&self, conn: &mut PgConnection, prefix: &str) -> QueryResult<Option<KeyRecord>>;

    /// Notes that the key was used; once a minute is enough.
    ///
    /// # Errors
    /// What the database says.
    fn touch(&self, conn: &mut PgConnection, key: &KeyRecord, now: DateTime<Utc>) -> QueryResult<()>;
}

/// Tells callers from strangers; clones share what they remember.
#[derive(Clone)]
pub struct Keyring {
    db: Db,
    clock: Clock,
    directory: Arc<dyn Directory>,
    memory: Arc<Mutex<HashMap<String, Arc<Entry>>>>,
}

/// What is known about one prefix. Whoever holds the gate asks the directory; the others wait for the answer.
#[derive(Default)]
struct Entry {
    gate: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    known: Option<Known>,
    /// Whether the last answer, not counting problems, was a key.
    is_key: bool,
    /// When somebody said that the key may have changed.
    doubted_at: Option<Instant>,
}

/// An answer of the directory, or the problem it had, with the time before it was asked and the time after.
#[derive(Clone)]
struct Known {
    asked_at: Instant,
    answered_at: Instant,
    key: Result<Option<Arc<KeyRecord>>, Problem>,
}

impl Keyring {
    /// A keyring that asks `directory` through `db`.
    #[must_use]
    pub fn new(db: Db, clock: Clock, directory: Arc<dyn Directory>) -> Self {
        Self { db, clock, directory, memory: Arc::default() }
    }

    /// The same without asking anybody, when the directory's last answer still counts; none when it has to be asked.
    pub fn known(&self, key: &ApiKey) -> Option<Result<Caller, Problem>> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Arc::clone(memory.get(key.prefix())?);
        drop(memory);
        Some(entry.known_since(Instant::now())?.judge(key))
    }

    /// Who the holder of `key` is.
    ///
    /// # Errors
    /// 401 `unauthenticated` if nobody; 503 when the database cannot say.
    pub async fn admit(&self, key: &ApiKey) -> Result<Caller, Problem> {
        let (entry, arrived_at) = (self.entry(key.prefix()), Instant::now());
        if let Some(known) = entry.known_since(arrived_at) {
            return known.judge(key);
        }
        let gate = entry.gate.lock().await;
        if let Some(known) = entry.known_since(arrived_at) {
            return known.judge(key); // somebody asked while we waited
        }
        let known = self.ask(key, entry.was_of_a_key()).await;
        entry.remember(known.clone());
        drop(gate);
        known.judge(key)
    }

    /// Says that the key with this prefix may have changed: what is known of it is believed for [`DOUBTED`] at the most.
    pub fn doubt(&self, prefix: &str) {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = memory.get(prefix) {
            entry.memory().doubted_at = Some(Instant::now());
        }
    }

    async fn ask(&self, key: &ApiKey, is_known: bool) -> Known {
        let (directory, prefix, hash) = (Arc::clone(&self.directory), key.prefix().to_owned(), key.hash());
        let (asked_at, now) = (Instant::now(), self.clock.now());
        let find = move |conn: &mut PgConnection| -> QueryResult<_> {
            let found = directory.find(conn, &prefix)?;
            if let Some(record) = found.as_ref().filter(|record| record.fits(&hash))
                && let Err(error) = directory.touch(conn, record, now)
            {
                tracing::warn!(%error, "use of a key was not noted"); // no reason to refuse its holder
            }
            Ok(found.map(Arc::new))
        };
        // Holders of keys do not wait behind a flood of made-up ones, nor behind whoever happened to ask for them first.
        let db = if is_known { self.db.kept_share() } else { self.db.common_share() };
        let key = db.run(find).await;
        Known { asked_at, answered_at: Instant::now(), key }
    }

    fn entry(&self, prefix: &str) -> Arc<Entry> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = memory.get(prefix) {
            return Arc::clone(entry);
        }
        if memory.len() >= REMEMBERED {
            memory.retain(|_, entry| entry.is_of_a_key());
        }
        let entry = Arc::new(Entry::default());
        if memory.len() < REMEMBERED {
            memory.insert(prefix.to_owned(), Arc::clone(&entry));
        }
        entry
    }
}

impl Entry {
    /// An answer that still counts. One that was a problem counts only for those who were waiting for it, so that they
    /// do not each wait for the next in turn.
    fn known_since(&self, arrived_at: Instant) -> Option<Known> {
        let memory = self.memory();
        let known = memory.known.as_ref()?;
        let is_in_doubt = memory.doubted_at.is_some_and(|doubted_at| known.asked_at < doubted_at);
        let fresh = if is_in_doubt { DOUBTED } else { FRESH };
        let counts = match known.key {
            Ok(_) => known.asked_at.elapsed() < fresh,
            Err(_) => known.answered_at >= arrived_at,
        };
        counts.then(|| known.clone())
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn was_of_a_key(&self) -> bool {
        self.memory().is_key
    }

    fn is_of_a_key(&self) -> bool {
        self.known_since(Instant::now()).is_some_and(|known| known.key.is_ok_and(|key| key.is_some()))
    }

    fn remember(&self, known: Known) {
        let mut memory = self.memory();
        if let Ok(key) = &known.key {
            memory.is_key = key.is_some();
        }
        memory.known = Some(known);
    }
}

impl KeyRecord {
    fn fits(&self, hash: &[u8; 32]) -> bool {
        self.hash.ct_eq(hash).into()
    }
}

impl Known {
    fn judge(self, key: &ApiKey) -> Result<Caller, Problem> {
        let record = self.key?.filter(|record| record.fits(&key.hash()));
        record.map(|record| record.caller.clone()).ok_or_else(unauthenticated)
    }
}

fn unauthenticated() -> Problem {
    Problem::new(401, "unauthenticated", "We do not know you", "Send a valid key: Authorization: Bearer tsk_...")
}

#[cfg(test)]
mod tests;
