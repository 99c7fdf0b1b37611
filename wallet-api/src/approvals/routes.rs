//! Approvals over HTTP.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use ledger::Journal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::Hands;
use crate::identity::four_eyes::{Proposal, ProposalBody};
use crate::payments::Payments;
use crate::platform::Platform;
use crate::platform::http::{Cursor, Page, PageQuery, halves, whole};
use crate::platform::keyring::{Caller, May, Scope, Tenant};
use crate::platform::post::Post;
use crate::platform::problem::Problem;

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(list_approvals).service(get_approval).service(approve).service(reject);
}

/// What is listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ApprovalsQuery {
    /// True for all that was ever asked; only what can be decided now when absent.
    #[serde(default)]
    all: Option<bool>,
    /// `next_cursor` of the page before; none for the first page.
    cursor: Option<String>,
    /// Requests per page, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
}

/// Lists what waits for another pair of eyes, newest first: what the caller may decide, their own requests among it.
#[utoipa::path(tag = "approvals", security(("key" = ["approvals"])), params(ApprovalsQuery), responses(
    (status = 200, body = Page<ProposalBody>),
))]
#[get("/v1/approvals", wrap = "May(Scope::Approvals)")]
async fn list_approvals(
    caller: Caller,
    platform: web::Data<Platform>,
    payments: web::Data<Payments>,
    query: web::Query<ApprovalsQuery>,
) -> Result<HttpResponse, Problem> {
    let ApprovalsQuery { all, cursor, limit } = query.into_inner();
    let limit = PageQuery { cursor: None, limit }.limit()?;
    let (secret, now) = (&caller.tenant.secret, platform.clock.now());
    let is_all = all.unwrap_or_default();
    let listing = format!("approvals/{is_all}");
    let before = cursor.map(|cursor| Cursor::<3>::decode(secret, &listing, &cursor)).transpose()?.map(place_of);
    let most = i64::from(limit).saturating_add(1);
    let found = super::page(&caller, &platform, (is_all, before), most).await?;
    let page = Page::cut(found, limit, |it| cursor_at(it).encode(secret, &listing));
    let outcomes = payments.outcomes(&caller.tenant, &page.items).await?;
    let body = |(it, outcome): (&Proposal, _)| ProposalBody::of(it, now).came_to(outcome);
    let items: Vec<ProposalBody> = page.items.iter().zip(outcomes).map(body).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor, has_more: page.has_more }))
}

fn cursor_at(it: &Proposal) -> Cursor<3> {
    let [high, low] = halves(it.id);
    Cursor([it.asked_at.timestamp_micros(), high, low])
}

fn place_of(Cursor([us, high, low]): Cursor<3>) -> (DateTime<Utc>, Uuid) {
    (DateTime::from_timestamp_micros(us).unwrap_or_default(), whole([high, low]))
}

/// Tells of what was asked.
#[utoipa::path(tag = "approvals", security(("key" = ["approvals"])), responses(
    (status = 200, body = ProposalBody),
))]
#[get("/v1/approvals/{id}", wrap = "May(Scope::Approvals)")]
async fn get_approval(
    caller: Caller,
    platform: web::Data<Platform>,
    payments: web::Data<Payments>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let found = super::find(&caller, &platform, id.into_inner()).await?;
    Ok(HttpResponse::Ok().json(shown(&payments, &caller.tenant, &found).await?))
}

/// What was asked, as it stands, with what the books answered.
async fn shown(payments: &Payments, tenant: &Tenant, it: &Proposal) -> Result<ProposalBody, Problem> {
    let outcome = payments.outcomes(tenant, std::slice::from_ref(it)).await?.into_iter().next().flatten();
    Ok(ProposalBody::of(it, payments.platform.clock.now()).came_to(outcome))
}

/// What was decided, and what came of it.
#[derive(Debug, Serialize, ToSchema)]
struct DoneBody {
    /// What was asked, and how it was decided.
    #[serde(flatten)]
    proposal: ProposalBody,
    /// Of an erasure: the signed receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    receipt: Option<Value>,
}

/// Approves what somebody else asked for, which is done at once, to the letter.
///
/// It is done once, however often this is asked: repeat it when the answer was lost, or when what stood in its way is gone.
#[utoipa::path(tag = "approvals", security(("key" = ["approvals"])), responses(
    (status = 200, body = DoneBody),
))]
#[post("/v1/approvals/{id}/approve", wrap = "May(Scope::Approvals)")]
async fn approve(
    caller: Caller,
    platform: web::Data<Platform>,
    journal: web::Data<Journal>,
    payments: web::Data<Payments>,
    post: web::Data<Post>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let hands = Hands { platform, journal, payments, post };
    let (approved, receipt) = hands.approve(&caller, id.into_inner()).await?;
    let proposal = shown(&hands.payments, &caller.tenant, &approved).await?;
    Ok(HttpResponse::Ok().json(DoneBody { proposal, receipt }))
}

/// Rejects what somebody else asked for. Again changes nothing.
#[utoipa::path(tag = "approvals", security(("key" = ["approvals"])), responses(
    (status = 200, body = ProposalBody),
))]
#[post("/v1/approvals/{id}/reject", wrap = "May(Scope::Approvals)")]
async fn reject(caller: Caller, platform: web::Data<Platform>, id: web::Path<Uuid>) -> Result<HttpResponse, Problem> {
    let rejected = super::reject(&caller, &platform, id.into_inner()).await?;
    Ok(HttpResponse::Ok().json(ProposalBody::of(&rejected, platform.clock.now())))
}
