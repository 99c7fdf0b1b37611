//! Hook endpoints over HTTP: add, list, look at, disable; what was delivered, and how. In [`control`] what else may be done
//! with an endpoint, in [`replays`] what is told again, in [`catalogue`] what there is to be told.

mod catalogue;
mod control;
mod replays;

use actix_web::{HttpResponse, delete, get, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::guard::Policy;
use super::message::{parse_sequence, sequence, webhook_id};
use super::model::{AttemptMade, Delivery, DeliveryStatus, Endpoint, EventTypes, HookError, NewEndpoint};
use super::sign::Secret;
use super::store;
use crate::platform::Platform;
use crate::platform::http::{Cursor, Json, Page, PageQuery};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;

/// Attempts at one event of an ordered endpoint, when nobody says: two and a half hours.
const SKIP_AFTER: i16 = 5;

/// Adds this slice's routes. They need [`Platform`] and the guard's [`Policy`] as `web::Data`.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(add_hook_endpoint)
        .service(list_hook_endpoints)
        .service(get_hook_endpoint)
        .service(disable_hook_endpoint)
        .service(list_hook_deliveries)
        .service(list_hook_attempts);
    catalogue::routes(config);
    control::routes(config);
    replays::routes(config);
}

/// An endpoint to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewHookEndpoint {
    /// Where hooks are POSTed: a plain `https` address on the public internet, port 443 or 8443, up to 2,048 characters.
    #[schema(example = "https://example.com/hooks/tessera")]
    url: String,
    /// The event types to be told, 1 to 50; `*` stands for all.
    #[schema(example = json!(["payment.cleared.v1"]), min_items = 1, max_items = 50)]
    event_types: Vec<String>,
    /// Whether events of one subject are told one by one, in the order of their `sequence`: the next once the one before
    /// was taken, or given up. Costs about a tenth of a second each. For good.
    #[serde(default)]
    ordered: bool,
    /// With `ordered`: attempts at one event before it is passed over and the next goes, 1 to 10; 5 when absent. The
    /// other endpoints are told by `endpoint.skipped.v1`.
    #[schema(minimum = 1, maximum = 10)]
    skip_after: Option<i16>,
    /// Whether the address is asked first: an `OPTIONS` with `WebHook-Request-Origin: tessera`, to be answered with 2xx
    /// and `WebHook-Allowed-Origin`, as CloudEvents' web hooks have it.
    #[serde(default)]
    handshake: bool,
    /// What its hooks are for, such as `marketing`: of people, it is told only of those who agree to it, for as long as they
    /// do. Absent: what is told needs no consent. For good.
    #[schema(example = "marketing", pattern = "^[a-z][a-z0-9_]{0,39}$")]
    #[serde(default)]
    purpose: Option<String>,
}

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
struct HookEndpoint {
    /// Its id.
    id: Uuid,
    /// Where hooks are POSTed.
    url: String,
    /// The event types it is told; `*` stands for all.
    event_types: Vec<String>,
    /// Whether events of one subject are told one by one.
    ordered: bool,
    /// Attempts at one event before the next of its subject goes; null unless ordered.
    skip_after: Option<i16>,
    /// What its hooks are for; absent when what is told needs no consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    /// Until when the secrets that were replaced still sign, newest first; those that do not any more are not listed.
    old_secrets_until: Vec<DateTime<Utc>>,
    /// When it was added. It is told what happens from then on.
    created_at: DateTime<Utc>,
    /// Since when no hook has arrived; null when the last one did.
    failing_since: Option<DateTime<Utc>>,
    /// Since when nothing is sent there any more; null while it is enabled.
    disabled_at: Option<DateTime<Utc>>,
    /// Why: `requested`, `gone` when it answered 410, `failing` after five days of failures; null while it is enabled.
    disabled_reason: Option<String>,
}

