//! Loyalty: programmes, campaigns, their budgets and versioned rules, and what a payment earns.
//!
//! A programme's points are an asset of the journal. A campaign pays out of two budget accounts with floor 0, so it
//! cannot overspend under any interleaving, and its pause freezes their debits at a seq. Rewards are decided before the
//! posting, by pure functions of the published rule, and posted in the payment's own transaction.
//! Not here yet: conditions, tiers, lots with expiry, referral, simulation, refunds.

mod config;
mod routes;
mod rule;
mod store;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use ledger::{Amount, AssetId, Command, Invalid, Journal, JournalError, Key, MAX_AMOUNT, NewAccount, Transfer};
use serde_json::json;
use uuid::Uuid;

pub use config::{AT_ONCE, Campaign, Config, Programme};
pub use routes::routes;
pub use rule::{Reward, Rule, TooLarge};

use crate::platform::Platform;
use crate::platform::books::{HOUSE, Paper, ask};
use crate::platform::chart::{self, Purpose};
use crate::platform::ids::derived;
use crate::platform::keyring::Tenant;
use crate::platform::problem::Problem;
use crate::platform::snapshot::{Snapshot, Tell, touch};

/// The loyalty configuration of every tenant, in memory.
pub struct Programmes(Snapshot<Config>);

impl Default for Programmes {
    fn default() -> Self {
        Self(Snapshot::new(store::config))
    }
}

/// What a reward gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RewardKind {
    /// Money, accrued.
    Cashback,
    /// Points of a programme.
    Points,
}

/// A reward decided for a payment, before the journal has said whether the budget lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Money or points.
    pub kind: RewardKind,
    /// Whose budget.
    pub campaign: Uuid,
    /// Whose points.
    pub programme: Uuid,
    /// Under which version of the campaign's rule.
    pub rule_version: i32,
    /// How much; zero when the payment is too small to earn.
    pub minor: i64,
    /// Of what.
    pub asset: AssetId,
    /// The same, as the API names it.
    pub asset_code: String,
}

impl Grant {
    /// The budget it is paid from.
    #[must_use]
    pub fn budget(&self) -> Purpose {
        match self.kind {
            RewardKind::Cashback => Purpose::Budget(self.campaign),
            RewardKind::Points => Purpose::PointsBudget(self.campaign),
        }
    }

    /// The customer's account it reaches.
    #[must_use]
    pub fn destination(&self, customer: Uuid) -> Purpose {
        match self.kind {
            RewardKind::Cashback => Purpose::Cashback(customer),
            RewardKind::Points => Purpose::Points { customer, programme: self.programme },
        }
    }

    /// The transfer that gives it, and both its accounts, should they not exist.
    #[must_use]
    pub fn moving(&self, tenant: i64, customer: Uuid) -> ([NewAccount; 2], Transfer) {
        chart::moving(tenant, self.budget(), self.destination(customer), Amount::new(self.minor, self.asset))
    }
}

impl Programmes {
    /// The tenant's configuration, at most a second old.
    ///
    /// # Errors
    /// The database's problems.
    pub async fn config(&self, platform: &Platform, tenant: i64) -> Result<Arc<Config>, Problem> {
        self.0.get(&platform.db, tenant).await
    }

    /// Reads it again at the next use.
    pub fn forget(&self, tenant: i64) {
        self.0.forget(tenant);
    }

    /// Tells other nodes of every change by this.
    pub fn tell_by(&self, tell: Tell) {
        self.0.tell_by(tell);
    }

    /// Looks again at the next use: another node says that something may have changed.
    pub fn doubt(&self, tenant: i64) {
        self.0.doubt(tenant);
    }
}

/// What a payment of `paid_minor` cents to `merchant` earns now: per campaign that runs, cashback then points, each only
/// if the rule has it at all.
///
/// # Errors
/// [`TooLarge`].
pub fn grants(config: &Config, now: DateTime<Utc>, merchant: Uuid, paid_minor: i64) -> Result<Vec<Grant>, TooLarge> {
    let mut grants = Vec::new();
    for campaign in config.campaigns.iter().filter(|campaign| campaign.runs(now, merchant)) {
        let Reward { cashback_minor, points } = campaign.rule.reward(paid_minor)?;
        let grant = |kind, minor, asset: AssetId, code: &str| Grant {
            kind,
            campaign: campaign.id,
            programme: campaign.programme,
            rule_version: campaign.rule.version,
            minor,
            asset,
            asset_code: code.to_owned(),
        };
        if campaign.rule.cashback_bps > 0 {
            grants.push(grant(RewardKind::Cashback, cashback_minor, config.eur, crate::platform::money::EUR));
        }
        if campaign.rule.points_per_unit > 0 {
            grants.push(grant(RewardKind::Points, points, campaign.points, &campaign.points_code));
        }
    }
    Ok(grants)
}

