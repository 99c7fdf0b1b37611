//! Recovery: coming back in without a passkey.
//!
//! Three steps like a sign-up: [`begin`] sends a code to the contact, [`prove`] takes it and begins a new passkey's registration,
//! [`finish`] keeps the passkey, ends every session and opens one. Who does not read the contact's mail learns nothing (T59).
//!
//! **What is demanded.** A contact is no factor (OWASP ASVS 5.0, 6.3.6), and whoever lost every passkey has nothing else that
//! was shown when they signed up. So it is proved again at the level of the enrolment (6.4.4), which is the contact, and:
//! what anybody proved beyond it does not come back with it (the level falls to what people say of themselves); for a day
//! little may be paid ([`people::caution`]); every contact is told when it begins and when it is done.
//! **Older passkeys stay.** Whoever reads somebody's mail could throw them out otherwise: so it is who comes back that is held up.
//! The owner signs in with an older passkey and ends the new one; for a day, a device that came with the recovery or after it
//! ends nothing older ([`own`](super::own)). Whoever's phone was stolen waits that day, or uses another device: the thief lacks the
//! finger or the PIN, every session has ended, and the cap holds for all devices.
//! **Blocks of approvals end**, also the one without an end: this is the secure procedure by which a payer regains the use of what
//! was blocked (RTS, Art. 4(3)(b)). Whoever comes back has a new passkey and need not guess, so nothing is gained by being blocked
//! first; what holds them up is the day of caution.
//! All three write, and what they write must be committed. Not here: routes, proof of identity by others (it comes with them).

mod store;

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

use super::claims::{self, Claim, Opened};
use super::codes::{LIFE, Purpose};
use super::contacts::{self, Contact};
use super::devices::{self, BoundBy};
use super::doors::{self, Answer, Begun, DoorError, Entered, Visit};
use super::notices::{self, Notice};
use super::passkeys::{self, Holder, NewPasskey};
use super::people::{self, Level, Person};
use super::sca::{self, Payer};
use super::sessions::{self, End};
use crate::platform::audit::{Action, Actor, Fact, Object};
use crate::platform::post::Letter;
use crate::platform::text::{Arg, Lang};

/// Somebody who came back, and the access tokens that ended with it, by their prefixes: nodes have to be told.
#[derive(Debug)]
pub struct Recovered {
    /// Who, and what they hold now.
    pub entered: Entered,
    /// The ends.
    pub ended: Vec<String>,
}

/// Begins a recovery: makes a code for the contact, or for one that nobody has a letter that says so.
///
/// # Errors
/// [`DoorError::Claim`] when too many codes were asked for, [`DoorError::Contact`] when the contact cannot be reached.
#[tracing::instrument(name = "recovery.begin", skip_all, fields(tenant.id = visit.tenant.id))]
pub fn begin(conn: &mut PgConnection, visit: &Visit, (contact, locale): (Contact, Lang)) -> Result<Begun, DoorError> {
    let opened = claims::open(conn, visit, Purpose::Recovery, (contact, locale))?;
    let Opened { claim, code, expires_at } = opened;
    let holder = contacts::holder(conn, visit.tenant.id, claim.contact.kind(), &claim.blind)?;
    let letter = if holder.is_some() { "recovery-code" } else { "no-wallet" };
    let name = ("name", Arg::Text(&visit.tenant.name));
    let (code, minutes) = (("code", Arg::Text(code.reveal())), ("minutes", Arg::Count(LIFE.num_minutes())));
    let mail = claim.contact.mail(Letter::written(locale, letter, &[name, code, minutes]))?;
    Ok(Begun { id: claim.id, expires_at, mail })
}

/// Takes the code, tells every contact, and begins the registration of a passkey. None whatever is wrong with the code.
///
/// # Errors
/// [`DoorError`].
#[tracing::instrument(name = "recovery.prove", skip_all, fields(tenant.id = visit.tenant.id))]
pub fn prove(
    conn: &mut PgConnection,
    visit: &Visit,
    id: Uuid,
    code: &str,
) -> Result<Option<passkeys::Opened>, DoorError> {
    let (tenant, now) = (visit.tenant.id, visit.now);
    let Some(claim) = claims::prove(conn, visit, (id, Purpose::Recovery), code)? else { return Ok(None) };
    let Some(person) = person_of(conn, visit, &claim)? else { return Ok(None) };
    store::begin(conn, tenant, (id, person.id), now)?;
    doors::note(conn, visit, person.id, (Action::RecoveryBegun, Object::Recovery(id)), &[])?;
    notices::tell(conn, &visit.ids, now, (tenant, person.id), Notice::RecoveryBegun)?;
    let shown = claim.contact.reveal();
    let new = NewPasskey { holder: Holder::person(person.id), user_name: shown, display_name: shown };
    Ok(Some(passkeys::start_registration(conn, &visit.ids, now, &visit.party, tenant, &new)?))
}

