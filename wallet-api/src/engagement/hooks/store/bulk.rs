//! What the engine writes and reads, set by set.
//!
//! Every transaction is durable before it answers, like everything in the house: the cursor and the deliveries it wrote
//! are one commit, so a crash can only make what was sent be sent again under the same ids.
//!
//! Plans: the tables grow by millions of rows while a prepared plan lives, so every look-up is an index probe per row
//! asked for, and [`in_bulk`] forbids the plans that would be right for a small table only. No update joins an array:
//! a planner that thinks the table small would read it whole for each element. Rows are found by `LATERAL … LIMIT 1`
//! and updated by their place, or offered to an insert that finds them there. Who has a row's key asks
//! `next_at IS NOT NULL` and not `status = 0`, which means the same: the latter would let PostgreSQL read all that is
//! pending at the endpoint, through the index of what is due, for each row.

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::hook_endpoint;
use crate::engagement::hooks::model::DeliveryStatus;
use crate::platform::db::{Columns, statement};

/// One delivery: the key of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) tenant: i64,
    pub(crate) endpoint: Uuid,
    pub(crate) seq: i64,
    pub(crate) ordinal: i32,
}

/// Rows as columns, of which the first four are the keys of deliveries.
pub(super) fn with_keys<'a, R>(rows: &'a [R], place: impl Fn(&'a R) -> Place) -> Columns<'a, R> {
    Columns::of(rows)
        .with::<BigInt, _>(|row| place(row).tenant)
        .with::<SqlUuid, _>(|row| place(row).endpoint)
        .with::<BigInt, _>(|row| place(row).seq)
        .with::<Integer, _>(|row| place(row).ordinal)
}

/// Runs `work` in one transaction whose statements are planned for large tables.
pub(crate) fn in_bulk<T, E: From<diesel::result::Error>>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    conn.transaction(|conn| {
        conn.batch_execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; \
             SET LOCAL enable_mergejoin = off; SET LOCAL plan_cache_mode = force_generic_plan",
        )?;
        work(conn)
    })
}

/// An enabled endpoint as the engine needs it.
#[derive(Clone, PartialEq, Eq, Queryable)]
pub(crate) struct Listener {
    pub(crate) tenant: i64,
    pub(crate) id: Uuid,
    pub(crate) url: String,
    pub(crate) event_types: Vec<String>,
    pub(crate) secret: Vec<u8>,
    pub(crate) old_secrets: Vec<Vec<u8>>,
    pub(crate) old_until: Vec<DateTime<Utc>>,
    pub(crate) ordered_skip: Option<i16>,
    pub(crate) since_seq: i64,
    pub(crate) failing_since: Option<DateTime<Utc>>,
    pub(crate) failing_told: i16,
    pub(crate) purpose: Option<String>,
}

/// The enabled endpoints of these tenants.
pub(crate) fn listeners(conn: &mut PgConnection, tenants: &[i64]) -> QueryResult<Vec<Listener>> {
    let columns = (
        hook_endpoint::tenant,
        hook_endpoint::id,
        hook_endpoint::url,
        hook_endpoint::event_types,
        hook_endpoint::secret,
        hook_endpoint::old_secrets,
        hook_endpoint::old_until,
        hook_endpoint::ordered_skip,
        hook_endpoint::since_seq,
        hook_endpoint::failing_since,
        hook_endpoint::failing_told,
        hook_endpoint::purpose,
    );
    let enabled = hook_endpoint::table.filter(hook_endpoint::disabled_at.is_null()).select(columns);
    enabled.filter(hook_endpoint::tenant.eq_any(tenants)).load(conn)
}

/// An event to keep.
#[derive(Debug)]
pub(crate) struct NewEvent<'a> {
    pub(crate) seq: i64,
    pub(crate) ordinal: i32,
    pub(crate) id: Uuid,
    pub(crate) kind: &'a str,
    pub(crate) body: &'a [u8],
    /// How many hooks led to it.
    pub(crate) depth: i16,
    pub(crate) created_at: DateTime<Utc>,
}

/// Keeps events of one tenant.
pub(crate) fn insert_events(conn: &mut PgConnection, tenant: i64, events: &[NewEvent<'_>]) -> QueryResult<()> {
    const TEXT: &str = "INSERT INTO hook_event (tenant, seq, ordinal, id, kind, body, created_at, depth) \
        SELECT ?, ?";
    let columns = Columns::of(events)
        .with::<BigInt, _>(|event| event.seq)
        .with::<Integer, _>(|event| event.ordinal)
        .with::<SqlUuid, _>(|event| event.id)
        .with::<Text, _>(|event| event.kind)
        .with::<Binary, _>(|event| event.body)
        .with::<Timestamptz, _>(|event| event.created_at)
        .with::<SmallInt, _>(|event| event.depth);
    statement::<()>(TEXT, &[&tenant.into_sql::<BigInt>(), &columns]).execute(conn).map(drop)
}

/// A delivery as it is first written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewDelivery {
    pub(crate) place: Place,
    pub(crate) status: DeliveryStatus,
    /// Attempts made before it was written.
    pub(crate) attempts: i32,
    /// For one that is pending: from when the poll may take it.
    pub(crate) next_at: Option<DateTime<Utc>>,
    /// At an ordered endpoint, whose turn it waits for.
    pub(crate) turn: Option<i64>,
}

