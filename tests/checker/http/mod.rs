//! The same over HTTP: two nodes, of which one leads and the other sends on what it is asked, and clients that ask either.
//!
//! What was asked and what came is kept as JSON. Afterwards it is read as a history like the other clients' ([`telling`]) and
//! held against the same model. Not asked for over HTTP: groups, claims, accounts opened on the way, sweeps, a moved clock.

mod asking;
mod forged;
mod reading;
mod telling;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::sql_types::BigInt;
use futures_util::future::join_all;
use ledger::apply::State;
use ledger::{Amount, Asset, Command, JournalId, LegRef, Request, Transfer};
use rustix::process::Signal;
use serde_json::{Value, json};
use tessera_tests::{Api, Dice, Ground, NodeProcess, Reply, World, books, eventually_async, scalar};
use uuid::Uuid;

use super::clients::{Size, at_the_end};
use super::history::Span;
use super::replay::check;
use super::tally::Tally;
use super::town::{self, Board};
use telling::{Asked, Call, Heard, Journal};

/// What the clients of a run share.
struct Common {
    nodes: [Api; 2],
    board: Mutex<Board>,
    ticks: AtomicU64,
}

impl Common {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }
}

/// Whether the node that leads is killed in the middle of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leader {
    Stays,
    Dies,
}

/// One run on books of its own, as it was recorded.
struct Run {
    /// The books it began with.
    start: State,
    calls: Vec<Call>,
    journal: Journal,
}

impl Run {
    /// Holds what the clients were told against the model.
    fn check(&self) -> Result<Tally, String> {
        check(&self.start, &telling::history(&self.calls, self.journal.clone())?)
    }
}

async fn recorded(dice: &Dice, size: Size, leader: Leader) -> Run {
    let db = Ground::fast().database();
    let first = NodeProcess::start(&db, &[]);
    let world = World::new(&db.url(), &first.authority(), "town");
    let leads = async |node: &Api| (node.get("/v1/node").await.expect(200)["role"] == "leading").then_some(());
    eventually_async("the first leads", Duration::from_secs(20), async || leads(&world.api).await).await;
    let second = NodeProcess::start(&db, &[]);
    let start = assets(&world).await;
    let common = Common {
        nodes: [world.api.clone(), second.api(&world.api)],
        board: Mutex::default(),
        ticks: AtomicU64::new(0),
    };
    let mut calls = Client::new(&common, 0, dice.of(0)).open_all().await;
    let clients = (1..=size.clients).map(async |number| {
        let mut client = Client::new(&common, number, dice.of(u64::try_from(number).unwrap()));
        for step in 0..size.steps {
            if leader == Leader::Dies && (number, step) == (1, size.steps / 2) {
                first.signal(Signal::KILL);
            }
            client.step().await;
        }
        client.calls
    });
    calls.extend(join_all(clients).await.into_iter().flatten());
    let (records, keys) = at_the_end(&db.url(), JournalId(world.tenant));
    Run { start, calls, journal: Journal { records, keys } }
}

/// Defines the town's assets, and tells how the model begins.
async fn assets(world: &World) -> State {
    let seq = "(SELECT seq FROM journal.head WHERE journal = (SELECT max(journal) FROM journal.head))";
    assert_eq!(scalar::<BigInt, i64>(&world.url, seq), 0, "the books are not empty");
    let mut state = State { sandbox: true, ..State::default() };
    for (id, (code, scale)) in town::assets() {
        world.api.post("/v1/ledger/assets", &json!({"code": code, "scale": scale})).await.expect(201);
        state.assets.insert(id, Asset { id, code: code.into(), scale });
    }
    state
}

struct Client<'a> {
    common: &'a Common,
    number: usize,
    dice: Dice,
    calls: Vec<Call>,
}

impl<'a> Client<'a> {
    const fn new(common: &'a Common, number: usize, dice: Dice) -> Self {
        Self { common, number, dice, calls: Vec::new() }
    }

    /// Opens the town's accounts and puts something on them.
    async fn open_all(mut self) -> Vec<Call> {
        for (number, command) in (1..).zip(town::beginning()) {
            self.ask_one(asking::over_http(books::request(Uuid::from_u128(number), command)).unwrap()).await;
        }
        self.calls
    }

