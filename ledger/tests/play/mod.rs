//! Playing a story through `apply`, as the writer would.

mod picks;

use std::collections::{BTreeMap, BTreeSet};

use ledger::apply::{Applied, Found, LOTS, LotPage, Standing, State, apply, batch_time};
use ledger::{
    Account, AccountId, AssetId, Body, Claim, Command, Hold, How, LegRef, Lot, NEVER, Original, Posted, Request,
    RowKind,
};
use proptest::test_runner::Config;
use uuid::Uuid;

use crate::requests::Asked;

/// `usual` stories per property, or what `PROPTEST_CASES` says.
pub fn stories(usual: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    Config { cases: asked.unwrap_or(usual), failure_persistence: None, ..Config::default() }
}

/// Books as the writer keeps them: the state in memory, and what is on disk beside it.
#[derive(Clone)]
pub struct Desk {
    pub state: State,
    pub claims: BTreeMap<Claim, i64>,
    /// Every hold there ever was.
    pub holds: BTreeMap<LegRef, Hold>,
    /// Every row of a transaction, and when it was recorded.
    pub rows: BTreeMap<LegRef, (Posted, i64)>,
    /// How much of rows was moved back.
    pub refunded: BTreeMap<LegRef, i64>,
    /// What is left of lots.
    pub lots: BTreeMap<(AccountId, Lot), Standing>,
}

/// One batch as it was applied.
pub struct Step {
    pub before: Desk,
    pub requests: Vec<Request>,
    pub applied: Applied,
    pub after: Desk,
}

impl Desk {
    pub fn new(state: State) -> Self {
        let (claims, holds, rows) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { state, claims, holds, rows, refunded: BTreeMap::new(), lots: BTreeMap::new() }
    }

    /// What the writer's probe finds for a batch, and no more.
    fn found(&self, requests: &[Request], now_us: i64) -> Found {
        let mut found = Found::default();
        let now_us = batch_time(&self.state, now_us);
        let (mut due, mut paged) = (BTreeSet::new(), BTreeSet::new());
        let mut touch = |public_id: Uuid, needed: bool| {
            let Some(account) = self.state.account(public_id) else { return };
            if account.next_due_us <= now_us {
                due.insert(account.id);
            }
            if account.nature.keeps_lots() && (needed || account.next_due_us <= now_us) {
                paged.insert(account.id);
            }
        };
        for request in requests {
            if let Command::Transact { claim: Some(claim), .. } = request.command {
                found.claims.extend(self.claims.get(&claim).map(|seq| (claim, *seq)));
            }
            if let Command::Change { account, .. } | Command::Sweep { account } = request.command {
                touch(account, true);
            }
            for transfer in request.command.transfers() {
                let expired = transfer.lot.and_then(|lot| lot.expires_us).is_some_and(|us| us <= now_us);
                touch(transfer.debit, true);
                touch(transfer.credit, expired || matches!(transfer.how, How::Refund { .. } | How::Capture { .. }));
                let Some(place) = transfer.refers_to() else { continue };
                found.holds.extend(self.holds.get(&place).map(|hold| (place, hold.clone())));
                found.rows.extend(self.original(place).map(|original| (place, original)));
            }
        }
        for id in due {
            let open = self.holds.iter().filter(|(_, hold)| hold.remaining > 0 && hold.debit == id);
            let mut open: Vec<_> = open.map(|(place, hold)| (*place, hold.clone())).collect();
            open.sort_unstable_by_key(|(place, hold)| (hold.expires_us, *place));
            open.truncate(LOTS);
            let until_us = if open.len() < LOTS { NEVER } else { open[LOTS - 1].1.expires_us };
            found.holds_until.insert(id, until_us);
            found.holds.extend(open);
        }
        found.lots = paged
            .iter()
            .map(|id| (*id, LotPage::loaded(self.lots_of(*id).into_iter().take(LOTS).collect(), LOTS)))
            .collect();
        found
    }

    fn original(&self, place: LegRef) -> Option<Original> {
        let (posted, recorded_us) = self.rows.get(&place)?.clone();
        Some(Original { posted, recorded_us, refunded: self.refunded.get(&place).copied().unwrap_or(0) })
    }