/// Adds deliveries.
pub(crate) fn insert_deliveries(conn: &mut PgConnection, deliveries: &[NewDelivery]) -> QueryResult<()> {
    const TEXT: &str =
        "INSERT INTO hook_delivery (tenant, endpoint, seq, ordinal, status, attempts, next_at, turn) SELECT ?";
    let columns = with_keys(deliveries, |delivery| delivery.place)
        .with::<SmallInt, _>(|delivery| delivery.status.code())
        .with::<Integer, _>(|delivery| delivery.attempts)
        .with::<Nullable<Timestamptz>, _>(|delivery| delivery.next_at)
        .with::<Nullable<BigInt>, _>(|delivery| delivery.turn);
    statement::<()>(TEXT, &[&columns]).execute(conn).map(drop)
}

/// A delivery that came due, with what is needed to send it.
#[derive(Debug)]
pub(crate) struct Due {
    pub(crate) place: Place,
    pub(crate) attempts: i32,
    /// Attempts made before it was last replayed.
    pub(crate) replayed: Option<i32>,
    /// At an ordered endpoint, whose turn it is.
    pub(crate) turn: Option<i64>,
    pub(crate) event: Uuid,
    pub(crate) body: Vec<u8>,
    pub(crate) depth: i16,
}

/// How many due deliveries of one lane an endpoint takes at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) tenant: i64,
    pub(crate) endpoint: Uuid,
    pub(crate) lane: i32,
    pub(crate) places: i64,
}

/// The lane of a pending delivery, in the very words of the index `hook_delivery_due`.
macro_rules! lane {
    () => {
        "(CASE WHEN replayed IS NOT NULL THEN 2 WHEN attempts > 0 THEN 1 ELSE 0 END)"
    };
}
pub(crate) use lane;

/// Claims what is due at these endpoints: nobody else finds it due before `until`.
///
/// Per endpoint, so that one that never answers and has a million due does not hide the others'.
pub(crate) fn claim(
    conn: &mut PgConnection,
    rooms: &[Room],
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> QueryResult<Vec<Due>> {
    const TEXT: &str = concat!(
        "WITH taken AS (UPDATE hook_delivery d SET next_at = ? WHERE d.ctid = ANY (ARRAY( \
            SELECT p.place FROM (SELECT ?) q (tenant, endpoint, lane, places) \
            CROSS JOIN LATERAL (SELECT ctid AS place FROM hook_delivery \
                WHERE tenant = q.tenant AND endpoint = q.endpoint AND status = 0 AND next_at <= ? AND ",
        lane!(),
        " = q.lane ORDER BY next_at LIMIT q.places FOR UPDATE SKIP LOCKED) p)) \
            RETURNING d.tenant, d.endpoint, d.seq, d.ordinal, d.attempts, d.replayed, d.turn) \
        SELECT t.tenant, t.endpoint, t.seq, t.ordinal, t.attempts, t.replayed, t.turn, e.id, e.body, e.depth FROM taken t \
        CROSS JOIN LATERAL (SELECT id, body, depth FROM hook_event \
            WHERE tenant = t.tenant AND seq = t.seq AND ordinal = t.ordinal LIMIT 1) e"
    );
    type Row =
        (BigInt, SqlUuid, BigInt, Integer, Integer, Nullable<Integer>, Nullable<BigInt>, SqlUuid, Binary, SmallInt);
    type Values = (i64, Uuid, i64, i32, i32, Option<i32>, Option<i64>, Uuid, Vec<u8>, i16);
    let rooms = Columns::of(rooms)
        .with::<BigInt, _>(|room| room.tenant)
        .with::<SqlUuid, _>(|room| room.endpoint)
        .with::<Integer, _>(|room| room.lane)
        .with::<BigInt, _>(|room| room.places);
    let (now, until) = (now.into_sql::<Timestamptz>(), until.into_sql::<Timestamptz>());
    let rows = statement::<Row>(TEXT, &[&until, &rooms, &now]).load::<Values>(conn)?;
    let read = |(tenant, endpoint, seq, ordinal, attempts, replayed, turn, event, body, depth): Values| Due {
        place: Place { tenant, endpoint, seq, ordinal },
        attempts,
        replayed,
        turn,
        event,
        body,
        depth,
    };
    Ok(rows.into_iter().map(read).collect())
}

/// An attempt and what it leads to.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) place: Place,
    /// Which attempt, from 1.
    pub(crate) attempt: i32,
    pub(crate) at: DateTime<Utc>,
    pub(crate) http_status: Option<i32>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) duration_ms: i32,
    pub(crate) response: Option<String>,
    /// What the delivery becomes.
    pub(crate) status: DeliveryStatus,
    /// The next attempt, for one that stays pending.
    pub(crate) next_at: Option<DateTime<Utc>>,
    /// At an ordered endpoint, whose turn it was.
    pub(crate) turn: Option<i64>,
}

