//! SQL of the tables `hook_endpoint`, `hook_event`, `hook_delivery` and `hook_attempt`.
//!
//! Here what the API asks, row by row; in [`bulk`] what the engine asks, set by set; in [`notices`] events that no journal
//! has; in [`replays`] orders to tell again; in [`tend`] what old rows and failing endpoints need.

pub(super) mod backlog;
pub(super) mod bulk;
pub(super) mod notices;
pub(super) mod replays;
pub(super) mod tend;
pub(super) mod turns;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::model::{AttemptMade, Delivery, DeliveryStatus, DisableReason, Endpoint, EventTypes, NewEndpoint};

diesel::table! {
    hook_endpoint (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        url -> Text,
        event_types -> Array<Text>,
        secret -> Binary,
        old_secrets -> Array<Binary>,
        old_until -> Array<Timestamptz>,
        ordered_skip -> Nullable<SmallInt>,
        since_seq -> BigInt,
        created_at -> Timestamptz,
        failing_since -> Nullable<Timestamptz>,
        failing_told -> SmallInt,
        disabled_at -> Nullable<Timestamptz>,
        disabled_reason -> Nullable<Text>,
        purpose -> Nullable<Text>,
    }
}

diesel::table! {
    hook_event (tenant, seq, ordinal) {
        tenant -> BigInt,
        seq -> BigInt,
        ordinal -> Integer,
        id -> Uuid,
        kind -> Text,
        body -> Binary,
        created_at -> Timestamptz,
        depth -> SmallInt,
    }
}

diesel::table! {
    hook_delivery (tenant, endpoint, seq, ordinal) {
        tenant -> BigInt,
        endpoint -> Uuid,
        seq -> BigInt,
        ordinal -> Integer,
        status -> SmallInt,
        attempts -> Integer,
        next_at -> Nullable<Timestamptz>,
        replayed -> Nullable<Integer>,
        turn -> Nullable<BigInt>,
    }
}