    async fn step(&mut self) {
        match self.dice.below(100) {
            0..40 => {
                let wish = town::wish(&mut self.dice, &mut self.common.board());
                if let Some(request) = asking::over_http(wish) {
                    self.ask_one(request).await;
                }
            }
            40..50 => {
                let mut wishes: Vec<_> = (0..5).map(|_| town::wish(&mut self.dice, &mut self.common.board())).collect();
                wishes.retain(is_transaction);
                self.ask_each(wishes.into_iter().filter_map(asking::over_http).collect()).await;
            }
            50..60 => {
                let mut wishes = town::wishes(&mut self.dice, &mut self.common.board());
                wishes.retain(is_transaction);
                self.ask_together(wishes.into_iter().filter_map(asking::over_http).collect()).await;
            }
            _ => self.look().await,
        }
    }

    fn begin(&self) -> Span {
        let (began, began_us) = (self.common.tick(), town::clock_us());
        Span { client: self.number, began, ended: 0, began_us, ended_us: 0 }
    }

    fn end(&self, span: Span) -> Span {
        let ended_us = town::clock_us();
        Span { ended: self.common.tick(), ended_us, ..span }
    }

    /// Either of them, whichever lives: who asks again asks the other one soon.
    fn node(&mut self) -> &'a Api {
        &self.common.nodes[usize::from(self.dice.below(2) == 0)]
    }

    async fn ask_one(&mut self, request: Request) {
        let (path, body, key) = (asking::path(&request), asking::body(&request), request.key.key);
        self.ask(&Asked::One(request), &path, &body, key).await;
    }

    async fn ask_each(&mut self, requests: Vec<Request>) {
        if !requests.is_empty() {
            let body = asking::several("independent", &requests);
            self.ask(&Asked::Each(requests), "/v1/ledger/transactions", &body, Uuid::nil()).await;
        }
    }

    async fn ask_together(&mut self, requests: Vec<Request>) {
        let mut keys: Vec<_> = requests.iter().map(|request| request.key.key).collect();
        keys.sort_unstable();
        keys.dedup();
        // The API has an answer of its own for an id that comes twice.
        if !keys.is_empty() && keys.len() == requests.len() {
            let body = asking::several("atomic", &requests);
            self.ask(&Asked::Together(requests), "/v1/ledger/transactions", &body, Uuid::nil()).await;
        }
    }

    /// Asks until it is known whether it was done: of some things asked, while it is so of any.
    async fn ask(&mut self, asked: &Asked, path: &str, body: &Value, key: Uuid) {
        loop {
            let (node, span) = (self.node(), self.begin());
            let reply = node.try_post_as(key, path, body).await;
            let span = self.end(span);
            let heard: Vec<_> = reply.ok().map(heard).into_iter().collect();
            let again = heard.first().is_none_or(is_open);
            if let Some(heard) = heard.first() {
                hear(&mut self.common.board(), &heard.body);
            }
            self.calls.push(Call { span, asked: asked.clone(), heard });
            if !again {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn look(&mut self) {
        let asked = self.question();
        let mut path = asking::question(&asked);
        let (node, span, mut pages) = (self.node(), self.begin(), Vec::new());
        loop {
            let Ok(reply) = node.try_get(&path).await else { break pages.clear() };
            let page = heard(reply);
            let next = page.body["entries"]["next_cursor"].as_str().map(str::to_owned);
            pages.push(page);
            match (&asked, next) {
                (Asked::Statement { .. }, Some(next)) => path = format!("{}&cursor={next}", asking::question(&asked)),
                _ => break,
            }
        }
        let span = self.end(span);
        self.calls.push(Call { span, asked, heard: pages });
    }

    fn question(&mut self) -> Asked {
        let (dice, board) = (&mut self.dice, &self.common.board());
        let account = dice.pick(&town::accounts());
        match dice.below(12) {
            // What of an account is pending it does not tell: only lots can be.
            0..3 if !town::keeps_lots(account) => Asked::Account(account),
            0..5 => {
                let account = if dice.below(8) == 0 { town::late(dice) } else { account };
                Asked::BalanceAt(account, town::some_time(dice, board))
            }
            5 => Asked::Entries(account, usize::try_from(1 + dice.below(30)).unwrap()),
            6 | 7 => {
                let now_us = board.now_us();
                let ago_us = |dice: &mut Dice, most| now_us - i64::try_from(dice.below(most)).unwrap();
                let from_us = ago_us(dice, 2_000_000);
                let until_us = (dice.below(3) == 0).then(|| ago_us(dice, 500_000));
                Asked::Statement { account, from_us, until_us, size: usize::try_from(2 + dice.below(12)).unwrap() }
            }
            8 | 9 => {
                let hold = town::recent(dice, &board.holds, 10).map(|(place, _)| *place);
                Asked::Hold(hold.unwrap_or(LegRef { seq: 1, leg: 0 }))
            }
            10 => Asked::Totals,
            _ => Asked::Trial(town::some_time(dice, board)),
        }
    }
}

const fn is_transaction(request: &Request) -> bool {
    matches!(request.command, Command::Transact { .. })
}

fn heard(reply: Reply) -> Heard {
    let replayed = reply.headers.contains_key("idempotent-replayed");
    Heard { status: reply.status, replayed, body: reply.json() }
}

/// Whether something of it may not have been done for a reason that passes.
fn is_open(heard: &Heard) -> bool {
    let passes = |one: &Value| matches!(one["status"].as_str(), Some("not_done" | "unknown"));
    let some_pass = heard.body["results"].as_array().is_some_and(|results| results.iter().any(passes));
    heard.status >= 500 || heard.status == 429 || some_pass
}

/// Lets others know of what was told.
fn hear(board: &mut Board, body: &Value) {
    for one in body["results"].as_array().into_iter().flatten().chain([body]) {
        let (Some(seq), Some(at)) = (one["seq"].as_i64(), one["recorded_at"].as_str()) else { continue };
        board.head = board.head.max(seq);
        board.last_us = board.last_us.max(at.parse::<DateTime<Utc>>().unwrap().timestamp_micros());
        for row in one["transfers"].as_array().into_iter().flatten() {
            let place = LegRef { seq, leg: i32::try_from(row["leg"].as_i64().unwrap()).unwrap() };
            let account = |side: &str| row[side]["account"].as_str().unwrap().parse().unwrap();
            let amount = Amount::new(reading::int(&row["amount"]).unwrap(), reading::asset(&row["asset"]).unwrap());
            let moved = Transfer::moving(account("debit"), account("credit"), amount);
            match row["kind"].as_str() {
                Some("hold") => board.holds.push((place, moved)),
                Some("move" | "capture") => board.rows.push((place, moved)),
                _ => {}
            }
        }
    }
}

#[track_caller]
fn assert_so(dice: &Dice, run: &Run) -> Tally {
    run.check().unwrap_or_else(|why| panic!("seed {}: {why}", dice.seed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_nodes_tell_over_http_is_how_the_model_stood() {
    let mut dice = Dice::thrown("races over http");
    let run = recorded(&dice, Size { clients: 6, steps: 60 }, Leader::Stays).await;
    let tally = assert_so(&dice, &run);
    eprintln!("races over http: seed {}, {tally:?}", dice.seed);
    assert!(tally.looks.len() >= 8, "not every kind of read was made: {tally:?}");
    let (asked, done) = tally.together;
    assert!(0 < done && done < asked && tally.refused > 0 && tally.again > 0 && tally.not_requests > 0, "{tally:?}");
    forged::assert_is_found(&mut dice, run);
}

/// As [`races_for_as_long_as_one_likes`](super::races_for_as_long_as_one_likes), over HTTP, and sometimes the leader is killed.
pub async fn races(minutes: u64) {
    let dice = Dice::thrown("races over http");
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let (mut runs, mut all) = (0, Tally::default());
    while Instant::now() < until {
        let mut own = dice.of(1_000 + runs);
        let size = Size { clients: own.pick(&[4, 8, 16]), steps: own.pick(&[60, 120]) };
        let leader = own.pick(&[Leader::Stays, Leader::Stays, Leader::Dies]);
        let run = recorded(&own, size, leader).await;
        let tally = run.check().unwrap_or_else(|why| panic!("run {runs}, {size:?}, {leader:?}: {why}"));
        runs += 1;
        all.add(&tally);
        eprintln!("races over http: seed {}, run {runs}: {size:?}, {leader:?}: {}", dice.seed, tally.brief());
    }
    assert!(runs > 0 && all.writes > 0);
    eprintln!("races over http: seed {}, {runs} runs, {}: {:?}", dice.seed, all.brief(), all.looks);
}
