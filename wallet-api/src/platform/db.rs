//! The database: one pool, one way to run work on it, and the migrations ([`migrate()`]).
//!
//! Promise: no request waits for the database longer than [`DEADLINE`], and no session keeps a transaction or a lock
//! longer than `SESSION` allows. A call that overruns is answered 503 `database-slow` while its thread lives on, holding its
//! place in the pool, until the server's own timeout ends it: so no more threads can hang than the pool has places. A
//! connection that comes back with an open transaction is dropped and logged; one that lost its server is found by the
//! first call that fails on it, and all others are tested before their next use.
//! A fifth of the places is kept for money routes and for what keeps the house open (keys, readiness): what `limits` says
//! may wait behind money never takes those. It waits [`POOL_WAIT`] for a place in a burst, and [`STANDING_WAIT`] once
//! there has been a queue for a while, so that a standing queue does not become everybody's latency.
//! The journal is never called from inside `work` (JOURNAL 21): asking it is asynchronous, `work` is not, so by the time
//! one can ask, the transaction has ended. Not here: the journal's own sessions (`ledger`), and retries.

mod migrate;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::web;
use diesel::connection::{SimpleConnection, TransactionManager};
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool, PooledConnection, R2D2Connection};
use diesel::result::{DatabaseErrorKind, Error as SqlError};
use diesel::{Connection, PgConnection};
use ledger::{Histogram, LATENCY_US};
pub use migrate::{MIGRATIONS, MigrateError, check_migrated, migrate, newest_known};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Span;

use super::limits::may_wait_behind_money;
use super::problem::{Describe, Problem};

/// Longest time one call may take, waiting for a place in the pool included.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Longest wait for a place in the pool; past it the house is full and says so at once.
const POOL_WAIT: Duration = Duration::from_secs(1);

/// The same for what may wait behind money, once there has been a queue for [`STANDING_AFTER`]. After: "controlled delay"
/// in the form that needs one clock reading, Nichols and Jacobson 2012, Maurer 2015.
const STANDING_WAIT: Duration = Duration::from_millis(50);
const STANDING_AFTER: Duration = Duration::from_millis(100);

/// One place in so many is kept for money.
const KEPT_OF: usize = 5;

/// How long connections are tested before use after one of them was found dead.
const SUSPICION: Duration = Duration::from_secs(60);

/// What each session of the pool promises the server: shorter than [`DEADLINE`] where it may be.
const SESSION: &str = "SET statement_timeout = '5s'; SET lock_timeout = '3s'; \
    SET idle_in_transaction_session_timeout = '5s'; SET application_name = 'tessera'; SET timezone = 'UTC'; \
    SET plan_cache_mode = force_custom_plan";

/// Added to network addresses: a server that vanished is noticed in seconds, not in the kernel's minutes.
const TCP: [(&str, &str); 5] = [
    ("connect_timeout", "5"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "5000"),
];

/// A pool of connections; clones share it.
#[derive(Clone)]
pub struct Db {
    pool: Pool<ConnectionManager<PgConnection>>,
    places: Arc<Semaphore>,
    /// Those places that are for all.
    common: Arc<Common>,
    share: Share,
    deadline: Duration,
    suspicion: Arc<Suspicion>,
    measures: Arc<Measures>,
}

/// What a pool counts, since it was opened.
struct Measures {
    waits_us: Histogram,
    turned_away: AtomicU64,
}

/// How a pool is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Connections it may have.
    pub size: u32,
    /// Connections at work.
    pub in_use: u32,
    /// Connections that wait for work.
    pub idle: u32,
    /// Calls refused because no place came free.
    pub turned_away: u64,
}

/// Which places work may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// All, unless it serves a request that may wait behind money.
    ByRequest,
    /// All.
    Kept,
    /// Those that are for all.
    Common,
}

/// The places for what may wait behind money, and when one of them was last free.
struct Common {
    places: Arc<Semaphore>,
    start: Instant,
    free_at_ms: AtomicU64,
}

/// A place in the pool, and among the common ones if it was taken as such.
struct Place {
    _common: Option<OwnedSemaphorePermit>,
    _pool: OwnedSemaphorePermit,
}

/// Why the database could not be asked. Whether the statement had an effect is unknown only for [`Deadline`](Self::Deadline).
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Every place in the pool stayed taken.
    #[error("no free place in the connection pool")]
    Busy,
    /// The call outlived its deadline.
    #[error("database call outlived its deadline")]
    Deadline,
    /// No connection could be made.
    #[error("database cannot be reached")]
    Unreachable(#[from] diesel::r2d2::PoolError),
    /// The work panicked, or the process is ending.
    #[error("database work was cut short")]
    CutShort,
}

impl Describe for DbError {
    fn describe(&self) -> Problem {
        match self {
            Self::Busy => busy(),
            Self::Deadline => slow(),
            Self::Unreachable(error) => {
                tracing::error!(error = %super::problem::Chain(error), "database cannot be reached");
                unreachable()
            }
            Self::CutShort => Problem::internal(self),
        }
    }
}

