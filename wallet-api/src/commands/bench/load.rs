//! A load generator for our own server on loopback: HTTP/1.1, kept-alive connections, one request at a time on each.
//!
//! It shares the cores with the server and its database, so it reuses its buffers and allocates nothing per request.
//! *Closed loop* finds the peak: each connection asks again once it is answered. *Open loop* finds the latency at a
//! given rate: requests are due by a clock that does not wait for answers, and a request's time counts from when it was
//! due, also when every connection was busy then, so that a server that stalls cannot hide it.
//! Promise: every request is in the report once, as ok, refused or error.
//! Not here: pipelining, TLS, retries; a request that got no answer is an error and is not repeated.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::timeout_at,
};

use super::{
    histogram::Histogram,
    wire::{Response, WireError, parse_response},
};

/// How long after the end of a run its last answers may take. What is not answered then is an error.
pub const GRACE: Duration = Duration::from_secs(30);

/// How long a connection that could not be made waits before the next try.
const RECONNECT_PAUSE: Duration = Duration::from_millis(10);

/// The least time between two looks at the schedule; requests go out at most this much late by our own doing.
const MIN_TICK: Duration = Duration::from_micros(200);

/// What to send, and where to.
pub struct Plan<F, A = fn(&Answer<'_>)> {
    addr: SocketAddr,
    connections: usize,
    make: F,
    on_ok: A,
}

/// A 2xx answer.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The number of the request it answers, as given to `make`.
    pub number: u64,
    /// When its last byte was here.
    pub received: Instant,
    /// Its body.
    pub body: &'a [u8],
}

impl<F: Fn(u64, &mut Vec<u8>)> Plan<F> {
    /// Sends what `make` writes: given a number, which no two requests of a run share and which counts from 0, it
    /// appends one whole request to an empty buffer.
    pub fn new(addr: SocketAddr, connections: usize, make: F) -> Self {
        Self { addr, connections, make, on_ok: |_| () }
    }

    /// Shows every 2xx answer to `on_ok`, which must not block.
    pub fn on_ok<A: Fn(&Answer<'_>)>(self, on_ok: A) -> Plan<F, A> {
        Plan { addr: self.addr, connections: self.connections, make: self.make, on_ok }
    }
}

/// What became of a run's requests: `sent` = `ok` + all `refused` + `errors`.
#[derive(Debug, Clone, Default)]
pub struct LoadReport {
    /// Requests that were due; more than `sent` when an open loop could not keep up to the end of its grace.
    pub scheduled: u64,
    /// Requests tried.
    pub sent: u64,
    /// Requests answered 2xx.
    pub ok: u64,
    /// Requests answered otherwise, by status.
    pub refused: BTreeMap<u16, u64>,
    /// Requests without an answer: what became of them is not known here.
    pub errors: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// How long the `ok` ones took: since they were sent (closed loop) or due (open loop).
    pub latencies: Histogram,
}

impl LoadReport {
    /// Requests answered 2xx per second, rounded down.
    pub fn ok_per_s(&self) -> u64 {
        let per_s = (u128::from(self.ok) * 1_000_000_000).checked_div(self.elapsed.as_nanos()).unwrap_or(0);
        u64::try_from(per_s).unwrap_or(u64::MAX)
    }
}

