//! Where evidence is kept: sealed in the vault under its person's key, so that it is gone with them.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use uuid::Uuid;

use crate::platform::vault::{Cell, Column, Vault, VaultError};

/// Seals what evidence says before it is kept, and opens it again: it names the payee, and the table only grows.
pub trait Keeper {
    /// Files of one tenant as they are kept, in their order.
    ///
    /// # Errors
    /// [`VaultError`], when one of them cannot be.
    fn seal(&self, conn: &mut PgConnection, files: &[(EvidenceCell, &[u8])]) -> Result<Vec<Vec<u8>>, VaultError>;

    /// The file again.
    ///
    /// # Errors
    /// [`VaultError`].
    fn open(&self, conn: &mut PgConnection, cell: &EvidenceCell, sealed: &[u8]) -> Result<Vec<u8>, VaultError>;
}

/// Where a file is kept: `sca_evidence.file` of this row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvidenceCell {
    /// The tenant's number.
    pub tenant: i64,
    /// Whose key it is sealed by.
    pub person: Uuid,
    /// The row.
    pub payment_id: Uuid,
}

/// Keeps files as they are. For tests and benchmarks, which have no vault.
#[derive(Debug, Clone, Copy)]
pub struct InClear;

impl Keeper for InClear {
    fn seal(&self, _conn: &mut PgConnection, files: &[(EvidenceCell, &[u8])]) -> Result<Vec<Vec<u8>>, VaultError> {
        Ok(files.iter().map(|(_, file)| file.to_vec()).collect())
    }

    fn open(&self, _conn: &mut PgConnection, _cell: &EvidenceCell, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        Ok(sealed.to_vec())
    }
}

/// Where files are sealed, by their person's key: gone with it.
const FILE: Column = Column { table: "sca_evidence", column: "file" };

/// Keeps files in the vault, each under its person's key.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The vault.
    pub vault: Vault,
    /// The present: a person's first key is dated.
    pub now: DateTime<Utc>,
}

impl EvidenceCell {
    fn sealed(&self) -> Cell {
        Cell::of_person(self.tenant, self.person, FILE, self.payment_id)
    }
}

impl Keeper for Sealed {
    fn seal(&self, conn: &mut PgConnection, files: &[(EvidenceCell, &[u8])]) -> Result<Vec<Vec<u8>>, VaultError> {
        let cells: Vec<_> = files.iter().map(|(cell, file)| (cell.sealed(), *file)).collect();
        self.vault.seal_all(conn, &cells, self.now)
    }

    fn open(&self, conn: &mut PgConnection, cell: &EvidenceCell, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        Ok(self.vault.open(conn, &cell.sealed(), sealed)?.to_vec())
    }
}
