//! The clock of an open loop: it does not wait for answers.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

/// The least time between two looks at the schedule: a request goes out at most about this much late by our own doing,
/// which counts against the server. A finer tick was tried and dropped: 200 µs cost twice the CPU of 1 ms.
const MIN_TICK: Duration = Duration::from_micros(500);

/// When each request of an open loop is due.
pub(super) struct Schedule {
    pub(super) start: Instant,
    rate_per_s: u64,
    pub(super) total: u64,
    /// One permit for each request that is due and not yet taken up.
    pub(super) due: Semaphore,
}

impl Schedule {
    pub(super) fn new(rate_per_s: NonZeroU32, duration: Duration) -> Self {
        let rate_per_s = u64::from(rate_per_s.get());
        let total = due_after(duration, rate_per_s);
        Self { start: Instant::now(), rate_per_s, total, due: Semaphore::new(0) }
    }

    pub(super) fn due_at(&self, number: u64) -> Instant {
        let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.rate_per_s);
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Lets go what is due by now, and says how long to wait before the next look; `None` when all is let go.
    pub(super) fn release(&self, released: &mut u64, connections: usize) -> Option<Duration> {
        // Request 0 is due at once, hence the one more.
        let due = (due_after(self.start.elapsed(), self.rate_per_s) + 1).min(self.total);
        let fresh = due.saturating_sub(std::mem::replace(released, due));
        self.due.add_permits(usize::try_from(fresh).unwrap_or(Semaphore::MAX_PERMITS));
        if due == self.total {
            // One more for each connection: who gets it finds nothing left to send and ends.
            self.due.add_permits(connections);
            return None;
        }
        Some(self.due_at(due).saturating_duration_since(Instant::now()).max(MIN_TICK))
    }
}

fn due_after(elapsed: Duration, rate_per_s: u64) -> u64 {
    u64::try_from(elapsed.as_nanos() * u128::from(rate_per_s) / 1_000_000_000).unwrap_or(u64::MAX)
}
