//! The table of settings: the command line itself, read as such and changed as such.

use std::collections::BTreeMap;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command};

use super::FILE_ARG;

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

    /// The keys that set it.
    pub(super) fn key_names(&self) -> Vec<String> {
        if self.is_secret { vec![self.key.clone(), self.file_key()] } else { vec![self.key.clone()] }
    }

    /// The variables that set it.
    pub(super) fn variable_names(&self) -> Vec<String> {
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

/// The settings of a command line, in the order of their keys.
pub(super) fn settings(cli: &Command, first: &str) -> Vec<Setting> {
    arguments(cli, first).iter().filter_map(Setting::of).collect()
}

/// Whether an argument is this setting.
pub(super) fn is_argument_of(arg: &Arg, setting: &Setting) -> bool {
    arg.get_long() == Some(&setting.flag) && arg.get_env().is_some()
}

/// Changes the arguments of a command and of those below it that are settings.
pub(super) fn each_setting(command: Command, change: &impl Fn(Arg, &Setting) -> Arg) -> Command {
    let command = command.mut_args(|arg| match Setting::of(&arg) {
        Some(setting) => change(arg, &setting),
        None => arg,
    });
    command.mut_subcommands(|command| each_setting(command, change))
}

/// A switch that can also be turned off, against a variable or the file: `--flag=false`.
pub(super) fn switch(arg: Arg) -> Arg {
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
