//! What may be done with an endpoint besides adding and disabling it: enable, rotate its secret, test.

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, HttpResponse, post, web};
use chrono::TimeDelta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{AddedHookEndpoint, HookEndpoint};
use crate::engagement::hooks::message::{sequence, webhook_id};
use crate::engagement::hooks::model::HookError;
use crate::engagement::hooks::notice::Placed;
use crate::engagement::hooks::send;
use crate::engagement::hooks::sign::Secret;
use crate::engagement::hooks::{self, Wake};
use crate::platform::Platform;
use crate::platform::http::Json;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;

/// How long an old secret signs beside the new one, when nobody says: a day.
const OVERLAP_S: i64 = 86_400;
/// The longest overlap: a week.
const LONGEST_OVERLAP_S: i64 = 7 * 86_400;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(enable_hook_endpoint).service(rotate_hook_secret).service(test_hook_endpoint);
}

/// The body, or what stands for none: these requests say everything in their path.
pub(super) async fn optional<T>(request: &HttpRequest, payload: web::Payload) -> Result<T, Problem>
where
    T: DeserializeOwned + Default + 'static,
{
    if !request.headers().contains_key(CONTENT_TYPE) {
        return Ok(T::default());
    }
    let mut payload: Payload = payload.into_inner();
    Ok(Json::<T>::from_request(request, &mut payload).await?.into_inner())
}

/// How many hooks led to a request, one after the other, as whoever makes it says.
pub(super) fn depth(request: &HttpRequest) -> i16 {
    let said = request.headers().get(send::DEPTH.as_str()).and_then(|value| value.to_str().ok()?.parse().ok());
    said.unwrap_or(0)
}

/// Enables a disabled endpoint: it is told what happens from then on. What ended as `gone` can be replayed.
#[utoipa::path(tag = "hooks", security(("key" = ["hooks:write"])), responses(
    (status = 200, body = HookEndpoint),
))]
#[post("/v1/hook-endpoints/{id}/enable", wrap = "May(Scope::HooksWrite)")]
async fn enable_hook_endpoint(
    caller: Caller,
    platform: web::Data<Platform>,
    wake: web::Data<Wake>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (tenant, now, by, id) = (caller.tenant.id, platform.clock.now(), caller.actor.into(), id.into_inner());
    let endpoint = platform.db.of(tenant).write(move |conn| hooks::enable(conn, tenant, now, by, id)).await?;
    wake.wake(tenant);
    Ok(HttpResponse::Ok().json(HookEndpoint::of(endpoint, now)))
}

/// How to replace a secret.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretRotation {
    /// Seconds for which the secret before signs too, beside the new one: 0 to 604,800; a day when absent. 0 ends every
    /// older secret at once.
    #[schema(minimum = 0, maximum = 604_800)]
    overlap_s: Option<i64>,
}

/// Replaces the secret of an endpoint, and shows the new one once. Until the overlap is over, every hook carries a
/// signature of each; within a second or so on every node.
#[utoipa::path(tag = "hooks", request_body = Option<SecretRotation>, security(("key" = ["hooks:write"])), responses(
    (status = 200, body = AddedHookEndpoint),
))]
#[post("/v1/hook-endpoints/{id}/rotate-secret", wrap = "May(Scope::HooksWrite)")]
async fn rotate_hook_secret(
    caller: Caller,
    platform: web::Data<Platform>,
    id: web::Path<Uuid>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let SecretRotation { overlap_s } = optional(&request, payload).await?;
    let overlap_s = overlap_s.unwrap_or(OVERLAP_S);
    if !(0..=LONGEST_OVERLAP_S).contains(&overlap_s) {
        return Err(HookError::Invalid { pointer: "/overlap_s", words: "0 to 604800 seconds" }.into());
    }
    let (tenant, now, by, id) = (caller.tenant.id, platform.clock.now(), caller.actor.into(), id.into_inner());
    let secret = Secret::generate(&|bytes| platform.ids.fill(bytes));
    let (shown, overlap) = (secret.reveal(), TimeDelta::seconds(overlap_s));
    let rotate = move |conn: &mut _| hooks::rotate_secret(conn, tenant, now, by, id, (&secret, overlap));
    let endpoint = platform.db.of(tenant).write(rotate).await?;
    Ok(HttpResponse::Ok().json(AddedHookEndpoint { endpoint: HookEndpoint::of(endpoint, now), secret: shown }))
}

/// An event that was made on request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HookTest {
    /// Where it stands among the events: names it in the listing of deliveries.
    #[schema(example = "0000000000000000042.5000")]
    sequence: String,
    /// The `id` of its body.
    event_id: Uuid,
    /// The `webhook-id` of every attempt.
    webhook_id: String,
}

/// Sends an endpoint a test event, `endpoint.test.v1`, whatever types it listens to. It is signed, retried and listed like
/// every other. A call made because of a hook carries that hook's `tessera-hook-depth` on; past 8 it is refused.
#[utoipa::path(tag = "hooks", security(("key" = ["hooks:write"])), responses(
    (status = 202, body = HookTest),
))]
#[post("/v1/hook-endpoints/{id}/test", wrap = "May(Scope::HooksWrite)")]
async fn test_hook_endpoint(
    caller: Caller,
    platform: web::Data<Platform>,
    wake: web::Data<Wake>,
    id: web::Path<Uuid>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (tenant, now, id, depth) = (caller.tenant.id, platform.clock.now(), id.into_inner(), depth(&request));
    let placed = platform.db.of(tenant).write(move |conn| hooks::test(conn, tenant, now, id, depth)).await?;
    wake.wake(tenant);
    let Placed { seq, ordinal, event } = placed;
    let body = HookTest { sequence: sequence(seq, ordinal), event_id: event, webhook_id: webhook_id(event, id) };
    Ok(HttpResponse::Accepted().json(body))
}
