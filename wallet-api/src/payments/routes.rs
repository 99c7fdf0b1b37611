//! Payments over HTTP.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, TimeDelta, Utc};
use ledger::read::Entry;
use ledger::{Body, Posted, Record};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::explain::{self, Names};
use super::paper::{Outcome, PaymentPaper, moment};
use super::{Instrument, Paid, PaymentWish, Payments, TopUpWish, reading};
use crate::loyalty::{Config, RewardKind};
use crate::platform::books::{describe_refusal, journal_of, request_key};
use crate::platform::chart::{Purpose, Rail};
use crate::platform::events::Depth;
use crate::platform::fields::{field, text};
use crate::platform::http::{Cursor, IdempotencyKey, Json, Page, PageQuery, not_found};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::money::{EUR, EuroToMove, Money};
use crate::platform::problem::{Problem, ProblemBody};
use crate::platform::text::Lang;

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(pay)
        .service(quote)
        .service(top_up)
        .service(get_payment)
        .service(explain_payment)
        .service(get_balances)
        .service(get_statement);
}

/// How far ahead of us a client's clock may be.
const FUTURE: TimeDelta = TimeDelta::minutes(5);

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
}

/// A payment that happened, and what it earned.
#[derive(Debug, Serialize, ToSchema)]
struct PaymentBody {
    /// Its id.
    id: Uuid,
    /// `cleared`: the money has moved for good.
    #[schema(example = "cleared")]
    status: &'static str,
    /// Its place in the books.
    seq: i64,
    /// Who paid.
    customer: Uuid,
    /// Who was paid.
    merchant: Uuid,
    /// How much.
    amount: Money,
    /// With what.
    instrument: Instrument,
    /// The merchant's order.
    reference: Option<String>,
    /// When it counts.
    occurred_at: DateTime<Utc>,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// What it earned, and what it did not and why.
    rewards: Vec<RewardBody>,
    /// The customer's balances that it changed, right after it.
    balances: Vec<BalanceBody>,
}

