//! What checks found, and how it is shown.

use std::io;

use serde::Serialize;

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
    pub(super) fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, state: State::Ok, detail: detail.into(), remedy: None }
    }

    pub(super) fn warn(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Warn, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn fail(check: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
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

    /// Writes it for a person.
    pub(super) fn print(&self, out: &mut dyn io::Write) -> io::Result<()> {
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
