//! Closed days over HTTP.

use actix_web::{HttpResponse, get, post, web};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::source;
use crate::platform::Platform;
use crate::platform::http::{Json, PageQuery};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;
use crate::reports::close::{ClosingBody, LateBody};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(close_day).service(list_closings).service(list_late);
}

/// A day to close.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CloseBody {
    /// By the tenant's calendar.
    #[schema(example = "2026-11-21")]
    day: NaiveDate,
    /// Days since the last closing that are open are closed with this one.
    #[serde(default)]
    skip_open_days: bool,
}

/// Closes a day: pins it to a seq with the trial balance there. Closed again, it is the same answer.
///
/// Nothing is locked: what is recorded later and counts in a closed day is late, and the next closing says so.
#[utoipa::path(tag = "reports", request_body = CloseBody, security(("key" = ["ledger:adjust"])), responses(
    (status = 200, body = ClosingBody),
))]
#[post("/v1/ledger/closings", wrap = "May(Scope::LedgerAdjust)")]
async fn close_day(
    caller: Caller,
    platform: web::Data<Platform>,
    body: Json<CloseBody>,
) -> Result<HttpResponse, Problem> {
    let (source, body) = (source(&platform, &caller), body.into_inner());
    let closed = source.close(body.day, caller.tenant.zone, caller.client(), body.skip_open_days).await?;
    Ok(HttpResponse::Ok().json(ClosingBody::of(&closed, &source.assets().await?)))
}

/// Which closings.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ClosingsQuery {
    /// Of days before this one; absent, up to the last.
    before: Option<NaiveDate>,
    /// At most so many, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
}

/// Closed days.
#[derive(Debug, Serialize, ToSchema)]
struct ClosingsBody {
    /// Latest first. For those before, ask with the last one's day as `before`.
    closings: Vec<ClosingBody>,
}

/// Lists closed days.
#[utoipa::path(tag = "reports", security(("key" = ["ledger:read"])), params(ClosingsQuery), responses(
    (status = 200, body = ClosingsBody),
))]
#[get("/v1/ledger/closings", wrap = "May(Scope::LedgerRead)")]
async fn list_closings(
    caller: Caller,
    platform: web::Data<Platform>,
    query: web::Query<ClosingsQuery>,
) -> Result<HttpResponse, Problem> {
    let (source, limit) = (source(&platform, &caller), PageQuery { cursor: None, limit: query.limit }.limit()?);
    let (found, assets) = (source.closings(query.before, limit.into()).await?, source.assets().await?);
    let closings = found.iter().map(|closing| ClosingBody::of(closing, &assets)).collect();
    Ok(HttpResponse::Ok().json(ClosingsBody { closings }))
}

/// Which late transactions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LateQuery {
    /// Of which day's closing; absent, of the last.
    #[param(example = "2026-11-21")]
    day: Option<NaiveDate>,
    /// Those after this seq; absent, all of them.
    after: Option<i64>,
    /// At most so many, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
}

/// Late transactions.
#[derive(Debug, Serialize, ToSchema)]
struct LatesBody {
    /// In order. For those after, ask with the last one's seq as `after`.
    late: Vec<LateBody>,
}

/// Lists the transactions that a closing counts as late: each counts in a day that had been closed.
#[utoipa::path(tag = "reports", security(("key" = ["ledger:read"])), params(LateQuery), responses(
    (status = 200, body = LatesBody),
))]
#[get("/v1/ledger/closings/late", wrap = "May(Scope::LedgerRead)")]
async fn list_late(
    caller: Caller,
    platform: web::Data<Platform>,
    query: web::Query<LateQuery>,
) -> Result<HttpResponse, Problem> {
    let limit = PageQuery { cursor: None, limit: query.limit }.limit()?;
    let late = source(&platform, &caller).late(query.day, query.after.unwrap_or(0), limit.into()).await?;
    Ok(HttpResponse::Ok().json(LatesBody { late }))
}
