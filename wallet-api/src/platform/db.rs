//! The database: pools of sessions, the ways to run work on them, and the migrations ([`migrate()`]).
//!
//! Requests share one pool ([`Db`]). Its sessions work as `tessera_tenant`, who sees nothing, until a transaction says for
//! whom it works (docs/adr/0012): `db.of(tenant).read(…)` reads one state, `db.of(tenant).write(…)` changes it, all or
//! nothing, and what is truly of all tenants says so, `db.house().run(…)`. The tenant is the transaction's, so it ends with it
//! however it ends. Followers, hooks and sealers have pools of their own ([`HouseDb`]) and work for the house.
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

mod columns;
mod error;
mod migrate;
mod places;
mod pool;
mod session;
mod statement;
mod tenancy;

use std::time::Duration;

pub use columns::Columns;
use diesel::PgConnection;
use diesel::r2d2::R2D2Connection;
pub use error::DbError;
use ledger::Histogram;
pub use migrate::{MIGRATIONS, MigrateError, check_migrated, migrate, newest_known};
pub use statement::{Arg, statement};
pub use tenancy::{OfHouse, OfTenant, join};

use self::places::Share;
use self::pool::Sessions;
use self::session::{Who, with_tcp_settings};
use super::problem::Problem;

/// Longest time one call may take, waiting for a place in the pool included.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// The pool of requests, each of which works for one tenant; clones share it.
#[derive(Clone)]
pub struct Db(Sessions);

impl Db {
    /// Opens a pool of at most `size` connections (at least one) to `url`, and makes the first to see that it works.
    ///
    /// # Errors
    /// [`DbError::Unreachable`] when the first connection cannot be made within [`DEADLINE`].
    pub fn open(url: &str, size: u32) -> Result<Self, DbError> {
        Sessions::open(url, size, Who::Tenants).map(Self)
    }

    /// Work for a tenant: it sees the rows of this one, and adds none to another's.
    #[must_use]
    pub fn of(&self, tenant: i64) -> OfTenant {
        OfTenant::new(self.0.clone(), tenant)
    }

    /// Work over all tenants. Few have a reason; it should be plain where they say it.
    #[must_use]
    pub fn house(&self) -> OfHouse {
        OfHouse::new(self.0.clone())
    }

    /// The same pool, all of its places: for what keeps the house open, whoever asks.
    #[must_use]
    pub fn kept_share(&self) -> Self {
        Self(self.0.sharing(Share::Kept))
    }

    /// The same pool without the places kept for money, whoever asks.
    #[must_use]
    pub fn common_share(&self) -> Self {
        Self(self.0.sharing(Share::Common))
    }

    /// The same pool with another deadline, for work that is known to be shorter or longer.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self(self.0.with_deadline(deadline))
    }

    /// Whether the database answers, for readiness.
    ///
    /// # Errors
    /// The problem that a request would be answered now.
    pub async fn answers(&self) -> Result<(), Problem> {
        Ok(self.kept_share().0.run(R2D2Connection::ping).await??)
    }

    /// What it counts.
    #[must_use]
    pub fn meter(&self) -> Meter {
        Meter(self.0.clone())
    }
}

/// A pool of the house: for what works over all tenants all the time, and opens its own transactions; clones share it.
#[derive(Clone)]
pub struct HouseDb(Sessions);

impl HouseDb {
    /// As [`Db::open`].
    ///
    /// # Errors
    /// [`DbError::Unreachable`].
    pub fn open(url: &str, size: u32) -> Result<Self, DbError> {
        Sessions::open(url, size, Who::House).map(Self)
    }

    /// The same pool with another deadline.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self(self.0.with_deadline(deadline))
    }

    /// Runs blocking database work off the async threads, inside the caller's span, and answers within the deadline.
    ///
    /// # Errors
    /// The outer one is the pool's; the inner one is what `work` returned.
    pub async fn run<T, E>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, DbError>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.0.run(work).await
    }

    /// Runs database work on this thread, for what has a thread of its own or is a command.
    ///
    /// # Errors
    /// What `work` refuses, and [`DbError`] when no connection is to be had.
    pub fn blocking<T, E: From<DbError>>(&self, work: impl FnOnce(&mut PgConnection) -> Result<T, E>) -> Result<T, E> {
        self.0.blocking(work)
    }

    /// What it counts.
    #[must_use]
    pub fn meter(&self) -> Meter {
        Meter(self.0.clone())
    }
}

/// What a pool counts.
#[derive(Clone)]
pub struct Meter(Sessions);

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

impl Meter {
    /// How the pool is used at this moment.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.0.usage()
    }

    /// How long calls waited for a place, microseconds.
    #[must_use]
    pub fn waits(&self) -> &Histogram {
        self.0.waits()
    }
}

#[cfg(test)]
mod tests;
