//! Rules of strong authentication over HTTP.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{Kept, Rule, RuleError, Subject};
use crate::identity::four_eyes::{self, Act, Proposal, ProposalBody, Wish};
use crate::identity::sca::exemption::{self, Article, Counter};
use crate::identity::sca::policy::SyncedRule;
use crate::platform::Platform;
use crate::platform::audit::{self, Object};
use crate::platform::http::Json;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::{Describe, Problem};

/// Adds these routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(list_sca_rules).service(propose_sca_rule).service(end_sca_rule);
}

/// What a rule is about: `rts-16`, remote payments of low value that go without strong authentication (Regulation (EU) 2018/389,
/// art. 16); `synced-passkey`, payments that a passkey which may be synced approves alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
enum RuleWord {
    /// Remote payments of low value.
    #[serde(rename = "rts-16")]
    LowValue,
    /// Passkeys that may be synced.
    #[serde(rename = "synced-passkey")]
    Synced,
}

impl From<Subject> for RuleWord {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Exemption(Article::Rts16) => Self::LowValue,
            Subject::Synced => Self::Synced,
        }
    }
}

impl From<RuleWord> for Subject {
    fn from(word: RuleWord) -> Self {
        match word {
            RuleWord::LowValue => Self::Exemption(Article::Rts16),
            RuleWord::Synced => Self::Synced,
        }
    }
}

/// What a rule allows.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rts-16": {"most_minor": 3_000, "most_uses": 5}}))]
enum AllowBody {
    /// Remote payments of low value go without strong authentication.
    #[serde(rename = "rts-16")]
    LowValue {
        /// The most of one payment, in cents.
        #[schema(minimum = 1, maximum = 3_000, example = 3_000)]
        most_minor: i64,
        /// The most payments since the last strong authentication. This or `most_total_minor`: the law knows one counter.
        #[serde(default)]
        #[schema(minimum = 1, maximum = 5, example = 5)]
        most_uses: Option<i32>,
        /// The most in all since the last strong authentication, in cents.
        #[serde(default)]
        #[schema(minimum = 1, maximum = 10_000)]
        most_total_minor: Option<i64>,
    },
    /// A passkey that may be synced suffices alone.
    #[serde(rename = "synced-passkey")]
    Synced {
        /// Up to this amount of one payment, in cents.
        #[schema(minimum = 1, maximum = 1_000_000_000_000_000_i64, example = 3_000)]
        most_minor: i64,
    },
}

/// A rule of strong authentication to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewScaRule {
    /// From when on; from the approval on when absent.
    #[serde(default)]
    valid_from: Option<DateTime<Utc>>,
    /// What is allowed from then on, in place of what was.
    allow: AllowBody,
}

impl NewScaRule {
    fn rule(&self, now: DateTime<Utc>) -> Result<Rule, RuleError> {
        let valid_from = self.valid_from.unwrap_or(now);
        Ok(match self.allow {
            AllowBody::LowValue { most_minor, most_uses, most_total_minor } => {
                let counter = match (most_uses, most_total_minor) {
                    (Some(most), None) => Counter::Uses(most),
                    (None, Some(most)) => Counter::Total(most),
                    (Some(_), Some(_)) | (None, None) => return Err(RuleError::Unlawful),
                };
                Rule::LowValue(exemption::Rule { valid_from, enabled: true, most_minor, counter })
            }
            AllowBody::Synced { most_minor } => Rule::Synced(SyncedRule { valid_from, most_minor }),
        })
    }
}

/// A rule of strong authentication.
#[derive(Debug, Serialize, ToSchema)]
struct ScaRuleBody {
    /// What it is about.
    rule: RuleWord,
    /// From when on, until the next one about the same begins.
    valid_from: DateTime<Utc>,
    /// Whether it is the one that counts now.
    in_force: bool,
    /// The most of one payment, in cents; absent when nothing is allowed from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    most_minor: Option<i64>,
    /// The most payments since the last strong authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    most_uses: Option<i32>,
    /// The most in all since the last strong authentication, in cents.
    #[serde(skip_serializing_if = "Option::is_none")]
    most_total_minor: Option<i64>,
    /// When it was taken back, before it began: it never counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn_at: Option<DateTime<Utc>>,
}

