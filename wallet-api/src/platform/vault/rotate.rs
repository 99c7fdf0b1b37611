//! Rotation: a new KEK wraps the tenants' keys, or a tenant gets a new key that wraps and seals everything of its own.
//!
//! Nodes serve meanwhile. Work goes in pages, each a short transaction that leaves everything readable, so a rotation can be
//! killed anywhere: what is left shows in the rows, and the next one goes on with that before it makes anything new. An old
//! key of a tenant is destroyed only in a transaction that has it alone and sees nothing that needs it, and a
//! grace after the last page, so that nobody has bytes in hand that were read before. An old KEK is only noted as
//! retired: backups may need it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection};
use serde::Serialize;
use uuid::Uuid;

use super::keys::{Outer, rewrap_tenant_key, unwrap_index_key, unwrap_person_key, wrap_index_key, wrap_person_key};
use super::store::{IndexKey, PersonKey};
use super::{Cell, Column, TenantColumn, Vault, VaultError, aead, store};

/// Rows of a page: a transaction of some milliseconds.
const PAGE: i64 = 200;
/// How long to wait for rows that others hold.
const HELD: Duration = Duration::from_millis(50);
/// How often at the most, before it is said that somebody holds them for good.
const PASSES: usize = 1_200;

/// What a rotation just did, for whoever shows progress or stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A KEK of this version wraps what is new.
    NewKek(i32),
    /// A tenant's key was wrapped by the newest KEK.
    Tenant(i64),
    /// The tenant has a key of this version.
    NewKey(i32),
    /// So many keys of persons were wrapped by it.
    Persons(u64),
    /// So many keys of blind indexes were.
    Indexes(u64),
    /// So many cells were sealed by it.
    Cells(u64),
    /// Nothing uses the older keys; the grace begins.
    Waiting(Duration),
    /// So many older keys were retired.
    Retired(u64),
}

/// What a rotation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Rotated {
    /// The version that is newest now.
    pub version: i32,
    /// Whether an earlier rotation was finished, instead of a new version made.
    pub resumed: bool,
    /// Keys of tenants wrapped anew.
    pub tenants: u64,
    /// Keys of persons wrapped anew.
    pub persons: u64,
    /// Keys of blind indexes wrapped anew.
    pub indexes: u64,
    /// Cells sealed anew.
    pub cells: u64,
    /// Versions retired.
    pub retired: u64,
}

/// Told after each step that is committed; false stops the rotation there.
pub type Watch<'a> = &'a mut dyn FnMut(Step) -> bool;

fn told(watch: Watch<'_>, step: Step) -> Result<(), VaultError> {
    if watch(step) { Ok(()) } else { Err(VaultError::Stopped) }
}

impl Vault {
    /// Has the newest KEK wrap every tenant's keys; makes a new one first, unless a rotation was begun and not finished.
    /// All nodes must have the new KEK before: with a shared folder they do.
    ///
    /// # Errors
    /// [`KmsError::MadeElsewhere`](super::KmsError::MadeElsewhere) where keys come by configuration and none is new;
    /// [`VaultError::Stopped`]; what KMS and database say. What was done stays.
    pub fn rotate(&self, conn: &mut PgConnection, now: DateTime<Utc>, watch: Watch<'_>) -> Result<Rotated, VaultError> {
        self.must_be_open()?;
        let kms = self.0.kms()?;
        let resumed = self.is_rotation_begun(conn)?;
        let version = if resumed { kms.newest()? } else { kms.make_next()? };
        store::add_kek(conn, version, &kms.fingerprint(version)?, now)?;
        // The database may know a newer one than this node: then it is that one, or nothing.
        let version = conn.transaction(|conn| self.0.current_kek(conn, kms, now))?;
        told(watch, Step::NewKek(version))?;
        let mut done = Rotated { version, resumed, ..Rotated::default() };
        for tenant in store::tenants(conn)? {
            if self.rewrap_tenant(conn, tenant, version)? {
                done.tenants = done.tenants.saturating_add(1);
                told(watch, Step::Tenant(tenant))?;
            }
        }
        let retired = conn.transaction(|conn| store::retire_keks(conn, version, now))?;
        done.retired = u64::try_from(retired).unwrap_or(0);
        _ = watch(Step::Retired(done.retired)); // nothing is left to be stopped
        Ok(done)
    }

