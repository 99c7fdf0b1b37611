//! A customer's accounts over HTTP: balances and statements.

use actix_web::{HttpResponse, get, web};
use chrono::{DateTime, Utc};
use ledger::Place;
use ledger::Posted;
use ledger::read::{Balance, Entries, Entry};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::loyalty::Config;
use crate::payments::paper::moment;
use crate::payments::{Payments, reading};
use crate::platform::books::journal_of;
use crate::platform::chart::Purpose;
use crate::platform::http::{Cursor, Page, PageQuery};
use crate::platform::keyring::{Caller, Scope, Within};
use crate::platform::money::{EUR, Money};
use crate::platform::problem::Problem;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(get_balances).service(get_statement);
}

/// A balance of a customer.
#[derive(Debug, Serialize, ToSchema)]
pub struct BalanceBody {
    /// `available`, `cashback`, or `points:<programme>`.
    #[schema(example = "available")]
    pub account: String,
    /// How much.
    pub balance: Money,
    /// What of it is set aside by authorisations; absent when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Money>,
}

/// An account of a customer, as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct StandingBody {
    /// `available`, `cashback`, or `points:<programme>`.
    #[schema(example = "available")]
    pub account: String,
    /// What is on it; below zero when something is owed.
    pub balance: Money,
    /// What of it can be spent now: all but what is set aside, and what has been earned and not matured.
    pub available: Money,
    /// What of it is set aside by authorisations.
    pub held: Money,
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
    balances: Vec<StandingBody>,
    /// The journal's seq at which they were read.
    as_of_seq: i64,
}

/// Tells a customer's balances: money, cashback, points of each programme.
#[utoipa::path(tag = "customers", security(("key" = ["payments:read"]), ("bound" = ["payments:read"])), params(Freshness), responses(
    (status = 200, body = BalancesBody),
))]
#[get("/v1/customers/{id}/balances", wrap = "Within(Scope::PaymentsRead)")]
async fn get_balances(
    caller: Caller,
    payments: web::Data<Payments>,
    id: web::Path<Uuid>,
    fresh: web::Query<Freshness>,
) -> Result<HttpResponse, Problem> {
    let customer = id.into_inner();
    payments.customers.look(&payments.platform, &caller, Scope::PaymentsRead, customer, "balances").await?;
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
) -> Result<(i64, Vec<StandingBody>), Problem> {
    let tenant = caller.tenant.id;
    payments.customers.secret(&payments.platform, tenant, customer).await?;
    let config = payments.programmes.config(&payments.platform, tenant).await?;
    let own = own_accounts(tenant, &config, customer);
    let accounts = own.iter().map(|(account, ..)| *account).collect();
    let (seq, read) = reading::balances(&payments.platform, journal_of(&caller.tenant), accounts, min_seq).await?;
    let balance = |(account, name, asset): (Uuid, String, String)| {
        let stands = read.iter().find(|one| one.public_id == account);
        let money = |of: fn(&Balance) -> i64| Money::new(stands.map_or(0, of), &asset);
        let (balance, available, held) = (money(|one| one.balance), money(Balance::available), money(|one| one.held));
        StandingBody { account: name, balance, available, held }
    };
    Ok((seq, own.into_iter().map(balance).collect()))
}

/// The customer's own accounts among a transaction's sides, each as the last of its rows left it.
pub(super) fn balances_after(tenant: i64, config: &Config, customer: Uuid, transfers: &[Posted]) -> Vec<BalanceBody> {
    let own = own_accounts(tenant, config, customer);
    let after = |(account, name, asset): &(Uuid, String, String)| {
        let mut sides = transfers.iter().rev().flat_map(|posted| [posted.credit, posted.debit]);
        let side = sides.find(|side| side.public_id == *account)?;
        let held = (side.held != 0).then(|| Money::new(side.held, asset));
        Some(BalanceBody { account: name.clone(), balance: Money::new(side.balance, asset), held })
    };
    own.iter().filter_map(after).collect()
}

/// A customer's accounts: public id, name in the API, asset code.
#[must_use]
pub fn own_accounts(tenant: i64, config: &Config, customer: Uuid) -> Vec<(Uuid, String, String)> {
    let money = [(Purpose::Available(customer), "available"), (Purpose::Cashback(customer), "cashback")];
    let mut own: Vec<_> =
        money.into_iter().map(|(purpose, name)| (purpose.account(tenant), name.to_owned(), EUR.to_owned())).collect();
    own.extend(config.programmes.iter().map(|programme| {
        let account = Purpose::Points { customer, programme: programme.id }.account(tenant);
        (account, format!("points:{}", programme.code), programme.asset_code())
    }));
    own
}

/// The public ids of a customer's accounts, those without entries among them.
///
/// # Errors
/// 404 `customer-unknown`; the database's problems.
pub async fn customer_accounts(payments: &Payments, caller: &Caller, customer: Uuid) -> Result<Vec<Uuid>, Problem> {
    let tenant = caller.tenant.id;
    payments.customers.secret(&payments.platform, tenant, customer).await?;
    let config = payments.programmes.config(&payments.platform, tenant).await?;
    Ok(own_accounts(tenant, &config, customer).into_iter().map(|(account, _, _)| account).collect())
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
    /// `payment`, `capture`, `refund`, `top_up`, `funding`.
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
#[utoipa::path(tag = "customers", security(("key" = ["payments:read"]), ("bound" = ["payments:read"])), params(StatementQuery), responses(
    (status = 200, body = Page<EntryBody>),
))]
#[get("/v1/customers/{id}/statement", wrap = "Within(Scope::PaymentsRead)")]
async fn get_statement(
    caller: Caller,
    payments: web::Data<Payments>,
    id: web::Path<Uuid>,
    query: web::Query<StatementQuery>,
) -> Result<HttpResponse, Problem> {
    let (tenant, customer) = (&caller.tenant, id.into_inner());
    payments.customers.look(&payments.platform, &caller, Scope::PaymentsRead, customer, "statement").await?;
    payments.customers.secret(&payments.platform, tenant.id, customer).await?;
    let StatementQuery { account, min_seq, cursor, limit } = query.into_inner();
    let limit = PageQuery { cursor: None, limit }.limit()?;
    let name = account.unwrap_or_else(|| "available".into());
    let config = payments.programmes.config(&payments.platform, tenant.id).await?;
    let own = own_accounts(tenant.id, &config, customer).into_iter().find(|(_, own, _)| *own == name);
    let (account, _, asset) = own.ok_or_else(unknown_account)?;
    let listing = format!("statement/{account}");
    let before = cursor.map(|cursor| Cursor::<2>::decode(&tenant.secret, &listing, &cursor)).transpose()?;
    let before = before.map(place);
    let (_, Entries { entries, away }) =
        reading::statement(&payments.platform, journal_of(tenant), account, before, limit, min_seq).await?;
    let page = Page::cut_short(entries, limit, away.is_some(), |last: &Entry| {
        Cursor([last.seq, i64::from(last.leg)]).encode(&tenant.secret, &listing)
    });
    let items = page.items.into_iter().map(|entry| entry_body(entry, &asset)).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor, has_more: page.has_more }))
}

/// Where the page before ended.
fn place(Cursor([seq, leg]): Cursor<2>) -> Place {
    // We wrote it from an entry's own leg: it fits.
    Place { seq, leg: i32::try_from(leg).unwrap_or(i32::MAX) }
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
