//! The audit log: what was done that matters, by whom, to what, for whom to see.
//!
//! An [`Entry`] is written by [`append`] inside the transaction of the thing itself: both are there, or neither. The
//! entries of a tenant are one hash chain without gaps ([`form`] has its bytes); each minute in which something came, its
//! head is signed and published outside the database ([`sign`], [`head`]); [`verify`] computes all of it again.
//!
//! Promise: a row that is changed, taken away, put in or moved is named, as are rows cut off the end once a head that
//! covers them was signed. An entry holds no personal data: its parts are ids, numbers and words of ours, and no type
//! here takes any other text.
//! Limits: who may write to the tables and computes hashes anew can add rows at the end, and change those of the last
//! minute; who holds the signing key too can write another history, which shows to whoever kept a published head.
//! Appending locks the tenant's head until the transaction ends: do it last, and nowhere on the way of a payment.
//! Not here: which acts matter (whoever does them), and the journal, which proves itself.

pub mod form;
pub mod head;
mod model;
mod routes;
pub mod sign;
mod store;
pub mod verify;

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

pub use model::{Action, Actor, ActorKind, Detail, Entry, Fact, Object, Outcome};
pub use routes::routes;

use form::Row;

use super::db::join;
use super::keyring::Caller;

/// Writes an entry at the end of its tenant's chain, inside the caller's transaction, and tells its seq.
///
/// `now` is the world's time, not a sandbox's. Whoever appends to the same tenant next waits until this transaction ends.
///
/// # Errors
/// The database's.
pub fn append(conn: &mut PgConnection, entry: &Entry, now: DateTime<Utc>) -> QueryResult<i64> {
    // By itself where the caller has no transaction: row and head are one, whatever happens in between.
    join(conn, |conn| write(conn, entry, now))
}

/// The same, unless an entry of this action on this object is there: for an act whose own commit is the journal's, and
/// which may be repeated after a crash in between.
///
/// # Errors
/// The database's.
pub fn append_once(conn: &mut PgConnection, entry: &Entry, now: DateTime<Utc>) -> QueryResult<()> {
    join(conn, |conn| {
        store::lock(conn, entry.tenant)?;
        if !store::is_written(conn, entry)? {
            write(conn, entry, now)?;
        }
        Ok(())
    })
}

/// The acts on a person's data before a seq, newest first: who looked, who changed something.
///
/// # Errors
/// The database's.
pub fn about(conn: &mut PgConnection, tenant: i64, person: Uuid, before: i64, most: i64) -> QueryResult<Vec<Row>> {
    let filter = store::Filter { subject: Some(person), ..store::Filter::default() };
    store::page(conn, tenant, filter, before, most)
}

/// What the tenant's staff did about a person before a seq, newest first: who looked, also by a key of theirs, and what they were
/// refused.
///
/// # Errors
/// The database's.
pub fn by_staff_about(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    before: i64,
    most: i64,
) -> QueryResult<Vec<Row>> {
    store::by_staff_about(conn, tenant, person, before, most)
}

/// A look of somebody of the staff at what is a customer's, in a session of theirs or by a key of theirs, which names whose it is.
#[must_use]
pub fn look(by: &Caller, customer: Uuid, what: &'static str) -> Entry {
    let roles = by.roles().iter().map(|(role, _)| role.word()).collect();
    let entry = Entry::done(by.tenant.id, by.actor, Action::CustomerLookedAt, Object::Person(customer)).about(customer);
    let entry = entry.with("what", Fact::Word(what)).with("roles", Fact::Words(roles));
    let entry = entry.with("in_emergency", Fact::Flag(by.is_emergency(customer)));
    match by.operator() {
        Some(_) => entry,
        None => entry.with("eyes", Fact::Number(by.eyes())),
    }
}

fn write(conn: &mut PgConnection, entry: &Entry, now: DateTime<Utc>) -> QueryResult<i64> {
    let last = store::lock(conn, entry.tenant)?;
    let row = Row::after(&last, entry, now);
    store::insert(conn, &row)?;
    Ok(row.seq)
}

#[cfg(test)]
mod tests;
