//! What nobody waits for: orders to tell again, walked through page by page; what is old, deleted piece by piece; what is
//! left at disabled endpoints, ended piece by piece. Done where the first slot is led, for all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Engine, EngineError};
use crate::engagement::hooks::replay::{self, Step};
use crate::engagement::hooks::store::{bulk, replays, tend};
use crate::platform::problem::Chain;

/// From one turn to the next.
const EVERY: Duration = Duration::from_millis(250);
/// The same while there is more to do.
const BUSY: Duration = Duration::from_millis(20);
/// Orders taken further in one turn, a page each.
const ORDERS: i64 = 50;
/// How often what is old is looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(10);
/// Events deleted in one transaction, with their deliveries and attempts.
const PRUNE: i64 = 1_000;

/// How often what is left at disabled endpoints is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Deliveries ended at once.
const SWEEP: i64 = 1_000;

/// Tends until told to stop.
pub(super) async fn run(engine: Arc<Engine>, mut stopping: watch::Receiver<bool>) {
    let mut pruning = Pruning::default();
    while !*stopping.borrow_and_update() {
        let mut pause = EVERY;
        if engine.journal.leads_first() {
            match turn(&engine, &mut pruning).await {
                Ok(true) => pause = BUSY,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "replays or old hooks could not be tended; trying again");
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopping.changed() => {}
        }
    }
}

/// One turn; true when there is more to do at once.
async fn turn(engine: &Engine, pruning: &mut Pruning) -> Result<bool, EngineError> {
    let replayed = replay(engine).await?;
    if replayed {
        engine.hungry.wake_here();
    }
    let pruned = pruning.turn(engine).await?;
    let swept = pruning.sweep(engine).await?;
    Ok(replayed || pruned || swept)
}

/// Takes every order one page further, each in a transaction of its own.
async fn replay(engine: &Engine) -> Result<bool, EngineError> {
    let now = engine.platform.clock.now();
    let work = move |conn: &mut _| {
        let mut moved = false;
        for order in replays::unfinished(conn, ORDERS)? {
            let step = bulk::in_bulk(conn, |conn| replay::step(conn, now, &order))?;
            moved |= step != Step::Paused;
        }
        Ok(moved)
    };
    engine.run(work).await
}

/// How far what is old was deleted.
#[derive(Default)]
struct Pruning {
    looked_at: Option<Instant>,
    swept_at: Option<Instant>,
    /// The last seq deleted of each tenant: an index full of dead entries is not walked from its beginning each time.
    done: HashMap<i64, i64>,
}

impl Pruning {
    /// Ends a piece of what is left at disabled endpoints, if it is time; true when there is more.
    async fn sweep(&mut self, engine: &Engine) -> Result<bool, EngineError> {
        if self.swept_at.is_some_and(|at| at.elapsed() < SWEEP_EVERY) {
            return Ok(false);
        }
        let ended = engine.run(|conn| bulk::in_bulk(conn, |conn| Ok(bulk::sweep(conn, SWEEP)?))).await?;
        let more = i64::try_from(ended).unwrap_or(i64::MAX) >= SWEEP;
        if !more {
            self.swept_at = Some(Instant::now());
        }
        Ok(more)
    }

    /// Deletes a piece for each tenant, if it is time; true when there is more.
    async fn turn(&mut self, engine: &Engine) -> Result<bool, EngineError> {
        if self.looked_at.is_some_and(|at| at.elapsed() < PRUNE_EVERY) {
            return Ok(false);
        }
        let Some(before) = engine.platform.clock.now().checked_sub_signed(engine.settings.retention) else {
            return Ok(false);
        };
        let done = self.done.clone();
        let work = move |conn: &mut _| {
            let mut pruned = Vec::new();
            for journal in ledger::journals(conn)? {
                tend::prune_replays(conn, journal.0, before, PRUNE)?;
                let from = done.get(&journal.0).copied().unwrap_or(i64::MIN);
                let piece = bulk::in_bulk(conn, |conn| tend::prune(conn, journal.0, from, before, PRUNE))?;
                pruned.extend(piece.map(|(upto, is_all)| (journal.0, upto, is_all)));
            }
            Ok(pruned)
        };
        let pruned = engine.run(work).await?;
        let more = pruned.iter().any(|(_, _, is_all)| !is_all);
        self.done.extend(pruned.into_iter().map(|(tenant, upto, _)| (tenant, upto)));
        if !more {
            self.looked_at = Some(Instant::now());
        }
        Ok(more)
    }
}
