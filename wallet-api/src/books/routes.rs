//! The books over HTTP: accounts, assets, totals. In [`transactions`] what is posted, in [`records`] what is followed.

mod adjustments;
mod dates;
mod kept;
mod records;
mod transactions;

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use ledger::read::accounts::{self, Current, Filter, Total};
use ledger::{Body, Command, Nature, NewAccount};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::body::{AccountBody, Normal, RecordBody, meta, moment};
use super::nature::{ChangeBody, Keeps};
use super::{Assets, Books, store};
use crate::platform::books::{Paper, ask, journal_of, request_key};
use crate::platform::fields::field;
use crate::platform::http::{Cursor, IdempotencyKey, Json, Page, PageQuery, not_found};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::money::Money;
use crate::platform::problem::Problem;
use crate::platform::reply::created;
use crate::profile::{AccountLook, look_at_owner};

pub(super) fn routes(config: &mut ServiceConfig) {
    transactions::routes(config);
    config.service(define_asset).service(list_assets).service(open_account).service(list_accounts);
    config.service(change_account);
    config.service(get_account).service(list_entries).service(get_totals);
    dates::routes(config);
    kept::routes(config);
    adjustments::routes(config);
    records::routes(config);
}

/// An asset to define.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAsset {
    /// `EUR`, `PTS:club`: 1 to 32 of A-Z, a-z, 0-9, `:`, `-`, `_`, beginning with a letter.
    #[schema(example = "EUR", min_length = 1, max_length = 32, pattern = "^[A-Za-z][A-Za-z0-9:_-]{0,31}$")]
    code: String,
    /// Decimals of its minor unit, 0 to 6: 2 for EUR, 0 for points. It never changes.
    #[schema(example = 2, minimum = 0, maximum = 6)]
    scale: i16,
}

/// An asset.
#[derive(Debug, Serialize, ToSchema)]
struct AssetBody {
    /// As the API names it.
    #[schema(example = "EUR")]
    code: String,
    /// Decimals of its minor unit.
    scale: i16,
}

/// Defines an asset. Defining it again changes nothing.
#[utoipa::path(tag = "ledger", request_body = NewAsset, security(("key" = ["ledger:write"])), responses(
    (status = 201, body = AssetBody),
))]
#[post("/v1/ledger/assets", wrap = "May(Scope::LedgerWrite)")]
async fn define_asset(caller: Caller, books: web::Data<Books>, body: Json<NewAsset>) -> Result<HttpResponse, Problem> {
    let NewAsset { code, scale } = body.into_inner();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_');
    let begins = code.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    if !begins || code.len() > 32 || !code.bytes().all(plain) {
        return Err(field("/code", "1 to 32 of A-Z, a-z, 0-9, `:`, `-`, `_`, beginning with a letter."));
    }
    if !(0..=6).contains(&scale) {
        return Err(field("/scale", "0 to 6."));
    }
    let tenant = caller.tenant.id;
    let asset = books.platform.db.of(tenant).write(move |conn| store::define(conn, tenant, &code, scale)).await?;
    books.assets.forget(tenant);
    if asset.scale != scale {
        let detail = "It has another scale, which never changes: use it as it is, or another code.";
        return Err(Problem::new(409, "asset-exists", "The asset exists", detail).with("scale", i64::from(asset.scale)));
    }
    Ok(HttpResponse::Created().json(AssetBody { code: asset.code, scale: asset.scale }))
}

/// All assets.
#[derive(Debug, Serialize, ToSchema)]
struct AssetsBody {
    /// In the order they were defined.
    assets: Vec<AssetBody>,
}

/// Lists the assets.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), responses(
    (status = 200, body = AssetsBody),
))]
#[get("/v1/ledger/assets", wrap = "May(Scope::LedgerRead)")]
async fn list_assets(caller: Caller, books: web::Data<Books>) -> Result<HttpResponse, Problem> {
    let assets = books.assets(caller.tenant.id).await?;
    let body = |asset: &ledger::Asset| AssetBody { code: asset.code.clone(), scale: asset.scale };
    Ok(HttpResponse::Ok().json(AssetsBody { assets: assets.all().iter().map(body).collect() }))
}

