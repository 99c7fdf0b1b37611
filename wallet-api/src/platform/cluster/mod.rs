//! The private PostgreSQL cluster: a real, durable database that needs no administrator.
//!
//! [`Cluster::start`] makes the database once (checksums on, durability on), starts its server on a unix socket that
//! only this user can open, and stops it with the value. A folder serves one process at a time. A server that a killed
//! process left behind is stopped and started anew; a stale pid file is not believed; data made by another major
//! version is refused, and so is a folder laid out by a later build or by a restore that did not end.
//! [`Endpoint::of_running`] finds the server that another process runs; [`Source`] and [`Copy`] are for backups.
//! Limits: every call blocks, for seconds at the first start, so keep it off the async threads. Who may open the socket
//! may be any role, the superuser too: the closed folder is the lock. The server is not watched: if it is killed, call
//! [`Cluster::restart`].
//! Not here: tables and migrations, pools, servers on a network.
//! Source: the PostgreSQL manual, chapters "Server Setup and Operation" and "Database Physical Storage".

mod copies;
mod error;
mod launch;
mod layout;
mod place;
mod process;
#[cfg(test)]
mod tests;
mod tools;

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};

use diesel::{Connection, PgConnection, RunQueryDsl, connection::SimpleConnection};
use tempfile::TempDir;

use place::Home;
use process::PidFile;

pub use copies::{Copy, Source, verify_backup};
pub use error::ClusterError;
pub use tools::{OLDEST_MAJOR, Tools, Version};

/// Makes the roles that are missing. The application's role can neither change tables nor see past row security; for one
/// tenant it works as `tessera_tenant`.
const ROLES: &str = "DO $$ BEGIN \
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tessera_owner') THEN \
        CREATE ROLE tessera_owner LOGIN CREATEDB; \
    END IF; \
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tessera_app') THEN \
        CREATE ROLE tessera_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS; \
    END IF; \
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tessera_tenant') THEN \
        CREATE ROLE tessera_tenant NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS ROLE tessera_app; \
    END IF; \
END $$";

/// As whom to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The superuser: makes and drops databases, and nothing else.
    Super,
    /// Owns databases and tables, runs migrations.
    Owner,
    /// What the application works as: never a superuser, held by row security.
    App,
}

impl Role {
    /// The role's name in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Super => "tessera_super",
            Self::Owner => "tessera_owner",
            Self::App => "tessera_app",
        }
    }
}

/// Where a private server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    socket_dir: PathBuf,
}

impl Endpoint {
    /// What listens in this folder under the private server's name, such as a relay before one.
    #[must_use]
    pub fn at(socket_dir: &Path) -> Self {
        Self { socket_dir: socket_dir.to_owned() }
    }

    /// Finds the server that another process runs for this data folder, so that a second command can talk to it.
    ///
    /// # Errors
    /// [`ClusterError::NotRunning`] where no server is ready, and what the operating system refuses.
    pub fn of_running(data_dir: &Path) -> Result<Self, ClusterError> {
        let not_running = || ClusterError::NotRunning { folder: data_dir.to_path_buf() };
        let home = Home::find(data_dir)?.ok_or_else(not_running)?;
        let file = PidFile::read(&home.database())?.ok_or_else(not_running)?;
        if !file.ready || !process::serves(file.pid, &home.database()) {
            return Err(not_running());
        }
        Ok(Self { socket_dir: file.socket_dir })
    }

    /// Words a connection URL for libpq, and so for diesel, `psql` and `pgbench`.
    #[must_use]
    pub fn url(&self, role: Role, database: &str) -> String {
        let host = percent_encoded(self.socket_dir.as_os_str().as_encoded_bytes());
        format!("postgresql://{}@/{}?host={host}", role.name(), percent_encoded(database.as_bytes()))
    }

    /// The folder of the unix socket, as in `psql --host`.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }
}

/// A running private server. Dropping it stops the server, durably.
#[derive(Debug)]
pub struct Cluster {
    home: Home,
    tools: Tools,
    settings: Vec<(String, String)>,
    server: Child,
    endpoint: Endpoint,
    // The last fields, dropped in this order: the socket's folder goes first, then the next process may come.
    _runtime: TempDir,
    _lock: File,
}

impl Cluster {
    /// Starts the server of this data folder and waits until it is ready; makes the database at the first start.
    ///
    /// # Errors
    /// [`ClusterError::Held`] when another live process has the folder, [`ClusterError::OtherMajor`] for data of another
    /// version, and every other refusal of [`ClusterError`].
    pub fn start(data_dir: &Path) -> Result<Self, ClusterError> {
        Self::start_with(data_dir, &[])
    }

