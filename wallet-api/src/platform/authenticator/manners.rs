//! How an authenticator or its browser misbehaves.

use serde_json::{Map, Value};

/// What it does wrong; the default does everything right.
#[derive(Debug, Clone, Default)]
pub struct Manners {
    /// Says this ceremony: `webauthn.create`, `payment.get` ...
    pub ceremony: Option<&'static str>,
    /// Answers this challenge.
    pub challenge: Option<Vec<u8>>,
    /// Says that the page is of this origin.
    pub origin: Option<String>,
    /// Says that the page is in another site's frame.
    pub cross_origin: bool,
    /// Names the site around the frame.
    pub top_origin: Option<String>,
    /// Is of this relying party.
    pub rp_id: Option<String>,
    /// Says that nobody was there.
    pub user_absent: bool,
    /// Says that nobody was verified.
    pub user_unverified: bool,
    /// Says that it may be synced, and that it is.
    pub backup: Option<(bool, bool)>,
    /// Says this signature counter.
    pub counter: Option<u32>,
    /// Signs with a key that is not the credential's.
    pub signs_with_another_key: bool,
    /// Registers a key of a kind that was not asked for.
    pub public_key_of_another_kind: bool,
    /// Members of the payment it says it showed, in place of the true ones.
    pub payment: Option<Map<String, Value>>,
    /// Leaves out the last byte of this part.
    pub truncated: Option<Cut>,
}

/// A part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// What the browser says.
    ClientData,
    /// What the authenticator says.
    AuthenticatorData,
    /// Its signature.
    Signature,
}

impl Manners {
    /// Does everything right.
    #[must_use]
    pub fn good() -> Self {
        Self::default()
    }

    pub(super) fn cut(&self, part: Cut, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.truncated == Some(part) {
            bytes.pop();
        }
        bytes
    }
}
