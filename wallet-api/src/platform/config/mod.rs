//! Configuration: a file, environment variables and flags over one table of settings, which is the command line itself.
//!
//! A *setting* is an argument with an environment variable. Declared once, where its command has it, it is also a key of
//! the file: the flag's name with `_` for `-`. What the file says is offered to the command line as a default, so a flag
//! wins over a variable, a variable over the file, the file over the default. An argument that hides its environment
//! value is a *secret*: it may also be named as a file that holds it (`DATABASE_URL_FILE`, `database_url_file`), and
//! nothing here ever shows it.
//!
//! Promise: all that is wrong is told at once, each with where it stands; a key or `TESSERA_…` variable that nobody reads
//! is an error, with the nearest known one. Not here: what values mean together, which their command knows.

mod file;
mod secret;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::builder::BoolishValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

pub use secret::redact;
pub use value::Value;

/// The file that is read when none is named, if it is there.
pub const USUAL_FILE: &str = "tessera.toml";

/// Argument that names the file. It has a variable, but cannot stand in the file itself.
const FILE_ARG: &str = "config";
/// What our variables begin with. Others (`DATABASE_URL`, `RUST_LOG`) are everybody's, so a misspelt one goes unseen.
const OURS: &str = "TESSERA_";
/// Variables that orchestrators set by themselves for a service that is called tessera: not meant for us.
const SERVICE_LINKS: [&str; 2] = ["TESSERA_SERVICE_", "TESSERA_PORT"];
/// Variables of builds that tests may stop at will.
const FAULTS: Option<&str> = if cfg!(feature = "faults") { Some("TESSERA_STOP_") } else { None };

/// One thing that can be set.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its key in the file.
    pub key: String,
    /// Its flag, without the dashes.
    pub flag: String,
    /// Its environment variable.
    pub variable: String,
    /// What holds when nobody sets it; empty when its help says so in words.
    pub default: String,
    /// What it is for, in one sentence or two.
    pub help: String,
    /// Never shown, and may be named as a file that holds it.
    pub is_secret: bool,
    /// May be set to several values.
    pub is_list: bool,
    /// Is true or false.
    pub is_switch: bool,
}

impl Setting {
    /// The setting that an argument is, if it is one.
    fn of(arg: &Arg) -> Option<Self> {
        let (flag, variable) = (arg.get_long()?, arg.get_env()?.to_str()?);
        if arg.get_id() == FILE_ARG {
            return None;
        }
        let default = arg.get_default_values().iter().filter_map(|value| value.to_str()).collect::<Vec<_>>().join(", ");
        Some(Self {
            key: flag.replace('-', "_"),
            flag: flag.to_owned(),
            variable: variable.to_owned(),
            default,
            help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
            is_secret: arg.is_hide_env_values_set(),
            is_list: matches!(arg.get_action(), ArgAction::Append),
            is_switch: matches!(arg.get_action(), ArgAction::SetTrue),
        })
    }

    /// The key that names a file which holds this secret.
    #[must_use]
    pub fn file_key(&self) -> String {
        format!("{}_file", self.key)
    }

    /// The variable that does.
    #[must_use]
    pub fn file_variable(&self) -> String {
        format!("{}_FILE", self.variable)
    }
}

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    Flag(String),
    /// In this environment variable.
    Variable(String),
    /// On this line of the file, counted from 1.
    File(PathBuf, usize),
    /// In this file of its own, which was named there.
    Secret(PathBuf, Box<Origin>),
    /// Nobody set it.
    Default,
}

