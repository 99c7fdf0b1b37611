//! Lanes: what is in memory for each endpoint, waiting or under way, and never more than there is room for.
//!
//! An endpoint has three lanes, each with its own room and its own workers: first attempts, retries, replays; none of
//! them waits behind another. Before all three stands the endpoint's [`Breaker`].
//! A delivery is held from the moment it is taken into memory until its outcome is written or given up, so that the poll,
//! should it find it due meanwhile, does not send it a second time.

use std::borrow::Cow;
use std::collections::hash_map::{Entry, HashMap};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use hyper::body::Bytes;
use uuid::Uuid;

use super::breaker::{Admits, Breaker};
use crate::engagement::hooks::guard::{Policy, Refusal, Target};
use crate::engagement::hooks::model::EventTypes;
use crate::engagement::hooks::sign::Secret;
use crate::engagement::hooks::store::bulk::{Listener, Place, Room};
use crate::platform::events::Event;

/// First attempts in memory for one endpoint.
pub(super) const PLACES: usize = 2_048;
/// Retries in memory for one endpoint.
const RETRY_PLACES: usize = 512;
/// Replays in memory for one endpoint.
const REPLAY_PLACES: usize = 256;
/// Bytes of bodies in memory, all endpoints together.
pub(super) const MAX_BYTES: usize = 32 * 1024 * 1024;

/// An endpoint: its tenant and its id.
pub(super) type Key = (i64, Uuid);

/// Which lane of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// First attempts.
    First,
    /// Second and later attempts.
    Retry,
    /// What is told again on request.
    Replay,
}

impl Kind {
    const ALL: [Self; 3] = [Self::First, Self::Retry, Self::Replay];

    /// Its number in the table's index: see `bulk::lane`.
    pub(super) fn code(self) -> i32 {
        match self {
            Self::First => 0,
            Self::Retry => 1,
            Self::Replay => 2,
        }
    }

    /// The lane of a number.
    pub(super) fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    fn places(self) -> usize {
        match self {
            Self::First => PLACES,
            Self::Retry => RETRY_PLACES,
            Self::Replay => REPLAY_PLACES,
        }
    }
}

/// Attempts at once to one endpoint, by lane.
#[derive(Debug, Clone, Copy)]
pub struct Concurrency {
    /// First attempts.
    pub first: usize,
    /// Second and later attempts.
    pub retry: usize,
    /// What is told again on request.
    pub replay: usize,
}

impl Concurrency {
    fn of(self, kind: Kind) -> usize {
        match kind {
            Kind::First => self.first.max(1),
            Kind::Retry => self.retry.max(1),
            Kind::Replay => self.replay.max(1),
        }
    }

    /// All lanes together.
    pub(super) fn sum(self) -> usize {
        Kind::ALL.into_iter().map(|kind| self.of(kind)).fold(0, usize::saturating_add)
    }
}

/// An endpoint, read and ready to be sent to.
pub(super) struct Receiver {
    pub(super) key: Key,
    /// Where, or why the operator's policy no longer lets hooks go there.
    pub(super) target: Result<Target, Refusal>,
    /// The one in force, then those before it.
    secrets: Vec<Secret>,
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
    /// How many of them before it was last replayed.
    pub(super) replayed: Option<i32>,
    /// At an ordered endpoint, whose turn it is.
    pub(super) turn: Option<i64>,
    /// How many hooks led to the event.
    pub(super) depth: i16,
    pub(super) body: Bytes,
}

