//! Locks, channels and threads of queue, term and pipe, named in one place so that a checker of orders can put its own there
//! (`ledger/shuttle`).

pub(super) use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
pub(super) use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
pub(super) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
pub(super) use std::thread::{Builder, Scope};
