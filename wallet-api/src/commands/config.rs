//! `tessera config`, and how every command gets its arguments: flags over variables over the file over defaults.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Subcommand};
use serde_json::{Value as Json, json};

use super::Cli;
use super::node::DatabaseArgs;
use crate::platform::config::{Configuration, Fault, Setting, Value, with_all_settings};

/// The command whose word counts when several have a setting.
const MAIN: &str = "serve";
/// The commands that look at all settings.
const LOOKING: [&str; 2] = ["check", "print"];

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say all that is wrong with it, each with where it stands; exit code 1 if anything is.
    Check {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print every setting with its value and where that stands. Secrets are never printed, with or without --redacted.
    Print {
        /// Say that you count on it.
        #[arg(long)]
        redacted: bool,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List all that can be set, as a table in Markdown.
    Settings,
}

/// The configuration, and what the command line asked of it.
pub struct Configured {
    args: Vec<OsString>,
    cli: Command,
    configuration: Configuration,
    matches: ArgMatches,
}

impl Configured {
    /// Reads everything that configures this process.
    fn read(args: Vec<OsString>) -> Result<Self, clap::Error> {
        let cli = command_line();
        let environment: Vec<(String, String)> = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect();
        let configuration = Configuration::read(&cli, MAIN, &args, &environment);
        let lenient = configuration.offer_leniently(cli.clone());
        let matches = match lenient.try_get_matches_from(&args) {
            Ok(matches) => matches,
            // Help, or wrong usage: the command line as it was meant has the better words.
            Err(error) => return Err(configuration.offer(cli).try_get_matches_from(args).err().unwrap_or(error)),
        };
        Ok(Self { args, cli, configuration, matches })
    }

    fn values(&self) -> Vec<Value<'_>> {
        let (command, matches) = leaf(&self.cli, &self.matches);
        self.configuration.values(&self.cli, command, matches)
    }

    /// All that is wrong with what the command at hand would use, each value by itself.
    fn faults(&self) -> Vec<Fault> {
        let values = self.values().into_iter().filter_map(|value| value.fault());
        self.configuration.faults().iter().cloned().chain(values).collect()
    }

    /// What is wrong with values that are right by themselves, as far as it can be told without trying.
    fn contradiction(&self) -> Option<Fault> {
        let typed = self.configuration.offer(self.cli.clone()).try_get_matches_from(&self.args).ok()?;
        let database = DatabaseArgs::from_arg_matches(leaf(&self.cli, &typed).1).ok()?;
        let (key, wrong) = database.contradiction()?;
        let values = self.values();
        let value = values.iter().find(|value| value.setting.key == key)?;
        Some(Fault::new(&value.origin, format!("{key}: {wrong}")))
    }

    /// Whether the command at hand has settings of its own: one that has none does not care what they say.
    fn is_configured(&self) -> bool {
        let declared =
            |arg: &clap::Arg| self.configuration.settings().iter().any(|one| arg.get_long() == Some(&one.flag));
        leaf(&self.cli, &self.matches).0.get_arguments().any(|arg| arg.get_env().is_some() && declared(arg))
    }

    fn is_looking(&self) -> bool {
        matches!(self.matches.subcommand(), Some(("config", _)))
    }
}

/// The command that was asked for, as it is declared, and what it was given.
fn leaf<'a>(cli: &'a Command, matches: &'a ArgMatches) -> (&'a Command, &'a ArgMatches) {
    let (mut command, mut matches) = (cli, matches);
    while let Some((name, below)) = matches.subcommand() {
        let Some(found) = command.find_subcommand(name) else { break };
        (command, matches) = (found, below);
    }
    (command, matches)
}

/// The command line as it is declared. What looks at the configuration takes every setting.
fn command_line() -> Command {
    let cli = Cli::command();
    LOOKING.iter().fold(cli.clone(), |command, name| {
        command.mut_subcommand("config", |config| {
            config.mut_subcommand(*name, |command| with_all_settings(command, &cli, MAIN))
        })
    })
}

