//! How long whoever asked still waits, known to whatever their request awaits without being handed down to it.
//!
//! Not here: what happens at the end (`http` answers, `db` tells long readings to stop).

use std::time::{Duration, Instant};

tokio::task_local! {
    static END: Instant;
}

/// Runs a request that is answered by this moment, whatever has come of it.
pub fn until<F: Future>(end: Instant, request: F) -> impl Future<Output = F::Output> {
    END.scope(end, request)
}

/// What is left of this task's request; none for work that is no request.
#[must_use]
pub fn left() -> Option<Duration> {
    END.try_with(|end| end.saturating_duration_since(Instant::now())).ok()
}
