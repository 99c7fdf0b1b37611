//! Identity: tenants, the keys that machine clients come in with, people, their devices and sessions.
//!
//! A tenant's slug and sandbox flag never change. A key is shown once, kept as a hash, and revoked for good; several
//! keys may belong to one client, so that a key is rotated without changing who acts (idempotency keys are the client's).
//! Functions that take a connection join their caller's transaction, and write to the audit log in it: `by` is who acts.
//! Not here: letting callers in ([`platform::keyring`](crate::platform::keyring), which asks our [`directory`]). People,
//! their [devices] and [sessions], their [passkeys] and what they approve with them ([sca]) stand beside, each in a folder, and
//! so do their [contacts], the [codes] that are sent there, and the [doors] they come in by. Who works for a tenant is one of
//! its [operators]; what takes [four_eyes], and [break_glass], are for them.

pub mod break_glass;
pub mod claims;
pub mod codes;
pub mod contacts;
pub mod devices;
pub mod doors;
pub mod four_eyes;
mod housekeeping;
mod model;
pub mod notices;
pub mod operators;
pub mod own;
pub mod passkeys;
pub mod people;
pub mod recovery;
mod routes;
pub mod sca;
pub mod sessions;
pub mod sign_in;
pub mod sign_up;
mod store;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection, QueryResult};
use uuid::Uuid;

pub use doors::Doors;
pub use housekeeping::Housekeeper;
pub use routes::routes;

pub use model::{CreatedKey, IdentityError, NewKey, NewTenant};

use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};
use crate::platform::ids::Ids;
use crate::platform::keyring::{Directory, Kind, Scope, Tenant, Token};

/// Adds a tenant with a secret of its own.
///
/// # Errors
/// [`IdentityError::Slug`], [`IdentityError::NameMissing`], [`IdentityError::SlugTaken`].
#[tracing::instrument(name = "identity.create_tenant", skip_all, fields(tenant.slug = wish.slug))]
pub fn create_tenant(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    by: Actor,
    wish: &NewTenant,
) -> Result<Tenant, IdentityError> {
    wish.check()?;
    let mut secret = [0; 32];
    ids.fill(&mut secret);
    conn.transaction(|conn| {
        store::insert_tenant(conn, wish, &secret, now)?.ok_or(IdentityError::SlugTaken)?;
        let tenant = tenant_by_slug(conn, &wish.slug)?;
        note_tenant(conn, Action::TenantCreated, by, &tenant, now)?;
        Ok(tenant)
    })
}

fn note_tenant(
    conn: &mut PgConnection,
    action: Action,
    by: Actor,
    tenant: &Tenant,
    now: DateTime<Utc>,
) -> Result<(), IdentityError> {
    let entry = Entry::done(tenant.id, by, action, Object::Tenant(tenant.id));
    audit::append(conn, &entry.with("sandbox", Fact::Flag(tenant.sandbox)), now)?;
    Ok(())
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
    by: Actor,
    number: i64,
    wish: &NewTenant,
) -> Result<Tenant, IdentityError> {
    wish.check()?;
    let mut secret = [0; 32];
    ids.fill(&mut secret);
    conn.transaction(|conn| {
        if !store::insert_numbered(conn, number, wish, &secret, now)? {
            return Err(IdentityError::NumberTaken);
        }
        let tenant = tenant_by_slug(conn, &wish.slug)?;
        note_tenant(conn, Action::TenantRestored, by, &tenant, now)?;
        Ok(tenant)
    })
}

/// The tenant called `slug`.
///
/// # Errors
/// [`IdentityError::UnknownTenant`].
pub fn tenant_by_slug(conn: &mut PgConnection, slug: &str) -> Result<Tenant, IdentityError> {
    if !model::is_slug(slug) {
        return Err(IdentityError::UnknownTenant); // the database takes no text with a zero in it
    }
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
pub fn create_key(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    by: Actor,
    wish: &NewKey,
) -> Result<CreatedKey, IdentityError> {
    create_key_of(conn, ids, now, by, (wish, None))
}

/// The same for a key that belongs to an operator: where four eyes are asked for, the two are one pair.
///
/// # Errors
/// As [`create_key`].
#[tracing::instrument(name = "identity.create_key", skip_all, fields(tenant.id = wish.tenant))]
pub fn create_key_of(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    by: Actor,
    (wish, operator): (&NewKey, Option<Uuid>),
) -> Result<CreatedKey, IdentityError> {
    wish.check()?;
    if let Some(client) = wish.client
        && !store::client_exists(conn, wish.tenant, client)?
    {
        return Err(IdentityError::UnknownClient);
    }
    let key = Token::generate(Kind::Key, ids);
    conn.transaction(|conn| {
        let (id, client) = store::insert_key(conn, (wish, operator), &key, now)?;
        let scopes = wish.scopes.iter().map(|scope| scope.word()).collect();
        let entry = Entry::done(wish.tenant, by, Action::KeyCreated, Object::Key(key.prefix().to_owned()));
        let entry = entry.with("client", Fact::Number(client)).with("scopes", Fact::Words(scopes));
        let entry = match operator {
            Some(operator) => entry.with("operator", Fact::Id(operator)),
            None => entry,
        };
        audit::append(conn, &entry, now)?;
        Ok(CreatedKey { id, client, key })
    })
}

/// Ends a key; at the latest one second later no node takes it any more. Ending it again changes nothing.
///
/// # Errors
/// [`IdentityError::UnknownKey`] when the tenant has no key with this prefix.
#[tracing::instrument(name = "identity.revoke_key", skip_all, fields(tenant.id = tenant, key.prefix = prefix))]
pub fn revoke_key(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: Actor,
    tenant: i64,
    prefix: &str,
) -> Result<(), IdentityError> {
    conn.transaction(|conn| {
        if store::revoke_key(conn, tenant, prefix, now)? {
            let entry = Entry::done(tenant, by, Action::KeyRevoked, Object::Key(prefix.to_owned()));
            audit::append(conn, &entry, now)?;
        } else if !store::key_exists(conn, tenant, prefix)? {
            return Err(IdentityError::UnknownKey);
        }
        Ok(())
    })
}

/// The prefixes of an operator's keys that nobody has ended: they open nothing once the operator has left.
///
/// # Errors
/// What the database says.
pub fn keys_of(conn: &mut PgConnection, tenant: i64, operator: Uuid) -> QueryResult<Vec<String>> {
    store::keys_of(conn, tenant, operator)
}

/// Whether a client has a key in force that may this, be it the one it acted by or another in its place.
///
/// # Errors
/// What the database says.
pub fn client_may(conn: &mut PgConnection, tenant: i64, client: i64, scope: Scope) -> QueryResult<bool> {
    let may = |word: &String| word.parse().is_ok_and(|one: Scope| one.stands_for(scope));
    Ok(store::scopes_of_client(conn, tenant, client)?.iter().flatten().any(may))
}

/// What the platform's keyring asks.
#[must_use]
pub fn directory() -> Arc<dyn Directory> {
    Arc::new(store::Keys)
}

#[cfg(test)]
mod tests;
