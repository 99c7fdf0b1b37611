//! One setting's value: what it is, where it stands, and what is wrong with it.

use std::error::Error as _;

use clap::builder::BoolishValueParser;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};

use super::{Fault, Origin, Setting, redact};

/// A setting as one command would see it.
#[derive(Debug)]
pub struct Value<'a> {
    /// Which.
    pub setting: &'a Setting,
    /// What it is set to: empty when nobody set it and it has no default.
    raw: Vec<String>,
    /// Where that stands.
    pub origin: Origin,
    /// Why it cannot be used.
    wrong: Option<String>,
}

impl<'a> Value<'a> {
    /// Judges a value by the argument that declares it.
    pub(super) fn judged(setting: &'a Setting, arg: &Arg, raw: Vec<String>, origin: Origin) -> Self {
        let wrong = raw.iter().find_map(|value| refusal(setting, arg, value));
        Self { setting, raw, origin, wrong }
    }

    /// The value as it may be shown; none when there is none.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        if self.raw.is_empty() {
            return None;
        }
        let show = |value: &String| if self.setting.is_secret { redact(value) } else { value.clone() };
        Some(self.raw.iter().map(show).collect::<Vec<_>>().join(", "))
    }

    /// What is wrong with it, and where.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        let wrong = self.wrong.as_ref()?;
        let key = &self.setting.key;
        // Who reads of a flag knows what it is called.
        let name = if matches!(self.origin, Origin::Flag(_)) { String::new() } else { format!("{key}: ") };
        Some(Fault::new(&self.origin, format!("{name}{wrong}")))
    }
}

/// Why this argument does not take this value: its own parser says, alone with it.
fn refusal(setting: &Setting, arg: &Arg, value: &str) -> Option<String> {
    let parser = arg.get_value_parser().clone();
    let alone = Arg::new("value").long("value").action(ArgAction::Set).allow_hyphen_values(true);
    let alone = match (setting.is_switch, arg.get_value_delimiter()) {
        (true, _) => alone.value_parser(BoolishValueParser::new()),
        (false, None) => alone.value_parser(parser),
        (false, Some(delimiter)) => alone.value_parser(parser).value_delimiter(delimiter),
    };
    let command = Command::new("value").no_binary_name(true).arg(alone);
    let error = command.try_get_matches_from([format!("--value={value}")]).err()?;
    if setting.is_secret {
        return Some("this cannot be what is meant; it is not shown, because it is a secret".to_owned());
    }
    let reason = match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(reason), _) => reason.to_string(),
        (None, Some(ContextValue::Strings(valid))) => format!("it is one of {}", valid.join(", ")),
        (None, _) => error.kind().to_string(),
    };
    Some(format!("invalid value {value:?}: {reason}"))
}
