//! The vault: what is personal or secret is sealed before it is written, each person under a key of their own.
//!
//! A key that encrypts keys (KEK, outside the database, [`Kms`]) wraps a tenant's keys; the tenant's newest key wraps the
//! keys of persons and of blind indexes, and seals the tenant's own secrets. To forget a person is to destroy their key:
//! everything it sealed is gone, wherever it was copied to, while books and rows stay whole.
//!
//! Promise: sealed bytes open in the one cell they were sealed for ([`Cell`]) and nowhere else; whatever is wrong, the
//! refusal is the same; a person forgotten is forgotten with the commit, on every node, and again after a restore
//! (the erasure ledger, [`Vault::level`]); rotations run under load and go on after a kill.
//! Limits: sealed bytes show their length, and blind indexes which rows are equal. A backup of the database holds wrapped
//! keys: forgetting reaches it when it is thrown away. Whoever has KEK and database reads everything.
//! Not here: what is personal, and its tables (the slices); normalising what is indexed; who may forget whom.
//! Source: NIST SP 800-38D and 800-57 for the keys, GDPR art. 17 and 32 for the purpose. Operating it: docs/operations/vault.md.
//!
//! # Examples
//! ```no_run
//! use chrono::{DateTime, Utc};
//! use diesel::{Connection, PgConnection};
//! use uuid::Uuid;
//! use wallet_api::platform::vault::{Cell, Column, Purpose, Receipt, Vault, VaultError};
//!
//! const EMAIL: Column = Column { table: "person", column: "email" };
//! const BY_EMAIL: Purpose = Purpose("person.email");
//!
//! fn keep(vault: &Vault, conn: &mut PgConnection, person: Uuid, email: &str, now: DateTime<Utc>) -> Result<(), VaultError> {
//!     conn.transaction(|conn| {
//!         let cell = Cell::of_person(7, person, EMAIL, person);
//!         let sealed = vault.seal(conn, &cell, email.as_bytes(), now)?;
//!         let index = vault.index(conn, 7, BY_EMAIL, &email.to_lowercase(), now)?;
//!         // … INSERT both in this transaction: `sealed`, and `index.as_bytes()` to find the row by …
//!         # _ = (sealed, index);
//!         Ok(())
//!     })
//! }
//!
//! fn end(vault: &Vault, conn: &mut PgConnection, person: Uuid, now: DateTime<Utc>) -> Result<Receipt, VaultError> {
//!     let forgotten = conn.transaction(|conn| {
//!         // … DELETE the person's rows and blind indexes …
//!         vault.forget(conn, 7, person, now)
//!     })?;
//!     vault.receipt(forgotten) // committed: now the ledger has it, and the person may
//! }
//! ```

mod aead;
mod cell;
mod erasures;
mod error;
mod folder;
mod forget;
mod index;
mod keys;
mod kms;
mod level;
mod place;
mod receipt;
mod rotate;
mod status;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use diesel::connection::TransactionManager;
use diesel::{Connection, PgConnection};
use zeroize::Zeroizing;

pub use self::aead::{Key, OVERHEAD, Unsealed};
pub use self::cell::{Cell, Column, Owner};
pub use self::erasures::{Ledger, LedgerError};
pub use self::error::VaultError;
pub use self::folder::Folder;
pub use self::forget::Forgotten;
pub use self::index::{BlindIndex, Purpose};
use self::keys::PersonsKey;
pub use self::kms::{Fingerprint, GivenKeys, Keks, KeyText, Kms, KmsError};
pub use self::level::Keeper;
pub use self::place::{PlaceError, Settings};
pub use self::receipt::{Receipt, ReceiptError};
pub use self::rotate::{Rotated, Step, Watch};
pub use self::status::{KekStatus, Status, TenantStatus};
use super::sealing;

/// Longest text or bytes that a cell takes: what is larger is no field of a person.
pub const LONGEST: usize = 1024 * 1024;

/// A column of a tenant's own secrets, as rotations find its cells. Every column that holds cells of [`Owner::Tenant`]
/// is told to the vault when it is opened; sealing into another is refused, because a rotation would lose it.
#[derive(Debug, Clone, Copy)]
pub struct TenantColumn {
    /// The column, of a table whose primary key is `(tenant, key)`.
    pub column: Column,
    /// The other column of that key; its text is the [`Cell`]'s row.
    pub key: &'static str,
    /// Of which type that is.
    pub key_type: KeyType,
}

/// Of which type a key column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// `uuid`.
    Uuid,
    /// `bigint`.
    Number,
    /// `text`.
    Text,
}

/// What was sealed; wiped when it is dropped.
pub type Opened = Zeroizing<Vec<u8>>;

