//! Golden vectors of what version 2 of the rules added to a record's bytes: put together field by field by another
//! program, and never changed.

use super::*;

const ALICE: Uuid = Uuid::from_u128(0xa1);
const SHOP: Uuid = Uuid::from_u128(0xb2);

fn is_golden(body: &Body, parts: &[&str]) {
    let hex: String = body.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, parts.concat());
}

fn row(leg: i32, more: More) -> Posted {
    let side = |public_id| Side { account: number_of(public_id), public_id, balance: 0, held: 0, version: 1 };
    let amount = Amount::new(1, AssetId(1));
    Posted { leg, kind: RowKind::Move, amount, debit: side(ALICE), credit: side(SHOP), more: more.boxed() }
}

fn piece(expires_us: i64, earned_day: i32, activates_us: i64, campaign: u128, unit_cost: i64, minor: i64) -> Piece {
    let campaign = Uuid::from_u128(campaign);
    Piece { lot: Lot { expires_us, earned_day, activates_us, campaign, unit_cost }, minor }
}

#[test]
fn golden_transaction_whose_rows_have_more() {
    let held = More {
        expires_us: Some(1_750_000_000_000_000),
        debit_lots: vec![piece(i64::MAX, 20_254, 0, 0xca, 250, 30)],
        ..More::default()
    };
    let owed = More {
        of: Some(LegRef { seq: 3, leg: 1 }),
        rate: Some(Rate { of: 0, numerator: 11, denominator: 10 }),
        owing: true,
        credit_lots: vec![piece(1_700_000_000_000_000, 19_675, 5, 0, 0, 7)],
        ..More::default()
    };
    let transfers = vec![row(0, held), row(1, owed), row(2, More::default())];
    let body = Body::Transaction { transfers, dropped: Vec::new(), claim: None, companions: None };
    let parts = [
        // No claim, no companions, no dropped group; two rows have more.
        "00",
        "00",
        "00000000",
        "00000002",
        // Leg; earlier row, end, rate, owing; one lot of the debit side, none of the credit side, none repaid.
        "00000000",
        "00010006379da05b60000000",
        "00000001",
        "7fffffffffffffff00004f1e0000000000000000000000000000000000000000000000ca00000000000000fa000000000000001e",
        "0000000000000000",
        "00000001",
        "0100000000000000030000000100",
        "0100000000000000000000000b000000000000000a01",
        "0000000000000001",
        "00060a24181e400000004cdb00000000000000050000000000000000000000000000000000000000000000000000000000000007",
        "00000000",
    ];
    is_golden(&body, &parts);
}

#[test]
fn golden_due() {
    let repaid = vec![piece(i64::MAX, 1, 0, 0, 0, 4)];
    let more = More { of: Some(LegRef { seq: 2, leg: 0 }), repaid, ..More::default() };
    let body = Body::Due { account: ALICE, period_us: 1_751_320_800_000_000, transfers: vec![row(0, more)] };
    let parts = [
        "000000000000000000000000000000a1",
        "000638d1262bf800",
        "0000000100000000",
        "01000000000000000200000000",
        "000000",
        "0000000000000000",
        "00000001",
        "7fffffffffffffff0000000100000000000000000000000000000000000000000000000000000000000000000000000000000004",
    ];
    is_golden(&body, &parts);
}

#[test]
fn golden_opened_with_what_it_keeps() {
    let opened = |nature| Body::Opened {
        account: NewAccount {
            public_id: ALICE,
            asset: AssetId(1),
            normal_side: NormalSide::Credit,
            owner: None,
            floor: Some(0),
            ceiling: None,
            nature,
        },
        asset: Asset { id: AssetId(1), code: "EUR".into(), scale: 2 },
        by: 0,
    };
    const TERMS: &str =
        "000000000000000000000000000000a1000000034555520000000200000001000000010000000000000000000100000000000000000";
    let lots = Nature::Lots { breakage: SHOP, grace_us: 604_800_000_000 };
    is_golden(&opened(lots), &[TERMS, "001000000000000000000000000000000b20000008cd0e3a000"]);
    let (period, calendar) = (Period::Month, Calendar::Rome);
    let quota = Nature::Quota { pool: SHOP, allowance: 15_000, period, calendar };
    is_golden(&opened(quota), &[TERMS, "002000000000000000000000000000000b20000000000003a980000000200000002"]);
}

#[test]
fn golden_changed() {
    let changed = |change| Body::Changed { account: ALICE, change };
    const ACCOUNT: &str = "000000000000000000000000000000a1";
    is_golden(&changed(Change::Limits { floor: Some(-500), ceiling: None }), &[ACCOUNT, "0101fffffffffffffe0c00"]);
    is_golden(&changed(Change::Allowance { minor: 9 }), &[ACCOUNT, "020000000000000009"]);
    is_golden(&changed(Change::Closed { closed: true }), &[ACCOUNT, "0301"]);
}

#[test]
fn golden_refused_for_each_new_reason() {
    let place = LegRef { seq: 5, leg: 2 };
    let reasons = [
        (Refusal::Closed { account: ALICE }, "06000000000000000000000000000000a1"),
        (Refusal::NotEmpty { account: ALICE }, "07000000000000000000000000000000a1"),
        (Refusal::HoldEnded { hold: place }, "08000000000000000500000002"),
        (Refusal::HoldExceeded { hold: place }, "09000000000000000500000002"),
        (Refusal::RefundExceeded { of: place }, "0a000000000000000500000002"),
    ];
    for (refusal, bytes) in reasons {
        is_golden(&Body::Refused { refusal }, &[bytes]);
    }
}
