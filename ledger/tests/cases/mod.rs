//! The edge cases every ledger meets, by their numbers in the house's list. Here those that need no database.
//!
//! Not here, because what they are about does not exist yet: 25 (closing an account; a freeze stands in for it) and the
//! moving half of 34 (changing a floor).

mod accounts;
mod amounts;
mod batches;
mod limits;
mod linked;
mod time;

use ledger::apply::{Applied, State};
use ledger::{Account, Body, Dropped, Invalid, Posted, Record, Refusal, Request};
use uuid::Uuid;

use crate::play::Desk;
use crate::requests::{NOW, old_books};

/// A desk on the old books.
fn desk() -> Desk {
    Desk::new(old_books(false))
}

/// The old books with one account changed.
fn desk_with(public_id: Uuid, change: impl FnOnce(&mut Account)) -> Desk {
    let mut desk = desk();
    let id = desk.state.by_public_id[&public_id];
    change(desk.state.accounts.get_mut(&id).unwrap());
    desk
}

/// Commits one request.
fn ask(desk: &mut Desk, request: &Request) -> Result<Record, Invalid> {
    let applied = desk.commit(std::slice::from_ref(request), NOW);
    one_answer(&applied, 0)
}

fn one_answer(applied: &Applied, place: usize) -> Result<Record, Invalid> {
    applied.answers[place].clone().map(|index| applied.records[index].clone())
}

/// Why a record refused; none if it did not.
fn refusal(record: &Record) -> Option<Refusal> {
    match record.body {
        Body::Refused { refusal } => Some(refusal),
        Body::Transaction { .. }
        | Body::Opened { .. }
        | Body::Frozen { .. }
        | Body::ClockMoved { .. }
        | Body::Abandoned => None,
    }
}

/// The rows and the dropped groups of a transaction.
fn posted(record: &Record) -> (&[Posted], &[Dropped]) {
    match &record.body {
        Body::Transaction { transfers, dropped, .. } => (transfers, dropped),
        Body::Opened { .. }
        | Body::Frozen { .. }
        | Body::Refused { .. }
        | Body::ClockMoved { .. }
        | Body::Abandoned => {
            panic!("not a transaction: {record:?}")
        }
    }
}

fn balance(state: &State, account: Uuid) -> i64 {
    state.account(account).unwrap().balance
}

fn version(state: &State, account: Uuid) -> i64 {
    state.account(account).unwrap().version
}
