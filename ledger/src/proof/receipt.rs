//! Receipts: what a customer takes along, and checks wherever they like.
//!
//! A receipt holds a leaf's public header, the sides of it that are the customer's own, opened, the way from the leaf to a
//! root, and that root signed. [`Receipt::check`] needs a public key and nothing else. It opens no other side, neither the
//! body nor the metadata. What it does not say: that the balance is still the same today, and whose account it is.

use super::head::{MAX_HEAD, SignedHead};
use super::keys::PublicKey;
use super::leaf::{self, Header, Leaf, SideFacts};
use super::tree::{MAX_PATH, verify_inclusion};
use super::{Hash, ProofError};
use crate::canonical::{Reader, Writer};

const TAG: &[u8] = b"tessera.receipt.1";
/// What it is called in a refusal.
const RECEIPT: &str = "receipt";
/// Longer than any receipt is: a side takes less than 1 kB, and a transaction has at most a thousand legs.
pub const MAX_RECEIPT: usize = 2 << 20;

/// A side, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its place among the record's parts.
    pub place: i32,
    /// Its salt.
    pub salt: [u8; 32],
    /// What it says.
    pub side: SideFacts<'static>,
    /// The way from it to the parts' root.
    pub path: Vec<Hash>,
}

/// A proof that one record is in the log, and of what it says of some of its sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The record's leaf.
    pub leaf: Leaf,
    /// The sides it opens.
    pub opened: Vec<Opened>,
    /// The way from the leaf to the head's root.
    pub path: Vec<Hash>,
    /// The head.
    pub head: SignedHead,
}

/// What a receipt proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven<'a> {
    /// The record.
    pub header: &'a Header,
    /// What it says of these sides.
    pub sides: Vec<&'a SideFacts<'static>>,
    /// Under which head.
    pub head: &'a SignedHead,
}

impl Receipt {
    /// Checks everything: signature, way to the root, each opened side.
    ///
    /// # Errors
    /// The first thing that does not hold. Nothing of the receipt is to be believed then.
    pub fn check(&self, keys: &[PublicKey]) -> Result<Proven<'_>, ProofError> {
        let (header, head) = (&self.leaf.header, &self.head.head);
        self.head.check(keys)?;
        if header.journal != head.journal {
            return Err(ProofError::OtherJournal);
        }
        let index = header.seq.checked_sub(1).and_then(|index| u64::try_from(index).ok());
        let size = u64::try_from(head.size).map_err(|_negative| ProofError::NotIncluded)?;
        verify_inclusion(index.ok_or(ProofError::NotIncluded)?, size, &self.leaf.hash(), &self.path, &head.root)?;
        self.opened.iter().try_for_each(|opened| self.check_opened(opened))?;
        Ok(Proven { header, sides: self.opened.iter().map(|opened| &opened.side).collect(), head: &self.head })
    }

    fn check_opened(&self, opened: &Opened) -> Result<(), ProofError> {
        let place = u64::try_from(opened.place).map_err(|_negative| ProofError::Side)?;
        let parts = u64::try_from(self.leaf.parts).map_err(|_negative| ProofError::Side)?;
        let part = leaf::commitment(&opened.salt, &opened.side.to_bytes());
        verify_inclusion(place, parts, &part, &opened.path, &self.leaf.root).map_err(|_elsewhere| ProofError::Side)
    }

    /// The receipt as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.bytes(TAG);
        self.leaf.header.write(&mut out);
        out.i32(self.leaf.parts).raw(&self.leaf.root.0);
        out.list(&self.opened, |out, opened| {
            out.i32(opened.place).raw(&opened.salt).bytes(&opened.side.to_bytes());
            write_path(out, &opened.path);
        });
        write_path(&mut out, &self.path);
        out.bytes(&self.head.to_bytes());
        out.into_bytes()
    }

    /// Reads a receipt. That it reads proves nothing: [`check`](Self::check) does.
    ///
    /// # Errors
    /// [`ProofError::Form`], [`ProofError::Oversized`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        if bytes.len() > MAX_RECEIPT {
            return Err(ProofError::Oversized(RECEIPT));
        }
        Self::read(bytes).ok_or(ProofError::Form(RECEIPT))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Reader::new(bytes);
        if bytes.bytes()? != TAG {
            return None;
        }
        let leaf = Leaf { header: Header::read(&mut bytes)?, parts: bytes.i32()?, root: Hash(bytes.digest()?) };
        let opened = bytes.list(|bytes| {
            Some(Opened {
                place: bytes.i32()?,
                salt: bytes.digest()?,
                side: SideFacts::read(bytes.bytes()?)?,
                path: read_path(bytes)?,
            })
        })?;
        let path = read_path(&mut bytes)?;
        let head = bytes.bytes().filter(|head| head.len() <= MAX_HEAD)?;
        let receipt = Self { leaf, opened, path, head: SignedHead::from_bytes(head).ok()? };
        bytes.is_empty().then_some(receipt)
    }
}

fn write_path(out: &mut Writer, path: &[Hash]) {
    out.list(path, |out, hash| _ = out.raw(&hash.0));
}

fn read_path(bytes: &mut Reader<'_>) -> Option<Vec<Hash>> {
    let path = bytes.list(|bytes| bytes.digest().map(Hash))?;
    (path.len() <= MAX_PATH).then_some(path)
}

#[cfg(test)]
mod tests;