/// The command line of this process over its configuration; else how the process ends, everything having been said.
pub(super) fn parse() -> Result<(Cli, Configured), ExitCode> {
    let configured = Configured::read(std::env::args_os().collect()).map_err(|error| said(&error))?;
    if configured.is_looking() {
        let cli = Cli::from_arg_matches(&configured.matches).map_err(|error| said(&error))?;
        return Ok((cli, configured));
    }
    if configured.is_configured() {
        let faults = configured.faults();
        if !faults.is_empty() {
            return Err(refused(&faults));
        }
    }
    let command = configured.configuration.offer(configured.cli.clone());
    let cli = command.try_get_matches_from(&configured.args).and_then(|matches| Cli::from_arg_matches(&matches));
    Ok((cli.map_err(|error| said(&error))?, configured))
}

/// Prints what clap has to say, and ends as it would.
fn said(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told that nobody listens.
    _ = error.print();
    // What was asked for goes to standard output.
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

#[expect(clippy::print_stderr, reason = "the log is not set up before the configuration is read")]
fn refused(faults: &[Fault]) -> ExitCode {
    for fault in faults {
        eprintln!("tessera: {fault}");
    }
    eprintln!(
        "tessera: `tessera config check` checks the configuration, `tessera config settings` lists what can be set"
    );
    ExitCode::from(2)
}

/// `tessera config …`
pub(super) fn config(what: ConfigCommand, configured: &Configured, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match what {
        ConfigCommand::Check { json } => Ok(check(configured, json, out)?),
        ConfigCommand::Print { redacted: _, json: true } => {
            let values: Vec<Json> = configured.values().iter().map(value_json).collect();
            writeln!(out, "{}", json!({"file": file_json(configured), "settings": values}))?;
            Ok(ExitCode::SUCCESS)
        }
        ConfigCommand::Print { redacted: _, json: false } => {
            for value in configured.values() {
                writeln!(out, "{}", value_line(&value))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        ConfigCommand::Settings => {
            write!(out, "{}", table(configured.configuration.settings()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(configured: &Configured, as_json: bool, out: &mut dyn Write) -> io::Result<ExitCode> {
    let mut faults = configured.faults();
    if faults.is_empty() {
        faults.extend(configured.contradiction());
    }
    if as_json {
        let list: Vec<Json> =
            faults.iter().map(|fault| json!({"origin": fault.origin, "wrong": fault.wrong})).collect();
        writeln!(out, "{}", json!({"ok": faults.is_empty(), "file": file_json(configured), "faults": list}))?;
    } else if faults.is_empty() {
        let file = configured.configuration.file().map_or("no file".to_owned(), |file| file.display().to_string());
        writeln!(out, "the configuration is in order ({file})")?;
    } else {
        for fault in &faults {
            writeln!(out, "{fault}")?;
        }
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn file_json(configured: &Configured) -> Json {
    configured.configuration.file().map_or(Json::Null, |file| json!(file.display().to_string()))
}

fn value_json(value: &Value<'_>) -> Json {
    let (key, origin, secret) = (&value.setting.key, value.origin.to_string(), value.setting.is_secret);
    json!({"key": key, "value": value.shown(), "origin": origin, "secret": secret})
}

/// As a line of the file, its origin as a comment; one that is not set, as a comment.
fn value_line(value: &Value<'_>) -> String {
    let key = &value.setting.key;
    match value.shown() {
        // No value to copy, so a comment too.
        Some(shown) if value.setting.is_secret => format!("# {key} = {shown}  # {}", value.origin),
        // JSON's way of quoting is TOML's.
        Some(shown) => format!("{key} = {}  # {}", Json::from(shown), value.origin),
        None => format!("# {key} is not set"),
    }
}

/// All settings as a table in Markdown, as the documentation has it.
fn table(settings: &[Setting]) -> String {
    let head = "| key in the file | variable | flag | default | |\n|---|---|---|---|---|\n".to_owned();
    settings.iter().fold(head, |table, one| {
        let Setting { key, variable, flag, default, help, .. } = one;
        let default = if default.is_empty() || one.is_switch { String::new() } else { format!("`{default}`") };
        let secret = if one.is_secret { " Secret." } else { "" };
        let list = if one.is_list { " May be several." } else { "" };
        format!("{table}| `{key}` | `{variable}` | `--{flag}` | {default} | {help}.{list}{secret} |\n")
    })
}
