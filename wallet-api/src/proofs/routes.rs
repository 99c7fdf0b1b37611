//! Heads, proofs, receipts and keys over HTTP.

mod evidence;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::PgConnection;
use ledger::proof::{Hash, PublicKey, Receipt, SideOf, SignedHead};
use ledger::{JournalId, sealing};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::Proofs;
use crate::payments::{Payments, customer_accounts};
use crate::platform::Platform;
use crate::platform::books::journal_of;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::money::Money;
use crate::platform::problem::Problem;
use crate::platform::sealing::{HeadForm, public_key_line};
use crate::profile::look_at_accounts;

/// The media type of a receipt in its binary form.
const RECEIPT: &str = "application/vnd.tessera.receipt";
/// Accounts whose sides one receipt may open.
const ACCOUNTS: usize = 20;
/// Heads are signed at least this often while there is anything new.
const NEXT_HEAD_S: u32 = 1;

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(get_head).service(get_inclusion).service(get_consistency).service(get_receipt).service(get_keys);
    evidence::routes(config);
}

/// A record that is committed, and under no signed head yet.
#[derive(Debug, Serialize, ToSchema)]
struct NotSealedYet {
    /// When the next head is signed, at the latest, if all goes well.
    next_head_at: DateTime<Utc>,
}

/// That a record is in the log (RFC 9162, section 2.1.3).
#[derive(Debug, Serialize, ToSchema)]
struct InclusionBody {
    /// The record's place in the journal.
    seq: i64,
    /// Its place in the log, from 0.
    leaf_index: i64,
    /// The hash of its leaf.
    leaf: String,
    /// The hashes from the leaf to the root.
    path: Vec<String>,
    /// The head it leads to.
    head: HeadForm,
}

/// That a later log has an earlier one as its beginning (RFC 9162, section 2.1.4).
#[derive(Debug, Serialize, ToSchema)]
struct ConsistencyBody {
    /// The size of the earlier log.
    from: i64,
    /// The size of the later one.
    to: i64,
    /// The hashes that show it.
    path: Vec<String>,
}

/// A receipt, and what it opens.
#[derive(Debug, Serialize, ToSchema)]
struct ReceiptBody {
    /// The record's place in the journal.
    seq: i64,
    /// The transaction's id.
    id: Uuid,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// The sides it opens.
    sides: Vec<ReceiptSideBody>,
    /// The receipt itself, in base64: what `tessera proof check` reads.
    receipt: String,
}

/// One account's side of a transfer.
#[derive(Debug, Serialize, ToSchema)]
struct ReceiptSideBody {
    /// The account.
    account: Uuid,
    /// `debit` where value left it, `credit` where value reached it.
    #[schema(example = "debit")]
    side: &'static str,
    /// How much.
    amount: Money,
    /// The account's balance after it.
    balance: Money,
    /// The account's version after it.
    version: i64,
}

/// The keys that sign the log.
#[derive(Debug, Serialize, ToSchema)]
struct KeysBody {
    /// Every key that signed, or will.
    keys: Vec<KeyBody>,
    /// The heads that signed from one key over to the next, oldest first: who trusts the first may trust the last.
    rotations: Vec<HeadForm>,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
struct KeyBody {
    /// What names it in heads.
    id: String,
    /// The key as `tessera proof check --key` reads it from a file.
    line: String,
    /// Whether it signs now.
    current: bool,
}

/// Under which head to prove.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct UnderHead {
    /// The size of a signed head; without it the first that covers the record, so that the same question has the same
    /// answer for ever.
    #[param(minimum = 1)]
    size: Option<i64>,
}

/// What to open, and under which head.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReceiptQuery {
    /// The account whose sides are opened; several with commas between, at most 20. Wants `ledger:read` too.
    #[param(value_type = Option<String>, example = "00000000-0000-8000-8000-000000000001")]
    account: Option<String>,
    /// The customer whose accounts' sides are opened, whichever they are.
    customer: Option<Uuid>,
    /// The size of a signed head; without it the first that covers the record.
    #[param(minimum = 1)]
    size: Option<i64>,
}

/// Between which two sizes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Sizes {
    /// The size of the earlier log, at least 1, which it is without it.
    #[param(minimum = 1)]
    from: Option<i64>,
    /// The size of the later one; without it, that of the last head.
    #[param(minimum = 1)]
    to: Option<i64>,
}

/// Tells a signed head of the log: the last one, or the one of a size.
#[utoipa::path(tag = "proofs", security(("key" = ["payments:read"])),
    params(("size" = String, Path, description = "`latest`, or how many records it covers", example = "latest",
        pattern = "^(latest|[1-9][0-9]{0,17})$")), responses(
    (status = 200, body = HeadForm),
))]
#[get("/v1/ledger/heads/{size}", wrap = "May(Scope::PaymentsRead)")]
async fn get_head(
    caller: Caller,
    platform: web::Data<Platform>,
    size: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let journal = journal_of(&caller.tenant);
    let size = if size.as_str() == "latest" { None } else { Some(size.parse::<i64>().map_err(|_none| no_head())?) };
    let ask = move |conn: &mut PgConnection| match size {
        None => sealing::last_head(conn, journal),
        Some(size) => sealing::head_at(conn, journal, size),
    };
    let head = platform.db.of(journal.0).read(ask).await?.ok_or_else(no_head)?;
    Ok(HttpResponse::Ok().json(HeadForm::from(&head)))
}

