//! Proofs over HTTP: the signed heads of a tenant's log, the ways through it, and receipts that a customer takes along.
//!
//! What is told here can be checked by whoever gets it, with a public key and nothing else (`tessera proof check`), so none
//! of it has to be believed. A record that is committed and not sealed yet is answered 202 with the time to come again.
//! Any node proves: hashes and heads are in the database. Receipts open sides, so they need the salt secrets too.
//! Not here: the log ([`ledger::proof`]), who seals ([`crate::platform::sealing`]), and whose account is whose: a key that
//! may read payments may have any side of its tenant's opened.

pub mod evidence;
mod routes;

use std::sync::Arc;

pub use routes::routes;

use crate::platform::sealing::Keys;

/// What this node proves with.
#[derive(Debug, Clone, Default)]
pub struct Proofs {
    /// The proof folder's keys; none where this node has no folder.
    pub keys: Option<Arc<Keys>>,
}
