//! SQL of the table `person`, and of what calls for caution.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::{Level, Person};
use crate::identity::devices::{BoundBy, device};
use crate::identity::recovery;
use crate::platform::text::Lang;

diesel::table! {
    /// Customers who can sign in.
    person (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        number -> BigInt,
        level -> SmallInt,
        locale -> Text,
        created_at -> Timestamptz,
        closed_at -> Nullable<Timestamptz>,
    }
}

pub(super) fn insert(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    id: Uuid,
    locale: Lang,
) -> QueryResult<()> {
    let values =
        (person::tenant.eq(tenant), person::id.eq(id), person::locale.eq(locale.tag()), person::created_at.eq(now));
    diesel::insert_into(person::table).values(values).on_conflict_do_nothing().execute(conn).map(drop)
}

type Row = (Uuid, i64, i16, String, Option<DateTime<Utc>>);

pub(super) fn find(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Person>> {
    let columns = (person::id, person::number, person::level, person::locale, person::closed_at);
    let row: Option<Row> = person::table.find((tenant, id)).select(columns).first(conn).optional()?;
    Ok(row.map(|(id, number, level, locale, closed_at)| Person {
        id,
        number,
        level: Level::of(level),
        locale: Lang::from_tag(&locale).unwrap_or_default(), // the table's check allows ours only
        is_closed: closed_at.is_some(),
    }))
}

pub(super) fn numbers(conn: &mut PgConnection, tenant: i64, ids: &[Uuid]) -> QueryResult<HashMap<Uuid, i64>> {
    let theirs = person::table.filter(person::tenant.eq(tenant).and(person::id.eq_any(ids)));
    let rows: Vec<(Uuid, i64)> = theirs.select((person::id, person::number)).load(conn)?;
    Ok(rows.into_iter().collect())
}

/// Whoever changes the person, or locks them too, waits until the transaction ends.
pub(super) fn lock(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<()> {
    let row = person::table.find((tenant, id)).select(person::number).for_update();
    row.first::<i64>(conn).optional().map(drop)
}

/// Others may hold the person too; whoever locks them waits. False for nobody, and for who closed their account.
pub(super) fn hold(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<bool> {
    let row = person::table.find((tenant, id)).select(person::closed_at).for_share();
    let closed: Option<Option<DateTime<Utc>>> = row.first(conn).optional()?;
    Ok(closed.is_some_and(|closed| closed.is_none()))
}

pub(super) fn set_level(conn: &mut PgConnection, tenant: i64, id: Uuid, level: Level) -> QueryResult<()> {
    diesel::update(person::table.find((tenant, id))).set(person::level.eq(level.number())).execute(conn).map(drop)
}

/// The last recovery or new device after a moment, one that was revoked since too; the device of the sign-up is not new.
pub(super) fn last_changes(
    conn: &mut PgConnection,
    tenant: i64,
    persons: &[Uuid],
    after: DateTime<Utc>,
) -> QueryResult<HashMap<Uuid, DateTime<Utc>>> {
    let devices = device::table.filter(device::tenant.eq(tenant).and(device::person.eq_any(persons)));
    let added: Vec<(Uuid, DateTime<Utc>)> = devices
        .filter(device::created_at.gt(after))
        .filter(device::bound_by.ne(BoundBy::SignUp.number()))
        .select((device::person, device::created_at))
        .load(conn)?;
    let mut last = HashMap::new();
    for (person, at) in recovery::done_since(conn, tenant, persons, after)?.into_iter().chain(added) {
        last.entry(person).and_modify(|last: &mut DateTime<Utc>| *last = at.max(*last)).or_insert(at);
    }
    Ok(last)
}
