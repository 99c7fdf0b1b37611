//! Flights: pages of the journal that are being told, and whose cursor has not moved yet.
//!
//! A hook is sent as soon as its record is read; what came of it is written together with its event when the cursor moves
//! past it. That is one commit which no hook waits for. A crash before it leaves the cursor where it was, and the same
//! hooks are sent again under the same ids. What may be told and not written is bounded ([`MAX_WEIGHT`]).

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use ledger::JournalId;
use ledger::follow::Span;
use uuid::Uuid;

use super::attempt::Done;
use super::flight::Flight;
use crate::engagement::hooks::store::bulk::Place;

/// What one journal may have told and not written, in records or, where these are more, in deliveries: what a crash sends
/// twice.
const MAX_WEIGHT: i64 = 2_000;
/// Deliveries written at once, give or take a page.
const FULL: usize = 4_000;
/// How long a journal rests whose pages could not be written, or whose cursor somebody else moved.
const REST: Duration = Duration::from_millis(500);

/// How far one journal has been read, under one leadership.
struct Track {
    fork: Uuid,
    epoch: i64,
    /// The last record read, and how much of what was read is not written.
    read: i64,
    weight: i64,
    flights: VecDeque<Flight>,
    /// Not to be written before.
    rests_until: Option<Instant>,
}

impl Track {
    fn is_resting(&self) -> bool {
        self.rests_until.is_some_and(|until| until > Instant::now())
    }
}

/// Where to go on reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// The table knows.
    Unknown,
    /// After this record, as much as there is room for.
    After { seq: i64, room: i64 },
    /// Nowhere for now: what was read before a change of leadership is still to be written, or somebody else has just
    /// moved the cursor.
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
    /// Journals whose cursors somebody else moved, and until when they are left alone.
    moved: HashMap<JournalId, Instant>,
    late: Vec<Done>,
}

impl Flights {
    pub(super) fn position(&mut self, journal: JournalId, fork: Uuid, epoch: i64) -> Position {
        self.moved.retain(|_, until| *until > Instant::now());
        match self.tracks.get(&journal) {
            None if self.moved.contains_key(&journal) => Position::Landing,
            None => Position::Unknown,
            Some(track) if (track.fork, track.epoch) == (fork, epoch) => {
                Position::After { seq: track.read, room: MAX_WEIGHT.saturating_sub(track.weight).max(0) }
            }
            Some(track) if track.weight > 0 => Position::Landing,
            Some(_) => {
                self.tracks.remove(&journal);
                Position::Unknown
            }
        }
    }

    /// Notes where the cursor of a journal stands of which nothing was known.
    pub(super) fn stands(&mut self, span: Span, epoch: i64) {
        let Span { journal, fork, from, .. } = span;
        let track = Track { fork, epoch, read: from, weight: 0, flights: VecDeque::new(), rests_until: None };
        self.tracks.entry(journal).or_insert(track);
    }

