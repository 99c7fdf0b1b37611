//! Closed days as verify derives them: where each must end, what all accounts stand at there, and which entries came late.

use std::collections::BTreeMap;

use diesel::sql_types::{BigInt, Binary, Integer};
use diesel::{PgConnection, RunQueryDsl};

use super::books::Books;
use super::{Broken, Check, Stop, broken};
use crate::bind::{Arg, statement};
use crate::closing::{Closing, NO_DAY};
use crate::read::AssetTotal;
use crate::{AssetId, JournalId};

/// A transaction's kind.
const TRANSACTION: i32 = 1;

/// The closings of a journal that the walk has not come to, and what it saw since the last.
pub(super) struct Closings {
    coming: std::vec::IntoIter<Closing>,
    next: Option<Closing>,
    former: Option<Closing>,
    late: i64,
}

impl Closings {
    /// All of them, by day: one a day are few.
    pub(super) fn open(conn: &mut PgConnection, journal: JournalId) -> Result<Self, Stop> {
        const TEXT: &str = "SELECT day, former_day, ends_us, after_seq, seq, late, totals, closed_us, closed_by, digest \
            FROM journal.closing WHERE journal = ? ORDER BY day";
        type Row = (Integer, Integer, BigInt, BigInt, BigInt, BigInt, Binary, BigInt, BigInt, Binary);
        type Values = (i32, i32, i64, i64, i64, i64, Vec<u8>, i64, i64, Vec<u8>);
        let found = statement::<Row>(TEXT, &[Arg::Int(journal.0)]).load::<Values>(conn)?;
        let mut all = Vec::with_capacity(found.len());
        for (day, former, ends_us, after_seq, seq, late, totals, closed_us, closed_by, digest) in found {
            let unread = |what: &str| broken(Check::Closings, seq, format!("day {day}: {what}"));
            all.push(Closing {
                journal,
                day,
                former_day: Some(former).filter(|day| *day != NO_DAY),
                ends_us,
                after_seq,
                seq,
                late,
                totals: totals_of(&totals).ok_or_else(|| unread("its totals do not read"))?,
                closed_us,
                closed_by,
                digest: digest.try_into().map_err(|_other_length| unread("its digest does not read"))?,
            });
        }
        let mut coming = all.into_iter();
        let next = coming.next();
        Ok(Self { coming, next, former: None, late: 0 })
    }

    /// Comes to a record that is not folded yet: the days that ended before it are held against the books.
    pub(super) fn before(
        &mut self,
        (seq, kind): (i64, i32),
        (recorded_us, effective_us): (i64, i64),
        books: &Books,
    ) -> Result<(), Broken> {
        while let Some(closing) = self.next.take_if(|closing| closing.ends_us <= recorded_us) {
            self.check(closing, seq.saturating_sub(1), books)?;
        }
        let counted_before = self.former.as_ref().is_some_and(|former| effective_us < former.ends_us);
        self.late = self.late.saturating_add(i64::from(kind == TRANSACTION && counted_before));
        Ok(())
    }

    /// The days that ended after the last record.
    pub(super) fn expect_end(&mut self, head: i64, books: &Books) -> Result<(), Broken> {
        while let Some(closing) = self.next.take() {
            self.check(closing, head, books)?;
        }
        Ok(())
    }

    fn check(&mut self, closing: Closing, seq: i64, books: &Books) -> Result<(), Broken> {
        let fails = |what: &str| Err(broken(Check::Closings, closing.seq, format!("day {}: {what}", closing.day)));
        let (former_day, after, digest) = match &self.former {
            Some(former) => (Some(former.day), former.seq, Some(former.digest)),
            None => (None, 0, None),
        };
        if (closing.former_day, closing.after_seq) != (former_day, after) {
            return fails("it does not come after the closing before it");
        }
        if closing.seq != seq {
            return fails(&format!("the last record before its end is {seq}"));
        }
        if closing.late != self.late {
            return fails(&format!("{} entries came late", self.late));
        }
        // Inside a range whose transfers could not be read, nobody knows them.
        if books.sees() && closing.totals != totals(books) {
            return fails("the accounts stood at other totals");
        }
        if closing.digest != closing.digest_after(digest) {
            return fails("its digest is not over what it says");
        }
        self.late = 0;
        self.former = Some(closing);
        self.next = self.coming.next();
        Ok(())
    }
}

/// What all accounts stand at, by asset.
fn totals(books: &Books) -> Vec<(AssetId, AssetTotal)> {
    let mut sums = BTreeMap::<AssetId, AssetTotal>::new();
    for account in books.accounts.values() {
        let total = sums.entry(account.asset()).or_default();
        total.accounts = total.accounts.saturating_add(1);
        let side = if account.balance < 0 { &mut total.debits } else { &mut total.credits };
        *side = side.saturating_add(i128::from(account.balance).abs());
    }
    sums.into_iter().collect()
}

/// A count of four bytes, and of each asset its number in four, accounts in eight, two sums in sixteen each.
fn totals_of(bytes: &[u8]) -> Option<Vec<(AssetId, AssetTotal)>> {
    let (count, rest) = bytes.split_first_chunk()?;
    let mut totals = Vec::new();
    let mut rest = rest;
    while let Some((asset, after)) = rest.split_first_chunk() {
        let (accounts, after) = after.split_first_chunk()?;
        let (debits, after) = after.split_first_chunk()?;
        let (credits, after) = after.split_first_chunk()?;
        let (accounts, debits) = (u64::from_be_bytes(*accounts), i128::from_be_bytes(*debits));
        let total = AssetTotal { accounts, debits, credits: i128::from_be_bytes(*credits) };
        totals.push((AssetId(i32::from_be_bytes(*asset)), total));
        rest = after;
    }
    let whole = rest.is_empty() && usize::try_from(u32::from_be_bytes(*count)) == Ok(totals.len());
    whole.then_some(totals)
}
