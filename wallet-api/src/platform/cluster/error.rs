//! Why the private database does not start, stop or answer, each with what to do next.

use std::path::PathBuf;

use thiserror::Error;

/// Why the private PostgreSQL cluster cannot be used.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// No `postgres` and `initdb` anywhere we know to look.
    #[error(
        "PostgreSQL 15 or newer was not found. Install it (Debian, Ubuntu: apt-get install postgresql; macOS: brew \
         install postgresql@17), put its programs on PATH, or point DATABASE_URL at a server"
    )]
    ToolsMissing,
    /// What is installed is older than the SQL we speak.
    #[error(
        "PostgreSQL {found} in {folder} is too old: install version 15 or newer, or point DATABASE_URL at a server"
    )]
    ToolsTooOld {
        /// The newest version found.
        found: String,
        /// Where it was found.
        folder: PathBuf,
    },
    /// A program that some packages leave out.
    #[error(
        "the program {name} is not in {folder} nor on PATH: install it (Debian, Ubuntu: apt-get install \
         postgresql-contrib; macOS: brew install postgresql@17)"
    )]
    ProgramMissing {
        /// The program asked for, as in `pgbench`.
        name: String,
        /// Where the other programs are.
        folder: PathBuf,
    },
    /// PostgreSQL cannot open a folder of another major version.
    #[error(
        "the data in {folder} was made by PostgreSQL {made_by}, and only {have} is here: install PostgreSQL {made_by}, \
         or carry the data over with its pg_dump, or choose another folder with TESSERA_DATA_DIR"
    )]
    OtherMajor {
        /// The database's folder.
        folder: PathBuf,
        /// The major version that made it.
        made_by: u32,
        /// The version at hand.
        have: String,
    },
    /// Another live process works in this data folder.
    #[error(
        "the data folder {folder} is in use by {}: stop that process first, or choose another folder with \
         TESSERA_DATA_DIR",
        holder(*.pid)
    )]
    Held {
        /// The folder that is locked.
        folder: PathBuf,
        /// The process that holds it, when it has already said so.
        pid: Option<u32>,
    },
    /// The data is here, but the account it belongs to cannot get to it.
    #[error(
        "the database in {folder} runs as {account}, which cannot enter {closed}: run `chmod o+x {closed}`, or move the \
         data folder and set TESSERA_DATA_DIR"
    )]
    Unreachable {
        /// The database's folder.
        folder: PathBuf,
        /// The parent folder that bars the way.
        closed: PathBuf,
        /// The account of the server.
        account: String,
    },
    /// The data belongs to somebody we may not act for.
    #[error(
        "the database in {folder} belongs to user id {owner}: run as that user or as root, or choose another folder \
         with TESSERA_DATA_DIR"
    )]
    OwnedByAnother {
        /// The database's folder.
        folder: PathBuf,
        /// User id of its owner.
        owner: u32,
    },
    /// The files of a home have other places or meanings than this build knows.
    #[error(
        "the data folder {folder} was laid out by a later tessera (layout {found}): run that one, or restore a backup \
         made by this one into another folder"
    )]
    NewerLayout {
        /// The home.
        folder: PathBuf,
        /// Its layout's number.
        found: u32,
    },
    /// The mark of the layout is not one of ours.
    #[error(
        "{path} says {text:?}, which is no layout that any tessera wrote: restore the file from a backup, or the folder"
    )]
    BadLayout {
        /// The file that was read.
        path: PathBuf,
        /// How it begins.
        text: String,
    },
    /// A restore into this folder was cut short.
    #[error("a restore into {folder} did not end, so what is there is not whole: remove the folder and restore again")]
    HalfRestored {
        /// The home.
        folder: PathBuf,
    },
    /// A restore needs an empty place.
    #[error("there is a database in {folder}: restore into an empty folder, and keep this one until you are sure")]
    NotEmpty {
        /// What is there.
        folder: PathBuf,
    },
    /// The archive ends before the time asked for.
    #[error(
        "the archived log ends before {until}: ask for an earlier time, or leave --until away to restore all there is"
    )]
    UntilTooLate {
        /// The time asked for.
        until: String,
    },
    /// The base backup ends after the time asked for.
    #[error("the base backup was not finished at {until}: ask for a later time, or restore from an older backup")]
    UntilTooEarly {
        /// The time asked for.
        until: String,
    },
    /// A backup holds something that our backups never do.
    #[error("{path} is neither a file nor a folder: no backup of ours holds such a thing")]
    Foreign {
        /// What was found.
        path: PathBuf,
    },
    /// A path that cannot stand in a command.
    #[error("the path {path:?} is no text: choose another folder")]
    NotText {
        /// The path refused.
        path: PathBuf,
    },
    /// A program of PostgreSQL refused.
    #[error("{name} refused: {log}")]
    ProgramFailed {
        /// Which.
        name: &'static str,
        /// The end of what it said.
        log: String,
    },
    /// The note that says where the database lives cannot be believed.
    #[error("{note} names {location}, which is no folder of ours: remove that file, or set TESSERA_DATA_DIR")]
    BadLocation {
        /// The file that was read.
        note: PathBuf,
        /// What it says.
        location: String,
    },
    /// `initdb` ended with an error.
    #[error("initdb could not make a database in {folder}; its last words: {log}")]
    InitFailed {
        /// The folder that was to hold the database.
        folder: PathBuf,
        /// The end of its output.
        log: String,
    },
    /// The server ended before it was ready.
    #[error("PostgreSQL did not start; the end of {file}: {log}")]
    StartFailed {
        /// The server's log file.
        file: PathBuf,
        /// What this start wrote to it.
        log: String,
    },
    /// The server lives but does not get ready.
    #[error(
        "PostgreSQL is not ready after {seconds} s (a long recovery can take that time: see {file}, then try again)"
    )]
    StartTimedOut {
        /// How long we waited, in seconds.
        seconds: u64,
        /// The server's log file.
        file: PathBuf,
    },
    /// A server did not obey.
    #[error("PostgreSQL, process {pid}, does not stop: look at what it does, end it by hand, then try again")]
    DoesNotStop {
        /// The server's process.
        pid: u32,
    },
    /// Nobody serves this data folder.
    #[error("no database is running for {folder}: start one with `tessera serve` or `tessera demo`")]
    NotRunning {
        /// The data folder asked about.
        folder: PathBuf,
    },
    /// A database name that would need quoting.
    #[error("{name:?} is no database name of ours: use 1 to 63 of a-z, 0-9 and _, the first a letter")]
    BadDatabaseName {
        /// The name refused.
        name: String,
    },
    /// The server runs but refuses us.
    #[error("the private database refused a connection: see the server.log beside it")]
    Connect(#[from] diesel::ConnectionError),
    /// The server refused a statement.
    #[error("the private database refused an administrative statement")]
    Statement(#[from] diesel::result::Error),
    /// The operating system refused a call.
    #[error("cannot {action} {path}: check that the folder exists, is yours and has room")]
    Io {
        /// What was tried, as in `create`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl ClusterError {
    /// Wraps a refusal of the operating system with what was tried on which path.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