/// An account to open.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAccountBody {
    /// Its id; absent, it is the Idempotency-Key, if that is a UUID.
    #[serde(default)]
    id: Option<Uuid>,
    /// What it holds, for ever.
    #[schema(example = "EUR")]
    asset: String,
    /// For reports; `credit` when absent.
    #[serde(default)]
    normal_side: Normal,
    /// Whose it is: an opaque reference.
    #[serde(default)]
    owner: Option<Uuid>,
    /// Available never goes below this; absent is no limit. Minor units, zero or negative.
    #[serde(default)]
    #[schema(example = "0", pattern = "^(0|-[1-9][0-9]{0,18})$")]
    floor: Option<String>,
    /// The balance never goes above this; absent is no limit. Minor units, zero or more.
    #[serde(default)]
    #[schema(example = "100000", pattern = "^(0|[1-9][0-9]{0,18})$")]
    ceiling: Option<String>,
    /// What it keeps beside its balance; absent is nothing.
    #[serde(default)]
    keeps: Option<Keeps>,
}

impl NewAccountBody {
    fn account(&self, id: Uuid, assets: &Assets) -> Result<NewAccount, Problem> {
        let asset = assets.by_code(&self.asset);
        let asset = asset.ok_or_else(|| field("/asset", "There is no such asset: define it first."))?.id;
        let keeps = || field("/keeps", "The allowance is whole minor units, as digits; the grace whole seconds.");
        let nature = self.keeps.as_ref().map_or(Some(Nature::Plain), Keeps::nature).ok_or_else(keeps)?;
        Ok(NewAccount {
            nature,
            public_id: self.id.unwrap_or(id),
            asset,
            normal_side: self.normal_side.into(),
            owner: self.owner,
            floor: limit(self.floor.as_deref(), "/floor")?,
            ceiling: limit(self.ceiling.as_deref(), "/ceiling")?,
        })
    }
}

fn limit(text: Option<&str>, pointer: &'static str) -> Result<Option<i64>, Problem> {
    let read = |text: &str| text.parse().ok().filter(|minor: &i64| minor.to_string() == text);
    text.map(|text| read(text).ok_or_else(|| field(pointer, "Whole minor units, as digits."))).transpose()
}

/// Opens an account.
///
/// The same Idempotency-Key with the same body gives the same answer for ever.
#[utoipa::path(tag = "ledger", request_body = NewAccountBody, security(("key" = ["ledger:write"])),
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "A new UUID for each account")), responses(
    (status = 201, body = AccountBody),
))]
#[post("/v1/ledger/accounts", wrap = "May(Scope::LedgerWrite)")]
async fn open_account(
    caller: Caller,
    key: IdempotencyKey,
    books: web::Data<Books>,
    body: Json<NewAccountBody>,
) -> Result<HttpResponse, Problem> {
    let key = request_key(&caller, &key, "/v1/ledger/accounts", &body.canonical());
    let assets = books.assets(caller.tenant.id).await?;
    let account = body.account(key.key, &assets)?;
    let paper = Paper { meta: json!({"kind": "ledger"}), ..Paper::default() };
    let answer = ask(&books.journal, &caller.tenant, key, Command::Open(account), paper).await?;
    let mut response = created(&answer)?;
    let Body::Opened { account, .. } = &answer.record.body else { return Err(not_found()) };
    // As it was opened: the same for a replay, whatever has moved since.
    let opened = ledger::Account::opened(account, ledger::AccountId(answer.record.seq));
    Ok(response.json(AccountBody::of(&Current { account: opened, pending: 0 }, &assets)))
}

