//! The database: one pool, one way to run work on it, and the migrations ([`migrate()`]).
//!
//! Promise: no request waits for the database longer than [`DEADLINE`], and no session keeps a transaction or a lock
//! longer than [`session`] allows. A call that overruns is answered 503 `database-slow` while its thread lives on, holding
//! its place in the pool, until the server's own timeout ends it: so no more threads can hang than the pool has places. A
//! connection that comes back with an open transaction is dropped and logged; one that lost its server is found by the
//! first call that fails on it, and all others are tested before their next use.
//! A fifth of the places is kept for money routes and for what keeps the house open (keys, readiness): what `limits` says
//! may wait behind money never takes those. It waits a second for a place in a burst, and 50 ms once there has been a
//! queue for a while ([`places`]), so that a standing queue does not become everybody's latency.
//! Long readings (reports) take turns, two at a time, and are told to stop when nobody waits for them any more.
//! The journal is never called from inside `work` (JOURNAL 21): asking it is asynchronous, `work` is not, so by the time
//! one can ask, the transaction has ended. Not here: the journal's own sessions (`ledger`), and retries.

mod error;
mod migrate;
mod places;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::web;
use diesel::connection::TransactionManager;
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection, R2D2Connection};
use diesel::{Connection, PgConnection};
pub use error::DbError;
use ledger::read::Until;
use ledger::{Histogram, LATENCY_US};
pub use migrate::{MIGRATIONS, MigrateError, check_migrated, migrate, newest_known};
use tracing::Span;

use self::places::{Place, Places, Share};
use self::session::{Session, with_tcp_settings};
use super::patience;
use super::problem::Problem;

/// Longest time one call may take, waiting for a place in the pool included.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// Longest time of a long reading where no request says less: at the command line.
const LONG: Duration = Duration::from_secs(60);

/// How long connections are tested before use after one of them was found dead.
const SUSPICION: Duration = Duration::from_secs(60);

/// A pool of connections; clones share it.
#[derive(Clone)]
pub struct Db {
    pool: Pool<ConnectionManager<PgConnection>>,
    places: Places,
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
        let suspicion = Arc::new(Suspicion { start: Instant::now(), until_ms: AtomicU64::new(0) });
        let measures = Arc::new(Measures { waits_us: Histogram::new(LATENCY_US), turned_away: AtomicU64::new(0) });
        let places = Places::new(usize::try_from(size).unwrap_or(1));
        Ok(Self { pool, places, share: Share::ByRequest, deadline: DEADLINE, suspicion, measures })
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
        let end = tokio::time::Instant::now() + self.deadline;
        let place = self.place().await?;
        self.work_by(end, place, work).await
    }

    /// Runs a reading that takes long for as long as its request has time. Two run at a time, and the others wait for their
    /// turn, at most half of what time they have: later is too late to read anything.
    ///
    /// `work` asks its [`Until`] now and then, and so gives its place back when nobody waits for it any more.
    ///
    /// # Errors
    /// As [`run`](Self::run); 503 `database-busy` too when no turn came.
    pub async fn run_long<T, E>(
        &self,
        work: impl FnOnce(&mut PgConnection, Until) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let left = patience::left().unwrap_or(LONG).min(LONG);
        let end = Instant::now() + left;
        let turn = self.places.turn(left / 2).await?;
        let place = self.place().await?.in_turn(turn);
        self.work_by(end.into(), place, move |conn| work(conn, Until::at(end))).await?.map_err(Into::into)
    }

    async fn work_by<T, E>(
        &self,
        end: tokio::time::Instant,
        place: Place,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, DbError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (db, span) = (self.clone(), Span::current());
        let job = web::block(move || span.in_scope(|| db.with_connection(place, work)));
        match tokio::time::timeout_at(end, job).await {
            Ok(Ok(done)) => done,
            Ok(Err(_cancelled)) => Err(DbError::CutShort),
            Err(_elapsed) => {
                tracing::warn!("database call outlived its deadline");
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
        let place = self.places.take(self.share, self.deadline).await;
        match &place {
            Ok(_) => self.measures.waits_us.observe_since(began),
            Err(_) => _ = self.measures.turned_away.fetch_add(1, Ordering::Relaxed),
        }
        place
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

#[cfg(test)]
mod tests;
