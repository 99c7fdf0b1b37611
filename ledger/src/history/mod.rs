//! History of what has no index yet.
//!
//! Where each account's rows of a range are is written down when the range is closed: two indexes kept up row by row would
//! cost as much as all else of a commit. Until then a node knows by heart where each account's rows of the open ranges are, 16 bytes for each
//! transfer, and reads the rows themselves by their key. What it knows comes from the rows, in seq order, and never
//! changes; the node that leads hears of a batch when it is published, which saves the reading. A node that knows too
//! little reads up to its snapshot's head before it answers, so every answer is of one head, on every node.
//!
//! Bounded: past `limit` transfers of all journals together, a journal's open rows are looked through instead, which is
//! slow and as right. Not here: what the rows say (`read`), ranges (`store::ranges`).

mod tail;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use diesel::PgConnection;
use uuid::Uuid;

use crate::apply::Map;
use crate::store::ranges::Edge;
use crate::store::{StoreError, ranges, rows};
use crate::writer::lock;
use crate::{JournalId, Memory, Record};
pub use tail::Place;
use tail::Tail;
pub(crate) use tail::{Packed, Sides};

/// Records read at a time.
const PAGE: i64 = 20_000;
/// Batches that are heard of and not taken in: past that nobody takes them in, and they are read when somebody asks.
const HEARD: usize = 4_000;

/// What this node knows of open ranges. Clones are the same.
#[derive(Debug, Clone)]
pub struct History(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    /// Transfers of all tails.
    held: AtomicUsize,
    tails: Mutex<Map<JournalId, Arc<Known>>>,
}

#[derive(Debug)]
struct Known {
    tail: Mutex<Tail>,
    /// Batches committed here that the tail has not taken in: the writer never waits for a reader.
    heard: Mutex<Vec<Batch>>,
    transfers: AtomicUsize,
}

/// Rows of a batch as its writer told of it.
#[derive(Debug)]
struct Batch {
    fork: Uuid,
    first: i64,
    last: i64,
    rows: Vec<Sides>,
}

impl Default for History {
    fn default() -> Self {
        Self::with_limit(Memory::default().transfers)
    }
}

impl History {
    /// Knows nothing yet, and never more than `limit` transfers.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self(Arc::new(Inner { limit, held: AtomicUsize::new(0), tails: Mutex::default() }))
    }

    /// Transfers it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.held.load(Ordering::Relaxed)
    }

    /// Transfers it holds at most.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hears of a batch that was just committed here, where anybody keeps its journal in mind. Costs the writer a copy.
    pub(crate) fn hear(&self, journal: JournalId, fork: Uuid, records: &[Record]) {
        let Some(known) = lock(&self.0.tails).get(&journal).map(Arc::clone) else { return };
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return };
        let rows = records.iter().flat_map(tail::sides).collect();
        let mut heard = lock(&known.heard);
        if heard.len() >= HEARD {
            heard.clear();
        }
        heard.push(Batch { fork, first: first.seq, last: last.seq, rows });
    }

    /// Brings what is known of every journal with open ranges up to its head, so that readers need not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep_up(&self, conn: &mut PgConnection) -> Result<(), StoreError> {
        for journal in ranges::open(conn)? {
            if let Some(edge) = ranges::edge(conn, journal)? {
                self.with(conn, journal, edge, |_| ())?;
            }
        }
        Ok(())
    }

    /// Asks what is known up to the edge's head, and which is the last seq before it; none when it is too much to know.
    pub(crate) fn with<T>(
        &self,
        conn: &mut PgConnection,
        journal: JournalId,
        edge: Edge,
        ask: impl FnOnce(&Open<'_>) -> T,
    ) -> Result<Option<T>, StoreError> {
        let known = {
            let mut tails = lock(&self.0.tails);
            let tail = || Mutex::new(Tail::new(edge.fork, edge.indexed()));
            let new = || Known { tail: tail(), heard: Mutex::default(), transfers: AtomicUsize::new(0) };
            Arc::clone(tails.entry(journal).or_insert_with(|| Arc::new(new())))
        };
        let tail = &mut *lock(&known.tail);
        tail.begin_after(edge.fork, edge.indexed());
        let read = self.catch_up(conn, journal, edge, tail, &known);
        self.note(&known, tail);
        read?;
        Ok((!tail.is_over()).then(|| ask(&Open { tail })))
    }

    /// Takes in what was heard of and reads the rest, up to the head at least.
    fn catch_up(
        &self,
        conn: &mut PgConnection,
        journal: JournalId,
        edge: Edge,
        tail: &mut Tail,
        known: &Known,
    ) -> Result<(), StoreError> {
        let heard = std::mem::take(&mut *lock(&known.heard));
        for Batch { first, last, rows, .. } in heard.into_iter().filter(|batch| batch.fork == edge.fork) {
            let before = first.saturating_sub(1);
            // What lies past the edge this session may not see: it would take its absence for nothing.
            self.read_up(conn, journal, before.min(edge.head), tail, known)?;
            let from = tail.upto();
            if last > from && before <= from {
                // Where the tail begins inside the batch, or was read into it, only the rest is new.
                tail.push(rows.into_iter().filter(|row| row.place.seq > from), last, self.room_beside(known));
            }
        }
        self.read_up(conn, journal, edge.head, tail, known)
    }

    fn read_up(
        &self,
        conn: &mut PgConnection,
        journal: JournalId,
        head: i64,
        tail: &mut Tail,
        known: &Known,
    ) -> Result<(), StoreError> {
        while tail.upto() < head && !tail.is_over() {
            let upto = tail.upto().saturating_add(PAGE).min(head);
            let page = rows::sides(conn, journal, tail.upto().saturating_add(1), upto)?;
            if !tail.push(page.into_iter(), upto, self.room_beside(known)) {
                tracing::warn!(journal = journal.0, limit = self.0.limit, "open ranges are too much to keep in mind");
            }
        }
        Ok(())
    }

    /// How much one journal may have beside all others.
    fn room_beside(&self, known: &Known) -> usize {
        let others = self.len().saturating_sub(known.transfers.load(Ordering::Relaxed));
        self.0.limit.saturating_sub(others)
    }

    fn note(&self, known: &Known, tail: &Tail) {
        let before = known.transfers.swap(tail.len(), Ordering::Relaxed);
        // Added and taken apart from each other, the sum is never below what is held.
        self.0.held.fetch_add(tail.len(), Ordering::Relaxed);
        self.0.held.fetch_sub(before, Ordering::Relaxed);
    }
}

/// What is known of a journal's open ranges, while it is asked.
pub(crate) struct Open<'a> {
    tail: &'a Tail,
}

impl Open<'_> {
    /// The last seq before: rows up to it are found by index.
    pub(crate) fn after(&self) -> i64 {
        self.tail.from()
    }

    /// The newest row of an account at or before `seq`.
    pub(crate) fn newest(&self, account: i64, seq: i64) -> Option<Place> {
        self.tail.newest(account, seq)
    }

    /// The newest `limit` rows of an account before a place, newest first.
    pub(crate) fn before(&self, account: i64, before: Place, limit: usize) -> Vec<Place> {
        self.tail.before(account, before, limit)
    }
}
