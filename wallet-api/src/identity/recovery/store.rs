//! SQL of the table `recovery`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

diesel::table! {
    recovery (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        person -> Uuid,
        begun_at -> Timestamptz,
        done_at -> Nullable<Timestamptz>,
    }
}

pub(super) fn begin(
    conn: &mut PgConnection,
    tenant: i64,
    (id, person): (Uuid, Uuid),
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let values =
        (recovery::tenant.eq(tenant), recovery::id.eq(id), recovery::person.eq(person), recovery::begun_at.eq(now));
    diesel::insert_into(recovery::table).values(values).execute(conn).map(drop)
}

pub(super) fn finish(conn: &mut PgConnection, tenant: i64, id: Uuid, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::update(recovery::table.find((tenant, id))).set(recovery::done_at.eq(now)).execute(conn).map(drop)
}

pub(super) fn done_since(
    conn: &mut PgConnection,
    tenant: i64,
    persons: &[Uuid],
    after: DateTime<Utc>,
) -> QueryResult<Vec<(Uuid, DateTime<Utc>)>> {
    let theirs = recovery::table.filter(recovery::tenant.eq(tenant).and(recovery::person.eq_any(persons)));
    theirs
        .filter(recovery::done_at.gt(after))
        .select((recovery::person, recovery::done_at.assume_not_null()))
        .load(conn)
}
