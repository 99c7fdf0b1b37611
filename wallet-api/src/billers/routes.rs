//! Merchants over HTTP.

use actix_web::{HttpResponse, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{Merchant, Merchants, unknown};
use crate::platform::Platform;
use crate::platform::fields::text;
use crate::platform::http::Json;
use crate::platform::keyring::{Caller, May, Scope, Within};

use crate::platform::problem::Problem;

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(add_merchant).service(get_merchant);
}

/// A merchant to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMerchant {
    /// Your own name for it, unique: 1 to 100 characters, no personal data.
    #[schema(
        example = "shop-12",
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$"
    )]
    reference: String,
    /// The name people see: 1 to 200 characters.
    #[schema(
        example = "Emporio Centrale",
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$"
    )]
    name: String,
}

/// A merchant.
#[derive(Debug, Serialize, ToSchema)]
struct MerchantBody {
    /// Its id.
    id: Uuid,
    /// Your own name for it.
    reference: String,
    /// The name people see.
    name: String,
}

impl From<Merchant> for MerchantBody {
    fn from(Merchant { id, reference, name }: Merchant) -> Self {
        Self { id, reference, name }
    }
}

/// Adds a merchant. Adding one of the same reference again gives the one there is.
#[utoipa::path(tag = "merchants", request_body = NewMerchant, security(("key" = ["merchants:write"])), responses(
    (status = 201, body = MerchantBody),
))]
#[post("/v1/merchants", wrap = "May(Scope::MerchantsWrite)")]
async fn add_merchant(
    caller: Caller,
    platform: web::Data<Platform>,
    merchants: web::Data<Merchants>,
    body: Json<NewMerchant>,
) -> Result<HttpResponse, Problem> {
    let NewMerchant { reference, name } = body.into_inner();
    let reference = text(reference, "/reference", 1..=100)?;
    let name = text(name, "/name", 1..=200)?;
    let merchant = merchants.add(&platform, caller.tenant.id, reference, name).await?;
    Ok(HttpResponse::Created().json(MerchantBody::from(merchant)))
}

/// Tells of a merchant.
#[utoipa::path(tag = "merchants", security(("key" = ["merchants:write"]), ("bound" = ["merchants:write"])), responses(
    (status = 200, body = MerchantBody),
))]
#[get("/v1/merchants/{id}", wrap = "Within(Scope::MerchantsWrite)")]
async fn get_merchant(
    caller: Caller,
    platform: web::Data<Platform>,
    merchants: web::Data<Merchants>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let id = id.into_inner();
    if !caller.reach(Scope::MerchantsWrite)?.has_merchant(id) {
        return Err(unknown());
    }
    let merchant = merchants.get(&platform, caller.tenant.id, id).await?;
    Ok(HttpResponse::Ok().json(MerchantBody::from(merchant)))
}
