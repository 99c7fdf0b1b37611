//! What a log is held against, and what is said of it.

use serde::Serialize;

use super::Unread;
use crate::JournalId;
use crate::proof::{PublicKey, Salts, SignedHead};
use crate::store::StoreError;

/// What to hold the log against.
#[derive(Debug, Clone, Copy, Default)]
pub struct Against<'a> {
    /// The secrets that salted it; none checks tiles and heads only.
    pub salts: Option<&'a Salts>,
    /// Keys that are trusted; without any, those on record in the database, which prove nothing against who may write it.
    pub keys: &'a [PublicKey],
    /// A head that is trusted: the log must begin with it, and leaves up to it are not derived again.
    pub since: Option<&'a SignedHead>,
}

/// How the leaves were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Each was derived again from its rows.
    Rows,
    /// The secret was not here: they were taken as they are kept.
    TilesAndHeads,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// Nothing is broken.
    pub ok: bool,
    /// Whose log.
    pub journal: JournalId,
    /// How the leaves were checked.
    pub mode: Mode,
    /// Leaves in the log.
    pub leaves: i64,
    /// Of these, derived again from their rows.
    pub derived: u64,
    /// Heads whose root and signature were checked.
    pub heads: u64,
    /// The root over all leaves, hexadecimal.
    pub root: String,
    /// The size of the trusted head that the log was held against.
    pub since: Option<i64>,
    /// Records committed and not sealed yet.
    pub behind: i64,
    /// Archived ranges whose files were not at hand: their leaves were taken as they are kept.
    pub unread: Vec<Unread>,
    /// The first thing that does not hold.
    pub broken: Option<BrokenLog>,
}

/// Something of the log that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{check:?} fails at seq {seq}: {what}")]
pub struct BrokenLog {
    /// Which law.
    pub check: LogCheck,
    /// Where.
    pub seq: i64,
    /// What was found.
    pub what: String,
}

/// The laws of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogCheck {
    /// Every sealed record has the leaf that its rows make (I13).
    Leaves,
    /// Each level of tiles follows from the one below.
    Tiles,
    /// Each head has the log's root at its size, and the signature of the key that the head before says.
    Heads,
    /// The log begins with the head that is trusted (I14).
    Trusted,
    /// The secrets on record are the ones given.
    Secrets,
}

pub(super) enum Stop {
    Broken(BrokenLog),
    Store(StoreError),
}

impl Stop {
    /// What was found of an archived range before the walk began.
    pub(super) fn of_books(stop: super::Stop) -> Self {
        match stop {
            super::Stop::Broken(super::Broken { seq, what, .. }) => Self::Broken(broken(LogCheck::Leaves, seq, what)),
            super::Stop::Store(error) => Self::Store(error),
        }
    }
}

impl From<BrokenLog> for Stop {
    fn from(broken: BrokenLog) -> Self {
        Self::Broken(broken)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match error {
            // A row that does not read, or is not there, is a finding, not a failure to look.
            StoreError::Corrupt { seq, what, .. } => Self::Broken(broken(LogCheck::Leaves, seq, what)),
            StoreError::Database(_) | StoreError::Connect(_) | StoreError::Archived(_) => Self::Store(error),
        }
    }
}

impl From<diesel::result::Error> for Stop {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

pub(super) fn broken(check: LogCheck, seq: i64, what: impl Into<String>) -> BrokenLog {
    BrokenLog { check, seq, what: what.into() }
}
