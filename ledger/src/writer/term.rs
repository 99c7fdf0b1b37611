//! A term: one stretch of leading, under one epoch. It begins with a lease and ends once, for good.

use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use super::checkpoint::Checkpoints;
use super::queue::{Queue, Reply};
use super::sync::{AtomicBool, AtomicI64, AtomicU64, Mutex, Ordering};
use super::{JournalError, lock};
use crate::boot_clock;

/// How long a lease lasts without renewal.
pub(super) const LEASE_TTL: Duration = Duration::from_secs(3);
/// How often it is renewed.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(1);
/// A commit not answered by then is declared unknown.
pub(super) const UNKNOWN_AFTER: Duration = Duration::from_secs(2);
/// Reads before a commit, a take-over's replay among them, may take this long; then their session is given up.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Term {
    pub(super) epoch: i64,
    pub(super) queue: Queue,
    /// Batches taken up and not answered.
    flights: Mutex<Vec<Flight>>,
    next_flight: AtomicU64,
    pub(super) checkpoints: Checkpoints,
    /// Accounts that the writer has in memory.
    accounts: AtomicUsize,
    ended: AtomicBool,
    /// Until when the lease is ours, microseconds of the boot clock.
    lease_until_us: AtomicU64,
    /// The database's clock less the boot clock, microseconds.
    clock_us: AtomicI64,
}

/// A batch on its way, by the number its callers were noted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FlightId(u64);

/// The callers of a batch on its way.
#[derive(Debug)]
struct Flight {
    id: FlightId,
    /// When it was taken up, then when it was sent.
    since: Instant,
    /// The commit was sent: from here on only the database knows.
    sent: bool,
    replies: Vec<Reply>,
}

impl Term {
    /// A term whose lease was asked for at `asked`, when the database's clock then showed `database_us`.
    pub(super) fn new(epoch: i64, queue: usize, asked: Duration, database_us: i64) -> Self {
        let term = Self {
            epoch,
            queue: Queue::new(queue),
            flights: Mutex::default(),
            next_flight: AtomicU64::new(0),
            checkpoints: Checkpoints::default(),
            accounts: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            lease_until_us: AtomicU64::new(0),
            clock_us: AtomicI64::new(0),
        };
        term.renewed(asked, database_us);
        term
    }

    /// The lease was renewed by a request sent at `asked`: counted from before it was sent, it cannot be too long.
    pub(super) fn renewed(&self, asked: Duration, database_us: i64) {
        let until = asked.saturating_add(LEASE_TTL).as_micros();
        self.lease_until_us.store(u64::try_from(until).unwrap_or(0), Ordering::SeqCst);
        self.clock_us.store(database_us.saturating_sub(boot_us()), Ordering::SeqCst);
    }

    pub(super) fn holds_lease(&self) -> bool {
        u64::try_from(boot_us()).is_ok_and(|now| now < self.lease_until_us.load(Ordering::SeqCst))
    }

    /// The database's time, as far as we can tell without asking.
    pub(super) fn now_us(&self) -> i64 {
        self.clock_us.load(Ordering::SeqCst).saturating_add(boot_us())
    }

    /// The writer has so many accounts in memory.
    pub(super) fn keeps(&self, accounts: usize) {
        self.accounts.store(accounts, Ordering::Relaxed);
    }

    /// Accounts in memory.
    pub(super) fn accounts(&self) -> usize {
        self.accounts.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Puts a batch's callers where the watchdog sees them.
    pub(super) fn begin_flight(&self, replies: Vec<Reply>) -> FlightId {
        let id = FlightId(self.next_flight.fetch_add(1, Ordering::SeqCst));
        lock(&self.flights).push(Flight { id, since: Instant::now(), sent: false, replies });
        id
    }

    /// Marks a batch's commit as sent. False when the watchdog has answered the callers: it must then not be sent at all.
    pub(super) fn send_flight(&self, id: FlightId) -> bool {
        self.mark_flight(id, true)
    }

    /// The commit that was sent is known to have been rolled back, and will be sent anew.
    pub(super) fn recall_flight(&self, id: FlightId) {
        self.mark_flight(id, false);
    }

    fn mark_flight(&self, id: FlightId, sent: bool) -> bool {
        match lock(&self.flights).iter_mut().find(|flight| flight.id == id) {
            Some(flight) if !self.has_ended() => {
                (flight.sent, flight.since) = (sent, Instant::now());
                true
            }
            _ => false,
        }
    }

    /// Takes a batch's callers back, to answer them; none when the watchdog has.
    pub(super) fn land_flight(&self, id: FlightId) -> Option<Vec<Reply>> {
        let mut flights = lock(&self.flights);
        let place = flights.iter().position(|flight| flight.id == id)?;
        Some(flights.remove(place).replies)
    }

    /// True when a batch in flight has taken too long.
    pub(super) fn is_overdue(&self) -> bool {
        let patience = |flight: &Flight| if flight.sent { UNKNOWN_AFTER } else { STUCK_AFTER };
        lock(&self.flights).iter().any(|flight| flight.since.elapsed() > patience(flight))
    }

    /// Answers whoever is still waiting, and says whether a commit was left unknown.
    pub(super) fn abandon(&self, not_leader: &JournalError) -> bool {
        self.end();
        for ticket in self.queue.drain() {
            _ = ticket.reply.send(Err(not_leader.clone()));
        }
        let flights = std::mem::take(&mut *lock(&self.flights));
        let unknown = flights.iter().any(|flight| flight.sent);
        for Flight { sent, replies, .. } in flights {
            let error = if sent { JournalError::OutcomeUnknown } else { JournalError::Unavailable };
            for reply in replies {
                _ = reply.send(Err(error.clone()));
            }
        }
        unknown
    }
}

fn boot_us() -> i64 {
    i64::try_from(boot_clock::now().as_micros()).unwrap_or(i64::MAX)
}
