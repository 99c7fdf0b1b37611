//! Forwarding: a request that came to a node which does not lead goes on to the one that does, once (JOURNAL 20).
//!
//! The key makes it safe to ask again: whoever leads then tells what the key did before, or does it. So a link that
//! breaks is no answer yet; it is one when nobody could be asked again before the deadline, and then it is *unknown*.
//! What a leader refuses for want of time or room may, after a broken link, still be under way there: unknown as well.
//! Requests that are bound to each other ([`Bond`]) go whole, and are judged one by one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Answer, Journal, JournalError};
use crate::wire::Bond;
use crate::{JournalId, Request};

/// From one try to the next, while the lead is between two nodes.
const TRY_EVERY: Duration = Duration::from_millis(25);

/// Why a request came back without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It was not sent: nothing happened.
    Unsent,
    /// It was sent, and whether it arrived nobody knows.
    Unanswered,
}

/// What each of several requests was answered, in the order asked.
pub type Answers = Vec<Result<Answer, JournalError>>;

/// What [`Transport::carry`] gives: as many answers as there were requests.
pub type Carried<'a> = Pin<Box<dyn Future<Output = Result<Answers, Lost>> + Send + 'a>>;

/// Carries requests to the node that leads.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Asks the journal of the node at `address`, by [`Journal::submit_carried`], for an answer by `deadline`: one request,
    /// or several of one journal, which go in one piece with what binds them.
    fn carry<'a>(
        &'a self,
        address: &'a str,
        requests: &'a [Arc<Request>],
        bond: Bond,
        deadline: Instant,
    ) -> Carried<'a>;
}

impl Journal {
    /// Asks whoever leads until there is an answer or no time is left: one request, or several in one piece.
    pub(super) async fn forward(
        &self,
        transport: &dyn Transport,
        requests: &[Arc<Request>],
        bond: Bond,
        deadline: Instant,
    ) -> Answers {
        let all = |error: JournalError| requests.iter().map(|_| Err(error.clone())).collect();
        let Some(journal) = requests.first().map(|request| request.journal) else { return Vec::new() };
        let Some(_places) = Places::take(&self.0.forwarding, requests.len(), self.0.config.queue) else {
            return all(JournalError::QueueFull);
        };
        let mut asked = Asked::Nobody;
        loop {
            let leader = self.leader(journal);
            let answers = match leader.filter(|leader| *leader != self.0.config.address) {
                Some(leader) => tokio::select! {
                    answers = transport.carry(&leader, requests, bond, deadline) => answers,
                    // Whoever leads no more may never answer; the next one knows what became of it.
                    () = self.leaves(journal, &leader) => Err(Lost::Unanswered),
                },
                None => Ok(self.submit_carried(requests, bond, deadline).await),
            };
            match answers {
                Ok(answers) if !is_led_elsewhere(&answers) => {
                    return answers.into_iter().map(|answer| answer.map_err(|error| asked.judge(error))).collect();
                }
                Ok(_) | Err(Lost::Unsent) => {}
                Err(Lost::Unanswered) => asked = Asked::Somebody,
            }
            // A request that only asks what its key did has no time to lose and gets one try like any other.
            if deadline.saturating_duration_since(Instant::now()) <= TRY_EVERY {
                let leader = self.leader(journal);
                return all(asked.judge(JournalError::NotLeader { leader }));
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
    }

    /// Answers what another node carried here if this one leads, and never carries it on: one request by itself, several as
    /// they are bound.
    pub async fn submit_carried(&self, requests: &[Arc<Request>], bond: Bond, deadline: Instant) -> Answers {
        match (requests, bond) {
            ([alone], _) => vec![self.submit_here(Arc::clone(alone), deadline).await],
            (linked, Bond::Linked) => self.submit_linked_here(linked, deadline).await,
            (ordered, Bond::InOrder) => self.submit_all_here(ordered, deadline).await,
        }
    }

    /// Where the node is that leads a journal, as far as this one knows.
    fn leader(&self, journal: JournalId) -> Option<String> {
        self.0.slots.of(journal)?.leader()
    }

    /// Waits until another node than the one at `leader` leads the journal, or none.
    async fn leaves(&self, journal: JournalId, leader: &str) {
        let mut changes = self.changes();
        while self.leader(journal).is_some_and(|now| now == leader) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

/// Whether nothing was tried, because another node leads: what is asked together comes into a queue together or not.
pub(super) fn is_led_elsewhere(answers: &[Result<Answer, JournalError>]) -> bool {
    !answers.is_empty() && answers.iter().all(|answer| matches!(answer, Err(JournalError::NotLeader { .. })))
}

/// Places among the requests under way to another node.
struct Places<'a> {
    taken: &'a AtomicUsize,
    count: usize,
}

impl<'a> Places<'a> {
    fn take(taken: &'a AtomicUsize, count: usize, limit: usize) -> Option<Self> {
        let places = Self { taken, count };
        let before = taken.fetch_add(count, Ordering::Relaxed);
        (before.saturating_add(count) <= limit).then_some(places)
    }
}

impl Drop for Places<'_> {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.count, Ordering::Relaxed);
    }
}

/// Whether somebody may have the request who did not answer.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Nobody,
    Somebody,
}

impl Asked {
    /// What an error says about everything that was tried.
    fn judge(self, error: JournalError) -> JournalError {
        match self {
            Self::Somebody if error.may_pass() => JournalError::OutcomeUnknown,
            Self::Nobody | Self::Somebody => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Invalid;

    /// Whoever was asked and did not answer may still do it, whatever the next one says of its own queue.
    #[test]
    fn after_a_broken_link_only_what_the_key_or_the_request_decides_is_final() {
        let nothing_happened = [
            JournalError::QueueFull,
            JournalError::NotLeader { leader: None },
            JournalError::DeadlinePassed,
            JournalError::Unavailable,
        ];
        for error in nothing_happened {
            assert_eq!(Asked::Nobody.judge(error.clone()), error);
            assert_eq!(Asked::Somebody.judge(error), JournalError::OutcomeUnknown);
        }
        let linked = JournalError::Linked { place: 1 };
        let decided = [JournalError::KeyReused, Invalid::Empty.into(), JournalError::OutcomeUnknown, linked];
        for error in decided {
            assert_eq!(Asked::Somebody.judge(error.clone()), error);
        }
    }

    #[test]
    fn a_thousand_together_take_a_thousand_places_and_give_them_back() {
        let taken = AtomicUsize::new(0);
        let many = Places::take(&taken, 1_000, 1_001);
        let one = Places::take(&taken, 1, 1_001);
        assert!(many.is_some() && one.is_some());
        assert!(Places::take(&taken, 1, 1_001).is_none(), "there is no place left");
        drop(many);
        assert!(Places::take(&taken, 1_001, 1_001).is_none() && Places::take(&taken, 1_000, 1_001).is_some());
        drop(one);
        assert_eq!(taken.load(Ordering::Relaxed), 0);
    }
}
