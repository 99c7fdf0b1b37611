//! Identity: tenants, and the keys that machine clients come in with.
//!
//! A tenant's slug and sandbox flag never change. A key is shown once, kept as a hash, and revoked for good; several
//! keys may belong to one client, so that a key is rotated without changing who acts (idempotency keys are the client's).
//! Functions that take a connection join their caller's transaction. Not here: letting callers in
//! ([`platform::keyring`](crate::platform::keyring), which asks our [`directory`]), and people.

mod model;
mod store;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::PgConnection;

pub use model::{CreatedKey, IdentityError, NewKey, NewTenant};

use crate::platform::ids::Ids;
use crate::platform::keyring::{ApiKey, Directory, Tenant};

/// Adds a tenant with a secret of its own.
///
/// # Errors
/// [`IdentityError::Slug`], [`IdentityError::NameMissing`], [`IdentityError::SlugTaken`].
#[tracing::instrument(name = "identity.create_tenant", skip_all, fields(tenant.slug = wish.slug))]
pub fn create_tenant(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    wish: &NewTenant,
) -> Result<Tenant, IdentityError> {
    wish.check()?;
    let mut secret = [0; 32];
    ids.fill(&mut secret);
    store::insert_tenant(conn, wish, &secret, now)?.ok_or(IdentityError::SlugTaken)?;
    tenant_by_slug(conn, &wish.slug)
}

/// Adds a tenant under the number it has elsewhere, with a secret of its own: the one its books were written under. Needs the
/// owner of the tables.
///
/// # Errors
/// [`IdentityError::Slug`], [`IdentityError::NameMissing`], [`IdentityError::NumberTaken`] when the number or the slug is.
#[tracing::instrument(name = "identity.restore_tenant", skip_all, fields(tenant.slug = wish.slug))]
pub fn restore_tenant(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    number: i64,
    wish: &NewTenant,
) -> Result<Tenant, IdentityError> {
    wish.check()?;
    let mut secret = [0; 32];
    ids.fill(&mut secret);
    if !store::insert_numbered(conn, number, wish, &secret, now)? {
        return Err(IdentityError::NumberTaken);
    }
    tenant_by_slug(conn, &wish.slug)
}

/// The tenant called `slug`.
///
/// # Errors
/// [`IdentityError::UnknownTenant`].
pub fn tenant_by_slug(conn: &mut PgConnection, slug: &str) -> Result<Tenant, IdentityError> {
    store::tenant_by_slug(conn, slug)?.ok_or(IdentityError::UnknownTenant)
}

/// Every tenant, oldest first.
///
/// # Errors
/// What the database says.
pub fn tenants(conn: &mut PgConnection) -> Result<Vec<Tenant>, IdentityError> {
    Ok(store::tenants(conn)?)
}

/// Makes a key for a new client, or one more for a client that has some. The answer is the only place it can be read.
///
/// # Errors
/// [`IdentityError::NameMissing`], [`IdentityError::NoScopes`], [`IdentityError::UnknownTenant`],
/// [`IdentityError::UnknownClient`].
#[tracing::instrument(name = "identity.create_key", skip_all, fields(tenant.id = wish.tenant))]
pub fn create_key(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    wish: &NewKey,
) -> Result<CreatedKey, IdentityError> {
    wish.check()?;
    if let Some(client) = wish.client
        && !store::client_exists(conn, wish.tenant, client)?
    {
        return Err(IdentityError::UnknownClient);
    }
    let key = ApiKey::generate(ids);
    let (id, client) = store::insert_key(conn, wish, &key, now)?;
    Ok(CreatedKey { id, client, key })
}

/// Ends a key; at the latest one second later no node takes it any more. Ending it again changes nothing.
///
/// # Errors
/// [`IdentityError::UnknownKey`] when the tenant has no key with this prefix.
#[tracing::instrument(name = "identity.revoke_key", skip_all, fields(tenant.id = tenant, key.prefix = prefix))]
pub fn revoke_key(conn: &mut PgConnection, now: DateTime<Utc>, tenant: i64, prefix: &str) -> Result<(), IdentityError> {
    if store::revoke_key(conn, tenant, prefix, now)? { Ok(()) } else { Err(IdentityError::UnknownKey) }
}

/// What the platform's keyring asks.
#[must_use]
pub fn directory() -> Arc<dyn Directory> {
    Arc::new(store::Keys)
}

#[cfg(test)]
mod tests;
