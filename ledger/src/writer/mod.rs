//! The one writer of a slot of journals, and the handle everybody else uses.
//!
//! Promises: at most one writer commits at any time, whatever is paused, cut off or restarted, because every batch
//! passes the head row under its epoch; an answer is given only after its batch is durable; a request is answered
//! within its deadline plus the time a commit may stay unknown; nothing waits in an unbounded queue.
//!
//! One thread supervises: it sees which of the [`slots`] are free and has them taken. Each that is led has a thread that
//! takes its lease, opens a [`term`] and watches over it ([`lead`]), and a term has a writer thread, a keeper that renews
//! the lease and a checkpointer. Whatever goes wrong ends the term; the next one starts from the rows. A node that does
//! not lead a journal sends its requests on to the one that does ([`Transport`]).

mod answer;
mod asked;
mod batch;
mod book;
mod checkpoint;
mod commit;
mod config;
mod forward;
mod historian;
mod kept;
mod lead;
mod many;
mod pipe;
mod queue;
pub(crate) mod session;
mod slots;
mod status;
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
use crate::sealing::Fresh;
use crate::wire::Bond;
use crate::{History, JournalId, Request};
pub use answer::{Answer, JournalError};
pub use config::{Config, Memory};
pub use forward::{Answers, Carried, Lost, Transport};
use queue::Ticket;
use slots::Slots;
pub(crate) use slots::number as slot_of;
use status::Counters;
pub use status::{Measures, Role, Status};

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
    fresh: Fresh,
    stopping: AtomicBool,
    supervisor: Mutex<Option<std::thread::JoinHandle<()>>>,
    keeping_up: Mutex<Option<std::thread::JoinHandle<()>>>,
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
            slots: Slots::new(),
            acknowledged: Mutex::default(),
            forwarding: AtomicUsize::new(0),
            counters: Counters::default(),
            measures: Measures::default(),
            history: History::with_limit(config.memory.transfers),
            fresh: Fresh::default(),
            config,
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
                Some(transport) => {
                    let answers = Box::pin(self.forward(transport.as_ref(), &[request], Bond::InOrder, deadline)).await;
                    answers.into_iter().next().unwrap_or(Err(JournalError::OutcomeUnknown))
                }
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
        let Counters { batches, piped, records, fenced, unknown, terms, evicted } = &self.0.counters;
        Status {
            role,
            slots: all.len(),
            slots_led: led.len(),
            slots_held: all.iter().filter(|slot| slot.leader().is_some()).count(),
            accounts: led.iter().fold(0, |sum, term| sum.saturating_add(term.accounts())),
            evicted_accounts: count(evicted),
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

    /// What its writers have just committed: a sealer of this process asks it.
    #[must_use]
    pub fn fresh(&self) -> Fresh {
        self.0.fresh.clone()
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
