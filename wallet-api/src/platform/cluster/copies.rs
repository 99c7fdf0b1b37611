//! Copies of a private database: a base backup of a running server, the archive of its log, and a database made from
//! both.
//!
//! The server archives each finished segment of its log itself, by a shell command that copies, flushes, then renames:
//! a segment has its name only when it is whole and on disk, and one that is there already must be the same
//! (docs/adr/0003). Where nobody asked for an archive the command does nothing, so that asking needs no restart.
//! Not here: what a backup is called, what is written beside it, whether it is the right one.
//! Source: the PostgreSQL manual, chapter "Backup and Restore", section 26.3 of version 15.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    time::Duration,
};

use diesel::{Connection, PgConnection, RunQueryDsl, connection::SimpleConnection};

use super::{Cluster, ClusterError, Endpoint, Role, Tools, launch, place::Home};

/// An archive command that keeps nothing.
const KEEP_NOTHING: &str = "true";
/// After this many seconds a segment is archived even if it is not full: how much a lost disk may cost.
const ARCHIVE_EVERY_S: u32 = 60;
/// How long the replay of an archive may take.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(24 * 3_600);
/// What PostgreSQL's log says when there is not enough to reach the time asked for, and when that is too early.
const TOO_LATE: &str = "recovery ended before configured recovery target was reached";
const TOO_EARLY: &str = "before consistent recovery point";

/// The files of a running private database, seen by a command that copies them.
#[derive(Debug)]
pub struct Source {
    home: Home,
    tools: Tools,
    endpoint: Endpoint,
}

impl Source {
    /// Finds the running server of this data folder, ours or another process's.
    ///
    /// # Errors
    /// [`ClusterError::NotRunning`], [`ClusterError::OtherMajor`], what the operating system refuses.
    pub fn of_running(data_dir: &Path) -> Result<Self, ClusterError> {
        let endpoint = Endpoint::of_running(data_dir)?;
        let home = Home::find(data_dir)?.ok_or_else(|| ClusterError::NotRunning { folder: data_dir.to_path_buf() })?;
        let tools = launch::tools_for(&home.database())?;
        Ok(Self { home, tools, endpoint })
    }

    /// The programs that belong to the server.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// A connection URL: see [`Endpoint::url`].
    #[must_use]
    pub fn url(&self, role: Role, database: &str) -> String {
        self.endpoint.url(role, database)
    }

    /// Makes a folder that the server's account can write, unless it is there.
    ///
    /// # Errors
    /// [`ClusterError::Unreachable`] where the account cannot get to it.
    pub fn make_folder(&self, folder: &Path) -> Result<(), ClusterError> {
        if !folder.is_dir() {
            self.home.make_private(folder)?;
        }
        self.home.must_reach(folder)
    }

    /// Copies the running database into `folder`, which must not exist, with the log that makes the copy whole and a
    /// manifest of SHA-256 sums. Everything is on disk when this returns.
    ///
    /// # Errors
    /// [`ClusterError::ProgramFailed`].
    pub fn base_backup(&self, folder: &Path) -> Result<(), ClusterError> {
        let program = self.tools.program("pg_basebackup")?;
        let mut command = launch::command(&program, self.home.account());
        command.arg("--pgdata").arg(folder).arg("--host").arg(self.endpoint.socket_dir());
        command.args(["--port=5432", "--no-password", "--checkpoint=fast", "--wal-method=stream"]);
        command.args(["--manifest-checksums=SHA256", "--username", Role::Super.name()]);
        run("pg_basebackup", command)
    }

    /// Has the server archive its log into `folder` from now on, whoever starts it.
    ///
    /// # Errors
    /// [`ClusterError::Statement`], and a folder whose name is no text.
    pub fn archive_into(&self, folder: &Path) -> Result<(), ClusterError> {
        let mut conn = PgConnection::establish(&self.url(Role::Super, "postgres"))?;
        set(&mut conn, "archive_timeout", &ARCHIVE_EVERY_S.to_string())?;
        set(&mut conn, "archive_command", &archive_command(folder)?)?;
        Ok(conn.batch_execute("SELECT pg_reload_conf()")?)
    }
}