    /// Does what [`Cluster::start`] does, with settings of PostgreSQL that go before ours, as in `("fsync", "off")`.
    ///
    /// # Errors
    /// Those of [`Cluster::start`]; a setting that PostgreSQL does not know ends in [`ClusterError::StartFailed`].
    pub fn start_with(data_dir: &Path, settings: &[(&str, &str)]) -> Result<Self, ClusterError> {
        let home = Home::find_or_make(data_dir)?;
        let lock = home.lock()?;
        home.must_be_whole()?;
        home.check_layout()?;
        let tools = launch::tools_for(&home.database())?;
        if !home.database().join("PG_VERSION").is_file() {
            launch::init(&home, &tools)?;
        }
        home.write_layout()?;
        launch::clear_the_past(&home)?;
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let cluster = Self::serve(home, lock, tools, settings, launch::START_PATIENCE)?;
        cluster.must_have_archive_command()?;
        Ok(cluster)
    }

    /// Starts the server of a database that is there.
    fn serve(
        home: Home,
        lock: File,
        tools: Tools,
        settings: Vec<(String, String)>,
        patience: Duration,
    ) -> Result<Self, ClusterError> {
        let runtime = home.runtime()?;
        let socket_dir = runtime.path().to_path_buf();
        let server = launch::launch(&home, &tools, &socket_dir, &settings, patience)?;
        let endpoint = Endpoint { socket_dir };
        let cluster = Self { home, tools, settings, server, endpoint, _runtime: runtime, _lock: lock };
        cluster.admin()?.batch_execute(ROLES)?;
        Ok(cluster)
    }

    /// Starts the server again on the same socket: after it was killed, or to read its settings anew.
    ///
    /// # Errors
    /// Those of [`Cluster::stop`] and of [`Cluster::start`].
    pub fn restart(&mut self) -> Result<(), ClusterError> {
        self.shut_down()?;
        self.server =
            launch::launch(&self.home, &self.tools, &self.endpoint.socket_dir, &self.settings, launch::START_PATIENCE)?;
        Ok(())
    }

    /// Stops the server: sessions end, what was committed is on disk. Dropping the value does the same, but cannot say
    /// what went wrong.
    ///
    /// # Errors
    /// [`ClusterError::DoesNotStop`] when it is still there after a minute and an order to drop everything.
    pub fn stop(mut self) -> Result<(), ClusterError> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<(), ClusterError> {
        launch::end(&mut self.server)
    }

    /// Words a connection URL: see [`Endpoint::url`].
    #[must_use]
    pub fn url(&self, role: Role, database: &str) -> String {
        self.endpoint.url(role, database)
    }

    /// Where the server listens.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The folder of the unix socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        self.endpoint.socket_dir()
    }

    /// PostgreSQL's own data folder.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.home.database()
    }

    /// The server's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.id()
    }

    /// The programs that belong to this server.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// What the user should be told: that the database lives elsewhere than in the folder they named.
    #[must_use]
    pub fn notice(&self) -> Option<&str> {
        self.home.notice()
    }

    /// Makes an empty database, owned by [`Role::Owner`].
    ///
    /// # Errors
    /// [`ClusterError::BadDatabaseName`], or [`ClusterError::Statement`] where the name is taken.
    pub fn create_database(&self, name: &str) -> Result<(), ClusterError> {
        self.create_from_template(name, "template1")
    }

    /// Makes a copy of a database that nobody is connected to, owned by [`Role::Owner`].
    ///
    /// # Errors
    /// [`ClusterError::BadDatabaseName`], or [`ClusterError::Statement`] where the name is taken or the template in use.
    pub fn create_from_template(&self, name: &str, template: &str) -> Result<(), ClusterError> {
        let (name, template) = (checked_name(name)?, checked_name(template)?);
        let owner = Role::Owner.name();
        self.execute(&format!("CREATE DATABASE {name} OWNER {owner} TEMPLATE {template}"))
    }

    /// Drops a database if it is there, and ends the sessions on it.
    ///
    /// # Errors
    /// [`ClusterError::BadDatabaseName`] or [`ClusterError::Statement`].
    pub fn drop_database(&self, name: &str) -> Result<(), ClusterError> {
        self.execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", checked_name(name)?))
    }

    fn admin(&self) -> Result<PgConnection, ClusterError> {
        Ok(PgConnection::establish(&self.url(Role::Super, "postgres"))?)
    }

    fn execute(&self, statement: &str) -> Result<(), ClusterError> {
        // Not `batch_execute`: these statements refuse to run among others.
        diesel::sql_query(statement).execute(&mut self.admin()?)?;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            tracing::warn!(%error, "the database server may still run");
        }
    }
}

/// Lets a name through that stands in SQL without quotes.
fn checked_name(name: &str) -> Result<&str, ClusterError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins_well = name.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
    if begins_well && name.len() <= 63 && name.bytes().all(fits) {
        return Ok(name);
    }
    Err(ClusterError::BadDatabaseName { name: name.to_owned() })
}

/// Writes bytes as a part of a URL: all but the unreserved characters of RFC 3986, section 2.3, become `%XX`.
fn percent_encoded(bytes: &[u8]) -> String {
    let encode = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
        other => format!("%{other:02X}"),
    };
    bytes.iter().map(encode).collect()
}
