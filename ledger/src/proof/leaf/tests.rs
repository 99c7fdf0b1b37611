//! Golden vectors of leaves: put together by another program from the form's description. They never change; a new form
//! is a new version with vectors of its own.

use proptest::prelude::*;

use super::*;
use crate::proof::Salts;

const FORK: Uuid = Uuid::from_u128(0xf000_0000_0000_0000_0000_0000_0000_0001);

pub(crate) fn salts() -> Salts {
    let mut secret = [0; 32];
    (0..).zip(&mut secret).for_each(|(value, byte)| *byte = value);
    let mut salts = Salts::default();
    salts.add(3, &secret);
    salts
}

pub(crate) fn header() -> Header {
    Header {
        journal: JournalId(7),
        fork: FORK,
        seq: 42,
        kind: 1,
        id: Uuid::from_u128(0xd4),
        recorded_us: 1_750_000_000_000_000,
        effective_us: 1_700_000_000_000_000,
        salt: 3,
        rules: 2,
    }
}

/// A payment of 12.50 that earns 12 points; leg 1 was dropped.
pub(crate) fn sides() -> [SideFacts<'static>; 4] {
    let side = |leg, side, amount, asset, scale, account, (balance, held, version)| SideFacts {
        leg,
        side,
        kind: 1,
        amount,
        asset: Cow::Borrowed(asset),
        scale,
        account: Uuid::from_u128(account),
        balance,
        held,
        version,
    };
    [
        side(0, SideOf::Debit, 1_250, "EUR", 2, 0xa1, (-50, 0, 7)),
        side(0, SideOf::Credit, 1_250, "EUR", 2, 0xb2, (1_250, 0, 1)),
        side(2, SideOf::Debit, 12, "PTS:caffè", 0, 0xc3, (-12, 0, 3)),
        side(2, SideOf::Credit, 12, "PTS:caffè", 0, 0xa2, (30, 5, 9)),
    ]
}

pub(crate) fn parts(salts: &Salts) -> Parts<'_> {
    let mut parts = Parts::new(salts.of(3).unwrap(), FORK, 42, &[0; 6], "{\"kind\":\"caffè\"}".as_bytes());
    sides().iter().for_each(|side| parts.side(side));
    parts
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[test]
fn golden_leaf() {
    let salts = salts();
    let parts = parts(&salts);
    assert_eq!(hex(&parts.salt_of(0, 1)), "470668aac0ee5c27872307b86e3621ef69b71a7275f330b6f537276a922ed3b9");
    assert_eq!(
        hex(&sides()[3].to_bytes()),
        "0000000e746573736572612e736964652e31000000020200000001000000000000000c0000000a5054533a63616666c3a800000000000000000000000000000000000000a2000000000000001e00000000000000050000000000000009"
    );
    let leaf = parts.leaf(header());
    assert_eq!(
        (leaf.parts, leaf.root.to_string().as_str()),
        (6, "551608749c710b515dd981d6d003874b0d44b699513684d0939c0ceb80ba46b2")
    );
    assert_eq!(leaf.hash().to_string(), "d3c0507c59774607239425a37a9d40faa8015918a09c7a74979b9b59c4cafb8a");
}

#[test]
fn golden_leaf_of_a_record_without_transfers() {
    let salts = salts();
    let parts = Parts::new(salts.of(3).unwrap(), FORK, 42, &[0; 6], "{\"kind\":\"caffè\"}".as_bytes());
    let leaf = parts.leaf(header());
    assert_eq!(leaf.hash().to_string(), "b967b9cf501df116a4610cd89e44c9c264848b29894ed3a90d077a9e740944f3");
    assert_eq!(salts.of(3).map(|salt| salt.id().to_string()).as_deref(), Some("7128633d5c563f73"));
}

#[test]
fn each_opening_leads_to_the_root_and_no_salt_is_used_twice() {
    let salts = salts();
    let parts = parts(&salts);
    let leaf = parts.leaf(header());
    let mut seen = std::collections::BTreeSet::new();
    for (place, side) in (0..).zip(sides()) {
        let (place, salt, path) = parts.opening(place, &side);
        let part = commitment(&salt, &side.to_bytes());
        let place = u64::try_from(place).unwrap();
        assert_eq!(tree::verify_inclusion(place, 6, &part, &path, &leaf.root), Ok(()));
        assert!(seen.insert(salt));
    }
    assert!(seen.insert(parts.salt_of(0, BODY_CODE)) && seen.insert(parts.salt_of(0, META_CODE)));
}

prop_compose! {
    fn any_side()(
        leg in any::<i32>(), debit in any::<bool>(), kind in any::<i32>(), amount in any::<i64>(),
        asset in "(|\0|\\||EUR|PTS:a\\|b|\u{1F9FE}|.{0,12})", scale in any::<i32>(), account in any::<u128>(),
        numbers in any::<(i64, i64, i64)>(),
    ) -> SideFacts<'static> {
        SideFacts {
            leg, kind, amount, scale, asset: Cow::Owned(asset),
            side: if debit { SideOf::Debit } else { SideOf::Credit },
            account: Uuid::from_u128(account),
            balance: numbers.0, held: numbers.1, version: numbers.2,
        }
    }
}

proptest! {
    /// Two sides share a form only if they are the same, whatever stands in their texts.
    #[test]
    fn case_79_no_two_sides_share_a_form(one in any_side(), other in any_side()) {
        prop_assert_eq!(one.to_bytes() == other.to_bytes(), one == other);
        let read = SideFacts::read(&one.to_bytes());
        prop_assert_eq!(read.as_ref(), Some(&one));
    }

    /// What stands where body and metadata meet belongs to one of them.
    #[test]
    fn case_79_body_and_metadata_are_kept_apart(body in ".{0,20}", meta in ".{0,20}", cut in any::<prop::sample::Index>()) {
        let salts = salts();
        let salt = salts.of(3).unwrap();
        let root = |body: &[u8], meta: &[u8]| Parts::new(salt, FORK, 42, body, meta).leaf(header()).root;
        let all = [body.as_bytes(), meta.as_bytes()].concat();
        let (left, right) = all.split_at(cut.index(all.len() + 1));
        let same = (left, right) == (body.as_bytes(), meta.as_bytes());
        prop_assert_eq!(root(body.as_bytes(), meta.as_bytes()) == root(left, right), same);
    }
}
