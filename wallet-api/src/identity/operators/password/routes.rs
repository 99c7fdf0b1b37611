//! Operators' passwords over HTTP.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, delete, post, web};
use diesel::PgConnection;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::super::Door;
use super::super::routes::{OperatorEntered, answer, entry_refused};
use crate::identity::{Doors, tenant_by_slug};
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
    let tenant = platform.db.house().run(move |conn| tenant_by_slug(conn, &tenant)).await?;
    let number = tenant.id;
    let visit = doors.visit(&req, &platform, Arc::new(tenant))?;
    let door = Door { tenant: number, ids: visit.ids.clone(), now: visit.now, party: visit.party.clone() };
    let tried = platform.db.of(number).write(move |conn| super::try_once(conn, &visit, &email)).await?;
    if !passwords.is_at(place, tried.kept(), said).await? {
        return Err(entry_refused());
    }
    let enter = move |conn: &mut PgConnection| super::enter(conn, &door, tried);
    answer(&platform, platform.db.of(number).write(enter).await?)
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
    let (tenant, me, now) = (caller.tenant.id, caller.require_operator()?, platform.clock.now());
    let chosen = Password::chosen(body.into_inner().password)?;
    let may = platform.db.of(tenant).read(move |conn| super::may_set(conn, now, tenant, me.session)).await?;
    if !may {
        let remedy = "Sign in again with your passkey: this asks for one that was shown within five minutes.";
        return Err(Problem::new(401, "passkey-stale", "Show your passkey again", remedy));
    }
    let kept = passwords.keep(chosen).await?;
    let set = move |conn: &mut PgConnection| super::set(conn, now, (tenant, me.id), Some(&kept));
    platform.keyring.ended(&platform.db.of(tenant).write(set).await?);
    Ok(HttpResponse::NoContent().finish())
}

/// Ends the password one falls back on, and what it opened. There may be none.
#[utoipa::path(tag = "operators", security(("key" = ["staff"])), responses((status = 204)))]
#[delete("/v1/staff/password", wrap = "May(Scope::Staff)")]
async fn end_password(caller: Caller, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    let (tenant, me, now) = (caller.tenant.id, caller.require_operator()?, platform.clock.now());
    let end = move |conn: &mut PgConnection| super::set(conn, now, (tenant, me.id), None);
    platform.keyring.ended(&platform.db.of(tenant).write(end).await?);
    Ok(HttpResponse::NoContent().finish())
}
