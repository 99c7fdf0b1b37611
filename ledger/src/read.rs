//! Reading the journal: balances, statements, records, companions. Plain SQL on committed rows, right on every node.
//!
//! Every answer that matters carries the seq it was true at. Not here yet: balances at a past date.

pub mod accounts;
mod links;
pub mod records;

use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::bind::{Arg, statement};
use crate::follow::Written;
use crate::store::{self, Head, StoreError};
use crate::{AccountId, AssetId, JournalId, Key, Record, probe};

pub use crate::store::assets_of;
pub use links::{HoldAt, LinkAt, hold, links};

/// Where a journal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadAt {
    /// The last seq committed.
    pub seq: i64,
    /// Its line of history.
    pub fork: Uuid,
    /// The time of its last record, microseconds since 1970.
    pub last_us: i64,
    /// How far its sandbox clock is ahead, microseconds.
    pub clock_offset_us: i64,
    /// Under which leadership it is written.
    pub epoch: i64,
}

/// The head of a journal, if there is one.
///
/// # Errors
/// [`StoreError`].
pub fn head(conn: &mut PgConnection, journal: JournalId) -> Result<Option<HeadAt>, StoreError> {
    let head = store::head(conn, journal)?;
    Ok(head.map(|Head { seq, fork, last_us, clock_offset_us, epoch, .. }| HeadAt {
        seq,
        fork,
        last_us,
        clock_offset_us,
        epoch,
    }))
}

/// The heads of all journals, by number.
///
/// # Errors
/// [`StoreError`].
pub fn heads(conn: &mut PgConnection) -> Result<Vec<(JournalId, HeadAt)>, StoreError> {
    const TEXT: &str = "SELECT journal, seq, fork, last_us, clock_offset_us, epoch FROM journal.head ORDER BY journal";
    type Row = (BigInt, BigInt, SqlUuid, BigInt, BigInt, BigInt);
    let rows = statement::<Row>(TEXT, &[]).load::<(i64, i64, Uuid, i64, i64, i64)>(conn)?;
    let read = |(journal, seq, fork, last_us, clock_offset_us, epoch)| {
        (JournalId(journal), HeadAt { seq, fork, last_us, clock_offset_us, epoch })
    };
    Ok(rows.into_iter().map(read).collect())
}

/// The record that a key leads to, whatever it was used for; none when it was not used.
///
/// # Errors
/// [`StoreError`], above all when the key leads nowhere.
pub fn answer_to(conn: &mut PgConnection, journal: JournalId, key: &Key) -> Result<Option<Record>, StoreError> {
    let used = store::used_keys(conn, journal, std::slice::from_ref(key))?;
    let Some(seq) = used.first().map(|used| used.seq) else { return Ok(None) };
    let record = store::rows::records_at(conn, journal, &[seq])?.into_iter().next();
    record.map(Some).ok_or(StoreError::Corrupt { journal: journal.0, seq, what: "a key leads to no record" })
}

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
    /// Earned, and not to be spent yet.
    pub pending: i64,
    /// Its floor, if any.
    pub floor: Option<i64>,
    /// True when no debit passes.
    pub debits_frozen: bool,
}

impl Balance {
    /// What may be spent now: the balance less what is held and what cannot be spent yet.
    #[must_use]
    pub const fn available(&self) -> i64 {
        self.balance.saturating_sub(self.held).saturating_sub(self.pending)
    }
}

/// Balances of these accounts; those that do not exist are left out. What has expired counts as expired, whoever wrote it
/// down or will. One index probe on each side per account.
///
/// # Errors
/// [`StoreError`].
pub fn balances(conn: &mut PgConnection, journal: JournalId, accounts: &[Uuid]) -> Result<Vec<Balance>, StoreError> {
    const TEXT: &str = "SELECT b.id, b.public_id, b.asset, b.balance, b.held, b.version, b.floor, b.debits_frozen \
        FROM unnest(?) AS q(public_id) CROSS JOIN LATERAL \
        (SELECT * FROM journal.balance WHERE journal = ? AND public_id = q.public_id LIMIT 1) b";
    type Row = (BigInt, SqlUuid, Integer, BigInt, BigInt, BigInt, Nullable<BigInt>, Bool);
    type Values = (i64, Uuid, i32, i64, i64, i64, Option<i64>, bool);
    let rows = statement::<Row>(TEXT, &[Arg::Uuids(accounts), Arg::Int(journal.0)]).load::<Values>(conn)?;
    let read = |(id, public_id, asset, balance, held, version, floor, debits_frozen): Values| Balance {
        account: AccountId(id),
        public_id,
        asset: AssetId(asset),
        balance,
        held,
        version,
        pending: 0,
        floor,
        debits_frozen,
    };
    let mut balances: Vec<Balance> = rows.into_iter().map(read).collect();
    count_dues(conn, journal, &mut balances)?;
    Ok(balances)
}

