//! What a person does to their own doors once they are in: passkeys, devices, contacts, and what has to be shown first.
//!
//! What adds a way in, or takes one away, wants a strong authentication of at most [`FRESH`] ago in this very session, and, where
//! the session is bound to a device's key, that device's proof over this request: an access token alone, copied from
//! wherever, does none of it (T18; RTS, Art. 24). Nor does a passkey that may be synced, at a device without a key: somebody
//! has the person's cloud, and what they registered there would be believed to be hardware because it says so (T17). The last
//! passkey and the last contact stay, or their person could not come in again.
//! For a day after a recovery, a device that came with it or after it ends nothing older ([`recovery`]); and for a day after a
//! recovery or a new device nobody is forgotten ([`may_be_forgotten`]).
//! Each is written to the audit log, and told to every contact, in the caller's transaction. A session or device may be ended
//! without all that: whoever was robbed must be quick, and comes in again. Not here: routes.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

use super::claims::{self, ClaimError};
use super::codes::{LIFE, Purpose};
use super::contacts::{self, Contact, ContactError};
use super::devices::{self, Device, DeviceKey};
use super::doors::{self, Begun, DoorError, Visit};
use super::notices::{self, Notice};
use super::passkeys::{self, Holder, NewPasskey, Opened, Passkey, PasskeyError};
use super::people::{self, COOLING_OFF};
use super::recovery;
use super::sessions::{self, End};
use crate::platform::audit::{Action, Object};
use crate::platform::http::not_found;
use crate::platform::keyring;
use crate::platform::post::Letter;
use crate::platform::problem::{Describe, Problem};
use crate::platform::text::{Arg, Lang};
use crate::platform::vault::VaultError;

/// How long ago a passkey may have been shown for what changes the ways in.
pub const FRESH: TimeDelta = TimeDelta::minutes(5);

