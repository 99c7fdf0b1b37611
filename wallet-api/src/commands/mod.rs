//! The command line's commands: they put the slices together, and nothing imports them.
//!
//! Exit codes: 0 done, 1 refused or not in order (with what to do next on standard error), 2 wrong usage. Data goes to
//! standard output, with `--json` as one object; logs and progress go to standard error, bars only on a terminal.

pub mod archive;
mod backup;
pub mod bench;
mod client;
mod clock;
mod config;
mod demo;
pub mod doctor;
mod export;
mod hooks;
pub mod import;
mod journal_file;
mod keys;
pub mod node;
mod operators;
mod party;
mod payer;
mod post;
mod proof;
mod ranges;
mod report;
mod serve;
mod slots;
mod systemd;
mod vault;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::app;
use crate::platform::clock::Clock;
use crate::platform::http::reference;
use crate::platform::metrics;
use crate::platform::telemetry::{self, TelemetryError};
use node::{DatabaseArgs, RedisArgs};

/// A wallet that pays, rewards and proves its books.
#[derive(Debug, Parser)]
#[command(name = "tessera", version, about, propagate_version = true)]
struct Cli {
    /// What to log: `warn`, `info`, or `debug,ledger=trace`.
    #[arg(long, global = true, env = "RUST_LOG")]
    log: Option<String>,
    /// The configuration file; without it tessera.toml of the current folder, if there is one.
    #[arg(long, global = true, value_name = "FILE", env = "TESSERA_CONFIG")]
    config: Option<PathBuf>,
    /// A collector of OpenTelemetry traces, `http://host:port`; without it no traces are told.
    #[cfg(feature = "otlp")]
    #[arg(long, global = true, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    otlp_endpoint: Option<String>,
    #[command(subcommand)]
    command: Command,
}

