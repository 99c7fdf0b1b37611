//! Archived ranges: transfers from their files, where those are at hand, in the place of rows; and what is noted of a range
//! either way.
//!
//! With its file a range is checked as if its rows were in the table, and the file's digest is the one that was noted. Without,
//! its balances are not looked at: what it is said to have left is taken as the ground of what follows, if it agrees with the
//! books before and after, with the checkpoints and with the places that are written down of it. Which ranges those are, the report says.

use std::collections::VecDeque;

use diesel::sql_types::{BigInt, Integer};
use diesel::{PgConnection, RunQueryDsl};
use serde::Serialize;

use super::books::Books;
use super::rows::{LinkRow, SideRow, TransferRow};
use super::{Broken, Check, Stop, broken};
use crate::apply::Map;
use crate::archive::store::{self, Left, Noted};
use crate::archive::{ArchiveError, FileReader, Files, Row};
use crate::bind::{Arg, statement};
use crate::history::{Packed, Place};
use crate::store::StoreError;
use crate::{AccountId, AssetId, Body, JournalId, LegRef};

/// An archived range whose file was not at hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// Its first seq.
    pub first_seq: i64,
    /// Its last seq.
    pub last_seq: i64,
    /// The file that holds its transfers.
    pub file: String,
}

impl Unread {
    pub(super) fn of(noted: &Noted) -> Self {
        Self { first_seq: noted.range.first_seq, last_seq: noted.range.last_seq, file: noted.file.clone() }
    }
}

/// The archived ranges of a journal that the walk has not passed.
pub(super) struct Away {
    journal: JournalId,
    coming: VecDeque<Range>,
    /// Rows in archived ranges that were moved back, and what of them was not, once they were read.
    originals: Map<LegRef, Option<Original>>,
    standings: i64,
}

struct Range {
    noted: Noted,
    file: Option<FileReader>,
    next: Option<TransferRow>,
    /// Of each account that a row touched, the last one's place.
    touched: Map<i64, i64>,
    /// What the follower of dates must have kept of it.
    dated: Vec<Dated>,
}

/// Account, seq, leg, effective time, change.
type Dated = (i64, i64, i32, i64, i64);

#[derive(Clone, Copy)]
struct Original {
    debit: AccountId,
    credit: AccountId,
    asset: AssetId,
    left: i64,
}

/// What an unread range gave each account: the place of its last row there, and how many there are.
pub(super) type Gained = Map<i64, (i64, i64)>;

/// Opens the file of each noted range that is at hand.
pub(super) fn open_files(
    conn: &mut PgConnection,
    journal: JournalId,
    files: &Files,
) -> Result<Vec<(Noted, Option<FileReader>)>, Stop> {
    let mut all = Vec::new();
    for noted in store::noted(conn, journal)? {
        let first = noted.range.first_seq;
        let fails = |error: ArchiveError| broken(Check::Archived, first, error.to_string());
        let path = files.find(&noted.range);
        // Read once for its digest alone: a row that then does not follow never did.
        if let Some(path) = &path {
            let mut file = FileReader::open(path).map_err(fails)?;
            let digest = file.finish().map_err(fails)?;
            if (file.header().range, file.header().rows, digest) != (noted.range, noted.rows, noted.sha256) {
                let what = format!("{}: it is not the file that was noted", path.display());
                return Err(broken(Check::Archived, first, what).into());
            }
        }
        if noted.file != noted.range.file_name() {
            return Err(broken(Check::Archived, first, format!("its file is said to be {}", noted.file)).into());
        }
        let file = path.map(|path| FileReader::open(&path).map_err(fails)).transpose()?;
        all.push((noted, file));
    }
    Ok(all)
}

impl Away {
    pub(super) fn open(conn: &mut PgConnection, journal: JournalId, files: &Files) -> Result<Self, Stop> {
        let range = |(noted, file)| Range { noted, file, next: None, touched: Map::default(), dated: Vec::new() };
        let coming: VecDeque<Range> = open_files(conn, journal, files)?.into_iter().map(range).collect();
        for range in &coming {
            check_part(conn, range)?;
        }
        let originals = if coming.is_empty() { Map::default() } else { originals(conn, journal)? };
        Ok(Self { journal, coming, originals, standings: 0 })
    }

    /// The ranges whose files are not at hand.
    pub(super) fn unread(&self) -> Vec<Unread> {
        self.coming.iter().filter(|range| range.file.is_none()).map(|range| Unread::of(&range.noted)).collect()
    }

    /// The range that a seq lies in, if it is archived.
    fn at(&mut self, seq: i64) -> Option<&mut Range> {
        self.coming.front_mut().filter(|range| range.noted.range.first_seq <= seq)
    }

