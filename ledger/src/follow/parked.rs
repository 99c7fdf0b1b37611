//! Parked records: what a follower could not read, and went past so that the others are not held up.
//!
//! Rows never change, so reading one again by the same binary gives the same: a record is parked at once, visibly, with
//! what was wrong, and read again by each node that begins to lead, which after an upgrade may be able to. It leaves the
//! table in the transaction of its effect, so that the effect still happens once. Nothing is parked for the database's
//! troubles: those pass.

use diesel::sql_types::{BigInt, Integer, Text};
use diesel::{PgConnection, RunQueryDsl};

use crate::JournalId;
use crate::bind::{Arg, statement};
use crate::store::StoreError;

/// A record that this binary cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// Its place.
    pub seq: i64,
    /// What of it.
    pub what: &'static str,
}

/// A record that waits to be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Whose books.
    pub journal: JournalId,
    /// Who could not read it.
    pub follower: String,
    /// Its place.
    pub seq: i64,
    /// What of it.
    pub what: String,
    /// How often it was tried.
    pub tries: i32,
}

/// Parks records, inside the transaction that moves the cursor past them; one that is parked already was tried once more.
///
/// # Errors
/// [`StoreError`].
pub fn park(conn: &mut PgConnection, name: &str, journal: JournalId, all: &[Unread]) -> Result<(), StoreError> {
    const TEXT: &str = "INSERT INTO journal.parked AS p (journal, follower, seq, what) VALUES (?, ?, ?, ?) \
        ON CONFLICT (journal, follower, seq) DO UPDATE SET tries = p.tries + 1, what = excluded.what";
    for Unread { seq, what } in all {
        let args = [Arg::Int(journal.0), Arg::Text(name), Arg::Int(*seq), Arg::Text(what)];
        statement::<()>(TEXT, &args).execute(conn)?;
    }
    Ok(())
}

/// Lets a record go, inside the transaction of its effect. False when another node has: roll back.
///
/// # Errors
/// [`StoreError`].
pub fn release(conn: &mut PgConnection, name: &str, journal: JournalId, seq: i64) -> Result<bool, StoreError> {
    const TEXT: &str = "DELETE FROM journal.parked WHERE journal = ? AND follower = ? AND seq = ?";
    let args = [Arg::Int(journal.0), Arg::Text(name), Arg::Int(seq)];
    Ok(statement::<()>(TEXT, &args).execute(conn)? == 1)
}

/// What a follower has parked in a journal after this seq, the first `most` of it.
///
/// # Errors
/// [`StoreError`].
pub fn of(
    conn: &mut PgConnection,
    name: &str,
    journal: JournalId,
    after: i64,
    most: i64,
) -> Result<Vec<Parked>, StoreError> {
    const TEXT: &str = "SELECT journal, follower, seq, what, tries FROM journal.parked \
        WHERE journal = ? AND follower = ? AND seq > ? ORDER BY seq LIMIT ?";
    let args = [Arg::Int(journal.0), Arg::Text(name), Arg::Int(after), Arg::Int(most)];
    load(conn, TEXT, &args)
}

/// The first `most` of everything that is parked.
///
/// # Errors
/// [`StoreError`].
pub fn all(conn: &mut PgConnection, most: i64) -> Result<Vec<Parked>, StoreError> {
    const TEXT: &str = "SELECT journal, follower, seq, what, tries FROM journal.parked \
        ORDER BY journal, follower, seq LIMIT ?";
    load(conn, TEXT, &[Arg::Int(most)])
}

fn load(conn: &mut PgConnection, text: &'static str, args: &[Arg<'_>]) -> Result<Vec<Parked>, StoreError> {
    type Row = (BigInt, Text, BigInt, Text, Integer);
    let rows = statement::<Row>(text, args).load::<(i64, String, i64, String, i32)>(conn)?;
    let parked =
        |(journal, follower, seq, what, tries)| Parked { journal: JournalId(journal), follower, seq, what, tries };
    Ok(rows.into_iter().map(parked).collect())
}

/// How many records each follower has parked.
///
/// # Errors
/// [`StoreError`].
pub fn counts(conn: &mut PgConnection) -> Result<Vec<(String, i64)>, StoreError> {
    const TEXT: &str = "SELECT f.name, (SELECT count(*) FROM journal.parked WHERE follower = f.name) \
        FROM (SELECT DISTINCT name FROM journal.follower) f ORDER BY f.name";
    Ok(statement::<(Text, BigInt)>(TEXT, &[]).load::<(String, i64)>(conn)?)
}
