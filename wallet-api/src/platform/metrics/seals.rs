//! The Merkle log, in figures: what this node sealed, and how far it is behind.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::SEALS;
use super::text::{Seconds, Text};

/// What became of records that this node sealed.
pub struct SealCounts {
    leaves: AtomicU64,
    heads: AtomicU64,
    not_published: AtomicU64,
    behind: AtomicI64,
    lag_us: AtomicI64,
}

impl SealCounts {
    pub(super) const fn new() -> Self {
        Self {
            leaves: AtomicU64::new(0),
            heads: AtomicU64::new(0),
            not_published: AtomicU64::new(0),
            behind: AtomicI64::new(0),
            lag_us: AtomicI64::new(0),
        }
    }

    /// Counts leaves added, and a head signed.
    pub fn sealed(&self, leaves: i64, head: bool) {
        self.leaves.fetch_add(u64::try_from(leaves).unwrap_or(0), Ordering::Relaxed);
        self.heads.fetch_add(u64::from(head), Ordering::Relaxed);
    }

    /// Counts an attempt to publish that failed.
    pub fn not_published(&self) {
        self.not_published.fetch_add(1, Ordering::Relaxed);
    }

    /// Where the sealer stands: records it knows to be unsealed, and for how long the furthest journal was not whole.
    pub fn stands(&self, behind: i64, lag: Duration) {
        self.behind.store(behind, Ordering::Relaxed);
        self.lag_us.store(i64::try_from(lag.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

pub(super) fn write_seals(text: &mut Text) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    text.counter("tessera_proof_leaves_total", "Records that this node added to the log.", count(&SEALS.leaves));
    text.counter("tessera_proof_heads_total", "Heads that this node signed.", count(&SEALS.heads));
    let help = "Attempts to publish heads that failed.";
    text.counter("tessera_proof_publish_failures_total", help, count(&SEALS.not_published));
    let help =
        "Whether more is committed than this node could seal in its last turn: 0 or 1 for each journal it leads.";
    text.gauge("tessera_proof_backlog", help, SEALS.behind.load(Ordering::Relaxed));
    let help = "For how long the journal furthest behind has not been wholly under a signed head.";
    text.gauge("tessera_proof_lag_seconds", help, Seconds(SEALS.lag_us.load(Ordering::Relaxed)));
}
