//! The rules of strong authentication that a tenant sets: what goes without it ([`exemption`]), and up to what amount a passkey that
//! may be synced suffices alone ([`SyncedRule`]).
//!
//! Promise: a rule is asked for by one and approved by another (`identity::four_eyes`), from a moment on that has not passed; it allows
//! no more than the law; what began is never changed. To switch one off takes one pair of eyes and no time, because it lowers
//! the risk: nothing goes by it from that moment on, and what was to begin later is withdrawn. Both are in the audit log.
//! Every payment reads the rules anew, so all nodes know at once.
//! Not here: deciding by them ([`exemption::take`], [`needs_device`](super::needs_device)).

mod routes;

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection, QueryResult};

pub use routes::{publish_approved, routes};

use super::exemption::{self, Article, CURRENCY, Counter};
use super::policy::{self, SyncedRule};
use super::store;
use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};
use crate::platform::problem::{Describe, Problem};

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// What goes without strong authentication, by an article.
    Exemption(Article),
    /// Up to what amount a passkey that may be synced suffices alone.
    Synced,
}

impl Subject {
    const fn word(self) -> &'static str {
        match self {
            Self::Exemption(article) => article.word(),
            Self::Synced => "synced-passkey",
        }
    }
}

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Remote payments of low value.
    LowValue(exemption::Rule),
    /// Passkeys that may be synced.
    Synced(SyncedRule),
}

impl Rule {
    /// What it is about.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        match self {
            Self::LowValue(_) => Subject::Exemption(Article::Rts16),
            Self::Synced(_) => Subject::Synced,
        }
    }

    /// Since when.
    #[must_use]
    pub const fn valid_from(&self) -> DateTime<Utc> {
        match self {
            Self::LowValue(rule) => rule.valid_from,
            Self::Synced(rule) => rule.valid_from,
        }
    }

    /// The most of one payment, minor units; none when nothing is allowed from then on.
    #[must_use]
    pub fn most_minor(&self) -> Option<i64> {
        match self {
            Self::LowValue(rule) => rule.enabled.then_some(rule.most_minor),
            Self::Synced(rule) => (rule.most_minor > 0).then_some(rule.most_minor),
        }
    }

    /// What is counted, where something is allowed and counted.
    #[must_use]
    pub fn counter(&self) -> Option<Counter> {
        match self {
            Self::LowValue(rule) => rule.enabled.then_some(rule.counter),
            Self::Synced(_) => None,
        }
    }

    fn check(&self, now: DateTime<Utc>) -> Result<(), RuleError> {
        if self.valid_from() < now {
            return Err(RuleError::Past);
        }
        if self.most_minor().is_none() {
            return Err(RuleError::Unlawful); // to allow nothing is to end a rule
        }
        match self {
            Self::LowValue(rule) => rule.check(),
            Self::Synced(rule) => rule.check(),
        }
    }

    /// The same, allowing nothing, from a moment on.
    fn off(self, from: DateTime<Utc>) -> Self {
        match self {
            Self::LowValue(rule) => Self::LowValue(exemption::Rule { valid_from: from, enabled: false, ..rule }),
            Self::Synced(_) => Self::Synced(SyncedRule { valid_from: from, most_minor: 0 }),
        }
    }

    fn insert(self, conn: &mut PgConnection, tenant: i64) -> Result<(), RuleError> {
        match self {
            Self::LowValue(rule) => exemption::set_rule(conn, tenant, rule),
            Self::Synced(rule) => policy::set_synced_rule(conn, tenant, CURRENCY, rule),
        }
    }
}

/// A rule as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// What it says.
    pub rule: Rule,
    /// When it was taken back, before it began.
    pub withdrawn_at: Option<DateTime<Utc>>,
}

/// Why a rule is none.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// It allows more than the regulation, or nothing.
    #[error("the rule allows nothing, more than Regulation (EU) 2018/389, art. 16, or what no payment can come to")]
    Unlawful,
    /// It would change what was in force.
    #[error("a rule begins now or later")]
    Past,
    /// Another one begins then.
    #[error("another rule begins at that moment")]
    Taken,
    /// What the database says.
    #[error("database call failed")]
    Database(#[from] diesel::result::Error),
}

