//! What an entry of the audit log says of a look at a customer: in which roles, at what, and in an emergency why.

use diesel::{PgConnection, QueryResult};
use serde_json::Value;
use uuid::Uuid;

use super::{cell, store};
use crate::platform::audit::form::Row;
use crate::platform::vault::Vault;

/// What is told of a look beside who, when and how it went; of any other act nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// In which roles.
    pub roles: Vec<String>,
    /// At what.
    pub what: Option<String>,
    /// Whether it was in an emergency.
    pub is_emergency: bool,
    /// Why, in the operator's words, where an emergency was begun.
    pub reason: Option<String>,
}

/// What there is to tell a customer of entries about them, in their order. A reason that does not open hides nothing else.
///
/// # Errors
/// The database's.
pub fn looks(
    conn: &mut PgConnection,
    vault: &Vault,
    (tenant, customer): (i64, Uuid),
    rows: &[Row],
) -> QueryResult<Vec<Look>> {
    let details: Vec<Value> = rows.iter().map(|row| serde_json::from_str(&row.detail).unwrap_or_default()).collect();
    let emergencies: Vec<Uuid> = details.iter().filter_map(emergency).collect();
    let mut reasons = Vec::with_capacity(emergencies.len());
    if !emergencies.is_empty() {
        for (id, sealed) in store::reasons(conn, tenant, customer, &emergencies)? {
            let opened = vault.open_text(conn, &cell(tenant, customer, id), &sealed);
            reasons.extend(opened.ok().map(|reason| (id, reason.to_string())));
        }
    }
    Ok(details.iter().map(|detail| look(detail, &reasons)).collect())
}

fn emergency(detail: &Value) -> Option<Uuid> {
    detail.get("emergency")?.as_str()?.parse().ok()
}

fn look(detail: &Value, reasons: &[(Uuid, String)]) -> Look {
    let begun = emergency(detail);
    let reason = begun.and_then(|id| reasons.iter().find(|(one, _)| *one == id)).map(|(_, reason)| reason.clone());
    let words = |value: &Value| value.as_str().map(str::to_owned);
    let roles = detail.get("roles").and_then(Value::as_array);
    Look {
        roles: roles.map(|roles| roles.iter().filter_map(words).collect()).unwrap_or_default(),
        what: detail.get("what").and_then(words),
        is_emergency: begun.is_some() || detail.get("in_emergency").and_then(Value::as_bool).unwrap_or_default(),
        reason,
    }
}
