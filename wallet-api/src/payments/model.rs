//! What a payment is asked to be.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::platform::chart::Rail;

/// What pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Instrument {
    /// The customer's available balance.
    Wallet,
    /// Something outside: the money arrives on the rail's settlement account.
    External {
        /// Which way it comes.
        rail: Rail,
    },
}

/// A payment to make; every field already checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentWish {
    /// Who pays.
    pub customer: Uuid,
    /// Who is paid.
    pub merchant: Uuid,
    /// Cents, positive.
    pub amount_minor: i64,
    /// With what.
    pub instrument: Instrument,
    /// The merchant's order: it can be paid once, whatever the keys.
    pub reference: Option<String>,
    /// When it happened, if not now.
    pub occurred_at: Option<DateTime<Utc>>,
    /// How many hooks led to it, one after the other.
    pub hook_depth: i16,
}

/// A top-up to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopUpWish {
    /// Whose wallet.
    pub customer: Uuid,
    /// Cents, positive.
    pub amount_minor: i64,
    /// Which way the money comes.
    pub rail: Rail,
}
