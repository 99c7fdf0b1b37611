//! `tessera bench posting`: one-transfer transactions through the crate, spread over ten thousand accounts and with one
//! side shared, against pgbench.
//!
//! Closed-loop callers, one transaction a call, fresh time-ordered keys, floors on every account. The run ends with
//! `verify`, and with what was acknowledged held against the rows.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use futures_util::future::join_all;
use ledger::{
    Amount, AssetId, Body, Command, Config, Journal, JournalError, JournalId, Key, Nature, NewAccount, NormalSide,
    Request, Scope, Transfer,
};
use rust_decimal::Decimal;
use serde::Serialize;
use uuid::Uuid;

use super::pgbench::{CLIENTS, ratio};
use super::reference::{Reference, Stage};
use crate::platform::clock::Clock;
use crate::platform::ids::{Ids, derived};

/// Accounts in use.
const ACCOUNTS: u64 = 10_000;
/// Closed-loop callers that are tried.
const CALLERS: [usize; 2] = [1_024, 4_096];
/// Enough on every account that no floor is met.
const FUNDS: i64 = 1_000_000_000;
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// What came out.
#[derive(Debug, Serialize)]
pub struct Posting {
    /// Transactions a second between random accounts, the best of the caller counts.
    pub spread_per_s: u64,
    /// The same with every debit on one account.
    pub hot_per_s: u64,
    /// `spread_per_s` over the reference's best.
    pub spread_ratio: Decimal,
    /// `hot_per_s` over the reference's best.
    pub hot_ratio: Decimal,
    /// Every run of ours.
    pub runs: Vec<Run>,
    /// Transactions acknowledged and rows found: always the same.
    pub acknowledged: u64,
    /// Rows found.
    pub rows: u64,
    /// What verify said.
    pub verify_ok: bool,
    /// The other side.
    #[serde(flatten)]
    pub reference: Reference,
}

impl fmt::Display for Posting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spread_per_s, hot_per_s, spread_ratio, hot_ratio, reference, .. } = self;
        writeln!(f, "pgbench {} tps", reference.pgbench_tps)?;
        write!(f, "spread {spread_per_s}/s ({spread_ratio} x), hot {hot_per_s}/s ({hot_ratio} x)")
    }
}

/// One run of ours.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// One debit account for all.
    pub hot: bool,
    /// Closed-loop callers.
    pub callers: usize,
    /// Transactions a second.
    pub per_s: u64,
    /// Transactions acknowledged.
    pub acknowledged: u64,
    /// Records in a commit, on average.
    pub batch: u64,
}

/// Runs the bench; each contender takes `seconds`.
///
/// # Errors
/// When anything makes the figures void.
pub async fn posting(seconds: u32) -> anyhow::Result<Posting> {
    let mut stage = Stage::set(seconds)?;
    let tenant = stage.tenant()?;
    let journal_id = JournalId(tenant.id);
    let holder = Ids::system().uuid_v7(Clock::System.now());
    let journal = Journal::start(Config::new(stage.url(), holder, "bench".into()))?;
    anyhow::ensure!(journal.wait_until_leading(PATIENCE).await, "the journal has no leader");
    let books = Books::open(&journal, journal_id, &stage.url()).await?;
    stage.settle()?;
    let contenders = CALLERS.iter().flat_map(|callers| [(false, *callers), (true, *callers)]);
    let mut references = CLIENTS.iter();
    let mut runs = Vec::new();
    for (hot, callers) in contenders {
        if let Some(clients) = references.next() {
            stage.run_reference(*clients)?;
        }
        runs.push(books.run(hot, callers, Duration::from_secs(u64::from(seconds))).await?);
    }
    let stopping = journal.clone();
    tokio::task::spawn_blocking(move || stopping.stop()).await?;
    let conn = &mut PgConnection::establish(&stage.url())?;
    let report = ledger::verify::verify(conn, journal_id, |_, _| {})?;
    let acknowledged = runs.iter().map(|run| run.acknowledged).fold(0, u64::saturating_add);
    let rows = report.transactions.saturating_sub(books.transactions_before);
    anyhow::ensure!(report.ok, "the books do not verify: {:?}", report.broken);
    anyhow::ensure!(rows == acknowledged, "{acknowledged} transactions were acknowledged, {rows} are in the books");
    let best = |hot| runs.iter().filter(|run| run.hot == hot).map(|run| run.per_s).max().unwrap_or(0);
    let (spread_per_s, hot_per_s) = (best(false), best(true));
    let reference = stage.close()?;
    let against = |per_s| ratio(per_s, reference.pgbench_tps).context("the reference did nothing");
    let (spread_ratio, hot_ratio) = (against(spread_per_s)?, against(hot_per_s)?);
    Ok(Posting {
        spread_per_s,
        hot_per_s,
        spread_ratio,
        hot_ratio,
        runs,
        acknowledged,
        rows,
        verify_ok: report.ok,
        reference,
    })
}

