//! The writer's thread: gather, probe, apply, commit, publish, answer (JOURNAL 16), one batch after another.

use std::sync::Arc;
use std::time::Instant;

use diesel::PgConnection;
use diesel::result::{DatabaseErrorKind, Error};
use ring::digest::{Context, SHA256};
use uuid::Uuid;

use super::book::{self, Book, unavailable, unreadable};
use super::queue::{Reply, Ticket};
use super::term::Term;
use super::{Answer, Inner, JournalError, lock, session};
use crate::apply::{Applied, Map, apply, linked};
use crate::canonical::{Place, canonical_bytes, key_bytes};
use crate::probe;
use crate::store::post::{self, Commit, Rows};
use crate::store::{self, Standing, UsedKey};
use crate::{Account, Body, Command, Invalid, JournalId, Key, Record, Request, Scope};

/// Runs until the queue is closed and empty, or something ends the term.
pub(super) fn run(inner: &Inner, term: &Term, conn: PgConnection) {
    let mut writer = Writer { inner, term, conn, books: Map::default() };
    while let Some((journal, tickets)) = term.queue.take(inner.config.batch) {
        if let Err(TermOver) = writer.serve(journal, tickets) {
            return;
        }
    }
}

/// The term cannot go on. Whoever had to be told was told, or waits where the supervisor finds them.
struct TermOver;

struct Writer<'a> {
    inner: &'a Inner,
    term: &'a Term,
    conn: PgConnection,
    books: Map<JournalId, Book>,
}

/// A request of the batch with everyone who waits for its answer: itself, and those that came with the same key.
struct Asked {
    request: Arc<Request>,
    waiting: usize,
    /// Nobody wants it done any more. If it was done under the same key before, they are told of that; else it is dropped.
    late: bool,
}