/// An endpoint just added, with the only sight of its secret.
#[derive(Debug, Serialize, ToSchema)]
struct AddedHookEndpoint {
    #[serde(flatten)]
    endpoint: HookEndpoint,
    /// What its hooks are signed with (Standard Webhooks 1.0, `v1`). It is shown here once.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: String,
}

/// An event on its way to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
struct HookDelivery {
    /// Where the event stands among all events of the tenant: the `sequence` of its body.
    #[schema(example = "0000000000000000042.0000")]
    sequence: String,
    /// The `id` of its body.
    event_id: Uuid,
    /// The `webhook-id` of every attempt.
    webhook_id: String,
    /// The event's type.
    #[serde(rename = "type")]
    kind: String,
    /// How far it is.
    status: DeliveryStatus,
    /// Attempts made.
    attempts: i32,
    /// When the next attempt is made, at the earliest; null when none follows, or when an ordered endpoint has to be told
    /// another event before.
    next_attempt_at: Option<DateTime<Utc>>,
    /// When it came to be.
    created_at: DateTime<Utc>,
}

/// One attempt that was made.
#[derive(Debug, Serialize, ToSchema)]
struct HookAttempt {
    /// Which, from 1.
    attempt: i32,
    /// When it began.
    at: DateTime<Utc>,
    /// The HTTP status of the answer; null when none came.
    status: Option<i32>,
    /// Why it failed: `status`, `redirect`, `timeout`, `connect`, `tls`, `broken`, `unresolved`, `refused`, `header`,
    /// `gone`, or `consent-withdrawn` when nothing was sent for it; null when it did not.
    reason: Option<String>,
    /// How long it took, in milliseconds.
    duration_ms: i32,
    /// The beginning of the answer, if it failed: at most 20,000 bytes.
    response: Option<String>,
}

impl HookEndpoint {
    fn of(endpoint: Endpoint, now: DateTime<Utc>) -> Self {
        let (disabled_at, disabled_reason) = endpoint.disabled.unzip();
        Self {
            id: endpoint.id,
            url: endpoint.url,
            event_types: endpoint.event_types.names().to_vec(),
            ordered: endpoint.ordered.is_some(),
            skip_after: endpoint.ordered,
            purpose: endpoint.purpose,
            old_secrets_until: endpoint.old_until.into_iter().filter(|until| *until > now).collect(),
            created_at: endpoint.created_at,
            failing_since: endpoint.failing_since,
            disabled_at,
            disabled_reason,
        }
    }
}

impl HookDelivery {
    fn of(endpoint: Uuid, delivery: &Delivery) -> Self {
        Self {
            sequence: sequence(delivery.seq, delivery.ordinal),
            event_id: delivery.event,
            webhook_id: webhook_id(delivery.event, endpoint),
            kind: delivery.kind.clone(),
            status: delivery.status,
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_at,
            created_at: delivery.created_at,
        }
    }
}

impl From<AttemptMade> for HookAttempt {
    fn from(AttemptMade { attempt, at, status, reason, duration_ms, response }: AttemptMade) -> Self {
        Self { attempt, at, status, reason, duration_ms, response }
    }
}

/// Adds an endpoint, and shows its secret once.
#[utoipa::path(tag = "hooks", request_body = NewHookEndpoint, security(("key" = ["hooks:write"])), responses(
    (status = 201, body = AddedHookEndpoint),
))]
#[post("/v1/hook-endpoints", wrap = "May(Scope::HooksWrite)")]
async fn add_hook_endpoint(
    caller: Caller,
    platform: web::Data<Platform>,
    policy: web::Data<Policy>,
    body: Json<NewHookEndpoint>,
) -> Result<HttpResponse, Problem> {
    let NewHookEndpoint { url, event_types, ordered, skip_after, handshake, purpose } = body.into_inner();
    if purpose.as_deref().is_some_and(|purpose| !crate::consents::is_purpose(purpose)) {
        return Err(HookError::Invalid { pointer: "/purpose", words: "1 to 40 of a-z, 0-9 and _" }.into());
    }
    let event_types = EventTypes::parse(event_types)?;
    let ordered = ordering(ordered, skip_after)?;
    super::check_url(&policy, &url).await?;
    if handshake {
        super::shake(&policy, &url).await?;
    }
    let (tenant, now, by) = (caller.tenant.id, platform.clock.now(), caller.actor.into());
    let secret = Secret::generate(&|bytes| platform.ids.fill(bytes));
    let shown = secret.reveal();
    let wish = NewEndpoint { id: platform.ids.uuid_v7(now), url, event_types, secret, ordered, purpose };
    let endpoint = platform.db.of(tenant).write(move |conn| super::add(conn, tenant, now, by, &wish)).await?;
    Ok(HttpResponse::Created().json(AddedHookEndpoint { endpoint: HookEndpoint::of(endpoint, now), secret: shown }))
}

