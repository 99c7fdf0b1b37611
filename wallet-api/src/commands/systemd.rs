//! What a node tells the service manager that started it: ready, alive, stopping.
//!
//! Ready means what `/readyz` means: somebody leads the journal. Alive is told by a task of the runtime that serves: when
//! that is stuck, the watchdog's time runs out and the manager restarts the node. Without a service manager all of this
//! does nothing. Source: sd_notify(3), sd_watchdog_enabled(3).

use std::time::Duration;

use ledger::Journal;
use sd_notify::NotifyState;
use tokio::task::JoinHandle;

/// How often to look whether somebody leads.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Tells the service manager for as long as it is not dropped.
pub struct Manager {
    task: JoinHandle<()>,
}

impl Manager {
    /// Says that the node is ready once every journal is led, then that it is alive, as often as was asked for. Needs a tokio
    /// runtime.
    #[must_use]
    pub fn start(journal: Journal) -> Self {
        let task = tokio::spawn(async move {
            while !journal.status().is_led() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            tell(NotifyState::Ready);
            // Half the time, as the manual advises: one late beat is no death.
            let Some(every) = sd_notify::watchdog_enabled().and_then(|limit| limit.checked_div(2)) else { return };
            let mut beat = tokio::time::interval(every.max(LOOK_EVERY));
            loop {
                beat.tick().await;
                tell(NotifyState::Watchdog);
            }
        });
        Self { task }
    }

    /// Says that the node stops. It goes on being alive until this value is dropped.
    pub fn stopping(&self) {
        tell(NotifyState::Stopping);
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager was not told");
    }
}
