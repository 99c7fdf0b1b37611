//! Quantiles of durations, in a fixed amount of memory and without floats.
//!
//! Durations are counted in whole microseconds, in buckets that grow with what they hold: exact below 128 µs, and no
//! wider than 1/64 of their value above. A quantile is told as its bucket's upper end, so it errs upwards by at most
//! 1.6 %, never downwards. Anything past 71 minutes counts as 71 minutes.

use std::time::Duration;

/// Each doubling of the value is divided into this many buckets, as a power of two.
const SUB_BITS: u32 = 6;
const SUB: u32 = 1 << SUB_BITS;

/// All buckets of a `u32`: one exact group below `SUB`, then one group for each doubling.
const BUCKETS: usize = 27 * 64;

/// Counts durations by size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max_us: u32,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, max_us: 0 }
    }
}

impl Histogram {
    /// Counts one duration, cut to whole microseconds.
    pub fn record(&mut self, duration: Duration) {
        let us = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
        if let Some(count) = self.counts.get_mut(bucket_of(us)) {
            *count += 1;
            self.count += 1;
            self.max_us = self.max_us.max(us);
        }
    }

    /// Adds everything another one counted.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(to, from)| *to += from);
        self.count += other.count;
        self.max_us = self.max_us.max(other.max_us);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest duration in µs, exactly; 0 when nothing was counted.
    pub fn max_us(&self) -> u32 {
        self.max_us
    }

    /// The duration in µs that at least `per_mille` of a thousand did not pass: 500 is the median, 990 the 99th percentile.
    ///
    /// At most 1.6 % above the exact value, never below it; 0 when nothing was counted.
    pub fn quantile_us(&self, per_mille: u32) -> u32 {
        let rank = (u128::from(self.count) * u128::from(per_mille.min(1000))).div_ceil(1000).max(1);
        let mut below = 0u128;
        let holds_rank = |count: &u64| {
            below += u128::from(*count);
            below >= rank
        };
        self.counts.iter().position(holds_rank).map_or(0, |bucket| upper_end(bucket).min(self.max_us))
    }
}

fn bucket_of(us: u32) -> usize {
    let shift = us.checked_ilog2().map_or(0, |log| log.saturating_sub(SUB_BITS));
    usize::try_from(shift * SUB + (us >> shift)).unwrap_or(usize::MAX)
}

/// The largest value, in µs, that a bucket holds.
fn upper_end(bucket: usize) -> u32 {
    let bucket = u32::try_from(bucket).unwrap_or(u32::MAX);
    let shift = (bucket / SUB).saturating_sub(1);
    let mantissa = u64::from(bucket - shift * SUB);
    u32::try_from(((mantissa + 1) << shift) - 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u32]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|us| histogram.record(Duration::from_micros(u64::from(*us))));
        histogram
    }

    #[test]
    fn buckets_follow_each_other_without_gap_up_to_the_largest_value() {
        let mut next = 0u64;
        for bucket in 0..BUCKETS {
            assert_eq!(bucket_of(u32::try_from(next).unwrap()), bucket);
            assert_eq!(bucket_of(upper_end(bucket)), bucket);
            next = u64::from(upper_end(bucket)) + 1;
        }
        assert_eq!(next, 1 << 32);
    }

    #[test]
    fn nothing_counted_reads_zero_and_an_hour_and_more_is_kept() {
        assert_eq!((Histogram::default().quantile_us(990), Histogram::default().max_us()), (0, 0));
        let mut long = Histogram::default();
        long.record(Duration::from_secs(1_000_000));
        assert_eq!((long.count(), long.quantile_us(500)), (1, u32::MAX));
    }

    proptest! {
        /// A quantile is never below the exact one, and above it by less than its bucket's width.
        #[test]
        fn quantiles_are_within_a_bucket_of_exact(
            mut values in proptest::collection::vec(prop_oneof![0..300u32, 0..100_000u32, any::<u32>()], 1..400),
            per_mille in 0..=1000u32,
        ) {
            let told = u64::from(of(&values).quantile_us(per_mille));
            values.sort_unstable();
            let rank = (values.len() * usize::try_from(per_mille).unwrap()).div_ceil(1000).max(1);
            let exact = u64::from(values[rank - 1]);
            prop_assert!(told >= exact && told - exact <= exact / 64, "told {told}, exact {exact}");
        }

        /// Counting in parts and together is the same.
        #[test]
        fn merging_is_counting_together(one in proptest::collection::vec(any::<u32>(), 0..50), two in proptest::collection::vec(any::<u32>(), 0..50)) {
            let mut merged = of(&one);
            merged.merge(&of(&two));
            prop_assert_eq!(merged, of(&[one, two].concat()));
        }
    }
}
