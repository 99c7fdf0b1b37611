//! How often one person may be refused (JOURNAL 6).
//!
//! A refusal by an account's state is a record for ever, so whoever is refused again and again would fill the books. Each
//! refusal spends from the owner's allowance: [`BURST`] at once, one back every [`BACK_EVERY`]. With nothing left, the
//! next request is answered 429 before the journal sees it: nothing is frozen, the key stays free.
//! Requests on their way when the allowance runs out still pass: this bounds the books, it is not a lock.
//! Kept in memory by each node. Not here: limits on requests that are not refused.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::platform::problem::Problem;

/// Refusals one may have at once.
const BURST: i32 = 20;
/// How long until one of them is given back.
const BACK_EVERY: TimeDelta = TimeDelta::seconds(3);
/// Owners remembered; more of them make room by forgetting those whose allowance is whole again.
const REMEMBERED: usize = 100_000;

/// Who was refused of late: for each tenant's owner, when their allowance will be whole again.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<(i64, Uuid), DateTime<Utc>>>);

impl Refusals {
    /// Refuses to try when the owner has nothing left.
    ///
    /// # Errors
    /// 429 `too-many-refusals`.
    pub fn check(&self, tenant: i64, owner: Uuid, now: DateTime<Utc>) -> Result<(), Problem> {
        let Some(whole_at) = self.lock().get(&(tenant, owner)).copied() else { return Ok(()) };
        let over = whole_at.signed_duration_since(now) - BACK_EVERY * (BURST - 1);
        if over <= TimeDelta::zero() {
            return Ok(());
        }
        let seconds = u32::try_from(over.num_seconds()).unwrap_or(0).saturating_add(1);
        let detail = "Look at why the last ones were refused, and try again later: nothing happened.";
        Err(Problem::new(429, "too-many-refusals", "Too many refusals", detail).retry_after(seconds))
    }

    /// Notes that the owner was refused.
    pub fn note(&self, tenant: i64, owner: Uuid, now: DateTime<Utc>) {
        let mut whole_at = self.lock();
        if whole_at.len() >= REMEMBERED {
            whole_at.retain(|_, at| *at > now);
        }
        let at = whole_at.entry((tenant, owner)).or_insert(now);
        *at = (*at).max(now) + BACK_EVERY;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(i64, Uuid), DateTime<Utc>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Uuid = Uuid::from_u128(1);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn spent() -> Refusals {
        let refusals = Refusals::default();
        for _ in 0..BURST {
            assert!(refusals.check(1, OWNER, at(0)).is_ok());
            refusals.note(1, OWNER, at(0));
        }
        refusals
    }

    #[test]
    fn after_the_burst_one_waits_for_each_refusal_to_be_given_back() {
        let refusals = spent();
        let problem = refusals.check(1, OWNER, at(0)).unwrap_err();
        assert_eq!((problem.status().as_u16(), problem.code()), (429, "too-many-refusals"));
        assert!(refusals.check(1, OWNER, at(2)).is_err());
        assert!(refusals.check(1, OWNER, at(3)).is_ok());
        refusals.note(1, OWNER, at(3));
        assert!(refusals.check(1, OWNER, at(5)).is_err());
        assert!(refusals.check(1, OWNER, at(6)).is_ok());
    }

    #[test]
    fn one_owners_refusals_are_nobody_elses() {
        let refusals = spent();
        assert!(refusals.check(1, Uuid::from_u128(2), at(0)).is_ok());
        assert!(refusals.check(2, OWNER, at(0)).is_ok());
    }

    #[test]
    fn an_allowance_once_whole_does_not_grow() {
        let refusals = spent();
        let later = 1_000_000;
        for _ in 0..BURST {
            assert!(refusals.check(1, OWNER, at(later)).is_ok());
            refusals.note(1, OWNER, at(later));
        }
        assert!(refusals.check(1, OWNER, at(later)).is_err());
    }
}
