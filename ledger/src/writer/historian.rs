//! What is done behind and ahead of the writer: room for the next records, indexes of the ranges it has left, and the
//! followers of history. And, on every node, keeping in mind what has no index yet.
//!
//! A thread of the leading term asks the database, a few times a second, what is due; each piece is one transaction that
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

/// Does what is due until the term ends.
pub(super) fn run(inner: &Inner, slot: i32, term: &Term, conn: PgConnection) {
    let mut conn = Some(conn);
    while !term.has_ended() {
        conn = match conn.map_or_else(|| session::open_slow(&inner.config.url), Ok) {
            Ok(mut session) => match turn(inner, slot, term, &mut session) {
                Ok(()) => Some(session),
                Err(error) => {
                    tracing::warn!(slot, %error, "history is not kept; trying again");
                    None
                }
            },
            Err(error) => {
                tracing::warn!(slot, %error, "no session to keep history with");
                None
            }
        };
        lead::sleep_unless_ended(term, LOOK_EVERY);
    }
}

fn turn(inner: &Inner, slot: i32, term: &Term, conn: &mut PgConnection) -> Result<(), StoreError> {
    let count = inner.slots.all().len();
    let ours = |journal: &JournalId| slots::number(*journal, count) == usize::try_from(slot).ok();
    let due = ranges::due(conn)?;
    // Room for all first: it is what writers wait for.
    for journal in due.iter().copied().filter(ours) {
        let upto = ranges::make_room(conn, journal)?;
        tracing::debug!(journal = journal.0, upto, "there is room");
    }
    for journal in due.into_iter().filter(ours) {
        let began = Instant::now();
        if let Some(last_seq) = ranges::close_range(conn, journal)? {
            tracing::info!(journal = journal.0, last_seq, took_ms = began.elapsed().as_millis(), "a range is closed");
        }
    }
    for journal in follow::behind(conn, DATED)?.into_iter().filter(ours) {
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