/// Writes attempts down whose deliveries are written as they leave them, in the same transaction.
pub(crate) fn insert_attempts(conn: &mut PgConnection, outcomes: &[&Outcome]) -> QueryResult<()> {
    const TEXT: &str = "INSERT INTO hook_attempt \
        (tenant, endpoint, seq, ordinal, attempt, at, status, reason, duration_ms, response) SELECT ?";
    statement::<()>(TEXT, &[&columns_of(outcomes)]).execute(conn).map(drop)
}

/// Writes attempts down and moves their deliveries on, each at most once among them. An attempt that was written before
/// changes nothing, nor does one at a delivery that is not there: its page was not written, and will be told again.
pub(crate) fn settle(conn: &mut PgConnection, outcomes: &[&Outcome]) -> QueryResult<()> {
    const TEXT: &str = "WITH said (tenant, endpoint, seq, ordinal, attempt, at, http_status, reason, duration_ms, response, \
            status, next_at) AS MATERIALIZED (SELECT ?), \
        made AS MATERIALIZED (SELECT said.* FROM said CROSS JOIN LATERAL (SELECT 1 FROM hook_delivery \
            WHERE tenant = said.tenant AND endpoint = said.endpoint AND seq = said.seq AND ordinal = said.ordinal LIMIT 1) d), \
        moved AS (INSERT INTO hook_delivery AS d (tenant, endpoint, seq, ordinal, status, attempts, next_at) \
            SELECT tenant, endpoint, seq, ordinal, status, attempt, next_at FROM made \
            ON CONFLICT (tenant, endpoint, seq, ordinal) DO UPDATE \
            SET status = excluded.status, attempts = excluded.attempts, next_at = excluded.next_at \
            WHERE d.next_at IS NOT NULL AND d.attempts = excluded.attempts - 1) \
        INSERT INTO hook_attempt (tenant, endpoint, seq, ordinal, attempt, at, status, reason, duration_ms, response) \
        SELECT tenant, endpoint, seq, ordinal, attempt, at, http_status, reason, duration_ms, response FROM made \
        ON CONFLICT DO NOTHING";
    let columns = columns_of(outcomes)
        .with::<SmallInt, _>(|outcome| outcome.status.code())
        .with::<Nullable<Timestamptz>, _>(|outcome| outcome.next_at);
    statement::<()>(TEXT, &[&columns]).execute(conn).map(drop)
}

/// Attempts as the table has them.
fn columns_of<'a>(outcomes: &'a [&Outcome]) -> Columns<'a, &'a Outcome> {
    with_keys(outcomes, |outcome| outcome.place)
        .with::<Integer, _>(|outcome| outcome.attempt)
        .with::<Timestamptz, _>(|outcome| outcome.at)
        .with::<Nullable<Integer>, _>(|outcome| outcome.http_status)
        .with::<Nullable<Text>, _>(|outcome| outcome.reason)
        .with::<Integer, _>(|outcome| outcome.duration_ms)
        .with::<Nullable<Text>, _>(|outcome| outcome.response.as_deref())
}

/// Makes deliveries that were claimed and not tried due again. One that another session moves at this very moment stays
/// as that session leaves it.
pub(crate) fn release(conn: &mut PgConnection, places: &[Place], now: DateTime<Utc>) -> QueryResult<()> {
    const TEXT: &str = "UPDATE hook_delivery d SET next_at = ? WHERE d.ctid = ANY (ARRAY( \
        SELECT p.place FROM (SELECT ?) q (tenant, endpoint, seq, ordinal) \
        CROSS JOIN LATERAL (SELECT ctid AS place FROM hook_delivery WHERE tenant = q.tenant AND endpoint = q.endpoint \
            AND seq = q.seq AND ordinal = q.ordinal AND next_at IS NOT NULL LIMIT 1 FOR UPDATE) p))";
    let places = with_keys(places, |place| *place);
    statement::<()>(TEXT, &[&now.into_sql::<Timestamptz>(), &places]).execute(conn).map(drop)
}

/// Ends what is still pending at disabled endpoints, at most so much of it; says how much.
///
/// Not done where an endpoint is disabled: a page that is being written at that moment would be missed.
pub(crate) fn sweep(conn: &mut PgConnection, at_most: i64) -> QueryResult<usize> {
    const TEXT: &str = "UPDATE hook_delivery d SET status = 3, next_at = NULL WHERE d.ctid = ANY (ARRAY( \
        SELECT p.place FROM hook_endpoint e CROSS JOIN LATERAL (SELECT ctid AS place FROM hook_delivery \
            WHERE tenant = e.tenant AND endpoint = e.id AND status = 0 LIMIT ? FOR UPDATE SKIP LOCKED) p \
        WHERE e.disabled_at IS NOT NULL LIMIT ?))";
    let at_most = at_most.into_sql::<BigInt>();
    statement::<()>(TEXT, &[&at_most, &at_most]).execute(conn)
}

#[cfg(test)]
mod tests;
