//! A bank under load: one journal, its accounts, and callers that post as fast as they are answered.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use futures_util::future::join_all;
use ledger::proof::Ring;
use ledger::{
    Amount, AssetId, Body, Command, Config, Journal, JournalError, JournalId, Key, LotTerms, Nature, NewAccount,
    NormalSide, Request, Scope, Transfer,
};
use serde::Serialize;
use uuid::Uuid;

use super::super::histogram::Histogram;
use super::super::reference::Stage;
use super::seal::Sealing;
use super::sizes::Sizes;
use crate::platform::clock::Clock;
use crate::platform::ids::{Ids, derived};

/// Enough on every account that no floor is met.
const FUNDS: i64 = 1_000_000_000;
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Whose keys those are that fill a book, and those of the load.
const HOUSE: Scope = Scope(-1);
const CLIENT: Scope = Scope(1);
/// Accounts that are opened at once.
const AT_ONCE: usize = 4_096;

/// What is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One transfer between random accounts.
    Spread,
    /// The same among all accounts of the book, whether or not they are in memory.
    Cold,
    /// One transfer, every debit on one account.
    Hot,
    /// Four transfers between random accounts, all or none: a payment with its rewards.
    FourLegs,
    /// Points that expire, of a bank of them: one is earned, one is burnt, in turns.
    Points,
    /// From an account that has nothing.
    Refused,
}

impl Kind {
    /// Transfers of a transaction.
    pub fn legs(self) -> u64 {
        match self {
            Self::Spread | Self::Cold | Self::Hot | Self::Points | Self::Refused => 1,
            Self::FourLegs => 4,
        }
    }
}

/// How idempotency keys come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Keys {
    /// One after the other, as UUIDv7 are.
    Ordered,
    /// Anywhere, as UUIDv4 are.
    Random,
}

/// A contender.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// What.
    pub kind: Kind,
    /// Under which keys.
    pub keys: Keys,
    /// By how many closed-loop callers.
    pub callers: usize,
    /// For how long.
    pub time: Duration,
}

/// One run of ours.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// What was posted.
    pub kind: Kind,
    /// Closed-loop callers.
    pub callers: usize,
    /// Transactions a second.
    pub per_s: u64,
    /// Half of the answers came within this time, microseconds.
    pub p50_us: u32,
    /// All but one in a hundred did.
    pub p99_us: u32,
    /// Transactions acknowledged.
    pub acknowledged: u64,
    /// Records in a commit, on average.
    pub batch: u64,
    /// After the last answer, how long until all of it was under a signed head, milliseconds.
    pub unsealed_ms: Option<u64>,
    /// What it added to the database.
    #[serde(skip)]
    pub grown: Sizes,
}

/// A journal with funded accounts, and the writer that leads it.
pub struct Bank {
    /// The writer.
    pub journal: Journal,
    /// The books.
    pub id: JournalId,
    database: String,
    url: String,
    super_url: String,
    asset: AssetId,
    /// All accounts; the first [`IN_USE`] of them are used.
    pub accounts: Vec<Uuid>,
    /// Transactions that opened them.
    pub transactions_before: u64,
    nature: Nature,
    sealing: Option<Sealing>,
}

/// Accounts in use.
pub const IN_USE: usize = 10_000;

impl Bank {
    /// Makes a database, leads the books of a tenant of it and opens `accounts` accounts in them.
    ///
    /// # Errors
    /// What the journal refuses.
    pub async fn open(stage: &Stage, database: &str, accounts: u64) -> anyhow::Result<Self> {
        Self::open_as(stage, database, accounts, Nature::Plain).await
    }

