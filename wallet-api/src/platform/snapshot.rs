//! Configuration in memory: read whole, believed for a second, read again when the tenant's revision has moved.
//!
//! For what is small, read on every request and changed by people: programmes, campaigns, merchants. Never for balances.
//! Whoever changes such rows raises the tenant's revision in the same transaction ([`touch`]), so that other nodes
//! follow within [`FRESH`] and this one at once ([`Snapshot::forget`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::sql_types::BigInt;
use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_query};

use super::db::Db;
use super::problem::Problem;

/// How long a snapshot is believed without asking.
const FRESH: Duration = Duration::from_secs(1);

type Load<T> = fn(&mut PgConnection, i64) -> QueryResult<T>;

/// What one slice keeps of each tenant's configuration.
#[derive(Debug)]
pub struct Snapshot<T> {
    load: Load<T>,
    held: Mutex<HashMap<i64, Held<T>>>,
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

impl<T: Send + Sync + 'static> Snapshot<T> {
    /// A snapshot that reads itself by `load(connection, tenant)`.
    #[must_use]
    pub fn new(load: Load<T>) -> Self {
        Self { load, held: Mutex::default() }
    }

    /// The tenant's configuration, at most a second old.
    ///
    /// # Errors
    /// The database's problems.
    pub async fn get(&self, db: &Db, tenant: i64) -> Result<Arc<T>, Problem> {
        let held = self.lock().get(&tenant).cloned();
        if let Some(fresh) = held.as_ref().filter(|held| held.asked.elapsed() < FRESH) {
            return Ok(Arc::clone(&fresh.value));
        }
        let load = self.load;
        let asked = Instant::now();
        let held = db.run(move |conn| read(conn, tenant, held, load, asked)).await?;
        let value = Arc::clone(&held.value);
        self.lock().insert(tenant, held);
        Ok(value)
    }

    /// Reads again at the next [`get`](Self::get): this node has just changed something.
    pub fn forget(&self, tenant: i64) {
        self.lock().remove(&tenant);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Held<T>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read<T>(
    conn: &mut PgConnection,
    tenant: i64,
    held: Option<Held<T>>,
    load: Load<T>,
    asked: Instant,
) -> QueryResult<Held<T>> {
    // The revision is read first: a change between the two reads is then seen once more, never missed.
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