/// Somebody in a session of theirs, and the device key that was proved with the request.
#[derive(Debug, Clone)]
pub struct Me {
    /// Who, in which session.
    pub person: keyring::Person,
    /// The key.
    pub shown: Option<DeviceKey>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// They have none of this id.
    #[error("there is none of this id")]
    Unknown,
    /// The passkey was shown too long ago.
    #[error("the passkey was shown too long ago")]
    Stale,
    /// The session's device did not prove its key.
    #[error("the session's device did not prove its key")]
    NoProof,
    /// A passkey that may be synced, at a device that keeps no key.
    #[error("a synced passkey at a device without a key")]
    CloudAlone,
    /// Newer than what it would end, and too soon after a recovery.
    #[error("too soon after a recovery")]
    CoolingOff,
    /// Too soon after a recovery or a new device for what cannot be undone.
    #[error("too soon after a recovery or a new device")]
    TooSoon(DateTime<Utc>),
    /// The last passkey.
    #[error("it is the last passkey")]
    LastPasskey,
    /// The last contact.
    #[error("it is the last contact")]
    LastContact,
    /// Of a door.
    #[error(transparent)]
    Door(#[from] DoorError),
}

impl Describe for OwnError {
    fn describe(&self) -> Problem {
        match self {
            Self::Unknown => not_found(),
            Self::Stale => {
                let remedy = "This needs a sign-in with a passkey of at most five minutes ago: sign in again.";
                Problem::new(401, "passkey-needed", "Show your passkey again", remedy)
            }
            Self::NoProof => {
                let remedy = "This session is bound to a device: send its proof over this request, with the access \
                    token, in the DPoP header.";
                Problem::new(401, "proof-needed", "The device must prove itself", remedy)
            }
            Self::CloudAlone => {
                let remedy = "You came in with a passkey that may be in a cloud, where no registered device of yours showed itself: \
                    do this on one, or recover the wallet here, which registers this one.";
                Problem::new(403, "own-device-needed", "This needs a registered device", remedy)
            }
            Self::CoolingOff => {
                let remedy = "For a day after a recovery a device that came with it or after it ends nothing that was \
                    there before: use an older device, or wait.";
                Problem::new(403, "cooling-off", "Not for a day after a recovery", remedy)
            }
            Self::TooSoon(until) => {
                let remedy = "For a day after a recovery or a new device this is not done, because it cannot be undone: wait \
                    until the time named.";
                Problem::new(403, "erasure-too-soon", "Not for a day after a recovery or a new device", remedy)
                    .with("until", serde_json::json!(until))
            }
            Self::LastPasskey => {
                let remedy = "Add another one first: without any, nobody could sign in.";
                Problem::new(409, "last-passkey", "This is the last passkey", remedy)
            }
            Self::LastContact => {
                let remedy = "Add another one first: without any, nobody could recover the wallet.";
                Problem::new(409, "last-contact", "This is the last contact", remedy)
            }
            Self::Door(error) => error.describe(),
        }
    }
}

macro_rules! by_door {
    ($($error:ty),+) => {
        $(impl From<$error> for OwnError {
            fn from(error: $error) -> Self {
                Self::Door(error.into())
            }
        })+
    };
}
by_door!(ClaimError, ContactError, PasskeyError, VaultError, diesel::result::Error);

/// The session's device, if the person has just shown that it is them there, by more than what somebody's cloud has.
fn fresh(conn: &mut PgConnection, visit: &Visit, me: &Me) -> Result<Device, OwnError> {
    let tenant = visit.tenant.id;
    let device = shown(conn, visit.now, tenant, me)?;
    if device.key.is_some() || is_hardware(conn, tenant, me.person.id, device.id)? {
        Ok(device)
    } else {
        Err(OwnError::CloudAlone)
    }
}

/// Whether the passkey that a device without a key is known by cannot leave its authenticator.
fn is_hardware(conn: &mut PgConnection, tenant: i64, person: Uuid, device: Uuid) -> QueryResult<bool> {
    let Some(known_by) = devices::known_by(conn, tenant, device)? else { return Ok(false) };
    let all = passkeys::list(conn, tenant, Holder::person(person))?;
    Ok(all.iter().any(|passkey| passkey.id == known_by && passkey.is_live() && !passkey.backup_eligible))
}

fn shown(conn: &mut PgConnection, now: DateTime<Utc>, tenant: i64, me: &Me) -> Result<Device, OwnError> {
    let person = me.person;
    let standing = sessions::standing(conn, tenant, person.session)?.ok_or(OwnError::Stale)?;
    if now - standing.authenticated_at > FRESH {
        return Err(OwnError::Stale);
    }
    let device = devices::find(conn, tenant, person.id, standing.device)?.ok_or(OwnError::Stale)?;
    if device.key.is_some() && device.key != me.shown {
        return Err(OwnError::NoProof);
    }
    Ok(device)
}

/// Refuses what a device ends that is older than a recovery of late, when the device is not.
fn may_end(
    conn: &mut PgConnection,
    visit: &Visit,
    (me, device): (&Me, &Device),
    since: DateTime<Utc>,
) -> Result<(), OwnError> {
    let recovered = recovery::last_done(conn, visit.tenant.id, me.person.id, visit.now - COOLING_OFF)?;
    let is_newer = |done: DateTime<Utc>| device.created_at >= done && since < done;
    if recovered.is_some_and(is_newer) { Err(OwnError::CoolingOff) } else { Ok(()) }
}

/// Notes and tells what was done.
fn done(
    conn: &mut PgConnection,
    visit: &Visit,
    me: &Me,
    (action, object): (Action, Object),
    notice: Notice,
) -> Result<(), OwnError> {
    doors::note(conn, visit, me.person.id, (action, object), &[])?;
    Ok(notices::tell(conn, &visit.ids, visit.now, (visit.tenant.id, me.person.id), notice)?)
}

/// Whether a person may have themselves forgotten, which nothing undoes: with all that a way in wants, and not while there is caution,
/// because whoever came in last may not be them.
///
/// # Errors
/// [`OwnError::Stale`], [`OwnError::NoProof`], [`OwnError::TooSoon`].
pub fn may_be_forgotten(conn: &mut PgConnection, now: DateTime<Utc>, tenant: i64, me: &Me) -> Result<(), OwnError> {
    shown(conn, now, tenant, me)?;
    let caution = people::caution(conn, tenant, me.person.id, now)?;
    caution.map_or(Ok(()), |caution| Err(OwnError::TooSoon(caution.until)))
}

/// A person's passkeys, oldest first, those that ended too.
///
/// # Errors
/// The database's.
pub fn passkeys_of(conn: &mut PgConnection, tenant: i64, person: Uuid) -> QueryResult<Vec<Passkey>> {
    passkeys::list(conn, tenant, Holder::person(person))
}

/// Begins the registration of a further passkey.
///
/// # Errors
/// [`OwnError::Stale`], [`OwnError::NoProof`], [`OwnError::CloudAlone`]; when there are too many.
pub fn begin_passkey(conn: &mut PgConnection, visit: &Visit, me: &Me) -> Result<Opened, OwnError> {
    fresh(conn, visit, me)?;
    let tenant = visit.tenant.id;
    let contacts = contacts::list(conn, &visit.vault, tenant, me.person.id)?;
    // Its holder's device shows this beside it; somebody without a contact is who they are to the tenant.
    let shown = contacts.first().map_or(visit.tenant.name.as_str(), |first| first.contact.reveal());
    let new = NewPasskey { holder: Holder::person(me.person.id), user_name: shown, display_name: shown };
    Ok(passkeys::start_registration(conn, &visit.ids, visit.now, &visit.party, tenant, &new)?)
}

/// Ends it. None whatever is wrong with what was answered.
///
/// # Errors
/// [`OwnError::Stale`], [`OwnError::NoProof`], [`OwnError::CloudAlone`].
pub fn add_passkey(
    conn: &mut PgConnection,
    visit: &Visit,
    me: &Me,
    (challenge, response, name): (Uuid, &[u8], &str),
) -> Result<Option<Passkey>, OwnError> {
    fresh(conn, visit, me)?;
    let whose = (visit.tenant.id, Holder::person(me.person.id));
    let registered =
        passkeys::finish_registration(conn, &visit.ids, visit.now, &visit.party, whose, challenge, response, name)?;
    let Ok(passkey) = registered else { return Ok(None) };
    done(conn, visit, me, (Action::PasskeyAdded, Object::Passkey(passkey.id)), Notice::PasskeyAdded)?;
    Ok(Some(passkey))
}

/// Ends a passkey; again changes nothing.
///
/// # Errors
/// [`OwnError::Stale`], [`OwnError::NoProof`], [`OwnError::CloudAlone`], [`OwnError::LastPasskey`], [`OwnError::CoolingOff`], [`OwnError::Unknown`].
pub fn revoke_passkey(conn: &mut PgConnection, visit: &Visit, me: &Me, id: Uuid) -> Result<(), OwnError> {
    let (tenant, holder) = (visit.tenant.id, Holder::person(me.person.id));
    let device = fresh(conn, visit, me)?;
    // Of two that end one each at once, the second waits and sees what the first has left.
    let all = passkeys::list_locked(conn, tenant, holder)?;
    let passkey = all.iter().find(|passkey| passkey.id == id).ok_or(OwnError::Unknown)?;
    if passkey.revoked_at.is_some() {
        return Ok(());
    }
    if passkey.is_live() && all.iter().filter(|passkey| passkey.is_live()).count() <= 1 {
        return Err(OwnError::LastPasskey);
    }
    may_end(conn, visit, (me, &device), passkey.created_at)?;
    passkeys::revoke(conn, tenant, holder, id, visit.now)?;
    done(conn, visit, me, (Action::PasskeyRevoked, Object::Passkey(id)), Notice::PasskeyRevoked)
}

/// Revokes a device and ends its sessions; gives the prefixes of their access tokens, for the nodes to be told. Again changes
/// nothing.
///
/// # Errors
/// [`OwnError::CoolingOff`], [`OwnError::Unknown`].
pub fn revoke_device(conn: &mut PgConnection, visit: &Visit, me: &Me, id: Uuid) -> Result<Vec<String>, OwnError> {
    let (tenant, person) = (visit.tenant.id, me.person);
    let device = devices::find(conn, tenant, person.id, id)?.ok_or(OwnError::Unknown)?;
    if device.revoked_at.is_some() {
        return Ok(Vec::new());
    }
    let standing = sessions::standing(conn, tenant, person.session)?.ok_or(OwnError::Stale)?;
    let here = devices::find(conn, tenant, person.id, standing.device)?.ok_or(OwnError::Stale)?;
    may_end(conn, visit, (me, &here), device.created_at)?;
    devices::revoke(conn, visit.now, tenant, person.id, id)?;
    let ended = sessions::end_of_device(conn, visit.now, tenant, id, End::DeviceRevoked)?;
    done(conn, visit, me, (Action::DeviceRevoked, Object::Device(id)), Notice::DeviceRevoked)?;
    Ok(ended)
}

/// Begins to add a contact: a code goes there. The same whether or not somebody has it.
///
/// # Errors
/// [`OwnError::Stale`], [`OwnError::NoProof`], [`OwnError::CloudAlone`]; when too many codes were asked for, or it cannot be reached.
pub fn begin_contact(
    conn: &mut PgConnection,
    visit: &Visit,
    me: &Me,
    (contact, locale): (Contact, Lang),
) -> Result<Begun, OwnError> {
    fresh(conn, visit, me)?;
    let opened = claims::open(conn, visit, Purpose::Contact, (contact, locale))?;
    let values = [
        ("name", Arg::Text(visit.tenant.name.as_str())),
        ("code", Arg::Text(opened.code.reveal())),
        ("minutes", Arg::Count(LIFE.num_minutes())),
    ];
    let mail = opened.claim.contact.mail(Letter::written(locale, "code", &values))?;
    Ok(Begun { id: opened.claim.id, expires_at: opened.expires_at, mail })
}

/// Takes the code and adds the contact. None whatever is wrong with the code.
///
/// # Errors
/// [`OwnError::Stale`], [`OwnError::NoProof`], [`OwnError::CloudAlone`]; [`ContactError::Taken`] to who reads its mail.
pub fn add_contact(
    conn: &mut PgConnection,
    visit: &Visit,
    me: &Me,
    (id, code): (Uuid, &str),
) -> Result<Option<Uuid>, OwnError> {
    fresh(conn, visit, me)?;
    if claims::prove(conn, visit, (id, Purpose::Contact), code)?.is_none() {
        return Ok(None);
    }
    let Some(claim) = claims::take(conn, visit, (id, Purpose::Contact))? else { return Ok(None) };
    // Who had contacts before is told there, and not at the new one, which was just read.
    notices::tell(conn, &visit.ids, visit.now, (visit.tenant.id, me.person.id), Notice::ContactAdded)?;
    let whose = (visit.tenant.id, me.person.id);
    let contact = contacts::add(conn, &visit.vault, &visit.ids, visit.now, whose, &claim.contact)?;
    doors::note(conn, visit, me.person.id, (Action::ContactAdded, Object::Contact(contact)), &[])?;
    Ok(Some(contact))
}

/// Ends a contact, which is told there too.
///
/// # Errors
/// [`OwnError::Stale`], [`OwnError::NoProof`], [`OwnError::CloudAlone`], [`OwnError::LastContact`], [`OwnError::CoolingOff`], [`OwnError::Unknown`].
pub fn end_contact(conn: &mut PgConnection, visit: &Visit, me: &Me, id: Uuid) -> Result<(), OwnError> {
    let (tenant, person) = (visit.tenant.id, me.person.id);
    let device = fresh(conn, visit, me)?;
    let all = contacts::list_locked(conn, tenant, person)?;
    let (_, proved_at) = all.iter().find(|(contact, _)| *contact == id).ok_or(OwnError::Unknown)?;
    if all.len() <= 1 {
        return Err(OwnError::LastContact);
    }
    may_end(conn, visit, (me, &device), *proved_at)?;
    done(conn, visit, me, (Action::ContactEnded, Object::Contact(id)), Notice::ContactEnded)?;
    contacts::end(conn, tenant, person, id, visit.now)?;
    Ok(())
}