impl Cli {
    fn start_telemetry(&self) -> Result<telemetry::Running, TelemetryError> {
        let log = self.log.as_deref().or(self.command.usual_log());
        #[cfg(feature = "otlp")]
        if let Some(collector) = &self.otlp_endpoint {
            return telemetry::init_with_traces(log, collector);
        }
        telemetry::init(log)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play the main job on a database of its own, then serve until Ctrl-C.
    Demo(demo::DemoArgs),
    /// Serve the API until Ctrl-C.
    Serve(Box<serve::ServeArgs>),
    /// Check and show the configuration: file, environment and flags.
    Config {
        #[command(subcommand)]
        what: config::ConfigCommand,
    },
    /// Bring the database's tables up to date.
    Migrate {
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Tell which node leads which slot of journals, or set how many slots there are.
    Slots(slots::SlotsArgs),
    /// Move the transfers of closed ranges out of the database into files, or bring them back.
    Archive(archive::ArchiveArgs),
    /// Tell how large the ranges of transfers are that are made from now on, or set it.
    Ranges(ranges::RangesArgs),
    /// Derive the books again from their rows, and name the first row that does not follow.
    Verify(verify::VerifyArgs),
    /// Copy the private database, and archive its log from then on.
    Backup(backup::BackupArgs),
    /// Make a new data folder of a backup.
    Restore(backup::RestoreArgs),
    /// Tell whether a backup can be relied on.
    CheckBackup(backup::CheckArgs),
    /// Let nodes lead restored books, whatever was lost.
    AcceptRestore(backup::AcceptArgs),
    /// Begin a new line of history in a database that was restored by its own means.
    BeginFork(backup::BeginForkArgs),
    /// Say what this machine lacks and how to get it.
    Doctor {
        #[command(flatten)]
        database: DatabaseArgs,
        /// Look at the nodes too: who leads, and how far each follower is behind.
        #[arg(long)]
        cluster: bool,
        #[command(flatten)]
        redis: RedisArgs,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Proofs: check a receipt, look at signed heads, rotate the keys.
    Proof {
        #[command(subcommand)]
        what: proof::ProofCommand,
    },
    /// The vault: how its keys stand, rotating them, receipts of erasure.
    Vault {
        #[command(subcommand)]
        what: vault::VaultCommand,
    },
    /// Bring data in.
    Import {
        #[command(subcommand)]
        what: import::ImportCommand,
    },
    /// Take data out.
    Export {
        #[command(subcommand)]
        what: export::ExportCommand,
    },
    /// Reports for accountants: unspent points, roll-forwards, statements, trial balances, as files.
    Report {
        #[command(subcommand)]
        what: Box<report::ReportCommand>,
    },
    /// Tenants: the companies whose wallets run here.
    Tenant {
        #[command(subcommand)]
        what: keys::TenantCommand,
    },
    /// API keys of machine clients.
    Keys {
        #[command(subcommand)]
        what: keys::KeysCommand,
    },
    /// Operators: people who work for a tenant, and their roles.
    Operators {
        #[command(subcommand)]
        what: operators::OperatorsCommand,
    },
    /// The clock of a sandbox.
    Clock(clock::ClockArgs),
    /// Hooks: receive them here, have one sent, have some told again.
    Hooks {
        #[command(subcommand)]
        what: hooks::HooksCommand,
    },
    /// Measure this machine against pgbench.
    Bench {
        #[command(subcommand)]
        what: bench::BenchCommand,
    },
    /// Print the OpenAPI document of the API, as YAML.
    Openapi {
        /// Print requests to try instead, as a .http file.
        #[arg(long)]
        http: bool,
    },
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

impl Command {
    /// What to log when nobody says: the demo's page is for reading, so only what is wrong may break into it.
    fn usual_log(&self) -> Option<&'static str> {
        matches!(self, Self::Demo(_)).then_some("warn")
    }
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    let (cli, configured) = match config::parse() {
        Ok(parsed) => parsed,
        Err(refused) => return refused,
    };
    let _telemetry = match cli.start_telemetry() {
        Ok(telemetry) => telemetry,
        Err(error) => return fail(&error.into()),
    };
    telemetry::log_panics();
    metrics::began(Clock::System.now());
    // One crypto provider for all of TLS; a second installation is the same one.
    _ = rustls::crypto::ring::default_provider().install_default();
    match run(cli.command, &configured) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// Whether the command line would take these words after the program's name: for the files we ship, which name its
/// commands and flags.
///
/// # Errors
/// What it would say.
pub fn check_usage(words: &[&str]) -> Result<(), clap::Error> {
    Cli::try_parse_from(std::iter::once("tessera").chain(words.iter().copied())).map(|_| ())
}

fn run(command: Command, configured: &config::Configured) -> anyhow::Result<ExitCode> {
    let out = &mut io::stdout().lock();
    match command {
        Command::Demo(args) => on_runtime(demo::demo(args))?,
        Command::Serve(args) => on_runtime(serve::serve(*args))?,
        Command::Config { what } => return config::config(what, configured, out),
        Command::Migrate { database } => {
            database.open()?;
            writeln!(out, "the database is up to date")?;
        }
        Command::Slots(args) => slots::slots(&args, out)?,
        Command::Archive(args) => archive::archive(&args, out)?,
        Command::Ranges(args) => ranges::ranges(&args, out)?,
        Command::Verify(args) => return verify::verify(&args, out),
        Command::Doctor { database, redis, cluster, json } => {
            let here = doctor::Options::here(database.data_dir, database.database_url, database.allow_plaintext);
            let options = doctor::Options { redis: Some(redis), cluster, ..here };
            return Ok(ExitCode::from(doctor::run(&options, json, out)?.exit_code()));
        }
        Command::Backup(args) => backup::backup(&args, out)?,
        Command::Restore(args) => backup::restore(&args, out)?,
        Command::CheckBackup(args) => return backup::check(&args, out),
        Command::AcceptRestore(args) => backup::accept_restore(&args, out)?,
        Command::BeginFork(args) => backup::begin_fork(&args, out)?,
        Command::Proof { what } => return proof::proof(what, out),
        Command::Vault { what } => return vault::vault(what, out),
        Command::Export { what } => export::export(what, out)?,
        Command::Report { what } => on_runtime(report::report(*what))?,
        Command::Import { what } => on_runtime(import::import(what))?,
        Command::Tenant { what } => keys::tenant(what, out)?,
        Command::Keys { what } => keys::keys(what, out)?,
        Command::Operators { what } => operators::operators(what, out)?,
        Command::Clock(args) => on_runtime(clock::clock(args))?,
        Command::Hooks { what } => on_runtime(hooks::hooks(what))?,
        Command::Bench { what } => on_runtime(bench::bench(what))?,
        Command::Openapi { http: false } => write!(out, "{}", app::openapi().to_yaml()?)?,
        Command::Openapi { http: true } => {
            write!(out, "{}", reference::collection(&serde_json::to_value(app::openapi())?))?;
        }
        Command::Completions { shell } => clap_complete::generate(shell, &mut Cli::command(), "tessera", out),
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a command that needs an async runtime, on actix's.
fn on_runtime(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let system = actix_web::rt::System::new();
    let done = system.block_on(command);
    // Not dropped: that waits for every thread, and one that hangs in the database would keep the process for ever.
    std::mem::forget(system);
    done
}

#[expect(clippy::print_stderr, reason = "the one place where a command says why it ends")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("tessera: {error:#}");
    ExitCode::FAILURE
}
