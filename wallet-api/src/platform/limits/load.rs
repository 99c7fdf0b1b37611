//! How busy the node is: requests in hand, and how long a new money command would wait for the journal's writer.
//!
//! The wait is estimated from what can be seen: requests queued over the rate at which the writer gets through them while
//! there is a queue, and at least the time for which a queue has not moved at all. An empty queue is no wait, whatever
//! went before, so one request always gets through to find out. Looked at every [`LOOK_EVERY`] at the most, by whichever
//! request comes first; nobody waits for it.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::class::{Class, PerClass};
use super::policy::Policy;

/// How old what is known of the writer may be.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(5);
/// What was seen longer ago than this says nothing about now.
const FORGET_AFTER: Duration = Duration::from_secs(1);

/// What can be seen of the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    /// Requests waiting for it.
    pub queued: u64,
    /// Records it has committed since any moment.
    pub committed: u64,
}

/// Looks at the writer; called from any request, so it may not block.
pub type Look = Arc<dyn Fn() -> Writer + Send + Sync>;

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// As many as may be of this class are in hand.
    InHand,
    /// The writer's queue is too long.
    Queue,
}

/// The load of a node.
pub struct Load {
    look: Look,
    in_hand: PerClass<AtomicUsize>,
    look_again_at: AtomicU64,
    wait_ns: AtomicU64,
    backlog: Mutex<Backlog>,
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").field("in_hand", &self.in_hand).field("wait_ns", &self.wait_ns).finish_non_exhaustive()
    }
}

impl Load {
    pub(super) fn new(look: Look) -> Self {
        let (look_again_at, wait_ns) = (AtomicU64::default(), AtomicU64::default());
        Self { look, in_hand: PerClass::default(), look_again_at, wait_ns, backlog: Mutex::default() }
    }

    /// Takes one more in hand; [`leave`](Self::leave) ends it. `now` is nanoseconds since any moment that does not change.
    pub(super) fn enter(&self, policy: &Policy, class: Class, now: u64) -> Result<(), Busy> {
        if self.wait_ns(now) > patience_ns(policy.patience, class) {
            return Err(Busy::Queue);
        }
        let at_once = policy.classes.of(class).at_once;
        if self.in_hand.of(class).fetch_add(1, Ordering::Relaxed) >= at_once {
            self.leave(class);
            return Err(Busy::InHand);
        }
        Ok(())
    }

