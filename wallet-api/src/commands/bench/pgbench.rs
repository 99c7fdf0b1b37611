//! The reference: PostgreSQL's own `pgbench`, TPC-B-like, on the same cluster as what it is compared with.
//!
//! `-M prepared`, scale 10, over the unix socket. `pgbench` is a client, so it runs as whoever we are. It obeys `PG…`
//! variables of the environment, which could change durability behind our back: they are taken away. All calls block
//! for as long as `pgbench` runs; call them off the async threads.
//! Rates are decimals as `pgbench` prints them, never floats.
//! Not here: starting the cluster (platform::cluster), interleaving (the benches).

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    str::FromStr,
    time::Duration,
};

use diesel::sql_types::{BigInt, Text};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query};
use rust_decimal::Decimal;
use serde::Serialize;

use super::histogram::Histogram;

/// How many clients the reference is run with; its best is what counts, since two cores suit eight better than 32.
pub const CLIENTS: [u32; 3] = [1, 8, 32];

/// The size of the reference's tables: 100,000 accounts for each.
pub const SCALE: u32 = 10;

/// More threads than this would only take the cores from the database.
const MAX_THREADS: u32 = 2;

/// How much of what `pgbench` complains about is kept, in characters.
const MAX_COMPLAINT: usize = 500;

/// A `pgbench` program and the database it is let loose on, which it fills with tables of its own.
#[derive(Debug, Clone)]
pub struct Pgbench {
    /// The program.
    pub program: PathBuf,
    /// The folder of the cluster's unix socket.
    pub socket_dir: PathBuf,
    /// The role to connect as.
    pub user: String,
    /// A database of its own: tables named `pgbench_…` are dropped there.
    pub database: String,
}

/// One run of the reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PgbenchRun {
    /// Concurrent clients.
    pub clients: u32,
    /// Transactions per second, without the time to connect.
    pub tps: Decimal,
    /// Mean time of a transaction, in ms.
    pub latency_ms: Decimal,
    /// Transactions done.
    pub transactions: u64,
    /// The command as it was run.
    pub command_line: String,
}

/// One run of the single-row insert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InsertRun {
    /// Concurrent clients.
    pub clients: u32,
    /// Inserts per second.
    pub tps: Decimal,
    /// Half of them took no longer, microseconds.
    pub p50_us: u32,
}

/// The settings that decide whether a commit outlives a power cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, diesel::QueryableByName)]
pub struct Durability {
    /// `fsync`
    #[diesel(sql_type = Text)]
    pub fsync: String,
    /// `synchronous_commit`
    #[diesel(sql_type = Text)]
    pub synchronous_commit: String,
    /// `full_page_writes`
    #[diesel(sql_type = Text)]
    pub full_page_writes: String,
    /// `shared_buffers`: how much of it the server keeps in its memory. No part of durability, and the same on both sides.
    #[diesel(sql_type = Text)]
    pub shared_buffers: String,
}

impl Durability {
    /// Whether everything is on, as every figure of ours requires.
    pub fn is_full(&self) -> bool {
        [&self.fsync, &self.synchronous_commit, &self.full_page_writes].into_iter().all(|setting| setting == "on")
    }
}

/// Why there is no reference.
#[derive(Debug, thiserror::Error)]
pub enum PgbenchError {
    /// The program cannot be run.
    #[error("cannot run {}; it comes with PostgreSQL (Debian: postgresql-contrib or postgresql-15)", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It ended with an error.
    #[error("{command_line} failed: {complaint}")]
    Failed {
        /// The command as it was run.
        command_line: String,
        /// The end of what it wrote to standard error.
        complaint: String,
    },
    /// It said nothing that is a result, or a result with failed transactions.
    #[error("{command_line} reported no usable {missing}")]
    Unreadable {
        /// The command as it was run.
        command_line: String,
        /// What was looked for.
        missing: &'static str,
    },
}

