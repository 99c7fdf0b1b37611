//! Two batches on their way at once (JOURNAL 17): while one is committed, the rows of the next are written.
//!
//! Promises: batches enter the books in the order they were handed over, each under the head as the one before left it;
//! when one fails, none behind it is tried, and everybody of those is told that nothing happened. A batch behind one that
//! failed was decided on books that never were: whoever decides then throws those away and reads them anew. Not here:
//! whether a batch may run beside the one before it ([`batch`](super::batch)).

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use uuid::Uuid;

use super::asked::Promised;
use super::commit::{Decided, Unposted};
use super::session::PgConnection;
use super::sync::{Builder, Condvar, Mutex, MutexGuard, PoisonError, Receiver, Scope, SyncSender, sync_channel};
use super::term::{FlightId, Term};
use super::{Inner, JournalError, lock};
use crate::apply::Set;
use crate::store::post;
use crate::{Command, JournalId, Request};

/// How far the batches have come.
#[derive(Default)]
pub(super) struct Progress {
    landed: Mutex<Landed>,
    changed: Condvar,
}

#[derive(Default)]
struct Landed {
    /// Batches that are over, well or not.
    count: u64,
    /// Since when no batch is tried, and why.
    failed: Option<JournalError>,
}

/// A batch, with whom to answer.
struct Job {
    /// From 1, in the order of the books.
    number: u64,
    decided: Decided,
    promised: Promised,
}

/// What can be used once: the keys and claims of requests.
type Once = (JournalId, Option<crate::Scope>, Uuid);

/// The end that batches are handed in at.
pub(super) struct Pipe<'a> {
    progress: &'a Progress,
    lines: [SyncSender<Job>; 2],
    handed: u64,
    /// Keys and claims of batches that may not be over yet.
    used: VecDeque<(u64, Set<Once>)>,
}

impl<'a> Pipe<'a> {
    /// A pipe with a thread for each session. The threads end when the pipe is gone and what was handed over is answered.
    pub(super) fn lay<'scope>(
        scope: &'scope Scope<'scope, 'a>,
        (inner, term, progress): (&'a Inner, &'a Term, &'a Progress),
        sessions: [PgConnection; 2],
    ) -> std::io::Result<Self> {
        let line = |conn| {
            // No slots: whoever hands over waits until the line has done with its last batch.
            let (line, jobs) = sync_channel(0);
            let work = move || Line { inner, term, progress, conn }.work(&jobs);
            Builder::new().name("journal-pipe".into()).spawn_scoped(scope, work).map(|_| line)
        };
        let [first, second] = sessions;
        Ok(Self { progress, lines: [line(first)?, line(second)?], handed: 0, used: VecDeque::new() })
    }

    /// True while a batch is on its way, or one failed and nobody has looked.
    pub(super) fn is_busy(&self) -> bool {
        let landed = self.progress.look();
        landed.count < self.handed || landed.failed.is_some()
    }

    /// True when a batch failed and nobody has looked since: none that is handed in is tried.
    pub(super) fn has_failed(&self) -> bool {
        self.progress.look().failed.is_some()
    }

    /// True when a batch on its way may have one of these requests' keys or claims.
    pub(super) fn has_any<'r>(&mut self, mut requests: impl Iterator<Item = &'r Request>) -> bool {
        self.forget_landed();
        requests.any(|request| once(request).any(|one| self.used.iter().any(|(_, used)| used.contains(&one))))
    }

    fn forget_landed(&mut self) {
        let landed = self.progress.look().count;
        self.used.retain(|(number, _)| *number > landed);
    }

    /// Sends a batch on its way, behind the others. It is answered from there.
    pub(super) fn hand(&mut self, fresh: &[&Request], decided: Decided, promised: Promised) {
        self.handed = self.handed.saturating_add(1);
        let number = self.handed;
        self.forget_landed();
        self.used.push_back((number, fresh.iter().flat_map(|request| once(request)).collect()));
        let [first, second] = &self.lines;
        let line = if number % 2 == 1 { first } else { second };
        if line.send(Job { number, decided, promised }).is_err() {
            // Its thread is gone by a panic, and with it the term; whoever waits is answered by the watchdog.
            self.progress.land(number, Some(JournalError::Unavailable));
        }
    }

    /// Waits until nothing is on its way, and tells what went wrong since the last time, if anything did.
    pub(super) fn settle(&mut self) -> Option<JournalError> {
        self.used.clear();
        self.progress.wait_for(self.handed).failed.take()
    }
}

