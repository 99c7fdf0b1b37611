//! Where a value stands, and what is wrong there.

use std::fmt;
use std::path::PathBuf;

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
    pub(super) fn is_in_file(&self) -> bool {
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
