//! The same load on books that are empty and on books that are large, in two databases that take turns.

use std::time::Duration;

use anyhow::Context as _;
use rust_decimal::Decimal;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::super::pgbench::ratio;
use super::super::reference::Stage;
use super::bank::{Bank, IN_USE, Keys, Kind, Load};
use super::reads::{Reads, reads};
use super::{ROUNDS, median};
use crate::platform::clock::Clock;

/// Accounts of the large book.
const ACCOUNTS: u64 = 1_000_000;
/// Its transfers, the openings among them.
const TRANSFERS: u64 = 10_000_000;
const CALLERS: usize = 4_096;

/// What the large book does to speed.
#[derive(Debug, Serialize)]
pub struct Big {
    /// Transactions a second on the large book over those on the empty one, keys in order.
    pub big_book_ratio: Decimal,
    /// The same with random keys.
    pub big_book_random_keys_ratio: Decimal,
    /// Transactions a second between any two of its million accounts, of which a quarter may be in memory.
    pub cold_per_s: u64,
    /// Accounts in memory after that.
    pub cold_accounts_in_memory: usize,
    /// Transfers a second of the verifier's CPU.
    pub verify_per_s: u64,
    /// Of the time it took, PostgreSQL included.
    pub verify_wall_per_s: u64,
    /// Reads of the large book.
    #[serde(flatten)]
    pub reads: Reads,
}

/// Fills the large book, lets both take turns, then reads and verifies it.
///
/// # Errors
/// When anything makes the figures void.
pub async fn big(stage: &Stage, time: Duration) -> anyhow::Result<Big> {
    let began_us = Clock::System.now().timestamp_micros();
    let mut small = Bank::open(stage, "small", IN_USE.try_into()?).await?;
    let mut large = Bank::open(stage, "large", ACCOUNTS).await?;
    large.fill(TRANSFERS.saturating_sub(ACCOUNTS)).await?;
    stage.checkpoint()?;
    let ordered = in_turns(&small, &large, Keys::Ordered, time).await?;
    let random = in_turns(&small, &large, Keys::Random, time).await?;
    let cold = Load { kind: Kind::Cold, keys: Keys::Ordered, callers: CALLERS, time };
    let cold_per_s = large.run(cold).await?.per_s;
    let cold_accounts_in_memory = large.journal.status().accounts;
    small.stop().await?;
    stage.rest().await?;
    // Nobody else wants this thread: the journals have threads of their own.
    let reads = reads(&large, began_us)?;
    let verified = verified(&large);
    large.stop().await?;
    let (verify_per_s, verify_wall_per_s) = verified?;
    Ok(Big {
        big_book_ratio: ordered,
        big_book_random_keys_ratio: random,
        cold_per_s,
        cold_accounts_in_memory,
        verify_per_s,
        verify_wall_per_s,
        reads,
    })
}

async fn in_turns(small: &Bank, large: &Bank, keys: Keys, time: Duration) -> anyhow::Result<Decimal> {
    let load = Load { kind: Kind::Spread, keys, callers: CALLERS, time };
    let (mut on_small, mut on_large) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        on_small.push(small.run(load).await?.per_s);
        on_large.push(large.run(load).await?.per_s);
    }
    let (small, large) = (median(&mut on_small), median(&mut on_large));
    ratio(large, small.into()).context("nothing was posted")
}

/// Transfers a second of the verifier's own CPU, and of the time it took. Nothing else runs in this process meanwhile.
fn verified(bank: &Bank) -> anyhow::Result<(u64, u64)> {
    let (cpu, wall) = (cpu_us(), std::time::Instant::now());
    let report = ledger::verify::verify(&mut bank.reader()?, bank.id, |_, _| {})?;
    let (cpu, wall) = (cpu_us().saturating_sub(cpu), u64::try_from(wall.elapsed().as_micros())?);
    anyhow::ensure!(report.ok, "the large book does not verify: {:?}", report.broken);
    let per_s = |us: u64| report.transfers.saturating_mul(1_000_000).checked_div(us).context("it took no time");
    Ok((per_s(cpu)?, per_s(wall)?))
}

/// CPU this process has used, microseconds.
fn cpu_us() -> u64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let (s, ns) = (u64::try_from(used.tv_sec).unwrap_or(0), u64::try_from(used.tv_nsec).unwrap_or(0));
    s.saturating_mul(1_000_000).saturating_add(ns / 1_000)
}
