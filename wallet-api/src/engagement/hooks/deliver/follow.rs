//! From the journal to hooks: reads what was recorded, and has it sent at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use diesel::PgConnection;
use ledger::follow::{self, Span};
use ledger::{JournalId, read};
use tokio::sync::watch;
use tokio::time::Instant;

use super::flight::{Flight, Landing, Needs, Told};
use super::flights::Position;
use super::lane::Lane;
use super::outbox::Job;
use super::receiver::{Key, Receiver};
use super::{Engine, EngineError, attempt, parked};
use crate::engagement::hooks::store::bulk::{self, Listener, Place};
use crate::engagement::hooks::store::turns;
use crate::engagement::hooks::{message, notice};
use crate::platform::events::Event;
use crate::platform::follow::Reading;
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
    let mut looked_again = None;
    while !*stopping.borrow_and_update() {
        changes.mark_unchanged();
        let started = Instant::now();
        // Where another one leads, it moves the cursors now, and sends what is left.
        engine.flights().forget_landed(|journal| engine.journal.leading_epoch(journal).is_none());
        let pause = if let Some(epoch) = engine.journal.latest_epoch() {
            if looked_again != Some(epoch) && parked::take_up(&engine).await {
                looked_again = Some(epoch);
            }
            turn(&engine, &mut troubled).await
        } else {
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
async fn turn(engine: &Arc<Engine>, troubled: &mut HashMap<JournalId, Instant>) -> Pause {
    troubled.retain(|_, until| *until > Instant::now());
    let skipped: HashSet<JournalId> = troubled.keys().copied().collect();
    let shared = Arc::clone(engine);
    let (looks, is_all) = match engine.run(move |conn| look(conn, &shared, &skipped)).await {
        Ok(looked) => looked,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "hooks could not follow the journals; trying again");
            return Pause { at_least: TROUBLED, for_news: false };
        }
    };
    let mut pause = Pause { at_least: if is_all { SILENT } else { TELLING }, for_news: is_all };
    for (journal, look) in looks {
        match look {
            Ok(look) => pause = pause.min(begin(engine, look)),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), journal = journal.0, "hooks could not follow a journal; trying again");
                troubled.insert(journal, Instant::now() + TROUBLED);
                pause.for_news = false;
            }
        }
    }
    pause
}

/// Takes up what was read. Here and not where it is read: a call that was given up may still go on there.
fn begin(engine: &Arc<Engine>, look: Look) -> Pause {
    let Look { stands, flight, jobs, next } = look;
    if let Some(ahead) = stands {
        engine.flights().stands(ahead, flight.epoch);
    }
    if engine.begin(flight) {
        attempt::take(engine, jobs);
        return next;
    }
    Pause { at_least: TELLING, for_news: false }
}

impl Pause {
    /// As soon as either of two would have it.
    fn min(self, other: Self) -> Self {
        let at_least = self.at_least.min(other.at_least);
        Self { at_least, for_news: self.for_news && other.for_news }
    }
}

/// What a look at a journal with news came to.
struct Look {
    /// Where the cursor stands, if it had to be read.
    stands: Option<Span>,
    flight: Flight,
    /// Its deliveries that memory has room for.
    jobs: Vec<Job>,
    /// When to look at it again.
    next: Pause,
}

/// What was recorded and not read yet.
struct Unread {
    /// The leadership it is read under.
    epoch: i64,
    stands: Option<Span>,
    span: Span,
    /// How much of it may be read.
    room: i64,
}

/// Of each journal with news its next page, and whether all of them were read.
type Looks = (Vec<(JournalId, Result<Look, EngineError>)>, bool);

/// Reads the next page of every journal that has one, the journals in turn where there are too many for one call.
fn look(conn: &mut PgConnection, engine: &Engine, skipped: &HashSet<JournalId>) -> Result<Looks, EngineError> {
    // The heads first, then who listens, then nothing past those heads: whoever was added before a record was written is
    // among the listeners by the time the record is read.
    let heads = read::heads(conn)?;
    let mut news = Vec::new();
    let mut is_all = true;
    for (journal, head) in heads.into_iter().filter(|(journal, _)| !skipped.contains(journal)) {
        // A head that a later leader has taken is not ours to tell of.
        let led = engine.journal.leading_epoch(journal).filter(|epoch| head.epoch <= *epoch);
        let Some(epoch) = led else { continue };
        match unread(conn, engine, journal, &head, epoch) {
            Ok(Some(unread)) if unread.room == 0 => is_all = false,
            Ok(Some(unread)) => news.push((journal, Ok(unread))),
            Ok(None) => {}
            Err(error) => news.push((journal, Err(error))),
        }
    }
    if news.is_empty() {
        return Ok((Vec::new(), is_all));
    }
    let first = engine.turns.fetch_add(1, Ordering::Relaxed).checked_rem(news.len()).unwrap_or(0);
    news.rotate_left(first);
    let tenants: Vec<i64> = news.iter().map(|(journal, _)| journal.0).collect();
    let listeners = bulk::listeners(conn, &tenants)?;
    let (mut looks, mut read) = (Vec::new(), 0_i64);
    for (journal, unread) in news {
        if read >= PAGE {
            is_all = false;
            break;
        }
        let rows = listeners.iter().filter(|row| row.tenant == journal.0).cloned().collect();
        let look = unread.and_then(|unread| next_page(conn, engine, unread, rows));
        read = read.saturating_add(look.as_ref().map_or(0, |look| look.flight.weight()));
        looks.push((journal, look));
    }
    Ok((looks, is_all))
}

