//! Sealing: a follower of committed rows that adds each to the journal's Merkle log and signs heads of it.
//!
//! Promise: leaves follow the contiguous committed prefix in seq order, each once; a head of a size is signed once, whoever
//! seals. It holds because hashes, cursor and head are one transaction, and the cursor moves by compare-and-set under the
//! leading epoch (JOURNAL 31): of two sealers, one finds it moved and rolls back. Killed anywhere, the next turn goes on
//! from what was committed. It takes the rows of batches just committed here from memory and reads all others, in pages; it
//! keeps the tree's edge, some kilobytes for each journal.
//!
//! Not here: when it runs and where heads are published (wallet-api), what a leaf is ([`crate::proof`]).

mod derive;
mod fresh;
mod prove;
pub(crate) mod store;

use diesel::{Connection, PgConnection};
use uuid::Uuid;

pub(crate) use derive::Deriver;
pub(crate) use fresh::Batch;
pub use fresh::Fresh;
pub use prove::{Inclusion, compare, consistency, covering_head, head_at, inclusion, receipt, receipt_with_meta};
pub use store::{bytes_of_log, last_head, public_keys, rotations};

use store::rows::{self, Written};

use crate::JournalId;
use crate::apply::Map;
use crate::follow::{self, Span};
use crate::proof::tiles::Edge;
use crate::proof::{Head, KeyId, Ring, SignedHead};
use crate::store::StoreError;

/// The sealer's name among the followers.
pub const FOLLOWER: &str = "proof";
/// Records read at a time: some megabytes at most.
const PAGE: i64 = 8_192;
/// Journals whose log is kept in memory.
const REMEMBERED: usize = 256;
/// A head is due this long after the last one, if there is anything new.
const HEAD_EVERY_US: i64 = 450_000;
/// Or after this many leaves.
const HEAD_LEAVES: i64 = 1 << 16;

/// Why a journal could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// What the database says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another node has sealed on, or leads now.
    #[error("another node seals now")]
    Moved,
    /// The secret of this version is not the one that was used before.
    #[error(
        "this node's salt secret of version {0} is not the one the journal was sealed with: copy the proof folder of a node that sealed"
    )]
    OtherSecret(i32),
    /// The key that signed last is not on this node.
    #[error("this node lacks signing key {0}, which signed the last head: copy the proof folder of a node that sealed")]
    LacksKey(KeyId),
}

impl From<diesel::result::Error> for SealError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Leaves that were added.
    pub leaves: i64,
    /// Records committed and not in the log yet.
    pub behind: i64,
    /// The head that was signed.
    pub head: Option<SignedHead>,
    /// The seq of the head that every committed record is under, if they all are.
    pub whole: Option<i64>,
}

/// How far a journal's log is, as this process knows it.
struct State {
    fork: Uuid,
    edge: Edge,
    deriver: Deriver,
    /// When the last leaf's record was recorded, and the salt version it was made with.
    last_leaf: (i64, i32),
    /// The last head's size, when it was signed, and who signs on.
    last_head: Option<(i64, i64, KeyId)>,
}

/// Seals journals, each where it was left.
#[derive(Default)]
pub struct Sealer {
    logs: Map<JournalId, State>,
    fresh: Fresh,
}

impl Sealer {
    /// A sealer that is told what the writer of this process has just committed. By default it reads all of it.
    #[must_use]
    pub fn told(fresh: Fresh) -> Self {
        Self { logs: Map::default(), fresh }
    }

    /// Adds the next page of committed records to the log of a journal that this node leads under `epoch`, and signs a
    /// head when one is due at `now_us`, microseconds since 1970.
    ///
    /// # Errors
    /// [`SealError`]; nothing was sealed then.
    pub fn turn(
        &mut self,
        conn: &mut PgConnection,
        ring: &Ring,
        journal: JournalId,
        epoch: i64,
        now_us: i64,
    ) -> Result<Sealed, SealError> {
        let Some(ahead) = follow::ahead(conn, FOLLOWER, journal)? else { return Ok(Sealed::default()) };
        // Taken out, and put back only once what was done is committed.
        let state =
            self.logs.remove(&journal).filter(|state| state.fork == ahead.fork && size_of(&state.edge) == ahead.from);
        let mut state = match state {
            Some(state) => state,
            None => load(conn, ring, ahead)?,
        };
        let written = self.fresh.take(ahead, epoch, PAGE);
        let sealed = seal(conn, ring, &mut state, (ahead, written), epoch, now_us)?;
        if self.logs.len() >= REMEMBERED {
            self.logs.clear(); // whoever goes on is taken up again with a few probes
        }
        self.logs.insert(journal, state);
        Ok(sealed)
    }

