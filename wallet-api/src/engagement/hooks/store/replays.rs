//! Orders to tell again: the orders themselves, and the deliveries they walk over.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::bulk::{Place, lane, with_keys};
use super::hook_event;
use super::turns::{Waits, turn_comes};
use crate::engagement::hooks::replay::Replay;
use crate::platform::db::{Arg, statement};

diesel::table! {
    hook_replay (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        endpoint -> Uuid,
        from_seq -> BigInt,
        from_ordinal -> Integer,
        cursor_seq -> BigInt,
        cursor_ordinal -> Integer,
        upto_seq -> BigInt,
        upto_ordinal -> Integer,
        kinds -> Nullable<Array<Text>>,
        statuses -> Nullable<Array<SmallInt>>,
        names -> Nullable<Array<Text>>,
        examined -> BigInt,
        replayed -> BigInt,
        created_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        is_cancelled -> Bool,
    }
}

/// Keeps an order.
pub(in super::super) fn insert(conn: &mut PgConnection, replay: &Replay) -> QueryResult<()> {
    diesel::insert_into(hook_replay::table).values(replay).execute(conn).map(drop)
}

/// How many orders of an endpoint are under way.
pub(in super::super) fn count_unfinished(conn: &mut PgConnection, tenant: i64, endpoint: Uuid) -> QueryResult<i64> {
    let of = hook_replay::tenant.eq(tenant).and(hook_replay::endpoint.eq(endpoint));
    hook_replay::table.filter(of.and(hook_replay::ended_at.is_null())).count().get_result(conn)
}

