//! What is due in the table: second and later attempts, and deliveries that no memory holds.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::JournalId;
use tokio::sync::watch;
use uuid::Uuid;

use super::lane::Lane;
use super::outbox::Job;
use super::receiver::Key;
use super::{Engine, EngineError, attempt};
use crate::engagement::hooks::store::bulk;

/// How often the table is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// How often at most, while it holds more than memory does.
const AT_MOST_EVERY: Duration = Duration::from_millis(20);
/// Deliveries claimed at once for one lane of an endpoint.
const CLAIM: usize = 500;
/// How often what is left at disabled endpoints is ended.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How much of it at once for one endpoint.
const SWEEP: i64 = 1_000;

/// Polls until told to stop.
pub(super) async fn run(engine: Arc<Engine>, mut stopping: watch::Receiver<bool>) {
    let mut swept_at: Option<Instant> = None;
    while !*stopping.borrow_and_update() {
        if engine.journal.leads_any() {
            let sweeps = swept_at.is_none_or(|at| at.elapsed() >= SWEEP_EVERY);
            match poll(&engine, sweeps).await {
                Ok(()) if sweeps => swept_at = Some(Instant::now()),
                Ok(()) => {}
                Err(error) => {
                    let error = crate::platform::problem::Chain(&error);
                    tracing::warn!(%error, "hooks that are due could not be read; trying again");
                }
            }
        }
        let pause = async {
            tokio::time::sleep(AT_MOST_EVERY).await;
            _ = tokio::time::timeout(EVERY, engine.hungry.notified()).await;
        };
        tokio::select! {
            () = pause => {}
            _ = stopping.changed() => {}
        }
    }
}

async fn poll(engine: &Arc<Engine>, sweeps: bool) -> Result<(), EngineError> {
    let mut rows = engine.run(|conn| Ok(bulk::listeners(conn, None)?)).await?;
    rows.retain(|row| engine.journal.leading_epoch(JournalId(row.tenant)).is_some());
    let enabled: HashSet<Key> = rows.iter().map(|row| (row.tenant, row.id)).collect();
    let rooms = {
        let mut lanes = engine.lanes();
        lanes.know(rows, &engine.settings.policy);
        lanes.keep_only(&enabled);
        lanes.rooms(CLAIM, Instant::now())
    };
    let now = engine.platform.clock.now();
    let until = engine.held_until(now);
    let asked: Asked = rooms.iter().map(|room| ((room.tenant, room.endpoint, room.lane), room.places)).collect();
    let claim = move |conn: &mut _| {
        bulk::in_bulk(conn, |conn| {
            if sweeps {
                bulk::sweep(conn, SWEEP)?;
            }
            Ok(bulk::claim(conn, &rooms, now, until)?)
        })
    };
    let due = engine.run(claim).await?;
    take(engine, &asked, due);
    Ok(())
}

/// How many places each lane of each endpoint had.
type Asked = HashMap<(i64, Uuid, i32), i64>;

fn take(engine: &Arc<Engine>, asked: &Asked, due: Vec<bulk::Due>) {
    let mut jobs: Vec<Job> = due.into_iter().map(job).collect();
    let mut got = Asked::new();
    for job in &jobs {
        let count = got.entry((job.place.tenant, job.place.endpoint, Lane::of(job).code())).or_default();
        *count = count.saturating_add(1);
    }
    {
        let mut lanes = engine.lanes();
        for (place @ (tenant, endpoint, code), places) in asked {
            if let Some(lane) = Lane::from_code(*code) {
                lanes.set_overflowed(&(*tenant, *endpoint), lane, got.get(place) == Some(places));
            }
        }
    }
    // The table gives them in no order; the oldest first is what a receiver expects.
    jobs.sort_unstable_by_key(|job| (job.place.seq, job.place.ordinal));
    attempt::take(engine, jobs);
    if engine.lanes().is_hungry(Instant::now()) {
        engine.hungry.notify_one();
    }
}

fn job(due: bulk::Due) -> Job {
    let bulk::Due { place, attempts, replayed, turn, event, body, depth } = due;
    Job { place, event, attempts, replayed, turn, depth, body: body.into() }
}