    /// Forgets what it knows: a ring of other keys is used from here on.
    pub fn forget(&mut self) {
        self.logs.clear();
    }
}

fn size_of(edge: &Edge) -> i64 {
    i64::try_from(edge.size()).unwrap_or(i64::MAX)
}

/// Takes up a log where it was left.
fn load(conn: &mut PgConnection, ring: &Ring, ahead: Span) -> Result<State, SealError> {
    let Span { journal, fork, from, .. } = ahead;
    let keys: Vec<_> = ring.public_keys().collect();
    if let Some(other) = store::note_keys(conn, journal, &keys, &ring.salts)?.first() {
        return Err(SealError::OtherSecret(*other));
    }
    let recorded_us = rows::records(conn, journal, from, from)?.first().map_or(0, |record| record.recorded_us);
    let salt = store::salt_of(conn, journal, from)?.unwrap_or_default();
    Ok(State {
        fork,
        edge: store::edge(conn, journal, u64::try_from(from).unwrap_or(0))?,
        deriver: Deriver::new(conn, journal, fork)?,
        last_leaf: (recorded_us, salt),
        last_head: store::last_head(conn, journal)?
            .map(|last| (last.head.size, last.head.signed_us, last.head.signs_on())),
    })
}

fn seal(
    conn: &mut PgConnection,
    ring: &Ring,
    state: &mut State,
    (ahead, written): (Span, Option<Written>),
    epoch: i64,
    now_us: i64,
) -> Result<Sealed, SealError> {
    let span = match written.as_ref().and_then(|written| written.rules.last()) {
        Some((last, _)) => Span { upto: *last, ..ahead },
        None => ahead.first(PAGE),
    };
    let mut strips = Vec::new();
    if !span.is_empty() {
        // A ring has a salt: there is none without.
        let Some(salt) = ring.salts.newest() else { return Ok(Sealed::default()) };
        let seqs = span.from.saturating_add(1)..=span.upto;
        let leaves = match written {
            Some(written) => state.deriver.leaves_of(conn, seqs, written, salt)?,
            None => state.deriver.leaves(conn, *seqs.start(), *seqs.end(), salt)?,
        };
        leaves.iter().for_each(|leaf| state.edge.push(leaf.hash(), &mut strips));
        if let Some(last) = leaves.last() {
            state.last_leaf = (last.header.recorded_us, last.header.salt);
        }
    }
    let head = if head_is_due(state, span, now_us) { Some(sign(ring, state, span, now_us)?) } else { None };
    let behind = ahead.len().saturating_sub(span.len());
    let under = head.map(|head| head.head.size).or(state.last_head.map(|(size, _, _)| size)).unwrap_or(0);
    let sealed = Sealed { leaves: span.len(), behind, head, whole: (under == ahead.upto).then_some(under) };
    if span.is_empty() && head.is_none() {
        return Ok(sealed);
    }
    conn.transaction(|conn| {
        // First, so that of two sealers one waits here, and then finds it moved. An empty span is a fence too.
        if !follow::advance(conn, FOLLOWER, span, epoch)? {
            return Err(SealError::Moved);
        }
        if !strips.is_empty() {
            store::add_strips(conn, span.journal, &strips, state.last_leaf.1)?;
        }
        head.iter().try_for_each(|head| store::add_head(conn, head))?;
        Ok(())
    })?;
    if let Some(SignedHead { head, .. }) = head {
        state.last_head = Some((head.size, head.signed_us, head.signs_on()));
    }
    Ok(sealed)
}

fn head_is_due(state: &State, span: Span, now_us: i64) -> bool {
    let (size, signed_us) = state.last_head.map_or((0, 0), |(size, signed_us, _)| (size, signed_us));
    let waits = now_us.saturating_sub(signed_us) >= HEAD_EVERY_US || now_us < signed_us;
    span.upto > size && (waits || span.upto.saturating_sub(size) >= HEAD_LEAVES)
}

fn sign(ring: &Ring, state: &State, span: Span, now_us: i64) -> Result<SignedHead, SealError> {
    let last = state.last_head.map(|(_, _, key)| key);
    let (recorded_us, salt) = state.last_leaf;
    let head = Head {
        journal: span.journal,
        fork: span.fork,
        size: span.upto,
        root: state.edge.root(),
        recorded_us,
        signed_us: now_us,
        salt,
        key: KeyId([0; 8]),
        next: None,
    };
    SignedHead::sign(ring, last, head).ok_or_else(|| SealError::LacksKey(last.unwrap_or(KeyId([0; 8]))))
}