/// Ten thousand funded accounts.
pub(super) struct Books<'a> {
    journal: &'a Journal,
    id: JournalId,
    asset: AssetId,
    accounts: Vec<Uuid>,
    transactions_before: u64,
}

impl<'a> Books<'a> {
    pub(super) async fn open(journal: &'a Journal, id: JournalId, url: &str) -> anyhow::Result<Self> {
        let conn = &mut PgConnection::establish(url)?;
        let asset = ledger::define_asset(conn, id, crate::platform::money::EUR, 2)?.id;
        let accounts: Vec<Uuid> = (0..ACCOUNTS).map(|n| derived("bench", &[&n.to_be_bytes()])).collect();
        let books = Self { journal, id, asset, accounts, transactions_before: ACCOUNTS };
        let source = NewAccount {
            public_id: derived("bench", &[b"source"]),
            asset,
            normal_side: NormalSide::Debit,
            owner: None,
            floor: None,
            ceiling: None,
            nature: Nature::Plain,
        };
        let fund = |public_id: &Uuid| {
            let account =
                NewAccount { public_id: *public_id, normal_side: NormalSide::Credit, floor: Some(0), ..source.clone() };
            let amount = Amount::new(FUNDS, asset);
            let transfers = vec![Transfer::moving(source.public_id, *public_id, amount)];
            let (open, groups) = (vec![source.clone(), account], Vec::new());
            Command::Transact { id: *public_id, open, transfers, groups, claim: None }
        };
        let asked = books.accounts.iter().map(|account| books.ask(*account, fund(account)));
        for answer in join_all(asked).await {
            answer?;
        }
        Ok(books)
    }

    pub(super) async fn run(&self, hot: bool, callers: usize, time: Duration) -> anyhow::Result<Run> {
        let before = self.journal.status();
        let numbers = Rc::new(Cell::new(0_u64));
        let started = Instant::now();
        let run = derived("bench-run", &[&before.records.to_be_bytes()]).as_u128();
        let call = || async {
            let mut acknowledged = 0_u64;
            while started.elapsed() < time {
                let number = numbers.get();
                numbers.set(number.wrapping_add(1));
                // Time-ordered like a UUIDv7: a counter above, the run's own bits below.
                let key = Uuid::from_u128((u128::from(before.records.wrapping_add(number)) << 64) | (run >> 64));
                let answer = self.ask(key, self.transfer(hot, number, key)?).await?;
                anyhow::ensure!(!matches!(answer.record.body, Body::Refused { .. }), "a transfer was refused");
                acknowledged = acknowledged.saturating_add(1);
            }
            Ok::<u64, anyhow::Error>(acknowledged)
        };
        let mut acknowledged = 0_u64;
        for caller in join_all((0..callers).map(|_| call())).await {
            acknowledged = acknowledged.saturating_add(caller?);
        }
        let elapsed_us = u64::try_from(started.elapsed().as_micros())?;
        let per_s = acknowledged.saturating_mul(1_000_000).checked_div(elapsed_us).unwrap_or(0);
        let batches = self.journal.status().batches.saturating_sub(before.batches);
        Ok(Run { hot, callers, per_s, acknowledged, batch: acknowledged.checked_div(batches).unwrap_or(0) })
    }

    fn transfer(&self, hot: bool, number: u64, id: Uuid) -> anyhow::Result<Command> {
        // A multiplicative walk over the accounts: every pair differs, none is favoured.
        let at = |n: u64| usize::try_from(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).unwrap_or(0);
        let count = self.accounts.len();
        let (from, to) = (at(number).checked_rem(count), at(number.wrapping_add(1)).checked_rem(count));
        let (from, mut to) = (if hot { Some(0) } else { from }.context("no accounts")?, to.context("no accounts")?);
        if from == to {
            to = to.saturating_add(1).checked_rem(count).context("no accounts")?;
        }
        let account = |place| self.accounts.get(place).copied().context("no such account");
        let transfers = vec![Transfer::moving(account(from)?, account(to)?, Amount::new(1, self.asset))];
        Ok(Command::Transact { id, open: Vec::new(), transfers, groups: Vec::new(), claim: None })
    }

    async fn ask(&self, key: Uuid, command: Command) -> anyhow::Result<ledger::Answer> {
        let key = Key { scope: Scope(1), key, fingerprint: key };
        let request =
            Request { journal: self.id, key, command, effective_us: None, meta: Vec::new(), companions: Vec::new() };
        let deadline = Instant::now().checked_add(PATIENCE).context("no deadline")?;
        loop {
            match self.journal.submit(request.clone(), deadline).await {
                // As every caller should: asked again under the same key, the answer is the one true one.
                Err(JournalError::OutcomeUnknown | JournalError::Unavailable | JournalError::NotLeader { .. })
                    if Instant::now() < deadline =>
                {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                answer => return Ok(answer?),
            }
        }
    }
}
