//! Approvals over HTTP.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use ledger::Journal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::identity::four_eyes::{self, Act, EyesError, Filter, Proposal, ProposalBody};
use crate::identity::sca::rules;
use crate::levels;
use crate::payments::Payments;
use crate::platform::Platform;
use crate::platform::http::{Cursor, Page, PageQuery, halves, whole};
use crate::platform::keyring::{Caller, May, Scope, Tenant};
use crate::platform::post::Post;
use crate::platform::problem::{Describe, Problem};
use crate::privacy::{self, Erasing};

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

/// The acts that somebody may decide.
fn decidable(caller: &Caller) -> Vec<Act> {
    Act::ALL.into_iter().filter(|act| caller.require(act.decided_with()).is_ok()).collect()
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
    let (tenant, secret, now) = (caller.tenant.id, &caller.tenant.secret, platform.clock.now());
    let is_all = all.unwrap_or_default();
    let listing = format!("approvals/{is_all}");
    let before = cursor.map(|cursor| Cursor::<3>::decode(secret, &listing, &cursor)).transpose()?.map(place_of);
    let filter = Filter { acts: decidable(&caller), pending_at: (!is_all).then_some(now), before };
    let most = i64::from(limit).saturating_add(1);
    let read = move |conn: &mut PgConnection| four_eyes::page(conn, tenant, &filter, most);
    let page = Page::cut(platform.db.of(tenant).read(read).await?, limit, |it| cursor_at(it).encode(secret, &listing));
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
    let found = decidable_one(&caller, &platform, id.into_inner()).await?;
    Ok(HttpResponse::Ok().json(shown(&payments, &caller.tenant, &found).await?))
}

/// What was asked, as it stands, with what the books answered.
async fn shown(payments: &Payments, tenant: &Tenant, it: &Proposal) -> Result<ProposalBody, Problem> {
    let outcome = payments.outcomes(tenant, std::slice::from_ref(it)).await?.into_iter().next().flatten();
    Ok(ProposalBody::of(it, payments.platform.clock.now()).came_to(outcome))
}

/// What was asked, to whoever may decide such an act. To others it is not there.
async fn decidable_one(caller: &Caller, platform: &Platform, id: Uuid) -> Result<Proposal, Problem> {
    let tenant = caller.tenant.id;
    let found = platform.db.of(tenant).read(move |conn| four_eyes::find(conn, tenant, id)).await?;
    let found = found.filter(|it| caller.require(it.act.decided_with()).is_ok());
    found.ok_or_else(|| EyesError::Unknown.describe())
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

/// What doing it takes.
struct Hands {
    platform: web::Data<Platform>,
    journal: web::Data<Journal>,
    payments: web::Data<Payments>,
    post: web::Data<Post>,
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
    let found = decidable_one(&caller, &platform, id.into_inner()).await?;
    let hands = Hands { platform, journal, payments, post };
    let approved = hands.decide(&caller, &found).await?;
    let mut receipt = None;
    match approved.act {
        Act::Limits => hands.payments.levels.forget(caller.tenant.id),
        Act::ScaRule => {} // every payment reads the rules anew
        Act::Refund => hands.payments.refund_approved(&caller.tenant, &approved).await?,
        Act::Erasure => {
            let (platform, journal) = (&hands.platform, &hands.journal);
            let (customers, post) = (&hands.payments.customers, &hands.post);
            let with = Erasing { platform, journal, customers, post, tenant: &caller.tenant };
            let signed = privacy::erase_approved(with, caller.actor.into(), &approved).await?;
            receipt = Some(serde_json::to_value(signed).map_err(|error| Problem::internal(&error))?);
        }
    }
    let proposal = shown(&hands.payments, &caller.tenant, &approved).await?;
    Ok(HttpResponse::Ok().json(DoneBody { proposal, receipt }))
}

impl Hands {
    /// Decides, and publishes in the same transaction what is done so. A refusal is kept, and what it counted.
    async fn decide(&self, caller: &Caller, found: &Proposal) -> Result<Proposal, Problem> {
        let (platform, tenant, id) = (&self.platform, caller.tenant.id, found.id);
        let now = platform.clock.now();
        let present = levels::present(platform, &self.payments.programmes, tenant).await?;
        let by = caller.clone();
        let decide = move |conn: &mut PgConnection| -> Result<Result<Proposal, EyesError>, Problem> {
            let (approved, was_before) = match four_eyes::decide(conn, now, &by, id, true)? {
                Ok(decided) => decided,
                Err(refused) => return Ok(Err(refused)),
            };
            if was_before {
                return Ok(Ok(approved));
            }
            match approved.act {
                Act::Limits => levels::publish_approved(conn, (now, present), by.actor.into(), tenant, &approved)?,
                Act::ScaRule => rules::publish_approved(conn, now, by.actor.into(), tenant, &approved)?,
                Act::Refund | Act::Erasure => {} // done after it
            }
            Ok(Ok(approved))
        };
        Ok(platform.db.of(tenant).write(decide).await??)
    }
}

/// Rejects what somebody else asked for. Again changes nothing.
#[utoipa::path(tag = "approvals", security(("key" = ["approvals"])), responses(
    (status = 200, body = ProposalBody),
))]
#[post("/v1/approvals/{id}/reject", wrap = "May(Scope::Approvals)")]
async fn reject(caller: Caller, platform: web::Data<Platform>, id: web::Path<Uuid>) -> Result<HttpResponse, Problem> {
    let id = decidable_one(&caller, &platform, id.into_inner()).await?.id;
    let (tenant, now) = (caller.tenant.id, platform.clock.now());
    let decide = move |conn: &mut PgConnection| four_eyes::decide(conn, now, &caller, id, false);
    let (rejected, _) = platform.db.of(tenant).write(decide).await??;
    Ok(HttpResponse::Ok().json(ProposalBody::of(&rejected, now)))
}
