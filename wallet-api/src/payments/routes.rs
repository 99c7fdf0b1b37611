//! Payments over HTTP: quote, make, look at, explain. In [`authorisations`] what is captured and given back, in
//! [`refunds`] what is refunded, in [`top_ups`] money from outside, in [`accounts`] what a customer has, in [`own`] what a person
//! pays themselves.

mod accounts;
mod authorisations;
mod bodies;
mod own;
mod refunds;
mod top_ups;

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

pub use self::accounts::{StandingBody, customer_accounts, customer_balances, own_accounts};
use self::bodies::PaymentBody;
use super::explain::{self, Names};
use super::{Instrument, Paid, PaymentWish, Payments, reading};
use crate::loyalty::{Config, RewardKind};
use crate::platform::books::{journal_of, request_key};
use crate::platform::events::Depth;
use crate::platform::fields::{field, text};
use crate::platform::http::{IdempotencyKey, Json, not_found};
use crate::platform::keyring::{Caller, May, Reach, Scope, Within};
use crate::platform::money::{EuroToMove, Money};
use crate::platform::problem::Problem;
use crate::platform::reply::created;
use crate::platform::staff;
use crate::platform::text::Lang;

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(pay).service(quote).service(get_payment).service(explain_payment);
    authorisations::routes(config);
    refunds::routes(config);
    top_ups::routes(config);
    accounts::routes(config);
    own::routes(config);
}

/// How far ahead of us a client's clock may be.
const FUTURE: TimeDelta = TimeDelta::minutes(5);
/// How long an authorisation stands when nothing is said.
const STANDS: TimeDelta = TimeDelta::days(7);
/// How long it may.
const STANDS_AT_MOST: TimeDelta = TimeDelta::days(30);

/// When the money of a payment moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum CaptureMode {
    /// At once.
    #[default]
    Automatic,
    /// It is set aside until it is captured.
    Manual,
}

/// A payment to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPayment {
    /// Who pays.
    customer: Uuid,
    /// Who is paid.
    merchant: Uuid,
    /// How much, of EUR.
    #[schema(value_type = EuroToMove)]
    amount: Money,
    /// With what.
    instrument: Instrument,
    /// The merchant's order, 1 to 100 characters: it can be paid once, whatever the keys.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$"
    )]
    #[serde(default)]
    reference: Option<String>,
    /// When it happened, if not now: from 1970 to five minutes ahead.
    #[serde(default)]
    occurred_at: Option<DateTime<Utc>>,
    /// `automatic`, or `manual` to authorise only: from the wallet, from now on.
    #[serde(default)]
    capture: CaptureMode,
    /// When an authorisation ends by itself, at most 30 days ahead; in 7 days when absent.
    #[serde(default)]
    expires_at: Option<DateTime<Utc>>,
}

/// Makes a payment: the money and all it earns in one transaction. With `capture` `manual` the money is set aside only.
///
/// The same Idempotency-Key with the same body gives the same answer for ever; with another body it is refused. A
/// refusal for lack of funds is final for its key. A payment made because of a hook carries that hook's
/// `tessera-hook-depth` on; past 8 it is refused.
#[utoipa::path(tag = "payments", request_body = NewPayment, security(("key" = ["payments:write"])),
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "A new UUID for each intent")), responses(
    (status = 201, body = PaymentBody),
))]
#[post("/v1/payments", wrap = "May(Scope::PaymentsWrite)")]
async fn pay(
    caller: Caller,
    key: IdempotencyKey,
    lang: Lang,
    Depth(hook_depth): Depth,
    payments: web::Data<Payments>,
    body: Json<NewPayment>,
) -> Result<HttpResponse, Problem> {
    let key = request_key(&caller, &key, "/v1/payments", &body.canonical());
    let config = payments.programmes.config(&payments.platform, caller.tenant.id).await?;
    let (body, now) = (body.into_inner(), payments.now(&config));
    let expires = body.expires(now)?;
    let wish = PaymentWish { hook_depth, ..body.into_wish(now)? };
    let Some(expires) = expires else {
        let paid = payments.pay(&caller.tenant, key, &wish).await?;
        return answer_payment(&caller, lang, &config, &paid);
    };
    let done = payments.authorise(&caller.tenant, key, &wish, expires).await?;
    let mut response = created(&done.answer)?;
    let paper = done.paper.as_ref().ok_or_else(not_found)?;
    Ok(response.json(PaymentBody::authorised(caller.tenant.id, &config, &done.answer.record, paper)))
}

