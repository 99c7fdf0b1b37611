//! Leading a slot: takes its lease, opens a term, watches over it, and ends it in good order or at once.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use diesel::PgConnection;

use super::slots::{self, Slot};
use super::term::{LEASE_TTL, RENEW_EVERY, Term};
use super::{Inner, JournalError, batch, checkpoint, historian, session};
use crate::JournalId;
use crate::boot_clock;
use crate::store::lease::{self, Asked, Session};
use crate::store::{self, StoreError};

pub(super) const WATCH_EVERY: Duration = Duration::from_millis(20);

/// The sessions of a term, open before it begins, so that the lease can name them to whoever comes after.
struct Sessions {
    writer: PgConnection,
    beside: [PgConnection; 2],
    keeper: PgConnection,
    checkpointer: PgConnection,
    historians: [PgConnection; 2],
}

/// Starts a thread that takes the slot's lease if it is free, and leads until that is over.
pub(super) fn start(inner: &Arc<Inner>, slot: &Arc<Slot>) -> Option<JoinHandle<()>> {
    let (inner, slot) = (Arc::clone(inner), Arc::clone(slot));
    slot.resume();
    let body = move || match take_over(&inner, &slot) {
        Ok(Some((term, sessions))) => lead(&inner, &slot, &Arc::new(term), sessions),
        Ok(None) => {}
        Err(error) => tracing::warn!(slot = slot.number, %error, "cannot take the lease"),
    };
    let thread = thread::Builder::new().name("journal-slot".into());
    thread.spawn(body).inspect_err(|error| tracing::error!(%error, "no thread")).ok()
}

pub(super) fn ttl_ms() -> i64 {
    i64::try_from(LEASE_TTL.as_millis()).unwrap_or(i64::MAX)
}

/// Takes the lease if it is free, ends whatever the former holder left, and fences it off.
///
/// The books themselves are opened on first use, by the same steps at start and after a fault.
fn take_over(inner: &Inner, slot: &Slot) -> Result<Option<(Term, Sessions)>, StoreError> {
    let url = &inner.config.url;
    let mut sessions = Sessions {
        writer: session::open(url)?,
        beside: [session::open_beside(url)?, session::open_beside(url)?],
        keeper: session::open(url)?,
        checkpointer: session::open(url)?,
        historians: [session::open_slow(url)?, session::open_slow(url)?],
    };
    let [first, second] = &mut sessions.beside;
    let [room, closing] = &mut sessions.historians;
    let own = [
        lease::own_session(&mut sessions.writer)?,
        lease::own_session(first)?,
        lease::own_session(second)?,
        lease::own_session(&mut sessions.keeper)?,
        lease::own_session(&mut sessions.checkpointer)?,
        lease::own_session(room)?,
        lease::own_session(closing)?,
    ];
    let asked = boot_clock::now();
    let conn = &mut sessions.keeper;
    match lease::ask(conn, slot.number, inner.config.holder, &inner.config.address, &own, ttl_ms())? {
        Asked::HeldBy { address } => {
            slot.set_leader(Some(address));
            Ok(None)
        }
        Asked::Taken { epoch, former, database_us } => {
            let slots = inner.slots.all().len();
            fence_off(conn, slot.number, slots, epoch, &former).inspect_err(|_| {
                // So that another node may try.
                _ = lease::release(conn, slot.number, inner.config.holder, epoch);
            })?;
            // However many slots there are, together they let no more wait than one would.
            let queue = inner.config.queue.div_ceil(slots.max(1));
            let term = Term::new(epoch, queue, asked, database_us);
            Ok(Some((term, sessions)))
        }
    }
}

/// Ends what the former holder left, and keeps out whatever it decided and had not committed.
fn fence_off(
    conn: &mut PgConnection,
    slot: i32,
    slots: usize,
    epoch: i64,
    former: &[Session],
) -> Result<(), StoreError> {
    lease::terminate(conn, former)?;
    let mut journals: Vec<i64> = store::journals(conn)?.into_iter().map(|journal| journal.0).collect();
    journals.retain(|journal| slots::number(JournalId(*journal), slots) == usize::try_from(slot).ok());
    lease::raise_epochs(conn, &journals, epoch)
}

