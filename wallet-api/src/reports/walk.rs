//! Reading what reports are made of, a page at a time: no call holds a connection for longer than a page takes, but those
//! that read all lots or all accounts. They take turns ([`read_long`](crate::platform::db::OfTenant::read_long)) and end with the request they are for.
//!
//! A standing of the past is reached from the nearer end: from the beginning forwards, or from today's lots backwards.
//! Records do not change, so pages need no common snapshot; only today's lots are read in one.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ledger::read::records::Size;
use ledger::read::unspent::{self, LotAccounts};
use ledger::read::{self, At, ReadError, TrialBalance};
use ledger::{AssetId, History, JournalId};

use super::flow::What;
use super::groups::Groups;
use super::liability::Liability;
use super::roll_forward::{Movements, RollForward};
use super::value::{Terms, Value, ValueError};
use crate::books::Assets;
use crate::platform::db::Db;
use crate::platform::problem::{Describe, Problem};

/// Records looked at in one call.
const PAGE: Size = Size { records: 5_000, transfers: 10_000 };

/// When a report is of, on the recorded axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At the head.
    Now,
    /// After the record of this seq, or at the head if it is not there yet.
    Seq(i64),
    /// After everything recorded up to this moment, microseconds since 1970.
    Recorded(i64),
}

/// A tenant's books, as reports read them.
#[derive(Clone)]
pub struct Source {
    /// The database.
    pub db: Db,
    /// What is known of open ranges.
    pub history: History,
    /// Whose books.
    pub journal: JournalId,
}

impl Source {
    /// The seq that a moment lies at, never past the head.
    ///
    /// # Errors
    /// 404 when there are no such books.
    pub async fn seq(&self, when: When) -> Result<i64, Problem> {
        let journal = self.journal;
        self.db
            .of(journal.0)
            .read(move |conn| {
                let head = read::head(conn, journal)?.ok_or(ReadError::UnknownJournal(journal))?.seq;
                Ok::<_, ReadError>(match when {
                    When::Now => head,
                    When::Seq(seq) => seq.clamp(0, head),
                    When::Recorded(us) => read::seq_at(conn, journal, us)?.min(head),
                })
            })
            .await
    }

    /// The last seq before a stretch of time, and its last: from one moment on and before another.
    ///
    /// # Errors
    /// 404 when there are no such books.
    pub async fn window(
        &self,
        from: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
    ) -> Result<(i64, i64), Problem> {
        let journal = self.journal;
        let from_us = from.map_or(i64::MIN, |at| at.timestamp_micros());
        let until_us = until.map(|at| at.timestamp_micros());
        let window = self.db.of(journal.0).read(move |conn| read::window(conn, journal, from_us, until_us)).await?;
        Ok((window.after, window.upto))
    }

    /// The journal's assets.
    ///
    /// # Errors
    /// What the database refuses.
    pub async fn assets(&self) -> Result<Assets, Problem> {
        let journal = self.journal;
        Ok(Assets::new(self.db.of(journal.0).read(move |conn| read::assets_of(conn, journal)).await?))
    }

    /// All accounts at some time, by asset.
    ///
    /// # Errors
    /// What the database refuses.
    pub async fn trial_balance(&self, when: When) -> Result<TrialBalance, Problem> {
        let (history, journal) = (self.history.clone(), self.journal);
        let at = match when {
            When::Now => At::Now,
            When::Seq(seq) => At::Seq(seq),
            When::Recorded(us) => At::Recorded(us),
        };
        self.db
            .of(journal.0)
            .read_long(move |conn, until| read::trial_balance(conn, &history, journal, at, until))
            .await
    }

    /// Unspent units after the record of a seq.
    ///
    /// # Errors
    /// What the database refuses.
    pub async fn liability(&self, seq: i64) -> Result<Liability, Problem> {
        let head = self.seq(When::Now).await?;
        let seq = seq.clamp(0, head);
        let groups = if seq < head.saturating_sub(seq) {
            self.movements(0, seq).await?.change
        } else {
            self.back_to(seq).await?
        };
        Ok(Liability::new(seq, groups, &self.standing(seq).await?))
    }

    /// What led from the standing after one seq to that after another.
    ///
    /// # Errors
    /// What the database refuses.
    pub async fn roll_forward(&self, after: i64, upto: i64) -> Result<RollForward, Problem> {
        let closing = self.liability(upto).await?;
        let after = after.clamp(0, closing.seq);
        let between = self.movements(after, closing.seq).await?;
        // The accounts' own rows say whether this is right.
        let groups = closing.groups.clone().before(&between.change);
        let opening = Liability::new(after, groups, &self.standing(after).await?);
        Ok(RollForward::new(opening, closing, &between))
    }

    /// What an asset's points are worth after the record of a seq: all that was ever issued and used counts.
    ///
    /// # Errors
    /// What the database refuses; 422 for terms that make no sense.
    pub async fn value(&self, asset: AssetId, upto: i64, terms: &Terms) -> Result<Value, Problem> {
        let all = self.movements(0, upto).await?;
        let of = |what| all.of_asset(asset, what);
        let issued = of(What::Earned).saturating_sub(of(What::ClawedBack)).max(0);
        let used = of(What::Burned).saturating_sub(of(What::Restored)).max(0);
        Ok(terms.value(issued, used)?)
    }

    /// What the records after one seq and up to another did.
    async fn movements(&self, after: i64, upto: i64) -> Result<Movements, Problem> {
        let (mut sums, mut at, journal) = (Movements::default(), after, self.journal);
        while at < upto {
            let (page, looked) =
                self.db.of(journal.0).read(move |conn| unspent::touching(conn, journal, at, upto, PAGE)).await?;
            page.iter().for_each(|touched| sums.take(touched));
            at = looked;
        }
        Ok(sums)
    }

    /// Today's lots, less what happened since.
    async fn back_to(&self, seq: i64) -> Result<Groups, Problem> {
        let journal = self.journal;
        let (groups, head) = self
            .db
            .of(journal.0)
            .read_long(move |conn, until| {
                let mut groups = Groups::default();
                let head = unspent::left(conn, journal, until, &mut |asset, piece| groups.put(asset, &piece))?;
                Ok::<_, ReadError>((groups, head))
            })
            .await?;
        Ok(groups.before(&self.movements(seq, head).await?.change))
    }

    async fn standing(&self, seq: i64) -> Result<BTreeMap<AssetId, LotAccounts>, Problem> {
        let (history, journal) = (self.history.clone(), self.journal);
        self.db.of(journal.0).read_long(move |conn, until| unspent::standing(conn, &history, journal, seq, until)).await
    }
}

impl Describe for ValueError {
    fn describe(&self) -> Problem {
        let detail = "Prices, units and sums are zero or more, and goods or points have a price.";
        Problem::new(422, "value-terms", "These terms give no value", detail)
    }
}
