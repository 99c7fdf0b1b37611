//! An API key: `tsk_<prefix>_<secret>`, 6 and 32 random bytes in hexadecimal.

use std::fmt;

use data_encoding::HEXLOWER;
use ring::digest;

use crate::platform::ids::Ids;

/// An API key as its client holds it. Not shown by `Debug`.
pub struct ApiKey {
    prefix: String,
    whole: String,
}

const PREFIX_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;

impl ApiKey {
    /// A new key from 6 random bytes of prefix and 32 of secret, written in hexadecimal.
    #[must_use]
    pub fn generate(ids: &Ids) -> Self {
        let (mut prefix, mut secret) = ([0; PREFIX_BYTES], [0; SECRET_BYTES]);
        ids.fill(&mut prefix);
        ids.fill(&mut secret);
        let prefix = HEXLOWER.encode(&prefix);
        Self { whole: format!("tsk_{prefix}_{}", HEXLOWER.encode(&secret)), prefix }
    }

    /// Reads a key, or says nothing about why it is none.
    #[must_use]
    pub fn parse(whole: &str) -> Option<Self> {
        let (prefix, secret) = whole.strip_prefix("tsk_")?.split_once('_')?;
        let is_hex = |text: &str, bytes: usize| {
            text.len() == bytes * 2 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let well_formed = is_hex(prefix, PREFIX_BYTES) && is_hex(secret, SECRET_BYTES);
        well_formed.then(|| Self { prefix: prefix.to_owned(), whole: whole.to_owned() })
    }

    /// The part that finds the key; no secret.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The whole key, to be shown once to whoever will use it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.whole
    }

    /// What is stored of it: SHA-256 of the whole key.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(digest::digest(&digest::SHA256, self.whole.as_bytes()).as_ref()) {
            *to = *from;
        }
        bytes
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey(tsk_{}_..)", self.prefix)
    }
}
