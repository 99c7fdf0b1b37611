//! Holds of an account, a page at a time: as they stand now, by the clock and not by who has swept.

use diesel::sql_types::{BigInt, Integer, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::dues::now_us;
use super::snapshot::in_snapshot;
use crate::apply::{Map, Set};
use crate::bind::{Arg, statement};
use crate::store::{StoreError, accounts_by_public_id, found};
use crate::{Amount, AssetId, JournalId, LegRef, NEVER, RowKind};

/// Which holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HoldFilter {
    /// Only those that something is left of, the first to expire first; else all of them, newest first.
    pub open: bool,
    /// Only those that end by themselves before this moment, microseconds since 1970.
    pub expiring_before_us: Option<i64>,
}

/// A hold, as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldStanding {
    /// The row that opened it.
    pub place: LegRef,
    /// The public id of its transaction.
    pub transaction: Uuid,
    /// When it was recorded, microseconds since 1970.
    pub recorded_us: i64,
    /// Where value is set aside.
    pub debit: Uuid,
    /// In whose favour.
    pub credit: Uuid,
    /// What was set aside.
    pub amount: Amount,
    /// What of it was moved.
    pub captured: i64,
    /// What still is set aside: nothing once its time is over.
    pub remaining: i64,
    /// When it ends by itself, microseconds since 1970; [`NEVER`] for never.
    pub expires_us: i64,
    /// Its time came while something was left of it, whoever wrote that down or will.
    pub expired: bool,
}

impl HoldStanding {
    /// What was given back: with what was captured and what remains it is what was set aside (I6).
    #[must_use]
    pub const fn given_back(&self) -> i64 {
        self.amount.minor.saturating_sub(self.captured).saturating_sub(self.remaining)
    }

    /// Where the next page goes on.
    #[must_use]
    pub const fn key(&self) -> (i64, LegRef) {
        (self.expires_us, self.place)
    }
}

type Row = (BigInt, Integer, SqlUuid, BigInt, SqlUuid, SqlUuid, Integer, BigInt, BigInt, BigInt);
type Values = (i64, i32, Uuid, i64, Uuid, Uuid, i32, i64, i64, i64);

/// The next holds on an account after `after`, the [`key`](HoldStanding::key) of the last one seen; none when there is no
/// such account.
///
/// # Errors
/// [`StoreError`].
pub fn holds(
    conn: &mut PgConnection,
    journal: JournalId,
    account: Uuid,
    filter: HoldFilter,
    after: Option<(i64, LegRef)>,
    limit: i64,
) -> Result<Option<Vec<HoldStanding>>, StoreError> {
    const OPEN: &str = "SELECT h.seq, h.leg, r.id, r.recorded_us, d.public_id, c.public_id, h.asset, h.amount, h.remaining, \
        h.expires_us FROM (SELECT * FROM journal.hold WHERE journal = ? AND debit = ? AND remaining > 0 \
            AND expires_us > ? AND expires_us <= ? AND (expires_us, seq, leg) > (?, ?, ?) \
            ORDER BY expires_us, seq, leg LIMIT ?) h \
        JOIN journal.record r ON r.journal = h.journal AND r.seq = h.seq \
        JOIN journal.account d ON d.journal = h.journal AND d.id = h.debit \
        JOIN journal.account c ON c.journal = h.journal AND c.id = h.credit ORDER BY h.expires_us, h.seq, h.leg";
    const ALL: &str = "SELECT h.seq, h.leg, r.id, r.recorded_us, d.public_id, c.public_id, h.asset, h.amount, h.remaining, \
        h.expires_us FROM (SELECT * FROM journal.hold WHERE journal = ? AND debit = ? \
            AND expires_us <= ? AND (seq, leg) < (?, ?) ORDER BY seq DESC, leg DESC LIMIT ?) h \
        JOIN journal.record r ON r.journal = h.journal AND r.seq = h.seq \
        JOIN journal.account d ON d.journal = h.journal AND d.id = h.debit \
        JOIN journal.account c ON c.journal = h.journal AND c.id = h.credit ORDER BY h.seq DESC, h.leg DESC";
    // What is left of them and what was captured are rows of their own: they must be of one moment.
    in_snapshot(conn, |conn| {
        let Some(account) = accounts_by_public_id(conn, journal, &[account])?.pop() else { return Ok(None) };
        let Some(now_us) = now_us(conn, journal)? else { return Ok(None) };
        let (books, debit) = (Arg::Int(journal.0), Arg::Int(account.id.0));
        let last_us = Arg::Int(filter.expiring_before_us.map_or(NEVER, |us| us.saturating_sub(1)));
        let rows = if filter.open {
            let (expires_us, place) = after.unwrap_or((i64::MIN, LegRef { seq: 0, leg: 0 }));
            let (seq, leg) = (Arg::Int(place.seq), Arg::Int4(place.leg));
            let args = [books, debit, Arg::Int(now_us), last_us, Arg::Int(expires_us), seq, leg, Arg::Int(limit)];
            statement::<Row>(OPEN, &args).load::<Values>(conn)?
        } else {
            let (_, place) = after.unwrap_or((0, LegRef { seq: i64::MAX, leg: i32::MAX }));
            let args = [books, debit, last_us, Arg::Int(place.seq), Arg::Int4(place.leg), Arg::Int(limit)];
            statement::<Row>(ALL, &args).load::<Values>(conn)?
        };
        standings(conn, journal, rows, now_us).map(Some)
    })
}

