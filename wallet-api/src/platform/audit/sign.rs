//! Signing heads: what came since the last signed head is computed again before anything is signed for it.
//!
//! So a signed head covers a chain that was whole when it was signed, and a row that is changed within its first minute is
//! noticed instead of signed for. Any node with the proof keys may sign, and several at once do no harm: a seq has one
//! signed head, the first. A turn takes so many rows of each tenant; what is left is for the next, which comes at once.
//! Not here: when turns are (sealing), where heads are published (sealing).

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use ledger::proof::Ring;

use super::form::Last;
use super::head::{AuditHead, SignedAuditHead};
use super::store;
use super::verify::step;

/// Rows of one tenant that a turn takes.
const ROWS: i64 = 4_000;

/// What a turn came to.
#[derive(Debug, Default)]
pub struct Signed {
    /// The heads that were signed and kept.
    pub heads: Vec<SignedAuditHead>,
    /// More can be signed at once.
    pub more: bool,
}

/// Signs the head of each tenant that has something new.
///
/// # Errors
/// The database's; what was signed before stays, and is found in the table.
pub fn turn(conn: &mut PgConnection, ring: &Ring, now: DateTime<Utc>) -> QueryResult<Signed> {
    let mut signed = Signed::default();
    for tenant in store::unsigned(conn)? {
        signed.heads.extend(sign_tenant(conn, ring, tenant, now, &mut signed.more)?);
    }
    Ok(signed)
}

fn sign_tenant(
    conn: &mut PgConnection,
    ring: &Ring,
    tenant: i64,
    now: DateTime<Utc>,
    more: &mut bool,
) -> QueryResult<Option<SignedAuditHead>> {
    let signed = store::last_signed(conn, tenant)?;
    let start = signed.map_or(Last::none(tenant), |SignedAuditHead { head, .. }| Last {
        tenant,
        seq: head.seq,
        hash: head.hash,
    });
    let rows = store::rows(conn, tenant, start.seq, ROWS)?;
    let mut last = start;
    for row in &rows {
        match step(&last, row) {
            Ok(next) => last = next,
            Err(broken) => {
                tracing::error!(tenant, seq = broken.seq, "the audit log is broken and is not signed: {broken}");
                return Ok(None);
            }
        }
    }
    if last == start {
        tracing::error!(tenant, seq = start.seq, "the audit log's head names rows that are not there");
        return Ok(None);
    }
    *more |= i64::try_from(rows.len()).is_ok_and(|rows| rows == ROWS);
    let head = AuditHead {
        tenant,
        seq: last.seq,
        hash: last.hash,
        signed_us: now.timestamp_micros(),
        key: ring.current().public().id(),
        next: None,
    };
    let Some(head) = SignedAuditHead::sign(ring, signed.map(|signed| signed.head.signs_on()), head) else {
        tracing::error!(tenant, "the key that signed the audit log is not in the proof folder: nothing is signed");
        return Ok(None);
    };
    Ok(store::insert_signed(conn, &head)?.then_some(head))
}
