//! Replays: what an endpoint was told, told again, under the same ids.
//!
//! One delivery is made due again at once. A range with a filter is an order, which the leader walks through a page at a
//! time: a page, and the order's place after it, are one commit, so a kill costs nothing and repeats at most what was
//! sent. An order ends at the head of the moment it was given; while [`WAITING`] replays wait at its endpoint it pauses,
//! so that a filter which matches everything is work as bounded as any other. Replays have a lane of their own.
//!
//! Limits: what is older than the retention is gone, and an endpoint is not told again what it was never to be told.
//! Not here: sending (deliver), the HTTP shapes (routes).

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use ledger::JournalId;
use uuid::Uuid;

use super::message::webhook_id;
use super::model::{DeliveryStatus, EventTypes, HookError, MAX_DEPTH, MAX_REPLAYS};
use super::store::bulk::Place;
use super::store::{self, notices, replays, replays::hook_replay, turns};
use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};

/// Deliveries looked at in one transaction.
const PAGE: i64 = 1_000;
/// Replays that wait at an endpoint, from which on its orders pause.
const WAITING: i64 = 1_000;
/// Most ids an order may name.
pub(super) const MAX_NAMES: usize = 100;

/// Stands for the last event of a seq where the range is shown.
const LAST_ORDINAL: i32 = 9_999;

/// Where an event stands: seq and ordinal.
pub type At = (i64, i32);

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// This very event.
    At(At),
    /// The first event written down at this time or later.
    Time(DateTime<Utc>),
}

/// What to tell again. What is not said is not asked for.
#[derive(Debug, Default)]
pub struct Wish {
    /// The first event.
    pub from: Option<Bound>,
    /// The last event; for a time, the first after it.
    pub until: Option<Bound>,
    /// Only events of these types.
    pub kinds: Option<EventTypes>,
    /// Only deliveries that are this far.
    pub statuses: Option<Vec<DeliveryStatus>>,
    /// Only events with these ids, or the webhook ids made of them.
    pub names: Option<Vec<String>>,
}

/// An order to tell again, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = hook_replay, check_for_backend(diesel::pg::Pg))]
pub struct Replay {
    /// Whose.
    pub(super) tenant: i64,
    /// Its id.
    pub id: Uuid,
    /// Which endpoint.
    pub endpoint: Uuid,
    /// The first place it is about.
    pub(super) from_seq: i64,
    /// With its ordinal.
    pub(super) from_ordinal: i32,
    /// The last place looked at.
    pub(super) cursor_seq: i64,
    /// With its ordinal.
    pub(super) cursor_ordinal: i32,
    /// The last place it is about.
    pub(super) upto_seq: i64,
    /// With its ordinal.
    pub(super) upto_ordinal: i32,
    /// Only these types.
    pub kinds: Option<Vec<String>>,
    /// Only these statuses.
    pub(super) statuses: Option<Vec<i16>>,
    /// Only these ids.
    pub names: Option<Vec<String>>,
    /// Deliveries looked at.
    pub examined: i64,
    /// Of these, made due again.
    pub replayed: i64,
    /// When it was ordered.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether it ended before its end.
    pub is_cancelled: bool,
}

impl Replay {
    /// The statuses it is about; none: all.
    #[must_use]
    pub fn statuses(&self) -> Option<Vec<DeliveryStatus>> {
        self.statuses.as_ref().map(|codes| codes.iter().copied().map(DeliveryStatus::from_code).collect())
    }

    /// The first and the last place it is about.
    pub(super) fn range(&self) -> (At, At) {
        ((self.from_seq, self.from_ordinal), (self.upto_seq, self.upto_ordinal.min(LAST_ORDINAL)))
    }

    /// Whether it is about this delivery.
    fn matches(&self, seen: &replays::Seen) -> bool {
        let named = |names: &Vec<String>| {
            let (event, webhook) = (seen.event.to_string(), webhook_id(seen.event, self.endpoint));
            names.iter().any(|name| *name == event || *name == webhook)
        };
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&seen.kind))
            && self.statuses.as_ref().is_none_or(|statuses| statuses.contains(&seen.status))
            && self.names.as_ref().is_none_or(named)
    }
}

/// Gives an order to tell an endpoint again.
///
/// # Errors
/// [`HookError::Unknown`], [`HookError::Disabled`], [`HookError::TooManyReplays`], or [`HookError::Invalid`] for a wish
/// out of its bounds.
#[tracing::instrument(name = "hooks.replay", skip_all, fields(tenant.id = tenant, endpoint.id = %endpoint, replay.id = %id))]
pub fn order(
    conn: &mut PgConnection,
    tenant: i64,
    now: DateTime<Utc>,
    by: Actor,
    endpoint: Uuid,
    id: Uuid,
    wish: Wish,
) -> Result<Replay, HookError> {
    conn.transaction(|conn| {
        enabled(conn, tenant, endpoint)?;
        if replays::count_unfinished(conn, tenant, endpoint)? >= MAX_REPLAYS {
            return Err(HookError::TooManyReplays);
        }
        let replay = plan(conn, tenant, now, endpoint, id, wish)?;
        replays::insert(conn, &replay)?;
        let act = Entry::done(tenant, by, Action::HookReplayOrdered, Object::HookReplay(id));
        audit::append(conn, &act.with("endpoint", Fact::Id(endpoint)), now)?;
        Ok(replay)
    })
}

