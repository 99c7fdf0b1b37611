//! Public keys of credentials: ES256 (P-256) and Ed25519, as COSE keys (RFC 9052, RFC 9053).

use ciborium::Value;
use coset::iana::{self, EnumI64};
use coset::{AsCborValue, CoseKey, KeyType, Label, RegisteredLabelWithPrivate};
use ring::signature;

use super::fault::Fault;

/// What comes before the coordinates of an ES256 key: kty EC2, alg ES256, crv P-256, and the labels.
const ES256_BEFORE_X: &[u8] = &[0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
const ES256_BEFORE_Y: &[u8] = &[0x22, 0x58, 0x20];
/// The same of an Ed25519 key: kty OKP, alg EdDSA, crv Ed25519.
const ED25519_BEFORE_X: &[u8] = &[0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20];

/// The generator of P-256 (SEC 2, §2.4.2): a public key whose secret is 1.
const GENERATOR: ([u8; 32], [u8; 32]) = (
    [
        0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03,
        0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
    ],
    [
        0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce,
        0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
    ],
);
/// A signature of the right form (r = s = 1), so that looking at it takes the whole time.
pub(super) const DECOY_SIGNATURE: &[u8] = &[0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01];

/// The signature algorithms we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA with SHA-256 on P-256.
    Es256,
    /// Ed25519.
    Ed25519,
}

impl Algorithm {
    /// All, in the order we offer them.
    pub const ALL: [Self; 2] = [Self::Es256, Self::Ed25519];

    /// Its number in COSE's registry.
    #[must_use]
    pub const fn cose(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::Ed25519 => -8,
        }
    }
}

/// How an ECDSA signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureForm {
    /// ASN.1 DER, as authenticators write it.
    Der,
    /// The two numbers, 32 bytes each, as browsers' WebCrypto writes it.
    Fixed,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// P-256, by its coordinates.
    Es256 {
        /// Horizontal.
        x: [u8; 32],
        /// Vertical.
        y: [u8; 32],
    },
    /// Ed25519.
    Ed25519([u8; 32]),
}

impl PublicKey {
    /// The key that a COSE key is, all of the bytes.
    ///
    /// # Errors
    /// [`Fault::Malformed`], [`Fault::TooLong`]; [`Fault::Algorithm`] for a key of another kind.
    pub fn from_cose(bytes: &[u8]) -> Result<Self, Fault> {
        let (value, rest) = super::data::cbor(bytes)?;
        if rest.is_empty() { Self::from_value(value) } else { Err(Fault::Malformed) }
    }

    pub(super) fn from_value(value: Value) -> Result<Self, Fault> {
        let key = CoseKey::from_cbor_value(value).map_err(|_form| Fault::Malformed)?;
        let is = |kind, alg: Algorithm| {
            key.kty == KeyType::Assigned(kind)
                && matches!(&key.alg, Some(RegisteredLabelWithPrivate::Assigned(is)) if is.to_i64() == alg.cose())
        };
        if is(iana::KeyType::EC2, Algorithm::Es256) && curve(&key) == Some(iana::EllipticCurve::P_256.to_i64()) {
            let (x, y) = (coordinate(&key, iana::Ec2KeyParameter::X)?, coordinate(&key, iana::Ec2KeyParameter::Y)?);
            return Ok(Self::Es256 { x, y });
        }
        if is(iana::KeyType::OKP, Algorithm::Ed25519) && curve(&key) == Some(iana::EllipticCurve::Ed25519.to_i64()) {
            return Ok(Self::Ed25519(coordinate(&key, iana::OkpKeyParameter::X)?));
        }
        Err(Fault::Algorithm)
    }

    /// The key as a COSE key, in CTAP2's canonical form: one key, one text.
    #[must_use]
    pub fn to_cose(&self) -> Vec<u8> {
        match self {
            Self::Es256 { x, y } => [ES256_BEFORE_X, x, ES256_BEFORE_Y, y].concat(),
            Self::Ed25519(x) => [ED25519_BEFORE_X, x].concat(),
        }
    }

    /// Its algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Es256 { .. } => Algorithm::Es256,
            Self::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// Whether this key made this signature over the message. False for a key that is no point of its curve.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8], form: SignatureForm) -> bool {
        let verified = match (self, form) {
            (Self::Es256 { .. }, SignatureForm::Der) => {
                signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_ASN1, self.point())
                    .verify(message, signature)
            }
            (Self::Es256 { .. }, SignatureForm::Fixed) => {
                signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, self.point())
                    .verify(message, signature)
            }
            (Self::Ed25519(key), _) => {
                signature::UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature)
            }
        };
        verified.is_ok()
    }

    /// As `ring` reads it: the uncompressed point of SEC 1, or Ed25519's 32 bytes.
    fn point(&self) -> Vec<u8> {
        match self {
            Self::Es256 { x, y } => [&[0x04][..], x, y].concat(),
            Self::Ed25519(key) => key.to_vec(),
        }
    }

    pub(super) const fn decoy() -> Self {
        Self::Es256 { x: GENERATOR.0, y: GENERATOR.1 }
    }
}

fn curve(key: &CoseKey) -> Option<i64> {
    // The label of the curve is -1 in keys of both kinds.
    let value = parameter(key, iana::Ec2KeyParameter::Crv.to_i64())?;
    value.as_integer().and_then(|curve| i64::try_from(curve).ok())
}

fn coordinate(key: &CoseKey, label: impl EnumI64) -> Result<[u8; 32], Fault> {
    let bytes = parameter(key, label.to_i64()).and_then(Value::as_bytes).ok_or(Fault::Malformed)?;
    <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_length| Fault::Malformed)
}

fn parameter(key: &CoseKey, label: i64) -> Option<&Value> {
    key.params.iter().find_map(|(name, value)| (*name == Label::Int(label)).then_some(value))
}