impl Origin {
    fn is_in_file(&self) -> bool {
        match self {
            Self::File(..) => true,
            Self::Secret(_, named) => named.is_in_file(),
            Self::Flag(_) | Self::Variable(_) | Self::Default => false,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Variable(variable) => f.write_str(variable),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Secret(path, named) => write!(f, "{} (named by {named})", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Something that is wrong with the configuration. It never tells what a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub origin: String,
    /// What.
    pub wrong: String,
}

impl Fault {
    /// A fault found there.
    pub fn new(origin: impl fmt::Display, wrong: impl Into<String>) -> Self {
        Self { origin: origin.to_string(), wrong: wrong.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.wrong)
    }
}

/// What is set below the command line and its variables.
struct Offer {
    values: Vec<String>,
    origin: Origin,
}

/// The table of settings, and what file and secrets' files say to it.
pub struct Configuration {
    settings: Vec<Setting>,
    offers: BTreeMap<String, Offer>,
    faults: Vec<Fault>,
    file: Option<PathBuf>,
}

impl Configuration {
    /// Reads the file, if there is one, and the secrets' files, for a command line whose table this is. Of a setting that
    /// several commands have, the one of `first` tells default and help.
    #[must_use]
    pub fn read(cli: &Command, first: &str, args: &[OsString], environment: &[(String, String)]) -> Self {
        let settings = settings(cli, first);
        let mut read = Self { settings, offers: BTreeMap::new(), faults: Vec::new(), file: None };
        match named_file(cli, args) {
            Some(path) => read.take_file(&path, true),
            None => read.take_file(Path::new(USUAL_FILE), false),
        }
        read.take_environment(environment);
        read
    }

    /// The table.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The file that was read.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What is wrong with file, secrets' files and names of variables, whichever command is asked for.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The command line with what was read as its defaults.
    #[must_use]
    pub fn offer(&self, cli: Command) -> Command {
        each_setting(cli, &|arg, setting| self.offered(arg, setting))
    }

    /// The same, taking any text for any setting, so that all wrong values can be told at once.
    #[must_use]
    pub fn offer_leniently(&self, cli: Command) -> Command {
        each_setting(cli, &|arg, setting| self.offered(arg, setting).value_parser(clap::value_parser!(String)))
    }

    /// Every setting that one command of a command line has, as these lenient matches have it, judged by how it is declared.
    #[must_use]
    pub fn values(&self, cli: &Command, command: &Command, matches: &ArgMatches) -> Vec<Value<'_>> {
        let of = |setting| {
            let mut args = command.get_arguments().chain(cli.get_arguments());
            let arg = args.find(|arg| is_argument_of(arg, setting))?;
            let (raw, origin) = self.raw(setting, arg, matches);
            Some(Value::judged(setting, arg, raw, origin))
        };
        self.settings.iter().filter_map(of).collect()
    }

    fn raw(&self, setting: &Setting, arg: &Arg, matches: &ArgMatches) -> (Vec<String>, Origin) {
        let id = arg.get_id().as_str();
        let raw = matches.try_get_raw(id).ok().flatten().into_iter().flatten();
        let raw = raw.map(|value| value.to_string_lossy().into_owned()).collect();
        let origin = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Origin::Flag(setting.flag.clone()),
            Some(ValueSource::EnvVariable) => Origin::Variable(setting.variable.clone()),
            _ => self.offers.get(&setting.key).map_or(Origin::Default, |offer| offer.origin.clone()),
        };
        (raw, origin)
    }

    fn offered(&self, arg: Arg, setting: &Setting) -> Arg {
        let arg = if setting.is_switch { switch(arg) } else { arg };
        match self.offers.get(&setting.key) {
            Some(offer) => arg.required(false).default_values(offer.values.clone()).hide_default_value(true),
            None => arg,
        }
    }

    fn take_file(&mut self, path: &Path, is_named: bool) {
        let text = match file::read(path, file::MOST_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => return,
            Err(error) => return self.faults.push(Fault::new(path.display(), format!("cannot be read: {error}"))),
        };
        self.file = Some(path.to_owned());
        let (entries, faults) = file::entries(path, &text);
        self.faults.extend(faults);
        for file::Entry { key, values, is_list, line } in entries {
            let origin = Origin::File(path.to_owned(), line);
            let place = self.settings.iter().position(|setting| setting.key == key);
            let held = self.settings.iter().position(|setting| setting.is_secret && setting.file_key() == key);
            match (place.or(held), values.as_slice()) {
                (None, _) => self.unknown(&origin, "key", &key, Setting::key_names),
                (Some(at), [named]) if place.is_none() => self.take_secret(at, named, &origin),
                (Some(at), _) => self.take(at, values, is_list, origin),
            }
        }
    }

    fn take_environment(&mut self, environment: &[(String, String)]) {
        for (name, value) in environment {
            let held = self.settings.iter().position(|setting| setting.is_secret && setting.file_variable() == *name);
            if let Some(at) = held {
                let origin = Origin::Variable(name.clone());
                let variable = self.settings.get(at).map(|setting| setting.variable.clone()).unwrap_or_default();
                if environment.iter().any(|(other, _)| *other == variable) {
                    self.faults.push(Fault::new(&origin, format!("{variable} is set too: set one of them")));
                } else {
                    self.take_secret(at, value, &origin);
                }
            } else if name.starts_with(OURS) && !self.is_known(name) {
                self.unknown(&Origin::Variable(name.clone()), "variable", name, Setting::variable_names);
            }
        }
    }

    fn is_known(&self, variable: &str) -> bool {
        let elsewhere = SERVICE_LINKS.iter().copied().chain(FAULTS).any(|prefix| variable.starts_with(prefix));
        elsewhere || variable == "TESSERA_CONFIG" || self.settings.iter().any(|setting| setting.variable == variable)
    }

    fn unknown(&mut self, origin: &Origin, what: &str, name: &str, names: fn(&Setting) -> Vec<String>) {
        let known: Vec<String> = self.settings.iter().flat_map(names).collect();
        let hint = nearest(name, &known).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        self.faults.push(Fault::new(origin, format!("nothing reads the {what} {name}{hint}")));
    }

    fn take(&mut self, at: usize, values: Vec<String>, is_list: bool, origin: Origin) {
        let Some(setting) = self.settings.get(at) else { return };
        if is_list && !setting.is_list {
            return self.faults.push(Fault::new(&origin, format!("{} takes one value, not a list", setting.key)));
        }
        let was = self.offers.insert(setting.key.clone(), Offer { values, origin: origin.clone() });
        if let Some(other) = was.map(|offer| offer.origin).filter(|other| other.is_in_file() && origin.is_in_file()) {
            self.faults.push(Fault::new(&origin, format!("{} is set at {other} too: set one of them", setting.key)));
        }
    }

    fn take_secret(&mut self, at: usize, path: &str, named: &Origin) {
        let path = PathBuf::from(path);
        let origin = Origin::Secret(path.clone(), Box::new(named.clone()));
        match secret::read(&path) {
            Ok(value) => self.take(at, vec![value], false, origin),
            Err(wrong) => self.faults.push(Fault::new(&origin, wrong)),
        }
    }
}

impl Setting {
    fn key_names(&self) -> Vec<String> {
        if self.is_secret { vec![self.key.clone(), self.file_key()] } else { vec![self.key.clone()] }
    }

