//! Canonical bytes: the one byte form of a record, which each batch's digest is made of. What a leaf of the Merkle log
//! commits to is another form, [`crate::proof::leaf`], since it must open in parts.
//!
//! A pure function, the same for ever: integers big-endian, texts and lists with their length first, so that no two
//! records share a form whatever their fields hold. Golden vectors beside the tests fix it. The version stands in the first field;
//! a change of form is a new version, never an edit.

mod read;

use uuid::Uuid;

pub(crate) use read::{Names, Unread, read_record};

use crate::{Asset, AssetId, JournalId, Key, Posted, Record, Side};

/// The form's name and version.
const TAG: &[u8] = b"tessera.record.1";

/// Where a record stands: part of what is hashed, so that a record cannot be moved to other books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Whose books.
    pub journal: JournalId,
    /// Which line of history of those books (JOURNAL 29).
    pub fork: Uuid,
}

/// The canonical bytes of a record: header, body, metadata, then each transfer with both its sides.
///
/// `asset` tells code and scale of an asset of this journal; an unknown one is written as empty, which no real one is.
pub fn canonical_bytes<'a>(place: Place, record: &Record, asset: impl Fn(AssetId) -> Option<&'a Asset>) -> Vec<u8> {
    let mut out = Writer::default();
    out.bytes(TAG).i64(place.journal.0).uuid(place.fork).i64(record.seq).i32(record.body.kind());
    out.uuid(record.id).i64(record.recorded_us).i64(record.effective_us);
    out.bytes(&record.body.to_bytes()).bytes(&record.meta);
    out.list(record.body.transfers(), |out, posted| write_posted(out, posted, asset(posted.amount.asset)));
    out.into_bytes()
}

/// The canonical bytes of an idempotency key: hashed after the record it leads to.
#[must_use]
pub fn key_bytes(key: &Key) -> Vec<u8> {
    let mut out = Writer::default();
    out.i64(key.scope.0).uuid(key.key).uuid(key.fingerprint);
    out.into_bytes()
}

fn write_posted(out: &mut Writer, posted: &Posted, asset: Option<&Asset>) {
    let (code, scale) = asset.map_or(("", 0), |asset| (asset.code.as_str(), asset.scale));
    out.i32(posted.leg).i32(posted.kind.code()).i64(posted.amount.minor).bytes(code.as_bytes()).i32(i32::from(scale));
    write_side(out, &posted.debit);
    write_side(out, &posted.credit);
}

fn write_side(out: &mut Writer, side: &Side) {
    out.uuid(side.public_id).i64(side.balance).i64(side.held).i64(side.version);
}

/// Writes fields one after another.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    pub(crate) fn i32(&mut self, value: i32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn i64(&mut self, value: i64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn uuid(&mut self, value: Uuid) -> &mut Self {
        self.raw(value.as_bytes())
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.count(value.len()).raw(value)
    }

    pub(crate) fn option<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(crate) fn list<T>(&mut self, values: &[T], write: impl Fn(&mut Self, &T)) {
        self.count(values.len());
        for value in values {
            write(self, value);
        }
    }

    // Sizes are bounded far below 2^32 before anything is queued, so the cap is never met.
    fn count(&mut self, count: usize) -> &mut Self {
        self.raw(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes())
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads fields one after another; none as soon as the bytes end early.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Zero or one; any other byte is not ours.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(crate) fn uuid(&mut self) -> Option<Uuid> {
        self.array().map(Uuid::from_bytes)
    }

    pub(crate) fn digest(&mut self) -> Option<[u8; 32]> {
        self.array()
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.count()?;
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    /// The outer option says whether the bytes were whole, the inner whether the field was there.
    #[expect(clippy::option_option, reason = "the two nones mean two things, and both callers need both")]
    pub(crate) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }

    pub(crate) fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.count()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn count(&mut self) -> Option<usize> {
        self.array().map(u32::from_be_bytes).and_then(|count| usize::try_from(count).ok())
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