/// Changes an account's rules: limits, allowance, freeze, close and open again. In force from its record on.
#[utoipa::path(tag = "ledger", request_body = ChangeBody, security(("key" = ["ledger:write"])),
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "A new UUID for each change")), responses(
    (status = 201, body = RecordBody),
))]
#[post("/v1/ledger/accounts/{id}/changes", wrap = "May(Scope::LedgerWrite)")]
async fn change_account(
    caller: Caller,
    key: IdempotencyKey,
    books: web::Data<Books>,
    id: web::Path<Uuid>,
    body: Json<ChangeBody>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    let key = request_key(&caller, &key, &format!("/v1/ledger/accounts/{id}/changes"), &body.canonical());
    let command = body.command(id)?;
    let paper = Paper { meta: json!({"kind": "ledger"}), ..Paper::default() };
    let answer = ask(&books.journal, &caller.tenant, key, command, paper).await?;
    let assets = books.assets(caller.tenant.id).await?;
    Ok(created(&answer)?.json(RecordBody::of(&answer.record, &assets)))
}

/// Tells of an account, as it stands.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), responses(
    (status = 200, body = AccountBody),
))]
#[get("/v1/ledger/accounts/{id}", wrap = "May(Scope::LedgerRead)")]
async fn get_account(
    caller: Caller,
    _told: AccountLook,
    books: web::Data<Books>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (journal, id) = (journal_of(&caller.tenant), id.into_inner());
    let history = books.platform.history.clone();
    let found =
        books.platform.db.of(journal.0).read(move |conn| accounts::accounts(conn, &history, journal, &[id])).await?;
    let current = found.into_iter().next().ok_or_else(not_found)?;
    let assets = books.assets(caller.tenant.id).await?;
    Ok(HttpResponse::Ok().json(AccountBody::of(&current, &assets)))
}

/// Which accounts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccountsQuery {
    /// Only this owner's.
    owner: Option<Uuid>,
    /// Only of this asset.
    asset: Option<String>,
    /// `next_cursor` of the page before; none for the first page.
    cursor: Option<String>,
    /// Accounts per page, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
}

/// Lists accounts, oldest first. Whoever of the staff asks for a customer's looks at them, who is told.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), params(AccountsQuery), responses(
    (status = 200, body = Page<AccountBody>),
))]
#[get("/v1/ledger/accounts", wrap = "May(Scope::LedgerRead)")]
async fn list_accounts(
    caller: Caller,
    books: web::Data<Books>,
    query: web::Query<AccountsQuery>,
) -> Result<HttpResponse, Problem> {
    let AccountsQuery { owner, asset, cursor, limit } = query.into_inner();
    let limit = PageQuery { cursor: None, limit }.limit()?;
    let (tenant, journal) = (&caller.tenant, journal_of(&caller.tenant));
    if let Some(owner) = owner {
        look_at_owner(&books.platform, &caller, owner).await?;
    }
    let assets = books.assets(tenant.id).await?;
    let listing = format!("ledger-accounts/{owner:?}/{asset:?}");
    let after = cursor.map(|cursor| Cursor::<1>::decode(&tenant.secret, &listing, &cursor)).transpose()?;
    let asset = match asset {
        None => None,
        Some(code) => match assets.by_code(&code) {
            Some(asset) => Some(asset.id),
            None => return Ok(HttpResponse::Ok().json(Page::cut(Vec::<AccountBody>::new(), limit, |_| String::new()))),
        },
    };
    let (filter, after) = (Filter { owner, asset }, after.map_or(0, |Cursor([after])| after));
    let rows = i64::from(limit).saturating_add(1);
    let history = books.platform.history.clone();
    let found = books
        .platform
        .db
        .of(journal.0)
        .read(move |conn| accounts::page(conn, &history, journal, filter, after, rows))
        .await?;
    let page = Page::cut(found, limit, |current| Cursor([current.account.id.0]).encode(&tenant.secret, &listing));
    let items = page.items.iter().map(|current| AccountBody::of(current, &assets)).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor, has_more: page.has_more }))
}

/// A posting as one account sees it.
#[derive(Debug, Serialize, ToSchema)]
struct LedgerEntry {
    /// The record it belongs to.
    seq: i64,
    /// The transfer inside it.
    leg: i32,
    /// The transaction's id.
    transaction: Uuid,
    /// Plus what came, minus what went.
    change: Money,
    /// The balance after it.
    balance: Money,
    /// This account's entries so far, this one counted.
    version: i64,
    /// The other account.
    other: Uuid,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// When it counts.
    effective_at: DateTime<Utc>,
    /// What came with the transaction.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    meta: Option<serde_json::Value>,
}

