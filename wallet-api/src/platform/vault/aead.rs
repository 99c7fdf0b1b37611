//! Sealed bytes: AES-256-GCM under a key made for this one seal.
//!
//! ```text
//! format 1 | key version, 4 bytes, big endian | salt, 16 bytes | nonce, 12 bytes | ciphertext | tag, 16 bytes
//! ```
//! Both salt and nonce are random, of the operating system at each seal: no counter, so no state that a fork, a second
//! process or a restored snapshot could repeat. The key of the cipher is HKDF-SHA-256 of the caller's key and the salt. So
//! the bound of 2^32 seals with random nonces under one AES key (SP 800-38D §8.3) holds by construction and nothing is
//! counted: that many seals under one caller's key do not meet the same salt twice but with probability 2^-65.
//!
//! Whatever is wrong with sealed bytes (format, length, key, place, a flipped bit), the answer is the one [`Unsealed`].
//! Limits: the length of what is sealed shows. `ring` keeps a cipher's key schedule on the stack and does not wipe it; keys
//! of ours are wiped. Source: NIST SP 800-38D, RFC 5869.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf;
use zeroize::Zeroizing;

use crate::platform::ids::Ids;

/// Of sealed bytes.
const FORMAT: u8 = 1;
/// What derived keys are for.
const PURPOSE: &[u8] = b"tessera.vault.seal.1";
const SALT: usize = 16;
const NONCE: usize = 12;
const TAG: usize = 16;
/// Format, version, salt, nonce.
const HEADER: usize = 1 + 4 + SALT + NONCE;
/// How many bytes sealed ones are longer than what they seal.
pub const OVERHEAD: usize = HEADER + TAG;

/// Bytes that do not open. Never why: whoever guesses must not learn by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed bytes do not open")]
pub struct Unsealed;

/// A key of 256 bits; wiped when it is dropped, and never shown.
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// A new one, of the operating system's randomness whatever the demo's seed.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        Ids::system().fill(bytes.as_mut_slice());
        Self(bytes)
    }

    /// From bytes that should be 32.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; 32]);
        (bytes.len() == key.len()).then(|| key.copy_from_slice(bytes))?;
        Some(Self(key))
    }

    /// The bytes, for whoever wraps them or makes a MAC with them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Seals `plain` under `key`, whose version is told in the clear; `aad` must be given again to open.
