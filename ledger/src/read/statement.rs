//! Statements: an account's entries, newest first, and what it opened and closed with.

use diesel::sql_types::{BigInt, Binary, Integer, Text, Uuid as SqlUuid};
use diesel::{PgConnection, QueryResult, RunQueryDsl};
use uuid::Uuid;

use super::standing::{accounts_of, standings};
use super::{ReadError, places, seq_at};
use crate::bind::{Arg, statement as sql};
use crate::history::{History, Place};
use crate::store::StoreError;
use crate::store::ranges::{self, Edge};
use crate::{AccountId, Archived, AssetId, JournalId};

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

impl Window {
    /// All there is, whatever is written meanwhile.
    pub const ALL: Self = Self { after: 0, upto: i64::MAX };
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

/// The newest entries before a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries {
    /// Newest first.
    pub entries: Vec<Entry>,
    /// There may be fewer than were asked for, because those before lie in this range: to ask on says so.
    pub away: Option<Archived>,
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
    let Entries { mut entries, away } = entries(conn, history, journal, edge, id, stretch, limit.saturating_add(1))?;
    let has_more = entries.len() > limit || away.is_some();
    entries.truncate(limit);
    Ok(Statement { asset: account.asset, opening, closing, entries, has_more })
}

/// The newest `limit` entries of an account before a place (none: from the newest on), newest first.
///
/// # Errors
/// [`StoreError`]: where the very next one is archived, [`StoreError::Archived`].
pub fn statement_of(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    account: AccountId,
    before: Option<Place>,
    limit: usize,
) -> Result<Entries, StoreError> {
    statement_within(conn, history, journal, account, Window::ALL, before, limit)
}

/// The same of a window.
///
/// # Errors
/// [`StoreError`].
pub fn statement_within(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    account: AccountId,
    window: Window,
    before: Option<Place>,
    limit: usize,
) -> Result<Entries, StoreError> {
    let Some(edge) = ranges::edge(conn, journal)? else { return Ok(Entries { entries: Vec::new(), away: None }) };
    let end = Place { seq: window.upto.min(edge.head).saturating_add(1), leg: 0 };
    let stretch = Stretch { after: window.after, before: before.map_or(end, |before| before.min(end)) };
    entries(conn, history, journal, edge, account, stretch, limit)
}

/// Rows after a seq and before a place.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    after: i64,
    before: Place,
}

/// The newest entries of a stretch. Rows that leave the balance as it was (a hold set aside or given back) are no entries.
fn entries(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    edge: Edge,
    account: AccountId,
    mut stretch: Stretch,
    limit: usize,
) -> Result<Entries, StoreError> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let wanted = limit.saturating_sub(entries.len());
        let page = rows(conn, history, journal, edge, account, stretch, wanted)?;
        let (count, last) = (page.entries.len(), page.entries.last().map(Entry::place));
        entries.extend(page.entries.into_iter().filter(|row| row.change != 0));
        match (page.away, last) {
            (Some(range), _) if entries.is_empty() => return Err(range.into()),
            (None, Some(last)) if count == wanted && entries.len() < limit => stretch.before = last,
            (away, _) => return Ok(Entries { entries, away }),
        }
    }
}

/// The newest rows of a stretch, as far as they are not archived.
fn rows(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    edge: Edge,
    account: AccountId,
    Stretch { after, before }: Stretch,
    limit: usize,
) -> Result<Entries, StoreError> {
    let places = places::before(conn, history, journal, edge, account.0, (after, before), limit)?;
    let (seqs, legs): (Vec<i64>, Vec<i32>) = places.iter().map(|place| (place.seq, place.leg)).unzip();
    let rows = all_at_once(conn, |conn| at_places(conn, journal, account, &seqs, &legs))?;
    // In the place of a leg: a range that is archived. Of several that have places of ours the newest comes first.
    let range =
        |(first_seq, _, _, last_seq, ..): &Values| Archived { journal, first_seq: *first_seq, last_seq: *last_seq };
    let ours = |range: &Archived| seqs.iter().any(|seq| (range.first_seq..=range.last_seq).contains(seq));
    let away = rows.iter().filter(|(_, leg, ..)| *leg < 0).map(range).find(ours);
    let here = |(seq, leg, ..): &Values| *leg >= 0 && away.is_none_or(|range| *seq > range.last_seq);
    let read = |(seq, leg, transaction, change, balance, version, other, recorded_us, effective_us, meta): Values| {
        Entry { seq, leg, transaction, change, balance, version, other, recorded_us, effective_us, meta }
    };
    Ok(Entries { entries: rows.into_iter().filter(here).map(read).collect(), away })
}

