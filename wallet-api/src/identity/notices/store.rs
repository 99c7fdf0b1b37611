//! SQL of the table `notice`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

diesel::table! {
    notice (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        contact -> Uuid,
        kind -> Text,
        until -> Nullable<Timestamptz>,
        at -> Timestamptz,
        next_at -> Timestamptz,
        tries -> Integer,
    }
}

#[derive(QueryableByName)]
pub(super) struct Row {
    #[diesel(sql_type = SqlUuid)]
    pub(super) id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub(super) contact: Uuid,
    #[diesel(sql_type = Text)]
    pub(super) kind: String,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) until: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    pub(super) at: DateTime<Utc>,
    #[diesel(sql_type = Integer)]
    pub(super) tries: i32,
}

pub(super) fn insert(
    conn: &mut PgConnection,
    tenant: i64,
    (id, contact): (Uuid, Uuid),
    (kind, until): (&str, Option<DateTime<Utc>>),
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let values = (
        notice::tenant.eq(tenant),
        notice::id.eq(id),
        notice::contact.eq(contact),
        notice::kind.eq(kind),
        notice::until.eq(until),
        notice::at.eq(now),
        notice::next_at.eq(now),
    );
    diesel::insert_into(notice::table).values(values).execute(conn).map(drop)
}

/// What is due, for whoever asks first: nobody else gets it before the lease is over.
pub(super) fn take(
    conn: &mut PgConnection,
    tenant: i64,
    now: DateTime<Utc>,
    (lease, most): (DateTime<Utc>, i64),
) -> QueryResult<Vec<Row>> {
    const TAKE: &str = "UPDATE notice SET next_at = $3, tries = tries + 1 WHERE tenant = $1 AND id IN (SELECT id FROM notice \
        WHERE tenant = $1 AND next_at <= $2 ORDER BY next_at LIMIT $4 FOR UPDATE SKIP LOCKED) \
        RETURNING id, contact, kind, until, at, tries";
    diesel::sql_query(TAKE)
        .bind::<BigInt, _>(tenant)
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(lease)
        .bind::<BigInt, _>(most)
        .load(conn)
}

pub(super) fn put_off(conn: &mut PgConnection, tenant: i64, id: Uuid, next_at: DateTime<Utc>) -> QueryResult<()> {
    diesel::update(notice::table.find((tenant, id))).set(notice::next_at.eq(next_at)).execute(conn).map(drop)
}

pub(super) fn delete(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<()> {
    diesel::delete(notice::table.find((tenant, id))).execute(conn).map(drop)
}