fn once(request: &Request) -> impl Iterator<Item = Once> {
    let claim = if let Command::Transact { claim, .. } = request.command { claim } else { None };
    let claim = claim.map(|claim| (request.journal, None, claim.0));
    [Some((request.journal, Some(request.key.scope), request.key.key)), claim].into_iter().flatten()
}

impl Progress {
    fn look(&self) -> MutexGuard<'_, Landed> {
        lock(&self.landed)
    }

    /// Waits until so many batches are over.
    fn wait_for(&self, count: u64) -> MutexGuard<'_, Landed> {
        let landed = self.look();
        self.changed.wait_while(landed, |landed| landed.count < count).unwrap_or_else(PoisonError::into_inner)
    }

    fn land(&self, number: u64, failed: Option<JournalError>) {
        let mut landed = self.look();
        landed.count = landed.count.max(number);
        landed.failed = landed.failed.take().or(failed);
        drop(landed);
        self.changed.notify_all();
    }
}

/// One of the two that carry batches.
struct Line<'a> {
    inner: &'a Inner,
    term: &'a Term,
    progress: &'a Progress,
    conn: PgConnection,
}

impl Line<'_> {
    /// However a batch ends, also by a panic, its callers and those behind it get to know.
    fn work(mut self, jobs: &Receiver<Job>) {
        for job in jobs {
            let (number, flight) = (job.number, job.promised.flight);
            // Caught, and not left to a guard that is dropped: nobody is told of anything while a stack unwinds.
            let brought = catch_unwind(AssertUnwindSafe(|| self.bring(job)));
            let panicked = brought.is_err();
            let failed = brought.unwrap_or_else(|_panic| {
                for reply in self.term.land_flight(flight).into_iter().flatten() {
                    _ = reply.send(Err(JournalError::OutcomeUnknown));
                }
                Some(JournalError::OutcomeUnknown)
            });
            if failed.as_ref().is_some_and(|error| *error != JournalError::NoRoom) {
                self.term.end();
            }
            self.progress.land(number, failed);
            if panicked {
                return; // its session may be anywhere
            }
        }
    }

    /// Takes a batch into the books and answers its callers; tells why it failed, if it did.
    fn bring(&mut self, Job { number, decided, promised }: Job) -> Option<JournalError> {
        let failed = self.carry(number, promised.flight, &decided).err();
        if let Some(JournalError::OutcomeUnknown) = failed {
            self.inner.count(|c| &c.unknown, 1);
        }
        if failed.is_none() {
            self.inner.count(|c| &c.piped, 1);
        }
        let answered = match &failed {
            None => promised.keep(self.term, decided.applied),
            Some(error) => promised.fail(self.term, error),
        };
        if answered { failed } else { Some(JournalError::Unavailable) }
    }

    /// Takes a batch into the books, in its turn.
    fn carry(&mut self, number: u64, flight: FlightId, decided: &Decided) -> Result<(), JournalError> {
        let laid = decided.lay(self.inner, self.term, &mut self.conn);
        let before = self.progress.wait_for(number.saturating_sub(1)).failed.clone();
        let carried = match (before, laid) {
            // Also when nobody knows of the one before: this one was never sent.
            (Some(error), _) if error != JournalError::NoRoom => Err(JournalError::Unavailable.into()),
            (Some(no_room), _) => Err(no_room.into()),
            (None, laid) => laid.and_then(|()| decided.land(self.inner, self.term, flight, &mut self.conn)),
        };
        carried.map_err(|unposted| {
            post::give_up(&mut self.conn);
            match unposted {
                Unposted::Failed(error) => error,
                // It was asked for before: somebody else writes here.
                Unposted::KeyUsed => JournalError::Unavailable,
            }
        })
    }
}
