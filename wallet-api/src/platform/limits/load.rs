//! How busy the node is: requests in hand, and how long a new money command would wait for the journal's writer.
//!
//! The wait is estimated from what can be seen: requests queued over the rate at which the writer gets through them while
//! there is a queue; and the time for which a queue has not moved at all, which a slow disk alone can cause and which only
//! concerns who would join it. An empty queue is no wait, whatever went before, so one request always gets through to
//! find out. Looked at every [`LOOK_EVERY`] at the most, by whichever request comes first; nobody waits for it.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::class::{Class, PerClass};
use super::policy::Policy;

/// How old what is known of the writer may be.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(5);
/// A batch of fewer takes as long as one of so many: the rate of small batches says nothing about a long queue.
const AS_ONE: u64 = 256;
/// A queue that does not move is joined for so many times the patience with one that does.
const STANDING: u64 = 4;
/// What was seen longer ago than this says nothing about now.
const FORGET_AFTER: Duration = Duration::from_secs(1);

/// What can be seen of the writer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writer {
    /// Requests waiting for it.
    pub queued: u64,
    /// Records it has committed since any moment.
    pub committed: u64,
    /// In so many batches.
    pub batches: u64,
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
    moving_ns: AtomicU64,
    standing_ns: AtomicU64,
    backlog: Mutex<Backlog>,
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load")
            .field("in_hand", &self.in_hand)
            .field("moving_ns", &self.moving_ns)
            .finish_non_exhaustive()
    }
}

impl Load {
    pub(super) fn new(look: Look) -> Self {
        Self {
            look,
            in_hand: PerClass::default(),
            look_again_at: AtomicU64::default(),
            moving_ns: AtomicU64::default(),
            standing_ns: AtomicU64::default(),
            backlog: Mutex::default(),
        }
    }

