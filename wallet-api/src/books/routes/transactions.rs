//! Transactions over HTTP: post one or many, look at one, list them.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use ledger::read::{self, ReadError, Window, records};
use ledger::{History, JournalId, Place, Record, StoreError};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::place_of;
use crate::books::Books;
use crate::books::ask::{Asker, BatchBody};
use crate::books::body::{RecordBody, TransactionBody, TransactionSince};
use crate::books::model::{Asked, schema};
use crate::platform::books::journal_of;
use crate::platform::http::{Cursor, IdempotencyKey, JsonBytes, Page, PageQuery, not_found, read_json};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;
use crate::platform::text::Lang;
use crate::profile::look_at_accounts;

/// Bytes of a body with transactions: a thousand of twenty transfers each.
const BODY: usize = 4 * 1024 * 1024;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(post_transactions).service(list_transactions).service(get_transaction);
}

/// Posts a transaction, or up to a thousand.
///
/// One is asked for under the request's Idempotency-Key, which is its id if it is a UUID, and answered 201. Of several
/// each has an `id` of its own, which is its Idempotency-Key: `independent` ones are each answered by themselves, with
/// 200 whatever becomes of them; `atomic` ones are posted together, 201, or not at all: 422 `batch-refused` with the item
/// and the reason. Whatever was asked under a key or id before is answered again as it was, and changes nothing.
#[utoipa::path(tag = "ledger", request_body = inline(schema::NewTransactions), security(("key" = ["ledger:write"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "For one transaction: a new UUID for each")), responses(
    (status = 201, body = TransactionBody),
    (status = 200, body = BatchBody),
))]
#[post("/v1/ledger/transactions", wrap = "May(Scope::LedgerWrite)")]
async fn post_transactions(
    caller: Caller,
    lang: Lang,
    req: HttpRequest,
    books: web::Data<Books>,
    body: JsonBytes<BODY>,
) -> Result<HttpResponse, Problem> {
    let asked: Asked<'_> = read_json(&body)?;
    let key = IdempotencyKey::from_request(&req, &mut Payload::None).into_inner();
    books.post(&Asker { caller: &caller, lang }, key, &asked).await
}

/// Tells of a transaction: as it was answered, and what has been captured, given back or moved back of it since.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])),
    params(("seq" = i64, Path, description = "Its place in the books")), responses(
    (status = 200, body = TransactionSince),
))]
#[get("/v1/ledger/transactions/{seq}", wrap = "May(Scope::LedgerRead)")]
async fn get_transaction(
    caller: Caller,
    books: web::Data<Books>,
    seq: web::Path<i64>,
) -> Result<HttpResponse, Problem> {
    let (journal, seq) = (journal_of(&caller.tenant), seq.into_inner());
    let ask = move |conn: &mut PgConnection| -> Result<_, StoreError> {
        let Some(record) = read::record(conn, journal, seq)? else { return Ok(None) };
        Ok(Some((record, read::links(conn, journal, &[seq])?)))
    };
    let (record, links) = books.platform.db.of(journal.0).read(ask).await?.ok_or_else(not_found)?;
    let assets = books.assets(caller.tenant.id).await?;
    Ok(HttpResponse::Ok().json(TransactionSince::of(&record, &links, &assets).ok_or_else(not_found)?))
}

/// Which kind of record to list.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum KindAsked {
    /// What was posted.
    Transaction,
    /// What was refused.
    Refused,
    /// Every record.
    Any,
}

/// Which records to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TransactionsQuery {
    /// Which kind of record: `transaction` when absent, `refused`, or `any`.
    #[param(inline)]
    kind: Option<KindAsked>,
    /// Only those that moved something on this account. What was refused moved nothing.
    account: Option<Uuid>,
    /// What was recorded from this moment on; absent, from the beginning.
    recorded_from: Option<DateTime<Utc>>,
    /// And before this one; absent, up to now.
    recorded_to: Option<DateTime<Utc>>,
    /// `next_cursor` of the page before; none for the newest.
    cursor: Option<String>,
    /// Records per page, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
}

/// The numbers of [`ledger::Body::kind`].
const TRANSACTION: i32 = 1;
const REFUSED: i32 = 4;

