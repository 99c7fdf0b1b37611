//! The time, as a value: whoever decides by time is handed a [`Clock`] or a moment, and never asks the machine.
//!
//! Moments have microsecond precision, because that is what PostgreSQL keeps: a value read back equals the value written.
//! Not here: a sandbox's offset (a record of its journal), and durations, which are measured with `std::time::Instant`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

/// Where the present moment comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until it is moved, for tests and for a demo that must give the same figures each time.
    Manual(ManualTime),
}

/// The hand of a manual clock; clones share it.
#[derive(Debug, Clone)]
pub struct ManualTime(Arc<AtomicI64>);

impl Clock {
    /// A clock that shows `at`, cut to the microsecond, until [`advance`](Self::advance) moves it.
    #[must_use]
    pub fn manual(at: DateTime<Utc>) -> Self {
        Self::Manual(ManualTime(Arc::new(AtomicI64::new(at.timestamp_micros()))))
    }

    /// The present moment, cut to the microsecond.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::System => whole_micros(system_now()),
            // Out of chrono's range only past the year 262,000: the oldest moment then fails whatever compares with it.
            Self::Manual(time) => {
                DateTime::from_timestamp_micros(time.0.load(Ordering::SeqCst)).unwrap_or(DateTime::<Utc>::MIN_UTC)
            }
        }
    }

    /// Moves a manual clock by `step`, which may be negative; the machine's clock does not move for us.
    pub fn advance(&self, step: TimeDelta) {
        if let (Self::Manual(time), Some(micros)) = (self, step.num_microseconds()) {
            time.0.fetch_add(micros, Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the machine is asked for the time")]
fn system_now() -> DateTime<Utc> {
    Utc::now()
}

fn whole_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_still_until_it_is_moved_and_its_clones_move_with_it() {
        let start = DateTime::from_timestamp(1_700_000_000, 123_456_789).unwrap();
        let clock = Clock::manual(start);
        let other = clock.clone();
        assert_eq!(clock.now(), clock.now());
        other.advance(TimeDelta::hours(2));
        assert_eq!(clock.now(), whole_micros(start) + TimeDelta::hours(2));
        other.advance(TimeDelta::hours(-3));
        assert_eq!(clock.now(), whole_micros(start) - TimeDelta::hours(1));
    }

    #[test]
    fn the_system_clock_gives_whole_microseconds_and_cannot_be_moved() {
        let before = Clock::System.now();
        Clock::System.advance(TimeDelta::days(1));
        let after = Clock::System.now();
        assert_eq!(after.timestamp_subsec_nanos() % 1_000, 0);
        assert!(after - before < TimeDelta::hours(1));
    }
}
