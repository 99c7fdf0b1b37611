//! Two records that differ have two canonical forms, and each form reads as the length it has.
#![no_main]

use ledger::canonical::{Place, canonical_bytes};
use ledger::{AccountId, Amount, Asset, AssetId, Body, JournalId, Posted, Record, RowKind, Side};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

fuzz_target!(|bytes: &[u8]| {
    let mut source = Unstructured::new(bytes);
    let (Ok(Some(one)), Ok(Some(other))) = (record(&mut source), record(&mut source)) else { return };
    let assets =
        ["EUR", "PTS:a|b"].map(|code| Asset { id: AssetId(i32::from(code == "EUR")), code: code.into(), scale: 2 });
    let place = || Place { journal: JournalId(7), fork: Uuid::from_u128(1) };
    let form = |record: &Record| canonical_bytes(place(), record, |id| assets.iter().find(|asset| asset.id == id));
    assert_eq!(one == other, form(&one) == form(&other), "{one:?} and {other:?}");
});

/// A record of small parts, so that two of them are often nearly the same.
fn record(source: &mut Unstructured<'_>) -> Result<Option<Record>> {
    let (seq, id) = (source.int_in_range(1..=2)?, id(source)?);
    let (recorded_us, effective_us) = (source.int_in_range(0..=1)?, source.int_in_range(0..=1)?);
    let rows = (0..source.int_in_range(0..=2)?).map(|leg| row(source, leg)).collect::<Result<Vec<_>>>()?;
    let kind = source.int_in_range(1..=8)?;
    let length = source.int_in_range(0..=200)?;
    let bytes = source.bytes(length.min(source.len()))?;
    // Only transactions and what was due have rows.
    let rows = if matches!(kind, 1 | 7) { rows } else { Vec::new() };
    let Some(body) = Body::from_bytes(kind, bytes, rows) else { return Ok(None) };
    let meta = source.int_in_range(0..=3)?;
    let meta = source.bytes(meta)?.to_vec();
    Ok(Some(Record { seq, id, recorded_us, effective_us, body, meta }))
}

fn row(source: &mut Unstructured<'_>, leg: i32) -> Result<Posted> {
    let kinds = [RowKind::Move, RowKind::Hold, RowKind::Capture, RowKind::Void, RowKind::Expire];
    let amount = Amount::new(source.int_in_range(1..=3)?, AssetId(source.int_in_range(0..=1)?));
    let kind = *source.choose(&kinds)?;
    Ok(Posted { leg, kind, amount, debit: side(source)?, credit: side(source)?, more: None })
}

/// An account's number is part of no form: here it follows from its id.
fn side(source: &mut Unstructured<'_>) -> Result<Side> {
    let public_id = id(source)?;
    let account = AccountId(i64::from(public_id == Uuid::nil()));
    let (balance, held) = (source.int_in_range(-1..=1)?, source.int_in_range(0..=1)?);
    Ok(Side { account, public_id, balance, held, version: source.int_in_range(1..=2)? })
}

fn id(source: &mut Unstructured<'_>) -> Result<Uuid> {
    Ok(Uuid::from_u128(source.int_in_range(0..=1)?))
}
