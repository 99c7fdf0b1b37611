//! Operators over HTTP: their invitation, their sign-in, and what is their own.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::Entered;
use crate::identity::doors::Visit;
use crate::identity::sessions::Held;
use crate::identity::{Doors, tenant_by_slug};
use crate::platform::Platform;
use crate::platform::http::Json;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;

/// Adds the routes of operators.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(begin_operator_sign_up)
        .service(finish_operator_sign_up)
        .service(begin_operator_sign_in)
        .service(finish_operator_sign_in)
        .service(get_operator)
        .service(end_operator_session)
        .configure(super::password::routes);
}

/// One refusal for whoever does not come in, whatever was wrong.
pub(super) fn entry_refused() -> Problem {
    let remedy = "Begin again with your passkey, or ask for a new invitation.";
    Problem::new(403, "operator-refused", "You were not let in", remedy)
}

/// A request at the doors. Whose slug it is, is what is asked.
pub(super) async fn visit(
    req: &HttpRequest,
    platform: &Platform,
    doors: &Doors,
    slug: String,
) -> Result<Visit, Problem> {
    let tenant = platform.db.house().run(move |conn| tenant_by_slug(conn, &slug)).await?;
    doors.visit(req, platform, Arc::new(tenant))
}

/// An invitation to begin with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OperatorSignUp {
    /// The company, by its slug.
    tenant: String,
    /// The invitation.
    invitation: String,
}

/// A ceremony that began.
#[derive(Serialize, ToSchema)]
struct OperatorCeremony {
    /// Names it when it ends.
    challenge: Uuid,
    /// For `navigator.credentials`.
    options: Value,
    /// Until when.
    expires_at: DateTime<Utc>,
}

/// The passkey's answer to an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OperatorPasskey {
    /// The company, by its slug.
    tenant: String,
    /// The invitation.
    invitation: String,
    /// What `navigator.credentials.create()` gave, as JSON.
    #[schema(value_type = Object)]
    response: Value,
    /// What to call the passkey.
    #[serde(default)]
    passkey_name: String,
}

/// Whom to sign in for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OperatorSignIn {
    /// The company, by its slug.
    tenant: String,
}

/// The passkey's answer to a sign-in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OperatorAnswer {
    /// The company, by its slug.
    tenant: String,
    /// What `navigator.credentials.get()` gave, as JSON.
    #[schema(value_type = Object)]
    response: Value,
}

/// An operator who came in, and what they hold from now on. Shown once.
#[derive(Serialize, ToSchema)]
pub(super) struct OperatorEntered {
    /// Who.
    operator: Uuid,
    /// The session.
    session: Uuid,
    /// For every request: `Authorization: Bearer …`.
    access_token: String,
    /// Until when.
    access_until: DateTime<Utc>,
    /// For the next pair, at `/v1/sessions/refresh`.
    refresh_token: Option<String>,
    /// Until when, if something was asked in between.
    refresh_until: Option<DateTime<Utc>>,
}

/// 201, or the refusal of whoever did not come in.
pub(super) fn answer(platform: &Platform, entered: Option<Entered>) -> Result<HttpResponse, Problem> {
    let Entered { operator, pair, ended } = entered.ok_or_else(entry_refused)?;
    platform.keyring.ended(&ended);
    Ok(HttpResponse::Created().json(OperatorEntered {
        operator,
        session: pair.session,
        access_token: pair.access.token.reveal().to_owned(),
        access_until: pair.access.until,
        refresh_token: pair.refresh.as_ref().map(|refresh| refresh.token.reveal().to_owned()),
        refresh_until: pair.refresh.as_ref().map(|refresh| refresh.until),
    }))
}

fn ceremony(opened: super::Opened) -> HttpResponse {
    let super::Opened { challenge, options, expires_at } = opened;
    HttpResponse::Created().json(OperatorCeremony { challenge, options, expires_at })
}

/// Begins to register an operator's passkey, for an invitation.
#[utoipa::path(tag = "operators", request_body = OperatorSignUp, security(()), responses(
    (status = 201, body = OperatorCeremony),
))]
#[post("/v1/operator-sign-ups")]
async fn begin_operator_sign_up(
    req: HttpRequest,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    body: Json<OperatorSignUp>,
) -> Result<HttpResponse, Problem> {
    let OperatorSignUp { tenant, invitation } = body.into_inner();
    let visit = visit(&req, &platform, &doors, tenant).await?;
    let of = platform.db.of(visit.tenant.id);
    let opened = of.write(move |conn| super::begin_sign_up(conn, &visit, &invitation)).await?;
    Ok(ceremony(opened.ok_or_else(entry_refused)?))
}

