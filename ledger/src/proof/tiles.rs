//! The tree in tiles of 256 hashes: how the log is kept, and how it grows.
//!
//! An entry of a tile of level 0 is a leaf; one of level n is the root of a whole tile of level n − 1. A tile is written
//! in [`Strip`]s as it grows, never rewritten, so that rows are only ever added. [`Edge`] is what growing needs of all
//! that was: the tiles that are not whole yet, at most eight. A proof needs one tile per level or two.

use super::tree::{self, Node};
use super::{EMPTY, Hash};

/// Entries of a tile: eight levels of the tree.
pub const WIDTH: usize = 256;
/// Levels of the tree in a tile.
const HEIGHT: u32 = 8;

/// Entries that a tile got at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strip {
    /// Which level of tiles.
    pub level: u32,
    /// Which tile of that level.
    pub tile: u64,
    /// Its first entry's place in the tile.
    pub start: usize,
    /// Its entries.
    pub hashes: Vec<Hash>,
}

/// The tiles that are not whole yet, by level.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of a tree of `size` leaves whose open tiles have these entries, level by level.
    ///
    /// None if they do not have as many entries as such a tree's.
    #[must_use]
    pub fn of(size: u64, levels: Vec<Vec<Hash>>) -> Option<Self> {
        let fits = (0..).zip(&levels).all(|(level, entries)| entries.len() == open_entries(size, level));
        (fits && levels.len() >= levels_of(size)).then_some(Self { size, levels })
    }

    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf; `strips` takes what is to be kept of it, strips that follow each other in one.
    pub fn push(&mut self, leaf: Hash, strips: &mut Vec<Strip>) {
        let leaf_index = self.size;
        self.size = self.size.saturating_add(1);
        let (mut entry, mut level) = (leaf, 0_u32);
        for tile in &mut self.levels {
            keep(strips, level, leaf_index, entry);
            tile.push(entry);
            if tile.len() < WIDTH {
                return;
            }
            entry = tree::root_of(tile);
            tile.clear();
            level += 1;
        }
        keep(strips, level, leaf_index, entry);
        self.levels.push(vec![entry]);
    }

    /// The root over all leaves so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        // From the right: what the open tile of each level adds stands left of what the levels below it came to.
        let mut root = None;
        for tile in &self.levels {
            let mut peaks = Vec::new();
            let mut rest = tile.as_slice();
            while !rest.is_empty() {
                let (peak, after) = rest.split_at(1 << rest.len().ilog2());
                peaks.push(tree::root_of(peak));
                rest = after;
            }
            for peak in peaks.iter().rev() {
                root = Some(root.map_or(*peak, |right| super::node_hash(peak, &right)));
            }
        }
        root.unwrap_or(EMPTY)
    }
}

/// Where a complete subtree's hash is to be found: a tile, and the entries of it that lie under the subtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lies {
    /// Which level of tiles.
    pub level: u32,
    /// Which tile of that level.
    pub tile: u64,
    /// The first of the entries.
    pub first: usize,
    /// How many they are.
    pub count: usize,
}

impl Lies {
    /// Where the hash of `node` is.
    #[must_use]
    pub fn of(node: Node) -> Self {
        let (level, rest) = (node.level / HEIGHT, node.level % HEIGHT);
        let entry = node.index << rest;
        let first = usize::try_from(entry % 256).unwrap_or(0);
        Self { level, tile: entry >> HEIGHT, first, count: 1 << rest }
    }

    /// The subtree's hash, given the tile's entries; none if the tile has too few.
    #[must_use]
    pub fn hash(&self, entries: &[Hash]) -> Option<Hash> {
        Some(tree::root_of(entries.get(self.first..self.first.checked_add(self.count)?)?))
    }
}

/// How many levels of tiles a tree of `size` leaves has.
#[must_use]
pub fn levels_of(size: u64) -> usize {
    let entries = |level: usize| size.checked_shr(u32::try_from(level).unwrap_or(u32::MAX).saturating_mul(HEIGHT));
    (0..).take_while(|level| entries(*level).is_some_and(|entries| entries > 0)).count()
}

/// How many entries the open tile of a level has.
#[must_use]
pub fn open_entries(size: u64, level: u32) -> usize {
    let entries = size.checked_shr(level.saturating_mul(HEIGHT)).unwrap_or(0);
    usize::try_from(entries % 256).unwrap_or(0)
}

/// Which tile of a level is open.
#[must_use]
pub fn open_tile(size: u64, level: u32) -> u64 {
    size.checked_shr(level.saturating_add(1).saturating_mul(HEIGHT)).unwrap_or(0)
}

/// Keeps the entry that a leaf brought to a level, in the level's last strip if it goes on there.
fn keep(strips: &mut Vec<Strip>, level: u32, leaf_index: u64, hash: Hash) {
    let (tile, start) = (open_tile(leaf_index, level), open_entries(leaf_index, level));
    let last = strips.iter_mut().rev().take(HEIGHT.try_into().unwrap_or(8)).find(|strip| strip.level == level);
    match last {
        Some(strip) if strip.tile == tile && strip.start.saturating_add(strip.hashes.len()) == start => {
            strip.hashes.push(hash);
        }
        _ => strips.push(Strip { level, tile, start, hashes: vec![hash] }),
    }
}

#[cfg(test)]
mod tests;
