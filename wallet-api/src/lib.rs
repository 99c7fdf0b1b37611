//! Tessera's wallet API: everything a person or a system calls, and the command line that runs it.
//!
//! Slices stand on [`platform`] and on the `ledger` crate; a slice calls another slice's public functions, never its
//! tables. [`commands`] alone knows all slices.

pub mod app;
pub mod approvals;
pub mod billers;
pub mod books;
pub mod commands;
pub mod consents;
pub mod engagement;
pub mod identity;
pub mod levels;
pub mod loyalty;
pub mod pages;
pub mod payments;
pub mod platform;
pub mod privacy;
pub mod profile;
pub mod proofs;
pub mod reports;
pub mod requests;
pub mod sandbox;