impl Pgbench {
    /// Fills the reference's tables anew.
    ///
    /// # Errors
    /// [`PgbenchError`]
    pub fn init(&self) -> Result<(), PgbenchError> {
        let mut command = self.command();
        command.args(["-i", "-q", "-s", &SCALE.to_string(), &self.database]);
        run(&mut command).map(drop)
    }

    /// Runs the reference with so many clients for so many seconds.
    ///
    /// Its small tables are vacuumed before, as `pgbench` does unless told otherwise: the reference at its best.
    ///
    /// # Errors
    /// [`PgbenchError`]
    pub fn run(&self, clients: u32, seconds: u32) -> Result<PgbenchRun, PgbenchError> {
        let mut command = self.command();
        let threads = clients.min(MAX_THREADS);
        command.args(["-M", "prepared", "-s", &SCALE.to_string()]);
        command.args([
            "-c",
            &clients.to_string(),
            "-j",
            &threads.to_string(),
            "-T",
            &seconds.to_string(),
            &self.database,
        ]);
        let report = run(&mut command)?;
        let command_line = line_of(&command);
        parse(clients, &report)
            .map(|run| PgbenchRun { command_line: command_line.clone(), ..run })
            .map_err(|missing| PgbenchError::Unreadable { command_line, missing })
    }

    /// Runs inserts of single rows, a commit each, and reads how long they took from the log of all of them.
    ///
    /// # Errors
    /// [`PgbenchError`]; a log that cannot be read is [`PgbenchError::Unreadable`].
    pub fn insert(&self, clients: u32, seconds: u32, folder: &Path) -> Result<InsertRun, PgbenchError> {
        const SCRIPT: &str = "INSERT INTO single_row (n) VALUES (1);";
        const TABLE: &str = "CREATE TABLE IF NOT EXISTS single_row (id bigserial PRIMARY KEY, n bigint NOT NULL);";
        let (script, table, log) = (folder.join("insert.sql"), folder.join("table.sql"), folder.join("log"));
        let start = |source| PgbenchError::Start { program: self.program.clone(), source };
        fs::write(&script, SCRIPT).map_err(start)?;
        fs::write(&table, TABLE).map_err(start)?;
        run(self.command().args(["-n", "-t", "1", "-f"]).arg(&table).arg(&self.database))?;
        fs::create_dir_all(&log).map_err(start)?;
        let mut command = self.command();
        let (clients_text, threads) = (clients.to_string(), clients.min(MAX_THREADS).to_string());
        command.args(["-n", "-M", "prepared", "-c", &clients_text, "-j", &threads, "-T", &seconds.to_string()]);
        command.arg("-l").arg(format!("--log-prefix={}", log.join("each").display()));
        command.arg("-f").arg(&script).arg(&self.database);
        let report = run(&mut command)?;
        let command_line = line_of(&command);
        let unreadable = |missing| PgbenchError::Unreadable { command_line: command_line.clone(), missing };
        let times = times_of(&log).map_err(start)?;
        fs::remove_dir_all(&log).map_err(start)?;
        let tps = value(&report, "tps = ").ok_or_else(|| unreadable("tps"))?;
        if times.count() == 0 {
            return Err(unreadable("log"));
        }
        Ok(InsertRun { clients, tps, p50_us: times.quantile_us(500) })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        // Its report is read by its English words.
        command.env("LC_ALL", "C").stdin(Stdio::null()).arg("-h").arg(&self.socket_dir).args(["-U", &self.user]);
        command
    }
}

/// Of the runs of each number of clients the median, and of these the one with the most transactions per second.
pub fn best(runs: &[PgbenchRun]) -> Option<&PgbenchRun> {
    let mut by_clients: BTreeMap<u32, Vec<&PgbenchRun>> = BTreeMap::new();
    runs.iter().for_each(|run| by_clients.entry(run.clients).or_default().push(run));
    let medians = by_clients.into_values().filter_map(|mut runs| {
        runs.sort_by_key(|run| run.tps);
        runs.get(runs.len() / 2).copied()
    });
    medians.max_by_key(|run| run.tps)
}

