//! Sessions of operators.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::{NOTED_EVERY, ended, session};
use crate::identity::operators::operator;
use crate::identity::sessions::{End, Issued, STAFF_IDLE};
use crate::platform::keyring::Operator;

/// An operator's session: who, and the access token's hash.
pub(in crate::identity) struct OperatorAccess {
    pub(in crate::identity) tenant: i64,
    pub(in crate::identity) hash: Vec<u8>,
    pub(in crate::identity) operator: Operator,
    /// Opened by a password, not by a passkey.
    pub(in crate::identity) by_password: bool,
}

/// The same of an operator, unless nothing was asked for too long, or they have left.
pub(in crate::identity) fn find_operator_access(
    conn: &mut PgConnection,
    prefix: &str,
    now: DateTime<Utc>,
) -> QueryResult<Option<OperatorAccess>> {
    let theirs = operator::tenant.eq(session::tenant).and(operator::id.nullable().eq(session::operator));
    let row: Option<(i64, Uuid, Uuid, i64, Vec<u8>, bool)> = session::table
        .inner_join(operator::table.on(theirs))
        .filter(session::access_prefix.eq(prefix).and(session::access_until.gt(now)).and(session::until.gt(now)))
        .filter(session::revoked_at.is_null().and(operator::closed_at.is_null()))
        .filter(session::seen_at.ge(now - STAFF_IDLE))
        .select((
            session::tenant,
            session::id,
            operator::id,
            operator::number,
            session::access_hash,
            session::by_password,
        ))
        .first(conn)
        .optional()?;
    let read = |(tenant, session, id, number, hash, by_password)| OperatorAccess {
        tenant,
        hash,
        operator: Operator { id, number, session },
        by_password,
    };
    Ok(row.map(read))
}

/// Notes that an operator's session is used, while it lives.
pub(in crate::identity) fn touch_operator(
    conn: &mut PgConnection,
    tenant: i64,
    session: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let row = session::table.find((tenant, session)).filter(session::seen_at.lt(now - NOTED_EVERY));
    let there = row.filter(session::seen_at.ge(now - STAFF_IDLE));
    diesel::update(there).set(session::seen_at.eq(now)).execute(conn).map(drop)
}

pub(in crate::identity::sessions) fn insert(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    (id, operator): (Uuid, Uuid),
    (is_strict, by_password, until): (bool, bool, DateTime<Utc>),
    access: &Issued,
) -> QueryResult<()> {
    let values = (
        session::tenant.eq(tenant),
        session::id.eq(id),
        session::operator.eq(operator),
        session::strict.eq(is_strict),
        session::by_password.eq(by_password),
        session::access_prefix.eq(access.token.prefix()),
        session::access_hash.eq(access.token.hash().to_vec()),
        session::access_until.eq(access.until),
        session::created_at.eq(now),
        session::authenticated_at.eq(now),
        session::seen_at.eq(now),
        session::until.eq(until),
    );
    diesel::insert_into(session::table).values(values).execute(conn).map(drop)
}

pub(in crate::identity::sessions) fn end(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    (operator, only): (Uuid, Option<Uuid>),
    why: End,
) -> QueryResult<Vec<String>> {
    let theirs = session::table.filter(session::tenant.eq(tenant).and(session::operator.eq(operator)));
    let mut rows = theirs.filter(session::revoked_at.is_null()).into_boxed();
    if let Some(only) = only {
        rows = rows.filter(session::id.eq(only));
    }
    let ids: Vec<Uuid> = rows.select(session::id).load(conn)?;
    let ending = session::table.filter(session::tenant.eq(tenant).and(session::id.eq_any(ids)));
    diesel::update(ending).set(ended(now, why)).returning(session::access_prefix).get_results(conn)
}

pub(in crate::identity::sessions) fn end_by_password(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    operator: Uuid,
) -> QueryResult<Vec<String>> {
    let theirs = session::table.filter(session::tenant.eq(tenant).and(session::operator.eq(operator)));
    let rows = theirs.filter(session::revoked_at.is_null().and(session::by_password.eq(true)));
    diesel::update(rows).set(ended(now, End::RolesChanged)).returning(session::access_prefix).get_results(conn)
}

/// When a passkey was last shown in an operator's session; none in one that a password opened.
pub(in crate::identity::sessions) fn passkey_shown_at(
    conn: &mut PgConnection,
    tenant: i64,
    session: Uuid,
) -> QueryResult<Option<DateTime<Utc>>> {
    let row = session::table.find((tenant, session)).filter(session::by_password.eq(false));
    row.select(session::authenticated_at).first(conn).optional()
}
