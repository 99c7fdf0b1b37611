//! The one table that is not written by the journal's writer: assets.

use diesel::{Connection, PgConnection, QueryResult};
use ledger::{Asset, JournalId, StoreError};

use super::Assets;
use crate::platform::snapshot::touch;

/// The assets of a tenant's journal.
pub(super) fn assets(conn: &mut PgConnection, tenant: i64) -> QueryResult<Assets> {
    match ledger::read::assets_of(conn, JournalId(tenant)) {
        Ok(all) => Ok(Assets::new(all)),
        Err(StoreError::Database(error)) => Err(error),
        Err(StoreError::Connect(_) | StoreError::Corrupt { .. } | StoreError::Archived(_)) => {
            Err(diesel::result::Error::NotFound)
        }
    }
}

/// Defines an asset, or finds the one of this code; other nodes hear of it within a second.
pub(super) fn define(conn: &mut PgConnection, tenant: i64, code: &str, scale: i16) -> Result<Asset, StoreError> {
    conn.transaction(|conn| {
        let asset = ledger::define_asset(conn, JournalId(tenant), code, scale)?;
        touch(conn, tenant)?;
        Ok(asset)
    })
}
