//! What a table would have refused: payments that were made, judged again under it. Pure.
//!
//! In the order of the books, each person from nothing at the month's begin. A payment that would have been refused counts for
//! none after it, as it would not have then. What the wallets held is not judged.

use std::collections::HashMap;

use ledger::{Calendar, Period};
use serde::Serialize;
use uuid::Uuid;

use super::model::{Limit, Table};
use crate::identity::people::Level;

/// A payment out of a wallet that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// Whose.
    pub person: Uuid,
    /// How well they were known then.
    pub level: Level,
    /// When it was recorded, microseconds since 1970.
    pub recorded_us: i64,
    /// Cents.
    pub minor: i64,
}

/// Why it would have been refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WouldRefuse {
    /// By which limit.
    pub limit: &'static str,
    /// What was left of it, cents.
    pub left_minor: i64,
    /// By how much it was above that.
    pub over_minor: i64,
}

/// What a person has paid in the period that began then.
#[derive(Debug, Clone, Copy, Default)]
struct Paid {
    since_us: i64,
    minor: i64,
}

/// A month under another table.
pub struct Replay {
    table: Table,
    calendar: Calendar,
    paid: HashMap<Uuid, [Paid; 2]>,
}

impl Replay {
    /// Under this table.
    #[must_use]
    pub fn under(table: Table, calendar: Calendar) -> Self {
        Self { table, calendar, paid: HashMap::new() }
    }

    /// Judges the next payment; none when it would have been made.
    pub fn judge(&mut self, made: &Made) -> Option<WouldRefuse> {
        let allowed = self.table.of(made.level);
        let paid = self.paid.entry(made.person).or_default();
        for (one, period) in paid.iter_mut().zip([Period::Day, Period::Month]) {
            let (since_us, _) = period.around(self.calendar, made.recorded_us);
            if one.since_us != since_us {
                *one = Paid { since_us, minor: 0 };
            }
        }
        let [day, month] = *paid;
        // In the order in which the journal judges.
        for (limit, used) in [(Limit::Payment, 0), (Limit::Day, day.minor), (Limit::Month, month.minor)] {
            let Some(most) = allowed.of(limit) else { continue };
            let left_minor = most.saturating_sub(used).max(0);
            if made.minor > left_minor {
                let over_minor = made.minor.saturating_sub(left_minor);
                return Some(WouldRefuse { limit: limit.word(), left_minor, over_minor });
            }
        }
        paid.iter_mut().for_each(|one| one.minor = one.minor.saturating_add(made.minor));
        None
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::levels::LAW;

    fn us(text: &str) -> i64 {
        text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_micros()
    }

    fn replay() -> Replay {
        Replay::under(Table { valid_from: DateTime::UNIX_EPOCH, levels: LAW }, Calendar::Rome)
    }

    fn made(level: Level, at: &str, minor: i64) -> Made {
        Made { person: Uuid::nil(), level, recorded_us: us(at), minor }
    }

    #[test]
    fn what_would_have_been_refused_counts_for_none_after_it() {
        let mut replay = replay();
        let mut judge = |minor| replay.judge(&made(Level::T1, "2026-10-10T10:00:00Z", minor));
        assert_eq!(judge(5_000), None);
        assert_eq!(judge(5_001), Some(WouldRefuse { limit: "payment", left_minor: 5_000, over_minor: 1 }));
        assert_eq!((judge(5_000), judge(4_000)), (None, None));
        assert_eq!(judge(1_500), Some(WouldRefuse { limit: "month", left_minor: 1_000, over_minor: 500 }));
        assert_eq!(judge(1_000), None);
    }

    #[test]
    fn days_and_months_are_italys() {
        let mut replay = replay();
        assert_eq!(replay.judge(&made(Level::T2, "2026-10-10T21:59:59Z", 500_000)), None);
        assert!(replay.judge(&made(Level::T2, "2026-10-10T21:59:59Z", 1)).is_some());
        assert_eq!(replay.judge(&made(Level::T2, "2026-10-10T22:00:00Z", 500_000)), None);
        assert!(replay.judge(&made(Level::T1, "2026-10-31T22:59:59Z", 1)).is_some());
        assert_eq!(replay.judge(&made(Level::T1, "2026-10-31T23:00:00Z", 1)), None);
    }
}
