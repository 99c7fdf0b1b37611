//! Slots: journals are spread over them, and each slot has one writer at a time, on whichever node holds its lease.
//!
//! How many there are stands in the database (one row of `journal.lease` each), so that all nodes agree; while they do
//! not yet, the epoch in each journal's head keeps out whoever is late. One slot is usual. Several let the journals of
//! many tenants be written side by side, on one node or on several; one journal is never written faster by it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::watch;

use super::lock;
use super::term::Term;
use crate::JournalId;

/// All slots, as this node sees them.
#[derive(Debug)]
pub(super) struct Slots {
    /// None before the database was asked.
    all: RwLock<Arc<[Arc<Slot>]>>,
    /// Told of every change of who leads, and of every commit here.
    pub(super) news: watch::Sender<u64>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { all: RwLock::new(Arc::new([])), news: watch::Sender::new(0) }
    }

    pub(super) fn all(&self) -> Arc<[Arc<Slot>]> {
        Arc::clone(&self.all.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins anew with this many.
    pub(super) fn set(&self, slots: usize) {
        let numbers = (0..).take(slots);
        let all = numbers.map(|number| Arc::new(Slot::new(number, self.news.clone()))).collect();
        *self.all.write().unwrap_or_else(PoisonError::into_inner) = all;
        tell(&self.news);
    }

    /// Has all of them given up in good order.
    pub(super) fn retire(&self) {
        self.all().iter().for_each(|slot| slot.retire());
    }

    /// The slot that a journal is in; none before the database was asked.
    pub(super) fn of(&self, journal: JournalId) -> Option<Arc<Slot>> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        all.get(number(journal, all.len())?).map(Arc::clone)
    }
}

/// Journals are numbered one after the other: the remainder spreads them evenly.
pub(crate) fn number(journal: JournalId, slots: usize) -> Option<usize> {
    let slots = i64::try_from(slots).ok()?;
    usize::try_from(journal.0.checked_rem_euclid(slots)?).ok()
}

/// Tells whoever waits for news.
pub(super) fn tell(news: &watch::Sender<u64>) {
    news.send_modify(|changes| *changes = changes.wrapping_add(1));
}

/// One slot, as this node sees it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: i32,
    /// While this node leads it.
    term: Mutex<Option<Arc<Term>>>,
    leader: Mutex<Option<String>>,
    retired: AtomicBool,
    news: watch::Sender<u64>,
}

impl Slot {
    fn new(number: i32, news: watch::Sender<u64>) -> Self {
        Self { number, term: Mutex::default(), leader: Mutex::default(), retired: AtomicBool::new(false), news }
    }

    pub(super) fn term(&self) -> Option<Arc<Term>> {
        lock(&self.term).clone()
    }

    pub(super) fn leads(&self) -> bool {
        lock(&self.term).is_some()
    }

    /// Where the node is that leads it, as far as this one knows.
    pub(super) fn leader(&self) -> Option<String> {
        lock(&self.leader).clone()
    }

    /// Notes where the leader is; whoever waits for an answer from another one hears of it.
    pub(super) fn set_leader(&self, leader: Option<String>) {
        let former = std::mem::replace(&mut *lock(&self.leader), leader.clone());
        if former != leader {
            tell(&self.news);
        }
    }

    /// A term begins or ends here.
    pub(super) fn set_term(&self, term: Option<Arc<Term>>) {
        *lock(&self.term) = term;
        tell(&self.news);
    }

    /// Has it given up in good order.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }

    /// It is to be led again.
    pub(super) fn resume(&self) {
        self.retired.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_journal_is_in_one_slot_and_neighbours_are_in_different_ones() {
        assert_eq!(number(JournalId(7), 0), None, "before the database was asked");
        for journal in [i64::MIN, -1, 0, 1, 5, i64::MAX] {
            assert_eq!(number(JournalId(journal), 1), Some(0));
            assert!(number(JournalId(journal), 4).is_some_and(|slot| slot < 4));
        }
        let slots: Vec<_> = (1..=4).filter_map(|journal| number(JournalId(journal), 4)).collect();
        assert_eq!(slots, [1, 2, 3, 0]);
    }

    #[test]
    fn a_new_number_of_slots_is_told() {
        let slots = Slots::new();
        let mut news = slots.news.subscribe();
        assert!(slots.of(JournalId(1)).is_none());
        slots.set(2);
        assert!(news.has_changed().is_ok_and(|changed| changed));
        news.mark_unchanged();
        let slot = slots.of(JournalId(3)).map(|slot| slot.number);
        assert_eq!(slot, Some(1));
        slots.all()[1].set_leader(Some("http://10.0.0.2".to_owned()));
        assert!(news.has_changed().is_ok_and(|changed| changed));
    }
}
