//! How accounts stand: now, at a seq, at a recorded date, at an effective date.

use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{ReadError, dated};
use crate::bind::{Arg, statement};
use crate::history::{History, Place};
use crate::store::StoreError;
use crate::store::ranges::{self, Edge};
use crate::{AccountId, AssetId, JournalId};

/// An account as it truly stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// The journal's number.
    pub account: AccountId,
    /// The id the world knows.
    pub public_id: Uuid,
    /// What it holds.
    pub asset: AssetId,
    /// Credits less debits.
    pub balance: i64,
    /// Set aside by holds.
    pub held: i64,
    /// Rows so far.
    pub version: i64,
    /// Its floor, if any.
    pub floor: Option<i64>,
    /// True when no debit passes.
    pub debits_frozen: bool,
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// At the head.
    Now,
    /// After the record of this seq, and before the next.
    Seq(i64),
    /// After everything that was recorded up to this moment, microseconds since 1970.
    Recorded(i64),
    /// After everything that counts up to this moment, microseconds since 1970, as far as it is recorded by now.
    Effective(i64),
}

/// An account's balance at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceAt {
    /// What the account holds.
    pub asset: AssetId,
    /// Credits less debits, in minor units; zero before the first entry.
    pub balance: i64,
    /// Up to which seq the journal was looked at: for [`At::Effective`] the head, else where the time lies.
    pub seq: i64,
}

/// An account's standing after one of its rows; all zero before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) balance: i64,
    pub(super) held: i64,
    pub(super) version: i64,
}

/// Balances of these accounts, in no order; those that do not exist are left out.
///
/// # Errors
/// [`StoreError`].
pub fn balances(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    accounts: &[Uuid],
) -> Result<Vec<Balance>, StoreError> {
    let mut found = accounts_of(conn, journal, accounts)?;
    let ids: Vec<i64> = found.iter().map(|balance| balance.account.0).collect();
    let Some(edge) = ranges::edge(conn, journal)? else { return Ok(found) };
    let standings = standings(conn, history, journal, edge, &ids, edge.head)?;
    for (balance, Standing { balance: minor, held, version }) in found.iter_mut().zip(standings) {
        (balance.balance, balance.held, balance.version) = (minor, held, version);
    }
    Ok(found)
}

/// One account's balance at some time. What is not over yet is told as of the head, and may still change.
///
/// # Errors
/// [`ReadError`]: an account that is not there is an error, one that had no entry by then stands at zero.
pub fn balance_at(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    account: Uuid,
    at: At,
) -> Result<BalanceAt, ReadError> {
    let unknown = || ReadError::UnknownAccount(account);
    let account = accounts_of(conn, journal, &[account])?.into_iter().next().ok_or_else(unknown)?;
    let (seq, balances) = balances_at(conn, history, journal, &[account.account.0], at)?;
    let balance = balances.first().copied().ok_or_else(unknown)?;
    Ok(BalanceAt { asset: account.asset, balance, seq })
}

/// Balances of accounts at some time, in their order, and the seq that was looked up to.
pub(super) fn balances_at(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    ids: &[i64],
    at: At,
) -> Result<(i64, Vec<i64>), ReadError> {
    let edge = ranges::edge(conn, journal)?.ok_or(ReadError::UnknownJournal(journal))?;
    let seq = match at {
        At::Now => edge.head,
        At::Seq(seq) => seq.clamp(0, edge.head),
        At::Recorded(us) => seq_at(conn, journal, us)?.min(edge.head),
        At::Effective(us) => return dated::balances_at(conn, history, journal, ids, us),
    };
    let standings = standings(conn, history, journal, edge, ids, seq)?;
    Ok((seq, standings.into_iter().map(|standing| standing.balance).collect()))
}

/// The last seq recorded up to this moment, microseconds since 1970; zero before the first.
///
/// # Errors
/// [`StoreError`].
pub fn seq_at(conn: &mut PgConnection, journal: JournalId, recorded_us: i64) -> Result<i64, StoreError> {
    const TEXT: &str = "SELECT last_seq FROM journal.batch WHERE journal = ? AND recorded_us <= ? \
        ORDER BY recorded_us DESC, last_seq DESC LIMIT 1";
    let args = [Arg::Int(journal.0), Arg::Int(recorded_us)];
    let rows = statement::<(BigInt,)>(TEXT, &args).load::<(i64,)>(conn)?;
    Ok(rows.first().map_or(0, |(seq,)| *seq))
}

/// Accounts by public id, not yet with their standing.
pub(super) fn accounts_of(
    conn: &mut PgConnection,
    journal: JournalId,
    ids: &[Uuid],
) -> Result<Vec<Balance>, StoreError> {
    const TEXT: &str = "SELECT a.id, a.public_id, a.asset, a.floor, a.debits_frozen \
        FROM unnest(?) AS q(public_id) CROSS JOIN LATERAL \
        (SELECT * FROM journal.account WHERE journal = ? AND public_id = q.public_id LIMIT 1) a";
    type Row = (BigInt, SqlUuid, Integer, Nullable<BigInt>, Bool);
    type Values = (i64, Uuid, i32, Option<i64>, bool);
    let rows = statement::<Row>(TEXT, &[Arg::Uuids(ids), Arg::Int(journal.0)]).load::<Values>(conn)?;
    let read = |(id, public_id, asset, floor, debits_frozen): Values| {
        let (account, asset) = (AccountId(id), AssetId(asset));
        Balance { account, public_id, asset, balance: 0, held: 0, version: 0, floor, debits_frozen }
    };
    Ok(rows.into_iter().map(read).collect())
}

