//! A month of payments under another table of limits: which would have been refused, by how much. Reads only.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ledger::follow::{self, Span};
use ledger::{Calendar, Period, read};
use serde::Serialize;
use uuid::Uuid;

use super::walk::Source;
use crate::levels::{self, Made, Replay, Table, WouldRefuse};
use crate::payments::{self, Instrument};
use crate::platform::problem::Problem;

/// Records read at a time.
const PAGE: i64 = 2_000;

/// What would have become of a month.
#[derive(Debug, Default, Serialize)]
pub struct LimitsReport {
    /// The month's first moment.
    pub from: DateTime<Utc>,
    /// The first moment after it.
    pub until: DateTime<Utc>,
    /// Payments of people out of their wallets.
    pub payments: u64,
    /// What they add up to, cents.
    pub paid_minor: i128,
    /// How many of them would have been refused.
    pub refused: u64,
    /// What those add up to.
    pub refused_minor: i128,
    /// How many people they are of.
    pub people: u64,
    /// How many each limit would have refused.
    pub by_limit: BTreeMap<&'static str, u64>,
    /// Each of them, in the order of the books.
    pub refusals: Vec<Refused>,
}

/// A payment that would have been refused.
#[derive(Debug, Serialize)]
pub struct Refused {
    /// The payment.
    pub payment: Uuid,
    /// Its place in the books.
    pub seq: i64,
    /// Whose.
    pub customer: Uuid,
    /// How well they were known then.
    pub level: &'static str,
    /// Cents.
    pub amount_minor: i64,
    /// Why.
    #[serde(flatten)]
    pub why: WouldRefuse,
}

/// Replays the month around a moment under a table.
///
/// # Errors
/// 404 for books that are not there, 410 for a month that is in the archive, 503 for a payment that a newer release wrote.
pub async fn limits(
    source: &Source,
    calendar: Calendar,
    within_us: i64,
    table: Table,
) -> Result<LimitsReport, Problem> {
    let (from_us, until_us) = Period::Month.around(calendar, within_us);
    let journal = source.journal;
    let db = || source.db.of(journal.0);
    let window = db().read(move |conn| read::window(conn, journal, from_us, Some(until_us))).await?;
    let head = db().read(move |conn| read::head(conn, journal)).await?;
    let fork = head.ok_or_else(crate::platform::http::not_found)?.fork;
    let at = |us| DateTime::from_timestamp_micros(us).unwrap_or_default();
    let mut report = LimitsReport { from: at(from_us), until: at(until_us), ..LimitsReport::default() };
    let (mut replay, mut from) = (Replay::under(table, calendar), window.after);
    let mut people = std::collections::BTreeSet::new();
    while from < window.upto {
        let upto = from.saturating_add(PAGE).min(window.upto);
        let span = Span { journal, fork, from, upto };
        for (cleared, level) in db().read(move |conn| page(conn, span)).await? {
            let (person, minor) = (cleared.customer, cleared.amount_minor);
            report.payments = report.payments.saturating_add(1);
            report.paid_minor = report.paid_minor.saturating_add(minor.into());
            let made = Made { person, level, recorded_us: cleared.recorded.timestamp_micros(), minor };
            let Some(why) = replay.judge(&made) else { continue };
            report.refused = report.refused.saturating_add(1);
            report.refused_minor = report.refused_minor.saturating_add(minor.into());
            let count = report.by_limit.entry(why.limit).or_default();
            *count = count.saturating_add(1);
            people.insert(person);
            let (payment, seq) = (cleared.id, cleared.seq);
            report.refusals.push(Refused {
                payment,
                seq,
                customer: person,
                level: level.word(),
                amount_minor: minor,
                why,
            });
        }
        from = upto;
    }
    report.people = u64::try_from(people.len()).unwrap_or(u64::MAX);
    Ok(report)
}

type Known = (payments::Cleared, crate::identity::people::Level);

/// The payments of people out of their wallets in a span, each with how well its payer was known then.
fn page(conn: &mut diesel::PgConnection, span: Span) -> Result<Vec<Known>, Problem> {
    let reading = payments::cleared(&follow::page(conn, span)?);
    if let Some(unread) = reading.unread.first() {
        let detail = "It was recorded by a newer release than this one: use that.";
        return Err(Problem::new(503, "payment-unreadable", "A payment cannot be read", detail).with("seq", unread.seq));
    }
    let mut known = Vec::new();
    for cleared in reading.read.into_iter().filter(|cleared| cleared.instrument == Instrument::Wallet) {
        if let Some(level) = levels::level_before(conn, span.journal.0, cleared.customer, cleared.seq)? {
            known.push((cleared, level));
        }
    }
    Ok(known)
}
