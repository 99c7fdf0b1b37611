//! What accounts that keep lots have, had, and what happened to it: the ground of every report on points.
//!
//! Three readings that share nothing: lots as they are stored now ([`left`]), records with what they did to lots
//! ([`touching`]), and how the accounts stood by the columns of their rows ([`standing`]). A report that takes one of them
//! is checked by another. Each is read in pages, so that memory does not grow with the books.
//! Not here: what an earning, a claw-back or a breakage is in a report; what a unit is worth.

use std::collections::BTreeMap;

use diesel::sql_types::{BigInt, Bool, Integer, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::records::{Size, cut};
use super::snapshot::in_snapshot;
use super::standing::{Standing, standings};
use super::{ReadError, Until, head};
use crate::bind::{Arg, statement};
use crate::history::History;
use crate::store::{StoreError, ranges, rows};
use crate::{AssetId, JournalId, Lot, Piece, Record, archive};

/// Lots or accounts read at a time.
const PAGE: i64 = 5_000;
/// What `journal.account.nature` says of an account that keeps lots.
const KEEPS_LOTS: i32 = 1;

/// A record with rows that touch accounts which keep lots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// The record.
    pub record: Record,
    /// The legs that touch them, in order.
    pub legs: Vec<Leg>,
}

/// Which sides of a row keep lots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// The row's place in its record.
    pub leg: i32,
    /// The account that value left does.
    pub debit: bool,
    /// The account that value reached does.
    pub credit: bool,
}

/// The accounts of one asset that keep lots, together, in minor units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LotAccounts {
    /// How many there were.
    pub accounts: u64,
    /// Their balances, summed, as the trial balance has them.
    pub balance: i128,
    /// What they owe out of what they earn next, summed.
    pub debt: i128,
}

impl LotAccounts {
    fn add(&mut self, standing: Standing) {
        let debt = standing.held.saturating_sub(standing.balance).max(0);
        self.accounts = self.accounts.saturating_add(1);
        self.balance = self.balance.saturating_add(i128::from(standing.balance));
        self.debt = self.debt.saturating_add(i128::from(debt));
    }

    /// What their lots must add up to (I7, I8).
    #[must_use]
    pub fn lots(&self) -> i128 {
        self.balance.saturating_add(self.debt)
    }
}

/// Tells every lot with something left, in one snapshot, and the seq of the head it is true at.
///
/// # Errors
/// [`ReadError`]; what was told before an error is not all there is.
pub fn left(
    conn: &mut PgConnection,
    journal: JournalId,
    until: Until,
    each: &mut dyn FnMut(AssetId, Piece),
) -> Result<i64, ReadError> {
    in_snapshot(conn, |conn| {
        let at = head(conn, journal)?.ok_or(ReadError::UnknownJournal(journal))?.seq;
        let mut after = None;
        loop {
            until.go_on(conn)?;
            let page = lots_after(conn, journal, after)?;
            page.iter().for_each(|(_, asset, piece)| each(*asset, *piece));
            let Some((account, _, piece)) = page.last() else { return Ok(at) };
            after = Some((*account, piece.lot));
        }
    })
}

/// The next lots in the order of their key.
fn lots_after(
    conn: &mut PgConnection,
    journal: JournalId,
    after: Option<(i64, Lot)>,
) -> Result<Vec<(i64, AssetId, Piece)>, StoreError> {
    const TEXT: &str = "SELECT l.account, a.asset, l.expires_us, l.earned_day, l.activates_us, l.campaign, l.unit_cost, \
        l.remaining FROM (SELECT * FROM journal.lot WHERE journal = ? AND remaining > 0 \
            AND (account, expires_us, earned_day, activates_us, campaign, unit_cost) > (?, ?, ?, ?, ?, ?) \
            ORDER BY account, expires_us, earned_day, activates_us, campaign, unit_cost LIMIT ?) l \
        CROSS JOIN LATERAL (SELECT asset FROM journal.account WHERE journal = ? AND id = l.account LIMIT 1) a \
        ORDER BY l.account, l.expires_us, l.earned_day, l.activates_us, l.campaign, l.unit_cost";
    let first =
        Lot { expires_us: i64::MIN, earned_day: i32::MIN, activates_us: 0, campaign: Uuid::nil(), unit_cost: 0 };
    let (account, lot) = after.unwrap_or((0, first));
    let place = [Arg::Int(account), Arg::Int(lot.expires_us), Arg::Int4(lot.earned_day), Arg::Int(lot.activates_us)];
    let args: Vec<Arg<'_>> = [Arg::Int(journal.0)]
        .into_iter()
        .chain(place)
        .chain([Arg::Uuid(lot.campaign), Arg::Int(lot.unit_cost), Arg::Int(PAGE), Arg::Int(journal.0)])
        .collect();
    type Row = (BigInt, Integer, BigInt, Integer, BigInt, SqlUuid, BigInt, BigInt);
    type Values = (i64, i32, i64, i32, i64, Uuid, i64, i64);
    let found = statement::<Row>(TEXT, &args).load::<Values>(conn)?;
    let read = |(account, asset, expires_us, earned_day, activates_us, campaign, unit_cost, minor): Values| {
        let lot = Lot { expires_us, earned_day, activates_us, campaign, unit_cost };
        (account, AssetId(asset), Piece { lot, minor })
    };
    Ok(found.into_iter().map(read).collect())
}

