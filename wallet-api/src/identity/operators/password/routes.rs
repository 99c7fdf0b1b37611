//! Operators' passwords over HTTP.

use actix_web::{HttpRequest, HttpResponse, delete, post, web};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::super::routes::{OperatorEntered, answer, entry_refused, visit};
use crate::identity::Doors;
use crate::identity::sessions::Held;
use crate::platform::Platform;
use crate::platform::http::Json;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::password::{Password, Passwords};
use crate::platform::problem::Problem;

/// Adds the routes of passwords.
pub fn routes(config: &mut ServiceConfig) {
    config.service(sign_in_by_password).service(set_password).service(end_password);
}

/// Who comes in by a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordSignIn {
    /// The company, by its slug.
    tenant: String,
    /// Their mail address.
    email: String,
    /// Their password.
    #[schema(format = "password")]
    password: String,
}

/// Opens a session by a password: what an operator falls back on. In it the roles of finance and admin are not in force.
///
/// 30 a minute from an address, five in a quarter of an hour for an account from there; past that, and whatever else is wrong, the
/// refusal is the same. One at a time is looked at and few wait: whoever comes beyond is told to come back (503).
#[utoipa::path(tag = "operators", request_body = PasswordSignIn, security(()), responses(
    (status = 201, body = OperatorEntered),
))]
#[post("/v1/operator-password-sign-ins")]
async fn sign_in_by_password(
    req: HttpRequest,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    passwords: web::Data<Passwords>,
    body: Json<PasswordSignIn>,
) -> Result<HttpResponse, Problem> {
    let PasswordSignIn { tenant, email, password } = body.into_inner();
    let said = Password::said(password).map_err(|_too_long| entry_refused())?;
    // First a place: two hundred at once cost neither the database nor the counters more than nine do.
    let place = passwords.place()?;
    let visit = visit(&req, &platform, &doors, tenant).await?;
    let entered = super::sign_in(&platform, (&passwords, place), (visit, Held::App), (email, said)).await?;
    answer(&platform, entered)
}

/// A password to fall back on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// At least fifteen characters, at most 128.
    #[schema(min_length = 15, max_length = 128, format = "password")]
    password: String,
}

/// Sets the password one falls back on, in place of any before, in a session that a passkey opened within five minutes. What one
/// before it opened ends.
#[utoipa::path(tag = "operators", request_body = NewPassword, security(("key" = ["staff"])), responses((status = 204)))]
#[post("/v1/staff/password", wrap = "May(Scope::Staff)")]
async fn set_password(
    caller: Caller,
    platform: web::Data<Platform>,
    passwords: web::Data<Passwords>,
    body: Json<NewPassword>,
) -> Result<HttpResponse, Problem> {
    super::choose(&platform, &passwords, &caller, body.into_inner().password).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Ends the password one falls back on, and what it opened. There may be none.
#[utoipa::path(tag = "operators", security(("key" = ["staff"])), responses((status = 204)))]
#[delete("/v1/staff/password", wrap = "May(Scope::Staff)")]
async fn end_password(caller: Caller, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    super::give_up(&platform, &caller).await?;
    Ok(HttpResponse::NoContent().finish())
}
