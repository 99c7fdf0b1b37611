//! Holds: value set aside on an account, in favour of another, and not yet moved.
//!
//! A hold is named by the row that opened it and ends once: captured (in parts or whole), voided, or expired. Captured,
//! released and remaining always add up to what was held (I6). It expires the moment its time comes, swept or not:
//! whoever touches the account later writes that down first, and reads take it off. The holds of one transaction are a
//! group: one transaction captures or voids them together.
//! Not here: who may capture (payments). PSD2, article 75, calls this blocking funds.

use crate::lot::Piece;
use crate::{AccountId, Amount, Posted};

/// A posted row of this journal, as later rows point at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegRef {
    /// The record.
    pub seq: i64,
    /// The transfer inside it.
    pub leg: i32,
}

/// A hold as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Where value is set aside.
    pub debit: AccountId,
    /// In whose favour.
    pub credit: AccountId,
    /// How much was set aside.
    pub amount: Amount,
    /// How much still is.
    pub remaining: i64,
    /// From when on it is no longer: [`NEVER`](crate::lot::NEVER) for never.
    pub expires_us: i64,
    /// The lots it pinned, in the order they are captured.
    pub lots: Vec<Piece>,
}

/// A posted row that is to be moved back, as far as it has not been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// The row.
    pub posted: Posted,
    /// When it was recorded, microseconds since 1970.
    pub recorded_us: i64,
    /// How much of it was moved back before.
    pub refunded: i64,
}
