//! Ranges of transfers: what is to be made ahead and closed behind, and how far the history is indexed (ADR 8).
//!
//! DDL is the owner's. What the app role may ask for are two functions of the database that decide by the rows alone.

use std::sync::LazyLock;

use diesel::sql_types::{BigInt, Nullable, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::StoreError;
use crate::JournalId;
use crate::bind::{Arg, statement};

/// The journals that need room ahead, or have a range behind them to close.
pub(crate) fn due(conn: &mut PgConnection) -> Result<Vec<JournalId>, StoreError> {
    const TEXT: &str = "SELECT h.journal FROM journal.head h CROSS JOIN LATERAL \
        (SELECT first_seq, last_seq FROM journal.range WHERE first_seq = coalesce( \
            (SELECT max(first_seq) FROM journal.part p WHERE p.journal = h.journal), 0) LIMIT 1) latest \
        WHERE h.seq >= latest.first_seq + (latest.last_seq - latest.first_seq) / 2 OR EXISTS ( \
            SELECT FROM journal.part p WHERE p.journal = h.journal AND p.closed_at IS NULL AND p.last_seq <= h.seq) \
        ORDER BY h.journal";
    let all = statement::<(BigInt,)>(TEXT, &[]).load::<(i64,)>(conn)?;
    Ok(all.into_iter().map(|(journal,)| JournalId(journal)).collect())
}

/// Makes the partitions that a journal will soon write into. The last seq there is then room for is answered.
pub(crate) fn make_room(conn: &mut PgConnection, journal: JournalId) -> Result<i64, StoreError> {
    let rows = statement::<(BigInt,)>("SELECT journal.make_room(?)", &[Arg::Int(journal.0)]).load::<(i64,)>(conn)?;
    Ok(rows.first().ok_or(diesel::result::Error::NotFound)?.0)
}

/// Closes the earliest range that a journal has left; its last seq is answered, none when there is no such range.
pub(crate) fn close_range(conn: &mut PgConnection, journal: JournalId) -> Result<Option<i64>, StoreError> {
    let statement = statement::<(Nullable<BigInt>,)>;
    let args = [Arg::Int(journal.0)];
    let rows = statement("SELECT journal.close_range(?)", &args).load::<(Option<i64>,)>(conn)?;
    Ok(rows.first().and_then(|(last_seq,)| *last_seq))
}

/// How many seqs ranges have that are made from now on: 100 to 100,000,000, 1,048,576 in a new database. Needs the owner
/// of the tables.
///
/// A node keeps 16 bytes in memory for each transfer of a journal's open ranges; each range is one table for each journal
/// that has come so far.
///
/// # Errors
/// [`StoreError`].
pub fn set_range_size(conn: &mut PgConnection, records: i64) -> Result<(), StoreError> {
    statement::<()>("UPDATE journal.layout SET records = ?", &[Arg::Int(records)]).execute(conn)?;
    Ok(())
}

/// How many seqs ranges have that are made from now on.
///
/// # Errors
/// [`StoreError`].
pub fn range_size(conn: &mut PgConnection) -> Result<i64, StoreError> {
    let rows = statement::<(BigInt,)>("SELECT records FROM journal.layout", &[]).load::<(i64,)>(conn)?;
    Ok(rows.first().ok_or(diesel::result::Error::NotFound)?.0)
}

/// Where a journal ends, and up to where its history has indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) fork: Uuid,
    /// The last seq committed.
    pub(crate) head: i64,
    /// The last seq of the first range, whose rows an index finds by account.
    pub(crate) common: i64,
    /// The last seq whose rows are written down by account; below zero while nothing is.
    pub(crate) closed: i64,
}

impl Edge {
    /// The last seq whose rows the database finds by account; what comes after is in open ranges.
    pub(crate) fn indexed(self) -> i64 {
        self.common.max(self.closed)
    }
}

/// The columns of an [`Edge`], of `journal.head h`.
pub(crate) const EDGE: &str = "h.fork, h.seq AS head, \
    (SELECT last_seq FROM journal.range WHERE first_seq = 0) AS common, coalesce( \
    (SELECT max(last_seq) FROM journal.part p WHERE p.journal = h.journal AND p.closed_at IS NOT NULL), -1) AS closed";
/// Their types.
pub(crate) type EdgeRow = (SqlUuid, BigInt, BigInt, BigInt);
/// Their values.
pub(crate) type EdgeValues = (Uuid, i64, i64, i64);

impl From<EdgeValues> for Edge {
    fn from((fork, head, common, closed): EdgeValues) -> Self {
        Self { fork, head, common, closed }
    }
}

/// The edge of a journal, if there is one.
pub(crate) fn edge(conn: &mut PgConnection, journal: JournalId) -> Result<Option<Edge>, StoreError> {
    static TEXT: LazyLock<String> = LazyLock::new(|| format!("SELECT {EDGE} FROM journal.head h WHERE h.journal = ?"));
    let rows = statement::<EdgeRow>(&TEXT, &[Arg::Int(journal.0)]).load::<EdgeValues>(conn)?;
    Ok(rows.into_iter().next().map(Edge::from))
}

/// The journals that have rows in open ranges.
pub(crate) fn open(conn: &mut PgConnection) -> Result<Vec<JournalId>, StoreError> {
    const TEXT: &str = "SELECT p.journal FROM journal.part p JOIN journal.head h ON h.journal = p.journal \
        WHERE p.first_seq > 0 AND p.closed_at IS NULL AND p.first_seq <= h.seq GROUP BY p.journal ORDER BY p.journal";
    let all = statement::<(BigInt,)>(TEXT, &[]).load::<(i64,)>(conn)?;
    Ok(all.into_iter().map(|(journal,)| JournalId(journal)).collect())
}
