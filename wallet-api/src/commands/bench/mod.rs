//! Bench: how fast the house is, as ratios against PostgreSQL's own benchmark on the same machine in the same minutes.
//!
//! Absolute figures say more about the machine than about the code, so every figure stands beside its reference
//! ([`pgbench`]). Load comes over HTTP from a generator ([`load`]) that shares the cores with what it measures and is
//! therefore lean; hooks arrive at a [`receiver`] as lean. Quantiles come from a [`histogram`] of fixed size.
//! Not here: another machine's load, TLS, anything but loopback.

pub mod histogram;
pub mod load;
pub mod open_files;
pub mod pgbench;
pub mod receiver;
pub mod rss;
pub mod wire;
