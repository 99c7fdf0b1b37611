//! What archival asks of the database, and the rows it takes and puts back. All of it needs the owner of the tables.

use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::Archived;
use super::file::{Row, WIDTH};
use crate::JournalId;
use crate::bind::{Arg, statement};
use crate::read::DATED;
use crate::sealing::FOLLOWER;
use crate::store::StoreError;

/// Rows read at a time.
pub(super) const PAGE: i64 = 4_096;

/// A range as it is noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Which.
    pub range: Archived,
    /// How many transfers left.
    pub rows: i64,
    /// SHA-256 of the file without its last line.
    pub sha256: [u8; 32],
    /// The file's name.
    pub file: String,
    /// When.
    pub archived_at: chrono::DateTime<chrono::Utc>,
}

/// The ranges of a journal that are archived, in order.
pub(crate) fn noted(conn: &mut PgConnection, journal: JournalId) -> Result<Vec<Noted>, StoreError> {
    const TEXT: &str = "SELECT first_seq, last_seq, rows, sha256, file, archived_at FROM journal.archived \
        WHERE journal = ? ORDER BY first_seq";
    type Columns = (BigInt, BigInt, BigInt, Binary, Text, Timestamptz);
    type Values = (i64, i64, i64, Vec<u8>, String, chrono::DateTime<chrono::Utc>);
    let found = statement::<Columns>(TEXT, &[Arg::Int(journal.0)]).load::<Values>(conn)?;
    let read = |(first_seq, last_seq, rows, sha256, file, archived_at): Values| {
        let corrupt = |_length| StoreError::Corrupt { journal: journal.0, seq: first_seq, what: "an archived range" };
        let sha256 = sha256.try_into().map_err(corrupt)?;
        Ok(Noted { range: Archived { journal, first_seq, last_seq }, rows, sha256, file, archived_at })
    };
    found.into_iter().map(read).collect()
}

/// The closed ranges of a journal whose transfers are in the database, in order; the first one, common to all, is not told.
pub(super) fn closed(conn: &mut PgConnection, journal: JournalId) -> Result<Vec<Archived>, StoreError> {
    const TEXT: &str = "SELECT p.first_seq, p.last_seq FROM journal.part p WHERE p.journal = ? AND p.first_seq > 0 \
        AND p.closed_at IS NOT NULL AND NOT EXISTS (SELECT FROM journal.archived a \
            WHERE a.journal = p.journal AND a.first_seq = p.first_seq) ORDER BY p.first_seq";
    let found = statement::<(BigInt, BigInt)>(TEXT, &[Arg::Int(journal.0)]).load::<(i64, i64)>(conn)?;
    Ok(found.into_iter().map(|(first_seq, last_seq)| Archived { journal, first_seq, last_seq }).collect())
}

/// No range leaves or comes back while the transaction lasts.
pub(super) fn keep_still(conn: &mut PgConnection) -> Result<(), diesel::result::Error> {
    statement::<()>("LOCK TABLE journal.archived IN ACCESS SHARE MODE", &[]).execute(conn)?;
    Ok(())
}

/// Takes a journal for this session, so that nobody else archives it; false when somebody does.
pub(super) fn take(conn: &mut PgConnection, journal: JournalId) -> Result<bool, StoreError> {
    const TEXT: &str = "SELECT pg_try_advisory_lock(hashtextextended('tessera archive', ?))";
    let taken = statement::<(Bool,)>(TEXT, &[Arg::Int(journal.0)]).load::<(bool,)>(conn)?;
    Ok(taken.first().is_some_and(|(taken,)| *taken))
}

/// Gives it back. A session that ends has given it back by itself.
pub(super) fn give(conn: &mut PgConnection, journal: JournalId) {
    const TEXT: &str = "SELECT pg_advisory_unlock(hashtextextended('tessera archive', ?))";
    _ = statement::<(Bool,)>(TEXT, &[Arg::Int(journal.0)]).load::<(bool,)>(conn);
}

/// Who of a journal is furthest behind: a follower, by its cursor or by what it parked, or the checkpoints. One that must have been there and was not is at zero.
pub(super) fn hindmost(conn: &mut PgConnection, journal: JournalId) -> Result<(String, i64), StoreError> {
    const TEXT: &str = "SELECT name, seq FROM (SELECT name, seq FROM journal.follower WHERE journal = ? \
        UNION ALL SELECT 'checkpoints', seq FROM journal.watermark WHERE journal = ? \
        UNION ALL SELECT follower, seq - 1 FROM journal.parked WHERE journal = ? \
        UNION ALL SELECT name, 0 FROM (VALUES (?), (?)) AS must (name) WHERE NOT EXISTS \
            (SELECT FROM journal.follower f WHERE f.journal = ? AND f.name = must.name)) everybody ORDER BY seq LIMIT 1";
    let journal = Arg::Int(journal.0);
    let args = [journal, journal, journal, Arg::Text(FOLLOWER), Arg::Text(DATED), journal];
    let found = statement::<(Text, BigInt)>(TEXT, &args).load::<(String, i64)>(conn)?;
    Ok(found.into_iter().next().unwrap_or_default())
}

/// How many transfers a range has, and the line of history that the head is on.
pub(super) fn size(conn: &mut PgConnection, range: Archived) -> Result<(i64, Uuid), StoreError> {
    const TEXT: &str = "SELECT (SELECT count(*) FROM journal.transfer WHERE journal = ? AND seq BETWEEN ? AND ?), fork \
        FROM journal.head WHERE journal = ?";
    let journal = Arg::Int(range.journal.0);
    let args = [journal, Arg::Int(range.first_seq), Arg::Int(range.last_seq), journal];
    let found = statement::<(BigInt, SqlUuid)>(TEXT, &args).load::<(i64, Uuid)>(conn)?;
    Ok(found.into_iter().next().ok_or(diesel::result::Error::NotFound)?)
}

