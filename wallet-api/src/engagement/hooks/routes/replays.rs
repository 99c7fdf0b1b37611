//! What is told again: one delivery, or a range with a filter.

use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::control::{depth, optional};
use super::{cursor_of, uuid_of};
use crate::engagement::hooks::message::{parse_sequence, sequence};
use crate::engagement::hooks::model::{DeliveryStatus, EventTypes, HookError, MAX_DEPTH};
use crate::engagement::hooks::replay::{self, Bound, MAX_NAMES, Replay, Wish};
use crate::engagement::hooks::store;
use crate::engagement::hooks::{self, Wake};
use crate::platform::Platform;
use crate::platform::http::{Cursor, Page, PageQuery};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(replay_hook_delivery)
        .service(replay_hooks)
        .service(list_hook_replays)
        .service(get_hook_replay)
        .service(cancel_hook_replay);
}

/// What to tell an endpoint again. What is left out is not asked for: an empty body is everything that is kept.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewHookReplay {
    /// The first event, by its `sequence`.
    #[schema(example = "0000000000000000042.0000", pattern = r"^[0-8][0-9]{18}\.[0-9]{4}$")]
    from: Option<String>,
    /// The last event, by its `sequence`.
    #[schema(example = "0000000000000000084.0000", pattern = r"^[0-8][0-9]{18}\.[0-9]{4}$")]
    until: Option<String>,
    /// Instead of `from`: events written down at this time or later.
    from_time: Option<DateTime<Utc>>,
    /// Instead of `until`: events written down before this time.
    until_time: Option<DateTime<Utc>>,
    /// Only these types, 1 to 50.
    #[schema(example = json!(["payment.cleared.v1"]), min_items = 1, max_items = 50)]
    event_types: Option<Vec<String>>,
    /// Only deliveries that are this far.
    #[schema(example = json!(["failed", "gone"]), min_items = 1, max_items = 4)]
    statuses: Option<Vec<DeliveryStatus>>,
    /// Only events with these ids, or `webhook-id`s made of them; 1 to 100.
    #[schema(min_items = 1, max_items = 100)]
    ids: Option<Vec<String>>,
}

/// An order to tell an endpoint again, and how far it is.
#[derive(Debug, Serialize, ToSchema)]
struct HookReplay {
    /// Its id.
    id: Uuid,
    /// Which endpoint.
    endpoint: Uuid,
    /// `running`, `done` or `cancelled`.
    #[schema(example = "running")]
    state: &'static str,
    /// The first event it is about.
    from: String,
    /// The last event it is about; what happens after the order is not.
    until: String,
    /// Only these types; null: all.
    event_types: Option<Vec<String>>,
    /// Only deliveries that were this far; null: all.
    statuses: Option<Vec<DeliveryStatus>>,
    /// Only these ids; null: all.
    ids: Option<Vec<String>>,
    /// Deliveries looked at so far.
    examined: i64,
    /// Of these, made due again.
    replayed: i64,
    /// When it was ordered.
    created_at: DateTime<Utc>,
    /// When it ended; null while it runs.
    ended_at: Option<DateTime<Utc>>,
}

impl From<Replay> for HookReplay {
    fn from(replay: Replay) -> Self {
        let state = match (replay.ended_at, replay.is_cancelled) {
            (None, _) => "running",
            (Some(_), false) => "done",
            (Some(_), true) => "cancelled",
        };
        let (from, until) = replay.range();
        let statuses = replay.statuses();
        Self {
            id: replay.id,
            endpoint: replay.endpoint,
            state,
            from: sequence(from.0, from.1),
            until: sequence(until.0, until.1),
            event_types: replay.kinds,
            statuses,
            ids: replay.names,
            examined: replay.examined,
            replayed: replay.replayed,
            created_at: replay.created_at,
            ended_at: replay.ended_at,
        }
    }
}

impl NewHookReplay {
    fn into_wish(self) -> Result<Wish, HookError> {
        let one = |pointer| HookError::Invalid { pointer, words: "a sequence or a time, not both" };
        let from = bound("/from", self.from, self.from_time).ok_or_else(|| one("/from_time"))??;
        let until = bound("/until", self.until, self.until_time).ok_or_else(|| one("/until_time"))??;
        let kinds = self.event_types.map(EventTypes::parse).transpose()?;
        if self.statuses.as_ref().is_some_and(|all| all.is_empty() || all.len() > 4) {
            return Err(HookError::Invalid {
                pointer: "/statuses",
                words: "1 to 4 of pending, delivered, failed, gone",
            });
        }
        let fits = |name: &String| (1..=64).contains(&name.len());
        if self.ids.as_ref().is_some_and(|ids| !(1..=MAX_NAMES).contains(&ids.len()) || !ids.iter().all(fits)) {
            return Err(HookError::Invalid { pointer: "/ids", words: "1 to 100 ids of events or webhook-ids" });
        }
        Ok(Wish { from, until, kinds, statuses: self.statuses, names: self.ids })
    }
}