/// Opens a campaign's budget accounts, so that it can be paused before it ever paid.
///
/// # Errors
/// The journal's.
pub async fn open_budgets(
    journal: &Journal,
    tenant: &Tenant,
    eur: AssetId,
    campaign: &Campaign,
) -> Result<(), Problem> {
    for (purpose, asset) in [(Purpose::Budget(campaign.id), eur), (Purpose::PointsBudget(campaign.id), campaign.points)]
    {
        let opening = purpose.opening(tenant.id, asset);
        let key = derived("open", &[opening.public_id.as_bytes()]);
        let key = Key { scope: HOUSE, key, fingerprint: key };
        let paper = Paper { meta: json!({"kind": "open"}), ..Paper::default() };
        match ask(journal, tenant, key, Command::Open(opening), paper).await {
            // A payment may have opened it on first use: its id is made from its purpose, so it is the same account.
            Ok(_) | Err(JournalError::Invalid(Invalid::AccountExists { .. })) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The transfer that puts money or points into a campaign's budget, with the accounts it needs.
///
/// Money comes from marketing cost, points from the programme's issue.
#[must_use]
pub fn funding(tenant: i64, config: &Config, campaign: &Campaign, kind: RewardKind, minor: i64, id: Uuid) -> Command {
    let (from, to, asset) = match kind {
        RewardKind::Cashback => (Purpose::MarketingCost, Purpose::Budget(campaign.id), config.eur),
        RewardKind::Points => {
            (Purpose::PointsIssued(campaign.programme), Purpose::PointsBudget(campaign.id), campaign.points)
        }
    };
    let (open, transfer) = chart::moving(tenant, from, to, Amount::new(minor, asset));
    Command::Transact {
        id,
        open: open.into(),
        transfers: in_parts(minor).map(|part| Transfer { amount: Amount::new(part, asset), ..transfer }).collect(),
        groups: Vec::new(),
        claim: None,
    }
}

/// An amount as one or more that a transfer can move: what a whole file earns may be too much for one.
fn in_parts(minor: i64) -> impl Iterator<Item = i64> {
    let rests = std::iter::successors(Some(minor), |rest| rest.checked_sub(MAX_AMOUNT).filter(|rest| *rest > 0));
    rests.map(|rest| rest.min(MAX_AMOUNT))
}

/// The campaign of one merchant for all its payments, under a rule given once: made, with a programme of its own, if
/// there is none. For imports; campaigns of people are made by people.
///
/// # Errors
/// The journal's and the database's problems.
pub async fn ensure_campaign(
    platform: &Platform,
    journal: &Journal,
    tenant: &Tenant,
    merchant: Uuid,
    rule: Rule,
) -> Result<Campaign, Problem> {
    let (tenant_id, now) = (tenant.id, platform.clock.now());
    let id = derived("merchant-campaign", &[merchant.as_bytes()]);
    let programme = derived("programme", &[&tenant_id.to_be_bytes(), b"club"]);
    let name = "All purchases".to_owned();
    let (eur, campaign) = platform
        .db
        .of(tenant_id)
        .write(move |conn| -> Result<_, Problem> {
            let asset = ledger::define_asset(conn, ledger::JournalId(tenant_id), "PTS:club", 0)?;
            let points_code = asset.code;
            let club = Programme { id: programme, code: "club".into(), name: "Club".into(), points: asset.id };
            let (merchant, starts_at, ends_at, points) = (Some(merchant), None, None, asset.id);
            let campaign = Campaign { id, programme, name, merchant, starts_at, ends_at, rule, points, points_code };
            store::insert_programme(conn, tenant_id, &club, now)?;
            store::insert_campaign(conn, tenant_id, &campaign, now)?;
            touch(conn, tenant_id)?;
            Ok((store::config(conn, tenant_id)?.eur, campaign))
        })
        .await?;
    open_budgets(journal, tenant, eur, &campaign).await?;
    Ok(campaign)
}

/// The rules of these versions, for explaining what they decided.
///
/// # Errors
/// What the database says.
pub fn rules_of(conn: &mut PgConnection, tenant: i64, decided: &[(Uuid, i32)]) -> QueryResult<Vec<(Uuid, Rule)>> {
    let all = store::rules(conn, tenant)?;
    Ok(all.into_iter().filter(|(campaign, rule)| decided.contains(&(*campaign, rule.version))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_too_large_for_one_transfer_goes_in_parts_that_add_up() {
        let parts = |minor| in_parts(minor).collect::<Vec<_>>();
        assert_eq!(parts(1), [1]);
        assert_eq!(parts(MAX_AMOUNT), [MAX_AMOUNT]);
        assert_eq!(parts(2 * MAX_AMOUNT + 5), [MAX_AMOUNT, MAX_AMOUNT, 5]);
        assert_eq!(parts(0), [0], "refused by the journal, not lost here");
    }
}
