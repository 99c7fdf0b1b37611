//! Statements: an account's entries, newest first, and what it opened and closed with.

use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::standing::{accounts_of, sees_indexes, standings};
use super::{ReadError, seq_at};
use crate::bind::{Arg, statement as sql};
use crate::history::{History, Place};
use crate::store::StoreError;
use crate::store::ranges::{self, Edge};
use crate::{AccountId, AssetId, JournalId};

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

impl Entry {
    /// Where it is: what comes before is the next page.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { seq: self.seq, leg: self.leg }
    }
}

/// A stretch of the journal by recorded time: every record after `after`, up to `upto`. Once made it never changes, so
/// all pages of a statement are of one window while writes go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The last seq before it.
    pub after: i64,
    /// Its last seq.
    pub upto: i64,
}

/// A page of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What the account holds.
    pub asset: AssetId,
    /// Its balance before the window.
    pub opening: i64,
    /// Its balance at the window's end: opening and the changes of all pages add up to it.
    pub closing: i64,
    /// Of the window, newest first.
    pub entries: Vec<Entry>,
    /// There are older ones: ask before the last one's place.
    pub has_more: bool,
}

/// What was recorded from `from_us` on and before `until_us`, microseconds since 1970; up to now without the latter.
///
/// # Errors
/// [`ReadError`].
pub fn window(
    conn: &mut PgConnection,
    journal: JournalId,
    from_us: i64,
    until_us: Option<i64>,
) -> Result<Window, ReadError> {
    let head = ranges::edge(conn, journal)?.ok_or(ReadError::UnknownJournal(journal))?.head;
    let before = |conn: &mut PgConnection, us: i64| seq_at(conn, journal, us.saturating_sub(1));
    let upto = until_us.map_or(Ok(head), |us| before(conn, us))?.min(head);
    Ok(Window { after: before(conn, from_us)?.min(upto), upto })
}

/// A page of an account's statement: at most `limit` entries of the window, those before a place if one is given.
///
/// # Errors
/// [`ReadError`].
pub fn statement(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    account: Uuid,
    window: Window,
    before: Option<Place>,
    limit: usize,
) -> Result<Statement, ReadError> {
    let unknown = || ReadError::UnknownAccount(account);
    let account = accounts_of(conn, journal, &[account])?.into_iter().next().ok_or_else(unknown)?;
    let edge = ranges::edge(conn, journal)?.ok_or(ReadError::UnknownJournal(journal))?;
    let (upto, id) = (window.upto.min(edge.head), account.account);
    let mut balance_at = |at: i64| -> Result<i64, ReadError> {
        let standing = standings(conn, history, journal, edge, &[id.0], at)?;
        Ok(standing.first().map_or(0, |standing| standing.balance))
    };
    let (opening, closing) = (balance_at(window.after.min(upto))?, balance_at(upto)?);
    let end = Place { seq: upto.saturating_add(1), leg: 0 };
    let before = before.map_or(end, |before| before.min(end));
    let stretch = Stretch { after: window.after, before };
    let mut entries = entries(conn, history, journal, edge, id, stretch, limit.saturating_add(1))?;
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    Ok(Statement { asset: account.asset, opening, closing, entries, has_more })
}

/// The newest `limit` entries of an account before a place (none: from the newest on), newest first.
///
/// # Errors
/// [`StoreError`].
pub fn statement_of(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    account: AccountId,
    before: Option<Place>,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let Some(edge) = ranges::edge(conn, journal)? else { return Ok(Vec::new()) };
    let end = Place { seq: edge.head.saturating_add(1), leg: 0 };
    let stretch = Stretch { after: 0, before: before.map_or(end, |before| before.min(end)) };
    entries(conn, history, journal, edge, account, stretch, limit)
}

/// Rows after a seq and before a place.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    after: i64,
    before: Place,
}

