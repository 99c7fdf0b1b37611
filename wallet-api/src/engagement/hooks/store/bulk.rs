//! What the engine writes and reads, set by set.
//!
//! Every transaction is durable before it answers, like everything in the house: the cursor and the deliveries it wrote
//! are one commit, so a crash can only make what was sent be sent again under the same ids.
//!
//! Arrays of rows are unnested in the select list, in step: in FROM, PostgreSQL would first store each of them.
//!
//! Plans: the tables grow by millions of rows while a prepared plan lives, so every look-up is an index probe per row
//! asked for, and [`in_bulk`] forbids the plans that would be right for a small table only. No update joins an array:
//! a planner that thinks the table small would read it whole for each element. Rows are found by `LATERAL … LIMIT 1`
//! and updated by their place, or offered to an insert that finds them there. Who has a row's key asks
//! `next_at IS NOT NULL` and not `status = 0`, which means the same: the latter would let PostgreSQL read all that is
//! pending at the endpoint, through the index of what is due, for each row.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::hook_endpoint;
use super::statement::statement;
use crate::engagement::hooks::model::DeliveryStatus;

/// One delivery: the key of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) tenant: i64,
    pub(crate) endpoint: Uuid,
    pub(crate) seq: i64,
    pub(crate) ordinal: i32,
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
}

/// The enabled endpoints of these tenants, or of all.
pub(crate) fn listeners(conn: &mut PgConnection, tenants: Option<&[i64]>) -> QueryResult<Vec<Listener>> {
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
    );
    let enabled = hook_endpoint::table.filter(hook_endpoint::disabled_at.is_null()).select(columns);
    match tenants {
        Some(tenants) => enabled.filter(hook_endpoint::tenant.eq_any(tenants)).load(conn),
        None => enabled.load(conn),
    }
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
        SELECT ?, unnest(?), unnest(?), unnest(?), unnest(?), unnest(?), unnest(?), unnest(?)";
    let seqs: Vec<_> = events.iter().map(|event| event.seq).collect();
    let ordinals: Vec<_> = events.iter().map(|event| event.ordinal).collect();
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    let bodies: Vec<_> = events.iter().map(|event| event.body).collect();
    let times: Vec<_> = events.iter().map(|event| event.created_at).collect();
    let depths: Vec<_> = events.iter().map(|event| event.depth).collect();
    statement::<()>(
        TEXT,
        &[
            &tenant.into_sql::<BigInt>(),
            &seqs.into_sql::<Array<BigInt>>(),
            &ordinals.into_sql::<Array<Integer>>(),
            &ids.into_sql::<Array<SqlUuid>>(),
            &kinds.into_sql::<Array<Text>>(),
            &bodies.into_sql::<Array<Binary>>(),
            &times.into_sql::<Array<Timestamptz>>(),
            &depths.into_sql::<Array<SmallInt>>(),
        ],
    )
    .execute(conn)
    .map(drop)
}

/// The keys of deliveries as columns.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) tenants: Vec<i64>,
    pub(super) endpoints: Vec<Uuid>,
    pub(super) seqs: Vec<i64>,
    pub(super) ordinals: Vec<i32>,
}

