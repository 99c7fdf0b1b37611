//! Unspent units at a seq, held against how the accounts that keep them stood.
//!
//! Promise: the two are readings of the journal that share nothing, so a standing says of itself whether it is right. Pure.

use std::collections::BTreeMap;

use ledger::AssetId;
use ledger::read::unspent::LotAccounts;

use super::groups::Groups;

/// The lots of an asset against the accounts that hold them: two readings of the journal that share nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// What the report's units add up to.
    pub units: i128,
    /// How the accounts stood, by their rows: what the trial balance says of them.
    pub accounts: LotAccounts,
}

impl Check {
    /// Units less what is owed are the balance.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.units == self.accounts.lots()
    }
}

/// Unspent units after the record of a seq.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Liability {
    /// Which.
    pub seq: i64,
    /// What there is.
    pub groups: Groups,
    /// By asset.
    pub checks: BTreeMap<AssetId, Check>,
}

impl Liability {
    /// A standing, held against how the accounts stood.
    #[must_use]
    pub fn new(seq: i64, groups: Groups, accounts: &BTreeMap<AssetId, LotAccounts>) -> Self {
        let assets = accounts.keys().copied().chain(groups.iter().map(|(group, _)| group.asset));
        let check = |asset| {
            let accounts = accounts.get(&asset).copied().unwrap_or_default();
            (asset, Check { units: groups.of_asset(asset), accounts })
        };
        let checks = assets.map(check).collect();
        Self { seq, groups, checks }
    }

    /// Only one asset's.
    pub fn keep(&mut self, asset: AssetId) {
        self.groups.keep(asset);
        self.checks.retain(|of, _| *of == asset);
    }

    /// Every asset's units are what its accounts have.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.checks.values().all(Check::agrees)
    }
}
