//! What is due in the table: second and later attempts, and deliveries that no memory holds.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use uuid::Uuid;

use super::lane::Lane;
use super::outbox::Job;
use super::receiver::Key;
use super::{Engine, EngineError, attempt};
use crate::engagement::hooks::store::bulk;
use crate::platform::problem::Chain;

/// How often the table is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// How often at most, while it holds more than memory does.
const AT_MOST_EVERY: Duration = Duration::from_millis(20);
/// Deliveries claimed at once for one lane of an endpoint.
const CLAIM: usize = 500;

/// Polls until told to stop.
pub(super) async fn run(engine: Arc<Engine>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow_and_update() {
        if engine.journal.leads_any()
            && let Err(error) = poll(&engine).await
        {
            tracing::warn!(error = %Chain(&error), "hooks that are due could not be read; trying again");
        }
        let pause = async {
            tokio::time::sleep(AT_MOST_EVERY).await;
            _ = tokio::time::timeout(EVERY, engine.hungry.woken()).await;
        };
        tokio::select! {
            () = pause => {}
            _ = stopping.changed() => {}
        }
    }
}

async fn poll(engine: &Arc<Engine>) -> Result<(), EngineError> {
    let journal = engine.journal.clone();
    let read = move |conn: &mut _| {
        let led = ledger::journals(conn)?.into_iter().filter(|one| journal.leading_epoch(*one).is_some());
        Ok(bulk::listeners(conn, &led.map(|journal| journal.0).collect::<Vec<_>>())?)
    };
    let rows = engine.run(read).await?;
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
    let claim = move |conn: &mut _| bulk::in_bulk(conn, |conn| Ok(bulk::claim(conn, &rooms, now, until)?));
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
        engine.hungry.wake_here();
    }
}

fn job(due: bulk::Due) -> Job {
    let bulk::Due { place, attempts, replayed, turn, event, body, depth } = due;
    Job { place, event, attempts, replayed, turn, depth, body: body.into() }
}
