//! SQL of the tables `four_eyes` and `four_eyes_policy`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as SqlError;
use uuid::Uuid;

use super::{Act, Decision, Filter, Proposal};

diesel::table! {
    four_eyes (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        act -> Text,
        object -> Text,
        body -> Binary,
        fingerprint -> Binary,
        asked_by -> BigInt,
        asked_eyes -> BigInt,
        asked_at -> Timestamptz,
        expires_at -> Timestamptz,
        decided_by -> Nullable<BigInt>,
        decided_eyes -> Nullable<BigInt>,
        decided_at -> Nullable<Timestamptz>,
        is_approved -> Nullable<Bool>,
        withdrawn_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    four_eyes_policy (tenant) {
        tenant -> BigInt,
        refunds_above_minor -> BigInt,
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = four_eyes)]
struct Row {
    id: Uuid,
    act: String,
    object: String,
    body: Vec<u8>,
    fingerprint: Vec<u8>,
    asked_by: i64,
    asked_eyes: i64,
    asked_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    decided_by: Option<i64>,
    decided_at: Option<DateTime<Utc>>,
    is_approved: Option<bool>,
    withdrawn_at: Option<DateTime<Utc>>,
}

impl Row {
    fn into_proposal(self) -> QueryResult<Proposal> {
        let decided = match (self.decided_by, self.decided_at, self.is_approved) {
            (Some(by), Some(at), Some(is_approved)) => Some(Decision { by, at, is_approved }),
            _ => None, // the table's checks allow all three or none
        };
        Ok(Proposal {
            id: self.id,
            act: Act::of(&self.act).ok_or_else(|| unreadable("an unknown act"))?,
            object: self.object,
            body: self.body,
            fingerprint: self.fingerprint.try_into().map_err(|_length| unreadable("a digest's length"))?,
            asked_by: self.asked_by,
            asked_eyes: self.asked_eyes,
            asked_at: self.asked_at,
            expires_at: self.expires_at,
            decided,
            withdrawn_at: self.withdrawn_at,
        })
    }
}

/// False when something was asked under the id before.
pub(super) fn insert(conn: &mut PgConnection, tenant: i64, new: &Proposal) -> QueryResult<bool> {
    let values = (
        four_eyes::tenant.eq(tenant),
        four_eyes::id.eq(new.id),
        four_eyes::act.eq(new.act.word()),
        four_eyes::object.eq(&new.object),
        four_eyes::body.eq(&new.body),
        four_eyes::fingerprint.eq(new.fingerprint.as_slice()),
        four_eyes::asked_by.eq(new.asked_by),
        four_eyes::asked_eyes.eq(new.asked_eyes),
        four_eyes::asked_at.eq(new.asked_at),
        four_eyes::expires_at.eq(new.expires_at),
    );
    Ok(diesel::insert_into(four_eyes::table).values(values).on_conflict_do_nothing().execute(conn)? == 1)
}

pub(super) fn find(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Proposal>> {
    let row = four_eyes::table.find((tenant, id)).select(Row::as_select()).first(conn).optional()?;
    row.map(Row::into_proposal).transpose()
}

/// What was asked under an id, kept from others until the transaction ends.
pub(super) fn lock(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Proposal>> {
    let row = four_eyes::table.find((tenant, id)).select(Row::as_select()).for_update().first(conn).optional()?;
    row.map(Row::into_proposal).transpose()
}

/// Its row is locked, and has no decision yet.
pub(super) fn set_decision(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    (eyes, decision): (i64, Decision),
) -> QueryResult<()> {
    let values = (
        four_eyes::decided_by.eq(decision.by),
        four_eyes::decided_eyes.eq(eyes),
        four_eyes::decided_at.eq(decision.at),
        four_eyes::is_approved.eq(decision.is_approved),
    );
    let open = four_eyes::table.find((tenant, id)).filter(four_eyes::decided_at.is_null());
    diesel::update(open).set(values).execute(conn).map(drop)
}

pub(super) fn page(conn: &mut PgConnection, tenant: i64, filter: &Filter, most: i64) -> QueryResult<Vec<Proposal>> {
    let words: Vec<_> = filter.acts.iter().map(|act| act.word()).collect();
    let mut rows = four_eyes::table
        .filter(four_eyes::tenant.eq(tenant).and(four_eyes::act.eq_any(words)))
        .order((four_eyes::asked_at.desc(), four_eyes::id.desc()))
        .limit(most)
        .select(Row::as_select())
        .into_boxed();
    if let Some(now) = filter.pending_at {
        rows = rows.filter(
            four_eyes::decided_at.is_null().and(four_eyes::withdrawn_at.is_null()).and(four_eyes::expires_at.gt(now)),
        );
    }
    if let Some((at, id)) = filter.before {
        let earlier = four_eyes::asked_at.lt(at);
        rows = rows.filter(earlier.or(four_eyes::asked_at.eq(at).and(four_eyes::id.lt(id))));
    }
    let rows: Vec<Row> = rows.load(conn)?;
    rows.into_iter().map(Row::into_proposal).collect()
}

/// Its row is locked, and has no decision.
pub(super) fn set_withdrawn(conn: &mut PgConnection, tenant: i64, id: Uuid, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::update(four_eyes::table.find((tenant, id))).set(four_eyes::withdrawn_at.eq(now)).execute(conn).map(drop)
}

pub(super) fn refunds_above(conn: &mut PgConnection, tenant: i64) -> QueryResult<Option<i64>> {
    four_eyes_policy::table.find(tenant).select(four_eyes_policy::refunds_above_minor).first(conn).optional()
}

pub(super) fn set_refunds_above(conn: &mut PgConnection, tenant: i64, minor: Option<i64>) -> QueryResult<()> {
    let Some(minor) = minor else {
        return diesel::delete(four_eyes_policy::table.find(tenant)).execute(conn).map(drop);
    };
    let above = four_eyes_policy::refunds_above_minor;
    diesel::insert_into(four_eyes_policy::table)
        .values((four_eyes_policy::tenant.eq(tenant), above.eq(minor)))
        .on_conflict(four_eyes_policy::tenant)
        .do_update()
        .set(above.eq(minor))
        .execute(conn)
        .map(drop)
}

/// A column that holds what its table's checks do not allow, or what only a newer release writes.
fn unreadable(what: &'static str) -> SqlError {
    SqlError::DeserializationError(what.into())
}