/// Ends a recovery: keeps the new passkey, ends every session and every block of approvals, opens a session, tells every contact. None
/// whatever is wrong with what was answered; then it begins again with a new code.
///
/// # Errors
/// [`DoorError::DeviceTaken`], with nothing changed.
#[tracing::instrument(name = "recovery.finish", skip_all, fields(tenant.id = visit.tenant.id))]
pub fn finish(
    conn: &mut PgConnection,
    visit: &Visit,
    (id, passkey_name): (Uuid, &str),
    answer: &Answer,
) -> Result<Option<Recovered>, DoorError> {
    let (tenant, now) = (visit.tenant.id, visit.now);
    let Some(claim) = claims::take(conn, visit, (id, Purpose::Recovery))? else { return Ok(None) };
    let Some(person) = person_of(conn, visit, &claim)? else { return Ok(None) };
    let registered = passkeys::finish_registration(
        conn,
        &visit.ids,
        now,
        &visit.party,
        (tenant, Holder::person(person.id)),
        answer.challenge,
        &answer.response,
        passkey_name,
    )?;
    let Ok(passkey) = registered else { return Ok(None) };
    store::finish(conn, tenant, id, now)?;
    // As it is under the lock: somebody may have proved more since.
    if people::lock(conn, tenant, person.id)?.is_some_and(|person| person.level > Level::T1) {
        people::set_level(conn, now, Actor::Person(person.id), (tenant, person.id), Level::T1)?;
    }
    sca::readmit(conn, Payer { tenant, person: person.id })?;
    let ended = sessions::end_others(conn, now, tenant, person.id, None, End::Recovery)?;
    let device = at(conn, visit, (person.id, passkey.id), answer)?;
    let facts =
        [("passkey", Fact::Id(passkey.id)), ("device", Fact::Id(device)), ("approvals_readmitted", Fact::Flag(true))];
    doors::note(conn, visit, person.id, (Action::RecoveryDone, Object::Recovery(id)), &facts)?;
    notices::tell(conn, &visit.ids, now, (tenant, person.id), Notice::RecoveryDone)?;
    let entered = doors::enter(conn, visit, (person.id, device), (answer.held, answer.device.is_some()))?;
    Ok(Some(Recovered { entered, ended }))
}

/// When a person came back last, after a moment.
///
/// # Errors
/// The database's.
pub(super) fn last_done(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    after: DateTime<Utc>,
) -> QueryResult<Option<DateTime<Utc>>> {
    Ok(store::done_since(conn, tenant, &[person], after)?.into_iter().map(|(_, at)| at).max())
}

/// Which of these persons came back after a moment, and when.
///
/// # Errors
/// The database's.
pub(super) fn done_since(
    conn: &mut PgConnection,
    tenant: i64,
    persons: &[Uuid],
    after: DateTime<Utc>,
) -> QueryResult<Vec<(Uuid, DateTime<Utc>)>> {
    store::done_since(conn, tenant, persons, after)
}

/// Whose the claimed contact is, if they may come in.
fn person_of(conn: &mut PgConnection, visit: &Visit, claim: &Claim) -> QueryResult<Option<Person>> {
    let tenant = visit.tenant.id;
    let Some(holder) = contacts::holder(conn, tenant, claim.contact.kind(), &claim.blind)? else { return Ok(None) };
    Ok(people::find(conn, tenant, holder)?.filter(|person| !person.is_closed))
}

/// The device somebody comes back at: one of theirs that proves its key, or a new one.
fn at(
    conn: &mut PgConnection,
    visit: &Visit,
    (person, passkey): (Uuid, Uuid),
    answer: &Answer,
) -> Result<Uuid, DoorError> {
    if let Some(key) = &answer.device
        && let Some(device) = devices::find_by_key(conn, visit.tenant.id, key)?
    {
        let is_theirs = device.person == person && device.revoked_at.is_none();
        return if is_theirs { Ok(device.id) } else { Err(DoorError::DeviceTaken) };
    }
    doors::bind(conn, visit, (person, passkey), answer, BoundBy::Recovery)
}
