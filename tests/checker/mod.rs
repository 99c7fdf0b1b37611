//! The history checker: many clients at once ask and look, and what they were told is held against the model.
//!
//! Each client writes down what it asked, when, and what it was told. Afterwards the writes are played on the model of
//! `ledger/tests/model` in the order of their seqs ([`replay`] says what must hold); the model shares no function with
//! what was asked. Jepsen's way (Kingsbury, Alvaro 2020) with an order that the journal gives away, so that nothing is
//! searched. The terms of an account that a balance tells are read by themselves and held by themselves against the model.
//!
//! What is asked follows from the seed; how the clients interleave does not. `make races` runs for as long as one likes.

mod clients;
mod deeds;
mod fold;
mod forged;
mod history;
mod http;
mod pending;
mod replay;
mod seen;
mod standing;
mod tally;
mod together;
mod town;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::{Connection, PgConnection};
use ledger::apply::State;
use ledger::{Asset, Config, Journal, JournalId};
use tessera_tests::{Dice, Ground, TestDb, books, fresh_key, run_sql};

use clients::Size;
use history::History;
use replay::check;
use tally::Tally;

const JOURNAL: JournalId = books::JOURNAL;

/// Empty books of both assets, in a database and as the model begins.
fn empty_books(db: &TestDb<'_>, ranges: Ranges) -> State {
    match ranges {
        Ranges::Usual => books::new_books(db),
        Ranges::Small => crate::history::small_ranges(db),
    }
    let mut conn = PgConnection::establish(&db.url()).unwrap();
    let mut state = State { sandbox: true, ..State::default() };
    for (id, (code, scale)) in town::assets() {
        let asset = ledger::define_asset(&mut conn, JOURNAL, code, scale).unwrap();
        assert_eq!(asset, Asset { id, code: code.into(), scale });
        state.assets.insert(id, asset);
    }
    state
}

/// How many seqs a range of the journal has: where all is in the first one, what later ones are for is not touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ranges {
    Usual,
    Small,
}

/// What happens while the clients are busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// Who leads stops in good order, and another one takes over, twice.
    Handover,
    /// The database ends the writer's session, again and again: outcomes are unknown, and asked for.
    Cut,
}

/// One run on books of its own: what the clients saw, and the books they began with.
fn recorded(dice: &Dice, size: Size, ranges: Ranges, trouble: Trouble) -> (State, History) {
    let db = Ground::fast().database();
    let state = empty_books(&db, ranges);
    let mut journals = vec![books::lead(&db)];
    if trouble == Trouble::Handover {
        let another = || Journal::start(Config::new(db.url(), fresh_key(), "there".into())).unwrap();
        journals.extend([another(), another()]);
    }
    let is_over = AtomicBool::new(false);
    let history = std::thread::scope(|scope| {
        scope.spawn(|| make_trouble(&db, &journals, trouble, &is_over));
        let over = Over(&is_over);
        let history = clients::run(&db, &journals, dice, size);
        drop(over);
        history
    });
    journals.iter().for_each(Journal::stop);
    (state, history)
}

/// Says so when the clients are done, or have failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn make_trouble(db: &TestDb<'_>, journals: &[Journal], trouble: Trouble, is_over: &AtomicBool) {
    const CUT: &str = "SELECT pg_terminate_backend(session_pids[1]) FROM journal.lease";
    let mut left = journals.len() - 1;
    while !is_over.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(700));
        match trouble {
            Trouble::None => return,
            Trouble::Cut => run_sql(&db.super_url(), CUT),
            Trouble::Handover => {
                let leading = journals.iter().find(|journal| journal.leads_all());
                if let Some(leading) = leading.filter(|_| left > 0) {
                    leading.stop();
                    left -= 1;
                }
            }
        }
    }
}

#[track_caller]
fn assert_so(dice: &Dice, state: &State, history: &History) -> Tally {
    check(state, history).unwrap_or_else(|why| panic!("seed {}: {why}", dice.seed))
}

#[test]
fn what_many_clients_at_once_are_told_is_how_the_model_stood() {
    let dice = Dice::thrown("races");
    let (state, history) = recorded(&dice, Size { clients: 10, steps: 120 }, Ranges::Usual, Trouble::None);
    let tally = assert_so(&dice, &state, &history);
    eprintln!("races: seed {}, {tally:?}", dice.seed);
    assert!(tally.looks.len() >= 14, "not every kind of read was made: {tally:?}");
    assert!(tally.refused > 0 && tally.again > 0 && tally.not_requests > 0 && tally.due > 0, "{tally:?}");
    let (asked, done) = tally.together;
    assert!(0 < done && done < asked, "{tally:?}");
}

#[test]
fn so_it_is_over_many_ranges_and_through_a_change_of_leaders() {
    let dice = Dice::thrown("races");
    let (state, history) = recorded(&dice, Size { clients: 8, steps: 150 }, Ranges::Small, Trouble::Handover);
    let tally = assert_so(&dice, &state, &history);
    assert!(tally.records > 300, "all of it was in the first range: {tally:?}");
}

#[test]
fn so_it_is_when_commits_are_cut_off() {
    let dice = Dice::thrown("races");
    let (state, history) = recorded(&dice, Size { clients: 8, steps: 150 }, Ranges::Usual, Trouble::Cut);
    let tally = assert_so(&dice, &state, &history);
    assert!(tally.unsure > 0, "nothing was cut off: {tally:?}");
}

/// How long the long ones last: `make races MINUTES=30`.
fn minutes() -> u64 {
    std::env::var("TESSERA_RACES_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make races"]
async fn races_over_http_for_as_long_as_one_likes() {
    http::races(minutes()).await;
}

/// Runs of all sorts, each of a seed that follows from the first: `make races SEED=7 MINUTES=30`.
#[test]
#[ignore = "long: make races"]
fn races_for_as_long_as_one_likes() {
    let dice = Dice::thrown("races");
    let until = Instant::now() + Duration::from_secs(60 * minutes());
    let (mut runs, mut all) = (0, Tally::default());
    while Instant::now() < until {
        let mut own = dice.of(1_000 + runs);
        let size = Size { clients: own.pick(&[4, 8, 16, 32]), steps: own.pick(&[60, 150, 250]) };
        let ranges = own.pick(&[Ranges::Usual, Ranges::Small]);
        let trouble = own.pick(&[Trouble::None, Trouble::None, Trouble::Handover, Trouble::Cut]);
        let (state, history) = recorded(&own, size, ranges, trouble);
        let tally = check(&state, &history);
        let tally = tally.unwrap_or_else(|why| panic!("run {runs}, {size:?}, {ranges:?}, {trouble:?}: {why}"));
        runs += 1;
        all.add(&tally);
        eprintln!("races: seed {}, run {runs}: {size:?}, {ranges:?}, {trouble:?}: {}", dice.seed, tally.brief());
    }
    assert!(runs > 0 && all.writes > 0);
    eprintln!("races: seed {}, {runs} runs, {}: {:?}", dice.seed, all.brief(), all.looks);
}
