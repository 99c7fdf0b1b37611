//! Wakes whoever sends hooks, when something to send was put into the table: a test, a replay, an endpoint enabled again.
//!
//! What the journal records needs none of it: who leads hears of each commit. Without a wake the table is looked at twice a
//! second anyway, so one that is lost costs half a second.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

/// Tells the other nodes that a tenant has something to send. It must not block.
pub type Tell = Box<dyn Fn(i64) + Send + Sync>;

/// The wake of a node; clones are the same.
#[derive(Clone, Default)]
pub struct Wake(Arc<Both>);

#[derive(Default)]
struct Both {
    here: Notify,
    elsewhere: OnceLock<Tell>,
}

impl Wake {
    /// Tells other nodes too, by this; the first one told stays.
    pub fn tell_by(&self, tell: Tell) {
        _ = self.0.elsewhere.set(tell);
    }

    /// Something of this tenant's is to be sent, by whichever node leads its journal.
    pub fn wake(&self, tenant: i64) {
        self.wake_here();
        if let Some(tell) = self.0.elsewhere.get() {
            tell(tenant);
        }
    }

    /// Another node says that there is something.
    pub fn wake_here(&self) {
        self.0.here.notify_one();
    }

    /// Waits for the next wake.
    pub(super) async fn woken(&self) {
        self.0.here.notified().await;
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wake")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn a_wake_is_kept_for_who_is_busy_and_told_to_the_others_by_its_tenant() {
        let (wake, told) = (Wake::default(), Arc::<Mutex<Vec<i64>>>::default());
        wake.wake(1);
        wake.woken().await;
        let tell = Arc::clone(&told);
        wake.tell_by(Box::new(move |tenant| tell.lock().unwrap().push(tenant)));
        wake.clone().wake(7);
        wake.woken().await;
        wake.wake_here();
        wake.woken().await;
        assert_eq!(*told.lock().unwrap(), [7], "what was heard is not told on");
    }
}
