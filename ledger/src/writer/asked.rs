//! What a batch asks: requests of one key put together, and what each is answered.

use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use super::queue::{Reply, Ticket};
use super::term::{FlightId, Term};
use super::{Answer, JournalError};
use crate::apply::{Applied, Map};
use crate::store::UsedKey;
use crate::{Archived, Body, Command, Invalid, Key, Record, Request, Scope};

/// A request of the batch with everyone who waits for its answer: itself, and those that came with the same key.
pub(super) struct Asked {
    pub(super) request: Arc<Request>,
    pub(super) waiting: usize,
    /// Nobody wants it done any more. If it was done under the same key before, they are told of that; else it is dropped.
    pub(super) late: bool,
}

/// Who of a batch is answered what: those whose keys were used before, and those that wait for the books.
pub(super) struct Promised {
    pub(super) flight: FlightId,
    /// How many wait for each request's answer.
    waiting: Vec<usize>,
    /// The answers there are already.
    known: Vec<Option<Result<Answer, JournalError>>>,
}

impl Promised {
    pub(super) fn of(flight: FlightId, asked: &[Asked], known: Vec<Option<Result<Answer, JournalError>>>) -> Self {
        Self { flight, waiting: asked.iter().map(|one| one.waiting).collect(), known }
    }

    /// Answers everybody: the batch is in the books. False when the watchdog has answered them.
    pub(super) fn keep(self, term: &Term, applied: Applied) -> bool {
        self.answer(term, answers(applied))
    }

    /// Answers everybody what became of their own request.
    pub(super) fn answer(self, term: &Term, posted: Vec<Result<Answer, JournalError>>) -> bool {
        let mut posted = posted.into_iter();
        let answer = |known: Option<_>| known.or_else(|| posted.next()).unwrap_or(Err(JournalError::OutcomeUnknown));
        land(term, self.flight, self.waiting.into_iter().zip(self.known.into_iter().map(answer)))
    }

    /// Tells everybody that the batch failed, but those whose answers were known before it.
    pub(super) fn fail(self, term: &Term, error: &JournalError) -> bool {
        let known = self.known.into_iter().chain(std::iter::repeat(None));
        let answers = known.map(|known| known.unwrap_or_else(|| Err(error.clone())));
        land(term, self.flight, self.waiting.into_iter().zip(answers))
    }
}

/// Answers everybody of a batch in flight. False when the watchdog already has.
fn land(term: &Term, flight: FlightId, answers: impl Iterator<Item = (usize, Result<Answer, JournalError>)>) -> bool {
    let Some(replies) = term.land_flight(flight) else { return false };
    let mut replies = replies.into_iter();
    for (waiting, answer) in answers {
        for (place, reply) in replies.by_ref().take(waiting).enumerate() {
            let answer = answer.clone().map(|answer| Answer { replayed: answer.replayed || place > 0, ..answer });
            // Whoever no longer listens has their answer in the journal, under their key.
            _ = reply.send(answer);
        }
    }
    true
}

/// What a request is answered whose key was used before: by a record, or one whose transfers are archived.
pub(super) fn replay(
    request: &Request,
    used: &UsedKey,
    record: Option<&Arc<Record>>,
    away: Option<&Archived>,
) -> Result<Answer, JournalError> {
    let seq = used.seq;
    if let Some(range) = away {
        // A transaction: its key says whether it is this request's, and whoever gives the key up is told that it was done.
        let own = request.command == Command::Abandon || request.key.fingerprint == used.fingerprint;
        return Err(if own { JournalError::Archived(*range) } else { JournalError::KeyReused });
    }
    let missing = || JournalError::Broken(format!("a key leads to seq {seq}, which has no record"));
    let record = record.ok_or_else(missing)?;
    match (&request.command, &record.body) {
        (Command::Abandon, _) => Ok(Answer { record: Arc::clone(record), replayed: true }),
        (_, Body::Abandoned) => Err(JournalError::Abandoned { seq }),
        _ if request.key.fingerprint == used.fingerprint => Ok(Answer { record: Arc::clone(record), replayed: true }),
        _ => Err(JournalError::KeyReused),
    }
}

