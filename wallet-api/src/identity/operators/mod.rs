//! Operators: people who work for a tenant, how they come in, and the roles that say what they may.
//!
//! The house invites somebody at its command line: the invitation is shown once, good for [`INVITED_FOR`] and for one
//! passkey. A further invitation is how somebody comes back who lost theirs: with it the passkeys, the password and the sessions
//! before end.
//! They sign in with the passkey and get a session that lives shorter the more they may ([`sessions`](super::sessions)).
//! Promise: what somebody may is the union of the roles in force at that moment, looked up afresh each second; a change
//! of roles ends their sessions; whatever is wrong with an invitation or a passkey, the answer is the same. Their doors are counted
//! by address, as people's are. A [`password`] is what they fall back on.
//! Name and address are sealed as the tenant's own. Functions join their caller's transaction, and write to the audit log
//! in it. Not here: what a role may ([`Role`](crate::platform::keyring::Role)), and granting roles over HTTP.

mod hours;
mod model;
pub mod password;
mod routes;
mod standing;
mod store;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::{Connection, PgConnection, QueryResult};
use uuid::Uuid;

pub use hours::{Hours, NoHours};
pub use model::{HeldRole, Invited, NewOperator, NewRole, Operator, OperatorError};
pub use routes::routes;
pub use standing::{by_email, find, has_left, has_lost, list, name_of, number, of_number};
pub(in crate::identity) use store::operator;

use super::break_glass;
use super::doors::{DoorError, Visit};
use super::passkeys::{self, Holder, HolderKind, NewPasskey, Opened};
use super::sessions::{self, End, Held, Pair};
use super::sign_in::{self, FAILURES};
use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};
use crate::platform::ids::Ids;
use crate::platform::keyring::{Kind, Rights, Role, Scope, Token};
use crate::platform::vault::{Cell, Column, KeyType, Purpose, TenantColumn, Vault};

/// How long an invitation can be used.
pub const INVITED_FOR: TimeDelta = TimeDelta::hours(24);
/// Where operators' names are sealed.
pub const NAMES: TenantColumn =
    TenantColumn { column: Column { table: "operator", column: "name" }, key: "id", key_type: KeyType::Uuid };
/// Where their addresses are.
pub const EMAILS: TenantColumn =
    TenantColumn { column: Column { table: "operator", column: "email" }, key: "id", key_type: KeyType::Uuid };
const BY_EMAIL: Purpose = Purpose("operator.email");

/// Somebody who came in.
#[derive(Debug)]
pub struct Entered {
    /// Who.
    pub operator: Uuid,
    /// What opens.
    pub pair: Pair,
    /// Access tokens that ended with it.
    pub ended: Vec<String>,
}

/// Invites somebody: a new operator with a first role, or one who is there and lost their passkey.
///
/// # Errors
/// [`OperatorError::Name`], [`OperatorError::Email`], [`OperatorError::NoRole`], [`OperatorError::Bound`],
/// [`OperatorError::UnknownMerchant`]; the vault's.
#[tracing::instrument(name = "operators.invite", skip_all, fields(tenant.id = tenant))]
pub fn invite(
    conn: &mut PgConnection,
    vault: &Vault,
    ids: &Ids,
    now: DateTime<Utc>,
    (by, tenant): (Actor, i64),
    new: &NewOperator,
) -> Result<Invited, OperatorError> {
    let (name, email) = new.check()?;
    conn.transaction(|conn| {
        let index = vault.index(conn, tenant, BY_EMAIL, &email, now)?;
        let operator = match store::by_email(conn, tenant, index.as_bytes())? {
            Some(operator) => operator,
            None if new.role.is_none() => return Err(OperatorError::NoRole),
            None => {
                let id = ids.uuid_v7(now);
                let name = vault.seal(conn, &cell(tenant, NAMES, id), name.as_bytes(), now)?;
                let email = vault.seal(conn, &cell(tenant, EMAILS, id), email.as_bytes(), now)?;
                store::insert(conn, tenant, &store::Sealed { id, name, email, email_index: *index.as_bytes() }, now)?;
                id
            }
        };
        let ended = match &new.role {
            Some(role) => grant(conn, ids, now, (by, tenant), operator, role)?,
            None => Vec::new(),
        };
        let (invitation, until) = (Token::generate(Kind::Invitation, ids), now + INVITED_FOR);
        store::use_up_invitations(conn, tenant, operator, now)?;
        store::insert_invitation(conn, tenant, operator, &invitation, (now, until))?;
        let entry = Entry::done(tenant, by, Action::OperatorInvited, Object::Operator(operator));
        audit::append(conn, &entry.with("until", Fact::Time(until)), now)?;
        Ok(Invited { operator, invitation, until, ended })
    })
}

