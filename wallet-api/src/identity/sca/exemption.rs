//! What may go without strong authentication: Regulation (EU) 2018/389, art. 16, remote payments of low value.
//!
//! Off until a tenant's rule turns it on (the regulation allows up to 30 EUR each, and up to 100 EUR in all *or* five payments
//! since the last strong authentication: one of the two counters, EBA Q&A 2018_4225). Each use is kept with its article and
//! the rule it was given under. A use is taken before the payment and settled after it: taken ones count, so that
//! payments at once never pass together; what was not executed then counts no more (Q&A 2018_4230).
//! Not here: paying (`payments::own` takes and settles), and transaction risk analysis (art. 18).

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection, QueryResult};
use uuid::Uuid;

use super::rules::RuleError;
use super::store;

/// The most that the regulation allows, euro cents: of one payment, and of all since the last strong authentication.
const ART_16_MOST_MINOR: i64 = 3_000;
const ART_16_MOST_TOTAL_MINOR: i64 = 10_000;
/// And how many, where payments are counted.
const ART_16_MOST_USES: i32 = 5;
/// The currency of the regulation's amounts: rules are in no other until its equivalents are settled.
pub(super) const CURRENCY: &str = "EUR";

/// An article under which payments go without strong authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Article {
    /// Low-value remote payments.
    Rts16,
}

impl Article {
    /// Its word in the tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Rts16 => "rts-16",
        }
    }

    /// Of its word; none of one this release does not know.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Rts16].into_iter().find(|article| article.word() == word)
    }
}

/// The one counter that a rule has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// At most so many payments.
    Uses(i32),
    /// At most so much in all, minor units.
    Total(i64),
}

/// A tenant's rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Since when.
    pub valid_from: DateTime<Utc>,
    /// Whether anything is exempted.
    pub enabled: bool,
    /// The most of one payment, minor units.
    pub most_minor: i64,
    /// What is counted since the last strong authentication.
    pub counter: Counter,
}

impl Rule {
    /// Whether it allows no more than the regulation; one that is off allows nothing.
    pub(super) fn check(&self) -> Result<(), RuleError> {
        let is_within = (1..=ART_16_MOST_MINOR).contains(&self.most_minor)
            && match self.counter {
                Counter::Uses(most) => (1..=ART_16_MOST_USES).contains(&most),
                Counter::Total(most) => (1..=ART_16_MOST_TOTAL_MINOR).contains(&most),
            };
        if is_within || !self.enabled { Ok(()) } else { Err(RuleError::Unlawful) }
    }
}

/// How much has been used since the last strong authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Payments.
    pub uses: i32,
    /// Minor units.
    pub total_minor: i64,
}

/// Whether a payment goes without strong authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may, under this article.
    Exempt(Article),
    /// It may not: no rule allows it, or what it allows is used up.
    Needed,
}

/// How an exempted payment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was paid.
    Executed,
    /// It was not.
    Released,
}

/// A payment that might be exempted.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The payment.
    pub payment_id: Uuid,
    /// The account that pays.
    pub payer_account: Uuid,
    /// How much, minor units.
    pub amount_minor: i64,
    /// Of what.
    pub currency: &'a str,
}

/// Decides by a rule and what was used of it. Pure.
#[must_use]
pub fn decide(rule: Option<Rule>, used: Used, amount_minor: i64, currency: &str) -> Decision {
    let Some(rule) = rule.filter(|rule| rule.enabled && currency == CURRENCY) else { return Decision::Needed };
    let fits = match rule.counter {
        Counter::Uses(most) => used.uses < most,
        Counter::Total(most) => used.total_minor.checked_add(amount_minor).is_some_and(|total| total <= most),
    };
    let is_low = (1..=rule.most_minor).contains(&amount_minor);
    if is_low && fits { Decision::Exempt(Article::Rts16) } else { Decision::Needed }
}

