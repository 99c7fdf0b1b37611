//! Captures and voids over HTTP.

use actix_web::{HttpResponse, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::accounts::{BalanceBody, balances_after};
use super::bodies::PaymentBody;
use super::{answer_payment, within_to_write};
use crate::payments::Payments;
use crate::payments::authorise::CaptureWish;
use crate::payments::paper::moment;
use crate::platform::books::request_key;
use crate::platform::events::Depth;
use crate::platform::http::{IdempotencyKey, Json, not_found};
use crate::platform::keyring::{Caller, Scope, Within};
use crate::platform::money::{EUR, EuroToMove, Money};
use crate::platform::problem::Problem;
use crate::platform::reply::created;
use crate::platform::text::Lang;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(capture_payment).service(void_payment);
}

/// What to capture of an authorisation.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCapture {
    /// How much, of EUR; all that is left when absent.
    #[schema(value_type = Option<EuroToMove>)]
    #[serde(default)]
    amount: Option<Money>,
    /// True gives the rest back in the same transaction.
    #[serde(default, rename = "final")]
    last: bool,
}

/// Captures some or all of an authorised payment, as often as something is left of it.
///
/// A capture is a payment that cleared: it has an id of its own, earns rewards on what it captures, and can be refunded.
/// More than is left is refused (`hold-exceeded`), as is one that was captured, voided or has expired (`hold-ended`).
#[utoipa::path(tag = "payments", request_body = NewCapture, security(("key" = ["payments:write"]), ("bound" = ["payments:write"])),
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "A new UUID for each intent")), responses(
    (status = 201, body = PaymentBody),
))]
#[post("/v1/payments/{id}/capture", wrap = "Within(Scope::PaymentsWrite)")]
async fn capture_payment(
    caller: Caller,
    key: IdempotencyKey,
    lang: Lang,
    Depth(hook_depth): Depth,
    payments: web::Data<Payments>,
    id: web::Path<Uuid>,
    body: Json<NewCapture>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    within_to_write(&payments, &caller, id, "capture").await?;
    let key = request_key(&caller, &key, &format!("/v1/payments/{id}/capture"), &body.canonical());
    let amount_minor = body.amount.as_ref().map(|amount| amount.positive_eur("/amount")).transpose()?;
    let wish = CaptureWish { amount_minor, last: body.last, hook_depth };
    let paid = payments.capture(&caller.tenant, key, id, wish).await?;
    let config = payments.programmes.config(&payments.platform, caller.tenant.id).await?;
    answer_payment(&caller, lang, &config, &paid)
}

/// What was left of an authorisation, given back.
#[derive(Debug, Serialize, ToSchema)]
struct VoidBody {
    /// Its id.
    id: Uuid,
    /// The authorisation.
    payment: Uuid,
    /// Its place in the books.
    seq: i64,
    /// Whose wallet.
    customer: Uuid,
    /// For whom it was set aside.
    merchant: Uuid,
    /// How much was given back.
    amount: Money,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// The customer's balances that it changed, right after it.
    balances: Vec<BalanceBody>,
}

/// Gives back what is left of an authorised payment. What was captured stays captured.
#[utoipa::path(tag = "payments", security(("key" = ["payments:write"]), ("bound" = ["payments:write"])),
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "A new UUID for each intent")), responses(
    (status = 201, body = VoidBody),
))]
#[post("/v1/payments/{id}/void", wrap = "Within(Scope::PaymentsWrite)")]
async fn void_payment(
    caller: Caller,
    key: IdempotencyKey,
    Depth(hook_depth): Depth,
    payments: web::Data<Payments>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    within_to_write(&payments, &caller, id, "void").await?;
    let key = request_key(&caller, &key, &format!("/v1/payments/{id}/void"), b"");
    let done = payments.void(&caller.tenant, key, id, hook_depth).await?;
    let (mut response, record) = (created(&done.answer)?, &done.answer.record);
    let paper = done.paper.as_ref().ok_or_else(not_found)?;
    let config = payments.programmes.config(&payments.platform, caller.tenant.id).await?;
    let rows = record.body.transfers();
    Ok(response.json(VoidBody {
        id: record.id,
        payment: paper.payment,
        seq: record.seq,
        customer: paper.customer,
        merchant: paper.merchant,
        amount: Money::new(rows.first().ok_or_else(not_found)?.amount.minor, EUR),
        recorded_at: moment(record.recorded_us),
        balances: balances_after(caller.tenant.id, &config, paper.customer, rows),
    }))
}
