//! A log grown tile by tile is the one that the definition gives, wherever it was stopped and taken up again.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::proof::tree::tests::{leaves, naive};

/// What a database would hold.
#[derive(Default)]
struct Kept(BTreeMap<(u32, u64), Vec<Hash>>);

impl Kept {
    fn take(&mut self, strips: Vec<Strip>) {
        for strip in strips {
            let tile = self.0.entry((strip.level, strip.tile)).or_default();
            assert_eq!(tile.len(), strip.start, "strips of a tile follow each other");
            tile.extend(strip.hashes);
        }
    }

    fn node(&self, node: Node) -> Result<Hash, String> {
        let lies = Lies::of(node);
        let tile = self.0.get(&(lies.level, lies.tile)).ok_or("no tile")?;
        lies.hash(tile).ok_or_else(|| format!("{node:?} is beyond its tile"))
    }

    fn edge(&self, size: u64) -> Edge {
        let level = |level| {
            let tile = self.0.get(&(level, open_tile(size, level))).cloned().unwrap_or_default();
            tile.into_iter().take(open_entries(size, level)).collect()
        };
        let levels = u32::try_from(levels_of(size)).unwrap();
        Edge::of(size, (0..levels).map(level).collect()).expect("as many entries as there should be")
    }
}

/// Stopped after each of these many leaves, and taken up again from what was kept.
fn grow(all: &[Hash], stops: &[usize]) -> Kept {
    let (mut kept, mut edge, mut rest) = (Kept::default(), Edge::default(), all);
    for stop in stops.iter().copied().chain([all.len()]) {
        let (now, later) = rest.split_at(stop.min(rest.len()));
        let mut strips = Vec::new();
        now.iter().for_each(|leaf| edge.push(*leaf, &mut strips));
        kept.take(strips);
        let again = kept.edge(edge.size());
        assert_eq!(again.root(), edge.root());
        edge = again;
        rest = later;
    }
    kept
}

#[test]
fn case_77_every_size_to_a_thousand_has_its_root() {
    let all = leaves(1_030);
    let (mut edge, mut strips) = (Edge::default(), Vec::new());
    assert_eq!(edge.root(), EMPTY);
    for size in 1..=all.len() {
        edge.push(all[size - 1], &mut strips);
        if size < 20 || size % 51 == 0 || (250..260).contains(&(size % 256)) {
            assert_eq!(edge.root(), naive(&all[..size]), "{size}");
        }
    }
}

#[test]
fn tiles_of_three_levels_prove_every_leaf() {
    // One more than 256 × 256, so that the third level begins.
    let all = leaves(65_537);
    let kept = grow(&all, &[1, 255, 256, 1, 60_000]);
    let size = 65_537;
    let root = naive(&all);
    assert_eq!(kept.edge(size).root(), root);
    for index in [0, 1, 255, 256, 65_279, 65_280, 65_535, 65_536_u64] {
        let path = tree::inclusion(index, size, &mut |node| kept.node(node)).unwrap();
        let leaf = &all[usize::try_from(index).unwrap()];
        assert_eq!(tree::verify_inclusion(index, size, leaf, &path, &root), Ok(()));
    }
    // Earlier sizes are still provable from the same tiles.
    for from in [1, 255, 256, 257, 65_535, 65_536_u64] {
        let old = tree::root(from, &mut |node| kept.node(node)).unwrap();
        assert_eq!(old, naive(&all[..usize::try_from(from).unwrap()]));
        let path = tree::consistency(from, size, &mut |node| kept.node(node)).unwrap();
        assert_eq!(tree::verify_consistency(from, size, &old, &root, &path), Ok(()));
    }
}

#[test]
fn an_edge_that_does_not_fit_its_size_is_none() {
    let some = leaves(3);
    assert!(Edge::of(3, vec![some.clone()]).is_some());
    assert!(Edge::of(2, vec![some.clone()]).is_none());
    assert!(Edge::of(3, Vec::new()).is_none());
    assert!(Edge::of(259, vec![some]).is_none());
}

proptest! {
    /// Case 81, the pure half: it does not matter where a sealer stopped.
    #[test]
    fn case_81_a_log_is_the_same_wherever_its_making_was_cut(
        size in 0_usize..2_000, stops in proptest::collection::vec(0_usize..700, 0..6),
    ) {
        let all = leaves(size);
        let (cut, whole) = (grow(&all, &stops), grow(&all, &[]));
        prop_assert_eq!(&cut.0, &whole.0);
        prop_assert_eq!(cut.edge(u64::try_from(size).unwrap()).root(), naive(&all));
    }
}
