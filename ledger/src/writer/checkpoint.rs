//! Checkpoints: what each account stands at, written into its row beside the batches (JOURNAL 23).

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diesel::PgConnection;

use super::lead::WATCH_EVERY;
use super::slots::Slot;
use super::sweep::sweep;
use super::term::Term;
use super::{Inner, lock};
use crate::apply::Map;
use crate::store::{self, Standing, StoreError};
use crate::{Account, AccountId, JournalId, boot_clock};

const EVERY: Duration = Duration::from_secs(5);
/// Accounts in one of their transactions.
const CHUNK: usize = 200;

/// What changed since the checkpoints were last written, and how far they are.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    dirty: Mutex<Map<JournalId, Dirty>>,
    /// Up to which seq rows are exact, for each journal of which this term has written any.
    upto: Mutex<Map<JournalId, i64>>,
    /// How often they were written.
    written: AtomicU64,
    hurried: AtomicBool,
}

/// What changed in a journal.
#[derive(Debug, Default)]
struct Dirty {
    seq: i64,
    standings: Map<AccountId, Standing>,
}

impl Checkpoints {
    /// Leaves accounts as they stand at this seq to be written.
    pub(super) fn later<'a>(&self, journal: JournalId, seq: i64, accounts: impl Iterator<Item = &'a Account>) {
        let mut dirty = lock(&self.dirty);
        let dirty = dirty.entry(journal).or_default();
        dirty.seq = seq;
        for account in accounts {
            let (id, balance, held, version) = (account.id, account.balance, account.held, account.version);
            dirty.standings.insert(id, Standing { id, balance, held, version });
        }
    }

    /// Up to which seq the rows of a journal's accounts are exact, as far as this term knows.
    pub(super) fn upto(&self, journal: JournalId) -> i64 {
        lock(&self.upto).get(&journal).copied().unwrap_or(i64::MIN)
    }

    /// How often they were written.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    /// Has them written at once, without a rest.
    pub(super) fn hurry(&self) {
        self.hurried.store(true, Ordering::SeqCst);
    }

    fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::SeqCst)
    }
}

/// Writes checkpoints until the term ends, and the last ones when it ends in good order. Between two of them it asks for
/// what is due.
pub(super) fn run(inner: &Inner, slot: &Slot, term: &Term, mut conn: PgConnection) {
    let mut began = Instant::now();
    loop {
        rest(term, EVERY.saturating_sub(began.elapsed()));
        began = Instant::now();
        let ended = term.has_ended();
        if let Err(error) = write(term, &mut conn) {
            return tracing::warn!(%error, "checkpoint failed; the rows since the last one will be replayed");
        }
        if ended {
            return;
        }
        if let Err(error) = sweep(inner, slot, term, &mut conn) {
            // Nothing that counts waits for it: what is due is due unswept.
            tracing::warn!(%error, "what is due could not be looked for; trying again");
        }
    }
}

/// Sleeps, unless the term has ended or somebody is in a hurry.
fn rest(term: &Term, time: Duration) {
    let until = boot_clock::now().saturating_add(time);
    while !term.has_ended() && !term.checkpoints.is_hurried() && boot_clock::now() < until {
        thread::sleep(WATCH_EVERY.min(time));
    }
}

fn write(term: &Term, conn: &mut PgConnection) -> Result<(), StoreError> {
    let checkpoints = &term.checkpoints;
    // A statement of its own: in the loop's head the lock would be held to its end, and the writer would wait for it.
    let dirty = std::mem::take(&mut *lock(&checkpoints.dirty));
    for (journal, Dirty { seq, standings }) in dirty {
        write_journal(term, conn, journal, standings)?;
        store::move_watermark(conn, journal, term.epoch, seq)?;
        lock(&checkpoints.upto).insert(journal, seq);
    }
    checkpoints.hurried.store(false, Ordering::SeqCst);
    checkpoints.written.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// One journal's checkpoints, a few accounts at a time with a rest between: done in one go, payments would wait for the
/// cores. In the order of their ids, which is also the order of a batch's freezes: two sessions that lock the same rows
/// never wait for each other.
fn write_journal(
    term: &Term,
    conn: &mut PgConnection,
    journal: JournalId,
    standings: Map<AccountId, Standing>,
) -> Result<(), StoreError> {
    let mut standings: Vec<_> = standings.into_values().collect();
    standings.sort_unstable_by_key(|standing| standing.id);
    let chunks = standings.chunks(CHUNK);
    // However many they are, rests take no longer than the time between two checkpoints.
    let share = EVERY.checked_div(u32::try_from(chunks.len()).unwrap_or(u32::MAX));
    let pause = share.map_or(WATCH_EVERY, |share| share.min(WATCH_EVERY));
    for (place, chunk) in chunks.enumerate() {
        if place > 0 {
            rest(term, pause);
        }
        store::checkpoint(conn, journal, chunk)?;
    }
    Ok(())
}
