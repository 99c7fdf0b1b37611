//! Four eyes: one person asks for something, and another decides before it is done.
//!
//! Promise: whoever asked cannot decide, by whatever role, session or key of theirs ([`Caller::eyes`]), and a key of the house, which
//! is in whoever's hands, decides nothing; what somebody asked who has since left, or lost the role or the key that it took, nobody approves;
//! what is done is made of the very bytes that were asked, which a hash is kept of; a request is decided once, within [`STANDS`]; who asked, who decided, and
//! who tried with the same eyes are in the audit log. What is approved is done in the deciding transaction, or after it under
//! the request's id as its idempotency key: to approve again within its time does that again, and changes nothing.
//! Functions join their caller's transaction; a refusal is a value, to be committed.
//! Not here: doing it (`approvals`), which slices ask (refunds, limits, erasures, rules of strong authentication), corrections of the books, which have their own.

mod body;
mod model;
mod store;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

pub use body::ProposalBody;
pub use model::{Act, Decision, EyesError, Outcome, Proposal, Wish};

use super::operators;
use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};
use crate::platform::keyring::{Caller, Scope};
use crate::platform::staff;

/// How long a request can be decided.
pub const STANDS: TimeDelta = TimeDelta::days(7);

/// Notes what somebody asks for under an id, and gives what is kept under it: who asks again is given the same. Whether that is
/// what they ask now ([`Proposal::fingerprint`]) is theirs to see, where they choose the id.
///
/// # Errors
/// The database's.
pub fn ask(
    conn: &mut PgConnection,
    (id, now): (Uuid, DateTime<Utc>),
    by: &Caller,
    wish: &Wish,
) -> QueryResult<Proposal> {
    let tenant = by.tenant.id;
    let new = Proposal {
        id,
        act: wish.act,
        object: wish.object_text(),
        body: wish.body.clone(),
        fingerprint: wish.fingerprint(),
        asked_by: by.client(),
        asked_eyes: by.eyes(),
        asked_at: now,
        expires_at: now + STANDS,
        decided: None,
        withdrawn_at: None,
    };
    if store::insert(conn, tenant, &new)? {
        audit::append(conn, &entry(by, Action::EyesAsked, &new, wish.object.clone()), now)?;
        return Ok(new);
    }
    store::find(conn, tenant, id)?.ok_or(diesel::result::Error::NotFound)
}

/// Decides what another asked for. Approved, the caller does it, in this transaction or under the request's id; it is told too
/// whether this was decided so before.
///
/// # Errors
/// The database's. A refusal is no error.
pub fn decide(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &Caller,
    id: Uuid,
    is_approved: bool,
) -> QueryResult<Result<(Proposal, bool), EyesError>> {
    let tenant = by.tenant.id;
    let Some(found) = store::lock(conn, tenant, id)? else { return Ok(Err(EyesError::Unknown)) };
    let action = if is_approved { Action::EyesConfirmed } else { Action::EyesRejected };
    let entry = entry(by, action, &found, Object::Request(id));
    let asker = (found.asked_by, found.asked_eyes);
    let refused = if !found.is_as_asked() {
        EyesError::Changed
    } else if found.asked_eyes == by.eyes() {
        EyesError::SameEyes
    } else if !staff::acts(by) {
        EyesError::Eyeless
    } else if now >= found.expires_at || found.withdrawn_at.is_some() {
        return Ok(Err(EyesError::Over));
    } else if let Some(decided) = found.decided {
        return Ok(if decided.is_approved == is_approved { Ok((found, true)) } else { Err(EyesError::Over) });
    } else if is_approved && is_orphaned(conn, tenant, asker, (found.act.asked_with(), found.asked_at))? {
        EyesError::Orphaned
    } else {
        let decision = Decision { by: by.client(), at: now, is_approved };
        store::set_decision(conn, tenant, id, (by.eyes(), decision))?;
        audit::append(conn, &entry, now)?;
        return Ok(Ok((Proposal { decided: Some(decision), ..found }, false)));
    };
    audit::append(conn, &entry.refused(), now)?;
    Ok(Err(refused))
}

