//! The writer's queue, its flights and its pipe themselves (`ledger/src/writer/{queue,asked,term,pipe}.rs`), their locks,
//! channels and threads replaced by shuttle's, which decides at each of them who goes on: callers, a writer, the two lines of
//! the pipe, the watchdog and whoever ends the term, in as many orders as asked for.
//!
//! Laws of the queue, of any order: who was let in is answered once, who was refused never; no more wait than the limit;
//! linked requests come whole and by themselves; a journal's turn comes before another's second; nobody is let in once it is
//! closed; nobody sleeps for ever.
//!
//! Laws of the pipe, of any order and whatever fails: batches land in the order they were handed over, each on the books it
//! was decided on; after a failure none behind it is sent; everybody is answered, of their own request, and what they are
//! told is true: done is in the books, not done is not; whoever the watchdog has answered is not sent afterwards, and a line
//! that hangs keeps nobody waiting.
//!
//! Shuttle fails a run in which all threads wait, so a lost wake-up is found too. Random orders and PCT's (Burckhardt and
//! others, 2010), half each. `SEED` repeats a run; `ORDERS` says how many. That nobody is answered twice is the channel's:
//! a sender is used up by its one answer. Not here: answers on their way (tokio's own channel), the clock of lease and
//! watchdog, which here strikes at any moment, and the database, of which `commit` below is what the pipe sees of it.

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

mod books;
mod writer;

use books::{Body, Command, Invalid, JournalId, Key, Record, Request, Scope};
use books::{apply, boot_clock, store};

fn main() {
    let number = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let seed = number("SEED").map_or_else(now, |text| text.parse().expect("SEED is a number"));
    let orders: usize = number("ORDERS").map_or(20_000, |text| text.parse().expect("ORDERS is a number"));
    println!("SEED={seed}, {orders} orders of each");
    for (name, law) in writer::laws() {
        Runner::new(RandomScheduler::new_from_seed(seed, orders.div_ceil(2)), Config::new()).run(law);
        Runner::new(PctScheduler::new_from_seed(seed, 3, orders.div_ceil(2)), Config::new()).run(law);
        println!("{name}: {orders} orders, nothing wrong");
    }
}

fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("a clock");
    u64::try_from(since.as_micros()).expect("a time")
}
