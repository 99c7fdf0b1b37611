//! What failing endpoints and old rows need: rare, or in bounded pieces.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::turns::turn_comes;
use super::{hook_endpoint, hook_event};
use crate::platform::db::{Arg, statement};

/// Notes the first failure of an endpoint since its last success.
pub(in super::super) fn failed(
    conn: &mut PgConnection,
    (tenant, id): (i64, Uuid),
    at: DateTime<Utc>,
) -> QueryResult<()> {
    let row = hook_endpoint::table.find((tenant, id)).filter(hook_endpoint::failing_since.is_null());
    diesel::update(row).set(hook_endpoint::failing_since.eq(at)).execute(conn).map(drop)
}

/// Notes that an endpoint takes hooks again.
pub(in super::super) fn recovered(conn: &mut PgConnection, (tenant, id): (i64, Uuid)) -> QueryResult<()> {
    let row = hook_endpoint::table.find((tenant, id)).filter(hook_endpoint::failing_since.is_not_null());
    let columns = (hook_endpoint::failing_since.eq(None::<DateTime<Utc>>), hook_endpoint::failing_told.eq(0_i16));
    diesel::update(row).set(columns).execute(conn).map(drop)
}

/// Notes that a notice of a failing was given; false when it, or a later one, was given before.
pub(in super::super) fn told(conn: &mut PgConnection, (tenant, id): (i64, Uuid), level: i16) -> QueryResult<bool> {
    let row = hook_endpoint::table.find((tenant, id)).filter(hook_endpoint::failing_told.lt(level));
    let enabled = row.filter(hook_endpoint::disabled_at.is_null());
    Ok(diesel::update(enabled).set(hook_endpoint::failing_told.eq(level)).execute(conn)? > 0)
}

/// Makes the first pending delivery of every turn of an endpoint due.
pub(in super::super) fn line_up_all(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    const TEXT: &str = "UPDATE hook_delivery d SET next_at = ? WHERE d.tenant = ? AND d.endpoint = ? AND d.status = 0 \
        AND d.turn IS NOT NULL AND d.next_at = ? AND NOT EXISTS (SELECT 1 FROM hook_delivery b \
            WHERE b.tenant = d.tenant AND b.endpoint = d.endpoint AND b.turn = d.turn AND b.status = 0 \
            AND (b.seq, b.ordinal) < (d.seq, d.ordinal))";
    let args: [Arg<'_>; 4] = [
        &now.into_sql::<Timestamptz>(),
        &tenant.into_sql::<BigInt>(),
        &id.into_sql::<SqlUuid>(),
        &turn_comes().into_sql::<Timestamptz>(),
    ];
    statement::<()>(TEXT, &args).execute(conn).map(drop)
}

/// Deletes a tenant's orders to tell again that ended before a time, some at a time.
pub(in super::super) fn prune_replays(
    conn: &mut PgConnection,
    tenant: i64,
    before: DateTime<Utc>,
    at_most: i64,
) -> QueryResult<()> {
    const TEXT: &str = "DELETE FROM hook_replay WHERE ctid = ANY (ARRAY( \
        SELECT ctid FROM hook_replay WHERE tenant = ? AND ended_at < ? LIMIT ?))";
    let args: [Arg<'_>; 3] =
        [&tenant.into_sql::<BigInt>(), &before.into_sql::<Timestamptz>(), &at_most.into_sql::<BigInt>()];
    statement::<()>(TEXT, &args).execute(conn).map(drop)
}

/// Deletes a tenant's oldest events after a seq that were written down before a time, with all that names them, some at a
/// time. Gives the last seq deleted, and whether nothing as old is left; none when there was nothing.
///
/// What is still pending goes too: it is many times older than any schedule, and its endpoint was disabled long ago.
pub(in super::super) fn prune(
    conn: &mut PgConnection,
    tenant: i64,
    from: i64,
    before: DateTime<Utc>,
    at_most: i64,
) -> QueryResult<Option<(i64, bool)>> {
    // As a rule the very first is young: that is one row, not a page of them.
    let is_young = |(_, at): &(i64, DateTime<Utc>)| *at >= before;
    if oldest(conn, tenant, from, 1)?.first().is_none_or(is_young) {
        return Ok(None);
    }
    let oldest = oldest(conn, tenant, from, at_most)?;
    let is_full = i64::try_from(oldest.len()).is_ok_and(|found| found >= at_most);
    let young = oldest.iter().find(|event| is_young(event)).map(|(seq, _)| *seq);
    // All events of a seq or none: a piece ends before the first that is young, or before the last, which may be cut.
    let last = oldest.last().map(|(seq, _)| *seq);
    let end = young.or(last.filter(|_| is_full)).or(last.map(|seq| seq.saturating_add(1)));
    let whole = oldest.iter().map(|(seq, _)| *seq).rfind(|seq| Some(*seq) < end);
    let first = oldest.first().map(|(seq, _)| *seq);
    // More events at one seq than a piece has: they go as one.
    let Some(upto) = whole.or(first.filter(|_| young.is_none())) else { return Ok(None) };
    delete(conn, tenant, from, upto)?;
    Ok(Some((upto, young.is_some() || !is_full)))
}

/// A tenant's first events after a seq: each its seq, and when it was written down.
fn oldest(conn: &mut PgConnection, tenant: i64, from: i64, limit: i64) -> QueryResult<Vec<(i64, DateTime<Utc>)>> {
    hook_event::table
        .filter(hook_event::tenant.eq(tenant).and(hook_event::seq.gt(from)))
        .order((hook_event::seq, hook_event::ordinal))
        .limit(limit)
        .select((hook_event::seq, hook_event::created_at))
        .load(conn)
}

fn delete(conn: &mut PgConnection, tenant: i64, from: i64, upto: i64) -> QueryResult<()> {
    const ATTEMPTS: &str = "DELETE FROM hook_attempt a USING hook_endpoint e WHERE e.tenant = ? AND a.tenant = e.tenant \
        AND a.endpoint = e.id AND a.seq > ? AND a.seq <= ?";
    const DELIVERIES: &str = "DELETE FROM hook_delivery d USING hook_endpoint e WHERE e.tenant = ? \
        AND d.tenant = e.tenant AND d.endpoint = e.id AND d.seq > ? AND d.seq <= ?";
    const EVENTS: &str = "DELETE FROM hook_event WHERE tenant = ? AND seq > ? AND seq <= ?";
    let args: [Arg<'_>; 3] = [&tenant.into_sql::<BigInt>(), &from.into_sql::<BigInt>(), &upto.into_sql::<BigInt>()];
    for text in [ATTEMPTS, DELIVERIES, EVENTS] {
        statement::<()>(text, &args).execute(conn)?;
    }
    Ok(())
}
