//! The device's own proof beside a passkey that may be on other devices too.

use serde::{Deserialize, Serialize};

use crate::identity::devices::DeviceKey;
use crate::platform::webauthn::{PublicKey, SignatureForm, b64url};

/// What comes before the payload's hash in what a device signs: so that it is no other proof of the same key.
const SIGNED_BEFORE_HASH: &[u8] = b"tessera device approval v1\0";

/// A device's signature over a payload, by its key that cannot leave it. That the key is bound to the payer, and not
/// revoked, is the caller's to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceProof {
    /// The device's public key, ES256, as a COSE key.
    #[serde(with = "b64url")]
    pub public_key: Vec<u8>,
    /// ECDSA with SHA-256 over [`device_message`], 64 bytes, as browsers' WebCrypto writes it.
    #[serde(with = "b64url")]
    pub signature: Vec<u8>,
}

/// What a device signs to approve the payload of this hash.
#[must_use]
pub fn device_message(hash: &[u8; 32]) -> Vec<u8> {
    [SIGNED_BEFORE_HASH, hash].concat()
}

impl DeviceProof {
    /// A signature by a device's key. None when the key is no point's form, which a bound key always is.
    #[must_use]
    pub fn of(key: &DeviceKey, signature: Vec<u8>) -> Option<Self> {
        let (x, y) = key.point().get(1..)?.split_at_checked(32)?;
        let (x, y) = (x.try_into().ok()?, y.try_into().ok()?);
        Some(Self { public_key: PublicKey::Es256 { x, y }.to_cose(), signature })
    }

    /// Whether the device approved the payload of this hash.
    #[must_use]
    pub fn proves(&self, hash: &[u8; 32]) -> bool {
        match PublicKey::from_cose(&self.public_key) {
            Ok(key @ PublicKey::Es256 { .. }) => {
                key.verifies(&device_message(hash), &self.signature, SignatureForm::Fixed)
            }
            Ok(PublicKey::Ed25519(_)) | Err(_) => false,
        }
    }
}
