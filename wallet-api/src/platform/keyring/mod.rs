//! Who may come in: machine clients by their API key, people and operators by their session's token.
//!
//! `Authorization: Bearer tsk_<prefix>_<secret>` or `tsa_…` ([`Token`]). What the directory said is kept for [`FRESH`],
//! counted from before it was asked: a revoked token is refused after at most that long, on every node. Prefixes nobody has
//! are kept as long, so that a flood of them asks the database once each; tokens that are asked for at once are asked for together. Whatever is wrong with a token, the answer is the
//! same 401. Not here: how tokens are made and stored (`identity`), and how much their holders may ask (`limits`).

mod caller;
mod may;
mod role;
mod scope;
mod tenant;
mod token;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection, QueryResult};
use futures_util::future::join_all;
use subtle::ConstantTimeEq;

pub use caller::{Actor, Caller, Operator, Person};
pub use may::{May, Within};
pub use role::{Reach, Rights, Role, UnknownRole};
pub use scope::{Scope, UnknownScope};
pub use tenant::{Tenant, TenantSecret};
pub use token::{Kind, Name, Token};

use super::clock::Clock;
use super::db::Db;
use super::problem::Problem;
use super::together::{Together, Width};

/// How long an answer of the directory is believed; so, how long a revoked key may still work. A tenth of the promised
/// second is left for asking and answering.
pub const FRESH: Duration = Duration::from_millis(900);

/// The same for an answer that came before somebody said that the key may have changed. Not zero: whoever says so again
/// and again makes us ask twenty times a second, not at every request.
pub const DOUBTED: Duration = Duration::from_millis(50);

/// How many look-ups are under way at once, of those whose token was known and of the others, and how many tokens are in one.
const WIDTH: Width = Width { batches: 4, questions: 256 };

/// How many prefixes are remembered; past it unknown ones go first.
const REMEMBERED: usize = 10_000;

/// A live token as the directory knows it.
#[derive(Debug)]
pub struct TokenRecord {
    /// [`Token::hash`] of the one that fits.
    pub hash: [u8; 32],
    /// The number of a key within its tenant; zero of a session's, which its caller knows.
    pub key: i64,
    /// Whom it lets in.
    pub caller: Caller,
    /// Its use was noted a short while ago, and need not be again.
    pub is_noted: bool,
}

/// Who keeps the tokens.
pub trait Directory: Send + Sync + 'static {
    /// The tokens of these kinds and prefixes, but for those that are revoked or over. Each lets in only who may come in with such
    /// a one.
    ///
    /// # Errors
    /// What the database says.
    fn find(
        &self,
        conn: &mut PgConnection,
        names: &[Name],
        now: DateTime<Utc>,
    ) -> QueryResult<HashMap<Name, TokenRecord>>;

    /// Notes that it was used; now and then is enough.
    ///
    /// # Errors
    /// What the database says.
    fn touch(&self, conn: &mut PgConnection, token: &TokenRecord, now: DateTime<Utc>) -> QueryResult<()>;
}

/// Tells callers from strangers; clones share what they remember.
#[derive(Clone)]
pub struct Keyring {
    /// Whose holder was known before, by true.
    asking: Together<bool, Wanted, Known>,
    memory: Arc<Mutex<HashMap<Name, Arc<Entry>>>>,
    elsewhere: Arc<OnceLock<Tell>>,
}

/// Asks the directory, for many at once.
#[derive(Clone)]
struct Desk {
    db: Db,
    clock: Clock,
    directory: Arc<dyn Directory>,
}

/// A token that somebody shows.
struct Wanted {
    name: Name,
    hash: [u8; 32],
}

/// How other nodes are told that a token may have changed.
pub type Tell = Box<dyn Fn(Kind, &str) + Send + Sync>;

/// What is known about one name. Whoever holds the gate asks the directory; the others wait for the answer.
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
    /// When it was ended by this node: no answer counts that was asked for before.
    ended_at: Option<Instant>,
}

