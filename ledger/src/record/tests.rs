//! Random records, and the compact byte form of their bodies.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Assets whose codes would break a form that joins fields by a separator.
pub(crate) fn odd_assets() -> Vec<Asset> {
    let codes = ["EUR", "PTS:caffè", "a|b", "a", "|", "\0", "a\0", "🂡🀄", "PTS:club|2"];
    (1..).zip(codes).map(|(id, code)| Asset { id: AssetId(id), code: code.into(), scale: 2 }).collect()
}

/// Few public ids, so that fields of two records are often the same.
fn any_id() -> impl Strategy<Value = Uuid> {
    prop_oneof![4 => (0..3_u128).prop_map(Uuid::from_u128), 1 => any::<u128>().prop_map(Uuid::from_u128)]
}

fn any_int() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -2..3_i64, 1 => any::<i64>()]
}

/// An account's number is part of no byte form, so here it follows from its public id.
pub(crate) fn number_of(public_id: Uuid) -> AccountId {
    AccountId(i64::from_be_bytes(public_id.as_u64_pair().1.to_be_bytes()))
}

fn any_side() -> impl Strategy<Value = Side> {
    (any_id(), any_int(), any_int(), any_int()).prop_map(|(public_id, balance, held, version)| Side {
        account: number_of(public_id),
        public_id,
        balance,
        held,
        version,
    })
}

fn any_posted() -> impl Strategy<Value = Posted> {
    let asset = select(odd_assets()).prop_map(|asset| asset.id);
    let kind = select(vec![RowKind::Move, RowKind::Hold, RowKind::Capture, RowKind::Void, RowKind::Expire]);
    (0..3_i32, kind, any_int(), asset, any_side(), any_side()).prop_map(|(leg, kind, minor, asset, debit, credit)| {
        Posted { leg, kind, amount: Amount::new(minor, asset), debit, credit }
    })
}

fn any_refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        any_id().prop_map(|account| Refusal::Floor { account }),
        any_id().prop_map(|account| Refusal::Ceiling { account }),
        any_id().prop_map(|account| Refusal::Frozen { account }),
        any_id().prop_map(|account| Refusal::Overflow { account }),
        any_int().prop_map(|seq| Refusal::ClaimSpent { seq }),
    ]
}

fn any_opened() -> impl Strategy<Value = Body> {
    let asset =
        (select(odd_assets()), any::<i16>(), any::<String>(), any::<bool>()).prop_map(|(odd, scale, any, wild)| {
            let code = if wild { any } else { odd.code };
            Asset { id: odd.id, code, scale }
        });
    let side = select(vec![NormalSide::Debit, NormalSide::Credit]);
    let limits = (option::of(any_int()), option::of(any_int()));
    (any_id(), asset, side, option::of(any_id()), limits, any_int()).prop_map(
        |(public_id, asset, normal_side, owner, (floor, ceiling), by)| Body::Opened {
            account: NewAccount { public_id, asset: asset.id, normal_side, owner, floor, ceiling },
            asset,
            by,
        },
    )
}

/// Any body the form can hold, of each kind as often.
pub(crate) fn any_body() -> impl Strategy<Value = Body> {
    let dropped = (0..3_i32, any_refusal()).prop_map(|(group, refusal)| Dropped { group, refusal });
    let digest = prop_oneof![Just([0; 32]), any::<[u8; 32]>()];
    let transaction =
        (vec(any_posted(), 0..4), vec(dropped, 0..3), option::of(any_id().prop_map(Claim)), option::of(digest));
    prop_oneof![
        transaction.prop_map(|(transfers, dropped, claim, companions)| Body::Transaction {
            transfers,
            dropped,
            claim,
            companions
        }),
        any_opened(),
        (any_id(), any::<bool>(), any::<bool>()).prop_map(|(account, debits, credits)| Body::Frozen {
            account,
            debits,
            credits
        }),
        any_refusal().prop_map(|refusal| Body::Refused { refusal }),
        any_int().prop_map(|offset_us| Body::ClockMoved { offset_us }),
        Just(Body::Abandoned),
    ]
}

/// Any record, its metadata full of what separators are made of.
pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    let meta = vec(prop_oneof![select(b"|\0a".to_vec()), any::<u8>()], 0..4);
    (any_int(), any_id(), any_int(), any_int(), any_body(), meta).prop_map(
        |(seq, id, recorded_us, effective_us, body, meta)| Record { seq, id, recorded_us, effective_us, body, meta },
    )
}

fn transfers_of(body: &Body) -> Vec<Posted> {
    match body {
        Body::Transaction { transfers, .. } => transfers.clone(),
        Body::Opened { .. }
        | Body::Frozen { .. }
        | Body::Refused { .. }
        | Body::ClockMoved { .. }
        | Body::Abandoned => Vec::new(),
    }
}

proptest! {
    /// A body reads back from its bytes as it was.
    #[test]
    fn a_body_reads_back_from_its_bytes(body in any_body()) {
        let read = Body::from_bytes(body.kind(), &body.to_bytes(), transfers_of(&body));
        prop_assert_eq!(read, Some(body));
    }

    /// Bytes cut short, or with something after them, are not ones we wrote.
    #[test]
    fn bytes_of_another_length_do_not_read(body in any_body(), after in vec(any::<u8>(), 1..4)) {
        let mut bytes = body.to_bytes();
        for cut in 0..bytes.len() {
            prop_assert_eq!(Body::from_bytes(body.kind(), &bytes[..cut], Vec::new()), None);
        }
        bytes.extend(after);
        prop_assert_eq!(Body::from_bytes(body.kind(), &bytes, Vec::new()), None);
    }

    /// Garbage never panics; and whatever does read is written as just these bytes, so no body has two forms.
    #[test]
    fn garbage_does_not_read(kind in -1..8_i32, bytes in vec(any::<u8>(), 0..120)) {
        if let Some(body) = Body::from_bytes(kind, &bytes, Vec::new()) {
            prop_assert_eq!((body.kind(), body.to_bytes()), (kind, bytes));
        }
    }

    /// The same for bytes that were ours but for one: most such bodies read, none reads as what it is not.
    #[test]
    fn a_changed_byte_is_another_body_or_none(body in any_body(), at in any::<prop::sample::Index>(), with in 1..=255_u8) {
        let mut bytes = body.to_bytes();
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        if let Some(read) = Body::from_bytes(body.kind(), &bytes, transfers_of(&body)) {
            prop_assert_ne!(&read, &body);
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }
}

#[test]
fn a_count_that_promises_four_billion_reads_none_and_takes_no_memory() {
    let mut bytes = vec![0, 0];
    bytes.extend(u32::MAX.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 1]);
    assert_eq!(Body::from_bytes(1, &bytes, Vec::new()), None);
}

#[test]
fn a_row_kind_is_its_number_and_back() {
    let known = (-1..8).filter_map(|code| Some((code, RowKind::from_code(code)?.code())));
    assert!(known.eq((1..=5).map(|code| (code, code))));
}
