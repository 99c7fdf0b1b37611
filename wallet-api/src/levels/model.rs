//! What a level may do, in numbers, and why a table of them is refused.

use chrono::{DateTime, Utc};
use ledger::{AssetId, MAX_AMOUNT};

use crate::identity::people::Level;
use crate::platform::problem::{Describe, Problem};

/// Something that is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The money in the wallet.
    Stored,
    /// One payment out of it.
    Payment,
    /// All payments of a day.
    Day,
    /// All payments of a calendar month.
    Month,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stored, Self::Payment, Self::Day, Self::Month];

    /// Its word in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Payment => "payment",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The code of a refusal by it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Stored => "limit-stored",
            Self::Payment => "limit-payment",
            Self::Day => "limit-day",
            Self::Month => "limit-month",
        }
    }
}

/// What one may hold and pay, in cents; none is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowed {
    /// In the wallet.
    pub stored: Option<i64>,
    /// In one payment.
    pub payment: Option<i64>,
    /// In a day.
    pub day: Option<i64>,
    /// In a calendar month.
    pub month: Option<i64>,
}

impl Allowed {
    /// No limit at all.
    pub const ALL: Self = Self { stored: None, payment: None, day: None, month: None };

    /// Of one thing.
    #[must_use]
    pub const fn of(&self, limit: Limit) -> Option<i64> {
        match limit {
            Limit::Stored => self.stored,
            Limit::Payment => self.payment,
            Limit::Day => self.day,
            Limit::Month => self.month,
        }
    }

    fn is_possible(&self) -> bool {
        let fits = |limit: Limit| self.of(limit).is_none_or(|minor| (0..=MAX_AMOUNT).contains(&minor));
        Limit::ALL.into_iter().all(fits)
    }
}

/// The law's numbers, for who does not set others. T0 and T1: Directive (EU) 2015/849, Art. 12, as amended: 150 EUR stored and a
/// month, 50 EUR a remote payment. T2: ours, below what Regulation (EU) 2024/1624, Art. 19, asks more for. T3: by contract.
pub const LAW: [Allowed; 4] = {
    let anonymous = Allowed { stored: Some(15_000), payment: Some(5_000), day: None, month: Some(15_000) };
    let proved = Allowed { stored: Some(1_000_000), payment: None, day: Some(500_000), month: None };
    [anonymous, anonymous, proved, Allowed::ALL]
};

/// What each level may do, from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// The moment.
    pub valid_from: DateTime<Utc>,
    /// By level, the least first.
    pub levels: [Allowed; 4],
}

impl Table {
    /// Of one level.
    #[must_use]
    pub const fn of(&self, level: Level) -> Allowed {
        let [t0, t1, t2, t3] = self.levels;
        match level {
            Level::T0 => t0,
            Level::T1 => t1,
            Level::T2 => t2,
            Level::T3 => t3,
        }
    }

    pub(super) fn check(&self, now: DateTime<Utc>) -> Result<(), LevelsError> {
        if self.valid_from < now {
            return Err(LevelsError::Past);
        }
        if !self.levels.iter().all(Allowed::is_possible) {
            return Err(LevelsError::Amount);
        }
        Ok(())
    }
}

/// A tenant's tables, as they are held in memory.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// Oldest first. A tenant without one limits nobody.
    pub all: Vec<Table>,
    /// In what is counted: an asset of the journal that is no money. There once there is a table.
    pub asset: Option<AssetId>,
}

impl Tables {
    /// The table in force at a moment; none before the first.
    #[must_use]
    pub fn at(&self, now: DateTime<Utc>) -> Option<&Table> {
        self.all.iter().rfind(|table| table.valid_from <= now)
    }
}

/// Why a table was not published, or a level not set.
#[derive(Debug, thiserror::Error)]
pub enum LevelsError {
    /// It would change what was in force.
    #[error("a table begins now or later")]
    Past,
    /// A limit is below zero or above what can be moved.
    #[error("a limit is 0 to 10^15 minor units")]
    Amount,
    /// Another one begins then.
    #[error("another table begins at that moment")]
    Taken,
    /// The customer is no person.
    #[error("no such person")]
    UnknownPerson,
    /// The database failed.
    #[error("database call failed")]
    Database(#[from] diesel::result::Error),
    /// The journal's tables could not be read or written.
    #[error(transparent)]
    Store(#[from] ledger::StoreError),
}

impl Describe for LevelsError {
    fn describe(&self) -> Problem {
        match self {
            Self::Past => {
                let detail = "What was in force stays as it was: let the table begin now or later.";
                Problem::new(422, "limits-in-the-past", "The table begins in the past", detail)
            }
            Self::Amount => {
                let detail = "A limit is 0 to 10^15 minor units; leave out what has none.";
                Problem::new(422, "limits-impossible", "The limits cannot be", detail)
            }
            Self::Taken => {
                let detail = "Choose another moment; what was published stays.";
                Problem::new(409, "limits-taken", "Another table begins then", detail)
            }
            Self::UnknownPerson => {
                let detail = "The customer has not signed up, or the id is another's.";
                Problem::new(404, "person-unknown", "There is no such person", detail)
            }
            Self::Database(error) => error.describe(),
            Self::Store(error) => error.describe(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn the_table_in_force_is_the_last_that_has_begun() {
        let table = |seconds| Table { valid_from: at(seconds), levels: LAW };
        let tables = Tables { all: vec![table(10), table(20)], asset: None };
        let from = |seconds| tables.at(at(seconds)).map(|table| table.valid_from);
        assert_eq!([9, 10, 19, 20, 99].map(from), [None, Some(at(10)), Some(at(10)), Some(at(20)), Some(at(20))]);
    }

    #[test]
    fn no_table_begins_in_the_past_and_none_has_a_limit_that_cannot_be() {
        let with = |stored| Table { valid_from: at(10), levels: [Allowed { stored, ..Allowed::ALL }; 4] };
        assert!(with(Some(0)).check(at(10)).is_ok() && with(None).check(at(10)).is_ok());
        assert!(matches!(with(None).check(at(11)), Err(LevelsError::Past)));
        for impossible in [-1, MAX_AMOUNT + 1] {
            assert!(matches!(with(Some(impossible)).check(at(10)), Err(LevelsError::Amount)));
        }
    }

    /// Directive (EU) 2015/849, Art. 12: what nobody has proved holds 150 EUR, pays 150 a month and 50 at a distance.
    #[test]
    fn the_laws_numbers_are_the_laws() {
        let table = Table { valid_from: at(0), levels: LAW };
        for level in [Level::T0, Level::T1] {
            let of = |limit| table.of(level).of(limit);
            assert_eq!(Limit::ALL.map(of), [Some(15_000), Some(5_000), None, Some(15_000)]);
        }
        assert_eq!(Limit::ALL.map(|limit| table.of(Level::T2).of(limit)), [Some(1_000_000), None, Some(500_000), None]);
        assert_eq!(table.of(Level::T3), Allowed::ALL);
    }
}
