//! The books of a term, and which accounts of them stay in memory (JOURNAL 23).
//!
//! Promise: an account that changed since the checkpoints were last written stays; any other is exact in its row, and may
//! leave. Past the limit the checkpoints are written at once, and then all but those that changed last leave, until half
//! of the limit is free; whoever is needed again is read again. So memory holds the limit and what comes in while
//! checkpoints are written. Not here: holds, lots and claims, which are read for each batch.

use super::Inner;
use super::book::Book;
use super::commit::Decided;
use super::term::Term;
use crate::apply::Map;
use crate::{AccountId, JournalId};

/// The books that a term has opened.
pub(super) struct Books {
    open: Map<JournalId, Kept>,
    /// As many accounts may stay, of all books together.
    limit: usize,
    /// Accounts in memory.
    accounts: usize,
    /// How often checkpoints had been written when accounts last left.
    written: u64,
}

struct Kept {
    book: Book,
    /// Accounts of it that are counted.
    counted: usize,
    /// At which seq accounts last changed: none for those that were only looked at.
    changed: Map<AccountId, i64>,
}

impl Books {
    pub(super) fn new(limit: usize) -> Self {
        Self { open: Map::default(), limit, accounts: 0, written: 0 }
    }

    pub(super) fn get(&self, journal: JournalId) -> Option<&Book> {
        self.open.get(&journal).map(|kept| &kept.book)
    }

    pub(super) fn get_mut(&mut self, journal: JournalId) -> Option<&mut Book> {
        self.open.get_mut(&journal).map(|kept| &mut kept.book)
    }

    /// Takes books in that were opened; their accounts have changed since the watermark.
    pub(super) fn open(&mut self, journal: JournalId, book: Book) {
        let changed = book.state.accounts.keys().map(|id| (*id, book.state.seq)).collect();
        self.open.insert(journal, Kept { book, counted: 0, changed });
        self.count(journal);
    }

    /// Takes a batch in: from here on it is what the next one is decided on.
    pub(super) fn go_on(&mut self, journal: JournalId, batch: &Decided) {
        let Some(Kept { book, changed, .. }) = self.open.get_mut(&journal) else { return };
        book.go_on(batch);
        changed.extend(batch.applied.changed.keys().map(|id| (*id, batch.applied.seq)));
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.open.clear();
        self.accounts = 0;
    }

    /// Lets accounts go if there are too many, after a batch of this journal.
    pub(super) fn make_room(&mut self, journal: JournalId, inner: &Inner, term: &Term) {
        self.count(journal);
        let written = term.checkpoints.written();
        if self.accounts > self.limit && written > self.written {
            self.written = written;
            let half = self.limit / 2;
            for (journal, kept) in &mut self.open {
                // Each book's part of it.
                let stay = kept.counted.saturating_mul(half).checked_div(self.accounts).unwrap_or(0);
                kept.let_go(term.checkpoints.upto(*journal), stay);
                kept.counted = kept.book.state.accounts.len();
            }
            let left = self.open.values().map(|kept| kept.counted).fold(0, usize::saturating_add);
            inner.count(|c| &c.evicted, u64::try_from(self.accounts.saturating_sub(left)).unwrap_or(u64::MAX));
            self.accounts = left;
        }
        if self.accounts > self.limit {
            term.checkpoints.hurry();
        }
        term.keeps(self.accounts);
    }

    fn count(&mut self, journal: JournalId) {
        let Some(kept) = self.open.get_mut(&journal) else { return };
        let now = kept.book.state.accounts.len();
        self.accounts = self.accounts.saturating_sub(kept.counted).saturating_add(now);
        kept.counted = now;
    }
}

impl Kept {
    /// Lets go of accounts that their rows tell as well, which hold what happened up to `upto`; about `stay` of those that
    /// changed last stay.
    fn let_go(&mut self, upto: i64, stay: usize) {
        let mut seqs: Vec<i64> = self.changed.values().copied().collect();
        let oldest = match seqs.len().checked_sub(stay.saturating_add(1)) {
            Some(place) => *seqs.select_nth_unstable(place).1,
            None => i64::MIN,
        };
        self.changed.retain(|_, seq| *seq > upto.min(oldest));
        let state = &mut self.book.state;
        state.accounts.retain(|id, _| self.changed.contains_key(id));
        state.by_public_id.retain(|_, id| self.changed.contains_key(id));
    }
}
