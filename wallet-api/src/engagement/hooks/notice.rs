//! What is told of endpoints themselves: a test, that one fails, that one was disabled, that one was passed over.
//!
//! These events have no record of the journal. They take the place that its head has at that moment, with ordinals from
//! [`FIRST_ORDINAL`] on, which no record's events reach; so they have a `sequence`, an id and deliveries like all others.
//! A notice of an endpoint goes to the tenant's *other* endpoints that listen to its type; a test goes to the endpoint.
//! Promise: an event and its deliveries are written in the caller's transaction. Not here: when to tell
//! (`deliver`).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use ledger::JournalId;
use serde_json::{Value, json};
use uuid::Uuid;

use super::message;
use super::model::{DeliveryStatus, HookError};
use super::store::bulk::{self, NewDelivery, Place};
use super::store::{notices, turns};
use crate::platform::events::Event;
use crate::platform::ids::derived;

/// The first ordinal of an event that is none of the journal's.
pub(super) const FIRST_ORDINAL: i32 = 5_000;
/// Tries to find a free ordinal: each loss is somebody else's event.
const TRIES: usize = 16;

/// A test, sent on request to one endpoint.
pub(super) const TEST: &str = "endpoint.test.v1";
/// Nothing but failures for a while.
pub(super) const FAILING: &str = "endpoint.failing.v1";
/// An endpoint is told no more.
pub(super) const DISABLED: &str = "endpoint.disabled.v1";
/// An ordered endpoint did not take an event, and the next of its subject goes.
pub(super) const SKIPPED: &str = "endpoint.skipped.v1";

/// Who is told of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// It itself, whatever it listens to.
    Itself,
    /// The others that listen.
    Others,
}

/// Something to tell of an endpoint.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) tenant: i64,
    pub(super) endpoint: Uuid,
    pub(super) kind: &'static str,
    pub(super) data: Value,
    /// How many hooks led to it.
    pub(super) depth: i16,
    pub(super) to: To,
}

/// Where an event came to stand, and its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The journal's head at that moment.
    pub seq: i64,
    /// From 5000 on.
    pub ordinal: i32,
    /// The CloudEvents id.
    pub event: Uuid,
}

impl Notice {
    /// That an endpoint was disabled.
    pub(super) fn disabled(tenant: i64, endpoint: Uuid, reason: &str) -> Self {
        Self::of(tenant, endpoint, DISABLED, json!({"endpoint": endpoint, "reason": reason}))
    }

    /// That an endpoint has failed since a time.
    pub(super) fn failing(tenant: i64, endpoint: Uuid, since: DateTime<Utc>) -> Self {
        let since = message::rfc3339(since);
        Self::of(tenant, endpoint, FAILING, json!({"endpoint": endpoint, "failing_since": since}))
    }

    /// That an ordered endpoint did not take the event at a place.
    pub(super) fn skipped(tenant: i64, endpoint: Uuid, (seq, ordinal): (i64, i32), attempts: i32) -> Self {
        let sequence = message::sequence(seq, ordinal);
        Self::of(tenant, endpoint, SKIPPED, json!({"endpoint": endpoint, "sequence": sequence, "attempts": attempts}))
    }

    /// A test of an endpoint.
    pub(super) fn test(tenant: i64, endpoint: Uuid, depth: i16) -> Self {
        let data = json!({"endpoint": endpoint});
        Self { depth, to: To::Itself, ..Self::of(tenant, endpoint, TEST, data) }
    }

    fn of(tenant: i64, endpoint: Uuid, kind: &'static str, data: Value) -> Self {
        Self { tenant, endpoint, kind, data, depth: 0, to: To::Others }
    }
}

/// The number of a subject, by which an ordered endpoint's events wait for each other. Two subjects that share one wait
/// for each other too, which costs time and no order.
pub(super) fn turn_of(subject: &str) -> i64 {
    let (high, _) = derived("turn", &[subject.as_bytes()]).as_u64_pair();
    i64::from_be_bytes(high.to_be_bytes())
}

/// Writes a notice down, and its deliveries, due at once.
///
/// # Errors
/// [`HookError`] of the database or the journal.
pub(super) fn tell(conn: &mut PgConnection, now: DateTime<Utc>, notice: &Notice) -> Result<Placed, HookError> {
    let head = ledger::read::head(conn, JournalId(notice.tenant))?;
    let (seq, fork) = head.map_or((0, Uuid::nil()), |head| (head.seq, head.fork));
    for _ in 0..TRIES {
        let ordinal = notices::last_ordinal(conn, notice.tenant, seq)?;
        let ordinal = ordinal.map_or(FIRST_ORDINAL, |last| last.saturating_add(1).max(FIRST_ORDINAL));
        let event = event(notice, fork, (seq, ordinal), now);
        let body = message::body(&event)?;
        let (id, kind, depth) = (event.id(), event.kind, event.depth);
        let row = bulk::NewEvent { seq, ordinal, id, kind, body: &body, depth, created_at: now };
        if notices::insert_event(conn, notice.tenant, &row)? {
            deliver(conn, now, notice, &event)?;
            return Ok(Placed { seq, ordinal, event: event.id() });
        }
    }
    // As for a serialization failure: whoever asked asks again.
    Err(diesel::result::Error::RollbackTransaction.into())
}

fn event(notice: &Notice, fork: Uuid, (seq, ordinal): (i64, i32), now: DateTime<Utc>) -> Event {
    Event {
        tenant: notice.tenant,
        fork,
        seq,
        ordinal,
        kind: notice.kind,
        subject: format!("endpoint/{}", notice.endpoint),
        occurred: now,
        depth: notice.depth,
        recorded: now,
        data: notice.data.clone(),
    }
}

fn deliver(conn: &mut PgConnection, now: DateTime<Utc>, notice: &Notice, event: &Event) -> Result<(), HookError> {
    let receivers = notices::receivers(conn, notice.tenant, notice.endpoint, notice.kind, notice.to == To::Itself)?;
    let turn = turn_of(&event.subject);
    let ordered: BTreeSet<_> =
        receivers.iter().filter(|(_, is_ordered)| *is_ordered).map(|(id, _)| (notice.tenant, *id)).collect();
    turns::lock(conn, &ordered)?;
    let rows: Vec<_> = receivers
        .iter()
        .map(|(endpoint, is_ordered)| NewDelivery {
            place: Place { tenant: event.tenant, endpoint: *endpoint, seq: event.seq, ordinal: event.ordinal },
            status: DeliveryStatus::Pending,
            attempts: 0,
            next_at: Some(if *is_ordered { turns::turn_comes() } else { now }),
            turn: is_ordered.then_some(turn),
        })
        .collect();
    bulk::insert_deliveries(conn, &rows)?;
    let turns: Vec<_> = ordered.iter().map(|(tenant, endpoint)| (*tenant, *endpoint, turn)).collect();
    if !turns.is_empty() {
        turns::line_up(conn, &turns, now)?;
    }
    Ok(())
}