impl Job {
    /// Its lane: as the table's index has it.
    pub(super) fn kind(&self) -> Kind {
        match (self.replayed, self.attempts) {
            (Some(_), _) => Kind::Replay,
            (None, 1..) => Kind::Retry,
            (None, _) => Kind::First,
        }
    }
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

#[derive(Default)]
struct Queues {
    first: Queue,
    retry: Queue,
    replay: Queue,
}

impl Queues {
    fn of(&self, kind: Kind) -> &Queue {
        match kind {
            Kind::First => &self.first,
            Kind::Retry => &self.retry,
            Kind::Replay => &self.replay,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Queue {
        match kind {
            Kind::First => &mut self.first,
            Kind::Retry => &mut self.retry,
            Kind::Replay => &mut self.replay,
        }
    }
}

struct Lane {
    receiver: Arc<Receiver>,
    queues: Queues,
    held: HashMap<(i64, i32), Kind>,
    breaker: Breaker,
}

/// The lanes of all enabled endpoints.
#[derive(Default)]
pub(super) struct Lanes {
    by_endpoint: HashMap<Key, Lane>,
    bytes: usize,
}

/// What a worker does next.
pub(super) struct Turn {
    pub(super) receiver: Arc<Receiver>,
    pub(super) job: Job,
    /// Whether it is sent to find out whether the endpoint is back.
    pub(super) on_trial: bool,
}

impl Receiver {
    fn read(row: Listener, policy: &Policy) -> Self {
        let target = Target::parse(&row.url, policy);
        // The table's check has the length; without a secret nothing verifies, and the receiver says so.
        let all = std::iter::once(&row.secret).chain(&row.old_secrets);
        let secrets = all.filter_map(|bytes| Secret::from_bytes(bytes.clone()).ok()).collect();
        let event_types = EventTypes::stored(row.event_types.clone());
        Self { key: (row.tenant, row.id), target, secrets, event_types, row }
    }

    /// Whether it is told this event: one of its types, recorded after it was added.
    pub(super) fn listens_to(&self, event: &Event) -> bool {
        event.seq > self.row.since_seq && self.event_types.include(event.kind)
    }

    /// What signs at this time: the secret in force, and those before it whose overlap is not over.
    pub(super) fn secrets(&self, now: DateTime<Utc>) -> Cow<'_, [Secret]> {
        if self.row.old_until.iter().all(|until| *until > now) {
            return Cow::Borrowed(&self.secrets);
        }
        let old = self.secrets.iter().skip(1).zip(&self.row.old_until).filter(|(_, until)| **until > now);
        Cow::Owned(self.secrets.iter().take(1).chain(old.map(|(secret, _)| secret)).cloned().collect())
    }

    /// For an ordered endpoint: attempts at one event before the next of its subject goes.
    pub(super) fn ordered(&self) -> Option<i16> {
        self.row.ordered_skip
    }
}

impl Lane {
    fn of(receiver: Arc<Receiver>) -> Self {
        let (queues, held, breaker) = Default::default();
        Self { receiver, queues, held, breaker }
    }

    fn room(&self, kind: Kind, now: Instant) -> usize {
        match self.breaker.admits(now) {
            Admits::All => kind.places().saturating_sub(self.queues.of(kind).held),
            Admits::One => 1,
            Admits::Nothing => 0,
        }
    }

    /// Lets go of a delivery; false when it was not held.
    fn let_go(&mut self, place: (i64, i32)) -> bool {
        let Some(kind) = self.held.remove(&place) else { return false };
        let queue = self.queues.of_mut(kind);
        queue.held = queue.held.saturating_sub(1);
        true
    }

    /// Lets go of all that waits; gives its bytes.
    fn spill(&mut self) -> usize {
        let mut bytes = 0_usize;
        for kind in Kind::ALL {
            for job in std::mem::take(&mut self.queues.of_mut(kind).waiting) {
                self.let_go((job.place.seq, job.place.ordinal));
                bytes = bytes.saturating_add(job.body.len());
            }
        }
        bytes
    }

    fn workers(&self) -> usize {
        Kind::ALL.into_iter().map(|kind| self.queues.of(kind).workers).fold(0, usize::saturating_add)
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
                place.insert(Lane::of(Arc::clone(&receiver)));
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
        self.bytes = self.bytes.saturating_sub(lane.spill());
        if lane.held.is_empty() && lane.workers() == 0 {
            self.by_endpoint.remove(key);
        }
    }