impl Describe for SqlError {
    fn describe(&self) -> Problem {
        use DatabaseErrorKind::{ClosedConnection, SerializationFailure, UnableToSendCommand};
        let Self::DatabaseError(kind, info) = self else { return Problem::internal(self) };
        if matches!(kind, ClosedConnection | UnableToSendCommand) || is_lost(info.message()) {
            return unreachable();
        }
        if matches!(kind, SerializationFailure) {
            return busy();
        }
        // A server that speaks another language than English is answered 500 here: diesel keeps no SQLSTATE.
        if info.message().starts_with("canceling statement due to") {
            return slow();
        }
        Problem::internal(self)
    }
}

/// Whether an error says that the session is gone. By its text, since diesel takes some for errors like any other: those
/// of a session that was dropped because another one crashed (F3).
fn is_lost(message: &str) -> bool {
    const LOST: [&str; 6] = [
        "server closed the connection unexpectedly",
        "could not receive data from server",
        "could not send data to server",
        "no connection to the server",
        "terminating connection due to",
        "terminating connection because of",
    ];
    LOST.iter().any(|start| message.starts_with(start))
}

fn busy() -> Problem {
    Problem::new(503, "database-busy", "Too much at once", "Try again in a moment.").retry_after(1)
}

fn slow() -> Problem {
    Problem::new(
        503,
        "database-slow",
        "This took too long",
        "Repeat the request; if it changes something, with the same Idempotency-Key.",
    )
    .retry_after(2)
}

fn unreachable() -> Problem {
    Problem::new(
        503,
        "database-unreachable",
        "We cannot reach our books",
        "Repeat the request in a moment; if it changes something, with the same Idempotency-Key.",
    )
    .retry_after(2)
}

impl Db {
    /// Opens a pool of at most `size` connections (at least one) to `url`, and makes the first to see that it works.
    ///
    /// # Errors
    /// [`DbError::Unreachable`] when the first connection cannot be made within [`DEADLINE`].
    pub fn open(url: &str, size: u32) -> Result<Self, DbError> {
        let size = size.max(1);
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            // A test before every use costs a round trip each: see `Suspicion` for what takes its place.
            .test_on_check_out(false)
            .connection_timeout(DEADLINE)
            .connection_customizer(Box::new(Session))
            .build(ConnectionManager::new(with_tcp_settings(url)))?;
        let places = usize::try_from(size).unwrap_or(1);
        let suspicion = Arc::new(Suspicion { start: Instant::now(), until_ms: AtomicU64::new(0) });
        let measures = Arc::new(Measures { waits_us: Histogram::new(LATENCY_US), turned_away: AtomicU64::new(0) });
        let common = Arc::new(Common::new(places.saturating_sub(places.checked_div(KEPT_OF).unwrap_or(0))));
        let places = Arc::new(Semaphore::new(places));
        Ok(Self { pool, places, common, share: Share::ByRequest, deadline: DEADLINE, suspicion, measures })
    }

    /// The same pool, all of its places: for what keeps the house open, whoever asks.
    #[must_use]
    pub fn kept_share(&self) -> Self {
        Self { share: Share::Kept, ..self.clone() }
    }

    /// The same pool without the places kept for money, whoever asks.
    #[must_use]
    pub fn common_share(&self) -> Self {
        Self { share: Share::Common, ..self.clone() }
    }