impl Keys {
    pub(super) fn of(places: impl Iterator<Item = Place>) -> Self {
        let mut keys = Self::default();
        for Place { tenant, endpoint, seq, ordinal } in places {
            keys.tenants.push(tenant);
            keys.endpoints.push(endpoint);
            keys.seqs.push(seq);
            keys.ordinals.push(ordinal);
        }
        keys
    }
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
    const TEXT: &str = "INSERT INTO hook_delivery (tenant, endpoint, seq, ordinal, status, attempts, next_at, turn) \
        SELECT unnest(?), unnest(?), unnest(?), unnest(?), unnest(?), unnest(?), unnest(?), unnest(?)";
    let Keys { tenants, endpoints, seqs, ordinals } = Keys::of(deliveries.iter().map(|delivery| delivery.place));
    let statuses: Vec<_> = deliveries.iter().map(|delivery| delivery.status.code()).collect();
    let attempts: Vec<_> = deliveries.iter().map(|delivery| delivery.attempts).collect();
    let times: Vec<_> = deliveries.iter().map(|delivery| delivery.next_at).collect();
    let turns: Vec<_> = deliveries.iter().map(|delivery| delivery.turn).collect();
    statement::<()>(
        TEXT,
        &[
            &tenants.into_sql::<Array<BigInt>>(),
            &endpoints.into_sql::<Array<SqlUuid>>(),
            &seqs.into_sql::<Array<BigInt>>(),
            &ordinals.into_sql::<Array<Integer>>(),
            &statuses.into_sql::<Array<SmallInt>>(),
            &attempts.into_sql::<Array<Integer>>(),
            &times.into_sql::<Array<Nullable<Timestamptz>>>(),
            &turns.into_sql::<Array<Nullable<BigInt>>>(),
        ],
    )
    .execute(conn)
    .map(drop)
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
            SELECT p.place FROM (SELECT unnest(?) AS tenant, unnest(?) AS endpoint, unnest(?) AS lane, unnest(?) AS places) q \
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
    let tenants: Vec<_> = rooms.iter().map(|room| room.tenant).collect();
    let endpoints: Vec<_> = rooms.iter().map(|room| room.endpoint).collect();
    let lanes: Vec<_> = rooms.iter().map(|room| room.lane).collect();
    let places: Vec<_> = rooms.iter().map(|room| room.places).collect();
    let rows = statement::<Row>(
        TEXT,
        &[
            &until.into_sql::<Timestamptz>(),
            &tenants.into_sql::<Array<BigInt>>(),
            &endpoints.into_sql::<Array<SqlUuid>>(),
            &lanes.into_sql::<Array<Integer>>(),
            &places.into_sql::<Array<BigInt>>(),
            &now.into_sql::<Timestamptz>(),
        ],
    )
    .load::<Values>(conn)?;
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
            (tenant, endpoint, seq, ordinal, attempt, at, status, reason, duration_ms, response) \
        SELECT unnest(?), unnest(?), unnest(?), unnest(?), unnest(?), unnest(?), unnest(?), unnest(?), unnest(?), unnest(?)";
    let Keys { tenants, endpoints, seqs, ordinals } = Keys::of(outcomes.iter().map(|outcome| outcome.place));
    let Made { attempts, times, answers, reasons, durations, responses } = Made::of(outcomes);
    statement::<()>(
        TEXT,
        &[
            &tenants.into_sql::<Array<BigInt>>(),
            &endpoints.into_sql::<Array<SqlUuid>>(),
            &seqs.into_sql::<Array<BigInt>>(),
            &ordinals.into_sql::<Array<Integer>>(),
            &attempts.into_sql::<Array<Integer>>(),
            &times.into_sql::<Array<Timestamptz>>(),
            &answers.into_sql::<Array<Nullable<Integer>>>(),
            &reasons.into_sql::<Array<Nullable<Text>>>(),
            &durations.into_sql::<Array<Integer>>(),
            &responses.into_sql::<Array<Nullable<Text>>>(),
        ],
    )
    .execute(conn)
    .map(drop)
}

/// Writes attempts down and moves their deliveries on, each at most once among them. An attempt that was written before
/// changes nothing, nor does one at a delivery that is not there: its page was not written, and will be told again.
pub(crate) fn settle(conn: &mut PgConnection, outcomes: &[&Outcome]) -> QueryResult<()> {
    const TEXT: &str = "WITH said (tenant, endpoint, seq, ordinal, attempt, at, http_status, reason, duration_ms, response, \
            status, next_at) AS MATERIALIZED (SELECT unnest(?), unnest(?), unnest(?), unnest(?), unnest(?), unnest(?), \
            unnest(?), unnest(?), unnest(?), unnest(?), unnest(?), unnest(?)), \
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
    let Keys { tenants, endpoints, seqs, ordinals } = Keys::of(outcomes.iter().map(|outcome| outcome.place));
    let Made { attempts, times, answers, reasons, durations, responses } = Made::of(outcomes);
    let statuses: Vec<_> = outcomes.iter().map(|outcome| outcome.status.code()).collect();
    let nexts: Vec<_> = outcomes.iter().map(|outcome| outcome.next_at).collect();
    statement::<()>(
        TEXT,
        &[
            &tenants.into_sql::<Array<BigInt>>(),
            &endpoints.into_sql::<Array<SqlUuid>>(),
            &seqs.into_sql::<Array<BigInt>>(),
            &ordinals.into_sql::<Array<Integer>>(),
            &attempts.into_sql::<Array<Integer>>(),
            &times.into_sql::<Array<Timestamptz>>(),
            &answers.into_sql::<Array<Nullable<Integer>>>(),
            &reasons.into_sql::<Array<Nullable<Text>>>(),
            &durations.into_sql::<Array<Integer>>(),
            &responses.into_sql::<Array<Nullable<Text>>>(),
            &statuses.into_sql::<Array<SmallInt>>(),
            &nexts.into_sql::<Array<Nullable<Timestamptz>>>(),
        ],
    )
    .execute(conn)
    .map(drop)
}