/// Takes back what nobody has decided, for whoever asked: nobody can from then on. Gives it as it stands; none when nothing was
/// asked under the id.
///
/// # Errors
/// The database's.
pub fn withdraw(conn: &mut PgConnection, now: DateTime<Utc>, by: &Caller, id: Uuid) -> QueryResult<Option<Proposal>> {
    let Some(found) = store::lock(conn, by.tenant.id, id)? else { return Ok(None) };
    if found.decided.is_some() || found.withdrawn_at.is_some() {
        return Ok(Some(found));
    }
    store::set_withdrawn(conn, by.tenant.id, id, now)?;
    audit::append(conn, &entry(by, Action::EyesWithdrawn, &found, Object::Request(id)), now)?;
    Ok(Some(Proposal { withdrawn_at: Some(now), ..found }))
}

/// Whether whoever asked with a number, and with somebody's eyes, could not ask for it any more: they left since, or lost a role in
/// whose session they asked, or the key was ended that they asked by.
///
/// # Errors
/// The database's.
pub fn is_orphaned(
    conn: &mut PgConnection,
    tenant: i64,
    (number, eyes): (i64, i64),
    (scope, since): (Scope, DateTime<Utc>),
) -> QueryResult<bool> {
    match operators::of_number(conn, tenant, eyes)? {
        Some(operator) if number == eyes => operators::has_lost(conn, tenant, operator, scope, since),
        Some(operator) if operators::has_left(conn, tenant, operator)? => Ok(true),
        // By a key: of a client that was given another in its place it stands.
        Some(_) | None => Ok(!super::client_may(conn, tenant, number, scope)?),
    }
}

/// What was asked under an id.
///
/// # Errors
/// The database's.
pub fn find(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<Proposal>> {
    store::find(conn, tenant, id)
}

/// Which of what was asked to list.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Only these acts.
    pub acts: Vec<Act>,
    /// Only what can be decided at this moment.
    pub pending_at: Option<DateTime<Utc>>,
    /// Only what was asked before, in the order of asking.
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

/// What was asked, newest first.
///
/// # Errors
/// The database's.
pub fn page(conn: &mut PgConnection, tenant: i64, filter: &Filter, most: i64) -> QueryResult<Vec<Proposal>> {
    store::page(conn, tenant, filter, most)
}

/// Above how many cents refunded of one payment a refund takes four eyes; none when none does.
///
/// # Errors
/// The database's.
pub fn refunds_above(conn: &mut PgConnection, tenant: i64) -> QueryResult<Option<i64>> {
    store::refunds_above(conn, tenant)
}

/// Sets that, for the house; none ends it.
///
/// # Errors
/// The database's; a negative amount is one of it.
pub fn set_refunds_above(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    minor: Option<i64>,
) -> QueryResult<()> {
    store::set_refunds_above(conn, tenant, minor)?;
    let entry = Entry::done(tenant, Actor::Operator, Action::EyesSet, Object::Tenant(tenant));
    let entry = match minor {
        Some(minor) => entry.with("refunds_above_minor", Fact::Number(minor)),
        None => entry.with("refunds", Fact::Flag(false)),
    };
    audit::append(conn, &entry, now).map(drop)
}

fn entry(by: &Caller, action: Action, of: &Proposal, object: Object) -> Entry {
    let entry = Entry::done(by.tenant.id, by.actor, action, object);
    let entry = entry.with("request", Fact::Id(of.id)).with("act", Fact::Word(of.act.word()));
    let person = of.object.strip_prefix("person:").and_then(|id| id.parse().ok());
    match person {
        Some(person) => entry.about(person),
        None => entry,
    }
}

#[cfg(test)]
mod tests;
