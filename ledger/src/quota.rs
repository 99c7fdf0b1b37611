//! Quotas: what may still happen in a period, as the balance of a counting account (JOURNAL 9).
//!
//! The account's floor is zero, its balance what is left of the allowance; using it is a transfer to its pool in the
//! transaction of its cause, so no limit is ever read first and passed later. The first use in a new period writes a
//! record that sets the balance to the allowance again. Periods follow a calendar of law or contract.
//! Not here: which limits there are (the slices).

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeZone, Utc};
use serde::{Deserialize, Serialize};

use crate::lot::NEVER;

/// How long an allowance lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
    /// Once and for all.
    Ever,
}

/// Where midnight is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Calendar {
    /// In Greenwich, all year.
    Utc,
    /// In Italy, with its summer time.
    Rome,
}

impl Period {
    /// Its number in rows and bytes.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Day => 1,
            Self::Month => 2,
            Self::Year => 3,
            Self::Ever => 4,
        }
    }

    /// The period of a number, if there is one.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        match code {
            1 => Some(Self::Day),
            2 => Some(Self::Month),
            3 => Some(Self::Year),
            4 => Some(Self::Ever),
            _ => None,
        }
    }

    /// The first moment of the period that `now_us` is in and the first after it, microseconds since 1970.
    #[must_use]
    pub fn around(self, calendar: Calendar, now_us: i64) -> (i64, i64) {
        let bounds = DateTime::from_timestamp_micros(now_us).and_then(|now| {
            let today = calendar.date(now);
            let first = match self {
                Self::Day => Some(today),
                Self::Month => today.with_day(1),
                Self::Year => today.with_day(1)?.with_month(1),
                Self::Ever => None,
            }?;
            let next = match self {
                Self::Day => first.checked_add_days(Days::new(1)),
                Self::Month => first.checked_add_months(Months::new(1)),
                Self::Year => first.checked_add_months(Months::new(12)),
                Self::Ever => None,
            }?;
            Some((calendar.midnight_us(first)?, calendar.midnight_us(next)?))
        });
        bounds.unwrap_or((0, NEVER))
    }
}

impl Calendar {
    /// Its number in rows and bytes.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Utc => 1,
            Self::Rome => 2,
        }
    }

    /// The calendar of a number, if there is one.
    #[must_use]
    pub const fn from_code(code: i32) -> Option<Self> {
        match code {
            1 => Some(Self::Utc),
            2 => Some(Self::Rome),
            _ => None,
        }
    }

    fn date(self, at: DateTime<Utc>) -> NaiveDate {
        match self {
            Self::Utc => at.date_naive(),
            Self::Rome => at.with_timezone(&chrono_tz::Europe::Rome).date_naive(),
        }
    }

    /// The first moment of a day.
    fn midnight_us(self, day: NaiveDate) -> Option<i64> {
        let midnight = day.and_time(NaiveTime::MIN);
        let at = match self {
            Self::Utc => midnight.and_utc(),
            Self::Rome => chrono_tz::Europe::Rome.from_local_datetime(&midnight).earliest()?.with_timezone(&Utc),
        };
        Some(at.timestamp_micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> i64 {
        text.parse::<DateTime<Utc>>().unwrap().timestamp_micros()
    }

    #[test]
    fn a_day_in_italy_is_as_long_as_its_clocks_make_it() {
        let day = |at| Period::Day.around(Calendar::Rome, us(at));
        assert_eq!(day("2026-03-29T12:00:00Z"), (us("2026-03-28T23:00:00Z"), us("2026-03-29T22:00:00Z")));
        assert_eq!(day("2026-10-25T12:00:00Z"), (us("2026-10-24T22:00:00Z"), us("2026-10-25T23:00:00Z")));
    }

    #[test]
    fn a_moment_belongs_to_the_period_it_begins() {
        let month = |at| Period::Month.around(Calendar::Utc, at);
        let (first, next) = month(us("2028-02-29T23:59:59Z"));
        assert_eq!((first, next), (us("2028-02-01T00:00:00Z"), us("2028-03-01T00:00:00Z")));
        assert_eq!(month(next).0, next);
        assert_eq!(month(next - 1), (first, next));
        let year = Period::Year.around(Calendar::Rome, us("2026-12-31T23:00:00Z"));
        assert_eq!(year, (us("2026-12-31T23:00:00Z"), us("2027-12-31T23:00:00Z")));
        assert_eq!(Period::Ever.around(Calendar::Utc, 5), (0, NEVER));
    }

    #[test]
    fn periods_and_calendars_are_their_numbers_and_back() {
        let periods = (0..9).filter_map(|code| Some((code, Period::from_code(code)?.code())));
        assert!(periods.eq((1..5).map(|code| (code, code))));
        let calendars = (0..9).filter_map(|code| Some((code, Calendar::from_code(code)?.code())));
        assert!(calendars.eq((1..3).map(|code| (code, code))));
    }
}
