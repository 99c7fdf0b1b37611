//! SQL of the table `merchant`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

diesel::table! {
    merchant (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        reference -> Text,
        name -> Text,
        created_at -> Timestamptz,
    }
}

/// Who is paid.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = merchant)]
pub struct MerchantRow {
    /// Its id.
    pub id: Uuid,
    /// The tenant's own name for it, unique.
    pub reference: String,
    /// The name people see.
    pub name: String,
}

pub(super) fn insert(conn: &mut PgConnection, tenant: i64, row: &MerchantRow, now: DateTime<Utc>) -> QueryResult<bool> {
    let values = (
        merchant::tenant.eq(tenant),
        merchant::id.eq(row.id),
        merchant::reference.eq(&row.reference),
        merchant::name.eq(&row.name),
        merchant::created_at.eq(now),
    );
    Ok(diesel::insert_into(merchant::table).values(values).on_conflict_do_nothing().execute(conn)? == 1)
}

pub(super) fn merchant(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<MerchantRow> {
    merchant::table.find((tenant, id)).select(MerchantRow::as_select()).first(conn)
}

pub(super) fn merchants(conn: &mut PgConnection, tenant: i64) -> QueryResult<Vec<MerchantRow>> {
    merchant::table.filter(merchant::tenant.eq(tenant)).select(MerchantRow::as_select()).load(conn)
}
