//! Customers and their cards over HTTP.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{Customers, store, unknown};
use crate::payments::{Payments, StandingBody, customer_balances};
use crate::platform::Platform;
use crate::platform::fields::text;
use crate::platform::http::Json;
use crate::platform::keyring::{Caller, May, Scope, Within};
use crate::platform::money::{EUR, Money};
use crate::platform::problem::{Problem, ProblemBody};

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(add_customer).service(get_card);
}

/// A customer to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCustomer {
    /// Your own opaque name for it, unique: 1 to 100 characters, no personal data.
    #[schema(
        example = "c-1001",
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$"
    )]
    reference: String,
}

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
struct CustomerBody {
    /// Its id.
    id: Uuid,
    /// Your own name for it.
    reference: String,
}

/// What is known of a customer the moment it is asked.
#[derive(Debug, Serialize, ToSchema)]
struct CardBody {
    /// Whose.
    customer: Uuid,
    /// Your own name for it.
    reference: String,
    /// How many payments.
    payments: i64,
    /// What they add up to.
    paid: Money,
    /// The last one.
    last_payment: Option<LastPayment>,
    /// Money, cashback, points.
    balances: Vec<StandingBody>,
    /// The journal's seq at which the balances were read; the counters may be milliseconds behind.
    as_of_seq: i64,
}

/// The latest payment by date.
#[derive(Debug, Serialize, ToSchema)]
struct LastPayment {
    /// Its id.
    id: Uuid,
    /// Who was paid.
    merchant: Uuid,
    /// How much.
    amount: Money,
    /// When.
    occurred_at: DateTime<Utc>,
}

/// Adds a customer with an empty wallet. Adding one of the same reference again gives the one there is.
#[utoipa::path(tag = "customers", request_body = NewCustomer, security(("key" = ["customers:write"])), responses(
    (status = 201, body = CustomerBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
))]
#[post("/v1/customers", wrap = "May(Scope::CustomersWrite)")]
async fn add_customer(
    caller: Caller,
    platform: web::Data<Platform>,
    customers: web::Data<Customers>,
    body: Json<NewCustomer>,
) -> Result<HttpResponse, Problem> {
    let reference = text(body.into_inner().reference, "/reference", 1..=100)?;
    let customer = customers.add(&platform, caller.tenant.id, reference).await?;
    Ok(HttpResponse::Created().json(CustomerBody { id: customer.id, reference: customer.reference }))
}

/// Tells a customer's card: what they paid, when last, what they hold.
#[utoipa::path(tag = "customers", security(("key" = ["customers:read"]), ("bound" = ["customers:read"])), responses(
    (status = 200, body = CardBody),
    (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
))]
#[get("/v1/customers/{id}/card", wrap = "Within(Scope::CustomersRead)")]
async fn get_card(caller: Caller, payments: web::Data<Payments>, id: web::Path<Uuid>) -> Result<HttpResponse, Problem> {
    let (tenant, id) = (caller.tenant.id, id.into_inner());
    payments.customers.look(&payments.platform, &caller, Scope::CustomersRead, id, "card").await?;
    let (as_of_seq, balances) = customer_balances(&payments, &caller, id, None).await?;
    let (customer, card) = payments
        .platform
        .db
        .of(tenant)
        .read(move |conn| -> Result<_, Problem> {
            let customer = store::customer(conn, tenant, id)?.ok_or_else(unknown)?;
            Ok((customer, store::card(conn, tenant, id)?))
        })
        .await?;
    let last_payment = card.as_ref().map(|card| LastPayment {
        id: card.last_payment,
        merchant: card.last_merchant,
        amount: Money::new(card.last_amount_minor, EUR),
        occurred_at: card.last_at,
    });
    Ok(HttpResponse::Ok().json(CardBody {
        customer: id,
        reference: customer.reference,
        payments: card.as_ref().map_or(0, |card| card.payments),
        paid: Money::new(card.as_ref().map_or(0, |card| card.paid_minor), EUR),
        last_payment,
        balances,
        as_of_seq,
    }))
}
