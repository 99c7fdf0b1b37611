//! SQL of the tables `operator`, `operator_role` and `operator_invitation`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::hours::Hours;
use super::model::{HeldRole, NewRole};
use crate::platform::keyring::{Role, Token};

diesel::table! {
    /// Who works for a tenant.
    operator (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        number -> BigInt,
        name -> Binary,
        email -> Binary,
        email_index -> Binary,
        created_at -> Timestamptz,
        closed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    operator_role (tenant, operator, id) {
        tenant -> BigInt,
        operator -> Uuid,
        id -> Uuid,
        role -> Text,
        merchant -> Nullable<Uuid>,
        hours -> Nullable<Array<Nullable<Integer>>>,
        granted_by -> Nullable<Uuid>,
        granted_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    operator_invitation (tenant, prefix) {
        tenant -> BigInt,
        prefix -> Text,
        hash -> Binary,
        operator -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        used_at -> Nullable<Timestamptz>,
    }
}

/// An operator, sealed.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = operator)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) number: i64,
    pub(super) name: Vec<u8>,
    pub(super) email: Vec<u8>,
    pub(super) closed_at: Option<DateTime<Utc>>,
}

pub(super) struct Sealed {
    pub(super) id: Uuid,
    pub(super) name: Vec<u8>,
    pub(super) email: Vec<u8>,
    pub(super) email_index: [u8; 32],
}

pub(super) fn insert(conn: &mut PgConnection, tenant: i64, new: &Sealed, now: DateTime<Utc>) -> QueryResult<()> {
    let values = (
        operator::tenant.eq(tenant),
        operator::id.eq(new.id),
        operator::name.eq(&new.name),
        operator::email.eq(&new.email),
        operator::email_index.eq(new.email_index.as_slice()),
        operator::created_at.eq(now),
    );
    diesel::insert_into(operator::table).values(values).execute(conn).map(drop)
}

/// Who has an address and has not left.
pub(super) fn by_email(conn: &mut PgConnection, tenant: i64, index: &[u8; 32]) -> QueryResult<Option<Uuid>> {
    let theirs = operator::table.filter(operator::tenant.eq(tenant).and(operator::email_index.eq(index.as_slice())));
    theirs.filter(operator::closed_at.is_null()).select(operator::id).first(conn).optional()
}

/// An operator who has not left.
pub(super) fn find(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Row>> {
    let row = operator::table.find((tenant, id)).filter(operator::closed_at.is_null());
    row.select(Row::as_select()).first(conn).optional()
}

/// Who has a number, whether they have left or not.
pub(super) fn of_number(conn: &mut PgConnection, tenant: i64, number: i64) -> QueryResult<Option<Uuid>> {
    let theirs = operator::table.filter(operator::tenant.eq(tenant).and(operator::number.eq(number)));
    theirs.select(operator::id).first(conn).optional()
}

/// Whether one of these roles of theirs ended since.
pub(super) fn has_lost(
    conn: &mut PgConnection,
    tenant: i64,
    operator: Uuid,
    roles: &[Role],
    since: DateTime<Utc>,
) -> QueryResult<bool> {
    let words: Vec<_> = roles.iter().map(|role| role.word()).collect();
    let theirs =
        operator_role::table.filter(operator_role::tenant.eq(tenant).and(operator_role::operator.eq(operator)));
    let lost = theirs.filter(operator_role::role.eq_any(words).and(operator_role::ended_at.ge(since)));
    diesel::select(diesel::dsl::exists(lost)).get_result(conn)
}

pub(super) fn all(conn: &mut PgConnection, tenant: i64) -> QueryResult<Vec<Row>> {
    let rows = operator::table.filter(operator::tenant.eq(tenant)).order((operator::created_at, operator::id));
    rows.select(Row::as_select()).load(conn)
}

/// False when they left before.
pub(super) fn close(conn: &mut PgConnection, tenant: i64, id: Uuid, now: DateTime<Utc>) -> QueryResult<bool> {
    let row = operator::table.find((tenant, id)).filter(operator::closed_at.is_null());
    Ok(diesel::update(row).set(operator::closed_at.eq(now)).execute(conn)? == 1)
}

pub(super) fn insert_role(
    conn: &mut PgConnection,
    tenant: i64,
    (operator, id): (Uuid, Uuid),
    new: &NewRole,
    granted_by: Option<Uuid>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let values = (
        operator_role::tenant.eq(tenant),
        operator_role::operator.eq(operator),
        operator_role::id.eq(id),
        operator_role::role.eq(new.role.word()),
        operator_role::merchant.eq(new.merchant),
        operator_role::hours.eq(new.hours.map(|hours| hours.kept().into_iter().map(Some).collect::<Vec<_>>())),
        operator_role::granted_by.eq(granted_by),
        operator_role::granted_at.eq(now),
    );
    diesel::insert_into(operator_role::table).values(values).execute(conn).map(drop)
}

/// Ends all grants of a role, at a merchant or of the whole tenant; how many.
pub(super) fn end_role(
    conn: &mut PgConnection,
    tenant: i64,
    operator: Uuid,
    (role, merchant): (Role, Option<Uuid>),
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    let theirs =
        operator_role::table.filter(operator_role::tenant.eq(tenant).and(operator_role::operator.eq(operator)));
    let rows = theirs.filter(operator_role::ended_at.is_null().and(operator_role::role.eq(role.word())));
    let rows = rows.filter(operator_role::merchant.is_not_distinct_from(merchant));
    diesel::update(rows).set(operator_role::ended_at.eq(now)).execute(conn)
}

type RoleRow = (Uuid, String, Option<Uuid>, Option<Vec<Option<i32>>>, DateTime<Utc>);

/// The roles of an operator that have not ended, whatever the hour. One that this release does not know is left out: it
/// came with a newer one, and its holder does less here, not more; so is one whose hours cannot be read.
pub(super) fn roles(conn: &mut PgConnection, tenant: i64, operator: Uuid) -> QueryResult<Vec<HeldRole>> {
    let rows: Vec<RoleRow> = operator_role::table
        .filter(operator_role::tenant.eq(tenant).and(operator_role::operator.eq(operator)))
        .filter(operator_role::ended_at.is_null())
        .order((operator_role::granted_at, operator_role::id))
        .select((
            operator_role::id,
            operator_role::role,
            operator_role::merchant,
            operator_role::hours,
            operator_role::granted_at,
        ))
        .load(conn)?;
    let read = |(id, role, merchant, hours, granted_at): RoleRow| {
        let role = role.parse::<Role>().ok()?;
        let hours = match hours {
            Some(kept) => Some(Hours::of(&kept.into_iter().flatten().collect::<Vec<_>>())?),
            None => None,
        };
        Some(HeldRole { id, role: NewRole { role, merchant, hours }, granted_at })
    };
    Ok(rows.into_iter().filter_map(read).collect())
}

pub(super) fn insert_invitation(
    conn: &mut PgConnection,
    tenant: i64,
    operator: Uuid,
    token: &Token,
    (now, until): (DateTime<Utc>, DateTime<Utc>),
) -> QueryResult<()> {
    let values = (
        operator_invitation::tenant.eq(tenant),
        operator_invitation::prefix.eq(token.prefix()),
        operator_invitation::hash.eq(token.hash().to_vec()),
        operator_invitation::operator.eq(operator),
        operator_invitation::created_at.eq(now),
        operator_invitation::expires_at.eq(until),
    );
    diesel::insert_into(operator_invitation::table).values(values).execute(conn).map(drop)
}

/// Whom an invitation is for that is good, locked against others who bring it.
pub(super) fn lock_invitation(
    conn: &mut PgConnection,
    tenant: i64,
    token: &Token,
    now: DateTime<Utc>,
) -> QueryResult<Option<Uuid>> {
    let row: Option<(Uuid, Vec<u8>)> = operator_invitation::table
        .find((tenant, token.prefix()))
        .filter(operator_invitation::used_at.is_null().and(operator_invitation::expires_at.gt(now)))
        .select((operator_invitation::operator, operator_invitation::hash))
        .for_update()
        .first(conn)
        .optional()?;
    let is_it = |hash: &[u8]| bool::from(hash.ct_eq(&token.hash()));
    Ok(row.filter(|(_, hash)| is_it(hash)).map(|(operator, _)| operator))
}

/// Whatever invitation of theirs is not used counts as used from now on.
pub(super) fn use_up_invitations(
    conn: &mut PgConnection,
    tenant: i64,
    operator: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let theirs = operator_invitation::table
        .filter(operator_invitation::tenant.eq(tenant).and(operator_invitation::operator.eq(operator)));
    let open = theirs.filter(operator_invitation::used_at.is_null());
    diesel::update(open).set(operator_invitation::used_at.eq(now)).execute(conn).map(drop)
}