/// What a vault is made of.
#[derive(Default)]
pub struct Parts {
    /// Who keeps the keys that encrypt keys; without it the vault is closed.
    pub kms: Option<Box<dyn Kms>>,
    /// Where erasures are written down outside the database; without it nobody can be forgotten.
    pub ledger: Option<Ledger>,
    /// Who signs receipts; without it nobody can be forgotten.
    pub signers: Option<Arc<sealing::Keys>>,
    /// Where tenants' own secrets are.
    pub columns: &'static [TenantColumn],
}

/// Seals, opens, indexes and forgets; clones share it.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    parts: Parts,
    kept: keys::Kept,
    /// Whether the database is known to lack no erasure that the ledger has.
    is_level: AtomicBool,
}

impl Vault {
    /// A vault of these parts. One with a ledger opens nothing before it was compared with the database: [`Vault::level`].
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let is_level = AtomicBool::new(parts.ledger.is_none());
        Self(Arc::new(Inner { parts, kept: keys::Kept::default(), is_level }))
    }

    /// A vault without keys: it refuses everything, and says what to do.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(Parts::default())
    }

    /// Seals `plain` for a cell, under the key of its owner, which is made where there is none. Call it in the transaction
    /// that writes the cell: the key is held until that ends, so that it is not forgotten or retired in between.
    ///
    /// # Errors
    /// [`VaultError::Forgotten`]; [`VaultError::Closed`] and [`VaultError::Behind`] where this node cannot;
    /// [`VaultError::NoTransaction`], [`VaultError::TooLong`], [`VaultError::UnknownColumn`].
    pub fn seal(
        &self,
        conn: &mut PgConnection,
        cell: &Cell,
        plain: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Vec<u8>, VaultError> {
        self.must_be_open()?;
        must_be_in_transaction(conn)?;
        if plain.len() > LONGEST || !cell.is_sane() {
            return Err(VaultError::TooLong);
        }
        match cell.owner {
            Owner::Tenant => {
                self.must_know(cell.column)?;
                let outer = self.0.newest(conn, cell.tenant, now)?;
                Ok(aead::seal(&outer.key, outer.version, &cell.aad(outer.version), plain)?)
            }
            Owner::Person(person) => {
                let (version, key) = self.0.person_key_to_seal(conn, (cell.tenant, person), now)?;
                Ok(aead::seal(&key, version, &cell.aad(version), plain)?)
            }
        }
    }

    /// [`seal`](Self::seal) for many cells of one tenant, asking for the keys of their persons once; in their order.
    ///
    /// # Errors
    /// As [`seal`](Self::seal), when one of them cannot be sealed; [`VaultError::Unsealed`] too when they are of several
    /// tenants.
    pub fn seal_all(
        &self,
        conn: &mut PgConnection,
        cells: &[(Cell, &[u8])],
        now: DateTime<Utc>,
    ) -> Result<Vec<Vec<u8>>, VaultError> {
        self.must_be_open()?;
        must_be_in_transaction(conn)?;
        let Some((first, _)) = cells.first() else { return Ok(Vec::new()) };
        if cells.iter().any(|(cell, _)| cell.tenant != first.tenant) {
            return Err(Unsealed.into());
        }
        let persons: Vec<_> = cells.iter().filter_map(|(cell, _)| cell.owner.person()).collect();
        let keys = self.0.person_keys_to_seal(conn, first.tenant, &persons)?;
        let mut seal = |(cell, plain): &(Cell, &[u8])| {
            let known = cell.owner.person().and_then(|person| keys.get(&person));
            match known.filter(|_| plain.len() <= LONGEST && cell.is_sane()) {
                Some((version, key)) => Ok(aead::seal(key, *version, &cell.aad(*version), plain)?),
                // A first key is made, and what cannot be sealed refused, as for one.
                None => self.seal(conn, cell, plain, now),
            }
        };
        cells.iter().map(&mut seal).collect()
    }

    /// What was sealed for this cell; wiped when it is dropped.
    ///
    /// # Errors
    /// [`VaultError::Unsealed`] whatever is wrong with the bytes or their place; [`VaultError::Forgotten`];
    /// [`VaultError::Closed`] and [`VaultError::Behind`] where this node cannot.
    pub fn open(&self, conn: &mut PgConnection, cell: &Cell, sealed: &[u8]) -> Result<Opened, VaultError> {
        let opened = self.open_all(conn, &[(cell, sealed)])?.pop();
        opened.unwrap_or(Err(Unsealed.into()))
    }

    /// [`open`](Self::open) for text.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`VaultError::Unsealed`] too when it is no text.
    pub fn open_text(
        &self,
        conn: &mut PgConnection,
        cell: &Cell,
        sealed: &[u8],
    ) -> Result<Zeroizing<String>, VaultError> {
        let bytes = self.open(conn, cell, sealed)?;
        let text = std::str::from_utf8(&bytes).map_err(|_no_text| Unsealed)?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Opens many cells of one tenant, asking for each key once; each has its own answer, in their order.
    ///
    /// # Errors
    /// What refuses all of them; [`VaultError::Unsealed`] too when they are of several tenants.
    pub fn open_all(
        &self,
        conn: &mut PgConnection,
        cells: &[(&Cell, &[u8])],
    ) -> Result<Vec<Result<Opened, VaultError>>, VaultError> {
        self.must_be_open()?;
        let Some((first, _)) = cells.first() else { return Ok(Vec::new()) };
        if cells.iter().any(|(cell, _)| cell.tenant != first.tenant) {
            return Err(Unsealed.into());
        }
        let persons: Vec<_> = cells.iter().filter_map(|(cell, _)| cell.owner.person()).collect();
        let keys =
            if persons.is_empty() { Default::default() } else { self.0.person_keys(conn, first.tenant, &persons)? };
        let open = |(cell, sealed): &(&Cell, &[u8])| match cell.owner {
            Owner::Tenant => self.open_tenants(conn, cell, sealed),
            Owner::Person(person) => open_persons(keys.get(&person), cell, sealed),
        };
        Ok(cells.iter().map(open).collect())
    }

    fn open_tenants(&self, conn: &mut PgConnection, cell: &Cell, sealed: &[u8]) -> Result<Opened, VaultError> {
        let outer = self.0.outer(conn, cell.tenant, aead::version(sealed)?)?;
        Ok(aead::open(&outer.key, &cell.aad(outer.version), sealed)?)
    }

    /// The blind index of a text, to be written beside what is sealed. The key is made at the purpose's first use.
    ///
    /// # Errors
    /// [`VaultError::Closed`] and [`VaultError::Behind`] where this node cannot; what the database says.
    pub fn index(
        &self,
        conn: &mut PgConnection,
        tenant: i64,
        purpose: Purpose,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<BlindIndex, VaultError> {
        self.must_be_open()?;
        if let Some(index) = self.find_index(conn, tenant, purpose, text)? {
            return Ok(index);
        }
        conn.transaction(|conn| self.0.make_index_key(conn, tenant, purpose, now))?;
        self.find_index(conn, tenant, purpose, text)?.ok_or(Unsealed.into())
    }

    /// The same to look a row up by, in a transaction that may only read; none when nothing was indexed for this purpose yet.
    ///
    /// # Errors
    /// As [`index`](Self::index).
    pub fn find_index(
        &self,
        conn: &mut PgConnection,
        tenant: i64,
        purpose: Purpose,
        text: &str,
    ) -> Result<Option<BlindIndex>, VaultError> {
        self.must_be_open()?;
        let key = self.0.index_key(conn, tenant, purpose)?;
        Ok(key.map(|key| BlindIndex::of(&key, tenant, purpose, text)))
    }

    /// Whether requests may come: false while the database may hold people who were forgotten.
    #[must_use]
    pub fn is_level(&self) -> bool {
        self.0.is_level.load(Ordering::SeqCst)
    }

    fn must_be_open(&self) -> Result<(), VaultError> {
        self.0.kms()?;
        if self.is_level() { Ok(()) } else { Err(VaultError::Behind) }
    }

    fn must_know(&self, column: Column) -> Result<(), VaultError> {
        let is_known = self.0.parts.columns.iter().any(|known| known.column == column);
        if is_known { Ok(()) } else { Err(VaultError::UnknownColumn(column.table, column.column)) }
    }
}

impl Inner {
    fn kms(&self) -> Result<&dyn Kms, VaultError> {
        self.parts.kms.as_deref().ok_or(VaultError::Closed)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}

fn open_persons(key: Option<&PersonsKey>, cell: &Cell, sealed: &[u8]) -> Result<Opened, VaultError> {
    match key {
        Some(PersonsKey::Here(version, key)) => {
            let is_its_version = aead::version(sealed)? == *version;
            let key = is_its_version.then_some(key).ok_or(Unsealed)?;
            Ok(aead::open(key, &cell.aad(*version), sealed)?)
        }
        Some(PersonsKey::Destroyed) => Err(VaultError::Forgotten),
        None => Err(Unsealed.into()),
    }
}

fn must_be_in_transaction(conn: &mut PgConnection) -> Result<(), VaultError> {
    let status = <PgConnection as Connection>::TransactionManager::transaction_manager_status_mut(conn);
    let is_open = status.transaction_depth().is_ok_and(|depth| depth.is_some());
    if is_open { Ok(()) } else { Err(VaultError::NoTransaction) }
}
