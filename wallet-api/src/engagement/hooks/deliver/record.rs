//! Writes down what was told: pages with the cursor's move, and outcomes of deliveries that the table has already.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use diesel::{PgConnection, QueryResult};
use ledger::JournalId;
use ledger::follow::parked;
use ledger::follow::{self, Span};
use tokio::sync::watch;

use super::attempt::Done;
use super::flight::{Flight, Landing, Told};
use super::follow::NAME;
use super::health::{self, Change};
use super::lane::Lane;
use super::{Engine, EngineError};
use crate::engagement::hooks::model::{DeliveryStatus, DisableReason};
use crate::engagement::hooks::notice::{self, Notice};
use crate::engagement::hooks::store::bulk::{self, NewDelivery, NewEvent, Outcome};
use crate::engagement::hooks::store::turns::{self, Waits};
use crate::engagement::hooks::switch_off;
use crate::platform::audit;
use crate::platform::follow::tell_parked;
use crate::platform::problem::Chain;

/// How long what came first waits for what comes with it: nobody waits for it.
const GATHER: Duration = Duration::from_millis(40);
/// How often to look whether a page has waited long enough.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Outcomes settled at once.
const SETTLED: usize = 500;
/// From one try to settle outcomes to the next.
const TRY_EVERY: Duration = Duration::from_millis(250);
/// Tries after which they are given up, and sent again.
const TRIES: u32 = 40;

/// Writes down until `drained` says that no more comes.
pub(super) async fn run(engine: Arc<Engine>, mut drained: watch::Receiver<bool>) {
    loop {
        let is_last = wait(&engine, &mut drained).await;
        while write_down(&engine, is_last, &drained).await && is_last {}
        if engine.lanes().is_hungry(Instant::now()) {
            engine.hungry.wake_here();
        }
        if is_last {
            return;
        }
    }
}

/// Writes what can be written; at the end, true while there may be more and writing works.
async fn write_down(engine: &Engine, is_last: bool, drained: &watch::Receiver<bool>) -> bool {
    let batch = engine.flights().take(is_last);
    let is_all = batch.journals.is_empty();
    for flights in batch.journals {
        if land(engine, flights).await.is_err() && is_last {
            return false; // who cannot be reached now will not be in the time that is left: it is told again
        }
    }
    let mut late = batch.late;
    while !late.is_empty() {
        let rest = late.split_off(late.len().min(SETTLED));
        settle(engine, std::mem::replace(&mut late, rest), drained).await;
    }
    !is_all
}

/// Until there may be something to write; true when nothing comes after it.
async fn wait(engine: &Engine, drained: &mut watch::Receiver<bool>) -> bool {
    let landed = async {
        if engine.flights().is_waiting() {
            _ = tokio::time::timeout(LOOK_EVERY, engine.landed.notified()).await;
        } else {
            engine.landed.notified().await;
        }
        tokio::time::sleep(GATHER).await;
    };
    tokio::select! {
        biased;
        _ = drained.wait_for(|drained| *drained) => true,
        () = landed => false,
    }
}

/// Writes pages of one journal that follow each other, and moves the cursor past them.
async fn land(engine: &Engine, flights: Vec<Flight>) -> Result<(), EngineError> {
    let (Some(first), Some(last)) = (flights.first(), flights.last()) else { return Ok(()) };
    let (span, epoch) = (Span { upto: last.span.upto, ..first.span }, last.epoch);
    let first_attempts = landings(&flights).filter_map(|landing| Some(&landing.done.as_ref()?.outcome));
    let changes = health::changes(first_attempts, |key| engine.lanes().failing(key));
    let (flights, changes) = (Arc::new(flights), Arc::new(changes));
    let shared = Arc::clone(&flights);
    let outcome = engine.run(move |conn| write_pages(conn, &shared, span, epoch, &changes)).await;
    let Err(error) = &outcome else {
        written(engine, &flights);
        return outcome;
    };
    let (journal, from) = (span.journal.0, span.from);
    match (error, Arc::try_unwrap(flights)) {
        (EngineError::Moved, Ok(flights)) => {
            tracing::warn!(journal, from, "another node has told these hooks, or will");
            forget(engine, &flights);
        }
        (error, Ok(flights)) => {
            tracing::warn!(error = %Chain(error), journal, from, "hooks were told and not written down; trying again");
            engine.flights().give_back(flights);
        }
        // A call that was given up still goes on somewhere: where the cursor stands will tell what came of it.
        (error, Err(flights)) => {
            tracing::warn!(error = %Chain(error), journal, from, "it is not known whether hooks were written down");
            forget(engine, &flights);
        }
    }
    outcome
}

