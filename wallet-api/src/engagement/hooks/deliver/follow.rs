//! From the journal to deliveries: one page, one transaction, the cursor with it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use hyper::body::Bytes;
use ledger::follow::{self, Page};
use ledger::{JournalId, read};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::lanes::{Job, Key, Receiver};
use super::{Engine, EngineError, attempt};
use crate::engagement::hooks::message;
use crate::engagement::hooks::store::bulk::{self, NewEvent, Place};
use crate::platform::events::Event;

/// Under which name the cursors are kept.
const NAME: &str = "hooks";
/// Records of one page.
const PAGE: i64 = 1_000;
/// From one turn to the next while there is something to tell: under load, more records to a transaction.
const TELLING: Duration = Duration::from_millis(10);
/// The same while nobody listens, when there is only the cursor to move.
const SILENT: Duration = Duration::from_millis(50);
/// The same after an error.
const TROUBLED: Duration = Duration::from_millis(250);
/// How long to wait for news before looking anyway.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Where the cursor of a journal stands, as far as this process knows.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    fork: Uuid,
    seq: i64,
}

/// What a turn over one journal came to.
enum Turn {
    /// There was nothing new.
    Idle,
    /// Nobody listens to what is new: the cursor is past it.
    Skipped(Cursor),
    /// What is new has been written; there may be more.
    Told { cursor: Cursor, jobs: Vec<Job>, overflowed: Vec<Key> },
}

/// Follows until told to stop.
pub(super) async fn run(engine: Arc<Engine>, mut stopping: watch::Receiver<bool>) {
    let mut changes = engine.journal.changes();
    let mut cursors = HashMap::new();
    while !*stopping.borrow_and_update() {
        changes.mark_unchanged();
        let started = Instant::now();
        let pause = if let Some(epoch) = engine.journal.leading_epoch() {
            turn(&engine, epoch, &mut cursors).await
        } else {
            // Another one moves the cursors now, and sends what is left.
            cursors.clear();
            engine.lanes().keep_only(&HashSet::new());
            SILENT
        };
        let news = async {
            tokio::time::sleep_until(started + pause).await;
            // No time between pages means that there is more: no need to be told.
            if !pause.is_zero() {
                _ = tokio::time::timeout(LOOK_EVERY, changes.changed()).await;
            }
        };
        tokio::select! {
            () = news => {}
            _ = stopping.changed() => {}
        }
    }
}

/// One turn over all journals; says how long after its beginning the next may begin.
async fn turn(engine: &Arc<Engine>, epoch: i64, cursors: &mut HashMap<JournalId, Cursor>) -> Duration {
    let journals = match engine.run(|conn| Ok(ledger::journals(conn)?)).await {
        Ok(journals) => journals,
        Err(error) => return troubled(&error),
    };
    let mut pause = SILENT;
    for journal in journals {
        let (shared, cursor) = (Arc::clone(engine), cursors.get(&journal).copied());
        match engine.run(move |conn| tell(conn, &shared, journal, epoch, cursor)).await {
            Ok(Turn::Idle) => pause = pause.min(TELLING),
            Ok(Turn::Skipped(cursor)) => _ = cursors.insert(journal, cursor),
            Ok(Turn::Told { cursor, jobs, overflowed }) => {
                let from = cursors.insert(journal, cursor);
                let is_full = from.is_none_or(|from| cursor.seq.saturating_sub(from.seq) >= PAGE);
                pause = pause.min(if is_full { Duration::ZERO } else { TELLING });
                hand_over(engine, jobs, &overflowed);
            }
            Err(error) => {
                cursors.remove(&journal);
                pause = pause.min(troubled(&error));
            }
        }
    }
    pause
}

fn troubled(error: &EngineError) -> Duration {
    tracing::warn!(error = %crate::platform::problem::Chain(error), "hooks could not follow the journal; trying again");
    TROUBLED
}

fn hand_over(engine: &Arc<Engine>, jobs: Vec<Job>, overflowed: &[Key]) {
    attempt::take(engine, jobs);
    if !overflowed.is_empty() {
        let mut lanes = engine.lanes();
        overflowed.iter().for_each(|key| lanes.set_overflowed(key, true));
        engine.hungry.notify_one();
    }
}

/// One page of one journal.
fn tell(
    conn: &mut PgConnection,
    engine: &Engine,
    journal: JournalId,
    epoch: i64,
    cursor: Option<Cursor>,
) -> Result<Turn, EngineError> {
    // The head first, then who listens, then nothing past that head: whoever was added before a record was written is
    // among the listeners by the time the record is read.
    let Some(head) = read::head(conn, journal)? else { return Ok(Turn::Idle) };
    let known = cursor.filter(|cursor| cursor.fork == head.fork);
    if known.is_some_and(|cursor| cursor.seq >= head.seq) {
        return Ok(Turn::Idle);
    }
    let rows = bulk::listeners(conn, Some(journal.0))?;
    let told_from = rows.iter().map(|row| row.since_seq).min().unwrap_or(head.seq).min(head.seq);
    if let Some(cursor) = known.filter(|cursor| cursor.seq < told_from) {
        return skip(conn, journal, epoch, cursor, told_from);
    }
    let limit = known.map_or(1, |cursor| head.seq.saturating_sub(cursor.seq).min(PAGE));
    let Some(page) = follow::next_page(conn, NAME, journal, limit)? else {
        return Ok(Turn::Skipped(Cursor { fork: head.fork, seq: head.seq }));
    };
    let receivers = engine.lanes().know(rows, &engine.settings.policy);
    write(conn, engine, &page, epoch, &receivers)
}

