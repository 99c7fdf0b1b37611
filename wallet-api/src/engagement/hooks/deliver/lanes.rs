//! Lanes: what is in memory for each endpoint, waiting or under way, and never more than there is room for.
//!
//! A delivery is held from the moment it is taken into memory until its outcome is written or given up, so that the poll, should it
//! find it due meanwhile, does not send it a second time.

use std::collections::hash_map::{Entry, HashMap};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use hyper::body::Bytes;
use uuid::Uuid;

use crate::engagement::hooks::guard::{Policy, Refusal, Target};
use crate::engagement::hooks::model::EventTypes;
use crate::engagement::hooks::sign::Secret;
use crate::engagement::hooks::store::bulk::{Listener, Place, Room};
use crate::platform::events::Event;

/// Deliveries in memory for one endpoint.
pub(super) const PLACES: usize = 2_048;
/// Bytes of bodies in memory, all endpoints together.
pub(super) const MAX_BYTES: usize = 32 * 1024 * 1024;

/// An endpoint: its tenant and its id.
pub(super) type Key = (i64, Uuid);

/// An endpoint, read and ready to be sent to.
pub(super) struct Receiver {
    pub(super) key: Key,
    /// Where, or why the operator's policy no longer lets hooks go there.
    pub(super) target: Result<Target, Refusal>,
    pub(super) secrets: Vec<Secret>,
    event_types: EventTypes,
    /// The row this was read from, to see whether it changed.
    row: Listener,
}

/// A delivery in memory.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) place: Place,
    pub(super) event: Uuid,
    /// Attempts made before.
    pub(super) attempts: i32,
    pub(super) body: Bytes,
}

struct Lane {
    receiver: Arc<Receiver>,
    waiting: VecDeque<Job>,
    held: HashSet<(i64, i32)>,
    /// Workers under way.
    workers: usize,
    /// Whether the table has, or may have, deliveries that are due and found no room.
    overflowed: bool,
}

/// The lanes of all enabled endpoints.
#[derive(Default)]
pub(super) struct Lanes {
    by_endpoint: HashMap<Key, Lane>,
    bytes: usize,
}

impl Receiver {
    fn read(row: Listener, policy: &Policy) -> Self {
        let target = Target::parse(&row.url, policy);
        // The table's check has the length; without a secret nothing verifies, and the receiver says so.
        let secrets = Secret::from_bytes(row.secret.clone()).into_iter().collect();
        let event_types = EventTypes::stored(row.event_types.clone());
        Self { key: (row.tenant, row.id), target, secrets, event_types, row }
    }

    /// Whether it is told this event: one of its types, recorded after it was added.
    pub(super) fn listens_to(&self, event: &Event) -> bool {
        event.seq > self.row.since_seq && self.event_types.include(event.kind)
    }
}

impl Lane {
    fn room(&self) -> usize {
        PLACES.saturating_sub(self.held.len())
    }
}

impl Lanes {
    /// Makes sure that there is a lane for each of these endpoints, and gives them as receivers.
    pub(super) fn know(&mut self, rows: Vec<Listener>, policy: &Policy) -> Vec<Arc<Receiver>> {
        rows.into_iter().map(|row| self.lane_of(row, policy)).collect()
    }

    fn lane_of(&mut self, row: Listener, policy: &Policy) -> Arc<Receiver> {
        match self.by_endpoint.entry((row.tenant, row.id)) {
            Entry::Occupied(mut lane) => {
                if lane.get().receiver.row != row {
                    lane.get_mut().receiver = Arc::new(Receiver::read(row, policy));
                }
                Arc::clone(&lane.get().receiver)
            }
            Entry::Vacant(place) => {
                let receiver = Arc::new(Receiver::read(row, policy));
                place.insert(Lane {
                    receiver: Arc::clone(&receiver),
                    waiting: VecDeque::new(),
                    held: HashSet::new(),
                    workers: 0,
                    overflowed: false,
                });
                receiver
            }
        }
    }

    /// Forgets what waits for endpoints that are not among these any more.
    pub(super) fn keep_only(&mut self, enabled: &HashSet<Key>) {
        let gone: Vec<Key> = self.by_endpoint.keys().filter(|key| !enabled.contains(*key)).copied().collect();
        for key in gone {
            self.close(&key);
        }
    }

    /// Forgets what waits for one endpoint; what is under way goes on, and the lane goes with the last of it.
    pub(super) fn close(&mut self, key: &Key) {
        let Some(lane) = self.by_endpoint.get_mut(key) else { return };
        for job in lane.waiting.drain(..) {
            lane.held.remove(&(job.place.seq, job.place.ordinal));
            self.bytes = self.bytes.saturating_sub(job.body.len());
        }
        if lane.held.is_empty() && lane.workers == 0 {
            self.by_endpoint.remove(key);
        }
    }

    /// Begins nothing more. What waits stays held, to be released in the table.
    pub(super) fn close_all(&mut self) {
        for lane in self.by_endpoint.values_mut() {
            lane.waiting.clear();
        }
    }

