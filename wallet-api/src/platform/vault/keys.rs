//! Which key seals or opens a cell: found in the database at each call, made where there is none, never guessed.
//!
//! A person's key is not kept in memory at all: it is unwrapped, used and wiped, so a person forgotten is forgotten on every
//! node with the commit. Only tenants' keys are kept ([`Kept`]), by the very bytes they are wrapped as: a key that was
//! rolled back, or wrapped anew, is never taken for another. That spares the call to whoever keeps the KEK.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use uuid::Uuid;

use super::aead::{self, Key, Unsealed};
use super::cell::Words;
use super::index::Purpose;
use super::kms::{Kms, KmsError};
use super::store::{self, IndexKey, Opening, PersonKey, TenantKey};
use super::{Inner, VaultError};

/// How long a tenant's key may stay in memory; so, how long one that was retired may.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// How many tenants' keys may.
const KEPT: usize = 1_000;
/// How often a row that somebody else makes at the same time is looked for.
const TRIES: usize = 4;
/// The version of a person's key: there is one.
const FIRST: i32 = 1;

/// Tenants' keys in memory, by what they are wrapped as.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<HashMap<Vec<u8>, KeptKey>>);

/// A key, and since when it is in memory.
#[derive(Debug)]
struct KeptKey {
    since: Instant,
    key: Arc<Key>,
}