/// Attempts as columns.
#[derive(Default)]
struct Made<'a> {
    attempts: Vec<i32>,
    times: Vec<DateTime<Utc>>,
    answers: Vec<Option<i32>>,
    reasons: Vec<Option<&'static str>>,
    durations: Vec<i32>,
    responses: Vec<Option<&'a str>>,
}

impl<'a> Made<'a> {
    fn of(outcomes: &[&'a Outcome]) -> Self {
        let mut made = Self::default();
        for outcome in outcomes {
            made.attempts.push(outcome.attempt);
            made.times.push(outcome.at);
            made.answers.push(outcome.http_status);
            made.reasons.push(outcome.reason);
            made.durations.push(outcome.duration_ms);
            made.responses.push(outcome.response.as_deref());
        }
        made
    }
}

/// Makes deliveries that were claimed and not tried due again. One that another session moves at this very moment stays
/// as that session leaves it.
pub(crate) fn release(conn: &mut PgConnection, places: &[Place], now: DateTime<Utc>) -> QueryResult<()> {
    const TEXT: &str = "UPDATE hook_delivery d SET next_at = ? WHERE d.ctid = ANY (ARRAY( \
        SELECT p.place FROM (SELECT unnest(?) AS tenant, unnest(?) AS endpoint, unnest(?) AS seq, unnest(?) AS ordinal) q \
        CROSS JOIN LATERAL (SELECT ctid AS place FROM hook_delivery WHERE tenant = q.tenant AND endpoint = q.endpoint \
            AND seq = q.seq AND ordinal = q.ordinal AND next_at IS NOT NULL LIMIT 1 FOR UPDATE) p))";
    let Keys { tenants, endpoints, seqs, ordinals } = Keys::of(places.iter().copied());
    statement::<()>(
        TEXT,
        &[
            &now.into_sql::<Timestamptz>(),
            &tenants.into_sql::<Array<BigInt>>(),
            &endpoints.into_sql::<Array<SqlUuid>>(),
            &seqs.into_sql::<Array<BigInt>>(),
            &ordinals.into_sql::<Array<Integer>>(),
        ],
    )
    .execute(conn)
    .map(drop)
}

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
        SELECT p.place FROM (SELECT unnest(?) AS tenant, unnest(?) AS endpoint, unnest(?) AS turn) q \
        CROSS JOIN LATERAL (SELECT ctid AS place FROM hook_delivery WHERE tenant = q.tenant AND endpoint = q.endpoint \
            AND turn = q.turn AND status = 0 ORDER BY seq, ordinal LIMIT 1) p))";
    let tenants: Vec<_> = turns.iter().map(|(tenant, _, _)| *tenant).collect();
    let endpoints: Vec<_> = turns.iter().map(|(_, endpoint, _)| *endpoint).collect();
    let numbers: Vec<_> = turns.iter().map(|(_, _, turn)| *turn).collect();
    statement::<()>(
        TEXT,
        &[
            &now.into_sql::<Timestamptz>(),
            &turn_comes().into_sql::<Timestamptz>(),
            &tenants.into_sql::<Array<BigInt>>(),
            &endpoints.into_sql::<Array<SqlUuid>>(),
            &numbers.into_sql::<Array<BigInt>>(),
        ],
    )
    .execute(conn)
    .map(drop)
}

/// Locks endpoints until the end of the transaction, in the order of their keys.
pub(crate) fn lock(conn: &mut PgConnection, endpoints: &BTreeSet<(i64, Uuid)>) -> QueryResult<()> {
    for (tenant, endpoint) in endpoints {
        let row = hook_endpoint::table.find((*tenant, *endpoint)).select(hook_endpoint::id);
        row.for_no_key_update().first::<Uuid>(conn).optional()?;
    }
    Ok(())
}

/// Ends what is still pending at disabled endpoints, some of it at a time; says how much.
///
/// Not done where an endpoint is disabled: a page that is being written at that moment would be missed.
pub(crate) fn sweep(conn: &mut PgConnection, at_most: i64) -> QueryResult<usize> {
    const TEXT: &str = "UPDATE hook_delivery d SET status = 3, next_at = NULL WHERE d.ctid = ANY (ARRAY( \
        SELECT p.place FROM hook_endpoint e CROSS JOIN LATERAL (SELECT ctid AS place FROM hook_delivery \
            WHERE tenant = e.tenant AND endpoint = e.id AND status = 0 LIMIT ? FOR UPDATE SKIP LOCKED) p \
        WHERE e.disabled_at IS NOT NULL))";
    statement::<()>(TEXT, &[&at_most.into_sql::<BigInt>()]).execute(conn)
}

#[cfg(test)]
mod tests;
