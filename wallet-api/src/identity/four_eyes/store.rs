//! SQL of the table `four_eyes`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::Asked;

diesel::table! {
    four_eyes (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        act -> Text,
        object -> Text,
        fingerprint -> Binary,
        asked_eyes -> BigInt,
        asked_at -> Timestamptz,
        expires_at -> Timestamptz,
        decided_eyes -> Nullable<BigInt>,
        decided_at -> Nullable<Timestamptz>,
    }
}

pub(super) fn insert(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    asked: &Asked,
    eyes: i64,
    (now, until): (DateTime<Utc>, DateTime<Utc>),
) -> QueryResult<()> {
    let values = (
        four_eyes::tenant.eq(tenant),
        four_eyes::id.eq(id),
        four_eyes::act.eq(asked.act),
        four_eyes::object.eq(&asked.object),
        four_eyes::fingerprint.eq(&asked.fingerprint),
        four_eyes::asked_eyes.eq(eyes),
        four_eyes::asked_at.eq(now),
        four_eyes::expires_at.eq(until),
    );
    diesel::insert_into(four_eyes::table).values(values).execute(conn).map(drop)
}

/// Decides an open request of somebody else; tells whether it was decided.
pub(super) fn decide(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    asked: &Asked,
    (eyes, now): (i64, DateTime<Utc>),
) -> QueryResult<bool> {
    let open = four_eyes::table
        .find((tenant, id))
        .filter(four_eyes::act.eq(asked.act).and(four_eyes::object.eq(&asked.object)))
        .filter(four_eyes::fingerprint.eq(&asked.fingerprint).and(four_eyes::asked_eyes.ne(eyes)))
        .filter(four_eyes::decided_at.is_null().and(four_eyes::expires_at.gt(now)));
    let values = (four_eyes::decided_eyes.eq(eyes), four_eyes::decided_at.eq(now));
    Ok(diesel::update(open).set(values).execute(conn)? == 1)
}

/// Whose eyes asked for just this under an id.
pub(super) fn asked_by(conn: &mut PgConnection, tenant: i64, id: Uuid, asked: &Asked) -> QueryResult<Option<i64>> {
    four_eyes::table
        .find((tenant, id))
        .filter(four_eyes::act.eq(asked.act).and(four_eyes::object.eq(&asked.object)))
        .filter(four_eyes::fingerprint.eq(&asked.fingerprint))
        .select(four_eyes::asked_eyes)
        .first(conn)
        .optional()
}