/// Why a run has no report.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Not all connections could be made at the start.
    #[error("cannot connect to {addr}")]
    Connect {
        /// Where to.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// An answer that this generator does not speak.
    #[error("an answer cannot be read")]
    Answer(#[from] WireError),
    /// A callback panicked.
    #[error("a connection's task ended early")]
    Task(#[from] tokio::task::JoinError),
}

/// Asks on every connection, again and again, for `duration`; then waits for the last answers.
///
/// # Errors
/// [`LoadError`]
pub async fn closed_loop<F, A>(plan: Plan<F, A>, duration: Duration) -> Result<LoadReport, LoadError>
where
    F: Fn(u64, &mut Vec<u8>) + Send + Sync + 'static,
    A: Fn(&Answer<'_>) + Send + Sync + 'static,
{
    let workers = Worker::open_all(plan).await?;
    let start = Instant::now();
    let end = start + duration;
    let mut running = JoinSet::new();
    for mut worker in workers {
        running.spawn(async move {
            let work = worker.ask_until(end);
            // Out of time is no failure: what is unanswered shows as errors.
            timeout_at((end + GRACE).into(), work).await.unwrap_or(Ok(()))?;
            Ok(worker.tally)
        });
    }
    let report = gather(running, start).await?;
    Ok(LoadReport { scheduled: report.sent, ..report })
}

/// Asks `rate_per_s` times a second for `duration`, whatever the answers do; then waits for the last ones.
///
/// A request that is due while all connections are busy goes out on the first that is free. Connections take turns, so
/// each rests for about `connections / rate_per_s`; that must be less than the server keeps a silent connection.
///
/// # Errors
/// [`LoadError`]
pub async fn open_loop<F, A>(
    plan: Plan<F, A>,
    rate_per_s: NonZeroU32,
    duration: Duration,
) -> Result<LoadReport, LoadError>
where
    F: Fn(u64, &mut Vec<u8>) + Send + Sync + 'static,
    A: Fn(&Answer<'_>) + Send + Sync + 'static,
{
    let workers = Worker::open_all(plan).await?;
    let schedule = Arc::new(Schedule::new(rate_per_s, duration));
    let (pacer, connections) = (Arc::downgrade(&schedule), workers.len());
    // A thread, because the runtime's timers know whole milliseconds only. It ends with the schedule, or with its users.
    tokio::task::spawn_blocking(move || {
        let mut released = 0;
        while let Some(pause) = pacer.upgrade().and_then(|schedule| schedule.release(&mut released, connections)) {
            std::thread::sleep(pause);
        }
    });
    let mut running = JoinSet::new();
    for mut worker in workers {
        let schedule = Arc::clone(&schedule);
        running.spawn(async move {
            let last = schedule.start + duration + GRACE;
            let work = worker.ask_when_due(&schedule);
            timeout_at(last.into(), work).await.unwrap_or(Ok(()))?;
            Ok(worker.tally)
        });
    }
    let report = gather(running, schedule.start).await?;
    Ok(LoadReport { scheduled: schedule.total, ..report })
}

async fn gather(mut running: JoinSet<Result<Tally, LoadError>>, start: Instant) -> Result<LoadReport, LoadError> {
    let mut report = LoadReport::default();
    while let Some(tally) = running.join_next().await {
        tally??.add_to(&mut report);
    }
    report.elapsed = start.elapsed();
    Ok(report)
}

/// When each request of an open loop is due.
struct Schedule {
    start: Instant,
    rate_per_s: u64,
    total: u64,
    /// One permit for each request that is due and not yet taken up.
    due: Semaphore,
}

impl Schedule {
    fn new(rate_per_s: NonZeroU32, duration: Duration) -> Self {
        let rate_per_s = u64::from(rate_per_s.get());
        let total = due_after(duration, rate_per_s);
        Self { start: Instant::now(), rate_per_s, total, due: Semaphore::new(0) }
    }

    fn due_at(&self, number: u64) -> Instant {
        let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.rate_per_s);
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Lets go what is due by now, and says how long to wait before the next look; `None` when all is let go.
    fn release(&self, released: &mut u64, connections: usize) -> Option<Duration> {
        // Request 0 is due at once, hence the one more.
        let due = (due_after(self.start.elapsed(), self.rate_per_s) + 1).min(self.total);
        let fresh = due.saturating_sub(std::mem::replace(released, due));
        self.due.add_permits(usize::try_from(fresh).unwrap_or(Semaphore::MAX_PERMITS));
        if due == self.total {
            // One more for each connection: who gets it finds nothing left to send and ends.
            self.due.add_permits(connections);
            return None;
        }
        Some(self.due_at(due).saturating_duration_since(Instant::now()).max(MIN_TICK))
    }
}

fn due_after(elapsed: Duration, rate_per_s: u64) -> u64 {
    u64::try_from(elapsed.as_nanos() * u128::from(rate_per_s) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// What every connection of a run shares.
struct Shared<F, A> {
    plan: Plan<F, A>,
    next: AtomicU64,
}

/// One connection and what it counted.
struct Worker<F, A> {
    shared: Arc<Shared<F, A>>,
    stream: Option<TcpStream>,
    request: Vec<u8>,
    answer: Vec<u8>,
    tally: Tally,
}

impl<F, A> Worker<F, A>
where
    F: Fn(u64, &mut Vec<u8>) + Send + Sync + 'static,
    A: Fn(&Answer<'_>) + Send + Sync + 'static,
{
    /// All connections are made before the clock starts.
    async fn open_all(plan: Plan<F, A>) -> Result<Vec<Self>, LoadError> {
        let shared = Arc::new(Shared { plan, next: AtomicU64::new(0) });
        let (addr, connections) = (shared.plan.addr, shared.plan.connections);
        let mut workers = Vec::with_capacity(connections);
        for _ in 0..connections {
            let stream = connect(addr).await.map_err(|source| LoadError::Connect { addr, source })?;
            workers.push(Self {
                shared: Arc::clone(&shared),
                stream: Some(stream),
                request: Vec::with_capacity(2 * 1024),
                answer: Vec::with_capacity(8 * 1024),
                tally: Tally::default(),
            });
        }
        Ok(workers)
    }

    async fn ask_until(&mut self, end: Instant) -> Result<(), LoadError> {
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            let number = self.take_number();
            self.ask(number, now).await?;
        }
    }

    async fn ask_when_due(&mut self, schedule: &Schedule) -> Result<(), LoadError> {
        // The semaphore is never closed, so this ends by the permits that come after the last request.
        while let Ok(permit) = schedule.due.acquire().await {
            permit.forget();
            let number = self.take_number();
            if number >= schedule.total {
                break;
            }
            self.ask(number, schedule.due_at(number)).await?;
        }
        Ok(())
    }

    fn take_number(&self) -> u64 {
        self.shared.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends one request and counts what comes of it. A connection that breaks is made anew for the next one.
    async fn ask(&mut self, number: u64, since: Instant) -> Result<(), LoadError> {
        self.tally.sent += 1;
        self.request.clear();
        (self.shared.plan.make)(number, &mut self.request);
        let addr = self.shared.plan.addr;
        // Taken out, and put back only after a whole answer: a run that is cut short leaves no half-read connection.
        let stream = match self.stream.take() {
            Some(stream) => Ok(stream),
            None => connect(addr).await,
        };
        let Ok(mut stream) = stream else {
            tokio::time::sleep(RECONNECT_PAUSE).await;
            return Ok(());
        };
        let Some(answer) = exchange(&mut stream, &self.request, &mut self.answer).await? else { return Ok(()) };
        let received = Instant::now();
        self.tally.count(answer.status, received.saturating_duration_since(since));
        if (200..300).contains(&answer.status) {
            let body = self.answer.get(answer.body).unwrap_or_default();
            (self.shared.plan.on_ok)(&Answer { number, received, body });
        }
        if !answer.closes {
            self.stream = Some(stream);
        }
        Ok(())
    }
}

async fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One request and its answer; `None` when the connection broke before the answer was whole.
async fn exchange(stream: &mut TcpStream, request: &[u8], buffer: &mut Vec<u8>) -> Result<Option<Response>, WireError> {
    buffer.clear();
    if stream.write_all(request).await.is_err() {
        return Ok(None);
    }
    loop {
        if !matches!(stream.read_buf(buffer).await, Ok(1..)) {
            return Ok(None);
        }
        if let Some(answer) = parse_response(buffer)? {
            return Ok(Some(answer));
        }
    }
}

/// What one connection counted.
#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    ok: u64,
    refused: BTreeMap<u16, u64>,
    latencies: Histogram,
}

impl Tally {
    fn count(&mut self, status: u16, took: Duration) {
        if (200..300).contains(&status) {
            self.ok += 1;
            self.latencies.record(took);
        } else {
            *self.refused.entry(status).or_default() += 1;
        }
    }

    fn add_to(&self, report: &mut LoadReport) {
        report.sent += self.sent;
        report.ok += self.ok;
        self.refused.iter().for_each(|(status, count)| *report.refused.entry(*status).or_default() += count);
        report.errors += self.sent.saturating_sub(self.ok).saturating_sub(self.refused.values().sum());
        report.latencies.merge(&self.latencies);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::net::TcpListener;

    use super::{
        super::{receiver::Receiver, wire::write_post},
        *,
    };

    fn post(number: u64, out: &mut Vec<u8>) {
        write_post(out, format_args!("/"), &[("webhook-id", format_args!("{number}"))], b"{}");
    }

    /// Answers each connection's n-th read with the n-th of `answers`, then closes it.
    async fn server(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    for answer in answers {
                        if !matches!(stream.read(&mut [0; 4096]).await, Ok(1..)) {
                            break;
                        }
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        addr
    }

    fn is_accounted_for(report: &LoadReport) -> bool {
        report.sent == report.ok + report.refused.values().sum::<u64>() + report.errors
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_closed_loop_counts_what_the_receiver_counts_and_numbers_each_request_once() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (kept, acked) = (Arc::clone(&seen), Arc::new(Mutex::new(Vec::new())));
        let keep = move |hook: &super::super::receiver::Delivery<'_, '_>| {
            kept.lock().unwrap().push(hook.webhook_id().parse::<u64>().unwrap())
        };
        let receiver = Receiver::start(keep).await.unwrap();
        let acks = Arc::clone(&acked);
        let plan = Plan::new(receiver.addr(), 8, post).on_ok(move |answer| acks.lock().unwrap().push(answer.number));
        let report = closed_loop(plan, Duration::from_millis(200)).await.unwrap();

        let (mut seen, mut acked) = (seen.lock().unwrap().clone(), acked.lock().unwrap().clone());
        seen.sort_unstable();
        acked.sort_unstable();
        assert_eq!(seen, (0..report.sent).collect::<Vec<_>>());
        assert_eq!(seen, acked);
        assert_eq!((report.ok, report.errors, report.latencies.count()), (report.sent, 0, report.sent));
        assert_eq!(report.scheduled, report.sent);
        assert!(report.sent >= 8 && report.elapsed >= Duration::from_millis(200) && report.ok_per_s() > 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_open_loop_keeps_its_rate() {
        let receiver = Receiver::start(|_| ()).await.unwrap();
        let rate = NonZeroU32::new(800).unwrap();
        let report = open_loop(Plan::new(receiver.addr(), 16, post), rate, Duration::from_millis(500)).await.unwrap();
        assert_eq!((report.scheduled, report.sent, report.ok, report.errors), (400, 400, 400, 0));
        // The last request is due 1.25 ms before the end, and none goes out before it is due.
        assert!(report.elapsed >= Duration::from_micros(498_750), "{:?}", report.elapsed);
    }

    /// One connection, 10 ms per answer, a request due every millisecond: the last of 100 waited for the other 99.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_open_loop_counts_the_wait_for_a_busy_connection() {
        let receiver = Receiver::start(|_| std::thread::sleep(Duration::from_millis(10))).await.unwrap();
        let rate = NonZeroU32::new(1000).unwrap();
        let report = open_loop(Plan::new(receiver.addr(), 1, post), rate, Duration::from_millis(100)).await.unwrap();
        assert_eq!(report.ok, 100);
        assert!(report.latencies.max_us() >= 900_000, "{}", report.latencies.max_us());
        assert!(report.latencies.quantile_us(500) >= 400_000);
    }

    #[test]
    fn a_schedule_lets_go_of_each_request_once_and_ends() {
        let schedule = Schedule::new(NonZeroU32::new(3000).unwrap(), Duration::from_millis(20));
        let mut released = 0;
        while let Some(pause) = schedule.release(&mut released, 7) {
            assert!(schedule.due_at(released) > schedule.start);
            std::thread::sleep(pause);
        }
        assert_eq!((released, schedule.due.available_permits()), (60, 67));
        assert_eq!(schedule.due_at(30) - schedule.start, Duration::from_millis(10));
    }

    #[tokio::test]
    async fn refusals_are_counted_by_status_and_bodies_are_shown() {
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        let addr = server(&[
            "HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nhi",
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        ])
        .await;
        let plan = Plan::new(addr, 1, post).on_ok(move |answer| kept.lock().unwrap().push(answer.body.to_vec()));
        let report = closed_loop(plan, Duration::from_millis(50)).await.unwrap();
        assert!(report.ok >= 1 && bodies.lock().unwrap().iter().all(|body| body == b"hi"));
        assert_eq!(report.refused.keys().copied().collect::<Vec<_>>(), [503]);
        assert!(is_accounted_for(&report) && report.errors == 0, "{report:?}");
    }

    #[tokio::test]
    async fn a_connection_that_breaks_is_one_error_and_is_made_anew() {
        let addr = server(&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-le"]).await;
        let report = closed_loop(Plan::new(addr, 2, post), Duration::from_millis(50)).await.unwrap();
        assert!(report.ok >= 2 && report.errors >= 2, "{report:?}");
        assert!(is_accounted_for(&report));
    }

    #[tokio::test]
    async fn an_answer_it_does_not_speak_ends_the_run_by_name() {
        let addr = server(&["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"]).await;
        let refused = closed_loop(Plan::new(addr, 1, post), Duration::from_secs(5)).await;
        assert!(matches!(refused, Err(LoadError::Answer(WireError::Framing))));
    }

    #[tokio::test]
    async fn nobody_there_is_told_before_the_clock_starts() {
        let addr = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
        let refused = closed_loop(Plan::new(addr, 1, post), Duration::from_secs(5)).await;
        assert!(matches!(refused, Err(LoadError::Connect { .. })));
    }
}
