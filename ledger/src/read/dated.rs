//! The effective axis: balances at a date by when rows count, not by when they were recorded.
//!
//! Most rows count when they are recorded, and for those the recorded axis is the answer. A follower keeps only the
//! others, the *dated* ones: each with the sum of its account's so far, and per account and day their net (ADR 8). So the
//! balance at an effective time is the recorded one at that time, less what was dated among it, plus what is dated up to
//! that time whenever it was recorded: the days before, the day's rows, and what the follower has not read yet.

use diesel::sql_types::{BigInt, Nullable};
use diesel::{Connection, PgConnection, RunQueryDsl};

use super::snapshot::in_snapshot;
use super::standing::standings;
use super::{ReadError, seq_at};
use crate::bind::{Arg, statement};
use crate::history::History;
use crate::store::{StoreError, ranges};
use crate::{JournalId, follow};

/// The follower's name.
pub(crate) const DATED: &str = "dated";
/// Records it takes at a time.
const PAGE: i64 = 50_000;
const DAY_US: i64 = 86_400_000_000;

/// Takes in the next records of a journal under the epoch this node leads by; true when there are more.
///
/// Rows that only set aside or give back (holds, voids, expiries) move nothing and count on no date.
pub(crate) fn follow(conn: &mut PgConnection, journal: JournalId, epoch: i64) -> Result<bool, StoreError> {
    const TAKE: &str = "WITH rows AS MATERIALIZED ( \
            SELECT t.seq, t.leg, t.debit, t.credit, t.amount, r.effective_us FROM \
            (SELECT seq, effective_us FROM journal.record \
             WHERE journal = ? AND seq > ? AND seq <= ? AND effective_us <> recorded_us) r \
            CROSS JOIN LATERAL (SELECT * FROM journal.transfer \
             WHERE journal = ? AND seq > ? AND seq <= ? AND seq = r.seq AND kind IN (1, 3)) t \
        ), sides AS MATERIALIZED ( \
            SELECT debit AS account, seq, leg, effective_us, -amount AS change FROM rows \
            UNION ALL SELECT credit, seq, leg, effective_us, amount FROM rows \
        ), put AS ( \
            INSERT INTO journal.dated (journal, account, seq, leg, effective_us, change, sum) \
            SELECT ?, s.account, s.seq, s.leg, s.effective_us, s.change, (coalesce(b.sum, 0) \
                + sum(s.change) OVER (PARTITION BY s.account ORDER BY s.seq, s.leg))::bigint \
            FROM sides s LEFT JOIN LATERAL (SELECT d.sum FROM journal.dated d \
                WHERE d.journal = ? AND d.account = s.account ORDER BY d.seq DESC, d.leg DESC LIMIT 1) b ON true \
        ) INSERT INTO journal.dated_day AS d (journal, account, day, net) \
            SELECT ?, account, effective_us / 86400000000, sum(change)::bigint FROM sides GROUP BY 2, 3 ORDER BY 2, 3 \
            ON CONFLICT (journal, account, day) DO UPDATE SET net = d.net + excluded.net";
    let Some(ahead) = follow::ahead(conn, DATED, journal)? else { return Ok(false) };
    let span = ahead.first(PAGE);
    if span.is_empty() {
        return Ok(false);
    }
    let (number, from, upto) = (Arg::Int(journal.0), Arg::Int(span.from), Arg::Int(span.upto));
    let args = [number, from, upto, number, from, upto, number, number, number];
    conn.transaction(|conn| {
        statement::<()>(TAKE, &args).execute(conn)?;
        if follow::advance(conn, DATED, span, epoch)? {
            return Ok(span.upto < ahead.upto);
        }
        // Another node follows now: what was taken in here is rolled back.
        Err(StoreError::Database(diesel::result::Error::RollbackTransaction))
    })
}

/// Balances of accounts at an effective time, microseconds since 1970, in their order, and the head they are as of.
pub(super) fn balances_at(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    ids: &[i64],
    effective_us: i64,
) -> Result<(i64, Vec<i64>), ReadError> {
    in_snapshot(conn, |conn| balances_in_snapshot(conn, history, journal, ids, effective_us))
}

pub(super) fn balances_in_snapshot(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    ids: &[i64],
    effective_us: i64,
) -> Result<(i64, Vec<i64>), ReadError> {
    let edge = ranges::edge(conn, journal)?.ok_or(ReadError::UnknownJournal(journal))?;
    let seq = seq_at(conn, journal, effective_us)?.min(edge.head);
    let recorded = standings(conn, history, journal, edge, ids, seq)?;
    let moved = moved_by_date(conn, journal, ids, seq, effective_us)?;
    let unread = unread(conn, journal, edge.head)?;
    let balance = |(place, id): (usize, &i64)| {
        let standing = recorded.get(place).map_or(0, |standing| standing.balance);
        let unread = unread.iter().map(|row| row.moves(*id, seq, effective_us)).fold(0, i64::saturating_add);
        standing.saturating_add(moved.get(place).copied().unwrap_or(0)).saturating_add(unread)
    };
    Ok((edge.head, ids.iter().enumerate().map(balance).collect()))
}