impl Kept {
    fn get(&self, wrapped: &[u8]) -> Option<Arc<Key>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, kept| kept.since.elapsed() < KEPT_FOR);
        kept.get(wrapped).map(|kept| Arc::clone(&kept.key))
    }

    fn put(&self, wrapped: &[u8], key: &Arc<Key>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.insert(wrapped.to_vec(), KeptKey { since: Instant::now(), key: Arc::clone(key) });
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A person's key to open with.
pub(super) enum PersonsKey {
    /// Of this version.
    Here(i32, Key),
    /// Destroyed: the person was forgotten.
    Destroyed,
}

/// A tenant's key and its version.
pub(super) struct Outer {
    pub(super) version: i32,
    pub(super) key: Arc<Key>,
}

impl Inner {
    /// The KEK that wraps what is new, as the database says; the first one is noted there.
    pub(super) fn current_kek(
        &self,
        conn: &mut PgConnection,
        kms: &dyn Kms,
        now: DateTime<Utc>,
    ) -> Result<i32, VaultError> {
        for _ in 0..TRIES {
            if let Some(kek) = store::current_kek(conn)? {
                let ours = kms.fingerprint(kek.version)?;
                let is_ours = ours.as_slice() == kek.fingerprint;
                return if is_ours { Ok(kek.version) } else { Err(KmsError::Foreign(kek.version).into()) };
            }
            let newest = kms.newest()?;
            store::add_kek(conn, newest, &kms.fingerprint(newest)?, now)?;
        }
        Err(Unsealed.into())
    }

    /// The tenant's key that seals what is new, made where there is none, and held until the transaction ends.
    pub(super) fn newest(&self, conn: &mut PgConnection, tenant: i64, now: DateTime<Utc>) -> Result<Outer, VaultError> {
        for _ in 0..TRIES {
            match store::newest_tenant_key(conn, tenant)? {
                // Retired while we waited for it: there is a newer one.
                Some(TenantKey { wrapped: None, .. }) => {}
                Some(row) => return self.unwrap_tenant_key(tenant, &row),
                None => self.make_tenant_key(conn, tenant, FIRST, now).map(drop)?,
            }
        }
        Err(Unsealed.into())
    }

    /// Makes a version of a tenant's key; false when somebody else just did.
    pub(super) fn make_tenant_key(
        &self,
        conn: &mut PgConnection,
        tenant: i64,
        version: i32,
        now: DateTime<Utc>,
    ) -> Result<bool, VaultError> {
        let kms = self.kms()?;
        let kek = self.current_kek(conn, kms, now)?;
        let wrapped = kms.wrap(kek, &tenant_context(tenant, version), &Key::random())?;
        Ok(store::add_tenant_key(conn, tenant, &TenantKey { version, kek, wrapped: Some(wrapped) }, now)?)
    }

    /// A tenant's key of this version.
    pub(super) fn outer(&self, conn: &mut PgConnection, tenant: i64, version: i32) -> Result<Outer, VaultError> {
        let row = store::tenant_key(conn, tenant, version)?.ok_or(Unsealed)?;
        self.unwrap_tenant_key(tenant, &row)
    }

    pub(super) fn unwrap_tenant_key(&self, tenant: i64, row: &TenantKey) -> Result<Outer, VaultError> {
        let kms = self.kms()?;
        let wrapped = row.wrapped.as_deref().ok_or(Unsealed)?;
        // With its place: a row copied from another tenant must fail here as it would without what is kept.
        let context = tenant_context(tenant, row.version);
        let place = [context.as_slice(), &row.kek.to_be_bytes(), wrapped].concat();
        let key = match self.kept.get(&place) {
            Some(key) => key,
            None => {
                let key = Arc::new(kms.unwrap(row.kek, &context, wrapped)?);
                self.kept.put(&place, &key);
                key
            }
        };
        Ok(Outer { version: row.version, key })
    }

    /// A person's key to seal with, made where there is none, and held until the transaction ends.
    pub(super) fn person_key_to_seal(
        &self,
        conn: &mut PgConnection,
        (tenant, person): (i64, Uuid),
        now: DateTime<Utc>,
    ) -> Result<(i32, Key), VaultError> {
        for _ in 0..TRIES {
            if let Some(row) = store::person_key_to_seal(conn, tenant, person)? {
                let outer_version = row.tenant_key.ok_or(VaultError::Forgotten)?;
                let outer = self.outer(conn, tenant, outer_version)?;
                return Ok((row.version, unwrap_person_key(&outer, tenant, &row)?));
            }
            let outer = self.newest(conn, tenant, now)?;
            let wrapped = wrap_person_key(&outer, tenant, (person, FIRST), &Key::random())?;
            let (tenant_key, wrapped) = (Some(outer.version), Some(wrapped));
            store::add_person_key(conn, tenant, &PersonKey { person, version: FIRST, tenant_key, wrapped }, now)?;
        }
        Err(Unsealed.into())
    }

    /// Persons' keys to seal with, held until the transaction ends. Who has none yet is not among them.
    pub(super) fn person_keys_to_seal(
        &self,
        conn: &mut PgConnection,
        tenant: i64,
        persons: &[Uuid],
    ) -> Result<HashMap<Uuid, (i32, Key)>, VaultError> {
        let (mut keys, mut outers) = (HashMap::new(), HashMap::new());
        for row in store::person_keys_to_seal(conn, tenant, persons)? {
            let version = row.tenant_key.ok_or(VaultError::Forgotten)?;
            let outer = match outers.entry(version) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.outer(conn, tenant, version)?),
            };
            keys.insert(row.person, (row.version, unwrap_person_key(outer, tenant, &row)?));
        }
        Ok(keys)
    }

    /// Persons' keys to open with: one question for all of them. Who has none, or one that was tampered with, is not among
    /// them.
    pub(super) fn person_keys(
        &self,
        conn: &mut PgConnection,
        tenant: i64,
        persons: &[Uuid],
    ) -> Result<HashMap<Uuid, PersonsKey>, VaultError> {
        let mut keys = HashMap::new();
        for row in store::person_keys(conn, tenant, persons)? {
            match self.opening(tenant, &row) {
                Ok((version, key)) => _ = keys.insert(row.key.person, PersonsKey::Here(version, key)),
                Err(VaultError::Forgotten) => _ = keys.insert(row.key.person, PersonsKey::Destroyed),
                Err(VaultError::Unsealed(_)) => tracing::error!(tenant, "a person's key does not unwrap"),
                Err(error) => return Err(error),
            }
        }
        Ok(keys)
    }

    fn opening(&self, tenant: i64, row: &Opening) -> Result<(i32, Key), VaultError> {
        let Opening { key, outer_kek, outer_wrapped } = row;
        let version = key.tenant_key.ok_or(VaultError::Forgotten)?;
        let outer = TenantKey { version, kek: outer_kek.ok_or(Unsealed)?, wrapped: outer_wrapped.clone() };
        let outer = self.unwrap_tenant_key(tenant, &outer)?;
        Ok((key.version, unwrap_person_key(&outer, tenant, key)?))
    }

    /// The key of a blind index, if there is one.
    pub(super) fn index_key(
        &self,
        conn: &mut PgConnection,
        tenant: i64,
        purpose: Purpose,
    ) -> Result<Option<Key>, VaultError> {
        let Some(row) = store::index_key(conn, tenant, purpose.0)? else { return Ok(None) };
        let outer = self.outer(conn, tenant, row.tenant_key)?;
        unwrap_index_key(&outer, tenant, &row).map(Some)
    }

    /// Makes the key of a blind index, unless somebody else just did.
    pub(super) fn make_index_key(
        &self,
        conn: &mut PgConnection,
        tenant: i64,
        purpose: Purpose,
        now: DateTime<Utc>,
    ) -> Result<(), VaultError> {
        let outer = self.newest(conn, tenant, now)?;
        let wrapped = wrap_index_key(&outer, tenant, purpose.0, &Key::random())?;
        let row = IndexKey { purpose: purpose.0.to_owned(), tenant_key: outer.version, wrapped };
        store::add_index_key(conn, tenant, &row, now)?;
        Ok(())
    }
}

