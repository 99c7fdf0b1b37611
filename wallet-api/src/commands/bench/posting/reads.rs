//! Reads of a book: how long they take in the crate, on a session like those that serve them.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::PgConnection;
use ledger::read::{self, At};
use ledger::{AccountId, JournalId};
use rust_decimal::Decimal;
use serde::Serialize;
use uuid::Uuid;

use super::super::histogram::Histogram;
use super::bank::Bank;
use crate::platform::ids::derived;

/// Reads of each kind.
const READS: u64 = 2_000;
/// Entries on a page.
const PAGE: usize = 100;

/// How long half of them took, and all but one in a hundred, milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Reads {
    /// An account's balance now.
    pub balance_p50_ms: Decimal,
    /// The same.
    pub balance_p99_ms: Decimal,
    /// At a recorded date.
    pub balance_at_p50_ms: Decimal,
    /// The same.
    pub balance_at_p99_ms: Decimal,
    /// At an effective date.
    pub balance_effective_p50_ms: Decimal,
    /// The same.
    pub balance_effective_p99_ms: Decimal,
    /// A page of a hundred entries, from anywhere in the statement.
    pub statement_p50_ms: Decimal,
    /// The same.
    pub statement_p99_ms: Decimal,
}

/// Reads random accounts of a bank at random times since `began_us`.
///
/// # Errors
/// What the journal refuses.
pub fn reads(bank: &Bank, began_us: i64) -> anyhow::Result<Reads> {
    let conn = &mut bank.reader()?;
    let (history, id) = (bank.journal.history(), bank.id);
    let head = read::head(conn, id)?.context("no books")?;
    let span = head.last_us.saturating_sub(began_us).max(1);
    let account = |n: u64| pick(&bank.accounts, n);
    let when = |n: u64| began_us.saturating_add(random(n).rem_euclid(span));
    let now = |conn: &mut PgConnection, n: u64| Ok(read::balances(conn, history, id, &[account(n)?]).map(drop)?);
    let at = |conn: &mut PgConnection, n: u64| {
        Ok(read::balance_at(conn, history, id, account(n)?, At::Recorded(when(n))).map(drop)?)
    };
    let effective = |conn: &mut PgConnection, n: u64| {
        Ok(read::balance_at(conn, history, id, account(n)?, At::Effective(when(n))).map(drop)?)
    };
    let used = used_accounts(bank, conn, id)?;
    let statement = |conn: &mut PgConnection, n: u64| {
        let account = pick(&used, n)?;
        let before = ledger::Place { seq: random(n).rem_euclid(head.seq.max(1)), leg: 0 };
        // In a transaction, as requests read it: what asks the disk ahead holds for one.
        let page = |conn: &mut PgConnection| read::statement_of(conn, history, id, account, Some(before), PAGE);
        Ok(read::in_snapshot(conn, page).map(drop)?)
    };
    let (balance_p50_ms, balance_p99_ms) = times_of(conn, now)?;
    let (balance_at_p50_ms, balance_at_p99_ms) = times_of(conn, at)?;
    let (balance_effective_p50_ms, balance_effective_p99_ms) = times_of(conn, effective)?;
    let (statement_p50_ms, statement_p99_ms) = times_of(conn, statement)?;
    Ok(Reads {
        balance_p50_ms,
        balance_p99_ms,
        balance_at_p50_ms,
        balance_at_p99_ms,
        balance_effective_p50_ms,
        balance_effective_p99_ms,
        statement_p50_ms,
        statement_p99_ms,
    })
}

fn used_accounts(bank: &Bank, conn: &mut PgConnection, id: JournalId) -> anyhow::Result<Vec<AccountId>> {
    let used: Vec<Uuid> = bank.accounts.iter().take(super::bank::IN_USE).copied().collect();
    let balances = read::balances(conn, bank.journal.history(), id, &used)?;
    Ok(balances.into_iter().map(|balance| balance.account).collect())
}

fn times_of(
    conn: &mut PgConnection,
    read: impl Fn(&mut PgConnection, u64) -> anyhow::Result<()>,
) -> anyhow::Result<(Decimal, Decimal)> {
    let mut times = Histogram::default();
    for n in 0..READS {
        let began = Instant::now();
        read(conn, n)?;
        times.record(began.elapsed());
    }
    let quantile = |thousandths| ms_of(Duration::from_micros(times.quantile_us(thousandths).into()));
    Ok((quantile(500), quantile(990)))
}

/// Milliseconds to three decimals.
pub fn ms_of(time: Duration) -> Decimal {
    Decimal::new(i64::try_from(time.as_micros()).unwrap_or(i64::MAX), 3)
}

fn pick<T: Copy>(all: &[T], n: u64) -> anyhow::Result<T> {
    let place = usize::try_from(random(n).unsigned_abs())?.checked_rem(all.len()).context("no accounts")?;
    all.get(place).copied().context("no account")
}

fn random(n: u64) -> i64 {
    let (high, _) = derived("bench-read", &[&n.to_be_bytes()]).as_u64_pair();
    i64::try_from(high >> 1).unwrap_or(0)
}
