//! The edge cases every ledger meets, by their numbers in the house's list. Here those that need no database.

mod accounts;
mod amounts;
mod batches;
mod expiry;
mod holds;
mod limits;
mod linked;
mod lots;
mod refunds;
mod rules;
mod time;

use ledger::apply::{Applied, Standing, State};
use ledger::{Account, Body, Dropped, Hold, How, Invalid, LegRef, Posted, Record, Refusal, Request, Transfer};
use uuid::Uuid;

use crate::play::Desk;
use crate::requests::{NOW, old_books, transaction};

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
    ask_at(desk, request, NOW)
}

/// Commits one request at a time of its own.
fn ask_at(desk: &mut Desk, request: &Request, now_us: i64) -> Result<Record, Invalid> {
    let applied = desk.commit(std::slice::from_ref(request), now_us);
    one_answer(&applied, 0)
}

/// Commits transfers that nothing refuses, and tells where their rows are.
fn post(desk: &mut Desk, transfers: Vec<Transfer>, now_us: i64) -> LegRef {
    let record = ask_at(desk, &transaction(9_999, transfers), now_us).unwrap();
    assert!(!posted(&record).0.is_empty() && posted(&record).1.is_empty(), "refused: {record:?}");
    LegRef { seq: record.seq, leg: 0 }
}

/// Why these transfers are refused at that time.
fn refused(desk: &mut Desk, transfers: Vec<Transfer>, now_us: i64) -> Option<Refusal> {
    refusal(&ask_at(desk, &transaction(9_998, transfers), now_us).unwrap())
}

/// What time brought about in the last batch: accounts, and their rows.
fn dues(applied: &Applied) -> Vec<(Uuid, Vec<Posted>)> {
    let dues = applied.records.iter().filter_map(|record| {
        let Body::Due { account, transfers, .. } = &record.body else { return None };
        Some((*account, transfers.clone()))
    });
    dues.collect()
}

/// Sets an amount aside until then, or for ever.
fn holding(transfer: Transfer, expires_us: Option<i64>) -> Transfer {
    Transfer { how: How::Hold { expires_us }, ..transfer }
}

/// Captures so much of a hold.
fn capturing(transfer: Transfer, hold: LegRef) -> Transfer {
    Transfer { how: How::Capture { hold }, ..transfer }
}

/// Gives back all of a hold.
fn voiding(transfer: Transfer, hold: LegRef) -> Transfer {
    let amount = ledger::Amount { minor: 0, ..transfer.amount };
    Transfer { how: How::Void { hold }, amount, ..transfer }
}

/// Moves so much of a row back; `transfer` goes the way of the refund.
fn refunding(transfer: Transfer, of: LegRef, owing: bool) -> Transfer {
    Transfer { how: How::Refund { of, owing }, ..transfer }
}

fn hold_at(desk: &Desk, place: LegRef) -> &Hold {
    &desk.holds[&place]
}

fn held(state: &State, account: Uuid) -> i64 {
    state.account(account).unwrap().held
}

/// Its lots: from when on they are worth nothing, what is left and what of it is pinned.
fn lots(desk: &Desk, account: Uuid) -> Vec<(i64, i64, i64)> {
    let lots = desk.lots_of(desk.state.account(account).unwrap().id).into_iter();
    lots.map(|(lot, Standing { remaining, held })| (lot.expires_us, remaining, held)).collect()
}

fn one_answer(applied: &Applied, place: usize) -> Result<Record, Invalid> {
    applied.answers[place].clone().map(|index| applied.records[index].clone())
}

/// Why a record refused; none if it did not.
fn refusal(record: &Record) -> Option<Refusal> {
    if let Body::Refused { refusal } = record.body { Some(refusal) } else { None }
}

/// The rows and the dropped groups of a transaction.
fn posted(record: &Record) -> (&[Posted], &[Dropped]) {
    let Body::Transaction { transfers, dropped, .. } = &record.body else { panic!("not a transaction: {record:?}") };
    (transfers, dropped)
}

fn balance(state: &State, account: Uuid) -> i64 {
    state.account(account).unwrap().balance
}

fn version(state: &State, account: Uuid) -> i64 {
    state.account(account).unwrap().version
}