/// Gives an operator a role. Their sessions end: gives the access tokens' prefixes, for the nodes to be told.
///
/// # Errors
/// [`OperatorError::Unknown`], [`OperatorError::Bound`], [`OperatorError::UnknownMerchant`].
pub fn grant(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    (by, tenant): (Actor, i64),
    operator: Uuid,
    role: &NewRole,
) -> Result<Vec<String>, OperatorError> {
    role.check()?;
    conn.transaction(|conn| {
        store::find(conn, tenant, operator)?.ok_or(OperatorError::Unknown)?;
        let granted_by = match by {
            Actor::Staff(id) => Some(id),
            Actor::Client(_) | Actor::Person(_) | Actor::Operator | Actor::System => None,
        };
        store::insert_role(conn, tenant, (operator, ids.uuid_v7(now)), role, granted_by, now)?;
        let ended = sessions::end_operators(conn, now, tenant, operator, None, End::RolesChanged)?;
        note_role(conn, now, (by, tenant, Action::RoleGranted), operator, role)?;
        Ok(ended)
    })
}

/// Ends a role of an operator, at a merchant or of the whole tenant. Their sessions end as by [`grant`].
///
/// # Errors
/// [`OperatorError::Unknown`], [`OperatorError::RoleNotHeld`].
pub fn end_role(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (by, tenant): (Actor, i64),
    operator: Uuid,
    (role, merchant): (Role, Option<Uuid>),
) -> Result<Vec<String>, OperatorError> {
    conn.transaction(|conn| {
        store::find(conn, tenant, operator)?.ok_or(OperatorError::Unknown)?;
        if store::end_role(conn, tenant, operator, (role, merchant), now)? == 0 {
            return Err(OperatorError::RoleNotHeld);
        }
        let ended = sessions::end_operators(conn, now, tenant, operator, None, End::RolesChanged)?;
        let role = NewRole { role, merchant, hours: None };
        note_role(conn, now, (by, tenant, Action::RoleEnded), operator, &role)?;
        Ok(ended)
    })
}

fn note_role(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (by, tenant, action): (Actor, i64, Action),
    operator: Uuid,
    role: &NewRole,
) -> QueryResult<()> {
    let entry = Entry::done(tenant, by, action, Object::Operator(operator));
    let entry = entry.with("role", Fact::Word(role.role.word()));
    let entry = match role.merchant {
        Some(merchant) => entry.with("merchant", Fact::Id(merchant)),
        None => entry,
    };
    audit::append(conn, &entry, now).map(drop)
}