fn plan(
    conn: &mut PgConnection,
    tenant: i64,
    now: DateTime<Utc>,
    endpoint: Uuid,
    id: Uuid,
    wish: Wish,
) -> Result<Replay, HookError> {
    let head = ledger::read::head(conn, JournalId(tenant))?.map_or(0, |head| head.seq);
    let (from_seq, from_ordinal) = match wish.from {
        None => (0, 0),
        Some(Bound::At(at)) => at,
        Some(Bound::Time(time)) => (first_written(conn, tenant, head, time)?, 0),
    };
    let (upto_seq, upto_ordinal) = match wish.until {
        None => (head, i32::MAX),
        Some(Bound::At(at)) => at.min((head, i32::MAX)),
        Some(Bound::Time(time)) => (first_written(conn, tenant, head, time)?.saturating_sub(1), i32::MAX),
    };
    let cursor_ordinal = from_ordinal.saturating_sub(1);
    let kinds = wish.kinds.map(|kinds| kinds.names().to_vec()).filter(|names| !names.iter().any(|name| name == "*"));
    let statuses = wish.statuses.map(|all| all.into_iter().map(DeliveryStatus::code).collect());
    Ok(Replay {
        tenant,
        id,
        endpoint,
        from_seq,
        from_ordinal,
        cursor_seq: from_seq,
        cursor_ordinal,
        upto_seq,
        upto_ordinal,
        kinds,
        statuses,
        names: wish.names,
        examined: 0,
        replayed: 0,
        created_at: now,
        ended_at: None,
        is_cancelled: false,
    })
}

/// The first seq whose event, or the next one there is, was written down at `time` or later: events are written down in
/// the order of their seqs, so a few probes of an index find it.
fn first_written(conn: &mut PgConnection, tenant: i64, head: i64, time: DateTime<Utc>) -> Result<i64, HookError> {
    let (mut low, mut high) = (0, head.saturating_add(1));
    while low < high {
        let middle = low.midpoint(high);
        match replays::written_at(conn, tenant, middle)? {
            Some(at) if at < time => low = middle.saturating_add(1),
            _ => high = middle,
        }
    }
    Ok(low)
}

/// Makes one delivery due again, at once. `depth` hooks led to this call, one after the other.
///
/// # Errors
/// [`HookError::Unknown`], [`HookError::Disabled`]; [`HookError::Loop`] past [`MAX_DEPTH`] hooks.
#[tracing::instrument(name = "hooks.replay_one", skip_all, fields(tenant.id = tenant, endpoint.id = %endpoint))]
pub fn one(
    conn: &mut PgConnection,
    tenant: i64,
    now: DateTime<Utc>,
    by: Actor,
    endpoint: Uuid,
    (seq, ordinal): At,
    depth: i16,
) -> Result<(), HookError> {
    if !(0..=MAX_DEPTH).contains(&depth) {
        return Err(HookError::Loop);
    }
    conn.transaction(|conn| {
        enabled(conn, tenant, endpoint)?;
        if depth > 0 {
            notices::deepen(conn, tenant, (seq, ordinal), depth)?;
        }
        let told = again(conn, &[Place { tenant, endpoint, seq, ordinal }], now)?;
        if told == 0 {
            return Err(HookError::Unknown);
        }
        let act = Entry::done(tenant, by, Action::HookReplayed, Object::HookEndpoint(endpoint));
        let act = act.with("seq", Fact::Number(seq)).with("ordinal", Fact::Number(ordinal.into()));
        audit::append(conn, &act, now)?;
        Ok(())
    })
}

fn enabled(conn: &mut PgConnection, tenant: i64, endpoint: Uuid) -> Result<(), HookError> {
    let endpoint = store::endpoint(conn, tenant, endpoint)?.ok_or(HookError::Unknown)?;
    if endpoint.disabled.is_some() { Err(HookError::Disabled) } else { Ok(()) }
}

/// Makes deliveries of one endpoint due again; says how many there were.
fn again(conn: &mut PgConnection, places: &[Place], now: DateTime<Utc>) -> QueryResult<usize> {
    // For ordered endpoints only, but one lock a page costs less than to ask.
    turns::lock(conn, &places.iter().map(|place| (place.tenant, place.endpoint)).collect::<BTreeSet<_>>())?;
    let (count, turns) = replays::mark(conn, places, now)?;
    if !turns.is_empty() {
        turns::line_up(conn, &turns, now)?;
    }
    Ok(count)
}

