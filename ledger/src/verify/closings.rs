//! Closings: how accounts stood at the end of a closed range, which balances of the past are read from (ADR 7).
//!
//! Each must be the fold of the rows up to there, and there must be one for every account that the range touched: where one
//! is missing, an older balance would be told in its place.

use diesel::sql_types::{Array, BigInt, Nullable};
use diesel::{PgConnection, RunQueryDsl};

use super::books::Books;
use super::{Broken, Check, Stop, broken};
use crate::apply::Map;
use crate::bind::{Arg, statement};
use crate::store::StoreError;
use crate::{AccountId, JournalId};

/// Closings read at a time.
const PAGE: i64 = 4_096;

/// The ends of closed ranges that lie ahead, and what the closings so far said.
pub(super) struct Closings {
    journal: JournalId,
    /// Last seqs of closed ranges, the next one last.
    ends: Vec<i64>,
    /// Of every account that has a closing, its version there.
    versions: Map<AccountId, i64>,
}

impl Closings {
    pub(super) fn open(conn: &mut PgConnection, journal: JournalId) -> Result<Self, StoreError> {
        const TEXT: &str = "SELECT last_seq FROM journal.part WHERE journal = ? AND closed_at IS NOT NULL \
            UNION SELECT DISTINCT last_seq FROM journal.closing WHERE journal = ? ORDER BY 1 DESC";
        let args = [Arg::Int(journal.0), Arg::Int(journal.0)];
        let ends = statement::<(BigInt,)>(TEXT, &args).load::<(i64,)>(conn)?;
        Ok(Self { journal, ends: ends.into_iter().map(|(end,)| end).collect(), versions: Map::default() })
    }

    /// Holds the closings of a range against the books that stand at its end, if one ends at `seq`.
    pub(super) fn check(&mut self, conn: &mut PgConnection, seq: i64, books: &Books) -> Result<(), Stop> {
        if self.ends.pop_if(|end| *end == seq).is_none() {
            return Ok(());
        }
        let mut after = i64::MIN;
        loop {
            let page = self.page(conn, seq, after)?;
            let Some((last, ..)) = page.last() else { break };
            after = *last;
            for closing in page {
                self.take(seq, closing, books)?;
            }
        }
        let closed = |id: &AccountId| self.versions.get(id).copied().unwrap_or(0);
        let stands = |id: &AccountId| books.standing_of(*id).map_or(0, |(version, ..)| version);
        match books.accounts.keys().find(|id| closed(id) != stands(id)) {
            Some(id) => Err(fails(seq, *id, "it was touched before the range ended, and has no closing").into()),
            None => Ok(()),
        }
    }

    /// Nothing may be closed that was never written.
    pub(super) fn expect_end(&self) -> Result<(), Broken> {
        match self.ends.last() {
            Some(end) => Err(broken(Check::Checkpoints, *end, "closings lie where no range of the books ends")),
            None => Ok(()),
        }
    }

    fn take(&mut self, seq: i64, closing: (i64, i64, i64, i64), books: &Books) -> Result<(), Broken> {
        let (account, version, balance, held) = closing;
        let id = AccountId(account);
        if books.standing_of(id) != Some((version, balance, held)) {
            return Err(fails(seq, id, "its closing is not how it stood"));
        }
        self.versions.insert(id, version);
        Ok(())
    }

    /// The closings of a range after an account: account, version, balance, held.
    fn page(
        &self,
        conn: &mut PgConnection,
        seq: i64,
        after: i64,
    ) -> Result<Vec<(i64, i64, i64, i64)>, StoreError> {
        const TEXT: &str = "SELECT array_agg(account), array_agg(version), array_agg(balance), array_agg(held) FROM \
            (SELECT * FROM journal.closing WHERE journal = ? AND last_seq = ? AND account > ? ORDER BY account LIMIT ?) c";
        type Ints = Nullable<Array<BigInt>>;
        type Column = Option<Vec<i64>>;
        let args = [Arg::Int(self.journal.0), Arg::Int(seq), Arg::Int(after), Arg::Int(PAGE)];
        let rows = statement::<(Ints, Ints, Ints, Ints)>(TEXT, &args).load::<(Column, Column, Column, Column)>(conn)?;
        let columns = rows.into_iter().next().unwrap_or_default();
        let (accounts, versions) = (columns.0.unwrap_or_default(), columns.1.unwrap_or_default());
        let (balances, helds) = (columns.2.unwrap_or_default(), columns.3.unwrap_or_default());
        let rows = accounts.into_iter().zip(versions).zip(balances.into_iter().zip(helds));
        Ok(rows.map(|((account, version), (balance, held))| (account, version, balance, held)).collect())
    }
}

fn fails(seq: i64, id: AccountId, what: &str) -> Broken {
    broken(Check::Checkpoints, seq, format!("account {}: {what}", id.0))
}
