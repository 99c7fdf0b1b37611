//! What the journal records of a campaign: its budget is funded, frozen, and free again.

use actix_web::{HttpResponse, post, web};
use ledger::{Answer, Command, Journal, Key};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::unknown_campaign;
use crate::loyalty::{Programmes, RewardKind, funding};
use crate::platform::Platform;
use crate::platform::books::{Paper, ask, request_key};
use crate::platform::chart::Purpose;
use crate::platform::fields::field;
use crate::platform::http::{IdempotencyKey, Json};
use crate::platform::ids::derived;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::money::{EUR, Money, ToMove};
use crate::platform::problem::Problem;
use crate::platform::reply::created;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(fund_campaign).service(pause_campaign).service(resume_campaign);
}

/// An amount to put into a campaign's budget: money, or the programme's points.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Funding {
    /// How much.
    #[schema(value_type = ToMove)]
    amount: Money,
}

/// A change the journal has recorded.
#[derive(Debug, Serialize, ToSchema)]
struct Recorded {
    /// The record's seq.
    seq: i64,
}

/// Puts money or points into a campaign's budget.
#[utoipa::path(tag = "loyalty", request_body = Funding, security(("key" = ["loyalty:write"])),
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "A new UUID for each intent")), responses(
    (status = 201, body = Recorded),
))]
#[post("/v1/campaigns/{id}/fund", wrap = "May(Scope::LoyaltyWrite)")]
async fn fund_campaign(
    caller: Caller,
    key: IdempotencyKey,
    platform: web::Data<Platform>,
    journal: web::Data<Journal>,
    programmes: web::Data<Programmes>,
    id: web::Path<Uuid>,
    body: Json<Funding>,
) -> Result<HttpResponse, Problem> {
    let (tenant, id) = (caller.tenant.id, id.into_inner());
    let config = programmes.config(&platform, tenant).await?;
    let campaign = config.campaign(id).ok_or_else(unknown_campaign)?;
    let minor = body.amount.positive("/amount")?;
    let kind = match body.amount.asset.as_str() {
        EUR => RewardKind::Cashback,
        points if points == campaign.points_code => RewardKind::Points,
        _ => return Err(field("/amount/asset", "EUR, or the points of the campaign's programme.")),
    };
    let key = request_key(&caller, &key, &format!("/v1/campaigns/{id}/fund"), &body.canonical());
    let command = funding(tenant, &config, campaign, kind, minor, platform.ids.uuid_v7(platform.clock.now()));
    let paper = Paper { meta: json!({"kind": "funding", "campaign": id}), ..Paper::default() };
    recorded(&ask(&journal, &caller.tenant, key, command, paper).await?)
}

/// Pauses a campaign: from the answered seq on, on every node, it gives nothing. Payments go on and say why.
#[utoipa::path(tag = "loyalty", security(("key" = ["loyalty:write"])),
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "A new UUID for each intent")), responses(
    (status = 201, body = Recorded),
))]
#[post("/v1/campaigns/{id}/pause", wrap = "May(Scope::LoyaltyWrite)")]
async fn pause_campaign(
    caller: Caller,
    key: IdempotencyKey,
    journal: web::Data<Journal>,
    platform: web::Data<Platform>,
    programmes: web::Data<Programmes>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    freeze(&caller, &key, &journal, &platform, &programmes, id.into_inner(), true).await
}

/// Lets a paused campaign give again.
#[utoipa::path(tag = "loyalty", security(("key" = ["loyalty:write"])),
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "A new UUID for each intent")), responses(
    (status = 201, body = Recorded),
))]
#[post("/v1/campaigns/{id}/resume", wrap = "May(Scope::LoyaltyWrite)")]
async fn resume_campaign(
    caller: Caller,
    key: IdempotencyKey,
    journal: web::Data<Journal>,
    platform: web::Data<Platform>,
    programmes: web::Data<Programmes>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    freeze(&caller, &key, &journal, &platform, &programmes, id.into_inner(), false).await
}

async fn freeze(
    caller: &Caller,
    key: &IdempotencyKey,
    journal: &Journal,
    platform: &Platform,
    programmes: &Programmes,
    id: Uuid,
    debits: bool,
) -> Result<HttpResponse, Problem> {
    let config = programmes.config(platform, caller.tenant.id).await?;
    config.campaign(id).ok_or_else(unknown_campaign)?;
    let path = format!("/v1/campaigns/{id}/{}", if debits { "pause" } else { "resume" });
    let client_key = request_key(caller, key, &path, b"");
    let mut done = None;
    // Two accounts, two records: each under a key made from the client's, so that a retry finishes what is missing.
    for purpose in [Purpose::Budget(id), Purpose::PointsBudget(id)] {
        let account = purpose.account(caller.tenant.id);
        let key = Key { key: derived("freeze", &[client_key.key.as_bytes(), account.as_bytes()]), ..client_key };
        let command = Command::Freeze { account, debits, credits: false };
        let paper = Paper { meta: json!({"kind": "freeze", "campaign": id}), ..Paper::default() };
        done = Some(recorded(&ask(journal, &caller.tenant, key, command, paper).await?)?);
    }
    done.ok_or_else(unknown_campaign)
}

fn recorded(answer: &Answer) -> Result<HttpResponse, Problem> {
    Ok(created(answer)?.json(Recorded { seq: answer.record.seq }))
}