/// A reward: given, or not and why.
#[derive(Debug, Serialize, ToSchema)]
struct RewardBody {
    /// Money or points.
    kind: RewardKind,
    /// How much it is.
    amount: Money,
    /// Whose budget pays it.
    campaign: Uuid,
    /// The version of the campaign's rule that decided.
    rule_version: i32,
    /// `given`, `amount-too-small`, `budget-exhausted`, `campaign-paused`, `not-possible`.
    #[schema(example = "given")]
    outcome: &'static str,
    /// Why it was not given, in the request's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A balance of a customer.
#[derive(Debug, Serialize, ToSchema)]
pub struct BalanceBody {
    /// `available`, `cashback`, or `points:<programme>`.
    #[schema(example = "available")]
    pub account: String,
    /// How much.
    pub balance: Money,
}

/// Makes a payment: the money and all it earns in one transaction.
///
/// The same Idempotency-Key with the same body gives the same answer for ever; with another body it is refused. A
/// refusal for lack of funds is final for its key. A payment made because of a hook carries that hook's
/// `tessera-hook-depth` on; past 8 it is refused.
#[utoipa::path(tag = "payments", request_body = NewPayment, security(("key" = ["payments:write"])),
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "A new UUID for each intent")), responses(
    (status = 201, body = PaymentBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
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
    let wish = PaymentWish { hook_depth, ..body.into_inner().into_wish(payments.now(&config))? };
    let paid = payments.pay(&caller.tenant, key, &wish).await?;
    answer_payment(&caller, lang, &config, &paid)
}

impl NewPayment {
    fn into_wish(self, now: DateTime<Utc>) -> Result<PaymentWish, Problem> {
        let Self { customer, merchant, amount, instrument, reference, occurred_at } = self;
        let amount_minor = amount.positive_eur("/amount")?;
        let reference = reference.map(|reference| text(reference, "/reference", 1..=100)).transpose()?;
        if occurred_at.is_some_and(|at| at < DateTime::UNIX_EPOCH || now.checked_add_signed(FUTURE) < Some(at)) {
            return Err(field("/occurred_at", "From 1970 to five minutes ahead of now."));
        }
        Ok(PaymentWish { customer, merchant, amount_minor, instrument, reference, occurred_at, hook_depth: 0 })
    }
}

fn answer_payment(caller: &Caller, lang: Lang, config: &Config, paid: &Paid) -> Result<HttpResponse, Problem> {
    let record = &paid.answer.record;
    if let Body::Refused { refusal } = &record.body {
        return Err(describe_refusal(refusal, record.seq));
    }
    let paper = paid.paper.as_ref().ok_or_else(not_found)?;
    let mut response = HttpResponse::Created();
    if paid.answer.replayed {
        response.insert_header(("idempotent-replayed", "true"));
    }
    Ok(response.json(payment_body(caller.tenant.id, lang, config, record, paper)))
}

fn payment_body(tenant: i64, lang: Lang, config: &Config, record: &Record, paper: &PaymentPaper) -> PaymentBody {
    let (transfers, dropped) = match &record.body {
        Body::Transaction { transfers, dropped, .. } => (transfers.as_slice(), dropped.as_slice()),
        Body::Opened { .. }
        | Body::Frozen { .. }
        | Body::Refused { .. }
        | Body::ClockMoved { .. }
        | Body::Abandoned => (&[][..], &[][..]),
    };
    let reward = |(reward, outcome): (&super::paper::PaperReward, Outcome)| RewardBody {
        kind: reward.kind,
        amount: Money::new(reward.minor, &reward.asset),
        campaign: reward.campaign,
        rule_version: reward.rule_version,
        outcome: outcome.code(),
        reason: explain::reason(lang, outcome),
    };
    PaymentBody {
        id: paper.payment,
        status: "cleared",
        seq: record.seq,
        customer: paper.customer,
        merchant: paper.merchant,
        amount: Money::new(paper.amount_minor, EUR),
        instrument: paper.instrument,
        reference: paper.reference.clone(),
        occurred_at: moment(record.effective_us),
        recorded_at: moment(record.recorded_us),
        rewards: paper.outcomes(dropped).map(reward).collect(),
        balances: balances_after(tenant, config, paper.customer, transfers),
    }
}

/// The customer's own accounts among a transaction's sides, each as the last of its rows left it.
fn balances_after(tenant: i64, config: &Config, customer: Uuid, transfers: &[Posted]) -> Vec<BalanceBody> {
    let own = own_accounts(tenant, config, customer);
    let after = |(account, name, asset): &(Uuid, String, String)| {
        let mut sides = transfers.iter().rev().flat_map(|posted| [posted.credit, posted.debit]);
        let side = sides.find(|side| side.public_id == *account)?;
        Some(BalanceBody { account: name.clone(), balance: Money::new(side.balance, asset) })
    };
    own.iter().filter_map(after).collect()
}

/// A customer's accounts: public id, name in the API, asset code.
fn own_accounts(tenant: i64, config: &Config, customer: Uuid) -> Vec<(Uuid, String, String)> {
    let money = [(Purpose::Available(customer), "available"), (Purpose::Cashback(customer), "cashback")];
    let mut own: Vec<_> =
        money.into_iter().map(|(purpose, name)| (purpose.account(tenant), name.to_owned(), EUR.to_owned())).collect();
    own.extend(config.programmes.iter().map(|programme| {
        let account = Purpose::Points { customer, programme: programme.id }.account(tenant);
        (account, format!("points:{}", programme.code), programme.asset_code())
    }));
    own
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
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
))]
#[post("/v1/quotes", wrap = "May(Scope::LoyaltyRead)")]
async fn quote(caller: Caller, payments: web::Data<Payments>, body: Json<NewQuote>) -> Result<HttpResponse, Problem> {
    let minor = body.amount.positive_eur("/amount")?;
    let grants = payments.quote(&caller.tenant, body.merchant, minor).await?;
    let quoted = |(grant, funded): (crate::loyalty::Grant, bool)| QuotedReward {
        kind: grant.kind,
        amount: Money::new(grant.minor, &grant.asset_code),
        campaign: grant.campaign,
        rule_version: grant.rule_version,
        funded,
    };
    Ok(HttpResponse::Ok().json(QuoteBody { rewards: grants.into_iter().map(quoted).collect() }))
}

/// Money to bring into a wallet.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTopUp {
    /// Whose wallet.
    customer: Uuid,
    /// How much, of EUR.
    #[schema(value_type = EuroToMove)]
    amount: Money,
    /// Which way it comes.
    rail: Rail,
}

/// Money brought into a wallet.
#[derive(Debug, Serialize, ToSchema)]
struct TopUpBody {
    /// Its id.
    id: Uuid,
    /// Its place in the books.
    seq: i64,
    /// Whose wallet.
    customer: Uuid,
    /// How much.
    amount: Money,
    /// What is available right after.
    available: Money,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
}

