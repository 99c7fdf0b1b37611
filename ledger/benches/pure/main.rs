//! The journal's pure functions by themselves, timed by criterion: no database, no file, no thread.
//!
//! `cargo bench -p ledger` runs them, `cargo bench -p ledger -- apply` those whose name has that word. They tell what a change
//! costs one function; what the house does with a database under it is `tessera bench`. Each checks what it is about to
//! time, once: a figure of requests that were refused by mistake would be worth nothing.

mod apply;
mod books;
mod bytes;
mod proof;

use criterion::Criterion;

/// Why there is nothing to time.
type Void = &'static str;

fn main() -> Result<(), Void> {
    let mut criterion = Criterion::default().without_plots().configure_from_args();
    apply::bench(&mut criterion)?;
    bytes::bench(&mut criterion)?;
    proof::bench(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
