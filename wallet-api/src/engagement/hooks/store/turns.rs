//! Turns: at an ordered endpoint, events of one subject are told one by one.
//!
//! A delivery with a turn is hidden from the poll until no earlier one of its turn is pending; then [`line_up`] makes it
//! due.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::hook_endpoint;
use crate::platform::db::{Columns, statement};

/// Whose turn: a tenant, an ordered endpoint of it, and the number of a subject.
pub(crate) type Waits = (i64, Uuid, i64);

/// Until when a delivery that waits for its turn is hidden from the poll.
pub(crate) fn turn_comes() -> DateTime<Utc> {
    // The year 9999, written as PostgreSQL and we both can.
    DateTime::from_timestamp(253_370_764_800, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// At ordered endpoints, makes the first pending delivery of each of these turns due, if it waits for its turn.
///
/// Whoever adds, ends or replays a delivery with a turn calls this after it, in the same transaction, with the endpoints
/// locked by [`lock`] from before: of two who do so at once the second then sees what the first did.
pub(crate) fn line_up(conn: &mut PgConnection, turns: &[Waits], now: DateTime<Utc>) -> QueryResult<()> {
    const TEXT: &str = "UPDATE hook_delivery d SET next_at = ? WHERE d.next_at = ? AND d.ctid = ANY (ARRAY( \
        SELECT p.place FROM (SELECT ?) q (tenant, endpoint, turn) \
        CROSS JOIN LATERAL (SELECT ctid AS place FROM hook_delivery WHERE tenant = q.tenant AND endpoint = q.endpoint \
            AND turn = q.turn AND status = 0 ORDER BY seq, ordinal LIMIT 1) p))";
    let columns = Columns::of(turns)
        .with::<BigInt, _>(|(tenant, _, _)| *tenant)
        .with::<SqlUuid, _>(|(_, endpoint, _)| *endpoint)
        .with::<BigInt, _>(|(_, _, turn)| *turn);
    let (now, turn_comes) = (now.into_sql::<Timestamptz>(), turn_comes().into_sql::<Timestamptz>());
    statement::<()>(TEXT, &[&now, &turn_comes, &columns]).execute(conn).map(drop)
}

/// Locks endpoints until the end of the transaction, in the order of their keys.
pub(crate) fn lock(conn: &mut PgConnection, endpoints: &BTreeSet<(i64, Uuid)>) -> QueryResult<()> {
    for (tenant, endpoint) in endpoints {
        let row = hook_endpoint::table.find((*tenant, *endpoint)).select(hook_endpoint::id);
        row.for_no_key_update().first::<Uuid>(conn).optional()?;
    }
    Ok(())
}