/// An answer of the directory, or the problem it had, with the time before it was asked and the time after.
#[derive(Clone)]
struct Known {
    asked_at: Instant,
    answered_at: Instant,
    key: Found,
}

/// A token as the directory knows it, if it does; or the problem it had.
type Found = Result<Option<Arc<TokenRecord>>, Problem>;

impl Keyring {
    /// A keyring that asks `directory` through `db`.
    #[must_use]
    pub fn new(db: Db, clock: Clock, directory: Arc<dyn Directory>) -> Self {
        let desk = Desk { db, clock, directory };
        let asking = Together::new(WIDTH, move |is_known, wanted| desk.clone().answer(is_known, wanted));
        Self { asking, memory: Arc::default(), elsewhere: Arc::default() }
    }

    /// The same without asking anybody, when the directory's last answer still counts; none when it has to be asked.
    pub fn known(&self, key: &Token) -> Option<Result<Caller, Problem>> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Arc::clone(memory.get(key.name())?);
        drop(memory);
        Some(entry.known_since(Instant::now())?.judge(key))
    }

    /// Who the holder of `key` is.
    ///
    /// # Errors
    /// 401 `unauthenticated` if nobody; 503 when the database cannot say.
    pub async fn admit(&self, key: &Token) -> Result<Caller, Problem> {
        let (entry, arrived_at) = (self.entry(key.name()), Instant::now());
        if let Some(known) = entry.known_since(arrived_at) {
            return known.judge(key);
        }
        let gate = entry.gate.lock().await;
        if let Some(known) = entry.known_since(arrived_at) {
            return known.judge(key); // somebody asked while we waited
        }
        let wanted = Wanted { name: key.name().clone(), hash: key.hash() };
        let known = self.asking.ask(entry.was_of_a_key(), wanted).await;
        let known = known.ok_or_else(|| Problem::internal(&CutShort))?;
        entry.remember(known.clone());
        drop(gate);
        known.judge(key)
    }

    /// Tells other nodes too, by this; the first one told stays.
    pub fn tell_by(&self, tell: Tell) {
        _ = self.elsewhere.set(tell);
    }

    /// Says that these access tokens have ended: here nothing that was known of them counts any more, elsewhere it is doubted.
    pub fn ended<'a>(&self, prefixes: impl IntoIterator<Item = &'a String>) {
        for prefix in prefixes {
            self.at(Kind::Access, prefix, |memory| memory.ended_at = Some(Instant::now()));
            if let Some(tell) = self.elsewhere.get() {
                tell(Kind::Access, prefix);
            }
        }
    }

    /// Says that the token of this kind and prefix may have changed: what is known of it is believed for [`DOUBTED`] at the most.
    pub fn doubt(&self, kind: Kind, prefix: &str) {
        self.at(kind, prefix, |memory| memory.doubted_at = Some(Instant::now()));
    }

    /// Does it to what is remembered of this kind and prefix, if anything is.
    fn at(&self, kind: Kind, prefix: &str, what: impl FnOnce(&mut Memory)) {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = memory.get(&(kind, prefix.to_owned())) {
            what(&mut entry.memory());
        }
    }

    fn entry(&self, name: &Name) -> Arc<Entry> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = memory.get(name) {
            return Arc::clone(entry);
        }
        if memory.len() >= REMEMBERED {
            memory.retain(|_, entry| entry.is_of_a_key());
        }
        let entry = Arc::new(Entry::default());
        if memory.len() < REMEMBERED {
            memory.insert(name.clone(), Arc::clone(&entry));
        }
        entry
    }
}

/// The work was given up: nobody knows whose token it is.
#[derive(Debug, thiserror::Error)]
#[error("a look-up of tokens was cut short")]
struct CutShort;

