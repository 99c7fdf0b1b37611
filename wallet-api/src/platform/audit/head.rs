//! Signed heads of the audit log: what a tenant's chain was at a seq, said so that it cannot be taken back.
//!
//! As with the journal's ([`ledger::proof::head`]), whose keys sign: a head that rotates keys is signed by both, over the same bytes, which
//! name the next. The bytes begin with a name of their own, so that no head of one log passes for one of the other:
//!
//! ```text
//! "tessera.audit-head.1" (20 bytes) | i64 tenant | i64 seq | 32 bytes hash | i64 signed at | 8 bytes key id
//!     | 0, or 1 and the 32 bytes of the next key
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ledger::proof::{KeyId, ProofError, PublicKey, Ring};
use serde::{Deserialize, Serialize};

use super::form::Hash;

/// The form's name and version.
const TAG: &[u8] = b"tessera.audit-head.1";

/// What a tenant's chain was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// Whose.
    pub tenant: i64,
    /// Its last seq.
    pub seq: i64,
    /// The hash of that row.
    pub hash: Hash,
    /// When this was signed, microseconds since 1970.
    pub signed_us: i64,
    /// Who signs.
    pub key: KeyId,
    /// Who signs from here on, where the keys are rotated.
    pub next: Option<PublicKey>,
}

impl AuditHead {
    /// The bytes that are signed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = TAG.to_vec();
        out.extend(self.tenant.to_be_bytes());
        out.extend(self.seq.to_be_bytes());
        out.extend(self.hash);
        out.extend(self.signed_us.to_be_bytes());
        out.extend(self.key.0);
        out.push(u8::from(self.next.is_some()));
        out.extend(self.next.iter().flat_map(|next| next.0));
        out
    }

    /// The key that signs what comes after this head.
    #[must_use]
    pub fn signs_on(&self) -> KeyId {
        self.next.map_or(self.key, |next| next.id())
    }
}

/// A head with what makes it count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedAuditHead {
    /// What was.
    pub head: AuditHead,
    /// By its key.
    pub signature: [u8; 64],
    /// By the next key too, where there is one.
    pub next_signature: Option<[u8; 64]>,
}

impl SignedAuditHead {
    /// Signs a head with the ring's current key, and where the chain's last head says that another signs, with that one
    /// too. `head.key` and `head.next` are set here.
    ///
    /// None when the ring lacks the key that has to sign it over.
    #[must_use]
    pub fn sign(ring: &Ring, last: Option<KeyId>, mut head: AuditHead) -> Option<Self> {
        let current = ring.current();
        let signer = last.map_or(Some(current), |last| ring.signer(last))?;
        let rotates = signer.public() != current.public();
        (head.key, head.next) = (signer.public().id(), rotates.then(|| current.public()));
        let bytes = head.to_bytes();
        Some(Self { head, signature: signer.sign(&bytes), next_signature: rotates.then(|| current.sign(&bytes)) })
    }

    /// Whether one of these keys signed it, and the next key too where it names one.
    ///
    /// # Errors
    /// [`ProofError::UnknownKey`], [`ProofError::Signature`].
    pub fn check(&self, keys: &[PublicKey]) -> Result<(), ProofError> {
        let key = keys.iter().find(|key| key.id() == self.head.key).ok_or(ProofError::UnknownKey(self.head.key))?;
        let bytes = self.head.to_bytes();
        key.verify(&bytes, &self.signature)?;
        match (&self.head.next, &self.next_signature) {
            (None, None) => Ok(()),
            (Some(next), Some(signature)) => next.verify(&bytes, signature),
            (Some(next), None) => Err(ProofError::Signature(next.id())),
            (None, Some(_)) => Err(ProofError::Signature(self.head.key)),
        }
    }
}

/// A field of a published head that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit head's {0} does not read")]
pub struct AuditFormError(&'static str);

/// A signed head as JSON, as it is published. Nothing of this text is believed for itself: what is signed are the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditHeadForm {
    /// The tenant's number.
    pub tenant: i64,
    /// The last seq of its chain.
    pub audit_seq: i64,
    /// The hash of that row: 64 hexadecimal digits.
    pub hash: String,
    /// When this was signed.
    pub signed_at: DateTime<Utc>,
    /// Who signed: 16 hexadecimal digits.
    pub key: String,
    /// The key that signs from here on, in base64, where this head rotates them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_key: Option<String>,
    /// The signature, in base64.
    pub signature: String,
    /// The signature of the next key, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_signature: Option<String>,
}

impl From<&SignedAuditHead> for AuditHeadForm {
    fn from(SignedAuditHead { head, signature, next_signature }: &SignedAuditHead) -> Self {
        Self {
            tenant: head.tenant,
            audit_seq: head.seq,
            hash: HEXLOWER.encode(&head.hash),
            signed_at: DateTime::from_timestamp_micros(head.signed_us).unwrap_or_default(),
            key: head.key.to_string(),
            next_key: head.next.as_ref().map(|next| STANDARD.encode(next.0)),
            signature: STANDARD.encode(signature),
            next_signature: next_signature.as_ref().map(|signature| STANDARD.encode(signature)),
        }
    }
}

impl AuditHeadForm {
    /// The head that this text writes. Whether it is signed by anybody is yet to be checked.
    ///
    /// # Errors
    /// [`AuditFormError`] names the field.
    pub fn read(&self) -> Result<SignedAuditHead, AuditFormError> {
        let hex = |text: &str| HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let head = AuditHead {
            tenant: self.tenant,
            seq: self.audit_seq,
            hash: hex(&self.hash).and_then(|hash| hash.try_into().ok()).ok_or(AuditFormError("hash"))?,
            signed_us: self.signed_at.timestamp_micros(),
            key: KeyId(hex(&self.key).and_then(|key| key.try_into().ok()).ok_or(AuditFormError("key"))?),
            next: self.next_key.as_deref().map(|next| array(next, "next key")).transpose()?.map(PublicKey),
        };
        let next_signature =
            self.next_signature.as_deref().map(|signature| array(signature, "next signature")).transpose()?;
        Ok(SignedAuditHead { head, signature: array(&self.signature, "signature")?, next_signature })
    }
}

fn array<const N: usize>(text: &str, field: &'static str) -> Result<[u8; N], AuditFormError> {
    let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or(AuditFormError(field))
}
