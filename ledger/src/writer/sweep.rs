//! The sweeper: asks for what is due to be written down, when nobody touches the account meanwhile.
//!
//! Nothing waits for it: whatever has expired counts as expired at once, for reads and writes alike. It asks like any
//! caller, through the queue, a few hundred accounts at a time; that two nodes ask, or one twice, does no harm, because
//! the second finds nothing due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::PgConnection;
use ring::digest::{SHA256, digest};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Inner;
use super::queue::Ticket;
use super::slots::{self, Slot};
use super::term::Term;
use crate::store::StoreError;
use crate::store::found::{self, DueJournal};
use crate::{Command, Key, Request, Scope};

/// Whose keys these are.
const SWEEPER: Scope = Scope(i64::MIN);
/// A request that has not had its turn by then is asked again next time.
const TURN: Duration = Duration::from_secs(2);

/// Asks for what is due in the journals of a slot.
pub(super) fn sweep(inner: &Inner, slot: &Slot, term: &Term, conn: &mut PgConnection) -> Result<(), StoreError> {
    let slots = inner.slots.all().len();
    for due in found::due_journals(conn, term.now_us())? {
        let ours = slots::number(due.journal, slots) == usize::try_from(slot.number).ok();
        if ours && !term.has_ended() {
            sweep_journal(term, conn, due)?;
        }
    }
    Ok(())
}

fn sweep_journal(term: &Term, conn: &mut PgConnection, due: DueJournal) -> Result<(), StoreError> {
    let DueJournal { journal, seq, now_us } = due;
    for account in found::due_accounts(conn, journal, now_us)? {
        let (reply, _) = oneshot::channel();
        let key = Key { scope: SWEEPER, key: key_of(account, seq), fingerprint: Uuid::nil() };
        let (command, effective_us) = (Command::Sweep { account }, None);
        let request = Request { journal, key, command, effective_us, meta: b"{}".to_vec(), companions: Vec::new() };
        let Some(deadline) = Instant::now().checked_add(TURN) else { return Ok(()) };
        if term.queue.push(Ticket { request: Arc::new(request), deadline, reply, linked: 0 }).is_err() {
            // Full of what somebody waits for: this can wait.
            return Ok(());
        }
    }
    Ok(())
}

/// A key of its own for what is due on an account at a head.
fn key_of(account: Uuid, seq: i64) -> Uuid {
    let bytes = [account.as_bytes().as_slice(), &seq.to_be_bytes()].concat();
    let hash = digest(&SHA256, &bytes);
    hash.as_ref().first_chunk::<16>().map_or(account, |bytes| Uuid::from_bytes(*bytes))
}
