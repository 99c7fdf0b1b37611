//! SQL of the table `contact`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::Kind;
use crate::identity::codes::Blind;

diesel::table! {
    contact (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        person -> Uuid,
        kind -> Text,
        value -> Binary,
        blind -> Nullable<Binary>,
        proved_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
    }
}

pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) person: Uuid,
    pub(super) kind: Kind,
    pub(super) value: Vec<u8>,
    pub(super) proved_at: DateTime<Utc>,
}

type Columns = (Uuid, Uuid, String, Vec<u8>, DateTime<Utc>);
const COLUMNS: (contact::id, contact::person, contact::kind, contact::value, contact::proved_at) =
    (contact::id, contact::person, contact::kind, contact::value, contact::proved_at);

fn read((id, person, kind, value, proved_at): Columns) -> Row {
    Row { id, person, kind: Kind::from_word(&kind), value, proved_at }
}

/// False when it is somebody's.
pub(super) fn insert(
    conn: &mut PgConnection,
    tenant: i64,
    (id, person): (Uuid, Uuid),
    (kind, blind, sealed): (Kind, &Blind, &[u8]),
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let values = (
        contact::tenant.eq(tenant),
        contact::id.eq(id),
        contact::person.eq(person),
        contact::kind.eq(kind.word()),
        contact::value.eq(sealed),
        contact::blind.eq(blind.as_slice()),
        contact::proved_at.eq(now),
    );
    let insert = diesel::insert_into(contact::table).values(values);
    let added = insert.on_conflict((contact::tenant, contact::kind, contact::blind)).do_nothing().execute(conn)?;
    Ok(added == 1)
}

pub(super) fn holder(conn: &mut PgConnection, tenant: i64, kind: Kind, blind: &Blind) -> QueryResult<Option<Uuid>> {
    contact::table
        .filter(contact::tenant.eq(tenant))
        .filter(contact::kind.eq(kind.word()).and(contact::blind.eq(blind.as_slice())))
        .select(contact::person)
        .first(conn)
        .optional()
}

pub(super) fn of_person(conn: &mut PgConnection, tenant: i64, person: Uuid) -> QueryResult<Vec<Row>> {
    let theirs = contact::table.filter(contact::tenant.eq(tenant).and(contact::person.eq(person)));
    let live = theirs.filter(contact::ended_at.is_null()).order((contact::proved_at, contact::id));
    Ok(live.select(COLUMNS).load::<Columns>(conn)?.into_iter().map(read).collect())
}

pub(super) fn of_person_locked(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
) -> QueryResult<Vec<(Uuid, DateTime<Utc>)>> {
    let theirs = contact::table.filter(contact::tenant.eq(tenant).and(contact::person.eq(person)));
    let live = theirs.filter(contact::ended_at.is_null()).order(contact::id);
    live.select((contact::id, contact::proved_at)).for_update().load(conn)
}

pub(super) fn find(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Row>> {
    Ok(contact::table.find((tenant, id)).select(COLUMNS).first::<Columns>(conn).optional()?.map(read))
}

pub(super) fn end(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let live = contact::table.find((tenant, id)).filter(contact::person.eq(person).and(contact::ended_at.is_null()));
    let ended = (contact::blind.eq(None::<Vec<u8>>), contact::ended_at.eq(now));
    Ok(diesel::update(live).set(ended).execute(conn)? == 1)
}
