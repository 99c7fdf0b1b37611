//! Client data (Level 3, §5.8.1): what the browser says of the page and of what was asked.

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

use super::fault::Fault;
use super::payment::Payment;
use super::{Ceremony, Expected};

/// The members we look at. Others may stand beside them, now and in future (§5.8.1): they mean nothing to us.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    #[serde(rename = "type")]
    ceremony: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: Option<bool>,
    #[serde(default)]
    top_origin: Option<String>,
    #[serde(default)]
    payment: Option<Payment>,
}

/// Checks everything that client data say.
pub(super) fn check(bytes: &[u8], expected: &Expected<'_>) -> Result<(), Fault> {
    let said: ClientData = serde_json::from_slice(bytes).map_err(|_form| Fault::Malformed)?;
    let ceremony = match expected.ceremony {
        Ceremony::Create => "webauthn.create",
        Ceremony::Get => "webauthn.get",
        Ceremony::Payment(_) => "payment.get",
    };
    if said.ceremony != ceremony {
        return Err(Fault::Ceremony);
    }
    if said.challenge != BASE64URL_NOPAD.encode(expected.challenge) {
        return Err(Fault::Challenge);
    }
    if !expected.origins.contains(&said.origin) {
        return Err(Fault::Origin);
    }
    // Our pages are never in a frame of another site's, so there is no top origin to allow.
    if said.cross_origin == Some(true) || said.top_origin.is_some() {
        return Err(Fault::CrossOrigin);
    }
    match (expected.ceremony, said.payment) {
        (Ceremony::Payment(shown), Some(payment)) => payment.check(shown, expected),
        (Ceremony::Create | Ceremony::Get, None) => Ok(()),
        (Ceremony::Payment(_), None) | (Ceremony::Create | Ceremony::Get, Some(_)) => Err(Fault::Payment),
    }
}
