//! How an operator stands: who they are, by their id, address or number, and what they have lost since.

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

use super::model::{Operator, OperatorError};
use super::{BY_EMAIL, EMAILS, NAMES, cell, store};
use crate::platform::keyring::{Role, Scope};
use crate::platform::vault::Vault;

/// Who has an address, and has not left.
///
/// # Errors
/// [`OperatorError::Unknown`].
pub fn by_email(conn: &mut PgConnection, vault: &Vault, tenant: i64, email: &str) -> Result<Uuid, OperatorError> {
    let index = vault.find_index(conn, tenant, BY_EMAIL, &email.trim().to_lowercase())?;
    let index = index.ok_or(OperatorError::Unknown)?;
    store::by_email(conn, tenant, index.as_bytes())?.ok_or(OperatorError::Unknown)
}

/// The number of an operator who has not left.
///
/// # Errors
/// [`OperatorError::Unknown`].
pub fn number(conn: &mut PgConnection, tenant: i64, operator: Uuid) -> Result<i64, OperatorError> {
    Ok(store::find(conn, tenant, operator)?.ok_or(OperatorError::Unknown)?.number)
}

/// Everybody who works or worked for a tenant, oldest first.
///
/// # Errors
/// The vault's; the database's.
pub fn list(conn: &mut PgConnection, vault: &Vault, tenant: i64) -> Result<Vec<Operator>, OperatorError> {
    let rows = store::all(conn, tenant)?;
    rows.into_iter().map(|row| read(conn, vault, tenant, row)).collect()
}

/// An operator who has not left.
///
/// # Errors
/// [`OperatorError::Unknown`]; the vault's.
pub fn find(conn: &mut PgConnection, vault: &Vault, tenant: i64, operator: Uuid) -> Result<Operator, OperatorError> {
    let row = store::find(conn, tenant, operator)?.ok_or(OperatorError::Unknown)?;
    read(conn, vault, tenant, row)
}

fn read(conn: &mut PgConnection, vault: &Vault, tenant: i64, row: store::Row) -> Result<Operator, OperatorError> {
    let name = vault.open_text(conn, &cell(tenant, NAMES, row.id), &row.name)?.to_string();
    let email = vault.open_text(conn, &cell(tenant, EMAILS, row.id), &row.email)?.to_string();
    let roles = store::roles(conn, tenant, row.id)?;
    Ok(Operator { id: row.id, number: row.number, name, email, roles, closed_at: row.closed_at })
}

/// The name of who has a number and has not left; none of a client's.
///
/// # Errors
/// The vault's; the database's.
pub fn name_of(
    conn: &mut PgConnection,
    vault: &Vault,
    tenant: i64,
    number: i64,
) -> Result<Option<String>, OperatorError> {
    let Some(operator) = store::of_number(conn, tenant, number)? else { return Ok(None) };
    let Some(row) = store::find(conn, tenant, operator)? else { return Ok(None) };
    Ok(Some(vault.open_text(conn, &cell(tenant, NAMES, row.id), &row.name)?.to_string()))
}

/// Who has a number, whether they have left or not; none when it is a client's.
///
/// # Errors
/// The database's.
pub fn of_number(conn: &mut PgConnection, tenant: i64, number: i64) -> QueryResult<Option<Uuid>> {
    store::of_number(conn, tenant, number)
}

/// Whether an operator has left.
///
/// # Errors
/// The database's.
pub fn has_left(conn: &mut PgConnection, tenant: i64, operator: Uuid) -> QueryResult<bool> {
    Ok(store::find(conn, tenant, operator)?.is_none())
}

/// Whether an operator left, or lost a role with this scope since a moment. Whoever had it then and has not lost it has it still,
/// where they had it; the hour does not matter.
///
/// # Errors
/// The database's.
pub fn has_lost(
    conn: &mut PgConnection,
    tenant: i64,
    operator: Uuid,
    scope: Scope,
    since: DateTime<Utc>,
) -> QueryResult<bool> {
    if has_left(conn, tenant, operator)? {
        return Ok(true);
    }
    let roles: Vec<_> = Role::ALL.into_iter().filter(|role| role.scopes().contains(&scope)).collect();
    store::has_lost(conn, tenant, operator, &roles, since)
}
