//! `tessera bench posting`: the journal without HTTP, against pgbench.
//!
//! Closed-loop callers, one transaction a call, fresh keys, floors on every account, ten thousand accounts in use. All
//! contenders take turns with the reference, three rounds of all; a figure is the median of its three. A sealer works
//! beside them, but on the large book, where it would be busy with what filled it. Every book ends with `verify`, and with
//! what was acknowledged held against the rows. Take-overs are those of `bench cluster`.

mod bank;
mod big;
mod reads;
mod seal;
mod sizes;

pub use bank::{Bank, IN_USE, Keys, Kind, Load};
pub use seal::ring;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use rust_decimal::Decimal;
use serde::Serialize;

use super::pgbench::{CLIENTS, InsertRun, ratio};
use super::proof;
use super::reference::{Reference, Stage};
use super::takeover::{self, Worst};
use bank::Run;
use sizes::{Sizes, transfer_bytes};

/// How often every contender runs.
const ROUNDS: usize = 3;
/// Callers of the spread load: one and 32 wait for each answer, the others fill the queue.
const FEW: [usize; 4] = [1, 32, 128, 512];
/// Callers of all loads.
const MANY: [usize; 2] = [1_024, 4_096];

/// What came out.
#[derive(Debug, Serialize)]
pub struct Posting {
    /// Transactions a second between random accounts, the best of 1,024 and 4,096 callers.
    pub spread_per_s: u64,
    /// The same with every debit on one account.
    pub hot_per_s: u64,
    /// `spread_per_s` over the reference's best.
    pub spread_ratio: Decimal,
    /// `hot_per_s` over the reference's best.
    pub hot_ratio: Decimal,
    /// Transfers a second in transactions of four, over the reference's best.
    pub four_leg_ratio: Decimal,
    /// Transactions a second that earn or burn points with a date, over the reference's best.
    pub points_ratio: Decimal,
    /// Refusals a second, over the same.
    pub refused_ratio: Decimal,
    /// Half of the answers, one caller: over the same of pgbench's single-row insert by one client.
    pub low1_p50_ratio: Decimal,
    /// The same with 32.
    pub low32_p50_ratio: Decimal,
    /// From 32 callers to 4,096: the least of each rate over the one before it.
    pub least_step_ratio: Decimal,
    /// On disk for each transfer, transactions of one, history indexes included.
    pub bytes_per_transfer: i64,
    /// In the database's log.
    pub wal_bytes_per_transfer: i64,
    /// The same in transactions of four.
    pub four_leg_bytes_per_transfer: i64,
    /// The same in the log.
    pub four_leg_wal_bytes_per_transfer: i64,
    /// The longest that a record was not under a signed head after its run, one of the spread load with many callers;
    /// milliseconds.
    pub unsealed_ms: u64,
    /// Binary path and head of a record, the largest of some hundred.
    pub proof_bytes: usize,
    /// From losing the leader under load to the first payment acknowledged elsewhere, the worst of ten for each way.
    #[serde(flatten)]
    pub takeover: Worst,
    /// The large book, unless the run was a quick one.
    #[serde(flatten)]
    pub big: Option<big::Big>,
    /// Every run of ours.
    pub runs: Vec<Run>,
    /// Every run of the single-row insert.
    pub inserts: Vec<InsertRun>,
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
        let Self { spread_per_s, hot_per_s, spread_ratio, hot_ratio, four_leg_ratio, reference, .. } = self;
        writeln!(f, "pgbench {} tps", reference.pgbench_tps)?;
        writeln!(f, "spread {spread_per_s}/s ({spread_ratio} x), hot {hot_per_s}/s ({hot_ratio} x)")?;
        writeln!(f, "four legs {four_leg_ratio} x in transfers")?;
        writeln!(f, "p50 over an insert's: {} with 1, {} with 32", self.low1_p50_ratio, self.low32_p50_ratio)?;
        write!(f, "{} bytes a transfer, {} of log", self.bytes_per_transfer, self.wal_bytes_per_transfer)
    }
}

