//! The two hashes of RFC 6962: a leaf can never pass for a node.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;
use ring::digest::{Context, SHA256};

/// A SHA-256 hash of the log. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

/// The root of a log without leaves: the hash of nothing.
pub const EMPTY: Hash = Hash([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

const LEAF: u8 = 0;
const NODE: u8 = 1;

/// The hash of a leaf: SHA-256 over `0x00` and its bytes, given in pieces.
#[must_use]
pub fn leaf_hash(pieces: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[LEAF]);
    pieces.iter().for_each(|piece| context.update(piece));
    finish(context)
}

/// The hash of a node: SHA-256 over `0x01` and both its children.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [NODE; 65];
    let (_, children) = bytes.split_at_mut(1);
    for (to, from) in children.iter_mut().zip(left.0.iter().chain(&right.0)) {
        *to = *from;
    }
    let mut context = Context::new(&SHA256);
    context.update(&bytes);
    finish(context)
}

/// The plain hash, for what is not of the tree.
pub(super) fn plain_hash(pieces: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    pieces.iter().for_each(|piece| context.update(piece));
    finish(context)
}

fn finish(context: Context) -> Hash {
    // SHA-256 is 32 bytes by definition; were it not, no hash would ever match.
    Hash(<[u8; 32]>::try_from(context.finish().as_ref()).unwrap_or_default())
}

impl Hash {
    /// The hash of these bytes, if they are as many as a hash has.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        <[u8; 32]>::try_from(bytes).ok().map(Self)
    }

    /// The hash that these hexadecimal digits write.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        Self::from_slice(&HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
