//! Levels over HTTP: what I may, what each level may, and whose level is which.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use ledger::Journal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{Allowed, Ask, LAW, Levels, LevelsError, LimitStanding, Standing, Table};
use crate::identity::four_eyes::{self, Act, Proposal, ProposalBody, Wish};
use crate::identity::people::Level;
use crate::loyalty::Programmes;
use crate::platform::Platform;
use crate::platform::audit::{self, Object};
use crate::platform::http::Json;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::money::{EUR, Money};
use crate::platform::problem::{Describe, Problem};

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(my_limits).service(publish_limits).service(list_limits).service(set_level);
}

/// A level of identity: T0 nobody has told us, T1 what they say of themselves, T2 proved, T3 under a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
enum LevelWord {
    /// Nobody has told us.
    T0,
    /// What they say of themselves.
    T1,
    /// Proved.
    T2,
    /// Under a contract.
    T3,
}

impl From<Level> for LevelWord {
    fn from(level: Level) -> Self {
        match level {
            Level::T0 => Self::T0,
            Level::T1 => Self::T1,
            Level::T2 => Self::T2,
            Level::T3 => Self::T3,
        }
    }
}

impl From<LevelWord> for Level {
    fn from(word: LevelWord) -> Self {
        match word {
            LevelWord::T0 => Self::T0,
            LevelWord::T1 => Self::T1,
            LevelWord::T2 => Self::T2,
            LevelWord::T3 => Self::T3,
        }
    }
}

/// What one may do, in cents; what is absent has no limit.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AllowedBody {
    /// The money in the wallet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_000_i64, example = 15_000)]
    stored_minor: Option<i64>,
    /// One payment out of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_000_i64, example = 5_000)]
    payment_minor: Option<i64>,
    /// All payments of a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_000_i64)]
    day_minor: Option<i64>,
    /// All payments of a calendar month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_000_i64, example = 15_000)]
    month_minor: Option<i64>,
}

/// What each level may do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LevelsBody {
    /// Of who has told us nothing.
    #[serde(rename = "T0")]
    t0: AllowedBody,
    /// Of who has told us.
    #[serde(rename = "T1")]
    t1: AllowedBody,
    /// Of who has proved it.
    #[serde(rename = "T2")]
    t2: AllowedBody,
    /// Of who has a contract.
    #[serde(rename = "T3")]
    t3: AllowedBody,
}

impl From<&AllowedBody> for Allowed {
    fn from(body: &AllowedBody) -> Self {
        let AllowedBody { stored_minor, payment_minor, day_minor, month_minor } = *body;
        Self { stored: stored_minor, payment: payment_minor, day: day_minor, month: month_minor }
    }
}

impl From<Allowed> for AllowedBody {
    fn from(allowed: Allowed) -> Self {
        let Allowed { stored, payment, day, month } = allowed;
        Self { stored_minor: stored, payment_minor: payment, day_minor: day, month_minor: month }
    }
}

/// A table of limits to publish.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTable {
    /// From when on; from the approval on when absent.
    #[serde(default)]
    valid_from: Option<DateTime<Utc>>,
    /// By level; the law's when absent.
    #[serde(default)]
    levels: Option<LevelsBody>,
}

/// A table of limits.
#[derive(Debug, Serialize, ToSchema)]
struct TableBody {
    /// From when on, until the next one begins.
    valid_from: DateTime<Utc>,
    /// By level.
    levels: LevelsBody,
}

impl From<&Table> for TableBody {
    fn from(table: &Table) -> Self {
        let [t0, t1, t2, t3] = table.levels.map(AllowedBody::from);
        Self { valid_from: table.valid_from, levels: LevelsBody { t0, t1, t2, t3 } }
    }
}

impl NewTable {
    fn table(&self, present: DateTime<Utc>) -> Table {
        let of = |LevelsBody { t0, t1, t2, t3 }: LevelsBody| [&t0, &t1, &t2, &t3].map(Allowed::from);
        Table { valid_from: micros(self.valid_from.unwrap_or(present)), levels: self.levels.map_or(LAW, of) }
    }
}

/// Asks for what each level may hold and pay, from a moment on. It takes four eyes: somebody else approves it
/// (`/v1/approvals`), and it is published then.
///
/// What was published stays; the next table follows it by date. With the first table the tenant's people are limited: those who
/// signed up, not the customers that machines look after.
#[utoipa::path(tag = "limits", request_body = NewTable, security(("key" = ["admin"])), responses(
    (status = 202, body = ProposalBody),
))]
#[post("/v1/limit-tables", wrap = "May(Scope::Admin)")]
async fn publish_limits(
    caller: Caller,
    platform: web::Data<Platform>,
    programmes: web::Data<Programmes>,
    body: Json<NewTable>,
) -> Result<HttpResponse, Problem> {
    let (tenant, now) = (caller.tenant.id, platform.clock.now());
    let present = present(&platform, &programmes, tenant).await?;
    let table = body.table(present);
    table.check(present).map_err(|error| error.describe())?;
    let wish = Wish { act: Act::Limits, object: Object::Tenant(tenant), body: body.canonical() };
    let id = platform.ids.uuid_v7(now);
    let ask = move |conn: &mut PgConnection| -> Result<_, Problem> {
        if super::tables(conn, tenant)?.all.iter().any(|one| one.valid_from == table.valid_from) {
            return Err(LevelsError::Taken.describe());
        }
        Ok(four_eyes::ask(conn, (id, now), &caller, &wish)?)
    };
    let asked = platform.db.of(tenant).write(ask).await?;
    Ok(asked.accepted(now))
}