impl Writer<'_> {
    fn serve(&mut self, journal: JournalId, tickets: Vec<Ticket>) -> Result<(), TermOver> {
        let linked = tickets.first().is_some_and(|ticket| ticket.linked > 0);
        let (asked, replies) = gather(tickets);
        if asked.is_empty() {
            return Ok(());
        }
        self.term.begin_flight(replies);
        let answers = match self.decide(journal, &asked, linked) {
            Ok(answers) => answers,
            Err(error) => {
                if error == JournalError::OutcomeUnknown {
                    self.inner.count(|c| &c.unknown, 1);
                }
                let fatal =
                    !matches!(error, JournalError::NoSuchJournal | JournalError::Broken(_) | JournalError::NoRoom);
                self.land(asked.iter().map(|one| (one.waiting, Err(error.clone()))))?;
                return if fatal { Err(TermOver) } else { Ok(()) };
            }
        };
        self.land(asked.iter().map(|one| one.waiting).zip(answers))
    }

    /// Answers everybody of the batch, unless the watchdog already has.
    fn land(&self, answers: impl Iterator<Item = (usize, Result<Answer, JournalError>)>) -> Result<(), TermOver> {
        let mut replies = self.term.land_flight().ok_or(TermOver)?.into_iter();
        for (waiting, answer) in answers {
            for (place, reply) in replies.by_ref().take(waiting).enumerate() {
                let answer = answer.clone().map(|answer| Answer { replayed: answer.replayed || place > 0, ..answer });
                // Whoever no longer listens has their answer in the journal, under their key.
                _ = reply.send(answer);
            }
        }
        Ok(())
    }

    fn decide(
        &mut self,
        journal: JournalId,
        asked: &[Asked],
        linked: bool,
    ) -> Result<Vec<Result<Answer, JournalError>>, JournalError> {
        if !self.books.contains_key(&journal) {
            let book = book::open(&mut self.conn, self.inner, journal, self.term.epoch)?;
            // What was replayed is ahead of its checkpoint: the watermark must not pass it unwritten.
            self.checkpoint_later(journal, book.state.seq, book.state.accounts.values());
            self.books.insert(journal, book);
        }
        let mut replays = self.replays(journal, asked)?;
        for (_, replay) in asked.iter().zip(&mut replays).filter(|(one, replay)| one.late && replay.is_none()) {
            *replay = Some(Err(JournalError::DeadlinePassed));
        }
        refuse_rivals(asked, &mut replays);
        if linked && let Some(answers) = linked::already(&mut replays) {
            return Ok(answers);
        }
        let fresh: Vec<&Request> = asked
            .iter()
            .zip(&replays)
            .filter(|(_, replay)| replay.is_none())
            .map(|(one, _)| one.request.as_ref())
            .collect();
        let posted = if linked { self.post_linked(journal, &fresh)? } else { self.post(journal, &fresh)? };
        let mut posted = posted.into_iter();
        let answer = |replay: Option<_>| replay.or_else(|| posted.next()).unwrap_or(Err(JournalError::OutcomeUnknown));
        Ok(replays.into_iter().map(answer).collect())
    }

    /// The stored answers of keys used before, in the requests' order.
    fn replays(
        &mut self,
        journal: JournalId,
        asked: &[Asked],
    ) -> Result<Vec<Option<Result<Answer, JournalError>>>, JournalError> {
        let keys: Vec<Key> = asked.iter().map(|one| one.request.key).collect();
        let used = store::used_keys(&mut self.conn, journal, &keys).map_err(unavailable)?;
        let mut replays: Vec<Option<_>> = keys.iter().map(|_| None).collect();
        let seqs: Vec<i64> = used.iter().map(|key| key.seq).collect();
        let records = if seqs.is_empty() {
            Vec::new()
        } else {
            store::rows::records_at(&mut self.conn, journal, &seqs).map_err(unavailable)?
        };
        let records: Map<i64, Arc<Record>> = records.into_iter().map(|record| (record.seq, Arc::new(record))).collect();
        for key in used {
            if let Some((one, place)) = asked.get(key.place).zip(replays.get_mut(key.place)) {
                *place = Some(replay(&one.request, &key, records.get(&key.seq)));
            }
        }
        Ok(replays)
    }

    /// Decides and commits requests whose keys are new.
    fn post(
        &mut self,
        journal: JournalId,
        fresh: &[&Request],
    ) -> Result<Vec<Result<Answer, JournalError>>, JournalError> {
        let applied = self.apply(journal, fresh)?;
        self.commit(journal, fresh, applied)
    }

    /// The same, all or none.
    fn post_linked(
        &mut self,
        journal: JournalId,
        fresh: &[&Request],
    ) -> Result<Vec<Result<Answer, JournalError>>, JournalError> {
        let applied = self.apply(journal, fresh)?;
        let Some(place) = linked::fails_at(&applied) else { return self.commit(journal, fresh, applied) };
        let book = self.books.get(&journal).ok_or(JournalError::NoSuchJournal)?;
        let only = linked::only(&book.state, applied, place);
        let failed: Vec<&Request> = fresh.iter().skip(place).take(1).copied().collect();
        let mut answers: Vec<_> = fresh.iter().map(|_| Err(JournalError::Linked { place })).collect();
        if let Some((answer, why)) = answers.get_mut(place).zip(self.commit(journal, &failed, only)?.pop()) {
            *answer = why;
        }
        Ok(answers)
    }

    fn apply(&mut self, journal: JournalId, fresh: &[&Request]) -> Result<Applied, JournalError> {
        let book = self.books.get_mut(&journal).ok_or(JournalError::NoSuchJournal)?;
        let now_us = self.term.now_us();
        let found = probe::probe(&mut self.conn, journal, &mut book.state, fresh, now_us).map_err(unreadable)?;
        Ok(apply(&book.state, fresh, now_us, &found))
    }

    fn commit(
        &mut self,
        journal: JournalId,
        fresh: &[&Request],
        applied: Applied,
    ) -> Result<Vec<Result<Answer, JournalError>>, JournalError> {
        let book = self.books.get_mut(&journal).ok_or(JournalError::NoSuchJournal)?;
        if !applied.records.is_empty() {
            let place = Place { journal, fork: book.fork };
            let digest = chain(&book.digest, place, fresh, &applied, &book.state.assets);
            let commit = Commit {
                journal,
                epoch: self.term.epoch,
                first_seq: book.state.seq.saturating_add(1),
                digest: &digest,
            };
            let rows = Rows::of(fresh, &applied);
            let began = Instant::now();
            commit_batch(self.inner, self.term, &mut self.conn, commit, &applied, &rows)?;
            self.inner.measures.commit_us.observe_since(began);
            book.state.publish(&applied);
            book.digest = digest;
            let fork = book.fork;
            self.published(journal, fork, &applied);
        }
        Ok(answers(applied))
    }

    /// Tells checkpointer and followers of a committed batch.
    fn published(&self, journal: JournalId, fork: Uuid, applied: &Applied) {
        let records = u64::try_from(applied.records.len()).unwrap_or(u64::MAX);
        self.inner.count(|c| &c.batches, 1);
        self.inner.count(|c| &c.records, records);
        self.inner.measures.batch_records.observe(records);
        lock(&self.inner.acknowledged).insert(journal, (fork, applied.seq));
        self.checkpoint_later(journal, applied.seq, applied.changed.values());
        self.inner.history.hear(journal, fork, &applied.records);
        self.inner.notify();
    }

    /// Leaves accounts as they stand at this seq to the checkpointer.
    fn checkpoint_later<'a>(&self, journal: JournalId, seq: i64, accounts: impl Iterator<Item = &'a Account>) {
        let mut dirty = lock(&self.term.dirty);
        let dirty = dirty.entry(journal).or_default();
        dirty.seq = seq;
        for account in accounts {
            let (id, balance, held, version) = (account.id, account.balance, account.held, account.version);
            dirty.standings.insert(id, Standing { id, balance, held, version });
        }
    }
}

