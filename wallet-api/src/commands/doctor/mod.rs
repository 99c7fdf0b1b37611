//! `tessera doctor`: what this machine lacks to run Tessera, and how to get it.
//!
//! Every check looks and changes nothing. A finding is `ok`, `warn` (it works, with a drawback that the remedy ends)
//! or `fail` (a command will refuse). The report fails when any finding does. No finding shows a password.
//! Not here: installing anything (`scripts/setup.sh` does), a C compiler (needed to build, never to run).

mod cluster;
mod database;
mod machine;
mod redis;
mod report;
mod transport;

use std::io;
use std::path::PathBuf;

pub use database::check_transport;
pub use report::{Finding, Report, State};
pub use transport::Transport;

use super::node::RedisArgs;
use crate::platform::cluster::Tools;
use database::check_server;
use machine::{check_bench, check_disk, check_folder, check_tools};

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
