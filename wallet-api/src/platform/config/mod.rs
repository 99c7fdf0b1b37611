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
mod origin;
mod secret;
mod setting;
mod value;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

pub use origin::{Fault, Origin};
pub use secret::redact;
pub use setting::{Setting, with_all_settings};
pub use value::Value;

use setting::{each_setting, is_argument_of, settings, switch};

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