/// What a request is answered whose key was used before.
fn replay(request: &Request, used: &UsedKey, record: Option<&Arc<Record>>) -> Result<Answer, JournalError> {
    let seq = used.seq;
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
fn refuse_rivals(asked: &[Asked], replays: &mut [Option<Result<Answer, JournalError>>]) {
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
fn gather(tickets: Vec<Ticket>) -> (Vec<Asked>, Vec<Reply>) {
    let now = Instant::now();
    let mut places: Map<Key, usize> = Map::default();
    let mut groups: Vec<(Arc<Request>, bool, Vec<Reply>)> = Vec::with_capacity(tickets.len());
    for Ticket { request, deadline, reply, .. } in tickets {
        let late = deadline < now;
        let place = *places.entry(request.key).or_insert(groups.len());
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

fn answers(applied: Applied) -> Vec<Result<Answer, JournalError>> {
    let records: Vec<Arc<Record>> = applied.records.into_iter().map(Arc::new).collect();
    let answer = |answer: Result<usize, Invalid>| {
        let record = records.get(answer?).map(Arc::clone).ok_or(JournalError::OutcomeUnknown)?;
        Ok(Answer { record, replayed: false })
    };
    applied.answers.into_iter().map(answer).collect()
}

/// SHA-256 over the digest before, the canonical bytes of each record, and the key that leads to it, if one does.
fn chain(
    before: &[u8],
    place: Place,
    batch: &[&Request],
    applied: &Applied,
    assets: &Map<crate::AssetId, crate::Asset>,
) -> Vec<u8> {
    let keyed =
        batch.iter().zip(&applied.answers).filter_map(|(request, answer)| Some((answer.as_ref().ok()?, &request.key)));
    let mut keyed = keyed.peekable();
    let mut hash = Context::new(&SHA256);
    hash.update(before);
    for (index, record) in applied.records.iter().enumerate() {
        hash.update(&canonical_bytes(place, record, |id| assets.get(&id)));
        // Requests and the records that answer them stand in the same order.
        if let Some((_, key)) = keyed.next_if(|(answer, _)| **answer == index) {
            hash.update(&key_bytes(key));
        }
    }
    hash.finish().as_ref().to_vec()
}

/// Commits a batch, or says what is known of it. An error ends the term.
fn commit_batch(
    inner: &Inner,
    term: &Term,
    conn: &mut PgConnection,
    commit: Commit<'_>,
    applied: &Applied,
    rows: &Rows,
) -> Result<(), JournalError> {
    if !term.holds_lease() || !term.send_flight() {
        return Err(JournalError::Unavailable);
    }
    #[cfg(feature = "faults")]
    crate::faults::before_post(applied.records.len());
    let Err(error) = post::post(conn, commit, applied, rows) else { return Ok(()) };
    tracing::warn!(%error, "a batch was not acknowledged");
    if is_fenced(&error) {
        inner.count(|c| &c.fenced, 1);
        return Err(JournalError::NotLeader { leader: None });
    }
    if lacks_room(&error) {
        return Err(JournalError::NoRoom);
    }
    if is_rolled_back(&error) {
        return Err(JournalError::Unavailable);
    }
    resolve(inner, commit, applied, rows)
}

/// The answer to a commit was lost. On a new session the head row tells: a batch whose digest stands there happened;
/// else sending it again is safe, because the head lets one batch of this seq and epoch through, once.
fn resolve(inner: &Inner, commit: Commit<'_>, applied: &Applied, rows: &Rows) -> Result<(), JournalError> {
    let unknown = |_| JournalError::OutcomeUnknown;
    let mut conn = session::open(&inner.config.url).map_err(unknown)?;
    if store::has_batch(&mut conn, commit.journal, applied.seq, commit.digest).map_err(unknown)? {
        return Ok(());
    }
    match post::post(&mut conn, commit, applied, rows) {
        Ok(()) => Ok(()),
        Err(error) if is_fenced(&error) => {
            inner.count(|c| &c.fenced, 1);
            // It may have been committed between the look and the fence.
            let happened = store::has_batch(&mut conn, commit.journal, applied.seq, commit.digest).map_err(unknown)?;
            if happened { Ok(()) } else { Err(JournalError::NotLeader { leader: None }) }
        }
        Err(_) => Err(JournalError::OutcomeUnknown),
    }
}

/// The head row was at another epoch or seq.
fn is_fenced(error: &Error) -> bool {
    matches!(error, Error::DatabaseError(_, info) if info.message().starts_with("fenced:"))
}

/// The rows had no partition to go to: whoever makes them is late, and the batch was rolled back.
fn lacks_room(error: &Error) -> bool {
    matches!(error, Error::DatabaseError(_, info) if info.message().starts_with("no partition of relation"))
}

/// Errors a statement raises before it commits. Anything else, a session ended by an administrator above all, may have
/// come after the commit.
fn is_rolled_back(error: &Error) -> bool {
    matches!(
        error,
        Error::DatabaseError(
            DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::CheckViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::ReadOnlyTransaction,
            _
        )
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

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