/// The hold that a row opened, if it opened one.
///
/// # Errors
/// [`StoreError`].
pub fn hold_standing(
    conn: &mut PgConnection,
    journal: JournalId,
    place: LegRef,
) -> Result<Option<HoldStanding>, StoreError> {
    const ONE: &str = "SELECT h.seq, h.leg, r.id, r.recorded_us, d.public_id, c.public_id, h.asset, h.amount, h.remaining, \
        h.expires_us FROM journal.hold h JOIN journal.record r ON r.journal = h.journal AND r.seq = h.seq \
        JOIN journal.account d ON d.journal = h.journal AND d.id = h.debit \
        JOIN journal.account c ON c.journal = h.journal AND c.id = h.credit WHERE h.journal = ? AND h.seq = ? AND h.leg = ?";
    let args = [Arg::Int(journal.0), Arg::Int(place.seq), Arg::Int4(place.leg)];
    in_snapshot(conn, |conn| {
        let rows = statement::<Row>(ONE, &args).load::<Values>(conn)?;
        let Some(now_us) = now_us(conn, journal)? else { return Ok(None) };
        Ok(standings(conn, journal, rows, now_us)?.pop())
    })
}

fn standings(
    conn: &mut PgConnection,
    journal: JournalId,
    rows: Vec<Values>,
    now_us: i64,
) -> Result<Vec<HoldStanding>, StoreError> {
    let mut seqs: Vec<i64> = rows.iter().map(|row| row.0).collect();
    seqs.dedup();
    let (mut captured, mut swept): (Map<LegRef, i64>, Set<LegRef>) = Default::default();
    for (of, _, _, kind, minor) in found::links_of(conn, journal, &seqs)? {
        if kind == RowKind::Expire.code() {
            swept.insert(of);
        }
        if kind == RowKind::Capture.code() {
            let sum = captured.entry(of).or_default();
            *sum = sum.saturating_add(minor);
        }
    }
    let read = |(seq, leg, transaction, recorded_us, debit, credit, asset, minor, remaining, expires_us): Values| {
        let place = LegRef { seq, leg };
        let expired = swept.contains(&place) || (remaining > 0 && expires_us <= now_us);
        HoldStanding {
            place,
            transaction,
            recorded_us,
            debit,
            credit,
            amount: Amount::new(minor, AssetId(asset)),
            captured: captured.get(&place).copied().unwrap_or(0),
            remaining: if expired { 0 } else { remaining },
            expires_us,
            expired,
        }
    };
    Ok(rows.into_iter().map(read).collect())
}