/// Runs the bench; each contender takes `seconds`. A `quick` one leaves the large book out.
///
/// # Errors
/// When anything makes the figures void.
pub async fn posting(seconds: u32, quick: bool) -> anyhow::Result<Posting> {
    let mut stage = Stage::set(seconds)?;
    let (time, accounts) = (Duration::from_secs(seconds.into()), u64::try_from(IN_USE)?);
    let (mut one, mut four) =
        (Bank::open(&stage, "single", accounts).await?, Bank::open(&stage, "four", accounts).await?);
    let ring = Arc::new(ring()?);
    let mut points = Bank::open_points(&stage, "points", accounts).await?;
    one.seal(&ring)?;
    four.seal(&ring)?;
    points.seal(&ring)?;
    stage.settle()?;
    let (mut runs, mut inserts) = (Vec::new(), Vec::new());
    for number in 0..ROUNDS {
        runs.extend(round(number, &mut stage, [&one, &four, &points], time, &mut inserts).await?);
    }
    let single = bytes(&stage, &one, runs.iter().filter(|run| matches!(run.kind, Kind::Spread | Kind::Hot)))?;
    let fourfold = bytes(&stage, &four, runs.iter().filter(|run| run.kind == Kind::FourLegs))?;
    let proof_bytes = proof::path_and_head(&one, &ring)?;
    one.stop().await?;
    four.stop().await?;
    points.stop().await?;
    let posted = runs.iter().filter(|run| run.kind != Kind::Refused);
    let (acknowledged, rows) = checked(&stage, [&one, &four, &points], posted)?;
    let big = if quick { None } else { Some(big::big(&stage, time).await?) };
    let takeover = takeover::worst(&stage).await?;
    let reference = stage.close()?;
    let figure = |kind: Kind, callers: usize| rate(&runs, kind, callers);
    let best = |kind: Kind| MANY.iter().map(|callers| figure(kind, *callers)).max().unwrap_or(0);
    let against = |per_s| ratio(per_s, reference.pgbench_tps).context("the reference did nothing");
    let four_legs = best(Kind::FourLegs).saturating_mul(Kind::FourLegs.legs());
    Ok(Posting {
        spread_per_s: best(Kind::Spread),
        hot_per_s: best(Kind::Hot),
        spread_ratio: against(best(Kind::Spread))?,
        hot_ratio: against(best(Kind::Hot))?,
        four_leg_ratio: against(four_legs)?,
        points_ratio: against(best(Kind::Points))?,
        refused_ratio: against(best(Kind::Refused))?,
        low1_p50_ratio: low(&runs, &inserts, 1)?,
        low32_p50_ratio: low(&runs, &inserts, 32)?,
        least_step_ratio: least_step(&runs)?,
        bytes_per_transfer: single.0,
        wal_bytes_per_transfer: single.1,
        four_leg_bytes_per_transfer: fourfold.0,
        four_leg_wal_bytes_per_transfer: fourfold.1,
        unsealed_ms: unsealed(&runs),
        proof_bytes,
        takeover,
        big,
        runs,
        inserts,
        acknowledged,
        rows,
        verify_ok: true,
        reference,
    })
}

/// Every contender once, the reference's runs among them. What is held against each other runs one after the other, and
/// takes turns in being first.
async fn round(
    number: usize,
    stage: &mut Stage,
    [one, four, points]: [&Bank; 3],
    time: Duration,
    inserts: &mut Vec<InsertRun>,
) -> anyhow::Result<Vec<Run>> {
    let keys = Keys::Ordered;
    let mut runs = Vec::new();
    let mut references = CLIENTS.iter();
    for callers in FEW {
        if let Ok(clients @ (1 | 32)) = u32::try_from(callers) {
            inserts.push(stage.run_insert(clients)?);
        }
        runs.push(one.run(Load { kind: Kind::Spread, keys, callers, time }).await?);
        if let Some(clients) = references.next() {
            stage.run_reference(*clients)?;
        }
    }
    let pair = if number.is_multiple_of(2) { [Kind::Spread, Kind::Hot] } else { [Kind::Hot, Kind::Spread] };
    for callers in MANY {
        for kind in pair {
            runs.push(one.run(Load { kind, keys, callers, time }).await?);
        }
        runs.push(four.run(Load { kind: Kind::FourLegs, keys, callers, time }).await?);
        runs.push(points.run(Load { kind: Kind::Points, keys, callers, time }).await?);
        runs.push(points.run(Load { kind: Kind::Refused, keys, callers, time }).await?);
    }
    Ok(runs)
}

