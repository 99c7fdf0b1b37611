//! SQL of customers, their secrets and their cards.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::model::{Customer, PersonSecret};

diesel::table! {
    customer (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        reference -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    person_secret (tenant, customer) {
        tenant -> BigInt,
        customer -> Uuid,
        secret -> Binary,
    }
}

diesel::table! {
    customer_card (tenant, customer) {
        tenant -> BigInt,
        customer -> Uuid,
        payments -> BigInt,
        paid_minor -> BigInt,
        last_payment -> Uuid,
        last_merchant -> Uuid,
        last_amount_minor -> BigInt,
        last_at -> Timestamptz,
    }
}

diesel::table! {
    customer_merchant (tenant, customer, merchant) {
        tenant -> BigInt,
        customer -> Uuid,
        merchant -> Uuid,
    }
}

/// A card's counters.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = customer_card)]
pub(super) struct CardRow {
    pub(super) payments: i64,
    pub(super) paid_minor: i64,
    pub(super) last_payment: Uuid,
    pub(super) last_merchant: Uuid,
    pub(super) last_amount_minor: i64,
    pub(super) last_at: DateTime<Utc>,
}

pub(super) fn insert_customers(
    conn: &mut PgConnection,
    tenant: i64,
    all: &[Customer],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let rows: Vec<_> = all
        .iter()
        .map(|one| {
            let (id, reference) = (customer::id.eq(one.id), customer::reference.eq(&one.reference));
            (customer::tenant.eq(tenant), id, reference, customer::created_at.eq(now))
        })
        .collect();
    diesel::insert_into(customer::table).values(rows).on_conflict_do_nothing().execute(conn).map(|_| ())
}

/// Gives a secret to the customers made at `now` that have none.
pub(super) fn insert_secrets(
    conn: &mut PgConnection,
    tenant: i64,
    all: &[Customer],
    secrets: &[PersonSecret],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let text = "INSERT INTO person_secret (tenant, customer, secret) SELECT $1, q.id, q.secret \
        FROM unnest($2, $3) AS q(id, secret) JOIN customer c ON c.tenant = $1 AND c.id = q.id AND c.created_at = $4 \
        ON CONFLICT DO NOTHING";
    let ids: Vec<Uuid> = all.iter().map(|one| one.id).collect();
    let bytes: Vec<&[u8]> = secrets.iter().map(|secret| secret.0.as_slice()).collect();
    let query = diesel::sql_query(text).bind::<BigInt, _>(tenant).bind::<Array<SqlUuid>, _>(ids);
    query.bind::<Array<Binary>, _>(bytes).bind::<Timestamptz, _>(now).execute(conn).map(|_| ())
}

pub(super) fn secret(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<PersonSecret>> {
    let bytes: Option<Vec<u8>> =
        person_secret::table.find((tenant, id)).select(person_secret::secret).first(conn).optional()?;
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(PersonSecret))
}

pub(super) fn secrets(conn: &mut PgConnection, tenant: i64, ids: &[Uuid]) -> QueryResult<Vec<(Uuid, PersonSecret)>> {
    let rows = person_secret::table
        .filter(person_secret::tenant.eq(tenant).and(person_secret::customer.eq_any(ids)))
        .select((person_secret::customer, person_secret::secret))
        .load::<(Uuid, Vec<u8>)>(conn)?;
    Ok(rows.into_iter().filter_map(|(id, bytes)| Some((id, PersonSecret(bytes.try_into().ok()?)))).collect())
}

pub(super) fn customer(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Customer>> {
    let found =
        customer::table.find((tenant, id)).select((customer::id, customer::reference)).first(conn).optional()?;
    Ok(found.map(|(id, reference)| Customer { id, reference }))
}

pub(super) fn card(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<CardRow>> {
    customer_card::table.find((tenant, id)).select(CardRow::as_select()).first(conn).optional()
}

/// What a page of the journal adds to cards, one row per customer.
#[derive(Debug, Default)]
pub(super) struct Additions {
    pub(super) customer: Vec<Uuid>,
    pub(super) payments: Vec<i64>,
    pub(super) paid_minor: Vec<i64>,
    pub(super) last_payment: Vec<Uuid>,
    pub(super) last_merchant: Vec<Uuid>,
    pub(super) last_amount_minor: Vec<i64>,
    pub(super) last_at: Vec<DateTime<Utc>>,
}

/// Adds a page to the cards. The last payment is the latest by date, the later recorded of two of one moment.
pub(super) fn add_to_cards(conn: &mut PgConnection, tenant: i64, add: &Additions) -> QueryResult<()> {
    let text = "INSERT INTO customer_card AS c (tenant, customer, payments, paid_minor, last_payment, last_merchant, \
        last_amount_minor, last_at) SELECT $1, q.* FROM unnest($2, $3, $4, $5, $6, $7, $8) AS q \
        ON CONFLICT (tenant, customer) DO UPDATE SET payments = c.payments + excluded.payments, \
        paid_minor = c.paid_minor + excluded.paid_minor, \
        last_payment = CASE WHEN excluded.last_at >= c.last_at THEN excluded.last_payment ELSE c.last_payment END, \
        last_merchant = CASE WHEN excluded.last_at >= c.last_at THEN excluded.last_merchant ELSE c.last_merchant END, \
        last_amount_minor = CASE WHEN excluded.last_at >= c.last_at THEN excluded.last_amount_minor ELSE c.last_amount_minor END, \
        last_at = greatest(c.last_at, excluded.last_at)";
    diesel::sql_query(text)
        .bind::<BigInt, _>(tenant)
        .bind::<Array<SqlUuid>, _>(&add.customer)
        .bind::<Array<BigInt>, _>(&add.payments)
        .bind::<Array<BigInt>, _>(&add.paid_minor)
        .bind::<Array<SqlUuid>, _>(&add.last_payment)
        .bind::<Array<SqlUuid>, _>(&add.last_merchant)
        .bind::<Array<BigInt>, _>(&add.last_amount_minor)
        .bind::<Array<Timestamptz>, _>(&add.last_at)
        .execute(conn)
        .map(|_| ())
}

/// Notes whom customers have paid: pairs of customer and merchant.
pub(super) fn add_merchants(
    conn: &mut PgConnection,
    tenant: i64,
    (customers, merchants): (&[Uuid], &[Uuid]),
) -> QueryResult<()> {
    let text = "INSERT INTO customer_merchant (tenant, customer, merchant) \
        SELECT DISTINCT $1, q.customer, q.merchant FROM unnest($2, $3) AS q(customer, merchant) ON CONFLICT DO NOTHING";
    let query = diesel::sql_query(text).bind::<BigInt, _>(tenant).bind::<Array<SqlUuid>, _>(customers);
    query.bind::<Array<SqlUuid>, _>(merchants).execute(conn).map(|_| ())
}

/// Whether a customer has paid one of these merchants.
pub(super) fn was_at(conn: &mut PgConnection, tenant: i64, customer: Uuid, merchants: &[Uuid]) -> QueryResult<bool> {
    let theirs = customer_merchant::table
        .filter(customer_merchant::tenant.eq(tenant).and(customer_merchant::customer.eq(customer)));
    let there = theirs.filter(customer_merchant::merchant.eq_any(merchants));
    diesel::select(diesel::dsl::exists(there)).get_result(conn)
}
