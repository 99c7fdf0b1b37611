//! The private PostgreSQL cluster: a real, durable database that needs no administrator.
//!
//! [`Cluster::start`] makes the database once (checksums on, durability on), starts its server on a unix socket that
//! only this user can open, and stops it with the value. A folder serves one process at a time. A server that a killed
//! process left behind is stopped and started anew; a stale pid file is not believed; data made by another major
//! version is refused. [`Endpoint::of_running`] finds the server that another process runs.
//! Limits: every call blocks, for seconds at the first start, so keep it off the async threads. Who may open the socket
//! may be any role, the superuser too: the closed folder is the lock. The server is not watched: if it is killed, call
//! [`Cluster::restart`].
//! Not here: tables and migrations, pools, servers on a network.
//! Source: the PostgreSQL manual, chapters "Server Setup and Operation" and "Database Physical Storage".

mod error;
mod place;
mod process;
#[cfg(test)]
mod tests;
mod tools;

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use diesel::{Connection, PgConnection, RunQueryDsl, connection::SimpleConnection};
use tempfile::TempDir;

use place::{Account, Home};
use process::PidFile;

pub use error::ClusterError;
pub use tools::{OLDEST_MAJOR, Tools, Version};

/// How long a start may take: a recovery after a crash under load replays up to `max_wal_size`.
const START_PATIENCE: Duration = Duration::from_secs(300);
/// How long the orphans of a killed server may take to notice.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(15);
/// Size at which a start empties the server's log, in bytes.
const LOG_LIMIT: u64 = 8 * 1024 * 1024;
/// How much of the log an error shows, in lines.
const LOG_TAIL: usize = 12;

