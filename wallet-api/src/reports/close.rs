//! Closing a tenant's calendar day.
//!
//! The day ends at the tenant's midnight and can be closed a minute later. What is recorded after a day was closed and
//! counts in it is not refused: it is *late*, and the next closing says how much of it there is. Not here: the closing
//! itself ([`ledger::closing`]).

use chrono::{DateTime, Days, NaiveDate, NaiveTime, SecondsFormat, TimeZone};
use chrono_tz::Tz;
use diesel::PgConnection;
use ledger::StoreError;
use ledger::closing::{self, CloseError, Closing, Day, Late, Standing};
use ledger::read::{self, ReadError};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::walk::Source;
use crate::books::Assets;
use crate::platform::fields::field;
use crate::platform::http::not_found;
use crate::platform::problem::{Describe, Problem};

/// A closed day.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClosingBody {
    /// By the tenant's calendar.
    #[schema(example = "2026-11-21")]
    day: String,
    /// The day closed before it; those between were skipped. Absent for the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    former_day: Option<String>,
    /// The first moment after it.
    ends_at: String,
    /// The last seq of the closing before.
    after_seq: i64,
    /// The last seq recorded before the day ended.
    seq: i64,
    /// Transactions after the one and up to the other that count in a day that had been closed.
    late: i64,
    /// The trial balance after `seq`.
    totals: Vec<ClosingTotalBody>,
    /// When it was closed.
    closed_at: String,
    /// The client that closed it; 0 at the command line.
    closed_by: i64,
    /// SHA-256 over all of this and the digest of the closing before, hexadecimal.
    digest: String,
}

/// One asset's accounts together at a closing, in minor units.
#[derive(Debug, Serialize, ToSchema)]
struct ClosingTotalBody {
    #[schema(example = "EUR")]
    asset: String,
    /// Accounts there were.
    accounts: u64,
    /// Balances below zero, summed, without the sign.
    debits: String,
    /// Balances above zero, summed.
    credits: String,
}

/// A transaction that counts in a day which was closed before it was recorded.
#[derive(Debug, Serialize, ToSchema)]
pub struct LateBody {
    /// Its place in the books.
    seq: i64,
    /// Its id.
    id: Uuid,
    /// When it was recorded.
    recorded_at: String,
    /// When it counts.
    effective_at: String,
}

