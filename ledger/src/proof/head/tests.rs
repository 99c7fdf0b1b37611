//! Golden vectors of heads: put together, and signed, by another program. And what a forged or torn head comes to.

use proptest::prelude::*;

use super::*;
use crate::proof::keys::{Salts, Signer};

/// Keys of seeds 0x11… and 0x22…, the second of them in use.
pub(crate) fn ring(seeds: &[u8]) -> Ring {
    let mut salts = Salts::default();
    salts.add(3, &[7; 32]);
    let signers = seeds.iter().map(|seed| Signer::from_seed(&[*seed; 32]).unwrap()).collect();
    Ring::new(signers, salts).unwrap()
}

pub(crate) fn head(root: Hash, size: i64) -> Head {
    Head {
        journal: JournalId(7),
        fork: Uuid::from_u128(0xf000_0000_0000_0000_0000_0000_0000_0001),
        size,
        root,
        recorded_us: 1_750_000_000_000_000,
        signed_us: 1_750_000_000_900_000,
        salt: 3,
        key: KeyId([0; 8]),
        next: None,
    }
}

fn root() -> Hash {
    // SHA-256 of "root".
    Hash::from_hex("4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b2").unwrap()
}

#[test]
fn golden_head() {
    let ring = ring(&[0x11]);
    let signed = SignedHead::sign(&ring, None, head(root(), 42)).unwrap();
    let golden = "0000006f0000000e746573736572612e686561642e310000000000000007f0000000000000000000000000000001000000000000002a4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b20006379da05b60000006379da0691ba000000003776fc1e1cf2a094200d250baeb8e7153bbf52bd86a1026e808fa9c0a4aa44195320632bf6584b27c3def874e35aca11c051f41664583f0a1f53e8786ccff453c2a2c7513c89f76200b00";
    assert_eq!(data_encoding::HEXLOWER.encode(&signed.to_bytes()), golden);
    assert_eq!(signed.check(&[ring.current().public()]), Ok(()));
    assert_eq!(ring.current().public().id().to_string(), "776fc1e1cf2a0942");
}

#[test]
fn golden_head_that_rotates_the_keys() {
    let both = ring(&[0x11, 0x22]);
    let old = ring(&[0x11]).current().public();
    let signed = SignedHead::sign(&both, Some(old.id()), head(root(), 42)).unwrap();
    let golden = "0000008f0000000e746573736572612e686561642e310000000000000007f0000000000000000000000000000001000000000000002a4813494d137e1631bba301d5acab6e7bb7aa74ce1185d456565ef51d737677b20006379da05b60000006379da0691ba000000003776fc1e1cf2a094201a09aa5f47a6759802ff955f8dc2d2a14a5c99d23be97f864127ff9383455a4f0b704ed5634d322b2444eef3009271991aba0066067bb9275df7f347cff0336f25f4433a4caa63a155deb6e3c44cee88497f6804100c46536bc33eaeff614530401c08af3f29381a7dd868d0b3ad46125360c0acdf61d51e68e98b1e09206f845c17a53a537279f21cab8d21216d4aa45c95125f32c39bbc8f2b7979c75a4662109";
    assert_eq!(data_encoding::HEXLOWER.encode(&signed.to_bytes()), golden);
    assert_eq!(signed.head.signs_on(), both.current().public().id());
    // Whoever trusts the old key trusts the next by it; whoever knows neither trusts nothing.
    let later = SignedHead::sign(&both, Some(signed.head.signs_on()), head(root(), 43)).unwrap();
    assert_eq!(later.head.next, None);
    assert_eq!(later.check(&[old]), Err(ProofError::UnknownKey(both.current().public().id())));
    assert_eq!(later.check(&trust(&[old], &[signed]).unwrap()), Ok(()));
    assert!(trust(&[], &[signed]).is_err());
}

#[test]
fn a_rotation_that_the_next_key_did_not_sign_is_refused() {
    let both = ring(&[0x11, 0x22]);
    let old = ring(&[0x11]).current().public();
    let signed = SignedHead::sign(&both, Some(old.id()), head(root(), 42)).unwrap();
    let forged = SignedHead { next_signature: Some(signed.signature), ..signed };
    assert_eq!(forged.check(&[old]), Err(ProofError::Signature(both.current().public().id())));
    let torn = SignedHead { next_signature: None, ..signed };
    assert_eq!(torn.check(&[old]), Err(ProofError::Signature(both.current().public().id())));
}

#[test]
fn a_ring_without_the_key_that_must_sign_over_signs_nothing() {
    let (mine, other) = (ring(&[0x22]), ring(&[0x11]).current().public().id());
    assert_eq!(SignedHead::sign(&mine, Some(other), head(root(), 42)), None);
}

proptest! {
    /// A head with any bit changed is refused, one way or another, and never ends the program.
    #[test]
    fn a_head_with_a_bit_flipped_is_no_head(rotates in any::<bool>(), bit in any::<prop::sample::Index>()) {
        let both = ring(&[0x11, 0x22]);
        let old = ring(&[0x11]).current().public();
        let last = rotates.then(|| old.id());
        let keys = [old, both.current().public()];
        let mut bytes = SignedHead::sign(&both, last, head(root(), 42)).unwrap().to_bytes();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let checked = SignedHead::from_bytes(&bytes).and_then(|head| head.check(&keys));
        prop_assert!(checked.is_err());
    }

    /// So is one that was cut short or made longer.
    #[test]
    fn a_head_of_another_length_is_no_head(cut in 0_usize..180, more in 1_usize..600) {
        let bytes = SignedHead::sign(&ring(&[0x11]), None, head(root(), 42)).unwrap().to_bytes();
        let cut = cut.min(bytes.len() - 1);
        prop_assert_eq!(SignedHead::from_bytes(&bytes[..cut]), Err(ProofError::Form("signed head")));
        let longer = [bytes.as_slice(), &vec![0; more]].concat();
        prop_assert!(SignedHead::from_bytes(&longer).is_err());
    }

    /// Bytes that nobody wrote read as no head.
    #[test]
    fn noise_is_no_head(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        prop_assert!(SignedHead::from_bytes(&bytes).is_err());
    }
}
