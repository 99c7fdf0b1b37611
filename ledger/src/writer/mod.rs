//! The one writer of a slot of journals, and the handle everybody else uses.
//!
//! Promises: at most one writer commits at any time, whatever is paused, cut off or restarted, because every batch
//! passes the head row under its epoch; an answer is given only after its batch is durable; a request is answered
//! within its deadline plus the time a commit may stay unknown; nothing waits in an unbounded queue.
//!
//! One thread supervises: it sees which of the [`slots`] are free and has them taken. Each that is led has a thread that
//! takes its lease, opens a [`term`] and watches over it ([`lead`]), and a term has a writer thread, a keeper that renews
//! the lease and a checkpointer. Whatever goes wrong ends the term; the next one starts from the rows. A node that does
//! not lead a journal sends its requests on to the one that does ([`Transport`]). Not here yet: eviction of accounts.

mod asked;
mod batch;
mod book;
mod commit;
mod forward;
mod historian;
mod lead;
mod many;
mod pipe;
mod queue;
pub(crate) mod session;
mod slots;
mod supervisor;
mod sweep;
mod sync;
mod term;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use crate::apply::Map;
use crate::{Archived, COUNTS, Histogram, History, Invalid, JournalId, LATENCY_US, Record, Request};
pub use forward::{Carried, Lost, Transport};
use queue::Ticket;
use slots::Slots;
pub(crate) use slots::number as slot_of;

/// How a node writes.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database, as the app role.
    pub url: String,
    /// This process, as the lease knows it: a fresh random id at every start.
    pub holder: Uuid,
    /// Where others find this node.
    pub address: String,
    /// Requests that may wait; one more is refused.
    pub queue: usize,
    /// Requests in one commit.
    pub batch: usize,
    /// How requests reach another node that leads; without it they are refused while another one leads.
    pub transport: Option<Arc<dyn Transport>>,
}

impl Config {
    /// The usual sizes: 16,384 waiting, 4,096 in a commit. Nothing is forwarded.
    #[must_use]
    pub fn new(url: String, holder: Uuid, address: String) -> Self {
        Self { url, holder, address, queue: 16_384, batch: 4_096, transport: None }
    }

    /// Forwards to whoever leads.
    #[must_use]
    pub fn forwarding(self, transport: Arc<dyn Transport>) -> Self {
        Self { transport: Some(transport), ..self }
    }
}

/// The answer to a request: the record it led to. A refusal by an account's state is an answer too.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What the journal wrote.
    pub record: Arc<Record>,
    /// The key had been used before, for the same request: this is the first answer again.
    pub replayed: bool,
}

/// Why there is no answer. Each says whether anything may have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Not a request; nothing happened, the key is free.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The key was used for another request; nothing happened now.
    #[error("the idempotency key belongs to another request")]
    KeyReused,
    /// The key was used up for nothing by [`Command::Abandon`](crate::Command::Abandon): nothing happened, nor ever will.
    #[error("the idempotency key was given up")]
    Abandoned {
        /// By the record of this seq.
        seq: i64,
    },
    /// It was done, and its answer needs transfers that are in a file; nothing happened now.
    #[error(transparent)]
    Archived(#[from] Archived),
    /// Too many wait; nothing happened.
    #[error("the queue is full")]
    QueueFull,
    /// Another node leads, or none does yet; nothing happened.
    #[error("this node does not lead the journal")]
    NotLeader {
        /// Where to ask, if somebody leads.
        leader: Option<String>,
    },
    /// The deadline passed before the request's turn; nothing happened.
    #[error("the deadline passed before it was tried")]
    DeadlinePassed,
    /// Another request of the same all-or-none batch stands in its way; nothing happened, the key is free.
    #[error("request {place} of the batch stands in its way")]
    Linked {
        /// Which, counted from zero.
        place: usize,
    },
    /// The commit was sent and its answer was lost: ask again with the same key.
    #[error("the commit was sent, its answer was lost")]
    OutcomeUnknown,
    /// The database failed before anything was sent; nothing happened.
    #[error("the database is not available")]
    Unavailable,
    /// There is no room made for the next records yet; nothing happened.
    #[error("no partition has been made for the next records")]
    NoRoom,
    /// There are no such books.
    #[error("the journal does not exist")]
    NoSuchJournal,
    /// The books contradict themselves: this node will not lead them. Run `verify`.
    #[error("the journal is not led: {0}")]
    Broken(String),
}

/// What this node is to the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It writes the journals of at least one slot.
    Leading {
        /// Under this epoch, the latest of them.
        epoch: i64,
    },
    /// Others write, or none yet.
    Following {
        /// Where the first slot is led, if known.
        leader: Option<String>,
    },
}

