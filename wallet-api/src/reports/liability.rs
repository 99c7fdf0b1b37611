//! Unspent units by the month they were earned, the month they end and the campaign they came by; and what led from one
//! such standing to another.
//!
//! Promise: sums are exact (128 bits), and whatever is added up can be taken away again, so a standing of the past is
//! reached from the beginning or from today alike. Memory grows with months and campaigns, not with accounts or records.
//! Pure. Months: a lot is earned on a day of UTC, as the journal counts it; it ends in the month, by Italy's calendar, of
//! the last moment it can be spent in, so what is worth something through 31 December ends in December.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate};
use ledger::read::unspent::{LotAccounts, Touched};
use ledger::{AssetId, Lot, NEVER, Piece};
use uuid::Uuid;

use super::flow::{Debt, Flow, What, flows};

/// A calendar month of the years 1 to 9999; what lies outside counts to the nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    year: i32,
    month: u32,
}

impl Month {
    const FIRST: Self = Self { year: 1, month: 1 };
    const LAST: Self = Self { year: 9999, month: 12 };

    fn of(date: Option<NaiveDate>, future: bool) -> Self {
        let nearest = if future { Self::LAST } else { Self::FIRST };
        let month = date.map_or(nearest, |date| Self { year: date.year(), month: date.month() });
        month.clamp(Self::FIRST, Self::LAST)
    }

    /// The month of a day counted from 1970.
    #[must_use]
    pub fn of_day(day: i32) -> Self {
        Self::of(NaiveDate::from_epoch_days(day), day > 0)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// When units end. Those that never do come last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ends {
    /// The last month they can be spent in.
    In(Month),
    /// They do not.
    Never,
}

impl Ends {
    /// What is worth nothing from a moment on can be spent up to the microsecond before.
    #[must_use]
    pub fn before(expires_us: i64) -> Self {
        let last = DateTime::from_timestamp_micros(expires_us.saturating_sub(1));
        let date = last.map(|last| last.with_timezone(&chrono_tz::Europe::Rome).date_naive());
        if expires_us == NEVER { Self::Never } else { Self::In(Month::of(date, expires_us > 0)) }
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(month) => month.fmt(f),
            Self::Never => f.write_str("never"),
        }
    }
}

/// Units that nothing in the report tells apart. The order of the fields is that of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Of which asset.
    pub asset: AssetId,
    /// When they were earned.
    pub earned: Month,
    /// When they end.
    pub ends: Ends,
    /// What they were earned by; nil for nothing in particular.
    pub campaign: Uuid,
}

impl Group {
    fn of(asset: AssetId, lot: &Lot) -> Self {
        let (earned, ends) = (Month::of_day(lot.earned_day), Ends::before(lot.expires_us));
        Self { asset, earned, ends, campaign: lot.campaign }
    }
}

/// So many units, and what they cost whoever gave them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Units {
    /// Minor units of the asset.
    pub minor: i128,
    /// Millionths of the cost currency's minor unit.
    pub cost_millionths: i128,
}

impl Units {
    fn of(piece: &Piece) -> Self {
        let minor = i128::from(piece.minor);
        Self { minor, cost_millionths: minor.saturating_mul(i128::from(piece.lot.unit_cost)) }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            minor: self.minor.saturating_add(other.minor),
            cost_millionths: self.cost_millionths.saturating_add(other.cost_millionths),
        }
    }

    fn negated(self) -> Self {
        Self { minor: self.minor.saturating_neg(), cost_millionths: self.cost_millionths.saturating_neg() }
    }
}

/// Units by group: a standing, or the change from one to another. Groups of nothing are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups(BTreeMap<Group, Units>);

impl Groups {
    /// Takes in what is left of a lot.
    pub fn put(&mut self, asset: AssetId, piece: &Piece) {
        self.add(Group::of(asset, &piece.lot), Units::of(piece));
    }

    fn flow(&mut self, flow: &Flow) {
        let units = Units::of(&Piece { lot: flow.lot, minor: flow.minor });
        let change = if flow.what.adds() { units } else { units.negated() };
        self.add(Group::of(flow.asset, &flow.lot), change);
    }

    fn add(&mut self, group: Group, change: Units) {
        let units = self.0.entry(group).or_default();
        *units = units.plus(change);
        if *units == Units::default() {
            self.0.remove(&group);
        }
    }

    /// This standing before a change that led to it.
    #[must_use]
    pub fn before(mut self, change: &Self) -> Self {
        change.0.iter().for_each(|(group, units)| self.add(*group, units.negated()));
        self
    }

    /// In the report's order.
    pub fn iter(&self) -> impl Iterator<Item = (&Group, &Units)> {
        self.0.iter()
    }

    fn keep(&mut self, asset: AssetId) {
        self.0.retain(|group, _| group.asset == asset);
    }

    /// Units by asset and campaign.
    #[must_use]
    pub fn by_campaign(&self) -> BTreeMap<(AssetId, Uuid), i128> {
        let mut sums = BTreeMap::<_, i128>::new();
        for (group, units) in &self.0 {
            let sum = sums.entry((group.asset, group.campaign)).or_default();
            *sum = sum.saturating_add(units.minor);
        }
        sums
    }

    /// Units of an asset.
    #[must_use]
    pub fn of_asset(&self, asset: AssetId) -> i128 {
        let own = self.0.iter().filter(|(group, _)| group.asset == asset);
        own.fold(0, |sum, (_, units)| sum.saturating_add(units.minor))
    }
}

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

#[cfg(test)]
mod tests {
    use ledger::LotTerms;

    use super::*;

    const PTS: AssetId = AssetId(2);

    fn us(text: &str) -> i64 {
        text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_micros()
    }

    #[test]
    fn what_is_worth_something_through_december_ends_in_december_of_italys_calendar() {
        let ends = |at| Ends::before(us(at)).to_string();
        assert_eq!(ends("2026-12-31T23:00:00Z"), "2026-12", "midnight in Rome is the first moment of January");
        assert_eq!(ends("2026-12-31T23:00:00.000001Z"), "2027-01");
        let ends = [NEVER, NEVER - 1, i64::MIN].map(|at| Ends::before(at).to_string());
        assert_eq!(ends, ["never", "9999-12", "0001-01"]);
        assert_eq!(Month::of_day(0).to_string(), "1970-01");
        assert_eq!([i32::MAX, i32::MIN].map(|day| Month::of_day(day).to_string()), ["9999-12", "0001-01"]);
    }

    #[test]
    fn what_never_ends_stands_last_and_what_is_gone_is_left_out() {
        let lot = |expires_us| Lot::of(LotTerms { expires_us, ..LotTerms::default() }, 0);
        let mut groups = Groups::default();
        let pieces = [None, Some(us("2027-02-01T00:00:00Z")), Some(us("2026-02-01T00:00:00Z"))];
        pieces.iter().for_each(|at| groups.put(PTS, &Piece { lot: lot(*at), minor: 5 }));
        let ends: Vec<_> = groups.iter().map(|(group, _)| group.ends.to_string()).collect();
        assert_eq!(ends, ["2026-02", "2027-02", "never"]);
        let all = groups.clone();
        assert_eq!(groups.before(&all), Groups::default());
    }
}
