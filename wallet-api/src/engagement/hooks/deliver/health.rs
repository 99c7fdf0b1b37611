//! The health of endpoints: since when one has failed, who is told of it, and when it is disabled.
//!
//! An endpoint fails from its first failure on, until its next success. The tenant's other endpoints are told after the
//! fourth attempt at one hook, after 24 h and after 72 h; after five days it is disabled, and they are told that too. What
//! an endpoint is known to be comes from memory, so that a success costs nothing and neither does one failure more.
//! Limits: without hooks to send nobody knows, and nothing is disabled. A success just after the first failure may go
//! unnoticed; the next one does not.
//! After: Standard Webhooks 1.0, "Deliverability and reliability"; the times are ours.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult};

use super::receiver::Key;
use crate::engagement::hooks::model::{DeliveryStatus, DisableReason, HookError};
use crate::engagement::hooks::notice::{self, Notice};
use crate::engagement::hooks::store::bulk::Outcome;
use crate::engagement::hooks::store::tend;
use crate::engagement::hooks::switch_off;
use crate::platform::audit::Entry;

/// Attempts at one hook that give the first notice.
const ATTEMPTS: i32 = 4;
/// Since the first failure: the second notice.
const SECOND: TimeDelta = TimeDelta::hours(24);
/// The third.
const THIRD: TimeDelta = TimeDelta::hours(72);
/// The end.
const END: TimeDelta = TimeDelta::days(5);

/// What outcomes change about an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It takes hooks again.
    Recovered(Key),
    /// It began to fail.
    Failed(Key, DateTime<Utc>),
    /// It has failed since `since`, and the notice of this level is due.
    Notice { key: Key, level: i16, since: DateTime<Utc>, at: DateTime<Utc> },
    /// It has failed for days.
    Ended(Key, DateTime<Utc>),
}

/// What a batch of outcomes says of one endpoint.
#[derive(Default)]
struct Seen {
    succeeded: bool,
    /// The first failure after the last success, and the last.
    failed: Option<(DateTime<Utc>, DateTime<Utc>)>,
    attempts: i32,
}

/// What these outcomes change, given since when each endpoint is known to fail and how many notices were given.
pub(super) fn changes<'a>(
    outcomes: impl Iterator<Item = &'a Outcome>,
    known: impl Fn(&Key) -> (Option<DateTime<Utc>>, i16),
) -> Vec<Change> {
    let mut seen: BTreeMap<Key, Seen> = BTreeMap::new();
    for outcome in outcomes {
        let key = (outcome.place.tenant, outcome.place.endpoint);
        match outcome.status {
            DeliveryStatus::Gone | DeliveryStatus::Withheld => {}
            DeliveryStatus::Delivered => *seen.entry(key).or_default() = Seen { succeeded: true, ..Seen::default() },
            DeliveryStatus::Pending | DeliveryStatus::Failed => {
                let one = seen.entry(key).or_default();
                let first = one.failed.map_or(outcome.at, |(first, _)| first);
                one.failed = Some((first, outcome.at));
                one.attempts = one.attempts.max(outcome.attempt);
            }
        }
    }
    seen.into_iter().flat_map(|(key, seen)| of_one(key, &seen, known(&key))).collect()
}

fn of_one(key: Key, seen: &Seen, (since, told): (Option<DateTime<Utc>>, i16)) -> Vec<Change> {
    let mut changes = Vec::new();
    if seen.succeeded && since.is_some() {
        changes.push(Change::Recovered(key));
    }
    let Some((first, last)) = seen.failed else { return changes };
    let Some(since) = since.filter(|_| !seen.succeeded) else {
        changes.push(Change::Failed(key, first));
        return changes;
    };
    let level = match last.signed_duration_since(since) {
        long if long >= END => {
            changes.push(Change::Ended(key, last));
            return changes;
        }
        long if long >= THIRD => 3,
        long if long >= SECOND => 2,
        _ => i16::from(seen.attempts >= ATTEMPTS),
    };
    if level > told {
        changes.push(Change::Notice { key, level, since, at: last });
    }
    changes
}

