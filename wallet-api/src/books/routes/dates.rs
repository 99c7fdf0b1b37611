//! Time over HTTP: a balance at any seq or date, trial balances, statements of a window.
//!
//! Two axes. *Recorded*: what the books said then; it never changes. *Effective*: what counted then, as far as it is
//! recorded by now; a backdated transaction changes it.

use actix_web::{HttpResponse, get, web};
use chrono::{DateTime, Utc};
use ledger::read::{self, At, ReadError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{LedgerEntry, cursor_at, entry_body, place_of};
use crate::books::Books;
use crate::platform::books::journal_of;
use crate::platform::db::DbError;
use crate::platform::fields::field;
use crate::platform::http::{Cursor, Page, PageQuery, not_found};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::money::Money;
use crate::platform::problem::{Describe, Problem};
use crate::profile::AccountLook;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(get_balance).service(get_trial_balance).service(get_account_statement);
}

impl Describe for ReadError {
    fn describe(&self) -> Problem {
        match self {
            Self::Store(error) => error.describe(),
            Self::UnknownJournal(_) | Self::UnknownAccount(_) => not_found(),
            Self::Deadline => DbError::Deadline.describe(),
        }
    }
}

/// At which time: one of these, or none for now.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Moment {
    /// After the record of this seq, and before the next.
    #[param(minimum = 0)]
    seq: Option<i64>,
    /// After everything that was recorded up to this moment.
    recorded_at: Option<DateTime<Utc>>,
    /// After everything that counts up to this moment, as far as it is recorded by now.
    effective_at: Option<DateTime<Utc>>,
}

impl Moment {
    fn at(self) -> Result<At, Problem> {
        match (self.seq, self.recorded_at, self.effective_at) {
            (None, None, None) => Ok(At::Now),
            (Some(seq), None, None) if seq >= 0 => Ok(At::Seq(seq)),
            (None, Some(at), None) => Ok(At::Recorded(at.timestamp_micros())),
            (None, None, Some(at)) => Ok(At::Effective(at.timestamp_micros())),
            _ => Err(field("/seq", "Say one of seq (zero or more), recorded_at and effective_at, or none.")),
        }
    }
}

/// A balance at some time.
#[derive(Debug, Serialize, ToSchema)]
struct BalanceAtBody {
    /// Whose.
    account: Uuid,
    /// How much: zero before the first entry.
    balance: Money,
    /// Up to which seq the journal was looked at.
    seq: i64,
}

/// Tells an account's balance at some time: zero before its first entry, 404 for an account that does not exist.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), params(Moment), responses(
    (status = 200, body = BalanceAtBody),
))]
#[get("/v1/ledger/accounts/{id}/balance", wrap = "May(Scope::LedgerRead)")]
async fn get_balance(
    caller: Caller,
    _told: AccountLook,
    books: web::Data<Books>,
    id: web::Path<Uuid>,
    moment: web::Query<Moment>,
) -> Result<HttpResponse, Problem> {
    let (journal, account, at) = (journal_of(&caller.tenant), id.into_inner(), moment.at()?);
    let history = books.platform.history.clone();
    let found = books
        .platform
        .db
        .of(journal.0)
        .read(move |conn| read::balance_at(conn, &history, journal, account, at))
        .await?;
    let assets = books.assets(caller.tenant.id).await?;
    let balance = Money::new(found.balance, assets.code(found.asset));
    Ok(HttpResponse::Ok().json(BalanceAtBody { account, balance, seq: found.seq }))
}

/// All accounts at some time, by asset.
#[derive(Debug, Serialize, ToSchema)]
struct TrialBalanceBody {
    /// Up to which seq the journal was looked at.
    seq: i64,
    /// Of each asset that has an account.
    assets: Vec<AssetTotalBody>,
}

/// One asset's accounts together, in minor units.
#[derive(Debug, Serialize, ToSchema)]
struct AssetTotalBody {
    /// Of which asset.
    #[schema(example = "EUR")]
    asset: String,
    /// Accounts there were.
    accounts: u64,
    /// Balances below zero, summed, without the sign.
    debits: String,
    /// Balances above zero, summed.
    credits: String,
    /// True: both sums are the same.
    balanced: bool,
}

