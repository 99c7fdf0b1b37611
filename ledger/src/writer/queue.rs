//! The bounded queue between callers and the writer: fair between journals, closed when the term ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::sync::{Condvar, Mutex, PoisonError};
use super::{Answer, JournalError, lock};
use crate::{JournalId, Request};

pub(super) type Reply = oneshot::Sender<Result<Answer, JournalError>>;

/// A request waiting for its turn.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) request: Arc<Request>,
    pub(super) deadline: Instant,
    pub(super) reply: Reply,
    /// How many stand or fall together with it, itself counted: they lie side by side and are a batch of their own.
    /// Zero for one that stands alone.
    pub(super) linked: usize,
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
        self.push_all(ticket.request.journal, vec![ticket])
    }

    /// Adds tickets of one journal, one behind the other with none between, or none of them: refuses as [`push`](Self::push).
    pub(super) fn push_all(&self, journal: JournalId, tickets: Vec<Ticket>) -> Result<(), bool> {
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            return Err(false);
        }
        let before = waiting.count;
        let count = before.saturating_add(tickets.len());
        if count > self.limit {
            return Err(true);
        }
        waiting.count = count;
        waiting.by_journal.entry(journal).or_default().extend(tickets);
        if before == 0 {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits for requests and takes up to `most` of one journal, the journals in turn; none once closed and empty. Linked
    /// ones come together and by themselves, however many.
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

    pub(super) const fn limit(&self) -> usize {
        self.limit
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
        let alone = || tickets.iter().take(most).take_while(|ticket| ticket.linked == 0).count();
        let count = tickets.front().map(|first| first.linked).filter(|linked| *linked > 0).unwrap_or_else(alone);
        let rest = tickets.split_off(count.min(tickets.len()));
        if !rest.is_empty() {
            self.by_journal.insert(journal, rest);
        }
        self.last_served = Some(journal);
        self.count = self.count.saturating_sub(tickets.len());
        tickets.into()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::{Command, Key, Scope};

    fn ticket(journal: i64, number: u128) -> (Ticket, oneshot::Receiver<Result<Answer, JournalError>>) {
        let key = Key { scope: Scope(1), key: Uuid::from_u128(number), fingerprint: Uuid::nil() };
        let request = Request {
            journal: JournalId(journal),
            key,
            command: Command::MoveClock { by_us: 1 },
            effective_us: None,
            meta: Vec::new(),
            companions: Vec::new(),
        };
        let (reply, answer) = oneshot::channel();
        (Ticket { request: Arc::new(request), deadline: Instant::now(), reply, linked: 0 }, answer)
    }

    /// Pushes a ticket nobody waits for.
    fn push(queue: &Queue, journal: i64, number: u128) -> Result<(), bool> {
        queue.push(ticket(journal, number).0)
    }

    fn numbers(tickets: &[Ticket]) -> Vec<u128> {
        tickets.iter().map(|ticket| ticket.request.key.key.as_u128()).collect()
    }

    fn take(queue: &Queue, most: usize) -> Option<(i64, Vec<u128>)> {
        queue.take(most).map(|(journal, tickets)| (journal.0, numbers(&tickets)))
    }

    #[test]
    fn a_batch_is_one_journals_in_order_of_arrival() {
        let queue = Queue::new(10);
        for (journal, number) in [(1, 1), (2, 2), (1, 3), (2, 4), (1, 5)] {
            push(&queue, journal, number).unwrap();
        }
        assert_eq!(take(&queue, 10), Some((1, vec![1, 3, 5])));
        assert_eq!(take(&queue, 10), Some((2, vec![2, 4])));
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn journals_take_turns_however_much_one_of_them_asks() {
        let queue = Queue::new(100);
        (0..6).for_each(|number| push(&queue, 2, number).unwrap());
        push(&queue, 1, 10).unwrap();
        push(&queue, 3, 30).unwrap();
        let mut served = vec![take(&queue, 2).unwrap()];
        // The busy one goes on asking.
        (6..8).for_each(|number| push(&queue, 2, number).unwrap());
        served.extend((0..5).map_while(|_| (queue.len() > 0).then(|| take(&queue, 2).unwrap())));
        let busy = |first: u128| (2, vec![first, first + 1]);
        assert_eq!(served, [(1, vec![10]), busy(0), (3, vec![30]), busy(2), busy(4), busy(6)]);
    }

    #[test]
    fn one_more_than_the_limit_is_refused_until_some_were_taken() {
        let queue = Queue::new(2);
        assert_eq!((push(&queue, 1, 1), push(&queue, 2, 2), push(&queue, 3, 3)), (Ok(()), Ok(()), Err(true)));
        assert_eq!(queue.len(), 2);
        take(&queue, 1).unwrap();
        assert_eq!((push(&queue, 3, 3), push(&queue, 3, 4)), (Ok(()), Err(true)));
    }

    #[test]
    fn linked_requests_are_a_batch_of_their_own_and_come_in_or_stay_out_together() {
        let queue = Queue::new(6);
        let linked = |numbers: [u128; 3]| numbers.map(|number| Ticket { linked: 3, ..ticket(1, number).0 }).into();
        push(&queue, 1, 1).unwrap();
        queue.push_all(JournalId(1), linked([2, 3, 4])).unwrap();
        push(&queue, 1, 5).unwrap();
        assert_eq!(queue.push_all(JournalId(1), linked([6, 7, 8])), Err(true), "there is room for one only");
        let batches: Vec<_> = std::iter::from_fn(|| (queue.len() > 0).then(|| take(&queue, 2).unwrap().1)).collect();
        assert_eq!(batches, [vec![1], vec![2, 3, 4], vec![5]]);
        queue.close();
        assert_eq!(queue.push_all(JournalId(1), linked([9, 10, 11])), Err(false));
    }

    #[test]
    fn closed_it_takes_no_more_and_gives_out_what_waits() {
        let queue = Queue::new(2);
        push(&queue, 1, 1).unwrap();
        queue.close();
        assert_eq!(push(&queue, 1, 2), Err(false));
        assert_eq!(take(&queue, 5), Some((1, vec![1])));
        assert_eq!(take(&queue, 5), None);
    }

    #[test]
    fn drained_it_hands_back_everybody_and_stays_closed() {
        let queue = Queue::new(5);
        let answers: Vec<_> = [(1, 1), (2, 2), (1, 3)]
            .map(|(journal, number)| {
                let (ticket, answer) = ticket(journal, number);
                queue.push(ticket).unwrap();
                answer
            })
            .into();
        let drained = queue.drain();
        assert_eq!((numbers(&drained), queue.len()), (vec![1, 3, 2], 0));
        for ticket in drained {
            ticket.reply.send(Err(JournalError::QueueFull)).unwrap();
        }
        assert!(answers.into_iter().all(|answer| answer.blocking_recv().unwrap().is_err()));
        assert_eq!((push(&queue, 1, 4), take(&queue, 5)), (Err(false), None));
    }

    #[test]
    fn a_writer_that_waits_wakes_for_a_request_and_for_the_end() {
        let queue = Arc::new(Queue::new(5));
        let waiting = Arc::clone(&queue);
        let writer = std::thread::spawn(move || {
            let mut seen = Vec::new();
            while let Some((_, tickets)) = waiting.take(1) {
                seen.extend(numbers(&tickets));
            }
            seen
        });
        for number in 0..3 {
            std::thread::sleep(Duration::from_millis(5));
            push(&queue, 1, number).unwrap();
        }
        queue.close();
        assert_eq!(writer.join().unwrap(), [0, 1, 2]);
    }

    #[test]
    fn many_callers_at_once_lose_nothing() {
        let queue = Arc::new(Queue::new(10_000));
        let caller = |caller: u128| {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || {
                (0..500).for_each(|n| push(&queue, i64::from(n % 3 == 0), caller * 1_000 + n).unwrap());
            })
        };
        let callers: Vec<_> = (0..4).map(caller).collect();
        let mut seen = Vec::new();
        while seen.len() < 2_000 {
            seen.extend(take(&queue, 7).unwrap().1);
        }
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        seen.sort_unstable();
        let wanted = (0..4).flat_map(|caller| (0..500).map(move |n| caller * 1_000 + n));
        assert!(seen.into_iter().eq(wanted));
    }
}
