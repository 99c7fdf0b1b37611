//! Commits a decided batch: in one statement, or in two halves, the first of which runs beside the batch before it.
//!
//! Whatever comes back, nothing is guessed: a batch is known to be in the books, known not to be, or said to be unknown.

use std::sync::Arc;
use std::time::Instant;

use diesel::PgConnection;
use diesel::result::{DatabaseErrorKind, Error};
use ring::digest::{Context, SHA256};
use uuid::Uuid;

use super::book::Book;
use super::term::{FlightId, Term};
use super::{Inner, JournalError, lock, session};
use crate::apply::{Applied, Map, VERSION};
use crate::canonical::{Place, canonical_bytes, key_bytes};
use crate::sealing::Batch;
use crate::store;
use crate::store::columns::Rows;
use crate::store::post::{self, Commit};
use crate::{Asset, AssetId, JournalId, Request};

/// A batch as it will be, once committed.
pub(super) struct Decided {
    journal: JournalId,
    fork: Uuid,
    first_seq: i64,
    pub(super) digest: Vec<u8>,
    pub(super) applied: Applied,
    rows: Rows,
}

/// Why a batch is not in the books, or nobody knows whether it is.
pub(super) enum Unposted {
    /// One of its keys was used by an earlier one; it was rolled back.
    KeyUsed,
    /// Something else.
    Failed(JournalError),
}

impl From<JournalError> for Unposted {
    fn from(error: JournalError) -> Self {
        Self::Failed(error)
    }
}

impl Decided {
    /// Lays out what requests with new keys came to.
    pub(super) fn of(journal: JournalId, book: &Book, fresh: &[&Request], applied: Applied) -> Self {
        let place = Place { journal, fork: book.fork };
        let digest = chain(&book.digest, place, fresh, &applied, &book.state.assets);
        let rows = Rows::of(fresh, &applied);
        Self { journal, fork: book.fork, first_seq: book.state.seq.saturating_add(1), digest, applied, rows }
    }

    const fn commit(&self, epoch: i64) -> Commit<'_> {
        let Self { journal, first_seq, .. } = *self;
        Commit { journal, epoch, version: VERSION, first_seq, digest: self.digest.as_slice() }
    }

    /// Commits it in one statement. An error that is no used key, nor a lack of room, ends the term.
    pub(super) fn post(
        &self,
        inner: &Inner,
        term: &Term,
        flight: FlightId,
        conn: &mut PgConnection,
    ) -> Result<(), Unposted> {
        self.send((inner, term, flight), |commit| post::post(conn, commit, &self.applied, &self.rows))
    }

    /// The first half: its rows in an open transaction, where nobody sees them.
    pub(super) fn lay(&self, inner: &Inner, term: &Term, conn: &mut PgConnection) -> Result<(), Unposted> {
        let laid = post::lay(conn, self.commit(term.epoch), &self.applied, &self.rows);
        laid.map_err(|error| {
            tracing::warn!(%error, "the rows of a batch could not be written");
            // Nothing was sent that could count: what is not known is at least known not to have happened.
            known(inner, &error).unwrap_or(Unposted::Failed(JournalError::Unavailable))
        })
    }

    /// The second half, once the batch before it is in the books.
    pub(super) fn land(
        &self,
        inner: &Inner,
        term: &Term,
        flight: FlightId,
        conn: &mut PgConnection,
    ) -> Result<(), Unposted> {
        self.send((inner, term, flight), |commit| {
            let landed = post::land(conn, commit, &self.applied);
            if landed.is_err() {
                // Whatever became of it: the next one begins here.
                post::give_up(conn);
            }
            landed
        })
    }

    /// Sends what commits it, and stands by what comes of it.
    fn send(
        &self,
        (inner, term, flight): (&Inner, &Term, FlightId),
        commit: impl FnOnce(Commit<'_>) -> Result<(), Error>,
    ) -> Result<(), Unposted> {
        let began = Instant::now();
        may_send(term, flight, &self.applied)?;
        if let Err(error) = commit(self.commit(term.epoch)) {
            self.explain(inner, term, &error)?;
        }
        inner.measures.commit_us.observe_since(began);
        self.tell(inner, term);
        Ok(())
    }

    /// What an error means for this batch; none when it is in the books all the same.
    fn explain(&self, inner: &Inner, term: &Term, error: &Error) -> Result<(), Unposted> {
        if let Some(known) = known(inner, error) {
            return Err(known);
        }
        tracing::warn!(%error, "a batch was not acknowledged");
        Ok(self.resolve(inner, term)?)
    }

    /// The answer to a commit was lost. On a new session the head row tells: a batch whose digest stands there happened;
    /// else sending it again is safe, because the head lets one batch of this seq and epoch through, once.
    fn resolve(&self, inner: &Inner, term: &Term) -> Result<(), JournalError> {
        let (commit, seq) = (self.commit(term.epoch), self.applied.seq);
        let unknown = |_| JournalError::OutcomeUnknown;
        let mut conn = session::open(&inner.config.url).map_err(unknown)?;
        if store::has_batch(&mut conn, commit.journal, seq, commit.digest).map_err(unknown)? {
            return Ok(());
        }
        match post::post(&mut conn, commit, &self.applied, &self.rows) {
            Ok(()) => Ok(()),
            Err(error) if is_fenced(&error) => {
                inner.count(|c| &c.fenced, 1);
                // It may have been committed between the look and the fence.
                let happened = store::has_batch(&mut conn, commit.journal, seq, commit.digest).map_err(unknown)?;
                if happened { Ok(()) } else { Err(JournalError::NotLeader { leader: None }) }
            }
            Err(_) => Err(JournalError::OutcomeUnknown),
        }
    }

    /// Tells checkpointer, history, sealer and followers of a batch that is in the books.
    fn tell(&self, inner: &Inner, term: &Term) {
        let Self { journal, fork, applied, .. } = self;
        let records = u64::try_from(applied.records.len()).unwrap_or(u64::MAX);
        inner.count(|c| &c.batches, 1);
        inner.count(|c| &c.records, records);
        inner.measures.batch_records.observe(records);
        lock(&inner.acknowledged).insert(*journal, (*fork, applied.seq));
        term.checkpoints.later(*journal, applied.seq, applied.changed.values());
        inner.history.hear(*journal, *fork, &applied.records);
        let (first, last, recorded_us) = (self.first_seq, applied.seq, applied.last_us);
        let rows = Arc::clone(&self.rows.leaves);
        inner.fresh.hear(*journal, Batch { epoch: term.epoch, first, last, recorded_us, version: VERSION, rows });
        inner.notify();
    }
}

