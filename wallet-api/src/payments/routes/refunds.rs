//! Refunds over HTTP.

use actix_web::{HttpResponse, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::accounts::{BalanceBody, balances_after};
use super::within_to_write;
use crate::identity::four_eyes::ProposalBody;
use crate::loyalty::RewardKind;
use crate::payments::paper::{TakenBack, moment};
use crate::payments::refund::{RefundWish, Refunded};
use crate::payments::{Instrument, Payments};
use crate::platform::books::request_key;
use crate::platform::events::Depth;
use crate::platform::http::{IdempotencyKey, Json, not_found};
use crate::platform::keyring::{Caller, Scope, Within};
use crate::platform::money::{EUR, EuroToMove, Money};
use crate::platform::problem::Problem;
use crate::platform::reply::created;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(refund_payment);
}

/// What to refund of a payment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRefund {
    /// How much, of EUR; all that has not been refunded when absent.
    #[schema(value_type = Option<EuroToMove>)]
    #[serde(default)]
    amount: Option<Money>,
    /// True lets a merchant who has not that much any more go into debt; else the refund is refused then.
    #[serde(default)]
    owing: bool,
}

/// A refund, and what it took back of the rewards.
#[derive(Debug, Serialize, ToSchema)]
struct RefundBody {
    /// Its id.
    id: Uuid,
    /// What was refunded: a payment or a capture.
    payment: Uuid,
    /// Its place in the books.
    seq: i64,
    /// Who was paid back.
    customer: Uuid,
    /// Who paid back.
    merchant: Uuid,
    /// How much.
    amount: Money,
    /// With what it had been paid, and was paid back.
    instrument: Instrument,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// What was taken back of each reward.
    rewards: Vec<TakenBackBody>,
    /// The customer's balances that it changed, right after it; below zero is owed, and repaid by what is earned next.
    balances: Vec<BalanceBody>,
}

/// What was taken back of a reward.
#[derive(Debug, Serialize, ToSchema)]
struct TakenBackBody {
    /// Money or points.
    kind: RewardKind,
    /// How much.
    amount: Money,
    /// Whose budget got it back.
    campaign: Uuid,
    /// False when an account's state forbade it: the next refund of the payment takes it back.
    taken_back: bool,
}

/// Refunds some or all of a payment that cleared, and takes back what that part of it had earned.
///
/// The refunds of a payment add up to it and to no cent more (`refund-exceeded`). Rewards go back in proportion, rounded
/// down, and with the last cent whole. An authorisation that was captured once stands for its capture. Above the tenant's
/// amount, counted over all refunds of the payment, nothing is done yet: somebody else decides (`/v1/approvals`). Repeated under
/// its key once it is approved, it answers with the refund, or with why the books refused it.
#[utoipa::path(tag = "payments", request_body = NewRefund, security(("key" = ["payments:write"]), ("bound" = ["payments:write"])),
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "A new UUID for each intent")), responses(
    (status = 201, body = RefundBody),
    (status = 202, body = ProposalBody),
))]
#[post("/v1/payments/{id}/refund", wrap = "Within(Scope::PaymentsWrite)")]
async fn refund_payment(
    caller: Caller,
    key: IdempotencyKey,
    Depth(hook_depth): Depth,
    payments: web::Data<Payments>,
    id: web::Path<Uuid>,
    body: Json<NewRefund>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    within_to_write(&payments, &caller, id, "refund").await?;
    let key = request_key(&caller, &key, &format!("/v1/payments/{id}/refund"), &body.canonical());
    let amount_minor = body.amount.as_ref().map(|amount| amount.positive_eur("/amount")).transpose()?;
    let wish = RefundWish { amount_minor, owing: body.owing, hook_depth };
    let done = match payments.refund_by(&caller, key, id, wish).await? {
        Refunded::Done(done) => done,
        Refunded::Waits(asked) => return Ok(asked.accepted(payments.platform.clock.now())),
    };
    let (mut response, record) = (created(&done.answer)?, &done.answer.record);
    let paper = done.paper.as_ref().ok_or_else(not_found)?;
    let config = payments.programmes.config(&payments.platform, caller.tenant.id).await?;
    let reward = |(reward, taken_back): (&TakenBack, bool)| TakenBackBody {
        kind: reward.kind,
        amount: Money::new(reward.minor, &reward.asset),
        campaign: reward.campaign,
        taken_back,
    };
    Ok(response.json(RefundBody {
        id: paper.refund,
        payment: paper.payment,
        seq: record.seq,
        customer: paper.customer,
        merchant: paper.merchant,
        amount: Money::new(paper.amount_minor, EUR),
        instrument: paper.instrument,
        recorded_at: moment(record.recorded_us),
        rewards: paper.taken_back(record.body.dropped()).map(reward).collect(),
        balances: balances_after(caller.tenant.id, &config, paper.customer, record.body.transfers()),
    }))
}
