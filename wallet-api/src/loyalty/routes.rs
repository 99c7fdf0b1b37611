//! Programmes and campaigns over HTTP: add, publish a rule, look at. In [`budget`] what the journal records of them.

mod budget;

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use ledger::Journal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::{AT_ONCE, Campaign, Programme, Programmes, Rule, open_budgets, store};
use crate::platform::Platform;
use crate::platform::books::journal_of;
use crate::platform::chart::Purpose;
use crate::platform::fields::{field, text};
use crate::platform::http::{Json, not_found};
use crate::platform::ids::derived;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::money::Money;
use crate::platform::problem::Problem;
use crate::platform::snapshot::touch;

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(add_programme).service(add_campaign).service(publish_rule).service(get_campaign);
    budget::routes(config);
}

/// A programme to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewProgramme {
    /// 1 to 20 of `a-z` and `0-9`: its points are `PTS:<code>`.
    #[schema(example = "club", pattern = "^[a-z0-9]{1,20}$")]
    code: String,
    /// The name people see.
    #[schema(
        example = "Club",
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$"
    )]
    name: String,
}

/// A loyalty programme.
#[derive(Debug, Serialize, ToSchema)]
struct ProgrammeBody {
    /// Its id.
    id: Uuid,
    /// Its code.
    code: String,
    /// The name people see.
    name: String,
    /// Its points, as an asset.
    asset: String,
}

/// A version of a campaign's rule.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RuleBody {
    /// Cashback in basis points of the amount paid, rounded down to the cent per payment: 200 is 2 %.
    #[schema(minimum = 0, maximum = 10_000, example = 200)]
    cashback_bps: i32,
    /// The most cashback one payment gives, in cents; absent is no cap.
    #[schema(minimum = 1, example = 500)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cashback_cap_minor: Option<i64>,
    /// Points per whole euro of the payment, the rest of a euro earning none.
    #[schema(minimum = 0, maximum = 1_000_000, example = 1)]
    points_per_euro: i64,
}

/// A campaign to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCampaign {
    /// Its programme's id.
    programme: Uuid,
    /// The name people see.
    #[schema(
        example = "Spring",
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$"
    )]
    name: String,
    /// The one merchant it is for; absent is every merchant.
    #[serde(default)]
    merchant: Option<Uuid>,
    /// From when; absent is at once.
    #[serde(default)]
    starts_at: Option<DateTime<Utc>>,
    /// Until when, exclusive; absent is for ever.
    #[serde(default)]
    ends_at: Option<DateTime<Utc>>,
    /// Version 1 of its rule.
    rule: RuleBody,
}

/// A campaign.
#[derive(Debug, Serialize, ToSchema)]
struct CampaignBody {
    /// Its id.
    id: Uuid,
    /// Its programme.
    programme: Uuid,
    /// The name people see.
    name: String,
    /// The one merchant it is for.
    merchant: Option<Uuid>,
    /// From when.
    starts_at: Option<DateTime<Utc>>,
    /// Until when, exclusive.
    ends_at: Option<DateTime<Utc>>,
    /// The version of the rule that decides now.
    rule_version: i32,
    /// That rule.
    rule: RuleBody,
    /// What its budgets still hold.
    budget: Vec<Money>,
    /// True while its budgets are frozen.
    paused: bool,
    /// The journal's seq at which budgets and pause were read.
    as_of_seq: i64,
}

impl RuleBody {
    fn into_rule(self, version: i32) -> Result<Rule, Problem> {
        let Self { cashback_bps, cashback_cap_minor: cashback_cap, points_per_euro: points_per_unit } = self;
        if !(0..=10_000).contains(&cashback_bps) {
            return Err(field("/rule/cashback_bps", "0 to 10000."));
        }
        if cashback_cap.is_some_and(|cap| cap < 1) {
            return Err(field("/rule/cashback_cap_minor", "At least 1, or leave it out."));
        }
        if !(0..=1_000_000).contains(&points_per_unit) {
            return Err(field("/rule/points_per_euro", "0 to 1000000."));
        }
        Ok(Rule { version, cashback_bps, cashback_cap, points_per_unit })
    }
}

