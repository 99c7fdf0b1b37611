//! How often one person may be refused (JOURNAL 6).
//!
//! A refusal by an account's state is a record for ever, so whoever is refused again and again would fill the books. Each
//! refusal spends from the owner's allowance, one for payments and one for top-ups: [`BURST`] at once, one back every
//! [`BACK_EVERY`]. With nothing left, a new request is answered 429: nothing is frozen, the key stays free. A key that was
//! used before still gets its answer. Whoever goes away before the answer is charged as if refused.
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
/// Owners remembered; one more makes room by forgetting those whose allowance is whole again, or else all.
const REMEMBERED: usize = 100_000;

/// Whose allowance, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Allowance {
    /// The tenant.
    pub tenant: i64,
    /// The customer.
    pub owner: Uuid,
    /// `payment`, `top_up`: who may not pay may still bring money.
    pub what: &'static str,
}

/// Who was refused of late: when each allowance will be whole again.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<Allowance, DateTime<Utc>>>);

/// A request on its way. Dropped without [`Pending::answered`], it is charged: nobody will ever say here what it came to.
#[derive(Debug)]
pub struct Pending<'a> {
    refusals: &'a Refusals,
    allowance: Allowance,
    now: DateTime<Utc>,
    charge: bool,
}

impl Pending<'_> {
    /// Charges a refusal, and nothing else.
    pub fn answered(mut self, refused: bool) {
        self.charge = refused;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if self.charge {
            self.refusals.note(self.allowance, self.now);
        }
    }
}

impl Refusals {
    /// Begins a request.
    pub fn pending(&self, allowance: Allowance, now: DateTime<Utc>) -> Pending<'_> {
        Pending { refusals: self, allowance, now, charge: true }
    }

    /// Refuses to try when nothing is left.
    ///
    /// # Errors
    /// 429 `too-many-refusals`.
    pub fn check(&self, allowance: Allowance, now: DateTime<Utc>) -> Result<(), Problem> {
        let Some(whole_at) = self.lock().get(&allowance).copied() else { return Ok(()) };
        let over = whole_at.signed_duration_since(now) - BACK_EVERY * (BURST - 1);
        if over <= TimeDelta::zero() {
            return Ok(());
        }
        let seconds = u32::try_from(over.num_milliseconds()).unwrap_or(0).div_ceil(1_000);
        let detail = "Look at why the last ones were refused, and try again later: nothing happened.";
        Err(Problem::new(429, "too-many-refusals", "Too many refusals", detail).retry_after(seconds))
    }

    /// Charges a refusal. Never more than the whole allowance is owed, however many were on their way.
    fn note(&self, allowance: Allowance, now: DateTime<Utc>) {
        let mut whole_at = self.lock();
        if whole_at.len() >= REMEMBERED {
            whole_at.retain(|_, at| *at > now);
            if whole_at.len() >= REMEMBERED {
                whole_at.clear();
            }
        }
        let at = whole_at.entry(allowance).or_insert(now);
        *at = ((*at).max(now) + BACK_EVERY).min(now + BACK_EVERY * BURST);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Allowance, DateTime<Utc>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: Allowance = Allowance { tenant: 1, owner: Uuid::from_u128(1), what: "payment" };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn spent() -> Refusals {
        let refusals = Refusals::default();
        for _ in 0..BURST {
            assert!(refusals.check(ANNA, at(0)).is_ok());
            refusals.pending(ANNA, at(0)).answered(true);
        }
        refusals
    }

    #[test]
    fn after_the_burst_one_waits_for_each_refusal_to_be_given_back() {
        let refusals = spent();
        let problem = refusals.check(ANNA, at(0)).unwrap_err();
        assert_eq!((problem.status().as_u16(), problem.code()), (429, "too-many-refusals"));
        assert!(refusals.check(ANNA, at(2)).is_err());
        assert!(refusals.check(ANNA, at(3)).is_ok());
        refusals.note(ANNA, at(3));
        assert!(refusals.check(ANNA, at(5)).is_err());
        assert!(refusals.check(ANNA, at(6)).is_ok());
        // A thousand were on their way: no more than the whole allowance is owed for them.
        (0..1_000).for_each(|_| refusals.note(ANNA, at(6)));
        assert!(refusals.check(ANNA, at(9)).is_ok());
    }

    #[test]
    fn who_goes_away_before_the_answer_is_charged_and_who_is_not_refused_is_not() {
        let refusals = Refusals::default();
        (0..100).for_each(|_| refusals.pending(ANNA, at(0)).answered(false));
        assert!(refusals.check(ANNA, at(0)).is_ok());
        (0..BURST).for_each(|_| drop(refusals.pending(ANNA, at(0))));
        assert!(refusals.check(ANNA, at(0)).is_err());
    }

    #[test]
    fn one_owners_refusals_are_nobody_elses() {
        let refusals = spent();
        assert!(refusals.check(Allowance { owner: Uuid::from_u128(2), ..ANNA }, at(0)).is_ok());
        assert!(refusals.check(Allowance { tenant: 2, ..ANNA }, at(0)).is_ok());
        assert!(refusals.check(Allowance { what: "top_up", ..ANNA }, at(0)).is_ok());
    }

    #[test]
    fn an_allowance_once_whole_does_not_grow() {
        let refusals = spent();
        let later = 1_000_000;
        for _ in 0..BURST {
            assert!(refusals.check(ANNA, at(later)).is_ok());
            refusals.note(ANNA, at(later));
        }
        assert!(refusals.check(ANNA, at(later)).is_err());
    }
}
