//! Signatures of hooks: Standard Webhooks 1.0, symmetric (`v1`, HMAC-SHA256).
//!
//! What is signed is `id.timestamp.body`, byte for byte as sent. A message carries one signature for each secret in
//! force, so a receiver can change secrets without losing a message. Who has no secret can neither make a signature nor
//! learn one by measuring how long a wrong one takes (`ring` compares in constant time).
//!
//! Limits: a signature older or newer than the tolerance is refused, but a repeat inside it is not noticed here: the
//! receiver keeps the ids it has seen for twice the tolerance. Not here: keeping secrets (`store`), ed25519 (`v1a`).
//! Source: Standard Webhooks 1.0, "Signature scheme".

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What the text form of a symmetric secret starts with.
const PREFIX: &str = "whsec_";
/// Version mark of symmetric signatures.
const VERSION: &str = "v1";
/// Bytes of a secret made here. The standard allows 24 to 64; 32 is the strength of the hash.
const NEW_SECRET_BYTES: usize = 32;
/// Signatures looked at in one header. Nobody has more secrets in force, and each costs a hash over the body.
const SIGNATURES_READ: usize = 8;

/// A signing secret that an endpoint and its operator share. Neither `Debug` nor any error shows it.
#[derive(Clone)]
pub struct Secret {
    bytes: Vec<u8>,
    key: hmac::Key,
}

/// Why a text is not a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The mark of a symmetric secret is missing.
    #[error("signing secret does not start with `whsec_`: copy it whole")]
    Prefix,
    /// What follows the mark is not base64.
    #[error("signing secret is not base64 after `whsec_`: copy it whole, with the `=` at its end")]
    Base64,
    /// Fewer than 24 or more than 64 bytes.
    #[error("signing secret has {0} bytes: it must have 24 to 64")]
    Length(usize),
}

/// Why a received hook is not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The id has a dot, so that the signed text could be read in two ways.
    #[error("webhook-id is empty or has a dot in it")]
    Id,
    /// The timestamp is not a whole number of seconds.
    #[error("webhook-timestamp is not a number of seconds")]
    Timestamp,
    /// Signed longer ago than the tolerance: perhaps a replay.
    #[error("webhook-timestamp is too old: check the clock, or refuse the replay")]
    TooOld,
    /// Signed further in the future than the tolerance.
    #[error("webhook-timestamp is in the future: check the clock")]
    TooNew,
    /// No signature fits the secret, the id, the timestamp and the body as received.
    #[error("no signature fits: check the secret, and verify the body as received, before parsing it")]
    Signature,
}

impl Secret {
    /// Makes a new secret of 32 bytes from a source of randomness that fills what it is given.
    #[must_use]
    pub fn generate(entropy: &dyn Fn(&mut [u8])) -> Self {
        let mut bytes = vec![0; NEW_SECRET_BYTES];
        entropy(&mut bytes);
        Self::from_checked(bytes)
    }

    /// Reads the text form: `whsec_` and 24 to 64 bytes in base64.
    ///
    /// # Errors
    /// [`SecretError`] says which part of the form is missing.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let base64 = text.strip_prefix(PREFIX).ok_or(SecretError::Prefix)?;
        // The decoder's error quotes the offending byte, and a secret shows nowhere.
        let bytes = STANDARD.decode(base64).ok().ok_or(SecretError::Base64)?;
        Self::from_bytes(bytes)
    }

    /// Takes the bytes of a secret, as [`bytes`](Self::bytes) gave them.
    ///
    /// # Errors
    /// [`SecretError::Length`] unless they are 24 to 64.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, SecretError> {
        match bytes.len() {
            24..=64 => Ok(Self::from_checked(bytes)),
            other => Err(SecretError::Length(other)),
        }
    }

    fn from_checked(bytes: Vec<u8>) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        Self { bytes, key }
    }

    /// Gives the bytes, to be stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the text form, to be shown to the endpoint's owner once and kept sealed otherwise.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.bytes))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Signs one attempt: the value of `webhook-signature`, a `v1,…` for each secret in force, newest first as given.
