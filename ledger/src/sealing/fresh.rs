//! What was just committed here, still in memory: the sealer need not read it again.
//!
//! Promise: it is what this node's writer has put into the books under the epoch that is asked for, batch by batch without a
//! gap; what is not here, or was dropped because nobody came for it, is read from the rows. `verify` derives every leaf
//! from the rows again. Nothing is kept before a sealer has asked for the first time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::store::Written;
use crate::JournalId;
use crate::apply::Map;
use crate::follow::Span;
use crate::store::post::Rows;
use crate::writer::lock;

/// Records that may wait, of all journals: 30 MB.
const MOST: i64 = 100_000;

/// Batches that wait for the sealer. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Fresh(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    somebody_asks: bool,
    records: i64,
    batches: Map<JournalId, VecDeque<Batch>>,
}

/// A batch that is in the books.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) epoch: i64,
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// When its records were decided, microseconds since 1970.
    pub(crate) recorded_us: i64,
    /// Of the rules it was decided by.
    pub(crate) version: i32,
    pub(crate) rows: Arc<Rows>,
}

impl Batch {
    fn len(&self) -> i64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

impl Fresh {
    /// Hears of a batch.
    pub(crate) fn hear(&self, journal: JournalId, batch: Batch) {
        let mut waiting = lock(&self.0);
        if !waiting.somebody_asks {
            return;
        }
        if waiting.records >= MOST {
            (waiting.records, waiting.batches) = (0, Map::default());
        }
        waiting.records = waiting.records.saturating_add(batch.len());
        waiting.batches.entry(journal).or_default().push_back(batch);
    }

    /// The next batches of a stretch that were committed under this epoch, `most` records and what fills the last batch;
    /// none when the first of them is not here. They are not told again.
    pub(super) fn take(&self, ahead: Span, epoch: i64, most: i64) -> Option<Written> {
        let batches = self.batches(ahead, epoch, most);
        let mut written = Written::default();
        for batch in &batches {
            written.add(batch, ahead.from);
        }
        (!batches.is_empty()).then_some(written)
    }

    fn batches(&self, ahead: Span, epoch: i64, most: i64) -> Vec<Batch> {
        let mut waiting = lock(&self.0);
        waiting.somebody_asks = true;
        let Some(mut queue) = waiting.batches.remove(&ahead.journal) else { return Vec::new() };
        let mut taken: Vec<Batch> = Vec::new();
        let (mut upto, mut left, mut gone) = (ahead.from, most, 0_i64);
        while let Some(batch) = queue.pop_front() {
            let is_over = batch.last <= upto || batch.epoch != epoch;
            if !is_over && (batch.first > upto.saturating_add(1) || batch.last > ahead.upto || left <= 0) {
                queue.push_front(batch);
                break;
            }
            gone = gone.saturating_add(batch.len());
            if !is_over {
                (upto, left) = (batch.last, left.saturating_sub(batch.len()));
                taken.push(batch);
            }
        }
        waiting.records = waiting.records.saturating_sub(gone);
        if !queue.is_empty() {
            waiting.batches.insert(ahead.journal, queue);
        }
        taken
    }
}