///
/// # Errors
/// [`Unsealed`] when it is longer than the cipher takes (64 GiB).
pub fn seal(key: &Key, version: i32, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, Unsealed> {
    let (mut salt, mut nonce) = ([0; SALT], [0; NONCE]);
    let random = Ids::system();
    random.fill(&mut salt);
    random.fill(&mut nonce);
    // Sized once: a vector that grew would leave what is to be sealed behind.
    let mut sealed = Vec::with_capacity(plain.len().saturating_add(OVERHEAD));
    sealed.push(FORMAT);
    sealed.extend_from_slice(&version.to_be_bytes());
    sealed.extend_from_slice(&salt);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let body = sealed.get_mut(HEADER..).ok_or(Unsealed)?;
    let tag = encrypt(derived(key, &salt)?, nonce, aad, body)?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// What was sealed under `key` and `aad`. Which version's key that is, [`version`] tells.
///
/// # Errors
/// [`Unsealed`].
pub fn open(key: &Key, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealed> {
    let (header, body) = sealed.split_first_chunk::<HEADER>().ok_or(Unsealed)?;
    version(sealed)?;
    let (rest, nonce) = header.split_last_chunk::<NONCE>().ok_or(Unsealed)?;
    let (_, salt) = rest.split_last_chunk::<SALT>().ok_or(Unsealed)?;
    decrypt(derived(key, salt)?, *nonce, aad, body)
}

/// The version of the key that sealed these bytes, as they say; opening proves it.
///
/// # Errors
/// [`Unsealed`] when they are of no format known here.
pub fn version(sealed: &[u8]) -> Result<i32, Unsealed> {
    let (format, rest) = sealed.split_first().ok_or(Unsealed)?;
    let (version, _) = rest.split_first_chunk::<4>().ok_or(Unsealed)?;
    let version = i32::from_be_bytes(*version);
    if *format == FORMAT && version > 0 { Ok(version) } else { Err(Unsealed) }
}

/// What bytes sealed under this version begin with: those of an older one sort before.
#[must_use]
pub fn prefix(version: i32) -> [u8; 5] {
    let [a, b, c, d] = version.to_be_bytes();
    [FORMAT, a, b, c, d]
}

fn derived(key: &Key, salt: &[u8; SALT]) -> Result<UnboundKey, Unsealed> {
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(key.expose());
    let okm = prk.expand(&[PURPOSE], &AES_256_GCM).map_err(|_length| Unsealed)?;
    Ok(UnboundKey::from(okm))
}

fn encrypt(key: UnboundKey, nonce: [u8; NONCE], aad: &[u8], body: &mut [u8]) -> Result<[u8; TAG], Unsealed> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let tag = LessSafeKey::new(key).seal_in_place_separate_tag(nonce, Aad::from(aad), body);
    let tag = tag.map_err(|_length| Unsealed)?;
    <[u8; TAG]>::try_from(tag.as_ref()).map_err(|_length| Unsealed)
}

fn decrypt(key: UnboundKey, nonce: [u8; NONCE], aad: &[u8], body: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unsealed> {
    let mut plain = Zeroizing::new(body.to_vec());
    let nonce = Nonce::assume_unique_for_key(nonce);
    let opened = LessSafeKey::new(key).open_in_place(nonce, Aad::from(aad), plain.as_mut_slice());
    let length = opened.map_err(|_wrong| Unsealed)?.len();
    plain.truncate(length);
    Ok(plain)
}

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_is_sealed_opens_with_the_same_key_and_words_and_with_nothing_else() {
        let (key, other) = (Key::random(), Key::random());
        for plain in [&b""[..], b"a", &[7; 5_000]] {
            let sealed = seal(&key, 3, b"here", plain).unwrap();
            assert_eq!((sealed.len(), version(&sealed)), (plain.len() + OVERHEAD, Ok(3)));
            assert_eq!(open(&key, b"here", &sealed).unwrap().as_slice(), plain);
            assert_eq!(open(&key, b"there", &sealed), Err(Unsealed));
            assert_eq!(open(&other, b"here", &sealed), Err(Unsealed));
        }
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_the_one_error() {
        let key = Key::random();
        let sealed = seal(&key, 1, b"here", b"secret").unwrap();
        for at in 0..sealed.len() {
            // The version is no part of what is authenticated here: whoever seals puts it into the words.
            let bits = if (1..5).contains(&at) { 0..0 } else { 0..8 };
            for bit in bits {
                let mut wrong = sealed.clone();
                wrong[at] ^= 1 << bit;
                assert_eq!(open(&key, b"here", &wrong), Err(Unsealed), "byte {at}, bit {bit}");
            }
            assert_eq!(open(&key, b"here", &sealed[..at]), Err(Unsealed), "cut at {at}");
        }
        assert_eq!(open(&key, b"here", &[&sealed[..], b"x"].concat()), Err(Unsealed));
    }

    #[test]
    fn unknown_formats_and_versions_that_cannot_be_are_refused() {
        assert_eq!(version(&[FORMAT, 0, 0, 0, 1]), Ok(1));
        for wrong in [&[][..], &[FORMAT], &[FORMAT, 0, 0, 0], &[2, 0, 0, 0, 1], &[FORMAT; 0], &[FORMAT, 0, 0, 0, 0]] {
            assert_eq!(version(wrong), Err(Unsealed), "{wrong:?}");
        }
        assert_eq!(version(&[FORMAT, 255, 255, 255, 255]), Err(Unsealed), "no version is negative");
        assert!(prefix(1) < prefix(2) && prefix(255) < prefix(256));
    }

    /// A million seals in a release build; fewer where each takes longer. With two processes: `tests/vault.rs`.
    #[test]
    fn t63_no_nonce_and_no_salt_comes_twice() {
        let seals = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
        let key = Key::random();
        let (mut salts, mut nonces) = (HashSet::with_capacity(seals), HashSet::with_capacity(seals));
        for _ in 0..seals {
            let sealed = seal(&key, 1, b"", b"").unwrap();
            assert!(salts.insert(<[u8; SALT]>::try_from(&sealed[5..21]).unwrap()));
            assert!(nonces.insert(<[u8; NONCE]>::try_from(&sealed[21..33]).unwrap()));
        }
    }

    #[test]
    fn t55_a_key_is_not_shown() {
        let key = Key::from_slice(&[0xAB; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "Key(..)");
        assert!(Key::from_slice(&[0; 31]).is_none());
    }
}