fn bodies(all: &[Kept], now: DateTime<Utc>) -> Vec<ScaRuleBody> {
    let body = |Kept { rule, withdrawn_at }: &Kept| {
        let (most_uses, most_total_minor) = match rule.counter() {
            Some(Counter::Uses(most)) => (Some(most), None),
            Some(Counter::Total(most)) => (None, Some(most)),
            None => (None, None),
        };
        ScaRuleBody {
            rule: rule.subject().into(),
            valid_from: rule.valid_from(),
            in_force: withdrawn_at.is_none() && super::in_force(all, rule.subject(), now) == Some(*rule),
            most_minor: rule.most_minor(),
            most_uses,
            most_total_minor,
            withdrawn_at: *withdrawn_at,
        }
    };
    all.iter().map(body).collect()
}

/// Lists the rules of strong authentication, by what they are about, oldest first: what was, what is, what is to come.
#[utoipa::path(tag = "approvals", security(("key" = ["admin"])), responses(
    (status = 200, body = [ScaRuleBody]),
))]
#[get("/v1/sca-rules", wrap = "May(Scope::Admin)")]
async fn list_sca_rules(caller: Caller, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    let (tenant, now) = (caller.tenant.id, platform.clock.now());
    let rules = platform.db.of(tenant).read(move |conn| super::all(conn, tenant)).await?;
    Ok(HttpResponse::Ok().json(bodies(&rules, now)))
}

/// Asks for what may go without strong authentication, or up to what amount a passkey that may be synced suffices alone. It takes
/// four eyes: somebody else approves it (`/v1/approvals`), and it is in force then, or from its later moment on.
///
/// Without a rule nothing goes without, and such a passkey never suffices alone. No rule allows more than the law.
#[utoipa::path(tag = "approvals", request_body = NewScaRule, security(("key" = ["admin"])), responses(
    (status = 202, body = ProposalBody),
))]
#[post("/v1/sca-rules", wrap = "May(Scope::Admin)")]
async fn propose_sca_rule(
    caller: Caller,
    platform: web::Data<Platform>,
    body: Json<NewScaRule>,
) -> Result<HttpResponse, Problem> {
    let (tenant, now) = (caller.tenant.id, platform.clock.now());
    let rule = body.rule(now).map_err(|error| error.describe())?;
    rule.check(now).map_err(|error| error.describe())?;
    let wish = Wish { act: Act::ScaRule, object: Object::Tenant(tenant), body: body.canonical() };
    let id = platform.ids.uuid_v7(now);
    let ask = move |conn: &mut PgConnection| -> Result<_, Problem> {
        let is_taken =
            |kept: &Kept| (kept.rule.subject(), kept.rule.valid_from()) == (rule.subject(), rule.valid_from());
        if super::all(conn, tenant)?.iter().any(is_taken) {
            return Err(RuleError::Taken.describe());
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
    now: DateTime<Utc>,
    by: audit::Actor,
    tenant: i64,
    approved: &Proposal,
) -> Result<(), Problem> {
    let asked: NewScaRule = serde_json::from_slice(&approved.body).map_err(|error| Problem::internal(&error))?;
    let publish = |conn| super::publish(conn, now, by, tenant, asked.rule(now)?);
    publish(conn).map_err(|error: RuleError| error.describe())
}

/// A rule to switch off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EndedScaRule {
    /// Which.
    rule: RuleWord,
}

/// Switches a rule off at once, and those about the same that have not begun. It takes one pair of eyes: less goes without than
/// before. Again changes nothing.
#[utoipa::path(tag = "approvals", request_body = EndedScaRule, security(("key" = ["admin"])), responses(
    (status = 200, body = [ScaRuleBody]),
))]
#[post("/v1/sca-rules/end", wrap = "May(Scope::Admin)")]
async fn end_sca_rule(
    caller: Caller,
    platform: web::Data<Platform>,
    body: Json<EndedScaRule>,
) -> Result<HttpResponse, Problem> {
    let (tenant, now, subject) = (caller.tenant.id, platform.clock.now(), body.rule.into());
    let end = move |conn: &mut PgConnection| -> Result<Vec<Kept>, RuleError> {
        super::end(conn, now, caller.actor.into(), tenant, subject)?;
        Ok(super::all(conn, tenant)?)
    };
    let rules = platform.db.of(tenant).write(end).await?;
    Ok(HttpResponse::Ok().json(bodies(&rules, now)))
}
