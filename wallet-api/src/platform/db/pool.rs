//! The machinery of a pool: places, connections that are alive, work off the async threads and within its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::web;
use diesel::connection::TransactionManager;
use diesel::r2d2::{ConnectionManager, Pool, PooledConnection, R2D2Connection};
use diesel::{Connection, PgConnection};
use ledger::read::Until;
use ledger::{Histogram, LATENCY_US};
use tracing::Span;

use super::places::{Place, Places, Share};
use super::session::{Session, Who, with_tcp_settings};
use super::{DEADLINE, DbError, Usage};
use crate::platform::patience;

/// Longest time of a long reading where no request says less: at the command line.
const LONG: Duration = Duration::from_secs(60);

/// How long connections are tested before use after one of them was found dead.
const SUSPICION: Duration = Duration::from_secs(60);

/// Sessions of one kind; clones share them.
#[derive(Clone)]
pub(super) struct Sessions {
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

impl Sessions {
    /// At most `size` (at least one); the first is made to see that it works.
    pub(super) fn open(url: &str, size: u32, who: Who) -> Result<Self, DbError> {
        let size = size.max(1);
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(1))
            // A test before every use costs a round trip each: see `Suspicion` for what takes its place.
            .test_on_check_out(false)
            .connection_timeout(DEADLINE)
            .connection_customizer(Box::new(Session(who)))
            .build(ConnectionManager::new(with_tcp_settings(url)))?;
        let suspicion = Arc::new(Suspicion { start: Instant::now(), until_ms: AtomicU64::new(0) });
        let measures = Arc::new(Measures { waits_us: Histogram::new(LATENCY_US), turned_away: AtomicU64::new(0) });
        let places = Places::new(usize::try_from(size).unwrap_or(1));
        Ok(Self { pool, places, share: Share::ByRequest, deadline: DEADLINE, suspicion, measures })
    }

    /// The same, of which other places may be taken.
    pub(super) fn sharing(&self, share: Share) -> Self {
        Self { share, ..self.clone() }
    }

    /// The same with another deadline.
    pub(super) fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// Runs blocking work off the async threads, inside the caller's span, and answers within the deadline. The outer error
    /// is the pool's; the inner one is what `work` returned.
    pub(super) async fn run<T, E>(
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

    /// The same for a reading that takes long, for as long as its request has time and in its turn.
    pub(super) async fn run_long<T, E>(
        &self,
        work: impl FnOnce(&mut PgConnection, Until) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, DbError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let left = patience::left().unwrap_or(LONG).min(LONG);
        let end = Instant::now() + left;
        let turn = self.places.turn(left / 2).await?;
        let place = self.place().await?.in_turn(turn);
        self.work_by(end.into(), place, move |conn| work(conn, Until::at(end))).await
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

    /// Runs work on this thread, without a place.
    pub(super) fn blocking<T, E: From<DbError>>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut conn = self.connection()?;
        let done = work(&mut conn);
        self.check_before_return(&mut conn, done.is_ok());
        done
    }

    /// How they are used at this moment.
    pub(super) fn usage(&self) -> Usage {
        let state = self.pool.state();
        Usage {
            size: self.pool.max_size(),
            in_use: state.connections.saturating_sub(state.idle_connections),
            idle: state.idle_connections,
            turned_away: self.measures.turned_away.load(Ordering::Relaxed),
        }
    }

    /// How long calls waited for a place, microseconds.
    pub(super) fn waits(&self) -> &Histogram {
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

pub(super) type Transactions = <PgConnection as Connection>::TransactionManager;

pub(super) fn has_open_transaction(conn: &mut PgConnection) -> bool {
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

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
