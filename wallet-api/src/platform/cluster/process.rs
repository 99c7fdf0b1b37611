//! The server as a process: what its pid file says, whether that is true, and how to end it.
//!
//! A pid file outlives the server it names, and its number may by now belong to somebody else, so it is believed only
//! after a look at the process itself. Signals go by system call, since small systems have no `kill` program.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::ClusterError;

/// How long a fast stop may take (it writes a checkpoint) before the server is told to drop everything.
const FAST_STOP: Duration = Duration::from_secs(60);
/// How long an immediate stop may take.
const IMMEDIATE_STOP: Duration = Duration::from_secs(10);
/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What `postmaster.pid` says. Its lines are fixed by PostgreSQL: pid, data folder, start time, port, socket folder,
/// address, shared memory key, status.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: u32,
    pub(super) socket_dir: PathBuf,
    pub(super) ready: bool,
}

impl PidFile {
    /// Reads the file of a database, if there is a whole one.
    pub(super) fn read(database: &Path) -> Result<Option<Self>, ClusterError> {
        let path = pid_path(database);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ClusterError::Io { action: "read", path, source }),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        let socket_dir = PathBuf::from(lines.nth(3).unwrap_or_default());
        let ready = lines.nth(2).is_some_and(|status| status.trim() == "ready");
        Some(Self { pid, socket_dir, ready })
    }
}

fn pid_path(database: &Path) -> PathBuf {
    database.join("postmaster.pid")
}

/// Makes sure that no server works on this database and that no pid file of the past keeps a new one from starting.
///
/// The caller holds the lock of the home, so a server that still lives was left behind by a process that was killed.
pub(super) fn clear_the_way(database: &Path, file: &PidFile) -> Result<(), ClusterError> {
    if serves(file.pid, database) {
        tracing::info!(pid = file.pid, "stopping the database server that a killed process left behind");
        return stop(file.pid, || !serves(file.pid, database));
    }
    // PostgreSQL believes the file when any process has its number. Where the number is free it settles the matter.
    if exists(file.pid) {
        let path = pid_path(database);
        fs::remove_file(&path).map_err(ClusterError::io("remove", path))?;
    }
    Ok(())
}

/// Ends a server: cleanly if it can, else at once (it then recovers at its next start). `gone` says when it has ended.
pub(super) fn stop(pid: u32, mut gone: impl FnMut() -> bool) -> Result<(), ClusterError> {
    for (signal, patience) in [(Signal::INT, FAST_STOP), (Signal::QUIT, IMMEDIATE_STOP)] {
        // Only a process that is gone refuses, and then `gone` says so.
        let _refused = raw(pid).map(|pid| kill_process(pid, signal));
        if wait(patience, &mut gone) {
            return Ok(());
        }
    }
    Err(ClusterError::DoesNotStop { pid })
}

/// Waits until `done` or until patience ends, and says which.
pub(super) fn wait(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < patience {
        if done() {
            return true;
        }
        thread::sleep(LOOK_AGAIN);
    }
    done()
}

fn raw(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Whether any process has this number, be it somebody else's or already dead and not yet collected.
fn exists(pid: u32) -> bool {
    raw(pid).is_some_and(|pid| matches!(test_kill_process(pid), Ok(()) | Err(rustix::io::Errno::PERM)))
}

/// Whether this process is a server at work on this database: it works inside the data folder, or, where a container
/// hides that from us, its command line names the folder.
#[cfg(target_os = "linux")]
pub(super) fn serves(pid: u32, database: &Path) -> bool {
    let process = PathBuf::from(format!("/proc/{pid}"));
    match fs::read_link(process.join("cwd")) {
        Ok(folder) => folder == database,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::read(process.join("cmdline")).is_ok_and(|line| names(&line, database))
        }
        Err(_) => false,
    }
}

/// Whether this process is a server at work on this database: its command line names the folder.
#[cfg(not(target_os = "linux"))]
pub(super) fn serves(pid: u32, database: &Path) -> bool {
    let answer = std::process::Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output();
    let folder = database.as_os_str().as_encoded_bytes();
    answer.is_ok_and(|answer| answer.stdout.windows(folder.len()).any(|part| part == folder))
}

/// Whether a command line, its words ended by zero bytes, is `postgres -D <database> ...`: the way we start it.
#[cfg(target_os = "linux")]
fn names(command_line: &[u8], database: &Path) -> bool {
    let mut words = command_line.split(|byte| *byte == 0);
    words.next().is_some_and(|program| program.ends_with(b"postgres"))
        && words.next() == Some(b"-D")
        && words.next() == Some(database.as_os_str().as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_read_line_by_line() {
        let whole = "4242\n/data/postgres\n1700000000\n5432\n/run/tessera-pg-a1\n\n  123 45\nready   \n";
        let socket_dir = PathBuf::from("/run/tessera-pg-a1");
        assert_eq!(PidFile::parse(whole), Some(PidFile { pid: 4242, socket_dir: socket_dir.clone(), ready: true }));
        let starting = whole.replace("ready   ", "starting");
        assert_eq!(PidFile::parse(&starting), Some(PidFile { pid: 4242, socket_dir, ready: false }));
        let cut = PidFile { pid: 4242, socket_dir: PathBuf::new(), ready: false };
        assert_eq!(PidFile::parse("4242\n/data"), Some(cut));
        assert_eq!(PidFile::parse(""), None);
        assert_eq!(PidFile::parse("-77\n"), None); // single-user mode writes its pid negative
    }

    #[test]
    fn a_process_that_works_elsewhere_is_not_the_server() -> io::Result<()> {
        let here = std::env::current_dir()?;
        assert!(!serves(std::process::id(), Path::new("/nowhere")));
        assert!(!serves(u32::MAX, &here));
        assert!(exists(std::process::id()));
        assert!(!exists(u32::MAX));
        Ok(())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_command_line_is_the_servers_only_when_it_names_the_folder() {
        let line = b"/usr/lib/postgresql/15/bin/postgres\0-D\0/data/postgres\0-c\0fsync=on\0";
        assert!(names(line, Path::new("/data/postgres")));
        assert!(!names(line, Path::new("/data")));
        assert!(!names(b"vim\0-D\0/data/postgres\0", Path::new("/data/postgres")));
        assert!(!names(b"", Path::new("/data/postgres")));
    }
}
