//! What every slice stands on, and nothing a slice knows.
//!
//! A slice gets a [`Platform`] and from it the database, the time, ids and who may come in; everything else here is
//! types and functions. No module of this folder imports a slice: what the platform must ask of one (whose key is this?)
//! it asks through a trait that the slice implements.

pub mod audit;
pub mod authenticator;
pub mod books;
pub mod chart;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod db;
pub mod events;
pub mod fields;
pub mod follow;
pub mod http;
pub mod ids;
pub mod keyring;
pub mod limits;
pub mod link;
pub mod metrics;
pub mod money;
pub mod password;
pub mod patience;
pub mod post;
pub mod problem;
pub mod redis;
pub mod reply;
#[cfg(test)]
pub(crate) mod scratch;
pub mod sealing;
pub mod snapshot;
pub mod staff;
pub mod telemetry;
pub mod text;
pub mod together;
pub mod vault;
pub mod webauthn;

use clock::Clock;
use db::Db;
use ids::Ids;
use keyring::Keyring;
use vault::Vault;

/// The ground under the slices; clones share it. Routes take it as `web::Data<Platform>`.
#[derive(Clone)]
pub struct Platform {
    /// The database.
    pub db: Db,
    /// What this node knows of the journal's open ranges: reads of accounts ask it.
    pub history: ledger::History,
    /// The time.
    pub clock: Clock,
    /// Randomness and ids.
    pub ids: Ids,
    /// Who may come in.
    pub keyring: Keyring,
    /// What seals what is personal or secret.
    pub vault: Vault,
}