/// Brings money from outside into a customer's wallet.
#[utoipa::path(tag = "payments", request_body = NewTopUp, security(("key" = ["payments:write"])),
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "A new UUID for each intent")), responses(
    (status = 201, body = TopUpBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
))]
#[post("/v1/top-ups", wrap = "May(Scope::PaymentsWrite)")]
async fn top_up(
    caller: Caller,
    key: IdempotencyKey,
    payments: web::Data<Payments>,
    body: Json<NewTopUp>,
) -> Result<HttpResponse, Problem> {
    let amount_minor = body.amount.positive_eur("/amount")?;
    let key = request_key(&caller, &key, "/v1/top-ups", &body.canonical());
    let wish = TopUpWish { customer: body.customer, amount_minor, rail: body.rail };
    let answer = payments.top_up(&caller.tenant, key, &wish).await?;
    let record = &answer.record;
    let posted = match &record.body {
        Body::Refused { refusal } => return Err(describe_refusal(refusal, record.seq)),
        Body::Transaction { transfers, .. } => transfers.first().ok_or_else(not_found)?,
        Body::Opened { .. } | Body::Frozen { .. } | Body::ClockMoved { .. } | Body::Abandoned => {
            return Err(not_found());
        }
    };
    let mut response = HttpResponse::Created();
    if answer.replayed {
        response.insert_header(("idempotent-replayed", "true"));
    }
    Ok(response.json(TopUpBody {
        id: record.id,
        seq: record.seq,
        customer: wish.customer,
        amount: Money::new(posted.amount.minor, EUR),
        available: Money::new(posted.credit.balance, EUR),
        recorded_at: moment(record.recorded_us),
    }))
}

/// Tells of a payment: the same as it was answered.
#[utoipa::path(tag = "payments", security(("key" = ["payments:read"])), responses(
    (status = 200, body = PaymentBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
))]
#[get("/v1/payments/{id}", wrap = "May(Scope::PaymentsRead)")]
async fn get_payment(
    caller: Caller,
    lang: Lang,
    payments: web::Data<Payments>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (record, paper) = reading::payment(&payments.platform, journal_of(&caller.tenant), id.into_inner()).await?;
    let config = payments.programmes.config(&payments.platform, caller.tenant.id).await?;
    Ok(HttpResponse::Ok().json(payment_body(caller.tenant.id, lang, &config, &record, &paper)))
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
#[utoipa::path(tag = "payments", security(("key" = ["payments:read"])), responses(
    (status = 200, body = ExplanationBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
))]
#[get("/v1/payments/{id}/explanation", wrap = "May(Scope::PaymentsRead)")]
async fn explain_payment(
    caller: Caller,
    lang: Lang,
    payments: web::Data<Payments>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (tenant, platform) = (caller.tenant.id, &payments.platform);
    let (record, paper) = reading::payment(platform, journal_of(&caller.tenant), id.into_inner()).await?;
    let merchant = payments.merchants.get(platform, tenant, paper.merchant).await?;
    let config = payments.programmes.config(platform, tenant).await?;
    let decided: Vec<_> = paper.rewards.iter().map(|reward| (reward.campaign, reward.rule_version)).collect();
    let rules = platform.db.run(move |conn| crate::loyalty::rules_of(conn, tenant, &decided)).await?;
    let names = Names { lang, merchant: &merchant.name, config: &config, rules: &rules };
    let lines = explain::explain(&record, &paper, &names).into_iter();
    let lines = lines.map(|line| ExplanationLine { leg: line.leg, words: line.words }).collect();
    Ok(HttpResponse::Ok().json(ExplanationBody { payment: paper.payment, seq: record.seq, lines }))
}

/// How fresh an answer must be.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Freshness {
    /// The least seq the answer must know of: the `seq` of what you have just done.
    min_seq: Option<i64>,
}

/// A customer's balances.
#[derive(Debug, Serialize, ToSchema)]
struct BalancesBody {
    /// Whose.
    customer: Uuid,
    /// Each account, opened or not.
    balances: Vec<BalanceBody>,
    /// The journal's seq at which they were read.
    as_of_seq: i64,
}

/// Tells a customer's balances: money, cashback, points of each programme.
#[utoipa::path(tag = "customers", security(("key" = ["payments:read"])), params(Freshness), responses(
    (status = 200, body = BalancesBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
))]
#[get("/v1/customers/{id}/balances", wrap = "May(Scope::PaymentsRead)")]
async fn get_balances(
    caller: Caller,
    payments: web::Data<Payments>,
    id: web::Path<Uuid>,
    fresh: web::Query<Freshness>,
) -> Result<HttpResponse, Problem> {
    let customer = id.into_inner();
    let (as_of_seq, balances) = customer_balances(&payments, &caller, customer, fresh.min_seq).await?;
    Ok(HttpResponse::Ok().json(BalancesBody { customer, balances, as_of_seq }))
}

