//! The task that seals: one turn after another over the journals that this node leads, and each minute over the audit
//! log, whose heads any node signs. What is to be published goes out from here, so that one hand writes the file.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::PgConnection;
use ledger::proof::Ring;
use ledger::sealing::{SealError, Sealed, Sealer};
use ledger::{Journal, JournalId, StoreError};
use tokio::time::Instant;

use super::form::HeadForm;
use super::keys::Keys;
use super::publish::Publish;
use crate::platform::audit;
use crate::platform::audit::head::AuditHeadForm;
use crate::platform::clock::Clock;
use crate::platform::db::{DbError, HouseDb};
use crate::platform::metrics::SEALS;

/// From one turn to the next: a commit each, and commits are what the journal waits for. Two of them make the second that is promised.
const PACE: Duration = Duration::from_millis(400);
/// How long to wait for news before looking anyway: also the time after which what is sealed gets its head.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The pace after a journal could not be sealed.
const TROUBLED: Duration = Duration::from_secs(1);
/// How often heads of the audit log are signed, where something came.
const AUDIT_EVERY: Duration = Duration::from_secs(60);
/// Pages of one journal in a turn: no tenant's flood makes the others wait.
const PAGES: usize = 8;

/// How to seal.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The proof folder.
    pub folder: PathBuf,
    /// Where heads are published.
    pub publish: Option<Publish>,
}

/// A running sealer.
pub struct Sealing {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Sealing {
    /// Seals what this node leads, with the keys of a folder. Needs a tokio runtime.
    #[must_use]
    pub fn start(keys: Arc<Keys>, publish: Option<Publish>, db: HouseDb, journal: Journal, clock: Clock) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ring = keys.ring();
        let sealer = Sealer::told(journal.fresh());
        let (whole, audit_due) = (HashMap::new(), Instant::now());
        let worker = Worker { sealer, keys, ring, db, journal, clock, whole, audit_due };
        let task = tokio::spawn(run(worker, publish, Arc::clone(&stop)));
        Self { stop, task }
    }

    /// Lets the turn at hand be finished, signs what the audit log has, and ends.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        if self.task.await.is_err() {
            tracing::error!("the sealer panicked");
        }
    }
}

async fn run(mut worker: Worker, publish: Option<Publish>, stopping: Arc<AtomicBool>) {
    let mut changes = worker.journal.changes();
    let mut waiting = Waiting::default();
    while !stopping.load(Ordering::SeqCst) {
        changes.mark_unchanged();
        let began = Instant::now();
        let turned = tokio::task::spawn_blocking(move || {
            let turn = worker.turn();
            (worker, turn)
        });
        let Ok((back, turn)) = turned.await else { return };
        worker = back;
        waiting.take(&turn);
        publish_all(publish.as_ref(), &mut waiting).await;
        if turn.troubled {
            tokio::time::sleep_until(began + TROUBLED).await;
        } else if !turn.more {
            tokio::time::sleep_until(began + PACE).await;
            _ = tokio::time::timeout(LOOK_EVERY, changes.changed()).await;
        }
    }
    worker.audit_due = Instant::now();
    let last = tokio::task::spawn_blocking(move || worker.audit_turn()).await;
    waiting.take(&last.unwrap_or_default());
    publish_all(publish.as_ref(), &mut waiting).await;
}

/// Heads that wait to be published, one of each journal and of each audit log: the last stands for all before it.
#[derive(Default)]
struct Waiting {
    heads: HashMap<JournalId, HeadForm>,
    audit: HashMap<i64, AuditHeadForm>,
}

impl Waiting {
    fn take(&mut self, turn: &Turn) {
        self.heads.extend(turn.heads.iter().map(|head| (JournalId(head.journal), head.clone())));
        self.audit.extend(turn.audit.iter().map(|head| (head.tenant, head.clone())));
    }
}

async fn publish_all(publish: Option<&Publish>, waiting: &mut Waiting) {
    let Some(publish) = publish else {
        *waiting = Waiting::default();
        return;
    };
    if waiting.heads.is_empty() && waiting.audit.is_empty() {
        return;
    }
    match publish.put(waiting.heads.values().cloned().collect(), waiting.audit.values().cloned().collect()).await {
        Ok(()) => *waiting = Waiting::default(),
        Err(error) => {
            SEALS.not_published();
            tracing::warn!(%error, "heads were signed and not published; trying again");
        }
    }
}

