//! SQL of the table `operator_password`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::identity::operators::operator;

diesel::table! {
    operator_password (tenant, operator) {
        tenant -> BigInt,
        operator -> Uuid,
        kept -> Text,
        set_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(operator_password, operator);

/// Who has this address and has not left, and what is kept of their password.
pub(super) fn by_email(conn: &mut PgConnection, tenant: i64, index: &[u8; 32]) -> QueryResult<Option<(Uuid, String)>> {
    let theirs = operator::tenant.eq(operator_password::tenant).and(operator::id.eq(operator_password::operator));
    operator_password::table
        .inner_join(operator::table.on(theirs))
        .filter(operator_password::tenant.eq(tenant).and(operator::email_index.eq(index.as_slice())))
        .filter(operator::closed_at.is_null())
        .select((operator_password::operator, operator_password::kept))
        .first(conn)
        .optional()
}

/// Whether this is still what is kept of somebody who has not left.
pub(super) fn is_kept(conn: &mut PgConnection, tenant: i64, id: Uuid, kept: &str) -> QueryResult<bool> {
    let theirs = operator::tenant.eq(operator_password::tenant).and(operator::id.eq(operator_password::operator));
    let row: Option<Uuid> = operator_password::table
        .inner_join(operator::table.on(theirs))
        .filter(operator_password::tenant.eq(tenant).and(operator_password::operator.eq(id)))
        .filter(operator_password::kept.eq(kept).and(operator::closed_at.is_null()))
        .select(operator_password::operator)
        .first(conn)
        .optional()?;
    Ok(row.is_some())
}

pub(super) fn keep(conn: &mut PgConnection, tenant: i64, id: Uuid, kept: &str, now: DateTime<Utc>) -> QueryResult<()> {
    let (text, at) = (operator_password::kept.eq(kept), operator_password::set_at.eq(now));
    diesel::insert_into(operator_password::table)
        .values((operator_password::tenant.eq(tenant), operator_password::operator.eq(id), text, at))
        .on_conflict((operator_password::tenant, operator_password::operator))
        .do_update()
        .set((text, at))
        .execute(conn)
        .map(drop)
}

pub(super) fn is_set(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(operator_password::table.find((tenant, id)))).get_result(conn)
}

/// False when there was none.
pub(super) fn end(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<bool> {
    diesel::delete(operator_password::table.find((tenant, id))).execute(conn).map(|ended| ended == 1)
}