/// An order of the tenant.
pub(in super::super) fn replay(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Replay>> {
    hook_replay::table.find((tenant, id)).select(Replay::as_select()).first(conn).optional()
}

/// The orders of an endpoint, newest first.
pub(in super::super) fn replays(
    conn: &mut PgConnection,
    tenant: i64,
    endpoint: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> QueryResult<Vec<Replay>> {
    let of = hook_replay::tenant.eq(tenant).and(hook_replay::endpoint.eq(endpoint));
    hook_replay::table
        .filter(of.and(hook_replay::id.lt(before.unwrap_or(Uuid::max()))))
        .order(hook_replay::id.desc())
        .limit(limit)
        .select(Replay::as_select())
        .load(conn)
}

/// Every order under way, oldest first, some of them.
pub(in super::super) fn unfinished(conn: &mut PgConnection, limit: i64) -> QueryResult<Vec<Replay>> {
    hook_replay::table
        .filter(hook_replay::ended_at.is_null())
        .order((hook_replay::created_at, hook_replay::id))
        .limit(limit)
        .select(Replay::as_select())
        .load(conn)
}

/// Ends an order before its end; false when it has ended already.
pub(in super::super) fn cancel(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let row = hook_replay::table.find((tenant, id)).filter(hook_replay::ended_at.is_null());
    let columns = (hook_replay::ended_at.eq(now), hook_replay::is_cancelled.eq(true));
    Ok(diesel::update(row).set(columns).execute(conn)? > 0)
}

/// Moves an order on from where `before` stands to where `after` does; false when another has moved or ended it.
pub(in super::super) fn advance(conn: &mut PgConnection, before: &Replay, after: &Replay) -> QueryResult<bool> {
    let stands =
        hook_replay::cursor_seq.eq(before.cursor_seq).and(hook_replay::cursor_ordinal.eq(before.cursor_ordinal));
    let row = hook_replay::table.find((before.tenant, before.id));
    let columns = (
        hook_replay::cursor_seq.eq(after.cursor_seq),
        hook_replay::cursor_ordinal.eq(after.cursor_ordinal),
        hook_replay::examined.eq(after.examined),
        hook_replay::replayed.eq(after.replayed),
        hook_replay::ended_at.eq(after.ended_at),
        hook_replay::is_cancelled.eq(after.is_cancelled),
    );
    let moved =
        diesel::update(row.filter(stands).filter(hook_replay::ended_at.is_null())).set(columns).execute(conn)?;
    Ok(moved > 0)
}

/// A delivery that an order looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Seen {
    pub(in super::super) seq: i64,
    pub(in super::super) ordinal: i32,
    pub(in super::super) status: i16,
    pub(in super::super) event: Uuid,
    pub(in super::super) kind: String,
}

/// The next deliveries of an endpoint after a place, up to another, in order.
pub(in super::super) fn page(
    conn: &mut PgConnection,
    tenant: i64,
    endpoint: Uuid,
    after: (i64, i32),
    upto: (i64, i32),
    limit: i64,
) -> QueryResult<Vec<Seen>> {
    const TEXT: &str = "SELECT d.seq, d.ordinal, d.status, e.id, e.kind FROM (SELECT tenant, seq, ordinal, status \
            FROM hook_delivery WHERE tenant = ? AND endpoint = ? AND (seq, ordinal) > (?, ?) AND (seq, ordinal) <= (?, ?) \
            ORDER BY seq, ordinal LIMIT ?) d \
        CROSS JOIN LATERAL (SELECT id, kind FROM hook_event \
            WHERE tenant = d.tenant AND seq = d.seq AND ordinal = d.ordinal LIMIT 1) e ORDER BY d.seq, d.ordinal";
    let rows = statement::<(BigInt, Integer, SmallInt, SqlUuid, Text)>(
        TEXT,
        &[
            &tenant.into_sql::<BigInt>(),
            &endpoint.into_sql::<SqlUuid>(),
            &after.0.into_sql::<BigInt>(),
            &after.1.into_sql::<Integer>(),
            &upto.0.into_sql::<BigInt>(),
            &upto.1.into_sql::<Integer>(),
            &limit.into_sql::<BigInt>(),
        ],
    )
    .load::<(i64, i32, i16, Uuid, String)>(conn)?;
    let read = |(seq, ordinal, status, event, kind)| Seen { seq, ordinal, status, event, kind };
    Ok(rows.into_iter().map(read).collect())
}

/// Makes deliveries due again, as replays, inside the caller's transaction; gives the turns of those at ordered endpoints, and how many there were.
pub(in super::super) fn mark(
    conn: &mut PgConnection,
    places: &[Place],
    now: DateTime<Utc>,
) -> QueryResult<(usize, Vec<Waits>)> {
    // By itself, and before: a row that somebody else has just written would be waited for and then be another version than
    // the update's statement can see, and be passed over.
    const LOCK: &str = "SELECT count(p.one) FROM (SELECT ?) q (tenant, endpoint, seq, ordinal) \
        CROSS JOIN LATERAL (SELECT 1 AS one FROM hook_delivery WHERE tenant = q.tenant AND endpoint = q.endpoint \
            AND seq = q.seq AND ordinal = q.ordinal LIMIT 1 FOR UPDATE) p";
    const TEXT: &str = "UPDATE hook_delivery d SET status = 0, replayed = attempts, \
            next_at = CASE WHEN turn IS NULL THEN ? ELSE ? END WHERE d.ctid = ANY (ARRAY( \
        SELECT p.place FROM (SELECT ?) q (tenant, endpoint, seq, ordinal) \
        CROSS JOIN LATERAL (SELECT ctid AS place FROM hook_delivery WHERE tenant = q.tenant AND endpoint = q.endpoint \
            AND seq = q.seq AND ordinal = q.ordinal LIMIT 1) p)) RETURNING d.tenant, d.endpoint, d.turn";
    let places = with_keys(places, |place| *place);
    statement::<BigInt>(LOCK, &[&places]).execute(conn)?;
    let (now, turn_comes) = (now.into_sql::<Timestamptz>(), turn_comes().into_sql::<Timestamptz>());
    let rows = statement::<(BigInt, SqlUuid, Nullable<BigInt>)>(TEXT, &[&now, &turn_comes, &places]).load::<(
        i64,
        Uuid,
        Option<i64>,
    )>(conn)?;
    let mut turns: Vec<_> =
        rows.iter().filter_map(|(tenant, endpoint, turn)| Some((*tenant, *endpoint, (*turn)?))).collect();
    turns.sort_unstable();
    turns.dedup();
    Ok((rows.len(), turns))
}

/// How many replays wait at an endpoint, counted up to a limit.
pub(in super::super) fn waiting(conn: &mut PgConnection, tenant: i64, endpoint: Uuid, limit: i64) -> QueryResult<i64> {
    const TEXT: &str = concat!(
        "SELECT count(*) FROM (SELECT 1 FROM hook_delivery WHERE tenant = ? AND endpoint = ? AND status = 0 AND ",
        lane!(),
        " = 2 LIMIT ?) w"
    );
    let args: [Arg<'_>; 3] =
        [&tenant.into_sql::<BigInt>(), &endpoint.into_sql::<SqlUuid>(), &limit.into_sql::<BigInt>()];
    statement::<BigInt>(TEXT, &args).get_result(conn)
}

/// When the first event at or after a seq was written down, if there is one.
pub(in super::super) fn written_at(
    conn: &mut PgConnection,
    tenant: i64,
    seq: i64,
) -> QueryResult<Option<DateTime<Utc>>> {
    hook_event::table
        .filter(hook_event::tenant.eq(tenant).and(hook_event::seq.ge(seq)))
        .order((hook_event::seq, hook_event::ordinal))
        .select(hook_event::created_at)
        .first(conn)
        .optional()
}