struct Worker {
    sealer: Sealer,
    keys: Arc<Keys>,
    ring: Arc<Ring>,
    db: HouseDb,
    journal: Journal,
    clock: Clock,
    /// Up to which seq each journal was last seen wholly under a signed head, and when.
    whole: HashMap<JournalId, (i64, Instant)>,
    /// When to look at the audit log next.
    audit_due: Instant,
}

/// What a turn came to.
#[derive(Default)]
struct Turn {
    heads: Vec<HeadForm>,
    audit: Vec<AuditHeadForm>,
    more: bool,
    troubled: bool,
}

#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Sql(#[from] diesel::result::Error),
    #[error(transparent)]
    Pool(#[from] DbError),
}

impl Worker {
    fn turn(&mut self) -> Turn {
        let ring = self.keys.ring();
        if !Arc::ptr_eq(&ring, &self.ring) {
            self.ring = ring;
            self.sealer.forget();
            self.whole.clear();
        }
        let db = self.db.clone();
        let mut turn = db.blocking(|conn| self.journals(conn)).unwrap_or_else(|error: TurnError| {
            tracing::warn!(%error, "the sealer could not go on; it tries again");
            Turn { troubled: true, ..Turn::default() }
        });
        let Turn { audit, more, .. } = self.audit_turn();
        (turn.audit, turn.more) = (audit, turn.more || more);
        turn
    }

    /// Signs the heads of the audit log, if it is time.
    fn audit_turn(&mut self) -> Turn {
        if self.audit_due > Instant::now() {
            return Turn::default();
        }
        let (now, ring) = (self.clock.now(), Arc::clone(&self.ring));
        let signed = self.db.blocking(|conn| Ok::<_, TurnError>(audit::sign::turn(conn, &ring, now)?));
        let audit::sign::Signed { heads, more } = signed.unwrap_or_else(|error| {
            tracing::warn!(%error, "the audit log could not be signed; it is tried again in a minute");
            audit::sign::Signed::default()
        });
        if !more {
            self.audit_due = Instant::now() + AUDIT_EVERY;
        }
        Turn { audit: heads.iter().map(AuditHeadForm::from).collect(), more, ..Turn::default() }
    }

    fn journals(&mut self, conn: &mut PgConnection) -> Result<Turn, TurnError> {
        let (mut turn, mut behind) = (Turn::default(), 0_i64);
        let mut led = ledger::read::heads(conn)?;
        led.retain(|(journal, _)| self.journal.leading_epoch(*journal).is_some());
        for (journal, head) in &led {
            if self.whole.get(journal).is_some_and(|(seq, _)| *seq == head.seq) {
                self.whole.insert(*journal, (head.seq, Instant::now()));
                continue; // idle journals cost nothing
            }
            match self.pages(conn, *journal, &mut turn) {
                Ok(left) => behind = behind.saturating_add(left),
                Err(SealError::Moved) => tracing::debug!(journal = journal.0, "another node seals now"),
                // One tenant's trouble is not another's, but that it takes its turns more slowly.
                Err(error) => {
                    turn.troubled = true;
                    tracing::warn!(journal = journal.0, %error, "a journal could not be sealed");
                }
            }
        }
        self.whole.retain(|journal, _| led.iter().any(|(led, _)| led == journal));
        let lag = self.whole.values().map(|(_, at)| at.elapsed()).max().unwrap_or_default();
        // A journal sealed in the turn before is not behind.
        SEALS.stands(behind, lag.saturating_sub(PACE + LOOK_EVERY));
        Ok(turn)
    }

    /// Some pages of one journal; tells how many records are left.
    fn pages(&mut self, conn: &mut PgConnection, journal: JournalId, turn: &mut Turn) -> Result<i64, SealError> {
        self.whole.entry(journal).or_insert_with(|| (0, Instant::now()));
        for _ in 0..PAGES {
            let Some(epoch) = self.journal.leading_epoch(journal) else { return Ok(0) };
            let now_us = self.clock.now().timestamp_micros();
            let Sealed { leaves, behind, head, whole } = self.sealer.turn(conn, &self.ring, journal, epoch, now_us)?;
            SEALS.sealed(leaves, head.is_some());
            turn.heads.extend(head.as_ref().map(HeadForm::from));
            if behind == 0 {
                if let Some(seq) = whole {
                    self.whole.insert(journal, (seq, Instant::now()));
                }
                return Ok(0);
            }
        }
        turn.more = true;
        // What is left is counted again in the next turn, which comes at once.
        Ok(1)
    }
}
