//! Billers and merchants: who is paid.
//!
//! A merchant is a name and a reference; what it is owed is its payable account in the journal. Not here yet: bills,
//! notices, payment channels, settlement, reconciliation.

mod routes;
mod store;

use std::collections::HashMap;
use std::sync::Arc;

use diesel::PgConnection;
use uuid::Uuid;

pub use routes::routes;
pub use store::MerchantRow as Merchant;

use crate::platform::Platform;
use crate::platform::ids::derived;
use crate::platform::problem::Problem;
use crate::platform::snapshot::{Snapshot, Tell, touch};

/// The merchants of each tenant, in memory.
pub struct Merchants(Snapshot<HashMap<Uuid, Merchant>>);

impl Default for Merchants {
    fn default() -> Self {
        Self(Snapshot::new(|conn, tenant| {
            Ok(store::merchants(conn, tenant)?.into_iter().map(|merchant| (merchant.id, merchant)).collect())
        }))
    }
}

impl Merchants {
    /// The merchant of this id.
    ///
    /// # Errors
    /// 404 `merchant-unknown`.
    pub async fn get(&self, platform: &Platform, tenant: i64, id: Uuid) -> Result<Merchant, Problem> {
        let all: Arc<HashMap<Uuid, Merchant>> = self.0.get(&platform.db, tenant).await?;
        all.get(&id).cloned().ok_or_else(unknown)
    }

    /// Adds a merchant; one of the same reference is the same merchant, whatever its name was then.
    ///
    /// # Errors
    /// The database's problems.
    pub async fn add(
        &self,
        platform: &Platform,
        tenant: i64,
        reference: String,
        name: String,
    ) -> Result<Merchant, Problem> {
        let now = platform.clock.now();
        let id = derived("merchant", &[&tenant.to_be_bytes(), reference.as_bytes()]);
        let merchant = Merchant { id, reference, name };
        let stored = platform.db.of(tenant).write(move |conn| add(conn, tenant, &merchant, now)).await?;
        self.0.forget(tenant);
        Ok(stored)
    }

    /// Tells other nodes of every change by this.
    pub fn tell_by(&self, tell: Tell) {
        self.0.tell_by(tell);
    }

    /// Looks again at the next use: another node says that something may have changed.
    pub fn doubt(&self, tenant: i64) {
        self.0.doubt(tenant);
    }
}

fn add(
    conn: &mut PgConnection,
    tenant: i64,
    merchant: &Merchant,
    now: chrono::DateTime<chrono::Utc>,
) -> diesel::QueryResult<Merchant> {
    use diesel::Connection;
    conn.transaction(|conn| {
        if store::insert(conn, tenant, merchant, now)? {
            touch(conn, tenant)?;
        }
        store::merchant(conn, tenant, merchant.id)
    })
}

fn unknown() -> Problem {
    Problem::new(404, "merchant-unknown", "There is no such merchant", "Check the merchant's id.")
}