    /// The lots of an account.
    pub fn lots_of(&self, account: AccountId) -> BTreeMap<Lot, Standing> {
        let of_it = self.lots.iter().filter(|((id, _), _)| *id == account);
        of_it.map(|((_, lot), standing)| (*lot, *standing)).collect()
    }

    /// When something is next due on an account, looking at everything there is.
    pub fn next_due(&self, account: &Account) -> i64 {
        let open = self.holds.values().filter(|hold| hold.debit == account.id && hold.remaining > 0);
        let lots = self.lots_of(account.id).into_iter().filter(|(_, standing)| standing.remaining > standing.held);
        let quota = matches!(account.nature, ledger::Nature::Quota { .. });
        let dates = open.map(|hold| hold.expires_us).chain(lots.map(|(lot, _)| lot.expires_us));
        dates.chain(quota.then_some(account.period_us)).min().unwrap_or(NEVER)
    }

    /// Decides a batch and forgets it.
    pub fn decide(&self, requests: &[Request], now_us: i64) -> Applied {
        let batch: Vec<&Request> = requests.iter().collect();
        apply(&self.state, &batch, now_us, &self.found(requests, now_us))
    }

    /// Decides a batch and makes it true.
    pub fn commit(&mut self, requests: &[Request], now_us: i64) -> Applied {
        let applied = self.decide(requests, now_us);
        for (claim, seq) in &applied.claims {
            assert_eq!(self.claims.insert(*claim, *seq), None, "a claim is used up once");
        }
        for (place, hold) in &applied.holds {
            assert_eq!(self.holds.insert(*place, hold.clone()), None, "a hold is opened once");
        }
        for (place, remaining) in &applied.ended {
            assert!(!applied.holds.contains_key(place), "a hold was opened before or in this batch");
            self.holds.get_mut(place).expect("what ends was open").remaining = *remaining;
        }
        for link in applied.links.iter().filter(|link| link.kind == RowKind::Move) {
            *self.refunded.entry(link.of).or_default() += link.minor;
        }
        for ((account, lot), change) in &applied.lots {
            let standing = self.lots.entry((*account, *lot)).or_default();
            standing.remaining += change.remaining;
            standing.held += change.held;
        }
        self.lots.retain(|_, standing| *standing != Standing::default());
        for record in &applied.records {
            if let Body::Transaction { transfers, .. } = &record.body {
                let place = |leg| LegRef { seq: record.seq, leg };
                let rows = transfers.iter().map(|row| (place(row.leg), (row.clone(), record.recorded_us)));
                self.rows.extend(rows);
            }
        }
        self.state.publish(&applied);
        applied
    }
}

/// Plays a story to its end. What is no request never gets this far.
pub fn play(state: State, story: &[Asked]) -> Vec<Step> {
    let mut desk = Desk::new(state);
    let step = |asked: &Asked| {
        let before = desk.clone();
        let requests = desk.well_formed(asked);
        let applied = desk.commit(&requests, asked.now_us);
        Step { before, requests, applied, after: desk.clone() }
    };
    story.iter().map(step).collect()
}

/// Those that would be let into the queue.
pub fn well_formed(requests: &[Request]) -> Vec<Request> {
    requests.iter().filter(|request| request.check().is_ok()).cloned().collect()
}

/// The sum of all balances, by asset.
pub fn sums(state: &State) -> BTreeMap<AssetId, i128> {
    let mut sums = BTreeMap::new();
    for account in state.accounts.values() {
        *sums.entry(account.asset).or_default() += i128::from(account.balance);
    }
    sums
}

/// The accounts by public id. When something is next due on them is what memory knows, not what the books say.
pub fn accounts(state: &State) -> BTreeMap<Uuid, Account> {
    assert_eq!(state.accounts.len(), state.by_public_id.len());
    let known = state.by_public_id.iter();
    known.map(|(public_id, id)| (*public_id, Account { next_due_us: 0, ..state.accounts[id] })).collect()
}

/// The record that answers each request, by seq; none where it was no request.
pub fn answered(applied: &Applied) -> Vec<Option<i64>> {
    applied.answers.iter().map(|answer| Some(applied.records[*answer.as_ref().ok()?].seq)).collect()
}
