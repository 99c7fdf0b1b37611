//! Golden vectors, and proof that the form keeps every field apart.
//!
//! The hexadecimal below was not printed by this code: it was put together field by field from the form's description
//! by another program. It never changes; a new form is a new version with vectors of its own.

use proptest::prelude::*;

use super::*;
use crate::record::tests::{any_record, number_of, odd_assets};
use crate::{Amount, Body, Claim, Dropped, Nature, NewAccount, NormalSide, Refusal, RowKind};

const RECORDED_US: i64 = 1_750_000_000_000_000;
const EFFECTIVE_US: i64 = 1_700_000_000_000_000;
const ALICE: Uuid = Uuid::from_u128(0xa1);
const SHOP: Uuid = Uuid::from_u128(0xb2);
const ISSUE: Uuid = Uuid::from_u128(0xc3);

/// Tag, journal 7, fork.
const PLACE: &str =
    concat!("00000010746573736572612e7265636f72642e31", "0000000000000007", "f0000000000000000000000000000001");
/// 1,750,000,000,000,000 and 1,700,000,000,000,000.
const RECORDED: &str = "0006379da05b6000";
const EFFECTIVE: &str = "00060a24181e4000";
/// No metadata, no transfers.
const NOTHING_MORE: &str = "0000000000000000";

fn place() -> Place {
    Place { journal: JournalId(7), fork: Uuid::from_u128(0xf000_0000_0000_0000_0000_0000_0000_0001) }
}

fn assets() -> [Asset; 2] {
    let asset = |id, code: &str, scale| Asset { id: AssetId(id), code: code.into(), scale };
    [asset(1, "EUR", 2), asset(2, "PTS:caffè", 0)]
}

fn record(seq: i64, id: u128, effective_us: i64, body: Body) -> Record {
    Record { seq, id: Uuid::from_u128(id), recorded_us: RECORDED_US, effective_us, body, meta: Vec::new() }
}

fn side(public_id: Uuid, balance: i64, held: i64, version: i64) -> Side {
    Side { account: number_of(public_id), public_id, balance, held, version }
}

fn row(leg: i32, amount: Amount, debit: Side, credit: Side) -> Posted {
    Posted { leg, kind: RowKind::Move, amount, debit, credit, more: None }
}

fn is_golden(record: &Record, parts: &[&str]) {
    let assets = assets();
    let bytes = canonical_bytes(place(), record, |id| assets.iter().find(|asset| asset.id == id));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, parts.concat());
}

#[test]
fn golden_transaction_with_claim_companions_and_dropped_groups() {
    let mut digest = [0; 32];
    (0..).zip(&mut digest).for_each(|(value, byte)| *byte = value);
    let body = Body::Transaction {
        transfers: vec![
            row(0, Amount::new(5_000, AssetId(1)), side(ALICE, -5_000, 0, 1), side(SHOP, 5_000, 0, 1)),
            row(3, Amount::new(50, AssetId(2)), side(ISSUE, -50, 0, 9), side(SHOP, 50, 10, 2)),
        ],
        dropped: vec![
            Dropped { group: 0, refusal: Refusal::Floor { account: SHOP } },
            Dropped { group: 2, refusal: Refusal::ClaimSpent { seq: 3 } },
        ],
        claim: Some(Claim(Uuid::from_u128(0xc1a1))),
        companions: Some(digest),
    };
    let record = Record { meta: b"m|\0".to_vec(), ..record(5, 0x7a, EFFECTIVE_US, body) };
    let parts = [
        PLACE,
        "0000000000000005",
        "00000001",
        "0000000000000000000000000000007a",
        RECORDED,
        EFFECTIVE,
        // Body: claim, companions, two dropped groups.
        "00000058",
        "010000000000000000000000000000c1a1",
        "01000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "00000002",
        "0000000001000000000000000000000000000000b2",
        "00000002050000000000000003",
        // Metadata.
        "000000036d7c00",
        // Two transfers: leg, kind, amount, code, scale, then balance, held, version of each side.
        "00000002",
        "0000000000000001000000000000138800000003455552",
        "00000002",
        "000000000000000000000000000000a1ffffffffffffec7800000000000000000000000000000001",
        "000000000000000000000000000000b2000000000000138800000000000000000000000000000001",
        "000000030000000100000000000000320000000a5054533a63616666c3a8",
        "00000000",
        "000000000000000000000000000000c3ffffffffffffffce00000000000000000000000000000009",
        "000000000000000000000000000000b20000000000000032000000000000000a0000000000000002",
    ];
    is_golden(&record, &parts);
}