/// Proves that a record is in the log.
///
/// 202 says that it is committed and under no signed head yet: ask again when the answer says.
#[utoipa::path(tag = "proofs", security(("key" = ["payments:read"])), params(UnderHead,
    ("seq" = i64, Path, description = "The record's place in the journal", minimum = 1, example = 1)), responses(
    (status = 200, body = InclusionBody),
    (status = 202, body = NotSealedYet, description = "Committed, and not sealed yet"),
))]
#[get("/v1/ledger/proofs/inclusion/{seq}", wrap = "May(Scope::PaymentsRead)")]
async fn get_inclusion(
    caller: Caller,
    platform: web::Data<Platform>,
    seq: web::Path<i64>,
    query: web::Query<UnderHead>,
) -> Result<HttpResponse, Problem> {
    let (journal, seq, size) = (journal_of(&caller.tenant), seq.into_inner(), query.size);
    let ask = move |conn: &mut PgConnection| -> Result<_, Problem> {
        let Some(head) = head_for(conn, journal, seq, size)? else { return Ok(None) };
        Ok(Some(sealing::inclusion(conn, seq, head)?))
    };
    let Some(proof) = platform.db.of(journal.0).read(ask).await? else { return Ok(not_sealed_yet(&platform)) };
    Ok(HttpResponse::Ok().json(InclusionBody {
        seq,
        leaf_index: seq.saturating_sub(1),
        leaf: proof.leaf.to_string(),
        path: hex(&proof.path),
        head: HeadForm::from(&proof.head),
    }))
}

/// Proves that the log of one size is the beginning of that of another.
#[utoipa::path(tag = "proofs", security(("key" = ["payments:read"])), params(Sizes), responses(
    (status = 200, body = ConsistencyBody),
))]
#[get("/v1/ledger/proofs/consistency", wrap = "May(Scope::PaymentsRead)")]
async fn get_consistency(
    caller: Caller,
    platform: web::Data<Platform>,
    query: web::Query<Sizes>,
) -> Result<HttpResponse, Problem> {
    let (journal, Sizes { from, to }) = (journal_of(&caller.tenant), query.into_inner());
    let from = from.unwrap_or(1);
    let ask = move |conn: &mut PgConnection| -> Result<_, Problem> {
        let last = sealing::last_head(conn, journal)?.ok_or_else(no_head)?.head.size;
        let to = to.unwrap_or(last);
        if from < 1 || from > to || to > last {
            let detail = format!("Ask from 1 up to {last}, the size of the last head, and not backwards.");
            return Err(Problem::new(422, "sizes-invalid", "No log has these sizes", detail).with("last", last));
        }
        Ok((to, sealing::consistency(conn, journal, from, to)?))
    };
    let (to, path) = platform.db.of(journal.0).read(ask).await?;
    Ok(HttpResponse::Ok().json(ConsistencyBody { from, to, path: hex(&path) }))
}

/// Gives a receipt of a record: that it is in the log, and what it says of one's own accounts.
///
/// Binary, for keeping, unless JSON is asked for by `Accept`. It shows no other account's side. Same question, same bytes. Whoever
/// of the staff asks for a customer's looks at them, who is told.
#[utoipa::path(tag = "proofs", security(("key" = ["payments:read"])), params(ReceiptQuery,
    ("seq" = i64, Path, description = "The record's place in the journal", minimum = 1, example = 1)), responses(
    (status = 200, content((ReceiptBody = "application/json"), (Vec<u8> = "application/vnd.tessera.receipt"))),
    (status = 202, body = NotSealedYet, description = "Committed, and not sealed yet"),
))]
#[get("/v1/ledger/receipts/{seq}", wrap = "May(Scope::PaymentsRead)")]
async fn get_receipt(
    caller: Caller,
    req: HttpRequest,
    payments: web::Data<Payments>,
    proofs: web::Data<Proofs>,
    seq: web::Path<i64>,
    query: web::Query<ReceiptQuery>,
) -> Result<HttpResponse, Problem> {
    let (journal, seq, size) = (journal_of(&caller.tenant), seq.into_inner(), query.size);
    let mut accounts = accounts(query.account.as_deref().unwrap_or_default())?;
    if !accounts.is_empty() {
        // What an account of the books holds is told to whoever may read the books.
        caller.require(Scope::LedgerRead)?;
    }
    look_at_accounts(&payments.platform, &caller, accounts.clone()).await?;
    if let Some(customer) = query.customer {
        payments.customers.look(&payments.platform, &caller, Scope::PaymentsRead, customer, "receipt").await?;
        accounts.extend(customer_accounts(&payments, &caller, customer).await?);
    }
    let ring = proofs.keys.as_ref().ok_or_else(no_secret)?.ring();
    let ask = move |conn: &mut PgConnection| -> Result<_, Problem> {
        let Some(head) = head_for(conn, journal, seq, size)? else { return Ok(None) };
        let receipt = sealing::receipt(conn, &ring.salts, seq, &accounts, head)?;
        receipt.map(Some).ok_or_else(no_secret)
    };
    let platform = &payments.platform;
    let Some(receipt) = platform.db.of(journal.0).read(ask).await? else { return Ok(not_sealed_yet(platform)) };
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::VARY, "accept"));
    if wants_json(&req) {
        return Ok(answer.json(ReceiptBody::of(&receipt)));
    }
    Ok(answer.insert_header((header::CONTENT_TYPE, RECEIPT)).body(receipt.to_bytes()))
}

