//! Sealing on this node: keys in files, a task that seals what this node leads, heads published outside the database.
//!
//! Promise: a committed record is in the log, and a signed head covers it, a second later; posting never waits for it. A
//! head is published only after it is committed, so a published head is one that the database had. When sealing cannot
//! go on (a key is missing, the database is away) posting does, and `tessera_proof_lag_seconds` rises.
//! Not here: the log itself ([`ledger::proof`], [`ledger::sealing`]), and what is asked of it over HTTP (`proofs`).

mod form;
mod keys;
mod publish;
mod task;

pub use form::{FormError, HeadForm, Published};
pub use keys::{KeyError, Keys, public_key_line, read_public_keys};
pub use publish::{Publish, PublishError};
pub use task::{Sealing, Settings};

/// Files of secrets, for other folders of the platform's that hold some.
pub(super) mod files {
    pub(in crate::platform) use super::keys::{
        OTHERS, OTHERS_WRITE, file, make_folder, must_be_closed, name, numbers, place,
    };
}
