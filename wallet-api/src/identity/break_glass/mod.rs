//! Break-glass: an operator whose roles do not reach a customer looks at them in an emergency, and the customer sees it.
//!
//! It is for one customer, takes a reason in words, and ends by itself after [`LASTS`] or with the role that allows it. The
//! opening and every look are in the audit log about the customer, who reads them at `/v1/me/looks`. Functions join their
//! caller's transaction. Not here: what is looked at (`profile`, `payments`), which ask how far a caller's right reaches.

mod look;
mod routes;
mod store;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

pub use look::{Look, looks};
pub(in crate::identity) use routes::routes;

use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};
use crate::platform::ids::Ids;
use crate::platform::vault::{Cell, Column, Vault, VaultError};

/// How long it lasts.
pub const LASTS: TimeDelta = TimeDelta::minutes(60);
const REASON: Column = Column { table: "break_glass", column: "reason" };

/// Opens a customer's data to an operator, for a reason in words. Gives its id and until when.
///
/// # Errors
/// The vault's: nobody looks at a customer who was forgotten.
pub fn open(
    conn: &mut PgConnection,
    (vault, ids): (&Vault, &Ids),
    now: DateTime<Utc>,
    (tenant, operator, customer): (i64, Uuid, Uuid),
    reason: &str,
) -> Result<(Uuid, DateTime<Utc>), VaultError> {
    let (id, until) = (ids.uuid_v7(now), now + LASTS);
    let sealed = vault.seal(conn, &cell(tenant, customer, id), reason.as_bytes(), now)?;
    store::insert(conn, tenant, (id, operator, customer), &sealed, (now, until))?;
    let entry = Entry::done(tenant, Actor::Staff(operator), Action::GlassBroken, Object::Person(customer));
    let entry = entry.about(customer).with("emergency", Fact::Id(id)).with("until", Fact::Time(until));
    audit::append(conn, &entry, now)?;
    Ok((id, until))
}

/// The customers that an operator looks at in an emergency at a moment.
///
/// # Errors
/// The database's.
pub(in crate::identity) fn customers(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    operator: Uuid,
) -> QueryResult<Vec<Uuid>> {
    store::customers(conn, tenant, operator, now)
}

fn cell(tenant: i64, customer: Uuid, id: Uuid) -> Cell {
    Cell::of_person(tenant, customer, REASON, id)
}
