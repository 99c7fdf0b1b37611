//! Failed approvals in a row, and the blocks they lead to (Regulation (EU) 2018/389, art. 4(3)(b)).
//!
//! The fifth failure in a row blocks for 15 minutes, the fifth after that for 30, and the next for good: then who one is
//! must be proved anew. A success forgets both. Pure; the row that keeps it is locked while an approval is judged.

use chrono::{DateTime, TimeDelta, Utc};

/// Failures in a row that make a block.
const FAILURES: i32 = 5;
/// The block that has no end.
const LAST_BLOCK: i32 = 3;
/// How long the first block lasts, minutes; each next one twice as long.
const FIRST_BLOCK_MINUTES: i64 = 15;

/// How somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Failures since the last success or block.
    pub(super) consecutive: i32,
    /// Blocks since the last success.
    pub(super) blocks: i32,
    /// When the last block ends; none of one that does not.
    pub(super) blocked_until: Option<DateTime<Utc>>,
}

/// What the payer must be told, on every channel. Sending it is the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Approvals are blocked until then. One more such block has no end, when `is_last`.
    Blocked {
        /// Its end.
        until: DateTime<Utc>,
        /// The next has none: the alert that must come before (art. 4(3)(b)).
        is_last: bool,
    },
    /// Approvals are blocked until the payer proves anew who they are.
    Barred,
}

impl Standing {
    /// Whether approvals are refused now.
    #[must_use]
    pub fn is_blocked(&self, now: DateTime<Utc>) -> bool {
        self.blocks >= LAST_BLOCK || self.blocked_until.is_some_and(|until| now < until)
    }

    /// After a failure, and what the payer must be told.
    #[must_use]
    pub fn after_failure(self, now: DateTime<Utc>) -> (Self, Option<Notice>) {
        let consecutive = self.consecutive.saturating_add(1);
        if consecutive < FAILURES {
            return (Self { consecutive, ..self }, None);
        }
        let blocks = self.blocks.saturating_add(1).min(LAST_BLOCK);
        if blocks == LAST_BLOCK {
            return (Self { consecutive: 0, blocks, blocked_until: None }, Some(Notice::Barred));
        }
        let minutes = (1..blocks).fold(FIRST_BLOCK_MINUTES, |minutes, _| minutes.saturating_mul(2));
        let until = now + TimeDelta::minutes(minutes);
        let is_last = blocks + 1 == LAST_BLOCK;
        (Self { consecutive: 0, blocks, blocked_until: Some(until) }, Some(Notice::Blocked { until, is_last }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t08_each_fifth_failure_blocks_longer_and_the_third_time_for_good() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let (mut standing, mut now, mut told) = (Standing::default(), start, Vec::new());
        for _ in 0..15 {
            assert!(!standing.is_blocked(now));
            let (after, notice) = standing.after_failure(now);
            standing = after;
            told.extend(notice);
            if let Some(Notice::Blocked { until, .. }) = notice {
                assert!(standing.is_blocked(until - TimeDelta::microseconds(1)));
                now = until;
            }
        }
        let first = start + TimeDelta::minutes(15);
        let expected = [
            Notice::Blocked { until: first, is_last: false },
            Notice::Blocked { until: first + TimeDelta::minutes(30), is_last: true },
            Notice::Barred,
        ];
        assert_eq!(told, expected);
        assert!(standing.is_blocked(start + TimeDelta::days(10_000)), "the third has no end");
    }
}
