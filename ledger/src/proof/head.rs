//! Signed heads: what the log was, at a size, said so that it cannot be taken back.
//!
//! A head is signed by one key. The one that rotates keys is signed by both, the old and the next, over the same bytes, which
//! name the next: whoever trusts the old key may trust the next from there on ([`trust`]).

use uuid::Uuid;

use super::keys::{KeyId, PublicKey, Ring};
use super::{Hash, ProofError};
use crate::JournalId;
use crate::canonical::{Reader, Writer};

/// The form's name and version. A change of form is a new version, never an edit.
const TAG: &[u8] = b"tessera.head.1";
/// What it is called in a refusal.
const HEAD: &str = "signed head";
/// Longer than any head is.
pub const MAX_HEAD: usize = 512;

/// What the log of a journal was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Whose books.
    pub journal: JournalId,
    /// The line of history that was written then.
    pub fork: Uuid,
    /// How many leaves: the last sealed seq.
    pub size: i64,
    /// The root over them.
    pub root: Hash,
    /// When the last of them was recorded, microseconds since 1970.
    pub recorded_us: i64,
    /// When this was signed, microseconds since 1970.
    pub signed_us: i64,
    /// The version of the secret that salted the last leaf.
    pub salt: i32,
    /// Who signs.
    pub key: KeyId,
    /// Who signs from here on, where the keys are rotated.
    pub next: Option<PublicKey>,
}

impl Head {
    /// The bytes that are signed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.bytes(TAG).i64(self.journal.0).uuid(self.fork).i64(self.size).raw(&self.root.0);
        out.i64(self.recorded_us).i64(self.signed_us).i32(self.salt).raw(&self.key.0);
        out.option(self.next.as_ref(), |out, next| _ = out.raw(&next.0));
        out.into_bytes()
    }

    fn read(bytes: &mut Reader<'_>) -> Option<Self> {
        if bytes.bytes()? != TAG {
            return None;
        }
        Some(Self {
            journal: JournalId(bytes.i64()?),
            fork: bytes.uuid()?,
            size: bytes.i64()?,
            root: Hash(bytes.digest()?),
            recorded_us: bytes.i64()?,
            signed_us: bytes.i64()?,
            salt: bytes.i32()?,
            key: KeyId(bytes.array()?),
            next: bytes.option(|bytes| bytes.digest().map(PublicKey))?,
        })
    }

    /// The key that signs what comes after this head.
    #[must_use]
    pub fn signs_on(&self) -> KeyId {
        self.next.map_or(self.key, |next| next.id())
    }
}

/// A head with what makes it count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedHead {
    /// What was.
    pub head: Head,
    /// By its key.
    pub signature: [u8; 64],
    /// By the next key too, where there is one.
    pub next_signature: Option<[u8; 64]>,
}

impl SignedHead {
    /// Signs a head with the ring's current key, and where the journal's last head says that another signs, with that one
    /// too: this head then rotates. `head.key` and `head.next` are set here.
    ///
    /// None when the ring lacks the key that has to sign it over.
    #[must_use]
    pub fn sign(ring: &Ring, last: Option<KeyId>, mut head: Head) -> Option<Self> {
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
        let key = keys.iter().find(|key| key.id() == self.head.key);
        let bytes = self.head.to_bytes();
        key.ok_or(ProofError::UnknownKey(self.head.key))?.verify(&bytes, &self.signature)?;
        match (&self.head.next, &self.next_signature) {
            (None, None) => Ok(()),
            (Some(next), Some(signature)) => next.verify(&bytes, signature),
            (Some(next), None) => Err(ProofError::Signature(next.id())),
            (None, Some(_)) => Err(ProofError::Form(HEAD)),
        }
    }

    /// Head and signatures as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.bytes(&self.head.to_bytes()).raw(&self.signature);
        out.option(self.next_signature.as_ref(), |out, signature| _ = out.raw(signature));
        out.into_bytes()
    }

    /// Reads them back.
    ///
    /// # Errors
    /// [`ProofError::Form`], [`ProofError::Oversized`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > MAX_HEAD {
            return Err(ProofError::Oversized(HEAD));
        }
        Self::read(bytes).ok_or(ProofError::Form(HEAD))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Reader::new(bytes);
        let mut inner = Reader::new(bytes.bytes()?);
        let head = Head::read(&mut inner).filter(|_| inner.is_empty())?;
        let signed = Self { head, signature: bytes.array()?, next_signature: bytes.option(Reader::array)? };
        bytes.is_empty().then_some(signed)
    }
}

/// The keys that may be trusted by who trusts `keys`: each head of `rotations` that one of them signed adds the next.
///
/// # Errors
/// [`ProofError`], when a rotation is not what it should be: it is then better to trust none.
pub fn trust(keys: &[PublicKey], rotations: &[SignedHead]) -> Result<Vec<PublicKey>, ProofError> {
    let mut trusted = keys.to_vec();
    for rotation in rotations {
        rotation.check(&trusted)?;
        trusted.extend(rotation.head.next.filter(|next| !trusted.contains(next)));
    }
    Ok(trusted)
}

#[cfg(test)]
pub(super) mod tests;
