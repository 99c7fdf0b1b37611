//! What the log is asked: heads, paths, receipts, and whether it still holds a head that was once published.

use diesel::PgConnection;
use uuid::Uuid;

use super::derive::Deriver;
use super::store;
use crate::JournalId;
use crate::apply::Map;
use crate::forks::{Comparison, Lines};
use crate::proof::receipt::Opened;
use crate::proof::tiles::Lies;
use crate::proof::tree::{self, Node};
use crate::proof::{Hash, OpenedMeta, Receipt, Ring, Salts, SignedHead};
use crate::store::StoreError;

/// Leaves derived at a time.
const PAGE: i64 = 4_096;

/// That a record is in the log under a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inclusion {
    /// The record's leaf.
    pub leaf: Hash,
    /// The way to the root.
    pub path: Vec<Hash>,
    /// The head.
    pub head: SignedHead,
}

/// The first head that covers a seq, which is the same for ever; none while the seq is not sealed.
///
/// # Errors
/// [`StoreError`].
pub fn covering_head(conn: &mut PgConnection, journal: JournalId, seq: i64) -> Result<Option<SignedHead>, StoreError> {
    Ok(store::heads_after(conn, journal, seq.saturating_sub(1), 1)?.into_iter().next())
}

/// The head of this very size, if one was signed.
///
/// # Errors
/// [`StoreError`].
pub fn head_at(conn: &mut PgConnection, journal: JournalId, size: i64) -> Result<Option<SignedHead>, StoreError> {
    Ok(covering_head(conn, journal, size)?.filter(|signed| signed.head.size == size))
}

/// That the record of `seq` (at least 1) is in the log under `head`, which covers it.
///
/// # Errors
/// [`StoreError`].
pub fn inclusion(conn: &mut PgConnection, seq: i64, head: SignedHead) -> Result<Inclusion, StoreError> {
    let mut tiles = Tiles::of(head.head.journal);
    let index = number(seq.saturating_sub(1));
    let leaf = tiles.node(conn, Node { level: 0, index })?;
    let path = tree::inclusion(index, number(head.head.size), &mut |node| tiles.node(conn, node))?;
    Ok(Inclusion { leaf, path, head })
}

/// The way from the log of `from` leaves (at least one) to that of `to` (at least `from`, all of them sealed).
///
/// # Errors
/// [`StoreError`].
pub fn consistency(conn: &mut PgConnection, journal: JournalId, from: i64, to: i64) -> Result<Vec<Hash>, StoreError> {
    let mut tiles = Tiles::of(journal);
    tree::consistency(number(from), number(to), &mut |node| tiles.node(conn, node))
}

/// A receipt of the record of `seq` under `head`, which covers it, with the sides of these accounts opened. None when this
/// node lacks the secret that salted the leaf.
///
/// # Errors
/// [`StoreError::Corrupt`] when the rows are not those that were sealed: a receipt of them would prove nothing.
pub fn receipt(
    conn: &mut PgConnection,
    salts: &Salts,
    seq: i64,
    accounts: &[Uuid],
    head: SignedHead,
) -> Result<Option<Receipt>, StoreError> {
    Ok(receipt_with_meta(conn, salts, seq, accounts, head)?.map(|(receipt, _)| receipt))
}

/// The same, and the record's metadata opened.
///
/// # Errors
/// As [`receipt`].
pub fn receipt_with_meta(
    conn: &mut PgConnection,
    salts: &Salts,
    seq: i64,
    accounts: &[Uuid],
    head: SignedHead,
) -> Result<Option<(Receipt, OpenedMeta)>, StoreError> {
    let journal = head.head.journal;
    let version = store::salt_of(conn, journal, seq)?;
    let Some(salt) = version.and_then(|version| salts.of(version)) else { return Ok(None) };
    let fork = crate::read::head(conn, journal)?.ok_or(diesel::result::Error::NotFound)?.fork;
    let made = Deriver::new(conn, journal, fork)?.made(conn, seq, salt)?;
    let Inclusion { leaf, path, head } = inclusion(conn, seq, head)?;
    if made.leaf.hash() != leaf {
        return Err(StoreError::Corrupt { journal: journal.0, seq, what: "its rows are not those that were sealed" });
    }
    let opened = (0..).zip(made.sides).filter(|(_, side)| accounts.contains(&side.account)).map(|(place, side)| {
        let (place, salt, path) = made.parts.opening(place, &side);
        Opened { place, salt, side, path }
    });
    let receipt = Receipt { leaf: made.leaf, opened: opened.collect(), path, head };
    let (salt, path) = made.parts.meta_opening();
    Ok(Some((receipt, OpenedMeta { meta: made.meta, salt, path })))
}

