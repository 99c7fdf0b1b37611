//! What clients spent on other nodes, worked out from counters that all nodes add to.
//!
//! Each node adds what was spent with it and reads the sum. What the sum grew by since its last look, less its own, was
//! spent elsewhere. The first look, and a sum that is less than it must be (Redis was flushed, restarted, or lies), tell
//! nothing and begin again. Pure: no Redis here.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::platform::limits::{Class, Subject};

/// Counters remembered; past it all are forgotten, and the next looks are first ones.
const REMEMBERED: usize = 50_000;

/// The sums as they were last seen.
#[derive(Debug, Default)]
pub struct Seen(HashMap<(Subject, Class), (u64, Instant)>);

impl Seen {
    /// What was spent elsewhere since the last look, and how long ago that was: this node had added `own` when the sum
    /// was `sum`.
    pub fn elsewhere(
        &mut self,
        subject: Subject,
        class: Class,
        own: u64,
        sum: i64,
        now: Instant,
    ) -> Option<(u64, Duration)> {
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        let Some(sum) = u64::try_from(sum).ok().filter(|sum| *sum >= own) else {
            self.0.remove(&(subject, class));
            return None;
        };
        let (before, at) = self.0.insert((subject, class), (sum, now))?;
        let others = sum.checked_sub(before)?.checked_sub(own)?;
        (others > 0).then(|| (others, now.saturating_duration_since(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: Subject = Subject { tenant: 1, client: Some(1) };
    const TENTH: Duration = Duration::from_millis(100);

    #[test]
    fn what_the_sum_grew_by_less_our_own_was_spent_elsewhere() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        let mut look = |own, sum, tenths: u32| seen.elsewhere(ANNA, Class::Money, own, sum, start + TENTH * tenths);
        assert_eq!(look(5, 1_000, 0), None, "a first look");
        assert_eq!(look(5, 1_005, 1), None, "all of it ours");
        assert_eq!(look(5, 1_030, 2), Some((20, TENTH)));
        assert_eq!(look(1, 1_032, 5), Some((1, TENTH * 3)));
    }

    #[test]
    fn a_sum_that_went_back_begins_again_and_one_that_cannot_be_tells_nothing() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        let mut look = |own, sum| seen.elsewhere(ANNA, Class::Money, own, sum, now).map(|(others, _)| others);
        look(5, 1_000);
        assert_eq!(look(5, 5), None, "flushed");
        assert_eq!(look(5, 12), Some(2));
        for lie in [-1, 0, 4, i64::MIN] {
            assert_eq!(look(5, lie), None);
        }
        assert_eq!(look(5, i64::MAX), None, "a first look again");
        assert_eq!(look(5, i64::MAX), None);
    }

    #[test]
    fn a_flood_of_subjects_never_outgrows_the_memory() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        for client in 0..i64::try_from(REMEMBERED).unwrap() + 10 {
            seen.elsewhere(Subject { tenant: 1, client: Some(client) }, Class::Read, 1, 1, now);
        }
        assert!(seen.0.len() <= REMEMBERED);
    }
}