/// Moves the cursor past records that were written before anybody listened, without reading them.
fn skip(
    conn: &mut PgConnection,
    journal: JournalId,
    epoch: i64,
    cursor: Cursor,
    upto: i64,
) -> Result<Turn, EngineError> {
    let Cursor { fork, seq: from } = cursor;
    let page = Page { journal, fork, from, upto, entries: Vec::new(), companions: Vec::new() };
    bulk::in_bulk(conn, |conn| advance(conn, &page, epoch))?;
    Ok(Turn::Skipped(Cursor { fork, seq: upto }))
}

fn advance(conn: &mut PgConnection, page: &Page, epoch: i64) -> Result<(), EngineError> {
    if follow::advance(conn, NAME, page, epoch)? { Ok(()) } else { Err(EngineError::Moved) }
}

/// An event that somebody is told.
struct Told {
    seq: i64,
    ordinal: i32,
    id: Uuid,
    kind: &'static str,
    body: Bytes,
}

impl Told {
    fn of(event: &Event) -> serde_json::Result<Self> {
        let body = message::body(event)?.into();
        Ok(Self { seq: event.seq, ordinal: event.ordinal, id: event.id(), kind: event.kind, body })
    }

    fn row(&self) -> NewEvent<'_> {
        NewEvent { seq: self.seq, ordinal: self.ordinal, id: self.id, kind: self.kind, body: &self.body }
    }

    fn job(&self, (tenant, endpoint): Key) -> Job {
        let place = Place { tenant, endpoint, seq: self.seq, ordinal: self.ordinal };
        Job { place, event: self.id, attempts: 0, body: self.body.clone() }
    }
}

/// What a page leads to.
#[derive(Default)]
struct Plan {
    events: Vec<Told>,
    /// Each with the time from which the poll may take it.
    deliveries: Vec<(Place, DateTime<Utc>)>,
    /// Those that memory has room for.
    jobs: Vec<Job>,
    /// Endpoints for which it has no more.
    overflowed: Vec<Key>,
}

fn write(
    conn: &mut PgConnection,
    engine: &Engine,
    page: &Page,
    epoch: i64,
    receivers: &[Arc<Receiver>],
) -> Result<Turn, EngineError> {
    let now = engine.platform.clock.now();
    let rooms = {
        let lanes = engine.lanes();
        receivers.iter().map(|receiver| lanes.room(&receiver.key)).collect()
    };
    let plan = plan(&(engine.events)(page)?, receivers, rooms, now, engine.held_until(now))?;
    bulk::in_bulk(conn, |conn| {
        // The cursor first: of two engines the second waits here, and then finds it moved.
        advance(conn, page, epoch)?;
        if !plan.events.is_empty() {
            let rows: Vec<_> = plan.events.iter().map(Told::row).collect();
            bulk::insert_events(conn, page.journal.0, &rows, now)?;
            bulk::insert_deliveries(conn, &plan.deliveries)?;
        }
        Ok::<_, EngineError>(())
    })?;
    let cursor = Cursor { fork: page.fork, seq: page.upto };
    Ok(Turn::Told { cursor, jobs: plan.jobs, overflowed: plan.overflowed })
}

/// Who is told what, and whether at once or, where there is no more room, by the poll.
fn plan(
    events: &[Event],
    receivers: &[Arc<Receiver>],
    mut rooms: Vec<usize>,
    now: DateTime<Utc>,
    held_until: DateTime<Utc>,
) -> serde_json::Result<Plan> {
    let mut plan = Plan::default();
    for event in events.iter().filter(|event| receivers.iter().any(|receiver| receiver.listens_to(event))) {
        let told = Told::of(event)?;
        for (receiver, room) in receivers.iter().zip(&mut rooms).filter(|(receiver, _)| receiver.listens_to(event)) {
            let job = told.job(receiver.key);
            if *room > 0 {
                *room = room.saturating_sub(1);
                plan.deliveries.push((job.place, held_until));
                plan.jobs.push(job);
            } else {
                plan.deliveries.push((job.place, now));
                plan.overflowed.push(receiver.key);
            }
        }
        plan.events.push(told);
    }
    plan.overflowed.sort_unstable();
    plan.overflowed.dedup();
    Ok(plan)
}