fn written(engine: &Engine, flights: &[Flight]) {
    flights.iter().for_each(|flight| tell_parked(NAME, flight.span.journal, &flight.unread));
    engine.flights().written(flights);
    let_go(engine, flights);
    let overflowed = flights.iter().flat_map(|flight| &flight.overflowed);
    let mut lanes = engine.lanes();
    overflowed.for_each(|key| lanes.set_overflowed(key, Lane::First, true));
    if landings(flights).any(|landing| landing.turn.is_some()) {
        engine.hungry.wake_here();
    }
}

/// Leaves pages, and what was read after them, to be read again.
fn forget(engine: &Engine, flights: &[Flight]) {
    let Some(first) = flights.first() else { return };
    let after = engine.flights().forget(first.span.journal);
    let_go(engine, &after);
    let_go(engine, flights);
}

fn landings(flights: &[Flight]) -> impl Iterator<Item = &Landing> {
    flights.iter().flat_map(|flight| &flight.deliveries)
}

/// Lets go of the deliveries of these pages whose first attempt has ended.
fn let_go(engine: &Engine, flights: &[Flight]) {
    let mut lanes = engine.lanes();
    for done in landings(flights).filter_map(|landing| landing.done.as_ref()) {
        lanes.let_go(&done.outcome.place, done.bytes);
    }
}

fn write_pages(
    conn: &mut PgConnection,
    flights: &[Flight],
    span: Span,
    epoch: i64,
    changes: &[Change],
) -> Result<(), EngineError> {
    let events: Vec<_> = flights.iter().flat_map(|flight| flight.events.iter().map(event_row(flight))).collect();
    let outcomes: Vec<_> = landings(flights).filter_map(|landing| Some(&landing.done.as_ref()?.outcome)).collect();
    bulk::in_bulk(conn, |conn| {
        // The cursor first: of two engines the second waits here, and then finds it moved.
        if !follow::advance(conn, NAME, span, epoch)? {
            return Err(EngineError::Moved);
        }
        let deliveries = delivery_rows(conn, landings(flights))?;
        let turns = turns_of(deliveries.iter().filter_map(|row| Some((&row.place, row.turn?))));
        if !events.is_empty() {
            bulk::insert_events(conn, span.journal.0, &events)?;
            in_turn(conn, &turns, |conn| bulk::insert_deliveries(conn, &deliveries))?;
        }
        for flight in flights {
            parked::park(conn, NAME, span.journal, &flight.unread)?;
        }
        if !outcomes.is_empty() {
            bulk::insert_attempts(conn, &outcomes)?;
            tell(conn, &outcomes, changes)?;
        }
        Ok(())
    })
}

/// Writes an event that was read late down, to be told by the poll.
pub(super) fn write_late(conn: &mut PgConnection, journal: JournalId, flight: &Flight) -> QueryResult<()> {
    let events: Vec<_> = flight.events.iter().map(event_row(flight)).collect();
    let deliveries = delivery_rows(conn, flight.deliveries.iter())?;
    if deliveries.is_empty() {
        return Ok(());
    }
    let turns = turns_of(deliveries.iter().filter_map(|row| Some((&row.place, row.turn?))));
    bulk::insert_events(conn, journal.0, &events)?;
    in_turn(conn, &turns, |conn| bulk::insert_deliveries(conn, &deliveries))
}

fn event_row(flight: &Flight) -> impl Fn(&Told) -> NewEvent<'_> {
    let created_at = flight.read_at;
    move |told| {
        let Told { seq, ordinal, id, kind, depth, body } = told;
        NewEvent { seq: *seq, ordinal: *ordinal, id: *id, kind, body, depth: *depth, created_at }
    }
}

/// The rows of these deliveries, without those that need a consent which does not hold.
fn delivery_rows<'a>(
    conn: &mut PgConnection,
    landings: impl Iterator<Item = &'a Landing>,
) -> QueryResult<Vec<NewDelivery>> {
    let mut rows = Vec::new();
    for landing in landings {
        if landing.needs.as_ref().map_or(Ok(true), |needs| needs.holds(conn))? {
            rows.push(delivery_row(landing));
        }
    }
    Ok(rows)
}

fn delivery_row(landing: &Landing) -> NewDelivery {
    let Landing { place, next_at, done, turn, needs: _ } = landing;
    let (place, turn) = (*place, *turn);
    match done {
        None => NewDelivery { place, status: DeliveryStatus::Pending, attempts: 0, next_at: Some(*next_at), turn },
        Some(Done { outcome: Outcome { status, attempt, next_at, .. }, .. }) => {
            NewDelivery { place, status: *status, attempts: *attempt, next_at: *next_at, turn }
        }
    }
}

