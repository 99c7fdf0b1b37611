//! SQL of the tables `sca_policy` and `sca_exemption_rule`: rules with a date. They are added and never changed; what has not begun
//! may be withdrawn.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::unreadable;
use crate::identity::sca::exemption::{Article, Counter, Rule};
use crate::identity::sca::policy::SyncedRule;

diesel::table! {
    sca_policy (tenant, currency, valid_from) {
        tenant -> BigInt,
        currency -> Text,
        valid_from -> Timestamptz,
        synced_max_minor -> BigInt,
        withdrawn_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    sca_exemption_rule (tenant, article, currency, valid_from) {
        tenant -> BigInt,
        article -> Text,
        currency -> Text,
        valid_from -> Timestamptz,
        enabled -> Bool,
        most_minor -> BigInt,
        most_uses -> Nullable<Integer>,
        most_total_minor -> Nullable<BigInt>,
        withdrawn_at -> Nullable<Timestamptz>,
    }
}

/// Since when, and whether it was withdrawn before.
type Dates = (DateTime<Utc>, Option<DateTime<Utc>>);
/// Whether it is on, the most of one payment, the most payments, the most in all.
type RuleRow = (bool, i64, Option<i32>, Option<i64>);
/// A rule, and when it was withdrawn.
type Kept<R> = (R, Option<DateTime<Utc>>);

/// False when there is a rule from that very moment.
pub(in crate::identity::sca) fn insert_synced_rule(
    conn: &mut PgConnection,
    tenant: i64,
    currency: &str,
    rule: SyncedRule,
) -> QueryResult<bool> {
    let values = (
        sca_policy::tenant.eq(tenant),
        sca_policy::currency.eq(currency),
        sca_policy::valid_from.eq(rule.valid_from),
        sca_policy::synced_max_minor.eq(rule.most_minor),
    );
    Ok(diesel::insert_into(sca_policy::table).values(values).on_conflict_do_nothing().execute(conn)? == 1)
}

/// The rule in force.
pub(in crate::identity::sca) fn synced_rule(
    conn: &mut PgConnection,
    tenant: i64,
    currency: &str,
    now: DateTime<Utc>,
) -> QueryResult<Option<SyncedRule>> {
    let row: Option<(DateTime<Utc>, i64)> = sca_policy::table
        .filter(sca_policy::tenant.eq(tenant).and(sca_policy::currency.eq(currency)))
        .filter(sca_policy::valid_from.le(now).and(sca_policy::withdrawn_at.is_null()))
        .order(sca_policy::valid_from.desc())
        .select((sca_policy::valid_from, sca_policy::synced_max_minor))
        .first(conn)
        .optional()?;
    Ok(row.map(|(valid_from, most_minor)| SyncedRule { valid_from, most_minor }))
}

/// Every one of a currency, oldest first.
pub(in crate::identity::sca) fn synced_rules(
    conn: &mut PgConnection,
    tenant: i64,
    currency: &str,
) -> QueryResult<Vec<Kept<SyncedRule>>> {
    let rows: Vec<(Dates, i64)> = sca_policy::table
        .filter(sca_policy::tenant.eq(tenant).and(sca_policy::currency.eq(currency)))
        .order(sca_policy::valid_from)
        .select(((sca_policy::valid_from, sca_policy::withdrawn_at), sca_policy::synced_max_minor))
        .load(conn)?;
    let kept = |((valid_from, withdrawn_at), most_minor)| (SyncedRule { valid_from, most_minor }, withdrawn_at);
    Ok(rows.into_iter().map(kept).collect())
}

/// Takes back what has not begun; how many that were.
pub(in crate::identity::sca) fn withdraw_synced(
    conn: &mut PgConnection,
    tenant: i64,
    currency: &str,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let to_come = sca_policy::table
        .filter(sca_policy::tenant.eq(tenant).and(sca_policy::currency.eq(currency)))
        .filter(sca_policy::valid_from.gt(now).and(sca_policy::withdrawn_at.is_null()));
    diesel::update(to_come).set(sca_policy::withdrawn_at.eq(now)).execute(conn)
}

/// False when there is a rule from that very moment.
pub(in crate::identity::sca) fn insert_rule(
    conn: &mut PgConnection,
    tenant: i64,
    article: Article,
    currency: &str,
    rule: Rule,
) -> QueryResult<bool> {
    use sca_exemption_rule::dsl;
    let (uses, total) = match rule.counter {
        Counter::Uses(most) => (Some(most), None),
        Counter::Total(most) => (None, Some(most)),
    };
    let values = (
        dsl::tenant.eq(tenant),
        dsl::article.eq(article.word()),
        dsl::currency.eq(currency),
        dsl::valid_from.eq(rule.valid_from),
        dsl::enabled.eq(rule.enabled),
        dsl::most_minor.eq(rule.most_minor),
        dsl::most_uses.eq(uses),
        dsl::most_total_minor.eq(total),
    );
    Ok(diesel::insert_into(dsl::sca_exemption_rule).values(values).on_conflict_do_nothing().execute(conn)? == 1)
}

/// The rule in force, on or off.
pub(in crate::identity::sca) fn rule(
    conn: &mut PgConnection,
    tenant: i64,
    article: Article,
    currency: &str,
    now: DateTime<Utc>,
) -> QueryResult<Option<Rule>> {
    use sca_exemption_rule::dsl;
    let row: Option<(DateTime<Utc>, RuleRow)> = dsl::sca_exemption_rule
        .filter(dsl::tenant.eq(tenant).and(dsl::article.eq(article.word())).and(dsl::currency.eq(currency)))
        .filter(dsl::valid_from.le(now).and(dsl::withdrawn_at.is_null()))
        .order(dsl::valid_from.desc())
        .select((dsl::valid_from, (dsl::enabled, dsl::most_minor, dsl::most_uses, dsl::most_total_minor)))
        .first(conn)
        .optional()?;
    row.map(|(valid_from, row)| read(valid_from, row)).transpose()
}

/// Every one of an article in a currency, oldest first.
pub(in crate::identity::sca) fn exemption_rules(
    conn: &mut PgConnection,
    tenant: i64,
    article: Article,
    currency: &str,
) -> QueryResult<Vec<Kept<Rule>>> {
    use sca_exemption_rule::dsl;
    let rows: Vec<(Dates, RuleRow)> = dsl::sca_exemption_rule
        .filter(dsl::tenant.eq(tenant).and(dsl::article.eq(article.word())).and(dsl::currency.eq(currency)))
        .order(dsl::valid_from)
        .select((
            (dsl::valid_from, dsl::withdrawn_at),
            (dsl::enabled, dsl::most_minor, dsl::most_uses, dsl::most_total_minor),
        ))
        .load(conn)?;
    let kept = |((valid_from, withdrawn_at), row)| Ok((read(valid_from, row)?, withdrawn_at));
    rows.into_iter().map(kept).collect()
}

/// Takes back what has not begun; how many that were.
pub(in crate::identity::sca) fn withdraw_exemptions(
    conn: &mut PgConnection,
    tenant: i64,
    article: Article,
    currency: &str,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    use sca_exemption_rule::dsl;
    let to_come = dsl::sca_exemption_rule
        .filter(dsl::tenant.eq(tenant).and(dsl::article.eq(article.word())).and(dsl::currency.eq(currency)))
        .filter(dsl::valid_from.gt(now).and(dsl::withdrawn_at.is_null()));
    diesel::update(to_come).set(dsl::withdrawn_at.eq(now)).execute(conn)
}

fn read(valid_from: DateTime<Utc>, (enabled, most_minor, uses, total): RuleRow) -> QueryResult<Rule> {
    let counter = uses.map(Counter::Uses).or(total.map(Counter::Total)).ok_or_else(|| unreadable("a counter"))?;
    Ok(Rule { valid_from, enabled, most_minor, counter })
}
