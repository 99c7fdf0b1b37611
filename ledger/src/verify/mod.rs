//! Verify: derives the books again from the rows alone and names the first row that does not follow.
//!
//! It shares no function with `apply`: it knows what must hold, not how it came about. One pass in seq order over all
//! tables at once, each a sorted cursor of one snapshot, so memory grows with the accounts and never with the history.
//! Which change to which table turns which check red stands in `docs/journal.md` and is tested there.
//!
//! Sees: gaps, orders, sums, balances, floors and ceilings as they were in force, keys, claims, companions, dates, and
//! through the digest chain any changed bit of a record. Does not see: a whole chain rewritten by someone who may write
//! every table; for that there are signed heads kept elsewhere, and [`leaves`].

mod account;
mod archived;
mod books;
mod closings;
mod cursor;
mod dated;
mod kept;
pub mod leaves;
mod log_report;
mod pages;
mod parts;
mod places;
mod rows;
mod stored;
pub(crate) mod told;

use diesel::sql_types::BigInt;
use diesel::{PgConnection, RunQueryDsl};
use serde::Serialize;

use crate::apply::Map;
use crate::archive::{self, Files};
use crate::bind::{Arg, statement};
use crate::canonical::Place;
use crate::forks::Lines;
use crate::store::{self, StoreError};
use crate::{AssetId, JournalId};
use archived::Away;
pub use archived::Unread;
use books::Books;
use closings::Closings;
use cursor::Rows;
use parts::Parts;
use places::Places;

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Nothing is broken.
    pub ok: bool,
    /// Whose books.
    pub journal: JournalId,
    /// The head's seq.
    pub seq: i64,
    /// Records read.
    pub records: u64,
    /// Of these, transactions.
    pub transactions: u64,
    /// Of these, refusals.
    pub refusals: u64,
    /// Transfers read.
    pub transfers: u64,
    /// Accounts.
    pub accounts: u64,
    /// The digest of the last batch, hexadecimal: it stands for the whole history.
    pub digest: String,
    /// Archived ranges whose files were not at hand: what their transfers say was not looked at. Where there are any, holds and
    /// lots from the first of them on were only held against the sums of their accounts.
    pub unread: Vec<Unread>,
    /// The first row that does not follow.
    pub broken: Option<Broken>,
}

/// A row that does not follow from those before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{check} fails at seq {seq}: {what}")]
pub struct Broken {
    /// Which law.
    pub check: Check,
    /// Where.
    pub seq: i64,
    /// What was found.
    pub what: String,
}

/// The laws. Numbers are those of the invariants the house keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Every transfer moves a positive amount between two accounts of its asset (I1).
    Transfers,
    /// Balances of an asset add up to zero (I2).
    Conservation,
    /// Each balance follows from the one before (I3).
    Balances,
    /// An account's checkpoint is the fold of its rows at that version, and holds every row up to the watermark (I3).
    Checkpoints,
    /// What is written down of where an account's rows are is where they are (I3).
    Places,
    /// What is kept of rows that count on another day is what their records say, and their days add up (I3).
    Dated,
    /// Seqs are dense and batches cover them (I4).
    Seqs,
    /// Each account's versions are dense (I4).
    Versions,
    /// Nothing passed a floor, a ceiling or a freeze that was in force (I5).
    Rules,
    /// What was held, captured, given back and is left of a hold adds up, and nothing is captured after its time (I6).
    Holds,
    /// Lots add up to what their account has or holds, are spent earliest-expiring first, and stand beside no debt (I7, I8).
    Lots,
    /// A row is moved back by no more than it moved, and the way back is written down (I9).
    Refunds,
    /// Every request's record has its one key, and every key its record (I10).
    Keys,
    /// A refusal changed nothing (I11).
    Refusals,
    /// A claim was used up once, by the record that says so.
    Claims,
    /// Companions are those the record vouches for.
    Companions,
    /// Times never go back and are the batch's.
    Dates,
    /// Account rows say what the account's records say.
    Accounts,
    /// The batch's digest is the chain over its records (I12).
    Digests,
    /// A closed day ends where it ended, with the totals there.
    Closings,
    /// What is archived is in its file, and what is noted of it is what it left (I3).
    Archived,
    /// The row reads as one we wrote.
    Form,
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Why a verification did not go on.
#[derive(Debug)]
enum Stop {
    Broken(Broken),
    Store(StoreError),
}