/// Has what is read ask the disk for all pages it needs before it waits for the first: rows of an account lie far from each
/// other, each on a page of its own, and a hundred pages one by one are a hundred waits. Outside a transaction the answer is
/// the same, and waits.
fn all_at_once<T>(conn: &mut PgConnection, read: impl FnOnce(&mut PgConnection) -> QueryResult<T>) -> QueryResult<T> {
    // Pages are asked for ahead by a bitmap of them only. Left to itself PostgreSQL walks the index: seqs lie in order.
    const ON: &str =
        "SELECT set_config('enable_indexscan', 'off', true), set_config('effective_io_concurrency', '128', true)";
    const OFF: &str = "SELECT set_config('enable_indexscan', 'on', true)";
    sql::<(Text, Text)>(ON, &[]).execute(conn)?;
    let found = read(conn)?;
    sql::<Text>(OFF, &[]).execute(conn)?;
    Ok(found)
}

type Row = (BigInt, Integer, SqlUuid, BigInt, BigInt, BigInt, SqlUuid, BigInt, BigInt, Binary);
type Values = (i64, i32, Uuid, i64, i64, i64, Uuid, i64, i64, Vec<u8>);

/// The rows at these places, newest first, and in the place of those that are archived their ranges, with a leg below zero.
fn at_places(
    conn: &mut PgConnection,
    journal: JournalId,
    account: AccountId,
    seqs: &[i64],
    legs: &[i32],
) -> QueryResult<Vec<Values>> {
    // By `leg` too: of a transaction of a thousand transfers not all are read for one.
    const TEXT: &str = "WITH t AS MATERIALIZED (SELECT * FROM journal.transfer \
            WHERE journal = ? AND seq BETWEEN ? AND ? AND seq = ANY(?) AND leg = ANY(?)), \
        r AS MATERIALIZED (SELECT seq, id, recorded_us, effective_us, meta FROM journal.record \
            WHERE journal = ? AND seq = ANY(?)) \
        SELECT * FROM (SELECT t.seq, t.leg, r.id, \
            CASE WHEN t.kind NOT IN (1, 3) THEN 0 WHEN t.debit = ? THEN -t.amount ELSE t.amount END, \
            CASE WHEN t.debit = ? THEN t.debit_balance ELSE t.credit_balance END, \
            CASE WHEN t.debit = ? THEN t.debit_version ELSE t.credit_version END, \
            o.public_id, r.recorded_us, r.effective_us, r.meta \
        FROM unnest(?, ?) AS q(seq, leg) JOIN t USING (seq, leg) JOIN r USING (seq) \
        CROSS JOIN LATERAL (SELECT public_id FROM journal.account WHERE journal = ? \
            AND id = CASE WHEN t.debit = ? THEN t.credit ELSE t.debit END LIMIT 1) o \
        UNION ALL SELECT first_seq, -1, ?, last_seq, 0, 0, ?, 0, 0, ''::bytea FROM journal.archived \
        WHERE journal = ? AND first_seq <= ? AND last_seq >= ?) rows ORDER BY seq DESC, leg DESC";
    let (Some(last), Some(first)) = (seqs.first(), seqs.last()) else { return Ok(Vec::new()) };
    let (number, id, none) = (Arg::Int(journal.0), Arg::Int(account.0), Arg::Uuid(Uuid::nil()));
    let (first, last, seqs, legs) = (Arg::Int(*first), Arg::Int(*last), Arg::Ints(seqs), Arg::Int4s(legs));
    let asked = [number, first, last, seqs, legs, number, seqs, id, id, id, seqs, legs, number, id];
    let args: Vec<_> = asked.into_iter().chain([none, none, number, last, first]).collect();
    sql::<Row>(TEXT, &args).load(conn)
}