/// Adds up all accounts at some time, by asset. It reads every account: ask seldom.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), params(Moment), responses(
    (status = 200, body = TrialBalanceBody),
))]
#[get("/v1/ledger/trial-balance", wrap = "May(Scope::LedgerRead)")]
async fn get_trial_balance(
    caller: Caller,
    books: web::Data<Books>,
    moment: web::Query<Moment>,
) -> Result<HttpResponse, Problem> {
    let (journal, at, history) = (journal_of(&caller.tenant), moment.at()?, books.platform.history.clone());
    let found = books
        .platform
        .db
        .of(journal.0)
        .read_long(move |conn, until| read::trial_balance(conn, &history, journal, at, until))
        .await?;
    let assets = books.assets(caller.tenant.id).await?;
    let total = |(asset, total): &(ledger::AssetId, read::AssetTotal)| AssetTotalBody {
        asset: assets.code(*asset).to_owned(),
        accounts: total.accounts,
        debits: total.debits.to_string(),
        credits: total.credits.to_string(),
        balanced: total.is_balanced(),
    };
    let body = TrialBalanceBody { seq: found.seq, assets: found.assets.iter().map(total).collect() };
    Ok(HttpResponse::Ok().json(body))
}

/// Which statement, and which page of it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatementQuery {
    /// What was recorded from this moment on; absent, from the beginning.
    from: Option<DateTime<Utc>>,
    /// And before this one; absent, up to now.
    until: Option<DateTime<Utc>>,
    /// `next_cursor` of the page before, with the same account: the window stays what it was, whatever is written meanwhile.
    cursor: Option<String>,
    /// Entries per page, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
}

/// A page of a statement.
#[derive(Debug, Serialize, ToSchema)]
struct StatementBody {
    /// Whose.
    account: Uuid,
    /// The balance before the window.
    opening: Money,
    /// The balance at its end: opening and the changes of all pages add up to it.
    closing: Money,
    /// The last seq before the window, and its last.
    window: [i64; 2],
    /// Newest first.
    entries: Page<LedgerEntry>,
}

/// An account's statement: what was recorded in a window, with opening and closing balance.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), params(StatementQuery), responses(
    (status = 200, body = StatementBody),
))]
#[get("/v1/ledger/accounts/{id}/statement", wrap = "May(Scope::LedgerRead)")]
async fn get_account_statement(
    caller: Caller,
    _told: AccountLook,
    books: web::Data<Books>,
    id: web::Path<Uuid>,
    query: web::Query<StatementQuery>,
) -> Result<HttpResponse, Problem> {
    let StatementQuery { from, until, cursor, limit } = query.into_inner();
    let limit = PageQuery { cursor: None, limit }.limit()?;
    let (tenant, journal, account) = (&caller.tenant, journal_of(&caller.tenant), id.into_inner());
    let listing = format!("ledger-statement/{account}");
    let cursor = cursor.map(|cursor| Cursor::<4>::decode(&tenant.secret, &listing, &cursor)).transpose()?;
    let (from_us, until_us) =
        (from.map_or(i64::MIN, |at| at.timestamp_micros()), until.map(|at| at.timestamp_micros()));
    let (history, size) = (books.platform.history.clone(), usize::from(limit));
    let (window, page) = books
        .platform
        .db
        .of(journal.0)
        .read(move |conn| -> Result<_, ReadError> {
            let (window, before) = match cursor {
                Some(Cursor([after, upto, seq, leg])) => {
                    (read::Window { after, upto }, Some(place_of(Cursor([seq, leg]))))
                }
                None => (read::window(conn, journal, from_us, until_us)?, None),
            };
            Ok((window, read::statement(conn, &history, journal, account, window, before, size)?))
        })
        .await?;
    let assets = books.assets(tenant.id).await?;
    let code = assets.code(page.asset);
    let last = page.entries.last().filter(|_| page.has_more).map(|entry| cursor_at(entry.place()));
    let next_cursor =
        last.map(|Cursor([seq, leg])| Cursor([window.after, window.upto, seq, leg]).encode(&tenant.secret, &listing));
    let items = page.entries.into_iter().map(|entry| entry_body(entry, code)).collect();
    Ok(HttpResponse::Ok().json(StatementBody {
        account,
        opening: Money::new(page.opening, code),
        closing: Money::new(page.closing, code),
        window: [window.after, window.upto],
        entries: Page { items, next_cursor, has_more: page.has_more },
    }))
}