/// How the server runs, whatever its configuration file says.
const SETTINGS: [(&str, &str); 17] = [
    ("listen_addresses", ""),
    ("port", "5432"), // a part of the socket's name, nothing more
    ("unix_socket_permissions", "0700"),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("shared_buffers", "256MB"),
    ("max_wal_size", "4GB"),
    ("max_connections", "200"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("logging_collector", "off"),
    ("log_checkpoints", "off"),
    // A refused statement and its values are the client's to report: they may be personal data, and stay out of the log.
    ("log_min_messages", "log"),
    ("log_min_error_statement", "panic"),
    ("log_error_verbosity", "terse"),
    ("cluster_name", "tessera"),
];

/// Letters and case follow Unicode, order follows bytes, so that no upgrade of the C library can break an index.
const CTYPE: &str = if cfg!(target_os = "linux") { "C.UTF-8" } else { "C" };

/// Makes the roles that are missing. The application's role can neither change tables nor see past row security.
const ROLES: &str = "DO $$ BEGIN \
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tessera_owner') THEN \
        CREATE ROLE tessera_owner LOGIN CREATEDB; \
    END IF; \
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tessera_app') THEN \
        CREATE ROLE tessera_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS; \
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
        let tools = tools_for(&home.database())?;
        if !home.database().join("PG_VERSION").is_file() {
            init(&home, &tools)?;
        }
        clear_the_past(&home)?;
        let runtime = home.runtime()?;
        let socket_dir = runtime.path().to_path_buf();
        let settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
        let server = launch(&home, &tools, &socket_dir, &settings)?;
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
        self.server = launch(&self.home, &self.tools, &self.endpoint.socket_dir, &self.settings)?;
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
        end(&mut self.server)
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

/// Picks the programs that can open this database: of its own major version when it exists.
fn tools_for(database: &Path) -> Result<Tools, ClusterError> {
    let stamp = fs::read_to_string(database.join("PG_VERSION")).ok().and_then(|text| text.trim().parse().ok());
    let Some(made_by) = stamp else { return Tools::find() };
    if let Some(tools) = Tools::find_major(made_by) {
        return Ok(tools);
    }
    let have = Tools::find().map_or_else(|error| error.to_string(), |tools| format!("version {}", tools.version()));
    Err(ClusterError::OtherMajor { folder: database.to_path_buf(), made_by, have })
}

/// Runs a program of PostgreSQL as the server's account, with nothing of our surroundings: no environment, no
/// terminal, no current folder that the account cannot enter, and no part in the Ctrl-C that is meant for us.
fn command(program: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").current_dir("/").process_group(0).stdin(Stdio::null());
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Makes the database. It takes its name only when it is whole, so a start that is killed leaves none.
fn init(home: &Home, tools: &Tools) -> Result<(), ClusterError> {
    let (nursery, database) = (home.nursery(), home.database());
    if nursery.exists() {
        fs::remove_dir_all(&nursery).map_err(ClusterError::io("remove", &nursery))?;
    }
    home.make_private(&nursery)?;
    let program = tools.program("initdb")?;
    let output = command(&program, home.account())
        .arg("-D")
        .arg(&nursery)
        .args(["--username", Role::Super.name(), "--auth-local=trust", "--auth-host=reject", "--data-checksums"])
        .args(["--encoding=UTF8", "--locale=C", &format!("--lc-ctype={CTYPE}")])
        .output()
        .map_err(ClusterError::io("run", &program))?;
    if !output.status.success() {
        let log = tail(&String::from_utf8_lossy(&output.stderr));
        return Err(ClusterError::InitFailed { folder: database, log });
    }
    fs::rename(&nursery, &database).map_err(ClusterError::io("name", &database))?;
    let sync = File::open(home.folder()).and_then(|folder| folder.sync_all());
    sync.map_err(ClusterError::io("write", home.folder()))
}

/// Ends what an earlier process left: a live server, a pid file that lies, a socket's folder.
fn clear_the_past(home: &Home) -> Result<(), ClusterError> {
    let Some(file) = PidFile::read(&home.database())? else { return Ok(()) };
    process::clear_the_way(&home.database(), &file)?;
    home.sweep_runtime(&file.socket_dir)
}

/// Starts the server and waits until it is ready.
fn launch(home: &Home, tools: &Tools, socket_dir: &Path, settings: &[(String, String)]) -> Result<Child, ClusterError> {
    let start = Instant::now();
    loop {
        match attempt(home, tools, socket_dir, settings) {
            // The server was killed a moment ago, and some of its processes have not noticed yet.
            Err(ClusterError::StartFailed { log, .. })
                if log.contains("shared memory block") && start.elapsed() < ORPHAN_PATIENCE =>
            {
                thread::sleep(Duration::from_millis(100));
            }
            outcome => return outcome,
        }
    }
}

fn attempt(
    home: &Home,
    tools: &Tools,
    socket_dir: &Path,
    settings: &[(String, String)],
) -> Result<Child, ClusterError> {
    let program = tools.program("postgres")?;
    let (log, log_start) = open_log(&home.log())?;
    let log_too = log.try_clone().map_err(ClusterError::io("open", home.log()))?;
    let ours = SETTINGS.iter().map(|(name, value)| format!("{name}={value}"));
    let theirs = settings.iter().map(|(name, value)| format!("{name}={value}"));
    let socket = format!("unix_socket_directories={}", socket_dir.display());
    let mut command = command(&program, home.account());
    command.arg("-D").arg(home.database()).stdout(log).stderr(log_too);
    for setting in ours.chain(theirs).chain([socket]) {
        command.arg("-c").arg(setting);
    }
    let mut server = command.spawn().map_err(ClusterError::io("run", &program))?;
    let outcome = await_ready(&mut server, home, log_start);
    if outcome.is_err() {
        // Dead already in all cases but one: a start that takes too long must not live on unowned.
        end(&mut server)?;
    }
    outcome.map(|()| server)
}

/// Waits until the pid file names our own child, and says that it is ready: an old file says that of a dead server.
fn await_ready(server: &mut Child, home: &Home, log_start: u64) -> Result<(), ClusterError> {
    let (mut ended, mut ready) = (false, false);
    let settled = process::wait(START_PATIENCE, || {
        ended = has_ended(server);
        let file = PidFile::read(&home.database()).ok().flatten();
        ready = file.is_some_and(|file| file.ready && file.pid == server.id());
        ended || ready
    });
    match (settled, ended) {
        (true, false) => Ok(()),
        (true, true) => {
            Err(ClusterError::StartFailed { file: home.log(), log: tail(&read_from(&home.log(), log_start)) })
        }
        (false, _) => Err(ClusterError::StartTimedOut { seconds: START_PATIENCE.as_secs(), file: home.log() }),
    }
}

/// Ends our own server, if it still runs.
fn end(server: &mut Child) -> Result<(), ClusterError> {
    if has_ended(server) {
        return Ok(());
    }
    process::stop(server.id(), || has_ended(server))
}

/// Whether our own child is gone. One that cannot be asked was collected already.
fn has_ended(server: &mut Child) -> bool {
    server.try_wait().map_or(true, |status| status.is_some())
}

/// Opens the server's log to write at its end, and says where that is.
fn open_log(path: &Path) -> Result<(File, u64), ClusterError> {
    let open = || {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        if file.metadata()?.len() > LOG_LIMIT {
            file.set_len(0)?;
        }
        let end = file.metadata()?.len();
        Ok((file, end))
    };
    open().map_err(ClusterError::io("open", path))
}

fn read_from(path: &Path, start: u64) -> String {
    let read = || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

/// The last lines of a text, on one line.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let skipped = lines.len().saturating_sub(LOG_TAIL);
    lines.into_iter().skip(skipped).collect::<Vec<_>>().join(" | ")
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
