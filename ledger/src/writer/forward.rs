//! Forwarding: a request that came to a node which does not lead goes on to the one that does, once (JOURNAL 20).
//!
//! The key makes it safe to ask again: whoever leads then tells what the key did before, or does it. So a link that
//! breaks is no answer yet; it is one when nobody could be asked again before the deadline, and then it is *unknown*.
//! What a leader refuses for want of time or room may, after a broken link, still be under way there: unknown as well.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Answer, Journal, JournalError};
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

/// What [`Transport::carry`] gives.
pub type Carried<'a> = Pin<Box<dyn Future<Output = Result<Result<Answer, JournalError>, Lost>> + Send + 'a>>;

/// Carries requests to the node that leads.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Asks the journal of the node at `address`, by [`Journal::submit_here`], for an answer by `deadline`.
    fn carry<'a>(&'a self, address: &'a str, request: &'a Request, deadline: Instant) -> Carried<'a>;
}

impl Journal {
    /// Asks whoever leads until there is an answer or no time is left.
    pub(super) async fn forward(
        &self,
        transport: &dyn Transport,
        request: Arc<Request>,
        deadline: Instant,
    ) -> Result<Answer, JournalError> {
        let _place = Place::take(&self.0.forwarding, self.0.config.queue).ok_or(JournalError::QueueFull)?;
        let mut asked = Asked::Nobody;
        loop {
            let leader = self.leader(request.journal);
            let answer = match leader.filter(|leader| *leader != self.0.config.address) {
                Some(leader) => tokio::select! {
                    answer = transport.carry(&leader, &request, deadline) => answer,
                    // Whoever leads no more may never answer; the next one knows what became of it.
                    () = self.leaves(request.journal, &leader) => Err(Lost::Unanswered),
                },
                None => Ok(self.submit_here(Arc::clone(&request), deadline).await),
            };
            match answer {
                Ok(Err(JournalError::NotLeader { .. })) | Err(Lost::Unsent) => {}
                Ok(answer) => return answer.map_err(|error| asked.judge(error)),
                Err(Lost::Unanswered) => asked = Asked::Somebody,
            }
            // A request that only asks what its key did has no time to lose and gets one try like any other.
            if deadline.saturating_duration_since(Instant::now()) <= TRY_EVERY {
                let leader = self.leader(request.journal);
                return Err(asked.judge(JournalError::NotLeader { leader }));
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
    }
}

impl Journal {
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

/// A place among the requests under way to another node.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(taken: &'a AtomicUsize, limit: usize) -> Option<Self> {
        let place = Self(taken);
        let before = taken.fetch_add(1, Ordering::Relaxed);
        (before < limit).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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
        let says_nothing_happened = match &error {
            JournalError::QueueFull
            | JournalError::NotLeader { .. }
            | JournalError::DeadlinePassed
            | JournalError::Linked { .. }
            | JournalError::NoRoom
            | JournalError::Unavailable => true,
            // Of these nothing under way can be different, or it is unknown already.
            JournalError::Invalid(_)
            | JournalError::KeyReused
            | JournalError::Abandoned { .. }
            | JournalError::Archived(_)
            | JournalError::OutcomeUnknown
            | JournalError::NoSuchJournal
            | JournalError::Broken(_) => false,
        };
        match self {
            Self::Somebody if says_nothing_happened => JournalError::OutcomeUnknown,
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
        for error in [JournalError::KeyReused, JournalError::Invalid(Invalid::Empty), JournalError::OutcomeUnknown] {
            assert_eq!(Asked::Somebody.judge(error.clone()), error);
        }
    }
}