#[test]
fn golden_transaction_of_one_transfer() {
    let one = row(0, Amount::new(1, AssetId(1)), side(ALICE, -1, 0, 1), side(SHOP, 1, 0, 1));
    let body = Body::Transaction { transfers: vec![one], dropped: Vec::new(), claim: None, companions: None };
    let parts = [
        PLACE,
        "0000000000000006",
        "00000001",
        "0000000000000000000000000000007b",
        RECORDED,
        RECORDED,
        "00000006000000000000",
        "00000000",
        "00000001",
        "000000000000000100000000000000010000000345555200000002",
        "000000000000000000000000000000a1ffffffffffffffff00000000000000000000000000000001",
        "000000000000000000000000000000b2000000000000000100000000000000000000000000000001",
    ];
    is_golden(&record(6, 0x7b, RECORDED_US, body), &parts);
}

#[test]
fn golden_opened_with_every_term() {
    let account = NewAccount {
        public_id: ALICE,
        asset: AssetId(1),
        normal_side: NormalSide::Credit,
        owner: Some(Uuid::from_u128(0x0e)),
        floor: Some(0),
        ceiling: Some(100_000),
        nature: Nature::Plain,
    };
    let [asset, _] = assets();
    let parts = [
        PLACE,
        "0000000000000001",
        "00000002",
        "000000000000000000000000000000a1",
        RECORDED,
        RECORDED,
        "0000004e",
        "000000000000000000000000000000a1",
        "0000000345555200000002",
        "0000000100000001",
        "0000000000000002",
        "010000000000000000000000000000000e",
        "010000000000000000",
        "0100000000000186a0",
        NOTHING_MORE,
    ];
    is_golden(&record(1, 0xa1, RECORDED_US, Body::Opened { account, asset, by: 2 }), &parts);
}

#[test]
fn golden_opened_without_owner_and_limits() {
    let asset = Asset { id: AssetId(2), code: "PTS:club".into(), scale: 0 };
    let account = NewAccount {
        public_id: ISSUE,
        asset: asset.id,
        normal_side: NormalSide::Debit,
        owner: None,
        floor: None,
        ceiling: None,
        nature: Nature::Plain,
    };
    let parts = [
        PLACE,
        "0000000000000002",
        "00000002",
        "000000000000000000000000000000c3",
        RECORDED,
        RECORDED,
        "00000033",
        "000000000000000000000000000000c3",
        "000000085054533a636c756200000000",
        "0000000200000000",
        "0000000000000000",
        "000000",
        NOTHING_MORE,
    ];
    is_golden(&record(2, 0xc3, RECORDED_US, Body::Opened { account, asset, by: 0 }), &parts);
}

#[test]
fn golden_frozen() {
    let parts = [
        PLACE,
        "0000000000000003",
        "00000003",
        "000000000000000000000000000000a1",
        RECORDED,
        RECORDED,
        "00000012000000000000000000000000000000a10100",
        NOTHING_MORE,
    ];
    is_golden(&record(3, 0xa1, RECORDED_US, Body::Frozen { account: ALICE, debits: true, credits: false }), &parts);
}

#[test]
fn golden_refused_for_each_reason() {
    let account = ALICE;
    let reasons = [
        (Refusal::Floor { account }, "0000001101000000000000000000000000000000a1"),
        (Refusal::Ceiling { account }, "0000001102000000000000000000000000000000a1"),
        (Refusal::Frozen { account }, "0000001103000000000000000000000000000000a1"),
        (Refusal::Overflow { account }, "0000001104000000000000000000000000000000a1"),
        (Refusal::ClaimSpent { seq: 3 }, "00000009050000000000000003"),
    ];
    for (refusal, body) in reasons {
        let head = [PLACE, "0000000000000008", "00000004", "0000000000000000000000000000007c", RECORDED, RECORDED];
        let parts = [head.as_slice(), &[body, NOTHING_MORE]].concat();
        is_golden(&record(8, 0x7c, RECORDED_US, Body::Refused { refusal }), &parts);
    }
}

