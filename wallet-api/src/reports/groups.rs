//! Unspent units by the month they were earned, the month they end and the campaign they came by.
//!
//! Promise: sums are exact (128 bits), and whatever is added up can be taken away again, so a standing of the past is
//! reached from the beginning or from today alike. Memory grows with months and campaigns, not with accounts or records.
//! Pure. Months: a lot is earned on a day of UTC, as the journal counts it; it ends in the month, by Italy's calendar, of
//! the last moment it can be spent in, so what is worth something through 31 December ends in December.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate};
use ledger::{AssetId, Lot, NEVER, Piece};
use uuid::Uuid;

use super::flow::Flow;

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

    pub(super) fn flow(&mut self, flow: &Flow) {
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

    pub(super) fn keep(&mut self, asset: AssetId) {
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
