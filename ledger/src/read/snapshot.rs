//! One state for several reads.
//!
//! In a snapshot no range of transfers leaves or comes back: taken before a range left, it would see neither the rows nor
//! that they left. So whoever opens one does it by [`BEGIN_SNAPSHOT`], and what reads belong together here joins it. A
//! transaction in which each statement sees a state of its own is no snapshot, and such reads refuse to go on in it.

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::result::Error as DieselError;
use diesel::sql_types::Bool;
use diesel::{PgConnection, QueryResult, RunQueryDsl};

use crate::bind::statement;

/// Opens a transaction that reads one state and writes nothing, in one message.
pub const BEGIN_SNAPSHOT: &str =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE journal.archived IN ACCESS SHARE MODE";

/// Runs reads that must all see one state: in the snapshot that is open, or in one of their own.
///
/// # Errors
/// What `work` refuses; [`DieselError::AlreadyInTransaction`] where one is open that is no snapshot.
pub fn in_snapshot<T, E: From<DieselError>>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    if in_transaction(conn)? {
        return if is_snapshot(conn)? { work(conn) } else { Err(DieselError::AlreadyInTransaction.into()) };
    }
    begin(conn, BEGIN_SNAPSHOT)?;
    match work(conn) {
        Ok(read) => AnsiTransactionManager::commit_transaction(conn).map(|()| read).map_err(E::from),
        Err(refused) => {
            // What went wrong is said by the error there is; a connection that cannot even go back is given up by diesel.
            _ = AnsiTransactionManager::rollback_transaction(conn);
            Err(refused)
        }
    }
}

/// Opens a transaction by several statements in one message, all or none of them.
///
/// # Errors
/// What the database says; [`DieselError::AlreadyInTransaction`] inside another one, which goes on.
pub fn begin(conn: &mut PgConnection, text: &str) -> QueryResult<()> {
    if in_transaction(conn)? {
        return Err(DieselError::AlreadyInTransaction);
    }
    AnsiTransactionManager::begin_transaction_sql(conn, text).inspect_err(|_refused| {
        // The server may have begun before it refused, which diesel does not know of.
        _ = conn.batch_execute("ROLLBACK");
    })
}

fn in_transaction(conn: &mut PgConnection) -> QueryResult<bool> {
    let status = AnsiTransactionManager::transaction_manager_status_mut(conn);
    Ok(status.transaction_depth()?.is_some())
}

fn is_snapshot(conn: &mut PgConnection) -> QueryResult<bool> {
    const TEXT: &str = "SELECT current_setting('transaction_isolation') IN ('repeatable read', 'serializable')";
    let found = statement::<(Bool,)>(TEXT, &[]).load::<(bool,)>(conn)?;
    Ok(found.first().is_some_and(|(is_snapshot,)| *is_snapshot))
}
