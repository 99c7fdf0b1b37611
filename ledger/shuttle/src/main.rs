//! The writer's queue itself (`ledger/src/writer/queue.rs`), its locks replaced by shuttle's, which decides at each of
//! them who goes on: callers, a writer and whoever ends the term, in as many orders as asked for.
//!
//! Laws, of any order: who was let in is answered once, who was refused never; no more wait than the limit; linked
//! requests come whole and by themselves; a journal's turn comes before another's second; nobody is let in once it is
//! closed; nobody sleeps for ever. Shuttle fails a run in which all threads wait, so a lost wake-up is found too.
//! Random orders and PCT's (Burckhardt and others, 2010), half each. `SEED` repeats a run; `ORDERS` says how many.
//! Not here: answers on their way (tokio's own channel), the database.

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

mod writer;

/// Whose books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalId(i64);

/// As much of a request as the queue sees, and who asked.
#[derive(Debug)]
pub struct Request {
    journal: JournalId,
    number: usize,
}

fn main() {
    let number = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let seed = number("SEED").map_or_else(now, |text| text.parse().expect("SEED is a number"));
    let orders: usize = number("ORDERS").map_or(20_000, |text| text.parse().expect("ORDERS is a number"));
    println!("SEED={seed}, {orders} orders of each");
    for (name, law) in writer::LAWS {
        Runner::new(RandomScheduler::new_from_seed(seed, orders.div_ceil(2)), Config::new()).run(law);
        Runner::new(PctScheduler::new_from_seed(seed, 3, orders.div_ceil(2)), Config::new()).run(law);
        println!("{name}: {orders} orders, nothing wrong");
    }
}

fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("a clock");
    u64::try_from(since.as_micros()).expect("a time")
}
