//! Many requests of one journal at once: each by itself, in order, or all of them or none.
//!
//! They enter the queue side by side, under one lock, so that a thousand cost little more than one and nothing comes
//! between them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::forward::{Answers, is_led_elsewhere};
use super::queue::Ticket;
use super::{Answer, Journal, JournalError};
use crate::Request;
use crate::wire::Bond;

type Waiting = Vec<Result<oneshot::Receiver<Result<Answer, JournalError>>, JournalError>>;

impl Journal {
    /// Asks for several things of one journal. Each has its own answer, as from [`submit`](Self::submit), and they are decided in
    /// this order with nothing between, whichever node leads. Either all find room in the queue or none does.
    ///
    /// Never call this with a transaction open.
    pub async fn submit_all(&self, requests: Vec<Request>, deadline: Instant) -> Answers {
        let requests: Vec<Arc<Request>> = requests.into_iter().map(Arc::new).collect();
        let mut answers = self.submit_all_here(&requests, deadline).await;
        let Some(transport) = &self.0.config.transport else { return answers };
        let elsewhere = |answer: &Result<Answer, JournalError>| matches!(answer, Err(JournalError::NotLeader { .. }));
        let rest = requests.into_iter().zip(&answers).filter(|(_, answer)| elsewhere(answer));
        let rest: Vec<_> = rest.map(|(request, _)| request).collect();
        if !rest.is_empty() {
            let mut carried = self.forward(transport.as_ref(), &rest, Bond::InOrder, deadline).await.into_iter();
            for answer in answers.iter_mut().filter(|answer| elsewhere(answer)) {
                *answer = carried.next().unwrap_or(Err(JournalError::OutcomeUnknown));
            }
        }
        answers
    }

    /// Asks for several things of one journal that happen all or not at all: see [`linked`](crate::apply::linked). The
    /// first that is refused is answered with its refusal, or with why it is no request, and the others with
    /// [`JournalError::Linked`]. Where another node leads they go there whole; when its answer is lost for good, each is
    /// [`JournalError::OutcomeUnknown`], and their keys tell.
    ///
    /// Never call this with a transaction open.
    pub async fn submit_linked(&self, requests: Vec<Request>, deadline: Instant) -> Answers {
        let requests: Vec<Arc<Request>> = requests.into_iter().map(Arc::new).collect();
        let answers = self.submit_linked_here(&requests, deadline).await;
        match &self.0.config.transport {
            Some(transport) if is_led_elsewhere(&answers) => {
                self.forward(transport.as_ref(), &requests, Bond::Linked, deadline).await
            }
            Some(_) | None => answers,
        }
    }

    /// The same where this node leads, and never at another one.
    pub(super) async fn submit_linked_here(&self, requests: &[Arc<Request>], deadline: Instant) -> Answers {
        if let Some((place, why)) = not_together(requests) {
            let linked = |at: usize| if at == place { Err(why.clone()) } else { Err(JournalError::Linked { place }) };
            return (0..requests.len()).map(linked).collect();
        }
        answers(self.enqueue_all(requests, deadline, requests.len())).await
    }

    /// As [`submit_all`](Self::submit_all) where this node leads, and never at another one: for whoever needs them done in
    /// this order, whatever happens on the way. What was not done, and all after it, can be asked again.
    pub async fn submit_all_here(&self, requests: &[Arc<Request>], deadline: Instant) -> Answers {
        answers(self.enqueue_all(requests, deadline, 0)).await
    }

    fn enqueue_all(&self, requests: &[Arc<Request>], deadline: Instant, linked: usize) -> Waiting {
        let mut tickets = Vec::with_capacity(requests.len());
        let waiting = requests.iter().map(|request| {
            request.check()?;
            let (reply, answer) = oneshot::channel();
            tickets.push(Ticket { request: Arc::clone(request), deadline, reply, linked });
            Ok(answer)
        });
        let waiting = waiting.collect::<Waiting>();
        let Some(journal) = tickets.first().map(|ticket| ticket.request.journal) else { return waiting };
        let slot = self.0.slots.of(journal);
        let not_leader = || JournalError::NotLeader { leader: slot.as_ref().and_then(|slot| slot.leader()) };
        let pushed = match slot.as_ref().and_then(|slot| slot.term()) {
            None => Err(not_leader()),
            Some(term) => term
                .queue
                .push_all(journal, tickets)
                .map_err(|full| if full { JournalError::QueueFull } else { not_leader() }),
        };
        match pushed {
            Ok(()) => waiting,
            Err(error) => waiting.into_iter().map(|one| one.and_then(|_| Err(error.clone()))).collect(),
        }
    }
}

async fn answers(waiting: Waiting) -> Answers {
    let mut answers = Vec::with_capacity(waiting.len());
    for one in waiting {
        // A sender lost without a word is a fault of ours, and nobody knows where it struck.
        answers.push(match one {
            Ok(answer) => answer.await.unwrap_or(Err(JournalError::OutcomeUnknown)),
            Err(error) => Err(error),
        });
    }
    answers
}

/// What can be seen to fail before it is asked: no request, or a key twice.
fn not_together(requests: &[Arc<Request>]) -> Option<(usize, JournalError)> {
    let mut keys = BTreeSet::new();
    requests.iter().enumerate().find_map(|(place, request)| match request.check() {
        Err(invalid) => Some((place, invalid.into())),
        Ok(()) if !keys.insert((request.key.scope, request.key.key)) => Some((place, JournalError::KeyReused)),
        Ok(()) => None,
    })
}
