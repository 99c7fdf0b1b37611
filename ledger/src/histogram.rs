//! How values spread: a histogram that costs an observer two atomic additions, no lock and no memory.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Most bounds that a histogram may have.
const MOST: usize = 20;

/// Bounds for how long things take, microseconds: from half a millisecond to ten seconds.
pub const LATENCY_US: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// Bounds for how many things come together: from one to the largest batch.
pub const COUNTS: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 4_096];

/// Counts of values up to each of some bounds, and of those beyond. Counted since it was made.
///
/// What one reader sees is not one moment: a value may be in the sum and not yet in its count.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    counts: [AtomicU64; MOST],
    beyond: AtomicU64,
    sum: AtomicU64,
}

/// What a histogram has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// Each bound, and how many values were at most that.
    pub upto: Vec<(u64, u64)>,
    /// How many there were.
    pub count: u64,
    /// What they add up to.
    pub sum: u64,
}

impl Histogram {
    /// A histogram over ascending bounds, of which the first 20 count.
    #[must_use]
    pub const fn new(bounds: &'static [u64]) -> Self {
        Self { bounds, counts: [const { AtomicU64::new(0) }; MOST], beyond: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn observe(&self, value: u64) {
        let place = self.bounds.iter().position(|bound| value <= *bound);
        let count = place.and_then(|place| self.counts.get(place)).unwrap_or(&self.beyond);
        count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts how long something took, in microseconds.
    pub fn observe_us(&self, took: Duration) {
        self.observe(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts the microseconds since then.
    pub fn observe_since(&self, began: Instant) {
        self.observe_us(began.elapsed());
    }

    /// What was counted so far.
    #[must_use]
    pub fn spread(&self) -> Spread {
        let mut count = 0_u64;
        let upto = self.bounds.iter().zip(&self.counts).map(|(bound, counted)| {
            count = count.saturating_add(counted.load(Ordering::Relaxed));
            (*bound, count)
        });
        let upto = upto.collect();
        let count = count.saturating_add(self.beyond.load(Ordering::Relaxed));
        Spread { upto, count, sum: self.sum.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_at_every_bound_it_does_not_pass() {
        let seen = Histogram::new(&[1, 5]);
        [0, 1, 2, 5, 6, 7].into_iter().for_each(|value| seen.observe(value));
        assert_eq!(seen.spread(), Spread { upto: vec![(1, 2), (5, 4)], count: 6, sum: 21 });
    }

    #[test]
    fn our_bounds_ascend_and_fit() {
        for bounds in [LATENCY_US, COUNTS] {
            assert!(bounds.is_sorted() && bounds.len() <= MOST, "{bounds:?}");
        }
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let seen = Histogram::new(LATENCY_US);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|value| seen.observe(value)));
            }
        });
        assert_eq!((seen.spread().count, seen.spread().sum), (40_000, 4 * 49_995_000));
    }
}
