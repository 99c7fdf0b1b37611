//! Opaque tokens: `<kind>_<prefix>_<secret>`, 6 and 32 random bytes in hexadecimal.
//!
//! The prefix finds the row, the SHA-256 of the whole proves it: the secret has 256 random bits, so no slow hash is needed
//! (OWASP ASVS 5.0, 6.5.2: from 112 on). Nothing can be read from a token, so that what it may do can change while it lives.

use std::fmt;

use data_encoding::HEXLOWER;
use ring::digest;

use crate::platform::ids::Ids;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A machine client's key.
    Key,
    /// A session of a person or an operator, on every request.
    Access,
    /// Such a session, once, for the next pair of tokens.
    Refresh,
    /// An operator to be, once, to register a passkey.
    Invitation,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Key, Self::Access, Self::Refresh, Self::Invitation];

    /// What its tokens begin with.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Key => "tsk",
            Self::Access => "tsa",
            Self::Refresh => "tsr",
            Self::Invitation => "tsi",
        }
    }
}

/// A token as its holder has it. Not shown by `Debug`.
pub struct Token {
    name: Name,
    whole: String,
}

/// What finds a token: its kind and prefix; no secret.
pub type Name = (Kind, String);

const PREFIX_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;

impl Token {
    /// A new one from 6 random bytes of prefix and 32 of secret, written in hexadecimal.
    #[must_use]
    pub fn generate(kind: Kind, ids: &Ids) -> Self {
        let (mut prefix, mut secret) = ([0; PREFIX_BYTES], [0; SECRET_BYTES]);
        ids.fill(&mut prefix);
        ids.fill(&mut secret);
        let prefix = HEXLOWER.encode(&prefix);
        Self { whole: format!("{}_{prefix}_{}", kind.word(), HEXLOWER.encode(&secret)), name: (kind, prefix) }
    }

    /// Reads a token of any kind, or says nothing about why it is none.
    #[must_use]
    pub fn parse(whole: &str) -> Option<Self> {
        let (word, rest) = whole.split_once('_')?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word)?;
        let (prefix, secret) = rest.split_once('_')?;
        let is_hex = |text: &str, bytes: usize| {
            text.len() == bytes * 2 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let well_formed = is_hex(prefix, PREFIX_BYTES) && is_hex(secret, SECRET_BYTES);
        well_formed.then(|| Self { name: (kind, prefix.to_owned()), whole: whole.to_owned() })
    }

    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.name.0
    }

    pub(super) const fn name(&self) -> &Name {
        &self.name
    }

    /// The part that finds it; no secret.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.name.1
    }

    /// The whole of it, to be shown once to whoever will use it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.whole
    }

    /// What is stored of it: SHA-256 of the whole.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(digest::digest(&digest::SHA256, self.whole.as_bytes()).as_ref()) {
            *to = *from;
        }
        bytes
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}_{}_..)", self.kind().word(), self.prefix())
    }
}