    /// Takes one more in hand; [`leave`](Self::leave) ends it. `now` is nanoseconds since any moment that does not change.
    pub(super) fn enter(&self, policy: &Policy, class: Class, now: u64) -> Result<(), Busy> {
        if is_too_long(self.outlook(now), policy.patience, class) {
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

    fn outlook(&self, now: u64) -> Outlook {
        let due = self.look_again_at.load(Ordering::Relaxed);
        let next = now.saturating_add(nanos(LOOK_EVERY));
        let is_mine =
            now >= due && self.look_again_at.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if is_mine {
            let seen = (self.look)();
            let Outlook { moving, standing } =
                self.backlog.lock().unwrap_or_else(PoisonError::into_inner).see(now, seen);
            self.moving_ns.store(moving, Ordering::Relaxed);
            self.standing_ns.store(standing, Ordering::Relaxed);
        }
        let load = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Outlook { moving: load(&self.moving_ns), standing: load(&self.standing_ns) }
    }
}

/// Bulk gives way first, money last; but only money joins a queue that stands.
fn is_too_long(outlook: Outlook, patience: Duration, class: Class) -> bool {
    let patience = nanos(patience);
    let part = |of| patience.checked_div(of).unwrap_or(0);
    match class {
        Class::Money => outlook.moving > patience || outlook.standing > patience.saturating_mul(STANDING),
        Class::Read | Class::Setup => outlook.moving > part(2),
        Class::Bulk => outlook.moving > part(4),
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How long a request that comes now would wait, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Outlook {
    /// At the rate at which the queue moves.
    moving: u64,
    /// For how long it has not moved at all.
    standing: u64,
}

/// A queue as it was seen time after time.
#[derive(Debug, Default)]
struct Backlog {
    seen_at: u64,
    /// When it last moved or was empty, and what the writer had done then.
    moved_at: u64,
    then: Writer,
    /// How long one request of the queue takes, once it was seen.
    each_ns: Option<u64>,
}

impl Backlog {
    /// Looks at the writer now.
    fn see(&mut self, now: u64, writer: Writer) -> Outlook {
        let long_ago = now.saturating_sub(self.seen_at) > nanos(FORGET_AFTER);
        self.seen_at = now;
        if writer.queued == 0 || long_ago {
            *self = Self { seen_at: now, moved_at: now, then: writer, each_ns: None };
            return Outlook::default();
        }
        let batches = writer.batches.saturating_sub(self.then.batches);
        if batches > 0 {
            let done = writer.committed.saturating_sub(self.then.committed).max(batches.saturating_mul(AS_ONE));
            let each = now.saturating_sub(self.moved_at).checked_div(done).unwrap_or(0);
            // Batches differ much: the mean of what was known and what is new.
            self.each_ns = Some(self.each_ns.map_or(each, |known| known.midpoint(each)));
            (self.moved_at, self.then) = (now, writer);
        }
        let moving = self.each_ns.map_or(0, |each| each.saturating_mul(writer.queued));
        Outlook { moving, standing: now.saturating_sub(self.moved_at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn writer(queued: u64, committed: u64, batches: u64) -> Writer {
        Writer { queued, committed, batches }
    }

    fn outlook(moving: u64, standing: u64) -> Outlook {
        Outlook { moving: moving * MS, standing: standing * MS }
    }

    #[test]
    fn the_wait_is_the_queue_over_the_rate_it_goes_at() {
        let mut backlog = Backlog::default();
        assert_eq!(backlog.see(0, writer(0, 0, 0)), outlook(0, 0));
        assert_eq!(backlog.see(10 * MS, writer(500, 0, 0)), outlook(0, 10), "not moved since it was seen empty");
        assert_eq!(backlog.see(20 * MS, writer(10_000, 1_000, 1)), outlook(200, 0), "1,000 in 20 ms");
        assert_eq!(backlog.see(25 * MS, writer(20_000, 1_000, 1)), outlook(400, 5));
        assert_eq!(backlog.see(30 * MS, writer(0, 21_000, 2)), outlook(0, 0));
    }

    #[test]
    fn the_rate_of_quiet_times_and_of_small_batches_says_nothing_about_a_burst() {
        let mut backlog = Backlog::default();
        for second in 0..10 {
            assert_eq!(backlog.see(second * 500 * MS, writer(0, second, second)), outlook(0, 0));
        }
        assert_eq!(backlog.see(4_510 * MS, writer(1_000, 9, 9)), outlook(0, 10), "two a second was all that was asked");
        // A commit that took 256 ms for one record takes as long for all that came meanwhile.
        assert_eq!(backlog.see(4_756 * MS, writer(16, 10, 10)), outlook(16, 0));
    }

    #[test]
    fn a_queue_that_does_not_move_stands_and_after_a_long_silence_it_is_none() {
        let mut backlog = Backlog::default();
        for ms in 0..900 {
            assert_eq!(backlog.see(ms * MS, writer(u64::from(ms > 0), 7, 7)), outlook(0, ms));
        }
        assert_eq!(backlog.see(5_000 * MS, writer(1, 7, 7)), outlook(0, 0));
    }

    #[test]
    fn bulk_gives_way_first_and_money_last_and_only_money_to_a_queue_that_stands() {
        let patience = Duration::from_millis(400);
        let turned_away = |moving, standing| {
            let is_away = |class: &Class| is_too_long(outlook(moving, standing), patience, *class);
            Class::ALL.into_iter().filter(is_away).collect::<Vec<_>>()
        };
        assert_eq!(turned_away(100, 1_600), []);
        assert_eq!(turned_away(101, 0), [Class::Bulk]);
        assert_eq!(turned_away(201, 0), [Class::Read, Class::Setup, Class::Bulk]);
        assert_eq!(turned_away(401, 0), Class::ALL);
        assert_eq!(turned_away(0, 1_601), [Class::Money]);
    }

    #[test]
    fn the_writer_is_looked_at_now_and_then_and_one_empty_queue_opens_the_door() {
        let queued = Arc::new(AtomicU64::new(1));
        let seen = Arc::clone(&queued);
        let load = Load::new(Arc::new(move || writer(seen.load(Ordering::Relaxed), 0, 0)));
        let policy = Policy { patience: Duration::from_millis(10), ..Policy::default() };
        let pay = |ms: u64| load.enter(&policy, Class::Money, ms * MS).map(|()| load.leave(Class::Money));
        assert_eq!(pay(0), Ok(()));
        assert_eq!(pay(40), Ok(()));
        assert_eq!(pay(46), Err(Busy::Queue));
        queued.store(0, Ordering::Relaxed);
        assert_eq!(pay(47), Err(Busy::Queue), "looked at a moment ago");
        assert_eq!(pay(52), Ok(()));
        assert_eq!(load.in_hand(), 0);
    }

    #[test]
    fn a_class_that_has_its_hands_full_takes_nothing_from_another() {
        let load = Load::new(Arc::new(Writer::default));
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
