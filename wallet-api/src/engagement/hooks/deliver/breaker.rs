//! The breaker of an endpoint: when nothing but failures comes back, it is asked seldom, one hook at a time.
//!
//! Closed: everything is sent. After [`FAILURES`] failures in a row it opens: nothing is sent, and what comes meanwhile
//! waits in the table without losing an attempt. After a wait it is half open: one hook of each lane is sent. A success,
//! of whichever attempt, closes it; a failure opens it again for twice as long, up to [`LONGEST`].
//! So an endpoint that is dead costs its neighbours next to nothing, and one that comes back is noticed within a minute.

use std::time::{Duration, Instant};

/// Failures in a row that open it.
const FAILURES: u32 = 10;
/// How long it is open the first time.
const SHORTEST: Duration = Duration::from_secs(1);
/// How long it is open at most.
const LONGEST: Duration = Duration::from_secs(60);
/// How long the outcome of a hook sent on trial is waited for, before another is sent: longer than any attempt takes.
const TRIAL: Duration = Duration::from_secs(30);

/// How much may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admits {
    /// Everything.
    All,
    /// One, on trial.
    One,
    /// Nothing.
    Nothing,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    until: Instant,
    wait: Duration,
}

impl Breaker {
    /// How much may be sent now.
    pub(super) fn admits(&self, now: Instant) -> Admits {
        match self.open {
            None => Admits::All,
            Some(open) if now >= open.until => Admits::One,
            Some(_) => Admits::Nothing,
        }
    }

    /// A hook is sent; on trial, if it is not closed.
    pub(super) fn sends(&mut self, now: Instant) {
        if let Some(open) = self.open.as_mut().filter(|open| now >= open.until) {
            open.until = later(now, TRIAL);
        }
    }

    /// A hook arrived.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A hook failed; true when that opened it.
    pub(super) fn failed(&mut self, now: Instant, on_trial: bool) -> bool {
        match &mut self.open {
            // What was under way when it opened says nothing new.
            Some(_) if !on_trial => false,
            Some(open) => {
                open.wait = open.wait.saturating_mul(2).min(LONGEST);
                open.until = later(now, open.wait);
                false
            }
            None => {
                self.failures = self.failures.saturating_add(1);
                if self.failures < FAILURES {
                    return false;
                }
                self.open = Some(Open { until: later(now, SHORTEST), wait: SHORTEST });
                true
            }
        }
    }

    /// Whether a hook that is sent now is sent on trial.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        let opening = (0..FAILURES).filter(|_| breaker.failed(now, false)).count();
        assert_eq!(opening, 1, "and no more than once");
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..5 {
            assert!((1..FAILURES).all(|_| !breaker.failed(now, false)));
            breaker.succeeded();
        }
        assert_eq!(breaker.admits(now), Admits::All);
        assert_eq!(opened(now).admits(now), Admits::Nothing);
    }

    #[test]
    fn half_open_it_lets_one_through_and_waits_for_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let then = now + SHORTEST;
        assert_eq!(breaker.admits(then), Admits::One);
        breaker.sends(then);
        assert_eq!(breaker.admits(then), Admits::Nothing, "until its outcome is known");
        assert_eq!(breaker.admits(then + TRIAL), Admits::One, "or was lost");
        breaker.succeeded();
        assert_eq!(breaker.admits(then), Admits::All);
    }

    #[test]
    fn each_failed_trial_doubles_the_wait_up_to_a_minute() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        now += SHORTEST;
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            breaker.sends(now);
            assert!(!breaker.failed(now, false), "what was under way before counts for nothing");
            assert!(!breaker.failed(now, true));
            assert_eq!(breaker.admits(now + Duration::from_secs(seconds) - Duration::from_millis(1)), Admits::Nothing);
            now += Duration::from_secs(seconds);
            assert_eq!(breaker.admits(now), Admits::One);
        }
    }
}