/// The newest entries of a stretch: of the open ranges by their places, of the others by index, back to the range where
/// there are enough of them.
fn entries(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    edge: Edge,
    account: AccountId,
    stretch: Stretch,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    const TEXT: &str = "SELECT s.seq, s.leg, r.id, s.change, s.balance, s.version, o.public_id, r.recorded_us, r.effective_us, r.meta FROM ( \
        SELECT t.* FROM unnest(?, ?) AS q(seq, leg) CROSS JOIN LATERAL \
        (SELECT seq, leg, CASE WHEN debit = ? THEN -amount ELSE amount END AS change, \
            CASE WHEN debit = ? THEN debit_balance ELSE credit_balance END AS balance, \
            CASE WHEN debit = ? THEN debit_version ELSE credit_version END AS version, \
            CASE WHEN debit = ? THEN credit ELSE debit END AS other \
         FROM journal.transfer WHERE journal = ? AND seq BETWEEN ? AND ? AND seq = q.seq AND leg = q.leg LIMIT 1) t \
        UNION ALL \
        (SELECT seq, leg, -amount, debit_balance, debit_version, credit FROM journal.transfer \
         WHERE journal = ? AND debit = ? AND seq BETWEEN ? AND ? AND (seq, leg) < (?, ?) ORDER BY seq DESC, leg DESC LIMIT ?) \
        UNION ALL \
        (SELECT seq, leg, amount, credit_balance, credit_version, debit FROM journal.transfer \
         WHERE journal = ? AND credit = ? AND seq BETWEEN ? AND ? AND (seq, leg) < (?, ?) ORDER BY seq DESC, leg DESC LIMIT ?) \
        ORDER BY seq DESC, leg DESC LIMIT ?) s \
        CROSS JOIN LATERAL (SELECT * FROM journal.record WHERE journal = ? AND seq = s.seq LIMIT 1) r \
        CROSS JOIN LATERAL (SELECT public_id FROM journal.account WHERE journal = ? AND id = s.other LIMIT 1) o \
        ORDER BY s.seq DESC, s.leg DESC";
    let (indexed, places) = open_places(conn, history, journal, edge, account, stretch, limit)?;
    let missing = limit.saturating_sub(places.len());
    let upto = stretch.before.seq.min(indexed);
    let first = oldest_needed(conn, journal, account, upto, missing)?.max(stretch.after.saturating_add(1));
    let seqs: Vec<i64> = places.iter().map(|place| place.seq).collect();
    let legs: Vec<i32> = places.iter().map(|place| place.leg).collect();
    let (number, id) = (Arg::Int(journal.0), Arg::Int(account.0));
    let open = [Arg::Int(indexed.saturating_add(1)), Arg::Int(edge.head)];
    let (before_seq, before_leg) = (Arg::Int(stretch.before.seq), Arg::Int4(stretch.before.leg));
    let missing = Arg::Int(count(missing));
    let side = [number, id, Arg::Int(first), Arg::Int(upto), before_seq, before_leg, missing];
    let mut args = vec![Arg::Ints(&seqs), Arg::Int4s(&legs), id, id, id, id, number];
    args.extend(open.into_iter().chain(side).chain(side).chain([Arg::Int(count(limit)), number, number]));
    type Row = (BigInt, Integer, SqlUuid, BigInt, BigInt, BigInt, SqlUuid, BigInt, BigInt, Binary);
    type Values = (i64, i32, Uuid, i64, i64, i64, Uuid, i64, i64, Vec<u8>);
    let rows = sql::<Row>(TEXT, &args).load::<Values>(conn)?;
    let read = |(seq, leg, transaction, change, balance, version, other, recorded_us, effective_us, meta): Values| {
        Entry { seq, leg, transaction, change, balance, version, other, recorded_us, effective_us, meta }
    };
    Ok(rows.into_iter().map(read).collect())
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The last seq that indexes cover, and the newest places of an account after it, within the stretch.
fn open_places(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    edge: Edge,
    account: AccountId,
    stretch: Stretch,
    limit: usize,
) -> Result<(i64, Vec<Place>), StoreError> {
    if stretch.before.seq <= edge.indexed {
        return Ok((edge.indexed, Vec::new()));
    }
    let known =
        history.with(conn, journal, edge, |open| (open.after(), open.before(account.0, stretch.before, limit)))?;
    let (indexed, mut places) = match known {
        Some(found) if sees_indexes(conn, journal, edge, found.0)? => found,
        _ => (edge.indexed, look_through(conn, journal, edge.indexed, account, stretch.before, limit)?),
    };
    places.retain(|place| place.seq > stretch.after);
    Ok((indexed, places))
}

/// The same by reading the open ranges back from the place, when they are too much to keep in mind.
fn look_through(
    conn: &mut PgConnection,
    journal: JournalId,
    after: i64,
    account: AccountId,
    before: Place,
    limit: usize,
) -> Result<Vec<Place>, StoreError> {
    const TEXT: &str = "SELECT seq, leg FROM journal.transfer WHERE journal = ? AND seq > ? AND seq <= ? \
        AND (seq, leg) < (?, ?) AND (debit = ? OR credit = ?) ORDER BY seq DESC, leg DESC LIMIT ?";
    let (id, seq) = (Arg::Int(account.0), Arg::Int(before.seq));
    let args = [Arg::Int(journal.0), Arg::Int(after), seq, seq, Arg::Int4(before.leg), id, id, Arg::Int(count(limit))];
    let rows = sql::<(BigInt, Integer)>(TEXT, &args).load::<(i64, i32)>(conn)?;
    Ok(rows.into_iter().map(|(seq, leg)| Place { seq, leg }).collect())
}

/// From which seq on the indexed rows up to `upto` hold the newest `missing` of an account. Its closings tell: each has
/// the account's rows so far, so those of a range that was closed earlier are needed only when they are too few.
fn oldest_needed(
    conn: &mut PgConnection,
    journal: JournalId,
    account: AccountId,
    upto: i64,
    missing: usize,
) -> Result<i64, StoreError> {
    const TEXT: &str = "SELECT version, (SELECT first_seq FROM journal.range r WHERE r.first_seq <= c.last_seq \
        ORDER BY first_seq DESC LIMIT 1) FROM journal.closing c \
        WHERE journal = ? AND account = ? AND last_seq < ? ORDER BY last_seq DESC LIMIT ?";
    if missing == 0 {
        return Ok(i64::MAX);
    }
    let first = ranges::first_of_range(conn, upto)?;
    // In each of these the account has at least one row.
    let args = [Arg::Int(journal.0), Arg::Int(account.0), Arg::Int(first), Arg::Int(count(missing).saturating_add(1))];
    let closings = sql::<(BigInt, Nullable<BigInt>)>(TEXT, &args).load::<(i64, Option<i64>)>(conn)?;
    let Some((newest, _)) = closings.first().copied() else { return Ok(first) };
    for (place, (_, first)) in closings.iter().enumerate() {
        let before = closings.get(place.saturating_add(1)).map_or(0, |(version, _)| *version);
        if newest.saturating_sub(before) >= count(missing) {
            return Ok(first.unwrap_or(0));
        }
    }
    Ok(0)
}
