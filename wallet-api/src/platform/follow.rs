//! Followers: whoever does something after a commit, each with its own cursor in the journal.
//!
//! A follower's effect and its cursor's move are one transaction, so an effect happens once for each record, whatever
//! is killed in between. A journal is followed on the node that leads it; two that run at once do no harm, because one of them
//! finds the cursor moved and rolls back. Not here: what a follower does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::result::Error as SqlError;
use diesel::{Connection, PgConnection};
use ledger::follow::{self, Page};
use ledger::{Journal, JournalId, StoreError};
use tokio::time::Instant;

use super::db::{Db, DbError};

/// Records taken at a time.
const PAGE: i64 = 4_000;
/// From one page to the next: each is a commit, and commits are what the journal waits for.
const PACE: Duration = Duration::from_millis(50);
/// Records in a page, from which on the journal is busy.
const MANY: i64 = 200;
/// The pace then: what a page changes several times is written once.
const BUSY: Duration = Duration::from_millis(250);
/// The same after a journal could not be followed.
const TROUBLED: Duration = Duration::from_millis(500);
/// How long to wait for news before looking anyway.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What a follower does with a page, inside the transaction that moves its cursor.
pub type Effect = fn(&mut PgConnection, &Page) -> Result<(), StoreError>;

/// A running follower.
pub struct Follower {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Follower {
    /// Follows every journal under `name`, from where it last was, while this node leads its slot.
    ///
    /// Needs a tokio runtime.
    #[must_use]
    pub fn start(name: &'static str, db: Db, journal: Journal, effect: Effect) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut changes = journal.changes();
            while !stopping.load(Ordering::SeqCst) {
                changes.mark_unchanged();
                let began = Instant::now();
                let turn = match journal.leads_any() {
                    true => step(name, &db, &journal, effect).await,
                    false => Turn::Done { pace: PACE },
                };
                match turn {
                    Turn::More => {}
                    Turn::Done { pace } => {
                        tokio::time::sleep_until(began + pace).await;
                        _ = tokio::time::timeout(LOOK_EVERY, changes.changed()).await;
                    }
                    Turn::Troubled => tokio::time::sleep_until(began + TROUBLED).await,
                }
            }
        });
        Self { stop, task }
    }

    /// Lets the page at hand be finished and ends.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        if self.task.await.is_err() {
            tracing::error!("a follower panicked");
        }
    }
}

/// What one page of each journal came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// There is more.
    More,
    /// All was taken; the next page may follow at this pace.
    Done { pace: Duration },
    /// A journal could not be followed.
    Troubled,
}

async fn step(name: &'static str, db: &Db, journal: &Journal, effect: Effect) -> Turn {
    let (db, journal) = (db.clone(), journal.clone());
    let done = tokio::task::spawn_blocking(move || db.blocking(|conn| pages(conn, name, &journal, effect))).await;
    match done {
        Ok(Ok(turn)) => turn,
        Ok(Err(error)) => {
            tracing::warn!(follower = name, %error, "a follower could not go on; it tries again");
            Turn::Troubled
        }
        Err(_panicked) => Turn::Troubled,
    }
}

#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Pool(#[from] DbError),
    #[error("another node follows now")]
    Moved,
}

impl From<SqlError> for FollowError {
    fn from(error: SqlError) -> Self {
        Self::Store(error.into())
    }
}

fn pages(conn: &mut PgConnection, name: &'static str, led: &Journal, effect: Effect) -> Result<Turn, FollowError> {
    let (mut most, mut troubled) = (0, false);
    for journal in ledger::journals(conn)? {
        let Some(epoch) = led.leading_epoch(journal) else { continue };
        match page(conn, name, journal, epoch, effect) {
            Ok(records) => most = records.max(most),
            // One tenant's trouble is not another's, but that it takes its turns more slowly.
            Err(error) => {
                troubled = true;
                tracing::warn!(follower = name, journal = journal.0, %error, "a follower could not go on");
            }
        }
    }
    Ok(match most {
        _ if troubled => Turn::Troubled,
        PAGE.. => Turn::More,
        MANY.. => Turn::Done { pace: BUSY },
        _ => Turn::Done { pace: PACE },
    })
}

/// One page of one journal; tells how many records it had.
fn page(
    conn: &mut PgConnection,
    name: &'static str,
    journal: JournalId,
    epoch: i64,
    effect: Effect,
) -> Result<i64, FollowError> {
    let ahead = follow::ahead(conn, name, journal)?.map(|span| span.first(PAGE));
    let Some(span) = ahead.filter(|span| !span.is_empty()) else { return Ok(0) };
    let page = follow::page(conn, span)?;
    conn.transaction(|conn| {
        effect(conn, &page)?;
        if !follow::advance(conn, name, span, epoch)? {
            return Err(FollowError::Moved);
        }
        Ok(span.len())
    })
}