/// An operator leaves: nobody comes in as them any more, also not by a key of theirs, and what they asked for that takes four eyes
/// nobody approves. Gives the access tokens' prefixes, for the nodes to be told.
///
/// # Errors
/// [`OperatorError::Unknown`], also when they left before.
pub fn close(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (by, tenant): (Actor, i64),
    operator: Uuid,
) -> Result<Vec<String>, OperatorError> {
    conn.transaction(|conn| {
        if !store::close(conn, tenant, operator, now)? {
            return Err(OperatorError::Unknown);
        }
        store::use_up_invitations(conn, tenant, operator, now)?;
        end_passkeys(conn, tenant, operator, None, now)?;
        let ended = sessions::end_operators(conn, now, tenant, operator, None, End::Closed)?;
        let entry = Entry::done(tenant, by, Action::OperatorClosed, Object::Operator(operator));
        audit::append(conn, &entry, now)?;
        Ok(ended)
    })
}

/// What an operator may at a moment, by the clocks of a zone.
///
/// # Errors
/// The database's.
pub fn rights(
    conn: &mut PgConnection,
    tenant: i64,
    operator: Uuid,
    now: DateTime<Utc>,
    zone: Tz,
) -> QueryResult<Rights> {
    let held = store::roles(conn, tenant, operator)?;
    let in_force = held.into_iter().filter(|held| held.role.hours.is_none_or(|hours| hours.have(now, zone)));
    let roles: Vec<_> = in_force.map(|held| (held.role.role, held.role.merchant)).collect();
    let may_look = roles.iter().any(|(role, _)| role.scopes().contains(&Scope::BreakGlass));
    let emergencies = if may_look { break_glass::customers(conn, now, tenant, operator)? } else { Vec::new() };
    Ok(Rights { roles, emergencies })
}

/// Begins to register the passkey that an invitation is for. None whatever is wrong with it.
///
/// # Errors
/// [`DoorError::TooMany`] from this address, [`DoorError::Passkey`]; the vault's.
pub fn begin_sign_up(conn: &mut PgConnection, visit: &Visit, invitation: &str) -> Result<Option<Opened>, DoorError> {
    let (tenant, vault) = (visit.tenant.id, &visit.vault);
    sign_in::begun_as_operator(conn, visit)?;
    let Some(operator) = invited(conn, visit, invitation)? else { return Ok(None) };
    let name = vault.open_text(conn, &cell(tenant, NAMES, operator.id), &operator.name)?;
    let email = vault.open_text(conn, &cell(tenant, EMAILS, operator.id), &operator.email)?;
    let new = NewPasskey { holder: Holder::operator(operator.id), user_name: &email, display_name: &name };
    Ok(Some(passkeys::start_registration(conn, &visit.ids, visit.now, &visit.party, tenant, &new)?))
}

/// Registers the passkey, which ends those before, a password and the sessions, and opens a session. None whatever is wrong: what was
/// spent is to be committed.
///
/// # Errors
/// The database's.
pub fn finish_sign_up(
    conn: &mut PgConnection,
    (visit, held): (&Visit, Held),
    invitation: &str,
    challenge: Uuid,
    (response, name): (&[u8], &str),
) -> Result<Option<Entered>, OperatorError> {
    let (tenant, now) = (visit.tenant.id, visit.now);
    let Some(operator) = invited(conn, visit, invitation)? else { return Ok(None) };
    let whose = (tenant, Holder::operator(operator.id));
    let registered =
        passkeys::finish_registration(conn, &visit.ids, now, &visit.party, whose, challenge, response, name)?;
    let Ok(passkey) = registered else { return Ok(None) };
    store::use_up_invitations(conn, tenant, operator.id, now)?;
    end_passkeys(conn, tenant, operator.id, Some(passkey.id), now)?;
    let mut ended = password::set(conn, now, (tenant, operator.id), None)?;
    ended.extend(sessions::end_operators(conn, now, tenant, operator.id, None, End::Recovery)?);
    enter(conn, (visit, held), operator.id, (Action::OperatorSignedUp, passkey.id), ended).map(Some)
}