#[test]
fn golden_clock_moved() {
    let parts = [
        PLACE,
        "0000000000000009",
        "00000005",
        "0000000000000000000000000000004e",
        RECORDED,
        RECORDED,
        "00000008000000141dd76000",
        NOTHING_MORE,
    ];
    is_golden(&record(9, 0x4e, RECORDED_US, Body::ClockMoved { offset_us: 86_400_000_000 }), &parts);
}

#[test]
fn golden_abandoned() {
    let parts = [
        PLACE,
        "000000000000000a",
        "00000006",
        "0000000000000000000000000000005a",
        RECORDED,
        RECORDED,
        "00000000",
        NOTHING_MORE,
    ];
    is_golden(&record(10, 0x5a, RECORDED_US, Body::Abandoned), &parts);
}

#[test]
fn the_same_record_elsewhere_has_other_bytes() {
    let record = record(9, 0x4e, RECORDED_US, Body::ClockMoved { offset_us: 1 });
    let bytes = |place| canonical_bytes(place, &record, |_| None);
    let here = bytes(place());
    assert_ne!(here, bytes(Place { journal: JournalId(8), ..place() }));
    assert_ne!(here, bytes(Place { fork: Uuid::from_u128(2), ..place() }));
}

fn bytes_of(record: &Record) -> Vec<u8> {
    let assets = odd_assets();
    canonical_bytes(place(), record, |id| assets.iter().find(|asset| asset.id == id))
}

/// Reads the canonical form back; none when it is not one.
fn read_back(bytes: &[u8]) -> Option<Record> {
    let mut bytes = Reader::new(bytes);
    let found = (bytes.bytes()?, bytes.i64()?, bytes.uuid()?);
    if found != (TAG, place().journal.0, place().fork) {
        return None;
    }
    let (seq, kind, id, recorded_us, effective_us) =
        (bytes.i64()?, bytes.i32()?, bytes.uuid()?, bytes.i64()?, bytes.i64()?);
    let (body, meta) = (bytes.bytes()?, bytes.bytes()?.to_vec());
    let transfers = bytes.list(read_posted)?;
    let body = Body::from_bytes(kind, body, transfers)?;
    bytes.is_empty().then_some(Record { seq, id, recorded_us, effective_us, body, meta })
}

fn read_posted(bytes: &mut Reader<'_>) -> Option<Posted> {
    let (leg, kind, minor) = (bytes.i32()?, RowKind::from_code(bytes.i32()?)?, bytes.i64()?);
    let (code, scale) = (bytes.bytes()?, bytes.i32()?);
    let assets = odd_assets();
    let asset = assets.iter().find(|asset| asset.code.as_bytes() == code && i32::from(asset.scale) == scale)?;
    let mut read_side = || {
        let (public_id, balance, held, version) = (bytes.uuid()?, bytes.i64()?, bytes.i64()?, bytes.i64()?);
        Some(side(public_id, balance, held, version))
    };
    Some(Posted {
        leg,
        kind,
        amount: Amount::new(minor, asset.id),
        debit: read_side()?,
        credit: read_side()?,
        more: None,
    })
}

proptest! {
    /// Every field can be told again from the bytes, whatever the others hold: so no two records share them.
    #[test]
    fn case_79_a_record_reads_back_from_its_canonical_bytes(record in any_record()) {
        prop_assert_eq!(read_back(&bytes_of(&record)), Some(record));
    }

    /// Two records share their bytes only if they are the same.
    #[test]
    fn case_79_two_records_never_share_bytes(one in any_record(), other in any_record()) {
        prop_assert_eq!(bytes_of(&one) == bytes_of(&other), one == other);
        // And with all fields the same but what stands side by side.
        let moved = Record { body: other.body, ..one.clone() };
        prop_assert_eq!(bytes_of(&one) == bytes_of(&moved), one == moved);
        let moved = Record { meta: other.meta, ..one.clone() };
        prop_assert_eq!(bytes_of(&one) == bytes_of(&moved), one == moved);
    }

    /// Cut short or continued, the bytes are no record's: none is the beginning of another's.
    #[test]
    fn no_form_is_the_beginning_of_another(record in any_record(), after in any::<u8>()) {
        let mut bytes = bytes_of(&record);
        for cut in 0..bytes.len() {
            prop_assert_eq!(read_back(&bytes[..cut]), None);
        }
        bytes.push(after);
        prop_assert_eq!(read_back(&bytes), None);
    }
}