/// How accounts stood after the record of `at`, which is not past the edge's head, in their order.
///
/// Of each account the newest of these, whichever there is: its last row in the open ranges, its last row on either side
/// in the range before them that holds `at`, the closing of the last range before that.
pub(super) fn standings(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    edge: Edge,
    ids: &[i64],
    at: i64,
) -> Result<Vec<Standing>, StoreError> {
    const TEXT: &str = "SELECT q.place, s.balance, s.held, s.version \
        FROM unnest(?, ?, ?) WITH ORDINALITY AS q(id, seq, leg, place) CROSS JOIN LATERAL (SELECT * FROM ( \
        (SELECT CASE WHEN debit = q.id THEN debit_balance ELSE credit_balance END AS balance, \
            CASE WHEN debit = q.id THEN debit_held ELSE credit_held END AS held, \
            CASE WHEN debit = q.id THEN debit_version ELSE credit_version END AS version \
         FROM journal.transfer WHERE journal = ? AND seq BETWEEN ? AND ? AND seq = q.seq AND leg = q.leg LIMIT 1) \
        UNION ALL \
        (SELECT debit_balance, debit_held, debit_version FROM journal.transfer \
         WHERE journal = ? AND debit = q.id AND seq BETWEEN ? AND ? ORDER BY seq DESC, leg DESC LIMIT 1) \
        UNION ALL \
        (SELECT credit_balance, credit_held, credit_version FROM journal.transfer \
         WHERE journal = ? AND credit = q.id AND seq BETWEEN ? AND ? ORDER BY seq DESC, leg DESC LIMIT 1) \
        UNION ALL \
        (SELECT balance, held, version FROM journal.closing \
         WHERE journal = ? AND account = q.id AND last_seq < ? ORDER BY last_seq DESC LIMIT 1) \
        ) found ORDER BY version DESC LIMIT 1) s";
    let (after, places) = newest_open(conn, history, journal, edge, ids, at)?;
    let indexed = at.min(after);
    let first = ranges::first_of_range(conn, indexed)?;
    let seqs: Vec<i64> = places.iter().map(|place| place.map_or(-1, |place| place.seq)).collect();
    let legs: Vec<i32> = places.iter().map(|place| place.map_or(-1, |place| place.leg)).collect();
    let (number, indexed, first) = (Arg::Int(journal.0), Arg::Int(indexed), Arg::Int(first));
    let (open, head) = (Arg::Int(after.saturating_add(1)), Arg::Int(at));
    let asked = [Arg::Ints(ids), Arg::Ints(&seqs), Arg::Int4s(&legs)];
    let rest = [number, open, head, number, first, indexed, number, first, indexed, number, first];
    let args: Vec<Arg<'_>> = asked.into_iter().chain(rest).collect();
    type Row = (BigInt, BigInt, BigInt, BigInt);
    let rows = statement::<Row>(TEXT, &args).load::<(i64, i64, i64, i64)>(conn)?;
    let mut all = vec![Standing::default(); ids.len()];
    for (place, balance, held, version) in rows {
        let place = usize::try_from(place.saturating_sub(1)).unwrap_or(usize::MAX);
        if let Some(standing) = all.get_mut(place) {
            *standing = Standing { balance, held, version };
        }
    }
    Ok(all)
}

/// The last seq that indexes cover, and of each account its newest row after that and not after `at`.
fn newest_open(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    edge: Edge,
    ids: &[i64],
    at: i64,
) -> Result<(i64, Vec<Option<Place>>), StoreError> {
    if at <= edge.indexed {
        return Ok((edge.indexed, vec![None; ids.len()]));
    }
    let known = history
        .with(conn, journal, edge, |open| (open.after(), ids.iter().map(|id| open.newest(*id, at)).collect()))?;
    match known {
        Some(found) if sees_indexes(conn, journal, edge, found.0)? => Ok(found),
        _ => Ok((edge.indexed, look_through(conn, journal, edge.indexed, ids, at)?)),
    }
}

/// Whether this session sees the closings up to `after`, which whoever keeps the history has seen. A snapshot that is
/// older than they are does not.
pub(super) fn sees_indexes(
    conn: &mut PgConnection,
    journal: JournalId,
    edge: Edge,
    after: i64,
) -> Result<bool, StoreError> {
    Ok(after <= edge.indexed || ranges::edge(conn, journal)?.is_some_and(|now| now.indexed >= after))
}

/// The same by reading all of the open ranges, when they are too much to keep in mind.
fn look_through(
    conn: &mut PgConnection,
    journal: JournalId,
    after: i64,
    ids: &[i64],
    at: i64,
) -> Result<Vec<Option<Place>>, StoreError> {
    const TEXT: &str = "SELECT DISTINCT ON (account) account, seq, leg FROM ( \
        SELECT debit AS account, seq, leg FROM journal.transfer \
        WHERE journal = ? AND seq > ? AND seq <= ? AND debit = ANY(?) \
        UNION ALL SELECT credit, seq, leg FROM journal.transfer \
        WHERE journal = ? AND seq > ? AND seq <= ? AND credit = ANY(?)) sides ORDER BY account, seq DESC, leg DESC";
    let (journal, after, at, accounts) = (Arg::Int(journal.0), Arg::Int(after), Arg::Int(at), Arg::Ints(ids));
    let args = [journal, after, at, accounts, journal, after, at, accounts];
    let rows = statement::<(BigInt, BigInt, Integer)>(TEXT, &args).load::<(i64, i64, i32)>(conn)?;
    let newest = |id: &i64| {
        let (_, seq, leg) = rows.iter().find(|(account, ..)| account == id)?;
        Some(Place { seq: *seq, leg: *leg })
    };
    Ok(ids.iter().map(newest).collect())
}
