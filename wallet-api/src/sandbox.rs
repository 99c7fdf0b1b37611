//! What only a sandbox has: a clock that can be moved forward.
//!
//! The offset is a record of the tenant's journal, so it is the same on every node and in every later reading of the
//! books. Not here: scenarios and simulators.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use ledger::{Body, Command, Journal};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::loyalty::Programmes;
use crate::platform::Platform;
use crate::platform::audit::{self, Action, Entry, Fact, Object};
use crate::platform::books::{Paper, ask, journal_of, request_key};
use crate::platform::fields::field;
use crate::platform::http::{IdempotencyKey, Json, not_found};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::Problem;
use crate::platform::snapshot::touch;

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(get_clock).service(advance_clock);
}

/// The furthest one step may go: a year.
const STEP_S: i64 = 366 * 24 * 60 * 60;

/// How far to move the clock.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Advance {
    /// Seconds forward, 1 to 31622400.
    #[schema(minimum = 1, maximum = 31_622_400, example = 86_400)]
    seconds: i64,
}

/// A tenant's clock.
#[derive(Debug, Serialize, ToSchema)]
struct ClockBody {
    /// The tenant's present.
    now: DateTime<Utc>,
    /// How far it is ahead of the world's, in seconds.
    ahead_s: i64,
}

/// Tells the tenant's time.
#[utoipa::path(tag = "sandbox", security(("key" = ["sandbox:write"])), responses(
    (status = 200, body = ClockBody),
))]
#[get("/v1/sandbox/clock", wrap = "May(Scope::SandboxWrite)")]
async fn get_clock(caller: Caller, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    let journal = journal_of(&caller.tenant);
    let head =
        platform.db.of(journal.0).read(move |conn| ledger::read::head(conn, journal)).await?.ok_or_else(not_found)?;
    Ok(HttpResponse::Ok().json(clock(&platform, head.clock_offset_us)))
}

/// Moves a sandbox's clock forward, for good. A production tenant's does not move.
#[utoipa::path(tag = "sandbox", request_body = Advance, security(("key" = ["sandbox:write"])),
    params(("Idempotency-Key" = inline(IdempotencyKey), Header, description = "A new UUID for each intent")), responses(
    (status = 201, body = ClockBody),
))]
#[post("/v1/sandbox/clock/advance", wrap = "May(Scope::SandboxWrite)")]
async fn advance_clock(
    caller: Caller,
    key: IdempotencyKey,
    platform: web::Data<Platform>,
    journal: web::Data<Journal>,
    programmes: web::Data<Programmes>,
    body: Json<Advance>,
) -> Result<HttpResponse, Problem> {
    let seconds = body.seconds;
    if !(1..=STEP_S).contains(&seconds) {
        return Err(field("/seconds", "1 to 31622400."));
    }
    let key = request_key(&caller, &key, "/v1/sandbox/clock/advance", &body.canonical());
    let command = Command::MoveClock { by_us: seconds.saturating_mul(1_000_000) };
    let paper = Paper { meta: json!({"kind": "clock"}), ..Paper::default() };
    let answer = ask(&journal, &caller.tenant, key, command, paper).await?;
    let Body::ClockMoved { offset_us } = answer.record.body else { return Err(not_found()) };
    let (tenant, now) = (caller.tenant.id, platform.clock.now());
    let act = Entry::done(tenant, caller.actor, Action::ClockMoved, Object::Record(answer.record.seq))
        .with("seconds", Fact::Number(seconds));
    // Whoever decides by the tenant's time keeps it with its configuration. The move itself was committed by the journal:
    // who repeats a request that died in between has it written down then, once.
    let note = move |conn: &mut diesel::PgConnection| {
        touch(conn, tenant)?;
        audit::append_once(conn, &act, now)
    };
    platform.db.of(tenant).write(note).await?;
    programmes.forget(tenant);
    Ok(HttpResponse::Created().json(clock(&platform, offset_us)))
}

fn clock(platform: &Platform, offset_us: i64) -> ClockBody {
    let now = platform.clock.now();
    let ahead = chrono::TimeDelta::microseconds(offset_us);
    ClockBody { now: now.checked_add_signed(ahead).unwrap_or(now), ahead_s: ahead.num_seconds() }
}
