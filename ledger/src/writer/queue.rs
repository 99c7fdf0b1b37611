//! The bounded queue between callers and the writer: fair between journals, closed when the term ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::{Answer, JournalError, lock};
use crate::{JournalId, Request};

pub(super) type Reply = oneshot::Sender<Result<Answer, JournalError>>;

/// A request waiting for its turn.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) request: Request,
    pub(super) deadline: Instant,
    pub(super) reply: Reply,
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    limit: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    by_journal: BTreeMap<JournalId, VecDeque<Ticket>>,
    count: usize,
    last_served: Option<JournalId>,
    closed: bool,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self { waiting: Mutex::default(), arrived: Condvar::new(), limit }
    }

    /// Adds a ticket; refuses with true when full, false when closed.
    pub(super) fn push(&self, ticket: Ticket) -> Result<(), bool> {
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            return Err(false);
        }
        if waiting.count >= self.limit {
            return Err(true);
        }
        waiting.count = waiting.count.saturating_add(1);
        waiting.by_journal.entry(ticket.request.journal).or_default().push_back(ticket);
        if waiting.count == 1 {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits for requests and takes up to `most` of one journal, the journals in turn; none once closed and empty.
    pub(super) fn take(&self, most: usize) -> Option<(JournalId, Vec<Ticket>)> {
        let mut waiting = lock(&self.waiting);
        loop {
            if let Some(journal) = waiting.next_journal() {
                return Some((journal, waiting.take(journal, most)));
            }
            if waiting.closed {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes no more; what waits may still be taken.
    pub(super) fn close(&self) {
        lock(&self.waiting).closed = true;
        self.arrived.notify_all();
    }

    /// Closes and hands back whatever waits.
    pub(super) fn drain(&self) -> Vec<Ticket> {
        self.close();
        let mut waiting = lock(&self.waiting);
        waiting.count = 0;
        std::mem::take(&mut waiting.by_journal).into_values().flatten().collect()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.waiting).count
    }
}

impl Waiting {
    fn next_journal(&self) -> Option<JournalId> {
        let after = self.last_served.and_then(|last| {
            self.by_journal.range((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded)).next()
        });
        after.or_else(|| self.by_journal.first_key_value()).map(|(journal, _)| *journal)
    }

    fn take(&mut self, journal: JournalId, most: usize) -> Vec<Ticket> {
        let Some(mut tickets) = self.by_journal.remove(&journal) else { return Vec::new() };
        let rest = tickets.split_off(most.min(tickets.len()));
        if !rest.is_empty() {
            self.by_journal.insert(journal, rest);
        }
        self.last_served = Some(journal);
        self.count = self.count.saturating_sub(tickets.len());
        tickets.into()
    }
}
