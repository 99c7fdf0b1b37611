//! Limits: how much a client may ask, and when the node says that it has enough.
//!
//! Three guards, none of which waits or holds a lock across an await:
//! - **Rates** ([`Buckets`]): a token bucket for each client and one for its tenant, by class of route, spent once the key
//!   has proved itself (so nobody spends another's). Refused: 429 `rate-limited`.
//! - **In hand**: so many requests of a class at the same time. Money has its own share, which no other class can take.
//! - **Queue**: what the writer cannot reach within [`Policy::patience`] is turned away at the door, other classes before
//!   money. Refused, as for the former: 503 `overloaded`.
//!
//! Every refusal says when to come back (`Retry-After`), does nothing, and leaves its idempotency key free. An answer says
//! what is left of the client's bucket, or of the tenant's if that refused, once less than half is (`RateLimit` and
//! `RateLimit-Policy`, IETF draft-ietf-httpapi-ratelimit-headers-10). `/livez`, `/readyz`, `/metrics` have no limits.
//! Each node counts for itself; with Redis they tell each other afterwards ([`redis`](super::redis)), and no request waits.
//! The share of database connections that is kept for money is [`db`](super::db)'s. Not here: limits on a person (there
//! are none yet: keys belong to services), on refusals of one customer (`payments`), and on streams that outlive their
//! first bytes: a request counts as in hand until its answer begins.

mod bucket;
mod class;
mod load;
mod policy;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest, web};

pub use bucket::{Buckets, Left, Subject, Wait};
pub use class::{Class, Classes, PerClass};
pub use load::{Busy, Load, Look, Writer};
pub use policy::{ClassPolicy, Policy, PolicyError, Rate};

use super::keyring::Caller;
use super::problem::Problem;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const SECOND_NS: u64 = 1_000_000_000;

tokio::task_local! {
    static CURRENT: Option<Class>;
}

/// Runs a request so that whatever it awaits knows its class: see [`may_wait_behind_money`].
pub fn scope<F: Future>(class: Option<Class>, request: F) -> impl Future<Output = F::Output> {
    CURRENT.scope(class, request)
}

/// Whether this task serves a request that money goes before. Work that is no request is not.
#[must_use]
pub fn may_wait_behind_money() -> bool {
    CURRENT.try_with(|class| class.is_some_and(|class| class != Class::Money)).unwrap_or(false)
}

/// The limits of a node; clones share them. Apps hold them as `web::Data<Limits>`; one without them has none.
#[derive(Debug, Clone)]
pub struct Limits(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    policy: Policy,
    classes: Classes,
    buckets: Buckets,
    load: Load,
    start: Instant,
    counts: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    rate_limited: AtomicU64,
    shed: PerClass<AtomicU64>,
}

/// How the limits fare; counters since the node started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Requests in hand.
    pub in_hand: usize,
    /// Requests refused because their client or tenant asked too much.
    pub rate_limited: u64,
    /// Requests turned away because the node had enough, by class.
    pub shed: PerClass<u64>,
}

/// A request in hand; it ends with the value.
#[derive(Debug)]
pub struct Pass {
    limits: Arc<Inner>,
    class: Class,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.limits.load.leave(self.class);
    }
}

/// What a request carries with it: its class, and what is left of its bucket once that is known.
struct Ticket {
    class: Class,
    standing: Cell<Option<Standing>>,
}

/// What is left of a bucket.
#[derive(Debug, Clone, Copy)]
struct Standing {
    class: Class,
    rate: Rate,
    left: Left,
}

impl Limits {
    /// Limits by this policy over routes of these classes, for a writer that one can look at.
    #[must_use]
    pub fn new(policy: Policy, classes: Classes, look: Look) -> Self {
        let (buckets, load, counts) = (Buckets::default(), Load::new(look), Counters::default());
        Self(Arc::new(Inner { policy, classes, buckets, load, start: Instant::now(), counts }))
    }

    /// The same routes and writer under another policy, with all buckets full.
    #[must_use]
    pub fn with_policy(&self, policy: Policy) -> Self {
        Self::new(policy, self.0.classes, self.0.load.look())
    }