/// The records after `after` and not past `upto` that touch accounts which keep lots, in order, and how far was looked.
/// A page is bounded by the records looked at and their transfers, so it may be empty with more to come; the end is where
/// it was looked up to `upto`, which must not be past the head.
///
/// # Errors
/// [`StoreError`].
pub fn touching(
    conn: &mut PgConnection,
    journal: JournalId,
    after: i64,
    upto: i64,
    size: Size,
) -> Result<(Vec<Touched>, i64), StoreError> {
    const TEXT: &str = "SELECT t.seq, t.leg, d.nature = ?, c.nature = ? FROM \
        (SELECT seq, leg, debit, credit FROM journal.transfer WHERE journal = ? AND seq BETWEEN ? AND ?) t \
        CROSS JOIN LATERAL (SELECT nature FROM journal.account WHERE journal = ? AND id = t.debit LIMIT 1) d \
        CROSS JOIN LATERAL (SELECT nature FROM journal.account WHERE journal = ? AND id = t.credit LIMIT 1) c \
        WHERE d.nature = ? OR c.nature = ? \
        UNION ALL SELECT first_seq, -1, true, true FROM journal.archived \
        WHERE journal = ? AND first_seq <= ? AND last_seq >= ? ORDER BY 1, 2";
    let (first, last) = (after.saturating_add(1), upto.min(after.saturating_add(size.records)));
    if last < first {
        return Ok((Vec::new(), upto));
    }
    let last = cut(conn, journal, first, last, size.transfers)?;
    let (lots, number) = (Arg::Int4(KEEPS_LOTS), Arg::Int(journal.0));
    let (first, last_arg) = (Arg::Int(first), Arg::Int(last));
    let args = [lots, lots, number, first, last_arg, number, number, lots, lots, number, last_arg, first];
    type Row = (BigInt, Integer, Bool, Bool);
    let found = statement::<Row>(TEXT, &args).load::<(i64, i32, bool, bool)>(conn)?;
    // In the place of a leg: these seqs are archived, whatever they touched.
    if let Some((seq, ..)) = found.iter().find(|(_, leg, ..)| *leg < 0) {
        let noted = archive::noted(conn, journal)?.into_iter().find(|noted| noted.range.first_seq == *seq);
        let corrupt = StoreError::Corrupt { journal: journal.0, seq: *seq, what: "an archived range" };
        return Err(noted.map_or(corrupt, |noted| noted.range.into()));
    }
    let mut seqs: Vec<i64> = found.iter().map(|(seq, ..)| *seq).collect();
    seqs.dedup();
    let mut records = rows::records_at(conn, journal, &seqs)?;
    records.sort_by_key(|record| record.seq);
    let mut legs = found.into_iter().peekable();
    let touched = records.into_iter().map(|record| {
        let mut own = Vec::new();
        while let Some((_, leg, debit, credit)) = legs.next_if(|(seq, ..)| *seq == record.seq) {
            own.push(Leg { leg, debit, credit });
        }
        Touched { record, legs: own }
    });
    Ok((touched.collect(), last))
}

/// How the accounts that keep lots stood after the record of `seq`, by asset, from the balances of their rows alone. Reads
/// every one of them: for a report, not for a page.
///
/// # Errors
/// [`ReadError`].
pub fn standing(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    seq: i64,
    until: Until,
) -> Result<BTreeMap<AssetId, LotAccounts>, ReadError> {
    in_snapshot(conn, |conn| {
        let edge = ranges::edge(conn, journal)?.ok_or(ReadError::UnknownJournal(journal))?;
        let seq = seq.min(edge.head);
        let (mut all, mut after) = (BTreeMap::<AssetId, LotAccounts>::new(), 0);
        loop {
            until.go_on(conn)?;
            let page = keepers(conn, journal, after, seq)?;
            let ids: Vec<i64> = page.iter().map(|(id, _)| *id).collect();
            let Some(last) = ids.last() else { return Ok(all) };
            after = *last;
            let standings = standings(conn, history, journal, edge, &ids, seq)?;
            for ((_, asset), standing) in page.iter().zip(standings) {
                all.entry(AssetId(*asset)).or_default().add(standing);
            }
        }
    })
}

/// The next accounts that keep lots and were open at `seq`: an account's number is the seq that opened it.
fn keepers(conn: &mut PgConnection, journal: JournalId, after: i64, seq: i64) -> Result<Vec<(i64, i32)>, StoreError> {
    const TEXT: &str = "SELECT id, asset FROM journal.account \
        WHERE journal = ? AND id > ? AND id <= ? AND nature = ? ORDER BY id LIMIT ?";
    let args = [Arg::Int(journal.0), Arg::Int(after), Arg::Int(seq), Arg::Int4(KEEPS_LOTS), Arg::Int(PAGE)];
    Ok(statement::<(BigInt, Integer)>(TEXT, &args).load(conn)?)
}
