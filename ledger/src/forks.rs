//! Lines of history: what a restore ends, and what it begins.
//!
//! A record is named by (journal, fork, seq), and its hash has all three. Whoever restores books from a backup may have
//! told the world of records that they no longer have, and the same seqs will be written again with other contents:
//! under a new fork, so that the two can never be taken for each other. [`begin`] ends a line at the head and begins the
//! next one; [`Lines`] says under which fork a seq was written; [`compare`] says what is missing against a head that was
//! once known. Not here: where known heads are kept, and who may say that a loss is accepted.

use diesel::sql_types::{BigInt, Binary, Text, Uuid as SqlUuid};
use diesel::{Connection, PgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::JournalId;
use crate::bind::{Arg, statement};
use crate::store::{self, StoreError};

/// A head as it was once seen: enough to tell later whether books still hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Whose books.
    pub journal: JournalId,
    /// Their line of history.
    pub fork: Uuid,
    /// The last seq committed.
    pub seq: i64,
    /// The digest of the batch that ended there; empty when there was none.
    pub digest: Vec<u8>,
}

/// What books have of a head that was once known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// They hold it.
    Whole,
    /// The last seqs are gone: `first` to `last`, of the known fork.
    Lost {
        /// The first lost seq.
        first: i64,
        /// The last one known; there may have been more.
        last: i64,
    },
    /// The known head stands on a line that these books have never been on.
    UnknownLine,
    /// They hold something else at that seq: these are other books.
    Differs,
}

/// Under which fork each seq of a journal was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// Lines that ended, oldest first, with their last seq.
    former: Vec<(Uuid, i64)>,
    now: Uuid,
}

impl Lines {
    /// Reads the lines of a journal whose head is on `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read(conn: &mut PgConnection, journal: JournalId, now: Uuid) -> Result<Self, StoreError> {
        const TEXT: &str = "SELECT fork, last_seq FROM journal.former_fork WHERE journal = ? ORDER BY place";
        let former = statement::<(SqlUuid, BigInt)>(TEXT, &[Arg::Int(journal.0)]).load::<(Uuid, i64)>(conn)?;
        Ok(Self { former, now })
    }

    /// The lines of books that were never restored.
    #[must_use]
    pub fn only(fork: Uuid) -> Self {
        Self { former: Vec::new(), now: fork }
    }

    /// Lines that ended, oldest first, each with its last seq.
    #[must_use]
    pub fn former(&self) -> &[(Uuid, i64)] {
        &self.former
    }

    /// The fork under which `seq` was written, or will be.
    #[must_use]
    pub fn of(&self, seq: i64) -> Uuid {
        self.former.iter().find(|(_, last)| seq <= *last).map_or(self.now, |(fork, _)| *fork)
    }

    /// The last seq of a line that ended.
    pub(crate) fn end_of(&self, fork: Uuid) -> Option<i64> {
        self.former.iter().find(|(former, _)| *former == fork).map(|(_, last)| *last)
    }
}

/// The heads of all journals, by number, to be kept elsewhere.
///
/// # Errors
/// [`StoreError`].
pub fn known_heads(conn: &mut PgConnection) -> Result<Vec<Known>, StoreError> {
    const TEXT: &str = "SELECT journal, fork, seq, digest FROM journal.head ORDER BY journal";
    type Row = (BigInt, SqlUuid, BigInt, Binary);
    let rows = statement::<Row>(TEXT, &[]).load::<(i64, Uuid, i64, Vec<u8>)>(conn)?;
    let known = |(journal, fork, seq, digest)| Known { journal: JournalId(journal), fork, seq, digest };
    Ok(rows.into_iter().map(known).collect())
}

/// Says what the books have of a head that was once known.
///
/// # Errors
/// [`StoreError`].
pub fn compare(conn: &mut PgConnection, known: &Known) -> Result<Comparison, StoreError> {
    let Some(head) = store::head(conn, known.journal)? else {
        let lost = Comparison::Lost { first: 1, last: known.seq };
        return Ok(if known.seq == 0 { Comparison::Whole } else { lost });
    };
    let lines = Lines::read(conn, known.journal, head.fork)?;
    let end = match lines.end_of(known.fork) {
        _ if known.fork == head.fork => head.seq,
        // A loss beyond the end of a former line was found, and accepted, when that line ended.
        Some(end) if known.seq > end => return Ok(Comparison::Whole),
        Some(end) => end,
        None => return Ok(Comparison::UnknownLine),
    };
    if known.seq > end {
        return Ok(Comparison::Lost { first: end.saturating_add(1), last: known.seq });
    }
    let digest = if known.seq == 0 { Some(Vec::new()) } else { digest_at(conn, known.journal, known.seq)? };
    Ok(if digest.as_ref() == Some(&known.digest) { Comparison::Whole } else { Comparison::Differs })
}

fn digest_at(conn: &mut PgConnection, journal: JournalId, seq: i64) -> Result<Option<Vec<u8>>, StoreError> {
    const TEXT: &str = "SELECT digest FROM journal.batch WHERE journal = ? AND last_seq = ?";
    let rows = statement::<(Binary,)>(TEXT, &[Arg::Int(journal.0), Arg::Int(seq)]).load::<(Vec<u8>,)>(conn)?;
    Ok(rows.into_iter().next().map(|(digest,)| digest))
}

