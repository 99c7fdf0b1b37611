//! Trial balance: what all accounts of an asset stand at, on either axis.

use std::collections::BTreeMap;

use diesel::sql_types::{BigInt, Integer};
use diesel::{PgConnection, RunQueryDsl};

use super::dated::balances_in_snapshot;
use super::snapshot::in_snapshot;
use super::standing::standings;
use super::{At, ReadError, Until, seq_at};
use crate::bind::{Arg, statement};
use crate::history::History;
use crate::store::{StoreError, ranges};
use crate::{AssetId, JournalId};

/// Accounts read at a time.
const PAGE: i64 = 2_000;

/// A journal's balances at some time, summed up. It balances: see [`AssetTotal::is_balanced`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialBalance {
    /// Up to which seq the journal was looked at.
    pub seq: i64,
    /// By asset, in the order of their numbers; assets without accounts are left out.
    pub assets: Vec<(AssetId, AssetTotal)>,
}

/// One asset's accounts together, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AssetTotal {
    /// Accounts there were.
    pub accounts: u64,
    /// Balances below zero, summed, as a positive number: what the house holds or is owed.
    pub debits: i128,
    /// Balances above zero, summed: what the house owes.
    pub credits: i128,
}

impl AssetTotal {
    /// Every transfer takes from one account what it gives another, so both sums are the same at any time.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.debits == self.credits
    }

    fn add(&mut self, balance: i64) {
        self.accounts = self.accounts.saturating_add(1);
        let sum = if balance < 0 { &mut self.debits } else { &mut self.credits };
        *sum = sum.saturating_add(i128::from(balance.unsigned_abs()));
    }
}

/// The trial balance of a journal at some time. Reads every account: for a report, not for a page.
///
/// # Errors
/// [`ReadError`].
pub fn trial_balance(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    at: At,
    until: Until,
) -> Result<TrialBalance, ReadError> {
    in_snapshot(conn, |conn| {
        let edge = ranges::edge(conn, journal)?.ok_or(ReadError::UnknownJournal(journal))?;
        let seq = match at {
            At::Now | At::Effective(_) => edge.head,
            At::Seq(seq) => seq.clamp(0, edge.head),
            At::Recorded(us) => seq_at(conn, journal, us)?.min(edge.head),
        };
        let mut totals: BTreeMap<AssetId, AssetTotal> = BTreeMap::new();
        let mut after = 0;
        loop {
            until.go_on(conn)?;
            let page = accounts(conn, journal, after, seq)?;
            let ids: Vec<i64> = page.iter().map(|(id, _)| *id).collect();
            let Some(last) = ids.last() else { break };
            after = *last;
            let balances = match at {
                At::Effective(us) => balances_in_snapshot(conn, history, journal, &ids, us)?.1,
                At::Now | At::Seq(_) | At::Recorded(_) => {
                    let standings = standings(conn, history, journal, edge, &ids, seq)?;
                    standings.into_iter().map(|standing| standing.balance).collect()
                }
            };
            for ((_, asset), balance) in page.iter().zip(balances) {
                totals.entry(AssetId(*asset)).or_default().add(balance);
            }
        }
        Ok(TrialBalance { seq, assets: totals.into_iter().collect() })
    })
}

/// The next accounts that were open at `seq`: an account's number is the seq that opened it.
fn accounts(conn: &mut PgConnection, journal: JournalId, after: i64, seq: i64) -> Result<Vec<(i64, i32)>, StoreError> {
    const TEXT: &str =
        "SELECT id, asset FROM journal.account WHERE journal = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?";
    let args = [Arg::Int(journal.0), Arg::Int(after), Arg::Int(seq), Arg::Int(PAGE)];
    Ok(statement::<(BigInt, Integer)>(TEXT, &args).load(conn)?)
}