/// Takes off what has expired by the journal's clock, and tells what cannot be spent yet.
fn count_dues(conn: &mut PgConnection, journal: JournalId, balances: &mut [Balance]) -> Result<(), StoreError> {
    let ids: Vec<i64> = balances.iter().map(|balance| balance.account.0).collect();
    let Some(now_us) = now_us(conn, journal)? else { return Ok(()) };
    for (id, pending) in store::found::pending(conn, journal, &ids, now_us)? {
        balances.iter_mut().filter(|one| one.account == id).for_each(|one| one.pending = pending);
    }
    let next = store::found::next_expiries(conn, journal, &ids)?;
    let due: Vec<i64> = next.into_iter().filter(|(_, at_us)| *at_us <= now_us).map(|(id, _)| id.0).collect();
    if due.is_empty() {
        return Ok(());
    }
    let mut accounts = store::accounts_by_id(conn, journal, &due)?;
    for account in &mut accounts {
        if let Some(stands) = balances.iter().find(|balance| balance.account == account.id) {
            (account.balance, account.held, account.version) = (stands.balance, stands.held, stands.version);
        }
    }
    for account in probe::count_dues(conn, journal, accounts, now_us)? {
        for stands in balances.iter_mut().filter(|balance| balance.account == account.id) {
            (stands.balance, stands.held) = (account.balance, account.held);
        }
    }
    Ok(())
}

/// The journal's time: the database's, as far ahead as the journal's clock is, never before its last record.
fn now_us(conn: &mut PgConnection, journal: JournalId) -> Result<Option<i64>, StoreError> {
    const TEXT: &str = "SELECT greatest(last_us, clock_offset_us + (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) \
        FROM journal.head WHERE journal = ?";
    let rows = statement::<(BigInt,)>(TEXT, &[Arg::Int(journal.0)]).load::<(i64,)>(conn)?;
    Ok(rows.first().map(|(now_us,)| *now_us))
}

/// One line of an account's statement: a posting, seen from this account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record it belongs to.
    pub seq: i64,
    /// The transfer inside it.
    pub leg: i32,
    /// The transaction's public id.
    pub transaction: Uuid,
    /// Plus what came, minus what went.
    pub change: i64,
    /// Balance after.
    pub balance: i64,
    /// This account's row number.
    pub version: i64,
    /// The other account.
    pub other: Uuid,
    /// When it was recorded, microseconds since 1970.
    pub recorded_us: i64,
    /// When it counts.
    pub effective_us: i64,
    /// The record's metadata.
    pub meta: Vec<u8>,
}

/// The newest `limit` entries of an account before row `before` (none: from the newest on), newest first. Rows that leave
/// the balance as it was (a hold set aside or given back) are no entries.
///
/// # Errors
/// [`StoreError`].
pub fn statement_of(
    conn: &mut PgConnection,
    journal: JournalId,
    account: AccountId,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Entry>, StoreError> {
    const TEXT: &str = "SELECT s.seq, s.leg, r.id, s.change, s.balance, s.version, o.public_id, r.recorded_us, r.effective_us, r.meta FROM ( \
        (SELECT seq, leg, -amount AS change, debit_balance AS balance, debit_version AS version, credit AS other \
         FROM journal.transfer WHERE journal = ? AND debit = ? AND debit_version < ? AND kind IN (1, 3) ORDER BY debit_version DESC LIMIT ?) \
        UNION ALL \
        (SELECT seq, leg, amount, credit_balance, credit_version, debit \
         FROM journal.transfer WHERE journal = ? AND credit = ? AND credit_version < ? AND kind IN (1, 3) ORDER BY credit_version DESC LIMIT ?) \
        ORDER BY version DESC LIMIT ?) s \
        CROSS JOIN LATERAL (SELECT * FROM journal.record WHERE journal = ? AND seq = s.seq LIMIT 1) r \
        CROSS JOIN LATERAL (SELECT public_id FROM journal.account WHERE journal = ? AND id = s.other LIMIT 1) o \
        ORDER BY s.version DESC";
    type Row = (BigInt, Integer, SqlUuid, BigInt, BigInt, BigInt, SqlUuid, BigInt, BigInt, Binary);
    type Values = (i64, i32, Uuid, i64, i64, i64, Uuid, i64, i64, Vec<u8>);
    let (journal, before) = (Arg::Int(journal.0), Arg::Int(before.unwrap_or(i64::MAX)));
    let (account, limit) = (Arg::Int(account.0), Arg::Int(limit));
    let args = [journal, account, before, limit, journal, account, before, limit, limit, journal, journal];
    let rows = statement::<Row>(TEXT, &args).load::<Values>(conn)?;
    let read = |(seq, leg, transaction, change, balance, version, other, recorded_us, effective_us, meta): Values| {
        Entry { seq, leg, transaction, change, balance, version, other, recorded_us, effective_us, meta }
    };
    Ok(rows.into_iter().map(read).collect())
}

/// The record of a seq.
///
/// # Errors
/// [`StoreError`].
pub fn record(conn: &mut PgConnection, journal: JournalId, seq: i64) -> Result<Option<Record>, StoreError> {
    Ok(store::rows::records_at(conn, journal, &[seq])?.into_iter().next())
}

/// The companion of a kind and key.
///
/// # Errors
/// [`StoreError`].
pub fn companion(
    conn: &mut PgConnection,
    journal: JournalId,
    kind: i32,
    key: Uuid,
) -> Result<Option<Written>, StoreError> {
    const TEXT: &str = "SELECT seq, body FROM journal.companion WHERE journal = ? AND kind = ? AND key = ?";
    let args = [Arg::Int(journal.0), Arg::Int4(kind), Arg::Uuid(key)];
    let rows = statement::<(BigInt, Binary)>(TEXT, &args).load::<(i64, Vec<u8>)>(conn)?;
    Ok(rows.into_iter().next().map(|(seq, body)| Written { seq, kind, key, body }))
}
