//! Lanes: what is in memory for each endpoint, waiting or under way, and never more than there is room for.
//!
//! Each endpoint has an [`Outbox`] of three [lanes](Lane): first attempts, retries, replays. Together they hold
//! [`MAX_BYTES`] of bodies; an endpoint's own bounds are its outbox's.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::lane::{Concurrency, Lane};
use super::outbox::{Job, Outbox, Turn};
use super::receiver::{Key, Receiver};
use crate::engagement::hooks::guard::Policy;
use crate::engagement::hooks::store::bulk::{Listener, Place, Room};
use crate::platform::metrics::{HookLoad, LaneLoad};

/// Bytes of bodies in memory, all endpoints together.
pub(super) const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The outboxes of all enabled endpoints.
#[derive(Default)]
pub(super) struct Lanes {
    by_endpoint: HashMap<Key, Outbox>,
    bytes: usize,
}

impl Lanes {
    /// Makes sure that there is an outbox for each of these endpoints, and gives them as receivers.
    pub(super) fn know(&mut self, rows: Vec<Listener>, policy: &Policy) -> Vec<Arc<Receiver>> {
        rows.into_iter().map(|row| self.receiver_of(row, policy)).collect()
    }

    fn receiver_of(&mut self, row: Listener, policy: &Policy) -> Arc<Receiver> {
        match self.by_endpoint.entry((row.tenant, row.id)) {
            Entry::Occupied(mut outbox) => {
                if !outbox.get().receiver.is_of(&row) {
                    outbox.get_mut().receiver = Arc::new(Receiver::read(row, policy));
                }
                Arc::clone(&outbox.get().receiver)
            }
            Entry::Vacant(place) => {
                let receiver = Arc::new(Receiver::read(row, policy));
                place.insert(Outbox::of(Arc::clone(&receiver)));
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

    /// Forgets what waits for one endpoint; what is under way goes on, and the outbox goes with the last of it.
    pub(super) fn close(&mut self, key: &Key) {
        let Some(outbox) = self.by_endpoint.get_mut(key) else { return };
        self.bytes = self.bytes.saturating_sub(outbox.spill());
        if outbox.held().next().is_none() && outbox.is_idle() {
            self.by_endpoint.remove(key);
        }
    }

    /// Begins nothing more. What waits stays held, to be released in the table.
    pub(super) fn close_all(&mut self) {
        self.by_endpoint.values_mut().for_each(|outbox| drop(outbox.take_waiting()));
    }

    /// Whether no attempt is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.by_endpoint.values().all(Outbox::is_idle)
    }

    /// How many more deliveries to this endpoint a lane takes into memory.
    pub(super) fn room(&self, key: &Key, lane: Lane, now: Instant) -> usize {
        let full = self.bytes >= MAX_BYTES;
        self.by_endpoint.get(key).map_or(0, |outbox| if full { 0 } else { outbox.room(lane, now) })
    }

    /// The room there is at each endpoint, by lane, for the poll.
    pub(super) fn rooms(&self, at_most: usize, now: Instant) -> Vec<Room> {
        let room = |key: &Key, lane: Lane| Room {
            tenant: key.0,
            endpoint: key.1,
            lane: lane.code(),
            places: i64::try_from(self.room(key, lane, now).min(at_most)).unwrap_or(0),
        };
        let all = self.by_endpoint.keys().flat_map(|key| Lane::ALL.map(|lane| room(key, lane)));
        all.filter(|room| room.places > 0).collect()
    }

    /// Notes whether the table has due deliveries for this lane beyond those taken.
    pub(super) fn set_overflowed(&mut self, key: &Key, lane: Lane, overflowed: bool) {
        if let Some(outbox) = self.by_endpoint.get_mut(key) {
            outbox.set_overflowed(lane, overflowed);
        }
    }

    /// Whether some lane with deliveries left in the table has room for a good part of what it may hold.
    pub(super) fn is_hungry(&self, now: Instant) -> bool {
        self.bytes < MAX_BYTES && self.by_endpoint.values().any(|outbox| outbox.is_hungry(now))
    }

    /// Takes a delivery into memory, unless it is there already or its endpoint is not. True when a worker more may
    /// start on its lane; whoever is told so must start one.
    pub(super) fn push(&mut self, job: Job, concurrency: Concurrency, now: Instant) -> bool {
        let outbox = self.by_endpoint.get_mut(&(job.place.tenant, job.place.endpoint));
        let Some(outbox) = outbox.filter(|outbox| !outbox.holds(&job.place)) else { return false };
        self.bytes = self.bytes.saturating_add(job.body.len());
        outbox.push(job, concurrency, now)
    }

    /// The next delivery for a worker of this lane; without one, the worker has ended.
    pub(super) fn next(&mut self, key: &Key, lane: Lane) -> Option<Turn> {
        self.by_endpoint.get_mut(key)?.next(lane)
    }

    /// Notes whether an attempt succeeded. When the breaker opens, what waits is let go of: the table has it, and it
    /// comes due by itself.
    pub(super) fn landed(&mut self, key: &Key, failure: Option<&'static str>, on_trial: bool, now: Instant) {
        let Some(outbox) = self.by_endpoint.get_mut(key) else { return };
        match failure {
            None => outbox.succeeded(),
            Some(reason) if outbox.failed(reason, on_trial, now) => {
                self.bytes = self.bytes.saturating_sub(outbox.spill());
            }
            Some(_) => {}
        }
    }

    /// Lets go of a delivery whose outcome is written.
    pub(super) fn let_go(&mut self, place: &Place, bytes: usize) {
        let outbox = self.by_endpoint.get_mut(&(place.tenant, place.endpoint));
        if outbox.is_some_and(|outbox| outbox.let_go(place)) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Since when an endpoint has been failing, as far as is known, and how many notices of it were given.
    pub(super) fn failing(&self, key: &Key) -> (Option<DateTime<Utc>>, i16) {
        self.by_endpoint.get(key).map_or((None, 0), |outbox| outbox.receiver.failing())
    }

    /// What is in memory, in figures.
    pub(super) fn load(&self) -> HookLoad {
        let breakers_open = self.by_endpoint.values().filter(|outbox| outbox.is_asked_seldom()).count();
        HookLoad { lanes: Lane::ALL.map(|lane| self.load_of(lane)).into(), breakers_open }
    }

    fn load_of(&self, lane: Lane) -> LaneLoad {
        let loads = self.by_endpoint.values().map(|outbox| outbox.load(lane));
        let add = |(waiting, under_way): (usize, usize), load: (usize, usize)| {
            (waiting.saturating_add(load.0), under_way.saturating_add(load.1))
        };
        let (waiting, under_way) = loads.fold((0, 0), add);
        LaneLoad { lane: lane.word(), waiting, under_way }
    }

    /// Everything in memory that is not done.
    pub(super) fn held(&self) -> Vec<Place> {
        self.by_endpoint.values().flat_map(Outbox::held).collect()
    }
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;
    use uuid::Uuid;

    use super::*;
    use crate::engagement::hooks::deliver::lane::PLACES;
    use crate::engagement::hooks::deliver::receiver::tests::{KEY, listener};

    const TWO: Concurrency = Concurrency { first: 2, retry: 1, replay: 1 };

    fn lanes() -> Lanes {
        let mut lanes = Lanes::default();
        lanes.know(vec![listener()], &Policy::default());
        lanes
    }

    fn job(seq: i64) -> Job {
        let place = Place { tenant: KEY.0, endpoint: KEY.1, seq, ordinal: 0 };
        Job {
            place,
            event: Uuid::nil(),
            attempts: 0,
            replayed: None,
            turn: None,
            depth: 0,
            body: Bytes::from_static(b"four"),
        }
    }

    #[test]
    fn a_delivery_in_memory_is_not_taken_again_until_its_outcome_is_written() {
        let mut lanes = lanes();
        assert!(lanes.push(job(1), TWO, Instant::now()));
        assert!(!lanes.push(job(1), TWO, Instant::now()), "as it waits");
        assert!(lanes.next(&KEY, Lane::First).is_some_and(|turn| turn.job.place.seq == 1));
        assert!(!lanes.push(job(1), TWO, Instant::now()), "as it is sent");
        assert!(lanes.next(&KEY, Lane::First).is_none());
        lanes.let_go(&job(1).place, 4);
        assert!(lanes.push(job(1), TWO, Instant::now()), "then it is another attempt");
    }

    #[test]
    fn no_more_workers_start_than_are_allowed_at_once() {
        let mut lanes = lanes();
        let started = (1..=5).filter(|seq| lanes.push(job(*seq), TWO, Instant::now())).count();
        assert_eq!((started, lanes.is_idle()), (2, false));
        while lanes.next(&KEY, Lane::First).is_some() {}
        assert!(lanes.next(&KEY, Lane::First).is_none());
        assert!(lanes.is_idle(), "both have ended");
    }

    #[test]
    fn memory_is_given_back_whether_a_delivery_is_done_or_dropped() {
        let mut lanes = lanes();
        for seq in 1..=3 {
            lanes.push(job(seq), Concurrency { first: 1, ..TWO }, Instant::now());
        }
        assert_eq!((lanes.bytes, lanes.room(&KEY, Lane::First, Instant::now())), (12, PLACES.first - 3));
        let taken = lanes.next(&KEY, Lane::First);
        lanes.keep_only(&HashSet::new());
        assert_eq!((lanes.bytes, lanes.held().len()), (4, 1), "what is under way stays");
        drop(taken);
        lanes.let_go(&job(1).place, 4);
        assert!(lanes.next(&KEY, Lane::First).is_none());
        lanes.keep_only(&HashSet::new());
        assert_eq!((lanes.bytes, lanes.by_endpoint.len()), (0, 0));
    }

    #[test]
    fn an_endpoint_nobody_knows_and_a_full_memory_have_no_room() {
        let mut lanes = lanes();
        assert_eq!(lanes.room(&(2, KEY.1), Lane::First, Instant::now()), 0);
        assert!(!lanes.push(Job { place: Place { tenant: 2, ..job(1).place }, ..job(1) }, TWO, Instant::now()));
        lanes.bytes = MAX_BYTES;
        assert!(lanes.room(&KEY, Lane::First, Instant::now()) == 0 && lanes.rooms(500, Instant::now()).is_empty());
    }

    #[test]
    fn each_lane_has_its_own_room_and_its_own_workers() {
        let (mut lanes, now) = (lanes(), Instant::now());
        let retry = |seq| Job { attempts: 1, ..job(seq) };
        let replay = |seq| Job { attempts: 3, replayed: Some(3), ..job(seq) };
        let started = (1..=300).filter(|seq| lanes.push(replay(*seq), TWO, now)).count();
        assert_eq!((started, lanes.room(&KEY, Lane::Replay, now)), (1, 0));
        assert_eq!(lanes.room(&KEY, Lane::First, now), PLACES.first, "a flood of replays takes nobody's room");
        assert!(lanes.push(retry(301), TWO, now) && lanes.push(job(302), TWO, now), "and nobody's workers");
        assert!(lanes.next(&KEY, Lane::First).is_some_and(|turn| turn.job.place.seq == 302));
        assert!(lanes.next(&KEY, Lane::Retry).is_some_and(|turn| turn.job.place.seq == 301));
    }

    #[test]
    fn a_dead_endpoint_keeps_nothing_waiting_and_gets_no_room_until_a_trial_succeeds() {
        let (mut lanes, now) = (lanes(), Instant::now());
        for seq in 1..=50 {
            lanes.push(job(seq), TWO, now);
        }
        for _ in 0..10 {
            let turn = lanes.next(&KEY, Lane::First).unwrap();
            lanes.landed(&KEY, Some("status"), turn.on_trial, now);
            lanes.let_go(&turn.job.place, 4);
        }
        assert_eq!((lanes.bytes, lanes.held().len()), (0, 0), "what waited is the table's");
        assert!(lanes.rooms(500, now).is_empty());
        let then = now + std::time::Duration::from_secs(1);
        assert_eq!(lanes.rooms(500, then).iter().map(|room| room.places).collect::<Vec<_>>(), [1, 1, 1]);
        lanes.push(job(51), TWO, then);
        assert!(lanes.rooms(500, then).is_empty(), "one is on trial");
        let turn = lanes.next(&KEY, Lane::First).unwrap();
        assert!(turn.on_trial);
        lanes.landed(&KEY, None, turn.on_trial, then);
        assert_eq!(lanes.room(&KEY, Lane::First, then), PLACES.first - 1);
    }
}
