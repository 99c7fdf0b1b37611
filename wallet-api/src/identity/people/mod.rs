//! People: customers who can sign in.
//!
//! A person has the id of the customer they are, a number of the clients' sequence (so their idempotency keys are no
//! client's) and a level: how well we know who it is. For a day after a recovery or a new device there is [`caution`]: little
//! may leave their wallet. Functions join their caller's transaction. Not here: what tells who they are, which is sealed, how
//! they prove it (`passkeys`), what a level allows, and holding payments to either.

mod store;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

pub(in crate::identity) use store::person;

use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};
use crate::platform::text::Lang;

/// How long little may be paid after a recovery or a new device.
pub const COOLING_OFF: TimeDelta = TimeDelta::hours(24);
/// How much that is, in euro cents.
pub const CAUTIOUS_MINOR: i64 = 15_000;

/// A time in which little may leave a person's wallet, because whoever came in last may not be them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caution {
    /// Until when.
    pub until: DateTime<Utc>,
    /// How much in all within any [`COOLING_OFF`] until then, in euro cents.
    pub most_minor: i64,
}

/// How well we know who a person is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nobody has told us.
    T0,
    /// What they say of themselves.
    T1,
    /// Proved by an identity provider at its second level, or by identity data of a wallet.
    T2,
    /// Checked by hand, under a contract.
    T3,
}

impl Level {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::T0, Self::T1, Self::T2, Self::T3];

    /// Its number in the database.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::T0 => 0,
            Self::T1 => 1,
            Self::T2 => 2,
            Self::T3 => 3,
        }
    }

    /// Its word in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::T0 => "T0",
            Self::T1 => "T1",
            Self::T2 => "T2",
            Self::T3 => "T3",
        }
    }

    /// Of its number; one this release does not know is the least.
    #[must_use]
    pub fn of(number: i16) -> Self {
        Self::ALL.into_iter().find(|level| level.number() == number).unwrap_or(Self::T0)
    }
}

/// A person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// The customer of the same id.
    pub id: Uuid,
    /// Their number.
    pub number: i64,
    /// How well we know them.
    pub level: Level,
    /// The language we write to them in.
    pub locale: Lang,
    /// True when they closed their account: nobody signs in as them any more.
    pub is_closed: bool,
}

/// Makes a person of a customer; one that is there stays as it is.
///
/// # Errors
/// What the database says; a customer who is not there is one of it.
pub fn ensure(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    customer: Uuid,
    locale: Lang,
) -> QueryResult<Person> {
    store::insert(conn, now, tenant, customer, locale)?;
    find(conn, tenant, customer)?.ok_or(diesel::result::Error::NotFound)
}

/// The person of this id.
///
/// # Errors
/// What the database says.
pub fn find(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Person>> {
    store::find(conn, tenant, id)
}

/// The numbers of these people; who is nobody has none.
///
/// # Errors
/// What the database says.
pub fn numbers(conn: &mut PgConnection, tenant: i64, ids: &[Uuid]) -> QueryResult<HashMap<Uuid, i64>> {
    store::numbers(conn, tenant, ids)
}

/// The person of this id, who stays as they are until the transaction ends.
///
/// # Errors
/// What the database says.
pub fn lock(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Person>> {
    store::lock(conn, tenant, id)?;
    store::find(conn, tenant, id)
}

/// Keeps a person as they are until the transaction ends, and others from changing what is said of them; false when there is no
/// such person, or they closed their account.
///
/// # Errors
/// What the database says; a transaction that may only read is one of it.
pub fn hold(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<bool> {
    store::hold(conn, tenant, id)
}

/// Notes how well we know a person now, and in the audit log who says so; gives how well we did before. The same again changes and
/// notes nothing. None of whoever is no person. The row stays locked until the transaction ends, so that of two at once each sees
/// what the other left. What they may do follows with [`levels`](crate::levels::Levels::set_level), or before their next payment.
///
/// # Errors
/// What the database says.
pub fn set_level(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: Actor,
    (tenant, id): (i64, Uuid),
    level: Level,
) -> QueryResult<Option<Level>> {
    let Some(Person { level: before, .. }) = lock(conn, tenant, id)? else { return Ok(None) };
    if before != level {
        store::set_level(conn, tenant, id, level)?;
        let entry = Entry::done(tenant, by, Action::LevelChanged, Object::Person(id)).about(id);
        let entry = entry.with("from", Fact::Word(before.word())).with("to", Fact::Word(level.word()));
        audit::append(conn, &entry, now)?;
    }
    Ok(Some(before))
}

/// Whether there is reason for caution with a person's payments now: they came back by recovery, or a device was added to their
/// first one, within the last [`COOLING_OFF`]. It is of the person and not of the device that asks, because whoever has
/// one may use another. A device that was revoked stays a reason: else whoever came in by it would lift the cap by revoking it.
///
/// # Errors
/// What the database says.
pub fn caution(conn: &mut PgConnection, tenant: i64, person: Uuid, now: DateTime<Utc>) -> QueryResult<Option<Caution>> {
    Ok(cautions(conn, tenant, &[person], now)?.remove(&person))
}

/// [`caution`] for many: those of whom there is reason for it.
///
/// # Errors
/// What the database says.
pub fn cautions(
    conn: &mut PgConnection,
    tenant: i64,
    persons: &[Uuid],
    now: DateTime<Utc>,
) -> QueryResult<HashMap<Uuid, Caution>> {
    let caution = |since| Caution { until: since + COOLING_OFF, most_minor: CAUTIOUS_MINOR };
    let since = store::last_changes(conn, tenant, persons, now - COOLING_OFF)?;
    Ok(since.into_iter().map(|(person, since)| (person, caution(since))).collect())
}

#[cfg(test)]
mod tests;