    /// The transfers of a record: those of the table, or of a file; none where it is not known whether it has any.
    pub(super) fn transfers(
        &mut self,
        (seq, kind): (i64, i32),
        in_table: Vec<TransferRow>,
    ) -> Result<Option<Vec<TransferRow>>, Broken> {
        let Some(range) = self.at(seq) else { return Ok(Some(in_table)) };
        if !in_table.is_empty() {
            return Err(broken(Check::Archived, seq, "a transfer is in the table whose range is archived"));
        }
        if range.file.is_none() {
            return Ok(if Body::has_rows(kind) { None } else { Some(in_table) });
        }
        range.take_upto(seq).map(Some)
    }

    /// Takes note of a record's rows for what is asked of them when the range is over, and of refunds of archived rows.
    pub(super) fn record(
        &mut self,
        (seq, recorded_us, effective_us): (i64, i64, i64),
        transfers: &[TransferRow],
        links: &[LinkRow],
    ) -> Result<(), Broken> {
        for row in transfers {
            if let Some(place) = self.originals.get_mut(&LegRef { seq, leg: row.leg }) {
                let moved = matches!(row.kind, 1 | 3);
                let (debit, credit, left) = (row.debit.account, row.credit.account, if moved { row.amount } else { 0 });
                *place = Some(Original { debit, credit, asset: row.asset, left });
            }
        }
        for link in links.iter().filter(|link| link.kind == 1) {
            let row = transfers.iter().find(|row| row.leg == link.by.leg);
            if let Some(Some(original)) = self.originals.get_mut(&link.of) {
                original.left = original.left.saturating_sub(link.amount);
                let turned = (original.credit, original.debit, original.asset);
                let elsewhere = row.is_some_and(|row| (row.debit.account, row.credit.account, row.asset) != turned);
                if original.left < 0 || elsewhere {
                    return Err(broken(Check::Refunds, seq, "more was moved back than was moved, or elsewhere"));
                }
            }
        }
        let Some(range) = self.at(seq) else { return Ok(()) };
        for row in transfers {
            let place = Packed::of(Place { seq, leg: row.leg });
            let place = place.ok_or_else(|| broken(Check::Form, seq, "a leg has no place"))?;
            let (debit, credit) = (row.debit.account.0, row.credit.account.0);
            range.touched.extend([(debit, place.0), (credit, place.0)]);
            if effective_us != recorded_us && matches!(row.kind, 1 | 3) {
                let change = |account, change| (account, seq, row.leg, effective_us, change);
                range.dated.extend([change(debit, row.amount.saturating_neg()), change(credit, row.amount)]);
            }
        }
        Ok(())
    }

    /// Where a record ends an archived range, holds what is noted of it against the books; of an unread one, tells what it gave
    /// each account, which the books then have.
    pub(super) fn end(&mut self, conn: &mut PgConnection, seq: i64, books: &mut Books) -> Result<Option<Gained>, Stop> {
        let Some(mut range) = self.coming.pop_front_if(|range| range.noted.range.last_seq == seq) else {
            return Ok(None);
        };
        let left = store::left(conn, self.journal, bounds(&range.noted))?;
        self.standings = self.standings.saturating_add(i64::try_from(left.len()).unwrap_or(i64::MAX));
        if range.file.is_none() {
            let gained = books.stand_as(seq, &left)?;
            // A row is one version more for each of its two accounts.
            let sides = gained.values().fold(0_i64, |sum, (_, rows)| sum.saturating_add(*rows));
            if sides != range.noted.rows.saturating_mul(2) {
                return Err(range.fails(seq, format!("{sides} sides of rows are gone, not two for each row")).into());
            }
            return Ok(Some(gained));
        }
        range.finish(seq)?;
        range.compare(seq, &left, books)?;
        range.compare_dated(conn, self.journal).map(|()| None)
    }

    /// Nothing may be noted of ranges that there are not.
    pub(super) fn expect_end(&self, conn: &mut PgConnection) -> Result<(), Stop> {
        const TEXT: &str = "SELECT count(*) FROM journal.standing WHERE journal = ?";
        if let Some(range) = self.coming.front() {
            let what = "a range is archived that the books have not filled";
            return Err(broken(Check::Archived, range.noted.range.first_seq, what).into());
        }
        let found = statement::<(BigInt,)>(TEXT, &[Arg::Int(self.journal.0)]).load::<(i64,)>(conn)?;
        if found.first().is_some_and(|(standings,)| *standings != self.standings) {
            return Err(broken(Check::Archived, 0, "standings are noted that lie in no archived range").into());
        }
        Ok(())
    }
}

/// The packed places that lie in a range.
fn bounds(noted: &Noted) -> (i64, i64) {
    (Packed::after(noted.range.first_seq.saturating_sub(1)).0, Packed::after(noted.range.last_seq).0)
}

/// What is archived is a closed range of the journal, and no other.
fn check_part(conn: &mut PgConnection, range: &Range) -> Result<(), Stop> {
    const TEXT: &str = "SELECT last_seq FROM journal.part \
        WHERE journal = ? AND first_seq = ? AND first_seq > 0 AND closed_at IS NOT NULL";
    let at = range.noted.range;
    let args = [Arg::Int(at.journal.0), Arg::Int(at.first_seq)];
    let found = statement::<(BigInt,)>(TEXT, &args).load::<(i64,)>(conn)?;
    if found != [(at.last_seq,)] {
        return Err(broken(Check::Archived, at.first_seq, "what is archived is no closed range").into());
    }
    Ok(())
}

