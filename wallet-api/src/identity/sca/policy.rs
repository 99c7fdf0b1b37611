//! Which passkeys suffice alone: a table by date, per tenant and currency.
//!
//! A passkey that may be synced is on devices we do not know, so above the tenant's amount it needs the device's own proof
//! beside it. Without a rule it always does. Rules are added, never changed: evidence names the one it was given under.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use ledger::MAX_AMOUNT;

use super::rules::RuleError;
use super::store;

/// Up to what amount a passkey that may be synced suffices alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncedRule {
    /// Since when.
    pub valid_from: DateTime<Utc>,
    /// Minor units; zero is never.
    pub most_minor: i64,
}

impl SyncedRule {
    /// Whether a payment may come to its amount.
    pub(super) fn check(&self) -> Result<(), RuleError> {
        if (0..=MAX_AMOUNT).contains(&self.most_minor) { Ok(()) } else { Err(RuleError::Unlawful) }
    }
}

/// Adds a tenant's rule, from a moment on. Four eyes are the caller's to see to.
///
/// # Errors
/// [`RuleError::Unlawful`], [`RuleError::Taken`].
pub(super) fn set_synced_rule(
    conn: &mut PgConnection,
    tenant: i64,
    currency: &str,
    rule: SyncedRule,
) -> Result<(), RuleError> {
    rule.check()?;
    if store::insert_synced_rule(conn, tenant, currency, rule)? { Ok(()) } else { Err(RuleError::Taken) }
}

/// Whether a payment needs the device's own proof beside the passkey.
#[must_use]
pub fn needs_device(rule: Option<SyncedRule>, backup_eligible: bool, amount_minor: i64) -> bool {
    backup_eligible && rule.is_none_or(|rule| amount_minor > rule.most_minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t17_a_passkey_that_may_be_synced_suffices_up_to_the_tenants_amount_and_no_further() {
        let rule = Some(SyncedRule { valid_from: DateTime::<Utc>::UNIX_EPOCH, most_minor: 3000 });
        assert!(!needs_device(rule, true, 3000));
        assert!(needs_device(rule, true, 3001));
        assert!(needs_device(None, true, 1), "without a rule, never alone");
        assert!(!needs_device(None, false, i64::MAX), "a key that cannot leave its device is the device");
    }
}