/// The upper one of the middle.
fn median(figures: &mut [u64]) -> u64 {
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied().unwrap_or(0)
}

fn rate(runs: &[Run], kind: Kind, callers: usize) -> u64 {
    let of = |run: &&Run| (run.kind, run.callers) == (kind, callers);
    median(&mut runs.iter().filter(of).map(|run| run.per_s).collect::<Vec<_>>())
}

/// Half of our answers over half of the insert's, both the medians of their runs.
fn low(runs: &[Run], inserts: &[InsertRun], callers: u32) -> anyhow::Result<Decimal> {
    let count = usize::try_from(callers)?;
    let ours = runs.iter().filter(|run| run.kind == Kind::Spread && run.callers == count).map(|run| run.p50_us.into());
    let theirs = inserts.iter().filter(|run| run.clients == callers).map(|run| run.p50_us.into());
    let (ours, theirs) = (median(&mut ours.collect::<Vec<_>>()), median(&mut theirs.collect::<Vec<_>>()));
    ratio(ours, theirs.into()).context("an insert took no time")
}

fn unsealed(runs: &[Run]) -> u64 {
    let many = runs.iter().filter(|run| run.kind == Kind::Spread && MANY.contains(&run.callers));
    many.filter_map(|run| run.unsealed_ms).max().unwrap_or(0)
}

fn least_step(runs: &[Run]) -> anyhow::Result<Decimal> {
    let counts = FEW.iter().skip(1).chain(&MANY);
    let rates: Vec<u64> = counts.map(|callers| rate(runs, Kind::Spread, *callers)).collect();
    let steps = rates.iter().zip(rates.iter().skip(1)).filter_map(|(from, to)| ratio(*to, (*from).into()));
    steps.min().context("nothing was posted")
}

/// Bytes of a transfer on disk and in the log, rounded up.
fn bytes<'a>(stage: &Stage, bank: &Bank, runs: impl Iterator<Item = &'a Run>) -> anyhow::Result<(i64, i64)> {
    let (mut grown, mut transfers) = (Sizes::default(), 0_u64);
    for run in runs {
        grown = grown.with(run.grown);
        transfers = transfers.saturating_add(run.acknowledged.saturating_mul(run.kind.legs()));
    }
    let transfers = i64::try_from(transfers)?;
    let share = |bytes: i64| bytes.saturating_add(transfers).checked_div(transfers).context("nothing was posted");
    let of_transfers = transfer_bytes(&stage.super_url_of(bank.database()), bank.id)?;
    Ok((share(grown.shared)?.saturating_add(of_transfers), share(grown.wal)?))
}

/// Verifies the books, and that what was acknowledged is what they have.
fn checked<'a>(stage: &Stage, banks: [&Bank; 3], runs: impl Iterator<Item = &'a Run>) -> anyhow::Result<(u64, u64)> {
    let mut rows = 0_u64;
    for bank in banks {
        let conn = &mut PgConnection::establish(&stage.url_of(bank.database()))?;
        let report = ledger::verify::verify(conn, bank.id, |_, _| {})?;
        anyhow::ensure!(report.ok, "the books do not verify: {:?}", report.broken);
        rows = rows.saturating_add(report.transactions.saturating_sub(bank.transactions_before));
    }
    let acknowledged = runs.map(|run| run.acknowledged).fold(0, u64::saturating_add);
    anyhow::ensure!(rows == acknowledged, "{acknowledged} transactions were acknowledged, {rows} are in the books");
    Ok((acknowledged, rows))
}