///
/// `id` is the message id and has no dot, `timestamp_s` the time of this attempt in Unix seconds, `body` what is sent.
#[must_use]
pub fn sign(secrets: &[Secret], id: &str, timestamp_s: i64, body: &[u8]) -> String {
    let timestamp = timestamp_s.to_string();
    let mut header = String::with_capacity(secrets.len().saturating_mul(48));
    for secret in secrets {
        let mut context = hmac::Context::with_key(&secret.key);
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            context.update(part);
        }
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str(VERSION);
        header.push(',');
        STANDARD.encode_string(context.sign(), &mut header);
    }
    header
}

/// Checks a received hook: that one of its signatures was made with `secret` over exactly this id, timestamp and body,
/// at most `tolerance_s` seconds from `now_s` (Unix seconds). The standard's tolerance is 300.
///
/// # Errors
/// [`VerifyError`] says what does not fit. The answer to the sender should not.
pub fn verify(
    secret: &Secret,
    id: &str,
    timestamp_header: &str,
    signature_header: &str,
    body: &[u8],
    now_s: i64,
    tolerance_s: u64,
) -> Result<(), VerifyError> {
    if id.is_empty() || id.contains('.') {
        return Err(VerifyError::Id);
    }
    check_age(timestamp_header, now_s, tolerance_s)?;
    let signed = [id.as_bytes(), b".", timestamp_header.as_bytes(), b".", body].concat();
    let fits = |tag: Vec<u8>| hmac::verify(&secret.key, &signed, &tag).is_ok();
    if tags(signature_header).any(fits) { Ok(()) } else { Err(VerifyError::Signature) }
}

fn check_age(timestamp_header: &str, now_s: i64, tolerance_s: u64) -> Result<(), VerifyError> {
    // Parsing alone would also take `+5`, another text for the same second.
    if !timestamp_header.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(VerifyError::Timestamp);
    }
    let timestamp_s: i64 = timestamp_header.parse().ok().ok_or(VerifyError::Timestamp)?;
    match now_s.abs_diff(timestamp_s) {
        apart if apart <= tolerance_s => Ok(()),
        _ if timestamp_s < now_s => Err(VerifyError::TooOld),
        _ => Err(VerifyError::TooNew),
    }
}

