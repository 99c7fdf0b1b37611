//! The follower that keeps the cards.

use std::collections::BTreeMap;

use diesel::PgConnection;
use ledger::StoreError;
use ledger::follow::Page;
use ledger::follow::parked::Unread;
use uuid::Uuid;

use super::store::{self, Additions};
use crate::payments::{self, Cleared};
use crate::platform::follow::Reading;

/// The follower's name.
pub const CARD: &str = "card";

/// Adds a page's payments to their customers' cards; tells which it cannot read.
///
/// # Errors
/// What the database says.
pub fn follow_payments(conn: &mut PgConnection, page: &Page) -> Result<Vec<Unread>, StoreError> {
    let mut by_customer: BTreeMap<Uuid, Vec<Cleared>> = BTreeMap::new();
    let Reading { read, unread } = payments::cleared(page);
    for cleared in read {
        by_customer.entry(cleared.customer).or_default().push(cleared);
    }
    if by_customer.is_empty() {
        return Ok(unread);
    }
    let pairs = by_customer.values().flatten().map(|payment| (payment.customer, payment.merchant));
    let (customers, merchants): (Vec<Uuid>, Vec<Uuid>) = pairs.unzip();
    store::add_merchants(conn, page.span.journal.0, (customers.as_slice(), merchants.as_slice()))?;
    let mut add = Additions::default();
    for (customer, all) in by_customer {
        // max_by_key takes the last of equals: the later recorded.
        let Some(last) = all.iter().max_by_key(|payment| payment.occurred) else { continue };
        add.customer.push(customer);
        add.payments.push(i64::try_from(all.len()).unwrap_or(i64::MAX));
        add.paid_minor.push(all.iter().fold(0, |sum, payment| payment.amount_minor.saturating_add(sum)));
        add.last_payment.push(last.id);
        add.last_merchant.push(last.merchant);
        add.last_amount_minor.push(last.amount_minor);
        add.last_at.push(last.occurred);
    }
    store::add_to_cards(conn, page.span.journal.0, &add)?;
    Ok(unread)
}
