//! What became of a request whose answer was lost: asked by its key, and made final by it (JOURNAL 18).
//!
//! A client that did not hear repeats its request with the same `Idempotency-Key` and gets the one true answer. One that
//! cannot repeat it, or no longer wants it, asks here: done, refused, or given up. *Resolving* a key that was never used
//! uses it up for nothing, in the journal and for ever, so that a request still on its way cannot happen any more.
//! A refund that waits for another pair of eyes is given up with its key; once approved, it is what it came to.
//! Keys are the calling client's own; nobody sees another's. Only commands of the journal have keys there: whoever moves
//! money, opens, freezes or moves a clock.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use ledger::{Body, Key, Record, Scope as KeyScope};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::payments::Payments;
use crate::platform::books::refusal_code;
use crate::platform::http::IdempotencyKey;
use crate::platform::keyring::{Caller, Scope, Within};
use crate::platform::problem::Problem;

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(get_request).service(resolve_request);
}

/// What became of a request.
#[derive(Debug, Serialize, ToSchema)]
struct RequestBody {
    /// `done`, `refused` or `abandoned`. None of them ever changes.
    #[schema(example = "done")]
    status: &'static str,
    /// Why it was refused: the same code that its own answer has.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// What it made or changed: the payment's id, for a payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    /// Its place in the journal.
    seq: i64,
    /// When it was decided.
    recorded_at: DateTime<Utc>,
}

impl RequestBody {
    fn of(record: &Record) -> Self {
        let (status, code, id) = match &record.body {
            Body::Transaction { .. }
            | Body::Opened { .. }
            | Body::Frozen { .. }
            | Body::Changed { .. }
            | Body::Due { .. }
            | Body::ClockMoved { .. } => ("done", None, Some(record.id)),
            Body::Refused { refusal } => ("refused", Some(refusal_code(refusal)), None),
            Body::Abandoned => ("abandoned", None, None),
        };
        let recorded_at = DateTime::from_timestamp_micros(record.recorded_us).unwrap_or_default();
        Self { status, code, id, seq: record.seq, recorded_at }
    }
}

/// Tells what became of the request with this Idempotency-Key.
///
/// 404 says that it has not happened so far, which is not final: resolve it for that.
#[utoipa::path(tag = "node", security(("key" = ["payments:read"]), ("bound" = ["payments:read"])),
    params(("key" = inline(IdempotencyKey), Path, description = "The Idempotency-Key it was sent with")), responses(
    (status = 200, body = RequestBody),
))]
#[get("/v1/requests/{key}", wrap = "Within(Scope::PaymentsRead)")]
async fn get_request(
    caller: Caller,
    payments: web::Data<Payments>,
    key: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let key = key_of(&caller, &key)?;
    let record = payments.answer_to(&caller, key).await?.ok_or_else(|| {
        let detail = "It has not happened so far. To make that certain for ever, resolve it.";
        Problem::new(404, "request-unknown", "No request has used this key", detail)
    })?;
    Ok(HttpResponse::Ok().json(RequestBody::of(&record)))
}

/// Makes final what became of the request with this Idempotency-Key.
///
/// If it was done or refused, that is the answer. If not, its key is given up: it never happens, and whoever sends it
/// again is told `request-abandoned`. A refund that waits under it for another pair of eyes is withdrawn with it; one that was
/// approved is told as what it came to. Asking again gives the same answer.
#[utoipa::path(tag = "node", security(("key" = ["payments:write"]), ("bound" = ["payments:write"])),
    params(("key" = inline(IdempotencyKey), Path, description = "The Idempotency-Key it was sent with")), responses(
    (status = 200, body = RequestBody),
))]
#[post("/v1/requests/{key}/resolve", wrap = "Within(Scope::PaymentsWrite)")]
async fn resolve_request(
    caller: Caller,
    payments: web::Data<Payments>,
    key: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let record = payments.give_up(&caller, key_of(&caller, &key)?).await?;
    Ok(HttpResponse::Ok().json(RequestBody::of(&record)))
}

/// The journal's key. Its fingerprint stands for no body: resolving needs none.
fn key_of(caller: &Caller, text: &str) -> Result<Key, Problem> {
    let key = IdempotencyKey::in_path(text)?;
    Ok(Key {
        scope: KeyScope(caller.client()),
        key: Uuid::from_bytes(key.bytes16(&caller.tenant.secret)),
        fingerprint: Uuid::nil(),
    })
}