/// Tells an account's entries, newest first. Balances follow from line to line, and across pages while others write.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), params(PageQuery), responses(
    (status = 200, body = Page<LedgerEntry>),
))]
#[get("/v1/ledger/accounts/{id}/entries", wrap = "May(Scope::LedgerRead)")]
async fn list_entries(
    caller: Caller,
    _told: AccountLook,
    books: web::Data<Books>,
    id: web::Path<Uuid>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let (limit, tenant, journal, id) = (query.limit()?, &caller.tenant, journal_of(&caller.tenant), id.into_inner());
    let listing = format!("ledger-entries/{id}");
    let before = query.cursor.as_ref().map(|cursor| Cursor::<2>::decode(&tenant.secret, &listing, cursor));
    let before = before.transpose()?.map(place_of);
    let rows = usize::from(limit).saturating_add(1);
    let history = books.platform.history.clone();
    let assets = books.assets(tenant.id).await?;
    let (asset, ledger::read::Entries { entries, away }) = books
        .platform
        .db
        .of(journal.0)
        .read(move |conn| -> Result<_, Problem> {
            let found = ledger::read::balances(conn, &history, journal, &[id])?;
            let account = found.into_iter().next().ok_or_else(not_found)?;
            let entries = ledger::read::statement_of(conn, &history, journal, account.account, before, rows)?;
            Ok((account.asset, entries))
        })
        .await?;
    let page = Page::cut_short(entries, limit, away.is_some(), |entry| {
        cursor_at(entry.place()).encode(&tenant.secret, &listing)
    });
    let code = assets.code(asset);
    let items: Vec<LedgerEntry> = page.items.into_iter().map(|entry| entry_body(entry, code)).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor, has_more: page.has_more }))
}

fn entry_body(entry: ledger::read::Entry, code: &str) -> LedgerEntry {
    LedgerEntry {
        seq: entry.seq,
        leg: entry.leg,
        transaction: entry.transaction,
        change: Money::new(entry.change, code),
        balance: Money::new(entry.balance, code),
        version: entry.version,
        other: entry.other,
        recorded_at: moment(entry.recorded_us),
        effective_at: moment(entry.effective_us),
        meta: meta(&entry.meta),
    }
}

/// Where the page before ended. We wrote it from a row's own leg: it fits.
fn place_of(Cursor([seq, leg]): Cursor<2>) -> ledger::Place {
    ledger::Place { seq, leg: i32::try_from(leg).unwrap_or(i32::MAX) }
}

fn cursor_at(place: ledger::Place) -> Cursor<2> {
    Cursor([place.seq, place.leg.into()])
}

/// What all accounts of an asset hold together.
#[derive(Debug, Serialize, ToSchema)]
struct TotalBody {
    /// Of which asset.
    #[schema(example = "EUR")]
    asset: String,
    /// How many accounts.
    accounts: i64,
    /// The sum of the balances above zero.
    above_zero: String,
    /// The sum of those below zero. Together they are zero.
    below_zero: String,
    /// The sum of what holds have set aside.
    held: String,
}

/// The totals of every asset.
#[derive(Debug, Serialize, ToSchema)]
struct TotalsBody {
    /// Of each asset that has an account.
    totals: Vec<TotalBody>,
}

/// Adds up all accounts, by asset. It reads every account: ask seldom.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), responses(
    (status = 200, body = TotalsBody),
))]
#[get("/v1/ledger/totals", wrap = "May(Scope::LedgerRead)")]
async fn get_totals(caller: Caller, books: web::Data<Books>) -> Result<HttpResponse, Problem> {
    let journal = journal_of(&caller.tenant);
    let assets = books.assets(caller.tenant.id).await?;
    let totals = books.platform.db.of(journal.0).read(move |conn| accounts::totals(conn, journal)).await?;
    let body = |Total { asset, accounts, above_zero, below_zero, held }| TotalBody {
        asset: assets.code(asset).to_owned(),
        accounts,
        above_zero,
        below_zero,
        held,
    };
    Ok(HttpResponse::Ok().json(TotalsBody { totals: totals.into_iter().map(body).collect() }))
}
