//! The papers of what becomes of a payment: that it was authorised, given back, refunded.

use ledger::Dropped;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AUTHORISATION, REFUND, Sheet, VOID};
use crate::loyalty::RewardKind;
use crate::payments::model::Instrument;

/// The version of all three.
const FIRST: u8 = 1;

/// The paper of an authorisation: money of a wallet set aside for a merchant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::payments) struct AuthorisationPaper {
    v: u8,
    /// The authorisation.
    pub payment: Uuid,
    /// Whose wallet.
    pub customer: Uuid,
    /// For whom.
    pub merchant: Uuid,
    /// Cents.
    pub amount_minor: i64,
    /// The merchant's order.
    pub reference: Option<String>,
    /// When it ends by itself, microseconds since 1970.
    pub expires_us: i64,
}

/// The paper of what gives back the rest of an authorisation: a void, or the final capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::payments) struct VoidPaper {
    v: u8,
    /// The authorisation.
    pub payment: Uuid,
    /// Whose wallet.
    pub customer: Uuid,
    /// For whom it was.
    pub merchant: Uuid,
    /// Of a final capture: which of its optional groups gives the rest back. It is dropped when there is none.
    pub group: Option<i32>,
}

/// The paper of a refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::payments) struct RefundPaper {
    v: u8,
    /// The refund.
    pub refund: Uuid,
    /// What is refunded: a payment or a capture.
    pub payment: Uuid,
    /// Who is paid back.
    pub customer: Uuid,
    /// Who pays back.
    pub merchant: Uuid,
    /// Cents.
    pub amount_minor: i64,
    /// With what it was paid, and is paid back.
    pub instrument: Instrument,
    /// What of its rewards is taken back: the transaction's optional groups, in order.
    pub rewards: Vec<TakenBack>,
}

/// What of a reward a refund takes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::payments) struct TakenBack {
    /// Money or points.
    pub kind: RewardKind,
    /// Whose budget gets it back.
    pub campaign: Uuid,
    /// How much; positive.
    pub minor: i64,
    /// Of what.
    pub asset: String,
}

impl AuthorisationPaper {
    /// A wallet's money set aside until a time.
    pub(in crate::payments) fn of(payment: Uuid, wish: &crate::payments::PaymentWish, expires_us: i64) -> Self {
        Self {
            v: FIRST,
            payment,
            customer: wish.customer,
            merchant: wish.merchant,
            amount_minor: wish.amount_minor,
            reference: wish.reference.clone(),
            expires_us,
        }
    }

    /// The paper of what gives back the rest of it, in this of the transaction's groups or as the transaction itself.
    pub(in crate::payments) const fn voided(&self, group: Option<i32>) -> VoidPaper {
        let Self { payment, customer, merchant, .. } = *self;
        VoidPaper { v: FIRST, payment, customer, merchant, group }
    }
}

impl RefundPaper {
    /// A refund of so much of a payment, with what it takes back.
    pub(in crate::payments) fn of(
        refund: Uuid,
        paid: &super::PaymentPaper,
        amount_minor: i64,
        rewards: Vec<TakenBack>,
    ) -> Self {
        let super::PaymentPaper { payment, customer, merchant, instrument, .. } = *paid;
        Self { v: FIRST, refund, payment, customer, merchant, amount_minor, instrument, rewards }
    }

    /// Each reward, and whether it was taken back, the transaction's dropped groups given.
    pub(in crate::payments) fn taken_back<'a>(
        &'a self,
        dropped: &'a [Dropped],
    ) -> impl Iterator<Item = (&'a TakenBack, bool)> {
        let is_dropped = |group: i32| dropped.iter().any(|drop| drop.group == group);
        (0..).zip(&self.rewards).map(move |(group, reward)| (reward, !is_dropped(group)))
    }
}

impl Sheet for AuthorisationPaper {
    const KIND: i32 = AUTHORISATION;
    const NAME: &'static str = "authorisation's paper";

    fn is_known(&self) -> bool {
        self.v == FIRST
    }
}

impl Sheet for VoidPaper {
    const KIND: i32 = VOID;
    const NAME: &'static str = "void's paper";

    fn is_known(&self) -> bool {
        self.v == FIRST
    }
}

impl Sheet for RefundPaper {
    const KIND: i32 = REFUND;
    const NAME: &'static str = "refund's paper";

    fn is_known(&self) -> bool {
        self.v == FIRST
    }
}