impl Desk {
    /// What the directory says of each, all of one moment.
    async fn answer(self, is_known: bool, wanted: Vec<Wanted>) -> Vec<Known> {
        let (asked_at, now) = (Instant::now(), self.clock.now());
        let names: Vec<Name> = wanted.iter().map(|one| one.name.clone()).collect();
        let keys = self.find_each(is_known, &names, now).await;
        let uses = wanted.iter().zip(&keys).filter_map(|(one, key)| {
            let record = key.as_ref().ok()?.as_ref().filter(|record| record.fits(&one.hash) && !record.is_noted)?;
            Some(self.touch(Arc::clone(record), now))
        });
        join_all(uses).await;
        let answered_at = Instant::now();
        keys.into_iter().map(|key| Known { asked_at, answered_at, key }).collect()
    }

    /// All of them by one question; if that fails, each by its own, so that nobody is refused for what is another's.
    async fn find_each(&self, is_known: bool, names: &[Name], now: DateTime<Utc>) -> Vec<Found> {
        let problem = match self.find(is_known, names.to_vec(), now).await {
            Ok(found) => return names.iter().map(|name| Ok(found.get(name).cloned())).collect(),
            Err(problem) => problem,
        };
        if names.len() == 1 || problem.status() == 503 {
            return names.iter().map(|_| Err(problem.clone())).collect();
        }
        let mut each = Vec::with_capacity(names.len());
        for name in names {
            let found = self.find(is_known, vec![name.clone()], now).await;
            each.push(found.map(|mut found| found.remove(name)));
        }
        each
    }

    async fn find(
        &self,
        is_known: bool,
        names: Vec<Name>,
        now: DateTime<Utc>,
    ) -> Result<HashMap<Name, Arc<TokenRecord>>, Problem> {
        let directory = Arc::clone(&self.directory);
        let find = move |conn: &mut PgConnection| directory.find(conn, &names, now);
        // Holders of keys do not wait behind a flood of made-up ones, nor behind whoever happened to ask for them first.
        let db = if is_known { self.db.kept_share() } else { self.db.common_share() };
        // Whose key it is, is what is asked.
        let found = db.house().run(find).await?;
        Ok(found.into_iter().map(|(name, record)| (name, Arc::new(record))).collect())
    }

    /// Notes that a token was used. That it could not be is no reason to refuse its holder.
    async fn touch(&self, record: Arc<TokenRecord>, now: DateTime<Utc>) {
        let directory = Arc::clone(&self.directory);
        let touch = move |conn: &mut PgConnection| -> QueryResult<()> {
            let noted = conn.transaction(|conn| directory.touch(conn, &record, now));
            noted.or_else(|error| {
                tracing::warn!(%error, "use of a token was not noted");
                Ok(())
            })
        };
        if let Err(problem) = self.db.common_share().house().run(touch).await {
            tracing::warn!(code = problem.code(), "use of a token was not noted");
        }
    }
}

impl Entry {
    /// An answer that still counts. One that was a problem counts only for those who were waiting for it, so that they
    /// do not each wait for the next in turn.
    fn known_since(&self, arrived_at: Instant) -> Option<Known> {
        let memory = self.memory();
        let known = memory.known.as_ref()?;
        if memory.ended_at.is_some_and(|ended_at| known.asked_at < ended_at) {
            return None;
        }
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

impl TokenRecord {
    fn fits(&self, hash: &[u8; 32]) -> bool {
        self.hash.ct_eq(hash).into()
    }
}

impl Known {
    fn judge(self, key: &Token) -> Result<Caller, Problem> {
        let record = self.key?.filter(|record| record.fits(&key.hash()));
        record.map(|record| record.caller.clone()).ok_or_else(unauthenticated)
    }
}

fn unauthenticated() -> Problem {
    Problem::new(401, "unauthenticated", "We do not know you", "Send a valid key: Authorization: Bearer tsk_...")
}

#[cfg(test)]
mod tests;
