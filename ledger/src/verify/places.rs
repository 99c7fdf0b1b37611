//! Places: where each account's rows are in closed ranges, which balances of the past are read by (ADR 8).
//!
//! Those written down for a range must be the places of its rows, all of them, in order, and nothing else: where one is
//! missing or another is put in, an older balance would be told in its place. What was written down is compared by a hash of
//! this process's own seed, so that memory holds one number for each account of a range.

use std::hash::BuildHasher;

use diesel::sql_types::{Array, BigInt};
use diesel::{PgConnection, RunQueryDsl};
use foldhash::fast::RandomState;

use super::archived::Gained;
use super::rows::TransferRow;
use super::{Broken, Check, Stop, broken};
use crate::JournalId;
use crate::apply::Map;
use crate::bind::{Arg, statement};
use crate::history::{Packed, Place};
use crate::store::StoreError;

/// Chunks read at a time.
const PAGE: i64 = 1_000;

/// The ends of closed ranges that lie ahead, and the places of the rows since the last.
pub(super) struct Places {
    journal: JournalId,
    /// First and last seqs of closed ranges, the next one last.
    ranges: Vec<(i64, i64)>,
    hash: RandomState,
    /// Of each account that the range touched, the hash of its places so far.
    touched: Map<i64, u64>,
    chunks: i64,
}

impl Places {
    pub(super) fn open(conn: &mut PgConnection, journal: JournalId) -> Result<Self, StoreError> {
        const TEXT: &str = "SELECT first_seq, last_seq FROM journal.part \
            WHERE journal = ? AND closed_at IS NOT NULL ORDER BY first_seq DESC";
        let ranges = statement::<(BigInt, BigInt)>(TEXT, &[Arg::Int(journal.0)]).load::<(i64, i64)>(conn)?;
        Ok(Self { journal, ranges, hash: RandomState::default(), touched: Map::default(), chunks: 0 })
    }

    /// Takes in the transfers of a record, and holds what is written down for a range against them if it ends there.
    pub(super) fn record(&mut self, conn: &mut PgConnection, seq: i64, transfers: &[TransferRow]) -> Result<(), Stop> {
        let Some((first, last)) = self.ranges.last().copied() else { return Ok(()) };
        for row in transfers {
            let place = Packed::of(Place { seq, leg: row.leg });
            let place = place.ok_or_else(|| broken(Check::Form, seq, "a leg has no place"))?;
            for account in [row.debit.account.0, row.credit.account.0] {
                let so_far = self.touched.entry(account).or_default();
                *so_far = self.hash.hash_one((*so_far, place.0));
            }
        }
        if seq == last {
            self.ranges.pop();
            self.compare(conn, first, last)?;
        }
        Ok(())
    }

    fn compare(&mut self, conn: &mut PgConnection, first: i64, last: i64) -> Result<(), Stop> {
        let (start, end) = (Packed::after(first.saturating_sub(1)).0, Packed::after(last).0);
        let (mut account, mut upto, mut written) = (i64::MIN, i64::MIN, 0_u64);
        loop {
            let page = self.page(conn, account, upto, start, end)?;
            for (of, chunk_upto, places) in &page {
                if *of != account {
                    self.done(last, account, written)?;
                    written = 0;
                }
                (account, upto) = (*of, *chunk_upto);
                written = places.iter().fold(written, |hash, place| self.hash.hash_one((hash, *place)));
                if places.last() != Some(chunk_upto) {
                    return Err(fails(last, account, "a chunk of its places does not end where it says").into());
                }
                self.chunks = self.chunks.saturating_add(1);
            }
            if page.is_empty() {
                break;
            }
        }
        self.done(last, account, written)?;
        match self.touched.keys().next() {
            Some(account) => Err(fails(last, *account, "its rows are not written down").into()),
            None => Ok(()),
        }
    }

    /// Passes a range whose rows could not be read: of each account as many places are written down as it has versions more,
    /// and the last is that of the row that left it so.
    pub(super) fn pass_unread(&mut self, conn: &mut PgConnection, seq: i64, gained: &Gained) -> Result<(), Stop> {
        const TEXT: &str = "SELECT account, max(upto), sum(cardinality(places))::bigint, count(*) FROM journal.places \
            WHERE journal = ? AND upto >= ? AND upto < ? GROUP BY account ORDER BY account";
        let Some((first, last)) = self.ranges.pop().filter(|(_, last)| *last == seq) else {
            return Err(broken(Check::Archived, seq, "what is archived is no closed range").into());
        };
        let (start, end) = (Packed::after(first.saturating_sub(1)).0, Packed::after(last).0);
        let args = [Arg::Int(self.journal.0), Arg::Int(start), Arg::Int(end)];
        type Columns = (BigInt, BigInt, BigInt, BigInt);
        let written = statement::<Columns>(TEXT, &args).load::<(i64, i64, i64, i64)>(conn)?;
        for (account, upto, places, chunks) in &written {
            if gained.get(account) != Some(&(*upto, *places)) {
                return Err(fails(last, *account, "the places written down are not those of what it left").into());
            }
            self.chunks = self.chunks.saturating_add(*chunks);
        }
        if written.len() == gained.len() { Ok(()) } else { Err(fails(last, 0, "rows are not written down").into()) }
    }

    /// All of an account's chunks were read.
    fn done(&mut self, last: i64, account: i64, written: u64) -> Result<(), Broken> {
        if written != 0 && self.touched.remove(&account) != Some(written) {
            return Err(fails(last, account, "the places written down are not those of its rows"));
        }
        Ok(())
    }

    /// Nothing may be written down of ranges that are not closed, or of none.
    pub(super) fn expect_end(&self, conn: &mut PgConnection) -> Result<(), Stop> {
        const TEXT: &str = "SELECT count(*) FROM journal.places WHERE journal = ?";
        if let Some((first, _)) = self.ranges.last() {
            return Err(broken(Check::Places, *first, "a range is closed that the books have not filled").into());
        }
        let found = statement::<(BigInt,)>(TEXT, &[Arg::Int(self.journal.0)]).load::<(i64,)>(conn)?;
        if found.first().is_some_and(|(chunks,)| *chunks != self.chunks) {
            return Err(broken(Check::Places, 0, "places are written down that lie in no closed range").into());
        }
        Ok(())
    }

    /// The next chunks of a range by account: account, last place, places.
    fn page(
        &self,
        conn: &mut PgConnection,
        account: i64,
        upto: i64,
        start: i64,
        end: i64,
    ) -> Result<Vec<(i64, i64, Vec<i64>)>, StoreError> {
        const TEXT: &str = "SELECT account, upto, places FROM journal.places WHERE journal = ? AND account >= ? \
            AND (account, upto) > (?, ?) AND upto >= ? AND upto < ? ORDER BY account, upto LIMIT ?";
        let (account, upto) = (Arg::Int(account), Arg::Int(upto));
        let args = [Arg::Int(self.journal.0), account, account, upto, Arg::Int(start), Arg::Int(end), Arg::Int(PAGE)];
        Ok(statement::<(BigInt, BigInt, Array<BigInt>)>(TEXT, &args).load(conn)?)
    }
}

fn fails(seq: i64, account: i64, what: &str) -> Broken {
    broken(Check::Places, seq, format!("account {account}: {what}"))
}
