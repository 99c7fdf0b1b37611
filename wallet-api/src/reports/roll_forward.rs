//! What led from one standing of unspent units to another, campaign by campaign.
//!
//! Promise: each line adds up to the unit, and nothing of one standing is computed from the other; a roll-forward says of
//! itself whether it agrees. Pure.

use std::collections::BTreeMap;

use ledger::AssetId;
use ledger::read::unspent::Touched;
use uuid::Uuid;

use super::flow::{Debt, Flow, What, flows};
use super::groups::Groups;
use super::liability::Liability;

/// What records did to lots: the change by group, and each sort of flow by asset and campaign.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Movements {
    /// The change by group.
    pub change: Groups,
    lines: BTreeMap<(AssetId, Uuid), BTreeMap<What, i128>>,
    debts: BTreeMap<AssetId, (i128, i128)>,
}

impl Movements {
    /// Takes in a record.
    pub fn take(&mut self, touched: &Touched) {
        for (flows, debt) in flows(touched) {
            flows.iter().for_each(|flow| self.flow(flow));
            debt.iter().for_each(|debt| self.owe(debt));
        }
    }

    fn flow(&mut self, flow: &Flow) {
        self.change.flow(flow);
        let line = self.lines.entry((flow.asset, flow.lot.campaign)).or_default();
        let sum = line.entry(flow.what).or_default();
        *sum = sum.saturating_add(i128::from(flow.minor));
    }

    fn owe(&mut self, debt: &Debt) {
        let (incurred, repaid) = self.debts.entry(debt.asset).or_default();
        *incurred = incurred.saturating_add(i128::from(debt.incurred));
        *repaid = repaid.saturating_add(i128::from(debt.repaid));
    }

    /// So much of a sort, of an asset in all.
    #[must_use]
    pub fn of_asset(&self, asset: AssetId, what: What) -> i128 {
        let own = self.lines.iter().filter(|((of, _), _)| *of == asset);
        own.fold(0, |sum, (_, line)| sum.saturating_add(line.get(&what).copied().unwrap_or(0)))
    }
}

/// One campaign of a roll-forward: opening, what added, less what took away, is closing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Of which asset.
    pub asset: AssetId,
    /// Nil for nothing in particular.
    pub campaign: Uuid,
    /// Units before the first record.
    pub opening: i128,
    /// In the order of [`What::ALL`]; none is negative.
    pub flows: [i128; 8],
    /// Units after the last.
    pub closing: i128,
}

/// What the accounts of an asset owed: opening and incurred, less repaid, is closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DebtLine {
    /// Of which asset.
    pub asset: AssetId,
    /// Owed before the first record.
    pub opening: i128,
    /// Came to be owed.
    pub incurred: i128,
    /// Was paid back out of what came.
    pub repaid: i128,
    /// Owed after the last.
    pub closing: i128,
}

/// From one standing to another, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollForward {
    /// The standing before.
    pub opening: Liability,
    /// The standing after.
    pub closing: Liability,
    /// By asset and campaign.
    pub lines: Vec<Line>,
    /// By asset.
    pub debts: Vec<DebtLine>,
}

impl RollForward {
    /// Two standings and what lies between them. Nothing of one is computed from the other: see [`Self::agrees`].
    #[must_use]
    pub fn new(opening: Liability, closing: Liability, between: &Movements) -> Self {
        let (before, after) = (opening.groups.by_campaign(), closing.groups.by_campaign());
        let mut names: Vec<&(AssetId, Uuid)> = before.keys().chain(after.keys()).chain(between.lines.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let line = |name: &(AssetId, Uuid)| {
            let flows = between.lines.get(name);
            let units = |sums: &BTreeMap<(AssetId, Uuid), i128>| sums.get(name).copied().unwrap_or(0);
            Line {
                asset: name.0,
                campaign: name.1,
                opening: units(&before),
                flows: What::ALL.map(|what| flows.and_then(|flows| flows.get(&what)).copied().unwrap_or(0)),
                closing: units(&after),
            }
        };
        let lines = names.into_iter().map(line).collect();
        let owed = |at: &Liability, asset| at.checks.get(&asset).map_or(0, |check| check.accounts.debt);
        let debt = |asset: &AssetId| {
            let (incurred, repaid) = between.debts.get(asset).copied().unwrap_or_default();
            DebtLine {
                asset: *asset,
                opening: owed(&opening, *asset),
                incurred,
                repaid,
                closing: owed(&closing, *asset),
            }
        };
        let debts = closing.checks.keys().map(debt).collect();
        Self { opening, closing, lines, debts }
    }

    /// Every line adds up to the unit, and both standings are what the accounts had.
    #[must_use]
    pub fn agrees(&self) -> bool {
        let debt =
            |line: &DebtLine| line.opening.saturating_add(line.incurred).saturating_sub(line.repaid) == line.closing;
        self.opening.agrees()
            && self.closing.agrees()
            && self.lines.iter().all(Line::adds_up)
            && self.debts.iter().all(debt)
    }

    /// All campaigns of each asset together.
    #[must_use]
    pub fn totals(&self) -> Vec<Line> {
        let mut totals = BTreeMap::<AssetId, Line>::new();
        for line in &self.lines {
            let none = Line { asset: line.asset, campaign: Uuid::nil(), opening: 0, flows: [0; 8], closing: 0 };
            let total = totals.entry(line.asset).or_insert(none);
            total.opening = total.opening.saturating_add(line.opening);
            total.closing = total.closing.saturating_add(line.closing);
            total.flows.iter_mut().zip(line.flows).for_each(|(sum, minor)| *sum = sum.saturating_add(minor));
        }
        totals.into_values().collect()
    }

    /// Only one asset's.
    pub fn keep(&mut self, asset: AssetId) {
        self.lines.retain(|line| line.asset == asset);
        self.debts.retain(|line| line.asset == asset);
        [&mut self.opening, &mut self.closing].into_iter().for_each(|at| at.keep(asset));
    }
}

impl Line {
    /// Opening and what happened are closing.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let flows = What::ALL.iter().zip(self.flows).fold(self.opening, |sum, (what, minor)| {
            if what.adds() { sum.saturating_add(minor) } else { sum.saturating_sub(minor) }
        });
        flows == self.closing
    }
}
