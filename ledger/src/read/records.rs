//! Records in pages, forwards for whoever follows and backwards for whoever looks.
//!
//! Forwards, nothing is skipped: seq is gap-free in commit order, and rows up to a head once seen never change. A page is
//! bounded by its records and by their transfers, so that what a reader holds of it is bounded too.

use diesel::sql_types::BigInt;
use diesel::{PgConnection, RunQueryDsl};

use super::Window;
use crate::bind::{Arg, statement};
use crate::follow::{self, Written};
use crate::forks::Lines;
use crate::store::{self, StoreError, rows};
use crate::{JournalId, Record};

/// How much of the journal one page may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Records at most.
    pub records: i64,
    /// Transfers at most, but for a single record that has more.
    pub transfers: i64,
}

/// The records after `after`, in seq order, and the head's seq before they were read. Empty at the head.
///
/// # Errors
/// [`StoreError`].
pub fn after(
    conn: &mut PgConnection,
    journal: JournalId,
    after: i64,
    size: Size,
) -> Result<(Vec<Record>, i64), StoreError> {
    let head = store::head(conn, journal)?.map_or(0, |head| head.seq);
    let (first, last) = (after.saturating_add(1), head.min(after.saturating_add(size.records)));
    if last < first {
        return Ok((Vec::new(), head));
    }
    let last = cut(conn, journal, first, last, size.transfers)?;
    match rows::records(conn, journal, first, last) {
        // As far as they are here: to ask on says that the next are not.
        Err(StoreError::Archived(range)) if range.first_seq > first => {
            Ok((rows::records(conn, journal, first, range.first_seq.saturating_sub(1))?, head))
        }
        records => Ok((records?, head)),
    }
}

/// Where the records from `first` to `last` have to end so that they have no more than so many transfers.
pub(super) fn cut(
    conn: &mut PgConnection,
    journal: JournalId,
    first: i64,
    last: i64,
    most: i64,
) -> Result<i64, StoreError> {
    const TEXT: &str = "SELECT seq FROM journal.transfer WHERE journal = ? AND seq BETWEEN ? AND ? \
        ORDER BY seq, leg OFFSET ? LIMIT 1";
    let args = [Arg::Int(journal.0), Arg::Int(first), Arg::Int(last), Arg::Int(most)];
    let over = statement::<(BigInt,)>(TEXT, &args).load::<(i64,)>(conn)?.into_iter().next();
    Ok(over.map_or(last, |(seq,)| seq.saturating_sub(1).max(first)))
}

/// Records looked at for one page of [`before`]: a rare kind must not mean a long search.
const LOOKED_AT: i64 = 10_000;

/// The newest records of a window before `before`, newest first, of one kind ([`Body::kind`](crate::Body::kind)) or of all;
/// and where to go on. There may be fewer than `limit` and still more to come, when the kind is rare; none at the window's
/// beginning.
///
/// # Errors
/// [`StoreError`].
pub fn before(
    conn: &mut PgConnection,
    journal: JournalId,
    window: Window,
    before: Option<i64>,
    kind: Option<i32>,
    limit: i64,
) -> Result<(Vec<Record>, Option<i64>), StoreError> {
    const TEXT: &str = "SELECT seq FROM journal.record WHERE journal = ? AND seq BETWEEN ? AND ? \
        AND coalesce(kind = ?, true) ORDER BY seq DESC LIMIT ?";
    let head = store::head(conn, journal)?.map_or(0, |head| head.seq);
    let last = before.map_or(head, |before| before.saturating_sub(1)).min(window.upto).min(head);
    let after = window.after.max(0);
    let first = last.saturating_sub(LOOKED_AT).max(after).saturating_add(1);
    let kind = Arg::OptionInt(kind.map(i64::from));
    let args = [Arg::Int(journal.0), Arg::Int(first), Arg::Int(last), kind, Arg::Int(limit)];
    let mut seqs: Vec<i64> =
        statement::<(BigInt,)>(TEXT, &args).load::<(i64,)>(conn)?.into_iter().map(|(seq,)| seq).collect();
    let full = i64::try_from(seqs.len()).unwrap_or(i64::MAX) >= limit;
    let mut lowest = if full { seqs.last().copied().unwrap_or(first) } else { first };
    loop {
        match at(conn, journal, &seqs) {
            // As far as they are here: to ask on says that those before are not.
            Err(StoreError::Archived(range)) if seqs.first().is_some_and(|newest| *newest > range.last_seq) => {
                seqs.retain(|seq| *seq > range.last_seq);
                lowest = seqs.last().copied().unwrap_or(lowest);
            }
            records => return Ok((records?, (lowest > after.saturating_add(1)).then_some(lowest))),
        }
    }
}

/// The records of these seqs, in the order asked; what does not exist is left out.
///
/// # Errors
/// [`StoreError`].
pub fn at(conn: &mut PgConnection, journal: JournalId, seqs: &[i64]) -> Result<Vec<Record>, StoreError> {
    let mut found = rows::records_at(conn, journal, seqs)?;
    found.sort_by_key(|record| seqs.iter().position(|seq| *seq == record.seq));
    Ok(found)
}

/// The companions of the records from `first` to `last`, in seq order.
///
/// # Errors
/// [`StoreError`].
pub fn companions(
    conn: &mut PgConnection,
    journal: JournalId,
    first: i64,
    last: i64,
) -> Result<Vec<Written>, StoreError> {
    follow::companions(conn, journal, first, last)
}

/// Under which fork each record of a journal was written; none when there are no such books.
///
/// # Errors
/// [`StoreError`].
pub fn lines(conn: &mut PgConnection, journal: JournalId) -> Result<Option<Lines>, StoreError> {
    let head = store::head(conn, journal)?;
    head.map(|head| Lines::read(conn, journal, head.fork)).transpose()
}
