//! Routes of people: their sessions and devices; the doors they come in by are below.

mod bodies;
mod own;
mod recovery;
mod sign_in;
mod sign_up;

use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::devices::{self, Device, DeviceKey};
use super::doors::Doors;
use super::sessions::{self, End, Refreshed, Session};
use super::{break_glass, operators, sca};
use crate::platform::Platform;
use crate::platform::http::{Json, not_found};
use crate::platform::keyring::{Caller, May, Scope, Token};
use crate::platform::problem::Problem;
use bodies::PairBody;

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config
        .configure(sign_up::routes)
        .configure(sign_in::routes)
        .configure(recovery::routes)
        .configure(own::routes)
        .configure(operators::routes)
        .configure(break_glass::routes)
        .configure(sca::rules::routes)
        .service(refresh_session)
        .service(list_sessions)
        .service(end_session)
        .service(list_devices);
}

/// One refusal for whatever is wrong with a refresh: unknown, over, ended, used, of another device.
pub(super) fn refused() -> Problem {
    Problem::new(401, "session-over", "The session is over", "Sign in again.")
}

/// A token to go on with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    /// The refresh token of the answer before.
    refresh_token: String,
}

/// Gives the next pair of tokens for a refresh token, which is good once.
///
/// A session at a device with a key wants a proof by it in the `DPoP` header (RFC 9449). A used token that comes again ends
/// the session; only the device itself may repeat its last refresh within ten seconds, in case the answer was lost.
#[utoipa::path(tag = "me", request_body = Refresh, security(()),
    params(("DPoP" = Option<String>, Header, description = "The device's proof over this request")), responses(
    (status = 200, body = PairBody),
))]
#[post("/v1/sessions/refresh")]
async fn refresh_session(
    req: HttpRequest,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    body: Json<Refresh>,
) -> Result<HttpResponse, Problem> {
    let now = platform.clock.now();
    let shown = doors.shown(&req, None, now)?;
    let token = Token::parse(&body.into_inner().refresh_token).ok_or_else(refused)?;
    let (ids, shown) = (platform.ids.clone(), shown.as_ref().map(DeviceKey::thumbprint));
    let come = platform.db.house().run(move |conn| sessions::refresh(conn, &ids, now, &token, shown)).await?;
    match come {
        Refreshed::Next(pair, ended) => {
            platform.keyring.ended([&ended]);
            Ok(HttpResponse::Ok().json(PairBody::of(&pair)))
        }
        Refreshed::Reused { tenant, access_prefix, .. } => {
            tracing::warn!(tenant, "a used refresh token came again: its session has ended");
            platform.keyring.ended([&access_prefix]);
            Err(refused())
        }
        Refreshed::Refused => Err(refused()),
    }
}

/// A session of one's own.
#[derive(Serialize, ToSchema)]
struct SessionBody {
    /// Its id.
    id: Uuid,
    /// At which device.
    device: Uuid,
    /// Since when.
    created_at: DateTime<Utc>,
    /// When something was last asked, to half a minute.
    last_seen_at: DateTime<Utc>,
    /// Until when at the most.
    until: DateTime<Utc>,
    /// Whether it is this one.
    current: bool,
}

/// Lists one's own sessions, newest first; those that ended are left out.
#[utoipa::path(tag = "me", security(("key" = ["me"])), responses(
    (status = 200, body = [SessionBody]),
))]
#[get("/v1/me/sessions", wrap = "May(Scope::Me)")]
async fn list_sessions(caller: Caller, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    let (tenant, me, now) = (caller.tenant.id, caller.person()?, platform.clock.now());
    let found = platform.db.of(tenant).read(move |conn| sessions::living(conn, now, tenant, me.id)).await?;
    let body = |session: Session| SessionBody {
        id: session.id,
        device: session.device,
        created_at: session.created_at,
        last_seen_at: session.seen_at,
        until: session.until,
        current: session.id == me.session,
    };
    Ok(HttpResponse::Ok().json(found.into_iter().map(body).collect::<Vec<_>>()))
}

/// Ends a session of one's own: at the latest one second later no node takes its token.
#[utoipa::path(tag = "me", security(("key" = ["me"])), responses((status = 204)))]
#[delete("/v1/me/sessions/{id}", wrap = "May(Scope::Me)")]
async fn end_session(
    caller: Caller,
    platform: web::Data<Platform>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (tenant, me, now) = (caller.tenant.id, caller.person()?, platform.clock.now());
    let which = (me.id, id.into_inner());
    let ended =
        platform.db.of(tenant).write(move |conn| sessions::end(conn, now, tenant, which, End::SignedOut)).await?;
    platform.keyring.ended([&ended.ok_or_else(not_found)?]);
    Ok(HttpResponse::NoContent().finish())
}

/// A device of one's own.
#[derive(Serialize, ToSchema)]
struct DeviceBody {
    /// Its id.
    id: Uuid,
    /// What its person calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whether it keeps a key that cannot leave it.
    has_key: bool,
    /// What was shown before it was bound: `sign-up`, `older-device` or `recovery`.
    #[schema(example = "sign-up")]
    bound_by: &'static str,
    /// Since when.
    created_at: DateTime<Utc>,
    /// When something was last asked from it, to half a minute.
    last_seen_at: DateTime<Utc>,
    /// Since when it may not come in.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<DateTime<Utc>>,
}

impl DeviceBody {
    fn of(device: &Device, name: Option<String>) -> Self {
        let Device { id, created_at, last_seen_at, revoked_at, .. } = *device;
        Self {
            id,
            name,
            has_key: device.key.is_some(),
            bound_by: device.bound_by.word(),
            created_at,
            last_seen_at,
            revoked_at,
        }
    }
}

/// Lists one's own devices, oldest first, those that were revoked too.
#[utoipa::path(tag = "me", security(("key" = ["me"])), responses(
    (status = 200, body = [DeviceBody]),
))]
#[get("/v1/me/devices", wrap = "May(Scope::Me)")]
async fn list_devices(caller: Caller, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    let (tenant, me, vault) = (caller.tenant.id, caller.person()?, platform.vault.clone());
    let found = platform.db.of(tenant).read(move |conn| devices::named_list(conn, &vault, tenant, me.id)).await?;
    let bodies = found.into_iter().map(|(device, name)| DeviceBody::of(&device, name));
    Ok(HttpResponse::Ok().json(bodies.collect::<Vec<_>>()))
}
