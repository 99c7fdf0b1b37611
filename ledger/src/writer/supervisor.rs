//! Looks at who leads what, takes the slots that are free, and starts again whatever ends.
//!
//! Promises: a free slot is taken within a quarter of a second by a node that has not its share of them, and within two
//! seconds by any; a node that has more than its share gives one up after the other. Nodes that disagree, also about how
//! many slots there are, do no harm: the epoch in each head is the fence. Not here: leading ([`lead`](super::lead)).

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use diesel::PgConnection;

use super::slots::Slot;
use super::{Inner, lead, session};
use crate::store::StoreError;
use crate::store::lease;

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often nodes say that they are there, while there is more than one slot to share.
const ATTEND_EVERY: Duration = Duration::from_secs(1);
/// How long a free slot is left to those that have not their share.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(2);
/// After a slot was taken that nobody else wanted, none is given up for so long.
const KEPT: Duration = Duration::from_secs(60);

pub(super) fn run(inner: &Arc<Inner>) {
    let mut supervisor = Supervisor::new(inner);
    while !inner.is_stopping() {
        if let Err(error) = supervisor.turn() {
            supervisor.looking = None;
            tracing::warn!(%error, "cannot ask for the journals' leases");
        }
        let until = Instant::now() + LOOK_EVERY;
        while !inner.is_stopping() && Instant::now() < until {
            thread::sleep(lead::WATCH_EVERY);
        }
    }
    supervisor.stop();
}

struct Supervisor<'a> {
    inner: &'a Arc<Inner>,
    /// One session to look with: whoever waits for a lease asks five times a second, perhaps for months.
    looking: Option<PgConnection>,
    places: Vec<Place>,
    attended_at: Option<Instant>,
    /// Slots that are this node's share.
    share: usize,
    keeps_until: Option<Instant>,
}

/// A slot as the supervisor sees it.
struct Place {
    slot: Arc<Slot>,
    /// Takes the lease and leads, and ends when it does neither any more.
    leading: Option<JoinHandle<()>>,
    free_since: Option<Instant>,
}

impl<'a> Supervisor<'a> {
    fn new(inner: &'a Arc<Inner>) -> Self {
        Self { inner, looking: None, places: Vec::new(), attended_at: None, share: 1, keeps_until: None }
    }

    fn turn(&mut self) -> Result<(), StoreError> {
        let conn = match &mut self.looking {
            Some(conn) => conn,
            None => self.looking.insert(session::open(&self.inner.config.url)?),
        };
        let holders = lease::holders(conn)?;
        if holders.len() != self.places.len() {
            self.remake(holders.len());
        }
        for (place, holder) in self.places.iter_mut().zip(holders) {
            // A lease of our own that no thread of ours holds is what a term left that ended badly.
            place.note(holder.filter(|holder| holder.id != self.inner.config.holder).map(|holder| holder.address));
        }
        self.attend()?;
        self.take();
        self.give_up();
        Ok(())
    }

    /// Another number of slots: every journal may be in another one now, so all are given up and begun anew.
    fn remake(&mut self, slots: usize) {
        self.retire_all();
        self.inner.slots.set(slots);
        let all = self.inner.slots.all();
        self.places = all.iter().map(|slot| Place::new(Arc::clone(slot))).collect();
        (self.share, self.attended_at) = (slots.max(1), None);
    }

    /// Where there is something to share, says that this node is there, and learns among how many it is shared.
    fn attend(&mut self) -> Result<(), StoreError> {
        // At once where a slot is free: whoever led it may be gone, and the share then is larger.
        let is_free = self.places.iter().any(|place| place.free_since.is_some());
        let is_due = is_free || self.attended_at.is_none_or(|at| at.elapsed() >= ATTEND_EVERY);
        let Some(conn) = self.looking.as_mut().filter(|_| is_due && self.places.len() > 1) else { return Ok(()) };
        let nodes = lease::attend(conn, self.inner.config.holder, &self.inner.config.address, lead::ttl_ms())?;
        self.share = self.places.len().div_ceil(nodes.max(1));
        self.attended_at = Some(Instant::now());
        Ok(())
    }

