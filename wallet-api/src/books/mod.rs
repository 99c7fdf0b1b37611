//! The books as they are: accounts, assets, transactions, records, under `/v1/ledger`.
//!
//! For systems that keep books of their own here, beside or without wallets, and for whoever follows them. What is asked
//! is the journal's own ([`ledger`]): transfers between accounts by public id, in assets by code, under a key that has
//! one effect and one answer for ever. Promise: a transaction costs no query of its own here; what the hot route needs to
//! know is in memory. Not here: what a payment is (payments), who owns an account, limits on how often one client may be
//! refused: whoever has `ledger:write` is trusted with the books.

mod adjustments;
mod ask;
mod body;
mod model;
mod nature;
mod routes;
mod store;
mod stream;

use std::sync::Arc;

use ledger::{Asset, AssetId, Journal};
use utoipa_actix_web::service_config::ServiceConfig;

pub use adjustments::{Adjustment, Transfer};
pub use body::{Normal, RecordBody, TermsBody, record_line};
pub use model::{Effective, amount as amount_of};
pub use nature::Keeps;

use crate::platform::Platform;
use crate::platform::problem::Problem;
use crate::platform::snapshot::Snapshot;

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    routes::routes(config);
}

/// What the slice stands on. Clones share it.
#[derive(Clone)]
pub struct Books {
    platform: Platform,
    journal: Journal,
    assets: Arc<Snapshot<Assets>>,
    streams: stream::Places,
}

impl Books {
    /// Over one platform and one journal.
    #[must_use]
    pub fn new(platform: Platform, journal: Journal) -> Self {
        let assets = Arc::new(Snapshot::new(store::assets));
        Self { platform, journal, assets, streams: stream::Places::default() }
    }

    /// The tenant's assets, at most a second old.
    async fn assets(&self, tenant: i64) -> Result<Arc<Assets>, Problem> {
        match self.assets.at_hand(tenant) {
            Some(assets) => Ok(assets),
            // Apart, so that whoever need not wait carries nothing of it along.
            None => Box::pin(self.assets.get(&self.platform.db, tenant)).await,
        }
    }
}

/// The assets of a journal. Few: looked through, not looked up.
#[derive(Debug, Clone, Default)]
pub struct Assets(Vec<Asset>);

impl Assets {
    /// Of these.
    #[must_use]
    pub fn new(all: Vec<Asset>) -> Self {
        Self(all)
    }

    /// All of them, by number.
    #[must_use]
    pub fn all(&self) -> &[Asset] {
        &self.0
    }

    /// The asset of a code.
    #[must_use]
    pub fn by_code(&self, code: &str) -> Option<&Asset> {
        self.0.iter().find(|asset| asset.code == code)
    }

    /// The code of an asset; empty for one that was defined a moment ago.
    #[must_use]
    pub fn code(&self, id: AssetId) -> &str {
        self.0.iter().find(|asset| asset.id == id).map_or("", |asset| asset.code.as_str())
    }
}
