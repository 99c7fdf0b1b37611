//! What was just committed here, still in memory: the sealer need not read it again.
//!
//! Promise: it is what this node's writer has put into the books under the epoch that is asked for, batch by batch without a
//! gap; what is not here, or was dropped because nobody came for it, is read from the rows. `verify` derives every leaf
//! from the rows again. Nothing is kept before a sealer has asked for the first time, nor once a term is over.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::store::rows::Written;
use crate::JournalId;
use crate::apply::Map;
use crate::follow::Span;
use crate::store::columns::LeafRows;
use crate::writer::lock;

/// Bytes that may wait, of all journals: some 200,000 records of a transfer.
const MOST: usize = 64 << 20;

/// Batches that wait for the sealer. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Fresh(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    somebody_asks: bool,
    bytes: usize,
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
    pub(crate) rows: Arc<LeafRows>,
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
        let mut dropped = Map::default();
        if waiting.bytes >= MOST {
            waiting.bytes = 0;
            dropped = std::mem::take(&mut waiting.batches);
        }
        waiting.bytes = waiting.bytes.saturating_add(batch.rows.bytes());
        waiting.batches.entry(journal).or_default().push_back(batch);
        drop(waiting);
        // Not while others wait for the lock.
        drop(dropped);
    }

    /// Forgets all of it: a term is over.
    pub(crate) fn forget(&self) {
        *lock(&self.0) = Waiting::default();
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
        let (mut upto, mut left, mut gone) = (ahead.from, most, 0_usize);
        while let Some(batch) = queue.pop_front() {
            let is_over = batch.last <= upto || batch.epoch != epoch;
            if !is_over && (batch.first > upto.saturating_add(1) || batch.last > ahead.upto || left <= 0) {
                queue.push_front(batch);
                break;
            }
            gone = gone.saturating_add(batch.rows.bytes());
            if !is_over {
                (upto, left) = (batch.last, left.saturating_sub(batch.len()));
                taken.push(batch);
            }
        }
        waiting.bytes = waiting.bytes.saturating_sub(gone);
        if !queue.is_empty() {
            waiting.batches.insert(ahead.journal, queue);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const JOURNAL: JournalId = JournalId(1);

    fn ahead(from: i64, upto: i64) -> Span {
        Span { journal: JOURNAL, fork: Uuid::nil(), from, upto }
    }

    /// Batches of these seqs under epoch 1, told to somebody who asks.
    fn told(batches: &[(i64, i64)]) -> Fresh {
        let fresh = Fresh::default();
        assert!(fresh.take(ahead(0, 0), 1, 1).is_none());
        batches.iter().for_each(|(first, last)| fresh.hear(JOURNAL, batch(1, *first, *last)));
        fresh
    }

    fn batch(epoch: i64, first: i64, last: i64) -> Batch {
        Batch { epoch, first, last, recorded_us: 0, version: 1, rows: Arc::default() }
    }

    fn seqs(fresh: &Fresh, ahead: Span, epoch: i64, most: i64) -> Vec<(i64, i64)> {
        fresh.batches(ahead, epoch, most).iter().map(|batch| (batch.first, batch.last)).collect()
    }

    #[test]
    fn batches_are_told_once_and_without_a_gap() {
        let fresh = told(&[(1, 4), (5, 6), (8, 9)]);
        assert_eq!(seqs(&fresh, ahead(0, 9), 1, 100), [(1, 4), (5, 6)]);
        assert_eq!(seqs(&fresh, ahead(6, 9), 1, 100), [], "7 has to be read");
        assert_eq!(seqs(&fresh, ahead(7, 9), 1, 100), [(8, 9)]);
        assert_eq!(lock(&fresh.0).bytes, 0);
    }

    #[test]
    fn what_the_sealer_has_not_seen_committed_is_not_told_yet_and_no_more_than_it_asks_for() {
        let fresh = told(&[(1, 4), (5, 6), (7, 9)]);
        assert_eq!(seqs(&fresh, ahead(0, 8), 1, 4), [(1, 4)]);
        assert_eq!(seqs(&fresh, ahead(4, 8), 1, 100), [(5, 6)]);
        assert_eq!(seqs(&fresh, ahead(7, 9), 1, 100), [(7, 9)], "sealed half, the rest is taken of it");
    }

    #[test]
    fn what_another_epoch_wrote_is_not_told() {
        let fresh = told(&[(1, 4)]);
        fresh.hear(JOURNAL, batch(2, 5, 6));
        assert_eq!(seqs(&fresh, ahead(0, 6), 2, 100), []);
        assert_eq!(seqs(&fresh, ahead(4, 6), 2, 100), [(5, 6)]);
    }

    #[test]
    fn nothing_is_kept_for_nobody_nor_without_end() {
        let fresh = Fresh::default();
        fresh.hear(JOURNAL, batch(1, 1, 4));
        assert_eq!(seqs(&fresh, ahead(0, 4), 1, 100), []);
        lock(&fresh.0).bytes = MOST;
        fresh.hear(JOURNAL, batch(1, 5, 6));
        fresh.hear(JOURNAL, batch(1, 7, 8));
        assert_eq!(seqs(&fresh, ahead(4, 8), 1, 100), [(5, 6), (7, 8)], "what came before was dropped");
        fresh.hear(JOURNAL, batch(1, 9, 9));
        fresh.forget();
        fresh.hear(JOURNAL, batch(1, 10, 10));
        assert_eq!(seqs(&fresh, ahead(8, 10), 1, 100), [], "a term was over, and nobody has asked since");
    }
}
