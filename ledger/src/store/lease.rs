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

/// Takes the lease of a slot if it is free, expired or already this holder's, under an epoch that no slot had before:
/// also while the number of slots changes, no two terms have the same.
pub(crate) fn ask(
    conn: &mut PgConnection,
    slot: i32,
    holder: Uuid,
    address: &str,
    sessions: &[Session],
    ttl_ms: i64,
) -> Result<Asked, StoreError> {
    // All rows, because the epoch comes from all of them: it is decided by one at a time. From the heads too: the lease
    // of a slot that is no more is gone, the epoch it left in the heads is not.
    const LOCK: &str = "SELECT slot FROM journal.lease ORDER BY slot FOR UPDATE";
    const READ: &str = "SELECT holder, address, epoch, expires_at > clock_timestamp(), session_pids, session_starts \
        FROM journal.lease WHERE slot = ?";
    const TAKE: &str = "UPDATE journal.lease SET holder = ?, address = ?, \
        epoch = 1 + greatest((SELECT max(epoch) FROM journal.lease), (SELECT max(epoch) FROM journal.head)), \
        expires_at = clock_timestamp() + ? * interval '1 millisecond', session_pids = ?, session_starts = ? \
        WHERE slot = ? RETURNING epoch, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    conn.transaction(|conn| {
        statement::<(Integer,)>(LOCK, &[]).load::<(i32,)>(conn)?;
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

/// Who leads a slot.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) id: Uuid,
    pub(crate) address: String,
}

/// Of every slot, in order, who leads it, if somebody does.
pub(crate) fn holders(conn: &mut PgConnection) -> Result<Vec<Option<Holder>>, StoreError> {
    const TEXT: &str = "SELECT holder, address, expires_at > clock_timestamp() FROM journal.lease ORDER BY slot";
    let rows = statement::<(SqlUuid, Text, Bool)>(TEXT, &[]).load::<(Uuid, String, bool)>(conn)?;
    Ok(rows.into_iter().map(|(id, address, holds)| holds.then_some(Holder { id, address })).collect())
}

/// Says that this node would lead, and tells how many were seen within `ttl_ms`.
pub(crate) fn attend(conn: &mut PgConnection, holder: Uuid, address: &str, ttl_ms: i64) -> Result<usize, StoreError> {
    const SEEN: &str = "INSERT INTO journal.node (holder, address, seen_at) VALUES (?, ?, clock_timestamp()) \
        ON CONFLICT (holder) DO UPDATE SET seen_at = excluded.seen_at";
    // A node comes back under another name: what is long gone never does.
    const FORGET: &str = "DELETE FROM journal.node WHERE seen_at < clock_timestamp() - interval '1 day'";
    const COUNT: &str =
        "SELECT count(*) FROM journal.node WHERE seen_at > clock_timestamp() - ? * interval '1 millisecond'";
    statement::<()>(SEEN, &[Arg::Uuid(holder), Arg::Text(address)]).execute(conn)?;
    statement::<()>(FORGET, &[]).execute(conn)?;
    let rows = statement::<(BigInt,)>(COUNT, &[Arg::Int(ttl_ms)]).load::<(i64,)>(conn)?;
    Ok(rows.first().and_then(|(count,)| usize::try_from(*count).ok()).unwrap_or(1))
}

/// Says that this node leads no more.
pub(crate) fn leave(conn: &mut PgConnection, holder: Uuid) -> Result<(), StoreError> {
    statement::<()>("DELETE FROM journal.node WHERE holder = ?", &[Arg::Uuid(holder)]).execute(conn)?;
    Ok(())
}

/// Makes this many slots, as the owner of the database. Nodes that run see it within a second: they give up what they
/// lead and begin anew, and nothing that was acknowledged is touched.
///
/// # Errors
/// [`StoreError`].
pub fn set_slots(conn: &mut PgConnection, slots: i32) -> Result<(), StoreError> {
    const ADD: &str = "INSERT INTO journal.lease (slot, holder, address, epoch, expires_at, session_pids, session_starts) \
        SELECT slot, gen_random_uuid(), '', 0, '-infinity', '{}', '{}' FROM generate_series(0, ? - 1) AS slot \
        ON CONFLICT DO NOTHING";
    // Every renewal waits for these rows: nobody who is cut off here may keep them.
    const BRIEFLY: &str = "SELECT set_config('lock_timeout', '5s', true), \
        set_config('idle_in_transaction_session_timeout', '2s', true)";
    const REMOVE: &str = "DELETE FROM journal.lease WHERE slot >= ?";
    conn.transaction(|conn| {
        statement::<(Text, Text)>(BRIEFLY, &[]).load::<(String, String)>(conn)?;
        statement::<(Integer,)>("SELECT slot FROM journal.lease ORDER BY slot FOR UPDATE", &[]).load::<(i32,)>(conn)?;
        statement::<()>(ADD, &[Arg::Int4(slots)]).execute(conn)?;
        statement::<()>(REMOVE, &[Arg::Int4(slots)]).execute(conn)?;
        Ok(())
    })
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

/// Raises the epoch in the heads and watermarks of these journals: from here on nothing decided under an older one
/// commits.
pub(crate) fn raise_epochs(conn: &mut PgConnection, journals: &[i64], epoch: i64) -> Result<(), StoreError> {
    const HEADS: &str = "UPDATE journal.head SET epoch = ? WHERE journal = ANY(?) AND epoch < ?";
    const WATERMARKS: &str = "UPDATE journal.watermark SET epoch = ? WHERE journal = ANY(?) AND epoch < ?";
    let args = [Arg::Int(epoch), Arg::Ints(journals), Arg::Int(epoch)];
    conn.transaction(|conn| {
        statement::<()>(HEADS, &args).execute(conn)?;
        statement::<()>(WATERMARKS, &args).execute(conn)?;
        Ok(())
    })
}