impl From<Rule> for RuleBody {
    fn from(Rule { version: _, cashback_bps, cashback_cap, points_per_unit }: Rule) -> Self {
        Self { cashback_bps, cashback_cap_minor: cashback_cap, points_per_euro: points_per_unit }
    }
}

/// Adds a loyalty programme. Adding one of the same code again gives the one there is.
#[utoipa::path(tag = "loyalty", request_body = NewProgramme, security(("key" = ["loyalty:write"])), responses(
    (status = 201, body = ProgrammeBody),
))]
#[post("/v1/programmes", wrap = "May(Scope::LoyaltyWrite)")]
async fn add_programme(
    caller: Caller,
    platform: web::Data<Platform>,
    programmes: web::Data<Programmes>,
    body: Json<NewProgramme>,
) -> Result<HttpResponse, Problem> {
    let NewProgramme { code, name } = body.into_inner();
    let name = text(name, "/name", 1..=200)?;
    let plain = code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !plain || !(1..=20).contains(&code.len()) {
        return Err(field("/code", "1 to 20 of a-z and 0-9."));
    }
    let (tenant, now) = (caller.tenant.id, platform.clock.now());
    let id = derived("programme", &[&tenant.to_be_bytes(), code.as_bytes()]);
    let wanted = code.clone();
    platform
        .db
        .of(tenant)
        .write(move |conn| -> Result<(), Problem> {
            let asset = ledger::define_asset(conn, journal_of(&caller.tenant), &format!("PTS:{code}"), 0)?;
            let programme = Programme { id, code, name, points: asset.id };
            if store::insert_programme(conn, tenant, &programme, now)? {
                touch(conn, tenant)?;
            }
            Ok(())
        })
        .await?;
    programmes.forget(tenant);
    let config = programmes.config(&platform, tenant).await?;
    let stored = config.programmes.iter().find(|one| one.code == wanted).ok_or_else(not_found)?;
    let (asset, code, name) = (stored.asset_code(), stored.code.clone(), stored.name.clone());
    Ok(HttpResponse::Created().json(ProgrammeBody { id: stored.id, code, name, asset }))
}

/// Adds a campaign with the first version of its rule. Its budgets are empty until funded.
#[utoipa::path(tag = "loyalty", request_body = NewCampaign, security(("key" = ["loyalty:write"])), responses(
    (status = 201, body = CampaignBody),
))]
#[post("/v1/campaigns", wrap = "May(Scope::LoyaltyWrite)")]
async fn add_campaign(
    caller: Caller,
    platform: web::Data<Platform>,
    journal: web::Data<Journal>,
    programmes: web::Data<Programmes>,
    merchants: web::Data<crate::billers::Merchants>,
    body: Json<NewCampaign>,
) -> Result<HttpResponse, Problem> {
    let NewCampaign { programme, name, merchant, starts_at, ends_at, rule } = body.into_inner();
    let (tenant, now) = (caller.tenant.id, platform.clock.now());
    let name = text(name, "/name", 1..=200)?;
    let rule = rule.into_rule(1)?;
    if starts_at.zip(ends_at).is_some_and(|(start, end)| start >= end) {
        return Err(field("/ends_at", "After starts_at."));
    }
    if let Some(merchant) = merchant {
        merchants.get(&platform, tenant, merchant).await?;
    }
    let config = programmes.config(&platform, tenant).await?;
    let of = config.programmes.iter().find(|one| one.id == programme);
    let of = of.ok_or_else(unknown_programme)?;
    if !config.has_room(now.checked_add_signed(config.clock_ahead).unwrap_or(now), merchant) {
        return Err(too_many_campaigns());
    }
    let (points, points_code, id) = (of.points, of.asset_code(), platform.ids.uuid_v7(now));
    let campaign = Campaign { id, programme, name, merchant, starts_at, ends_at, rule, points, points_code };
    open_budgets(&journal, &caller.tenant, config.eur, &campaign).await?;
    platform
        .db
        .of(tenant)
        .write(move |conn| {
            store::insert_campaign(conn, tenant, &campaign, now)?;
            touch(conn, tenant)
        })
        .await?;
    programmes.forget(tenant);
    Ok(HttpResponse::Created().json(view(&caller, &platform, &programmes, id).await?))
}

