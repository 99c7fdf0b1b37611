//! What books take on disk and in the database's log.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::sql_types::BigInt;
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use ledger::JournalId;

/// How long ranges that are full may take to be closed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Bytes so far.
#[derive(Debug, Clone, Copy, Default, QueryableByName)]
pub struct Sizes {
    /// Tables that all journals share, their indexes included, but transfers and places.
    #[diesel(sql_type = BigInt)]
    pub shared: i64,
    /// Of the database's log.
    #[diesel(sql_type = BigInt)]
    pub wal: i64,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

impl Sizes {
    /// Reads them once every full range of the journal is closed: what closing costs belongs to what was written.
    ///
    /// # Errors
    /// What the database refuses; ranges that are never closed.
    pub async fn settled(url: &str, journal: JournalId) -> anyhow::Result<Self> {
        const DUE: &str = "SELECT count(*) AS n FROM journal.part p JOIN journal.head h ON h.journal = p.journal \
            WHERE p.journal = $1 AND p.closed_at IS NULL AND p.last_seq <= h.seq";
        const SIZES: &str = "SELECT (SELECT sum(pg_total_relation_size(t.oid))::bigint FROM pg_class t \
            WHERE t.relnamespace = 'journal'::regnamespace AND t.relkind = 'r' AND t.relname !~ '^(transfer|places)') AS shared, \
            (pg_current_wal_lsn() - '0/0')::bigint AS wal";
        let conn = &mut PgConnection::establish(url)?;
        let until = Instant::now().checked_add(PATIENCE).context("no time")?;
        while sql_query(DUE).bind::<BigInt, _>(journal.0).get_result::<Count>(conn)?.n > 0 {
            anyhow::ensure!(Instant::now() < until, "a range that is full is not closed");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(sql_query(SIZES).get_result(conn)?)
    }

    /// What was added since.
    pub fn since(self, before: Self) -> Self {
        Self { shared: self.shared.saturating_sub(before.shared), wal: self.wal.saturating_sub(before.wal) }
    }

    /// Both together.
    pub fn with(self, other: Self) -> Self {
        Self { shared: self.shared.saturating_add(other.shared), wal: self.wal.saturating_add(other.wal) }
    }
}

/// Bytes of a journal's transfers and places, each transfer's share, rounded up: of its closed ranges with all that
/// closing adds, or of the first range, indexed row by row, where no other was closed.
///
/// # Errors
/// What the database refuses.
pub fn transfer_bytes(url: &str, journal: JournalId) -> anyhow::Result<i64> {
    const PARTS: &str = "SELECT first_seq AS n FROM journal.part \
        WHERE journal = $1 AND closed_at IS NOT NULL AND first_seq > 0";
    let conn = &mut PgConnection::establish(url)?;
    let parts = sql_query(PARTS).bind::<BigInt, _>(journal.0).load::<Count>(conn)?;
    let tables: Vec<String> = match parts.as_slice() {
        [] => vec!["journal.transfer_0".to_owned()],
        parts => parts.iter().map(|part| format!("journal.transfer_{}_of_{}", part.n, journal.0)).collect(),
    };
    let (mut bytes, mut transfers) = (0_i64, 0_i64);
    for table in tables {
        let size = format!("SELECT pg_total_relation_size('{table}') AS n");
        let count = format!("SELECT count(*) AS n FROM {table}");
        bytes = bytes.saturating_add(sql_query(size).get_result::<Count>(conn)?.n);
        transfers = transfers.saturating_add(sql_query(count).get_result::<Count>(conn)?.n);
    }
    // Of the places those of the ranges after the first.
    let places = "SELECT (CASE WHEN count(*) = 0 THEN 0 ELSE pg_total_relation_size('journal.places') \
        * count(*) FILTER (WHERE journal = $1 AND upto >> 20 > (SELECT last_seq FROM journal.range WHERE first_seq = 0)) \
        / count(*) END)::bigint AS n FROM journal.places";
    bytes = bytes.saturating_add(sql_query(places).bind::<BigInt, _>(journal.0).get_result::<Count>(conn)?.n);
    bytes
        .checked_add(transfers.saturating_sub(1))
        .and_then(|bytes| bytes.checked_div(transfers))
        .context("no transfers")
}
