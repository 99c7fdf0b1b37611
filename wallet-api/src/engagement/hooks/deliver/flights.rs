//! Flights: pages of the journal that are being told, and whose cursor has not moved yet.
//!
//! A hook is sent as soon as its record is read; what came of it is written together with its event when the cursor moves
//! past it. That is one commit which no hook waits for. A crash before it leaves the cursor where it was, and the same
//! hooks are sent again under the same ids. A page that is not told whole within [`HOLD`] is written as far as it came,
//! the rest of it as pending: an endpoint that hangs does not hold the cursor.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use hyper::body::Bytes;
use ledger::JournalId;
use ledger::follow::Span;
use uuid::Uuid;

use super::attempt::Done;
use super::lanes::Key;
use crate::engagement::hooks::store::bulk::Place;

/// How long a page waits for the first attempts of all its hooks.
const HOLD: Duration = Duration::from_millis(100);
/// Records of one journal that are told and not written: what a crash sends twice at most.
const MAX_RECORDS: i64 = 2_000;

/// An event that somebody is told.
pub(super) struct Told {
    pub(super) seq: i64,
    pub(super) ordinal: i32,
    pub(super) id: Uuid,
    pub(super) kind: &'static str,
    pub(super) body: Bytes,
}

/// A delivery of a page.
pub(super) struct Landing {
    pub(super) place: Place,
    /// From when the poll may take it, if it has not ended by then.
    pub(super) next_at: DateTime<Utc>,
    /// Its first attempt, once made.
    pub(super) done: Option<Done>,
    /// At an ordered endpoint, whose turn it waits for.
    pub(super) turn: Option<i64>,
}

impl Landing {
    /// What the deliveries of a page are in order of.
    pub(super) fn order(&self) -> (i64, i32, Uuid) {
        (self.place.seq, self.place.ordinal, self.place.endpoint)
    }
}

/// A page that is being told.
pub(super) struct Flight {
    pub(super) span: Span,
    /// The leadership it was read under.
    pub(super) epoch: i64,
    pub(super) read_at: DateTime<Utc>,
    pub(super) events: Vec<Told>,
    /// By [`Landing::order`].
    pub(super) deliveries: Vec<Landing>,
    /// Endpoints some of whose deliveries wait in the table, because memory has no room for them.
    pub(super) overflowed: Vec<Key>,
    /// First attempts under way or waiting.
    pub(super) missing: usize,
    pub(super) began: Instant,
}

impl Flight {
    /// A page, or records that nobody is told: `missing` of its deliveries are in memory.
    pub(super) fn new(span: Span, epoch: i64, read_at: DateTime<Utc>) -> Self {
        let (events, deliveries, overflowed) = Default::default();
        Self { span, epoch, read_at, events, deliveries, overflowed, missing: 0, began: Instant::now() }
    }

    fn is_due(&self) -> bool {
        self.missing == 0 || self.began.elapsed() >= HOLD
    }

    /// Notes an outcome, unless it is none of this page's first attempts.
    fn land(&mut self, done: Done) -> Option<Done> {
        let Place { endpoint, seq, ordinal, .. } = done.outcome.place;
        let found = self.deliveries.binary_search_by_key(&(seq, ordinal, endpoint), Landing::order);
        let landing = found.ok().and_then(|at| self.deliveries.get_mut(at));
        match landing.filter(|landing| landing.done.is_none() && done.outcome.attempt == 1) {
            Some(landing) => {
                landing.done = Some(done);
                self.missing = self.missing.saturating_sub(1);
                None
            }
            None => Some(done),
        }
    }
}

/// How far one journal has been read, under one leadership.
struct Track {
    fork: Uuid,
    epoch: i64,
    read: i64,
    written: i64,
    flights: VecDeque<Flight>,
}

/// Where to go on reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// The table knows.
    Unknown,
    /// After this record, this many at most.
    After { seq: i64, room: i64 },
    /// Nowhere, until what was read before a change of leadership is written or given up.
    Landing,
}

/// What is to be written.
#[derive(Default)]
pub(super) struct Batch {
    /// Of each journal the pages that come next, in order; none is empty.
    pub(super) journals: Vec<Vec<Flight>>,
    /// Outcomes of deliveries that the table has already.
    pub(super) late: Vec<Done>,
}