fn tenant_context(tenant: i64, version: i32) -> Vec<u8> {
    Words::of("tessera.vault.tenant-key.1").bytes(&tenant.to_be_bytes()).bytes(&version.to_be_bytes()).done()
}

/// Wraps a tenant's key under another KEK.
pub(super) fn rewrap_tenant_key(kms: &dyn Kms, tenant: i64, outer: &Outer, kek: i32) -> Result<Vec<u8>, KmsError> {
    kms.wrap(kek, &tenant_context(tenant, outer.version), &outer.key)
}

fn person_context(tenant: i64, person: Uuid, version: i32, outer: i32) -> Vec<u8> {
    Words::of("tessera.vault.person-key.1")
        .bytes(&tenant.to_be_bytes())
        .bytes(person.as_bytes())
        .bytes(&version.to_be_bytes())
        .bytes(&outer.to_be_bytes())
        .done()
}

pub(super) fn wrap_person_key(
    outer: &Outer,
    tenant: i64,
    (person, version): (Uuid, i32),
    key: &Key,
) -> Result<Vec<u8>, Unsealed> {
    aead::seal(&outer.key, outer.version, &person_context(tenant, person, version, outer.version), key.expose())
}

pub(super) fn unwrap_person_key(outer: &Outer, tenant: i64, row: &PersonKey) -> Result<Key, VaultError> {
    let wrapped = row.wrapped.as_deref().ok_or(VaultError::Forgotten)?;
    Ok(unwrap(outer, &person_context(tenant, row.person, row.version, outer.version), wrapped)?)
}

fn index_context(tenant: i64, purpose: &str, outer: i32) -> Vec<u8> {
    let words = Words::of("tessera.vault.index-key.1").bytes(&tenant.to_be_bytes()).bytes(purpose.as_bytes());
    words.bytes(&outer.to_be_bytes()).done()
}

pub(super) fn wrap_index_key(outer: &Outer, tenant: i64, purpose: &str, key: &Key) -> Result<Vec<u8>, Unsealed> {
    aead::seal(&outer.key, outer.version, &index_context(tenant, purpose, outer.version), key.expose())
}

pub(super) fn unwrap_index_key(outer: &Outer, tenant: i64, row: &IndexKey) -> Result<Key, VaultError> {
    Ok(unwrap(outer, &index_context(tenant, &row.purpose, outer.version), &row.wrapped)?)
}

fn unwrap(outer: &Outer, context: &[u8], wrapped: &[u8]) -> Result<Key, Unsealed> {
    if aead::version(wrapped)? != outer.version {
        return Err(Unsealed);
    }
    Key::from_slice(&aead::open(&outer.key, context, wrapped)?).ok_or(Unsealed)
}
