//! SQL of the tables `sca_…`; of those that rules are kept in, in [`rules`].

mod rules;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as SqlError;
use diesel::sql_types::{BigInt, Binary, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::evidence::Evidence;
use super::exemption::{Article, Candidate, Used};
use super::failure::Standing;
use crate::platform::db::{Columns, statement};

pub(super) use rules::{
    exemption_rules, insert_rule, insert_synced_rule, rule, synced_rule, synced_rules, withdraw_exemptions,
    withdraw_synced,
};

diesel::table! {
    sca_evidence (tenant, payment_id) {
        tenant -> BigInt,
        payment_id -> Uuid,
        person -> Uuid,
        file -> Binary,
        digest -> Binary,
        approved_at -> Timestamptz,
    }
}

diesel::table! {
    sca_failure (tenant, person) {
        tenant -> BigInt,
        person -> Uuid,
        consecutive -> Integer,
        blocks -> Integer,
        blocked_until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    sca_exemption_counter (tenant, payer_account, article, currency) {
        tenant -> BigInt,
        payer_account -> Uuid,
        article -> Text,
        currency -> Text,
        round -> BigInt,
        uses -> Integer,
        total_minor -> BigInt,
    }
}

diesel::table! {
    sca_exemption_use (tenant, payment_id) {
        tenant -> BigInt,
        payment_id -> Uuid,
        payer_account -> Uuid,
        article -> Text,
        currency -> Text,
        amount_minor -> BigInt,
        rule_from -> Timestamptz,
        round -> BigInt,
        status -> Text,
        taken_at -> Timestamptz,
        settled_at -> Nullable<Timestamptz>,
    }
}

/// Person, file, digest, when.
type EvidenceRow = (Uuid, Vec<u8>, Vec<u8>, DateTime<Utc>);

/// A use's words in the table.
const EXECUTED: &str = "executed";
const RELEASED: &str = "released";
const TAKEN: &str = "taken";

/// Keeps evidence, each with its file as it was sealed. Tells of whom: a payment that has some takes no other.
pub(super) fn insert_evidence(
    conn: &mut PgConnection,
    tenant: i64,
    evidence: &[(&Evidence, Vec<u8>)],
) -> QueryResult<Vec<Uuid>> {
    const TEXT: &str = "INSERT INTO sca_evidence (tenant, payment_id, person, file, digest, approved_at) SELECT ?, ? \
        ON CONFLICT DO NOTHING RETURNING person";
    let columns = Columns::of(evidence)
        .with::<SqlUuid, _>(|(evidence, _)| evidence.payment_id)
        .with::<SqlUuid, _>(|(evidence, _)| evidence.person)
        .with::<Binary, _>(|(_, sealed)| sealed.as_slice())
        .with::<Binary, _>(|(evidence, _)| evidence.digest.as_slice())
        .with::<Timestamptz, _>(|(evidence, _)| evidence.approved_at);
    statement::<SqlUuid>(TEXT, &[&tenant.into_sql::<BigInt>(), &columns]).load(conn)
}

/// Evidence whose file is still sealed.
pub(super) fn evidence(conn: &mut PgConnection, tenant: i64, payment_id: Uuid) -> QueryResult<Option<Evidence>> {
    let row: Option<EvidenceRow> = sca_evidence::table
        .find((tenant, payment_id))
        .select((sca_evidence::person, sca_evidence::file, sca_evidence::digest, sca_evidence::approved_at))
        .first(conn)
        .optional()?;
    row.map(|(person, file, digest, approved_at)| {
        let digest = <[u8; 32]>::try_from(digest).map_err(|_length| unreadable("a digest"))?;
        Ok(Evidence { payment_id, person, approved_at, file, digest })
    })
    .transpose()
}

/// A person's evidence by payment, after one.
pub(super) fn evidence_list(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    after: Uuid,
    limit: i64,
) -> QueryResult<Vec<super::Approved>> {
    sca_evidence::table
        .filter(sca_evidence::tenant.eq(tenant).and(sca_evidence::person.eq(person)))
        .filter(sca_evidence::payment_id.gt(after))
        .order(sca_evidence::payment_id)
        .limit(limit)
        .select((sca_evidence::payment_id, sca_evidence::digest, sca_evidence::approved_at))
        .load(conn)
}

/// How these stand, kept from others until the transaction ends. Rows of the first time are made before any is locked, and
/// each is done in the order of the ids, so that two never wait for each other.
pub(super) fn lock_standings(
    conn: &mut PgConnection,
    tenant: i64,
    persons: &[Uuid],
) -> QueryResult<HashMap<Uuid, Standing>> {
    const MAKE: &str = "INSERT INTO sca_failure (tenant, person) SELECT ?, ? ON CONFLICT DO NOTHING";
    let mut sorted = persons.to_vec();
    sorted.sort_unstable();
    let columns = Columns::of(&sorted).with::<SqlUuid, _>(|person| *person);
    statement::<()>(MAKE, &[&tenant.into_sql::<BigInt>(), &columns]).execute(conn)?;
    let rows: Vec<(Uuid, i32, i32, Option<DateTime<Utc>>)> = sca_failure::table
        .filter(sca_failure::tenant.eq(tenant).and(sca_failure::person.eq_any(persons)))
        .order(sca_failure::person)
        .select((sca_failure::person, sca_failure::consecutive, sca_failure::blocks, sca_failure::blocked_until))
        .for_update()
        .load(conn)?;
    let read = |(person, consecutive, blocks, blocked_until)| (person, Standing { consecutive, blocks, blocked_until });
    Ok(rows.into_iter().map(read).collect())
}

pub(super) fn set_standing(conn: &mut PgConnection, tenant: i64, person: Uuid, standing: Standing) -> QueryResult<()> {
    diesel::update(sca_failure::table.find((tenant, person)))
        .set((
            sca_failure::consecutive.eq(standing.consecutive),
            sca_failure::blocks.eq(standing.blocks),
            sca_failure::blocked_until.eq(standing.blocked_until),
        ))
        .execute(conn)
        .map(drop)
}

/// The counter of an account, made when it is the first time, and kept from others until the transaction ends; with its
/// round.
pub(super) fn lock_counter(
    conn: &mut PgConnection,
    tenant: i64,
    article: Article,
    candidate: &Candidate<'_>,
) -> QueryResult<(i64, Used)> {
    use sca_exemption_counter::dsl;
    diesel::insert_into(dsl::sca_exemption_counter)
        .values((
            dsl::tenant.eq(tenant),
            dsl::payer_account.eq(candidate.payer_account),
            dsl::article.eq(article.word()),
            dsl::currency.eq(candidate.currency),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    let (round, uses, total_minor) = dsl::sca_exemption_counter
        .find((tenant, candidate.payer_account, article.word(), candidate.currency))
        .select((dsl::round, dsl::uses, dsl::total_minor))
        .for_update()
        .first(conn)?;
    Ok((round, Used { uses, total_minor }))
}

/// Whether the use that a payment has was released; none when it has none.
pub(super) fn use_of(conn: &mut PgConnection, tenant: i64, candidate: &Candidate<'_>) -> QueryResult<Option<bool>> {
    let status: Option<String> = sca_exemption_use::table
        .find((tenant, candidate.payment_id))
        .select(sca_exemption_use::status)
        .first(conn)
        .optional()?;
    Ok(status.map(|status| status == RELEASED))
}

/// Adds a use to the counter, whose row is locked, and to the record.
pub(super) fn add_use(
    conn: &mut PgConnection,
    tenant: i64,
    article: Article,
    candidate: &Candidate<'_>,
    (rule_from, round): (DateTime<Utc>, i64),
    now: DateTime<Utc>,
) -> QueryResult<()> {
    use sca_exemption_counter::dsl as counter;
    use sca_exemption_use::dsl;
    let counted =
        counter::sca_exemption_counter.find((tenant, candidate.payer_account, article.word(), candidate.currency));
    diesel::update(counted)
        .set((
            counter::uses.eq(counter::uses + 1),
            counter::total_minor.eq(counter::total_minor + candidate.amount_minor),
        ))
        .execute(conn)?;
    diesel::insert_into(dsl::sca_exemption_use)
        .values((
            dsl::tenant.eq(tenant),
            dsl::payment_id.eq(candidate.payment_id),
            dsl::payer_account.eq(candidate.payer_account),
            dsl::article.eq(article.word()),
            dsl::currency.eq(candidate.currency),
            dsl::amount_minor.eq(candidate.amount_minor),
            dsl::rule_from.eq(rule_from),
            dsl::round.eq(round),
            dsl::taken_at.eq(now),
        ))
        .execute(conn)
        .map(drop)
}

/// Settles a use that is taken; one that is released is taken off the counter of its round.
pub(super) fn settle_use(
    conn: &mut PgConnection,
    tenant: i64,
    payment_id: Uuid,
    is_released: bool,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    use sca_exemption_counter::dsl as counter;
    use sca_exemption_use::dsl;
    let taken = dsl::sca_exemption_use.find((tenant, payment_id)).filter(dsl::status.eq(TAKEN));
    let settled: Option<(Uuid, String, String, i64, i64)> = diesel::update(taken)
        .set((dsl::status.eq(if is_released { RELEASED } else { EXECUTED }), dsl::settled_at.eq(now)))
        .returning((dsl::payer_account, dsl::article, dsl::currency, dsl::amount_minor, dsl::round))
        .get_result(conn)
        .optional()?;
    let Some((payer_account, article, currency, amount_minor, round)) = settled.filter(|_| is_released) else {
        return Ok(());
    };
    let counted = counter::sca_exemption_counter.find((tenant, payer_account, article, currency));
    diesel::update(counted.filter(counter::round.eq(round)))
        .set((counter::uses.eq(counter::uses - 1), counter::total_minor.eq(counter::total_minor - amount_minor)))
        .execute(conn)
        .map(drop)
}

/// Sets accounts' counters to zero: their payers authenticated strongly.
pub(super) fn reset_counters(conn: &mut PgConnection, tenant: i64, payer_accounts: &[Uuid]) -> QueryResult<()> {
    use sca_exemption_counter::dsl;
    let theirs = dsl::tenant.eq(tenant).and(dsl::payer_account.eq_any(payer_accounts));
    let used = dsl::sca_exemption_counter.filter(theirs.and(dsl::uses.gt(0)));
    diesel::update(used)
        .set((dsl::round.eq(dsl::round + 1), dsl::uses.eq(0), dsl::total_minor.eq(0)))
        .execute(conn)
        .map(drop)
}

pub(super) fn used(
    conn: &mut PgConnection,
    tenant: i64,
    payer_account: Uuid,
    article: Article,
    currency: &str,
) -> QueryResult<Used> {
    let counter: Option<(i32, i64)> = sca_exemption_counter::table
        .find((tenant, payer_account, article.word(), currency))
        .select((sca_exemption_counter::uses, sca_exemption_counter::total_minor))
        .first(conn)
        .optional()?;
    Ok(counter.map(|(uses, total_minor)| Used { uses, total_minor }).unwrap_or_default())
}

/// A column that holds what its table's checks do not allow.
fn unreadable(what: &'static str) -> SqlError {
    SqlError::DeserializationError(what.into())
}
