//! Caution after a recovery or a new device: little may leave the wallet then, because whoever came in last may not be its owner.
//!
//! The cap is on all that was agreed to within the last day, so that many small payments pass no more than one. What the books
//! then refused counts too: a day is short, and it is not worth asking them. Not here: payments that machines make.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use uuid::Uuid;

use super::store;
use crate::identity::people::{self, COOLING_OFF, Caution};
use crate::identity::sca;
use crate::platform::money::{EUR, Money};
use crate::platform::problem::Problem;

/// Lets a payment go on if caution allows so much more, or there is no reason for any.
///
/// # Errors
/// 403 `caution`, with until when and what is left.
pub(super) fn allows(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (tenant, person): (i64, Uuid),
    amount_minor: i64,
) -> Result<(), Problem> {
    let Some(caution) = people::caution(conn, tenant, person, now)? else { return Ok(()) };
    // Of payments of one person at once each sees what the one before it was allowed.
    sca::hold(conn, tenant, &[person])?;
    bears(conn, now, caution, (tenant, person), amount_minor)
}

/// Lets a payment go on if this caution allows so much more. Its payer is held.
///
/// # Errors
/// As [`allows`].
pub(super) fn bears(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    caution: Caution,
    (tenant, person): (i64, Uuid),
    amount_minor: i64,
) -> Result<(), Problem> {
    let used = store::agreed_since(conn, tenant, person, now - COOLING_OFF)?;
    let left = caution.most_minor.saturating_sub(used).max(0);
    if amount_minor <= left {
        return Ok(());
    }
    let detail = "A new device or a recovery was a short while ago: pay less, or wait until the time named.";
    let problem = Problem::new(403, "caution", "Only little can be paid for now", detail);
    Err(problem.with("until", serde_json::json!(caution.until)).with("left", serde_json::json!(Money::new(left, EUR))))
}
