//! Following the journal: whoever reads from a cursor loses nothing, because seq is gap-free in commit order.
//!
//! A follower asks what lies ahead of its cursor, reads a page of it, does its work and moves the cursor in the same
//! database transaction. Rows up to a head once seen never change, so reading them after it needs no common snapshot.
//! Two nodes that follow under one name cannot both move the cursor: the loser's transaction finds it moved, or moved
//! under a later epoch than its own, and must roll back. Not here: events that are not money.

mod ended;
pub mod parked;

use diesel::sql_types::{BigInt, Binary, Integer, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::bind::{Arg, statement};
use crate::forks::Lines;
use crate::store::{StoreError, rows};
use crate::{Dropped, JournalId, Refusal};
pub use ended::Ended;

/// A stretch of a journal: every record after `from`, up to `upto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Whose books.
    pub journal: JournalId,
    /// The line of history that the head is on, and so the cursor.
    pub fork: Uuid,
    /// The last seq before it.
    pub from: i64,
    /// Its last seq.
    pub upto: i64,
}

impl Span {
    /// How many records it has.
    #[must_use]
    pub fn len(&self) -> i64 {
        self.upto.saturating_sub(self.from).max(0)
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.upto <= self.from
    }

    /// Its first `limit` records.
    #[must_use]
    pub fn first(self, limit: i64) -> Self {
        Self { upto: self.upto.min(self.from.saturating_add(limit)), ..self }
    }
}

/// The records of a span.
#[derive(Debug, Clone)]
pub struct Page {
    /// Which.
    pub span: Span,
    /// Each of them, in seq order.
    pub entries: Vec<Entry>,
    /// Their companions, in seq order.
    pub companions: Vec<Written>,
    /// The holds that time ended in them, in seq order.
    pub ended: Vec<Ended>,
    /// Under which fork each was written: not always the span's, which is the head's.
    pub lines: Lines,
}

/// A record as followers are told of it: all but its transfers, which none of them has needed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub seq: i64,
    /// The transaction's or the account's public id.
    pub id: Uuid,
    /// When it was decided, microseconds since 1970.
    pub recorded_us: i64,
    /// When it counts.
    pub effective_us: i64,
    /// What it says.
    pub said: Said,
    /// The request's canonical metadata.
    pub meta: Vec<u8>,
}

/// What a record says to a follower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A transaction was posted.
    Posted {
        /// Without these of its optional groups.
        dropped: Vec<Dropped>,
    },
    /// A request was refused by an account's state.
    Refused {
        /// Why.
        refusal: Refusal,
    },
    /// What time brought about on an account: see [`Page::ended`] for its holds.
    Due,
    /// An account was opened or frozen, or a clock moved.
    Other,
}

/// A companion as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The record it belongs to.
    pub seq: i64,
    /// Its kind.
    pub kind: i32,
    /// Its key.
    pub key: Uuid,
    /// Its bytes.
    pub body: Vec<u8>,
}

/// What lies between this follower's cursor and the head: empty when it has seen all, none when there are no such books.
///
/// # Errors
/// [`StoreError::Corrupt`] when the cursor stands on another line of history than the books: what the follower did after
/// the point they were restored from is for people to sort out.
pub fn ahead(conn: &mut PgConnection, name: &str, journal: JournalId) -> Result<Option<Span>, StoreError> {
    const CURSOR: &str = "INSERT INTO journal.follower (journal, name, fork) SELECT journal, ?, fork FROM journal.head \
        WHERE journal = ? ON CONFLICT DO NOTHING";
    const READ: &str = "SELECT f.seq, h.seq, h.fork, f.fork FROM journal.follower f JOIN journal.head h ON h.journal = f.journal \
        WHERE f.journal = ? AND f.name = ?";
    let args = [Arg::Int(journal.0), Arg::Text(name)];
    let read = |conn: &mut PgConnection| {
        statement::<(BigInt, BigInt, SqlUuid, SqlUuid)>(READ, &args).load::<(i64, i64, Uuid, Uuid)>(conn)
    };
    let mut found = read(conn)?;
    if found.is_empty() {
        statement::<()>(CURSOR, &[Arg::Text(name), Arg::Int(journal.0)]).execute(conn)?;
        found = read(conn)?;
    }
    let Some((from, upto, fork, followed)) = found.into_iter().next() else { return Ok(None) };
    if followed != fork {
        return Err(StoreError::Corrupt { journal: journal.0, seq: from, what: "a cursor stands on another fork" });
    }
    Ok(Some(Span { journal, fork, from, upto }))
}

/// The journals that have records which this follower has not taken, in order.
///
/// # Errors
/// [`StoreError`].
pub fn behind(conn: &mut PgConnection, name: &str) -> Result<Vec<JournalId>, StoreError> {
    const TEXT: &str = "SELECT h.journal FROM journal.head h LEFT JOIN journal.follower f \
        ON f.journal = h.journal AND f.name = ? WHERE h.seq > coalesce(f.seq, 0) ORDER BY h.journal";
    let all = statement::<(BigInt,)>(TEXT, &[Arg::Text(name)]).load::<(i64,)>(conn)?;
    Ok(all.into_iter().map(|(journal,)| JournalId(journal)).collect())
}

/// The records of a span that lies before the head.
///
/// # Errors
/// [`StoreError`].
pub fn page(conn: &mut PgConnection, span: Span) -> Result<Page, StoreError> {
    let first = span.from.saturating_add(1);
    let entries = rows::entries(conn, span.journal, first, span.upto)?;
    let companions = companions(conn, span.journal, first, span.upto)?;
    let ended = ended::ended(conn, span.journal, &entries)?;
    let lines = Lines::read(conn, span.journal, span.fork)?;
    Ok(Page { span, entries, companions, ended, lines })
}

/// Moves the cursor past a span under the epoch this node leads by, inside the caller's transaction. False when another
/// node has moved it, or moved it under a later epoch: roll back (JOURNAL 31).
///
/// # Errors
/// [`StoreError`].
pub fn advance(conn: &mut PgConnection, name: &str, span: Span, epoch: i64) -> Result<bool, StoreError> {
    const TEXT: &str = "UPDATE journal.follower SET seq = ?, epoch = ? \
        WHERE journal = ? AND name = ? AND seq = ? AND fork = ? AND epoch <= ?";
    let (journal, from, upto) = (Arg::Int(span.journal.0), Arg::Int(span.from), Arg::Int(span.upto));
    let args = [upto, Arg::Int(epoch), journal, Arg::Text(name), from, Arg::Uuid(span.fork), Arg::Int(epoch)];
    Ok(statement::<()>(TEXT, &args).execute(conn)? == 1)
}

pub(crate) fn companions(
    conn: &mut PgConnection,
    journal: JournalId,
    first: i64,
    last: i64,
) -> Result<Vec<Written>, StoreError> {
    const TEXT: &str = "SELECT seq, kind, key, body FROM journal.companion WHERE journal = ? AND seq BETWEEN ? AND ? \
        ORDER BY seq, place";
    let args = [Arg::Int(journal.0), Arg::Int(first), Arg::Int(last)];
    let rows = statement::<(BigInt, Integer, SqlUuid, Binary)>(TEXT, &args).load::<(i64, i32, Uuid, Vec<u8>)>(conn)?;
    Ok(rows.into_iter().map(|(seq, kind, key, body)| Written { seq, kind, key, body }).collect())
}