/// Leads until the term ends; then everybody who waits has been answered.
fn lead(inner: &Arc<Inner>, slot: &Arc<Slot>, term: &Arc<Term>, sessions: Sessions) {
    tracing::info!(slot = slot.number, epoch = term.epoch, "leading");
    inner.count(|c| &c.terms, 1);
    slot.set_leader(Some(inner.config.address.clone()));
    let Sessions { writer, beside, keeper, checkpointer, historians } = sessions;
    let writer = spawn(inner, term, "journal-writer", move |inner, term| batch::run(inner, term, writer, beside));
    let keeper = spawn(inner, term, "journal-keeper", {
        let slot = slot.number;
        move |inner, term| keep(inner, slot, term, keeper)
    });
    let checkpointer = spawn(inner, term, "journal-checkpointer", {
        let slot = Arc::clone(slot);
        move |inner, term| checkpoint::run(inner, &slot, term, checkpointer)
    });
    let historian = spawn(inner, term, "journal-historian", {
        let slot = slot.number;
        move |inner, term| historian::run(inner, slot, term, historians)
    });
    slot.set_term(Some(Arc::clone(term)));
    let threads = [writer, keeper, checkpointer, historian];
    watch(inner, slot, term, &threads);
    slot.set_leader(None);
    slot.set_term(None);
    inner.fresh.forget();
    if term.abandon(&JournalError::NotLeader { leader: None }) {
        inner.count(|c| &c.unknown, 1);
        tracing::warn!(slot = slot.number, epoch = term.epoch, "a commit was left unknown");
    }
    tracing::info!(slot = slot.number, epoch = term.epoch, "no longer leading");
    // A thread stuck in a database call cannot be ended; it finds the term over when the call returns, and goes.
    for thread in threads.into_iter().flatten().filter(JoinHandle::is_finished) {
        _ = thread.join();
    }
}

type Thread = Option<JoinHandle<()>>;

fn spawn(
    inner: &Arc<Inner>,
    term: &Arc<Term>,
    name: &str,
    work: impl FnOnce(&Inner, &Term) + Send + 'static,
) -> Thread {
    let (inner, term) = (Arc::clone(inner), Arc::clone(term));
    // Whatever way a thread goes, by return or by panic, the term ends with it: state is rebuilt, never patched.
    let body = move || {
        let ending = EndOnDrop(&term);
        work(&inner, ending.0);
    };
    thread::Builder::new().name(name.into()).spawn(body).inspect_err(|error| tracing::error!(%error, "no thread")).ok()
}

/// Ends the term when whoever works in it goes, also by a panic.
pub(super) struct EndOnDrop<'a>(pub(super) &'a Term);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The watchdog: returns when the term is over, for whatever reason.
fn watch(inner: &Inner, slot: &Slot, term: &Term, threads: &[Thread]) {
    if threads.iter().any(Option::is_none) {
        term.end();
    }
    while !term.has_ended() && term.holds_lease() && !term.is_overdue() {
        if slot.is_retired() {
            return finish(inner, slot, term, threads);
        }
        thread::sleep(WATCH_EVERY);
    }
}

/// Stops in good order: what was accepted is answered, what was changed is checkpointed, the lease is free at once.
fn finish(inner: &Inner, slot: &Slot, term: &Term, threads: &[Thread]) {
    term.queue.close();
    let done = || threads.iter().flatten().all(JoinHandle::is_finished);
    while !done() && term.holds_lease() && !term.is_overdue() {
        thread::sleep(WATCH_EVERY);
    }
    let released = session::open(&inner.config.url)
        .and_then(|mut conn| lease::release(&mut conn, slot.number, inner.config.holder, term.epoch));
    if let Err(error) = released {
        tracing::warn!(%error, "the lease was not given up; it runs out by itself");
    }
}

/// Renews the lease each second while the term lasts.
fn keep(inner: &Inner, slot: i32, term: &Term, mut conn: PgConnection) {
    while !term.has_ended() {
        let asked = boot_clock::now();
        match lease::renew(&mut conn, slot, inner.config.holder, term.epoch, ttl_ms()) {
            Ok(Some(database_us)) => term.renewed(asked, database_us),
            Ok(None) => return tracing::warn!(epoch = term.epoch, "the lease is another's"),
            Err(error) => return tracing::warn!(%error, "the lease cannot be renewed"),
        }
        sleep_unless_ended(term, RENEW_EVERY);
    }
}

pub(super) fn sleep_unless_ended(term: &Term, time: Duration) {
    let until = boot_clock::now().saturating_add(time);
    while !term.has_ended() && boot_clock::now() < until {
        thread::sleep(WATCH_EVERY.min(time));
    }
}
