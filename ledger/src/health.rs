//! How the journals fare as the database sees them, for whoever watches: leases and how far followers are behind.
//!
//! What a node knows of itself is in [`Status`](crate::Status) and [`Measures`](crate::Measures). Answers are bounded,
//! however many journals there are. Not here: whether the books are right (`verify`).

use diesel::PgConnection;
use diesel::RunQueryDsl;
use diesel::sql_types::{BigInt, Integer, Text};

use crate::JournalId;
use crate::bind::{Arg, statement};
use crate::store::StoreError;

/// The lease of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Which.
    pub slot: i32,
    /// Where whoever holds it, or held it last, is reached.
    pub address: String,
    /// Under which it is led, or was last: higher than that of every term before, of any slot.
    pub epoch: i64,
    /// How long it lasts from now, milliseconds; below zero when nobody holds it any more.
    pub left_ms: i64,
}

/// How far a follower is behind in one journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// Who follows.
    pub follower: String,
    /// What.
    pub journal: JournalId,
    /// Records it has not taken yet.
    pub records: i64,
}

/// The database's clock, microseconds since 1970.
///
/// # Errors
/// [`StoreError`].
pub fn database_clock(conn: &mut PgConnection) -> Result<i64, StoreError> {
    const TEXT: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let rows = statement::<(BigInt,)>(TEXT, &[]).load::<(i64,)>(conn)?;
    Ok(rows.first().ok_or(diesel::result::Error::NotFound)?.0)
}

/// The leases of the first `most` slots.
///
/// # Errors
/// [`StoreError`].
pub fn leases(conn: &mut PgConnection, most: i64) -> Result<Vec<Lease>, StoreError> {
    // A slot nobody ever led has a lease that ended before all time: as ended as one of yesterday.
    const TEXT: &str = "SELECT slot, address, epoch, (extract(epoch FROM greatest(expires_at, \
        clock_timestamp() - interval '1 day') - clock_timestamp()) * 1000)::bigint \
        FROM journal.lease ORDER BY slot LIMIT ?";
    type Row = (Integer, Text, BigInt, BigInt);
    let rows = statement::<Row>(TEXT, &[Arg::Int(most)]).load::<(i32, String, i64, i64)>(conn)?;
    Ok(rows.into_iter().map(|(slot, address, epoch, left_ms)| Lease { slot, address, epoch, left_ms }).collect())
}

/// The `most` followers of journals that are furthest behind, furthest first.
///
/// # Errors
/// [`StoreError`].
pub fn lags(conn: &mut PgConnection, most: i64) -> Result<Vec<Lag>, StoreError> {
    const TEXT: &str = "SELECT f.name, f.journal, h.seq - f.seq FROM journal.follower f \
        JOIN journal.head h ON h.journal = f.journal ORDER BY h.seq - f.seq DESC, f.journal, f.name LIMIT ?";
    let rows = statement::<(Text, BigInt, BigInt)>(TEXT, &[Arg::Int(most)]).load::<(String, i64, i64)>(conn)?;
    let lag = |(follower, journal, records)| Lag { follower, journal: JournalId(journal), records };
    Ok(rows.into_iter().map(lag).collect())
}
