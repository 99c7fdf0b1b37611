//! Levels: what a person may hold and pay, by how well we know them.
//!
//! A tenant publishes tables with a date ([`publish`]); the law's numbers are at hand ([`LAW`]). From the first table on, each
//! person's wallet has a ceiling, and each payment out of it counts on accounts of the journal that hold a person to one
//! payment's, a day's and a month's amount. So the journal decides, in commit order, under any interleaving; nothing is read
//! first and passed later. A tenant without a table limits nobody, and a customer who is no person is limited by nothing: what
//! machines do for their own customers goes on as it did.
//! Limits: a payment that was asked for right before a table begins may be posted some seconds into it, under the one before.
//! What the house brings in (imports) and what operators post in the books themselves is held by the ceiling alone.
//! Not here: how one proves who one is (identity), how often one may ask (`platform::limits`).

mod account;
mod model;
mod refusal;
mod replay;
mod routes;
mod settle;
mod store;

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection};
use ledger::{AssetId, Body, Journal, Period, Record};
use uuid::Uuid;

pub use account::{Counting, calendar, counted_rows, ending, limit_of};
pub use model::{Allowed, LAW, LevelsError, Limit, Table, Tables};
pub use replay::{Made, Replay, WouldRefuse};
pub use routes::{present, publish_approved, routes};

use crate::identity::people::{self, Level};
use crate::platform::Platform;
use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};
use crate::platform::books::journal_of;
use crate::platform::chart::{Counted, Purpose};
use crate::platform::keyring::Tenant;
use crate::platform::problem::Problem;
use crate::platform::snapshot::{Snapshot, Tell, touch};

/// The tables of every tenant, in memory.
pub struct Levels(Snapshot<Tables>);

impl Default for Levels {
    fn default() -> Self {
        Self(Snapshot::new(store::tables))
    }
}

/// What is asked of the journal on a person's behalf.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Database, time, ids.
    pub platform: &'a Platform,
    /// The books.
    pub journal: &'a Journal,
    /// Whose.
    pub tenant: &'a Tenant,
    /// The tenant's money.
    pub money: AssetId,
    /// The tenant's time.
    pub now: DateTime<Utc>,
}

/// A person's limits, and what of them is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How well we know them.
    pub level: Level,
    /// Since when their table is in force; none while none is.
    pub since: Option<DateTime<Utc>>,
    /// Each limit; none at all in a tenant without tables.
    pub limits: Vec<LimitStanding>,
}

/// One limit of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitStanding {
    /// Of what.
    pub limit: Limit,
    /// The most; none is no limit.
    pub most: Option<i64>,
    /// What is used: what the wallet holds, what was paid or is set aside in the period. Of one payment, nothing.
    pub used: i64,
    /// When the period ends.
    pub until: Option<DateTime<Utc>>,
}

impl LimitStanding {
    /// What is left of it; none without a limit.
    #[must_use]
    pub fn left(&self) -> Option<i64> {
        self.most.map(|most| most.saturating_sub(self.used).max(0))
    }
}

impl Limit {
    /// The period that it is of.
    #[must_use]
    pub const fn period(self) -> Option<Period> {
        match self {
            Self::Stored | Self::Payment => None,
            Self::Day => Some(Period::Day),
            Self::Month => Some(Period::Month),
        }
    }
}

impl Levels {
    /// Sees to it that the journal has a customer's limits of now, and gives what counts their payments; none for whoever has no
    /// limits. To be asked before each payment out of a wallet and each payment into it.
    ///
    /// # Errors
    /// The database's and the journal's problems; 503 `limits-busy` when others change them all the time. Nothing happened.
    pub async fn counting(&self, ask: Ask<'_>, customer: Uuid) -> Result<Option<Counting>, Problem> {
        Ok(self.settled(ask, customer).await?.map(|(counting, _)| counting))
    }

    async fn settled(&self, ask: Ask<'_>, person: Uuid) -> Result<Option<(Counting, settle::Version)>, Problem> {
        let Ask { platform, journal, tenant, money, now } = ask;
        let tables = self.0.get(&platform.db, tenant.id).await?;
        settle::Whom { platform, journal, tenant, person, tables: &tables, money, now }.settle().await
    }

    /// The problem of a record that refuses by one of a person's limits; none for any other record.
    ///
    /// # Errors
    /// The database's problems.
    pub async fn refused(
        &self,
        platform: &Platform,
        tenant: &Tenant,
        person: Uuid,
        record: &Record,
    ) -> Result<Option<Problem>, Problem> {
        let Body::Refused { refusal } = &record.body else { return Ok(None) };
        refusal::describe(platform, tenant, person, refusal, record).await
    }

    /// Sets a person's level, writes that to the audit log, and brings their limits in the journal up to it. Setting the same
    /// again completes what was interrupted. The answer is the seq from which on the new limits count, where there are any.
    ///
    /// # Errors
    /// [`LevelsError::UnknownPerson`]; as [`Levels::counting`]: the level is set then, and its limits come before the person's
    /// next payment.
    #[tracing::instrument(name = "levels.set_level", skip_all, fields(tenant = ask.tenant.id, level = level.word()))]
    pub async fn set_level(&self, ask: Ask<'_>, by: Actor, person: Uuid, level: Level) -> Result<Option<i64>, Problem> {
        let (tenant, now) = (ask.tenant.id, ask.platform.clock.now());
        let set = move |conn: &mut PgConnection| -> Result<people::Level, LevelsError> {
            people::set_level(conn, now, by, (tenant, person), level)?.ok_or(LevelsError::UnknownPerson)
        };
        ask.platform.db.of(tenant).write(set).await?;
        Ok(self.settled(ask, person).await?.and_then(|(_, version)| version.seq))
    }