    /// Whether no attempt is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.by_endpoint.values().all(|lane| lane.workers == 0)
    }

    /// How many more deliveries to this endpoint memory takes.
    pub(super) fn room(&self, key: &Key) -> usize {
        let full = self.bytes >= MAX_BYTES;
        self.by_endpoint.get(key).map_or(0, |lane| if full { 0 } else { lane.room() })
    }

    /// The room there is at each endpoint, for the poll.
    pub(super) fn rooms(&self, at_most: usize) -> Vec<Room> {
        let room = |key: &Key| Room {
            tenant: key.0,
            endpoint: key.1,
            places: i64::try_from(self.room(key).min(at_most)).unwrap_or(0),
        };
        self.by_endpoint.keys().map(room).filter(|room| room.places > 0).collect()
    }

    /// Notes whether the table has due deliveries for this endpoint beyond those taken.
    pub(super) fn set_overflowed(&mut self, key: &Key, overflowed: bool) {
        if let Some(lane) = self.by_endpoint.get_mut(key) {
            lane.overflowed = overflowed;
        }
    }

    /// Whether some endpoint with deliveries left in the table has room for a good part of what memory holds.
    pub(super) fn is_hungry(&self) -> bool {
        let hungry = |lane: &Lane| lane.overflowed && lane.room() >= PLACES / 4;
        self.bytes < MAX_BYTES && self.by_endpoint.values().any(hungry)
    }

    /// Takes a delivery into memory, unless it is there already or its endpoint is not. True when a worker more may
    /// start on it; whoever is told so must start one.
    pub(super) fn push(&mut self, job: Job, concurrency: usize) -> bool {
        let key = (job.place.tenant, job.place.endpoint);
        let Some(lane) = self.by_endpoint.get_mut(&key) else { return false };
        if !lane.held.insert((job.place.seq, job.place.ordinal)) {
            return false;
        }
        self.bytes = self.bytes.saturating_add(job.body.len());
        lane.waiting.push_back(job);
        let starts = lane.workers < concurrency;
        lane.workers = lane.workers.saturating_add(usize::from(starts));
        starts
    }

    /// The next delivery for a worker of this endpoint; without one, the worker has ended.
    pub(super) fn next(&mut self, key: &Key) -> Option<(Arc<Receiver>, Job)> {
        let lane = self.by_endpoint.get_mut(key)?;
        match lane.waiting.pop_front() {
            Some(job) => Some((Arc::clone(&lane.receiver), job)),
            None => {
                lane.workers = lane.workers.saturating_sub(1);
                None
            }
        }
    }

    /// Lets go of a delivery whose outcome is written.
    pub(super) fn let_go(&mut self, place: &Place, bytes: usize) {
        let Some(lane) = self.by_endpoint.get_mut(&(place.tenant, place.endpoint)) else { return };
        if lane.held.remove(&(place.seq, place.ordinal)) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Everything in memory that is not done.
    pub(super) fn held(&self) -> Vec<Place> {
        let of = |(key, lane): (&Key, &Lane)| {
            let (tenant, endpoint) = *key;
            let place = move |(seq, ordinal): &(i64, i32)| Place { tenant, endpoint, seq: *seq, ordinal: *ordinal };
            lane.held.iter().map(place).collect::<Vec<_>>()
        };
        self.by_endpoint.iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = (1, Uuid::from_u128(5));

    fn lanes() -> Lanes {
        let row = Listener {
            tenant: KEY.0,
            id: KEY.1,
            url: "https://example.com/".to_owned(),
            event_types: vec!["*".to_owned()],
            secret: vec![0; 32],
            since_seq: 0,
        };
        let mut lanes = Lanes::default();
        lanes.know(vec![row], &Policy::default());
        lanes
    }

    fn job(seq: i64) -> Job {
        let place = Place { tenant: KEY.0, endpoint: KEY.1, seq, ordinal: 0 };
        Job { place, event: Uuid::nil(), attempts: 0, body: Bytes::from_static(b"four") }
    }

    #[test]
    fn a_delivery_in_memory_is_not_taken_again_until_its_outcome_is_written() {
        let mut lanes = lanes();
        assert!(lanes.push(job(1), 8));
        assert!(!lanes.push(job(1), 8), "as it waits");
        assert!(lanes.next(&KEY).is_some_and(|(_, job)| job.place.seq == 1));
        assert!(!lanes.push(job(1), 8), "as it is sent");
        assert!(lanes.next(&KEY).is_none());
        lanes.let_go(&job(1).place, 4);
        assert!(lanes.push(job(1), 8), "then it is another attempt");
    }

    #[test]
    fn no_more_workers_start_than_are_allowed_at_once() {
        let mut lanes = lanes();
        let started = (1..=5).filter(|seq| lanes.push(job(*seq), 2)).count();
        assert_eq!((started, lanes.is_idle()), (2, false));
        while lanes.next(&KEY).is_some() {}
        assert!(lanes.next(&KEY).is_none());
        assert!(lanes.is_idle(), "both have ended");
    }

    #[test]
    fn memory_is_given_back_whether_a_delivery_is_done_or_dropped() {
        let mut lanes = lanes();
        for seq in 1..=3 {
            lanes.push(job(seq), 1);
        }
        assert_eq!((lanes.bytes, lanes.room(&KEY)), (12, PLACES - 3));
        let taken = lanes.next(&KEY);
        lanes.keep_only(&HashSet::new());
        assert_eq!((lanes.bytes, lanes.held().len()), (4, 1), "what is under way stays");
        drop(taken);
        lanes.let_go(&job(1).place, 4);
        assert!(lanes.next(&KEY).is_none());
        lanes.keep_only(&HashSet::new());
        assert_eq!((lanes.bytes, lanes.by_endpoint.len()), (0, 0));
    }

    #[test]
    fn an_endpoint_nobody_knows_and_a_full_memory_have_no_room() {
        let mut lanes = lanes();
        assert_eq!(lanes.room(&(2, KEY.1)), 0);
        assert!(!lanes.push(Job { place: Place { tenant: 2, ..job(1).place }, ..job(1) }, 8));
        lanes.bytes = MAX_BYTES;
        assert!(lanes.room(&KEY) == 0 && lanes.rooms(500).is_empty());
    }
}
