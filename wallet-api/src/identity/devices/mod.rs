//! Devices: what a person signs in with, each with a key that never leaves it where the device can keep one.
//!
//! A key is a pair of P-256 that the device makes and cannot export; we know its public point, and the device shows that it
//! holds the other half by a proof over the request ([`proof`]). One key is one device for good: revoked, it cannot come
//! back under another name. A further device is bound only by strong authentication with an older one or by recovery
//! (RTS, Art. 24), which the caller has seen to and says. Functions join their caller's transaction. Not here: passkeys,
//! which may be synced to many devices. The name a person gives is sealed.

pub mod proof;
mod store;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

use crate::platform::ids::Ids;
use crate::platform::vault::{Cell, Column, Vault, VaultError};

pub use proof::DeviceKey;
pub(in crate::identity) use store::device;

const NAME: Column = Column { table: "device", column: "name" };
/// Most characters of a device's name.
const NAME_LENGTH: usize = 60;

/// What was shown before a device was bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundBy {
    /// It came with the sign-up.
    SignUp,
    /// Strong authentication with an older device.
    OlderDevice,
    /// Recovery.
    Recovery,
}

impl BoundBy {
    const ALL: [Self; 3] = [Self::SignUp, Self::OlderDevice, Self::Recovery];

    pub(in crate::identity) const fn number(self) -> i16 {
        match self {
            Self::SignUp => 0,
            Self::OlderDevice => 1,
            Self::Recovery => 2,
        }
    }

    /// Its word in the API and in the audit log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SignUp => "sign-up",
            Self::OlderDevice => "older-device",
            Self::Recovery => "recovery",
        }
    }

    fn of(number: i16) -> Self {
        Self::ALL.into_iter().find(|by| by.number() == number).unwrap_or(Self::Recovery)
    }
}

/// A device to be.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// Whose.
    pub person: Uuid,
    /// Its key, whose holder has just proved to be it; none of a browser that keeps none.
    pub key: Option<DeviceKey>,
    /// What was shown before.
    pub bound_by: BoundBy,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: Uuid,
    /// Whose.
    pub person: Uuid,
    /// Its key.
    pub key: Option<DeviceKey>,
    /// What the person calls it, sealed.
    pub sealed_name: Option<Vec<u8>>,
    /// What was shown before it was bound.
    pub bound_by: BoundBy,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// When something was last asked from it, to half a minute.
    pub last_seen_at: DateTime<Utc>,
    /// Since when it may not come in.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Binds a device. None when its key is some device's already, be it this person's or not.
///
/// # Errors
/// What the database says.
pub fn bind(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    tenant: i64,
    new: &NewDevice,
) -> QueryResult<Option<Uuid>> {
    let id = ids.uuid_v7(now);
    Ok(store::insert(conn, now, tenant, id, new)?.then_some(id))
}

/// A person's devices, oldest first, those that were revoked too.
///
/// # Errors
/// What the database says.
pub fn list(conn: &mut PgConnection, tenant: i64, person: Uuid) -> QueryResult<Vec<Device>> {
    store::of_person(conn, tenant, person)
}

/// A device of a person.
///
/// # Errors
/// What the database says.
pub fn find(conn: &mut PgConnection, tenant: i64, person: Uuid, id: Uuid) -> QueryResult<Option<Device>> {
    store::find(conn, tenant, person, id)
}

/// Keys of devices that have one and were not revoked, each with its person, by the device.
///
/// # Errors
/// What the database says.
pub fn keys(conn: &mut PgConnection, tenant: i64, ids: &[Uuid]) -> QueryResult<HashMap<Uuid, (Uuid, DeviceKey)>> {
    let bound = store::find_all(conn, tenant, ids)?.into_iter().filter(|device| device.revoked_at.is_none());
    Ok(bound.filter_map(|device| Some((device.id, (device.person, device.key?)))).collect())
}

/// The device that has this key, whoever's it is, one that was revoked too.
///
/// # Errors
/// What the database says.
pub fn find_by_key(conn: &mut PgConnection, tenant: i64, key: &DeviceKey) -> QueryResult<Option<Device>> {
    store::find_by_key(conn, tenant, key)
}

/// A person's device without a key that is known by this passkey, if it was not revoked.
///
/// # Errors
/// What the database says.
pub fn find_by_passkey(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    passkey: Uuid,
) -> QueryResult<Option<Device>> {
    store::find_by_passkey(conn, tenant, person, passkey)
}

/// Notes by which passkey a device without a key is known: it is wherever that passkey is.
///
/// # Errors
/// What the database says.
pub(super) fn know_by(conn: &mut PgConnection, tenant: i64, id: Uuid, passkey: Uuid) -> QueryResult<()> {
    store::know_by(conn, tenant, id, passkey)
}

/// The passkey that a device without a key is known by.
///
/// # Errors
/// What the database says.
pub(super) fn known_by(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Uuid>> {
    store::known_by(conn, tenant, id)
}

/// A person's devices with what they call them, oldest first, those that were revoked too.
///
/// # Errors
/// The vault's.
pub fn named_list(
    conn: &mut PgConnection,
    vault: &Vault,
    tenant: i64,
    person: Uuid,
) -> Result<Vec<(Device, Option<String>)>, VaultError> {
    let all = store::of_person(conn, tenant, person)?;
    let open = |device: Device| {
        let Some(sealed) = &device.sealed_name else { return Ok((device, None)) };
        let name = vault.open_text(conn, &name_cell(tenant, person, device.id), sealed)?.to_string();
        Ok((device, Some(name)))
    };
    all.into_iter().map(open).collect()
}

/// Notes what the person calls a device. False when it is not theirs.
///
/// # Errors
/// The vault's.
pub fn call(
    conn: &mut PgConnection,
    vault: &Vault,
    now: DateTime<Utc>,
    (tenant, person, id): (i64, Uuid, Uuid),
    name: &str,
) -> Result<bool, VaultError> {
    let sealed = vault.seal(conn, &name_cell(tenant, person, id), named(name).as_bytes(), now)?;
    Ok(rename(conn, tenant, person, id, &sealed)?)
}

/// Where a device's name is sealed.
fn name_cell(tenant: i64, person: Uuid, id: Uuid) -> Cell {
    Cell::of_person(tenant, person, NAME, id)
}

/// A name as it is kept: without control characters, and cut.
fn named(name: &str) -> String {
    let kept: String = name.chars().filter(|letter| !letter.is_control()).take(NAME_LENGTH).collect();
    kept.trim().to_owned()
}

/// Notes what the person calls a device, sealed. False when it is not theirs.
///
/// # Errors
/// What the database says.
pub fn rename(conn: &mut PgConnection, tenant: i64, person: Uuid, id: Uuid, sealed: &[u8]) -> QueryResult<bool> {
    store::rename(conn, tenant, person, id, sealed)
}

/// Revokes a device; its sessions end with it ([`sessions::end_of_device`](super::sessions::end_of_device), in the same
/// transaction). Revoking it again changes nothing. False when it is not theirs.
///
/// # Errors
/// What the database says.
pub fn revoke(conn: &mut PgConnection, now: DateTime<Utc>, tenant: i64, person: Uuid, id: Uuid) -> QueryResult<bool> {
    store::revoke(conn, now, tenant, person, id)
}
