//! The journal: double-entry books for money, cashback and points.
//!
//! Promises: what is acknowledged is durable and happened once; a transaction happens whole or not at all; no account
//! passes its floor or ceiling in any interleaving; every balance can be derived again from the rows, and [`verify`]
//! does. Amounts are integers of an asset's minor unit and every sum is checked.
//!
//! How it reads: a [`Request`] asks, [`apply`](apply::apply) decides on exact balances in memory, [`Journal`] (the one
//! writer) makes it durable and answers, [`read`] and [`follow`] tell others, [`verify`] proves. [`sealing`] adds each
//! record to a log that customers can check by themselves ([`proof`]).
//!
//! Not here: HTTP, people, campaigns, banks, and which accounts a wallet has. Not yet here: pipelined commits.

mod account;
mod amount;
pub mod apply;
pub mod archive;
mod bind;
mod boot_clock;
pub mod canonical;
pub mod closing;
#[cfg(feature = "faults")]
pub mod faults;
pub mod follow;
pub mod forks;
pub mod health;
mod histogram;
mod history;
mod hold;
mod lot;
mod probe;
pub mod proof;
mod quota;
pub mod read;
mod record;
mod request;
pub mod restore;
pub mod sealing;
mod share;
mod store;
pub mod verify;
pub mod wire;
mod writer;

pub use account::{Account, AccountId, Nature, NewAccount, NormalSide};
pub use amount::{Amount, AmountError, Asset, AssetId, MAX_AMOUNT};
pub use archive::Archived;
pub use histogram::{COUNTS, Histogram, LATENCY_US, Spread};
pub use history::{History, Place};
pub use hold::{Hold, LegRef, Original};
pub use lot::{Lot, LotTerms, NEVER, Piece, slice, total};
pub use quota::{Calendar, Period};
pub use record::{Body, Dropped, More, Posted, Record, Refusal, RowKind, Side};
pub use request::{
    Change, Claim, Command, Companion, Group, How, Invalid, JournalId, Key, Limits, Rate, Request, Scope, Transfer,
};
pub use share::{Tender, mix, share};
pub use store::lease::set_slots;
pub use store::ranges::{range_size, set_range_size};
pub use store::{StoreError, create_journal, define_asset, journals};
pub use writer::{
    Answer, Answers, Carried, Config, Journal, JournalError, Lost, Measures, Memory, Role, Status, Transport,
};
