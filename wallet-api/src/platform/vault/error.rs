//! Why the vault refuses.

use diesel::result::Error as SqlError;

use super::aead::Unsealed;
use super::erasures::LedgerError;
use super::kms::KmsError;
use crate::platform::problem::{Describe, Problem};

/// Why something was not sealed, opened or forgotten. Nothing of what is sealed is ever part of it.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// This node was given no keys.
    #[error("this node has no keys for the vault: name a folder with --vault-dir, or give keys in TESSERA_VAULT_KEYS")]
    Closed,
    /// The database was not yet compared with the erasure ledger: it may hold people who were forgotten.
    #[error("the database was not compared with the erasure ledger yet")]
    Behind,
    /// The bytes do not open in this place: changed, of another place, or of a key that is not there. Never which.
    #[error(transparent)]
    Unsealed(#[from] Unsealed),
    /// The person was forgotten: their key was destroyed.
    #[error("the person was forgotten")]
    Forgotten,
    /// Sealing asks for the transaction that writes what was sealed, so that no key goes in between.
    #[error("sealing outside the transaction that writes what is sealed")]
    NoTransaction,
    /// A cell of the tenant's in a column that no rotation would find.
    #[error("{0}.{1} is not among the vault's columns: a rotation would lose it")]
    UnknownColumn(&'static str, &'static str),
    /// Longer than a cell may be.
    #[error("longer than a sealed cell may be")]
    TooLong,
    /// A cell that was sealed for a rotated tenant does not open: its old key is kept.
    #[error(
        "{0}.{1} of row {2} does not open, so its tenant's old key stays: repair or delete the row, then rotate again"
    )]
    Broken(&'static str, &'static str, String),
    /// A rotation was told to stop. What it did stays, and the next one goes on.
    #[error("the rotation was stopped; run it again and it goes on")]
    Stopped,
    /// Nobody can sign receipts here.
    #[error("this node has no keys to sign a receipt with: name the proof folder with --proof-dir")]
    NoSigner,
    /// A receipt in database or ledger does not hold.
    #[error("an erasure's receipt does not hold: {0}")]
    Receipt(String),
    /// Keys that encrypt keys.
    #[error(transparent)]
    Kms(#[from] KmsError),
    /// The erasure ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database.
    #[error("database call failed")]
    Database(#[from] SqlError),
}

impl Describe for VaultError {
    fn describe(&self) -> Problem {
        match self {
            Self::Closed => closed(),
            Self::Kms(KmsError::Missing(_) | KmsError::Away(_)) => {
                tracing::error!(error = %self, "what is sealed cannot be used here");
                closed()
            }
            Self::Behind => Problem::new(
                503,
                "vault-behind",
                "This node is not sure yet whom it must have forgotten",
                "Try again in a moment; if it goes on, whoever runs it reads the node's log.",
            )
            .retry_after(1),
            Self::Forgotten => Problem::new(
                410,
                "person-forgotten",
                "This person was forgotten",
                "What was personal about them was destroyed, and cannot be brought back.",
            ),
            Self::Unsealed(_)
            | Self::NoTransaction
            | Self::UnknownColumn(..)
            | Self::TooLong
            | Self::Broken(..)
            | Self::Stopped
            | Self::NoSigner
            | Self::Receipt(_)
            | Self::Kms(_)
            | Self::Ledger(_)
            | Self::Database(_) => Problem::internal(self),
        }
    }
}

fn closed() -> Problem {
    Problem::new(
        503,
        "vault-closed",
        "This node cannot read or write what is sealed",
        "Whoever runs it names the folder of the vault's keys (TESSERA_VAULT_DIR) or gives them (TESSERA_VAULT_KEYS).",
    )
}