/// One end of the range; none when it is said twice.
fn bound(
    pointer: &'static str,
    sequence: Option<String>,
    time: Option<DateTime<Utc>>,
) -> Option<Result<Option<Bound>, HookError>> {
    let words = "the sequence of an event, as in 0000000000000000042.0000";
    match (sequence, time) {
        (Some(_), Some(_)) => None,
        (Some(text), None) => {
            let at = parse_sequence(&text).ok_or(HookError::Invalid { pointer, words });
            Some(at.map(|at| Some(Bound::At(at))))
        }
        (None, time) => Some(Ok(time.map(Bound::Time))),
    }
}

/// Tells an endpoint one event again, at once, under the same ids.
#[utoipa::path(tag = "hooks", security(("key" = ["hooks:write"])), responses(
    (status = 202),
))]
#[post("/v1/hook-endpoints/{id}/deliveries/{sequence}/replay", wrap = "May(Scope::HooksWrite)")]
async fn replay_hook_delivery(
    caller: Caller,
    platform: web::Data<Platform>,
    wake: web::Data<Wake>,
    path: web::Path<(Uuid, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (tenant, (endpoint, sequence)) = (caller.tenant.id, path.into_inner());
    let at = parse_sequence(&sequence).ok_or(HookError::Unknown)?;
    let (now, by, depth) = (platform.clock.now(), caller.actor.into(), depth(&request));
    platform.db.of(tenant).write(move |conn| replay::one(conn, tenant, now, by, endpoint, at, depth)).await?;
    wake.wake(tenant);
    Ok(HttpResponse::Accepted().finish())
}

/// Tells an endpoint again what it was told in a range, under the same ids; a filter says what of it.
///
/// The leader walks through it in pages, beside everything else; the order says how far it is, and can be cancelled.
#[utoipa::path(tag = "hooks", request_body = Option<NewHookReplay>, security(("key" = ["hooks:write"])), responses(
    (status = 202, body = HookReplay),
))]
#[post("/v1/hook-endpoints/{id}/replays", wrap = "May(Scope::HooksWrite)")]
async fn replay_hooks(
    caller: Caller,
    platform: web::Data<Platform>,
    endpoint: web::Path<Uuid>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    if depth(&request) > MAX_DEPTH {
        return Err(HookError::Loop.into());
    }
    let wish = optional::<NewHookReplay>(&request, payload).await?.into_wish()?;
    let (tenant, now, by) = (caller.tenant.id, platform.clock.now(), caller.actor.into());
    let endpoint = endpoint.into_inner();
    let id = platform.ids.uuid_v7(now);
    let replay =
        platform.db.of(tenant).write(move |conn| replay::order(conn, tenant, now, by, endpoint, id, wish)).await?;
    Ok(HttpResponse::Accepted().json(HookReplay::from(replay)))
}

/// Lists the orders to tell an endpoint again, newest first.
#[utoipa::path(tag = "hooks", params(PageQuery), security(("key" = ["hooks:read"])), responses(
    (status = 200, body = Page<HookReplay>),
))]
#[get("/v1/hook-endpoints/{id}/replays", wrap = "May(Scope::HooksRead)")]
async fn list_hook_replays(
    caller: Caller,
    platform: web::Data<Platform>,
    endpoint: web::Path<Uuid>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (tenant, endpoint, limit) = (&caller.tenant, endpoint.into_inner(), query.limit()?);
    let listing = format!("hook-replays:{endpoint}");
    let before = query.cursor.as_deref().map(|text| Cursor::decode(&tenant.secret, &listing, text)).transpose()?;
    let (id, before, rows) = (tenant.id, before.map(uuid_of), i64::from(limit).saturating_add(1));
    let find = move |conn: &mut _| {
        hooks::endpoint(conn, id, endpoint)?;
        Ok::<_, HookError>(store::replays::replays(conn, id, endpoint, before, rows)?)
    };
    let found: Vec<HookReplay> = platform.db.of(id).read(find).await?.into_iter().map(Into::into).collect();
    let page = Page::cut(found, limit, |last| cursor_of(last.id).encode(&tenant.secret, &listing));
    Ok(HttpResponse::Ok().json(page))
}

/// Tells how far an order to tell again is.
#[utoipa::path(tag = "hooks", security(("key" = ["hooks:read"])), responses(
    (status = 200, body = HookReplay),
))]
#[get("/v1/hook-replays/{id}", wrap = "May(Scope::HooksRead)")]
async fn get_hook_replay(
    caller: Caller,
    platform: web::Data<Platform>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (tenant, id) = (caller.tenant.id, id.into_inner());
    let replay = platform.db.of(tenant).read(move |conn| replay::find(conn, tenant, id)).await?;
    Ok(HttpResponse::Ok().json(HookReplay::from(replay)))
}

/// Ends an order to tell again where it is. What it made due is still sent.
#[utoipa::path(tag = "hooks", security(("key" = ["hooks:write"])), responses(
    (status = 204),
))]
#[delete("/v1/hook-replays/{id}", wrap = "May(Scope::HooksWrite)")]
async fn cancel_hook_replay(
    caller: Caller,
    platform: web::Data<Platform>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (tenant, now, by, id) = (caller.tenant.id, platform.clock.now(), caller.actor.into(), id.into_inner());
    platform.db.of(tenant).write(move |conn| replay::cancel(conn, tenant, now, by, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
