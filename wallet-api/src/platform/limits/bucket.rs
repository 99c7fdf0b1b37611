//! Token buckets: one for each subject and class, kept as the one number that GCRA needs.
//!
//! A bucket is the moment at which it will be full again. A request moves that moment on by the time one token takes, and
//! is refused if it would then lie further off than a whole bucket takes. Memory is bounded: buckets that are full again
//! are forgotten first, and when all are in use all are (each then begins full: a burst is given away, never withheld).
//! What was spent is also counted apart, until [`Buckets::drain`] takes it to tell other nodes.
//! Source: the generic cell rate algorithm, ITU-T I.371, in the form of virtual scheduling.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::class::{Class, PerClass};
use super::policy::Rate;

const SHARDS: usize = 16;
/// Subjects remembered in each shard.
const REMEMBERED: usize = 4_096;
const SECOND_NS: u64 = 1_000_000_000;
/// A node keeps this part of what flows in, whatever others are said to have spent.
const KEPT_OF: u64 = 4;

/// Who spends: a client of a tenant, or the tenant as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The tenant.
    pub tenant: i64,
    /// Its client; none for all of them together.
    pub client: Option<i64>,
}

/// What is left of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Tokens.
    pub tokens: u64,
    /// Until it is full again, in nanoseconds.
    pub full_in_ns: u64,
}

/// Refused: how long until there is a token, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(pub u64);

/// A subject's bucket of one class.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// When it will be full, in nanoseconds of the buckets' time.
    full_at: u64,
    /// Spent and not yet told.
    untold: u64,
}

type Shard = HashMap<Subject, PerClass<Bucket>, foldhash::fast::RandomState>;