/// Writes a change down and tells of it, inside the caller's transaction; what is to be in the audit log, and when it was,
/// is left to the caller.
///
/// # Errors
/// [`HookError`] of the database.
pub(super) fn apply(conn: &mut PgConnection, change: &Change) -> Result<Option<(Entry, DateTime<Utc>)>, HookError> {
    match change {
        Change::Recovered(key) => tend::recovered(conn, *key)?,
        Change::Failed(key, at) => tend::failed(conn, *key, *at)?,
        Change::Notice { key, level, since, at } => {
            if first_to_tell(conn, *key, *level)? {
                notice::tell(conn, *at, &Notice::failing(key.0, key.1, *since))?;
            }
        }
        Change::Ended((tenant, endpoint), at) => {
            return switch_off(conn, *tenant, *at, *endpoint, DisableReason::Failing);
        }
    }
    Ok(None)
}

/// Memory may not know yet that a notice was given: the table does.
fn first_to_tell(conn: &mut PgConnection, key: Key, level: i16) -> QueryResult<bool> {
    tend::told(conn, key, level)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::engagement::hooks::store::bulk::Place;

    const KEY: Key = (1, Uuid::from_u128(5));

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn outcome(hours: i64, attempt: i32, status: DeliveryStatus) -> Outcome {
        Outcome {
            place: Place { tenant: KEY.0, endpoint: KEY.1, seq: 1, ordinal: 0 },
            attempt,
            at: at(hours),
            http_status: None,
            reason: None,
            duration_ms: 0,
            response: None,
            status,
            next_at: None,
            turn: None,
        }
    }

    fn of(outcomes: &[Outcome], since: Option<i64>, told: i16) -> Vec<Change> {
        changes(outcomes.iter(), |_| (since.map(at), told))
    }

    #[test]
    fn what_is_known_already_changes_nothing() {
        assert_eq!(of(&[outcome(1, 1, DeliveryStatus::Delivered)], None, 0), []);
        assert_eq!(of(&[outcome(1, 1, DeliveryStatus::Pending)], Some(0), 0), []);
        assert_eq!(of(&[outcome(1, 4, DeliveryStatus::Pending)], Some(0), 1), []);
    }

    #[test]
    fn an_endpoint_fails_from_its_first_failure_until_its_next_success() {
        let (failure, success) = (DeliveryStatus::Pending, DeliveryStatus::Delivered);
        assert_eq!(of(&[outcome(1, 1, failure), outcome(2, 1, failure)], None, 0), [Change::Failed(KEY, at(1))]);
        assert_eq!(of(&[outcome(1, 1, failure), outcome(2, 1, success)], Some(0), 2), [Change::Recovered(KEY)]);
        let again = of(&[outcome(1, 1, success), outcome(2, 9, failure)], Some(0), 2);
        assert_eq!(again, [Change::Recovered(KEY), Change::Failed(KEY, at(2))], "and counts from there");
    }

    #[test]
    fn notices_come_after_four_attempts_a_day_and_three_and_the_end_after_five() {
        let level = |hours, attempt, told| match of(&[outcome(hours, attempt, DeliveryStatus::Failed)], Some(0), told)[..]
        {
            [Change::Notice { level, since, .. }] if since == at(0) => level,
            [Change::Ended(KEY, _)] => 9,
            _ => 0,
        };
        assert_eq!((level(1, 3, 0), level(1, 4, 0), level(23, 9, 1)), (0, 1, 0));
        assert_eq!((level(24, 1, 1), level(71, 9, 2), level(72, 9, 2)), (2, 0, 3));
        assert_eq!((level(119, 9, 3), level(120, 1, 3)), (0, 9));
    }
}