/// Tells the keys that sign the log, and how one was signed over to the next.
///
/// A key that comes from the same hand as what it signs proves little: compare it once with what was given to you elsewhere.
#[utoipa::path(tag = "proofs", security(("key" = ["payments:read"])), responses(
    (status = 200, body = KeysBody),
))]
#[get("/v1/ledger/keys", wrap = "May(Scope::PaymentsRead)")]
async fn get_keys(caller: Caller, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    let journal = journal_of(&caller.tenant);
    let ask = move |conn: &mut PgConnection| {
        let (keys, rotations) = (sealing::public_keys(conn, journal)?, sealing::rotations(conn, journal)?);
        Ok::<_, ledger::StoreError>((keys, rotations, sealing::last_head(conn, journal)?))
    };
    let (keys, rotations, last) = platform.db.of(journal.0).read(ask).await?;
    let current = last.map(|last| last.head.signs_on());
    let body = |key: &PublicKey| KeyBody {
        id: key.id().to_string(),
        line: public_key_line(key),
        current: Some(key.id()) == current,
    };
    Ok(HttpResponse::Ok().json(KeysBody {
        keys: keys.iter().map(body).collect(),
        rotations: rotations.iter().map(HeadForm::from).collect(),
    }))
}

impl ReceiptBody {
    fn of(receipt: &Receipt) -> Self {
        let side = |side: &ledger::proof::SideFacts<'_>| ReceiptSideBody {
            account: side.account,
            side: match side.side {
                SideOf::Debit => "debit",
                SideOf::Credit => "credit",
            },
            amount: Money::new(side.amount, side.asset.as_ref()),
            balance: Money::new(side.balance, side.asset.as_ref()),
            version: side.version,
        };
        let ledger::proof::Header { seq, id, recorded_us, .. } = receipt.leaf.header;
        Self {
            seq,
            id,
            recorded_at: DateTime::from_timestamp_micros(recorded_us).unwrap_or_default(),
            sides: receipt.opened.iter().map(|opened| side(&opened.side)).collect(),
            receipt: STANDARD.encode(receipt.to_bytes()),
        }
    }
}

/// The head to prove a record under; none while there is none.
fn head_for(
    conn: &mut PgConnection,
    journal: JournalId,
    seq: i64,
    size: Option<i64>,
) -> Result<Option<SignedHead>, Problem> {
    let last = ledger::read::head(conn, journal)?.map_or(0, |head| head.seq);
    if !(1..=last).contains(&seq) {
        let detail = "Nothing was ever recorded under this seq: check it.";
        return Err(Problem::new(404, "record-unknown", "There is no such record", detail));
    }
    match size {
        None => Ok(sealing::covering_head(conn, journal, seq)?),
        Some(size) if size < seq => Err(no_head()),
        Some(size) => Ok(Some(sealing::head_at(conn, journal, size)?.ok_or_else(no_head)?)),
    }
}

fn accounts(list: &str) -> Result<Vec<Uuid>, Problem> {
    let all: Result<Vec<Uuid>, _> = list.split(',').filter(|one| !one.is_empty()).map(str::parse).collect();
    all.ok().filter(|all| all.len() <= ACCOUNTS).ok_or_else(|| {
        let detail = format!("Give up to {ACCOUNTS} ids of accounts, with commas between.");
        let most = i64::try_from(ACCOUNTS).unwrap_or(i64::MAX);
        Problem::new(422, "accounts-invalid", "These are no accounts", detail).with("most", most)
    })
}

fn wants_json(req: &HttpRequest) -> bool {
    let accept = req.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains(RECEIPT)
}

fn not_sealed_yet(platform: &Platform) -> HttpResponse {
    let now = platform.clock.now();
    let next_head_at = now.checked_add_signed(TimeDelta::seconds(i64::from(NEXT_HEAD_S))).unwrap_or(now);
    let mut answer = HttpResponse::Accepted();
    answer.insert_header((header::RETRY_AFTER, NEXT_HEAD_S.to_string())).json(NotSealedYet { next_head_at })
}

fn no_head() -> Problem {
    Problem::new(404, "head-unknown", "There is no such head", "Ask for the latest, or for a size that was signed.")
}

fn no_secret() -> Problem {
    let detail = "This node lacks the secret that opens it; another one has it, or the operator's backup.";
    Problem::new(503, "receipt-unavailable", "This node cannot open a receipt", detail).retry_after(5)
}

fn hex(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(ToString::to_string).collect()
}
