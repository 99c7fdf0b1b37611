//! What a receipt proves, and that a torn, longer or changed one proves nothing.

use proptest::prelude::*;

use super::*;
use crate::JournalId;
use crate::proof::head::tests::{head, ring};
use crate::proof::leaf::tests::{header, parts, salts, sides};
use crate::proof::tree;
use crate::proof::tree::tests::leaves;

/// A receipt of seq 42 among `size`, with two of its sides opened.
fn receipt(size: usize) -> (Receipt, [PublicKey; 1]) {
    let salts = salts();
    let parts = parts(&salts);
    let leaf = parts.leaf(header());
    let mut all = leaves(size);
    all[41] = leaf.hash();
    let opened = [0_u8, 3].map(|place| {
        let side = sides()[usize::from(place)].clone();
        let (place, salt, path) = parts.opening(i32::from(place), &side);
        Opened { place, salt, side, path }
    });
    let ring = ring(&[0x11]);
    let head = head(tree::root_of(&all), i64::try_from(size).unwrap());
    let head = SignedHead::sign(&ring, None, head).unwrap();
    (Receipt { leaf, opened: opened.into(), path: tree::inclusion_of(41, &all), head }, [ring.current().public()])
}

#[test]
fn a_receipt_proves_the_record_and_the_sides_it_opens_and_shows_no_other() {
    let (receipt, keys) = receipt(1_000);
    let bytes = receipt.to_bytes();
    let read = Receipt::from_bytes(&bytes).unwrap();
    assert_eq!(read, receipt);
    let proven = read.check(&keys).unwrap();
    assert_eq!((proven.header.seq, proven.sides.len()), (42, 2));
    assert_eq!((proven.sides[0].amount, proven.sides[1].asset.as_ref()), (1_250, "PTS:caffè"));
    // The merchant's account and balance are nowhere in it, nor is the metadata.
    for closed in [&sides()[1], &sides()[2]] {
        let id = closed.account.as_bytes();
        assert!(!bytes.windows(16).any(|window| window == id));
    }
    assert!(!bytes.windows(6).any(|window| window == b"{\"kind"));
}

#[test]
fn path_and_head_stay_below_a_kilobyte_and_a_half() {
    // A log of a thousand million: thirty hashes.
    let (receipt, _) = receipt(64);
    let path = 30 * 32 + 4;
    assert!(path + receipt.head.to_bytes().len() < 1_500);
}

#[test]
fn each_thing_that_does_not_hold_is_named() {
    let (good, keys) = receipt(100);
    let stranger = ring(&[0x33]).current().public();
    let key = keys[0].id();
    assert_eq!(good.check(&[stranger]).err(), Some(ProofError::UnknownKey(key)));
    let mut changed = good.clone();
    changed.head.head.size += 1;
    assert_eq!(changed.check(&keys).err(), Some(ProofError::Signature(key)));
    let mut changed = good.clone();
    changed.leaf.header.effective_us += 1;
    assert_eq!(changed.check(&keys).err(), Some(ProofError::NotIncluded));
    let mut changed = good.clone();
    changed.opened[1].side.amount += 1;
    assert_eq!(changed.check(&keys).err(), Some(ProofError::Side));
    let mut changed = good.clone();
    changed.leaf.header.journal = JournalId(8);
    assert_eq!(changed.check(&keys).err(), Some(ProofError::OtherJournal));
    let mut changed = good;
    changed.leaf.header.seq = 0;
    assert_eq!(changed.check(&keys).err(), Some(ProofError::NotIncluded));
}

proptest! {
    /// Whatever bit of a receipt is changed, it is refused.
    #[test]
    fn a_receipt_with_a_bit_flipped_is_refused(bit in any::<prop::sample::Index>()) {
        let (receipt, keys) = receipt(77);
        let mut bytes = receipt.to_bytes();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let checked = Receipt::from_bytes(&bytes).and_then(|receipt| receipt.check(&keys).map(|_| ()));
        prop_assert!(checked.is_err());
    }

    /// One that was cut short, or goes on, does not read.
    #[test]
    fn a_receipt_of_another_length_does_not_read(cut in any::<prop::sample::Index>(), more in 1_usize..100) {
        let bytes = receipt(77).0.to_bytes();
        prop_assert!(Receipt::from_bytes(&bytes[..cut.index(bytes.len())]).is_err());
        prop_assert!(Receipt::from_bytes(&[bytes.as_slice(), &vec![0; more]].concat()).is_err());
    }

    /// Bytes that nobody wrote, and lengths that promise gigabytes, end in a refusal and take no memory.
    #[test]
    fn noise_is_no_receipt(noise in proptest::collection::vec(any::<u8>(), 0..2_000), at in any::<prop::sample::Index>()) {
        prop_assert!(Receipt::from_bytes(&noise).is_err());
        let mut bytes = receipt(77).0.to_bytes();
        let at = at.index(bytes.len() - 4);
        bytes.splice(at..at + 4, [0xff; 4]);
        prop_assert!(Receipt::from_bytes(&bytes).and_then(|receipt| receipt.check(&[]).map(|_| ())).is_err());
    }
}

#[test]
fn more_than_any_receipt_has_is_not_even_read() {
    let bytes = vec![0; MAX_RECEIPT + 1];
    assert_eq!(Receipt::from_bytes(&bytes), Err(ProofError::Oversized("receipt")));
}
