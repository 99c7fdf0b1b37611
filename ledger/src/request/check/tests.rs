use super::*;
use crate::{Amount, AssetId, Companion, JournalId, Key, NormalSide, Scope};

fn request(command: Command) -> Request {
    let key = Key { scope: Scope(1), key: Uuid::from_u128(1), fingerprint: Uuid::from_u128(2) };
    Request { journal: JournalId(1), key, command, effective_us: None, meta: Vec::new(), companions: Vec::new() }
}

fn moving(minor: i64) -> Transfer {
    let (debit, credit) = (Uuid::from_u128(3), Uuid::from_u128(4));
    Transfer::moving(debit, credit, Amount::new(minor, AssetId(1)))
}

fn transact(transfers: Vec<Transfer>, groups: Vec<Group>) -> Request {
    request(Command::Transact { id: Uuid::nil(), open: Vec::new(), transfers, groups, claim: None })
}

fn companion(kind: i32, key: u128, body: &[u8]) -> Companion {
    Companion { kind, key: Uuid::from_u128(key), body: body.to_vec() }
}

fn digest_of(companions: Vec<Companion>) -> Option<[u8; 32]> {
    Request { companions, ..transact(vec![moving(1)], Vec::new()) }.companions_digest()
}

#[test]
fn sizes_pass_at_the_limit_and_not_above() {
    let fits = transact(vec![moving(1)], Vec::new());
    let with = |companions| Request { companions, ..fits.clone() };
    let meta = |len| Request { meta: vec![0; len], ..fits.clone() };
    assert_eq!(meta(Limits::META_BYTES).check(), Ok(()));
    assert!(matches!(meta(Limits::META_BYTES + 1).check(), Err(Invalid::TooMany { limit: Limits::META_BYTES, .. })));
    let body = vec![0; Limits::COMPANION_BYTES + 1];
    let many: Vec<Companion> = (0_u128..).take(Limits::COMPANIONS + 1).map(|key| companion(1, key, b"")).collect();
    assert_eq!(with(vec![companion(1, 1, &body[1..])]).check(), Ok(()));
    assert!(matches!(with(vec![companion(1, 1, &body)]).check(), Err(Invalid::TooMany { .. })));
    assert_eq!(with(many[1..].to_vec()).check(), Ok(()));
    assert!(matches!(with(many).check(), Err(Invalid::TooMany { .. })));
    let twice = vec![companion(1, 1, b"a"), companion(1, 1, b"b")];
    assert!(matches!(with(twice).check(), Err(Invalid::Companion { .. })));
    let command = Command::MoveClock { by_us: 1 };
    let beside_a_clock = Request { command, companions: vec![companion(1, 1, b"")], ..fits.clone() };
    assert!(matches!(beside_a_clock.check(), Err(Invalid::Companion { .. })));
}

#[test]
fn amounts_pass_from_one_to_the_limit_in_groups_too() {
    for (minor, passes) in [(i64::MIN, false), (0, false), (1, true), (MAX_AMOUNT, true), (MAX_AMOUNT + 1, false)] {
        let expected = if passes { Ok(()) } else { Err(Invalid::Amount { minor }) };
        assert_eq!(transact(vec![moving(minor)], Vec::new()).check(), expected);
        let group = Group::of(vec![moving(minor)]);
        assert_eq!(transact(vec![moving(1)], vec![group]).check(), expected);
    }
}

#[test]
fn groups_alone_are_no_transaction() {
    assert_eq!(transact(Vec::new(), vec![Group::of(vec![moving(1)])]).check(), Err(Invalid::Empty));
}

#[test]
fn an_account_opens_at_zero_within_its_limits() {
    let new = NewAccount {
        public_id: Uuid::from_u128(3),
        asset: AssetId(1),
        normal_side: NormalSide::Credit,
        owner: None,
        floor: None,
        ceiling: None,
        nature: Nature::Plain,
    };
    let limits = [(None, None, true), (Some(0), Some(0), true), (Some(1), None, false), (None, Some(-1), false)];
    for (floor, ceiling, passes) in limits {
        let checked = request(Command::Open(NewAccount { floor, ceiling, ..new.clone() })).check();
        assert_eq!(checked.is_ok(), passes, "{floor:?} {ceiling:?}");
    }
}

/// Put together by another program: kind, key, length and body of each, then SHA-256.
#[test]
fn golden_companions_digest() {
    let digest = digest_of(vec![companion(3, 0xd1, b"body"), companion(4, 0xd2, b"")]).unwrap();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "25778a6b68cf7cd92d8da7c8b68859c811da3745383ab013dadeb602ce9a97c9");
}

#[test]
fn companions_are_told_apart_by_order_and_by_where_one_ends() {
    assert_eq!(digest_of(Vec::new()), None);
    let [a, b] = [companion(1, 1, b"a"), companion(1, 1, b"b")];
    assert_ne!(digest_of(vec![a.clone(), b.clone()]), digest_of(vec![b, a.clone()]));
    // One companion whose body spells out a second one.
    let mut both = a.body.clone();
    both.extend([1_i32.to_be_bytes().as_slice(), a.key.as_bytes(), &1_u64.to_be_bytes(), b"a"].concat());
    assert_ne!(digest_of(vec![a.clone(), a]), digest_of(vec![companion(1, 1, &both)]));
}
