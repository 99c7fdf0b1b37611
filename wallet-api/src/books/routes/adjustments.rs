//! Adjustments over HTTP: proposed by one client, approved or rejected by another.

use actix_web::http::Method;
use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::super::Books;
use super::super::adjustments::{Adjustment, Filter, Reason, Status, Transfer, WORDS, Wish};
use crate::platform::fields::text;
use crate::platform::http::{Cursor, IdempotencyKey, Json, Page, PageQuery, fingerprint, not_found};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(propose_adjustment).service(list_adjustments).service(get_adjustment);
    config.service(approve_adjustment).service(reject_adjustment);
}

/// A correction to propose.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAdjustment {
    /// Why.
    reason: Reason,
    /// Why, in words: 1 to 500 characters. They stay out of the books, which have a commitment to them.
    #[schema(
        min_length = 1,
        max_length = 500,
        example = "Order 1042 was captured twice",
        pattern = r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$"
    )]
    text: String,
    /// What to move, 1 to 100 transfers, all or none.
    #[schema(min_items = 1, max_items = 100)]
    transfers: Vec<Transfer>,
    /// When it counts; absent is when it is posted.
    #[serde(default)]
    effective_at: Option<DateTime<Utc>>,
    /// How long it waits for approval: a minute to thirty days; a week when absent.
    #[serde(default)]
    #[schema(minimum = 60, maximum = 2_592_000)]
    expires_in_seconds: Option<i64>,
}

/// A correction by hand.
#[derive(Debug, Serialize, ToSchema)]
struct AdjustmentBody {
    /// Its id, and that of its transaction.
    id: Uuid,
    /// `proposed`, `expired`, `rejected`, `approved` (and not known to be posted: approve it again), `posted`, `refused`
    /// (approved, and the books refused it, for ever).
    #[schema(example = "proposed")]
    status: &'static str,
    /// Why.
    reason: Reason,
    /// Why, in words.
    text: String,
    /// What moves.
    transfers: Vec<Transfer>,
    /// When it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    effective_at: Option<DateTime<Utc>>,
    /// The client that proposed it.
    proposed_by: i64,
    /// When.
    proposed_at: DateTime<Utc>,
    /// From when on nobody can decide it any more.
    expires_at: DateTime<Utc>,
    /// The client that approved or rejected it.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<i64>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_at: Option<DateTime<Utc>>,
    /// Why it was rejected, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<String>,
    /// The record it came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    /// Why the books refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

impl AdjustmentBody {
    fn of(it: Adjustment, now: DateTime<Utc>) -> Self {
        let expired = it.status == Status::Proposed && it.expires_at <= now;
        Self {
            id: it.id,
            status: if expired { "expired" } else { it.status.word() },
            reason: it.reason,
            text: it.words,
            transfers: it.transfers,
            effective_at: it.effective_at,
            proposed_by: it.proposed_by,
            proposed_at: it.proposed_at,
            expires_at: it.expires_at,
            decided_by: it.decided_by,
            decided_at: it.decided_at,
            decision: it.decision,
            seq: it.seq,
            code: it.code,
        }
    }
}

/// Proposes a correction of the books. Nothing moves until another client approves it.
#[utoipa::path(tag = "ledger", request_body = NewAdjustment, security(("key" = ["ledger:adjust"])),
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "A new UUID for each proposal")), responses(
    (status = 201, body = AdjustmentBody),
))]
#[post("/v1/ledger/adjustments", wrap = "May(Scope::LedgerAdjust)")]
async fn propose_adjustment(
    caller: Caller,
    key: IdempotencyKey,
    books: web::Data<Books>,
    body: Json<NewAdjustment>,
) -> Result<HttpResponse, Problem> {
    let print = fingerprint(&caller.tenant.secret, &Method::POST, "/v1/ledger/adjustments", &body.canonical());
    let NewAdjustment { reason, text: words, transfers, effective_at, expires_in_seconds } = body.into_inner();
    let words = text(words, "/text", WORDS)?;
    let wish = Wish { reason, words, transfers, effective_at, expires_in_seconds };
    let (proposed, replayed) = books.propose(&caller, &key, Uuid::from_bytes(print), wish).await?;
    let mut response = HttpResponse::Created();
    if replayed {
        response.insert_header(("idempotent-replayed", "true"));
    }
    Ok(response.json(AdjustmentBody::of(proposed, books.platform.clock.now())))
}

/// How far an adjustment is, as it is asked for.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StatusAsked {
    /// Nobody has decided, and there is time.
    Proposed,
    /// Nobody has decided in time.
    Expired,
    /// Approved, and not known to be posted.
    Approved,
    /// Rejected.
    Rejected,
    /// In the books.
    Posted,
    /// Approved, and refused by the books.
    Refused,
}