/// The next transfers of a range after a place, in order: as many as are read at a time.
pub(super) fn rows(conn: &mut PgConnection, range: Archived, (seq, leg): (i64, i64)) -> Result<Vec<Row>, StoreError> {
    const TEXT: &str = "SELECT ARRAY[seq, leg, kind, asset, debit, credit, amount, debit_balance, debit_held, debit_version, \
        credit_balance, credit_held, credit_version] FROM journal.transfer WHERE journal = ? AND seq BETWEEN ? AND ? \
        AND (seq, leg) > (?, ?) ORDER BY seq, leg LIMIT ?";
    let bounds = [Arg::Int(range.journal.0), Arg::Int(range.first_seq.max(seq)), Arg::Int(range.last_seq)];
    let args: Vec<_> = bounds.into_iter().chain([Arg::Int(seq), Arg::Int(leg), Arg::Int(PAGE)]).collect();
    type Numbers = diesel::sql_types::Array<BigInt>;
    let found = statement::<(Numbers,)>(TEXT, &args).load::<(Vec<i64>,)>(conn)?;
    let corrupt = |_other_width| StoreError::Corrupt { journal: range.journal.0, seq, what: "a transfer" };
    found.into_iter().map(|(numbers,)| <[i64; WIDTH]>::try_from(numbers).map(Row).map_err(corrupt)).collect()
}

/// No lock is waited for long from here to the end of the transaction: whoever comes meanwhile waits behind it.
pub(super) fn be_brief(conn: &mut PgConnection) -> Result<(), StoreError> {
    const TEXT: &str = "SELECT set_config('lock_timeout', '250ms', true), set_config('statement_timeout', '0', true)";
    statement::<(Text, Text)>(TEXT, &[]).load::<(String, String)>(conn)?;
    Ok(())
}

/// Notes a range that its file holds whole, keeps what it leaves, and drops its transfers. False when others were in the
/// way: then nothing may be committed.
pub(super) fn let_go(conn: &mut PgConnection, header: &super::Header, sha256: &[u8; 32]) -> Result<bool, StoreError> {
    let file = header.range.file_name();
    let args = [
        Arg::Int(header.range.journal.0),
        Arg::Int(header.range.first_seq),
        Arg::Int(header.rows),
        Arg::Bytes(sha256),
        Arg::Text(&file),
    ];
    call("SELECT journal.let_go(?, ?, ?, ?, ?)", conn, &args)
}

/// Makes the partition of a range that comes back; it is nobody's yet.
pub(super) fn make_back(conn: &mut PgConnection, range: Archived) -> Result<(), StoreError> {
    let args = [Arg::Int(range.journal.0), Arg::Int(range.first_seq)];
    run("SELECT journal.make_back(?, ?)::text", conn, &args)
}

/// Puts rows into it.
pub(super) fn put_back(conn: &mut PgConnection, range: Archived, rows: &[Row]) -> Result<(), StoreError> {
    let columns: Vec<i64> =
        (0..WIDTH).flat_map(|column| rows.iter().filter_map(move |row| row.0.get(column))).copied().collect();
    let args = [Arg::Int(range.journal.0), Arg::Int(range.first_seq), Arg::Ints(&columns)];
    run("SELECT journal.put_back(?, ?, ?)::text", conn, &args)
}

/// Gives it its place, if its rows leave every account as was noted; the range is archived no more. False as above.
pub(super) fn take_back(conn: &mut PgConnection, range: Archived) -> Result<bool, StoreError> {
    let args = [Arg::Int(range.journal.0), Arg::Int(range.first_seq)];
    call("SELECT journal.take_back(?, ?)", conn, &args)
}

fn call(text: &'static str, conn: &mut PgConnection, args: &[Arg<'_>]) -> Result<bool, StoreError> {
    let found = statement::<(Bool,)>(text, args).load::<(bool,)>(conn)?;
    Ok(found.first().is_some_and(|(done,)| *done))
}

fn run(text: &'static str, conn: &mut PgConnection, args: &[Arg<'_>]) -> Result<(), StoreError> {
    statement::<(Nullable<Text>,)>(text, args).load::<(Option<String>,)>(conn)?;
    Ok(())
}

/// An account as it stood after its last row in an archived range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) account: i64,
    /// That row's place, packed.
    pub(crate) upto: i64,
    pub(crate) balance: i64,
    pub(crate) held: i64,
    pub(crate) version: i64,
}

/// What the accounts stood at between two packed places, by account.
pub(crate) fn left(
    conn: &mut PgConnection,
    journal: JournalId,
    (from, until): (i64, i64),
) -> Result<Vec<Left>, StoreError> {
    const TEXT: &str = "SELECT account, upto, balance, held, version FROM journal.standing \
        WHERE journal = ? AND upto >= ? AND upto < ? ORDER BY account, upto";
    type Columns = (BigInt, BigInt, BigInt, BigInt, BigInt);
    let args = [Arg::Int(journal.0), Arg::Int(from), Arg::Int(until)];
    let found = statement::<Columns>(TEXT, &args).load::<(i64, i64, i64, i64, i64)>(conn)?;
    let read = |(account, upto, balance, held, version)| Left { account, upto, balance, held, version };
    Ok(found.into_iter().map(read).collect())
}
