//! Keys that encrypt keys (KEK), by version, behind one small trait: files of ours today, a KMS or an HSM tomorrow.
//!
//! Promise: what was wrapped unwraps only under the same version and the same words, and a key that is not there is told
//! by its version. Implementations never show a KEK. Not here: which version wraps what is new, which the database says
//! so that all nodes agree ([`Vault::rotate`](super::Vault::rotate) moves it).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use ring::digest;
use zeroize::Zeroizing;

use super::aead::{self, Key};
use super::cell::Words;
use crate::platform::sealing::KeyError;

/// Why a key cannot be wrapped or unwrapped.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// Nobody gave that version.
    #[error("key {0} of the vault is not among the keys this node was given: bring it, or put it back from a backup")]
    Missing(i32),
    /// The key of that version is another than the one that was used.
    #[error("key {0} of the vault is not the one this database was sealed with: put the right one back from a backup")]
    Foreign(i32),
    /// It does not unwrap: wrapped elsewhere, or changed.
    #[error("a key in the database does not unwrap under key {0} of the vault: it was changed, or belongs elsewhere")]
    Refused(i32),
    /// The keys come from outside, so outside they are made.
    #[error(
        "the vault's keys are given by configuration: add a line `{0}:` and 64 hexadecimal digits to them on every \
             node, restart the nodes, then rotate again"
    )]
    MadeElsewhere(i32),
    /// A file of keys cannot be used.
    #[error(transparent)]
    File(#[from] KeyError),
    /// The words that should be keys are none; which, counted from 1.
    #[error("key {0} of the vault's keys does not read: each is a version, a colon and 64 hexadecimal digits")]
    Form(usize),
    /// A service that has the keys does not answer.
    #[error("who keeps the vault's keys does not answer: {0}")]
    Away(String),
}

/// What tells a KEK from another, and nothing else of it.
pub type Fingerprint = [u8; 8];

/// Who keeps the keys that encrypt keys. Calls may block: they are made off the async threads.
pub trait Kms: Send + Sync + 'static {
    /// The newest version there is.
    ///
    /// # Errors
    /// [`KmsError`].
    fn newest(&self) -> Result<i32, KmsError>;

    /// What tells the key of this version from another.
    ///
    /// # Errors
    /// [`KmsError::Missing`].
    fn fingerprint(&self, version: i32) -> Result<Fingerprint, KmsError>;

    /// Makes the next version, and tells it.
    ///
    /// # Errors
    /// [`KmsError::MadeElsewhere`] where that is not ours to do.
    fn make_next(&self) -> Result<i32, KmsError>;

    /// Wraps a key; `context` must be given again to unwrap it.
    ///
    /// # Errors
    /// [`KmsError`].
    fn wrap(&self, version: i32, context: &[u8], key: &Key) -> Result<Vec<u8>, KmsError>;

    /// The key that was wrapped.
    ///
    /// # Errors
    /// [`KmsError`].
    fn unwrap(&self, version: i32, context: &[u8], wrapped: &[u8]) -> Result<Key, KmsError>;
}

/// KEKs in memory, by version: what both a folder and a configuration come to.
#[derive(Debug, Default)]
pub struct Keks(BTreeMap<i32, Key>);

impl Keks {
    /// Adds a key under its version.
    pub fn add(&mut self, version: i32, key: Key) {
        self.0.insert(version, key);
    }

    /// Reads `1:<64 hexadecimal digits>`, several parted by commas or white space.
    ///
    /// # Errors
    /// [`KmsError::Form`] counts to the one that does not read; the text itself is never told.
    pub fn parse(text: &str) -> Result<Self, KmsError> {
        let mut keks = Self::default();
        let words = text.split([',', ' ', '\n', '\r', '\t']).filter(|word| !word.is_empty());
        for (number, word) in (1..).zip(words) {
            let (version, key) = read(word).ok_or(KmsError::Form(number))?;
            if keks.0.insert(version, key).is_some() {
                return Err(KmsError::Form(number));
            }
        }
        if keks.0.is_empty() { Err(KmsError::Form(1)) } else { Ok(keks) }
    }

    /// The newest version.
    ///
    /// # Errors
    /// [`KmsError::Missing`] where there is none.
    pub fn newest(&self) -> Result<i32, KmsError> {
        self.0.last_key_value().map(|(version, _)| *version).ok_or(KmsError::Missing(1))
    }

    /// As [`Kms::fingerprint`].
    ///
    /// # Errors
    /// [`KmsError::Missing`].
    pub fn fingerprint(&self, version: i32) -> Result<Fingerprint, KmsError> {
        let words = Words::of("tessera.vault.kek.1").bytes(self.of(version)?.expose()).done();
        let words = Zeroizing::new(words);
        let hash = digest::digest(&digest::SHA256, &words);
        Ok(hash.as_ref().first_chunk().copied().unwrap_or_default())
    }