impl ClosingBody {
    /// As it was closed.
    #[must_use]
    pub fn of(closing: &Closing, assets: &Assets) -> Self {
        let total = |(asset, total): &(ledger::AssetId, read::AssetTotal)| ClosingTotalBody {
            asset: assets.code(*asset).to_owned(),
            accounts: total.accounts,
            debits: total.debits.to_string(),
            credits: total.credits.to_string(),
        };
        Self {
            day: date(closing.day),
            former_day: closing.former_day.map(date),
            ends_at: moment(closing.ends_us),
            after_seq: closing.after_seq,
            seq: closing.seq,
            late: closing.late,
            totals: closing.totals.iter().map(total).collect(),
            closed_at: moment(closing.closed_us),
            closed_by: closing.closed_by,
            digest: closing.digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

impl LateBody {
    fn of(late: &Late) -> Self {
        let (recorded_at, effective_at) = (moment(late.recorded_us), moment(late.effective_us));
        Self { seq: late.seq, id: late.id, recorded_at, effective_at }
    }
}

fn date(day: i32) -> String {
    NaiveDate::from_epoch_days(day).map_or_else(|| day.to_string(), |date| date.to_string())
}

fn moment(us: i64) -> String {
    let at = DateTime::from_timestamp_micros(us);
    at.map_or_else(|| us.to_string(), |at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// The first moment after a day in a zone, microseconds since 1970. A midnight that the clocks leave out is the first
/// moment they show after it.
fn end_of(day: NaiveDate, zone: Tz) -> Option<i64> {
    let midnight = day.checked_add_days(Days::new(1))?.and_time(NaiveTime::MIN);
    let shown = |hours| zone.from_local_datetime(&(midnight + chrono::TimeDelta::hours(hours))).earliest();
    Some(shown(0).or_else(|| shown(1))?.timestamp_micros())
}

impl Source {
    /// Closes a day of a zone for a client (0 at the command line), or tells how it was closed.
    ///
    /// # Errors
    /// 409 `day-not-over`, `day-open-before`, `day-passed`; what the database refuses.
    pub async fn close(&self, day: NaiveDate, zone: Tz, by: i64, skip: bool) -> Result<Closing, Problem> {
        let ends_us = end_of(day, zone).ok_or_else(|| field("/day", "A day of the calendar, as in 2026-11-21."))?;
        let (history, journal) = (self.history.clone(), self.journal);
        let number = day.to_epoch_days();
        loop {
            let history = history.clone();
            let look = move |conn: &mut PgConnection, until| {
                let head = read::head(conn, journal)?.ok_or(ReadError::UnknownJournal(journal))?;
                let now_us = closing::clock_us(conn)?.saturating_add(head.clock_offset_us);
                closing::look(conn, &history, journal, Day { day: number, ends_us, now_us, by, skip }, until)
            };
            let derived = match self.db.of(journal.0).read_long(look).await? {
                Standing::Closed(closing) => return Ok(closing),
                Standing::Open(closing) => closing,
            };
            let write = move |conn: &mut PgConnection| Ok::<_, StoreError>((closing::write(conn, &derived)?, derived));
            // Somebody else may have closed a day meanwhile: then it is looked at again, and more is closed than was.
            if let (true, closed) = self.db.of(journal.0).write(write).await? {
                return Ok(closed);
            }
        }
    }

    /// Closings before a day, or all up to the last, latest first.
    ///
    /// # Errors
    /// What the database refuses.
    pub async fn closings(&self, before: Option<NaiveDate>, limit: i64) -> Result<Vec<Closing>, Problem> {
        let (journal, before) = (self.journal, before.map(|day| day.to_epoch_days()));
        self.db.of(journal.0).read(move |conn| closing::closings(conn, journal, before, limit)).await
    }

    /// The late transactions that a day's closing counts, or the last one's, those after a seq, in order.
    ///
    /// # Errors
    /// 404 when the day was not closed; what the database refuses.
    pub async fn late(&self, day: Option<NaiveDate>, after: i64, limit: i64) -> Result<Vec<LateBody>, Problem> {
        let up_to_it = self.closings(day.and_then(|day| day.succ_opt()), 2).await?;
        let is_it = |closing: &&Closing| day.is_none_or(|day| closing.day == day.to_epoch_days());
        let closed = up_to_it.first().filter(is_it);
        if closed.is_none() && day.is_some() {
            return Err(not_found());
        }
        let (Some(closed), Some(former)) = (closed, up_to_it.get(1)) else { return Ok(Vec::new()) };
        let (journal, ends_us) = (self.journal, former.ends_us);
        let (after, upto) = (after.max(closed.after_seq), closed.seq);
        let found =
            self.db.of(journal.0).read(move |conn| closing::late(conn, journal, after, upto, ends_us, limit)).await?;
        Ok(found.iter().map(LateBody::of).collect())
    }
}

impl Describe for CloseError {
    fn describe(&self) -> Problem {
        match self {
            Self::NotOver => {
                let detail = "Close it from a minute after its midnight on.";
                Problem::new(409, "day-not-over", "The day is not over", detail)
            }
            Self::EarlierOpen(day) => {
                let detail = "Close the days before it first, or say that they are skipped.";
                Problem::new(409, "day-open-before", "An earlier day is open", detail).with("day", date(*day))
            }
            Self::Passed(day) => {
                let detail = "It was skipped when a later day was closed, whose closing has its entries.";
                Problem::new(409, "day-passed", "A later day is closed", detail).with("day", date(*day))
            }
            Self::Read(error) => error.describe(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_the_zones_midnight_also_where_clocks_leave_it_out() {
        let end = |day: &str, zone: &str| moment(end_of(day.parse().unwrap(), zone.parse().unwrap()).unwrap());
        assert_eq!(end("2026-11-21", "Europe/Rome"), "2026-11-21T23:00:00Z");
        assert_eq!(end("2026-03-28", "Europe/Rome"), "2026-03-28T23:00:00Z");
        assert_eq!(end("2026-03-29", "Europe/Rome"), "2026-03-29T22:00:00Z");
        // In Beirut clocks went from midnight to one on 26 March 2000.
        assert_eq!(end("2000-03-25", "Asia/Beirut"), "2000-03-25T22:00:00Z");
    }
}
