//! What a leaf commits to.
//!
//! ```text
//! leaf     = header (public) ‖ how many parts ‖ root over the parts
//! parts    = body, metadata, then for each leg in order: debit side, credit side
//! part     = leaf hash of (salt ‖ its bytes)
//! salt     = HMAC-SHA-256(secret of the version, fork ‖ seq ‖ leg ‖ which side)
//! ```
//! A part is a commitment: it binds, and without its salt tells nothing, so a receipt can open one side of one leg and
//! leave the others closed (JOURNAL 27). Each salt is told with the side it opens; from it follows neither the secret nor
//! any other salt. All bytes begin with a name and version and have their lengths before them, so that no two things
//! share a form; the parts' root is that of a tree of its own. Golden vectors fix it, put together by another program.

use std::borrow::Cow;

use uuid::Uuid;

use super::keys::Salt;
use super::{Hash, leaf_hash, tree};
use crate::JournalId;
use crate::canonical::{Reader, Writer};

const LEAF: &[u8] = b"tessera.leaf.1";
const SIDE: &[u8] = b"tessera.side.1";
const BODY: &[u8] = b"tessera.body.1";
const META: &[u8] = b"tessera.meta.1";
const SALT: &[u8] = b"tessera.salt.1";

/// What anyone who holds a receipt may see of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whose books.
    pub journal: JournalId,
    /// The line of history it was written on.
    pub fork: Uuid,
    /// Its place.
    pub seq: i64,
    /// What sort of record.
    pub kind: i32,
    /// The transaction's or the account's public id.
    pub id: Uuid,
    /// When it was decided, microseconds since 1970.
    pub recorded_us: i64,
    /// When it counts.
    pub effective_us: i64,
    /// The version of the secret that salts its parts.
    pub salt: i32,
    /// The version of the rules it was decided by.
    pub rules: i32,
}

impl Header {
    pub(super) fn write(&self, out: &mut Writer) {
        out.i64(self.journal.0).uuid(self.fork).i64(self.seq).i32(self.kind).uuid(self.id);
        out.i64(self.recorded_us).i64(self.effective_us).i32(self.salt).i32(self.rules);
    }

    pub(super) fn read(bytes: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            journal: JournalId(bytes.i64()?),
            fork: bytes.uuid()?,
            seq: bytes.i64()?,
            kind: bytes.i32()?,
            id: bytes.uuid()?,
            recorded_us: bytes.i64()?,
            effective_us: bytes.i64()?,
            salt: bytes.i32()?,
            rules: bytes.i32()?,
        })
    }
}

/// A leaf of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// What is public.
    pub header: Header,
    /// How many parts there are.
    pub parts: i32,
    /// The root over them.
    pub root: Hash,
}

impl Leaf {
    /// Its hash in the log.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut out = Writer::default();
        out.bytes(LEAF);
        self.header.write(&mut out);
        out.i32(self.parts).raw(&self.root.0);
        leaf_hash(&[&out.into_bytes()])
    }
}

/// Which side of a leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideOf {
    /// The account that value left.
    Debit,
    /// The account that value reached.
    Credit,
}

impl SideOf {
    const fn code(self) -> u8 {
        match self {
            Self::Debit => 1,
            Self::Credit => 2,
        }
    }
}

/// The codes of the parts that are no sides.
const BODY_CODE: u8 = 3;
const META_CODE: u8 = 4;
/// Parts before the first side.
const BEFORE_SIDES: i32 = 2;
/// The place of the metadata among the parts.
pub(super) const META_PLACE: u64 = 1;

/// The bytes that are committed to of a record's metadata.
pub(super) fn meta_bytes(meta: &[u8]) -> Vec<u8> {
    let mut out = Writer::default();
    out.bytes(META).bytes(meta);
    out.into_bytes()
}

/// One side of one leg: what a receipt opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideFacts<'a> {
    /// The leg's number in the record.
    pub leg: i32,
    /// Which side.
    pub side: SideOf,
    /// What sort of row, as [`RowKind`](crate::RowKind) numbers them.
    pub kind: i32,
    /// How much, in the asset's minor unit.
    pub amount: i64,
    /// Of what.
    pub asset: Cow<'a, str>,
    /// How many decimals the minor unit stands for.
    pub scale: i32,
    /// Whose: the account's public id.
    pub account: Uuid,
    /// The account's balance after it.
    pub balance: i64,
    /// Held after it.
    pub held: i64,
    /// The account's version after it.
    pub version: i64,
}