    /// Takes up a page that follows what was read before; false when that was forgotten meanwhile.
    pub(super) fn begin(&mut self, flight: Flight) -> bool {
        let Some(track) = self.tracks.get_mut(&flight.span.journal) else { return false };
        if (track.fork, track.epoch, track.read) != (flight.span.fork, flight.epoch, flight.span.from) {
            return false;
        }
        track.read = flight.span.upto;
        track.weight = track.weight.saturating_add(flight.weight());
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

    /// Gives what can be written now, or, at the end, what there is: of each journal as much as one commit should have.
    pub(super) fn take(&mut self, all: bool) -> Batch {
        let due = |track: &mut Track| {
            if !all && track.is_resting() {
                return Vec::new();
            }
            let mut deliveries = 0_usize;
            let fits = |flight: &&Flight| {
                let full = deliveries >= FULL;
                deliveries = deliveries.saturating_add(flight.deliveries.len());
                !full && (all || flight.is_due())
            };
            let count = track.flights.iter().take_while(fits).count();
            track.flights.drain(..count).collect::<Vec<_>>()
        };
        let journals = self.tracks.values_mut().map(due).filter(|flights| !flights.is_empty()).collect();
        Batch { journals, late: std::mem::take(&mut self.late) }
    }

    /// The cursor has moved past pages that were taken.
    pub(super) fn written(&mut self, flights: &[Flight]) {
        let Some(track) = flights.first().and_then(|first| self.tracks.get_mut(&first.span.journal)) else { return };
        let weight = flights.iter().fold(0, |sum, flight| flight.weight().saturating_add(sum));
        track.weight = track.weight.saturating_sub(weight);
    }

    /// Takes pages back that could not be written. They are tried again after a rest.
    pub(super) fn give_back(&mut self, flights: Vec<Flight>) {
        let Some(track) = flights.first().and_then(|first| self.tracks.get_mut(&first.span.journal)) else { return };
        flights.into_iter().rev().for_each(|flight| track.flights.push_front(flight));
        track.rests_until = Instant::now().checked_add(REST);
    }

    /// Forgets how far a journal was read whose cursor somebody else moved: it is read again, after a rest, from where
    /// it stands then. Gives what was under way.
    pub(super) fn forget(&mut self, journal: JournalId) -> Vec<Flight> {
        self.moved.extend(Instant::now().checked_add(REST).map(|until| (journal, until)));
        self.tracks.remove(&journal).map(|track| track.flights.into()).unwrap_or_default()
    }

    /// Forgets those of these journals of which nothing is under way.
    pub(super) fn forget_landed(&mut self, is_one: impl Fn(JournalId) -> bool) {
        self.tracks.retain(|journal, track| track.weight > 0 || !is_one(*journal));
    }

    /// Whether pages wait for attempts.
    pub(super) fn is_waiting(&self) -> bool {
        self.tracks.values().any(|track| !track.flights.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::engagement::hooks::deliver::flight::{HOLD, Landing};
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
        let landing =
            |seq| Landing { place: place(seq), next_at: DateTime::UNIX_EPOCH, done: None, turn: None, needs: None };
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
        let from = spans.first().map_or(0, |(from, _)| *from);
        flights.stands(span(from, from), 1);
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
        let mut flights = under_way(&[(0, MAX_WEIGHT - 5)]);
        let position = |flights: &mut Flights| flights.position(JOURNAL, FORK, 1);
        assert_eq!(position(&mut flights), Position::After { seq: MAX_WEIGHT - 5, room: 5 });
        let taken = flights.take(true).journals.remove(0);
        assert_eq!(position(&mut flights), Position::After { seq: MAX_WEIGHT - 5, room: 5 }, "until it is written");
        flights.written(&taken);
        assert_eq!(position(&mut flights), Position::After { seq: MAX_WEIGHT - 5, room: MAX_WEIGHT });
    }

    #[test]
    fn what_cannot_be_written_is_kept_in_order_and_rests() {
        let mut flights = under_way(&[(0, 2), (2, 3)]);
        let taken = flights.take(true).journals.remove(0);
        flights.begin(flight(3, 4));
        flights.give_back(taken);
        [1, 2, 3, 4].into_iter().for_each(|seq| flights.land(done(seq, 1)));
        assert!(flights.take(false).journals.is_empty(), "it rests");
        flights.tracks.get_mut(&JOURNAL).unwrap().rests_until = None;
        let batch = flights.take(false);
        assert_eq!((uptos(&batch), batch.late.len()), (vec![2, 3, 4], 0));
    }

    #[test]
    fn a_journal_whose_cursor_was_moved_rests_and_takes_no_page_that_was_read_before() {
        let mut flights = under_way(&[(0, 2)]);
        assert_eq!(flights.forget(JOURNAL).len(), 1);
        assert!(!flights.begin(flight(2, 3)));
        assert_eq!(flights.position(JOURNAL, FORK, 1), Position::Landing);
        flights.moved.clear();
        assert_eq!(flights.position(JOURNAL, FORK, 1), Position::Unknown);
        flights.stands(span(5, 9), 1);
        assert!(!flights.begin(flight(2, 3)) && flights.begin(flight(5, 6)), "only what follows the cursor");
        flights.stands(span(0, 9), 1);
        assert_eq!(
            flights.position(JOURNAL, FORK, 1),
            Position::After { seq: 6, room: MAX_WEIGHT - 1 },
            "known already"
        );
    }

    #[test]
    fn no_commit_takes_more_pages_than_are_good_for_it() {
        let many = i64::try_from(FULL).unwrap();
        let mut flights = under_way(&[(0, many), (many, many + 1)]);
        assert_eq!(uptos(&flights.take(true)), [many]);
        assert_eq!(uptos(&flights.take(true)), [many + 1]);
    }

    #[test]
    fn a_change_of_leadership_reads_the_cursor_again_once_all_is_written() {
        let mut flights = under_way(&[(0, 1)]);
        assert_eq!(flights.position(JOURNAL, FORK, 2), Position::Landing);
        flights.forget_landed(|_| true);
        assert_eq!(flights.position(JOURNAL, FORK, 2), Position::Landing, "it is still under way");
        let taken = flights.take(true).journals.remove(0);
        flights.written(&taken);
        assert_eq!(flights.position(JOURNAL, FORK, 2), Position::Unknown);
        assert_eq!(flights.position(JOURNAL, FORK, 1), Position::Unknown, "nothing was left of it");
    }
}
