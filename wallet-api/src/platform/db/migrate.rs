//! Bringing a database up to date, with the migrations that are embedded in this binary.
//!
//! Forwards only: going back is for tests. The binary refuses a database that is ahead of it. Not here: what a migration
//! may do to a live table (`migrations/README.md`).

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel::result::Error as SqlError;
use diesel::{Connection, ConnectionError, PgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::with_tcp_settings;

/// The migrations this binary knows, oldest first.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations");

/// Key of the advisory lock under which migrations run: "tessera" in ASCII.
const MIGRATION_LOCK: i64 = 0x0074_6573_7365_7261;

/// Why the database was not brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// No connection as the owner.
    #[error("database cannot be reached")]
    Connect(#[from] ConnectionError),
    /// The lock could not be taken.
    #[error("migration lock cannot be taken")]
    Lock(#[from] SqlError),
    /// The database has migrations that this binary does not know; the first of them is named.
    #[error("the database is newer than this binary: it has migration {0}; run the newer binary")]
    NewerDatabase(String),
    /// The database lacks a migration that this binary needs; the first of them is named.
    #[error("the database lacks migration {0}: run `tessera migrate` with the owner's URL in DATABASE_OWNER_URL")]
    OlderDatabase(String),
    /// The database has a migration and lacks one that comes before it: it was not made by a release of this binary.
    #[error(
        "the database has migration {newest} and lacks {missing}, which comes before it: it is not as any release \
             made it, and nothing is run out of order; restore it from a backup"
    )]
    Gap {
        /// The first it lacks.
        missing: String,
        /// The last it has.
        newest: String,
    },
    /// Which migrations the database has could not be read.
    #[error("the database does not tell which migrations it has")]
    Unread(#[source] SqlError),
    /// A migration failed; it was rolled back, the ones before it stay.
    #[error("a migration failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Brings the database at `owner_url` up to date and names the migrations it ran, oldest first; none when it already was.
///
/// Runs from several processes wait for each other. The lock is held by the connection that migrates, not by one beside
/// it: were this process killed, a statement that the server is still running would keep the lock until it ends.
///
/// # Errors
/// [`MigrateError`]; nothing changes when the database is newer than this binary, or has a gap.
pub fn migrate(owner_url: &str) -> Result<Vec<String>, MigrateError> {
    let mut conn = PgConnection::establish(&with_tcp_settings(owner_url))?;
    conn.batch_execute(&format!(
        "SET application_name = 'tessera migrate'; SELECT pg_advisory_lock({MIGRATION_LOCK})"
    ))?;
    refuse_foreign(&mut conn)?; // the lock goes with the connection, also on the way out through an error
    let ran = conn.run_pending_migrations(MIGRATIONS).map_err(MigrateError::Failed)?;
    Ok(ran.iter().map(ToString::to_string).collect())
}

#[derive(diesel::QueryableByName)]
struct Applied {
    #[diesel(sql_type = diesel::sql_types::Text)]
    version: String,
}

/// Checks that the database at `url` is exactly as new as this binary, as a role that may change no table.
///
/// # Errors
/// [`MigrateError::OlderDatabase`], [`MigrateError::NewerDatabase`], [`MigrateError::Gap`].
pub fn check_migrated(url: &str) -> Result<(), MigrateError> {
    let mut conn = PgConnection::establish(&with_tcp_settings(url))?;
    let known = known_versions()?;
    let read = diesel::sql_query("SELECT version FROM __diesel_schema_migrations").load::<Applied>(&mut conn);
    let applied: Vec<String> = match read {
        Ok(rows) => rows.into_iter().map(|row| row.version).collect(),
        // A database that no migration ever touched has no such table: then the first one is what it lacks.
        Err(SqlError::DatabaseError(_, info)) if info.message().ends_with("does not exist") => Vec::new(),
        Err(error) => return Err(MigrateError::Unread(error)),
    };
    must_be_ours(&known, &applied)?;
    match known.iter().filter(|version| !applied.contains(version)).min() {
        Some(missing) => Err(MigrateError::OlderDatabase(missing.clone())),
        None => Ok(()),
    }
}

fn refuse_foreign(conn: &mut PgConnection) -> Result<(), MigrateError> {
    let applied = conn.applied_migrations().map_err(MigrateError::Failed)?;
    let applied: Vec<String> = applied.iter().map(ToString::to_string).collect();
    must_be_ours(&known_versions()?, &applied)
}

/// That a database has the first of the migrations this binary knows, and no others.
fn must_be_ours(known: &[String], applied: &[String]) -> Result<(), MigrateError> {
    if let Some(newer) = applied.iter().filter(|version| !known.contains(version)).min() {
        return Err(MigrateError::NewerDatabase(newer.clone()));
    }
    let missing = known.iter().filter(|version| !applied.contains(version)).min();
    match (missing, applied.iter().max()) {
        (Some(missing), Some(newest)) if missing < newest => {
            Err(MigrateError::Gap { missing: missing.clone(), newest: newest.clone() })
        }
        _ => Ok(()),
    }
}

/// The newest migration this binary knows.
///
/// # Errors
/// [`MigrateError::Failed`] when the embedded migrations do not read.
pub fn newest_known() -> Result<String, MigrateError> {
    Ok(known_versions()?.into_iter().max().unwrap_or_default())
}

fn known_versions() -> Result<Vec<String>, MigrateError> {
    let migrations: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().map_err(MigrateError::Failed)?;
    Ok(migrations.iter().map(|migration| migration.name().version().to_string()).collect())
}
