//! Contacts: where people can be reached, each proved by a code that was sent there ([`claims`](super::claims)).
//!
//! Promise: a contact is one person's in a tenant; it is sealed under that person's key and found by a blind index; nothing of it
//! is in the log. One that ended may be somebody's again, and its row stays, sealed, so that its holder can be told.
//! Functions join their caller's transaction. Not here: proving, sending ([`post`](crate::platform::post)). Nothing sends text
//! messages yet: a phone number is read, and [`Contact::mail`] says that it cannot be reached, so nobody can prove one.

mod model;
mod store;

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

pub use model::{Contact, ContactError, Kind, Proved};

use super::codes::Blind;
use crate::platform::ids::Ids;
use crate::platform::vault::{Cell, Column, Purpose, Vault, VaultError};

const VALUE: Column = Column { table: "contact", column: "value" };
const BY_EMAIL: Purpose = Purpose("contact.email");
const BY_PHONE: Purpose = Purpose("contact.phone");

/// What a contact is found by.
///
/// # Errors
/// The vault's.
pub fn index(
    conn: &mut PgConnection,
    vault: &Vault,
    tenant: i64,
    contact: &Contact,
    now: DateTime<Utc>,
) -> Result<Blind, VaultError> {
    let purpose = match contact.kind() {
        Kind::Email => BY_EMAIL,
        Kind::Phone => BY_PHONE,
    };
    Ok(*vault.index(conn, tenant, purpose, contact.reveal(), now)?.as_bytes())
}

/// Whose a contact is.
///
/// # Errors
/// What the database says.
pub fn holder(conn: &mut PgConnection, tenant: i64, kind: Kind, blind: &Blind) -> QueryResult<Option<Uuid>> {
    store::holder(conn, tenant, kind, blind)
}

/// Adds a contact that was proved just now.
///
/// # Errors
/// [`ContactError::Taken`] when it is somebody's, with nothing changed; the vault's.
pub fn add(
    conn: &mut PgConnection,
    vault: &Vault,
    ids: &Ids,
    now: DateTime<Utc>,
    (tenant, person): (i64, Uuid),
    contact: &Contact,
) -> Result<Uuid, ContactError> {
    let id = ids.uuid_v7(now);
    let blind = index(conn, vault, tenant, contact, now)?;
    let sealed = vault.seal(conn, &Cell::of_person(tenant, person, VALUE, id), contact.reveal().as_bytes(), now)?;
    let is_new = store::insert(conn, tenant, (id, person), (contact.kind(), &blind, &sealed), now)?;
    if is_new { Ok(id) } else { Err(ContactError::Taken) }
}

/// A person's contacts, oldest first, without those that ended.
///
/// # Errors
/// The vault's.
pub fn list(conn: &mut PgConnection, vault: &Vault, tenant: i64, person: Uuid) -> Result<Vec<Proved>, ContactError> {
    let rows = store::of_person(conn, tenant, person)?;
    let open = |row: store::Row| open(conn, vault, tenant, row);
    rows.into_iter().map(open).collect()
}

/// A contact by its id, also one that ended: who lost it must be told. None when there is none.
///
/// # Errors
/// The vault's.
pub(super) fn find(
    conn: &mut PgConnection,
    vault: &Vault,
    tenant: i64,
    id: Uuid,
) -> Result<Option<Proved>, ContactError> {
    store::find(conn, tenant, id)?.map(|row| open(conn, vault, tenant, row)).transpose()
}

/// The ids of a person's contacts.
///
/// # Errors
/// What the database says.
pub(super) fn ids_of(conn: &mut PgConnection, tenant: i64, person: Uuid) -> QueryResult<Vec<Uuid>> {
    Ok(store::of_person(conn, tenant, person)?.into_iter().map(|row| row.id).collect())
}

/// A person's contacts and since when they are proved, kept from others until the transaction ends.
///
/// # Errors
/// What the database says.
pub(super) fn list_locked(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
) -> QueryResult<Vec<(Uuid, DateTime<Utc>)>> {
    store::of_person_locked(conn, tenant, person)
}

/// Ends a contact: it may be somebody's again. False when the person has none of this id.
///
/// # Errors
/// What the database says.
pub fn end(conn: &mut PgConnection, tenant: i64, person: Uuid, id: Uuid, now: DateTime<Utc>) -> QueryResult<bool> {
    store::end(conn, tenant, person, id, now)
}

fn open(conn: &mut PgConnection, vault: &Vault, tenant: i64, row: store::Row) -> Result<Proved, ContactError> {
    let cell = Cell::of_person(tenant, row.person, VALUE, row.id);
    let value = vault.open_text(conn, &cell, &row.value)?;
    let contact = Contact::kept(row.kind, &value);
    Ok(Proved { id: row.id, person: row.person, contact, proved_at: row.proved_at })
}
