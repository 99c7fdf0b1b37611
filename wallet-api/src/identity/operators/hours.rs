//! Hours of the week in which a role is in force, as the clock on the wall shows them: `mon-fri 8-20, sat 9-13`.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Timelike, Utc};
use chrono_tz::Tz;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const HOURS_A_DAY: u32 = 24;

/// Of Monday to Sunday one number each, whose bit n is the hour from n to n + 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours([i32; 7]);

/// Hours that are none.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no hours of the week: write them as \"mon-fri 8-20, sat 9-13\"")]
pub struct NoHours(String);

impl Hours {
    /// As the table keeps them; none when it keeps something else.
    pub(super) fn of(kept: &[i32]) -> Option<Self> {
        <[i32; 7]>::try_from(kept).ok().map(Self)
    }

    pub(super) fn kept(self) -> Vec<i32> {
        self.0.to_vec()
    }

    /// From when until when, of Monday to Sunday.
    #[must_use]
    pub fn spans(self) -> [Vec<(u32, u32)>; 7] {
        self.0.map(spans_of)
    }

    /// Whether this moment is one of them where the zone's clocks are.
    #[must_use]
    pub fn have(self, now: DateTime<Utc>, zone: Tz) -> bool {
        let there = now.with_timezone(&zone);
        let day = usize::try_from(there.weekday().num_days_from_monday()).unwrap_or(usize::MAX);
        self.0.get(day).is_some_and(|hours| hours & bit(there.hour()) != 0)
    }
}

/// From when until when a day has these hours, in their order.
fn spans_of(hours: i32) -> Vec<(u32, u32)> {
    let has = |hour: u32| hour < HOURS_A_DAY && hours & bit(hour) != 0;
    let begins = |hour: &u32| has(*hour) && (*hour == 0 || !has(hour.saturating_sub(1)));
    let end = |from: u32| (from..=HOURS_A_DAY).find(|hour| !has(*hour)).unwrap_or(HOURS_A_DAY);
    (0..HOURS_A_DAY).filter(begins).map(|from| (from, end(from))).collect()
}

const fn bit(hour: u32) -> i32 {
    1 << hour
}

impl FromStr for Hours {
    type Err = NoHours;

    fn from_str(text: &str) -> Result<Self, NoHours> {
        let mut all = [0; 7];
        for part in text.split(',') {
            add(&mut all, part.trim()).ok_or_else(|| NoHours(text.to_owned()))?;
        }
        Ok(Self(all))
    }
}

/// Adds `mon-fri 8-20`; none when it is not of this form.
fn add(all: &mut [i32; 7], part: &str) -> Option<()> {
    let (days, hours) = part.split_once(' ')?;
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let place = |word: &str| DAYS.iter().position(|day| *day == word);
    let (first, last) = (place(first)?, place(last)?);
    let (from, until) = hours.trim().split_once('-')?;
    let (from, until) = (from.parse::<u32>().ok()?, until.parse::<u32>().ok()?);
    if first > last || from >= until || until > HOURS_A_DAY {
        return None;
    }
    for day in all.get_mut(first..=last)? {
        (from..until).for_each(|hour| *day |= bit(hour));
    }
    Some(())
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_first = true;
        for (day, spans) in DAYS.iter().zip(self.spans()) {
            for (from, until) in spans {
                write!(f, "{}{day} {from}-{until}", if is_first { "" } else { ", " })?;
                is_first = false;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_those_of_the_clock_on_the_wall_in_summer_and_winter() {
        let hours: Hours = "mon-fri 8-20, sat 9-13".parse().unwrap();
        let rome = chrono_tz::Europe::Rome;
        let at = |text: &str| hours.have(text.parse().unwrap(), rome);
        // Rome is an hour ahead in winter, two in summer.
        assert!(at("2026-01-05T07:00:00Z") && !at("2026-01-05T06:59:59Z"), "Monday at eight");
        assert!(at("2026-07-06T06:00:00Z") && !at("2026-07-06T05:59:59Z"));
        assert!(at("2026-01-05T18:59:59Z") && !at("2026-01-05T19:00:00Z"), "until eight in the evening");
        assert!(at("2026-01-10T11:59:59Z") && !at("2026-01-10T12:00:00Z"), "Saturday until one");
        assert!(!at("2026-01-11T10:00:00Z"), "Sunday");
        // Midnight in Rome, still Sunday in Greenwich.
        let night: Hours = "mon 0-1".parse().unwrap();
        assert!(night.have("2026-01-04T23:30:00Z".parse().unwrap(), rome));
    }

    #[test]
    fn hours_are_read_as_they_are_written_and_nonsense_is_none() {
        let hours: Hours = "tue 22-24, mon-tue 9-12".parse().unwrap();
        assert_eq!(hours.to_string(), "mon 9-12, tue 9-12, tue 22-24");
        assert_eq!(hours.to_string().parse::<Hours>().unwrap(), hours);
        assert_eq!(Hours::of(&hours.kept()), Some(hours));
        for wrong in
            ["", "mon", "mon 9", "mon 12-9", "mon 9-9", "mon 9-25", "fri-mon 9-10", "day 9-10", "mon 9-10;", ","]
        {
            assert!(wrong.parse::<Hours>().is_err(), "{wrong}");
        }
        assert!(Hours::of(&[1; 6]).is_none());
    }
}
