//! What `apply` takes for a batch of a thousand transfers. What a caller is answered with is made and dropped each time.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use ledger::{Body, Request};

use super::Void;
use super::books::{Books, burns, earnings, overdrafts, payments, transfers};

/// A batch, whether it spends points, and whether all of it is refused.
struct Batch {
    name: &'static str,
    requests: Vec<Request>,
    spends_points: bool,
    is_refused: bool,
}

/// Times each batch; elements are transfers.
pub fn bench(criterion: &mut Criterion) -> Result<(), Void> {
    let usual = |name, requests| Batch { name, requests, spends_points: false, is_refused: false };
    let batches = [
        usual("1,000 transactions of one transfer", transfers()),
        usual("250 transactions of four", payments()),
        usual("1,000 earnings of points", earnings()),
        Batch { spends_points: true, ..usual("1,000 burns of points", burns()) },
        Batch { is_refused: true, ..usual("1,000 refusals", overdrafts()) },
    ];
    let books = Books::new();
    let mut group = criterion.benchmark_group("apply");
    for Batch { name, requests, spends_points, is_refused } in &batches {
        let batch: Vec<&Request> = requests.iter().collect();
        let applied = books.decide(&batch, *spends_points);
        let is_as_meant = |body: &Body| match body {
            Body::Transaction { dropped, .. } => !is_refused && dropped.is_empty(),
            Body::Refused { .. } => *is_refused,
            Body::Opened { .. } | Body::Frozen { .. } | Body::Changed { .. } | Body::Due { .. } => false,
            Body::ClockMoved { .. } | Body::Abandoned => false,
        };
        let all = applied.records.len() == batch.len() && applied.answers.iter().all(Result::is_ok);
        if !all || !applied.records.iter().all(|record| is_as_meant(&record.body)) {
            return Err("a batch is not decided as it was meant");
        }
        let transfers = requests.iter().map(|request| request.command.transfers().count()).sum::<usize>();
        group.throughput(Throughput::Elements(u64::try_from(transfers).unwrap_or(u64::MAX)));
        group.bench_function(*name, |bencher| bencher.iter(|| books.decide(black_box(&batch), *spends_points)));
    }
    group.finish();
    Ok(())
}