impl NewPayment {
    fn into_wish(self, now: DateTime<Utc>) -> Result<PaymentWish, Problem> {
        let Self { customer, merchant, amount, instrument, reference, occurred_at, capture: _, expires_at: _ } = self;
        let amount_minor = amount.positive_eur("/amount")?;
        let reference = reference.map(|reference| text(reference, "/reference", 1..=100)).transpose()?;
        if occurred_at.is_some_and(|at| at < DateTime::UNIX_EPOCH || now.checked_add_signed(FUTURE) < Some(at)) {
            return Err(field("/occurred_at", "From 1970 to five minutes ahead of now."));
        }
        Ok(PaymentWish { customer, merchant, amount_minor, instrument, reference, occurred_at, hook_depth: 0 })
    }

    /// When the authorisation that is asked for ends; none when it is a payment. That it ends later than now is the
    /// journal's to say: it knows what the key did before.
    fn expires(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Problem> {
        if self.capture == CaptureMode::Automatic {
            let nothing_to_end = field("/expires_at", "Only for payments of capture manual.");
            return if self.expires_at.is_some() { Err(nothing_to_end) } else { Ok(None) };
        }
        if self.instrument != Instrument::Wallet {
            return Err(field("/instrument/kind", "Only a wallet is authorised here: a rail authorises by itself."));
        }
        if self.occurred_at.is_some() {
            return Err(field("/occurred_at", "Money is set aside from now on."));
        }
        let most = now.checked_add_signed(STANDS_AT_MOST);
        if self.expires_at.is_some() && self.expires_at > most {
            return Err(field("/expires_at", "At most 30 days ahead of now."));
        }
        Ok(self.expires_at.or(now.checked_add_signed(STANDS)))
    }
}

fn answer_payment(caller: &Caller, lang: Lang, config: &Config, paid: &Paid) -> Result<HttpResponse, Problem> {
    let mut response = created(&paid.answer)?;
    let paper = paid.paper.as_ref().ok_or_else(not_found)?;
    Ok(response.json(PaymentBody::cleared(caller.tenant.id, lang, config, &paid.answer.record, paper)))
}

/// A payment one thinks of making.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewQuote {
    /// Who would be paid.
    merchant: Uuid,
    /// How much, of EUR.
    #[schema(value_type = EuroToMove)]
    amount: Money,
}

/// What a payment would earn now. It promises nothing: budgets run out.
#[derive(Debug, Serialize, ToSchema)]
struct QuoteBody {
    /// Each reward, and whether its budget would bear it now.
    rewards: Vec<QuotedReward>,
}

/// A reward a payment would earn.
#[derive(Debug, Serialize, ToSchema)]
struct QuotedReward {
    /// Money or points.
    kind: RewardKind,
    /// How much.
    amount: Money,
    /// Whose budget would pay it.
    campaign: Uuid,
    /// The version of the rule that decides now.
    rule_version: i32,
    /// False when the budget would not bear it now, or is frozen.
    funded: bool,
}

/// Tells what a payment would earn, by the very rules that would decide it. Nothing is written.
#[utoipa::path(tag = "payments", request_body = NewQuote, security(("key" = ["loyalty:read"])), responses(
    (status = 200, body = QuoteBody),
))]
#[post("/v1/quotes", wrap = "May(Scope::LoyaltyRead)")]
async fn quote(caller: Caller, payments: web::Data<Payments>, body: Json<NewQuote>) -> Result<HttpResponse, Problem> {
    let minor = body.amount.positive_eur("/amount")?;
    let grants = payments.quote(&caller.tenant, body.merchant, minor).await?;
    Ok(HttpResponse::Ok()
        .json(QuoteBody { rewards: grants.iter().map(|(grant, funded)| quoted(grant, *funded)).collect() }))
}

fn quoted(grant: &crate::loyalty::Grant, funded: bool) -> QuotedReward {
    QuotedReward {
        kind: grant.kind,
        amount: Money::new(grant.minor, &grant.asset_code),
        campaign: grant.campaign,
        rule_version: grant.rule_version,
        funded,
    }
}

