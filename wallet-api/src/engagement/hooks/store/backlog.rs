//! What is left to deliver and who is there to be told, for whoever watches.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};

use super::bulk::in_bulk;
use crate::platform::db::statement;

/// The state of an endpoint that is not disabled.
pub(crate) const ENABLED: &str = "enabled";

/// Pending deliveries up to `most`, and when the first of those was or will be due.
pub(crate) fn pending(conn: &mut PgConnection, most: i64) -> QueryResult<(i64, Option<DateTime<Utc>>)> {
    const TEXT: &str = "SELECT count(*), min(next_at) FROM \
        (SELECT next_at FROM hook_delivery WHERE status = 0 LIMIT ?) pending";
    let most = most.into_sql::<BigInt>();
    in_bulk(conn, |conn| statement::<(BigInt, Nullable<Timestamptz>)>(TEXT, &[&most]).get_result(conn))
}

/// Endpoints up to `most`, by state: [`ENABLED`], or why they were disabled.
pub(crate) fn endpoints(conn: &mut PgConnection, most: i64) -> QueryResult<Vec<(String, i64)>> {
    const TEXT: &str = "SELECT coalesce(disabled_reason, ?), count(*) FROM \
        (SELECT disabled_reason FROM hook_endpoint LIMIT ?) e GROUP BY 1";
    let (enabled, most) = (ENABLED.into_sql::<Text>(), most.into_sql::<BigInt>());
    statement::<(Text, BigInt)>(TEXT, &[&enabled, &most]).load(conn)
}