    /// Begins nothing more. What waits stays held, to be released in the table.
    pub(super) fn close_all(&mut self) {
        for lane in self.by_endpoint.values_mut() {
            Kind::ALL.into_iter().for_each(|kind| lane.queues.of_mut(kind).waiting.clear());
        }
    }

    /// Whether no attempt is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.by_endpoint.values().all(|lane| lane.workers() == 0)
    }

    /// How many more deliveries to this endpoint a lane takes into memory.
    pub(super) fn room(&self, key: &Key, kind: Kind, now: Instant) -> usize {
        let full = self.bytes >= MAX_BYTES;
        self.by_endpoint.get(key).map_or(0, |lane| if full { 0 } else { lane.room(kind, now) })
    }

    /// The room there is at each endpoint, by lane, for the poll.
    pub(super) fn rooms(&self, at_most: usize, now: Instant) -> Vec<Room> {
        let room = |key: &Key, kind: Kind| Room {
            tenant: key.0,
            endpoint: key.1,
            lane: kind.code(),
            places: i64::try_from(self.room(key, kind, now).min(at_most)).unwrap_or(0),
        };
        let all = self.by_endpoint.keys().flat_map(|key| Kind::ALL.map(|kind| room(key, kind)));
        all.filter(|room| room.places > 0).collect()
    }

    /// Notes whether the table has due deliveries for this lane beyond those taken.
    pub(super) fn set_overflowed(&mut self, key: &Key, kind: Kind, overflowed: bool) {
        if let Some(lane) = self.by_endpoint.get_mut(key) {
            lane.queues.of_mut(kind).overflowed = overflowed;
        }
    }

    /// Whether some lane with deliveries left in the table has room for a good part of what memory holds.
    pub(super) fn is_hungry(&self, now: Instant) -> bool {
        let hungry = |lane: &Lane| {
            Kind::ALL.into_iter().any(|kind| {
                lane.queues.of(kind).overflowed
                    && lane.breaker.admits(now) == Admits::All
                    && lane.room(kind, now) >= kind.places() / 4
            })
        };
        self.bytes < MAX_BYTES && self.by_endpoint.values().any(hungry)
    }

    /// Takes a delivery into memory, unless it is there already or its endpoint is not. True when a worker more may
    /// start on its lane; whoever is told so must start one.
    pub(super) fn push(&mut self, job: Job, concurrency: Concurrency, now: Instant) -> bool {
        let key = (job.place.tenant, job.place.endpoint);
        let Some(lane) = self.by_endpoint.get_mut(&key) else { return false };
        let kind = job.kind();
        match lane.held.entry((job.place.seq, job.place.ordinal)) {
            Entry::Occupied(_) => return false,
            Entry::Vacant(place) => place.insert(kind),
        };
        lane.breaker.sends(now);
        self.bytes = self.bytes.saturating_add(job.body.len());
        let queue = lane.queues.of_mut(kind);
        queue.held = queue.held.saturating_add(1);
        queue.waiting.push_back(job);
        let starts = queue.workers < concurrency.of(kind);
        queue.workers = queue.workers.saturating_add(usize::from(starts));
        starts
    }

    /// The next delivery for a worker of this lane; without one, the worker has ended.
    pub(super) fn next(&mut self, key: &Key, kind: Kind) -> Option<Turn> {
        let lane = self.by_endpoint.get_mut(key)?;
        let queue = lane.queues.of_mut(kind);
        match queue.waiting.pop_front() {
            Some(job) => Some(Turn { receiver: Arc::clone(&lane.receiver), job, on_trial: lane.breaker.is_open() }),
            None => {
                queue.workers = queue.workers.saturating_sub(1);
                None
            }
        }
    }

