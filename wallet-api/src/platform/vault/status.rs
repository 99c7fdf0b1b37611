//! How a vault stands: which keys there are, what uses them, and whether erasures are written down.

use diesel::PgConnection;
use serde::Serialize;

use super::{Vault, VaultError, aead, store};

/// How a vault stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Keys that encrypt keys, oldest first.
    pub keks: Vec<KekStatus>,
    /// The newest that this node was given.
    pub newest_kek: i32,
    /// Whether a rotation of it was begun and not finished.
    pub is_rotation_begun: bool,
    /// Tenants that have keys.
    pub tenants: Vec<TenantStatus>,
    /// Erasures in the ledger outside the database; none where this node keeps none.
    pub erasures_written_down: Option<usize>,
}

/// A key that encrypts keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KekStatus {
    /// Its version.
    pub version: i32,
    /// How many tenants' keys it wraps.
    pub wraps: i64,
    /// Whether it was noted as retired.
    pub is_retired: bool,
    /// Whether this node has it, and it is the one that was used.
    pub is_here: bool,
}

/// A tenant's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantStatus {
    /// The tenant's number.
    pub tenant: i64,
    /// Versions that are not retired: more than one while a rotation is not finished.
    pub versions: Vec<i32>,
    /// Keys and cells that an older version wraps or seals.
    pub left_to_rotate: i64,
    /// Persons who have a key.
    pub persons: i64,
    /// Persons who were forgotten.
    pub forgotten: i64,
}

impl Vault {
    /// How it stands. Run it with a connection that sees all tenants.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn status(&self, conn: &mut PgConnection) -> Result<Status, VaultError> {
        let kms = self.0.kms()?;
        let keks = store::keks(conn)?.into_iter().map(|kek| {
            let ours = kms.fingerprint(kek.version).ok();
            let is_here = ours.is_some_and(|ours| ours.as_slice() == kek.fingerprint);
            KekStatus { version: kek.version, wraps: kek.wraps, is_retired: kek.retired_at.is_some(), is_here }
        });
        let (keks, mut tenants) = (keks.collect(), Vec::new());
        for tenant in store::tenants(conn)? {
            tenants.extend(self.tenant_status(conn, tenant)?);
        }
        let (newest_kek, is_rotation_begun) = (kms.newest()?, self.is_rotation_begun(conn)?);
        let erasures_written_down = self.0.parts.ledger.as_ref().map(super::Ledger::len);
        Ok(Status { keks, newest_kek, is_rotation_begun, tenants, erasures_written_down })
    }

    fn tenant_status(&self, conn: &mut PgConnection, tenant: i64) -> Result<Option<TenantStatus>, VaultError> {
        let versions: Vec<i32> = store::live_tenant_keys(conn, tenant)?.into_iter().map(|key| key.version).collect();
        let (persons, forgotten) = store::persons(conn, tenant)?;
        let Some(newest) = versions.last().copied() else {
            return Ok(None);
        };
        let mut left_to_rotate = store::wrapped_by_older(conn, tenant, newest)?;
        for column in self.0.parts.columns {
            let cells = column.count_stale(conn, tenant, &aead::prefix(newest))?;
            left_to_rotate = left_to_rotate.saturating_add(cells);
        }
        Ok(Some(TenantStatus { tenant, versions, left_to_rotate, persons, forgotten }))
    }
}