/// A customer's balances, and the seq at which they were read.
///
/// # Errors
/// 404 for an unknown customer; 503 `not-yet` when this node has not come to `min_seq`.
pub async fn customer_balances(
    payments: &Payments,
    caller: &Caller,
    customer: Uuid,
    min_seq: Option<i64>,
) -> Result<(i64, Vec<BalanceBody>), Problem> {
    let tenant = caller.tenant.id;
    payments.customers.secret(&payments.platform, tenant, customer).await?;
    let config = payments.programmes.config(&payments.platform, tenant).await?;
    let own = own_accounts(tenant, &config, customer);
    let accounts = own.iter().map(|(account, ..)| *account).collect();
    let (seq, read) = reading::balances(&payments.platform, journal_of(&caller.tenant), accounts, min_seq).await?;
    let balance = |(account, name, asset): (Uuid, String, String)| {
        let minor = read.iter().find(|one| one.public_id == account).map_or(0, |one| one.balance);
        BalanceBody { account: name, balance: Money::new(minor, &asset) }
    };
    Ok((seq, own.into_iter().map(balance).collect()))
}

/// Which account's statement.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatementQuery {
    /// `available` (the usual one), `cashback`, or `points:<programme>`.
    account: Option<String>,
    /// The least seq the answer must know of.
    min_seq: Option<i64>,
    /// `next_cursor` of the page before; none for the newest entries.
    cursor: Option<String>,
    /// Entries per page, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
}

/// A line of a statement.
#[derive(Debug, Serialize, ToSchema)]
struct EntryBody {
    /// Its place in the books.
    seq: i64,
    /// The transaction it belongs to.
    transaction: Uuid,
    /// `payment`, `top_up`, `funding`.
    #[schema(example = "payment")]
    kind: String,
    /// Plus what came, minus what went.
    change: Money,
    /// The balance after it.
    balance: Money,
    /// When it counts.
    occurred_at: DateTime<Utc>,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
}

/// Tells the movements of one of a customer's accounts, newest first. Balances follow from line to line.
#[utoipa::path(tag = "customers", security(("key" = ["payments:read"])), params(StatementQuery), responses(
    (status = 200, body = Page<EntryBody>),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    (status = "5XX", body = ProblemBody, content_type = "application/problem+json"),
))]
#[get("/v1/customers/{id}/statement", wrap = "May(Scope::PaymentsRead)")]
async fn get_statement(
    caller: Caller,
    payments: web::Data<Payments>,
    id: web::Path<Uuid>,
    query: web::Query<StatementQuery>,
) -> Result<HttpResponse, Problem> {
    let (tenant, customer) = (&caller.tenant, id.into_inner());
    payments.customers.secret(&payments.platform, tenant.id, customer).await?;
    let StatementQuery { account, min_seq, cursor, limit } = query.into_inner();
    let limit = PageQuery { cursor: None, limit }.limit()?;
    let name = account.unwrap_or_else(|| "available".into());
    let config = payments.programmes.config(&payments.platform, tenant.id).await?;
    let own = own_accounts(tenant.id, &config, customer).into_iter().find(|(_, own, _)| *own == name);
    let (account, _, asset) = own.ok_or_else(unknown_account)?;
    let listing = format!("statement/{account}");
    let before = cursor.map(|cursor| Cursor::<1>::decode(&tenant.secret, &listing, &cursor)).transpose()?;
    let before = before.map(|Cursor([version])| version);
    let (_, entries) =
        reading::statement(&payments.platform, journal_of(tenant), account, before, limit, min_seq).await?;
    let page = Page::cut(entries, limit, |last: &Entry| Cursor([last.version]).encode(&tenant.secret, &listing));
    let items = page.items.into_iter().map(|entry| entry_body(entry, &asset)).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor, has_more: page.has_more }))
}

fn entry_body(entry: Entry, asset: &str) -> EntryBody {
    let meta: Value = serde_json::from_slice(&entry.meta).unwrap_or_default();
    EntryBody {
        seq: entry.seq,
        transaction: entry.transaction,
        kind: meta.get("kind").and_then(Value::as_str).unwrap_or("other").to_owned(),
        change: Money::new(entry.change, asset),
        balance: Money::new(entry.balance, asset),
        occurred_at: moment(entry.effective_us),
        recorded_at: moment(entry.recorded_us),
    }
}

fn unknown_account() -> Problem {
    let detail = "available, cashback, or points:<programme>.";
    Problem::new(404, "customer-account-unknown", "The customer has no such account", detail)
}