    /// The same pool with another deadline, for work that is known to be shorter or longer.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// Runs blocking database work off the async threads, inside the caller's span, and answers within the deadline.
    ///
    /// # Errors
    /// What `work` refuses; 503 `database-busy`, `database-slow` or `database-unreachable`; 500 when it panics.
    pub async fn run<T, E>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        self.try_run(work).await?.map_err(Into::into)
    }

    /// As [`run`](Self::run), for callers that need the error of `work` itself.
    ///
    /// # Errors
    /// The outer one is the pool's; the inner one is what `work` returned.
    pub async fn try_run<T, E>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, DbError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let deadline = tokio::time::Instant::now() + self.deadline;
        let place = self.place().await?;
        let (db, span) = (self.clone(), Span::current());
        let job = web::block(move || span.in_scope(|| db.with_connection(place, work)));
        match tokio::time::timeout_at(deadline, job).await {
            Ok(Ok(done)) => done,
            Ok(Err(_cancelled)) => Err(DbError::CutShort),
            Err(_elapsed) => {
                tracing::warn!(deadline_ms = self.deadline.as_millis(), "database call outlived its deadline");
                Err(DbError::Deadline)
            }
        }
    }

    /// Runs database work on this thread, for commands that may block. A follower that keeps at it opens a pool of its
    /// own, so that it never holds a place that requests count on.
    ///
    /// # Errors
    /// What `work` refuses, and [`DbError`] when no connection is to be had.
    pub fn blocking<T, E: From<DbError>>(&self, work: impl FnOnce(&mut PgConnection) -> Result<T, E>) -> Result<T, E> {
        let mut conn = self.connection()?;
        let done = work(&mut conn);
        self.check_before_return(&mut conn, done.is_ok());
        done
    }

    /// Whether the database answers, for readiness.
    ///
    /// # Errors
    /// The problem that a request would be answered now.
    pub async fn answers(&self) -> Result<(), Problem> {
        self.kept_share().run(R2D2Connection::ping).await
    }

    /// How the pool is used at this moment.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let state = self.pool.state();
        Usage {
            size: self.pool.max_size(),
            in_use: state.connections.saturating_sub(state.idle_connections),
            idle: state.idle_connections,
            turned_away: self.measures.turned_away.load(Ordering::Relaxed),
        }
    }

    /// How long calls waited for a place, microseconds.
    #[must_use]
    pub fn waits(&self) -> &Histogram {
        &self.measures.waits_us
    }

    async fn place(&self) -> Result<Place, DbError> {
        let began = Instant::now();
        let place = self.wait_for_place().await;
        match &place {
            Ok(_) => self.measures.waits_us.observe_since(began),
            Err(_) => _ = self.measures.turned_away.fetch_add(1, Ordering::Relaxed),
        }
        place
    }

    async fn wait_for_place(&self) -> Result<Place, DbError> {
        let patience = POOL_WAIT.min(self.deadline);
        let is_common = match self.share {
            Share::ByRequest => may_wait_behind_money(),
            Share::Kept => false,
            Share::Common => true,
        };
        let common = if is_common { Some(self.common.place(patience).await?) } else { None };
        Ok(Place { _common: common, _pool: take(&self.places, patience).await? })
    }

    fn with_connection<T, E>(
        &self,
        place: Place,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<Result<T, E>, DbError> {
        let mut conn = self.connection()?;
        let done = work(&mut conn);
        self.check_before_return(&mut conn, done.is_ok());
        drop(conn);
        drop(place); // only now: a free place means a free connection
        Ok(done)
    }

    /// A connection that is alive as far as we know.
    fn connection(&self) -> Result<Pooled, DbError> {
        let mut conn = self.pool.get()?;
        // Each turn drops a dead one, so the loop ends with a live one or with the server's refusal to make one.
        while self.suspicion.is_alive() && conn.ping().is_err() {
            give_up(&mut conn);
            drop(conn);
            conn = self.pool.get()?;
        }
        Ok(conn)
    }

    fn check_before_return(&self, conn: &mut PgConnection, went_well: bool) {
        if has_open_transaction(conn) {
            tracing::error!("work came back with an open transaction: connection dropped");
        } else if !went_well && conn.ping().is_err() {
            self.suspicion.raise();
            give_up(conn);
        }
    }
}

impl Common {
    fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), start: Instant::now(), free_at_ms: AtomicU64::default() }
    }

    async fn place(&self, patience: Duration) -> Result<OwnedSemaphorePermit, DbError> {
        let now_ms = millis(self.start.elapsed());
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            self.free_at_ms.store(now_ms, Ordering::Relaxed);
            return Ok(place);
        }
        let queue_for_ms = now_ms.saturating_sub(self.free_at_ms.load(Ordering::Relaxed));
        let is_standing = queue_for_ms > millis(STANDING_AFTER);
        take(&self.places, if is_standing { patience.min(STANDING_WAIT) } else { patience }).await
    }
}

async fn take(places: &Arc<Semaphore>, patience: Duration) -> Result<OwnedSemaphorePermit, DbError> {
    match tokio::time::timeout(patience, Arc::clone(places).acquire_owned()).await {
        Ok(place) => place.map_err(|_closed| DbError::CutShort),
        Err(_elapsed) => Err(DbError::Busy),
    }
}

type Pooled = PooledConnection<ConnectionManager<PgConnection>>;

type Transactions = <PgConnection as Connection>::TransactionManager;

fn has_open_transaction(conn: &mut PgConnection) -> bool {
    let status = Transactions::transaction_manager_status_mut(conn);
    status.transaction_depth().is_ok_and(|depth| depth.is_some())
}

/// Marks a connection so that the pool drops it instead of keeping it.
fn give_up(conn: &mut PgConnection) {
    Transactions::transaction_manager_status_mut(conn).set_in_error();
}

/// Whether a dead connection was seen of late: when the server restarts, all the pool's connections died together.
struct Suspicion {
    start: Instant,
    until_ms: AtomicU64,
}

impl Suspicion {
    fn raise(&self) {
        self.until_ms.store(millis(self.start.elapsed() + SUSPICION), Ordering::SeqCst);
    }

    fn is_alive(&self) -> bool {
        millis(self.start.elapsed()) < self.until_ms.load(Ordering::SeqCst)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Debug)]
struct Session;

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Session {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        conn.batch_execute(SESSION).map_err(diesel::r2d2::Error::QueryError)
    }
}

/// `url` with our settings for network connections, unless it has its own; a unix socket ignores them.
fn with_tcp_settings(url: &str) -> String {
    let is_uri = url.starts_with("postgres://") || url.starts_with("postgresql://");
    let mut out = url.to_owned();
    for (key, value) in TCP {
        if !url.contains(&format!("{key}=")) {
            let joint = match (is_uri, out.contains('?')) {
                (true, false) => '?',
                (true, true) => '&',
                (false, _) => ' ',
            };
            out.push(joint);
            out.push_str(&format!("{key}={value}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
