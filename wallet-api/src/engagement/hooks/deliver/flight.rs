//! A flight: a page of the journal that is being told, with what has come of it so far.
//!
//! A page that is not told whole within [`HOLD`] is written as far as it came, the rest of it as pending: an endpoint that
//! hangs does not hold the cursor.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use hyper::body::Bytes;
use ledger::follow::Span;
use ledger::follow::parked::Unread;
use uuid::Uuid;

use super::attempt::Done;
use super::receiver::Key;
use crate::consents;
use crate::engagement::hooks::store::bulk::Place;

/// How long a page waits for the first attempts of all its hooks.
pub(super) const HOLD: Duration = Duration::from_millis(100);

/// An event that somebody is told.
pub(super) struct Told {
    pub(super) seq: i64,
    pub(super) ordinal: i32,
    pub(super) id: Uuid,
    pub(super) kind: &'static str,
    /// How many hooks led to it.
    pub(super) depth: i16,
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
    /// The consent without which it is not even written down.
    pub(super) needs: Option<Needs>,
}

/// A consent that a delivery needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) tenant: i64,
    /// Whose.
    pub(super) person: Uuid,
    /// To what.
    pub(super) purpose: String,
}

impl Needs {
    /// What telling an endpoint of this subject needs; none where it needs no consent, or the subject is no person.
    pub(super) fn of(tenant: i64, purpose: Option<&str>, subject: &str) -> Option<Self> {
        let person = subject.strip_prefix("customer/")?.parse().ok()?;
        Some(Self { tenant, person, purpose: purpose?.to_owned() })
    }

    /// Whether it holds; a withdrawal waits for the transaction in which this is asked.
    pub(super) fn holds(&self, conn: &mut PgConnection) -> QueryResult<bool> {
        consents::holds(conn, self.tenant, self.person, &self.purpose)
    }
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
    /// Records that this binary cannot read.
    pub(super) unread: Vec<Unread>,
    /// Endpoints some of whose deliveries wait in the table, because memory has no room for them.
    pub(super) overflowed: Vec<Key>,
    /// First attempts under way or waiting.
    pub(super) missing: usize,
    pub(super) began: Instant,
}

impl Flight {
    /// A page, or records that nobody is told: `missing` of its deliveries are in memory.
    pub(super) fn new(span: Span, epoch: i64, read_at: DateTime<Utc>) -> Self {
        let (events, deliveries, unread, overflowed) = Default::default();
        Self { span, epoch, read_at, events, deliveries, unread, overflowed, missing: 0, began: Instant::now() }
    }

    /// Its records, or its deliveries where these are more.
    pub(super) fn weight(&self) -> i64 {
        i64::try_from(self.deliveries.len()).unwrap_or(i64::MAX).max(self.span.len())
    }

    /// Whether it is told whole, or has waited long enough.
    pub(super) fn is_due(&self) -> bool {
        self.missing == 0 || self.began.elapsed() >= HOLD
    }

    /// Notes an outcome, unless it is none of this page's first attempts.
    pub(super) fn land(&mut self, done: Done) -> Option<Done> {
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
