//! The engine: follows the journal, and tells the endpoints.
//!
//! One thread has a small runtime of its own, so that neither requests nor hooks wait for each other's turn. Five kinds
//! of tasks run on it: [`follow`] reads committed records and hands what they say to workers; [`attempt`] sends, at most
//! so many at once to one endpoint; [`record`] writes down what came of it, set by set, in the transaction that moves the
//! cursor; [`poll`] takes up what is due in the table: second and later attempts, replays, what is told in order, and what
//! no memory holds any more; [`tend`] walks through orders to tell again and deletes what is old.
//!
//! Promise: what is committed is told, at least once, under the same ids; what is rolled back never is, because only
//! committed rows are followed. The engine works while this node leads the journal, under the epoch it leads by. Two that
//! work at once, for the moment in which one has not noticed that it leads no more, may tell twice and lose nothing: the
//! cursor moves once, and a retry is claimed by one. An endpoint that hangs holds up none of the others: [`breaker`]. One
//! that has failed for days is disabled, and the others are told: [`health`].
//!
//! Limits: an endpoint is told what is recorded after it was added. Order is not promised but to an endpoint that asked
//! for it, by subject, a tenth of a second later than the others; `sequence` lets a receiver restore it. Memory holds
//! [`lane::PLACES`] deliveries for each endpoint and [`lanes::MAX_BYTES`] in all; what is beyond waits in the table.

mod attempt;
mod breaker;
mod flight;
mod flights;
mod follow;
mod health;
mod lane;
mod lanes;
mod outbox;
mod parked;
mod poll;
mod receiver;
mod record;
mod tend;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ledger::Journal;
use ledger::follow::Page;
use tokio::sync::{Notify, watch};

use self::flight::Flight;
use self::flights::Flights;
pub use self::lane::{Concurrency, PerLane};
use self::lanes::Lanes;
use super::guard::Policy;
use super::model::HookError;
use super::schedule;
use super::send::{Limits, Sender};
use super::store::bulk;
use super::wake::Wake;
use crate::platform::Platform;
use crate::platform::db::{DbError, HouseDb};
use crate::platform::events::Event;
use crate::platform::follow::Reading;
use crate::platform::ids::Ids;
use crate::platform::metrics::HookLoad;

/// Makes events of a page of the journal, and tells which records it cannot read. Pure: the same page always gives the
/// same.
pub type EventSource = fn(&Page) -> Reading<Event>;

/// When to try again: see [`schedule::next_attempt`], which is the published one.
pub type Schedule = fn(u32, DateTime<Utc>, Option<Duration>, u64) -> Option<DateTime<Utc>>;

/// How long attempts under way may go on after a stop.
const GRACE: Duration = Duration::from_secs(2);
/// How often a stop looks whether they have ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How the engine works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where hooks may go.
    pub policy: Policy,
    /// What an attempt may take. Unused connections are kept for as many attempts as may run at once.
    pub limits: Limits,
    /// Attempts at once to one endpoint, by lane.
    pub concurrency: Concurrency,
    /// When to try again.
    pub schedule: Schedule,
    /// How long a delivery that is in memory stays hidden from the poll: after a crash, how long it waits. Longer than
    /// [`Limits::total`].
    pub hold: Duration,
    /// How long events are kept, with their deliveries and attempts.
    pub retention: TimeDelta,
    /// Says that the table has something to send.
    pub wake: Wake,
}

