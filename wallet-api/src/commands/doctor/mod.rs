//! `tessera doctor`: what this machine lacks to run Tessera, and how to get it.
//!
//! Every check looks and changes nothing. A finding is `ok`, `warn` (it works, with a drawback that the remedy ends)
//! or `fail` (a command will refuse). The report fails when any finding does. No finding shows a password.
//! Not here: installing anything (`scripts/setup.sh` does), a C compiler (needed to build, never to run).

mod cluster;
mod redis;
mod transport;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use diesel::{Connection, PgConnection, RunQueryDsl, dsl::sql, sql_types::Integer};
use serde::Serialize;

use super::node::RedisArgs;
use crate::platform::cluster::{ClusterError, Endpoint, OLDEST_MAJOR, Tools};

pub use transport::Transport;

/// Free space below which a start is refused by us, and soon by PostgreSQL, in bytes.
const DISK_FAIL: u64 = 256 * 1024 * 1024;
/// Free space below which a day of work may fill the disk: the log of changes alone may take 4 GiB. In bytes.
const DISK_WARN: u64 = 5 * 1024 * 1024 * 1024;
/// How to get the programs, on the systems we know.
const INSTALL: &str = "Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17";

/// What to look at.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The data folder of the private database.
    pub data_dir: PathBuf,
    /// The database to use instead, as `DATABASE_URL` says.
    pub database_url: Option<String>,
    /// What libpq takes from the environment where the URL is silent, by the names it has in a URL.
    pub defaults: Vec<(String, String)>,
    /// Whether the operator accepts a remote database without TLS.
    pub allow_plaintext: bool,
    /// Whether to look at the nodes that run over the database too.
    pub cluster: bool,
    /// The Redis that nodes would use; none leaves it out of the report.
    pub redis: Option<RedisArgs>,
}

impl Options {
    /// Looks at this data folder and this URL, in the environment of this process.
    #[must_use]
    pub fn here(data_dir: PathBuf, database_url: Option<String>, allow_plaintext: bool) -> Self {
        let defaults = transport::environment();
        Self { data_dir, database_url, defaults, allow_plaintext, cluster: false, redis: None }
    }
}

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, with a drawback.
    Warn,
    /// A command will refuse.
    Fail,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check, a stable name, as in `postgresql`.
    pub check: &'static str,
    /// How serious it is.
    pub state: State,
    /// What is there, or what is missing.
    pub detail: String,
    /// What to do about it, when there is something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, state: State::Ok, detail: detail.into(), remedy: None }
    }

    fn warn(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Warn, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    fn fail(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Fail, detail: detail.into(), remedy: Some(remedy.into()) }
    }
}

/// All findings, in the order a person should read them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether no finding fails.
    pub ok: bool,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The command's exit code: 0 when nothing fails, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.ok)
    }

    fn print(&self, out: &mut dyn io::Write) -> io::Result<()> {
        for finding in &self.findings {
            let state = match finding.state {
                State::Ok => "ok  ",
                State::Warn => "warn",
                State::Fail => "FAIL",
            };
            writeln!(out, "{state}  {:<12} {}", finding.check, finding.detail)?;
            if let Some(remedy) = &finding.remedy {
                writeln!(out, "{:18} -> {remedy}", "")?;
            }
        }
        let verdict = if self.ok { "Nothing stands in the way." } else { "Not ready: see each FAIL above." };
        writeln!(out, "\n{verdict}")
    }
}

