//! Top-ups over HTTP.

use actix_web::{HttpResponse, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use crate::payments::paper::moment;
use crate::payments::{Payments, TopUpWish};
use crate::platform::books::request_key;
use crate::platform::chart::Rail;
use crate::platform::http::{IdempotencyKey, Json, not_found};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::money::{EUR, EuroToMove, Money};
use crate::platform::problem::Problem;
use crate::platform::reply::created;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(top_up);
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
    let (mut response, record) = (created(&answer)?, &answer.record);
    let posted = record.body.transfers().first().ok_or_else(not_found)?;
    Ok(response.json(TopUpBody {
        id: record.id,
        seq: record.seq,
        customer: wish.customer,
        amount: Money::new(posted.amount.minor, EUR),
        available: Money::new(posted.credit.balance, EUR),
        recorded_at: moment(record.recorded_us),
    }))
}