/// Attempts at one event of an ordered endpoint.
fn ordering(ordered: bool, skip_after: Option<i16>) -> Result<Option<i16>, HookError> {
    match (ordered, skip_after) {
        (false, None) => Ok(None),
        (false, Some(_)) => Err(HookError::Invalid { pointer: "/skip_after", words: "only with ordered" }),
        (true, asked) => match asked.unwrap_or(SKIP_AFTER) {
            attempts @ 1..=10 => Ok(Some(attempts)),
            _ => Err(HookError::Invalid { pointer: "/skip_after", words: "1 to 10 attempts" }),
        },
    }
}

/// Lists endpoints, disabled ones included, in the order they were added.
#[utoipa::path(tag = "hooks", params(PageQuery), security(("key" = ["hooks:read"])), responses(
    (status = 200, body = Page<HookEndpoint>),
))]
#[get("/v1/hook-endpoints", wrap = "May(Scope::HooksRead)")]
async fn list_hook_endpoints(
    caller: Caller,
    platform: web::Data<Platform>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    const LISTING: &str = "hook-endpoints";
    let (tenant, limit) = (&caller.tenant, query.limit()?);
    let after = query.cursor.as_deref().map(|text| Cursor::decode(&tenant.secret, LISTING, text)).transpose()?;
    let (id, after, rows) = (tenant.id, after.map(uuid_of), i64::from(limit).saturating_add(1));
    let found = platform.db.of(id).read(move |conn| store::endpoints(conn, id, after, rows)).await?;
    let now = platform.clock.now();
    let found: Vec<_> = found.into_iter().map(|endpoint| HookEndpoint::of(endpoint, now)).collect();
    let page = Page::cut(found, limit, |last| cursor_of(last.id).encode(&tenant.secret, LISTING));
    Ok(HttpResponse::Ok().json(page))
}

/// An id as a cursor has it: two integers.
fn cursor_of(id: Uuid) -> Cursor<2> {
    let (high, low) = id.as_u64_pair();
    Cursor([i64::from_be_bytes(high.to_be_bytes()), i64::from_be_bytes(low.to_be_bytes())])
}

fn uuid_of(Cursor([high, low]): Cursor<2>) -> Uuid {
    Uuid::from_u64_pair(u64::from_be_bytes(high.to_be_bytes()), u64::from_be_bytes(low.to_be_bytes()))
}

/// Tells of an endpoint.
#[utoipa::path(tag = "hooks", security(("key" = ["hooks:read"])), responses(
    (status = 200, body = HookEndpoint),
))]
#[get("/v1/hook-endpoints/{id}", wrap = "May(Scope::HooksRead)")]
async fn get_hook_endpoint(
    caller: Caller,
    platform: web::Data<Platform>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (tenant, id) = (caller.tenant.id, id.into_inner());
    let endpoint = platform.db.of(tenant).read(move |conn| super::endpoint(conn, tenant, id)).await?;
    Ok(HttpResponse::Ok().json(HookEndpoint::of(endpoint, platform.clock.now())))
}

