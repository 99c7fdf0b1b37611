//! Reading the journal: balances at any seq or date, statements, trial balances, records, companions. SQL on committed
//! rows, right on every node.
//!
//! Every answer that matters carries the seq it was true at, and what lies before a seq never changes: a head is read
//! first, then everything as of it. Where the rows of an account are is written down by range and, for ranges that are
//! not closed, known by heart ([`History`](crate::History)). Two axes: *recorded* is when the journal wrote a row, *effective* when
//! it counts. Not here: who may read what.

pub mod accounts;
mod dated;
mod dues;
mod holds;
mod links;
mod lots;
mod places;
pub mod records;
mod snapshot;
mod standing;
mod statement;
mod trial;
pub mod unspent;
mod until;
pub mod whole;

use diesel::sql_types::{BigInt, Binary, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::bind::{Arg, statement as sql};
use crate::follow::Written;
use crate::store::{self, Head, StoreError};
use crate::{JournalId, Key, Record};

pub use crate::store::assets_of;
pub(crate) use dated::{DATED, follow as follow_dated};
pub use holds::{HoldFilter, HoldStanding, hold_standing, holds};
pub use links::{HoldAt, LinkAt, hold, links};
pub use lots::{LotFilter, LotPage, LotStanding, lots};
pub use snapshot::{BEGIN_SNAPSHOT, begin, in_snapshot};
pub use standing::{At, Balance, BalanceAt, balance_at, balances, free_at, seq_at};
pub use statement::{Entries, Entry, Statement, Window, statement, statement_of, statement_within, window};
pub use trial::{AssetTotal, TrialBalance, trial_balance};
pub use until::Until;

/// Why a question about accounts has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The rows could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There are no such books.
    #[error("there are no books of journal {}", .0.0)]
    UnknownJournal(JournalId),
    /// There is no such account: not one that never moved, which stands at zero.
    #[error("there is no account {0}")]
    UnknownAccount(Uuid),
    /// Its time was over: see [`Until`].
    #[error("the reading's time was over")]
    Deadline,
}

impl From<diesel::result::Error> for ReadError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

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
    let rows = sql::<Row>(TEXT, &[]).load::<(i64, i64, Uuid, i64, i64, i64)>(conn)?;
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

/// Of each key whether a record answers it, whatever it was used for.
///
/// # Errors
/// [`StoreError`].
pub fn are_answered(conn: &mut PgConnection, journal: JournalId, keys: &[Key]) -> Result<Vec<bool>, StoreError> {
    let mut answered = vec![false; keys.len()];
    for used in store::used_keys(conn, journal, keys)? {
        if let Some(is_answered) = answered.get_mut(used.place) {
            *is_answered = true;
        }
    }
    Ok(answered)
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
    let rows = sql::<(BigInt, Binary)>(TEXT, &args).load::<(i64, Vec<u8>)>(conn)?;
    Ok(rows.into_iter().next().map(|(seq, body)| Written { seq, kind, key, body }))
}
