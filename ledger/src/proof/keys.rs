//! Keys: who signs heads (Ed25519), and the secrets that salt commitments. As values; where they lie is others' business.
//!
//! A key's id is a hash of it, so that an id cannot be given to another key. Keys are never removed from a [`Ring`]
//! while a head or a leaf names them: a former signer is needed once more, to sign over to the next, and a former salt
//! to open what was committed with it.

use std::collections::BTreeMap;
use std::fmt;

use ring::hmac;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::ProofError;
use super::hash::{Hash, plain_hash};

/// What names a key: the first eight bytes of a hash of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    fn of(kind: &str, key: &[u8]) -> Self {
        let Hash(hash) = plain_hash(&[kind.as_bytes(), key]);
        Self(hash.first_chunk::<8>().copied().unwrap_or_default())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The key that signatures are verified with: 32 bytes of Ed25519, nobody's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// What names it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::of("tessera.key.1", &self.0)
    }

    /// Whether `signature` is this key's over `bytes`.
    ///
    /// # Errors
    /// [`ProofError::Signature`].
    pub fn verify(&self, bytes: &[u8], signature: &[u8; 64]) -> Result<(), ProofError> {
        let verified = UnparsedPublicKey::new(&ED25519, &self.0).verify(bytes, signature);
        verified.map_err(|_wrong| ProofError::Signature(self.id()))
    }
}

/// A key that signs.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Signer {
    /// The key of this secret seed.
    ///
    /// None when it is no seed of Ed25519, which every 32 bytes are.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let public = PublicKey(<[u8; 32]>::try_from(pair.public_key().as_ref()).ok()?);
        Some(Self { pair, public })
    }

    /// Its public half.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Its signature over `bytes`.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        // An Ed25519 signature is 64 bytes; were it not, none would ever verify.
        <[u8; 64]>::try_from(self.pair.sign(bytes).as_ref()).unwrap_or([0; 64])
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public.id())
    }
}

/// A secret that salts commitments.
#[derive(Clone)]
pub struct Salt {
    version: i32,
    id: KeyId,
    key: hmac::Key,
}

impl Salt {
    /// The salt of a record's side or other part, as `leaf` spells it.
    #[must_use]
    pub(super) fn of(&self, name: &[u8]) -> [u8; 32] {
        // HMAC-SHA-256 is 32 bytes by definition.
        <[u8; 32]>::try_from(hmac::sign(&self.key, name).as_ref()).unwrap_or_default()
    }

    /// Its version, from 1.
    #[must_use]
    pub const fn version(&self) -> i32 {
        self.version
    }

    /// What tells it from another secret of the same version, and tells nothing else of it.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Salt({}, {})", self.version, self.id)
    }
}

/// The secrets that salted commitments so far, by version.
#[derive(Debug, Clone, Default)]
pub struct Salts(BTreeMap<i32, Salt>);

impl Salts {
    /// Adds a secret under its version.
    pub fn add(&mut self, version: i32, secret: &[u8; 32]) {
        let (id, key) = (KeyId::of("tessera.salt-secret.1", secret), hmac::Key::new(hmac::HMAC_SHA256, secret));
        self.0.insert(version, Salt { version, id, key });
    }

    /// The one of this version.
    #[must_use]
    pub fn of(&self, version: i32) -> Option<&Salt> {
        self.0.get(&version)
    }

    /// The one in use: the newest.
    #[must_use]
    pub fn newest(&self) -> Option<&Salt> {
        self.0.last_key_value().map(|(_, salt)| salt)
    }

    /// All, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Salt> {
        self.0.values()
    }
}

/// Everything that sealing needs: who signed so far and who does now, and what salts.
#[derive(Debug)]
pub struct Ring {
    former: Vec<Signer>,
    current: Signer,
    /// What salts.
    pub salts: Salts,
}

impl Ring {
    /// A ring of signers, oldest first.
    ///
    /// None without a signer, or without a salt.
    #[must_use]
    pub fn new(mut signers: Vec<Signer>, salts: Salts) -> Option<Self> {
        let current = signers.pop()?;
        salts.newest()?;
        Some(Self { former: signers, current, salts })
    }

    /// Who signs now.
    #[must_use]
    pub const fn current(&self) -> &Signer {
        &self.current
    }

    /// The signer of this name.
    #[must_use]
    pub fn signer(&self, id: KeyId) -> Option<&Signer> {
        self.former.iter().chain([&self.current]).find(|signer| signer.public.id() == id)
    }

    /// Every public key, oldest first.
    pub fn public_keys(&self) -> impl Iterator<Item = PublicKey> {
        self.former.iter().chain([&self.current]).map(Signer::public)
    }
}