/// Which adjustments to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AdjustmentsQuery {
    /// Only those that are so far.
    #[param(inline)]
    status: Option<StatusAsked>,
    /// Only those for this reason.
    #[param(inline)]
    reason: Option<Reason>,
    /// `next_cursor` of the page before; none for the first page.
    cursor: Option<String>,
    /// Adjustments per page, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
}

/// Lists adjustments, newest first.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), params(AdjustmentsQuery), responses(
    (status = 200, body = Page<AdjustmentBody>),
))]
#[get("/v1/ledger/adjustments", wrap = "May(Scope::LedgerRead)")]
async fn list_adjustments(
    caller: Caller,
    books: web::Data<Books>,
    query: web::Query<AdjustmentsQuery>,
) -> Result<HttpResponse, Problem> {
    let AdjustmentsQuery { status, reason, cursor, limit } = query.into_inner();
    let limit = PageQuery { cursor: None, limit }.limit()?;
    let (secret, now) = (&caller.tenant.secret, books.platform.clock.now());
    let listing = format!("ledger-adjustments/{status:?}/{reason:?}");
    let before = cursor.map(|cursor| Cursor::<3>::decode(secret, &listing, &cursor)).transpose()?;
    let (status, expired) = match status {
        None => (None, None),
        Some(StatusAsked::Proposed) => (Some(Status::Proposed), Some((false, now))),
        Some(StatusAsked::Expired) => (Some(Status::Proposed), Some((true, now))),
        Some(StatusAsked::Approved) => (Some(Status::Approved), None),
        Some(StatusAsked::Rejected) => (Some(Status::Rejected), None),
        Some(StatusAsked::Posted) => (Some(Status::Posted), None),
        Some(StatusAsked::Refused) => (Some(Status::Refused), None),
    };
    let filter = Filter { status, expired, reason };
    let rows = i64::from(limit).saturating_add(1);
    let found = books.adjustments(&caller, filter, before.map(place_of), rows).await?;
    let page = Page::cut(found, limit, |it| cursor_at(it).encode(secret, &listing));
    let items: Vec<AdjustmentBody> = page.items.into_iter().map(|it| AdjustmentBody::of(it, now)).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor, has_more: page.has_more }))
}

fn cursor_at(it: &Adjustment) -> Cursor<3> {
    let (high, low) = it.id.as_u64_pair();
    let signed = |half: u64| i64::from_ne_bytes(half.to_ne_bytes());
    Cursor([it.proposed_at.timestamp_micros(), signed(high), signed(low)])
}

fn place_of(Cursor([us, high, low]): Cursor<3>) -> (DateTime<Utc>, Uuid) {
    let half = |half: i64| u64::from_ne_bytes(half.to_ne_bytes());
    (super::super::body::moment(us), Uuid::from_u64_pair(half(high), half(low)))
}

/// Tells of an adjustment.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:read"])), responses(
    (status = 200, body = AdjustmentBody),
))]
#[get("/v1/ledger/adjustments/{id}", wrap = "May(Scope::LedgerRead)")]
async fn get_adjustment(caller: Caller, books: web::Data<Books>, id: web::Path<Uuid>) -> Result<HttpResponse, Problem> {
    let found = books.adjustment(&caller, id.into_inner()).await?.ok_or_else(not_found)?;
    Ok(HttpResponse::Ok().json(AdjustmentBody::of(found, books.platform.clock.now())))
}

/// Approves a proposal of another client and posts it.
///
/// It is posted once, however often and by whomever this is asked: repeat it when the answer was lost.
#[utoipa::path(tag = "ledger", security(("key" = ["ledger:approve"])), responses(
    (status = 200, body = AdjustmentBody),
))]
#[post("/v1/ledger/adjustments/{id}/approve", wrap = "May(Scope::LedgerApprove)")]
async fn approve_adjustment(
    caller: Caller,
    books: web::Data<Books>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let posted = books.approve(&caller, id.into_inner()).await?;
    Ok(HttpResponse::Ok().json(AdjustmentBody::of(posted, books.platform.clock.now())))
}

/// Why a proposal is rejected.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rejection {
    /// In words: 1 to 500 characters.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$"
    )]
    text: String,
}

/// Rejects a proposal of another client. Again changes nothing.
#[utoipa::path(tag = "ledger", request_body = Rejection, security(("key" = ["ledger:approve"])), responses(
    (status = 200, body = AdjustmentBody),
))]
#[post("/v1/ledger/adjustments/{id}/reject", wrap = "May(Scope::LedgerApprove)")]
async fn reject_adjustment(
    caller: Caller,
    books: web::Data<Books>,
    id: web::Path<Uuid>,
    body: Json<Rejection>,
) -> Result<HttpResponse, Problem> {
    let rejected = books.reject(&caller, id.into_inner(), body.into_inner().text).await?;
    Ok(HttpResponse::Ok().json(AdjustmentBody::of(rejected, books.platform.clock.now())))
}
