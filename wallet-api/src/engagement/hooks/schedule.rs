//! When a failed hook is tried again.
//!
//! Ten attempts: at once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, which is 3 d 3 h 35 min 5 s
//! from first to last. Randomness only lengthens a gap, by at most a fifth, so that an endpoint which comes back is not
//! met by everything that failed while it was away in the same second, and a receiver may count on the published gaps as
//! the shortest. An endpoint that asks for more time with `Retry-After` gets up to twice the gap and never less than it.
//!
//! Pure: the time and the random number are inputs. Not here: what counts as a failure (`send`), and when an endpoint
//! that fails for days is disabled (`deliver::health`).
//! Source: Standard Webhooks 1.0, "Deliverability and reliability".

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Seconds between an attempt and the next, in order.
const GAPS_S: [u32; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// Says when to try again after `attempt_no` attempts, the last of them made at `last_at`; `None` means never.
///
/// `attempt_no` counts the attempts already made, so it is 1 after the first. Before the first (0) the answer is
/// `last_at` itself, the time at which the hook came to be. `retry_after` is what the endpoint asked for, if it did;
/// `random` is any number, drawn anew for each call, from which the lengthening is taken.
#[must_use]
pub fn next_attempt(
    attempt_no: u32,
    last_at: DateTime<Utc>,
    retry_after: Option<Duration>,
    random: u64,
) -> Option<DateTime<Utc>> {
    let Some(gaps_before) = attempt_no.checked_sub(1) else { return Some(last_at) };
    let gap = *GAPS_S.get(usize::try_from(gaps_before).ok()?)?;
    let wait_ms = asked_ms(gap, retry_after).saturating_add(lengthening_ms(gap, random));
    last_at.checked_add_signed(TimeDelta::milliseconds(wait_ms))
}

/// What the endpoint asked for, kept between the gap and twice the gap.
fn asked_ms(gap_s: u32, retry_after: Option<Duration>) -> i64 {
    let gap_ms = i64::from(gap_s).saturating_mul(1_000);
    let asked = retry_after.unwrap_or_default().as_millis();
    i64::try_from(asked).unwrap_or(i64::MAX).clamp(gap_ms, gap_ms.saturating_mul(2))
}

/// Between nothing and a fifth of the gap, to the millisecond.
fn lengthening_ms(gap_s: u32, random: u64) -> i64 {
    let fifth_ms = u64::from(gap_s).saturating_mul(200);
    i64::try_from(random % fifth_ms.saturating_add(1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_614_265_330, 0).unwrap()
    }

    /// Standard Webhooks prints the attempts as times since the first.
    #[test]
    fn without_randomness_the_attempts_fall_on_the_published_times() {
        let mut at = start();
        let mut times = Vec::new();
        for attempt_no in 1.. {
            let since_start = (at - start()).num_seconds();
            times.push(format!("{}:{:02}:{:02}", since_start / 3_600, since_start / 60 % 60, since_start % 60));
            let Some(next) = next_attempt(attempt_no, at, None, 0) else { break };
            at = next;
        }
        let published = [
            "0:00:00", "0:00:05", "0:05:05", "0:35:05", "2:35:05", "7:35:05", "17:35:05", "31:35:05", "51:35:05",
            "75:35:05",
        ];
        assert_eq!(times, published);
    }

    #[test]
    fn the_first_attempt_is_due_at_once_and_no_eleventh_follows() {
        assert_eq!(next_attempt(0, start(), None, 7), Some(start()));
        for attempt_no in [10, 11, u32::MAX] {
            assert_eq!(next_attempt(attempt_no, start(), None, 0), None);
        }
    }

    #[test]
    fn retry_after_counts_between_the_gap_and_twice_the_gap() {
        let wait = |asked| (next_attempt(2, start(), Some(asked), 0).unwrap() - start()).num_seconds();
        assert_eq!(wait(Duration::from_secs(1)), 300);
        assert_eq!(wait(Duration::from_secs(420)), 420);
        assert_eq!(wait(Duration::from_secs(86_400)), 600);
        assert_eq!(wait(Duration::MAX), 600);
    }

    proptest! {
        /// Whatever the endpoint asks and the dice say, no attempt comes early, and none later than 2.2 gaps.
        #[test]
        fn a_gap_only_grows_and_only_so_far(attempt_no in 1..10u32, asked in proptest::option::of(0..u64::MAX), random: u64) {
            let gap = TimeDelta::seconds(GAPS_S[usize::try_from(attempt_no).unwrap() - 1].into());
            let wait = next_attempt(attempt_no, start(), asked.map(Duration::from_secs), random).unwrap() - start();
            let most = if asked.is_some() { gap * 11 / 5 } else { gap * 6 / 5 };
            prop_assert!(gap <= wait && wait <= most, "{wait} after {gap}");
        }
    }
}
