//! SQL of the table `payment_intent`.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use diesel::result::Error as SqlError;
use diesel::sql_types::{BigInt, Binary, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::LOOK_AFTER;
use super::model::{Agreed, Agreement, Intended};
use crate::identity::sca::exemption::Article;
use crate::platform::db::{Arg, Columns, statement};

diesel::table! {
    payment_intent (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        person -> Uuid,
        request -> Uuid,
        fingerprint -> Uuid,
        merchant -> Uuid,
        payee_name -> Text,
        amount_minor -> BigInt,
        reference -> Nullable<Text>,
        asked_at -> Timestamptz,
        execution_date -> Date,
        offer -> Nullable<Uuid>,
        offered_until -> Nullable<Timestamptz>,
        agreed_at -> Nullable<Timestamptz>,
        evidence -> Nullable<Binary>,
        article -> Nullable<Text>,
        post_until -> Nullable<Timestamptz>,
        look_at -> Nullable<Timestamptz>,
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = payment_intent)]
struct Row {
    id: Uuid,
    person: Uuid,
    request: Uuid,
    fingerprint: Uuid,
    merchant: Uuid,
    payee_name: String,
    amount_minor: i64,
    reference: Option<String>,
    asked_at: DateTime<Utc>,
    execution_date: NaiveDate,
    offer: Option<Uuid>,
    offered_until: Option<DateTime<Utc>>,
    agreed_at: Option<DateTime<Utc>>,
    evidence: Option<Vec<u8>>,
    article: Option<String>,
    post_until: Option<DateTime<Utc>>,
}

impl Row {
    fn into_intended(self) -> QueryResult<Intended> {
        let how = match (self.evidence, self.article) {
            (Some(digest), _) => {
                Some(Agreed::Approved(digest.try_into().map_err(|_length| unreadable("a digest's length"))?))
            }
            (None, Some(word)) => {
                Some(Agreed::Exempt(Article::of(&word).ok_or_else(|| unreadable("an unknown article"))?))
            }
            (None, None) => None,
        };
        let agreement = match (how, self.agreed_at, self.post_until) {
            (Some(how), Some(at), Some(post_until)) => Some(Agreement { how, at, post_until }),
            _ => None, // the table's checks allow all three or none
        };
        Ok(Intended {
            id: self.id,
            person: self.person,
            request: (self.request, self.fingerprint),
            merchant: self.merchant,
            payee_name: self.payee_name,
            amount_minor: self.amount_minor,
            reference: self.reference,
            asked_at: self.asked_at,
            execution_date: self.execution_date,
            offer: self.offer.zip(self.offered_until),
            agreement,
        })
    }
}

/// False when the person asked something under this key before.
pub(super) fn insert(conn: &mut PgConnection, tenant: i64, new: &Intended) -> QueryResult<bool> {
    let (request, fingerprint) = new.request;
    let values = (
        payment_intent::tenant.eq(tenant),
        payment_intent::id.eq(new.id),
        payment_intent::person.eq(new.person),
        payment_intent::request.eq(request),
        payment_intent::fingerprint.eq(fingerprint),
        payment_intent::merchant.eq(new.merchant),
        payment_intent::payee_name.eq(&new.payee_name),
        payment_intent::amount_minor.eq(new.amount_minor),
        payment_intent::reference.eq(&new.reference),
        payment_intent::asked_at.eq(new.asked_at),
        payment_intent::execution_date.eq(new.execution_date),
    );
    let added = diesel::insert_into(payment_intent::table)
        .values(values)
        .on_conflict((payment_intent::tenant, payment_intent::person, payment_intent::request))
        .do_nothing()
        .execute(conn)?;
    Ok(added == 1)
}

/// What a person asked under this key, kept from others until the transaction ends.
pub(super) fn lock_asked(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    request: Uuid,
) -> QueryResult<Option<Intended>> {
    let theirs = payment_intent::table.filter(payment_intent::tenant.eq(tenant).and(payment_intent::person.eq(person)));
    let row = theirs.filter(payment_intent::request.eq(request)).select(Row::as_select()).for_update();
    row.first(conn).optional()?.map(Row::into_intended).transpose()
}

/// Payments of these persons', kept from others until the transaction ends: in the order of their ids, so that two never wait
/// for each other.
pub(super) fn lock_all(
    conn: &mut PgConnection,
    tenant: i64,
    (persons, ids): (&[Uuid], &[Uuid]),
) -> QueryResult<Vec<Intended>> {
    let theirs = payment_intent::table.filter(payment_intent::tenant.eq(tenant).and(payment_intent::id.eq_any(ids)));
    let rows: Vec<Row> = theirs
        .filter(payment_intent::person.eq_any(persons))
        .order(payment_intent::id)
        .select(Row::as_select())
        .for_update()
        .load(conn)?;
    rows.into_iter().map(Row::into_intended).collect()
}

/// A payment of a person's.
pub(super) fn find(conn: &mut PgConnection, tenant: i64, person: Uuid, id: Uuid) -> QueryResult<Option<Intended>> {
    let row = payment_intent::table.find((tenant, id)).filter(payment_intent::person.eq(person));
    row.select(Row::as_select()).first(conn).optional()?.map(Row::into_intended).transpose()
}

/// A person's payments, newest first, from before this one on.
pub(super) fn page(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    before: Option<Uuid>,
    limit: i64,
) -> QueryResult<Vec<Intended>> {
    let theirs = payment_intent::table.filter(payment_intent::tenant.eq(tenant).and(payment_intent::person.eq(person)));
    // Ids grow with time, so their order is that of asking.
    let rows: Vec<Row> = theirs
        .filter(payment_intent::id.lt(before.unwrap_or(Uuid::max())))
        .order(payment_intent::id.desc())
        .limit(limit)
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(Row::into_intended).collect()
}

/// How much a person agreed to pay after a moment, cents.
pub(super) fn agreed_since(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    after: DateTime<Utc>,
) -> QueryResult<i64> {
    let theirs = payment_intent::table.filter(payment_intent::tenant.eq(tenant).and(payment_intent::person.eq(person)));
    let amounts: Vec<i64> =
        theirs.filter(payment_intent::agreed_at.gt(after)).select(payment_intent::amount_minor).load(conn)?;
    Ok(amounts.into_iter().fold(0, i64::saturating_add))
}

pub(super) fn set_offer(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    (offer, until): (Uuid, DateTime<Utc>),
) -> QueryResult<()> {
    diesel::update(payment_intent::table.find((tenant, id)))
        .set((payment_intent::offer.eq(offer), payment_intent::offered_until.eq(until)))
        .execute(conn)
        .map(drop)
}

/// Keeps how a payer agreed. Its row is locked, and has no agreement yet.
pub(super) fn set_agreement(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    Agreement { how, at, post_until }: &Agreement,
) -> QueryResult<()> {
    let (evidence, article) = match how {
        Agreed::Approved(digest) => (Some(digest.to_vec()), None),
        Agreed::Exempt(article) => (None, Some(article.word())),
    };
    diesel::update(payment_intent::table.find((tenant, id)).filter(payment_intent::agreed_at.is_null()))
        .set((
            payment_intent::agreed_at.eq(at),
            payment_intent::evidence.eq(evidence),
            payment_intent::article.eq(article),
            payment_intent::post_until.eq(post_until),
            payment_intent::look_at.eq(*at + LOOK_AFTER),
        ))
        .execute(conn)
        .map(drop)
}

/// Keeps that payers approved at the same moment, each with the digest of its evidence. Their rows are locked, and have no
/// agreement yet.
pub(super) fn set_approved(
    conn: &mut PgConnection,
    tenant: i64,
    approved: &[(Uuid, [u8; 32])],
    (at, post_until): (DateTime<Utc>, DateTime<Utc>),
) -> QueryResult<()> {
    const TEXT: &str = "UPDATE payment_intent SET agreed_at = ?, evidence = approved.evidence, post_until = ?, look_at = ? \
        FROM (SELECT ?) AS approved (id, evidence) \
        WHERE payment_intent.tenant = ? AND payment_intent.id = approved.id AND agreed_at IS NULL";
    let columns =
        Columns::of(approved).with::<SqlUuid, _>(|(id, _)| *id).with::<Binary, _>(|(_, evidence)| evidence.as_slice());
    let args: [Arg<'_>; 5] = [
        &at.into_sql::<Timestamptz>(),
        &post_until.into_sql::<Timestamptz>(),
        &(at + LOOK_AFTER).into_sql::<Timestamptz>(),
        &columns,
        &tenant.into_sql::<BigInt>(),
    ];
    statement::<()>(TEXT, &args).execute(conn).map(drop)
}

/// Payments that were agreed to and are to be looked at, locked for whoever asks first. One that cannot be read is told by its id.
pub(super) fn lock_unfinished(
    conn: &mut PgConnection,
    tenant: i64,
    now: DateTime<Utc>,
    most: i64,
) -> QueryResult<Vec<(Uuid, QueryResult<Intended>)>> {
    let due = payment_intent::table.filter(payment_intent::tenant.eq(tenant).and(payment_intent::look_at.le(now)));
    let rows: Vec<Row> = due
        .order(payment_intent::look_at)
        .limit(most)
        .select(Row::as_select())
        .for_update()
        .skip_locked()
        .load(conn)?;
    Ok(rows.into_iter().map(|row| (row.id, row.into_intended())).collect())
}

/// When these are to be looked at again; never, once the journal has said what became of them.
pub(super) fn set_look_at(
    conn: &mut PgConnection,
    tenant: i64,
    ids: &[Uuid],
    at: Option<DateTime<Utc>>,
) -> QueryResult<()> {
    diesel::update(payment_intent::table.filter(payment_intent::tenant.eq(tenant).and(payment_intent::id.eq_any(ids))))
        .set(payment_intent::look_at.eq(at))
        .execute(conn)
        .map(drop)
}

/// A column that holds what its table's checks do not allow, or what only a newer release writes.
fn unreadable(what: &'static str) -> SqlError {
    SqlError::DeserializationError(what.into())
}
