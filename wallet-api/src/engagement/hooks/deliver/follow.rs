//! From the journal to hooks: reads what was recorded, and has it sent at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use diesel::PgConnection;
use ledger::follow::{self, Span};
use ledger::{JournalId, read};
use tokio::sync::watch;
use tokio::time::Instant;

use super::flights::{Flight, Landing, Position, Told};
use super::lanes::{Job, Key, Kind, Receiver};
use super::{Engine, EngineError, attempt};
use crate::engagement::hooks::store::bulk::{self, Listener, Place};
use crate::engagement::hooks::{message, notice};
use crate::platform::events::Event;
use crate::platform::problem::Chain;

/// Under which name the cursors are kept.
pub(super) const NAME: &str = "hooks";
/// Deliveries of one page, give or take what one record has.
const PAGE: i64 = 1_000;
/// From one turn to the next: under load, more records to a read.
const TELLING: Duration = Duration::from_millis(10);
/// The same while nobody listens, when there is only the cursor to move.
const SILENT: Duration = Duration::from_millis(50);
/// After an error.
const TROUBLED: Duration = Duration::from_millis(500);
/// How long to wait for news before looking anyway.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// When to look again.
#[derive(Debug, Clone, Copy)]
struct Pause {
    /// Not before this.
    at_least: Duration,
    /// And then not before there is news.
    for_news: bool,
}

/// Follows until told to stop.
pub(super) async fn run(engine: Arc<Engine>, mut stopping: watch::Receiver<bool>) {
    let mut changes = engine.journal.changes();
    let mut troubled = HashMap::new();
    while !*stopping.borrow_and_update() {
        changes.mark_unchanged();
        let started = Instant::now();
        let pause = if let Some(epoch) = engine.journal.leading_epoch() {
            turn(&engine, epoch, &mut troubled).await
        } else {
            // Another one moves the cursors now, and sends what is left.
            engine.flights().forget_landed();
            engine.lanes().keep_only(&HashSet::new());
            Pause { at_least: SILENT, for_news: true }
        };
        let news = async {
            tokio::time::sleep_until(started + pause.at_least).await;
            if pause.for_news {
                _ = tokio::time::timeout(LOOK_EVERY, changes.changed()).await;
            }
        };
        tokio::select! {
            () = news => {}
            _ = stopping.changed() => {}
        }
    }
}

/// One turn over all journals; those in trouble are left alone until their time.
async fn turn(engine: &Arc<Engine>, epoch: i64, troubled: &mut HashMap<JournalId, Instant>) -> Pause {
    troubled.retain(|_, until| *until > Instant::now());
    let skipped: HashSet<JournalId> = troubled.keys().copied().collect();
    let shared = Arc::clone(engine);
    let looks = match engine.run(move |conn| look(conn, &shared, epoch, &skipped)).await {
        Ok(looks) => looks,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "hooks could not follow the journals; trying again");
            return Pause { at_least: TROUBLED, for_news: false };
        }
    };
    let mut pause = Pause { at_least: SILENT, for_news: true };
    for (journal, look) in looks {
        match look {
            Ok(Look { flight, jobs, is_all }) => {
                if !flight.events.is_empty() || !is_all {
                    pause.at_least = TELLING;
                }
                pause.for_news &= is_all;
                if engine.begin(flight) {
                    attempt::take(engine, jobs);
                }
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), journal = journal.0, "hooks could not follow a journal; trying again");
                troubled.insert(journal, Instant::now() + TROUBLED);
                pause.for_news = false;
            }
        }
    }
    pause
}

/// What a look at a journal with news came to.
struct Look {
    flight: Flight,
    /// Its deliveries that memory has room for.
    jobs: Vec<Job>,
    /// Whether nothing was left for the next turn.
    is_all: bool,
}

type Looks = Vec<(JournalId, Result<Look, EngineError>)>;

/// Reads the next page of every journal that has one.
fn look(
    conn: &mut PgConnection,
    engine: &Engine,
    epoch: i64,
    skipped: &HashSet<JournalId>,
) -> Result<Looks, EngineError> {
    // The heads first, then who listens, then nothing past those heads: whoever was added before a record was written is
    // among the listeners by the time the record is read.
    let heads = read::heads(conn)?;
    let mut news = Vec::new();
    // A head that a later leader has taken is not ours to tell of.
    for (journal, head) in heads.into_iter().filter(|(_, head)| head.epoch <= epoch) {
        if skipped.contains(&journal) {
            continue;
        }
        let span = unread(conn, engine, journal, &head, epoch);
        if !span.as_ref().is_ok_and(Span::is_empty) {
            news.push((journal, span));
        }
    }
    if news.is_empty() {
        return Ok(Vec::new());
    }
    let listeners = bulk::listeners(conn)?;
    let read = |(journal, span): (JournalId, Result<Span, EngineError>)| {
        let rows = listeners.iter().filter(|row| row.tenant == journal.0).cloned().collect();
        (journal, span.and_then(|span| next_page(conn, engine, span, epoch, rows)))
    };
    Ok(news.into_iter().map(read).collect())
}

