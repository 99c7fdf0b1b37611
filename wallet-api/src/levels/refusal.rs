//! Refusals by a limit, in words: which one, what it is, what was left of it, what to do.
//!
//! All of it follows from the books and from versions that never change, so a request that is repeated reads the same for ever.

use diesel::PgConnection;
use ledger::read::{ReadError, free_at};
use ledger::{JournalId, Record, Refusal};
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::{calendar, limit_of};
use super::model::Limit;
use super::settle;
use crate::identity::people::Level;
use crate::platform::Platform;
use crate::platform::chart::{Counted, Purpose};
use crate::platform::keyring::Tenant;
use crate::platform::money::{EUR, Money};
use crate::platform::problem::Problem;

/// What is told of a limit that was in the way.
struct Told {
    limit: Limit,
    level: Level,
    most: i64,
    left: i64,
    /// When the next day or month begins.
    until: Option<i64>,
}

/// The problem of a refusal by one of a person's limits; none when something else refused.
///
/// # Errors
/// The database's problems; 410 when what was left is in the archive.
pub(super) async fn describe(
    platform: &Platform,
    tenant: &Tenant,
    person: Uuid,
    refusal: &Refusal,
    record: &Record,
) -> Result<Option<Problem>, Problem> {
    let Some(limit) = limit_of(tenant.id, person, refusal) else { return Ok(None) };
    let (id, seq, history) = (tenant.id, record.seq, platform.history.clone());
    let account = match limit {
        Limit::Stored => Some(Purpose::Available(person)),
        Limit::Payment => None,
        Limit::Day => Some(Purpose::Counted(Counted::Day, person)),
        Limit::Month => Some(Purpose::Counted(Counted::Month, person)),
    };
    let read = move |conn: &mut PgConnection| -> Result<_, ReadError> {
        // A ceiling that no level brought is not ours to tell of.
        let Some(version) = settle::in_force_before(conn, id, person, seq)? else { return Ok(None) };
        let before = seq.saturating_sub(1);
        let free = account.map(|account| free_at(conn, &history, JournalId(id), account.account(id), before));
        Ok(Some((version, free.transpose()?)))
    };
    let Some((version, free)) = platform.db.of(id).read(read).await? else { return Ok(None) };
    let Some(most) = version.allowed.of(limit) else { return Ok(None) };
    let left = match (limit, free) {
        (Limit::Stored, Some(stored)) => most.saturating_sub(stored),
        (Limit::Day | Limit::Month, Some(free)) => free,
        (Limit::Payment, _) | (_, None) => most,
    };
    let until = limit.period().map(|period| period.around(calendar(tenant), record.recorded_us).1);
    Ok(Some(Told { limit, level: version.level, most, left: left.max(0), until }.problem(seq)))
}

impl Told {
    fn problem(&self, seq: i64) -> Problem {
        let problem = match self.limit {
            Limit::Stored => Problem::new(
                422,
                "limit-stored",
                "The wallet would hold more than your level allows",
                "Put in at most what is left, or raise your level: prove who you are. Then use a new Idempotency-Key.",
            ),
            Limit::Payment => Problem::new(
                422,
                "limit-payment",
                "The payment is larger than your level allows",
                "Pay at most that at once, or raise your level: prove who you are. Then use a new Idempotency-Key.",
            ),
            Limit::Day => Problem::new(
                422,
                "limit-day",
                "The day's payments would pass what your level allows",
                "Pay at most what is left, wait for tomorrow, or raise your level: prove who you are. Then use a new \
                 Idempotency-Key.",
            ),
            Limit::Month => Problem::new(
                422,
                "limit-month",
                "The month's payments would pass what your level allows",
                "Pay at most what is left, wait for the next month, or raise your level: prove who you are. Then use a new \
                 Idempotency-Key.",
            ),
        };
        let money = |minor| json!(Money::new(minor, EUR));
        let until = self.until.and_then(chrono::DateTime::from_timestamp_micros);
        let problem = problem
            .with("limit", self.limit.word())
            .with("level", self.level.word())
            .with("most", money(self.most))
            .with("left", money(self.left));
        let problem = match until {
            Some(until) => problem.with("until", json!(until)),
            None => problem,
        };
        problem.with("remedy", Value::from(if self.level < Level::T3 { "raise-level" } else { "ask" })).with("seq", seq)
    }
}
