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
    task::JoinSet,
    time::timeout_at,
};

use super::{
    histogram::Histogram,
    wire::{Response, WireError, parse_response},
};
use schedule::Schedule;

mod schedule;

/// How long after the end of a run its last answers may take. What is not answered then is an error.
pub const GRACE: Duration = Duration::from_secs(30);

/// How long a connection that could not be made waits before the next try.
const RECONNECT_PAUSE: Duration = Duration::from_millis(10);

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
    /// From the start to the last answer, and at least the run's duration: a server that falls silent gains nothing.
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
    let report = gather(running, start, duration).await?;
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
    let report = gather(running, schedule.start, duration).await?;
    Ok(LoadReport { scheduled: schedule.total, ..report })
}

async fn gather(
    mut running: JoinSet<Result<Tally, LoadError>>,
    start: Instant,
    duration: Duration,
) -> Result<LoadReport, LoadError> {
    let mut report = LoadReport { elapsed: duration, ..LoadReport::default() };
    while let Some(tally) = running.join_next().await {
        tally??.add_to(&mut report, start);
    }
    Ok(report)
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
        self.tally.count(answer.status, since, received);
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
    last_answer: Option<Instant>,
    latencies: Histogram,
}

impl Tally {
    fn count(&mut self, status: u16, since: Instant, received: Instant) {
        self.last_answer = Some(received);
        if (200..300).contains(&status) {
            self.ok += 1;
            self.latencies.record(received.saturating_duration_since(since));
        } else {
            *self.refused.entry(status).or_default() += 1;
        }
    }

    fn add_to(&self, report: &mut LoadReport, start: Instant) {
        let elapsed = self.last_answer.map_or(Duration::ZERO, |last| last.saturating_duration_since(start));
        report.elapsed = report.elapsed.max(elapsed);
        report.sent += self.sent;
        report.ok += self.ok;
        self.refused.iter().for_each(|(status, count)| *report.refused.entry(*status).or_default() += count);
        report.errors += self.sent.saturating_sub(self.ok).saturating_sub(self.refused.values().sum());
        report.latencies.merge(&self.latencies);
    }
}

#[cfg(test)]
mod tests;