/// What was recorded and not read yet, or as much of it as there is room for.
fn unread(
    conn: &mut PgConnection,
    engine: &Engine,
    journal: JournalId,
    head: &read::HeadAt,
    epoch: i64,
) -> Result<Span, EngineError> {
    let none = Span { journal, fork: head.fork, from: head.seq, upto: head.seq };
    let position = engine.flights().position(journal, head.fork, epoch);
    match position {
        Position::Landing => Ok(none),
        Position::After { seq, .. } => Ok(Span { from: seq, ..none }),
        Position::Unknown => {
            let Some(ahead) = follow::ahead(conn, NAME, journal)? else { return Ok(none) };
            engine.flights().stands(ahead, epoch);
            // Not past the head that was seen before the listeners are.
            Ok(Span { upto: head.seq, ..ahead })
        }
    }
}

fn next_page(
    conn: &mut PgConnection,
    engine: &Engine,
    unread: Span,
    epoch: i64,
    rows: Vec<Listener>,
) -> Result<Look, EngineError> {
    let now = engine.platform.clock.now();
    let told_from = rows.iter().map(|row| row.since_seq).min().unwrap_or(unread.upto).min(unread.upto);
    if unread.from < told_from {
        // Written before anybody listened: the cursor goes past it unread.
        let span = Span { upto: told_from, ..unread };
        return Ok(Look { flight: Flight::new(span, epoch, now), jobs: Vec::new(), is_all: told_from == unread.upto });
    }
    let count = i64::try_from(rows.len()).unwrap_or(PAGE).clamp(1, PAGE);
    let room = match engine.flights().position(unread.journal, unread.fork, epoch) {
        Position::After { room, .. } => room,
        Position::Unknown | Position::Landing => 0,
    };
    let span = unread.first(room.min(PAGE / count));
    let mut flight = Flight::new(span, epoch, now);
    let mut jobs = Vec::new();
    if !span.is_empty() {
        let page = follow::page(conn, span)?;
        let receivers = engine.lanes().know(rows, &engine.settings.policy);
        jobs = plan(&mut flight, &(engine.events)(&page)?, receivers, engine)?;
    }
    Ok(Look { flight, jobs, is_all: span.upto == unread.upto })
}

/// Who is told what, and whether at once or, where there is no more room, by the poll.
fn plan(
    flight: &mut Flight,
    events: &[Event],
    mut receivers: Vec<Arc<Receiver>>,
    engine: &Engine,
) -> Result<Vec<Job>, EngineError> {
    receivers.sort_unstable_by_key(|receiver| receiver.key);
    let mut rooms: Vec<usize> = {
        let now = std::time::Instant::now();
        let lanes = engine.lanes();
        receivers.iter().map(|receiver| lanes.room(&receiver.key, Kind::First, now)).collect()
    };
    let held_until = engine.held_until(flight.read_at);
    let mut jobs = Vec::new();
    for event in events.iter().filter(|event| receivers.iter().any(|receiver| receiver.listens_to(event))) {
        let told = told(event)?;
        for (receiver, room) in receivers.iter().zip(&mut rooms).filter(|(receiver, _)| receiver.listens_to(event)) {
            let job = job(&told, receiver.key);
            let place = job.place;
            let mut landing = Landing { place, next_at: flight.read_at, done: None, turn: None };
            if receiver.ordered().is_some() {
                // Told from the table, where the one before it can be seen, also after a restart.
                (landing.turn, landing.next_at) = (Some(notice::turn_of(&event.subject)), bulk::turn_comes());
            } else if *room > 0 {
                *room = room.saturating_sub(1);
                landing.next_at = held_until;
                jobs.push(job);
            } else {
                flight.overflowed.push(receiver.key);
            }
            flight.deliveries.push(landing);
        }
        flight.events.push(told);
    }
    flight.missing = jobs.len();
    flight.deliveries.sort_unstable_by_key(Landing::order);
    flight.overflowed.sort_unstable();
    flight.overflowed.dedup();
    Ok(jobs)
}

fn told(event: &Event) -> serde_json::Result<Told> {
    let body = message::body(event)?.into();
    Ok(Told { seq: event.seq, ordinal: event.ordinal, id: event.id(), kind: event.kind, body })
}

fn job(told: &Told, (tenant, endpoint): Key) -> Job {
    let place = Place { tenant, endpoint, seq: told.seq, ordinal: told.ordinal };
    Job { place, event: told.id, attempts: 0, replayed: None, turn: None, depth: 0, body: told.body.clone() }
}
