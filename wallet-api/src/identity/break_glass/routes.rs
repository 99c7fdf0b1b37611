//! Break-glass over HTTP, and what a customer is told of who looked.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::Look;
use crate::platform::Platform;
use crate::platform::audit;
use crate::platform::fields::text;
use crate::platform::http::{Cursor, Json, Page, PageQuery};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;
use crate::profile::Customers;

/// Adds the routes of break-glass and of who looked.
pub fn routes(config: &mut ServiceConfig) {
    config.service(break_glass).service(list_looks);
}

/// An emergency.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewEmergency {
    /// Whom it is about.
    customer: Uuid,
    /// Why, for the customer to read: 10 to 500 characters.
    #[schema(
        min_length = 10,
        max_length = 500,
        example = "The customer reported a payment they do not know",
        pattern = r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$"
    )]
    reason: String,
}

/// Glass that was broken.
#[derive(Serialize, ToSchema)]
struct EmergencyBody {
    /// Its id.
    id: Uuid,
    /// Whom it is about.
    customer: Uuid,
    /// Until when.
    until: DateTime<Utc>,
}

/// Opens one customer's card, balances and payments to an operator for an hour, in an emergency. The customer sees the
/// opening, its reason and every look. It counts on every node within a second.
#[utoipa::path(tag = "operators", request_body = NewEmergency, security(("key" = ["break-glass"])), responses(
    (status = 201, body = EmergencyBody),
))]
#[post("/v1/break-glass", wrap = "May(Scope::BreakGlass)")]
async fn break_glass(
    caller: Caller,
    platform: web::Data<Platform>,
    customers: web::Data<Customers>,
    body: Json<NewEmergency>,
) -> Result<HttpResponse, Problem> {
    let (tenant, me, now) = (caller.tenant.id, caller.require_operator()?, platform.clock.now());
    let NewEmergency { customer, reason } = body.into_inner();
    let reason = text(reason, "/reason", 10..=500)?;
    customers.secret(&platform, tenant, customer).await?; // there is such a customer
    let (vault, ids) = (platform.vault.clone(), platform.ids.clone());
    let whose = (tenant, me.id, customer);
    let open = move |conn: &mut PgConnection| super::open(conn, (&vault, &ids), now, whose, &reason);
    let (id, until) = platform.db.of(tenant).write(open).await?;
    Ok(HttpResponse::Created().json(EmergencyBody { id, customer, until }))
}

/// A look of somebody of the company at one's own data.
#[derive(Serialize, ToSchema)]
struct LookBody {
    /// When.
    at: DateTime<Utc>,
    /// Who, by an id that stays theirs, or by the number of a key of theirs: the company knows whose it is.
    operator: String,
    /// In which roles.
    roles: Vec<String>,
    /// What they did: `customer.looked_at`, or `glass.broken` before looks in an emergency.
    #[schema(example = "customer.looked_at")]
    act: String,
    /// What they looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "card")]
    what: Option<String>,
    /// Whether it was in an emergency.
    emergency: bool,
    /// Why, as they said.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// `done`, or `refused` when they were not let.
    #[schema(example = "done")]
    outcome: String,
}

/// Lists who of the company looked at one's own data, newest first: in which role, at what, and in an emergency why.
#[utoipa::path(tag = "me", security(("key" = ["me"])), params(PageQuery), responses(
    (status = 200, body = Page<LookBody>),
))]
#[get("/v1/me/looks", wrap = "May(Scope::Me)")]
async fn list_looks(
    caller: Caller,
    platform: web::Data<Platform>,
    query: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    const LISTING: &str = "me/looks";
    let (tenant, me, vault) = (caller.tenant.id, caller.person()?, platform.vault.clone());
    let query = query.into_inner();
    let (limit, secret) = (query.limit()?, &caller.tenant.secret);
    let before = query.cursor.map(|cursor| Cursor::<1>::decode(secret, LISTING, &cursor)).transpose()?;
    let (Cursor([before]), most) = (before.unwrap_or(Cursor([i64::MAX])), i64::from(limit).saturating_add(1));
    let read = move |conn: &mut PgConnection| -> QueryResult<_> {
        let rows = audit::by_staff_about(conn, tenant, me.id, before, most)?;
        let looks = super::looks(conn, &vault, (tenant, me.id), &rows)?;
        Ok(rows.into_iter().zip(looks).collect::<Vec<_>>())
    };
    let rows = platform.db.of(tenant).read(read).await?;
    let page = Page::cut(rows, limit, |(row, _)| Cursor([row.seq]).encode(secret, LISTING));
    let items: Vec<LookBody> = page.items.into_iter().map(|(row, look)| body(row, look)).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor, has_more: page.has_more }))
}

fn body(row: audit::form::Row, look: Look) -> LookBody {
    let Look { roles, what, is_emergency: emergency, reason } = look;
    LookBody {
        at: row.at,
        operator: row.actor_id,
        roles,
        act: row.action,
        what,
        emergency,
        reason,
        outcome: row.outcome,
    }
}
