//! What a person's own payment is, and where it stands.

use chrono::{DateTime, NaiveDate, Utc};
use ledger::Refusal;
use uuid::Uuid;

use crate::identity::sca::exemption::Article;
use crate::identity::sca::{Intent, Method, Offer};
use crate::loyalty::Grant;
use crate::payments::{Instrument, Paid, PaymentWish};
use crate::platform::chart::Purpose;
use crate::platform::money::EUR;
use crate::platform::webauthn::{self, Assertion};

/// A payment that a person wants to make out of their own wallet; every field already checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnWish {
    /// Who is paid.
    pub merchant: Uuid,
    /// Cents, positive.
    pub amount_minor: i64,
    /// The merchant's order: it can be paid once, whatever the keys.
    pub reference: Option<String>,
}

/// How a payer agreed to a payment. The journal's record says it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreed {
    /// By strong authentication: the SHA-256 of what shows it.
    Approved([u8; 32]),
    /// Without, under this article.
    Exempt(Article),
}

/// An agreement as it was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// How.
    pub how: Agreed,
    /// When.
    pub at: DateTime<Utc>,
    /// Until when the payment is posted; then it never is.
    pub post_until: DateTime<Utc>,
}

/// A payment as it was asked. What is approved and what is posted are both made of this, and of nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intended {
    /// The payment's id.
    pub id: Uuid,
    /// Who pays.
    pub person: Uuid,
    /// Under which of their Idempotency-Keys it was asked, and the fingerprint of what was.
    pub request: (Uuid, Uuid),
    /// Who is paid.
    pub merchant: Uuid,
    /// In the words shown.
    pub payee_name: String,
    /// Cents.
    pub amount_minor: i64,
    /// The merchant's order.
    pub reference: Option<String>,
    /// When it was asked, by the tenant's clock.
    pub asked_at: DateTime<Utc>,
    /// The day of that, in the tenant's zone: the day that is approved.
    pub execution_date: NaiveDate,
    /// The last offer made to the payer, and until when.
    pub offer: Option<(Uuid, DateTime<Utc>)>,
    /// How the payer agreed.
    pub agreement: Option<Agreement>,
}

impl Intended {
    /// Its payer agreed to it by strong authentication.
    pub(super) const fn is_approved(&self) -> bool {
        matches!(self.agreement, Some(Agreement { how: Agreed::Approved(_), .. }))
    }

    /// What its payer approves.
    #[must_use]
    pub fn intent(&self, tenant: i64) -> Intent {
        Intent {
            payment_id: self.id,
            payer_account: Purpose::Available(self.person).account(tenant),
            payee_id: self.merchant.to_string(),
            payee_name_shown: self.payee_name.clone(),
            amount_minor: self.amount_minor,
            currency: EUR.to_owned(),
            execution_date: self.execution_date,
        }
    }

    /// What is posted. On a later day than the approved one it counts from when it was asked.
    pub(super) fn wish(&self, today: NaiveDate) -> PaymentWish {
        PaymentWish {
            customer: self.person,
            merchant: self.merchant,
            amount_minor: self.amount_minor,
            instrument: Instrument::Wallet,
            reference: self.reference.clone(),
            occurred_at: (today != self.execution_date).then_some(self.asked_at),
            hook_depth: 0,
        }
    }
}

/// What is put to the payer.
#[derive(Debug, Clone)]
pub struct Offered {
    /// What to show and what to sign.
    pub offer: Offer,
    /// As the browser's payment dialogue shows where the money comes from.
    pub instrument: webauthn::Instrument,
    /// What it would earn now, and whether the budget would bear it.
    pub earns: Vec<(Grant, bool)>,
}

/// Where a payment stands.
#[derive(Debug, Clone)]
pub enum Stands {
    /// Its payer has not agreed yet.
    Waiting,
    /// Nobody agreed in time.
    Expired,
    /// Agreed to, and not posted so far: whoever asks again before its time is over posts it.
    Agreed,
    /// Posted.
    Paid(Box<Paid>),
    /// The journal refused it, for good: nothing moved.
    Refused {
        /// Why.
        refusal: Refusal,
        /// Its place in the books.
        seq: i64,
    },
    /// Agreed to, and not posted in time: it never will be.
    Lapsed {
        /// Where the books say so.
        seq: i64,
    },
}

/// A payment of a person's own.
#[derive(Debug, Clone)]
pub struct Own {
    /// As it was asked.
    pub intended: Intended,
    /// Where it stands.
    pub stands: Stands,
}

/// What a payer answers to an offer.
#[derive(Debug, Clone)]
pub struct PayersAnswer {
    /// Which offer.
    pub offer: Uuid,
    /// How it was approved.
    pub method: Method,
    /// The passkey's answer.
    pub assertion: Assertion,
    /// The signature of the key of the session's device over the payload, where there is one.
    pub device_signature: Option<Vec<u8>>,
}
