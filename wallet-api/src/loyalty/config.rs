//! A tenant's loyalty configuration as payments read it.

use chrono::{DateTime, Utc};
use ledger::AssetId;
use uuid::Uuid;

use super::Rule;

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
