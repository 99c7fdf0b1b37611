//! Random records, and the compact byte form of their bodies.

mod golden;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::{AssetId, Calendar, Lot, Nature, NormalSide, Period};

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
    let row = (0..3_i32, kind, any_int(), asset, any_side(), any_side(), option::of(any_more()));
    row.prop_map(|(leg, kind, minor, asset, debit, credit, more)| {
        let more = more.and_then(More::boxed);
        Posted { leg, kind, amount: Amount::new(minor, asset), debit, credit, more }
    })
}

fn any_leg_ref() -> impl Strategy<Value = LegRef> {
    (any_int(), 0..3_i32).prop_map(|(seq, leg)| LegRef { seq, leg })
}

fn any_piece() -> impl Strategy<Value = Piece> {
    let lot = (any_int(), 0..3_i32, any_int(), any_id(), any_int());
    (lot, any_int()).prop_map(|((expires_us, earned_day, activates_us, campaign, unit_cost), minor)| Piece {
        lot: Lot { expires_us, earned_day, activates_us, campaign, unit_cost },
        minor,
    })
}

fn any_more() -> impl Strategy<Value = More> {
    let rate =
        (0..3_i32, any_int(), any_int()).prop_map(|(of, numerator, denominator)| Rate { of, numerator, denominator });
    let pieces = || vec(any_piece(), 0..3);
    let scalars = (option::of(any_leg_ref()), option::of(any_int()), option::of(rate), any::<bool>());
    (scalars, pieces(), pieces(), pieces())
        .prop_map(|((of, expires_us, rate, owing), debit_lots, credit_lots, repaid)| More {
            of,
            expires_us,
            debit_lots,
            credit_lots,
            repaid,
            rate,
            owing,
        })
        // On the heap: so many fields side by side are more than a test's stack bears.
        .boxed()
}

/// Rows as a record has them: each leg once, in order.
fn any_rows() -> impl Strategy<Value = Vec<Posted>> {
    vec(any_posted(), 0..4)
        .prop_map(|mut rows| {
            (0..).zip(&mut rows).for_each(|(leg, row)| row.leg += 3 * leg);
            rows
        })
        .boxed()
}

pub(crate) fn any_nature() -> impl Strategy<Value = Nature> {
    let period = select(vec![Period::Day, Period::Month, Period::Year, Period::Ever]);
    let calendar = select(vec![Calendar::Utc, Calendar::Rome]);
    prop_oneof![
        2 => Just(Nature::Plain),
        1 => (any_id(), any_int()).prop_map(|(breakage, grace_us)| Nature::Lots { breakage, grace_us }),
        1 => (any_id(), any_int(), period, calendar)
            .prop_map(|(pool, allowance, period, calendar)| Nature::Quota { pool, allowance, period, calendar }),
    ]
}

pub(crate) fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (option::of(any_int()), option::of(any_int())).prop_map(|(floor, ceiling)| Change::Limits { floor, ceiling }),
        any_int().prop_map(|minor| Change::Allowance { minor }),
        any::<bool>().prop_map(|closed| Change::Closed { closed }),
    ]
}

fn any_refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        any_id().prop_map(|account| Refusal::Floor { account }),
        any_id().prop_map(|account| Refusal::Ceiling { account }),
        any_id().prop_map(|account| Refusal::Frozen { account }),
        any_id().prop_map(|account| Refusal::Overflow { account }),
        any_int().prop_map(|seq| Refusal::ClaimSpent { seq }),
        any_id().prop_map(|account| Refusal::Closed { account }),
        any_id().prop_map(|account| Refusal::NotEmpty { account }),
        any_leg_ref().prop_map(|hold| Refusal::HoldEnded { hold }),
        any_leg_ref().prop_map(|hold| Refusal::HoldExceeded { hold }),
        any_leg_ref().prop_map(|of| Refusal::RefundExceeded { of }),
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
    (any_id(), asset, side, option::of(any_id()), (limits, any_nature()), any_int()).prop_map(
        |(public_id, asset, normal_side, owner, ((floor, ceiling), nature), by)| Body::Opened {
            account: NewAccount { public_id, asset: asset.id, normal_side, owner, floor, ceiling, nature },
            asset,
            by,
        },
    )
}

/// Any body the form can hold, of each kind as often.
pub(crate) fn any_body() -> impl Strategy<Value = Body> {
    let dropped = (0..3_i32, any_refusal()).prop_map(|(group, refusal)| Dropped { group, refusal });
    let digest = prop_oneof![Just([0; 32]), any::<[u8; 32]>()];
    let transaction = (any_rows(), vec(dropped, 0..3), option::of(any_id().prop_map(Claim)), option::of(digest));
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
        (any_id(), any_int(), any_rows()).prop_map(|(account, period_us, transfers)| Body::Due {
            account,
            period_us,
            transfers
        }),
        (any_id(), any_change()).prop_map(|(account, change)| Body::Changed { account, change }),
    ]
    .boxed()
}

/// Any record, its metadata full of what separators are made of.
pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    let meta = vec(prop_oneof![select(b"|\0a".to_vec()), any::<u8>()], 0..4);
    (any_int(), any_id(), any_int(), any_int(), any_body(), meta).prop_map(
        |(seq, id, recorded_us, effective_us, body, meta)| Record { seq, id, recorded_us, effective_us, body, meta },
    )
}

/// The rows of a body as they are stored: without what stands in its bytes.
fn transfers_of(body: &Body) -> Vec<Posted> {
    body.transfers().iter().map(|posted| Posted { more: None, ..posted.clone() }).collect()
}

proptest! {
    /// A body reads back from its bytes as it was.
    #[test]
    fn a_body_reads_back_from_its_bytes(body in any_body()) {
        let read = Body::from_bytes(body.kind(), &body.to_bytes(), transfers_of(&body));
        prop_assert_eq!(read, Some(body));
    }

    /// Bytes cut short, or with something after them, are no form of this body: they do not read, or are another's.
    #[test]
    fn bytes_of_another_length_are_not_this_body(body in any_body(), after in vec(any::<u8>(), 1..4)) {
        let whole = body.to_bytes();
        let longer = [whole.as_slice(), &after].concat();
        for bytes in (0..whole.len()).map(|cut| &whole[..cut]).chain([longer.as_slice()]) {
            if let Some(read) = Body::from_bytes(body.kind(), bytes, transfers_of(&body)) {
                prop_assert_ne!(&read, &body);
                prop_assert_eq!(&read.to_bytes(), bytes);
            }
        }
    }

    /// Garbage never panics; and whatever does read is written as just these bytes, so no body has two forms.
    #[test]
    fn garbage_does_not_read(kind in -1..10_i32, bytes in vec(any::<u8>(), 0..120)) {
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
