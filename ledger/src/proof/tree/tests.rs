//! The tree against RFC 6962's definition written again, naively, and against Certificate Transparency's own vectors.

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::proof::leaf_hash;

/// The eight leaves that implementations of Certificate Transparency are tested with, and the roots over the first n.
const CT_LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const CT_ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

pub(crate) fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|number| leaf_hash(&[&number.to_be_bytes()])).collect()
}

/// RFC 6962 §2.1, word for word: k is the largest power of two smaller than n.
pub(crate) fn naive(leaves: &[Hash]) -> Hash {
    if leaves.len() < 2 {
        return leaves.first().copied().unwrap_or(EMPTY);
    }
    let mut k = 1;
    while k * 2 < leaves.len() {
        k *= 2;
    }
    node_hash(&naive(&leaves[..k]), &naive(&leaves[k..]))
}

fn nodes(leaves: &[Hash]) -> impl FnMut(Node) -> Result<Hash, Infallible> {
    move |Node { level, index }| {
        let first = usize::try_from(index << level).unwrap();
        Ok(naive(&leaves[first..first + (1 << level)]))
    }
}

fn sure<T>(result: Result<T, Infallible>) -> T {
    result.unwrap_or_else(|never| match never {})
}

/// Sizes at which trees change shape.
fn edges() -> Vec<usize> {
    let around = |power: u32| [(1 << power) - 1, 1 << power, (1 << power) + 1];
    let mut sizes: Vec<usize> = [0, 1, 2, 3].into_iter().chain((2..=9).flat_map(around)).collect();
    sizes.dedup();
    sizes
}

#[test]
fn case_77_the_vectors_of_certificate_transparency() {
    let bytes = |hex: &str| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    let leaves: Vec<Hash> = CT_LEAVES.map(|leaf| leaf_hash(&[&bytes(leaf)])).into();
    for (size, root) in CT_ROOTS.into_iter().enumerate() {
        assert_eq!(root_of(&leaves[..size]).to_string(), root, "{size} leaves");
        assert_eq!(naive(&leaves[..size]).to_string(), root, "{size} leaves, naively");
    }
    // Of the same vectors: the path of leaf 0 among 8, and the consistency path from 6 to 8.
    let path = |hashes: Vec<Hash>| hashes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let inclusion_0_8 = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    assert_eq!(path(sure(inclusion(0, 8, &mut nodes(&leaves)))), inclusion_0_8);
    let consistency_6_8 = [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(path(sure(consistency(6, 8, &mut nodes(&leaves)))), consistency_6_8);
}

#[test]
fn case_77_roots_and_paths_at_every_edge_are_those_of_the_definition() {
    let all = leaves(520);
    for size in edges() {
        let some = &all[..size];
        let (count, expected) = (u64::try_from(size).unwrap(), naive(some));
        assert_eq!(root_of(some), expected, "{size}");
        assert_eq!(sure(root(count, &mut nodes(some))), expected, "{size}");
        for index in (0..count).filter(|index| size < 40 || index % 37 == 0 || *index + 1 == count) {
            let path = sure(inclusion(index, count, &mut nodes(some)));
            let leaf = &some[usize::try_from(index).unwrap()];
            assert_eq!(inclusion_of(index, some), path);
            assert_eq!(verify_inclusion(index, count, leaf, &path, &expected), Ok(()), "{index} of {size}");
            assert!(verify_inclusion(index + 1, count, leaf, &path, &expected).is_err(), "{index} of {size}");
        }
        for from in edges().into_iter().filter(|from| (1..=size).contains(from)) {
            let (old, first) = (naive(&all[..from]), u64::try_from(from).unwrap());
            let path = sure(consistency(first, count, &mut nodes(some)));
            assert_eq!(verify_consistency(first, count, &old, &expected, &path), Ok(()), "{from} to {size}");
        }
    }
}

#[test]
fn the_log_without_leaves_is_the_beginning_of_every_log_and_includes_nothing() {
    let all = leaves(3);
    assert_eq!(verify_consistency(0, 3, &EMPTY, &naive(&all), &[]), Ok(()));
    assert!(verify_consistency(0, 3, &all[0], &naive(&all), &[]).is_err());
    assert!(verify_inclusion(0, 0, &all[0], &[], &EMPTY).is_err());
    assert!(verify_consistency(3, 2, &naive(&all), &naive(&all[..2]), &all).is_err());
}

proptest! {
    /// Whatever is changed of an inclusion proof, it proves nothing any more.
    #[test]
    fn an_inclusion_proof_holds_for_its_leaf_place_size_and_root_alone(
        size in 1_usize..300, at in any::<prop::sample::Index>(), bit in 0_usize..256, what in 0_u8..5,
    ) {
        let all = leaves(size);
        let (count, index) = (u64::try_from(size).unwrap(), u64::try_from(at.index(size)).unwrap());
        let (mut leaf, mut root) = (all[at.index(size)], naive(&all));
        let mut path = sure(inclusion(index, count, &mut nodes(&all)));
        prop_assert_eq!(verify_inclusion(index, count, &leaf, &path, &root), Ok(()));
        let flip = |hash: &mut Hash| hash.0[bit / 8] ^= 1 << (bit % 8);
        match what {
            0 => flip(&mut leaf),
            1 => flip(&mut root),
            2 if !path.is_empty() => path.first_mut().into_iter().for_each(flip),
            3 if !path.is_empty() => _ = path.pop(),
            _ => path.push(root),
        }
        prop_assert_eq!(verify_inclusion(index, count, &leaf, &path, &root), Err(ProofError::NotIncluded));
    }

    /// No path makes a changed old log the beginning of the new one.
    #[test]
    fn case_78_consistency_with_a_forged_old_root_fails(
        to in 1_usize..300, from in any::<prop::sample::Index>(), forged in any::<prop::sample::Index>(), bit in 0_usize..256,
    ) {
        let all = leaves(to);
        let from = 1 + from.index(to);
        let (first, count) = (u64::try_from(from).unwrap(), u64::try_from(to).unwrap());
        let path = sure(consistency(first, count, &mut nodes(&all)));
        let (old, new) = (naive(&all[..from]), naive(&all));
        prop_assert_eq!(verify_consistency(first, count, &old, &new, &path), Ok(()));
        // What a forger has: an old log with another leaf, and everything else.
        let mut other = all[..from].to_vec();
        other[forged.index(from)].0[bit / 8] ^= 1 << (bit % 8);
        let lie = naive(&other);
        prop_assert!(verify_consistency(first, count, &lie, &new, &path).is_err());
        let forged_path = sure(consistency(first, count, &mut nodes(&[&other, &all[from..]].concat())));
        prop_assert!(verify_consistency(first, count, &lie, &new, &forged_path).is_err());
        prop_assert!(verify_consistency(first, count, &old, &lie, &path).is_err() || from == to && lie == old);
    }

    /// Paths of any length and content end the verifiers, which say no.
    #[test]
    fn made_up_paths_prove_nothing(
        index in any::<u64>(), size in any::<u64>(), from in any::<u64>(),
        path in proptest::collection::vec(any::<[u8; 32]>().prop_map(Hash), 0..80),
    ) {
        let (leaf, root) = (leaf_hash(&[b"leaf"]), leaf_hash(&[b"root"]));
        prop_assert!(verify_inclusion(index, size, &leaf, &path, &root).is_err());
        prop_assert!(verify_consistency(from, size, &leaf, &root, &path).is_err());
    }
}
