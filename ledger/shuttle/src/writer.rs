//! What the queue is written against, as far as it looks.

mod laws;
#[path = "../../src/writer/queue.rs"]
#[expect(dead_code, reason = "the writer uses the rest")]
mod queue;

/// Each with its name.
pub const LAWS: [(&str, fn()); 4] =
    [("woken", laws::woken), ("closed", laws::closed), ("abandoned", laws::abandoned), ("fair", laws::fair)];

/// The locks whose order shuttle decides.
mod sync {
    pub use std::sync::PoisonError;

    pub use shuttle::sync::{Condvar, Mutex, MutexGuard};
}

/// Who answered.
type Answer = &'static str;
/// Whoever ends the term says no more than that.
type JournalError = ();

fn lock<T>(mutex: &sync::Mutex<T>) -> sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(sync::PoisonError::into_inner)
}
