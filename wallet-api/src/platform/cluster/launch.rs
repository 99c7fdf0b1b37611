//! Makes the database, starts its server and waits until it is ready.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    ClusterError, Role, Tools,
    place::{Account, Home},
    process::{self, PidFile},
};

/// How long a start may take: a recovery after a crash under load replays up to `max_wal_size`.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(300);
/// How long the orphans of a killed server may take to notice.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(15);
/// Size at which a start empties the server's log, in bytes.
const LOG_LIMIT: u64 = 8 * 1024 * 1024;
/// How much of the log an error shows, in lines.
const LOG_TAIL: usize = 12;

/// How the server runs, whatever its configuration file says.
const SETTINGS: [(&str, &str); 21] = [
    ("listen_addresses", ""),
    ("port", "5432"), // a part of the socket's name, nothing more
    ("unix_socket_permissions", "0700"),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("shared_buffers", "256MB"),
    ("max_wal_size", "4GB"),
    // Changed pages go to the disk steadily: left to the sessions, they gather in the system's cache, and a commit then
    // waits a quarter of a second for them to be written (docs/performance.md).
    ("bgwriter_delay", "50ms"),
    ("bgwriter_lru_maxpages", "1000"),
    ("bgwriter_lru_multiplier", "4"),
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
    // Where to is the database's own setting (copies.rs); this one alone would need a restart to turn on.
    ("archive_mode", "on"),
];

/// Letters and case follow Unicode, order follows bytes, so that no upgrade of the C library can break an index.
const CTYPE: &str = if cfg!(target_os = "linux") { "C.UTF-8" } else { "C" };

/// Picks the programs that can open this database: of its own major version when it exists.
pub(super) fn tools_for(database: &Path) -> Result<Tools, ClusterError> {
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
pub(super) fn command(program: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").current_dir("/").process_group(0).stdin(Stdio::null());
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Makes the database. It takes its name only when it is whole, so a start that is killed leaves none.
pub(super) fn init(home: &Home, tools: &Tools) -> Result<(), ClusterError> {
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
pub(super) fn clear_the_past(home: &Home) -> Result<(), ClusterError> {
    let Some(file) = PidFile::read(&home.database())? else { return Ok(()) };
    process::clear_the_way(&home.database(), &file)?;
    home.sweep_runtime(&file.socket_dir)
}

/// Starts the server and waits until it is ready.
pub(super) fn launch(
    home: &Home,
    tools: &Tools,
    socket_dir: &Path,
    settings: &[(String, String)],
    patience: Duration,
) -> Result<Child, ClusterError> {
    let start = Instant::now();
    loop {
        match attempt(home, tools, socket_dir, settings, patience) {
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
    patience: Duration,
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
    let outcome = await_ready(&mut server, home, log_start, patience);
    if outcome.is_err() {
        // Dead already in all cases but one: a start that takes too long must not live on unowned.
        end(&mut server)?;
    }
    outcome.map(|()| server)
}

/// Waits until the pid file names our own child, and says that it is ready: an old file says that of a dead server.
fn await_ready(server: &mut Child, home: &Home, log_start: u64, patience: Duration) -> Result<(), ClusterError> {
    let (mut ended, mut ready) = (false, false);
    let settled = process::wait(patience, || {
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
        (false, _) => Err(ClusterError::StartTimedOut { seconds: patience.as_secs(), file: home.log() }),
    }
}

/// Ends our own server, if it still runs.
pub(super) fn end(server: &mut Child) -> Result<(), ClusterError> {
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
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let skipped = lines.len().saturating_sub(LOG_TAIL);
    lines.into_iter().skip(skipped).collect::<Vec<_>>().join(" | ")
}