/// Registers the passkey that an invitation is for, and opens a session. Passkeys and sessions before end with it.
#[utoipa::path(tag = "operators", request_body = OperatorPasskey, security(()), responses(
    (status = 201, body = OperatorEntered),
))]
#[post("/v1/operator-sign-ups/{id}")]
async fn finish_operator_sign_up(
    req: HttpRequest,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    id: web::Path<Uuid>,
    body: Json<OperatorPasskey>,
) -> Result<HttpResponse, Problem> {
    let OperatorPasskey { tenant, invitation, response, passkey_name } = body.into_inner();
    let visit = visit(&req, &platform, &doors, tenant).await?;
    let (challenge, response, tenant) = (id.into_inner(), response.to_string().into_bytes(), visit.tenant.id);
    let finish = move |conn: &mut PgConnection| {
        super::finish_sign_up(conn, (&visit, Held::App), &invitation, challenge, (&response, &passkey_name))
    };
    answer(&platform, platform.db.of(tenant).write(finish).await?)
}

/// Begins an operator's sign-in.
#[utoipa::path(tag = "operators", request_body = OperatorSignIn, security(()), responses(
    (status = 201, body = OperatorCeremony),
))]
#[post("/v1/operator-sign-ins")]
async fn begin_operator_sign_in(
    req: HttpRequest,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    body: Json<OperatorSignIn>,
) -> Result<HttpResponse, Problem> {
    let visit = visit(&req, &platform, &doors, body.into_inner().tenant).await?;
    let of = platform.db.of(visit.tenant.id);
    Ok(ceremony(of.write(move |conn| super::begin_sign_in(conn, &visit)).await?))
}

/// Ends an operator's sign-in and opens a session.
///
/// Its access token lives ten minutes and the session ten hours, or five minutes and eight hours where a role may much; either
/// ends when nothing was asked for fifteen minutes, and when the roles change. `/v1/sessions/refresh` gives the next pair.
#[utoipa::path(tag = "operators", request_body = OperatorAnswer, security(()), responses(
    (status = 201, body = OperatorEntered),
))]
#[post("/v1/operator-sign-ins/{id}")]
async fn finish_operator_sign_in(
    req: HttpRequest,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    id: web::Path<Uuid>,
    body: Json<OperatorAnswer>,
) -> Result<HttpResponse, Problem> {
    let OperatorAnswer { tenant, response } = body.into_inner();
    let visit = visit(&req, &platform, &doors, tenant).await?;
    let (challenge, response, tenant) = (id.into_inner(), response.to_string().into_bytes(), visit.tenant.id);
    let finish = move |conn: &mut PgConnection| super::finish_sign_in(conn, (&visit, Held::App), challenge, &response);
    answer(&platform, platform.db.of(tenant).write(finish).await?)
}

/// A role in force.
#[derive(Serialize, ToSchema)]
struct RoleBody {
    /// The role.
    #[schema(example = "shop-staff")]
    role: &'static str,
    /// The merchant or biller that it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant: Option<Uuid>,
}

/// Oneself, as somebody who works for the company.
#[derive(Serialize, ToSchema)]
struct OperatorBody {
    /// Who.
    operator: Uuid,
    /// In which session.
    session: Uuid,
    /// The roles in force at this hour.
    roles: Vec<RoleBody>,
}

/// Tells an operator who they are here, and which roles are in force.
#[utoipa::path(tag = "operators", security(("key" = ["staff"])), responses((status = 200, body = OperatorBody)))]
#[get("/v1/staff", wrap = "May(Scope::Staff)")]
async fn get_operator(caller: Caller) -> Result<HttpResponse, Problem> {
    let me = caller.require_operator()?;
    let roles = caller.roles().iter().map(|(role, merchant)| RoleBody { role: role.word(), merchant: *merchant });
    Ok(HttpResponse::Ok().json(OperatorBody { operator: me.id, session: me.session, roles: roles.collect() }))
}

/// Ends the operator's session: at the latest one second later no node takes its token.
#[utoipa::path(tag = "operators", security(("key" = ["staff"])), responses((status = 204)))]
#[delete("/v1/staff/session", wrap = "May(Scope::Staff)")]
async fn end_operator_session(caller: Caller, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    let (tenant, me, now) = (caller.tenant.id, caller.require_operator()?, platform.clock.now());
    let end = move |conn: &mut PgConnection| super::sign_out(conn, now, tenant, (me.id, me.session));
    platform.keyring.ended(&platform.db.of(tenant).write(end).await?);
    Ok(HttpResponse::NoContent().finish())
}