/// The pages under way in all journals.
#[derive(Default)]
pub(super) struct Flights {
    tracks: HashMap<JournalId, Track>,
    late: Vec<Done>,
}

impl Flights {
    pub(super) fn position(&mut self, journal: JournalId, fork: Uuid, epoch: i64) -> Position {
        match self.tracks.get(&journal) {
            None => Position::Unknown,
            Some(track) if (track.fork, track.epoch) == (fork, epoch) => {
                let under_way = track.read.saturating_sub(track.written);
                Position::After { seq: track.read, room: MAX_RECORDS.saturating_sub(under_way).max(0) }
            }
            Some(track) if track.read > track.written => Position::Landing,
            Some(_) => {
                self.tracks.remove(&journal);
                Position::Unknown
            }
        }
    }

    /// Notes where the cursor of a journal stands.
    pub(super) fn stands(&mut self, span: Span, epoch: i64) {
        let Span { journal, fork, from, .. } = span;
        self.tracks.insert(journal, Track { fork, epoch, read: from, written: from, flights: VecDeque::new() });
    }

    /// Takes up a page that follows what was read before; false when that was forgotten meanwhile.
    pub(super) fn begin(&mut self, flight: Flight) -> bool {
        let Some(track) = self.tracks.get_mut(&flight.span.journal) else { return false };
        track.read = flight.span.upto;
        track.flights.push_back(flight);
        true
    }

    /// Notes what came of an attempt.
    pub(super) fn land(&mut self, done: Done) {
        let Place { tenant, seq, .. } = done.outcome.place;
        let track = self.tracks.get_mut(&JournalId(tenant));
        let flight = track.and_then(|track| {
            let at = track.flights.partition_point(|flight| flight.span.upto < seq);
            track.flights.get_mut(at)
        });
        let left = match flight {
            Some(flight) => flight.land(done),
            None => Some(done),
        };
        self.late.extend(left);
    }

    /// Gives what can be written now, or, at the end, all there is.
    pub(super) fn take(&mut self, all: bool) -> Batch {
        let due = |track: &mut Track| {
            let count = track.flights.iter().take_while(|flight| all || flight.is_due()).count();
            track.flights.drain(..count).collect::<Vec<_>>()
        };
        let journals = self.tracks.values_mut().map(due).filter(|flights| !flights.is_empty()).collect();
        Batch { journals, late: std::mem::take(&mut self.late) }
    }

    /// The cursor has moved past a span that was taken.
    pub(super) fn written(&mut self, span: Span) {
        if let Some(track) = self.tracks.get_mut(&span.journal) {
            track.written = span.upto;
        }
    }

    /// Forgets how far a journal was read: it is read again from where its cursor stands. Gives what was under way.
    pub(super) fn forget(&mut self, journal: JournalId) -> Vec<Flight> {
        self.tracks.remove(&journal).map(|track| track.flights.into()).unwrap_or_default()
    }

    /// Forgets the journals of which nothing is under way.
    pub(super) fn forget_landed(&mut self) {
        self.tracks.retain(|_, track| track.read > track.written);
    }

