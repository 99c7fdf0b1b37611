//! A tenant as requests see it, with the root of its HMACs.

use std::fmt;

use chrono_tz::Tz;
use ring::hmac;

use crate::platform::text::Lang;

/// A tenant as requests need it.
#[derive(Debug)]
pub struct Tenant {
    /// Its number, and its journal's.
    pub id: i64,
    /// Its name in URLs and commands.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Whether its money is play money and its clock can be moved.
    pub sandbox: bool,
    /// Where its days begin and end.
    pub zone: Tz,
    /// The language it writes to its customers in, when they have not said.
    pub locale: Lang,
    /// Root of its HMACs.
    pub secret: TenantSecret,
}

/// The root of a tenant's HMACs; it is never shown.
#[derive(Clone)]
pub struct TenantSecret(hmac::Key);

impl TenantSecret {
    /// From the 32 random bytes of the tenant's row.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// HMAC-SHA-256 over `purpose` and `parts`, each preceded by its length; `purpose` keeps the uses apart.
    #[must_use]
    pub fn sign(&self, purpose: &str, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
            // A slice's length always fits: usize is at most 64 bits wide.
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        context.sign()
    }

    /// The first 16 bytes of [`sign`](Self::sign): enough to tell requests apart, small enough for a key column.
    #[must_use]
    pub fn sign16(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 16] {
        let tag = self.sign(purpose, parts);
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        bytes
    }
}

impl fmt::Debug for TenantSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TenantSecret(..)")
    }
}