impl Default for Settings {
    /// 64 first attempts, 16 retries and 8 replays at once to each endpoint, the published schedule, 15 s until what a
    /// crash left is taken up, and 30 days of retention.
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            limits: Limits::default(),
            concurrency: Concurrency { first: 64, retry: 16, replay: 8 },
            schedule: schedule::next_attempt,
            hold: Duration::from_secs(15),
            retention: TimeDelta::days(30),
            wake: Wake::default(),
        }
    }
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No thread or no runtime.
    #[error("the operating system gives no thread for the hooks")]
    Thread(#[from] std::io::Error),
    /// A fault of the build.
    #[error("the cryptography provider cannot speak TLS")]
    Tls(#[from] rustls::Error),
}

/// The running engine.
pub struct Hooks {
    stop: watch::Sender<bool>,
    lanes: Arc<Mutex<Lanes>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the engine's tasks share.
struct Engine {
    platform: Platform,
    db: HouseDb,
    journal: Journal,
    events: EventSource,
    settings: Settings,
    sender: Sender,
    /// Not the platform's: a demo's seeded stream must not depend on when hooks fail.
    dice: Ids,
    lanes: Arc<Mutex<Lanes>>,
    /// Says that the table has deliveries that are due, or for which there is room again.
    hungry: Wake,
    flights: Mutex<Flights>,
    /// Turns of the follower: each begins with another journal.
    turns: AtomicUsize,
    /// Says that there may be something to write down.
    landed: Notify,
}

/// Why a piece of the engine's work failed; it is tried again.
#[derive(Debug, thiserror::Error)]
enum EngineError {
    #[error("database call failed")]
    Database(#[from] diesel::result::Error),
    #[error("database cannot be asked")]
    Pool(#[from] DbError),
    #[error("journal cannot be read")]
    Journal(#[from] ledger::StoreError),
    #[error(transparent)]
    Hook(#[from] HookError),
    #[error("event cannot be written as JSON")]
    Body(#[from] serde_json::Error),
    #[error("another node has moved the cursor")]
    Moved,
}

impl Hooks {
    /// Starts the engine; it works whenever this node leads.
    ///
    /// `db` should be of 4 connections. `platform.clock` dates attempts and signatures, so receivers must agree with it: a clock
    /// that stands still also stops retries.
    ///
    /// # Errors
    /// [`StartError`] when the machine or the build lacks something.
    pub fn start(
        platform: Platform,
        db: HouseDb,
        journal: Journal,
        events: EventSource,
        mut settings: Settings,
    ) -> Result<Self, StartError> {
        let at_once = settings.concurrency.sum(|one| (*one).max(1));
        settings.limits.idle_per_server = settings.limits.idle_per_server.max(at_once);
        let sender = Sender::new(settings.policy.clone(), settings.limits.clone())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let lanes = Arc::<Mutex<Lanes>>::default();
        let engine = Engine {
            platform,
            db,
            journal,
            events,
            hungry: settings.wake.clone(),
            settings,
            sender,
            dice: Ids::system(),
            lanes: Arc::clone(&lanes),
            flights: Mutex::default(),
            turns: AtomicUsize::new(0),
            landed: Notify::new(),
        };
        let stop = watch::Sender::new(false);
        let stopping = stop.subscribe();
        let thread = std::thread::Builder::new()
            .name("hooks".into())
            .spawn(move || runtime.block_on(run(Arc::new(engine), stopping)))?;
        Ok(Self { stop, lanes, thread: Mutex::new(Some(thread)) })
    }

    /// Looks at what memory holds, whenever it is called; that is nothing on a node that does not lead.
    pub fn look(&self) -> impl Fn() -> HookLoad + Send + Sync + use<> {
        let lanes = Arc::clone(&self.lanes);
        move || lock(&lanes).load()
    }

    /// Begins nothing new, lets attempts under way end (for 2 s at most), writes down what came of them, and makes the
    /// rest due at once for whoever comes next. Blocks. Before the journal and the database stop.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the hooks' thread panicked");
        }
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn run(engine: Arc<Engine>, mut stopping: watch::Receiver<bool>) {
    let drained = watch::Sender::new(false);
    let follow = tokio::spawn(follow::run(Arc::clone(&engine), stopping.clone()));
    let poll = tokio::spawn(poll::run(Arc::clone(&engine), stopping.clone()));
    let tend = tokio::spawn(tend::run(Arc::clone(&engine), stopping.clone()));
    let record = tokio::spawn(record::run(Arc::clone(&engine), drained.subscribe()));
    // An error means that the handle is gone, which also means stop.
    _ = stopping.wait_for(|stop| *stop).await;
    finished("follower", follow.await);
    finished("poll", poll.await);
    finished("tend", tend.await);
    engine.lanes().close_all();
    let idle = async {
        while !engine.lanes().is_idle() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    if tokio::time::timeout(GRACE, idle).await.is_err() {
        tracing::warn!("hooks under way were broken off; they will be sent again");
    }
    drained.send_replace(true);
    finished("record", record.await);
    engine.release().await;
}

fn finished(task: &'static str, end: Result<(), tokio::task::JoinError>) {
    if let Err(error) = end {
        tracing::error!(task, %error, "a task of the hooks panicked");
    }
}

/// A panic elsewhere leaves lanes and flights usable: at worst a delivery is held that nobody sends, until a restart.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        lock(&self.lanes)
    }

    fn flights(&self) -> MutexGuard<'_, Flights> {
        lock(&self.flights)
    }

    /// Takes up a page, before its first hook is sent; false when it will be read again.
    fn begin(&self, flight: Flight) -> bool {
        let begun = flight.span.is_empty() || self.flights().begin(flight);
        self.landed.notify_one();
        begun
    }

    /// Notes what came of an attempt.
    fn land(&self, done: attempt::Done) {
        self.flights().land(done);
        self.landed.notify_one();
    }

    /// Until when what is taken into memory now is hidden from the poll.
    fn held_until(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let hold = TimeDelta::from_std(self.settings.hold).unwrap_or(TimeDelta::MAX);
        now.checked_add_signed(hold).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Runs database work off this thread.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut diesel::PgConnection) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        self.db.run(work).await?
    }

    /// Makes what is in memory and not done due again.
    async fn release(&self) {
        let places = self.lanes().held();
        let now = self.platform.clock.now();
        let work = move |conn: &mut _| Ok(bulk::in_bulk(conn, |conn| bulk::release(conn, &places, now))?);
        if let Err(error) = self.run(work).await {
            tracing::warn!(%error, "hooks not sent were not released; they come due by themselves");
        }
    }
}

#[cfg(test)]
mod tests;
