//! The locks of the queue, named in one place so that a checker of orders can put its own there (`ledger/shuttle`).

pub(super) use std::sync::{Condvar, Mutex, PoisonError};
