//! SQL of the tables `contact_code` and `contact_code_asked`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, Text, Timestamptz};
use uuid::Uuid;

use super::Blind;

diesel::table! {
    contact_code (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        purpose -> Text,
        contact -> Binary,
        mac -> Binary,
        tries -> SmallInt,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

pub(super) fn insert(
    conn: &mut PgConnection,
    tenant: i64,
    (id, purpose): (Uuid, &str),
    (contact, mac): (&Blind, &Blind),
    (now, expires_at): (DateTime<Utc>, DateTime<Utc>),
) -> QueryResult<()> {
    diesel::insert_into(contact_code::table)
        .values((
            contact_code::tenant.eq(tenant),
            contact_code::id.eq(id),
            contact_code::purpose.eq(purpose),
            contact_code::contact.eq(contact.as_slice()),
            contact_code::mac.eq(mac.as_slice()),
            contact_code::created_at.eq(now),
            contact_code::expires_at.eq(expires_at),
        ))
        .execute(conn)
        .map(drop)
}

/// Counts a code against a contact or an address; false, and nothing changed, when those since then are as many as may be.
pub(super) fn count(
    conn: &mut PgConnection,
    tenant: i64,
    (kind, who): (&str, &Blind),
    now: DateTime<Utc>,
    (since, most): (DateTime<Utc>, i32),
) -> QueryResult<bool> {
    // One statement, which locks the row: of two at once, the second counts what the first has counted.
    const COUNT: &str = "INSERT INTO contact_code_asked AS known (tenant, kind, who, asked, last_at) \
        VALUES ($1, $2, $3, ARRAY[$4], $4) ON CONFLICT (tenant, kind, who) DO UPDATE SET last_at = $4, \
            asked = ARRAY(SELECT at FROM unnest(known.asked) AS at WHERE at > $5) || $4 \
        WHERE cardinality(ARRAY(SELECT at FROM unnest(known.asked) AS at WHERE at > $5)) < $6";
    diesel::sql_query(COUNT)
        .bind::<BigInt, _>(tenant)
        .bind::<Text, _>(kind)
        .bind::<Binary, _>(who.as_slice())
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(since)
        .bind::<Integer, _>(most)
        .execute(conn)
        .map(|counted| counted == 1)
}

/// Counts a try against a code that can still be used, locks it, and gives what it is compared with.
pub(super) fn take_try(
    conn: &mut PgConnection,
    tenant: i64,
    (id, purpose): (Uuid, &str),
    contact: &Blind,
    (now, most): (DateTime<Utc>, i16),
) -> QueryResult<Option<Vec<u8>>> {
    let usable = contact_code::table
        .find((tenant, id))
        .filter(contact_code::purpose.eq(purpose).and(contact_code::contact.eq(contact.as_slice())))
        .filter(contact_code::tries.lt(most).and(contact_code::expires_at.gt(now)));
    diesel::update(usable)
        .set(contact_code::tries.eq(contact_code::tries + 1))
        .returning(contact_code::mac)
        .get_result(conn)
        .optional()
}

/// Uses a code up; false when somebody else did.
pub(super) fn use_up(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<bool> {
    diesel::delete(contact_code::table.find((tenant, id))).execute(conn).map(|used| used == 1)
}

pub(super) fn sweep_codes(conn: &mut PgConnection, tenant: i64, now: DateTime<Utc>, most: i64) -> QueryResult<usize> {
    // Rows that somebody else takes away, or tries, at this moment are theirs.
    const SWEEP: &str = "DELETE FROM contact_code WHERE tenant = $1 AND id IN (SELECT id FROM contact_code \
        WHERE tenant = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3 FOR UPDATE SKIP LOCKED)";
    sweep(conn, SWEEP, tenant, now, most)
}

pub(super) fn sweep_asked(conn: &mut PgConnection, tenant: i64, since: DateTime<Utc>, most: i64) -> QueryResult<usize> {
    const SWEEP: &str = "DELETE FROM contact_code_asked WHERE tenant = $1 AND (kind, who) IN (SELECT kind, who \
        FROM contact_code_asked WHERE tenant = $1 AND last_at <= $2 ORDER BY last_at LIMIT $3 FOR UPDATE SKIP LOCKED)";
    sweep(conn, SWEEP, tenant, since, most)
}

fn sweep(conn: &mut PgConnection, text: &str, tenant: i64, before: DateTime<Utc>, most: i64) -> QueryResult<usize> {
    diesel::sql_query(text)
        .bind::<BigInt, _>(tenant)
        .bind::<Timestamptz, _>(before)
        .bind::<BigInt, _>(most)
        .execute(conn)
}