/// Lists transactions, newest first. A page of a rare kind may have fewer than `limit` and still more to come. Whoever of the staff
/// asks for those of a customer's account looks at them, who is told.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), params(TransactionsQuery), responses(
    (status = 200, body = Page<RecordBody>),
))]
#[get("/v1/ledger/transactions", wrap = "May(Scope::LedgerRead)")]
async fn list_transactions(
    caller: Caller,
    books: web::Data<Books>,
    query: web::Query<TransactionsQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.into_inner();
    let limit = PageQuery { cursor: None, limit: query.limit }.limit()?;
    let (tenant, journal, kind) = (&caller.tenant, journal_of(&caller.tenant), query.kind()?);
    let listing = query.listing(kind);
    let before = query.cursor.as_deref();
    let before = before.map(|cursor| Cursor::<2>::decode(&tenant.secret, &listing, cursor)).transpose()?;
    look_at_accounts(&books.platform, &caller, query.account.into_iter().collect()).await?;
    let (history, limit) = (books.platform.history.clone(), usize::from(limit));
    let work = move |conn: &mut diesel::PgConnection| -> Result<_, Problem> {
        let window = query.window(conn, journal)?;
        if let Some(account) = query.account {
            let page = EntriesBefore { window, before: before.map(place_of), limit };
            return of_account(conn, &history, journal, account, page);
        }
        let before = before.map(|Cursor([before, _])| before);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (found, next) = records::before(conn, journal, window, before, kind, limit)?;
        Ok((found, next.map(|seq| [seq, seq])))
    };
    let (found, next) = books.platform.db.of(journal.0).read(work).await?;
    let assets = books.assets(tenant.id).await?;
    let items: Vec<RecordBody<'_>> = found.iter().map(|record| RecordBody::of(record, &assets)).collect();
    let next_cursor = next.map(|next| Cursor(next).encode(&tenant.secret, &listing));
    let has_more = next_cursor.is_some();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor, has_more }))
}

impl TransactionsQuery {
    /// The number of the kind asked for; none for any.
    fn kind(&self) -> Result<Option<i32>, Problem> {
        match self.kind {
            None | Some(KindAsked::Transaction) => Ok(Some(TRANSACTION)),
            Some(KindAsked::Refused) if self.account.is_none() => Ok(Some(REFUSED)),
            Some(KindAsked::Refused) => Err(moved_nothing()),
            Some(KindAsked::Any) => Ok(None),
        }
    }

    /// What a cursor belongs to: it goes on in the list that it came from, and in no other.
    fn listing(&self, kind: Option<i32>) -> String {
        let Self { account, recorded_from: from, recorded_to: to, .. } = self;
        let all = format!("ledger-transactions/{kind:?}/{account:?}");
        if from.is_none() && to.is_none() { all } else { format!("{all}/{from:?}/{to:?}") }
    }

    /// Where the dates lie in the journal: a probe of an index each.
    fn window(&self, conn: &mut diesel::PgConnection, journal: JournalId) -> Result<Window, ReadError> {
        if self.recorded_from.is_none() && self.recorded_to.is_none() {
            return Ok(Window::ALL);
        }
        let from_us = self.recorded_from.map_or(i64::MIN, |at| at.timestamp_micros());
        read::window(conn, journal, from_us, self.recorded_to.map(|at| at.timestamp_micros()))
    }
}

/// The newest entries of a window before a row.
struct EntriesBefore {
    window: Window,
    before: Option<Place>,
    limit: usize,
}

/// The transactions of an account's newest entries before a row of its own. Several entries may be of one transaction:
/// that of the row itself was on the page before.
fn of_account(
    conn: &mut diesel::PgConnection,
    history: &History,
    journal: JournalId,
    account: Uuid,
    EntriesBefore { window, before, limit }: EntriesBefore,
) -> Result<(Vec<Record>, Option<[i64; 2]>), Problem> {
    let found = read::balances(conn, history, journal, &[account])?.into_iter().next().ok_or_else(not_found)?;
    let read::Entries { entries, away } =
        read::statement_within(conn, history, journal, found.account, window, before, limit)?;
    // A transaction that the page before ended in was told there.
    let told = before.map(|place| place.seq);
    let mut seqs: Vec<i64> = entries.iter().map(|entry| entry.seq).filter(|seq| Some(*seq) != told).collect();
    seqs.dedup();
    let last = entries.last().filter(|_| entries.len() == limit || away.is_some());
    let next = last.map(|entry| [entry.seq, entry.leg.into()]);
    Ok((records::at(conn, journal, &seqs)?, next))
}

fn moved_nothing() -> Problem {
    let remedy = "Check its path, query and headers against the documentation.";
    Problem::new(400, "request-malformed", "The request cannot be read", remedy)
}