impl Describe for RuleError {
    fn describe(&self) -> Problem {
        match self {
            Self::Unlawful => {
                let detail =
                    "Low value is 30 EUR at the most, and 100 EUR in all or five payments: one of the two counters.";
                Problem::new(422, "sca-rule-unlawful", "The law does not allow this rule", detail)
            }
            Self::Past => {
                let detail = "What was in force stays as it was: let the rule begin now or later.";
                Problem::new(422, "sca-rule-in-the-past", "The rule begins in the past", detail)
            }
            Self::Taken => {
                let detail = "Choose another moment; what was approved stays.";
                Problem::new(409, "sca-rule-taken", "Another rule begins then", detail)
            }
            Self::Database(error) => error.describe(),
        }
    }
}

/// Every rule of a tenant, by subject, oldest first.
///
/// # Errors
/// The database's.
pub fn all(conn: &mut PgConnection, tenant: i64) -> QueryResult<Vec<Kept>> {
    let mut all = of(conn, tenant, Subject::Exemption(Article::Rts16))?;
    all.extend(of(conn, tenant, Subject::Synced)?);
    Ok(all)
}

fn of(conn: &mut PgConnection, tenant: i64, subject: Subject) -> QueryResult<Vec<Kept>> {
    Ok(match subject {
        Subject::Exemption(article) => store::exemption_rules(conn, tenant, article, CURRENCY)?
            .into_iter()
            .map(|(rule, withdrawn_at)| Kept { rule: Rule::LowValue(rule), withdrawn_at })
            .collect(),
        Subject::Synced => store::synced_rules(conn, tenant, CURRENCY)?
            .into_iter()
            .map(|(rule, withdrawn_at)| Kept { rule: Rule::Synced(rule), withdrawn_at })
            .collect(),
    })
}

/// The one of a subject that is in force at a moment; none before the first.
#[must_use]
pub fn in_force(all: &[Kept], subject: Subject, now: DateTime<Utc>) -> Option<Rule> {
    let has_begun = |kept: &&Kept| kept.withdrawn_at.is_none() && kept.rule.valid_from() <= now;
    all.iter().filter(|kept| kept.rule.subject() == subject).rfind(has_begun).map(|kept| kept.rule)
}

/// Publishes a rule that two people want: it is in force from its moment on.
///
/// # Errors
/// [`RuleError`].
pub fn publish(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: Actor,
    tenant: i64,
    rule: Rule,
) -> Result<(), RuleError> {
    rule.check(now)?;
    conn.transaction(|conn| {
        rule.insert(conn, tenant)?;
        let entry = entry(tenant, by, Action::ScaRulePublished, rule.subject());
        let entry = entry.with("valid_from", Fact::Time(rule.valid_from()));
        let entry = entry.with("most_minor", Fact::Number(rule.most_minor().unwrap_or(0)));
        let entry = match rule.counter() {
            Some(Counter::Uses(most)) => entry.with("most_uses", Fact::Number(most.into())),
            Some(Counter::Total(most)) => entry.with("most_total_minor", Fact::Number(most)),
            None => entry,
        };
        audit::append(conn, &entry, now)?;
        Ok(())
    })
}

/// Switches rules of a subject off: the one in force from now on, and every one that has not begun. Again, nothing happens.
///
/// # Errors
/// The database's; [`RuleError::Taken`] when one began in this very microsecond.
pub fn end(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: Actor,
    tenant: i64,
    subject: Subject,
) -> Result<(), RuleError> {
    conn.transaction(|conn| {
        let rules = of(conn, tenant, subject)?;
        let on = in_force(&rules, subject, now).filter(|rule| rule.most_minor().is_some());
        if let Some(rule) = on {
            rule.off(now).insert(conn, tenant)?;
        }
        let withdrawn = match subject {
            Subject::Exemption(article) => store::withdraw_exemptions(conn, tenant, article, CURRENCY, now)?,
            Subject::Synced => store::withdraw_synced(conn, tenant, CURRENCY, now)?,
        };
        if on.is_some() || withdrawn > 0 {
            let withdrawn = Fact::Number(i64::try_from(withdrawn).unwrap_or(i64::MAX));
            let entry = entry(tenant, by, Action::ScaRuleEnded, subject).with("withdrawn", withdrawn);
            audit::append(conn, &entry.with("was_on", Fact::Flag(on.is_some())), now)?;
        }
        Ok(())
    })
}

fn entry(tenant: i64, by: Actor, action: Action, subject: Subject) -> Entry {
    Entry::done(tenant, by, action, Object::Tenant(tenant)).with("rule", Fact::Word(subject.word()))
}

#[cfg(test)]
mod tests;
