//! `apply` against an executable model of the journal, against its laws, and against the edge cases of ledgers.
//!
//! `PROPTEST_CASES` raises the number of random stories per property; each story is up to seven batches of up to
//! thirteen requests. `make model` plays a million requests on both books, from a seed that it prints.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod model;
#[cfg(test)]
mod play;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod same_as_the_model;
