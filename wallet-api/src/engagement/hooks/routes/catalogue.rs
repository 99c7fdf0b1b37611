//! The catalogue of event types over HTTP.

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::engagement::hooks::catalogue::{EVENT_TYPES, EventType};
use crate::engagement::hooks::model::HookError;
use crate::platform::keyring::{May, Scope};
use crate::platform::problem::Problem;

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(list_event_types).service(get_event_type);
}

/// A type of event.
#[derive(Debug, Serialize, ToSchema)]
struct EventTypeSummary {
    /// What endpoints name to be told it.
    #[serde(rename = "type")]
    #[schema(example = "payment.cleared.v1")]
    name: &'static str,
    /// The version in its name.
    version: u32,
    /// When it is raised.
    summary: &'static str,
}

/// Every type of event.
#[derive(Debug, Serialize, ToSchema)]
struct EventTypeList {
    /// The types.
    items: Vec<EventTypeSummary>,
}

/// A type of event with its schema.
#[derive(Debug, Serialize, ToSchema)]
struct EventTypeDetail {
    #[serde(flatten)]
    summary: EventTypeSummary,
    /// The JSON schema (2020-12) of the whole body.
    #[schema(value_type = Object)]
    schema: Value,
}

fn summary(kind: &EventType) -> EventTypeSummary {
    EventTypeSummary { name: kind.name, version: kind.version(), summary: kind.summary }
}

/// Lists every type of event there is.
#[utoipa::path(tag = "hooks", security(("key" = ["hooks:read"])), responses(
    (status = 200, body = EventTypeList),
))]
#[get("/v1/event-types", wrap = "May(Scope::HooksRead)")]
async fn list_event_types() -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(EventTypeList { items: EVENT_TYPES.iter().map(summary).collect() }))
}

/// Tells of a type of event, with the JSON schema of its body.
#[utoipa::path(tag = "hooks", security(("key" = ["hooks:read"])), responses(
    (status = 200, body = EventTypeDetail),
))]
#[get("/v1/event-types/{name}", wrap = "May(Scope::HooksRead)")]
async fn get_event_type(name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let kind = EventType::named(&name).ok_or(HookError::NoSuchType)?;
    let schema = kind.schema().map_err(HookError::from)?;
    Ok(HttpResponse::Ok().json(EventTypeDetail { summary: summary(kind), schema }))
}
