//! The database: one pool, one way to run work on it, and the migrations ([`migrate()`]).
//!
//! Promise: no request waits for the database longer than [`DEADLINE`], and no session keeps a transaction or a lock
//! longer than `SESSION` allows. A call that overruns is answered 503 `database-slow` while its thread lives on, holding its
//! place in the pool, until the server's own timeout ends it: so no more threads can hang than the pool has places. A
//! connection that comes back with an open transaction is dropped and logged; one that lost its server is found by the
//! first call that fails on it, and all others are tested before their next use.
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
pub use migrate::{MIGRATIONS, MigrateError, check_migrated, migrate, newest_known};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Span;

use super::problem::{Describe, Problem};

/// Longest time one call may take, waiting for a place in the pool included.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Longest wait for a place in the pool; past it the house is full and says so at once.
const POOL_WAIT: Duration = Duration::from_secs(1);

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
    deadline: Duration,
    suspicion: Arc<Suspicion>,
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
        if matches!(kind, ClosedConnection | UnableToSendCommand) {
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
        Ok(Self { pool, places: Arc::new(Semaphore::new(places)), deadline: DEADLINE, suspicion })
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
        self.run(R2D2Connection::ping).await
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, DbError> {
        let wait = tokio::time::timeout(POOL_WAIT.min(self.deadline), Arc::clone(&self.places).acquire_owned());
        match wait.await {
            Ok(place) => place.map_err(|_closed| DbError::CutShort),
            Err(_elapsed) => Err(DbError::Busy),
        }
    }

    fn with_connection<T, E>(
        &self,
        place: OwnedSemaphorePermit,
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