impl From<Broken> for Stop {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<diesel::result::Error> for Stop {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Verifies a journal up to its head, in one snapshot. `progress` hears of (seq reached, head) now and then.
///
/// # Errors
/// [`StoreError`] when the rows could not be read; what they say wrongly is in the report.
pub fn verify(
    conn: &mut PgConnection,
    journal: JournalId,
    progress: impl FnMut(i64, i64),
) -> Result<Report, StoreError> {
    verify_with(conn, journal, &Files::default(), progress)
}

/// The same with the transfers of archived ranges, as far as their files are here.
///
/// # Errors
/// [`StoreError`].
pub fn verify_with(
    conn: &mut PgConnection,
    journal: JournalId,
    files: &Files,
    mut progress: impl FnMut(i64, i64),
) -> Result<Report, StoreError> {
    let mut report = Report::none(journal);
    let outcome = conn
        .build_transaction()
        .repeatable_read()
        .read_only()
        .run(|conn| walk(conn, journal, files, &mut report, &mut progress));
    match outcome {
        Ok(()) => report.ok = true,
        Err(Stop::Broken(broken)) => report.broken = Some(broken),
        Err(Stop::Store(error)) => return Err(error),
    }
    Ok(report)
}

fn walk(
    conn: &mut PgConnection,
    journal: JournalId,
    files: &Files,
    report: &mut Report,
    progress: &mut dyn FnMut(i64, i64),
) -> Result<(), Stop> {
    archive::keep_still(conn)?;
    statement::<()>("SET LOCAL statement_timeout = 0", &[]).execute(conn)?;
    let head = store::head(conn, journal)?.ok_or(diesel::result::Error::NotFound)?;
    report.seq = head.seq;
    report.digest = head.digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = Lines::read(conn, journal, head.fork)?;
    let place = Place { journal, fork: lines.of(1) };
    let stored = stored_accounts(conn, journal)?;
    report.accounts = u64::try_from(stored.len()).unwrap_or(u64::MAX);
    let watermark = store::watermark(conn, journal)?;
    let mut books = Books::new(place, head.sandbox, watermark, store::assets(conn, journal)?, stored);
    let mut rows = Rows::open(conn, journal)?;
    let mut places = Places::open(conn, journal)?;
    let mut closings = Closings::open(conn, journal)?;
    let mut away = Away::open(conn, journal, files)?;
    report.unread = away.unread();
    while let Some(batch) = rows.batches.next(conn)? {
        books.on_line(lines.of(batch.first_seq));
        books.begin_batch(&batch)?;
        for seq in batch.first_seq..=batch.last_seq {
            let record = rows.records.next(conn)?.filter(|record| record.seq == seq);
            let record = record.ok_or_else(|| broken(Check::Seqs, seq, "the record is missing"))?;
            let times = (record.recorded_us, record.effective_us);
            closings.before((seq, record.kind), times, &books)?;
            let transfers = away.transfers((seq, record.kind), rows.transfers.take_upto(conn, seq)?)?;
            let parts = Parts {
                unread: transfers.is_none(),
                transfers: transfers.unwrap_or_default(),
                keys: rows.keys.take_upto(conn, seq)?,
                claims: rows.claims.take_upto(conn, seq)?,
                companions: rows.companions.take_upto(conn, seq)?,
                links: rows.links.take_upto(conn, seq)?,
                holds: rows.holds.take_upto(conn, seq)?,
            };
            books.record(record, &parts, report)?;
            away.record((seq, times.0, times.1), &parts.transfers, &parts.links)?;
            match away.end(conn, seq, &mut books)? {
                Some(gained) => places.pass_unread(conn, seq, &gained)?,
                None => places.record(conn, seq, &parts.transfers)?,
            }
        }
        books.end_batch(&batch)?;
        progress(batch.last_seq, head.seq);
    }
    rows.expect_end(conn, head.seq)?;
    places.expect_end(conn)?;
    away.expect_end(conn)?;
    books.expect_head(&head)?;
    closings.expect_end(head.seq, &books)?;
    books.check_stored_accounts()?;
    books.check_stored_lots(conn, journal)?;
    check_refunds(conn, journal)?;
    check_conservation(&books)?;
    check_cursors(conn, journal, head.seq)?;
    dated::check(conn, journal)
}

pub(crate) fn broken(check: Check, seq: i64, what: impl Into<String>) -> Broken {
    Broken { check, seq, what: what.into() }
}

fn stored_accounts(conn: &mut PgConnection, journal: JournalId) -> Result<Vec<rows::AccountRow>, StoreError> {
    let mut all: Vec<rows::AccountRow> = Vec::new();
    loop {
        let page = rows::account_rows(conn, journal, all.last().map_or(0, |row| row.id.0))?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Over all accounts of an asset, what is owed is what is owned.
fn check_conservation(books: &Books) -> Result<(), Stop> {
    match unbalanced(books.accounts.values().map(|account| (account.asset(), account.balance))) {
        Some((asset, sum)) => {
            Err(broken(Check::Conservation, 0, format!("balances of asset {} add up to {sum}", asset.0)).into())
        }
        None => Ok(()),
    }
}

/// An asset whose balances do not add up to zero, and to what they do.
fn unbalanced(balances: impl Iterator<Item = (AssetId, i64)>) -> Option<(AssetId, i128)> {
    let mut sums: Map<AssetId, i128> = Map::default();
    for (asset, balance) in balances {
        let sum = sums.entry(asset).or_default();
        *sum = sum.saturating_add(i128::from(balance));
    }
    sums.into_iter().find(|(_, sum)| *sum != 0)
}

/// No row was moved back by more than it moved, or to other accounts. That the links are those of the records was seen; of
/// archived rows the walk has seen it.
fn check_refunds(conn: &mut PgConnection, journal: JournalId) -> Result<(), Stop> {
    const TEXT: &str = "SELECT max(l.seq) FROM journal.link l \
        LEFT JOIN journal.transfer o ON (o.journal, o.seq, o.leg) = (l.journal, l.of_seq, l.of_leg) \
        LEFT JOIN journal.transfer r ON (r.journal, r.seq, r.leg) = (l.journal, l.seq, l.leg) \
        WHERE l.journal = ? AND l.kind = 1 AND NOT EXISTS (SELECT FROM journal.archived a \
            WHERE a.journal = l.journal AND l.of_seq BETWEEN a.first_seq AND a.last_seq) GROUP BY l.of_seq, l.of_leg \
        HAVING sum(l.amount) > max(o.amount) OR bool_or(o.amount IS NULL OR o.kind NOT IN (1, 3) \
            OR (r.seq IS NOT NULL AND (o.debit, o.credit, o.asset) <> (r.credit, r.debit, r.asset))) ORDER BY 1 LIMIT 1";
    let rows = statement::<(BigInt,)>(TEXT, &[Arg::Int(journal.0)]).load::<(i64,)>(conn)?;
    match rows.first() {
        Some((seq,)) => Err(broken(Check::Refunds, *seq, "more was moved back than was moved, or elsewhere").into()),
        None => Ok(()),
    }
}

/// Watermark and followers stand at or before the head.
fn check_cursors(conn: &mut PgConnection, journal: JournalId, head: i64) -> Result<(), Stop> {
    let text = "SELECT greatest((SELECT max(seq) FROM journal.follower WHERE journal = ?), \
        (SELECT seq FROM journal.watermark WHERE journal = ?), 0)";
    let args = [Arg::Int(journal.0), Arg::Int(journal.0)];
    let rows = statement::<(BigInt,)>(text, &args).load::<(i64,)>(conn)?;
    match rows.first() {
        Some((seq,)) if *seq > head => Err(broken(Check::Seqs, *seq, "a cursor is ahead of the head").into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No change of rows reaches this check: each of those before it sees them first. So it is asked by itself.
    #[test]
    fn balances_of_each_asset_add_up_to_zero_or_the_asset_is_named() {
        let (eur, points) = (AssetId(1), AssetId(2));
        assert_eq!(unbalanced([(eur, -5), (points, 7), (eur, 5), (points, -7)].into_iter()), None);
        assert_eq!(unbalanced([(eur, -5), (points, 5)].into_iter().take(1)), Some((eur, -5)));
        assert_eq!(
            unbalanced([(eur, 1), (eur, -1), (points, i64::MAX), (points, 1)].into_iter()),
            Some((points, 1 << 63))
        );
    }
}