    /// Whether the newest KEK there is does not wrap all yet.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn is_rotation_begun(&self, conn: &mut PgConnection) -> Result<bool, VaultError> {
        let (newest, keks) = (self.0.kms()?.newest()?, store::keks(conn)?);
        let current = keks.last().map_or(0, |kek| kek.version);
        let is_behind = keks.iter().any(|kek| kek.version < current && kek.retired_at.is_none());
        Ok(newest > current || is_behind)
    }

    /// Makes the next KEK and leaves it at that, so that it can be brought to every node before anything needs it.
    ///
    /// # Errors
    /// [`KmsError`](super::KmsError).
    pub fn prepare(&self) -> Result<i32, VaultError> {
        Ok(self.0.kms()?.make_next()?)
    }

    fn rewrap_tenant(&self, conn: &mut PgConnection, tenant: i64, kek: i32) -> Result<bool, VaultError> {
        let mut any = false;
        for row in store::live_tenant_keys(conn, tenant)? {
            if row.kek < kek {
                let outer = self.0.unwrap_tenant_key(tenant, &row)?;
                let wrapped = rewrap_tenant_key(self.0.kms()?, tenant, &outer, kek)?;
                any |= store::rewrap_tenant_key(conn, tenant, &row, (kek, &wrapped))?;
            }
        }
        Ok(any)
    }

    /// Gives a tenant a new key, unless a rotation was begun and not finished: wraps the keys of its persons and blind
    /// indexes by it, seals its own cells by it, and destroys the older ones once nothing needs them and `grace` is over.
    /// `grace` must be longer than any transaction may read.
    ///
    /// # Errors
    /// [`VaultError::Broken`] names a cell that does not open, for which the older keys stay; [`VaultError::Stopped`];
    /// what KMS and database say. What was done stays.
    pub fn rotate_tenant(
        &self,
        conn: &mut PgConnection,
        tenant: i64,
        grace: Duration,
        now: DateTime<Utc>,
        watch: Watch<'_>,
    ) -> Result<Rotated, VaultError> {
        self.must_be_open()?;
        let live = store::live_tenant_keys(conn, tenant)?;
        let resumed = live.len() > 1;
        let newest = live.last().map_or(0, |key| key.version);
        if !resumed {
            conn.transaction(|conn| self.0.make_tenant_key(conn, tenant, newest.saturating_add(1), now))?;
        }
        let outer = conn.transaction(|conn| self.0.newest(conn, tenant, now))?;
        told(watch, Step::NewKey(outer.version))?;
        let mut turn = Turn { vault: self, tenant, outer, done: Rotated { resumed, ..Rotated::default() }, watch };
        turn.done.version = turn.outer.version;
        turn.run(conn, grace, now)
    }
}

/// A tenant's rotation under way.
struct Turn<'a, 'w> {
    vault: &'a Vault,
    tenant: i64,
    outer: Outer,
    done: Rotated,
    watch: Watch<'w>,
}

impl Turn<'_, '_> {
    fn run(mut self, conn: &mut PgConnection, grace: Duration, now: DateTime<Utc>) -> Result<Rotated, VaultError> {
        let mut has_waited = false;
        for _ in 0..PASSES {
            let moved = self.persons(conn)? | self.indexes(conn)? | self.cells(conn)?;
            if self.left(conn)? > 0 {
                std::thread::sleep(HELD); // rows that others hold for a moment
                continue;
            }
            if moved || !has_waited {
                told(self.watch, Step::Waiting(grace))?;
                std::thread::sleep(grace);
                has_waited = true;
            }
            if let Some(retired) = self.retire(conn, now)? {
                self.done.retired = retired;
                _ = (self.watch)(Step::Retired(retired)); // nothing is left to be stopped
                return Ok(self.done);
            }
        }
        tracing::warn!(tenant = self.tenant, "rows that older keys sealed are held by others all the time");
        Err(VaultError::Stopped)
    }

    fn persons(&mut self, conn: &mut PgConnection) -> Result<bool, VaultError> {
        let mut any = false;
        loop {
            let count = conn.transaction(|conn| self.page_of_persons(conn))?;
            if count == 0 {
                return Ok(any);
            }
            any = true;
            self.done.persons = self.done.persons.saturating_add(count);
            told(self.watch, Step::Persons(count))?;
        }
    }

