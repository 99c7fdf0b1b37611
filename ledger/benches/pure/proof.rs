//! What the log takes: a leaf, a root, an inclusion proof, a customer's whole receipt.

use std::borrow::Cow;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use ledger::apply::VERSION;
use ledger::proof::leaf::Parts;
use ledger::proof::receipt::Opened;
use ledger::proof::tree::{root_of, verify_inclusion};
use ledger::proof::{
    Hash, Head, Header, KeyId, PublicKey, Receipt, Ring, Salts, SideFacts, SideOf, SignedHead, Signer, leaf_hash,
    node_hash,
};
use ledger::{Posted, Record, Request, Side};
use uuid::Uuid;

use super::Void;
use super::books::{Books, JOURNAL, NOW, payments};

const FORK: Uuid = Uuid::from_u128(1);
/// A log of a thousand million leaves: a way of thirty hashes.
const HEIGHT: u8 = 30;
const SIZE: i64 = 1 << HEIGHT;
/// Leaves under the root that is made.
const LEAVES: u32 = 1_000;

/// Times each step, from a payment of four transfers to its receipt.
pub fn bench(criterion: &mut Criterion) -> Result<(), Void> {
    let ring = ring().ok_or("there are no keys")?;
    let requests = payments();
    let applied = Books::new().decide(&requests.iter().collect::<Vec<&Request>>(), false);
    let record = applied.records.first().ok_or("there is no record")?;
    let leaves: Vec<Hash> = (0..LEAVES).map(|number| leaf_hash(&[&number.to_be_bytes()])).collect();
    let keys = [ring.current().public()];
    let receipt = receipt(&ring, record).ok_or("there is no receipt")?;
    let bytes = receipt.to_bytes();
    check(&bytes, &keys).ok_or("the receipt proves nothing")?;
    let mut group = criterion.benchmark_group("proof");
    group.throughput(Throughput::Elements(1));
    group.bench_function("leaf of a payment", |bencher| {
        bencher.iter(|| parts(&ring, black_box(record)).map(|parts| parts.leaf(header(record)).hash()));
    });
    group.throughput(Throughput::Elements(LEAVES.into()));
    group.bench_function("root over 1,000 leaves", |bencher| bencher.iter(|| root_of(black_box(&leaves))));
    group.throughput(Throughput::Elements(1));
    group.bench_function("inclusion proof checked", |bencher| {
        let (leaf, path, root) = (receipt.leaf.hash(), &receipt.path, receipt.head.head.root);
        bencher.iter(|| verify_inclusion(0, 1 << HEIGHT, black_box(&leaf), path, &root));
    });
    group.bench_function("receipt read and checked", |bencher| bencher.iter(|| check(black_box(&bytes), &keys)));
    group.finish();
    Ok(())
}

/// What a customer does offline: how many sides the receipt proves.
fn check(bytes: &[u8], keys: &[PublicKey]) -> Option<usize> {
    Receipt::from_bytes(bytes).ok()?.check(keys).ok().map(|proven| proven.sides.len())
}

fn ring() -> Option<Ring> {
    let mut salts = Salts::default();
    salts.add(1, &[7; 32]);
    Ring::new(vec![Signer::from_seed(&[9; 32])?], salts)
}

/// The receipt of the first record of the log, with the payer's side of the first transfer opened.
fn receipt(ring: &Ring, record: &Record) -> Option<Receipt> {
    let parts = parts(ring, record)?;
    let leaf = parts.leaf(header(record));
    let side = debit(record.body.transfers().first()?);
    let (place, salt, way) = parts.opening(0, &side);
    let path: Vec<Hash> = (0..HEIGHT).map(|level| leaf_hash(&[&[level]])).collect();
    let root = path.iter().fold(leaf.hash(), |hash, sibling| node_hash(&hash, sibling));
    let (key, next) = (KeyId([0; 8]), None);
    let head =
        Head { journal: JOURNAL, fork: FORK, size: SIZE, root, recorded_us: NOW, signed_us: NOW, salt: 1, key, next };
    let head = SignedHead::sign(ring, None, head)?;
    Some(Receipt { leaf, opened: vec![Opened { place, salt, side, path: way }], path, head })
}

fn parts<'a>(ring: &'a Ring, record: &Record) -> Option<Parts<'a>> {
    let mut parts = Parts::new(ring.salts.newest()?, FORK, record.seq, &record.body.to_bytes(), &record.meta);
    for posted in record.body.transfers() {
        parts.side(&debit(posted));
        parts.side(&facts(posted, SideOf::Credit, &posted.credit));
    }
    Some(parts)
}

fn header(record: &Record) -> Header {
    let (kind, id) = (record.body.kind(), record.id);
    Header {
        journal: JOURNAL,
        fork: FORK,
        seq: 1,
        kind,
        id,
        recorded_us: NOW,
        effective_us: NOW,
        salt: 1,
        rules: VERSION,
    }
}

fn debit(posted: &Posted) -> SideFacts<'static> {
    facts(posted, SideOf::Debit, &posted.debit)
}

fn facts(posted: &Posted, side: SideOf, of: &Side) -> SideFacts<'static> {
    SideFacts {
        leg: posted.leg,
        side,
        kind: posted.kind.code(),
        amount: posted.amount.minor,
        asset: Cow::Borrowed("EUR"),
        scale: 2,
        account: of.public_id,
        balance: of.balance,
        held: of.held,
        version: of.version,
    }
}
