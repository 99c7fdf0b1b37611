//! SQL of the table `door_try`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, Timestamptz};

use crate::identity::codes::Blind;

/// Counts a try; false, and nothing changed, when those since then are as many as may be.
pub(super) fn count(
    conn: &mut PgConnection,
    tenant: i64,
    who: &Blind,
    now: DateTime<Utc>,
    (since, most): (DateTime<Utc>, i32),
) -> QueryResult<bool> {
    // One statement, which locks the row: of two at once, the second counts what the first has counted.
    const COUNT: &str = "INSERT INTO door_try AS known (tenant, who, tried, last_at) VALUES ($1, $2, ARRAY[$3], $3) \
        ON CONFLICT (tenant, who) DO UPDATE SET last_at = $3, \
            tried = ARRAY(SELECT at FROM unnest(known.tried) AS at WHERE at > $4) || $3 \
        WHERE cardinality(ARRAY(SELECT at FROM unnest(known.tried) AS at WHERE at > $4)) < $5";
    diesel::sql_query(COUNT)
        .bind::<BigInt, _>(tenant)
        .bind::<Binary, _>(who.as_slice())
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(since)
        .bind::<Integer, _>(most)
        .execute(conn)
        .map(|counted| counted == 1)
}

pub(super) fn forget(conn: &mut PgConnection, tenant: i64, who: &Blind) -> QueryResult<()> {
    const FORGET: &str = "DELETE FROM door_try WHERE tenant = $1 AND who = $2";
    diesel::sql_query(FORGET).bind::<BigInt, _>(tenant).bind::<Binary, _>(who.as_slice()).execute(conn).map(drop)
}

pub(super) fn sweep(conn: &mut PgConnection, tenant: i64, before: DateTime<Utc>, most: i64) -> QueryResult<usize> {
    const SWEEP: &str = "DELETE FROM door_try WHERE tenant = $1 AND who IN (SELECT who FROM door_try \
        WHERE tenant = $1 AND last_at <= $2 ORDER BY last_at LIMIT $3 FOR UPDATE SKIP LOCKED)";
    diesel::sql_query(SWEEP)
        .bind::<BigInt, _>(tenant)
        .bind::<Timestamptz, _>(before)
        .bind::<BigInt, _>(most)
        .execute(conn)
}
