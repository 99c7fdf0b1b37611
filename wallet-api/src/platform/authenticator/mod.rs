//! A WebAuthn authenticator in software, with the browser around it: for the demo, the benchmark and tests.
//!
//! **Not for production, and nothing of the server's side uses it**: its keys lie in memory, nobody touches it and nobody
//! is verified; it says so when it is told to. It makes what a real one makes, with `ring`: attestation objects (`none`),
//! assertions, and Secure Payment Confirmation's. [`Manners`] make it misbehave in one way at a time.
//! Not here: judging what it makes ([`super::webauthn`]).

mod manners;

#[cfg(test)]
mod tests;

use ciborium::Value;
use data_encoding::BASE64URL_NOPAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use ring::{digest, error};
use serde_json::json;

pub use manners::{Cut, Manners};

use super::ids::Ids;
use super::webauthn::{Algorithm, Assertion, Attestation, Flags, PaymentShown, PublicKey};

/// The model it says it is: none that is registered.
const AAGUID: [u8; 16] = *b"tessera-software";
/// Bytes of a credential's id.
const ID_LENGTH: usize = 32;

/// What a page asks the browser for.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The server's challenge.
    pub challenge: &'a [u8],
    /// The page's origin.
    pub origin: &'a str,
    /// The relying party id it names.
    pub rp_id: &'a str,
}

/// How a credential is made.
#[derive(Debug, Clone, Copy)]
pub struct Make {
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Whether it is synced to other devices, as most passkeys are.
    pub synced: bool,
    /// Whether it counts its signatures; synced ones do not.
    pub counts: bool,
}

