//! What backups ask of the server itself.

use diesel::sql_types::{BigInt, Text, Timestamptz};
use diesel::{PgConnection, QueryResult, RunQueryDsl};

use chrono::{DateTime, Utc};

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    value: String,
}

/// The number that a database got from its `initdb`, and every copy of it has.
pub(super) fn system_id(conn: &mut PgConnection) -> QueryResult<String> {
    let read = diesel::sql_query("SELECT system_identifier::text AS value FROM pg_control_system()");
    Ok(read.get_result::<Line>(conn)?.value)
}

#[derive(diesel::QueryableByName)]
struct Moment {
    #[diesel(sql_type = Timestamptz)]
    value: DateTime<Utc>,
}

/// The server's time, which is the one a restore can be told to stop at.
pub(super) fn now(conn: &mut PgConnection) -> QueryResult<DateTime<Utc>> {
    Ok(diesel::sql_query("SELECT clock_timestamp() AS value").get_result::<Moment>(conn)?.value)
}

/// Ends the segment that is being written, and names the last that holds something.
pub(super) fn end_segment(conn: &mut PgConnection) -> QueryResult<String> {
    let text = "SELECT pg_walfile_name(pg_switch_wal()) AS value";
    Ok(diesel::sql_query(text).get_result::<Line>(conn)?.value)
}

#[derive(diesel::QueryableByName)]
struct Archiver {
    #[diesel(sql_type = BigInt)]
    failed: i64,
    #[diesel(sql_type = Text)]
    last_failed: String,
}

/// How often archiving failed, and on what last.
pub(super) fn archiver_failures(conn: &mut PgConnection) -> QueryResult<(i64, String)> {
    let text = "SELECT failed_count AS failed, coalesce(last_failed_wal, '') AS last_failed FROM pg_stat_archiver";
    let found = diesel::sql_query(text).get_result::<Archiver>(conn)?;
    Ok((found.failed, found.last_failed))
}
