//! The lease of a slot, and the sessions of whoever held it before.

use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Integer, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{Connection, PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::StoreError;
use crate::bind::{Arg, statement};

/// A database session, by what PostgreSQL knows it by: a pid alone may be another's by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) pid: i32,
    pub(crate) started: DateTime<Utc>,
}

/// What came of asking for the lease.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It is ours, under this epoch; these sessions were the former holder's.
    Taken { epoch: i64, former: Vec<Session>, database_us: i64 },
    /// Somebody holds it.
    HeldBy { address: String },
}

/// The session of this connection.
pub(crate) fn own_session(conn: &mut PgConnection) -> Result<Session, StoreError> {
    let text = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    let rows = statement::<(Integer, Timestamptz)>(text, &[]).load::<(i32, DateTime<Utc>)>(conn)?;
    let found = rows.first().map(|(pid, started)| Session { pid: *pid, started: *started });
    found.ok_or(StoreError::Database(diesel::result::Error::NotFound))
}

type LeaseRow = (SqlUuid, Text, BigInt, Bool, Array<Integer>, Array<Timestamptz>);
type LeaseValues = (Uuid, String, i64, bool, Vec<i32>, Vec<DateTime<Utc>>);

/// Takes the lease of a slot if it is free, expired or already this holder's, raising its epoch.
pub(crate) fn ask(
    conn: &mut PgConnection,
    slot: i32,
    holder: Uuid,
    address: &str,
    sessions: &[Session],
    ttl_ms: i64,
) -> Result<Asked, StoreError> {
    const READ: &str = "SELECT holder, address, epoch, expires_at > clock_timestamp(), session_pids, session_starts \
        FROM journal.lease WHERE slot = ? FOR UPDATE";
    const FIRST: &str = "INSERT INTO journal.lease (slot, holder, address, epoch, expires_at, session_pids, session_starts) \
        VALUES (?, ?, '', 0, '-infinity', '{}', '{}') ON CONFLICT DO NOTHING";
    const TAKE: &str = "UPDATE journal.lease SET holder = ?, address = ?, epoch = epoch + 1, \
        expires_at = clock_timestamp() + ? * interval '1 millisecond', session_pids = ?, session_starts = ? \
        WHERE slot = ? RETURNING epoch, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    statement::<()>(FIRST, &[Arg::Int4(slot), Arg::Uuid(holder)]).execute(conn)?;
    conn.transaction(|conn| {
        let rows = statement::<LeaseRow>(READ, &[Arg::Int4(slot)]).load::<LeaseValues>(conn)?;
        let lease = rows.into_iter().next().ok_or(diesel::result::Error::NotFound)?;
        let (held_by, held_at, _, alive, pids, starts) = lease;
        if alive && held_by != holder {
            return Ok(Asked::HeldBy { address: held_at });
        }
        let own_pids: Vec<i32> = sessions.iter().map(|session| session.pid).collect();
        let own_starts: Vec<DateTime<Utc>> = sessions.iter().map(|session| session.started).collect();
        let args = [
            Arg::Uuid(holder),
            Arg::Text(address),
            Arg::Int(ttl_ms),
            Arg::Int4s(&own_pids),
            Arg::Times(&own_starts),
            Arg::Int4(slot),
        ];
        let taken = statement::<(BigInt, BigInt)>(TAKE, &args).load::<(i64, i64)>(conn)?;
        let (epoch, database_us) = taken.first().copied().ok_or(diesel::result::Error::NotFound)?;
        let former = pids.into_iter().zip(starts).map(|(pid, started)| Session { pid, started }).collect();
        Ok(Asked::Taken { epoch, former, database_us })
    })
}

/// The address of whoever holds the lease of a slot, if somebody does.
pub(crate) fn holder(conn: &mut PgConnection, slot: i32) -> Result<Option<String>, StoreError> {
    const TEXT: &str = "SELECT address FROM journal.lease WHERE slot = ? AND expires_at > clock_timestamp()";
    let rows = statement::<(Text,)>(TEXT, &[Arg::Int4(slot)]).load::<(String,)>(conn)?;
    Ok(rows.into_iter().next().map(|(address,)| address))
}

/// Renews the lease and tells the database's time in microseconds; none when it is no longer ours.
pub(crate) fn renew(
    conn: &mut PgConnection,
    slot: i32,
    holder: Uuid,
    epoch: i64,
    ttl_ms: i64,
) -> Result<Option<i64>, StoreError> {
    const TEXT: &str = "UPDATE journal.lease SET expires_at = clock_timestamp() + ? * interval '1 millisecond' \
        WHERE slot = ? AND holder = ? AND epoch = ? RETURNING (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let args = [Arg::Int(ttl_ms), Arg::Int4(slot), Arg::Uuid(holder), Arg::Int(epoch)];
    let rows = statement::<(BigInt,)>(TEXT, &args).load::<(i64,)>(conn)?;
    Ok(rows.first().map(|(us,)| *us))
}

/// Gives the lease up, so that the next node need not wait for it to run out.
pub(crate) fn release(conn: &mut PgConnection, slot: i32, holder: Uuid, epoch: i64) -> Result<(), StoreError> {
    const TEXT: &str =
        "UPDATE journal.lease SET expires_at = clock_timestamp() WHERE slot = ? AND holder = ? AND epoch = ?";
    statement::<()>(TEXT, &[Arg::Int4(slot), Arg::Uuid(holder), Arg::Int(epoch)]).execute(conn)?;
    Ok(())
}

/// Ends the former holder's sessions and waits, each up to a second, until they are gone: what they had not committed
/// is then rolled back, what they had is visible.
pub(crate) fn terminate(conn: &mut PgConnection, sessions: &[Session]) -> Result<(), StoreError> {
    const TEXT: &str = "SELECT pg_terminate_backend(a.pid, 1000) FROM unnest(?, ?) AS q(pid, started) \
        CROSS JOIN LATERAL (SELECT pid FROM pg_stat_activity WHERE pid = q.pid AND backend_start = q.started \
        AND pid <> pg_backend_pid() LIMIT 1) a";
    let pids: Vec<i32> = sessions.iter().map(|session| session.pid).collect();
    let starts: Vec<DateTime<Utc>> = sessions.iter().map(|session| session.started).collect();
    statement::<(Bool,)>(TEXT, &[Arg::Int4s(&pids), Arg::Times(&starts)]).load::<(bool,)>(conn)?;
    Ok(())
}

/// Raises the epoch in every head and watermark of the slot: from here on nothing decided under an older one commits.
pub(crate) fn raise_epochs(conn: &mut PgConnection, epoch: i64) -> Result<(), StoreError> {
    let args = [Arg::Int(epoch), Arg::Int(epoch)];
    conn.transaction(|conn| {
        statement::<()>("UPDATE journal.head SET epoch = ? WHERE epoch < ?", &args).execute(conn)?;
        statement::<()>("UPDATE journal.watermark SET epoch = ? WHERE epoch < ?", &args).execute(conn)?;
        Ok(())
    })
}
