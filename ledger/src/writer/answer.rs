//! What a request comes to.

use std::sync::Arc;

use crate::{Archived, Invalid, Record};

/// The answer to a request: the record it led to. A refusal by an account's state is an answer too.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What the journal wrote.
    pub record: Arc<Record>,
    /// The key had been used before, for the same request: this is the first answer again.
    pub replayed: bool,
}

/// Why there is no answer. Each says whether anything may have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Not a request; nothing happened, the key is free.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The key was used for another request; nothing happened now.
    #[error("the idempotency key belongs to another request")]
    KeyReused,
    /// The key was used up for nothing by [`Command::Abandon`](crate::Command::Abandon): nothing happened, nor ever will.
    #[error("the idempotency key was given up")]
    Abandoned {
        /// By the record of this seq.
        seq: i64,
    },
    /// It was done, and its answer needs transfers that are in a file; nothing happened now.
    #[error(transparent)]
    Archived(#[from] Archived),
    /// Too many wait; nothing happened.
    #[error("the queue is full")]
    QueueFull,
    /// Another node leads, or none does yet; nothing happened.
    #[error("this node does not lead the journal")]
    NotLeader {
        /// Where to ask, if somebody leads.
        leader: Option<String>,
    },
    /// The deadline passed before the request's turn; nothing happened.
    #[error("the deadline passed before it was tried")]
    DeadlinePassed,
    /// Another request of the same all-or-none batch stands in its way; nothing happened, the key is free.
    #[error("request {place} of the batch stands in its way")]
    Linked {
        /// Which, counted from zero.
        place: usize,
    },
    /// The commit was sent and its answer was lost: ask again with the same key.
    #[error("the commit was sent, its answer was lost")]
    OutcomeUnknown,
    /// The database failed before anything was sent; nothing happened.
    #[error("the database is not available")]
    Unavailable,
    /// There is no room made for the next records yet; nothing happened.
    #[error("no partition has been made for the next records")]
    NoRoom,
    /// There are no such books.
    #[error("the journal does not exist")]
    NoSuchJournal,
    /// The books contradict themselves: this node will not lead them. Run `verify`.
    #[error("the journal is not led: {0}")]
    Broken(String),
}

impl JournalError {
    /// Whether the same request may fare differently in a moment, here or elsewhere: its key decided nothing yet, as far as
    /// is known.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::QueueFull
            | Self::NotLeader { .. }
            | Self::DeadlinePassed
            | Self::NoRoom
            | Self::OutcomeUnknown
            | Self::Unavailable
            | Self::Invalid(Invalid::StillDue { .. }) => true,
            // Of these the request decides, or what its key led to, or the books: each for ever, as far as a caller can wait.
            Self::Invalid(_)
            | Self::KeyReused
            | Self::Abandoned { .. }
            | Self::Archived(_)
            | Self::Linked { .. }
            | Self::NoSuchJournal
            | Self::Broken(_) => false,
        }
    }
}
