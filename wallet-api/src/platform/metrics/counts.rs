//! What is counted as it happens.

use std::hash::BuildHasher as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::http::{Method, StatusCode};
use foldhash::fast::FixedState;
use ledger::{Histogram, LATENCY_US};

/// Route patterns times methods that are counted apart: several times as many as there are.
const ROUTES: usize = 512;
/// Codes that are counted apart: several times as many as there are.
const CODES: usize = 256;
/// What a method that we do not serve is called, so that callers cannot make series.
const OTHER: &str = "other";

/// A fixed number of places for series, each found without a lock and never moved. A table that is full counts no more
/// series; it is made for several times as many as there can be.
struct Table<K, V, const N: usize>([OnceLock<(K, V)>; N]);

impl<K, V, const N: usize> Table<K, V, N> {
    const fn new() -> Self {
        Self([const { OnceLock::new() }; N])
    }

    /// The series of this key, made if it is the first time; none when the table is full.
    fn series(&self, hash: u64, is: impl Fn(&K) -> bool, make: impl Fn() -> (K, V)) -> Option<&V> {
        let start = usize::try_from(hash.checked_rem(u64::try_from(N).ok()?)?).ok()?;
        let (before, after) = self.0.split_at_checked(start)?;
        // Two that come at once for one place: the first has it, the other finds whose it is and goes on.
        let mut places = after.iter().chain(before).map(|place| place.get_or_init(&make));
        places.find(|(key, _)| is(key)).map(|(_, value)| value)
    }

    fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.0.iter().filter_map(OnceLock::get)
    }
}

/// Counts by stable code.
pub(super) struct Codes(Table<&'static str, AtomicU64, CODES>);

impl Codes {
    const fn new() -> Self {
        Self(Table::new())
    }

    fn count(&self, code: &'static str) {
        let make = || (code, AtomicU64::new(0));
        if let Some(count) = self.0.series(FixedState::default().hash_one(code), |known| *known == code, make) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each code and its count, codes in order.
    pub(super) fn read(&self) -> Vec<(&'static str, u64)> {
        let mut counts: Vec<_> = self.0.iter().map(|(code, count)| (*code, count.load(Ordering::Relaxed))).collect();
        counts.sort_unstable();
        counts
    }
}

struct Route {
    pattern: Box<str>,
    method: &'static str,
}

struct Answers {
    /// By class: 1xx to 5xx.
    by_class: [AtomicU64; 5],
    took_us: Histogram,
}

impl Answers {
    fn read<'a>(&'a self, route: &'a Route) -> RouteCount<'a> {
        let by_class = self.by_class.each_ref().map(|count| count.load(Ordering::Relaxed));
        RouteCount { route: &route.pattern, method: route.method, by_class, took_us: &self.took_us }
    }
}

/// Answers of one route and method.
pub(super) struct RouteCount<'a> {
    pub(super) route: &'a str,
    pub(super) method: &'static str,
    /// By class: 1xx to 5xx.
    pub(super) by_class: [u64; 5],
    pub(super) took_us: &'a Histogram,
}

/// What the HTTP edge answered.
pub struct HttpCounts {
    routes: Table<Route, Answers, ROUTES>,
    refusals: Codes,
}

impl HttpCounts {
    pub(super) const fn new() -> Self {
        Self { routes: Table::new(), refusals: Codes::new() }
    }

    /// Counts an answer to a request for a route, by its pattern: whatever matched none must come under one name.
    pub fn answered(&self, pattern: &str, method: &'static str, status: StatusCode, took: Duration) {
        let make = || {
            let answers = Answers { by_class: Default::default(), took_us: Histogram::new(LATENCY_US) };
            (Route { pattern: pattern.into(), method }, answers)
        };
        let is = |route: &Route| route.method == method && *route.pattern == *pattern;
        let Some(answers) = self.routes.series(FixedState::default().hash_one((pattern, method)), is, make) else {
            return;
        };
        let class = usize::from(status.as_u16()).checked_div(100).and_then(|class| class.checked_sub(1));
        if let Some(count) = class.and_then(|class| answers.by_class.get(class)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        answers.took_us.observe_us(took);
    }

    /// Counts a refusal, by its stable code.
    pub fn refused(&self, code: &'static str) {
        self.refusals.count(code);
    }

    pub(super) fn refusals(&self) -> &Codes {
        &self.refusals
    }

    /// Every route that was asked for, in order.
    pub(super) fn read(&self) -> Vec<RouteCount<'_>> {
        let mut counts: Vec<RouteCount<'_>> = self.routes.iter().map(|(route, answers)| answers.read(route)).collect();
        counts.sort_unstable_by_key(|count| (count.route, count.method));
        counts
    }
}

/// The name of a method that somebody may well use here; any other is `other`, since its name is a caller's text.
#[must_use]
pub fn method_name(method: &Method) -> &'static str {
    let known = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    known.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER)
}