/// Tells of a payment: what it was answered with, and what has become of it since.
#[utoipa::path(tag = "payments", security(("key" = ["payments:read"]), ("bound" = ["payments:read"])), responses(
    (status = 200, body = PaymentBody),
))]
#[get("/v1/payments/{id}", wrap = "Within(Scope::PaymentsRead)")]
async fn get_payment(
    caller: Caller,
    lang: Lang,
    payments: web::Data<Payments>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let found = reading::found(&payments.platform, journal_of(&caller.tenant), id.into_inner()).await?;
    within(&caller, Scope::PaymentsRead, &found)?;
    payments.customers.note_look(&payments.platform, &caller, found.parties().0, "payment").await?;
    let config = payments.programmes.config(&payments.platform, caller.tenant.id).await?;
    Ok(HttpResponse::Ok().json(PaymentBody::found(caller.tenant.id, lang, &config, &found)))
}

/// A payment out of the caller's reach is answered as one that is not there.
fn within(caller: &Caller, scope: Scope, found: &reading::Found) -> Result<(), Problem> {
    let (customer, merchant) = found.parties();
    if caller.reach(scope)?.has_payment(customer, merchant) { Ok(()) } else { Err(not_found()) }
}

/// The same before an operator changes a payment, in a session or by a key of theirs; in a session only a merchant's own staff does,
/// whoever's glass is broken. Nothing is looked up for anybody else.
async fn within_to_write(
    payments: &Payments,
    caller: &Caller,
    payment: Uuid,
    what: &'static str,
) -> Result<(), Problem> {
    if !staff::acts(caller) {
        return Ok(());
    }
    let reach: Reach = caller.reach(Scope::PaymentsWrite)?;
    let (customer, merchant) = reading::found(&payments.platform, journal_of(&caller.tenant), payment).await?.parties();
    if !reach.has_merchant(merchant) {
        return Err(not_found());
    }
    payments.customers.note_look(&payments.platform, caller, customer, what).await
}

/// A payment's postings in words.
#[derive(Debug, Serialize, ToSchema)]
struct ExplanationBody {
    /// The payment.
    payment: Uuid,
    /// Its place in the books.
    seq: i64,
    /// What moved, and what did not and why.
    lines: Vec<ExplanationLine>,
}

/// One posting in words.
#[derive(Debug, Serialize, ToSchema)]
struct ExplanationLine {
    /// The transaction's leg; absent for what did not happen.
    #[serde(skip_serializing_if = "Option::is_none")]
    leg: Option<i32>,
    /// In the request's language.
    words: String,
}

/// Explains a payment: each posting in words, with the rule, its version and the budget.
#[utoipa::path(tag = "payments", security(("key" = ["payments:read"]), ("bound" = ["payments:read"])), responses(
    (status = 200, body = ExplanationBody),
))]
#[get("/v1/payments/{id}/explanation", wrap = "Within(Scope::PaymentsRead)")]
async fn explain_payment(
    caller: Caller,
    lang: Lang,
    payments: web::Data<Payments>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (tenant, platform) = (caller.tenant.id, &payments.platform);
    let (record, paper) = reading::payment(platform, journal_of(&caller.tenant), id.into_inner()).await?;
    if !caller.reach(Scope::PaymentsRead)?.has_payment(paper.customer, paper.merchant) {
        return Err(not_found());
    }
    payments.customers.note_look(platform, &caller, paper.customer, "explanation").await?;
    let merchant = payments.merchants.get(platform, tenant, paper.merchant).await?;
    let config = payments.programmes.config(platform, tenant).await?;
    let decided: Vec<_> = paper.rewards.iter().map(|reward| (reward.campaign, reward.rule_version)).collect();
    let rules = platform.db.of(tenant).read(move |conn| crate::loyalty::rules_of(conn, tenant, &decided)).await?;
    let names = Names { lang, merchant: &merchant.name, config: &config, rules: &rules };
    let lines = explain::explain(&record, &paper, &names).into_iter();
    let lines = lines.map(|line| ExplanationLine { leg: line.leg, words: line.words }).collect();
    Ok(HttpResponse::Ok().json(ExplanationBody { payment: paper.payment, seq: record.seq, lines }))
}
