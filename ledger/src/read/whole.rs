//! What an export tells beside the records: the commits they were part of, and the keys that lead to them.
//!
//! Keys are found by key, not by seq: a cursor sorts them once, so all of it is read inside one transaction.

use diesel::sql_types::{BigInt, Binary, Integer, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::bind::{Arg, statement};
use crate::store::StoreError;
use crate::{JournalId, Key, Scope};

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The first seq.
    pub first_seq: i64,
    /// The last one.
    pub last_seq: i64,
    /// The version of the rules it was decided by.
    pub version: i32,
    /// When it was decided, microseconds since 1970.
    pub recorded_us: i64,
    /// SHA-256 over the digest before, its records and their keys.
    pub digest: Vec<u8>,
}

/// The next commits that end after this seq, in order: a thousand at most, none at the end.
///
/// # Errors
/// [`StoreError`].
pub fn batches(conn: &mut PgConnection, journal: JournalId, after: i64) -> Result<Vec<Batch>, StoreError> {
    const TEXT: &str = "SELECT first_seq, last_seq, version, recorded_us, digest FROM journal.batch \
        WHERE journal = ? AND last_seq > ? ORDER BY last_seq LIMIT 1000";
    type Row = (BigInt, BigInt, Integer, BigInt, Binary);
    let args = [Arg::Int(journal.0), Arg::Int(after)];
    let rows = statement::<Row>(TEXT, &args).load::<(i64, i64, i32, i64, Vec<u8>)>(conn)?;
    let read = |(first_seq, last_seq, version, recorded_us, digest)| Batch {
        first_seq,
        last_seq,
        version,
        recorded_us,
        digest,
    };
    Ok(rows.into_iter().map(read).collect())
}

/// Begins to read the keys of the records from this seq on, in their order, for [`next_keys`]; inside a transaction.
///
/// # Errors
/// [`StoreError`].
pub fn open_keys(conn: &mut PgConnection, journal: JournalId, first: i64) -> Result<(), StoreError> {
    const TEXT: &str = "DECLARE told_keys NO SCROLL CURSOR FOR SELECT seq, scope, key, fingerprint FROM journal.key \
        WHERE journal = ? AND seq >= ? ORDER BY seq";
    statement::<()>(TEXT, &[Arg::Int(journal.0), Arg::Int(first)]).execute(conn)?;
    Ok(())
}

/// The next keys with the seqs they lead to; none at the end.
///
/// # Errors
/// [`StoreError`].
pub fn next_keys(conn: &mut PgConnection) -> Result<Vec<(i64, Key)>, StoreError> {
    type Row = (BigInt, BigInt, SqlUuid, SqlUuid);
    let rows = statement::<Row>("FETCH 8192 FROM told_keys", &[]).load::<(i64, i64, Uuid, Uuid)>(conn)?;
    let read = |(seq, scope, key, fingerprint)| (seq, Key { scope: Scope(scope), key, fingerprint });
    Ok(rows.into_iter().map(read).collect())
}