/// How the writer fares; counters since the process started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Leading, if it leads any slot, or following.
    pub role: Role,
    /// How many slots there are; zero before the database was asked.
    pub slots: usize,
    /// How many of them this node leads.
    pub slots_led: usize,
    /// How many of them somebody leads, as far as this node knows.
    pub slots_held: usize,
    /// Requests waiting.
    pub queued: usize,
    /// As many may wait in the slots this node leads.
    pub queue_limit: usize,
    /// Batches committed.
    pub batches: u64,
    /// Those of them that went behind another: their rows were written while that one was committed.
    pub piped_batches: u64,
    /// Records committed.
    pub records: u64,
    /// Batches that a later epoch kept out.
    pub fenced_batches: u64,
    /// Batches whose outcome was not known when their callers were answered.
    pub unknown_batches: u64,
    /// Terms begun.
    pub terms: u64,
}

impl Status {
    /// True while every journal can be written, here or at another node.
    #[must_use]
    pub fn is_led(&self) -> bool {
        self.slots > 0 && self.slots == self.slots_held
    }
}

/// How the commits of this process spread.
#[derive(Debug)]
pub struct Measures {
    /// How long a batch took to be durable, microseconds.
    pub commit_us: Histogram,
    /// Records in a batch.
    pub batch_records: Histogram,
}

impl Default for Measures {
    fn default() -> Self {
        Self { commit_us: Histogram::new(LATENCY_US), batch_records: Histogram::new(COUNTS) }
    }
}

/// The handle on the journals of this process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    config: Config,
    slots: Slots,
    acknowledged: Mutex<Map<JournalId, (Uuid, i64)>>,
    /// Requests under way to another node.
    forwarding: AtomicUsize,
    counters: Counters,
    measures: Measures,
    history: History,
    stopping: AtomicBool,
    supervisor: Mutex<Option<std::thread::JoinHandle<()>>>,
    keeping_up: Mutex<Option<std::thread::JoinHandle<()>>>,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    batches: AtomicU64,
    piped: AtomicU64,
    records: AtomicU64,
    fenced: AtomicU64,
    unknown: AtomicU64,
    terms: AtomicU64,
}