    /// Whether pages wait for attempts.
    pub(super) fn is_waiting(&self) -> bool {
        self.tracks.values().any(|track| !track.flights.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engagement::hooks::model::DeliveryStatus;
    use crate::engagement::hooks::store::bulk::Outcome;

    const JOURNAL: JournalId = JournalId(1);
    const FORK: Uuid = Uuid::from_u128(9);
    const ENDPOINT: Uuid = Uuid::from_u128(5);

    fn span(from: i64, upto: i64) -> Span {
        Span { journal: JOURNAL, fork: FORK, from, upto }
    }

    fn place(seq: i64) -> Place {
        Place { tenant: JOURNAL.0, endpoint: ENDPOINT, seq, ordinal: 0 }
    }

    fn flight(from: i64, upto: i64) -> Flight {
        let landing = |seq| Landing { place: place(seq), next_at: DateTime::UNIX_EPOCH, done: None, turn: None };
        let deliveries: Vec<_> = (from + 1..=upto).map(landing).collect();
        let missing = deliveries.len();
        Flight { deliveries, missing, ..Flight::new(span(from, upto), 1, DateTime::UNIX_EPOCH) }
    }

    fn done(seq: i64, attempt: i32) -> Done {
        let (status, http_status) = (DeliveryStatus::Delivered, Some(200));
        let (reason, response, next_at, duration_ms) = (None, None, None, 1);
        let (place, at) = (place(seq), DateTime::UNIX_EPOCH);
        let outcome =
            Outcome { place, attempt, at, http_status, reason, duration_ms, response, status, next_at, turn: None };
        Done { outcome, bytes: 4 }
    }

    fn under_way(spans: &[(i64, i64)]) -> Flights {
        let mut flights = Flights::default();
        flights.stands(span(0, 0), 1);
        assert!(spans.iter().all(|(from, upto)| flights.begin(flight(*from, *upto))));
        flights
    }

    fn uptos(batch: &Batch) -> Vec<i64> {
        batch.journals.iter().flatten().map(|flight| flight.span.upto).collect()
    }

    #[test]
    fn pages_are_written_in_order_and_only_when_told_whole() {
        let mut flights = under_way(&[(0, 2), (2, 3)]);
        flights.land(done(3, 1));
        assert_eq!(uptos(&flights.take(false)), Vec::<i64>::new(), "the first page comes first");
        flights.land(done(1, 1));
        flights.land(done(2, 1));
        let batch = flights.take(false);
        assert_eq!((uptos(&batch), batch.late.len()), (vec![2, 3], 0));
        assert!(!flights.is_waiting());
    }

    #[test]
    fn a_page_that_waits_for_an_attempt_too_long_is_written_as_far_as_it_came() {
        let mut flights = under_way(&[(0, 2)]);
        flights.land(done(1, 1));
        flights.tracks.get_mut(&JOURNAL).unwrap().flights[0].began -= HOLD;
        let batch = flights.take(false);
        let landed: Vec<_> = batch.journals.iter().flatten().flat_map(|flight| &flight.deliveries).collect();
        assert_eq!(landed.iter().map(|landing| landing.done.is_some()).collect::<Vec<_>>(), [true, false]);
        flights.land(done(2, 1));
        assert_eq!(flights.take(false).late.len(), 1, "its outcome follows");
    }

    #[test]
    fn an_outcome_that_is_no_first_attempt_of_a_page_under_way_is_for_the_table() {
        let mut flights = under_way(&[(10, 12)]);
        flights.land(done(11, 1));
        flights.land(done(11, 1));
        flights.land(done(12, 2));
        flights.land(done(3, 1));
        let late: Vec<_> = flights.take(false).late.iter().map(|done| done.outcome.place.seq).collect();
        assert_eq!(late, [11, 12, 3]);
    }

    #[test]
    fn what_is_read_ahead_of_the_cursor_is_bounded() {
        let mut flights = under_way(&[(0, MAX_RECORDS - 5)]);
        let position = |flights: &mut Flights| flights.position(JOURNAL, FORK, 1);
        assert_eq!(position(&mut flights), Position::After { seq: MAX_RECORDS - 5, room: 5 });
        assert_eq!(flights.take(true).journals.len(), 1);
        assert_eq!(position(&mut flights), Position::After { seq: MAX_RECORDS - 5, room: 5 }, "until it is written");
        flights.written(span(0, MAX_RECORDS - 5));
        assert_eq!(position(&mut flights), Position::After { seq: MAX_RECORDS - 5, room: MAX_RECORDS });
    }

    #[test]
    fn a_change_of_leadership_reads_the_cursor_again_once_all_is_written() {
        let mut flights = under_way(&[(0, 1)]);
        assert_eq!(flights.position(JOURNAL, FORK, 2), Position::Landing);
        flights.forget_landed();
        assert_eq!(flights.position(JOURNAL, FORK, 2), Position::Landing, "it is still under way");
        flights.take(true);
        flights.written(span(0, 1));
        assert_eq!(flights.position(JOURNAL, FORK, 2), Position::Unknown);
        assert_eq!(flights.position(JOURNAL, FORK, 1), Position::Unknown, "nothing was left of it");
    }
}
