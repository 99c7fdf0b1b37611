//! SQL of the table `contact_claim`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamptz};
use uuid::Uuid;

use super::Claim;
use crate::identity::codes::{Blind, Purpose};
use crate::identity::store::bytes32;

diesel::table! {
    contact_claim (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        purpose -> Text,
        kind -> Text,
        blind -> Binary,
        value -> Binary,
        locale -> Text,
        expires_at -> Timestamptz,
        proved_at -> Nullable<Timestamptz>,
    }
}

pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) blind: Blind,
    pub(super) value: Vec<u8>,
    pub(super) locale: String,
}

type Columns = (Uuid, String, Vec<u8>, Vec<u8>, String);
const COLUMNS: (
    contact_claim::id,
    contact_claim::kind,
    contact_claim::blind,
    contact_claim::value,
    contact_claim::locale,
) = (contact_claim::id, contact_claim::kind, contact_claim::blind, contact_claim::value, contact_claim::locale);

fn read((id, kind, blind, value, locale): Columns) -> QueryResult<Row> {
    Ok(Row { id, kind, blind: bytes32(blind)?, value, locale })
}

pub(super) fn insert(
    conn: &mut PgConnection,
    tenant: i64,
    purpose: Purpose,
    claim: &Claim,
    sealed: &[u8],
    expires_at: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(contact_claim::table)
        .values((
            contact_claim::tenant.eq(tenant),
            contact_claim::id.eq(claim.id),
            contact_claim::purpose.eq(purpose.word()),
            contact_claim::kind.eq(claim.contact.kind().word()),
            contact_claim::blind.eq(claim.blind.as_slice()),
            contact_claim::value.eq(sealed),
            contact_claim::locale.eq(claim.locale.tag()),
            contact_claim::expires_at.eq(expires_at),
        ))
        .execute(conn)
        .map(drop)
}

pub(super) fn find(
    conn: &mut PgConnection,
    tenant: i64,
    (id, purpose): (Uuid, Purpose),
    now: DateTime<Utc>,
) -> QueryResult<Option<Row>> {
    let row = contact_claim::table.find((tenant, id)).filter(contact_claim::purpose.eq(purpose.word()));
    let open = row.filter(contact_claim::proved_at.is_null().and(contact_claim::expires_at.gt(now)));
    open.select(COLUMNS).first::<Columns>(conn).optional()?.map(read).transpose()
}

pub(super) fn prove(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    (now, until): (DateTime<Utc>, DateTime<Utc>),
) -> QueryResult<()> {
    let proved = (contact_claim::proved_at.eq(now), contact_claim::expires_at.eq(until));
    diesel::update(contact_claim::table.find((tenant, id))).set(proved).execute(conn).map(drop)
}

/// One statement: of those who take it at once, one gets it.
pub(super) fn take(
    conn: &mut PgConnection,
    tenant: i64,
    (id, purpose): (Uuid, Purpose),
    now: DateTime<Utc>,
) -> QueryResult<Option<Row>> {
    let row = contact_claim::table.find((tenant, id)).filter(contact_claim::purpose.eq(purpose.word()));
    let proved = row.filter(contact_claim::proved_at.is_not_null().and(contact_claim::expires_at.gt(now)));
    diesel::delete(proved).returning(COLUMNS).get_result::<Columns>(conn).optional()?.map(read).transpose()
}

pub(super) fn sweep(conn: &mut PgConnection, tenant: i64, now: DateTime<Utc>, most: i64) -> QueryResult<usize> {
    const SWEEP: &str = "DELETE FROM contact_claim WHERE tenant = $1 AND id IN (SELECT id FROM contact_claim \
        WHERE tenant = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3 FOR UPDATE SKIP LOCKED)";
    diesel::sql_query(SWEEP).bind::<BigInt, _>(tenant).bind::<Timestamptz, _>(now).bind::<BigInt, _>(most).execute(conn)
}
