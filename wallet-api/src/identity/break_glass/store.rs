//! SQL of the table `break_glass`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

diesel::table! {
    break_glass (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        operator -> Uuid,
        customer -> Uuid,
        reason -> Binary,
        opened_at -> Timestamptz,
        closes_at -> Timestamptz,
    }
}

pub(super) fn insert(
    conn: &mut PgConnection,
    tenant: i64,
    (id, operator, customer): (Uuid, Uuid, Uuid),
    reason: &[u8],
    (opened_at, closes_at): (DateTime<Utc>, DateTime<Utc>),
) -> QueryResult<()> {
    let values = (
        break_glass::tenant.eq(tenant),
        break_glass::id.eq(id),
        break_glass::operator.eq(operator),
        break_glass::customer.eq(customer),
        break_glass::reason.eq(reason),
        break_glass::opened_at.eq(opened_at),
        break_glass::closes_at.eq(closes_at),
    );
    diesel::insert_into(break_glass::table).values(values).execute(conn).map(drop)
}

pub(super) fn customers(
    conn: &mut PgConnection,
    tenant: i64,
    operator: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<Vec<Uuid>> {
    let theirs = break_glass::table.filter(break_glass::tenant.eq(tenant).and(break_glass::operator.eq(operator)));
    let open = theirs.filter(break_glass::opened_at.le(now).and(break_glass::closes_at.gt(now)));
    open.select(break_glass::customer).distinct().load(conn)
}

pub(super) fn reasons(
    conn: &mut PgConnection,
    tenant: i64,
    customer: Uuid,
    ids: &[Uuid],
) -> QueryResult<Vec<(Uuid, Vec<u8>)>> {
    let theirs = break_glass::table.filter(break_glass::tenant.eq(tenant).and(break_glass::customer.eq(customer)));
    theirs.filter(break_glass::id.eq_any(ids)).select((break_glass::id, break_glass::reason)).load(conn)
}