/// What dates move in or out of the recorded balances at `seq`, of the rows that the follower has read.
fn moved_by_date(
    conn: &mut PgConnection,
    journal: JournalId,
    ids: &[i64],
    seq: i64,
    effective_us: i64,
) -> Result<Vec<i64>, StoreError> {
    const TEXT: &str = "SELECT q.place, recorded.sum, days.net, day.net FROM unnest(?) WITH ORDINALITY AS q(id, place) \
        LEFT JOIN LATERAL (SELECT d.sum FROM journal.dated d \
            WHERE journal = ? AND account = q.id AND seq <= ? ORDER BY seq DESC, leg DESC LIMIT 1) recorded ON true \
        LEFT JOIN LATERAL (SELECT sum(net)::bigint AS net FROM journal.dated_day \
            WHERE journal = ? AND account = q.id AND day < ?) days ON true \
        LEFT JOIN LATERAL (SELECT sum(change)::bigint AS net FROM journal.dated \
            WHERE journal = ? AND account = q.id AND effective_us BETWEEN ? AND ?) day ON true";
    let day = effective_us.div_euclid(DAY_US);
    let (number, midnight) = (Arg::Int(journal.0), Arg::Int(day.saturating_mul(DAY_US)));
    let args = [Arg::Ints(ids), number, Arg::Int(seq), number, Arg::Int(day), number, midnight, Arg::Int(effective_us)];
    type Row = (BigInt, Nullable<BigInt>, Nullable<BigInt>, Nullable<BigInt>);
    let rows = statement::<Row>(TEXT, &args).load::<(i64, Option<i64>, Option<i64>, Option<i64>)>(conn)?;
    let mut all = vec![0_i64; ids.len()];
    for (place, recorded, days, day) in rows {
        let place = usize::try_from(place.saturating_sub(1)).unwrap_or(usize::MAX);
        if let Some(moved) = all.get_mut(place) {
            let dated = days.unwrap_or(0).saturating_add(day.unwrap_or(0));
            *moved = dated.saturating_sub(recorded.unwrap_or(0));
        }
    }
    Ok(all)
}

/// A dated row that the follower has not read.
struct Unread {
    seq: i64,
    effective_us: i64,
    debit: i64,
    credit: i64,
    amount: i64,
}

impl Unread {
    /// What it adds to an account's balance at an effective time whose recorded one is that at `seq`.
    fn moves(&self, account: i64, seq: i64, effective_us: i64) -> i64 {
        let change = match account {
            _ if account == self.debit => self.amount.saturating_neg(),
            _ if account == self.credit => self.amount,
            _ => return 0,
        };
        match (self.effective_us <= effective_us, self.seq <= seq) {
            (true, false) => change,
            (false, true) => change.saturating_neg(),
            (true, true) | (false, false) => 0,
        }
    }
}

fn unread(conn: &mut PgConnection, journal: JournalId, head: i64) -> Result<Vec<Unread>, StoreError> {
    const CURSOR: &str = "SELECT seq FROM journal.follower WHERE journal = ? AND name = ?";
    const TEXT: &str = "SELECT r.seq, r.effective_us, t.debit, t.credit, t.amount FROM \
        (SELECT seq, effective_us FROM journal.record \
         WHERE journal = ? AND seq > ? AND seq <= ? AND effective_us <> recorded_us) r CROSS JOIN LATERAL \
        (SELECT * FROM journal.transfer WHERE journal = ? AND seq > ? AND seq <= ? AND seq = r.seq AND kind IN (1, 3)) t";
    let found = statement::<(BigInt,)>(CURSOR, &[Arg::Int(journal.0), Arg::Text(DATED)]).load::<(i64,)>(conn)?;
    let (number, from, upto) = (Arg::Int(journal.0), Arg::Int(found.first().map_or(0, |(seq,)| *seq)), Arg::Int(head));
    let args = [number, from, upto, number, from, upto];
    type Row = (BigInt, BigInt, BigInt, BigInt, BigInt);
    let rows = statement::<Row>(TEXT, &args).load::<(i64, i64, i64, i64, i64)>(conn)?;
    let read = |(seq, effective_us, debit, credit, amount)| Unread { seq, effective_us, debit, credit, amount };
    Ok(rows.into_iter().map(read).collect())
}
