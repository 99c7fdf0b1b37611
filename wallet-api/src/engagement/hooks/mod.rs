//! Hooks: what happened, told to other systems over HTTP, at least once.
//!
//! A hook is one POST of a CloudEvents body to an endpoint that a tenant registered, signed as Standard Webhooks
//! 1.0 says, signed afresh at each attempt, tried ten times over three days, and never sent to a private address unless
//! the operator allows it. The id is the same at every attempt, so that a receiver can tell a repeat from news.
//!
//! Some parts decide or send one thing each and know no database: [`sign`] makes and checks signatures, [`schedule`] says
//! when to try again, [`guard`] says where a hook may go, [`message`] what it says, [`catalogue`] what there is to say,
//! [`send`] makes one attempt. Over the tables, [`deliver`] is the engine, [`replay`] orders to tell again, [`notice`] what
//! is told of endpoints themselves, [`wake`] says that there is something to send, and the functions here are what a tenant may do with its endpoints.
//!
//! Promise: an attempt costs at most its total timeout and 20,000 bytes of answer, whatever the receiver does.
//! Not here: which events exist and what they say (the slices that raise them), asymmetric signatures (`whpk_` keys).
//! Sources: Standard Webhooks 1.0; CloudEvents 1.0, HTTP binding; OWASP ASVS 5.0, 15.3.2.

pub mod catalogue;
pub mod deliver;
pub mod guard;
pub mod message;
mod model;
mod notice;
pub mod replay;
mod routes;
pub mod schedule;
pub mod send;
pub mod sign;
mod store;
mod wake;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{Connection, PgConnection, QueryResult};
use ledger::JournalId;
use uuid::Uuid;

pub use deliver::{EventSource, Hooks, Settings};
pub use model::{
    AttemptMade, Delivery, DeliveryStatus, DisableReason, Endpoint, EventTypes, HookError, MAX_DEPTH, MAX_ENDPOINTS,
    NewEndpoint,
};
pub use notice::Placed;
pub use routes::routes;
pub use wake::Wake;

use guard::{Policy, Refusal, Target};
use model::MAX_OLD_SECRETS;
use notice::Notice;
use send::{FailReason, Limits, Sender, ShakeError};
use sign::Secret;

use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};
use crate::platform::metrics::HookBacklog;

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

/// Asks an address whether it wants our hooks: the handshake of CloudEvents' web hooks.
///
/// # Errors
/// [`HookError::Handshake`] unless it agrees.
pub async fn shake(policy: &Policy, url: &str) -> Result<(), HookError> {
    let target = Target::parse(url, policy)?;
    // Its own, since senders belong to one runtime each; registering is rare.
    let sender =
        Sender::new(policy.clone(), Limits::default()).map_err(|_broken| ShakeError::Failed(FailReason::Tls))?;
    Ok(sender.shake(&target).await?)
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
    by: Actor,
    wish: &NewEndpoint,
) -> Result<Endpoint, HookError> {
    conn.transaction(|conn| {
        // Two at once may both find room for the last one: the bound is there for memory, and one more does no harm.
        if store::count_enabled(conn, tenant)? >= MAX_ENDPOINTS {
            return Err(HookError::TooMany);
        }
        let since_seq = ledger::read::head(conn, JournalId(tenant))?.map_or(0, |head| head.seq);
        let added = store::insert_endpoint(conn, tenant, wish, since_seq, now)?;
        note(conn, now, &act(tenant, by, Action::HookEndpointAdded, wish.id))?;
        note(conn, now, &act(tenant, by, Action::HookSecretShown, wish.id))?;
        Ok(added)
    })
}

/// What was done with an endpoint.
fn act(tenant: i64, by: Actor, action: Action, endpoint: Uuid) -> Entry {
    Entry::done(tenant, by, action, Object::HookEndpoint(endpoint))
}

/// Writes an act down, as the last thing of its transaction.
fn note(conn: &mut PgConnection, now: DateTime<Utc>, act: &Entry) -> Result<(), HookError> {
    audit::append(conn, act, now)?;
    Ok(())
}

/// An endpoint of the tenant.
///
/// # Errors
/// [`HookError::Unknown`].
pub fn endpoint(conn: &mut PgConnection, tenant: i64, id: Uuid) -> Result<Endpoint, HookError> {
    store::endpoint(conn, tenant, id)?.ok_or(HookError::Unknown)
}

/// Disables an endpoint: nothing is sent there any more, within a second or so on every node, and what is pending there
/// ends as gone. The tenant's other endpoints are told.
///
/// Disabling it again changes nothing.
///
/// # Errors
/// [`HookError::Unknown`].
#[tracing::instrument(name = "hooks.disable", skip_all, fields(tenant.id = tenant, endpoint.id = %id))]
pub fn disable(conn: &mut PgConnection, tenant: i64, now: DateTime<Utc>, by: Actor, id: Uuid) -> Result<(), HookError> {
    conn.transaction(|conn| {
        endpoint(conn, tenant, id)?;
        match switch_off(conn, tenant, now, id, DisableReason::Requested)? {
            Some((act, now)) => note(conn, now, &Entry { actor: by, ..act }),
            None => Ok(()),
        }
    })
}