    pub(super) fn leave(&self, class: Class) {
        self.in_hand.of(class).fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn look(&self) -> Look {
        Arc::clone(&self.look)
    }

    pub(super) fn in_hand(&self) -> usize {
        Class::ALL.iter().map(|class| self.in_hand.of(*class).load(Ordering::Relaxed)).fold(0, usize::saturating_add)
    }

    fn wait_ns(&self, now: u64) -> u64 {
        let due = self.look_again_at.load(Ordering::Relaxed);
        let next = now.saturating_add(nanos(LOOK_EVERY));
        let is_mine =
            now >= due && self.look_again_at.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_mine {
            let seen = (self.look)();
            let wait = self.backlog.lock().unwrap_or_else(PoisonError::into_inner).see(now, seen);
            self.wait_ns.store(wait, Ordering::Relaxed);
        }
        self.wait_ns.load(Ordering::Relaxed)
    }
}

/// Bulk gives way first, money last.
fn patience_ns(patience: Duration, class: Class) -> u64 {
    let part = match class {
        Class::Money => 1,
        Class::Read | Class::Setup => 2,
        Class::Bulk => 4,
    };
    nanos(patience).checked_div(part).unwrap_or(0)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A queue as it was seen time after time.
#[derive(Debug, Default)]
struct Backlog {
    seen_at: u64,
    /// When it last moved or was empty, and what had been committed then.
    moved_at: u64,
    committed: u64,
    /// How long one request of the queue takes, once it was seen.
    each_ns: Option<u64>,
}

impl Backlog {
    /// Looks, and says how long a request that comes now would wait, in nanoseconds.
    fn see(&mut self, now: u64, writer: Writer) -> u64 {
        let long_ago = now.saturating_sub(self.seen_at) > nanos(FORGET_AFTER);
        self.seen_at = now;
        if writer.queued == 0 || long_ago {
            *self = Self { seen_at: now, moved_at: now, committed: writer.committed, each_ns: None };
            return 0;
        }
        let done = writer.committed.saturating_sub(self.committed);
        let took = now.saturating_sub(self.moved_at);
        if done > 0 {
            let each = took.checked_div(done).unwrap_or(0);
            // Batches differ much: the mean of what was known and what is new.
            self.each_ns = Some(self.each_ns.map_or(each, |known| known.midpoint(each)));
            (self.moved_at, self.committed) = (now, writer.committed);
        }
        let stands_for = now.saturating_sub(self.moved_at);
        self.each_ns.map_or(0, |each| each.saturating_mul(writer.queued)).max(stands_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn writer(queued: u64, committed: u64) -> Writer {
        Writer { queued, committed }
    }

    #[test]
    fn the_wait_is_the_queue_over_the_rate_it_goes_at() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.see(0, writer(0, 0)), 0);
        assert_eq!(backlog.see(10 * MS, writer(500, 0)), 10 * MS, "not moved since it was seen empty");
        assert_eq!(backlog.see(20 * MS, writer(1_000, 100)), 200 * MS, "100 in 20 ms, so 1,000 take 200");
        assert_eq!(backlog.see(30 * MS, writer(0, 900)), 0);
    }

    #[test]
    fn the_rate_of_quiet_times_says_nothing_about_a_burst() {
        let mut backlog = Backlog::default();
        for second in 0..10 {
            assert_eq!(backlog.see(second * 500 * MS, writer(0, second)), 0);
        }
        assert_eq!(backlog.see(4_505 * MS, writer(1_000, 9)), 5 * MS, "two a second was all that was asked for");
    }

    #[test]
    fn a_queue_that_does_not_move_is_a_wait_and_after_a_long_silence_is_none() {
        let mut backlog = Backlog::default();
        for ms in 0..900 {
            assert_eq!(backlog.see(ms * MS, writer(u64::from(ms > 0), 7)), ms * MS);
        }
        assert_eq!(backlog.see(5_000 * MS, writer(1, 7)), 0);
    }

    fn load(queued: Arc<AtomicU64>) -> Load {
        Load::new(Arc::new(move || writer(queued.load(Ordering::Relaxed), 0)))
    }

    #[test]
    fn bulk_gives_way_first_and_money_last_and_all_come_back() {
        let queued = Arc::new(AtomicU64::new(0));
        let (load, policy) = (load(Arc::clone(&queued)), Policy::default());
        let turned_away = |ms: u64| {
            let away = |class: &Class| load.enter(&policy, *class, ms * MS).map(|()| load.leave(*class)).is_err();
            Class::ALL.into_iter().filter(away).collect::<Vec<_>>()
        };
        assert_eq!(turned_away(0), []);
        queued.store(1, Ordering::Relaxed);
        assert_eq!(turned_away(200), []);
        assert_eq!(turned_away(400), [Class::Bulk]);
        assert_eq!(turned_away(800), [Class::Read, Class::Setup, Class::Bulk]);
        assert_eq!(turned_away(1_100), Class::ALL);
        queued.store(0, Ordering::Relaxed);
        assert_eq!(turned_away(1_110), []);
        assert_eq!(load.in_hand(), 0);
    }

    #[test]
    fn a_class_that_has_its_hands_full_takes_nothing_from_another() {
        let load = load(Arc::default());
        let mut policy = Policy::default();
        policy.classes.read.at_once = 2;
        assert!(load.enter(&policy, Class::Read, 0).is_ok() && load.enter(&policy, Class::Read, 0).is_ok());
        assert_eq!(load.enter(&policy, Class::Read, 0), Err(Busy::InHand));
        assert_eq!(load.enter(&policy, Class::Money, 0), Ok(()));
        load.leave(Class::Read);
        assert_eq!(load.enter(&policy, Class::Read, 0), Ok(()));
        assert_eq!(load.in_hand(), 3);
    }
}
