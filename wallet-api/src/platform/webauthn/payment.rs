//! What Secure Payment Confirmation shows the payer and puts into the client data.

use serde::{Deserialize, Serialize};

use super::Expected;
use super::fault::Fault;

/// The means of payment as the browser shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Instrument {
    /// Its name.
    pub display_name: String,
    /// Where its picture is.
    pub icon: String,
}

/// A payment as the browser was asked to show it.
#[derive(Debug, Clone, Copy)]
pub struct PaymentShown<'a> {
    /// Who gets the money, in words.
    pub payee_name: &'a str,
    /// How much: a decimal with exactly the digits of its currency, `10.00`.
    pub value: &'a str,
    /// Of what: ISO 4217.
    pub currency: &'a str,
    /// Out of what.
    pub instrument: &'a Instrument,
}

/// The member `payment` of client data (SPC, `CollectedClientAdditionalPaymentData`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payment {
    rp_id: String,
    top_origin: String,
    #[serde(default)]
    payee_name: Option<String>,
    #[serde(default)]
    payee_origin: Option<String>,
    total: Total,
    instrument: Instrument,
}

/// Value and currency; the value is text, so no float is ever near it.
#[derive(Deserialize)]
struct Total {
    value: String,
    currency: String,
}

impl Payment {
    /// Every member is what we asked to show, to the letter: the browser repeats what it was given.
    pub(super) fn check(&self, shown: &PaymentShown<'_>, expected: &Expected<'_>) -> Result<(), Fault> {
        let is_same = self.rp_id == expected.rp_id
            && expected.origins.contains(&self.top_origin)
            && self.payee_name.as_deref() == Some(shown.payee_name)
            // We name payees by name: an origin beside it would be somebody else's word.
            && self.payee_origin.is_none()
            && self.total.value == shown.value
            && self.total.currency == shown.currency
            && self.instrument == *shown.instrument;
        if is_same { Ok(()) } else { Err(Fault::Payment) }
    }
}