/// How long each transaction took, from the logs in a folder: the third word of each line, in microseconds.
fn times_of(folder: &Path) -> io::Result<Histogram> {
    let mut times = Histogram::default();
    for file in fs::read_dir(folder)? {
        let text = fs::read_to_string(file?.path())?;
        let us = text.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse().ok());
        us.for_each(|us| times.record(Duration::from_micros(us)));
    }
    Ok(times)
}

/// How many times the reference's rate `ours_per_s` is, to two decimals, rounded down. `None` against a rate of zero.
pub fn ratio(ours_per_s: u64, reference_tps: Decimal) -> Option<Decimal> {
    Some(Decimal::from(ours_per_s).checked_div(reference_tps)?.trunc_with_scale(2))
}

/// Writes everything out, so that neither side pays for what was written before. Once, before all contenders.
///
/// # Errors
/// What the database reports; it lets only a superuser or a member of `pg_checkpoint` do it.
pub fn checkpoint(conn: &mut PgConnection) -> diesel::QueryResult<()> {
    sql_query("CHECKPOINT").execute(conn).map(drop)
}

/// How many tables of the cluster are vacuumed or analysed now, by the database's own doing.
///
/// # Errors
/// What the database reports.
pub fn vacuums(conn: &mut PgConnection) -> diesel::QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Workers {
        #[diesel(sql_type = BigInt)]
        workers: i64,
    }
    let workers = "SELECT count(*) AS workers FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'";
    Ok(sql_query(workers).get_result::<Workers>(conn)?.workers)
}

/// The cluster's settings, as this connection has them.
///
/// # Errors
/// What the database reports.
pub fn durability(conn: &mut PgConnection) -> diesel::QueryResult<Durability> {
    let settings = "SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit, \
                    current_setting('full_page_writes') AS full_page_writes, \
                    current_setting('shared_buffers') AS shared_buffers";
    sql_query(settings).get_result(conn)
}