/// Ends a journal's line of history at its head and begins another one under `fork`, with every follower's cursor moved
/// to it where it stands; `finding` says in words what the restore lost. Needs the owner of the tables. The seq is
/// answered at which the old line ended.
///
/// # Errors
/// [`StoreError`]; a journal without a head is [`diesel::result::Error::NotFound`].
pub fn begin(conn: &mut PgConnection, journal: JournalId, fork: Uuid, finding: &str) -> Result<i64, StoreError> {
    const END: &str = "INSERT INTO journal.former_fork (journal, place, fork, last_seq) \
        SELECT h.journal, 1 + (SELECT count(*) FROM journal.former_fork f WHERE f.journal = h.journal)::int, h.fork, h.seq \
        FROM journal.head h WHERE h.journal = ? RETURNING last_seq";
    const HEAD: &str = "UPDATE journal.head SET fork = ? WHERE journal = ?";
    const CURSORS: &str = "UPDATE journal.follower SET fork = ? WHERE journal = ?";
    let both = [Arg::Uuid(fork), Arg::Int(journal.0)];
    conn.transaction(|conn| {
        let ended = statement::<(BigInt,)>(END, &[Arg::Int(journal.0)]).load::<(i64,)>(conn)?;
        let (seq,) = ended.into_iter().next().ok_or(diesel::result::Error::NotFound)?;
        statement::<()>(HEAD, &both).execute(conn)?;
        statement::<()>(CURSORS, &both).execute(conn)?;
        note(conn, journal, fork, seq, finding)?;
        Ok(seq)
    })
}

/// Notes what a restore came to, for [`unaccepted`]: also of books that it did not bring back at all.
///
/// # Errors
/// [`StoreError`].
pub fn note(
    conn: &mut PgConnection,
    journal: JournalId,
    fork: Uuid,
    seq: i64,
    finding: &str,
) -> Result<(), StoreError> {
    const TEXT: &str = "INSERT INTO journal.restored (journal, fork, seq, finding) VALUES (?, ?, ?, ?)";
    let args = [Arg::Int(journal.0), Arg::Uuid(fork), Arg::Int(seq), Arg::Text(finding)];
    statement::<()>(TEXT, &args).execute(conn)?;
    Ok(())
}

/// The restores that nobody has accepted yet, each with its finding. While there is one, no node may lead.
///
/// # Errors
/// [`StoreError`].
pub fn unaccepted(conn: &mut PgConnection) -> Result<Vec<(JournalId, String)>, StoreError> {
    const TEXT: &str = "SELECT journal, finding FROM journal.restored WHERE accepted_at IS NULL ORDER BY journal";
    let rows = statement::<(BigInt, Text)>(TEXT, &[]).load::<(i64, String)>(conn)?;
    Ok(rows.into_iter().map(|(journal, finding)| (JournalId(journal), finding)).collect())
}

/// Accepts every restore so far, losses included, and says how many there were. Needs the owner of the tables. Books that
/// still stand on the line they were brought in from leave it here: elsewhere that line goes on.
///
/// # Errors
/// [`StoreError`].
pub fn accept(conn: &mut PgConnection) -> Result<usize, StoreError> {
    const FORMER: &str = "INSERT INTO journal.former_fork (journal, place, fork, last_seq) \
        SELECT h.journal, 1 + (SELECT count(*)::int FROM journal.former_fork f WHERE f.journal = h.journal), h.fork, h.seq \
        FROM journal.restored r JOIN journal.head h ON h.journal = r.journal WHERE r.accepted_at IS NULL AND h.fork <> r.fork";
    const HEAD: &str = "UPDATE journal.head h SET fork = r.fork FROM journal.restored r \
        WHERE h.journal = r.journal AND r.accepted_at IS NULL AND h.fork <> r.fork";
    const CURSORS: &str = "UPDATE journal.follower f SET fork = r.fork FROM journal.restored r \
        WHERE f.journal = r.journal AND r.accepted_at IS NULL AND f.fork <> r.fork";
    const ACCEPT: &str = "UPDATE journal.restored SET accepted_at = clock_timestamp() WHERE accepted_at IS NULL";
    conn.transaction(|conn| {
        for text in [FORMER, HEAD, CURSORS] {
            statement::<()>(text, &[]).execute(conn)?;
        }
        Ok(statement::<()>(ACCEPT, &[]).execute(conn)?)
    })
}

/// Whether a restore of this journal is not accepted: nobody may lead it then.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn is_unaccepted(conn: &mut PgConnection, journal: JournalId) -> Result<bool, StoreError> {
    const TEXT: &str = "SELECT journal FROM journal.restored WHERE journal = ? AND accepted_at IS NULL LIMIT 1";
    Ok(!statement::<(BigInt,)>(TEXT, &[Arg::Int(journal.0)]).load::<(i64,)>(conn)?.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seq_belongs_to_the_first_line_that_reached_it() {
        let fork = Uuid::from_u128;
        let lines = Lines { former: vec![(fork(1), 5), (fork(2), 5), (fork(3), 9)], now: fork(4) };
        let forks = [1, 5, 6, 9, 10].map(|seq| lines.of(seq));
        assert_eq!(forks, [fork(1), fork(1), fork(3), fork(3), fork(4)]);
        assert_eq!(lines.end_of(fork(2)), Some(5));
        assert_eq!(lines.end_of(fork(4)), None);
        assert_eq!(Lines::only(fork(7)).of(1), fork(7));
    }
}