fn unread(
    conn: &mut PgConnection,
    engine: &Engine,
    journal: JournalId,
    head: &read::HeadAt,
    epoch: i64,
) -> Result<Option<Unread>, EngineError> {
    let position = engine.flights().position(journal, head.fork, epoch);
    match position {
        Position::Landing => Ok(None),
        Position::After { seq, .. } if seq >= head.seq => Ok(None),
        Position::After { seq, room } => {
            let span = Span { journal, fork: head.fork, from: seq, upto: head.seq };
            Ok(Some(Unread { epoch, stands: None, span, room }))
        }
        Position::Unknown => {
            let Some(ahead) = follow::ahead(conn, NAME, journal)? else { return Ok(None) };
            // Not past the head that was seen before the listeners are.
            let span = Span { upto: head.seq.max(ahead.from), ..ahead };
            Ok(Some(Unread { epoch, stands: Some(ahead), span, room: PAGE }))
        }
    }
}

fn next_page(
    conn: &mut PgConnection,
    engine: &Engine,
    Unread { epoch, stands, span: unread, room }: Unread,
    rows: Vec<Listener>,
) -> Result<Look, EngineError> {
    let now = engine.platform.clock.now();
    let told_from = rows.iter().map(|row| row.since_seq).min().unwrap_or(unread.upto).min(unread.upto);
    if unread.from < told_from {
        // Written before anybody listened: the cursor goes past it unread.
        let span = Span { upto: told_from, ..unread };
        let next = Pause { at_least: SILENT, for_news: told_from == unread.upto };
        return Ok(Look { stands, flight: Flight::new(span, epoch, now), jobs: Vec::new(), next });
    }
    let count = i64::try_from(rows.len()).unwrap_or(PAGE).clamp(1, PAGE);
    let span = unread.first((room.min(PAGE) / count).max(1));
    let mut flight = Flight::new(span, epoch, now);
    let mut jobs = Vec::new();
    if !span.is_empty() {
        let page = follow::page(conn, span)?;
        let receivers = engine.lanes().know(rows, &engine.settings.policy);
        let Reading { read, unread } = (engine.events)(&page);
        flight.unread = unread;
        jobs = plan(&mut flight, &read, receivers, engine)?;
    }
    let is_all = span.upto == unread.upto;
    let at_least = match (is_all, flight.events.is_empty()) {
        (true, true) => SILENT,
        (true, false) => TELLING,
        // What holds a busy journal back is the room there is, not the pace.
        (false, _) => Duration::ZERO,
    };
    Ok(Look { stands, flight, jobs, next: Pause { at_least, for_news: is_all } })
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
        receivers.iter().map(|receiver| lanes.room(&receiver.key, Lane::First, now)).collect()
    };
    let held_until = engine.held_until(flight.read_at);
    let mut jobs = Vec::new();
    for event in events.iter().filter(|event| receivers.iter().any(|receiver| receiver.listens_to(event))) {
        let told = told(event)?;
        for (receiver, room) in receivers.iter().zip(&mut rooms).filter(|(receiver, _)| receiver.listens_to(event)) {
            let job = job(&told, receiver.key);
            let place = job.place;
            let needs = Needs::of(place.tenant, receiver.purpose(), &event.subject);
            let mut landing = Landing { place, next_at: flight.read_at, done: None, turn: None, needs };
            if receiver.ordered().is_some() {
                // Told from the table, where the one before it can be seen, also after a restart.
                (landing.turn, landing.next_at) = (Some(notice::turn_of(&event.subject)), turns::turn_comes());
            } else if landing.needs.is_some() {
                // Told from the table too: it is written there only if the consent holds in that very transaction.
                flight.overflowed.push(receiver.key);
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

pub(super) fn told(event: &Event) -> serde_json::Result<Told> {
    let body = message::body(event)?.into();
    Ok(Told { seq: event.seq, ordinal: event.ordinal, id: event.id(), kind: event.kind, depth: event.depth, body })
}

fn job(told: &Told, (tenant, endpoint): Key) -> Job {
    let place = Place { tenant, endpoint, seq: told.seq, ordinal: told.ordinal };
    Job { place, event: told.id, attempts: 0, replayed: None, turn: None, depth: told.depth, body: told.body.clone() }
}
