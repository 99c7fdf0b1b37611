//! Proof: every record is a leaf of one Merkle log, whose heads are signed, so that anyone can check their own entries.
//!
//! Promise: a [`Receipt`] shows offline, with nothing but a public key, that a record stands in the journal at its seq
//! and what it said of the sides that the receipt opens; a consistency path shows that a later log has an earlier one
//! as its beginning. Leaf index = seq − 1. What a leaf commits to stands in [`leaf`], the tree in [`tree`], how it is
//! kept in tiles in [`tiles`], what is signed in [`head`].
//!
//! Limits: the log proves what was sealed, at most a second after the commit; a row changed within that second is
//! sealed as changed. Who holds the signing key can sign another history: that shows to whoever kept a head of the
//! first, which is why heads are published outside the database.
//!
//! All of this is pure: no database, no file, no clock. Not here: who makes leaves of rows ([`crate::sealing`]), where keys lie
//! (wallet-api). Source: RFC 6962, RFC 9162 §2.1; RFC 8032 for the signatures.

mod hash;
pub mod head;
pub mod keys;
pub mod leaf;
mod meta;
pub mod receipt;
pub mod tiles;
pub mod tree;

pub use hash::{EMPTY, Hash, leaf_hash, node_hash};
pub use head::{Head, SignedHead};
pub use keys::{KeyId, PublicKey, Ring, Salts, Signer};
pub use leaf::{Header, Leaf, SideFacts, SideOf};
pub use meta::OpenedMeta;
pub use receipt::{Proven, Receipt};

/// Why something does not prove what it should. Nothing of it is ever half believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The bytes are not a form that this program writes: too short, too long, or of another kind or version.
    #[error("not a {0} that this program can read: cut short, changed, or of a newer form")]
    Form(&'static str),
    /// Larger than anything this program writes.
    #[error("longer than any {0} is")]
    Oversized(&'static str),
    /// The head is signed by a key that is not trusted here.
    #[error("the head is signed by key {0}, which is not among the keys that were given")]
    UnknownKey(KeyId),
    /// The signature is not that key's over this head.
    #[error("the signature is not that of key {0} over this head")]
    Signature(KeyId),
    /// The record is not in the log under this head.
    #[error("the record is not in the log under this head")]
    NotIncluded,
    /// A side that the receipt opens is not one that the record commits to.
    #[error("an opened side is not what the record commits to")]
    Side,
    /// The metadata is not what the record commits to.
    #[error("the metadata is not what the record commits to")]
    Meta,
    /// The two heads do not belong to one log.
    #[error("the earlier head is not the beginning of the later one: history was changed, or these are other books")]
    NotConsistent,
    /// The parts are of different journals.
    #[error("the head is another journal's")]
    OtherJournal,
}

impl ProofError {
    /// Its word for programs: it stays when the sentence changes.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Form(_) => "form-unknown",
            Self::Oversized(_) => "oversized",
            Self::UnknownKey(_) => "key-unknown",
            Self::Signature(_) => "signature-wrong",
            Self::NotIncluded => "not-included",
            Self::Side => "side-changed",
            Self::Meta => "meta-changed",
            Self::NotConsistent => "not-consistent",
            Self::OtherJournal => "other-journal",
        }
    }
}
