//! The Merkle tree of RFC 9162 §2.1: roots, inclusion and consistency paths, and how each is verified.
//!
//! Whoever makes a path has the hashes of complete subtrees ([`Node`]) and nothing else; whoever verifies one has the path.
//! The makers follow the recursive definitions of §2.1.1, 2.1.3.1 and 2.1.4.1, the verifiers the algorithms of §2.1.3.2
//! and 2.1.4.2 step by step, so that each checks the other. A tree has at most 2^63 leaves.

use super::{EMPTY, Hash, ProofError, node_hash};

/// A complete subtree: `index` counts the subtrees of 2^`level` leaves from the left; level 0 are the leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Its height.
    pub level: u32,
    /// Its place among those of its height.
    pub index: u64,
}

/// No path through fewer than 2^63 leaves is longer.
pub const MAX_PATH: usize = 64;

/// The root over the first `size` leaves.
///
/// # Errors
/// What `node` says.
pub fn root<E>(size: u64, node: &mut impl FnMut(Node) -> Result<Hash, E>) -> Result<Hash, E> {
    if size == 0 { Ok(EMPTY) } else { range(0, size, node) }
}

/// The root over these leaves, given by their hashes.
#[must_use]
pub fn root_of(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => EMPTY,
        [one] => *one,
        [left, right] => node_hash(left, right),
        _ => {
            let (left, right) = leaves.split_at(leaves.len().div_ceil(2).next_power_of_two());
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// The inclusion path of leaf `index` (below `size`) in the tree of `size` leaves, from the leaf up.
///
/// # Errors
/// What `node` says.
pub fn inclusion<E>(index: u64, size: u64, node: &mut impl FnMut(Node) -> Result<Hash, E>) -> Result<Vec<Hash>, E> {
    let mut path = Vec::new();
    inclusion_in(index, 0, size, node, &mut path)?;
    Ok(path)
}

/// The consistency path from the tree of `from` leaves (at least one) to that of `to` (at least `from`).
///
/// # Errors
/// What `node` says.
pub fn consistency<E>(from: u64, to: u64, node: &mut impl FnMut(Node) -> Result<Hash, E>) -> Result<Vec<Hash>, E> {
    let mut path = Vec::new();
    consistency_in(from, 0, to, true, node, &mut path)?;
    Ok(path)
}

/// The inclusion path of one of these leaves, given by their hashes.
#[must_use]
pub fn inclusion_of(index: u64, leaves: &[Hash]) -> Vec<Hash> {
    let size = u64::try_from(leaves.len()).unwrap_or(u64::MAX);
    let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
    let mut subtree = |node: Node| {
        let (first, width) = (node.index << node.level, 1_u64 << node.level);
        let leaves = leaves.get(at(first)..at(first.saturating_add(width))).unwrap_or_default();
        Ok::<_, std::convert::Infallible>(root_of(leaves))
    };
    match inclusion(index, size, &mut subtree) {
        Ok(path) => path,
        Err(never) => match never {},
    }
}

/// Whether `leaf` is number `index` of the `size` leaves under `root` (RFC 9162 §2.1.3.2).
///
/// # Errors
/// [`ProofError::NotIncluded`].
pub fn verify_inclusion(index: u64, size: u64, leaf: &Hash, path: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::NotIncluded);
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return Err(ProofError::NotIncluded);
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            // Levels at which the node is a lone right edge have no sibling.
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(ProofError::NotIncluded) }
}

/// Whether the tree of `from` leaves under `old` is the beginning of the one of `to` leaves under `new` (RFC 9162
/// §2.1.4.2). The tree without leaves is the beginning of every one, and needs no path.
///
/// # Errors
/// [`ProofError::NotConsistent`].
pub fn verify_consistency(from: u64, to: u64, old: &Hash, new: &Hash, path: &[Hash]) -> Result<(), ProofError> {
    let consistent = if from == 0 {
        path.is_empty() && *old == EMPTY
    } else if from == to {
        path.is_empty() && old == new
    } else {
        from < to && is_consistent(from, to, (old, new), path)
    };
    if consistent { Ok(()) } else { Err(ProofError::NotConsistent) }
}

fn is_consistent(from: u64, to: u64, (old, new): (&Hash, &Hash), path: &[Hash]) -> bool {
    let (mut at, mut last) = (from - 1, to - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    // A complete old tree is itself a node of the new one, so its root is left out of the path.
    let (first, rest) = match path.split_first() {
        Some((first, rest)) if !from.is_power_of_two() => (first, rest),
        Some(_) => (old, path),
        None => return false,
    };
    let (mut was, mut is) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            (was, is) = (node_hash(sibling, &was), node_hash(sibling, &is));
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            is = node_hash(&is, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && was == *old && is == *new
}

/// The largest power of two below `len`, which is at least 2.
const fn split(len: u64) -> u64 {
    1 << (u64::BITS - 1 - (len - 1).leading_zeros())
}

/// The root over the leaves `start..end`, at least one; `start` is a multiple of every complete subtree in it.
fn range<E>(start: u64, end: u64, node: &mut impl FnMut(Node) -> Result<Hash, E>) -> Result<Hash, E> {
    let len = end - start;
    if len.is_power_of_two() {
        let level = len.trailing_zeros();
        return node(Node { level, index: start >> level });
    }
    let middle = start + split(len);
    let left = range(start, middle, node)?;
    Ok(node_hash(&left, &range(middle, end, node)?))
}

fn inclusion_in<E>(
    index: u64,
    start: u64,
    end: u64,
    node: &mut impl FnMut(Node) -> Result<Hash, E>,
    path: &mut Vec<Hash>,
) -> Result<(), E> {
    if end.saturating_sub(start) <= 1 {
        return Ok(());
    }
    let middle = start + split(end - start);
    let sibling = if index < middle {
        inclusion_in(index, start, middle, node, path)?;
        range(middle, end, node)?
    } else {
        inclusion_in(index, middle, end, node, path)?;
        range(start, middle, node)?
    };
    path.push(sibling);
    Ok(())
}

fn consistency_in<E>(
    old: u64,
    start: u64,
    end: u64,
    whole: bool,
    node: &mut impl FnMut(Node) -> Result<Hash, E>,
    path: &mut Vec<Hash>,
) -> Result<(), E> {
    if old >= end {
        if !whole {
            path.push(range(start, end, node)?);
        }
        return Ok(());
    }
    let middle = start + split(end - start);
    let sibling = if old <= middle {
        consistency_in(old, start, middle, whole, node, path)?;
        range(middle, end, node)?
    } else {
        consistency_in(old, middle, end, false, node, path)?;
        range(start, middle, node)?
    };
    path.push(sibling);
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