/// Disables an endpoint. It stays listed, what was sent there stays readable, and it can be enabled again.
#[utoipa::path(tag = "hooks", security(("key" = ["hooks:write"])), responses(
    (status = 204),
))]
#[delete("/v1/hook-endpoints/{id}", wrap = "May(Scope::HooksWrite)")]
async fn disable_hook_endpoint(
    caller: Caller,
    platform: web::Data<Platform>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (tenant, now, by, id) = (caller.tenant.id, platform.clock.now(), caller.actor.into(), id.into_inner());
    platform.db.of(tenant).write(move |conn| super::disable(conn, tenant, now, by, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `?status=…&cursor=…&limit=…`.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeliveryQuery {
    /// Only deliveries that are this far.
    status: Option<DeliveryStatus>,
    /// `next_cursor` of the page before; none for the first page.
    cursor: Option<String>,
    /// Rows per page, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
}

/// Lists what an endpoint was told or is to be told, newest first.
#[utoipa::path(tag = "hooks", params(DeliveryQuery), security(("key" = ["hooks:read"])), responses(
    (status = 200, body = Page<HookDelivery>),
))]
#[get("/v1/hook-endpoints/{id}/deliveries", wrap = "May(Scope::HooksRead)")]
async fn list_hook_deliveries(
    caller: Caller,
    platform: web::Data<Platform>,
    id: web::Path<Uuid>,
    query: web::Query<DeliveryQuery>,
) -> Result<HttpResponse, Problem> {
    let (tenant, endpoint) = (&caller.tenant, id.into_inner());
    let DeliveryQuery { status, cursor, limit } = query.into_inner();
    let limit = PageQuery { limit, cursor: None }.limit()?;
    let listing = format!("hook-deliveries:{endpoint}:{}", status.map_or(-1, DeliveryStatus::code));
    let before = match cursor {
        Some(text) => place_of(Cursor::decode(&tenant.secret, &listing, &text)?),
        None => (i64::MAX, i32::MAX),
    };
    let (id, rows) = (tenant.id, i64::from(limit).saturating_add(1));
    let find = move |conn: &mut _| {
        super::endpoint(conn, id, endpoint)?;
        Ok::<_, HookError>(store::deliveries(conn, id, endpoint, status, before, rows)?)
    };
    let found = platform.db.of(id).read(find).await?;
    let page =
        Page::cut(found, limit, |last| Cursor([last.seq, i64::from(last.ordinal)]).encode(&tenant.secret, &listing));
    let Page { items, next_cursor, has_more } = page;
    let items: Vec<_> = items.iter().map(|delivery| HookDelivery::of(endpoint, delivery)).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor, has_more }))
}

fn place_of(Cursor([seq, ordinal]): Cursor<2>) -> (i64, i32) {
    (seq, i32::try_from(ordinal).unwrap_or(i32::MAX))
}

/// Every attempt made to deliver one event, first to last: there are ten at most.
#[derive(Debug, Serialize, ToSchema)]
struct HookAttempts {
    /// The attempts.
    items: Vec<HookAttempt>,
}

/// Lists the attempts made to tell an endpoint one event, named by the `sequence` of its body.
#[utoipa::path(tag = "hooks", security(("key" = ["hooks:read"])), responses(
    (status = 200, body = HookAttempts),
))]
#[get("/v1/hook-endpoints/{id}/deliveries/{sequence}/attempts", wrap = "May(Scope::HooksRead)")]
async fn list_hook_attempts(
    caller: Caller,
    platform: web::Data<Platform>,
    path: web::Path<(Uuid, String)>,
) -> Result<HttpResponse, Problem> {
    let (tenant, (endpoint, sequence)) = (caller.tenant.id, path.into_inner());
    let place = parse_sequence(&sequence).ok_or(HookError::Unknown)?;
    let made = platform.db.of(tenant).read(move |conn| super::attempts(conn, tenant, endpoint, place)).await?;
    Ok(HttpResponse::Ok().json(HookAttempts { items: made.into_iter().map(Into::into).collect() }))
}

#[cfg(test)]
mod tests;
