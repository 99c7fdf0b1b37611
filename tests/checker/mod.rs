//! The history checker: many clients at once ask and look, and what they were told is held against the model.
//!
//! Each client writes down what it asked, when, and what it was told. Afterwards the writes are played on the model of
//! `ledger/tests/model` in the order of their seqs ([`replay`] says what must hold); the model shares no function with
//! what was asked. Jepsen's way (Kingsbury, Alvaro 2020) with an order that the journal gives away, so that nothing is
//! searched. The terms of an account that a balance tells are read by themselves and held by themselves against the model.
//!
//! What is asked follows from the seed; how the clients interleave does not. `make races` runs for as long as one likes.

mod clients;
mod fold;
mod forged;
mod history;
mod replay;
mod standing;
mod town;

use diesel::{Connection, PgConnection};
use ledger::apply::State;
use ledger::{Asset, JournalId};
use tessera_tests::{Dice, Ground, TestDb, books};

use clients::Size;
use history::History;
use replay::{Tally, check};

const JOURNAL: JournalId = books::JOURNAL;

/// Empty books of both assets, in a database and as the model begins.
fn empty_books(db: &TestDb<'_>) -> State {
    books::new_books(db);
    let mut conn = PgConnection::establish(&db.url()).unwrap();
    let mut state = State { sandbox: true, ..State::default() };
    for (id, (code, scale)) in town::assets() {
        let asset = ledger::define_asset(&mut conn, JOURNAL, code, scale).unwrap();
        assert_eq!(asset, Asset { id, code: code.into(), scale });
        state.assets.insert(id, asset);
    }
    state
}

/// One run on books of its own: what the clients saw, and the books they began with.
fn recorded(dice: &Dice, size: Size) -> (State, History) {
    let db = Ground::fast().database();
    let state = empty_books(&db);
    let journal = books::lead(&db);
    let history = clients::run(&db, std::slice::from_ref(&journal), dice, size);
    journal.stop();
    (state, history)
}

#[track_caller]
fn assert_so(dice: &Dice, state: &State, history: &History) -> Tally {
    check(state, history).unwrap_or_else(|why| panic!("seed {}: {why}", dice.seed))
}

#[test]
fn what_many_clients_at_once_are_told_is_how_the_model_stood() {
    let dice = Dice::thrown("races");
    let (state, history) = recorded(&dice, Size { clients: 10, steps: 120 });
    let tally = assert_so(&dice, &state, &history);
    eprintln!("races: seed {}, {tally:?}", dice.seed);
    assert!(tally.looks.len() >= 14, "not every kind of read was made: {tally:?}");
    assert!(tally.refused > 0 && tally.again > 0 && tally.not_requests > 0 && tally.due > 0, "{tally:?}");
}
