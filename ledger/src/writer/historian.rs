//! What is done behind and ahead of the writer: room for the next records, indexes of the ranges it has left, and the
//! followers of history. And, on every node, keeping in mind what has no index yet.
//!
//! Two threads of the leading term ask the database, a few times a second, what is due; each piece is one transaction that
//! is done again from the start if it was cut off. Nothing here is on a commit's path: a writer that finds no room says
//! so and goes on when there is some. Not here: what ranges are (migration 11), what history is asked (`read`).

use std::thread;
use std::time::{Duration, Instant};

use diesel::PgConnection;

use super::term::Term;
use super::{Inner, lead, session, slots};
use crate::JournalId;
use crate::follow;
use crate::read::{self, DATED};
use crate::store::{StoreError, ranges};

/// A journal that writes as fast as it can fills half a first range in half a second.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a node reads up what others have written.
const KEEP_UP_EVERY: Duration = Duration::from_millis(200);

type Turn = fn(&Inner, i32, &Term, &mut PgConnection) -> Result<(), StoreError>;

/// Does what is due until the term ends. Room is what writers wait for, so nobody who makes it waits for the closing of a
/// range, which takes seconds.
pub(super) fn run(inner: &Inner, slot: i32, term: &Term, [room, closing]: [PgConnection; 2]) {
    thread::scope(|scope| {
        let closer = thread::Builder::new().name("journal-closer".into());
        let closing = closer.spawn_scoped(scope, move || {
            let ending = lead::EndOnDrop(term);
            repeat(inner, slot, ending.0, Some(closing), close_behind);
        });
        if let Err(error) = closing {
            return tracing::error!(slot, %error, "no thread");
        }
        repeat(inner, slot, term, Some(room), make_room_ahead);
    });
}

fn repeat(inner: &Inner, slot: i32, term: &Term, mut conn: Option<PgConnection>, turn: Turn) {
    while !term.has_ended() {
        let session = conn.take().map_or_else(|| session::open_slow(&inner.config.url), Ok);
        conn = match session.and_then(|mut conn| turn(inner, slot, term, &mut conn).map(|()| conn)) {
            Ok(session) => Some(session),
            Err(error) => {
                tracing::warn!(slot, %error, "history is not kept; trying again");
                None
            }
        };
        lead::sleep_unless_ended(term, LOOK_EVERY);
    }
}

fn due(inner: &Inner, slot: i32, conn: &mut PgConnection) -> Result<Vec<JournalId>, StoreError> {
    let mut due = ranges::due(conn)?;
    retain_ours(inner, slot, &mut due);
    Ok(due)
}

fn retain_ours(inner: &Inner, slot: i32, journals: &mut Vec<JournalId>) {
    let count = inner.slots.all().len();
    journals.retain(|journal| slots::number(*journal, count) == usize::try_from(slot).ok());
}

fn make_room_ahead(inner: &Inner, slot: i32, _: &Term, conn: &mut PgConnection) -> Result<(), StoreError> {
    for journal in due(inner, slot, conn)? {
        let upto = ranges::make_room(conn, journal)?;
        tracing::debug!(journal = journal.0, upto, "there is room");
    }
    Ok(())
}

fn close_behind(inner: &Inner, slot: i32, term: &Term, conn: &mut PgConnection) -> Result<(), StoreError> {
    for journal in due(inner, slot, conn)? {
        let began = Instant::now();
        if let Some(last_seq) = ranges::close_range(conn, journal)? {
            tracing::info!(journal = journal.0, last_seq, took_ms = began.elapsed().as_millis(), "a range is closed");
        }
    }
    let mut behind = follow::behind(conn, DATED)?;
    retain_ours(inner, slot, &mut behind);
    for journal in behind {
        while !term.has_ended() && read::follow_dated(conn, journal, term.epoch)? {}
    }
    Ok(())
}

/// Keeps in mind what has no index yet, until the node stops.
pub(super) fn keep_up(inner: &Inner) {
    let mut conn = None;
    while !inner.is_stopping() {
        let began = Instant::now();
        let session = conn.take().map_or_else(|| session::open_slow(&inner.config.url), Ok);
        conn = match session.and_then(|mut session| inner.history.keep_up(&mut session).map(|()| session)) {
            Ok(session) => Some(session),
            Err(error) => {
                tracing::debug!(%error, "history is not kept in mind; reads catch up by themselves");
                None
            }
        };
        while !inner.is_stopping() && began.elapsed() < KEEP_UP_EVERY {
            thread::sleep(lead::WATCH_EVERY);
        }
    }
}