/// What to make a database from.
#[derive(Debug, Clone)]
pub struct Copy {
    /// A base backup, as [`Source::base_backup`] left it.
    pub base: PathBuf,
    /// The archive of the log after it.
    pub archive: Option<PathBuf>,
    /// Up to which time, as PostgreSQL writes it; without it, to the archive's end.
    pub until: Option<String>,
}

impl Cluster {
    /// Makes the database of an empty data folder from a copy, replays the log, and leaves its server running. Until
    /// [`Cluster::restored`] is called, no other start takes the folder for a whole one. It archives nothing.
    ///
    /// # Errors
    /// [`ClusterError::NotEmpty`], [`ClusterError::OtherMajor`], [`ClusterError::UntilTooLate`],
    /// [`ClusterError::UntilTooEarly`] and what [`Cluster::start`] says.
    pub fn restore(data_dir: &Path, copy: &Copy) -> Result<Self, ClusterError> {
        let home = Home::find_or_make(data_dir)?;
        let lock = home.lock()?;
        home.must_be_whole()?;
        if home.database().exists() {
            return Err(ClusterError::NotEmpty { folder: home.database() });
        }
        let tools = launch::tools_for(&copy.base)?;
        if let Some(archive) = &copy.archive {
            home.must_reach(archive)?;
        }
        home.begin_restore()?;
        let filled = fill(&home, &tools, copy);
        let (database, restoring) = (home.database(), home.clone());
        let served = filled.and_then(|settings| Self::serve(home, lock, tools, settings, RECOVERY_PATIENCE));
        let cluster = served.map_err(|error| {
            // It was not there before, and nobody could use it: the next try finds the place empty.
            if fs::remove_dir_all(&database).is_ok() {
                _ = restoring.end_restore();
            }
            worded(error, copy)
        })?;
        set(&mut cluster.admin()?, "archive_command", KEEP_NOTHING)?;
        Ok(cluster)
    }

    /// Says that a restored database is whole and in order: from now on any start takes it.
    ///
    /// # Errors
    /// What the operating system refuses.
    pub fn restored(&self) -> Result<(), ClusterError> {
        self.home.end_restore()
    }

    /// Gives the server an archive command that keeps nothing, where it has none: without one it would keep every
    /// segment for ever.
    pub(super) fn must_have_archive_command(&self) -> Result<(), ClusterError> {
        let mut conn = self.admin()?;
        let missing = "SELECT 1 WHERE current_setting('archive_command') IN ('', '(disabled)')";
        if diesel::sql_query(missing).execute(&mut conn)? == 1 {
            set(&mut conn, "archive_command", KEEP_NOTHING)?;
            conn.batch_execute("SELECT pg_reload_conf()")?;
        }
        Ok(())
    }
}

/// Checks a base backup against its manifest: every file there, none too many, each with its sum, the log readable.
///
/// # Errors
/// [`ClusterError::ProgramFailed`] with what is wrong; [`ClusterError::OtherMajor`] where its programs are missing.
pub fn verify_backup(base: &Path) -> Result<(), ClusterError> {
    let program = launch::tools_for(base)?.program("pg_verifybackup")?;
    let mut command = launch::command(&program, None);
    command.arg("--quiet").arg(base);
    run("pg_verifybackup", command)
}

fn run(name: &'static str, mut command: std::process::Command) -> Result<(), ClusterError> {
    let output = command.output().map_err(ClusterError::io("run", name))?;
    if output.status.success() {
        return Ok(());
    }
    Err(ClusterError::ProgramFailed { name, log: launch::tail(&String::from_utf8_lossy(&output.stderr)) })
}

fn set(conn: &mut PgConnection, name: &str, value: &str) -> Result<(), ClusterError> {
    // ALTER SYSTEM takes no bound values, and refuses to run among other statements.
    let value = value.replace('\'', "''");
    diesel::sql_query(format!("ALTER SYSTEM SET {name} = '{value}'")).execute(conn)?;
    Ok(())
}

/// PostgreSQL puts the segment's path for `%p` and its name for `%f`. A copy cut short by a crash has another name, and
/// one that was made before the crash is compared, not made again.
fn archive_command(folder: &Path) -> Result<String, ClusterError> {
    let folder = shell_word(folder)?;
    let (to, part) = (format!("{folder}/%f"), format!("{folder}/%f.part"));
    Ok(format!(
        "if test -f {to}; then cmp -s %p {to}; \
         else cp %p {part} && sync {part} && mv {part} {to} && sync {folder}; fi"
    ))
}