/// Of requests that bring a new key with different bodies, the first has it. The others are refused here and not before:
/// had the key been used in an earlier batch, the stored fingerprint would have said which of them is right.
pub(super) fn refuse_rivals(asked: &[Asked], replays: &mut [Option<Result<Answer, JournalError>>]) {
    let mut taken: Map<(Scope, Uuid), bool> = Map::default();
    for (one, replay) in asked.iter().zip(replays).filter(|(_, replay)| replay.is_none()) {
        let abandons = one.request.command == Command::Abandon;
        *replay = match taken.insert((one.request.key.scope, one.request.key.key), abandons) {
            None => continue,
            // The next time it is asked, the key itself will say what became of it.
            Some(abandoned) if abandoned || abandons => Some(Err(JournalError::DeadlinePassed)),
            Some(_) => Some(Err(JournalError::KeyReused)),
        };
    }
}

/// Puts requests of one key and body together.
pub(super) fn gather(tickets: Vec<Ticket>) -> (Vec<Asked>, Vec<Reply>) {
    let now = Instant::now();
    // Whoever gives a key up is not the same request as the one that is given up, whatever their fingerprints.
    let mut places: Map<(Key, bool), usize> = Map::default();
    let mut groups: Vec<(Arc<Request>, bool, Vec<Reply>)> = Vec::with_capacity(tickets.len());
    for Ticket { request, deadline, reply, .. } in tickets {
        let late = deadline < now;
        let abandons = request.command == Command::Abandon;
        let place = *places.entry((request.key, abandons)).or_insert(groups.len());
        match groups.get_mut(place) {
            None => groups.push((request, late, vec![reply])),
            Some((kept, all_late, replies)) => {
                if *all_late && !late {
                    // What is done is what somebody still wants: same body, but made anew by the caller since.
                    (*kept, *all_late) = (request, false);
                }
                replies.push(reply);
            }
        }
    }
    let mut all = Vec::with_capacity(groups.len());
    let asked = groups.into_iter().map(|(request, late, replies)| {
        let waiting = replies.len();
        all.extend(replies);
        Asked { request, waiting, late }
    });
    (asked.collect(), all)
}

pub(super) fn answers(applied: Applied) -> Vec<Result<Answer, JournalError>> {
    let records: Vec<Arc<Record>> = applied.records.into_iter().map(Arc::new).collect();
    let answer = |answer: Result<usize, Invalid>| {
        let record = records.get(answer?).map(Arc::clone).ok_or(JournalError::OutcomeUnknown)?;
        Ok(Answer { record, replayed: false })
    };
    applied.answers.into_iter().map(answer).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;
    use crate::JournalId;

    fn ticket(fingerprint: u128, by_us: i64, late: bool) -> Ticket {
        let key = Key { scope: Scope(1), key: Uuid::from_u128(1), fingerprint: Uuid::from_u128(fingerprint) };
        let (journal, command) = (JournalId(1), Command::MoveClock { by_us });
        let request = Request { journal, key, command, effective_us: None, meta: Vec::new(), companions: Vec::new() };
        let request = Arc::new(request);
        let now = Instant::now();
        let deadline = if late { now - Duration::from_secs(1) } else { now + Duration::from_secs(60) };
        Ticket { request, deadline, reply: oneshot::channel().0, linked: 0 }
    }

    /// Which ticket's request is kept of each key and body, how many wait for it, and whether none of them is in time.
    fn gathered(tickets: Vec<Ticket>) -> Vec<(Command, usize, bool)> {
        gather(tickets).0.into_iter().map(|one| (one.request.command.clone(), one.waiting, one.late)).collect()
    }

    #[test]
    fn of_one_key_and_body_the_first_in_time_is_kept_and_all_are_late_only_together() {
        let moved = |by_us| Command::MoveClock { by_us };
        assert_eq!(gathered(vec![ticket(1, 1, true), ticket(1, 2, false)]), [(moved(2), 2, false)]);
        assert_eq!(gathered(vec![ticket(1, 1, false), ticket(1, 2, true)]), [(moved(1), 2, false)]);
        assert_eq!(gathered(vec![ticket(1, 1, false), ticket(1, 2, false)]), [(moved(1), 2, false)]);
        assert_eq!(gathered(vec![ticket(1, 1, true), ticket(1, 2, true)]), [(moved(1), 2, true)]);
        // Another body under the key is another request, as late as it is.
        let rivals = gathered(vec![ticket(1, 1, true), ticket(2, 2, false)]);
        assert_eq!(rivals, [(moved(1), 1, true), (moved(2), 1, false)]);
    }
}
