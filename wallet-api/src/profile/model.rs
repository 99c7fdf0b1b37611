//! What a customer is.

use std::fmt;

use ring::hmac;
use uuid::Uuid;

use crate::platform::ids::Ids;

/// A customer of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// Its id: a function of tenant and reference.
    pub id: Uuid,
    /// The tenant's own opaque name for it.
    pub reference: String,
}

/// A person's secret: it salts every commitment to what is known of them, and is destroyed with them (JOURNAL 7).
#[derive(Clone, PartialEq, Eq)]
pub struct PersonSecret(pub(super) [u8; 32]);

impl PersonSecret {
    /// A new random one.
    #[must_use]
    pub fn generate(ids: &Ids) -> Self {
        let mut bytes = [0; 32];
        ids.fill(&mut bytes);
        Self(bytes)
    }

    /// A commitment to facts about one payment: binding for ever, opened only by who has the secret.
    #[must_use]
    pub fn commit(&self, payment: Uuid, facts: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.0));
        context.update(payment.as_bytes());
        context.update(facts);
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        bytes
    }
}

impl fmt::Debug for PersonSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonSecret(..)")
    }
}