/// Whether a commit may be sent now: under a lease, and with its callers still waiting for us.
fn may_send(term: &Term, flight: FlightId, applied: &Applied) -> Result<(), JournalError> {
    if !term.holds_lease() || !term.send_flight(flight) {
        return Err(JournalError::Unavailable);
    }
    #[cfg(feature = "faults")]
    crate::faults::before_post(applied.records.len());
    #[cfg(not(feature = "faults"))]
    let _ = applied;
    Ok(())
}

/// What an error says for certain; none when the commit may have happened.
fn known(inner: &Inner, error: &Error) -> Option<Unposted> {
    if is_fenced(error) {
        inner.count(|c| &c.fenced, 1);
        return Some(JournalError::NotLeader { leader: None }.into());
    }
    if lacks_room(error) {
        return Some(JournalError::NoRoom.into());
    }
    if is_key_used(error) {
        return Some(Unposted::KeyUsed);
    }
    is_rolled_back(error).then(|| JournalError::Unavailable.into())
}

/// The head row was at another epoch or seq.
fn is_fenced(error: &Error) -> bool {
    matches!(error, Error::DatabaseError(_, info) if info.message().starts_with("fenced:"))
}

/// The rows had no partition to go to: whoever makes them is late, and the batch was rolled back.
fn lacks_room(error: &Error) -> bool {
    matches!(error, Error::DatabaseError(_, info) if info.message().starts_with("no partition of relation"))
}

/// A key of the batch has a row already.
fn is_key_used(error: &Error) -> bool {
    matches!(error, Error::DatabaseError(DatabaseErrorKind::UniqueViolation, info)
        if info.constraint_name() == Some("key_pkey"))
}

/// Errors a statement raises before it commits. Anything else, a session ended by an administrator above all, may have
/// come after the commit.
fn is_rolled_back(error: &Error) -> bool {
    matches!(
        error,
        Error::DatabaseError(
            DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::CheckViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::ReadOnlyTransaction,
            _
        )
    )
}

/// SHA-256 over the digest before, the canonical bytes of each record, and the key that leads to it, if one does.
fn chain(before: &[u8], place: Place, batch: &[&Request], applied: &Applied, assets: &Map<AssetId, Asset>) -> Vec<u8> {
    let keyed =
        batch.iter().zip(&applied.answers).filter_map(|(request, answer)| Some((answer.as_ref().ok()?, &request.key)));
    let mut keyed = keyed.peekable();
    let mut hash = Context::new(&SHA256);
    hash.update(before);
    for (index, record) in applied.records.iter().enumerate() {
        hash.update(&canonical_bytes(place, record, |id| assets.get(&id)));
        // Requests and the records that answer them stand in the same order.
        if let Some((_, key)) = keyed.next_if(|(answer, _)| **answer == index) {
            hash.update(&key_bytes(key));
        }
    }
    hash.finish().as_ref().to_vec()
}
