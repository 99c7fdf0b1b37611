//! The one writer of a slot of journals, and the handle everybody else uses.
//!
//! Promises: at most one writer commits at any time, whatever is paused, cut off or restarted, because every batch
//! passes the head row under its epoch; an answer is given only after its batch is durable; a request is answered
//! within its deadline plus the time a commit may stay unknown; nothing waits in an unbounded queue.
//!
//! One thread supervises: it takes the lease, opens a [`term`] and watches over it. A term has a writer thread, a keeper
//! that renews the lease and a checkpointer. Whatever goes wrong ends the term; the next one starts from the rows.
//! A node that does not lead sends its requests on to the one that does ([`Transport`]). Not here yet: several slots,
//! pipelined commits, eviction of accounts.

mod batch;
mod book;
mod forward;
mod queue;
mod session;
mod supervisor;
mod term;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use crate::apply::Map;
use crate::{COUNTS, Histogram, Invalid, JournalId, LATENCY_US, Record, Request};
pub use forward::{Carried, Lost, Transport};
use queue::Ticket;
use term::Term;

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
    /// The commit was sent and its answer was lost: ask again with the same key.
    #[error("the commit was sent, its answer was lost")]
    OutcomeUnknown,
    /// The database failed before anything was sent; nothing happened.
    #[error("the database is not available")]
    Unavailable,
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
    /// It writes.
    Leading {
        /// Under this epoch.
        epoch: i64,
    },
    /// Another one writes, or none yet.
    Following {
        /// Where, if known.
        leader: Option<String>,
    },
}

/// How the writer fares; counters since the process started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Leading or following.
    pub role: Role,
    /// Requests waiting.
    pub queued: usize,
    /// Batches committed.
    pub batches: u64,
    /// Records committed.
    pub records: u64,
    /// Batches that a later epoch kept out.
    pub fenced_batches: u64,
    /// Batches whose outcome was not known when their callers were answered.
    pub unknown_batches: u64,
    /// Terms begun.
    pub terms: u64,
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
    term: Mutex<Option<Arc<Term>>>,
    leader: Mutex<Option<String>>,
    acknowledged: Mutex<Map<JournalId, (Uuid, i64)>>,
    commits: watch::Sender<u64>,
    /// Requests under way to another node.
    forwarding: AtomicUsize,
    counters: Counters,
    measures: Measures,
    stopping: AtomicBool,
    supervisor: Mutex<Option<std::thread::JoinHandle<()>>>,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    batches: AtomicU64,
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
            term: Mutex::default(),
            leader: Mutex::default(),
            acknowledged: Mutex::default(),
            commits: watch::Sender::new(0),
            forwarding: AtomicUsize::new(0),
            counters: Counters::default(),
            measures: Measures::default(),
            stopping: AtomicBool::new(false),
            supervisor: Mutex::default(),
        });
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
                Some(transport) => self.forward(transport.as_ref(), request, deadline).await,
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
        let term = lock(&self.0.term).clone().ok_or_else(|| self.not_leader())?;
        let (reply, answer) = oneshot::channel();
        term.queue
            .push(Ticket { request, deadline, reply })
            .map_err(|full| if full { JournalError::QueueFull } else { self.not_leader() })?;
        Ok(answer)
    }

    fn not_leader(&self) -> JournalError {
        JournalError::NotLeader { leader: self.leader() }
    }

    /// Where the node is that leads, as far as this one knows.
    fn leader(&self) -> Option<String> {
        lock(&self.0.leader).clone()
    }

    /// Waits until this node leads, or the time is over; true when it leads.
    pub async fn wait_until_leading(&self, timeout: Duration) -> bool {
        let mut commits = self.0.commits.subscribe();
        let leads = async {
            while !self.is_leading() {
                if commits.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(timeout, leads).await.unwrap_or(false)
    }

    /// True while this node writes.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.leading_epoch().is_some()
    }

    /// The epoch this node writes under, while it does.
    #[must_use]
    pub fn leading_epoch(&self) -> Option<i64> {
        lock(&self.0.term).as_ref().map(|term| term.epoch)
    }

    /// Changes whenever something was committed here, or another node leads, or none does.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.commits.subscribe()
    }

    /// How the writer fares.
    #[must_use]
    pub fn status(&self) -> Status {
        let term = lock(&self.0.term).clone();
        let role = match &term {
            Some(term) => Role::Leading { epoch: term.epoch },
            None => Role::Following { leader: self.leader() },
        };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { batches, records, fenced, unknown, terms } = &self.0.counters;
        Status {
            role,
            queued: term.map_or(0, |term| term.queue.len()),
            batches: count(batches),
            records: count(records),
            fenced_batches: count(fenced),
            unknown_batches: count(unknown),
            terms: count(terms),
        }
    }

    /// How its commits spread.
    #[must_use]
    pub fn measures(&self) -> &Measures {
        &self.0.measures
    }

    /// Takes no more requests, finishes those accepted, writes the checkpoints and gives the lease up. Blocks.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
        let supervisor = lock(&self.0.supervisor).take();
        if supervisor.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the journal's supervisor panicked");
        }
    }
}

impl Inner {
    fn count(&self, counter: impl Fn(&Counters) -> &AtomicU64, by: u64) {
        counter(&self.counters).fetch_add(by, Ordering::Relaxed);
    }

    /// Notes where the leader is; whoever waits for an answer from another one hears of it.
    fn set_leader(&self, leader: Option<String>) {
        let former = std::mem::replace(&mut *lock(&self.leader), leader.clone());
        if former != leader {
            self.notify();
        }
    }

    fn notify(&self) {
        self.commits.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
