//! What takes four eyes, and how far a request for it is.

use chrono::{DateTime, Utc};
use ring::digest;
use serde_json::Value;
use uuid::Uuid;

use crate::platform::audit::Object;
use crate::platform::keyring::Scope;
use crate::platform::problem::{Describe, Problem};

/// What takes four eyes. The words are in the database and in the API, and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A refund above the tenant's amount.
    Refund,
    /// A new table of limits.
    Limits,
    /// Forgetting a person who did not ask for it themselves.
    Erasure,
    /// A rule of strong authentication: what goes without it, or what a synced passkey suffices for alone.
    ScaRule,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 4] = [Self::Refund, Self::Limits, Self::Erasure, Self::ScaRule];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Refund => "refund",
            Self::Limits => "limits",
            Self::Erasure => "erasure",
            Self::ScaRule => "sca-rule",
        }
    }

    /// What whoever decides it may, beside deciding.
    #[must_use]
    pub const fn decided_with(self) -> Scope {
        match self {
            Self::Refund => Scope::LedgerApprove,
            Self::Limits | Self::Erasure | Self::ScaRule => Scope::Admin,
        }
    }

    /// What whoever asks for it may.
    pub(super) const fn asked_with(self) -> Scope {
        match self {
            Self::Refund => Scope::PaymentsWrite,
            Self::Limits | Self::Erasure | Self::ScaRule => Scope::Admin,
        }
    }

    /// Of its word; none of one that only a newer release knows.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.word() == word)
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Which act.
    pub act: Act,
    /// On what.
    pub object: Object,
    /// All else, in canonical JSON: what is done is made of these bytes. Nobody's data may be in it.
    pub body: Vec<u8>,
}

impl Wish {
    /// What stands for all of it.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        fingerprint(self.act, &self.object_text(), &self.body)
    }

    /// Its object as the table has it.
    pub(super) fn object_text(&self) -> String {
        format!("{}:{}", self.object.kind(), self.object.id())
    }
}

fn fingerprint(act: Act, object: &str, body: &[u8]) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in [act.word().as_bytes(), object.as_bytes()] {
        hash.update(part);
        hash.update(&[0]);
    }
    hash.update(body);
    let mut print = [0; 32];
    for (to, from) in print.iter_mut().zip(hash.finish().as_ref()) {
        *to = *from;
    }
    print
}

/// How somebody decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// By which number: a client's or an operator's.
    pub by: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// True for yes.
    pub is_approved: bool,
}

/// What the books answered to what was approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Its place in them.
    pub seq: i64,
    /// The code of why they refused it; none when it is posted.
    pub refused: Option<&'static str>,
}

/// What somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its id: the idempotency key of what is done from it.
    pub id: Uuid,
    /// Which act.
    pub act: Act,
    /// On what: its sort, a colon, its id.
    pub object: String,
    /// All else.
    pub body: Vec<u8>,
    /// SHA-256 of act, object and body, as it was asked.
    pub fingerprint: [u8; 32],
    /// Who asked, by number.
    pub asked_by: i64,
    /// Whose eyes that were.
    pub asked_eyes: i64,
    /// When.
    pub asked_at: DateTime<Utc>,
    /// From when on nobody can decide it.
    pub expires_at: DateTime<Utc>,
    /// How it was decided.
    pub decided: Option<Decision>,
    /// When whoever asked took it back, before anybody decided.
    pub withdrawn_at: Option<DateTime<Utc>>,
}

impl Proposal {
    /// Whether it is what was asked, to the letter.
    #[must_use]
    pub fn is_as_asked(&self) -> bool {
        fingerprint(self.act, &self.object, &self.body) == self.fingerprint
    }

    /// `pending`, `expired`, `approved`, `rejected` or `withdrawn`.
    #[must_use]
    pub fn status(&self, now: DateTime<Utc>) -> &'static str {
        match self.decided {
            Some(Decision { is_approved: true, .. }) => "approved",
            Some(Decision { is_approved: false, .. }) => "rejected",
            None if self.withdrawn_at.is_some() => "withdrawn",
            None if now < self.expires_at => "pending",
            None => "expired",
        }
    }

    /// The body as it was asked, for whoever decides to read.
    #[must_use]
    pub fn asked(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Why nothing is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EyesError {
    /// Nobody asked for anything under the id.
    #[error("nobody asked for this")]
    Unknown,
    /// Whoever asked would decide.
    #[error("whoever asked may not decide")]
    SameEyes,
    /// It is a key of the house that would decide: no pair of eyes.
    #[error("a key of the house is no pair of eyes")]
    Eyeless,
    /// Whoever asked may not ask for it any more.
    #[error("whoever asked may not ask for it any more")]
    Orphaned,
    /// It was decided otherwise before, or its time is over.
    #[error("it was decided otherwise before, or its time is over")]
    Over,
    /// It is not what was asked: somebody changed it.
    #[error("it is not what was asked")]
    Changed,
}

impl Describe for EyesError {
    fn describe(&self) -> Problem {
        match self {
            Self::Unknown => {
                Problem::new(404, "request-for-eyes-unknown", "Nobody asked for this", "Ask first, then confirm.")
            }
            Self::SameEyes => {
                let remedy = "Four eyes: have somebody else confirm it.";
                Problem::new(403, "same-eyes", "Who proposed it may not decide it", remedy)
            }
            Self::Eyeless => {
                let remedy = "Sign in as somebody who works for the company, or use a key that was made for them.";
                Problem::new(403, "operators-only", "This is for operators", remedy)
            }
            Self::Orphaned => {
                let remedy = "Who asked has left, or has lost what it takes: have somebody ask who may.";
                Problem::new(409, "request-for-eyes-orphaned", "Who asked for it may not any more", remedy)
            }
            Self::Over => {
                let remedy = "It was decided before, or nobody did in time: ask again.";
                Problem::new(409, "request-for-eyes-over", "There is nothing to confirm any more", remedy)
            }
            Self::Changed => {
                let remedy = "Somebody changed it after it was asked: look into the audit log, and ask again.";
                Problem::new(409, "request-for-eyes-changed", "This is not what was asked", remedy)
            }
        }
    }
}
