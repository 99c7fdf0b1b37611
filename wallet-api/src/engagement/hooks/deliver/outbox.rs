//! The outbox of an endpoint: its deliveries in memory, by lane, and the breaker before all of them.
//!
//! A delivery is held from the moment it is taken into memory until its outcome is written or given up, so that the poll,
//! should it find it due meanwhile, does not send it a second time. Each lane has its own room and its own workers: none
//! of them waits behind another.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Bytes;
use uuid::Uuid;

use super::breaker::{Admits, Breaker};
use super::lane::{Lane, PLACES, PerLane};
use super::receiver::Receiver;
use crate::engagement::hooks::store::bulk::Place;

/// A delivery in memory.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) place: Place,
    pub(super) event: Uuid,
    /// Attempts made before.
    pub(super) attempts: i32,
    /// How many of them before it was last replayed.
    pub(super) replayed: Option<i32>,
    /// At an ordered endpoint, whose turn it is.
    pub(super) turn: Option<i64>,
    /// How many hooks led to the event.
    pub(super) depth: i16,
    pub(super) body: Bytes,
}

/// What a worker does next.
pub(super) struct Turn {
    pub(super) receiver: Arc<Receiver>,
    pub(super) job: Job,
    /// Whether it is sent to find out whether the endpoint is back.
    pub(super) on_trial: bool,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    held: usize,
    /// Workers under way.
    workers: usize,
    /// Whether the table has, or may have, deliveries that are due and found no room.
    overflowed: bool,
}

/// What is in memory for one endpoint.
pub(super) struct Outbox {
    pub(super) receiver: Arc<Receiver>,
    queues: PerLane<Queue>,
    /// By place: seq and ordinal of the event.
    held: HashMap<(i64, i32), Lane>,
    breaker: Breaker,
}

impl Outbox {
    pub(super) fn of(receiver: Arc<Receiver>) -> Self {
        let (queues, held, breaker) = Default::default();
        Self { receiver, queues, held, breaker }
    }

    /// How many more deliveries a lane takes.
    pub(super) fn room(&self, lane: Lane, now: Instant) -> usize {
        match self.breaker.admits(now) {
            Admits::All => PLACES.of(lane).saturating_sub(self.queues.of(lane).held),
            Admits::One => 1,
            Admits::Nothing => 0,
        }
    }

    /// Whether a lane with deliveries left in the table has room for a good part of what it may hold.
    pub(super) fn is_hungry(&self, now: Instant) -> bool {
        let has_room = |lane| self.queues.of(lane).overflowed && self.room(lane, now) >= PLACES.of(lane) / 4;
        self.breaker.admits(now) == Admits::All && Lane::ALL.into_iter().any(has_room)
    }

    pub(super) fn set_overflowed(&mut self, lane: Lane, overflowed: bool) {
        self.queues.of_mut(lane).overflowed = overflowed;
    }

    pub(super) fn holds(&self, place: &Place) -> bool {
        self.held.contains_key(&(place.seq, place.ordinal))
    }

    /// Takes a delivery that it does not hold. True when a worker more may start on its lane, of `at_once` at most;
    /// whoever is told so must start one.
    pub(super) fn push(&mut self, job: Job, at_once: PerLane<usize>, now: Instant) -> bool {
        let lane = Lane::of(&job);
        self.breaker.sends(now);
        self.held.insert((job.place.seq, job.place.ordinal), lane);
        let queue = self.queues.of_mut(lane);
        queue.held = queue.held.saturating_add(1);
        queue.waiting.push_back(job);
        let starts = queue.workers < (*at_once.of(lane)).max(1);
        queue.workers = queue.workers.saturating_add(usize::from(starts));
        starts
    }

    /// The next delivery for a worker of this lane; without one, the worker has ended.
    pub(super) fn next(&mut self, lane: Lane) -> Option<Turn> {
        let queue = self.queues.of_mut(lane);
        match queue.waiting.pop_front() {
            Some(job) => Some(Turn { receiver: Arc::clone(&self.receiver), job, on_trial: self.breaker.is_open() }),
            None => {
                queue.workers = queue.workers.saturating_sub(1);
                None
            }
        }
    }

    /// Notes that the endpoint took a hook.
    pub(super) fn succeeded(&mut self) {
        if self.breaker.is_open() {
            let (tenant, endpoint) = self.receiver.key;
            tracing::info!(tenant.id = tenant, endpoint.id = %endpoint, "an endpoint takes hooks again");
        }
        self.breaker.succeeded();
    }

    /// Notes that it did not; true when that opened the breaker.
    pub(super) fn failed(&mut self, reason: &'static str, on_trial: bool, now: Instant) -> bool {
        let opens = self.breaker.failed(now, on_trial);
        if opens {
            let (tenant, endpoint) = self.receiver.key;
            let says = "an endpoint takes no hooks: it is asked seldom now";
            tracing::warn!(tenant.id = tenant, endpoint.id = %endpoint, reason, "{says}");
        }
        opens
    }

    /// Lets go of a delivery; false when it was not held.
    pub(super) fn let_go(&mut self, place: &Place) -> bool {
        let Some(lane) = self.held.remove(&(place.seq, place.ordinal)) else { return false };
        let queue = self.queues.of_mut(lane);
        queue.held = queue.held.saturating_sub(1);
        true
    }

    /// Lets go of all that waits; gives its bytes.
    pub(super) fn spill(&mut self) -> usize {
        let mut bytes = 0_usize;
        for job in self.take_waiting() {
            self.let_go(&job.place);
            bytes = bytes.saturating_add(job.body.len());
        }
        bytes
    }

    /// What waits, not to be begun any more; it stays held.
    pub(super) fn take_waiting(&mut self) -> Vec<Job> {
        let waiting = |lane| std::mem::take(&mut self.queues.of_mut(lane).waiting);
        Lane::ALL.into_iter().flat_map(waiting).collect()
    }

    /// Whether no attempt is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.queues.sum(|queue| queue.workers) == 0
    }

    /// How many deliveries of a lane wait, and how many attempts are under way.
    pub(super) fn load(&self, lane: Lane) -> (usize, usize) {
        let queue = self.queues.of(lane);
        (queue.waiting.len(), queue.workers)
    }

    /// Whether its breaker is open: it is asked seldom.
    pub(super) fn is_asked_seldom(&self) -> bool {
        self.breaker.is_open()
    }

    /// Everything in memory that is not done.
    pub(super) fn held(&self) -> impl Iterator<Item = Place> + '_ {
        let (tenant, endpoint) = self.receiver.key;
        self.held.keys().map(move |(seq, ordinal)| Place { tenant, endpoint, seq: *seq, ordinal: *ordinal })
    }
}