/// An order of the tenant.
///
/// # Errors
/// [`HookError::Unknown`].
pub fn find(conn: &mut PgConnection, tenant: i64, id: Uuid) -> Result<Replay, HookError> {
    replays::replay(conn, tenant, id)?.ok_or(HookError::Unknown)
}

/// Ends an order where it is; what it made due stays due. One that has ended stays as it ended.
///
/// # Errors
/// [`HookError::Unknown`].
pub fn cancel(conn: &mut PgConnection, tenant: i64, now: DateTime<Utc>, by: Actor, id: Uuid) -> Result<(), HookError> {
    conn.transaction(|conn| {
        if replays::cancel(conn, tenant, id, now)? {
            let act = Entry::done(tenant, by, Action::HookReplayCancelled, Object::HookReplay(id));
            audit::append(conn, &act, now)?;
        } else {
            find(conn, tenant, id)?;
        }
        Ok(())
    })
}

/// What a turn of an order came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A page was looked at, and more may follow.
    Moved,
    /// It is over.
    Ended,
    /// Nothing was done: enough waits at its endpoint, or somebody else moved it.
    Paused,
}

/// Takes an order one page further, inside the caller's transaction.
///
/// # Errors
/// [`HookError`] of the database.
pub(super) fn step(conn: &mut PgConnection, now: DateTime<Utc>, replay: &Replay) -> Result<Step, HookError> {
    let (tenant, endpoint) = (replay.tenant, replay.endpoint);
    match enabled(conn, tenant, endpoint) {
        Err(HookError::Disabled | HookError::Unknown) => {
            replays::cancel(conn, tenant, replay.id, now)?;
            return Ok(Step::Ended);
        }
        known => known?,
    }
    if replays::waiting(conn, tenant, endpoint, WAITING)? >= WAITING {
        return Ok(Step::Paused);
    }
    let (cursor, upto) = ((replay.cursor_seq, replay.cursor_ordinal), (replay.upto_seq, replay.upto_ordinal));
    let page = replays::page(conn, tenant, endpoint, cursor, upto, PAGE)?;
    let place = |seen: &replays::Seen| Place { tenant, endpoint, seq: seen.seq, ordinal: seen.ordinal };
    let places: Vec<_> = page.iter().filter(|seen| replay.matches(seen)).map(place).collect();
    let told = if places.is_empty() { 0 } else { again(conn, &places, now)? };
    let seen = i64::try_from(page.len()).unwrap_or(PAGE);
    let (cursor_seq, cursor_ordinal) = page.last().map_or(cursor, |last| (last.seq, last.ordinal));
    let replayed = replay.replayed.saturating_add(i64::try_from(told).unwrap_or(0));
    let found_all =
        replay.names.as_ref().is_some_and(|names| i64::try_from(names.len()).is_ok_and(|all| replayed >= all));
    let is_last = seen < PAGE || found_all;
    let after = Replay {
        cursor_seq,
        cursor_ordinal,
        examined: replay.examined.saturating_add(seen),
        replayed,
        ended_at: is_last.then_some(now),
        ..replay.clone()
    };
    if !replays::advance(conn, replay, &after)? {
        // Another node leads, or it was cancelled: what was marked here must not stay.
        return Err(diesel::result::Error::RollbackTransaction.into());
    }
    Ok(if is_last { Step::Ended } else { Step::Moved })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_about_what_passes_every_filter() {
        let at = DateTime::UNIX_EPOCH;
        let endpoint = Uuid::from_u128(5);
        let seen = replays::Seen { seq: 1, ordinal: 0, status: 2, event: Uuid::from_u128(7), kind: "a.b.v1".into() };
        let all = Replay {
            tenant: 1,
            id: Uuid::nil(),
            endpoint,
            from_seq: 0,
            from_ordinal: 0,
            cursor_seq: 0,
            cursor_ordinal: -1,
            upto_seq: 9,
            upto_ordinal: 0,
            kinds: None,
            statuses: None,
            names: None,
            examined: 0,
            replayed: 0,
            created_at: at,
            ended_at: None,
            is_cancelled: false,
        };
        assert!(all.matches(&seen));
        let named = |name: String| Replay { names: Some(vec![name]), ..all.clone() };
        assert!(named(seen.event.to_string()).matches(&seen));
        assert!(named(webhook_id(seen.event, endpoint)).matches(&seen));
        assert!(!named(webhook_id(seen.event, Uuid::nil())).matches(&seen));
        assert!(Replay { statuses: Some(vec![1, 2]), ..all.clone() }.matches(&seen));
        assert!(!Replay { statuses: Some(vec![1]), kinds: Some(vec!["a.b.v1".into()]), ..all.clone() }.matches(&seen));
        assert!(!Replay { kinds: Some(vec!["a.b".into()]), ..all }.matches(&seen));
    }
}