/// All buckets of a node. Times are nanoseconds since any moment that does not change.
#[derive(Debug)]
pub struct Buckets {
    hasher: foldhash::fast::RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

impl Default for Buckets {
    fn default() -> Self {
        Self { hasher: foldhash::fast::RandomState::default(), shards: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Buckets {
    /// Takes a token.
    ///
    /// # Errors
    /// [`Wait`] when there is none; nothing is taken then.
    pub fn spend(&self, subject: Subject, class: Class, rate: Rate, now: u64) -> Result<Left, Wait> {
        let mut shard = self.shard(subject);
        if shard.len() >= REMEMBERED && !shard.contains_key(&subject) {
            make_room(&mut shard, now);
        }
        let bucket = shard.entry(subject).or_default().of_mut(class);
        let full_at = bucket.full_at.max(now).saturating_add(token_ns(rate));
        let furthest = now.saturating_add(whole_ns(rate));
        if full_at > furthest {
            return Err(Wait(full_at.saturating_sub(furthest)));
        }
        bucket.full_at = full_at;
        bucket.untold = bucket.untold.saturating_add(1);
        let tokens = furthest.saturating_sub(full_at).checked_div(token_ns(rate)).unwrap_or(0);
        Ok(Left { tokens, full_in_ns: full_at.saturating_sub(now) })
    }

    /// Takes what other nodes spent in the last `over`, into debt if there is not as much, but at most three quarters of
    /// what flowed in during that time: whatever is said elsewhere, a quarter stays, and a node is not shut.
    pub fn spend_elsewhere(&self, subject: Subject, class: Class, rate: Rate, tokens: u64, over: Duration, now: u64) {
        let mut shard = self.shard(subject);
        // Room is made for those who come here, not for those who are told of.
        let Some(bucket) = shard.get_mut(&subject).map(|of| of.of_mut(class)) else { return };
        let over = u64::try_from(over.as_nanos()).unwrap_or(u64::MAX).max(1);
        // What was spent long ago has flowed in again: of a long time, the last second counts.
        let recent = over.min(SECOND_NS);
        let tokens = u128::from(tokens).saturating_mul(recent.into()).checked_div(over.into()).unwrap_or(0);
        let spent = token_ns(rate).saturating_mul(u64::try_from(tokens).unwrap_or(u64::MAX));
        let most = recent.saturating_sub(recent.checked_div(KEPT_OF).unwrap_or(0));
        bucket.full_at = bucket.full_at.max(now).saturating_add(spent.min(most));
    }

    /// What was spent here since the last call, at most `most` of it; the rest waits for the next.
    pub fn drain(&self, most: usize) -> Vec<(Subject, Class, u64)> {
        let mut spent = Vec::new();
        for shard in &self.shards {
            for (subject, of) in lock(shard).iter_mut() {
                for class in Class::ALL {
                    let bucket = of.of_mut(class);
                    if bucket.untold > 0 && spent.len() < most {
                        spent.push((*subject, class, std::mem::take(&mut bucket.untold)));
                    }
                }
            }
        }
        spent
    }

    fn shard(&self, subject: Subject) -> MutexGuard<'_, Shard> {
        let [first, ..] = &self.shards;
        // The upper four bits of the hash: the map within the shard uses the lower ones.
        let turn = usize::try_from(self.hasher.hash_one(subject).wrapping_shr(60)).unwrap_or(0);
        lock(self.shards.get(turn).unwrap_or(first))
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn make_room(shard: &mut Shard, now: u64) {
    shard.retain(|_, of| Class::ALL.into_iter().any(|class| of.of(class).full_at > now));
    if shard.len() >= REMEMBERED {
        shard.clear();
    }
}

/// How long one token takes to flow in.
fn token_ns(rate: Rate) -> u64 {
    SECOND_NS.checked_div(rate.per_s.into()).unwrap_or(SECOND_NS).max(1)
}

/// How long a whole bucket takes.
fn whole_ns(rate: Rate) -> u64 {
    token_ns(rate).saturating_mul(rate.burst.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_s: 10, burst: 5 };
    const TOKEN: u64 = SECOND_NS / 10;
    const ANNA: Subject = Subject { tenant: 1, client: Some(1) };

    fn spend(buckets: &Buckets, now: u64) -> Result<Left, Wait> {
        buckets.spend(ANNA, Class::Money, RATE, now)
    }

    /// Tokens there are to spend at once.
    fn there(buckets: &Buckets, now: u64) -> u64 {
        (0..).take_while(|_| spend(buckets, now).is_ok()).count().try_into().unwrap()
    }

    #[test]
    fn after_the_burst_tokens_come_one_at_a_time_and_never_more_than_the_burst() {
        let buckets = Buckets::default();
        assert_eq!(spend(&buckets, 0), Ok(Left { tokens: 4, full_in_ns: TOKEN }));
        assert_eq!(there(&buckets, 0), 4);
        assert_eq!(spend(&buckets, 0), Err(Wait(TOKEN)));
        assert_eq!(spend(&buckets, TOKEN - 1), Err(Wait(1)));
        assert_eq!(there(&buckets, TOKEN), 1);
        assert_eq!(there(&buckets, 1_000 * TOKEN), 5);
        // What is refused costs nothing: the next comes when it was said.
        assert_eq!(spend(&buckets, 1_000 * TOKEN), Err(Wait(TOKEN)));
        assert_eq!(there(&buckets, 1_001 * TOKEN), 1);
    }

    #[test]
    fn every_subject_and_class_has_a_bucket_of_its_own() {
        let buckets = Buckets::default();
        assert_eq!(there(&buckets, 0), 5);
        assert!(buckets.spend(ANNA, Class::Read, RATE, 0).is_ok());
        assert!(buckets.spend(Subject { client: None, ..ANNA }, Class::Money, RATE, 0).is_ok());
        assert!(buckets.spend(Subject { tenant: 2, ..ANNA }, Class::Money, RATE, 0).is_ok());
    }

    #[test]
    fn in_any_second_no_more_than_burst_and_rate_pass() {
        let buckets = Buckets::default();
        let step = SECOND_NS / 1_000;
        let passed: Vec<u64> = (0..5_000).map(|n| n * step).filter(|now| spend(&buckets, *now).is_ok()).collect();
        for from in &passed {
            let within = passed.iter().filter(|at| (*from..*from + SECOND_NS).contains(at)).count();
            assert!(within <= 15, "{within} within a second from {from}");
        }
        assert_eq!(passed.len(), 5 + 49, "and all that may pass does");
    }

    #[test]
    fn what_is_spent_elsewhere_counts_here_but_never_shuts_the_node() {
        let buckets = Buckets::default();
        spend(&buckets, 0).unwrap();
        buckets.spend_elsewhere(ANNA, Class::Money, RATE, 2, Duration::from_secs(1), 0);
        assert_eq!(there(&buckets, 0), 2);
        let (over, mut passed) = (Duration::from_millis(100), 0);
        for tenth in 100..1_100 {
            // A liar: ten times a second more than anybody could have spent.
            buckets.spend_elsewhere(ANNA, Class::Money, RATE, u64::MAX, over, tenth * SECOND_NS / 10);
            passed += there(&buckets, tenth * SECOND_NS / 10 + SECOND_NS / 10 - 1);
        }
        assert!((200..=300).contains(&passed), "a quarter of 10 a second stays: {passed} in 100 s");
    }

    /// Two nodes that tell each other, both asked for more than there is: together they pass what one would.
    #[test]
    fn two_nodes_that_tell_each_other_pass_what_one_would() {
        let nodes = [Buckets::default(), Buckets::default()];
        let over = Duration::from_millis(100);
        let mut passed = 0;
        for ms in 0..20_000 {
            passed += nodes.iter().map(|node| there(node, ms * 1_000_000)).sum::<u64>();
            if ms % 100 == 0 {
                let told = nodes.each_ref().map(|node| node.drain(9).iter().map(|(_, _, tokens)| tokens).sum::<u64>());
                for (node, elsewhere) in nodes.iter().zip([told[1], told[0]]) {
                    node.spend_elsewhere(ANNA, Class::Money, RATE, elsewhere, over, ms * 1_000_000);
                }
            }
        }
        // A burst each, and then ten a second; each lets pass a quarter of that at least.
        assert!((190..=260).contains(&passed), "{passed} in 20 s; alone they would pass 410");
    }

    #[test]
    fn what_was_spent_is_told_once() {
        let buckets = Buckets::default();
        there(&buckets, 0);
        buckets.spend(ANNA, Class::Read, RATE, 0).unwrap();
        assert_eq!(buckets.drain(1), [(ANNA, Class::Money, 5)]);
        assert_eq!(buckets.drain(9), [(ANNA, Class::Read, 1)]);
        assert!(buckets.drain(9).is_empty());
    }

    #[test]
    fn a_flood_of_subjects_never_outgrows_the_memory() {
        let buckets = Buckets::default();
        let most = i64::try_from(SHARDS * REMEMBERED).unwrap();
        for client in 0..most * 2 {
            let subject = Subject { tenant: 1, client: Some(client) };
            buckets.spend(subject, Class::Read, RATE, u64::try_from(client).unwrap()).unwrap();
        }
        let held: usize = buckets.shards.iter().map(|shard| lock(shard).len()).sum();
        assert!((1..=SHARDS * REMEMBERED).contains(&held), "{held}");
    }
}
