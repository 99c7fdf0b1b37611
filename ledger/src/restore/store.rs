//! SQL of a restore: how it begins and ends, which needs the owner of the tables, and what it asks on the way.

use diesel::sql_types::{BigInt, Bool, Uuid as SqlUuid};
use diesel::{Connection, PgConnection, QueryResult, RunQueryDsl};
use uuid::Uuid;

use super::Source;
use crate::JournalId;
use crate::bind::{Arg, statement};
use crate::store::StoreError;

/// A restore that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begun {
    /// The line of history that begins when all of it is there.
    pub(super) next_fork: Uuid,
    /// Nodes may lead these books.
    pub(super) accepted: bool,
}

/// The restore into these books of an export that ends where this one does, if one was begun.
pub(super) fn begun(conn: &mut PgConnection, source: &Source) -> Result<Option<Begun>, StoreError> {
    const TEXT: &str = "SELECT fork, accepted_at IS NOT NULL FROM journal.restored \
        WHERE journal = ? AND seq = ? AND finding = ?";
    let finding = finding(source);
    let args = [Arg::Int(source.journal.0), Arg::Int(source.head), Arg::Text(&finding)];
    let rows = statement::<(SqlUuid, Bool)>(TEXT, &args).load::<(Uuid, bool)>(conn)?;
    Ok(rows.into_iter().next().map(|(next_fork, accepted)| Begun { next_fork, accepted }))
}

/// Makes empty books those of the export: line of history, former lines, assets with their numbers. From here on until
/// [`end`], no node leads them. False when they are not empty.
pub(super) fn begin(conn: &mut PgConnection, source: &Source, next_fork: Uuid) -> Result<bool, StoreError> {
    const HEAD: &str = "UPDATE journal.head SET fork = ?, version = ? WHERE journal = ? AND seq = 0";
    const CURSORS: &str = "UPDATE journal.follower SET fork = ? WHERE journal = ?";
    // No record refers to them yet; what another export left, of which nothing was posted, is nobody's any more.
    const FORGET: [&str; 3] = [
        "DELETE FROM journal.asset WHERE journal = ?",
        "DELETE FROM journal.former_fork WHERE journal = ?",
        "DELETE FROM journal.restored WHERE journal = ? AND accepted_at IS NULL",
    ];
    const ASSET: &str = "INSERT INTO journal.asset (journal, id, code, scale) VALUES (?, ?, ?, ?::int4::int2)";
    const FORMER: &str = "INSERT INTO journal.former_fork (journal, place, fork, last_seq) VALUES (?, ?, ?, ?)";
    const NOTE: &str = "INSERT INTO journal.restored (journal, fork, seq, finding) VALUES (?, ?, ?, ?)";
    let journal = Arg::Int(source.journal.0);
    conn.transaction(|conn| {
        let head = [Arg::Uuid(source.fork), Arg::Int4(source.version), journal];
        if statement::<()>(HEAD, &head).execute(conn)? == 0 {
            return Ok(false);
        }
        statement::<()>(CURSORS, &[Arg::Uuid(source.fork), journal]).execute(conn)?;
        for text in FORGET {
            statement::<()>(text, &[journal]).execute(conn)?;
        }
        for asset in &source.assets {
            let args = [journal, Arg::Int4(asset.id.0), Arg::Text(&asset.code), Arg::Int4(i32::from(asset.scale))];
            statement::<()>(ASSET, &args).execute(conn)?;
        }
        for (place, (fork, last_seq)) in (1..).zip(&source.former) {
            let args = [journal, Arg::Int4(place), Arg::Uuid(*fork), Arg::Int(*last_seq)];
            statement::<()>(FORMER, &args).execute(conn)?;
        }
        let finding = finding(source);
        let note = [journal, Arg::Uuid(next_fork), Arg::Int(source.head), Arg::Text(&finding)];
        statement::<()>(NOTE, &note).execute(conn)?;
        Ok(true)
    })
}

/// Ends the export's line of history at its last seq and begins the next one, which nodes may lead. Done again it changes
/// nothing.
pub(super) fn end(conn: &mut PgConnection, source: &Source, next_fork: Uuid) -> Result<(), StoreError> {
    const FORMER: &str = "INSERT INTO journal.former_fork (journal, place, fork, last_seq) \
        SELECT ?, 1 + count(*)::int, ?, ? FROM journal.former_fork WHERE journal = ?";
    const HEAD: &str = "UPDATE journal.head SET fork = ? WHERE journal = ? AND fork = ? AND seq = ?";
    const CURSORS: &str = "UPDATE journal.follower SET fork = ? WHERE journal = ?";
    const ACCEPT: &str = "UPDATE journal.restored SET accepted_at = clock_timestamp() WHERE journal = ? AND fork = ? AND accepted_at IS NULL";
    let (journal, next) = (Arg::Int(source.journal.0), Arg::Uuid(next_fork));
    conn.transaction(|conn| {
        let moved = [next, journal, Arg::Uuid(source.fork), Arg::Int(source.head)];
        if statement::<()>(HEAD, &moved).execute(conn)? == 1 {
            let former = [journal, Arg::Uuid(source.fork), Arg::Int(source.head), journal];
            statement::<()>(FORMER, &former).execute(conn)?;
            statement::<()>(CURSORS, &[next, journal]).execute(conn)?;
        }
        statement::<()>(ACCEPT, &[journal, next]).execute(conn)?;
        Ok(())
    })
}

/// What is noted of a restore, in words. Names the export, so that another one does not go on with it.
fn finding(source: &Source) -> String {
    format!(
        "an export of line {} up to seq {} is being brought in: import it again to the end",
        source.fork, source.head
    )
}

/// Puts the head on a later version of the rules, inside the transaction of the first batch of it.
pub(super) fn raise_version(conn: &mut PgConnection, journal: JournalId, epoch: i64, version: i32) -> QueryResult<()> {
    const TEXT: &str = "UPDATE journal.head SET version = ? WHERE journal = ? AND epoch = ? AND version < ?";
    let args = [Arg::Int4(version), Arg::Int(journal.0), Arg::Int(epoch), Arg::Int4(version)];
    statement::<()>(TEXT, &args).execute(conn).map(|_| ())
}

/// The last seq of a former line of history.
pub(super) fn former_end(conn: &mut PgConnection, journal: JournalId, fork: Uuid) -> Result<Option<i64>, StoreError> {
    const TEXT: &str = "SELECT last_seq FROM journal.former_fork WHERE journal = ? AND fork = ?";
    let rows = statement::<(BigInt,)>(TEXT, &[Arg::Int(journal.0), Arg::Uuid(fork)]).load::<(i64,)>(conn)?;
    Ok(rows.into_iter().next().map(|(seq,)| seq))
}