/// Publishes the next version of a campaign's rule. Payments decided before keep the version they were decided under.
#[utoipa::path(tag = "loyalty", request_body = RuleBody, security(("key" = ["loyalty:write"])), responses(
    (status = 201, body = CampaignBody),
))]
#[post("/v1/campaigns/{id}/rules", wrap = "May(Scope::LoyaltyWrite)")]
async fn publish_rule(
    caller: Caller,
    platform: web::Data<Platform>,
    programmes: web::Data<Programmes>,
    id: web::Path<Uuid>,
    body: Json<RuleBody>,
) -> Result<HttpResponse, Problem> {
    let (tenant, now, id) = (caller.tenant.id, platform.clock.now(), id.into_inner());
    programmes.forget(tenant);
    let config = programmes.config(&platform, tenant).await?;
    let campaign = config.campaign(id).ok_or_else(unknown_campaign)?;
    let rule = body.into_inner().into_rule(campaign.rule.version.saturating_add(1))?;
    platform
        .db
        .of(tenant)
        .write(move |conn| -> Result<(), Problem> {
            if !store::insert_rule(conn, tenant, id, &rule, now)? {
                let detail = "Read the campaign again and decide whether yours is still wanted.";
                return Err(Problem::new(409, "rule-superseded", "Somebody has just published a version", detail));
            }
            Ok(touch(conn, tenant)?)
        })
        .await?;
    programmes.forget(tenant);
    Ok(HttpResponse::Created().json(view(&caller, &platform, &programmes, id).await?))
}

/// Tells of a campaign, its rule and what its budgets still hold.
#[utoipa::path(tag = "loyalty", security(("key" = ["loyalty:read"])), responses(
    (status = 200, body = CampaignBody),
))]
#[get("/v1/campaigns/{id}", wrap = "May(Scope::LoyaltyRead)")]
async fn get_campaign(
    caller: Caller,
    platform: web::Data<Platform>,
    programmes: web::Data<Programmes>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(view(&caller, &platform, &programmes, id.into_inner()).await?))
}

async fn view(
    caller: &Caller,
    platform: &Platform,
    programmes: &Programmes,
    id: Uuid,
) -> Result<CampaignBody, Problem> {
    let tenant = caller.tenant.id;
    let config = programmes.config(platform, tenant).await?;
    let campaign = config.campaign(id).ok_or_else(unknown_campaign)?.clone();
    let journal = journal_of(&caller.tenant);
    let accounts = [Purpose::Budget(id).account(tenant), Purpose::PointsBudget(id).account(tenant)];
    let history = platform.history.clone();
    let (head, balances) = platform
        .db
        .of(tenant)
        .read(move |conn| -> Result<_, Problem> {
            let head = ledger::read::head(conn, journal)?.map_or(0, |head| head.seq);
            Ok((head, ledger::read::balances(conn, &history, journal, &accounts)?))
        })
        .await?;
    let budget =
        balances.iter().map(|one| Money::new(one.balance, &config.code(one.asset).unwrap_or_default())).collect();
    Ok(CampaignBody {
        id,
        programme: campaign.programme,
        name: campaign.name,
        merchant: campaign.merchant,
        starts_at: campaign.starts_at,
        ends_at: campaign.ends_at,
        rule_version: campaign.rule.version,
        rule: campaign.rule.into(),
        budget,
        paused: balances.iter().any(|one| one.debits_frozen),
        as_of_seq: head,
    })
}

fn unknown_campaign() -> Problem {
    Problem::new(404, "campaign-unknown", "There is no such campaign", "Check the campaign's id.")
}

fn unknown_programme() -> Problem {
    Problem::new(404, "programme-unknown", "There is no such programme", "Check the programme's id.")
}

fn too_many_campaigns() -> Problem {
    let detail = format!("Let one end first: at most {AT_ONCE} may reward the same payment.");
    Problem::new(409, "campaigns-too-many", "There are too many campaigns already", detail).with("most", AT_ONCE)
}
