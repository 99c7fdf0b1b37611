//! How the writers of a node fare.

use std::sync::atomic::AtomicU64;

use crate::{COUNTS, Histogram, LATENCY_US};

/// What this node is to the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It writes the journals of at least one slot.
    Leading {
        /// Under this epoch, the latest of them.
        epoch: i64,
    },
    /// Others write, or none yet.
    Following {
        /// Where the first slot is led, if known.
        leader: Option<String>,
    },
}

/// How the writer fares; counters since the process started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Leading, if it leads any slot, or following.
    pub role: Role,
    /// How many slots there are; zero before the database was asked.
    pub slots: usize,
    /// How many of them this node leads.
    pub slots_led: usize,
    /// How many of them somebody leads, as far as this node knows.
    pub slots_held: usize,
    /// Accounts in memory.
    pub accounts: usize,
    /// Accounts that were let go from memory.
    pub evicted_accounts: u64,
    /// Requests waiting.
    pub queued: usize,
    /// As many may wait in the slots this node leads.
    pub queue_limit: usize,
    /// Batches committed.
    pub batches: u64,
    /// Those of them that went behind another: their rows were written while that one was committed.
    pub piped_batches: u64,
    /// Records committed.
    pub records: u64,
    /// Batches that a later epoch kept out.
    pub fenced_batches: u64,
    /// Batches whose outcome was not known when their callers were answered.
    pub unknown_batches: u64,
    /// Terms begun.
    pub terms: u64,
}

impl Status {
    /// True while every journal can be written, here or at another node.
    #[must_use]
    pub fn is_led(&self) -> bool {
        self.slots > 0 && self.slots == self.slots_held
    }
}

/// How the commits of this process spread.
#[derive(Debug)]
pub struct Measures {
    /// How long a batch took to be durable, microseconds.
    pub commit_us: Histogram,
    /// Records in a batch.
    pub batch_records: Histogram,
}

impl Default for Measures {
    fn default() -> Self {
        Self { commit_us: Histogram::new(LATENCY_US), batch_records: Histogram::new(COUNTS) }
    }
}

/// What a node counts, of all its terms.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(super) batches: AtomicU64,
    pub(super) piped: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) fenced: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) terms: AtomicU64,
    pub(super) evicted: AtomicU64,
}
