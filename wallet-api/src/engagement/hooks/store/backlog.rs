//! What is left to deliver, for whoever watches.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Timestamptz};

use super::bulk::in_bulk;
use super::statement::statement;

/// Pending deliveries up to `most`, and when the first of those was or will be due.
pub(crate) fn backlog(conn: &mut PgConnection, most: i64) -> QueryResult<(i64, Option<DateTime<Utc>>)> {
    const TEXT: &str = "SELECT count(*), min(next_at) FROM \
        (SELECT next_at FROM hook_delivery WHERE status = 0 LIMIT ?) pending";
    let most = most.into_sql::<BigInt>();
    in_bulk(conn, |conn| statement::<(BigInt, Nullable<Timestamptz>)>(TEXT, &[&most]).get_result(conn))
}
