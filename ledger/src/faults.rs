//! Points where a test may stop this process. Compiled only with the feature `faults`, which no release has.

use std::sync::atomic::{AtomicBool, Ordering};

/// Stops the process (as SIGSTOP does) between deciding a batch and sending it, once, when the batch has at least as many
/// records as the environment variable `TESSERA_STOP_BEFORE_POST` says.
pub(crate) fn before_post(records: usize) {
    static DONE: AtomicBool = AtomicBool::new(false);
    let wanted = std::env::var("TESSERA_STOP_BEFORE_POST").ok().and_then(|least| least.parse::<usize>().ok());
    if wanted.is_some_and(|least| records >= least) && !DONE.swap(true, Ordering::SeqCst) {
        tracing::warn!(records, "stopping before a loaded batch is sent");
        _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
        // The kernel may stop the other threads first: this one must not get to send the batch meanwhile.
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