impl SideFacts<'_> {
    /// The bytes that are committed to.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.bytes(SIDE).i32(self.leg).u8(self.side.code()).i32(self.kind).i64(self.amount);
        out.bytes(self.asset.as_bytes()).i32(self.scale).uuid(self.account);
        out.i64(self.balance).i64(self.held).i64(self.version);
        out.into_bytes()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<SideFacts<'static>> {
        let mut bytes = Reader::new(bytes);
        if bytes.bytes()? != SIDE {
            return None;
        }
        let facts = SideFacts {
            leg: bytes.i32()?,
            side: match bytes.u8()? {
                1 => SideOf::Debit,
                2 => SideOf::Credit,
                _ => return None,
            },
            kind: bytes.i32()?,
            amount: bytes.i64()?,
            asset: Cow::Owned(String::from_utf8(bytes.bytes()?.to_vec()).ok()?),
            scale: bytes.i32()?,
            account: bytes.uuid()?,
            balance: bytes.i64()?,
            held: bytes.i64()?,
            version: bytes.i64()?,
        };
        bytes.is_empty().then_some(facts)
    }
}

/// Makes the parts of one record, one after another.
#[derive(Debug)]
pub struct Parts<'a> {
    salt: &'a Salt,
    /// The salt's name, as far as it is the same for the whole record.
    fork: Uuid,
    seq: i64,
    hashes: Vec<Hash>,
}

impl<'a> Parts<'a> {
    /// The parts of the record at `seq` on this line of history, of which these are the first two.
    #[must_use]
    pub fn new(salt: &'a Salt, fork: Uuid, seq: i64, body: &[u8], meta: &[u8]) -> Self {
        let mut parts = Self { salt, fork, seq, hashes: Vec::with_capacity(6) };
        for (tag, code, bytes) in [(BODY, BODY_CODE, body), (META, META_CODE, meta)] {
            let mut out = Writer::default();
            out.bytes(tag).bytes(bytes);
            let salt = parts.salt_of(0, code);
            parts.hashes.push(commitment(&salt, &out.into_bytes()));
        }
        parts
    }

    /// Adds a side; the debit side of each leg first.
    pub fn side(&mut self, facts: &SideFacts<'_>) {
        let salt = self.salt_of(facts.leg, facts.side.code());
        self.hashes.push(commitment(&salt, &facts.to_bytes()));
    }

    /// The leaf they make.
    #[must_use]
    pub fn leaf(&self, header: Header) -> Leaf {
        // A record has at most some thousands of legs.
        let parts = i32::try_from(self.hashes.len()).unwrap_or(i32::MAX);
        Leaf { header, parts, root: tree::root_of(&self.hashes) }
    }

    /// What opens the side that was added as number `place` of all sides: its place, its salt and its path among the parts.
    #[must_use]
    pub fn opening(&self, place: i32, facts: &SideFacts<'_>) -> (i32, [u8; 32], Vec<Hash>) {
        let place = place.saturating_add(BEFORE_SIDES);
        let path = tree::inclusion_of(u64::try_from(place).unwrap_or(u64::MAX), &self.hashes);
        (place, self.salt_of(facts.leg, facts.side.code()), path)
    }

    /// What opens the metadata: its salt and its path among the parts.
    #[must_use]
    pub fn meta_opening(&self) -> ([u8; 32], Vec<Hash>) {
        (self.salt_of(0, META_CODE), tree::inclusion_of(META_PLACE, &self.hashes))
    }

    fn salt_of(&self, leg: i32, code: u8) -> [u8; 32] {
        let mut out = Writer::default();
        out.bytes(SALT).uuid(self.fork).i64(self.seq).i32(leg).u8(code);
        self.salt.of(&out.into_bytes())
    }
}

/// A part of a leaf: what it commits to, and nothing told of it.
#[must_use]
pub fn commitment(salt: &[u8; 32], bytes: &[u8]) -> Hash {
    leaf_hash(&[salt, bytes])
}

#[cfg(test)]
pub(super) mod tests;
