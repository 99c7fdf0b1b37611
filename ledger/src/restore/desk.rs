//! The writer's place for the time of a restore: the lease of the slot, its epoch in the head, room, checkpoints.
//!
//! As every other writer does: the lease first, whoever held it before is ended, the epoch is raised in the head, and
//! each batch passes the head under it. A restore that lost the lease commits nothing more.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use diesel::{Connection, PgConnection};
use uuid::Uuid;

use super::{RestoreError, Source, store};
use crate::apply::{Applied, Map};
use crate::store::columns::Rows;
use crate::store::lease::{self, Asked};
use crate::store::post::{self, Commit};
use crate::store::{Standing, checkpoint, move_watermark, ranges, watermark};
use crate::writer::{session, slot_of};
use crate::{Account, AccountId, JournalId, Request};

/// How long the lease lasts: longer than a node's, since it is renewed between two batches.
const TTL: Duration = Duration::from_secs(5);
const RENEW_EVERY: Duration = Duration::from_secs(1);
const ASK_EVERY: Duration = Duration::from_millis(250);
/// Accounts of one checkpoint, and records after which accounts are written down.
const CHUNK: usize = 200;
const CHECKPOINT_EVERY: i64 = 100_000;

pub(super) struct Desk {
    conn: PgConnection,
    journal: JournalId,
    slot: i32,
    holder: Uuid,
    epoch: i64,
    renewed: Instant,
    /// The last seq there are partitions for.
    room: i64,
    version: i32,
    /// Accounts whose checkpoint is behind, and up to where checkpoints are exact.
    dirty: BTreeSet<AccountId>,
    exact: i64,
}

impl Desk {
    /// Takes the lease of the journal's slot as `holder`, whom nobody else is, waiting for one that has nobody any more to run out.
    pub(super) fn take(url: &str, source: &Source, holder: Uuid, address: &str) -> Result<Self, RestoreError> {
        let mut conn = session::open_slow(url)?;
        let journal = source.journal;
        let slots = lease::holders(&mut conn)?.len();
        let slot = slot_of(journal, slots).and_then(|slot| i32::try_from(slot).ok()).unwrap_or(0);
        let own = [lease::own_session(&mut conn)?];
        let until = Instant::now() + TTL + RENEW_EVERY;
        let ttl_ms = ttl_ms();
        loop {
            match lease::ask(&mut conn, slot, holder, address, &own, ttl_ms)? {
                Asked::HeldBy { address } if Instant::now() > until => return Err(RestoreError::Held { address }),
                Asked::HeldBy { .. } => thread::sleep(ASK_EVERY),
                Asked::Taken { epoch, former, .. } => {
                    lease::terminate(&mut conn, &former)?;
                    lease::raise_epochs(&mut conn, &[journal.0], epoch)?;
                    let exact = watermark(&mut conn, journal)?;
                    let (renewed, dirty) = (Instant::now(), BTreeSet::new());
                    let version = source.version;
                    return Ok(Self { conn, journal, slot, holder, epoch, renewed, room: 0, version, dirty, exact });
                }
            }
        }
    }

    pub(super) fn conn(&mut self) -> &mut PgConnection {
        &mut self.conn
    }

    /// Commits a batch.
    pub(super) fn post(
        &mut self,
        (first_seq, version, digest): (i64, i32, &[u8]),
        requests: &[&Request],
        applied: &Applied,
    ) -> Result<(), RestoreError> {
        self.renew()?;
        if applied.seq > self.room {
            self.room = ranges::make_room(&mut self.conn, self.journal)?;
        }
        let (journal, epoch) = (self.journal, self.epoch);
        let commit = Commit { journal, epoch, version, first_seq, digest };
        let rows = Rows::of(requests, applied);
        if version == self.version {
            post::post(&mut self.conn, commit, applied, &rows)
        } else {
            self.version = version;
            self.conn.transaction(|conn| {
                store::raise_version(conn, journal, epoch, version)?;
                post::post(conn, commit, applied, &rows)
            })
        }
        .map_err(|error| RestoreError::of_commit(error, first_seq))
    }

    /// Keeps in mind that these accounts changed, and writes them down now and then.
    pub(super) fn changed(
        &mut self,
        applied: &Applied,
        accounts: &Map<AccountId, Account>,
    ) -> Result<(), RestoreError> {
        if applied.seq <= self.exact {
            return Ok(());
        }
        self.dirty.extend(applied.changed.keys());
        if applied.seq.saturating_sub(self.exact) >= CHECKPOINT_EVERY {
            self.checkpoint(applied.seq, accounts)?;
        }
        Ok(())
    }

    /// Writes down every account that changed, and where ranges that are full have their rows. `seq` is the head's.
    pub(super) fn checkpoint(&mut self, seq: i64, accounts: &Map<AccountId, Account>) -> Result<(), RestoreError> {
        let dirty: Vec<AccountId> = std::mem::take(&mut self.dirty).into_iter().collect();
        for chunk in dirty.chunks(CHUNK) {
            let standing =
                |it: &Account| Standing { id: it.id, balance: it.balance, held: it.held, version: it.version };
            let chunk: Vec<Standing> = chunk.iter().filter_map(|id| accounts.get(id)).map(standing).collect();
            checkpoint(&mut self.conn, self.journal, &chunk)?;
            self.renew()?;
        }
        move_watermark(&mut self.conn, self.journal, self.epoch, seq)?;
        self.exact = seq;
        while ranges::close_range(&mut self.conn, self.journal)?.is_some() {
            self.renew()?;
        }
        Ok(())
    }

    /// Keeps the lease. One that ran out is still ours if nobody took it; if somebody did, so it is said.
    pub(super) fn renew(&mut self) -> Result<(), RestoreError> {
        if self.renewed.elapsed() < RENEW_EVERY {
            return Ok(());
        }
        let kept = lease::renew(&mut self.conn, self.slot, self.holder, self.epoch, ttl_ms())?;
        kept.ok_or(RestoreError::Fenced)?;
        self.renewed = Instant::now();
        Ok(())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Else it runs out by itself.
        _ = lease::release(&mut self.conn, self.slot, self.holder, self.epoch);
    }
}

fn ttl_ms() -> i64 {
    i64::try_from(TTL.as_millis()).unwrap_or(i64::MAX)
}
