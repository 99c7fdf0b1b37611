//! Customers and their card: what shop staff, a totem or the wallet shows of a person the moment it is asked.
//!
//! A customer here is an opaque reference of the tenant and what the journal says of it; no personal data. The card's
//! counters are kept by a follower of the journal, a few milliseconds behind; balances are read from the journal itself.
//! Not here yet: identities, consents, events of other touchpoints, segments.

mod card;
mod looks;
mod model;
mod routes;
mod store;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection, QueryResult};
use uuid::Uuid;

pub use card::{CARD, follow_payments};
pub use looks::{AccountLook, look_at_accounts, look_at_owner};
pub use model::{Customer, PersonSecret};
pub use routes::routes;

use crate::platform::Platform;
use crate::platform::ids::{Ids, derived};
use crate::platform::problem::Problem;

/// How many persons' secrets are kept in memory.
const REMEMBERED: usize = 200_000;

/// The customers of every tenant, and the secrets that salt what is committed about them.
#[derive(Default)]
pub struct Customers(Mutex<HashMap<(i64, Uuid), PersonSecret>>);

/// The id a customer of this reference has.
#[must_use]
pub fn customer_id(tenant: i64, reference: &str) -> Uuid {
    derived("customer", &[&tenant.to_be_bytes(), reference.as_bytes()])
}

impl Customers {
    /// The secret of a customer, which also says that the customer exists.
    ///
    /// # Errors
    /// 404 `customer-unknown`.
    pub async fn secret(&self, platform: &Platform, tenant: i64, customer: Uuid) -> Result<PersonSecret, Problem> {
        if let Some(secret) = self.lock().get(&(tenant, customer)) {
            return Ok(secret.clone());
        }
        let secret = platform
            .db
            .of(tenant)
            .read(move |conn| store::secret(conn, tenant, customer))
            .await?
            .ok_or_else(unknown)?;
        self.remember(tenant, customer, secret.clone());
        Ok(secret)
    }

    /// Adds a customer; one of the same reference is the same customer.
    ///
    /// # Errors
    /// The database's problems.
    pub async fn add(&self, platform: &Platform, tenant: i64, reference: String) -> Result<Customer, Problem> {
        let (ids, now) = (platform.ids.clone(), platform.clock.now());
        let added = platform.db.of(tenant).write(move |conn| ensure(conn, &ids, now, tenant, &[reference])).await?;
        added.into_iter().next().ok_or_else(unknown)
    }

    /// Makes sure that all of these customers exist, and remembers their secrets: two statements for any number.
    ///
    /// # Errors
    /// The database's problems.
    pub async fn ensure_all(&self, platform: &Platform, tenant: i64, references: Vec<String>) -> Result<(), Problem> {
        let missing: Vec<String> = {
            let known = self.lock();
            let unknown = |reference: &String| !known.contains_key(&(tenant, customer_id(tenant, reference)));
            references.into_iter().filter(unknown).collect()
        };
        let (ids, now) = (platform.ids.clone(), platform.clock.now());
        let add = move |conn: &mut PgConnection| {
            let customers = ensure(conn, &ids, now, tenant, &missing)?;
            let all: Vec<Uuid> = customers.iter().map(|customer| customer.id).collect();
            store::secrets(conn, tenant, &all)
        };
        for (customer, secret) in platform.db.of(tenant).write(add).await? {
            self.remember(tenant, customer, secret);
        }
        Ok(())
    }

    /// Lets go of a customer's secret, which was destroyed.
    pub fn forget(&self, tenant: i64, customer: Uuid) {
        self.lock().remove(&(tenant, customer));
    }

    fn remember(&self, tenant: i64, customer: Uuid, secret: PersonSecret) {
        let mut remembered = self.lock();
        // Full: begin again. Whoever is still around is back within one look-up each.
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert((tenant, customer), secret);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(i64, Uuid), PersonSecret>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is such a customer, forgotten or not.
///
/// # Errors
/// What the database says.
pub fn is_customer(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<bool> {
    Ok(store::customer(conn, tenant, id)?.is_some())
}

/// Makes sure that these customers exist, each with a secret of its own; in the references' order.
///
/// # Errors
/// What the database says.
pub fn ensure(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    tenant: i64,
    references: &[String],
) -> QueryResult<Vec<Customer>> {
    let customers: Vec<Customer> = references
        .iter()
        .map(|reference| Customer { id: customer_id(tenant, reference), reference: reference.clone() })
        .collect();
    let secrets: Vec<PersonSecret> = customers.iter().map(|_| PersonSecret::generate(ids)).collect();
    conn.transaction(|conn| {
        store::insert_customers(conn, tenant, &customers, now)?;
        // A customer that existed keeps its secret; one that was erased gets none again.
        store::insert_secrets(conn, tenant, &customers, &secrets, now)
    })?;
    Ok(customers)
}

/// 404 for a customer nobody added.
#[must_use]
pub fn unknown() -> Problem {
    Problem::new(404, "customer-unknown", "There is no such customer", "Check the customer's id.")
}