    /// A person's limits and what of them is used.
    ///
    /// # Errors
    /// 404 `person-unknown`; as [`Levels::counting`].
    pub async fn standing(&self, ask: Ask<'_>, person: Uuid) -> Result<Standing, Problem> {
        let settled = self.settled(ask, person).await?;
        let (id, journal) = (ask.tenant.id, journal_of(ask.tenant));
        let Some((_, version)) = settled else {
            let found = ask.platform.db.of(id).read(move |conn| people::find(conn, id, person)).await?;
            let level = found.ok_or(LevelsError::UnknownPerson)?.level;
            return Ok(Standing { level, since: None, limits: Vec::new() });
        };
        let history = ask.platform.history.clone();
        let accounts = [
            Purpose::Available(person),
            Purpose::Counted(Counted::Day, person),
            Purpose::Counted(Counted::Month, person),
        ]
        .map(|purpose| purpose.account(id));
        let read = move |conn: &mut PgConnection| ledger::read::balances(conn, &history, journal, &accounts);
        let balances = ask.platform.db.of(id).read(read).await?;
        let find = |account: Uuid| balances.iter().find(|balance| balance.public_id == account);
        let now_us = ask.now.timestamp_micros();
        let standing = |limit: Limit| {
            let [wallet, day, month] = accounts;
            let most = version.allowed.of(limit);
            let spent = |account| {
                let free = find(account).map(|one| one.balance.saturating_sub(one.held));
                free.map_or(0, |free| most.unwrap_or(ledger::MAX_AMOUNT).saturating_sub(free))
            };
            let used = match limit {
                Limit::Stored => find(wallet).map_or(0, |wallet| wallet.balance),
                Limit::Payment => 0,
                Limit::Day => spent(day),
                Limit::Month => spent(month),
            };
            let until = limit.period().map(|period| period.around(account::calendar(ask.tenant), now_us).1);
            let until = until.and_then(DateTime::from_timestamp_micros);
            LimitStanding { limit, most, used, until }
        };
        let (level, since) = (version.level, version.table_from);
        Ok(Standing { level, since, limits: Limit::ALL.map(standing).into() })
    }

    /// The tenant's tables, at most a second old.
    ///
    /// # Errors
    /// The database's problems.
    pub async fn tables(&self, platform: &Platform, tenant: i64) -> Result<std::sync::Arc<Tables>, Problem> {
        self.0.get(&platform.db, tenant).await
    }

    /// Reads them again at the next use.
    pub fn forget(&self, tenant: i64) {
        self.0.forget(tenant);
    }

    /// Tells other nodes of every change by this.
    pub fn tell_by(&self, tell: Tell) {
        self.0.tell_by(tell);
    }

    /// Looks again at the next use: another node says that something may have changed.
    pub fn doubt(&self, tenant: i64) {
        self.0.doubt(tenant);
    }
}

/// Publishes a table: from its moment on it is the law of this tenant, without a release. Every node knows of it within a second.
///
/// # Errors
/// [`LevelsError::Past`], [`LevelsError::Amount`], [`LevelsError::Taken`].
#[tracing::instrument(name = "levels.publish", skip_all, fields(tenant))]
pub fn publish(
    conn: &mut PgConnection,
    (now, present): (DateTime<Utc>, DateTime<Utc>),
    by: Actor,
    tenant: i64,
    table: &Table,
) -> Result<(), LevelsError> {
    table.check(present)?;
    conn.transaction(|conn| {
        store::insert_table(conn, tenant, table, now)?;
        touch(conn, tenant)?;
        let entry = Entry::done(tenant, by, Action::LimitsPublished, Object::Tenant(tenant));
        audit::append(conn, &entry.with("valid_from", Fact::Time(table.valid_from)), now)?;
        Ok(())
    })
}

/// Every table of a tenant, oldest first.
///
/// # Errors
/// What the database says.
pub fn tables(conn: &mut PgConnection, tenant: i64) -> Result<Tables, LevelsError> {
    Ok(store::tables(conn, tenant)?)
}

/// How well a customer was known right before the record of a seq; who was held to nothing then, as well as they are known now.
/// None for who is no person.
///
/// # Errors
/// What the database says.
pub fn level_before(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    seq: i64,
) -> Result<Option<Level>, LevelsError> {
    if let Some(version) = settle::in_force_before(conn, tenant, person, seq)? {
        return Ok(Some(version.level));
    }
    Ok(people::find(conn, tenant, person)?.map(|person| person.level))
}

/// What a person was held to: at which level, by the table of which moment, and how much.
pub type Held = (Level, Option<DateTime<Utc>>, Allowed);

/// What a person was held to, first to last.
///
/// # Errors
/// What the database says.
pub fn history(conn: &mut PgConnection, tenant: i64, person: Uuid) -> diesel::QueryResult<Vec<Held>> {
    let mut versions = store::versions_before(conn, tenant, person, i64::MAX)?;
    versions.reverse();
    Ok(versions.into_iter().map(|version| (version.level, version.table_from, version.allowed)).collect())
}
