//! Playing a story through `apply`, as the writer would.

use std::collections::BTreeMap;

use ledger::apply::{Applied, Map, State, apply};
use ledger::{Account, AssetId, Body, Claim, Command, Posted, Record, Request};
use proptest::test_runner::Config;
use uuid::Uuid;

use crate::requests::Asked;

/// `usual` stories per property, or what `PROPTEST_CASES` says.
pub fn stories(usual: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    Config { cases: asked.unwrap_or(usual), failure_persistence: None, ..Config::default() }
}

/// Books as the writer keeps them: the state in memory, the claims used up on disk.
#[derive(Clone)]
pub struct Desk {
    pub state: State,
    pub claims: BTreeMap<Claim, i64>,
}

/// One batch as it was applied.
pub struct Step {
    pub before: State,
    pub requests: Vec<Request>,
    pub applied: Applied,
    pub after: State,
}

impl Desk {
    pub fn new(state: State) -> Self {
        Self { state, claims: BTreeMap::new() }
    }

    /// The claims of a batch that were used up before, which is all the writer tells `apply`.
    fn spent(&self, requests: &[Request]) -> Map<Claim, i64> {
        let claims = requests.iter().filter_map(|request| match &request.command {
            Command::Transact { claim, .. } => *claim,
            Command::Open(_) | Command::Freeze { .. } | Command::MoveClock { .. } | Command::Abandon => None,
        });
        claims.filter_map(|claim| Some((claim, *self.claims.get(&claim)?))).collect()
    }

    /// Decides a batch and forgets it.
    pub fn decide(&self, requests: &[Request], now_us: i64) -> Applied {
        let batch: Vec<&Request> = requests.iter().collect();
        apply(&self.state, &batch, now_us, &self.spent(requests))
    }

    /// Decides a batch and makes it true.
    pub fn commit(&mut self, requests: &[Request], now_us: i64) -> Applied {
        let applied = self.decide(requests, now_us);
        for (claim, seq) in &applied.claims {
            assert_eq!(self.claims.insert(*claim, *seq), None, "a claim is used up once");
        }
        self.state.publish(&applied);
        applied
    }
}

/// Plays a story to its end. What is no request never gets this far.
pub fn play(state: State, story: &[Asked]) -> Vec<Step> {
    let mut desk = Desk::new(state);
    let step = |asked: &Asked| {
        let before = desk.state.clone();
        let requests = well_formed(&asked.requests);
        let applied = desk.commit(&requests, asked.now_us);
        Step { before, requests, applied, after: desk.state.clone() }
    };
    story.iter().map(step).collect()
}

/// Those that would be let into the queue.
pub fn well_formed(requests: &[Request]) -> Vec<Request> {
    requests.iter().filter(|request| request.check().is_ok()).cloned().collect()
}

/// The transfers of a record; none if it is no transaction.
pub fn rows(record: &Record) -> &[Posted] {
    match &record.body {
        Body::Transaction { transfers, .. } => transfers,
        Body::Opened { .. }
        | Body::Frozen { .. }
        | Body::Refused { .. }
        | Body::ClockMoved { .. }
        | Body::Abandoned => &[],
    }
}

/// The sum of all balances, by asset.
pub fn sums(state: &State) -> BTreeMap<AssetId, i128> {
    let mut sums = BTreeMap::new();
    for account in state.accounts.values() {
        *sums.entry(account.asset).or_default() += i128::from(account.balance);
    }
    sums
}

/// The accounts by public id.
pub fn accounts(state: &State) -> BTreeMap<Uuid, Account> {
    assert_eq!(state.accounts.len(), state.by_public_id.len());
    state.by_public_id.iter().map(|(public_id, id)| (*public_id, state.accounts[id])).collect()
}

/// The record that answers each request, by seq; none where it was no request.
pub fn answered(applied: &Applied) -> Vec<Option<i64>> {
    applied.answers.iter().map(|answer| Some(applied.records[*answer.as_ref().ok()?].seq)).collect()
}