diesel::table! {
    hook_attempt (tenant, endpoint, seq, ordinal, attempt) {
        tenant -> BigInt,
        endpoint -> Uuid,
        seq -> BigInt,
        ordinal -> Integer,
        attempt -> Integer,
        at -> Timestamptz,
        status -> Nullable<Integer>,
        reason -> Nullable<Text>,
        duration_ms -> Integer,
        response -> Nullable<Text>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(hook_event, hook_delivery);

#[derive(Queryable, Selectable)]
#[diesel(table_name = hook_endpoint, check_for_backend(diesel::pg::Pg))]
struct EndpointRow {
    id: Uuid,
    url: String,
    event_types: Vec<String>,
    ordered_skip: Option<i16>,
    purpose: Option<String>,
    old_until: Vec<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    failing_since: Option<DateTime<Utc>>,
    disabled_at: Option<DateTime<Utc>>,
    disabled_reason: Option<String>,
}

fn endpoint_of(row: EndpointRow) -> Endpoint {
    Endpoint {
        id: row.id,
        url: row.url,
        event_types: EventTypes::stored(row.event_types),
        ordered: row.ordered_skip,
        purpose: row.purpose,
        old_until: row.old_until,
        created_at: row.created_at,
        failing_since: row.failing_since,
        disabled: row.disabled_at.zip(row.disabled_reason),
    }
}

/// Adds an endpoint that is told what follows `since_seq`.
pub(super) fn insert_endpoint(
    conn: &mut PgConnection,
    tenant: i64,
    wish: &NewEndpoint,
    since_seq: i64,
    now: DateTime<Utc>,
) -> QueryResult<Endpoint> {
    let row: EndpointRow = diesel::insert_into(hook_endpoint::table)
        .values((
            hook_endpoint::tenant.eq(tenant),
            hook_endpoint::id.eq(wish.id),
            hook_endpoint::url.eq(&wish.url),
            hook_endpoint::event_types.eq(wish.event_types.names()),
            hook_endpoint::secret.eq(wish.secret.bytes()),
            hook_endpoint::ordered_skip.eq(wish.ordered),
            hook_endpoint::purpose.eq(&wish.purpose),
            hook_endpoint::since_seq.eq(since_seq),
            hook_endpoint::created_at.eq(now),
        ))
        .returning(EndpointRow::as_returning())
        .get_result(conn)?;
    Ok(endpoint_of(row))
}

/// How many endpoints the tenant has enabled.
pub(super) fn count_enabled(conn: &mut PgConnection, tenant: i64) -> QueryResult<i64> {
    let enabled = hook_endpoint::tenant.eq(tenant).and(hook_endpoint::disabled_at.is_null());
    hook_endpoint::table.filter(enabled).count().get_result(conn)
}

pub(super) fn endpoint(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Endpoint>> {
    let row = hook_endpoint::table.find((tenant, id)).select(EndpointRow::as_select()).first(conn).optional()?;
    Ok(row.map(endpoint_of))
}

/// Endpoints in the order they were added, which is that of their ids.
pub(super) fn endpoints(
    conn: &mut PgConnection,
    tenant: i64,
    after: Option<Uuid>,
    limit: i64,
) -> QueryResult<Vec<Endpoint>> {
    let rows: Vec<EndpointRow> = hook_endpoint::table
        .filter(hook_endpoint::tenant.eq(tenant).and(hook_endpoint::id.gt(after.unwrap_or_default())))
        .order(hook_endpoint::id)
        .limit(limit)
        .select(EndpointRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(endpoint_of).collect())
}

/// Disables an endpoint; one that is disabled already keeps its reason, and one that is none is none: false.
pub(super) fn disable(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    now: DateTime<Utc>,
    reason: DisableReason,
) -> QueryResult<bool> {
    let enabled = hook_endpoint::table.find((tenant, id)).filter(hook_endpoint::disabled_at.is_null());
    let columns = (hook_endpoint::disabled_at.eq(now), hook_endpoint::disabled_reason.eq(reason.word()));
    Ok(diesel::update(enabled).set(columns).execute(conn)? > 0)
}

/// A secret that was replaced, and until when it still signs.
pub(super) type OldSecret = (Vec<u8>, DateTime<Utc>);

/// The secret in force and those before it that still sign at `now`, newest first, each with its end; locks the row.
pub(super) fn secrets(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<Option<(Vec<u8>, Vec<OldSecret>)>> {
    type Row = (Vec<u8>, Vec<Vec<u8>>, Vec<DateTime<Utc>>);
    let columns = (hook_endpoint::secret, hook_endpoint::old_secrets, hook_endpoint::old_until);
    let row = hook_endpoint::table.find((tenant, id)).select(columns).for_update().first::<Row>(conn).optional()?;
    Ok(row.map(|(secret, old, until)| (secret, old.into_iter().zip(until).filter(|(_, until)| *until > now).collect())))
}

/// Puts a new secret in force, and these before it.
pub(super) fn set_secrets(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    secret: &[u8],
    old: Vec<OldSecret>,
) -> QueryResult<Endpoint> {
    let (old, until): (Vec<_>, Vec<_>) = old.into_iter().unzip();
    let columns =
        (hook_endpoint::secret.eq(secret), hook_endpoint::old_secrets.eq(old), hook_endpoint::old_until.eq(until));
    let row = diesel::update(hook_endpoint::table.find((tenant, id))).set(columns);
    row.returning(EndpointRow::as_returning()).get_result(conn).map(endpoint_of)
}

/// Enables an endpoint that was disabled: it is told what follows `since_seq`.
pub(super) fn enable(conn: &mut PgConnection, tenant: i64, id: Uuid, since_seq: i64) -> QueryResult<()> {
    let disabled = hook_endpoint::table.find((tenant, id)).filter(hook_endpoint::disabled_at.is_not_null());
    let columns = (
        hook_endpoint::disabled_at.eq(None::<DateTime<Utc>>),
        hook_endpoint::disabled_reason.eq(None::<String>),
        hook_endpoint::failing_since.eq(None::<DateTime<Utc>>),
        hook_endpoint::failing_told.eq(0_i16),
        hook_endpoint::since_seq.eq(since_seq),
    );
    diesel::update(disabled).set(columns).execute(conn).map(drop)
}

type DeliveryRow = (i64, i32, Uuid, String, i16, i32, Option<DateTime<Utc>>, DateTime<Utc>);

/// Deliveries to an endpoint, newest first, of one status or all.
pub(super) fn deliveries(
    conn: &mut PgConnection,
    tenant: i64,
    endpoint: Uuid,
    status: Option<DeliveryStatus>,
    before: (i64, i32),
    limit: i64,
) -> QueryResult<Vec<Delivery>> {
    let (seq, ordinal) = before;
    let same = hook_event::tenant.eq(hook_delivery::tenant).and(hook_event::seq.eq(hook_delivery::seq));
    let mut query = hook_delivery::table
        .inner_join(hook_event::table.on(same.and(hook_event::ordinal.eq(hook_delivery::ordinal))))
        .filter(hook_delivery::tenant.eq(tenant).and(hook_delivery::endpoint.eq(endpoint)))
        // The first bound is what an index can use, the second what decides.
        .filter(hook_delivery::seq.le(seq))
        .filter(hook_delivery::seq.lt(seq).or(hook_delivery::ordinal.lt(ordinal)))
        .order((hook_delivery::seq.desc(), hook_delivery::ordinal.desc()))
        .limit(limit)
        .select((
            hook_delivery::seq,
            hook_delivery::ordinal,
            hook_event::id,
            hook_event::kind,
            hook_delivery::status,
            hook_delivery::attempts,
            hook_delivery::next_at,
            hook_event::created_at,
        ))
        .into_boxed();
    if let Some(status) = status {
        query = query.filter(hook_delivery::status.eq(status.code()));
    }
    let rows: Vec<DeliveryRow> = query.load(conn)?;
    let read = |(seq, ordinal, event, kind, status, attempts, next_at, created_at): DeliveryRow| Delivery {
        seq,
        ordinal,
        event,
        kind,
        status: DeliveryStatus::from_code(status),
        attempts,
        next_at: next_at.filter(|at| *at < turns::turn_comes()),
        created_at,
    };
    Ok(rows.into_iter().map(read).collect())
}

pub(super) fn delivery_exists(
    conn: &mut PgConnection,
    tenant: i64,
    endpoint: Uuid,
    place: (i64, i32),
) -> QueryResult<bool> {
    let row = hook_delivery::table.find((tenant, endpoint, place.0, place.1));
    diesel::select(diesel::dsl::exists(row)).get_result(conn)
}

type AttemptRow = (i32, DateTime<Utc>, Option<i32>, Option<String>, i32, Option<String>);

/// The attempts of a delivery, first to last.
pub(super) fn attempts(
    conn: &mut PgConnection,
    tenant: i64,
    endpoint: Uuid,
    place: (i64, i32),
) -> QueryResult<Vec<AttemptMade>> {
    let of = hook_attempt::tenant.eq(tenant).and(hook_attempt::endpoint.eq(endpoint));
    let rows: Vec<AttemptRow> = hook_attempt::table
        .filter(of.and(hook_attempt::seq.eq(place.0)).and(hook_attempt::ordinal.eq(place.1)))
        .order(hook_attempt::attempt)
        .select((
            hook_attempt::attempt,
            hook_attempt::at,
            hook_attempt::status,
            hook_attempt::reason,
            hook_attempt::duration_ms,
            hook_attempt::response,
        ))
        .load(conn)?;
    let read = |(attempt, at, status, reason, duration_ms, response): AttemptRow| AttemptMade {
        attempt,
        at,
        status,
        reason,
        duration_ms,
        response,
    };
    Ok(rows.into_iter().map(read).collect())
}