/// Disables an endpoint and tells the others, inside the caller's transaction; once. What is to be in the audit log, as
/// an act of ours, and when it was, is left to the caller, who may have more to write before.
fn switch_off(
    conn: &mut PgConnection,
    tenant: i64,
    now: DateTime<Utc>,
    id: Uuid,
    reason: DisableReason,
) -> Result<Option<(Entry, DateTime<Utc>)>, HookError> {
    if !store::disable(conn, tenant, id, now, reason)? {
        return Ok(None);
    }
    notice::tell(conn, now, &Notice::disabled(tenant, id, reason.word()))?;
    let act = act(tenant, Actor::System, Action::HookEndpointDisabled, id);
    Ok(Some((act.with("reason", Fact::Word(reason.word())), now)))
}

/// Enables a disabled endpoint: it is told what the journal records from now on, and what ended as gone can be replayed.
///
/// Enabling one that is enabled changes nothing.
///
/// # Errors
/// [`HookError::Unknown`]; [`HookError::TooMany`] past [`MAX_ENDPOINTS`] enabled ones.
#[tracing::instrument(name = "hooks.enable", skip_all, fields(tenant.id = tenant, endpoint.id = %id))]
pub fn enable(
    conn: &mut PgConnection,
    tenant: i64,
    now: DateTime<Utc>,
    by: Actor,
    id: Uuid,
) -> Result<Endpoint, HookError> {
    conn.transaction(|conn| {
        if endpoint(conn, tenant, id)?.disabled.is_some() {
            if store::count_enabled(conn, tenant)? >= MAX_ENDPOINTS {
                return Err(HookError::TooMany);
            }
            let since_seq = ledger::read::head(conn, JournalId(tenant))?.map_or(0, |head| head.seq);
            store::enable(conn, tenant, id, since_seq)?;
            // The sweep may have ended the first of a turn and left those behind it.
            store::tend::line_up_all(conn, tenant, id, now)?;
            note(conn, now, &act(tenant, by, Action::HookEndpointEnabled, id))?;
        }
        endpoint(conn, tenant, id)
    })
}

/// Puts a new secret in force. The one before signs too, beside it, for `overlap`; none at all ends every older one.
///
/// # Errors
/// [`HookError::Unknown`]; [`HookError::TooManySecrets`] when that many older ones still sign.
#[tracing::instrument(name = "hooks.rotate_secret", skip_all, fields(tenant.id = tenant, endpoint.id = %id))]
pub fn rotate_secret(
    conn: &mut PgConnection,
    tenant: i64,
    now: DateTime<Utc>,
    by: Actor,
    id: Uuid,
    (secret, overlap): (&Secret, TimeDelta),
) -> Result<Endpoint, HookError> {
    conn.transaction(|conn| {
        let (current, mut old) = store::secrets(conn, tenant, id, now)?.ok_or(HookError::Unknown)?;
        if overlap.is_zero() {
            old.clear();
        } else {
            if old.len() >= usize::from(MAX_OLD_SECRETS.unsigned_abs()) {
                return Err(HookError::TooManySecrets);
            }
            let until = now.checked_add_signed(overlap).unwrap_or(DateTime::<Utc>::MAX_UTC);
            old.insert(0, (current, until));
        }
        let rotated = store::set_secrets(conn, tenant, id, secret.bytes(), old)?;
        let act = |action| act(tenant, by, action, id);
        let overlap_s = Fact::Number(overlap.num_seconds());
        note(conn, now, &act(Action::HookSecretRotated).with("overlap_s", overlap_s))?;
        note(conn, now, &act(Action::HookSecretShown))?;
        Ok(rotated)
    })
}

/// Sends an endpoint a test event, whatever types it listens to. `depth` hooks led to this call, one after the other.
///
/// # Errors
/// [`HookError::Unknown`], [`HookError::Disabled`]; [`HookError::Loop`] past [`MAX_DEPTH`] hooks.
#[tracing::instrument(name = "hooks.test", skip_all, fields(tenant.id = tenant, endpoint.id = %id))]
pub fn test(
    conn: &mut PgConnection,
    tenant: i64,
    now: DateTime<Utc>,
    id: Uuid,
    depth: i16,
) -> Result<Placed, HookError> {
    if !(0..=MAX_DEPTH).contains(&depth) {
        return Err(HookError::Loop);
    }
    conn.transaction(|conn| {
        if endpoint(conn, tenant, id)?.disabled.is_some() {
            return Err(HookError::Disabled);
        }
        notice::tell(conn, now, &Notice::test(tenant, id, depth))
    })
}

/// What is left to deliver and how many endpoints there are, of all tenants, each counted up to `most`.
///
/// # Errors
/// The database's.
pub fn backlog(conn: &mut PgConnection, most: i64) -> QueryResult<HookBacklog> {
    let (pending, due) = store::backlog::pending(conn, most)?;
    let counted = store::backlog::endpoints(conn, most)?;
    let count = |state: &str| counted.iter().find(|(of, _)| of == state).map_or(0, |(_, count)| *count);
    let states = [store::backlog::ENABLED].into_iter().chain(DisableReason::ALL.map(DisableReason::word));
    Ok(HookBacklog { pending, due, endpoints: states.map(|state| (state, count(state))).collect() })
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
