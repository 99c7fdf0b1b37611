//! What the pipe sees of the database: a batch is laid and landed, or something goes wrong at either; and what must hold
//! whenever one is sent.

use std::panic::resume_unwind;

use shuttle::thread::yield_now;

use super::session::PgConnection;
use super::sync::{Condvar, Mutex};
use super::term::{FlightId, Term};
use super::{Inner, JournalError, lock};
use crate::apply::Applied;

/// Batches by their numbers, in the order of the books.
pub type Batches = Vec<usize>;

/// The database: who is in it, and who must not get there any more.
#[derive(Default)]
pub struct Books {
    state: Mutex<State>,
    let_go: Condvar,
}

#[derive(Default)]
struct State {
    batches: Batches,
    /// One failed, and whoever decides has not looked since.
    failed: bool,
    /// The watchdog has answered everybody.
    abandoned: bool,
    /// What went against the laws: the pipe catches whoever panics.
    wrongs: Vec<String>,
    /// A line hangs in its commit; it may go on.
    hangs: bool,
    may_go_on: bool,
}

impl Books {
    pub fn batches(&self) -> Batches {
        lock(&self.state).batches.clone()
    }

    /// Reads them anew, after a failure.
    pub fn read_anew(&self) -> Batches {
        let mut state = lock(&self.state);
        state.failed = false;
        state.batches.clone()
    }

    /// What must not have been sent as it was.
    pub fn wrongs(&self) -> Vec<String> {
        lock(&self.state).wrongs.clone()
    }

    pub fn are_abandoned(&self) {
        lock(&self.state).abandoned = true;
    }

    /// Waits until a line hangs, and does not let it go.
    pub fn wait_until_hanging(&self) {
        drop(self.let_go.wait_while(lock(&self.state), |state| !state.hangs).expect("nobody panics in here"));
    }

    pub fn let_go(&self) {
        lock(&self.state).may_go_on = true;
        self.let_go.notify_all();
    }

    fn hang(&self) {
        lock(&self.state).hangs = true;
        self.let_go.notify_all();
        drop(self.let_go.wait_while(lock(&self.state), |state| !state.may_go_on).expect("nobody panics in here"));
    }
}

/// What becomes of a batch that is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Lands,
    /// Its rows are refused, for want of room or for another reason, or the line dies of them.
    NotLaid,
    NoRoomToLay,
    DiesLaying,
    /// Its commit is known to have been rolled back, or nobody knows, or the line dies, with the batch in the books or not.
    RolledBack,
    NoRoomToLand,
    KeyUsed,
    Lost {
        landed: bool,
    },
    DiesLanding {
        landed: bool,
    },
    /// The commit is sent, and its answer does not come for long.
    Hangs,
}

impl Fate {
    pub const ALL: [Self; 12] = [
        Self::Lands,
        Self::NotLaid,
        Self::NoRoomToLay,
        Self::DiesLaying,
        Self::RolledBack,
        Self::NoRoomToLand,
        Self::KeyUsed,
        Self::Lost { landed: true },
        Self::Lost { landed: false },
        Self::DiesLanding { landed: true },
        Self::DiesLanding { landed: false },
        Self::Hangs,
    ];
}

pub enum Unposted {
    KeyUsed,
    Failed(JournalError),
}

impl From<JournalError> for Unposted {
    fn from(error: JournalError) -> Self {
        Self::Failed(error)
    }
}

pub struct Decided {
    pub number: usize,
    /// What will be in the books before it, as far as whoever decided it knew.
    pub before: Batches,
    pub fate: Fate,
    pub applied: Applied,
}

impl Decided {
    pub fn lay(&self, _: &Inner, _: &Term, _: &mut PgConnection) -> Result<(), Unposted> {
        yield_now();
        match self.fate {
            Fate::NotLaid => Err(JournalError::Unavailable.into()),
            Fate::NoRoomToLay => Err(JournalError::NoRoom.into()),
            Fate::DiesLaying => die(),
            _ => Ok(()),
        }
    }

    pub fn land(&self, inner: &Inner, term: &Term, flight: FlightId, _: &mut PgConnection) -> Result<(), Unposted> {
        let abandoned = lock(&inner.books.state).abandoned;
        if !term.holds_lease() || !term.send_flight(flight) {
            return Err(JournalError::Unavailable.into());
        }
        if self.fate == Fate::Hangs {
            inner.books.hang();
        }
        let mut state = lock(&inner.books.state);
        let State { failed, ref batches, .. } = *state;
        let wrongs = [
            (abandoned, "its callers were answered by the watchdog"),
            (failed, "one before it failed"),
            (*batches != self.before, "it was decided on other books"),
        ];
        let wrongs: Vec<_> =
            wrongs.iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, why)| self.sent_though(why)).collect();
        state.wrongs.extend(wrongs);
        let lands = match self.fate {
            Fate::Lost { landed } | Fate::DiesLanding { landed } => landed,
            Fate::Lands | Fate::Hangs => true,
            _ => false,
        };
        if lands {
            state.batches.push(self.number);
        }
        state.failed = !matches!(self.fate, Fate::Lands | Fate::Hangs);
        drop(state);
        match self.fate {
            Fate::RolledBack => Err(JournalError::Unavailable.into()),
            Fate::NoRoomToLand => Err(JournalError::NoRoom.into()),
            Fate::KeyUsed => Err(Unposted::KeyUsed),
            Fate::Lost { .. } => Err(JournalError::OutcomeUnknown.into()),
            Fate::DiesLanding { .. } => die(),
            _ => Ok(()),
        }
    }
}

impl Decided {
    fn sent_though(&self, why: &str) -> String {
        format!("{} was sent, and {why}", self.number)
    }
}

/// Panics without a word: that is part of the play.
fn die() -> ! {
    resume_unwind(Box::new("a line dies"))
}
