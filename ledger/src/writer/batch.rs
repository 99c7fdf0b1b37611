//! The writer's thread: gather, probe, apply, commit, publish, answer (JOURNAL 16).
//!
//! Few that wait are served one batch after another, each by one statement. When many wait, batches go through a [`Pipe`]:
//! the next is decided and its rows are written while the one before is committed. It is decided on what memory will be
//! when that one is in the books, so only batches go there that need nothing else of it: other keys, and accounts, not
//! what it may have done to holds, lots or claims.

use std::sync::Arc;
use std::thread;

use diesel::PgConnection;

use super::asked::{Asked, Promised, answers, gather, refuse_rivals, replay};
use super::book::{self, unavailable, unreadable};
use super::commit::{Decided, Unposted};
use super::kept::Books;
use super::pipe::{Pipe, Progress};
use super::queue::Ticket;
use super::term::{FlightId, Term};
use super::{Answer, Inner, JournalError};
use crate::apply::{Applied, Map, apply, linked};
use crate::probe;
use crate::store;
use crate::{Invalid, JournalId, Key, Record, Request};

/// From so many requests on, a batch goes through the pipe: for fewer its extra round trips cost more than they save.
const PIPED: usize = 256;
/// Up to so many requests, a batch is first tried as if all its keys were new.
const TRIED: usize = 64;
/// After that went wrong, so many batches are asked about first.
const ASKED: u32 = 64;

/// Runs until the queue is closed and empty, or something ends the term.
pub(super) fn run(inner: &Inner, term: &Term, conn: PgConnection, beside: [PgConnection; 2]) {
    let progress = Progress::default();
    thread::scope(|scope| {
        let pipe = Pipe::lay(scope, (inner, term, &progress), beside);
        let Ok(pipe) = pipe.inspect_err(|error| tracing::error!(%error, "no thread")) else { return };
        // However many slots there are, together they keep no more than one would.
        let books = Books::new(inner.config.memory.accounts.div_ceil(inner.slots.all().len().max(1)));
        let mut writer = Writer { inner, term, conn, books, pipe, pipe_from: pipe_from(), asking: 0 };
        if let Err(TermOver) = writer.work() {
            term.end();
        }
    });
}

fn pipe_from() -> usize {
    #[cfg(feature = "faults")]
    if let Some(least) = crate::faults::pipe_from() {
        return least;
    }
    PIPED
}

/// The term cannot go on. Whoever had to be told was told, or waits where the supervisor finds them.
struct TermOver;

struct Writer<'a> {
    inner: &'a Inner,
    term: &'a Term,
    conn: PgConnection,
    /// As they will be once what is in the pipe is committed.
    books: Books,
    pipe: Pipe<'a>,
    /// Requests of a batch that goes through it, at least.
    pipe_from: usize,
    /// Batches whose keys are asked for before they are tried.
    asking: u32,
}

/// Requests of one journal that are served together.
struct Batch {
    journal: JournalId,
    /// All happen or none.
    linked: bool,
    /// It may go through the pipe.
    piped: bool,
    /// The database's time it is decided at.
    now_us: i64,
    /// Where its callers wait.
    flight: FlightId,
    asked: Vec<Asked>,
}

impl Batch {
    fn requests(&self) -> impl Iterator<Item = &Request> {
        self.asked.iter().map(|one| one.request.as_ref())
    }
}

type Answers = Vec<Result<Answer, JournalError>>;
type Known = Vec<Option<Result<Answer, JournalError>>>;

