//! Work within one transaction, which says at its beginning for whom it is.
//!
//! The tenant and the role are set by SET LOCAL, in the message that begins: they end with the transaction, whether it is
//! committed, undone or cut off, and the next one on the same connection begins with nobody's rows. What `work` leaves open,
//! or ends itself, is not told as done. Not here: what a role may see and do (migrations).

use diesel::connection::{SimpleConnection, TransactionManager};
use diesel::{Connection, PgConnection, QueryResult};
use ledger::read::{BEGIN_SNAPSHOT, Until, begin};

use super::DbError;
use super::pool::{Sessions, Transactions, has_open_transaction};
use crate::platform::problem::Problem;

/// Begins what changes something: each statement sees what was committed before it.
///
/// Changes find their rows by keys, whichever they are, so their plans are kept: planning each anew took a third of an
/// approval's time. Tables may have been small when they were made: they must find rows by an index all the same. What only
/// reads is planned for what it asks (see `session`).
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL plan_cache_mode = force_generic_plan; \
    SET LOCAL enable_seqscan = off";

/// Runs work in the transaction that is open, without a savepoint of its own, or in one of its own where none is. What it did
/// before it fails is undone by whoever opened the transaction: the caller tells the failure on.
///
/// # Errors
/// What `work` says, and the database's.
pub fn join<T, E: From<diesel::result::Error>>(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, E> {
    if has_open_transaction(conn) { work(conn) } else { conn.transaction(work) }
}

/// A pool's work for one tenant.
pub struct OfTenant {
    sessions: Sessions,
    tenant: i64,
}

impl OfTenant {
    pub(super) fn new(sessions: Sessions, tenant: i64) -> Self {
        Self { sessions, tenant }
    }

    /// Reads one state of the tenant's rows, and changes nothing.
    ///
    /// # Errors
    /// What `work` refuses; 503 `database-busy`, `database-slow` or `database-unreachable`; 500 when it panics.
    pub async fn read<T, E>(
        self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let begin = self.begin(BEGIN_SNAPSHOT);
        self.sessions.run(move |conn| within(conn, &begin, Transactions::commit_transaction, work)).await?
    }

    /// Changes the tenant's rows, all of it or nothing: what `work` did before it refuses is undone. A statement that fails
    /// undoes all too, and nothing is told as done, whatever `work` makes of it; what may fail belongs into a savepoint
    /// (`conn.transaction`).
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn write<T, E>(
        self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let begin = self.begin(BEGIN);
        self.sessions.run(move |conn| within(conn, &begin, commit_changes, work)).await?
    }

    /// Reads what takes long for as long as its request has time. Two such readings run at a time, and the others wait for
    /// their turn, at most half of what time they have: later is too late to read anything.
    ///
    /// `work` asks its [`Until`] now and then, and so gives its place back when nobody waits for it any more.
    ///
    /// # Errors
    /// As [`read`](Self::read); 503 `database-busy` too when no turn came.
    pub async fn read_long<T, E>(
        self,
        work: impl FnOnce(&mut PgConnection, Until) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let begin = self.begin(BEGIN_SNAPSHOT);
        let read = move |conn: &mut PgConnection, until| {
            within(conn, &begin, Transactions::commit_transaction, |conn| work(conn, until))
        };
        self.sessions.run_long(read).await?
    }

    /// A number: nothing can be smuggled in by it.
    fn begin(&self, begin: &str) -> String {
        format!("{begin}; SET LOCAL tessera.tenant = '{}'", self.tenant)
    }
}

/// A pool's work over all tenants.
pub struct OfHouse {
    sessions: Sessions,
}

impl OfHouse {
    pub(super) fn new(sessions: Sessions) -> Self {
        Self { sessions }
    }

    /// Reads and changes, all of it or nothing, as the role that the pool signed in as.
    ///
    /// # Errors
    /// As [`OfTenant::read`].
    pub async fn run<T, E>(
        self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Into<Problem> + Send + 'static,
    {
        let begin = format!("{BEGIN}; SET LOCAL ROLE NONE");
        self.sessions.run(move |conn| within(conn, &begin, commit_changes, work)).await?
    }
}

fn within<T, E: Into<Problem>>(
    conn: &mut PgConnection,
    begins: &str,
    commit: fn(&mut PgConnection) -> QueryResult<()>,
    work: impl FnOnce(&mut PgConnection) -> Result<T, E>,
) -> Result<T, Problem> {
    begin(conn, begins)?;
    let done = work(conn).map_err(E::into);
    if !is_at_its_top(conn) {
        return done.and(Err(DbError::LeftOpen.into()));
    }
    match done {
        Ok(done) => match commit(conn) {
            Ok(()) => Ok(done),
            Err(error) => Err(undo(conn, error.into())),
        },
        Err(refused) => Err(undo(conn, refused)),
    }
}

/// Undoes what is open. A connection that cannot even go back is dropped by the pool; what is told is why `work` ended.
fn undo(conn: &mut PgConnection, why: Problem) -> Problem {
    _ = Transactions::rollback_transaction(conn);
    why
}

/// Commits what changed something. Something is asked first: a transaction in which a statement failed refuses that, while
/// its COMMIT would be taken, undo all and say so in a word that no driver reads.
fn commit_changes(conn: &mut PgConnection) -> QueryResult<()> {
    conn.batch_execute("SELECT 1")?;
    Transactions::commit_transaction(conn)
}

/// Whether the transaction that was begun here is open, and none within it.
fn is_at_its_top(conn: &mut PgConnection) -> bool {
    let status = Transactions::transaction_manager_status_mut(conn);
    status.transaction_depth().is_ok_and(|depth| depth.is_some_and(|depth| depth.get() == 1))
}
