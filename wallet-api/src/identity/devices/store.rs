//! SQL of the table `device`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::{BoundBy, Device, DeviceKey, NewDevice};

diesel::table! {
    device (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        person -> Uuid,
        key -> Nullable<Binary>,
        thumbprint -> Nullable<Binary>,
        name -> Nullable<Binary>,
        bound_by -> SmallInt,
        created_at -> Timestamptz,
        last_seen_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        passkey -> Nullable<Uuid>,
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = device)]
struct Row {
    id: Uuid,
    person: Uuid,
    key: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    bound_by: i16,
    created_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
}

impl Row {
    fn into_device(self) -> Device {
        Device {
            id: self.id,
            person: self.person,
            // The table's check allows points' lengths only, and what is no point proves nothing.
            key: self.key.as_deref().and_then(DeviceKey::of_point),
            sealed_name: self.name,
            bound_by: BoundBy::of(self.bound_by),
            created_at: self.created_at,
            last_seen_at: self.last_seen_at,
            revoked_at: self.revoked_at,
        }
    }
}

/// False when the key is some device's already.
pub(super) fn insert(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    id: Uuid,
    new: &NewDevice,
) -> QueryResult<bool> {
    let key = new.key.as_ref();
    let values = (
        device::tenant.eq(tenant),
        device::id.eq(id),
        device::person.eq(new.person),
        device::key.eq(key.map(|key| key.point().to_vec())),
        device::thumbprint.eq(key.map(|key| key.thumbprint().to_vec())),
        device::bound_by.eq(new.bound_by.number()),
        device::created_at.eq(now),
        device::last_seen_at.eq(now),
    );
    let added = diesel::insert_into(device::table)
        .values(values)
        .on_conflict((device::tenant, device::thumbprint))
        .do_nothing()
        .execute(conn)?;
    Ok(added == 1)
}

pub(super) fn of_person(conn: &mut PgConnection, tenant: i64, person: Uuid) -> QueryResult<Vec<Device>> {
    let theirs = device::table.filter(device::tenant.eq(tenant).and(device::person.eq(person)));
    let rows = theirs.order((device::created_at, device::id)).select(Row::as_select()).load(conn)?;
    Ok(rows.into_iter().map(Row::into_device).collect())
}

pub(super) fn find(conn: &mut PgConnection, tenant: i64, person: Uuid, id: Uuid) -> QueryResult<Option<Device>> {
    let row = device::table.find((tenant, id)).filter(device::person.eq(person));
    Ok(row.select(Row::as_select()).first(conn).optional()?.map(Row::into_device))
}

pub(super) fn find_all(conn: &mut PgConnection, tenant: i64, ids: &[Uuid]) -> QueryResult<Vec<Device>> {
    let rows = device::table.filter(device::tenant.eq(tenant).and(device::id.eq_any(ids)));
    Ok(rows.select(Row::as_select()).load(conn)?.into_iter().map(Row::into_device).collect())
}

pub(super) fn find_by_key(conn: &mut PgConnection, tenant: i64, key: &DeviceKey) -> QueryResult<Option<Device>> {
    let row = device::table.filter(device::tenant.eq(tenant).and(device::thumbprint.eq(key.thumbprint().to_vec())));
    Ok(row.select(Row::as_select()).first(conn).optional()?.map(Row::into_device))
}

pub(super) fn find_by_passkey(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    passkey: Uuid,
) -> QueryResult<Option<Device>> {
    let theirs = device::table.filter(device::tenant.eq(tenant).and(device::person.eq(person)));
    let known = theirs.filter(device::passkey.eq(passkey).and(device::key.is_null()).and(device::revoked_at.is_null()));
    let oldest = known.order((device::created_at, device::id)).select(Row::as_select());
    Ok(oldest.first(conn).optional()?.map(Row::into_device))
}

pub(super) fn know_by(conn: &mut PgConnection, tenant: i64, id: Uuid, passkey: Uuid) -> QueryResult<()> {
    diesel::update(device::table.find((tenant, id))).set(device::passkey.eq(passkey)).execute(conn).map(drop)
}

pub(super) fn known_by(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Uuid>> {
    let row = device::table.find((tenant, id)).select(device::passkey);
    Ok(row.first::<Option<Uuid>>(conn).optional()?.flatten())
}

pub(super) fn rename(conn: &mut PgConnection, tenant: i64, person: Uuid, id: Uuid, sealed: &[u8]) -> QueryResult<bool> {
    let row = device::table.find((tenant, id)).filter(device::person.eq(person));
    Ok(diesel::update(row).set(device::name.eq(sealed)).execute(conn)? == 1)
}

pub(super) fn revoke(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    person: Uuid,
    id: Uuid,
) -> QueryResult<bool> {
    let row = device::table.find((tenant, id)).filter(device::person.eq(person));
    let ended =
        diesel::update(row.filter(device::revoked_at.is_null())).set(device::revoked_at.eq(now)).execute(conn)?;
    if ended > 0 {
        return Ok(true);
    }
    diesel::select(diesel::dsl::exists(row)).get_result(conn)
}
