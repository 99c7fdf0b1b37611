//! Followers: whoever does something after a commit, each with its own cursor in the journal.
//!
//! A follower's effect and its cursor's move are one transaction, so an effect happens once for each record, whatever
//! is killed in between. A journal is followed on the node that leads it; two that run at once do no harm, because one of them
//! finds the cursor moved and rolls back. A record that this binary cannot read is parked in the same transaction, and
//! the others flow; each node that begins to lead reads it again. Not here: what a follower does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use diesel::result::Error as SqlError;
use diesel::{Connection, PgConnection};
use ledger::follow::parked::{self, Unread};
use ledger::follow::{self, Page, Span};
use ledger::{Journal, JournalId, StoreError};
use tokio::time::Instant;

use super::db::{DbError, HouseDb};

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

/// Parked records taken up at a time.
const AGAIN: i64 = 100;

/// What a follower does with a page, inside the transaction that moves its cursor; it tells what it could not read.
pub type Effect = fn(&mut PgConnection, &Page) -> Result<Vec<Unread>, StoreError>;

/// What there is to read in a page, and what this binary cannot read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<T> {
    /// In seq order.
    pub read: Vec<T>,
    /// In seq order.
    pub unread: Vec<Unread>,
}

impl<T> Reading<T> {
    /// Tells what was read from what was not.
    pub fn of(all: impl Iterator<Item = Result<T, Unread>>) -> Self {
        let (mut read, mut unread) = (Vec::new(), Vec::new());
        for one in all {
            match one {
                Ok(one) => read.push(one),
                Err(one) => unread.push(one),
            }
        }
        Self { read, unread }
    }
}

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
    pub fn start(name: &'static str, db: HouseDb, journal: Journal, effect: Effect) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut changes = journal.changes();
            let mut looked_again = None;
            while !stopping.load(Ordering::SeqCst) {
                changes.mark_unchanged();
                let began = Instant::now();
                let turn = match journal.latest_epoch() {
                    Some(epoch) => {
                        if looked_again != Some(epoch) && again(name, &db, &journal, effect).await {
                            looked_again = Some(epoch);
                        }
                        step(name, &db, &journal, effect).await
                    }
                    None => Turn::Done { pace: PACE },
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

async fn step(name: &'static str, db: &HouseDb, journal: &Journal, effect: Effect) -> Turn {
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
        let unread = effect(conn, &page)?;
        if !follow::advance(conn, name, span, epoch)? {
            return Err(FollowError::Moved);
        }
        parked::park(conn, name, journal, &unread)?;
        tell_parked(name, journal, &unread);
        Ok(span.len())
    })
}

/// Tells the log what was parked, once for each record.
pub fn tell_parked(name: &str, journal: JournalId, unread: &[Unread]) {
    for Unread { seq, what } in unread {
        tracing::error!(follower = name, journal = journal.0, seq, what, "a record cannot be read and was parked");
    }
}

/// Takes up what was parked, once for each time this node begins to lead; true when all of it was tried.
async fn again(name: &'static str, db: &HouseDb, journal: &Journal, effect: Effect) -> bool {
    let (db, journal) = (db.clone(), journal.clone());
    let done = tokio::task::spawn_blocking(move || db.blocking(|conn| take_up(conn, name, &journal, effect))).await;
    match done {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(follower = name, %error, "parked records could not be taken up; trying again");
            false
        }
        Err(_panicked) => false,
    }
}

fn take_up(conn: &mut PgConnection, name: &'static str, led: &Journal, effect: Effect) -> Result<(), FollowError> {
    each_parked(conn, name, led, |conn, page| {
        conn.transaction(|conn| {
            let seq = page.span.upto;
            let unread = effect(conn, page)?;
            if unread.is_empty() && !parked::release(conn, name, page.span.journal, seq)? {
                return Err(FollowError::Moved);
            }
            parked::park(conn, name, page.span.journal, &unread)?;
            Ok(unread.is_empty())
        })
    })
}

/// Reads each parked record of a follower, in every journal led here, as a page of its own. `work` says whether it was readable.
///
/// # Errors
/// What the database says, or `work`.
pub fn each_parked<E: From<StoreError>>(
    conn: &mut PgConnection,
    name: &'static str,
    led: &Journal,
    work: impl Fn(&mut PgConnection, &Page) -> Result<bool, E>,
) -> Result<(), E> {
    for journal in ledger::journals(conn)? {
        let ahead = if led.leading_epoch(journal).is_some() { follow::ahead(conn, name, journal)? } else { None };
        let Some(ahead) = ahead else { continue };
        let mut after = 0;
        loop {
            let some = parked::of(conn, name, journal, after, AGAIN)?;
            let Some(last) = some.last() else { break };
            after = last.seq;
            for one in &some {
                let span = Span { from: one.seq.saturating_sub(1), upto: one.seq, ..ahead };
                let page = follow::page(conn, span)?;
                if work(conn, &page)? {
                    tracing::info!(follower = name, journal = journal.0, seq = one.seq, "a parked record was taken up");
                }
            }
        }
    }
    Ok(())
}
