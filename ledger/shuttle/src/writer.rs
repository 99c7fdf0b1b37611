//! What queue, flights and pipe are written against, as far as they look.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Invalid, Record};

#[path = "../../src/writer/asked.rs"]
#[expect(dead_code, reason = "the writer uses the rest")]
mod asked;
/// What the writer leaves to the checkpointer is not looked at here.
mod checkpoint {
    #[derive(Debug, Default)]
    pub(super) struct Checkpoints;
}
mod commit;
#[path = "../../src/writer/pipe.rs"]
mod pipe;
mod pipe_laws;
#[path = "../../src/writer/queue.rs"]
#[expect(dead_code, reason = "the writer uses the rest")]
mod queue;
mod queue_laws;
mod sync;
#[path = "../../src/writer/term.rs"]
#[expect(dead_code, reason = "the writer uses the rest")]
mod term;

/// Each with its name.
pub fn laws() -> impl Iterator<Item = (&'static str, fn())> {
    queue_laws::LAWS.into_iter().chain(pipe_laws::LAWS)
}

pub mod session {
    /// What a line of the pipe has for itself.
    pub struct PgConnection;
}

/// Who answered.
#[derive(Debug, Clone)]
pub struct Answer {
    record: Arc<Record>,
    replayed: bool,
}

/// As the writer's, but for what only callers tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
enum JournalError {
    Invalid(Invalid),
    KeyReused,
    Abandoned { seq: i64 },
    NotLeader,
    DeadlinePassed,
    OutcomeUnknown,
    Unavailable,
    NoRoom,
    Broken(String),
}

impl From<Invalid> for JournalError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

/// The node, with the books that are in its database.
struct Inner {
    books: commit::Books,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    unknown: AtomicU64,
    piped: AtomicU64,
}

impl Inner {
    fn count(&self, counter: impl Fn(&Counters) -> &AtomicU64, by: u64) {
        counter(&self.counters).fetch_add(by, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &sync::Mutex<T>) -> sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(sync::PoisonError::into_inner)
}