/// Runs every check and prints the report, as text or as one JSON object.
///
/// # Errors
/// Only those of `out`: what is wrong with the machine is in the report.
pub fn run(options: &Options, json: bool, out: &mut dyn io::Write) -> io::Result<Report> {
    let report = examine(options);
    if json {
        serde_json::to_writer(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        report.print(out)?;
    }
    Ok(report)
}

/// Runs every check that matters for these options: a private database and one of the operator's need different things.
#[must_use]
pub fn examine(options: &Options) -> Report {
    let mut findings = match &options.database_url {
        Some(url) => vec![check_transport(url, options), check_server(url, options)],
        None => {
            let tools = Tools::find();
            vec![
                check_tools(tools.as_ref()),
                check_bench(tools.as_ref()),
                check_folder(&options.data_dir),
                check_disk(&options.data_dir),
            ]
        }
    };
    if options.cluster {
        findings.extend(cluster::check(options));
    }
    findings.extend(options.redis.as_ref().map(redis::check));
    Report { ok: findings.iter().all(|finding| finding.state != State::Fail), findings }
}

/// Says whether a database may be used at all: a remote one without TLS may not, unless the operator said so.
///
/// Every command that takes a URL asks this before it connects.
#[must_use]
pub fn check_transport(url: &str, options: &Options) -> Finding {
    const CHECK: &str = "transport";
    let tls_built_in = cfg!(feature = "postgres-tls");
    match Transport::of(url, &options.defaults) {
        Transport::Local => Finding::ok(CHECK, "the database is on this machine"),
        Transport::Verified | Transport::Encrypted if !tls_built_in => Finding::fail(
            CHECK,
            "DATABASE_URL asks for TLS, and this build speaks none to a database",
            "build with `cargo build --release --features postgres-tls`",
        ),
        Transport::Verified => Finding::ok(CHECK, "TLS, with the server's certificate checked"),
        Transport::Encrypted => Finding::warn(
            CHECK,
            "TLS, but sslmode=require believes any server that answers",
            "set sslmode=verify-full and sslrootcert in DATABASE_URL",
        ),
        Transport::Plaintext if options.allow_plaintext => Finding::warn(
            CHECK,
            "the database is remote and what is said to it can be read on the way, as --allow-plaintext accepts",
            "set sslmode=verify-full in DATABASE_URL",
        ),
        Transport::Plaintext => Finding::fail(
            CHECK,
            "the database is remote and DATABASE_URL does not ask for TLS",
            "set sslmode=verify-full in DATABASE_URL, or accept the risk with --allow-plaintext",
        ),
    }
}

/// Asks the operator's server for its version, unless it may not be used.
fn check_server(url: &str, options: &Options) -> Finding {
    const CHECK: &str = "database";
    if check_transport(url, options).state == State::Fail {
        return Finding::warn(CHECK, "not asked, since its transport is refused", "mend the transport first");
    }
    let version = PgConnection::establish(&transport::with_parameter(url, "connect_timeout", "5"))
        .map_err(|error| error.to_string())
        .and_then(|mut conn| {
            let version = sql::<Integer>("current_setting('server_version_num')::int4");
            diesel::select(version).get_result::<i32>(&mut conn).map_err(|error| error.to_string())
        });
    judge_server(CHECK, version)
}

fn judge_server(check: &'static str, version: Result<i32, String>) -> Finding {
    let major = match version {
        Ok(number) => u32::try_from(number).unwrap_or(0).checked_div(10_000).unwrap_or(0),
        Err(why) => {
            let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
            return Finding::fail(check, format!("no connection: {why}"), "correct DATABASE_URL, or unset it");
        }
    };
    if major < OLDEST_MAJOR {
        let detail = format!("the server is PostgreSQL {major}");
        return Finding::fail(check, detail, format!("use PostgreSQL {OLDEST_MAJOR} or newer"));
    }
    Finding::ok(check, format!("PostgreSQL {major} answers"))
}

fn check_tools(tools: Result<&Tools, &ClusterError>) -> Finding {
    const CHECK: &str = "postgresql";
    match tools {
        Ok(tools) => Finding::ok(CHECK, format!("PostgreSQL {} in {}", tools.version(), tools.folder().display())),
        Err(error) => Finding::fail(CHECK, error.to_string(), INSTALL),
    }
}

fn check_bench(tools: Result<&Tools, &ClusterError>) -> Finding {
    const CHECK: &str = "pgbench";
    let Ok(tools) = tools else {
        return Finding::warn(CHECK, "not looked for without PostgreSQL", INSTALL);
    };
    match tools.program("pgbench") {
        Ok(path) => Finding::ok(CHECK, path.display().to_string()),
        Err(_) => Finding::warn(
            CHECK,
            "not found: `tessera bench` has nothing to compare with",
            "Debian, Ubuntu: apt-get install postgresql-contrib; macOS: brew install postgresql@17",
        ),
    }
}

/// Looks at the data folder, or at the folder in which it would be made.
fn check_folder(data_dir: &Path) -> Finding {
    const CHECK: &str = "data folder";
    let shown = data_dir.display();
    if !data_dir.exists() {
        return match writable(&nearest_folder(data_dir)) {
            true => Finding::ok(CHECK, format!("{shown} will be made at the first start")),
            false => Finding::fail(CHECK, format!("{shown} cannot be made here"), "set TESSERA_DATA_DIR"),
        };
    }
    if !data_dir.is_dir() || !writable(data_dir) {
        return Finding::fail(CHECK, format!("{shown} is no folder that we can write"), "set TESSERA_DATA_DIR");
    }
    match Endpoint::of_running(data_dir) {
        Ok(endpoint) => {
            Finding::ok(CHECK, format!("{shown}; its server listens in {}", endpoint.socket_dir().display()))
        }
        Err(ClusterError::NotRunning { .. }) => Finding::ok(CHECK, format!("{shown}; no server is running")),
        Err(error) => Finding::fail(CHECK, error.to_string(), "set TESSERA_DATA_DIR, or do what the message says"),
    }
}

fn check_disk(data_dir: &Path) -> Finding {
    const CHECK: &str = "disk";
    let folder = nearest_folder(data_dir);
    match rustix::fs::statvfs(&folder) {
        Ok(facts) => judge_disk(CHECK, facts.f_bavail.saturating_mul(facts.f_frsize)),
        Err(error) => Finding::warn(CHECK, format!("cannot look at {}: {error}", folder.display()), "look by hand"),
    }
}

fn judge_disk(check: &'static str, free: u64) -> Finding {
    let detail = format!("{} MiB free", free.checked_div(1024 * 1024).unwrap_or(0));
    match free {
        0..DISK_FAIL => Finding::fail(check, detail, "free some space, or set TESSERA_DATA_DIR to another disk"),
        DISK_FAIL..DISK_WARN => Finding::warn(check, detail, "the database may need 5 GiB: free some space"),
        _ => Finding::ok(check, detail),
    }
}

/// The folder itself, or the nearest parent that exists.
fn nearest_folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    absolute.ancestors().find(|folder| folder.exists()).map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
}

