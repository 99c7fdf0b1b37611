//! The writer's database sessions.

use diesel::Connection;
pub(super) use diesel::PgConnection;
use diesel::connection::SimpleConnection;

use crate::store::StoreError;

/// Plans are made once, maybe on tables that hold a row or two, and must then probe indexes (JOURNAL 16); nothing waits
/// or lingers without limit (JOURNAL 21).
const SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; \
    SET enable_mergejoin = off; SET jit = off; SET lock_timeout = '2s'; SET statement_timeout = '10s'; SET idle_in_transaction_session_timeout = '1s'";

/// For whoever keeps the history: an index may take its time, and partitions come and go, so that plans are of what is asked.
const SLOW: &str = "SET statement_timeout = '10min'; SET plan_cache_mode = force_custom_plan";

/// Opens a session. Over TCP an unanswered byte ends it after two seconds instead of never.
pub(super) fn open(url: &str) -> Result<PgConnection, StoreError> {
    let separator = if url.contains('?') { '&' } else { '?' };
    let url = format!(
        "{url}{separator}connect_timeout=3&tcp_user_timeout=2000&keepalives_idle=1&keepalives_interval=1&keepalives_count=2\
         &application_name=tessera-journal"
    );
    let mut conn = PgConnection::establish(&url)?;
    conn.batch_execute(SETTINGS)?;
    Ok(conn)
}

/// A session that is in nobody's way and may take its time.
pub(crate) fn open_slow(url: &str) -> Result<PgConnection, StoreError> {
    let mut conn = open(url)?;
    conn.batch_execute(SLOW)?;
    Ok(conn)
}

/// A session on which a batch's rows wait, uncommitted, for the batch before it.
pub(super) fn open_beside(url: &str) -> Result<PgConnection, StoreError> {
    let mut conn = open(url)?;
    // As long as a commit may stay unknown, and some more: then the term is over anyway.
    conn.batch_execute("SET idle_in_transaction_session_timeout = '5s'")?;
    Ok(conn)
}