impl Writer<'_> {
    fn work(&mut self) -> Result<(), TermOver> {
        loop {
            // A few would have to wait for the pipe anyway: by then they may be many.
            if self.pipe.is_busy() && self.term.queue.len() < self.pipe_from {
                self.settle()?;
            }
            let Some((journal, tickets)) = self.term.queue.take(self.inner.config.batch) else {
                return self.settle().map(|_| ());
            };
            self.serve(journal, tickets)?;
            self.books.make_room(journal, self.inner, self.term);
        }
    }

    fn serve(&mut self, journal: JournalId, tickets: Vec<Ticket>) -> Result<(), TermOver> {
        let linked = tickets.first().is_some_and(|ticket| ticket.linked > 0);
        let (asked, replies) = gather(tickets);
        if asked.is_empty() {
            return Ok(());
        }
        // From here on the watchdog sees them, also while the pipe is waited for.
        let flight = self.term.begin_flight(replies);
        let piped = !linked && asked.len() >= self.pipe_from;
        let mut batch = Batch { journal, linked, piped, now_us: self.term.now_us(), flight, asked };
        if !piped || self.pipe.has_failed() || self.needs_rows(&batch) {
            self.settle()?;
            batch.now_us = self.term.now_us();
        }
        let answered = loop {
            match self.decide(&batch) {
                Ok(None) => return Ok(()),
                // It may have been decided on books that never were.
                Ok(Some(_)) if self.settle()? => {}
                Ok(Some((known, posted))) => break Promised::of(flight, &batch.asked, known).answer(self.term, posted),
                Err(error) => {
                    self.settle()?;
                    if error == JournalError::OutcomeUnknown {
                        self.inner.count(|c| &c.unknown, 1);
                    }
                    break Promised::of(flight, &batch.asked, Vec::new()).fail(self.term, &error) && !is_fatal(&error);
                }
            }
        };
        if answered { Ok(()) } else { Err(TermOver) }
    }

    /// Waits until the pipe is empty. If something failed there, memory was ahead of the books and is read anew; true then.
    fn settle(&mut self) -> Result<bool, TermOver> {
        let Some(error) = self.pipe.settle() else { return Ok(false) };
        self.books.clear();
        if is_fatal(&error) { Err(TermOver) } else { Ok(true) }
    }

    /// Whether a batch asks for rows that one in the pipe may be about to write.
    fn needs_rows(&mut self, batch: &Batch) -> bool {
        if !self.pipe.is_busy() {
            return false;
        }
        let Some(book) = self.books.get(batch.journal) else { return true };
        self.pipe.has_any(batch.requests()) || probe::needs_rows(&book.state, batch.requests(), batch.now_us)
    }

    /// The answers that were known, and those of the others; none when the batch is in the pipe and is answered there.
    fn decide(&mut self, batch: &Batch) -> Result<Option<(Known, Answers)>, JournalError> {
        let Batch { journal, linked, piped, now_us, flight, ref asked } = *batch;
        self.open(journal)?;
        if let Some(answers) = self.try_as_new(batch)? {
            return Ok(Some(answers));
        }
        let mut known = self.replays(journal, asked)?;
        for (_, answer) in asked.iter().zip(&mut known).filter(|(one, answer)| one.late && answer.is_none()) {
            *answer = Some(Err(JournalError::DeadlinePassed));
        }
        refuse_rivals(asked, &mut known);
        if linked && let Some(answers) = linked::already(&mut known) {
            return Ok(Some((asked.iter().map(|_| None).collect(), answers)));
        }
        let fresh = fresh(asked, &known);
        let applied = self.apply(journal, &fresh, now_us)?;
        if piped && !applied.records.is_empty() {
            self.hand(journal, &fresh, applied, Promised::of(flight, asked, known))?;
            return Ok(None);
        }
        let posted = if linked { self.link(batch, &fresh, applied) } else { self.commit(batch, &fresh, applied) };
        Ok(Some((known, posted.map_err(asked_before)?)))
    }

    fn open(&mut self, journal: JournalId) -> Result<(), JournalError> {
        if self.books.get(journal).is_none() {
            let book = book::open(&mut self.conn, self.inner, journal, self.term.epoch)?;
            // What was replayed is ahead of its checkpoint: the watermark must not pass it unwritten.
            self.term.checkpoints.later(journal, book.state.seq, book.state.accounts.values());
            self.books.open(journal, book);
        }
        Ok(())
    }

    /// A few requests are posted as if all their keys were new, which saves asking; none when they must be asked for. If
    /// one was used after all, the keys' own index keeps the batch out. What is no request would not meet that index.
    fn try_as_new(&mut self, batch: &Batch) -> Result<Option<(Known, Answers)>, JournalError> {
        let Batch { journal, linked, piped, now_us, flight, ref asked } = *batch;
        if linked || piped || asked.len() > TRIED || asked.iter().any(|one| one.late) {
            return Ok(None);
        }
        if let Some(asking) = self.asking.checked_sub(1) {
            self.asking = asking;
            return Ok(None);
        }
        let mut known: Known = asked.iter().map(|_| None).collect();
        refuse_rivals(asked, &mut known);
        let fresh = fresh(asked, &known);
        let applied = self.apply(journal, &fresh, now_us)?;
        if applied.answers.iter().any(Result::is_err) {
            return Ok(None);
        }
        match self.commit(batch, &fresh, applied) {
            Ok(posted) => Ok(Some((known, posted))),
            Err(Unposted::Failed(error)) => Err(error),
            Err(Unposted::KeyUsed) => {
                self.term.recall_flight(flight);
                self.asking = ASKED;
                Ok(None)
            }
        }
    }

    /// The stored answers of keys used before, in the requests' order.
    fn replays(&mut self, journal: JournalId, asked: &[Asked]) -> Result<Known, JournalError> {
        let keys: Vec<Key> = asked.iter().map(|one| one.request.key).collect();
        let used = store::used_keys(&mut self.conn, journal, &keys).map_err(unavailable)?;
        let mut replays: Known = keys.iter().map(|_| None).collect();
        let seqs: Vec<i64> = used.iter().map(|key| key.seq).collect();
        if seqs.is_empty() {
            return Ok(replays);
        }
        let store::rows::Found { records, away } =
            store::rows::records_found(&mut self.conn, journal, &seqs).map_err(unavailable)?;
        let records: Map<i64, Arc<Record>> = records.into_iter().map(|record| (record.seq, Arc::new(record))).collect();
        for key in used {
            if let Some((one, place)) = asked.get(key.place).zip(replays.get_mut(key.place)) {
                *place = Some(replay(&one.request, &key, records.get(&key.seq), away.get(&key.seq)));
            }
        }
        Ok(replays)
    }

    /// Commits linked requests whose keys are new: all or none. Of one that fails its refusal, if it fails alone as well.
    fn link(&mut self, batch: &Batch, fresh: &[&Request], applied: Applied) -> Result<Answers, Unposted> {
        let Some(place) = linked::fails_at(&applied) else { return self.commit(batch, fresh, applied) };
        let failed: Vec<&Request> = fresh.iter().skip(place).take(1).copied().collect();
        let alone = self.apply(batch.journal, &failed, batch.now_us)?;
        let why = match applied.answers.get(place) {
            // What was due on its accounts is written down, so that asking again finds less.
            Some(Err(Invalid::StillDue { .. })) if linked::is_due(&alone) => self.commit(batch, &failed, alone)?.pop(),
            // Only its own batch has taken the lots that were looked up, and would do so again.
            Some(Err(Invalid::StillDue { account })) => Some(Err(Invalid::TooManyLots { account: *account }.into())),
            Some(Err(invalid)) => Some(Err(invalid.clone().into())),
            _ if linked::is_refused(&alone) => self.commit(batch, &failed, alone)?.pop(),
            _ => None,
        };
        let mut answers: Vec<_> = fresh.iter().map(|_| Err(JournalError::Linked { place })).collect();
        if let Some((answer, why)) = answers.get_mut(place).zip(why) {
            *answer = why;
        }
        Ok(answers)
    }

    fn apply(&mut self, journal: JournalId, fresh: &[&Request], now_us: i64) -> Result<Applied, JournalError> {
        let book = self.books.get_mut(journal).ok_or(JournalError::NoSuchJournal)?;
        let found = probe::probe(&mut self.conn, journal, &mut book.state, fresh, now_us).map_err(unreadable)?;
        Ok(apply(&book.state, fresh, now_us, &found))
    }

    /// Commits a batch at once; the pipe is empty.
    fn commit(&mut self, batch: &Batch, fresh: &[&Request], applied: Applied) -> Result<Answers, Unposted> {
        let book = self.books.get(batch.journal).ok_or(JournalError::NoSuchJournal)?;
        if applied.records.is_empty() {
            return Ok(answers(applied));
        }
        let decided = Decided::of(batch.journal, book, fresh, applied);
        decided.post(self.inner, self.term, batch.flight, &mut self.conn)?;
        self.books.go_on(batch.journal, &decided);
        Ok(answers(decided.applied))
    }

    /// Sends a batch into the pipe, and goes on as if it were committed.
    fn hand(
        &mut self,
        journal: JournalId,
        fresh: &[&Request],
        applied: Applied,
        promised: Promised,
    ) -> Result<(), JournalError> {
        let book = self.books.get(journal).ok_or(JournalError::NoSuchJournal)?;
        let decided = Decided::of(journal, book, fresh, applied);
        self.books.go_on(journal, &decided);
        self.pipe.hand(fresh, decided, promised);
        Ok(())
    }
}

/// The requests whose answers are not known.
fn fresh<'a>(asked: &'a [Asked], known: &Known) -> Vec<&'a Request> {
    let open = asked.iter().zip(known).filter(|(_, answer)| answer.is_none());
    open.map(|(one, _)| one.request.as_ref()).collect()
}

/// Of a batch whose keys were asked for: used all the same, they tell that somebody else writes here.
fn asked_before(unposted: Unposted) -> JournalError {
    match unposted {
        Unposted::KeyUsed => JournalError::Unavailable,
        Unposted::Failed(error) => error,
    }
}

/// Whether the term cannot go on after this.
fn is_fatal(error: &JournalError) -> bool {
    !matches!(error, JournalError::NoSuchJournal | JournalError::Broken(_) | JournalError::NoRoom)
}