/// Begins a sign-in, whoever is there.
///
/// # Errors
/// [`DoorError::TooMany`] from this address, [`DoorError::Passkey`].
pub fn begin_sign_in(conn: &mut PgConnection, visit: &Visit) -> Result<Opened, DoorError> {
    sign_in::begun_as_operator(conn, visit)?;
    let whoever = (HolderKind::Operator, None);
    Ok(passkeys::start_sign_in(conn, &visit.ids, visit.now, &visit.party, visit.tenant.id, whoever)?)
}

/// Ends a sign-in and opens a session. None whatever is wrong: what was spent is to be committed.
///
/// # Errors
/// The database's.
pub fn finish_sign_in(
    conn: &mut PgConnection,
    (visit, held): (&Visit, Held),
    challenge: Uuid,
    response: &[u8],
) -> Result<Option<Entered>, OperatorError> {
    let (tenant, now, kind) = (visit.tenant.id, visit.now, (visit.tenant.id, HolderKind::Operator));
    // The try is counted before anything is judged, by whom it would be and from where.
    let place = passkeys::claimed_holder(conn, kind, response)?.map(|who| sign_in::operators_place(visit, who));
    let may = match &place {
        Some(place) => sign_in::count(conn, tenant, place, now, FAILURES)?,
        None => true,
    };
    let judged = passkeys::finish_sign_in(conn, now, &visit.party, kind, challenge, response)?;
    let (Ok(signed_in), true) = (judged, may) else { return Ok(None) };
    let operator = signed_in.holder.id;
    if store::find(conn, tenant, operator)?.is_none() {
        return Ok(None);
    }
    if let Some(place) = &place {
        sign_in::forget(conn, tenant, place)?;
    }
    enter(conn, (visit, held), operator, (Action::OperatorSignedIn, signed_in.passkey), Vec::new()).map(Some)
}

/// Ends an operator's own session. None when it has ended.
///
/// # Errors
/// The database's.
pub fn sign_out(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    (operator, session): (Uuid, Uuid),
) -> QueryResult<Vec<String>> {
    sessions::end_operators(conn, now, tenant, operator, Some(session), End::SignedOut)
}

fn enter(
    conn: &mut PgConnection,
    (visit, held): (&Visit, Held),
    operator: Uuid,
    (action, passkey): (Action, Uuid),
    ended: Vec<String>,
) -> Result<Entered, OperatorError> {
    let (tenant, now) = (visit.tenant.id, visit.now);
    // Whatever the hour: a session that begins before a strict role's hours may live into them.
    let is_strict = store::roles(conn, tenant, operator)?.iter().any(|held| held.role.role.is_strict());
    let pair = sessions::open_operators(conn, &visit.ids, now, tenant, (operator, is_strict), held)?;
    let entry = Entry::done(tenant, Actor::Staff(operator), action, Object::Operator(operator));
    audit::append(conn, &entry.with("passkey", Fact::Id(passkey)), now)?;
    Ok(Entered { operator, pair, ended })
}

/// Whom an invitation is for that is good.
fn invited(conn: &mut PgConnection, visit: &Visit, invitation: &str) -> QueryResult<Option<store::Row>> {
    let invitation = Token::parse(invitation.trim()).filter(|token| token.kind() == Kind::Invitation);
    let Some(invitation) = invitation else { return Ok(None) };
    match store::lock_invitation(conn, visit.tenant.id, &invitation, visit.now)? {
        Some(operator) => store::find(conn, visit.tenant.id, operator),
        None => Ok(None),
    }
}

fn end_passkeys(
    conn: &mut PgConnection,
    tenant: i64,
    operator: Uuid,
    keep: Option<Uuid>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let holder = Holder::operator(operator);
    for passkey in passkeys::live(conn, tenant, holder)? {
        if Some(passkey.id) != keep {
            passkeys::revoke(conn, tenant, holder, passkey.id, now)?;
        }
    }
    Ok(())
}

fn cell(tenant: i64, column: TenantColumn, operator: Uuid) -> Cell {
    Cell::of_tenant(tenant, column.column, operator)
}

#[cfg(test)]
mod tests;
