//! Configuration in memory: read whole, believed for a second, read again when the tenant's revision has moved.
//!
//! For what is small, read on every request and changed by people: programmes, campaigns, merchants. Never for balances.
//! Whoever changes such rows raises the tenant's revision in the same transaction ([`touch`]), so that other nodes
//! follow within a second and this one at once ([`Snapshot::forget`]). Where nodes can tell each other
//! ([`Snapshot::tell_by`]), the others look at once too ([`Snapshot::doubt`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use diesel::sql_types::BigInt;
use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_query};

use super::db::Db;
use super::problem::Problem;

/// How long a snapshot is believed at the most.
const FRESH: Duration = Duration::from_secs(1);
/// From when on the first who asks reads it again, while the others go on with it: no crowd waits for one reading.
const RIPE: Duration = Duration::from_millis(500);

type Load<T> = fn(&mut PgConnection, i64) -> QueryResult<T>;

/// What one slice keeps of each tenant's configuration.
pub struct Snapshot<T> {
    load: Load<T>,
    tenants: Mutex<HashMap<i64, Arc<Place<T>>>>,
    tell: OnceLock<Tell>,
}

/// Tells other nodes that a tenant's configuration has changed; waits for nothing.
pub type Tell = Box<dyn Fn(i64) + Send + Sync>;

/// One tenant's: what is held, and who is reading it again.
#[derive(Debug)]
struct Place<T> {
    held: Mutex<Option<Held<T>>>,
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Held<T> {
    value: Arc<T>,
    revision: i64,
    asked: Instant,
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), revision: self.revision, asked: self.asked }
    }
}

impl<T> Place<T> {
    fn held(&self) -> Option<Held<T>> {
        lock(&self.held).clone()
    }

    fn younger_than(&self, age: Duration) -> Option<Arc<T>> {
        self.held().filter(|held| held.asked.elapsed() < age).map(|held| held.value)
    }
}

impl<T: Send + Sync + 'static> Snapshot<T> {
    /// A snapshot that reads itself by `load(connection, tenant)`.
    #[must_use]
    pub fn new(load: Load<T>) -> Self {
        Self { load, tenants: Mutex::default(), tell: OnceLock::new() }
    }

    /// The same when it need not be read again so soon: nobody is waited for.
    #[must_use]
    pub fn at_hand(&self, tenant: i64) -> Option<Arc<T>> {
        lock(&self.tenants).get(&tenant)?.younger_than(RIPE)
    }

    /// The tenant's configuration, at most a second old.
    ///
    /// # Errors
    /// The database's problems.
    pub async fn get(&self, db: &Db, tenant: i64) -> Result<Arc<T>, Problem> {
        let place = Arc::clone(
            lock(&self.tenants)
                .entry(tenant)
                .or_insert_with(|| Arc::new(Place { held: Mutex::default(), reading: tokio::sync::Mutex::default() })),
        );
        if let Some(value) = place.younger_than(RIPE) {
            return Ok(value);
        }
        let turn = match (place.reading.try_lock(), place.younger_than(FRESH)) {
            (Err(_somebody_reads), Some(value)) => return Ok(value),
            (Ok(turn), _) => turn,
            (Err(_somebody_reads), None) => place.reading.lock().await,
        };
        // Whoever had the turn before may have read it meanwhile.
        if let Some(value) = place.younger_than(RIPE) {
            return Ok(value);
        }
        let (load, held, asked) = (self.load, place.held(), Instant::now());
        let held = db.of(tenant).read(move |conn| read(conn, tenant, held, load, asked)).await?;
        let value = Arc::clone(&held.value);
        *lock(&place.held) = Some(held);
        drop(turn);
        Ok(value)
    }

    /// Reads again at the next [`get`](Self::get): this node has just changed something.
    pub fn forget(&self, tenant: i64) {
        lock(&self.tenants).remove(&tenant);
        if let Some(tell) = self.tell.get() {
            tell(tenant);
        }
    }

    /// Tells other nodes of every change by this, from now on; only the first one counts.
    pub fn tell_by(&self, tell: Tell) {
        _ = self.tell.set(tell);
    }

    /// Looks at the revision at the next [`get`](Self::get): another node says that it may have changed.
    pub fn doubt(&self, tenant: i64) {
        let Some(place) = lock(&self.tenants).get(&tenant).cloned() else { return };
        if let Some(held) = lock(&place.held).as_mut() {
            held.asked = held.asked.min(Instant::now().checked_sub(RIPE).unwrap_or(held.asked));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(
    conn: &mut PgConnection,
    tenant: i64,
    held: Option<Held<T>>,
    load: Load<T>,
    asked: Instant,
) -> QueryResult<Held<T>> {
    let revision = revision(conn, tenant)?;
    match held {
        Some(held) if held.revision == revision => Ok(Held { asked, ..held }),
        _ => Ok(Held { value: Arc::new(load(conn, tenant)?), revision, asked }),
    }
}

#[derive(diesel::QueryableByName)]
struct Revision {
    #[diesel(sql_type = BigInt)]
    revision: i64,
}

fn revision(conn: &mut PgConnection, tenant: i64) -> QueryResult<i64> {
    let rows: Revision =
        sql_query("SELECT revision FROM tenant WHERE id = $1").bind::<BigInt, _>(tenant).get_result(conn)?;
    Ok(rows.revision)
}

/// Raises the tenant's revision, inside the caller's transaction.
///
/// # Errors
/// What the database says.
pub fn touch(conn: &mut PgConnection, tenant: i64) -> QueryResult<()> {
    let text = "UPDATE tenant SET revision = revision + 1 WHERE id = $1";
    sql_query(text).bind::<BigInt, _>(tenant).execute(conn).map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn what_is_in_doubt_is_looked_at_again_by_one_while_the_others_go_on_with_it() {
        let snapshot = Snapshot::new(|_, _| Ok(()));
        let held = Held { value: Arc::new(()), revision: 1, asked: Instant::now() };
        let place = Arc::new(Place { held: Mutex::new(Some(held)), reading: tokio::sync::Mutex::default() });
        lock(&snapshot.tenants).insert(1, Arc::clone(&place));
        snapshot.doubt(2);
        assert!(place.younger_than(RIPE).is_some(), "another tenant's");
        snapshot.doubt(1);
        assert!(place.younger_than(RIPE).is_none() && place.younger_than(FRESH).is_some());
    }

    #[test]
    fn other_nodes_are_told_of_changes_here_and_not_of_their_own() {
        let (snapshot, told) = (Snapshot::new(|_, _| Ok(())), Arc::new(AtomicI64::new(0)));
        let telling = Arc::clone(&told);
        snapshot.forget(1);
        snapshot.tell_by(Box::new(move |tenant| _ = telling.fetch_add(tenant, Ordering::SeqCst)));
        snapshot.forget(7);
        snapshot.doubt(100);
        assert_eq!(told.load(Ordering::SeqCst), 7);
    }
}