    /// The same of accounts that keep lots.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_points(stage: &Stage, database: &str, accounts: u64) -> anyhow::Result<Self> {
        let nature = Nature::Lots { breakage: derived("bench", &[b"breakage"]), grace_us: 0 };
        Self::open_as(stage, database, accounts, nature).await
    }

    async fn open_as(stage: &Stage, database: &str, accounts: u64, nature: Nature) -> anyhow::Result<Self> {
        stage.make(database)?;
        let tenant = stage.tenant_of(database)?.id;
        let (url, super_url) = (stage.url_of(database), stage.super_url_of(database));
        let holder = Ids::system().uuid_v7(Clock::System.now());
        let journal = Journal::start(Config::new(url.clone(), holder, "bench".into()))?;
        anyhow::ensure!(journal.wait_until_leading(PATIENCE).await, "the journal has no leader");
        let id = JournalId(tenant);
        let asset = ledger::define_asset(&mut PgConnection::establish(&url)?, id, crate::platform::money::EUR, 2)?.id;
        let all: Vec<Uuid> = (0..accounts).map(|n| derived("bench", &[&n.to_be_bytes()])).collect();
        let database = database.to_owned();
        let bank = Self {
            journal,
            id,
            database,
            url,
            super_url,
            asset,
            accounts: all,
            transactions_before: accounts,
            nature,
            sealing: None,
        };
        bank.fund().await?;
        Ok(bank)
    }

    /// Has its records sealed from here on.
    ///
    /// # Errors
    /// When nobody can.
    pub fn seal(&mut self, ring: &Arc<Ring>) -> anyhow::Result<()> {
        self.sealing = Some(Sealing::start(&self.url, Arc::clone(ring), self.journal.clone(), self.id)?);
        Ok(())
    }

    /// How long it takes from now until every record is under a signed head; none when nothing is sealed.
    async fn sealed_after(&self) -> anyhow::Result<Option<Duration>> {
        let Some(sealing) = &self.sealing else { return Ok(None) };
        let head = ledger::read::head(&mut self.reader()?, self.id)?.context("there are no books")?;
        Ok(Some(sealing.whole(head.seq).await?))
    }

    async fn fund(&self) -> anyhow::Result<()> {
        let source = NewAccount {
            public_id: derived("bench", &[b"source"]),
            asset: self.asset,
            normal_side: NormalSide::Debit,
            owner: None,
            floor: None,
            ceiling: None,
            nature: Nature::Plain,
        };
        let credit = NewAccount { normal_side: NormalSide::Credit, ..source.clone() };
        let breakage = NewAccount { public_id: derived("bench", &[b"breakage"]), ..credit.clone() };
        let empty = NewAccount { public_id: derived("bench", &[b"empty"]), floor: Some(0), ..credit.clone() };
        let fund = |public_id: &Uuid| {
            let account = NewAccount { public_id: *public_id, floor: Some(0), nature: self.nature, ..credit.clone() };
            let transfers = vec![move_of(source.public_id, *public_id, Amount::new(FUNDS, self.asset))];
            let open = vec![source.clone(), breakage.clone(), empty.clone(), account];
            let groups = Vec::new();
            Command::Transact { id: *public_id, open, transfers, groups, claim: None }
        };
        for some in self.accounts.chunks(AT_ONCE) {
            for answer in join_all(some.iter().map(|account| self.ask(HOUSE, *account, fund(account)))).await {
                answer?;
            }
        }
        Ok(())
    }

    /// The database it is in.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// A session on its database, as those are that serve reads.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn reader(&self) -> anyhow::Result<PgConnection> {
        use diesel::connection::SimpleConnection;
        let mut conn = PgConnection::establish(&self.url)?;
        conn.batch_execute("SET plan_cache_mode = force_custom_plan")?;
        Ok(conn)
    }

    /// Sizes of its database, once what was written is closed as far as it is full.
    ///
    /// # Errors
    /// What the database refuses.
    pub async fn sizes(&self) -> anyhow::Result<Sizes> {
        Sizes::settled(&self.super_url, self.id).await
    }

    /// Runs a contender.
    ///
    /// # Errors
    /// When anything makes the figure void.
    pub async fn run(&self, load: Load) -> anyhow::Result<Run> {
        let sizes = self.sizes().await?;
        let before = self.journal.status();
        let numbers = Rc::new(Cell::new(0_u64));
        let latencies = Rc::new(RefCell::new(Histogram::default()));
        let started = Instant::now();
        let run = derived("bench-run", &[&before.records.to_be_bytes()]).as_u128();
        let call = || async {
            let mut acknowledged = 0_u64;
            while started.elapsed() < load.time {
                let number = numbers.get();
                numbers.set(number.wrapping_add(1));
                let key = key(load.keys, before.records.wrapping_add(number), run);
                let (request, asked) = (self.command(load.kind, number, key)?, Instant::now());
                let answer = self.ask(CLIENT, key, request).await?;
                latencies.borrow_mut().record(asked.elapsed());
                let refused = matches!(answer.record.body, Body::Refused { .. });
                anyhow::ensure!(refused == (load.kind == Kind::Refused), "{:?} was answered {answer:?}", load.kind);
                acknowledged = acknowledged.saturating_add(1);
            }
            Ok::<u64, anyhow::Error>(acknowledged)
        };
        let mut acknowledged = 0_u64;
        for caller in join_all((0..load.callers).map(|_| call())).await {
            acknowledged = acknowledged.saturating_add(caller?);
        }
        let elapsed_us = u64::try_from(started.elapsed().as_micros())?;
        let per_s = acknowledged.saturating_mul(1_000_000).checked_div(elapsed_us).unwrap_or(0);
        let unsealed_ms = self.sealed_after().await?.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let batches = self.journal.status().batches.saturating_sub(before.batches);
        let batch = acknowledged.checked_div(batches).unwrap_or(0);
        let (p50_us, p99_us) = (latencies.borrow().quantile_us(500), latencies.borrow().quantile_us(990));
        let grown = self.sizes().await?.since(sizes);
        let Load { kind, callers, .. } = load;
        Ok(Run { kind, callers, per_s, p50_us, p99_us, acknowledged, batch, unsealed_ms, grown })
    }

    /// Posts so many transactions of one transfer, over all accounts and not only those in use.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn fill(&self, transactions: u64) -> anyhow::Result<()> {
        let numbers = Rc::new(Cell::new(0_u64));
        let call = || async {
            while numbers.get() < transactions {
                let number = numbers.get();
                numbers.set(number.wrapping_add(1));
                let key = derived("bench-fill", &[&number.to_be_bytes()]);
                let legs = vec![self.leg(false, number, self.accounts.len())?];
                self.ask(HOUSE, key, transaction(key, legs)).await?;
            }
            Ok::<(), anyhow::Error>(())
        };
        join_all((0..AT_ONCE).map(|_| call())).await.into_iter().collect()
    }

    fn command(&self, kind: Kind, number: u64, id: Uuid) -> anyhow::Result<Command> {
        if matches!(kind, Kind::Points | Kind::Refused) {
            let leg = if kind == Kind::Points { self.point(number)? } else { self.overdraft() };
            return Ok(transaction(id, vec![leg]));
        }
        let first = number.wrapping_mul(kind.legs());
        let among = if kind == Kind::Cold { self.accounts.len() } else { IN_USE };
        let legs = (0..kind.legs()).map(|leg| self.leg(kind == Kind::Hot, first.wrapping_add(leg), among));
        Ok(transaction(id, legs.collect::<anyhow::Result<_>>()?))
    }

    fn leg(&self, hot: bool, number: u64, among: usize) -> anyhow::Result<Transfer> {
        // A multiplicative walk over the accounts: every pair differs, none is favoured.
        let at = |n: u64| usize::try_from(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).unwrap_or(0);
        let (from, to) = (at(number).checked_rem(among), at(number.wrapping_add(1)).checked_rem(among));
        let (from, mut to) = (if hot { Some(0) } else { from }.context("no accounts")?, to.context("no accounts")?);
        if from == to {
            to = to.saturating_add(1).checked_rem(among).context("no accounts")?;
        }
        let account = |place| self.accounts.get(place).copied().context("no such account");
        Ok(move_of(account(from)?, account(to)?, Amount::new(1, self.asset)))
    }

    /// A point earned under one of twelve expiries, or one burnt.
    fn point(&self, number: u64) -> anyhow::Result<Transfer> {
        const MONTH_US: i64 = 30 * 86_400_000_000;
        let Transfer { credit: account, .. } = self.leg(false, number, IN_USE)?;
        let (source, one) = (derived("bench", &[b"source"]), Amount::new(1, self.asset));
        if !number.is_multiple_of(2) {
            return Ok(move_of(account, source, one));
        }
        let months = i64::try_from(number / 2 % 12)?.saturating_add(2);
        let today_us = Clock::System.now().timestamp_micros().div_euclid(MONTH_US).saturating_mul(MONTH_US);
        let expires_us = Some(today_us.saturating_add(months.saturating_mul(MONTH_US)));
        let lot = Some(LotTerms { expires_us, ..LotTerms::default() });
        Ok(Transfer { lot, ..move_of(source, account, one) })
    }

    fn overdraft(&self) -> Transfer {
        move_of(derived("bench", &[b"empty"]), derived("bench", &[b"source"]), Amount::new(1, self.asset))
    }

    async fn ask(&self, scope: Scope, key: Uuid, command: Command) -> anyhow::Result<ledger::Answer> {
        let key = Key { scope, key, fingerprint: key };
        let request =
            Request { journal: self.id, key, command, effective_us: None, meta: Vec::new(), companions: Vec::new() };
        let deadline = Instant::now().checked_add(PATIENCE).context("no deadline")?;
        loop {
            match self.journal.submit(request.clone(), deadline).await {
                // As every caller should: asked again under the same key, the answer is the one true one.
                Err(
                    JournalError::OutcomeUnknown
                    | JournalError::Unavailable
                    | JournalError::NoRoom
                    | JournalError::NotLeader { .. },
                ) if Instant::now() < deadline => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                answer => return Ok(answer?),
            }
        }
    }

    /// Ends the writer in good order.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let sealing = self.sealing.take();
        tokio::task::spawn_blocking(move || drop(sealing)).await?;
        let stopping = self.journal.clone();
        Ok(tokio::task::spawn_blocking(move || stopping.stop()).await?)
    }
}

fn transaction(id: Uuid, transfers: Vec<Transfer>) -> Command {
    Command::Transact { id, open: Vec::new(), transfers, groups: Vec::new(), claim: None }
}

fn move_of(debit: Uuid, credit: Uuid, amount: Amount) -> Transfer {
    Transfer::moving(debit, credit, amount)
}

/// A fresh key, told from those of other runs by the run's own bits.
fn key(keys: Keys, number: u64, run: u128) -> Uuid {
    match keys {
        Keys::Ordered => Uuid::from_u128((u128::from(number) << 64) | (run >> 64)),
        Keys::Random => derived("bench-key", &[&number.to_be_bytes(), &run.to_be_bytes()]),
    }
}