/// The turns of these deliveries, each once.
fn turns_of<'a>(waiting: impl Iterator<Item = (&'a bulk::Place, i64)>) -> Vec<Waits> {
    let all: BTreeSet<_> = waiting.map(|(place, turn)| (place.tenant, place.endpoint, turn)).collect();
    all.into_iter().collect()
}

/// Does what adds or ends deliveries of these turns, and lets the first of each go. Without turns it only does it.
fn in_turn(
    conn: &mut PgConnection,
    turns: &[Waits],
    work: impl FnOnce(&mut PgConnection) -> QueryResult<()>,
) -> QueryResult<()> {
    if turns.is_empty() {
        return work(conn);
    }
    turns::lock(conn, &turns.iter().map(|(tenant, endpoint, _)| (*tenant, *endpoint)).collect())?;
    work(conn)?;
    // Due at once, whatever anybody's clock says.
    turns::line_up(conn, turns, DateTime::UNIX_EPOCH)
}

/// Moves deliveries on that are in the table.
async fn settle(engine: &Engine, late: Vec<Done>, drained: &watch::Receiver<bool>) {
    let changes = health::changes(late.iter().map(|done| &done.outcome), |key| engine.lanes().failing(key));
    let ended = |outcome: &&Outcome| outcome.turn.is_some() && outcome.status != DeliveryStatus::Pending;
    let has_turns = late.iter().map(|done| &done.outcome).any(|outcome| ended(&outcome));
    let late = Arc::new(late);
    let shared = Arc::clone(&late);
    let changes = Arc::new(changes);
    let write = move |conn: &mut PgConnection| {
        let outcomes: Vec<_> = shared.iter().map(|done| &done.outcome).collect();
        let over = outcomes.iter().copied().filter(ended);
        let turns = turns_of(over.filter_map(|outcome| Some((&outcome.place, outcome.turn?))));
        bulk::in_bulk(conn, |conn| {
            in_turn(conn, &turns, |conn| bulk::settle(conn, &outcomes))?;
            tell(conn, &outcomes, &changes)
        })
    };
    match insist(engine, drained, write).await {
        Ok(()) if has_turns => engine.hungry.wake_here(),
        Ok(()) => {}
        Err(error) => {
            let error = Chain(&error);
            tracing::error!(%error, outcomes = late.len(), "what became of hooks was not written down: they are sent again");
        }
    }
    let mut lanes = engine.lanes();
    late.iter().for_each(|done| lanes.let_go(&done.outcome.place, done.bytes));
}

/// Tells what these outcomes mean for their endpoints: disabled, failing, passed over.
fn tell(conn: &mut PgConnection, outcomes: &[&Outcome], changes: &[Change]) -> Result<(), EngineError> {
    let mut acts = Vec::new();
    for outcome in outcomes {
        let (tenant, endpoint) = (outcome.place.tenant, outcome.place.endpoint);
        match outcome.status {
            DeliveryStatus::Gone => {
                acts.extend(switch_off(conn, tenant, outcome.at, endpoint, DisableReason::Gone)?);
            }
            DeliveryStatus::Failed if outcome.turn.is_some() => {
                let place = (outcome.place.seq, outcome.place.ordinal);
                notice::tell(conn, outcome.at, &Notice::skipped(tenant, endpoint, place, outcome.attempt))?;
            }
            DeliveryStatus::Failed | DeliveryStatus::Pending | DeliveryStatus::Delivered | DeliveryStatus::Withheld => {
            }
        }
    }
    for change in changes {
        acts.extend(health::apply(conn, change)?);
    }
    // Last, and one tenant after the other: whoever appends to several logs does it in this order.
    acts.sort_by_key(|(act, _)| act.tenant);
    for (act, at) in acts {
        audit::append(conn, &act, at)?;
    }
    Ok(())
}

/// Tries until it is done or given up; a stop waits for one try only.
async fn insist(
    engine: &Engine,
    drained: &watch::Receiver<bool>,
    work: impl Fn(&mut PgConnection) -> Result<(), EngineError> + Clone + Send + 'static,
) -> Result<(), EngineError> {
    let mut tries = 1_u32;
    loop {
        match engine.run(work.clone()).await {
            Err(error) if tries < TRIES && !*drained.borrow() => {
                tracing::warn!(error = %Chain(&error), "what became of hooks could not be written down; trying again");
            }
            end => return end,
        }
        tries = tries.saturating_add(1);
        tokio::time::sleep(TRY_EVERY).await;
    }
}