/// Adds a tenant's rule, from a moment on. Four eyes are the caller's to see to.
///
/// # Errors
/// [`RuleError::Unlawful`], [`RuleError::Taken`].
pub fn set_rule(conn: &mut PgConnection, tenant: i64, rule: Rule) -> Result<(), RuleError> {
    rule.check()?;
    let is_new = store::insert_rule(conn, tenant, Article::Rts16, CURRENCY, rule)?;
    if is_new { Ok(()) } else { Err(RuleError::Taken) }
}

/// Decides for a payment, and takes the use when it is exempted: of payments at once, no more pass than the rule allows.
/// Asked again for the same payment, the same answer and no second use; one that was released needs authentication.
///
/// # Errors
/// The database's.
pub fn take(
    conn: &mut PgConnection,
    tenant: i64,
    candidate: &Candidate<'_>,
    now: DateTime<Utc>,
) -> QueryResult<Decision> {
    conn.transaction(|conn| {
        let rule = store::rule(conn, tenant, Article::Rts16, candidate.currency, now)?;
        let Some(rule) = rule.filter(|rule| rule.enabled) else { return Ok(Decision::Needed) };
        // The counter's row is locked from here on: who comes at the same time reads it when we are done.
        let (round, used) = store::lock_counter(conn, tenant, Article::Rts16, candidate)?;
        if let Some(was_released) = store::use_of(conn, tenant, candidate)? {
            return Ok(if was_released { Decision::Needed } else { Decision::Exempt(Article::Rts16) });
        }
        let decision = decide(Some(rule), used, candidate.amount_minor, candidate.currency);
        if let Decision::Exempt(article) = decision {
            store::add_use(conn, tenant, article, candidate, (rule.valid_from, round), now)?;
        }
        Ok(decision)
    })
}

/// Notes how an exempted payment ended. Again, and of a payment that was not exempted, nothing happens.
///
/// # Errors
/// The database's.
pub fn settle(
    conn: &mut PgConnection,
    tenant: i64,
    payment_id: Uuid,
    outcome: Outcome,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    conn.transaction(|conn| store::settle_use(conn, tenant, payment_id, outcome == Outcome::Released, now))
}

/// What an account has used since its last strong authentication.
///
/// # Errors
/// The database's.
pub fn used(conn: &mut PgConnection, tenant: i64, payer_account: Uuid, currency: &str) -> QueryResult<Used> {
    store::used(conn, tenant, payer_account, Article::Rts16, currency)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(counter: Counter) -> Option<Rule> {
        Some(Rule { valid_from: DateTime::<Utc>::UNIX_EPOCH, enabled: true, most_minor: 3000, counter })
    }

    #[test]
    fn nothing_is_exempted_beyond_the_rule() {
        let (exempt, used) = (Decision::Exempt(Article::Rts16), |uses, total_minor| Used { uses, total_minor });
        let five = rule(Counter::Uses(5));
        assert_eq!(decide(five, used(4, 12_000), 3000, "EUR"), exempt, "five payments, whatever they come to");
        assert_eq!(decide(five, used(5, 0), 1, "EUR"), Decision::Needed);
        assert_eq!(decide(five, used(0, 0), 3001, "EUR"), Decision::Needed);
        assert_eq!(decide(five, used(0, 0), 0, "EUR"), Decision::Needed);
        assert_eq!(decide(five, used(0, 0), 3000, "USD"), Decision::Needed);
        let hundred = rule(Counter::Total(10_000));
        assert_eq!(decide(hundred, used(90, 7_000), 3000, "EUR"), exempt, "a hundred euro, however many");
        assert_eq!(decide(hundred, used(1, 7_001), 3000, "EUR"), Decision::Needed);
        assert_eq!(decide(hundred, used(1, i64::MAX), 1, "EUR"), Decision::Needed);
        assert_eq!(decide(None, used(0, 0), 1, "EUR"), Decision::Needed, "off until a rule says otherwise");
        let off = five.map(|rule| Rule { enabled: false, ..rule });
        assert_eq!(decide(off, used(0, 0), 1, "EUR"), Decision::Needed);
    }
}
