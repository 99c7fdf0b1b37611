//! The bytes that are hashed, version 1. A change of form is a new version, never an edit.
//!
//! ```text
//! hash(n) = SHA-256( text "tessera.audit.1" | hash(n - 1) | i64 tenant | i64 seq | i64 at
//!                  | text actor_kind | text actor_id | text action | text object_kind | text object_id
//!                  | 0, or 1 and 16 bytes of subject | text outcome | text detail )
//! ```
//! A text is its length in bytes, four of them big-endian, then UTF-8. An i64 is eight bytes, big-endian, two's
//! complement; `at` is microseconds since 1970. A hash is 32 bytes as they are; that of the row before the first is 32
//! zeros. So no two rows share their bytes, whatever their fields hold, and a row is bound to its place, its tenant and
//! all rows before it.

use chrono::{DateTime, SubsecRound as _, Utc};
use ring::digest::{Context, SHA256};
use uuid::Uuid;

use super::model::Entry;

/// The version that is written.
pub const FORM: i16 = 1;
const TAG: &str = "tessera.audit.1";

/// A SHA-256 hash of the chain.
pub type Hash = [u8; 32];

/// The hash before the first row.
pub const GENESIS: Hash = [0; 32];

/// Where a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// Whose.
    pub tenant: i64,
    /// The last seq; zero before the first.
    pub seq: i64,
    /// Its hash.
    pub hash: Hash,
}

impl Last {
    /// A chain with nothing in it.
    #[must_use]
    pub const fn none(tenant: i64) -> Self {
        Self { tenant, seq: 0, hash: GENESIS }
    }
}

/// A row as it stands in the table, whoever wrote it there.
#[derive(Debug, Clone, PartialEq, Eq, diesel::Queryable, diesel::Selectable, diesel::Insertable)]
#[diesel(table_name = super::store::audit_entry, check_for_backend(diesel::pg::Pg))]
pub struct Row {
    /// Whose log.
    pub tenant: i64,
    /// Its place.
    pub seq: i64,
    /// The version of its bytes.
    pub form: i16,
    /// When.
    pub at: DateTime<Utc>,
    /// What sort of actor.
    pub actor_kind: String,
    /// Which.
    pub actor_id: String,
    /// What was done.
    pub action: String,
    /// To what sort of thing.
    pub object_kind: String,
    /// Which.
    pub object_id: String,
    /// The person it is about.
    pub subject: Option<Uuid>,
    /// How it went.
    pub outcome: String,
    /// A JSON object.
    pub detail: String,
    /// What chains it.
    pub hash: Vec<u8>,
}

impl Row {
    /// The row that an entry is, after the last one.
    #[must_use]
    pub fn after(last: &Last, entry: &Entry, now: DateTime<Utc>) -> Self {
        let mut row = Self {
            tenant: entry.tenant,
            seq: last.seq.saturating_add(1),
            form: FORM,
            at: now.trunc_subsecs(6), // as the table keeps it
            actor_kind: entry.actor.kind().word().to_owned(),
            actor_id: entry.actor.id(),
            action: entry.action.word().to_owned(),
            object_kind: entry.object.kind().to_owned(),
            object_id: entry.object.id(),
            subject: entry.subject,
            outcome: entry.outcome.word().to_owned(),
            detail: entry.detail.to_text(),
            hash: Vec::new(),
        };
        row.hash = row.hash_v1(&last.hash).to_vec();
        row
    }

    /// The hash it should have after the row with this one; none where its form is not known here.
    #[must_use]
    pub fn hash_after(&self, previous: &Hash) -> Option<Hash> {
        (self.form == FORM).then(|| self.hash_v1(previous))
    }

    fn hash_v1(&self, previous: &Hash) -> Hash {
        let mut out = Context::new(&SHA256);
        text(&mut out, TAG);
        out.update(previous);
        for number in [self.tenant, self.seq, self.at.timestamp_micros()] {
            out.update(&number.to_be_bytes());
        }
        let words = [&self.actor_kind, &self.actor_id, &self.action, &self.object_kind, &self.object_id];
        words.into_iter().for_each(|word| text(&mut out, word));
        out.update(&[u8::from(self.subject.is_some())]);
        out.update(self.subject.as_ref().map_or(&[], |subject| &subject.as_bytes()[..]));
        text(&mut out, &self.outcome);
        text(&mut out, &self.detail);
        // SHA-256 is 32 bytes by definition.
        Hash::try_from(out.finish().as_ref()).unwrap_or(GENESIS)
    }
}

fn text(out: &mut Context, text: &str) {
    // The table's checks hold texts far below 2^32 bytes; one that is longer was not written by us, and its hash is then another.
    out.update(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.update(text.as_bytes());
}
