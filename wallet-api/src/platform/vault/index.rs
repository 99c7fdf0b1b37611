//! Blind indexes: finding a row by what is sealed in it, without keeping it in clear.
//!
//! HMAC-SHA-256 under a key of its own for each tenant and purpose, so that equal texts of two tenants, or of two columns,
//! are not equal here. The same text always gives the same index: normalise first (case, spaces, form), and index nothing of
//! which there are few (a birthday, a yes or no), because whoever reads the table counts. Delete a person's indexes when you
//! forget the person: the vault does not know where they are.

use std::fmt;

use ring::hmac;
use subtle::ConstantTimeEq;

use super::aead::Key;
use super::cell::Words;

/// What an index is for, as in `person.email`: each has a key of its own. Part of the key's name, so never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Purpose(pub &'static str);

/// The blind index of a text. Comparing two takes the same time whatever they are.
#[derive(Clone, Copy)]
pub struct BlindIndex([u8; 32]);

impl BlindIndex {
    pub(super) fn of(key: &Key, tenant: i64, purpose: Purpose, text: &str) -> Self {
        let words = Words::of("tessera.vault.index.1").bytes(&tenant.to_be_bytes()).bytes(purpose.0.as_bytes());
        let words = zeroize::Zeroizing::new(words.bytes(text.as_bytes()).done());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()), &words);
        // HMAC-SHA-256 is 32 bytes by definition.
        Self(<[u8; 32]>::try_from(tag.as_ref()).unwrap_or_default())
    }

    /// As a row keeps it.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether a row's bytes are this index.
    #[must_use]
    pub fn is(&self, bytes: &[u8]) -> bool {
        self.0.as_slice().ct_eq(bytes).into()
    }
}

impl PartialEq for BlindIndex {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.0)
    }
}

impl Eq for BlindIndex {}

impl fmt::Debug for BlindIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlindIndex(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_the_same_for_the_same_and_another_for_any_other() {
        let (key, mail) = (Key::from_slice(&[1; 32]).unwrap(), Purpose("person.email"));
        let index = BlindIndex::of(&key, 1, mail, "anna@example.org");
        assert_eq!(index, BlindIndex::of(&key, 1, mail, "anna@example.org"));
        assert!(index.is(index.as_bytes()) && !index.is(b"") && !index.is(&[0; 32]));
        let other = Key::from_slice(&[2; 32]).unwrap();
        for wrong in [
            BlindIndex::of(&key, 1, mail, "bruno@example.org"),
            BlindIndex::of(&key, 2, mail, "anna@example.org"),
            BlindIndex::of(&key, 1, Purpose("person.phone"), "anna@example.org"),
            BlindIndex::of(&other, 1, mail, "anna@example.org"),
        ] {
            assert_ne!(index, wrong);
        }
        assert_eq!(format!("{index:?}"), "BlindIndex(..)");
    }
}