/// Publishes what another pair of eyes approved, in the transaction of their decision.
///
/// # Errors
/// As [`publish`](super::publish): its time may have come and gone before it was approved.
pub fn publish_approved(
    conn: &mut PgConnection,
    (now, present): (DateTime<Utc>, DateTime<Utc>),
    by: audit::Actor,
    tenant: i64,
    approved: &Proposal,
) -> Result<(), Problem> {
    let asked: NewTable = serde_json::from_slice(&approved.body).map_err(|error| Problem::internal(&error))?;
    Ok(super::publish(conn, (now, present), by, tenant, &asked.table(present))?)
}

/// The tenant's present, as tables have it.
///
/// # Errors
/// The database's.
pub async fn present(platform: &Platform, programmes: &Programmes, tenant: i64) -> Result<DateTime<Utc>, Problem> {
    let (now, ahead) = (platform.clock.now(), programmes.config(platform, tenant).await?.clock_ahead);
    Ok(micros(now.checked_add_signed(ahead).unwrap_or(now)))
}

/// As the database keeps it.
fn micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

/// Lists the tables of limits, oldest first: the last that has begun is in force.
#[utoipa::path(tag = "limits", security(("key" = ["admin"])), responses(
    (status = 200, body = [TableBody]),
))]
#[get("/v1/limit-tables", wrap = "May(Scope::Admin)")]
async fn list_limits(caller: Caller, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    let tenant = caller.tenant.id;
    let tables = platform.db.of(tenant).read(move |conn| super::tables(conn, tenant)).await?;
    Ok(HttpResponse::Ok().json(tables.all.iter().map(TableBody::from).collect::<Vec<_>>()))
}

/// A level to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewLevel {
    /// Which.
    level: LevelWord,
}

/// A person's level, as it was set.
#[derive(Debug, Serialize, ToSchema)]
struct LevelBody {
    /// Whose.
    customer: Uuid,
    /// Which.
    level: LevelWord,
    /// The record of the journal from which on its limits count; absent where nothing is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
}

/// Sets how well a person is known. When it is answered, the level's limits are in force: payments before its `seq` were under
/// the old ones, all after it are under the new ones.
#[utoipa::path(tag = "limits", request_body = NewLevel, security(("key" = ["admin"])), responses(
    (status = 200, body = LevelBody),
))]
#[post("/v1/customers/{id}/level", wrap = "May(Scope::Admin)")]
async fn set_level(
    caller: Caller,
    platform: web::Data<Platform>,
    journal: web::Data<Journal>,
    levels: web::Data<Levels>,
    programmes: web::Data<Programmes>,
    id: web::Path<Uuid>,
    body: Json<NewLevel>,
) -> Result<HttpResponse, Problem> {
    let (customer, level) = (id.into_inner(), body.level);
    let ask = asking(&caller, &platform, &journal, &programmes).await?;
    let seq = levels.set_level(ask, caller.actor.into(), customer, level.into()).await?;
    Ok(HttpResponse::Ok().json(LevelBody { customer, level, seq }))
}

async fn asking<'a>(
    caller: &'a Caller,
    platform: &'a Platform,
    journal: &'a Journal,
    programmes: &Programmes,
) -> Result<Ask<'a>, Problem> {
    let config = programmes.config(platform, caller.tenant.id).await?;
    let now = platform.clock.now();
    let present = now.checked_add_signed(config.clock_ahead).unwrap_or(now);
    Ok(Ask { platform, journal, tenant: &caller.tenant, money: config.eur, now: present })
}

/// What one may do, and what of it is used.
#[derive(Debug, Serialize, ToSchema)]
struct LimitsBody {
    /// How well one is known.
    level: LevelWord,
    /// Since when these limits are in force; absent while none are.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    /// Each limit; empty where nothing is limited.
    limits: Vec<LimitBody>,
}

/// One limit.
#[derive(Debug, Serialize, ToSchema)]
struct LimitBody {
    /// `stored`: the money in the wallet. `payment`: one payment out of it. `day`, `month`: all payments of a calendar day or
    /// month.
    #[schema(example = "month")]
    limit: &'static str,
    /// The most; absent without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    most: Option<Money>,
    /// What is used of it; absent for one payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<Money>,
    /// What is left of it; absent without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Money>,
    /// When the day or month ends, and all of it is left again.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<DateTime<Utc>>,
}

impl From<&LimitStanding> for LimitBody {
    fn from(one: &LimitStanding) -> Self {
        let money = |minor| Money::new(minor, EUR);
        Self {
            limit: one.limit.word(),
            most: one.most.map(money),
            used: (one.limit != super::Limit::Payment).then(|| money(one.used)),
            left: one.left().map(money),
            until: one.until,
        }
    }
}

/// Tells what I may hold and pay at my level, and what of it is used.
#[utoipa::path(tag = "me", security(("key" = ["me:money"])), responses(
    (status = 200, body = LimitsBody),
))]
#[get("/v1/me/limits", wrap = "May(Scope::MeMoney)")]
async fn my_limits(
    caller: Caller,
    platform: web::Data<Platform>,
    journal: web::Data<Journal>,
    levels: web::Data<Levels>,
    programmes: web::Data<Programmes>,
) -> Result<HttpResponse, Problem> {
    let me = caller.person()?;
    let ask = asking(&caller, &platform, &journal, &programmes).await?;
    let Standing { level, since, limits } = levels.standing(ask, me.id).await?;
    let limits = limits.iter().map(LimitBody::from).collect();
    Ok(HttpResponse::Ok().json(LimitsBody { level: level.into(), since, limits }))
}