    /// As [`Kms::wrap`].
    ///
    /// # Errors
    /// [`KmsError::Missing`].
    pub fn wrap(&self, version: i32, context: &[u8], key: &Key) -> Result<Vec<u8>, KmsError> {
        let wrapped = aead::seal(self.of(version)?, version, context, key.expose());
        wrapped.map_err(|_unsealed| KmsError::Refused(version))
    }

    /// As [`Kms::unwrap`].
    ///
    /// # Errors
    /// [`KmsError::Missing`], [`KmsError::Refused`].
    pub fn unwrap(&self, version: i32, context: &[u8], wrapped: &[u8]) -> Result<Key, KmsError> {
        let kek = self.of(version)?;
        let opened = aead::open(kek, context, wrapped).ok().filter(|_| aead::version(wrapped) == Ok(version));
        opened.and_then(|bytes| Key::from_slice(&bytes)).ok_or(KmsError::Refused(version))
    }

    fn of(&self, version: i32) -> Result<&Key, KmsError> {
        self.0.get(&version).ok_or(KmsError::Missing(version))
    }
}

fn read(word: &str) -> Option<(i32, Key)> {
    let (version, key) = word.split_once(':')?;
    let bytes = Zeroizing::new(HEXLOWER_PERMISSIVE.decode(key.as_bytes()).ok()?);
    let version = version.parse().ok().filter(|version| *version > 0)?;
    Some((version, Key::from_slice(&bytes)?))
}

/// Keys as configuration gives them, not read yet; never shown.
#[derive(Clone)]
pub struct KeyText(Zeroizing<String>);

impl FromStr for KeyText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(..)")
    }
}

/// Keys given by configuration: a variable, a file of secrets, a file descriptor.
#[derive(Debug)]
pub struct GivenKeys(Keks);

impl GivenKeys {
    /// The keys of this text.
    ///
    /// # Errors
    /// [`KmsError::Form`].
    pub fn read(text: &KeyText) -> Result<Self, KmsError> {
        Ok(Self(Keks::parse(&text.0)?))
    }
}

impl Kms for GivenKeys {
    fn newest(&self) -> Result<i32, KmsError> {
        self.0.newest()
    }

    fn fingerprint(&self, version: i32) -> Result<Fingerprint, KmsError> {
        self.0.fingerprint(version)
    }

    fn make_next(&self) -> Result<i32, KmsError> {
        Err(KmsError::MadeElsewhere(self.0.newest()?.saturating_add(1)))
    }

    fn wrap(&self, version: i32, context: &[u8], key: &Key) -> Result<Vec<u8>, KmsError> {
        self.0.wrap(version, context, key)
    }

    fn unwrap(&self, version: i32, context: &[u8], wrapped: &[u8]) -> Result<Key, KmsError> {
        self.0.unwrap(version, context, wrapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_configuration_are_read_and_none_of_them_is_told() {
        let (one, two) = ("11".repeat(32), "22".repeat(32));
        let keks = Keks::parse(&format!("1:{one},2:{two}\n")).unwrap();
        assert_eq!(keks.newest().unwrap(), 2);
        assert_ne!(keks.fingerprint(1).unwrap(), keks.fingerprint(2).unwrap());
        assert!(!format!("{keks:?}").contains("11111"));
        let wrong = ["", "1", &format!("0:{one}"), &format!("1:{one} 1:{two}"), &format!("1:{}", &one[2..])];
        for wrong in wrong {
            let refused = Keks::parse(wrong).unwrap_err().to_string();
            assert!(!refused.contains("111111"), "{refused}");
        }
        let given: KeyText = format!("7:{one}").parse().unwrap();
        assert_eq!(format!("{given:?}"), "KeyText(..)");
        assert!(matches!(GivenKeys::read(&given).unwrap().make_next(), Err(KmsError::MadeElsewhere(8))));
    }

    #[test]
    fn a_key_unwraps_under_its_version_and_its_words_alone() {
        let keks = Keks::parse(&format!("1:{} 2:{}", "11".repeat(32), "22".repeat(32))).unwrap();
        let key = Key::random();
        let wrapped = keks.wrap(1, b"here", &key).unwrap();
        assert_eq!(keks.unwrap(1, b"here", &wrapped).unwrap().expose(), key.expose());
        assert!(matches!(keks.unwrap(1, b"there", &wrapped), Err(KmsError::Refused(1))));
        assert!(matches!(keks.unwrap(2, b"here", &wrapped), Err(KmsError::Refused(2))));
        assert!(matches!(keks.unwrap(3, b"here", &wrapped), Err(KmsError::Missing(3))));
    }
}