    fn variable_names(&self) -> Vec<String> {
        if self.is_secret { vec![self.variable.clone(), self.file_variable()] } else { vec![self.variable.clone()] }
    }
}

/// Gives a command all settings of a command line as arguments of its own, none of them required: for commands that show
/// or check the configuration.
#[must_use]
pub fn with_all_settings(command: Command, cli: &Command, first: &str) -> Command {
    let args = arguments(cli, first).into_iter().filter(|arg| !arg.is_global_set());
    command.args(args.map(|arg| arg.required(false)))
}

/// All arguments that are settings, each key once, the root's and those of `first` before any other.
fn arguments(cli: &Command, first: &str) -> Vec<Arg> {
    let mut found: BTreeMap<String, Arg> = BTreeMap::new();
    let mut commands: Vec<&Command> = vec![cli];
    commands.extend(cli.find_subcommand(first));
    let mut rest: Vec<&Command> = cli.get_subcommands().collect();
    while let Some(command) = rest.pop() {
        rest.extend(command.get_subcommands());
        commands.push(command);
    }
    for arg in commands.into_iter().flat_map(Command::get_arguments) {
        if let Some(setting) = Setting::of(arg) {
            found.entry(setting.key).or_insert_with(|| arg.clone());
        }
    }
    found.into_values().collect()
}

fn settings(cli: &Command, first: &str) -> Vec<Setting> {
    arguments(cli, first).iter().filter_map(Setting::of).collect()
}

fn is_argument_of(arg: &Arg, setting: &Setting) -> bool {
    arg.get_long() == Some(&setting.flag) && arg.get_env().is_some()
}

/// Changes the arguments of a command and of those below it that are settings.
fn each_setting(command: Command, change: &impl Fn(Arg, &Setting) -> Arg) -> Command {
    let command = command.mut_args(|arg| match Setting::of(&arg) {
        Some(setting) => change(arg, &setting),
        None => arg,
    });
    command.mut_subcommands(|command| each_setting(command, change))
}

/// A switch that can also be turned off, against a variable or the file: `--flag=false`.
fn switch(arg: Arg) -> Arg {
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .value_name("BOOL")
        .value_parser(BoolishValueParser::new())
        .hide_possible_values(true)
        .default_missing_value("true")
        .default_value("false")
        .hide_default_value(true)
}

/// The file that flag or variable names, whatever else is wrong with the command line.
fn named_file(cli: &Command, args: &[OsString]) -> Option<PathBuf> {
    let mut matches = &cli.clone().ignore_errors(true).try_get_matches_from(args).ok()?;
    while let Some((_, below)) = matches.subcommand() {
        matches = below;
    }
    matches.try_get_one::<PathBuf>(FILE_ARG).ok().flatten().cloned()
}

/// The name that this one was probably meant to be.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let name = name.to_lowercase().replace('-', "_");
    let distance = |other: &&String| strsim::damerau_levenshtein(&name, &other.to_lowercase());
    let near = known.iter().min_by_key(distance)?;
    (distance(&near) <= (near.len() / 3).max(2)).then_some(near)
}

#[cfg(test)]
mod tests;
