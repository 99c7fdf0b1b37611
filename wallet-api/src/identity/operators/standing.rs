//! How an operator stands: who has a number, and what they have lost since.

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

use super::store;
use crate::platform::keyring::{Role, Scope};

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