/// A path as one word of a shell command in which `%` has a meaning of its own.
fn shell_word(path: &Path) -> Result<String, ClusterError> {
    let text = path.to_str().ok_or_else(|| ClusterError::NotText { path: path.to_path_buf() })?;
    Ok(format!("'{}'", text.replace('\'', r"'\''").replace('%', "%%")))
}

/// Puts the base backup in its place, ready to replay, and says with which settings.
fn fill(home: &Home, tools: &Tools, copy: &Copy) -> Result<Vec<(String, String)>, ClusterError> {
    let (database, signal) = (home.database(), home.database().join("recovery.signal"));
    home.make_private(&database)?;
    copy_tree(&copy.base, &database, home)?;
    fs::write(&signal, "").map_err(ClusterError::io("write", &signal))?;
    home.own(&signal)?;
    flush(home, tools)?;
    recovery_settings(copy)
}

fn recovery_settings(copy: &Copy) -> Result<Vec<(String, String)>, ClusterError> {
    let fetch = match &copy.archive {
        Some(archive) => format!("cp {}/%f %p", shell_word(archive)?),
        None => "false".to_owned(),
    };
    let mut settings = vec![
        ("restore_command".to_owned(), fetch),
        ("recovery_target_action".to_owned(), "promote".to_owned()),
        // Nobody reads before it is whole; and what standbys need to be as large as the primary does not matter then.
        ("hot_standby".to_owned(), "off".to_owned()),
        // What the backed-up server archived into is not ours to write.
        ("archive_command".to_owned(), KEEP_NOTHING.to_owned()),
    ];
    settings.extend(copy.until.iter().map(|until| ("recovery_target_time".to_owned(), until.clone())));
    Ok(settings)
}

fn worded(error: ClusterError, copy: &Copy) -> ClusterError {
    let until = copy.until.clone().unwrap_or_default();
    let says = |words| matches!(&error, ClusterError::StartFailed { log, .. } if log.contains(words));
    if says(TOO_LATE) {
        return ClusterError::UntilTooLate { until };
    }
    if says(TOO_EARLY) {
        return ClusterError::UntilTooEarly { until };
    }
    error
}

/// Copies a folder's contents, for the server's account only. A base backup of ours has files and folders, no links.
fn copy_tree(from: &Path, to: &Path, home: &Home) -> Result<(), ClusterError> {
    for entry in fs::read_dir(from).map_err(ClusterError::io("read", from))? {
        let entry = entry.map_err(ClusterError::io("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(ClusterError::io("look at", &source))?;
        if kind.is_dir() {
            home.make_private(&target)?;
            copy_tree(&source, &target, home)?;
        } else if kind.is_file() {
            fs::copy(&source, &target).map_err(ClusterError::io("copy", &source))?;
            home.own(&target)?;
        } else {
            return Err(ClusterError::Foreign { path: source });
        }
    }
    Ok(())
}

/// Puts a copied database on disk.
fn flush(home: &Home, tools: &Tools) -> Result<(), ClusterError> {
    let program = tools.program("initdb")?;
    let mut command = launch::command(&program, home.account());
    command.arg("--sync-only").arg("-D").arg(home.database());
    run("initdb", command)
}

impl Home {
    /// Gives a file or folder to the server's account.
    fn own(&self, path: &Path) -> Result<(), ClusterError> {
        let Some(account) = self.account() else { return Ok(()) };
        chown(path, Some(account.uid), Some(account.gid)).map_err(ClusterError::io("give away", path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_any_name_is_one_word_of_the_archive_command() -> Result<(), ClusterError> {
        assert_eq!(shell_word(Path::new("/b/it's 100%"))?, r"'/b/it'\''s 100%%'");
        let command = archive_command(Path::new("/b/wal"))?;
        assert!(command.starts_with("if test -f '/b/wal'/%f; then cmp -s %p '/b/wal'/%f; else cp %p '/b/wal'/%f.part"));
        Ok(())
    }
}
