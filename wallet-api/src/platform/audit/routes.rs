//! The audit log over HTTP: a tenant reads its own, newest first.

use actix_web::{HttpResponse, get, web};
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use diesel::{PgConnection, QueryResult};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::form::Row;
use super::model::{Action, ActorKind};
use super::store::{self, Filter};
use crate::platform::http::{Cursor, Page, PageQuery};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;
use crate::platform::{Platform, audit, staff};

/// Later than any entry is, and still a time that the database knows.
const FAR: DateTime<Utc> = DateTime::from_timestamp_nanos(i64::MAX);

/// Adds the log's routes. They need [`Platform`] as `web::Data`.
pub fn routes(config: &mut ServiceConfig) {
    config.service(list_audit_entries);
}

/// Which entries to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only what this sort of actor did.
    #[param(inline)]
    actor: Option<ActorKind>,
    /// Only what the one with this id did: a client's number, or the id of a person.
    actor_id: Option<String>,
    /// Only acts of this sort.
    #[param(inline)]
    action: Option<Action>,
    /// Only acts on this person's data: who looked at it, who changed it.
    subject: Option<Uuid>,
    /// Only acts at this time or later.
    from: Option<DateTime<Utc>>,
    /// Only acts before this time.
    until: Option<DateTime<Utc>>,
    /// `next_cursor` of the page before; none for the first page.
    cursor: Option<String>,
    /// Entries per page, 1 to 100; 20 when absent.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u16>,
}

/// Who, or what: a sort and an id.
#[derive(Debug, Serialize, ToSchema)]
struct AuditParty {
    /// What sort.
    #[schema(example = "client")]
    kind: String,
    /// Which; empty where there is but one.
    #[schema(example = "7")]
    id: String,
}

/// An act that was written down.
#[derive(Debug, Serialize, ToSchema)]
struct AuditEntry {
    /// Its place in the tenant's log, from 1 without gaps.
    seq: i64,
    /// When.
    at: DateTime<Utc>,
    /// Who did it.
    actor: AuditParty,
    /// What was done. A newer release may have more than these.
    #[schema(example = "key.revoked")]
    action: String,
    /// To what.
    object: AuditParty,
    /// The person whose data was looked at or changed; null where it was nobody's.
    subject: Option<Uuid>,
    /// `done` or `refused`.
    #[schema(example = "done")]
    outcome: String,
    /// What else there is to say.
    detail: Map<String, Value>,
    /// SHA-256 over the entry and the hash of the one before: 64 hexadecimal digits.
    hash: String,
}

impl From<Row> for AuditEntry {
    fn from(row: Row) -> Self {
        Self {
            seq: row.seq,
            at: row.at,
            actor: AuditParty { kind: row.actor_kind, id: row.actor_id },
            action: row.action,
            object: AuditParty { kind: row.object_kind, id: row.object_id },
            subject: row.subject,
            outcome: row.outcome,
            detail: serde_json::from_str(&row.detail).unwrap_or_default(),
            hash: HEXLOWER.encode(&row.hash),
        }
    }
}

/// Lists what was done that matters, newest first: by whom, to what, about whom. Whoever of the staff asks about one person looks at
/// them, who is told.
#[utoipa::path(tag = "audit", security(("key" = ["admin"])), params(AuditQuery), responses(
    (status = 200, body = Page<AuditEntry>),
))]
#[get("/v1/audit", wrap = "May(Scope::Admin)")]
async fn list_audit_entries(
    caller: Caller,
    platform: web::Data<Platform>,
    query: web::Query<AuditQuery>,
) -> Result<HttpResponse, Problem> {
    let AuditQuery { actor, actor_id, action, subject, from, until, cursor, limit } = query.into_inner();
    let limit = PageQuery { cursor: None, limit }.limit()?;
    let (actor_kind, action) = (actor.map(ActorKind::word), action.map(Action::word));
    let known = |at: DateTime<Utc>| at.clamp(DateTime::UNIX_EPOCH, FAR);
    let (from, until) = (from.map(known), until.map(known));
    // What no id is made of is nobody's, and nothing the database has to read.
    let is_nobodys = actor_id.as_ref().is_some_and(|id| !id.bytes().all(|byte| byte.is_ascii_graphic()));
    let filter = Filter { actor_kind, actor_id, action, subject, from, until };
    let (tenant, secret) = (caller.tenant.id, &caller.tenant.secret);
    let listing = format!("audit/{filter:?}");
    let before = cursor.map(|cursor| Cursor::<1>::decode(secret, &listing, &cursor)).transpose()?;
    let (Cursor([before]), rows) = (before.unwrap_or(Cursor([i64::MAX])), i64::from(limit).saturating_add(1));
    // Who reads what is about one person looks at them, who is told before anything is shown.
    let look = subject.filter(|_| staff::acts(&caller)).map(|subject| audit::look(&caller, subject, "log"));
    let (is_look, now) = (look.is_some(), platform.clock.now());
    let find = move |conn: &mut PgConnection| -> QueryResult<Vec<Row>> {
        let found = store::page(conn, tenant, filter, before, rows)?;
        match look {
            Some(look) if !found.is_empty() => audit::append(conn, &look, now).map(|_seq| found),
            Some(_) | None => Ok(found),
        }
    };
    let db = platform.db.of(tenant);
    let found = match (is_nobodys, is_look) {
        (true, _) => Vec::new(),
        (false, true) => db.write(find).await?,
        (false, false) => db.read(find).await?,
    };
    let page = Page::cut(found, limit, |row| Cursor([row.seq]).encode(secret, &listing));
    let items: Vec<AuditEntry> = page.items.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor, has_more: page.has_more }))
}
