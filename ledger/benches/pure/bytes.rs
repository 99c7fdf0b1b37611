//! What the byte forms take: canonical bytes of a record, its body's own bytes, a request as nodes carry it.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use ledger::canonical::{Place, canonical_bytes};
use ledger::{Body, Request};
use uuid::Uuid;

use super::Void;
use super::books::{Books, JOURNAL, payments};

/// Times writing and reading of one payment of four transfers.
pub fn bench(criterion: &mut Criterion) -> Result<(), Void> {
    let (books, requests) = (Books::new(), payments());
    let batch: Vec<&Request> = requests.iter().collect();
    let applied = books.decide(&batch, false);
    let (request, record) = requests.first().zip(applied.records.first()).ok_or("there is no record")?;
    let place = Place { journal: JOURNAL, fork: Uuid::from_u128(1) };
    let asset = |id| books.state.assets.get(&id);
    let (kind, body, rows) = (record.body.kind(), record.body.to_bytes(), record.body.transfers().to_vec());
    if Body::from_bytes(kind, &body, rows.clone()).as_ref() != Some(&record.body) {
        return Err("a body is not read as it was written");
    }
    let carried = request.to_bytes();
    if Request::from_bytes(&carried).as_ref() != Some(request) {
        return Err("a request is not read as it was written");
    }
    let mut group = criterion.benchmark_group("bytes");
    group.throughput(Throughput::Elements(1));
    group.bench_function("a record's canonical bytes written", |bencher| {
        bencher.iter(|| canonical_bytes(place, black_box(record), asset));
    });
    group.bench_function("a record's body read", |bencher| {
        let read = |rows| Body::from_bytes(kind, black_box(&body), rows);
        bencher.iter_batched(|| rows.clone(), read, BatchSize::SmallInput);
    });
    group.bench_function("a request written", |bencher| bencher.iter(|| black_box(request).to_bytes()));
    group.bench_function("a request read", |bencher| bencher.iter(|| Request::from_bytes(black_box(&carried))));
    group.finish();
    Ok(())
}
