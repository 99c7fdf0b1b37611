//! Routes of sign-in. Open: whoever comes here is nobody yet.

use actix_web::{HttpRequest, HttpResponse, post, web};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::bodies::{EnteredBody, OptionsBody, visit};
use crate::identity::doors::{Answer, Doors};
use crate::identity::sessions::Held;
use crate::identity::sign_in;
use crate::platform::Platform;
use crate::platform::http::Json;
use crate::platform::problem::Problem;

/// Adds these routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(begin_sign_in).service(finish_sign_in);
}

/// Somebody who wants to come in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignInWish {
    /// The tenant, by its slug.
    #[schema(example = "club")]
    tenant: String,
}

/// What a passkey answered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasskeyShown {
    /// The tenant, by its slug.
    #[schema(example = "club")]
    tenant: String,
    /// The browser's `PublicKeyCredential.toJSON()`.
    #[schema(value_type = Object)]
    response: Map<String, Value>,
    /// What to call the device, if it is a new one.
    device_name: Option<String>,
}

/// Begins a sign-in: gives what to show a passkey with. Any of one's own will do.
///
/// 30 a minute from an address; a known device that proves its key in the `DPoP` header is counted by itself.
#[utoipa::path(tag = "doors", request_body = SignInWish, security(()),
    params(("DPoP" = Option<String>, Header, description = "The device's proof over this request")), responses(
    (status = 201, body = OptionsBody),
))]
#[post("/v1/sign-ins")]
async fn begin_sign_in(
    req: HttpRequest,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    body: Json<SignInWish>,
) -> Result<HttpResponse, Problem> {
    let device = doors.shown(&req, None, platform.clock.now())?;
    let visit = visit(&req, &platform, &doors, &body.tenant).await?;
    let of = platform.db.of(visit.tenant.id);
    let opened = of.write(move |conn| sign_in::begin(conn, &visit, device.as_ref())).await?;
    Ok(HttpResponse::Created().json(OptionsBody::of(opened)))
}

/// Ends a sign-in, by the id of its challenge: opens a session at the device that proves its key in the `DPoP` header.
///
/// A new device is bound by a passkey that cannot leave its authenticator; with one that may be synced, the session is bound to
/// no key (`device_bound`). Whatever is wrong, the refusal is the same.
#[utoipa::path(tag = "doors", request_body = PasskeyShown, security(()),
    params(("DPoP" = Option<String>, Header, description = "The device's proof over this request")), responses(
    (status = 201, body = EnteredBody),
))]
#[post("/v1/sign-ins/{id}")]
async fn finish_sign_in(
    req: HttpRequest,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    id: web::Path<Uuid>,
    body: Json<PasskeyShown>,
) -> Result<HttpResponse, Problem> {
    let device = doors.shown(&req, None, platform.clock.now())?;
    let visit = visit(&req, &platform, &doors, &body.tenant).await?;
    let PasskeyShown { response, device_name, .. } = body.into_inner();
    let response = Value::Object(response).to_string().into_bytes();
    let answer = Answer { challenge: id.into_inner(), response, device, device_name, held: Held::App };
    let of = platform.db.of(visit.tenant.id);
    EnteredBody::answer(of.write(move |conn| sign_in::finish(conn, &visit, &answer)).await?)
}