    fn take(&mut self) {
        let mut mine = self.places.iter().filter(|place| place.leading.is_some()).count();
        for place in &mut self.places {
            let Some(since) = place.free_since.filter(|_| place.leading.is_none()) else { continue };
            let nobody_else_does = since.elapsed() >= LEFT_TO_OTHERS;
            if mine < self.share || nobody_else_does {
                if mine >= self.share {
                    self.keeps_until = Instant::now().checked_add(KEPT);
                }
                mine = mine.saturating_add(1);
                place.lead(lead::start(self.inner, &place.slot));
            }
        }
    }

    /// One slot more than its share is given up, in good order, when others are there to take it.
    fn give_up(&mut self) {
        let led: Vec<_> = self.places.iter().map(|place| &place.slot).filter(|slot| slot.leads()).collect();
        let keeps = self.keeps_until.is_some_and(|until| Instant::now() < until);
        if keeps || led.len() <= self.share || led.iter().any(|slot| slot.is_retired()) {
            return;
        }
        if let Some(slot) = led.last() {
            tracing::info!(slot = slot.number, "giving a slot to another node");
            slot.retire();
        }
    }

    fn retire_all(&mut self) {
        self.inner.slots.retire();
        for thread in self.places.drain(..).filter_map(|place| place.leading) {
            if thread.join().is_err() {
                tracing::error!("a slot's thread panicked");
            }
        }
    }

    fn stop(mut self) {
        self.inner.slots.retire();
        let shared = self.places.len() > 1;
        // While the slots are given up: who takes them is to know that there is one less to share them.
        let left = self.looking.as_mut().filter(|_| shared).map(|conn| lease::leave(conn, self.inner.config.holder));
        if let Some(Err(error)) = left {
            tracing::warn!(%error, "the others were not told that this node goes; they see it in three seconds");
        }
        self.retire_all();
    }
}

impl Place {
    fn new(slot: Arc<Slot>) -> Self {
        Self { slot, leading: None, free_since: None }
    }

    /// A thread takes it up. If it is free again, it is so from then on.
    fn lead(&mut self, thread: Option<JoinHandle<()>>) {
        (self.leading, self.free_since) = (thread, None);
    }

    /// Takes note of who else holds the lease.
    fn note(&mut self, holder: Option<String>) {
        if let Some(ended) = self.leading.take_if(|thread| thread.is_finished())
            && ended.join().is_err()
        {
            tracing::error!("a slot's thread panicked");
        }
        if self.leading.is_some() {
            return; // it knows better
        }
        self.free_since = match holder {
            Some(_) => None,
            None => self.free_since.or_else(|| Some(Instant::now())),
        };
        self.slot.set_leader(holder);
    }
}

#[cfg(test)]
mod tests {
    use super::super::slots::Slots;
    use super::*;

    #[test]
    fn a_slot_that_was_given_up_is_free_from_then_on_and_not_from_when_it_was_first_seen_free() {
        let slots = Slots::new();
        slots.set(1);
        let mut place = Place::new(Arc::clone(&slots.all()[0]));
        place.note(None);
        let first = place.free_since.unwrap();
        place.note(None);
        assert_eq!(place.free_since, Some(first), "it goes on being free");
        let (hold, held) = std::sync::mpsc::channel::<()>();
        place.lead(Some(thread::spawn(move || _ = held.recv())));
        place.note(None);
        assert_eq!(place.free_since, None, "while a thread is at it");
        drop(hold);
        while place.leading.as_ref().is_some_and(|thread| !thread.is_finished()) {
            thread::yield_now();
        }
        place.note(None);
        assert!(place.free_since.is_some_and(|since| since > first));
        place.note(Some("http://10.0.0.2".to_owned()));
        assert_eq!((place.free_since, place.slot.leader().as_deref()), (None, Some("http://10.0.0.2")));
    }
}
