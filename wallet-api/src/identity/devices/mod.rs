//! Devices: what a person signs in with, each with a key that never leaves it where the device can keep one.
//!
//! A key is a pair of P-256 that the device makes and cannot export; we know its public point, and the device shows that it
//! holds the other half by a proof over the request ([`proof`]). One key is one device for good: revoked, it cannot come
//! back under another name. A further device is bound only by strong authentication with an older one or by recovery
//! (RTS, Art. 24), which the caller has seen to and says. Functions join their caller's transaction. Not here: passkeys,
//! which may be synced to many devices, and the name a person gives, which comes and goes sealed.

pub mod proof;
mod store;

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

use crate::platform::ids::Ids;

pub use proof::DeviceKey;
pub(in crate::identity) use store::device;

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

    const fn number(self) -> i16 {
        match self {
            Self::SignUp => 0,
            Self::OlderDevice => 1,
            Self::Recovery => 2,
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