/// What became of hooks.
pub struct HookCounts {
    attempts: Codes,
    deliveries: Codes,
    took_us: Histogram,
}

impl HookCounts {
    pub(super) const fn new() -> Self {
        Self { attempts: Codes::new(), deliveries: Codes::new(), took_us: Histogram::new(LATENCY_US) }
    }

    /// Counts an attempt by what came of it: `delivered`, or the stable name of the failure.
    pub fn attempted(&self, outcome: &'static str, took: Duration) {
        self.attempts.count(outcome);
        self.took_us.observe_us(took);
    }

    /// Counts a delivery that has ended, by how.
    pub fn ended(&self, status: &'static str) {
        self.deliveries.count(status);
    }

    pub(super) fn attempts(&self) -> &Codes {
        &self.attempts
    }

    pub(super) fn deliveries(&self) -> &Codes {
        &self.deliveries
    }

    pub(super) fn took_us(&self) -> &Histogram {
        &self.took_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_route_method_and_class_and_methods_of_nobody_together() {
        static COUNTS: HttpCounts = HttpCounts::new();
        let answered = |method: &str, status: u16| {
            let (method, status) =
                (Method::from_bytes(method.as_bytes()).unwrap(), StatusCode::from_u16(status).unwrap());
            COUNTS.answered("/v1/payments/{id}", method_name(&method), status, Duration::from_millis(3));
        };
        for (method, status) in [("GET", 200), ("GET", 204), ("GET", 503), ("BREW", 405), ("SIP", 405)] {
            answered(method, status);
        }
        let read = COUNTS.read();
        let told: Vec<_> = read.iter().map(|one| (one.method, one.by_class, one.took_us.spread().count)).collect();
        assert_eq!(told, [("GET", [0, 2, 0, 0, 1], 3), (OTHER, [0, 0, 0, 2, 0], 2)]);
    }

    /// Whatever is thrown at it, the table neither grows nor loses what it knows.
    #[test]
    fn a_full_table_goes_on_counting_what_it_knows() {
        static COUNTS: HttpCounts = HttpCounts::new();
        for number in 0..2 * ROUTES {
            COUNTS.answered(&format!("/{number}"), "GET", StatusCode::OK, Duration::ZERO);
        }
        assert_eq!(COUNTS.read().len(), ROUTES);
        COUNTS.answered("/0", "GET", StatusCode::OK, Duration::ZERO);
        let read = COUNTS.read();
        assert_eq!(read.iter().find(|one| one.route == "/0").map(|one| one.by_class[1]), Some(2));
    }

    #[test]
    fn threads_that_come_at_once_for_new_codes_lose_no_count() {
        static COUNTS: HookCounts = HookCounts::new();
        const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| NAMES.iter().for_each(|name| COUNTS.ended(name))));
            }
        });
        assert_eq!(COUNTS.deliveries().read(), NAMES.map(|name| (name, 4_000)));
    }
}
