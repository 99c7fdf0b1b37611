//! Takes up what was parked: records that the release which led before could not read.
//!
//! Their events are told by the poll, late and under the ids they would have had; `sequence` says where they belong. Told
//! are the endpoints that listen now and had been added before the record.

use std::sync::Arc;

use diesel::PgConnection;
use ledger::follow::Page;
use ledger::follow::parked;

use super::flight::{Flight, Landing, Needs};
use super::follow::{NAME, told};
use super::record::write_late;
use super::{Engine, EngineError};
use crate::engagement::hooks::notice;
use crate::engagement::hooks::store::bulk::{self, Place};
use crate::engagement::hooks::store::turns;
use crate::platform::follow::{Reading, each_parked};
use crate::platform::problem::Chain;

/// Reads every parked record again; true when all of them were tried.
pub(super) async fn take_up(engine: &Arc<Engine>) -> bool {
    let shared = Arc::clone(engine);
    let work = move |conn: &mut PgConnection| {
        each_parked(conn, NAME, &shared.journal, |conn, page| read_again(conn, &shared, page))
    };
    let done = engine.run(work).await;
    engine.hungry.wake_here();
    if let Err(error) = &done {
        tracing::warn!(error = %Chain(error), "parked records could not be told; trying again");
    }
    done.is_ok()
}

fn read_again(conn: &mut PgConnection, engine: &Engine, page: &Page) -> Result<bool, EngineError> {
    let (journal, seq) = (page.span.journal, page.span.upto);
    let Reading { read, unread } = (engine.events)(page);
    let rows = bulk::listeners(conn, &[journal.0])?;
    let receivers = engine.lanes().know(rows, &engine.settings.policy);
    let mut flight = Flight::new(page.span, 0, engine.platform.clock.now());
    for event in &read {
        for receiver in receivers.iter().filter(|receiver| receiver.listens_to(event)) {
            let (tenant, endpoint) = receiver.key;
            let place = Place { tenant, endpoint, seq: event.seq, ordinal: event.ordinal };
            let turn = receiver.ordered().map(|_skip| notice::turn_of(&event.subject));
            let next_at = if turn.is_some() { turns::turn_comes() } else { flight.read_at };
            let needs = Needs::of(tenant, receiver.purpose(), &event.subject);
            flight.deliveries.push(Landing { place, next_at, done: None, turn, needs });
        }
        flight.events.push(told(event)?);
    }
    bulk::in_bulk(conn, |conn| {
        if unread.is_empty() && !parked::release(conn, NAME, journal, seq)? {
            return Err(EngineError::Moved);
        }
        parked::park(conn, NAME, journal, &unread)?;
        if unread.is_empty() {
            write_late(conn, journal, &flight)?;
        }
        Ok(unread.is_empty())
    })
}
