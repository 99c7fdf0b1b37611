//! The form of a journal's export: what its lines say beside the records, for whoever writes and whoever reads it.
//!
//! First the books, then their assets, then the records in order, after the last of each commit a line for the commit,
//! and at the end a line that says so. A record tells itself twice: in JSON for people and other programs, and in
//! canonical bytes, which are exact. `sha256` is over all bytes since the commit before, so that neither of the two can be
//! changed without the other noticing.

use std::borrow::Cow;

use ledger::{Key, Scope};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The version of the form.
pub(super) const FORMAT: u32 = 2;
/// Those of before, which have no commits and no canonical bytes.
pub(super) const FORMATS: std::ops::RangeInclusive<u32> = 1..=FORMAT;

/// Which books these are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BooksLine<'a> {
    pub(super) format: u32,
    pub(super) tenant: Cow<'a, str>,
    pub(super) fork: Uuid,
    pub(super) from: i64,
    pub(super) head: i64,
    /// What the tenant's row says.
    pub(super) number: i64,
    pub(super) name: Cow<'a, str>,
    pub(super) sandbox: bool,
    pub(super) zone: Cow<'a, str>,
    pub(super) locale: Cow<'a, str>,
    /// Lines of history that ended.
    pub(super) former: Vec<FormerLine>,
    /// The version of the rules of the first commit.
    pub(super) rules: i32,
}

/// A line of history that ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct FormerLine {
    pub(super) fork: Uuid,
    pub(super) seq: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AssetLine<'a> {
    pub(super) code: Cow<'a, str>,
    pub(super) scale: i16,
    pub(super) number: i32,
}

/// What a record's line says of it that is exact.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ExactPart<'a> {
    pub(super) seq: i64,
    /// Base64.
    pub(super) canonical: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<KeyPart>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) companions: Vec<CompanionPart<'a>>,
}

/// The key that leads to a record.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct KeyPart {
    pub(super) scope: i64,
    pub(super) key: Uuid,
    pub(super) fingerprint: Uuid,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CompanionPart<'a> {
    pub(super) kind: i32,
    pub(super) key: Uuid,
    /// Base64.
    pub(super) body: Cow<'a, str>,
}

/// A commit ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BatchLine {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) rules: i32,
    pub(super) recorded_us: i64,
    /// Hexadecimal.
    pub(super) digest: String,
    /// Over the lines since the commit before, hexadecimal.
    pub(super) sha256: String,
}

/// The export ends.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct EndLine {
    pub(super) records: i64,
    pub(super) seq: i64,
}

impl From<Key> for KeyPart {
    fn from(Key { scope, key, fingerprint }: Key) -> Self {
        Self { scope: scope.0, key, fingerprint }
    }
}

impl From<KeyPart> for Key {
    fn from(KeyPart { scope, key, fingerprint }: KeyPart) -> Self {
        Self { scope: Scope(scope), key, fingerprint }
    }
}

/// A line under its type.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Frame<'a> {
    /// The books.
    #[serde(borrow)]
    Journal(BooksLine<'a>),
    /// An asset.
    #[serde(borrow)]
    Asset(AssetLine<'a>),
    /// A commit.
    Batch(BatchLine),
    /// The end.
    End(EndLine),
}

/// Only what sort of line it is.
#[derive(Debug, Deserialize)]
pub(super) struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// None when it is not hexadecimal.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |place: usize| {
        let pair = text.get(place..place.checked_add(2)?)?;
        u8::from_str_radix(pair, 16).ok()
    };
    text.len().is_multiple_of(2).then(|| (0..text.len()).step_by(2).map(pair).collect())?
}