/// A lock that a panicking thread left is still a lock: what it guards is replaced whole, never half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    /// Starts the node's side of the journals: it leads as soon as nobody else does.
    ///
    /// # Errors
    /// When the supervising thread cannot be started.
    pub fn start(config: Config) -> std::io::Result<Self> {
        let inner = Arc::new(Inner {
            config,
            slots: Slots::new(),
            acknowledged: Mutex::default(),
            forwarding: AtomicUsize::new(0),
            counters: Counters::default(),
            measures: Measures::default(),
            history: History::default(),
            stopping: AtomicBool::new(false),
            supervisor: Mutex::default(),
            keeping_up: Mutex::default(),
        });
        let keeping = Arc::clone(&inner);
        let keeper = std::thread::Builder::new().name("journal-history".into());
        let history = keeper.spawn(move || historian::keep_up(&keeping))?;
        *lock(&inner.keeping_up) = Some(history);
        let supervised = Arc::clone(&inner);
        let thread = std::thread::Builder::new().name("journal-supervisor".into());
        let handle = thread.spawn(move || supervisor::run(&supervised))?;
        *lock(&inner.supervisor) = Some(handle);
        Ok(Self(inner))
    }

    /// Asks the journal, here or at the node that leads, and waits for the durable answer.
    ///
    /// A request that has not had its turn by `deadline` is dropped untried. Never call this with a transaction open.
    ///
    /// # Errors
    /// [`JournalError`], each variant saying whether anything may have happened.
    pub async fn submit(&self, request: Request, deadline: Instant) -> Result<Answer, JournalError> {
        let request = Arc::new(request);
        match self.submit_here(Arc::clone(&request), deadline).await {
            Err(JournalError::NotLeader { leader }) => match &self.0.config.transport {
                // Apart: where this node leads, thousands wait here who need nothing of it.
                Some(transport) => Box::pin(self.forward(transport.as_ref(), request, deadline)).await,
                None => Err(JournalError::NotLeader { leader }),
            },
            answer => answer,
        }
    }

    /// Asks the journal if this node leads it, and never another one: what a forwarded request is answered with.
    ///
    /// # Errors
    /// As [`Journal::submit`].
    pub async fn submit_here(&self, request: Arc<Request>, deadline: Instant) -> Result<Answer, JournalError> {
        // A sender lost without a word is a fault of ours, and nobody knows where it struck.
        self.enqueue(request, deadline)?.await.unwrap_or(Err(JournalError::OutcomeUnknown))
    }

    /// The same for callers without an async runtime.
    ///
    /// # Errors
    /// As [`Journal::submit`].
    pub fn submit_blocking(&self, request: Request, timeout: Duration) -> Result<Answer, JournalError> {
        let deadline = Instant::now().checked_add(timeout).ok_or(JournalError::DeadlinePassed)?;
        self.enqueue(Arc::new(request), deadline)?.blocking_recv().unwrap_or(Err(JournalError::OutcomeUnknown))
    }

    fn enqueue(
        &self,
        request: Arc<Request>,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<Result<Answer, JournalError>>, JournalError> {
        request.check()?;
        let slot = self.0.slots.of(request.journal);
        let not_leader = || JournalError::NotLeader { leader: slot.as_ref().and_then(|slot| slot.leader()) };
        let term = slot.as_ref().and_then(|slot| slot.term()).ok_or_else(not_leader)?;
        let (reply, answer) = oneshot::channel();
        term.queue
            .push(Ticket { request, deadline, reply, linked: 0 })
            .map_err(|full| if full { JournalError::QueueFull } else { not_leader() })?;
        Ok(answer)
    }

    /// Waits until this node leads every slot, or the time is over; true when it does.
    pub async fn wait_until_leading(&self, timeout: Duration) -> bool {
        let mut news = self.changes();
        let leads = async {
            while !self.leads_all() {
                if news.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(timeout, leads).await.unwrap_or(false)
    }

    /// True while this node leads every slot.
    #[must_use]
    pub fn leads_all(&self) -> bool {
        let all = self.0.slots.all();
        !all.is_empty() && all.iter().all(|slot| slot.leads())
    }

    /// True while this node leads a slot.
    #[must_use]
    pub fn leads_any(&self) -> bool {
        self.latest_epoch().is_some()
    }

    /// The latest epoch this node leads under, whatever slot: it changes with every slot that is taken.
    #[must_use]
    pub fn latest_epoch(&self) -> Option<i64> {
        self.0.slots.all().iter().filter_map(|slot| slot.term()).map(|term| term.epoch).max()
    }

    /// True while this node leads the first slot: what is to be done once, by any node, whichever leads, is its.
    #[must_use]
    pub fn leads_first(&self) -> bool {
        self.0.slots.all().first().is_some_and(|slot| slot.leads())
    }

    /// The epoch this node writes a journal under, while it leads its slot.
    #[must_use]
    pub fn leading_epoch(&self, journal: JournalId) -> Option<i64> {
        Some(self.0.slots.of(journal)?.term()?.epoch)
    }

    /// Changes whenever something was committed here, or another node leads, or none does.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.slots.news.subscribe()
    }

    /// How the writer fares.
    #[must_use]
    pub fn status(&self) -> Status {
        let all = self.0.slots.all();
        let led: Vec<_> = all.iter().filter_map(|slot| slot.term()).collect();
        let role = match led.iter().map(|term| term.epoch).max() {
            Some(epoch) => Role::Leading { epoch },
            None => Role::Following { leader: all.first().and_then(|slot| slot.leader()) },
        };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { batches, piped, records, fenced, unknown, terms } = &self.0.counters;
        Status {
            role,
            slots: all.len(),
            slots_led: led.len(),
            slots_held: all.iter().filter(|slot| slot.leader().is_some()).count(),
            queue_limit: led.iter().fold(0, |sum, term| sum.saturating_add(term.queue.limit())),
            queued: led.iter().fold(0, |sum, term| sum.saturating_add(term.queue.len())),
            batches: count(batches),
            piped_batches: count(piped),
            records: count(records),
            fenced_batches: count(fenced),
            unknown_batches: count(unknown),
            terms: count(terms),
        }
    }

    /// What this node knows of ranges that have no index yet: reads ask it.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.0.history
    }

    /// How its commits spread.
    #[must_use]
    pub fn measures(&self) -> &Measures {
        &self.0.measures
    }

    /// Takes no more requests, finishes those accepted, writes the checkpoints and gives the lease up. Blocks.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        // Here and not by the supervisor alone: its own session may hang.
        self.0.slots.retire();
        let supervisor = lock(&self.0.supervisor).take();
        if supervisor.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the journal's supervisor panicked");
        }
        let keeping_up = lock(&self.0.keeping_up).take();
        if keeping_up.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("whoever keeps the history panicked");
        }
    }
}

impl Inner {
    fn count(&self, counter: impl Fn(&Counters) -> &AtomicU64, by: u64) {
        counter(&self.counters).fetch_add(by, Ordering::Relaxed);
    }

    fn notify(&self) {
        slots::tell(&self.slots.news);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
