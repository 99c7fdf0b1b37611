//! Hooks: what happened, told to other systems over HTTP, at least once.
//!
//! A hook is one POST of a CloudEvents body to an endpoint that the operator registered, signed as Standard Webhooks
//! 1.0 says, signed afresh at each attempt, tried ten times over three days, and never sent to a private address unless
//! the operator allows it. The id is the same at every attempt, so that a receiver can tell a repeat from news.
//!
//! Some parts decide or send one thing each and know no database: [`sign`] makes and checks signatures, [`schedule`] says
//! when to try again, [`guard`] says where a hook may go, [`message`] what it says, [`send`] makes one attempt. Over the
//! tables, [`deliver`] is the engine, and the functions here are what an operator may do with endpoints.
//!
//! Promise: an attempt costs at most its total timeout and 20,000 bytes of answer, whatever the receiver does.
//! Not here: which events exist and what they say (the slices that raise them), asymmetric signatures (`whpk_` keys).
//! Sources: Standard Webhooks 1.0; CloudEvents 1.0, HTTP binding; OWASP ASVS 5.0, 15.3.2.

pub mod deliver;
pub mod guard;
pub mod message;
mod model;
mod routes;
pub mod schedule;
pub mod send;
pub mod sign;
mod store;

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection, QueryResult};
use ledger::JournalId;
use uuid::Uuid;

pub use deliver::{EventSource, Hooks, Settings};
pub use model::{
    AttemptMade, Delivery, DeliveryStatus, DisableReason, Endpoint, EventTypes, HookError, MAX_ENDPOINTS, NewEndpoint,
};
pub use routes::routes;

use guard::{Policy, Refusal, Target};

/// How long a host's addresses may take to be found when an endpoint is registered.
const RESOLVE: Duration = Duration::from_secs(3);

/// Checks that hooks may go to an address: as it is written, and where its host leads at this moment.
///
/// The same is checked again for every connection.
///
/// # Errors
/// [`HookError::Refused`] says why not, in words for the endpoint's owner.
pub async fn check_url(policy: &Policy, url: &str) -> Result<(), HookError> {
    let target = Target::parse(url, policy)?;
    let resolved = tokio::time::timeout(RESOLVE, policy.resolve(&target)).await;
    resolved.map_err(|_elapsed| Refusal::Unresolved)??;
    Ok(())
}

/// Adds an endpoint, which is told what the journal records from now on. Its address is checked before, by [`check_url`].
///
/// # Errors
/// [`HookError::TooMany`] past [`MAX_ENDPOINTS`] enabled ones.
#[tracing::instrument(name = "hooks.add", skip_all, fields(tenant.id = tenant, endpoint.id = %wish.id))]
pub fn add(
    conn: &mut PgConnection,
    tenant: i64,
    now: DateTime<Utc>,
    wish: &NewEndpoint,
) -> Result<Endpoint, HookError> {
    conn.transaction(|conn| {
        // Two at once may both find room for the last one: the bound is there for memory, and one more does no harm.
        if store::count_enabled(conn, tenant)? >= MAX_ENDPOINTS {
            return Err(HookError::TooMany);
        }
        let since_seq = ledger::read::head(conn, JournalId(tenant))?.map_or(0, |head| head.seq);
        Ok(store::insert_endpoint(conn, tenant, wish, since_seq, now)?)
    })
}

/// An endpoint of the tenant.
///
/// # Errors
/// [`HookError::Unknown`].
pub fn endpoint(conn: &mut PgConnection, tenant: i64, id: Uuid) -> Result<Endpoint, HookError> {
    store::endpoint(conn, tenant, id)?.ok_or(HookError::Unknown)
}

/// Disables an endpoint for good: nothing is sent there any more, within a second or so on every node.
///
/// Disabling it again changes nothing.
///
/// # Errors
/// [`HookError::Unknown`].
#[tracing::instrument(name = "hooks.disable", skip_all, fields(tenant.id = tenant, endpoint.id = %id))]
pub fn disable(conn: &mut PgConnection, tenant: i64, now: DateTime<Utc>, id: Uuid) -> Result<(), HookError> {
    let found = store::disable(conn, tenant, id, now, DisableReason::Requested)?;
    if found { Ok(()) } else { Err(HookError::Unknown) }
}

/// How many deliveries of all tenants are pending, counted up to `most`, and when the first of those was or will be due.
///
/// # Errors
/// The database's.
pub fn backlog(conn: &mut PgConnection, most: i64) -> QueryResult<(i64, Option<DateTime<Utc>>)> {
    store::backlog::backlog(conn, most)
}

/// The attempts to deliver the event at (seq, ordinal) to an endpoint, first to last.
///
/// # Errors
/// [`HookError::Unknown`] when the endpoint was never to be told this event, or is being told it at this moment.
pub fn attempts(
    conn: &mut PgConnection,
    tenant: i64,
    endpoint: Uuid,
    place: (i64, i32),
) -> Result<Vec<AttemptMade>, HookError> {
    if !store::delivery_exists(conn, tenant, endpoint, place)? {
        return Err(HookError::Unknown);
    }
    Ok(store::attempts(conn, tenant, endpoint, place)?)
}
