//! What became of a posted row: what captured it, gave it back, moved it back; and what is left of a hold.

use diesel::PgConnection;
use uuid::Uuid;

use crate::store::{StoreError, found};
use crate::{Amount, JournalId, LegRef, NEVER, RowKind};

/// One row that builds on an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkAt {
    /// The earlier row.
    pub of: LegRef,
    /// The later one.
    pub by: LegRef,
    /// The public id of the record it is in.
    pub record: Uuid,
    /// What it does: a move is a refund.
    pub kind: RowKind,
    /// Minor units.
    pub minor: i64,
}

/// What builds on the rows of these records, in the order it happened.
///
/// # Errors
/// [`StoreError`].
pub fn links(conn: &mut PgConnection, journal: JournalId, seqs: &[i64]) -> Result<Vec<LinkAt>, StoreError> {
    let link = |(of, by, record, kind, minor): (LegRef, LegRef, Uuid, i32, i64)| {
        let kind = RowKind::from_code(kind).ok_or(StoreError::Corrupt {
            journal: journal.0,
            seq: by.seq,
            what: "a link is of no kind there is",
        })?;
        Ok(LinkAt { of, by, record, kind, minor })
    };
    found::links_of(conn, journal, seqs)?.into_iter().map(link).collect()
}

/// A hold as it truly stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldAt {
    /// What was set aside.
    pub amount: Amount,
    /// What still is: nothing once its time is over, whoever wrote that down or will.
    pub remaining: i64,
    /// When it ends by itself, microseconds since 1970.
    pub expires_us: Option<i64>,
    /// Its time is over.
    pub expired: bool,
}

/// The hold that a row opened, if it opened one.
///
/// # Errors
/// [`StoreError`].
pub fn hold(conn: &mut PgConnection, journal: JournalId, place: LegRef) -> Result<Option<HoldAt>, StoreError> {
    let Some((_, hold)) = found::holds_at(conn, journal, &[place])?.into_iter().next() else { return Ok(None) };
    let expired = super::dues::now_us(conn, journal)?.is_some_and(|now_us| hold.expires_us <= now_us);
    let remaining = if expired { 0 } else { hold.remaining };
    let expires_us = Some(hold.expires_us).filter(|us| *us < NEVER);
    Ok(Some(HoldAt { amount: hold.amount, remaining, expires_us, expired }))
}