    fn page_of_persons(&self, conn: &mut PgConnection) -> Result<u64, VaultError> {
        let rows = store::stale_person_keys(conn, self.tenant, self.outer.version, PAGE)?;
        let (mut persons, mut wrapped): (Vec<Uuid>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
        for row in rows {
            persons.push(row.person);
            wrapped.push(self.rewrap_person(conn, &row)?);
        }
        if persons.is_empty() {
            return Ok(0);
        }
        let changed = store::rewrap_person_keys(conn, self.tenant, self.outer.version, (&persons, &wrapped))?;
        Ok(u64::try_from(changed).unwrap_or(0))
    }

    fn rewrap_person(&self, conn: &mut PgConnection, row: &PersonKey) -> Result<Vec<u8>, VaultError> {
        let from = self.vault.0.outer(conn, self.tenant, row.tenant_key.ok_or(VaultError::Forgotten)?)?;
        let key = unwrap_person_key(&from, self.tenant, row)?;
        Ok(wrap_person_key(&self.outer, self.tenant, (row.person, row.version), &key)?)
    }

    fn indexes(&mut self, conn: &mut PgConnection) -> Result<bool, VaultError> {
        let count = conn.transaction(|conn| self.all_indexes(conn))?;
        if count > 0 {
            self.done.indexes = self.done.indexes.saturating_add(count);
            told(self.watch, Step::Indexes(count))?;
        }
        Ok(count > 0)
    }

    fn all_indexes(&self, conn: &mut PgConnection) -> Result<u64, VaultError> {
        let mut count = 0_u64;
        for row in store::stale_index_keys(conn, self.tenant, self.outer.version)? {
            let from = self.vault.0.outer(conn, self.tenant, row.tenant_key)?;
            let key = unwrap_index_key(&from, self.tenant, &row)?;
            let wrapped = wrap_index_key(&self.outer, self.tenant, &row.purpose, &key)?;
            store::rewrap_index_key(conn, self.tenant, &IndexKey { tenant_key: self.outer.version, wrapped, ..row })?;
            count = count.saturating_add(1);
        }
        Ok(count)
    }

    fn cells(&mut self, conn: &mut PgConnection) -> Result<bool, VaultError> {
        let mut any = false;
        for column in self.vault.0.parts.columns {
            loop {
                let count = conn.transaction(|conn| self.page_of_cells(conn, column))?;
                if count == 0 {
                    break;
                }
                any = true;
                self.done.cells = self.done.cells.saturating_add(count);
                told(self.watch, Step::Cells(count))?;
            }
        }
        Ok(any)
    }

    fn page_of_cells(&self, conn: &mut PgConnection, column: &TenantColumn) -> Result<u64, VaultError> {
        let mut count = 0_u64;
        for stale in column.stale(conn, self.tenant, &aead::prefix(self.outer.version), PAGE)? {
            let cell = Cell::of_tenant(self.tenant, column.column, &stale.key);
            let plain = self.vault.open(conn, &cell, &stale.sealed).map_err(|error| {
                let Column { table, column } = column.column;
                let is_broken = matches!(error, VaultError::Unsealed(_));
                if is_broken { VaultError::Broken(table, column, stale.key.clone()) } else { error }
            })?;
            let sealed = aead::seal(&self.outer.key, self.outer.version, &cell.aad(self.outer.version), &plain)?;
            column.replace(conn, self.tenant, &stale.key, &sealed)?;
            count = count.saturating_add(1);
        }
        Ok(count)
    }

    /// What older keys still wrap or seal.
    fn left(&self, conn: &mut PgConnection) -> Result<i64, VaultError> {
        let mut left = store::wrapped_by_older(conn, self.tenant, self.outer.version)?;
        for column in self.vault.0.parts.columns {
            left = left.saturating_add(column.count_stale(conn, self.tenant, &aead::prefix(self.outer.version))?);
        }
        Ok(left)
    }

    /// Destroys the older keys, unless something was sealed by them since; then none.
    fn retire(&self, conn: &mut PgConnection, now: DateTime<Utc>) -> Result<Option<u64>, VaultError> {
        conn.transaction(|conn| {
            store::lock_older_keys(conn, self.tenant, self.outer.version)?;
            if self.left(conn)? > 0 {
                return Ok(None);
            }
            let retired = store::retire_tenant_keys(conn, self.tenant, self.outer.version, now)?;
            Ok(Some(u64::try_from(retired).unwrap_or(0)))
        })
    }
}