impl Make {
    /// A key that never leaves its device and counts: a security key.
    pub const DEVICE: Self = Self { algorithm: Algorithm::Es256, synced: false, counts: true };
    /// A passkey in somebody's cloud.
    pub const SYNCED: Self = Self { algorithm: Algorithm::Es256, synced: true, counts: false };
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticatorError {
    /// `ring` refused to make a key or a signature: there is no randomness.
    #[error("no key or signature can be made")]
    NoRandomness,
    /// What was to be written cannot be.
    #[error("the answer cannot be written")]
    Unwritable,
}

impl From<error::Unspecified> for AuthenticatorError {
    fn from(_nothing_more: error::Unspecified) -> Self {
        Self::NoRandomness
    }
}

impl From<error::KeyRejected> for AuthenticatorError {
    fn from(_nothing_more: error::KeyRejected) -> Self {
        Self::NoRandomness
    }
}

/// One credential, and what makes its answers.
pub struct Authenticator {
    signer: Signer,
    make: Make,
    credential_id: Vec<u8>,
    user_handle: Vec<u8>,
    counter: u32,
}

enum Signer {
    Es256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Authenticator {
    /// Makes a credential for a user, and its registration.
    ///
    /// # Errors
    /// [`AuthenticatorError`].
    pub fn create(
        ids: &Ids,
        make: Make,
        ask: &Ask<'_>,
        user_handle: &[u8],
        manners: &Manners,
    ) -> Result<(Self, Attestation), AuthenticatorError> {
        let mut credential_id = vec![0; ID_LENGTH];
        ids.fill(&mut credential_id);
        let signer = Signer::generate(make.algorithm)?;
        let new = Self { signer, make, credential_id, user_handle: user_handle.to_vec(), counter: 0 };
        let attestation = new.attest(ask, manners)?;
        Ok((new, attestation))
    }

    /// Signs a challenge: `webauthn.get`.
    ///
    /// # Errors
    /// [`AuthenticatorError`].
    pub fn get(&mut self, ask: &Ask<'_>, manners: &Manners) -> Result<Assertion, AuthenticatorError> {
        self.assert("webauthn.get", ask, None, manners)
    }

    /// Shows a payment and signs it: `payment.get`.
    ///
    /// # Errors
    /// [`AuthenticatorError`].
    pub fn pay(
        &mut self,
        ask: &Ask<'_>,
        payment: &PaymentShown<'_>,
        manners: &Manners,
    ) -> Result<Assertion, AuthenticatorError> {
        self.assert("payment.get", ask, Some(payment), manners)
    }

    /// The credential's id.
    #[must_use]
    pub fn credential_id(&self) -> &[u8] {
        &self.credential_id
    }

    /// The credential's public key.
    ///
    /// # Errors
    /// [`AuthenticatorError::Unwritable`], which does not happen: a key pair has a public key of its kind's length.
    pub fn public_key(&self) -> Result<PublicKey, AuthenticatorError> {
        self.signer.public_key()
    }

    /// Sets the signature counter, as somebody does who copied the key.
    pub fn set_counter(&mut self, counter: u32) {
        self.counter = counter;
    }

    fn attest(&self, ask: &Ask<'_>, manners: &Manners) -> Result<Attestation, AuthenticatorError> {
        let length = u16::try_from(self.credential_id.len()).map_err(|_long| AuthenticatorError::Unwritable)?;
        let is_ours = !manners.public_key_of_another_kind;
        let key = if is_ours { self.public_key()?.to_cose() } else { RS256_KEY.to_vec() };
        let head = self.data(ask, Flags::ATTESTED, 0, manners);
        let data = [head.as_slice(), &AAGUID, &length.to_be_bytes(), &self.credential_id, &key].concat();
        let object = Value::Map(vec![
            ("fmt".into(), "none".into()),
            ("attStmt".into(), Value::Map(Vec::new())),
            ("authData".into(), Value::Bytes(manners.cut(Cut::AuthenticatorData, data))),
        ]);
        let mut attestation_object = Vec::new();
        ciborium::into_writer(&object, &mut attestation_object).map_err(|_write| AuthenticatorError::Unwritable)?;
        Ok(Attestation {
            credential_id: self.credential_id.clone(),
            client_data_json: manners.cut(Cut::ClientData, client_data("webauthn.create", ask, None, manners)),
            attestation_object,
        })
    }

    fn assert(
        &mut self,
        ceremony: &str,
        ask: &Ask<'_>,
        payment: Option<&PaymentShown<'_>>,
        manners: &Manners,
    ) -> Result<Assertion, AuthenticatorError> {
        if self.make.counts {
            self.counter = self.counter.saturating_add(1);
        }
        let client_data_json = client_data(ceremony, ask, payment, manners);
        let data = self.data(ask, 0, manners.counter.unwrap_or(self.counter), manners);
        let authenticator_data = manners.cut(Cut::AuthenticatorData, data);
        let hash = digest::digest(&digest::SHA256, &client_data_json);
        let message = [authenticator_data.as_slice(), hash.as_ref()].concat();
        let another = if manners.signs_with_another_key { Some(Signer::generate(self.make.algorithm)?) } else { None };
        let signature = another.as_ref().unwrap_or(&self.signer).sign(&message)?;
        Ok(Assertion {
            credential_id: self.credential_id.clone(),
            client_data_json: manners.cut(Cut::ClientData, client_data_json),
            authenticator_data,
            signature: manners.cut(Cut::Signature, signature),
            user_handle: Some(self.user_handle.clone()),
        })
    }

    /// Authenticator data up to the counter.
    fn data(&self, ask: &Ask<'_>, more: u8, counter: u32, manners: &Manners) -> Vec<u8> {
        let rp_id = manners.rp_id.as_deref().unwrap_or(ask.rp_id);
        let hash = digest::digest(&digest::SHA256, rp_id.as_bytes());
        let (eligible, backed_up) = manners.backup.unwrap_or((self.make.synced, self.make.synced));
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let flags = more
            | flag(!manners.user_absent, Flags::USER_PRESENT)
            | flag(!manners.user_unverified, Flags::USER_VERIFIED)
            | flag(eligible, Flags::BACKUP_ELIGIBLE)
            | flag(backed_up, Flags::BACKED_UP);
        [hash.as_ref(), &[flags], &counter.to_be_bytes()].concat()
    }
}

/// Client data as browsers serialise them (Level 3, §5.8.1.1), with what manners add.
fn client_data(ceremony: &str, ask: &Ask<'_>, payment: Option<&PaymentShown<'_>>, manners: &Manners) -> Vec<u8> {
    let challenge = manners.challenge.as_deref().unwrap_or(ask.challenge);
    let origin = manners.origin.as_deref().unwrap_or(ask.origin);
    let mut said = json!({
        "type": manners.ceremony.unwrap_or(ceremony),
        "challenge": BASE64URL_NOPAD.encode(challenge),
        "origin": origin,
        "crossOrigin": manners.cross_origin,
    });
    let mut add = |name: &str, value| {
        if let Some(members) = said.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    if let Some(top_origin) = &manners.top_origin {
        add("topOrigin", json!(top_origin));
    }
    if let Some(payment) = payment {
        let mut shown = json!({
            "rpId": ask.rp_id,
            "topOrigin": origin,
            "payeeName": payment.payee_name,
            "total": {"value": payment.value, "currency": payment.currency},
            "instrument": payment.instrument,
        });
        if let (Some(shown), Some(changed)) = (shown.as_object_mut(), &manners.payment) {
            shown.extend(changed.clone());
        }
        add("payment", shown);
    }
    said.to_string().into_bytes()
}

/// A COSE key of RSA (RS256) with a modulus of one byte: of a kind that we do not take.
const RS256_KEY: &[u8] = &[0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20, 0x41, 0x07, 0x21, 0x43, 0x01, 0x00, 0x01];

impl Signer {
    fn generate(algorithm: Algorithm) -> Result<Self, AuthenticatorError> {
        let random = SystemRandom::new();
        Ok(match algorithm {
            Algorithm::Es256 => {
                let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random)?;
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.as_ref(), &random)?;
                Self::Es256(Box::new(pair))
            }
            Algorithm::Ed25519 => {
                let key = Ed25519KeyPair::generate_pkcs8(&random)?;
                Self::Ed25519(Box::new(Ed25519KeyPair::from_pkcs8(key.as_ref())?))
            }
        })
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, AuthenticatorError> {
        Ok(match self {
            Self::Es256(key) => key.sign(&SystemRandom::new(), message)?.as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        })
    }

    fn public_key(&self) -> Result<PublicKey, AuthenticatorError> {
        let array = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).map_err(|_length| AuthenticatorError::Unwritable);
        match self {
            Self::Es256(key) => {
                // SEC 1's uncompressed point: 4, x, y.
                let point = key.public_key().as_ref().split_at_checked(1).map(|(_four, point)| point);
                let (x, y) =
                    point.and_then(|point| point.split_at_checked(32)).ok_or(AuthenticatorError::Unwritable)?;
                Ok(PublicKey::Es256 { x: array(x)?, y: array(y)? })
            }
            Self::Ed25519(key) => Ok(PublicKey::Ed25519(array(key.public_key().as_ref())?)),
        }
    }
}
