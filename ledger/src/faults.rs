//! Points where a test may stop this process. Compiled only with the feature `faults`, which no release has.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Stops the process (as SIGSTOP does) between deciding a batch and sending it, once, when the batch has at least as many
/// records as the environment variable `TESSERA_STOP_BEFORE_POST` says.
pub(crate) fn before_post(records: usize) {
    panic_now_and_then();
    static DONE: AtomicBool = AtomicBool::new(false);
    let wanted = std::env::var("TESSERA_STOP_BEFORE_POST").ok().and_then(|least| least.parse::<usize>().ok());
    if wanted.is_some_and(|least| records >= least) && !DONE.swap(true, Ordering::SeqCst) {
        tracing::warn!(records, "stopping before a loaded batch is sent");
        _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
        // The kernel may stop the other threads first: this one must not get to send the batch meanwhile.
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

/// Panics the thread before each so-many-th batch is sent, as the environment variable `TESSERA_STOP_BY_PANIC_EVERY` says.
fn panic_now_and_then() {
    static BATCHES: AtomicU64 = AtomicU64::new(0);
    let every = std::env::var("TESSERA_STOP_BY_PANIC_EVERY").ok().and_then(|every| every.parse::<u64>().ok());
    let batch = BATCHES.fetch_add(1, Ordering::SeqCst).saturating_add(1);
    if every.is_some_and(|every| batch.checked_rem(every) == Some(0)) {
        tracing::warn!(batch, "panicking before a batch is sent");
        std::panic::resume_unwind(Box::new("on purpose"));
    }
}

/// From how many requests on a batch goes through the pipe, if the environment variable `TESSERA_STOP_PIPE_FROM` says: tests have
/// fewer callers than it takes.
pub(crate) fn pipe_from() -> Option<usize> {
    std::env::var("TESSERA_STOP_PIPE_FROM").ok().and_then(|least| least.parse().ok())
}
