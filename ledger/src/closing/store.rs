//! The rows of closings.

use diesel::sql_types::{BigInt, Binary, Integer, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Closing, NO_DAY, read_totals, totals_bytes};
use crate::JournalId;
use crate::bind::{Arg, statement};
use crate::store::StoreError;

type Row = (Integer, Integer, BigInt, BigInt, BigInt, BigInt, Binary, BigInt, BigInt, Binary);
type Values = (i32, i32, i64, i64, i64, i64, Vec<u8>, i64, i64, Vec<u8>);

/// A transaction that was recorded after a day was closed in which it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    /// Its record.
    pub seq: i64,
    /// Its public id.
    pub id: Uuid,
    /// When it was recorded, microseconds since 1970.
    pub recorded_us: i64,
    /// When it counts.
    pub effective_us: i64,
}

/// The database's clock, which records are dated by, microseconds since 1970; a sandbox's offset comes on top.
///
/// # Errors
/// [`StoreError`].
pub fn clock_us(conn: &mut PgConnection) -> Result<i64, StoreError> {
    const TEXT: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let found = statement::<(BigInt,)>(TEXT, &[]).load::<(i64,)>(conn)?;
    Ok(found.first().ok_or(diesel::result::Error::NotFound)?.0)
}

/// Closings before a day, or all up to the last, latest first, at most `limit`.
///
/// # Errors
/// [`StoreError`].
pub fn closings(
    conn: &mut PgConnection,
    journal: JournalId,
    before: Option<i32>,
    limit: i64,
) -> Result<Vec<Closing>, StoreError> {
    const TEXT: &str = "SELECT day, former_day, ends_us, after_seq, seq, late, totals, closed_us, closed_by, digest \
        FROM journal.closing WHERE journal = ? AND day < ? ORDER BY day DESC LIMIT ?";
    // No day of any calendar comes after the last of these.
    let args = [Arg::Int(journal.0), Arg::Int4(before.unwrap_or(i32::MAX)), Arg::Int(limit)];
    read(journal, statement::<Row>(TEXT, &args).load::<Values>(conn)?)
}

/// The closing of a day.
pub(crate) fn closing(conn: &mut PgConnection, journal: JournalId, day: i32) -> Result<Option<Closing>, StoreError> {
    const TEXT: &str = "SELECT day, former_day, ends_us, after_seq, seq, late, totals, closed_us, closed_by, digest \
        FROM journal.closing WHERE journal = ? AND day = ?";
    let args = [Arg::Int(journal.0), Arg::Int4(day)];
    Ok(read(journal, statement::<Row>(TEXT, &args).load::<Values>(conn)?)?.pop())
}

/// The latest closing.
pub(crate) fn last(conn: &mut PgConnection, journal: JournalId) -> Result<Option<Closing>, StoreError> {
    Ok(closings(conn, journal, None, 1)?.pop())
}

/// Writes a closing; false when its day, or the place after the one before it, is taken.
pub(crate) fn insert(conn: &mut PgConnection, closing: &Closing) -> Result<bool, StoreError> {
    const TEXT: &str = "INSERT INTO journal.closing (journal, day, former_day, ends_us, after_seq, seq, late, totals, \
        closed_us, closed_by, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let totals = totals_bytes(&closing.totals);
    let args = [
        Arg::Int(closing.journal.0),
        Arg::Int4(closing.day),
        Arg::Int4(closing.former_day.unwrap_or(NO_DAY)),
        Arg::Int(closing.ends_us),
        Arg::Int(closing.after_seq),
        Arg::Int(closing.seq),
        Arg::Int(closing.late),
        Arg::Bytes(&totals),
        Arg::Int(closing.closed_us),
        Arg::Int(closing.closed_by),
        Arg::Bytes(&closing.digest),
    ];
    Ok(statement::<()>(TEXT, &args).execute(conn)? > 0)
}

/// How many transactions after one seq and up to another count before a moment.
pub(crate) fn count_late(
    conn: &mut PgConnection,
    journal: JournalId,
    after: i64,
    upto: i64,
    before_us: i64,
) -> Result<i64, StoreError> {
    const TEXT: &str = "SELECT count(*) FROM journal.record \
        WHERE journal = ? AND seq > ? AND seq <= ? AND kind = 1 AND effective_us < ?";
    let args = [Arg::Int(journal.0), Arg::Int(after), Arg::Int(upto), Arg::Int(before_us)];
    let found = statement::<(BigInt,)>(TEXT, &args).load::<(i64,)>(conn)?;
    Ok(found.first().map_or(0, |(count,)| *count))
}

/// The transactions after one seq and up to another that count before a moment, at most `limit`, in order.
///
/// # Errors
/// [`StoreError`].
pub fn late(
    conn: &mut PgConnection,
    journal: JournalId,
    after: i64,
    upto: i64,
    before_us: i64,
    limit: i64,
) -> Result<Vec<Late>, StoreError> {
    const TEXT: &str = "SELECT seq, id, recorded_us, effective_us FROM journal.record \
        WHERE journal = ? AND seq > ? AND seq <= ? AND kind = 1 AND effective_us < ? ORDER BY seq LIMIT ?";
    let args = [Arg::Int(journal.0), Arg::Int(after), Arg::Int(upto), Arg::Int(before_us), Arg::Int(limit)];
    type Row = (BigInt, SqlUuid, BigInt, BigInt);
    let found = statement::<Row>(TEXT, &args).load::<(i64, Uuid, i64, i64)>(conn)?;
    let read = |(seq, id, recorded_us, effective_us)| Late { seq, id, recorded_us, effective_us };
    Ok(found.into_iter().map(read).collect())
}

fn read(journal: JournalId, found: Vec<Values>) -> Result<Vec<Closing>, StoreError> {
    let read = |(day, former_day, ends_us, after_seq, seq, late, totals, closed_us, closed_by, digest): Values| {
        let corrupt = || StoreError::Corrupt { journal: journal.0, seq, what: "a closing" };
        Ok(Closing {
            journal,
            day,
            former_day: Some(former_day).filter(|day| *day != NO_DAY),
            ends_us,
            after_seq,
            seq,
            late,
            totals: read_totals(&totals).ok_or_else(corrupt)?,
            closed_us,
            closed_by,
            digest: digest.try_into().map_err(|_other_length| corrupt())?,
        })
    };
    found.into_iter().map(read).collect()
}