fn run(command: &mut Command) -> Result<String, PgbenchError> {
    let program = || Path::new(command.get_program()).to_owned();
    let program = program();
    let Output { status, stdout, stderr } =
        command.output().map_err(|source| PgbenchError::Start { program, source })?;
    if !status.success() {
        return Err(PgbenchError::Failed { command_line: line_of(command), complaint: end_of(&stderr) });
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn end_of(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let skipped = text.trim().chars().count().saturating_sub(MAX_COMPLAINT);
    text.trim().chars().skip(skipped).collect()
}

/// Reads a report; what is missing in it is the error.
fn parse(clients: u32, report: &str) -> Result<PgbenchRun, &'static str> {
    if value::<u32>(report, "scaling factor: ") != Some(SCALE) {
        return Err("scale of 10");
    }
    if value::<u64>(report, "number of failed transactions: ").is_some_and(|failed| failed > 0) {
        return Err("run without failed transactions");
    }
    Ok(PgbenchRun {
        clients,
        tps: value(report, "tps = ").filter(|tps: &Decimal| *tps > Decimal::ZERO).ok_or("tps")?,
        latency_ms: value(report, "latency average = ").ok_or("latency")?,
        transactions: value(report, "number of transactions actually processed: ").ok_or("number of transactions")?,
        command_line: String::new(),
    })
}

/// The first word after `label` at the start of a line.
fn value<T: FromStr>(report: &str, label: &str) -> Option<T> {
    report.lines().find_map(|line| line.strip_prefix(label))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "pgbench (15.18)\ntransaction type: <builtin: TPC-B (sort of)>\nscaling factor: 10\nquery mode: prepared\n\
        number of clients: 8\nnumber of threads: 2\nmaximum number of tries: 1\nduration: 10 s\n\
        number of transactions actually processed: 44760\nnumber of failed transactions: 0 (0.000%)\n\
        latency average = 1.787 ms\ninitial connection time = 9.153 ms\ntps = 4476.123456 (without initial connection time)\n";

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn a_report_is_read_to_its_last_digit() {
        let run = parse(8, REPORT).unwrap();
        assert_eq!(
            (run.clients, run.tps, run.latency_ms, run.transactions),
            (8, decimal("4476.123456"), decimal("1.787"), 44760)
        );
    }

    #[test]
    fn a_report_that_does_not_say_what_is_needed_is_no_reference() {
        assert_eq!(parse(8, ""), Err("scale of 10"));
        assert_eq!(parse(8, &REPORT.replace("factor: 10", "factor: 1")), Err("scale of 10"));
        assert_eq!(
            parse(8, &REPORT.replace("transactions: 0 (0.000%)", "transactions: 3 (0.1%)")),
            Err("run without failed transactions")
        );
        assert_eq!(parse(8, &REPORT.replace("tps = 4476.123456", "tps = 0.000000")), Err("tps"));
        assert_eq!(parse(8, &REPORT.replace("tps = ", "rate = ")), Err("tps"));
    }

    #[test]
    fn the_best_run_counts_and_a_ratio_is_never_rounded_in_our_favour() {
        let run = |clients, tps| PgbenchRun { clients, tps: decimal(tps), ..parse(8, REPORT).unwrap() };
        let runs = [run(1, "1506.2"), run(8, "4476.1"), run(32, "3774")];
        assert_eq!(best(&runs).map(|run| run.clients), Some(8));
        let rounds = [run(8, "4000"), run(8, "9000"), run(8, "4100"), run(1, "4050")];
        assert_eq!(best(&rounds).map(|run| run.tps), Some(decimal("4100")), "a median, not the luckiest");
        assert_eq!(best(&[]), None);
        assert_eq!(ratio(2999, decimal("2000")), Some(decimal("1.49")));
        assert_eq!(ratio(1, Decimal::ZERO), None);
    }

    #[test]
    fn durability_is_full_only_with_everything_on() {
        let on = || "on".to_owned();
        let full =
            Durability { fsync: on(), synchronous_commit: on(), full_page_writes: on(), shared_buffers: String::new() };
        assert!(full.is_full());
        assert!(!Durability { synchronous_commit: "local".to_owned(), ..full }.is_full());
    }

    /// A program that stands in for `pgbench`: it runs `script`, its arguments being `$@`.
    #[cfg(unix)]
    fn stand_in(script: &str) -> (tempfile::TempDir, Pgbench) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("pgbench");
        // Written by another process: a file that this one had open for writing may still be open in a fork of another
        // test, and cannot be run then.
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 700 \"$0\"";
        let written = Command::new("sh").arg("-c").arg(write).arg(&program).arg(script).status().unwrap();
        assert!(written.success());
        let pgbench =
            Pgbench { program, socket_dir: "/sockets".into(), user: "tessera".into(), database: "reference".into() };
        (folder, pgbench)
    }

    #[test]
    #[cfg(unix)]
    fn what_is_run_is_what_is_told() {
        let (_folder, pgbench) =
            stand_in(&format!("printf '%s\\n' '{REPORT}'\nenv | grep ^PG && exit 1; [ \"$LC_ALL\" = C ]"));
        let run = pgbench.run(8, 10).unwrap();
        let arguments = "-h /sockets -U tessera -M prepared -s 10 -c 8 -j 2 -T 10 reference";
        assert_eq!(run.command_line, format!("{} {arguments}", pgbench.program.display()));
        assert_eq!(run.tps, decimal("4476.123456"));
    }

    #[test]
    #[cfg(unix)]
    fn a_failure_says_which_command_and_why() {
        let (_folder, pgbench) = stand_in("echo \"no database $@\" >&2; exit 1");
        let refusal = pgbench.init().unwrap_err().to_string();
        assert!(refusal.ends_with("failed: no database -h /sockets -U tessera -i -q -s 10 reference"), "{refusal}");
        let (_folder, pgbench) = stand_in("exit 0");
        assert!(matches!(pgbench.run(1, 1), Err(PgbenchError::Unreadable { missing: "scale of 10", .. })));
        let absent = Pgbench { program: "/nonexistent/pgbench".into(), ..pgbench };
        assert!(matches!(absent.init(), Err(PgbenchError::Start { .. })));
    }
}