/// The symmetric signatures of a header, decoded; other versions and what is not base64 are passed over.
fn tags(signature_header: &str) -> impl Iterator<Item = Vec<u8>> {
    let signatures = signature_header.split(' ').filter_map(|item| item.split_once(','));
    let symmetric = signatures.filter(|(version, _)| *version == VERSION).take(SIGNATURES_READ);
    symmetric.filter_map(|(_, base64)| STANDARD.decode(base64).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use standardwebhooks::Webhook;

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT_S: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn secret(fill: u8) -> Secret {
        Secret::generate(&|bytes| bytes.fill(fill))
    }

    /// W23: the vector that the standard's own libraries are tested with.
    #[test]
    fn w23_the_standards_vector_comes_out_to_the_byte() {
        let secret = Secret::parse(SECRET).unwrap();
        assert_eq!(sign(std::slice::from_ref(&secret), ID, AT_S, BODY), SIGNATURE);
        assert_eq!(verify(&secret, ID, "1614265330", SIGNATURE, BODY, AT_S, 300), Ok(()));
    }

    /// T52: whatever was touched, nothing fits any more.
    #[test]
    fn t52_a_touched_message_is_refused() {
        let secret_in_force = Secret::parse(SECRET).unwrap();
        let check = |id, at, signature, body| verify(&secret_in_force, id, at, signature, body, AT_S, 300);
        assert_eq!(check("msg_other", "1614265330", SIGNATURE, BODY), Err(VerifyError::Signature));
        assert_eq!(check(ID, "1614265331", SIGNATURE, BODY), Err(VerifyError::Signature));
        assert_eq!(check(ID, "1614265330", SIGNATURE, br#"{"test":2432232314}"#), Err(VerifyError::Signature));
        for forged in ["", "v1", "v1,", "v1,AAAA", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", &SIGNATURE[..46]]
        {
            assert_eq!(check(ID, "1614265330", forged, BODY), Err(VerifyError::Signature), "{forged}");
        }
        assert!(verify(&secret(1), ID, "1614265330", SIGNATURE, BODY, AT_S, 300).is_err());
    }

    /// T52: 300 s are the tolerance, 301 s are not.
    #[test]
    fn t52_a_signature_lives_as_long_as_the_tolerance() {
        let secret = Secret::parse(SECRET).unwrap();
        let check = |now_s| verify(&secret, ID, "1614265330", SIGNATURE, BODY, now_s, 300);
        assert_eq!(check(AT_S + 300), Ok(()));
        assert_eq!(check(AT_S - 300), Ok(()));
        assert_eq!(check(AT_S + 301), Err(VerifyError::TooOld));
        assert_eq!(check(AT_S - 301), Err(VerifyError::TooNew));
        assert_eq!(check(i64::MIN), Err(VerifyError::TooNew));
    }

    #[test]
    fn a_timestamp_is_digits_only() {
        let secret = Secret::parse(SECRET).unwrap();
        for odd in ["", "+1614265330", "-1", " 1614265330", "1614265330.0", "99999999999999999999"] {
            let refused = verify(&secret, ID, odd, SIGNATURE, BODY, AT_S, 300);
            assert_eq!(refused, Err(VerifyError::Timestamp), "{odd}");
        }
    }

    /// `a.5` at 7 and `a` at 5 with the body `7.…` would be the same signed text.
    #[test]
    fn an_id_with_a_dot_is_refused() {
        let signature = sign(&[secret(1)], "a.5", 7, b"x");
        assert_eq!(signature, sign(&[secret(1)], "a", 5, b"7.x"));
        assert_eq!(verify(&secret(1), "a.5", "7", &signature, b"x", 7, 300), Err(VerifyError::Id));
    }

    /// T53, E64: in the overlap both the old and the new secret open the message; afterwards only the new one does.
    #[test]
    fn t53_each_secret_in_force_verifies_and_no_other() {
        let (old, new) = (secret(1), secret(2));
        let overlap = sign(&[new.clone(), old.clone()], ID, AT_S, BODY);
        let check = |secret: &Secret, header: &str| verify(secret, ID, "1614265330", header, BODY, AT_S, 300);
        assert_eq!((check(&old, &overlap), check(&new, &overlap)), (Ok(()), Ok(())));
        assert_eq!(check(&old, &sign(std::slice::from_ref(&new), ID, AT_S, BODY)), Err(VerifyError::Signature));
    }

    #[test]
    fn a_secret_comes_back_from_its_text_and_shows_nowhere_else() {
        let text = secret(7).reveal();
        assert_eq!(Secret::parse(&text).unwrap().reveal(), text);
        assert_eq!(format!("{:?}", secret(7)), "Secret(hidden)");
    }

    #[test]
    fn a_text_that_is_no_secret_is_refused() {
        let refused = |text: &str| Secret::parse(text).unwrap_err();
        assert_eq!(refused("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), SecretError::Prefix);
        assert_eq!(refused("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2La-_Sw"), SecretError::Base64);
        assert_eq!(refused("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLQ=="), SecretError::Length(22));
        assert_eq!(refused(&format!("whsec_{}", STANDARD.encode([0; 65]))), SecretError::Length(65));
    }

    proptest! {
        /// An independent implementation of the standard signs the same, whatever the message.
        #[test]
        fn signatures_are_those_of_the_standards_library(fill: u8, id in "[a-zA-Z0-9_]{1,40}", at_s: i64, body in "\\PC{0,200}") {
            let oracle = Webhook::new(&secret(fill).reveal()).unwrap();
            let theirs = oracle.sign(&id, at_s, body.as_bytes()).unwrap();
            prop_assert_eq!(sign(&[secret(fill)], &id, at_s, body.as_bytes()), theirs);
        }

        /// What we sign we verify, and one flipped bit of the body is noticed.
        #[test]
        fn one_flipped_bit_is_noticed(body in proptest::collection::vec(any::<u8>(), 1..200), at: prop::sample::Index, bit in 0..8u32) {
            let signature = sign(&[secret(3)], ID, AT_S, &body);
            prop_assert!(verify(&secret(3), ID, "1614265330", &signature, &body, AT_S, 300).is_ok());
            let mut touched = body.clone();
            touched[at.index(body.len())] ^= 1 << bit;
            prop_assert!(verify(&secret(3), ID, "1614265330", &signature, &touched, AT_S, 300).is_err());
        }
    }
}