    /// Notes whether an attempt succeeded. When the breaker opens, what waits is let go of: the table has it, and it
    /// comes due by itself.
    pub(super) fn landed(&mut self, key: &Key, succeeded: bool, on_trial: bool, now: Instant) {
        let Some(lane) = self.by_endpoint.get_mut(key) else { return };
        if succeeded {
            if lane.breaker.is_open() {
                tracing::info!(tenant.id = key.0, endpoint.id = %key.1, "an endpoint takes hooks again");
            }
            lane.breaker.succeeded();
        } else if lane.breaker.failed(now, on_trial) {
            tracing::warn!(tenant.id = key.0, endpoint.id = %key.1, "an endpoint takes no hooks: it is asked seldom now");
            self.bytes = self.bytes.saturating_sub(lane.spill());
        }
    }

    /// Lets go of a delivery whose outcome is written.
    pub(super) fn let_go(&mut self, place: &Place, bytes: usize) {
        let Some(lane) = self.by_endpoint.get_mut(&(place.tenant, place.endpoint)) else { return };
        if lane.let_go((place.seq, place.ordinal)) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Since when an endpoint has been failing, as far as is known, and how many notices of it were given.
    pub(super) fn failing(&self, key: &Key) -> (Option<DateTime<Utc>>, i16) {
        let row = self.by_endpoint.get(key).map(|lane| &lane.receiver.row);
        row.map_or((None, 0), |row| (row.failing_since, row.failing_told))
    }

    /// Everything in memory that is not done.
    pub(super) fn held(&self) -> Vec<Place> {
        let of = |(key, lane): (&Key, &Lane)| {
            let (tenant, endpoint) = *key;
            let place = move |(seq, ordinal): &(i64, i32)| Place { tenant, endpoint, seq: *seq, ordinal: *ordinal };
            lane.held.keys().map(place).collect::<Vec<_>>()
        };
        self.by_endpoint.iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = (1, Uuid::from_u128(5));
    const TWO: Concurrency = Concurrency { first: 2, retry: 1, replay: 1 };

    fn listener() -> Listener {
        Listener {
            tenant: KEY.0,
            id: KEY.1,
            url: "https://example.com/".to_owned(),
            event_types: vec!["*".to_owned()],
            secret: vec![0; 32],
            old_secrets: Vec::new(),
            old_until: Vec::new(),
            ordered_skip: None,
            since_seq: 0,
            failing_since: None,
            failing_told: 0,
        }
    }

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
        assert!(lanes.next(&KEY, Kind::First).is_some_and(|turn| turn.job.place.seq == 1));
        assert!(!lanes.push(job(1), TWO, Instant::now()), "as it is sent");
        assert!(lanes.next(&KEY, Kind::First).is_none());
        lanes.let_go(&job(1).place, 4);
        assert!(lanes.push(job(1), TWO, Instant::now()), "then it is another attempt");
    }

    #[test]
    fn no_more_workers_start_than_are_allowed_at_once() {
        let mut lanes = lanes();
        let started = (1..=5).filter(|seq| lanes.push(job(*seq), TWO, Instant::now())).count();
        assert_eq!((started, lanes.is_idle()), (2, false));
        while lanes.next(&KEY, Kind::First).is_some() {}
        assert!(lanes.next(&KEY, Kind::First).is_none());
        assert!(lanes.is_idle(), "both have ended");
    }

    #[test]
    fn memory_is_given_back_whether_a_delivery_is_done_or_dropped() {
        let mut lanes = lanes();
        for seq in 1..=3 {
            lanes.push(job(seq), Concurrency { first: 1, ..TWO }, Instant::now());
        }
        assert_eq!((lanes.bytes, lanes.room(&KEY, Kind::First, Instant::now())), (12, PLACES - 3));
        let taken = lanes.next(&KEY, Kind::First);
        lanes.keep_only(&HashSet::new());
        assert_eq!((lanes.bytes, lanes.held().len()), (4, 1), "what is under way stays");
        drop(taken);
        lanes.let_go(&job(1).place, 4);
        assert!(lanes.next(&KEY, Kind::First).is_none());
        lanes.keep_only(&HashSet::new());
        assert_eq!((lanes.bytes, lanes.by_endpoint.len()), (0, 0));
    }

    #[test]
    fn an_endpoint_nobody_knows_and_a_full_memory_have_no_room() {
        let mut lanes = lanes();
        assert_eq!(lanes.room(&(2, KEY.1), Kind::First, Instant::now()), 0);
        assert!(!lanes.push(Job { place: Place { tenant: 2, ..job(1).place }, ..job(1) }, TWO, Instant::now()));
        lanes.bytes = MAX_BYTES;
        assert!(lanes.room(&KEY, Kind::First, Instant::now()) == 0 && lanes.rooms(500, Instant::now()).is_empty());
    }

    #[test]
    fn each_lane_has_its_own_room_and_its_own_workers() {
        let (mut lanes, now) = (lanes(), Instant::now());
        let retry = |seq| Job { attempts: 1, ..job(seq) };
        let replay = |seq| Job { attempts: 3, replayed: Some(3), ..job(seq) };
        let started = (1..=300).filter(|seq| lanes.push(replay(*seq), TWO, now)).count();
        assert_eq!((started, lanes.room(&KEY, Kind::Replay, now)), (1, 0));
        assert_eq!(lanes.room(&KEY, Kind::First, now), PLACES, "a flood of replays takes nobody's room");
        assert!(lanes.push(retry(301), TWO, now) && lanes.push(job(302), TWO, now), "and nobody's workers");
        assert!(lanes.next(&KEY, Kind::First).is_some_and(|turn| turn.job.place.seq == 302));
        assert!(lanes.next(&KEY, Kind::Retry).is_some_and(|turn| turn.job.place.seq == 301));
    }

    #[test]
    fn a_dead_endpoint_keeps_nothing_waiting_and_gets_no_room_until_a_trial_succeeds() {
        let (mut lanes, now) = (lanes(), Instant::now());
        for seq in 1..=50 {
            lanes.push(job(seq), TWO, now);
        }
        for _ in 0..10 {
            let turn = lanes.next(&KEY, Kind::First).unwrap();
            lanes.landed(&KEY, false, turn.on_trial, now);
            lanes.let_go(&turn.job.place, 4);
        }
        assert_eq!((lanes.bytes, lanes.held().len()), (0, 0), "what waited is the table's");
        assert!(lanes.rooms(500, now).is_empty());
        let then = now + std::time::Duration::from_secs(1);
        assert_eq!(lanes.rooms(500, then).iter().map(|room| room.places).collect::<Vec<_>>(), [1, 1, 1]);
        lanes.push(job(51), TWO, then);
        assert!(lanes.rooms(500, then).is_empty(), "one is on trial");
        let turn = lanes.next(&KEY, Kind::First).unwrap();
        assert!(turn.on_trial);
        lanes.landed(&KEY, true, turn.on_trial, then);
        assert_eq!(lanes.room(&KEY, Kind::First, then), PLACES - 1);
    }

    /// T53: what was replaced signs until its overlap is over, and not a second more.
    #[test]
    fn t53_a_replaced_secret_signs_in_its_overlap_only() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let row =
            Listener { old_secrets: vec![vec![1; 32], vec![2; 32]], old_until: vec![at(20), at(10)], ..listener() };
        let receiver = Receiver::read(row, &Policy::default());
        let signing = |seconds| -> Vec<u8> { receiver.secrets(at(seconds)).iter().map(|one| one.bytes()[0]).collect() };
        assert_eq!(
            (signing(9), signing(10), signing(19), signing(20)),
            (vec![0, 1, 2], vec![0, 1], vec![0, 1], vec![0])
        );
    }
}