/// The rows in archived ranges that were moved back. As many are remembered as there are.
fn originals(conn: &mut PgConnection, journal: JournalId) -> Result<Map<LegRef, Option<Original>>, StoreError> {
    const TEXT: &str = "SELECT DISTINCT l.of_seq, l.of_leg FROM journal.link l JOIN journal.archived a \
        ON a.journal = l.journal AND l.of_seq BETWEEN a.first_seq AND a.last_seq WHERE l.journal = ? AND l.kind = 1";
    let found = statement::<(BigInt, Integer)>(TEXT, &[Arg::Int(journal.0)]).load::<(i64, i32)>(conn)?;
    Ok(found.into_iter().map(|(seq, leg)| (LegRef { seq, leg }, None)).collect())
}

impl Range {
    fn fails(&self, seq: i64, what: impl Into<String>) -> Broken {
        broken(Check::Archived, seq, format!("{}: {}", self.noted.file, what.into()))
    }

    /// The rows of the file that come next, up to a seq.
    fn take_upto(&mut self, seq: i64) -> Result<Vec<TransferRow>, Broken> {
        let mut taken = Vec::new();
        loop {
            if self.next.is_none() {
                self.next = self.read(seq)?;
            }
            match self.next.take_if(|row| row.seq <= seq) {
                Some(row) => taken.push(row),
                None => return Ok(taken),
            }
        }
    }

    fn read(&mut self, seq: i64) -> Result<Option<TransferRow>, Broken> {
        let Some(file) = &mut self.file else { return Ok(None) };
        let row = file.next().map_err(|error| broken(Check::Archived, seq, error.to_string()))?;
        row.map(|row| of_file(&row).ok_or_else(|| self.fails(seq, "a number does not fit"))).transpose()
    }

    /// The file ends where the range does, with the digest that was noted.
    fn finish(&mut self, seq: i64) -> Result<(), Broken> {
        let more = self.next.is_some() || self.read(seq)?.is_some();
        if more || self.file.as_ref().and_then(FileReader::digest) != Some(self.noted.sha256) {
            return Err(self.fails(seq, "its SHA-256 is not the one that was noted"));
        }
        Ok(())
    }

    /// What is noted of each account is what its last row in the range left.
    fn compare(&self, seq: i64, left: &[Left], books: &Books) -> Result<(), Broken> {
        for one in left {
            let stands = books.standing(one.account) == Some((one.balance, one.held, one.version));
            if !stands || self.touched.get(&one.account) != Some(&one.upto) {
                return Err(
                    self.fails(seq, format!("account {}: it did not stand so when the range ended", one.account))
                );
            }
        }
        if left.len() == self.touched.len() {
            return Ok(());
        }
        let missing = self.touched.keys().filter(|account| left.iter().all(|one| one.account != **account)).min();
        Err(self.fails(seq, format!("account {}: how it stood is not noted, or twice", missing.unwrap_or(&0))))
    }

    fn compare_dated(&mut self, conn: &mut PgConnection, journal: JournalId) -> Result<(), Stop> {
        const TEXT: &str = "SELECT account, seq, leg, effective_us, change FROM journal.dated \
            WHERE journal = ? AND seq BETWEEN ? AND ?";
        type Columns = (BigInt, BigInt, Integer, BigInt, BigInt);
        let range = self.noted.range;
        let args = [Arg::Int(journal.0), Arg::Int(range.first_seq), Arg::Int(range.last_seq)];
        let mut kept = statement::<Columns>(TEXT, &args).load::<Dated>(conn)?;
        kept.sort_unstable();
        self.dated.sort_unstable();
        if kept == self.dated {
            return Ok(());
        }
        let wrong = kept.iter().zip(&self.dated).find(|(kept, told)| kept != told).map(|(kept, _)| kept.1);
        let what = "what is kept of its date is not what the record says";
        Err(broken(Check::Dated, wrong.unwrap_or(range.last_seq), what).into())
    }
}

/// A transfer as its file has it; none when a number does not fit.
fn of_file(row: &Row) -> Option<TransferRow> {
    let [seq, leg, kind, asset, debit, credit, amount, debit_balance, debit_held, debit_version, ..] = row.0;
    let [.., credit_balance, credit_held, credit_version] = row.0;
    let side = |account, balance, held, version| SideRow { account: AccountId(account), balance, held, version };
    Some(TransferRow {
        seq,
        leg: leg.try_into().ok()?,
        kind: kind.try_into().ok()?,
        asset: AssetId(asset.try_into().ok()?),
        amount,
        debit: side(debit, debit_balance, debit_held, debit_version),
        credit: side(credit, credit_balance, credit_held, credit_version),
    })
}
