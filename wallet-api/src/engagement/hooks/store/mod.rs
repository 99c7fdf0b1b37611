//! SQL of the tables `hook_endpoint`, `hook_event`, `hook_delivery` and `hook_attempt`.
//!
//! Here what the API asks, row by row; in [`bulk`] what the engine asks, set by set.

pub(super) mod backlog;
pub(super) mod bulk;
mod statement;

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
        since_seq -> BigInt,
        created_at -> Timestamptz,
        disabled_at -> Nullable<Timestamptz>,
        disabled_reason -> Nullable<Text>,
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

type EndpointRow = (Uuid, String, Vec<String>, DateTime<Utc>, Option<DateTime<Utc>>, Option<String>);

const ENDPOINT: (
    hook_endpoint::id,
    hook_endpoint::url,
    hook_endpoint::event_types,
    hook_endpoint::created_at,
    hook_endpoint::disabled_at,
    hook_endpoint::disabled_reason,
) = (
    hook_endpoint::id,
    hook_endpoint::url,
    hook_endpoint::event_types,
    hook_endpoint::created_at,
    hook_endpoint::disabled_at,
    hook_endpoint::disabled_reason,
);

fn endpoint_of((id, url, event_types, created_at, disabled_at, reason): EndpointRow) -> Endpoint {
    Endpoint { id, url, event_types: EventTypes::stored(event_types), created_at, disabled: disabled_at.zip(reason) }
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
            hook_endpoint::since_seq.eq(since_seq),
            hook_endpoint::created_at.eq(now),
        ))
        .returning(ENDPOINT)
        .get_result(conn)?;
    Ok(endpoint_of(row))
}

/// How many endpoints the tenant has enabled.
pub(super) fn count_enabled(conn: &mut PgConnection, tenant: i64) -> QueryResult<i64> {
    let enabled = hook_endpoint::tenant.eq(tenant).and(hook_endpoint::disabled_at.is_null());
    hook_endpoint::table.filter(enabled).count().get_result(conn)
}

pub(super) fn endpoint(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Endpoint>> {
    let row = hook_endpoint::table.find((tenant, id)).select(ENDPOINT).first::<EndpointRow>(conn).optional()?;
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
        .select(ENDPOINT)
        .load(conn)?;
    Ok(rows.into_iter().map(endpoint_of).collect())
}

/// Disables an endpoint; one that is disabled already keeps its reason. False when there is none.
pub(super) fn disable(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    now: DateTime<Utc>,
    reason: DisableReason,
) -> QueryResult<bool> {
    let row = hook_endpoint::table.find((tenant, id));
    let disabled = diesel::update(row.filter(hook_endpoint::disabled_at.is_null()))
        .set((hook_endpoint::disabled_at.eq(now), hook_endpoint::disabled_reason.eq(reason.word())))
        .execute(conn)?;
    if disabled > 0 {
        return Ok(true);
    }
    diesel::select(diesel::dsl::exists(row)).get_result(conn)
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
        next_at,
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
