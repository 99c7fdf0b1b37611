//! A tenant's loyalty configuration as payments read it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ledger::AssetId;
use uuid::Uuid;

use super::Rule;

/// Most campaigns that may reward one payment. Each may need three accounts opened, and a transaction opens a hundred:
/// what is left is for those that are added at the same moment on several nodes.
pub const AT_ONCE: usize = 25;

/// Everything at once.
#[derive(Debug, Clone)]
pub struct Config {
    /// Money.
    pub eur: AssetId,
    /// Programmes, by code.
    pub programmes: Vec<Programme>,
    /// Campaigns, oldest first, each with the version of its rule that decides.
    pub campaigns: Vec<Campaign>,
    /// How far the sandbox clock is ahead of ours.
    pub clock_ahead: chrono::TimeDelta,
}

/// A loyalty programme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programme {
    /// Its id.
    pub id: Uuid,
    /// `club`: its points are `PTS:club`.
    pub code: String,
    /// The name people see.
    pub name: String,
    /// Its points in the journal.
    pub points: AssetId,
}

/// A campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Its id.
    pub id: Uuid,
    /// Its programme.
    pub programme: Uuid,
    /// The name people see.
    pub name: String,
    /// The one merchant it is for; none is every merchant.
    pub merchant: Option<Uuid>,
    /// From when; none is always.
    pub starts_at: Option<DateTime<Utc>>,
    /// Until when, exclusive; none is for ever.
    pub ends_at: Option<DateTime<Utc>>,
    /// The version that decides now.
    pub rule: Rule,
    /// Its programme's points in the journal.
    pub points: AssetId,
    /// The same, as the API names it.
    pub points_code: String,
}

impl Campaign {
    /// True when it rewards payments to `merchant` at this moment. A paused campaign runs on and has frozen budgets, so
    /// that its payments say why they earn nothing.
    #[must_use]
    pub fn runs(&self, now: DateTime<Utc>, merchant: Uuid) -> bool {
        self.starts_at.is_none_or(|start| start <= now)
            && self.ends_at.is_none_or(|end| now < end)
            && self.merchant.is_none_or(|only| only == merchant)
    }
}

impl Config {
    /// The campaign of this id.
    #[must_use]
    pub fn campaign(&self, id: Uuid) -> Option<&Campaign> {
        self.campaigns.iter().find(|campaign| campaign.id == id)
    }

    /// Whether one more campaign of this merchant, or of every merchant, can be borne by the payments it would reward.
    #[must_use]
    pub fn has_room(&self, now: DateTime<Utc>, merchant: Option<Uuid>) -> bool {
        let mut of_all = 0_usize;
        let mut of_one: BTreeMap<Uuid, usize> = BTreeMap::new();
        for campaign in self.campaigns.iter().filter(|campaign| campaign.ends_at.is_none_or(|end| now < end)) {
            let count = campaign.merchant.map_or(&mut of_all, |one| of_one.entry(one).or_default());
            *count = count.saturating_add(1);
        }
        let most = match merchant {
            Some(one) => of_one.get(&one).copied(),
            None => of_one.values().max().copied(),
        };
        of_all.saturating_add(most.unwrap_or(0)) < AT_ONCE
    }

    /// The code of an asset, as the API names it.
    #[must_use]
    pub fn code(&self, asset: AssetId) -> Option<String> {
        if asset == self.eur {
            return Some(crate::platform::money::EUR.to_owned());
        }
        self.programmes.iter().find(|programme| programme.points == asset).map(Programme::asset_code)
    }
}

impl Programme {
    /// `PTS:club`.
    #[must_use]
    pub fn asset_code(&self) -> String {
        format!("PTS:{}", self.code)
    }
}