fn writable(folder: &Path) -> bool {
    let writes = fs::metadata(folder).is_ok_and(|facts| facts.is_dir());
    writes && rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_url(url: &str) -> Options {
        Options { database_url: Some(url.to_owned()), ..Options::default() }
    }

    #[test]
    fn this_machine_can_run_a_private_database() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let options = Options { data_dir: folder.path().join("not/yet"), ..Options::default() };
        let mut text = Vec::new();
        let report = run(&options, false, &mut text)?;
        let text = String::from_utf8(text)?;
        assert!(report.ok && report.exit_code() == 0, "{text}");
        assert!(text.contains("ok    postgresql   PostgreSQL ") && text.contains("will be made"), "{text}");
        assert!(!options.data_dir.exists(), "a check made something");

        let mut json = Vec::new();
        run(&options, true, &mut json)?;
        let json: serde_json::Value = serde_json::from_slice(&json)?;
        assert_eq!(json["ok"], true);
        assert_eq!(json["findings"][0]["check"], "postgresql");
        assert_eq!(json["findings"][0]["state"], "ok");
        Ok(())
    }

    #[test]
    fn a_remote_database_without_tls_is_refused_unless_told() {
        let mut options = with_url("postgresql://app:hush@db.invalid/books");
        let report = examine(&options);
        assert_eq!(report.exit_code(), 1);
        assert_eq!(report.findings.iter().map(|finding| finding.state).collect::<Vec<_>>(), [State::Fail, State::Warn]);
        options.allow_plaintext = true;
        let url = options.database_url.clone().unwrap_or_default();
        assert_eq!(check_transport(&url, &options).state, State::Warn);
        let shown = format!("{:?}", examine(&options));
        assert!(!shown.contains("hush"), "{shown}");
    }

    #[test]
    fn tls_is_promised_only_by_a_build_that_has_it() {
        let options = Options::default();
        let state = |mode: &str| check_transport(&format!("postgresql://db.invalid/b?sslmode={mode}"), &options).state;
        let expected = match cfg!(feature = "postgres-tls") {
            true => [State::Ok, State::Warn],
            false => [State::Fail, State::Fail],
        };
        assert_eq!([state("verify-full"), state("require")], expected);
    }

    #[test]
    fn a_dead_or_old_server_is_named() {
        let report = examine(&with_url("postgresql://127.0.0.1:9/books"));
        assert_eq!(report.exit_code(), 1);
        assert!(report.findings[1].detail.starts_with("no connection: "), "{report:?}");
        assert_eq!(judge_server("database", Ok(140_011)).state, State::Fail);
        assert_eq!(judge_server("database", Ok(150_018)).detail, "PostgreSQL 15 answers");
    }

    #[test]
    fn a_full_disk_fails_and_a_tight_one_warns() {
        assert_eq!(judge_disk("disk", DISK_FAIL - 1).state, State::Fail);
        assert_eq!(judge_disk("disk", DISK_FAIL).state, State::Warn);
        assert_eq!(judge_disk("disk", DISK_WARN).state, State::Ok);
    }

    #[test]
    fn missing_programs_come_with_the_line_that_installs_them() {
        let finding = check_tools(Err(&ClusterError::ToolsMissing));
        assert_eq!(finding.state, State::Fail);
        assert!(finding.remedy.is_some_and(|remedy| remedy.contains("apt-get install postgresql")));
    }

    #[test]
    fn a_data_folder_that_is_a_file_is_refused() -> io::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        assert_eq!(check_folder(file.path()).state, State::Fail);
        assert_eq!(check_folder(&file.path().join("below")).state, State::Fail);
        Ok(())
    }
}