    /// How they fare.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let Counters { rate_limited, shed } = &self.0.counts;
        let mut counts =
            Counts { in_hand: self.0.load.in_hand(), rate_limited: count(rate_limited), shed: PerClass::default() };
        for class in Class::ALL {
            *counts.shed.of_mut(class) = count(shed.of(class));
        }
        counts
    }

    /// What clients and tenants spent here since the last call, at most `most` entries of it.
    #[must_use]
    pub fn spent(&self, most: usize) -> Vec<(Subject, Class, u64)> {
        self.0.buckets.drain(most)
    }

    /// Counts what was spent on other nodes within the last `over`, never so much that this node is shut.
    pub fn spent_elsewhere(&self, subject: Subject, class: Class, tokens: u64, over: Duration) {
        let class_policy = self.0.policy.classes.of(class);
        let rate = if subject.client.is_some() { class_policy.client } else { class_policy.tenant };
        self.0.buckets.spend_elsewhere(subject, class, rate, tokens, over, self.0.now());
    }

    fn enter(&self, class: Class) -> Result<Pass, Problem> {
        let inner = &self.0;
        if let Err(busy) = inner.load.enter(&inner.policy, class, inner.now()) {
            let before = inner.counts.shed.of(class).fetch_add(1, Ordering::Relaxed);
            if before.is_multiple_of(1_000) {
                tracing::warn!(%class, ?busy, shed = before.saturating_add(1), "overloaded: requests are turned away");
            }
            return Err(overloaded());
        }
        Ok(Pass { limits: Arc::clone(inner), class })
    }

    /// Takes a token of the client and one of the tenant; says what is left of the client's, or of what refused.
    fn charge(&self, caller: &Caller, class: Class) -> Result<Standing, (Standing, Wait)> {
        let (inner, now) = (&self.0, self.0.now());
        let ClassPolicy { client, tenant, .. } = *inner.policy.classes.of(class);
        let of = |client| Subject { tenant: caller.tenant.id, client };
        let spend = |subject, rate: Rate| {
            let standing = |left| Standing { class, rate, left };
            let none = Left { tokens: 0, full_in_ns: SECOND_NS.saturating_mul(window_s(rate)) };
            inner.buckets.spend(subject, class, rate, now).map(standing).map_err(|wait| (standing(none), wait))
        };
        let standing = spend(of(Some(caller.client())), client)?;
        spend(of(None), tenant)?;
        Ok(standing)
    }
}

impl Inner {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Takes a request in hand: none if it has no limits.
///
/// # Errors
/// 503 `overloaded`.
pub fn enter(req: &ServiceRequest, pattern: &str) -> Result<Option<Pass>, Problem> {
    let Some(limits) = req.app_data::<web::Data<Limits>>().filter(|limits| limits.0.policy.on) else { return Ok(None) };
    let Some(class) = Class::of(limits.0.classes, req.method(), pattern) else { return Ok(None) };
    let pass = limits.enter(class)?;
    req.extensions_mut().insert(Ticket { class, standing: Cell::new(None) });
    Ok(Some(pass))
}

impl Pass {
    /// The class of the request.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }
}

/// Charges a caller who has proved who they are for this request.
///
/// # Errors
/// 429 `rate-limited`.
pub fn charge(req: &HttpRequest, caller: &Caller) -> Result<(), Problem> {
    let Some(limits) = req.app_data::<web::Data<Limits>>() else { return Ok(()) };
    let extensions = req.extensions();
    let Some(ticket) = extensions.get::<Ticket>() else { return Ok(()) };
    match limits.charge(caller, ticket.class) {
        Ok(standing) => ticket.standing.set(Some(standing)),
        Err((standing, wait)) => {
            ticket.standing.set(Some(standing));
            limits.0.counts.rate_limited.fetch_add(1, Ordering::Relaxed);
            return Err(rate_limited(ticket.class, wait));
        }
    }
    Ok(())
}

/// Writes what is left of the caller's bucket into the answer's headers, once it is less than half.
pub fn tell(req: &HttpRequest, headers: &mut HeaderMap) {
    let Some(standing) = req.extensions().get::<Ticket>().and_then(|ticket| ticket.standing.get()) else { return };
    let Standing { class, rate, left } = standing;
    if left.tokens > u64::from(rate.burst).checked_div(2).unwrap_or(0) {
        return;
    }
    let policy = format!("\"{class}\";q={};w={}", rate.burst, window_s(rate));
    let now = format!("\"{class}\";r={};t={}", left.tokens, left.full_in_ns.div_ceil(SECOND_NS));
    for (name, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, now)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

/// How long a bucket takes to be full again, in whole seconds.
fn window_s(rate: Rate) -> u64 {
    u64::from(rate.burst.div_ceil(rate.per_s.max(1))).max(1)
}

fn rate_limited(class: Class, Wait(wait_ns): Wait) -> Problem {
    let seconds = u32::try_from(wait_ns.div_ceil(SECOND_NS)).unwrap_or(u32::MAX).max(1);
    let detail =
        "Send less at a time: Retry-After says when there is room again. Nothing happened, the key stays free.";
    Problem::new(429, "rate-limited", "Too many requests", detail).with("class", class.word()).retry_after(seconds)
}

fn overloaded() -> Problem {
    let detail = "Try again in a moment, later each time. Nothing happened, the key stays free.";
    Problem::new(503, "overloaded", "Too much at once", detail).retry_after(1)
}

#[cfg(test)]
mod tests;
