//! Places in the pool: who may take which, and how long one waits for one.
//!
//! There are as many as connections, so whoever has one finds a connection. What may wait behind money takes a common one
//! besides, of which there are fewer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::DbError;
use super::pool::millis;
use crate::platform::limits::may_wait_behind_money;

/// Longest wait for a place in the pool; past it the house is full and says so at once.
const POOL_WAIT: Duration = Duration::from_secs(1);

/// The same for what may wait behind money, once there has been a queue for [`STANDING_AFTER`]. After: "controlled delay"
/// in the form that needs one clock reading, Nichols and Jacobson 2012, Maurer 2015.
pub(super) const STANDING_WAIT: Duration = Duration::from_millis(50);
const STANDING_AFTER: Duration = Duration::from_millis(100);

/// One place in so many is kept for money.
const KEPT_OF: usize = 5;

/// Long readings at a time, each of which has a place for seconds: those of reports. One more waits for its turn.
pub(super) const LONG_READINGS: usize = 2;

/// Which places work may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// All, unless it serves a request that may wait behind money.
    ByRequest,
    /// All.
    Kept,
    /// Those that are for all.
    Common,
}

/// The places of one pool; clones share them.
#[derive(Clone)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    /// Those of them that are for all.
    common: Arc<Common>,
    /// Turns of long readings.
    turns: Arc<Semaphore>,
}

/// The places for what may wait behind money, and when one of them was last free.
struct Common {
    places: Arc<Semaphore>,
    start: Instant,
    free_at_ms: AtomicU64,
}

/// A place in the pool, and among the common ones if it was taken as such.
pub(super) struct Place {
    _common: Option<OwnedSemaphorePermit>,
    _pool: OwnedSemaphorePermit,
    _turn: Option<Turn>,
}

/// A long reading's turn.
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// The same place, and the turn until it is given back.
    pub(super) fn in_turn(self, turn: Turn) -> Self {
        Self { _turn: Some(turn), ..self }
    }
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        let kept = count.checked_div(KEPT_OF).unwrap_or(0);
        let common = Arc::new(Common::new(count.saturating_sub(kept)));
        Self { all: Arc::new(Semaphore::new(count)), common, turns: Arc::new(Semaphore::new(LONG_READINGS)) }
    }

    /// A place, as soon as one is free.
    pub(super) async fn take(&self, share: Share, deadline: Duration) -> Result<Place, DbError> {
        let patience = POOL_WAIT.min(deadline);
        let is_common = match share {
            Share::ByRequest => may_wait_behind_money(),
            Share::Kept => false,
            Share::Common => true,
        };
        let common = if is_common { Some(self.common.take(patience).await?) } else { None };
        Ok(Place { _common: common, _pool: take(&self.all, patience).await?, _turn: None })
    }

    /// A turn among the long readings, as soon as it comes.
    pub(super) async fn turn(&self, patience: Duration) -> Result<Turn, DbError> {
        Ok(Turn { _permit: take(&self.turns, patience).await? })
    }
}

impl Common {
    fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), start: Instant::now(), free_at_ms: AtomicU64::default() }
    }

    async fn take(&self, patience: Duration) -> Result<OwnedSemaphorePermit, DbError> {
        let now_ms = millis(self.start.elapsed());
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            self.free_at_ms.store(now_ms, Ordering::Relaxed);
            return Ok(place);
        }
        let queue_for_ms = now_ms.saturating_sub(self.free_at_ms.load(Ordering::Relaxed));
        let is_standing = queue_for_ms > millis(STANDING_AFTER);
        take(&self.places, if is_standing { patience.min(STANDING_WAIT) } else { patience }).await
    }
}

async fn take(places: &Arc<Semaphore>, patience: Duration) -> Result<OwnedSemaphorePermit, DbError> {
    match tokio::time::timeout(patience, Arc::clone(places).acquire_owned()).await {
        Ok(place) => place.map_err(|_closed| DbError::CutShort),
        Err(_elapsed) => Err(DbError::Busy),
    }
}