/// Says what the books have of a head that was once published: whether their log, as far as it is sealed and from there
/// on as it follows from the rows, still begins with it. `ring` is needed only for what is not sealed.
///
/// # Errors
/// [`StoreError`].
pub fn compare(conn: &mut PgConnection, ring: Option<&Ring>, known: &SignedHead) -> Result<Comparison, StoreError> {
    let known = &known.head;
    let Some(head) = crate::read::head(conn, known.journal)? else {
        return Ok(Comparison::Lost { first: 1, last: known.size });
    };
    let lines = Lines::read(conn, known.journal, head.fork)?;
    let end = match lines.end_of(known.fork) {
        _ if known.fork == head.fork => head.seq,
        // A loss beyond the end of a former line was found, and accepted, when that line ended.
        Some(end) if known.size > end => return Ok(Comparison::Whole),
        Some(end) => end,
        None => return Ok(Comparison::UnknownLine),
    };
    if known.size > end {
        return Ok(Comparison::Lost { first: end.saturating_add(1), last: known.size });
    }
    let root = root_at(conn, ring, known.journal, head.fork, known.size)?;
    Ok(if root == Some(known.root) { Comparison::Whole } else { Comparison::Differs })
}

/// The root over the first `size` records: of the log where it is sealed so far, else of the rows. None when that takes a secret
/// that is not here.
fn root_at(
    conn: &mut PgConnection,
    ring: Option<&Ring>,
    journal: JournalId,
    fork: Uuid,
    size: i64,
) -> Result<Option<Hash>, StoreError> {
    let sealed = crate::follow::ahead(conn, super::FOLLOWER, journal)?.map_or(0, |span| span.from);
    if sealed >= size {
        let mut tiles = Tiles::of(journal);
        return tree::root(number(size), &mut |node| tiles.node(conn, node)).map(Some);
    }
    let Some(salt) = ring.and_then(|ring| ring.salts.newest()) else { return Ok(None) };
    let mut edge = store::edge(conn, journal, number(sealed))?;
    let (mut deriver, mut at, mut strips) = (Deriver::new(conn, journal, fork)?, sealed, Vec::new());
    while at < size {
        let upto = size.min(at.saturating_add(PAGE));
        for leaf in deriver.leaves(conn, at.saturating_add(1), upto, salt)? {
            edge.push(leaf.hash(), &mut strips);
        }
        strips.clear();
        at = upto;
    }
    Ok(Some(edge.root()))
}

fn number(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(0)
}

/// Tiles of one journal, each read once.
pub(crate) struct Tiles {
    journal: JournalId,
    read: Map<(u32, u64), Vec<Hash>>,
}

impl Tiles {
    pub(crate) fn of(journal: JournalId) -> Self {
        Self { journal, read: Map::default() }
    }

    /// The hash of a complete subtree.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is not there.
    pub(crate) fn node(&mut self, conn: &mut PgConnection, node: Node) -> Result<Hash, StoreError> {
        let lies = Lies::of(node);
        let entries = match self.read.entry((lies.level, lies.tile)) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(store::tile(conn, self.journal, lies.level, lies.tile)?)
            }
        };
        let seq = i64::try_from(node.index << node.level).unwrap_or(i64::MAX).saturating_add(1);
        let missing = StoreError::Corrupt { journal: self.journal.0, seq, what: "hashes of the log are missing" };
        lies.hash(entries).ok_or(missing)
    }
}
