//! Import: purchases of a shop's file become payments, lines of a journal's file become its records.
//!
//! The file is read as a stream ([`rows`]), so that its size does not matter; what is no payment is set aside with its
//! line and reason ([`rejects`]). Each row has a key of its own made from what it says ([`rows::key`]), so that a second
//! run, or one after a crash, finds the payments of the first.

mod error;
mod fields;
mod journal;
mod lines;
mod purchases;
pub mod rejects;
pub mod rows;

pub use error::ImportError;
pub use purchases::Imported;

/// What to import.
#[derive(Debug, clap::Subcommand)]
pub enum ImportCommand {
    /// A shop's purchases: each row as a payment with its cashback and points.
    Purchases(purchases::PurchasesArgs),
    /// Accounts and transactions, dated as they were: a file made by hand, or by `tessera export journal`.
    Journal(journal::JournalArgs),
}

/// `tessera import …`
///
/// # Errors
/// What stopped it; what was posted stays posted, and the next run goes on.
pub async fn import(what: ImportCommand) -> anyhow::Result<()> {
    match what {
        ImportCommand::Purchases(args) => purchases::purchases(args).await,
        ImportCommand::Journal(args) => journal::journal(args).await,
    }
}
