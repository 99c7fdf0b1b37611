//! Sign-up: somebody proves a contact, registers a passkey and is a customer from then on.
//!
//! Three steps: [`begin`] sends a code, [`prove`] takes it and begins the passkey's registration, [`finish`] makes customer,
//! person, contact, passkey, device and session in one transaction. Promise: who does not read the contact's mail cannot tell
//! whether anybody has it (T59): the answers are the same, made by the same statements, and only the letter differs. The
//! first device needs no older one to vouch for it; any other does ([`sign_in`](super::sign_in)).
//! All three write, and what they write must be committed. Not here: who they really are (levels), routes.

use diesel::PgConnection;
use uuid::Uuid;

use super::claims::{self, Opened};
use super::codes::{LIFE, Purpose};
use super::contacts::{self, Contact};
use super::devices::BoundBy;
use super::doors::{self, Answer, Begun, DoorError, Entered, Visit};
use super::passkeys::{self, Holder, NewPasskey};
use super::people;
use crate::platform::audit::{Action, Object};
use crate::platform::post::Letter;
use crate::platform::text::{Arg, Lang};
use crate::profile;

/// Begins a sign-up: makes a code for the contact, or for one who has a wallet a letter that says so.
///
/// # Errors
/// [`DoorError::Claim`] when too many codes were asked for, [`DoorError::Contact`] when the contact cannot be reached.
#[tracing::instrument(name = "sign_up.begin", skip_all, fields(tenant.id = visit.tenant.id))]
pub fn begin(conn: &mut PgConnection, visit: &Visit, (contact, locale): (Contact, Lang)) -> Result<Begun, DoorError> {
    let opened = claims::open(conn, visit, Purpose::SignUp, (contact, locale))?;
    let Opened { claim, code, expires_at } = opened;
    let holder = contacts::holder(conn, visit.tenant.id, claim.contact.kind(), &claim.blind)?;
    // The code of one who has a wallet goes nowhere.
    let letter = if holder.is_some() { "wallet-there" } else { "code" };
    let name = ("name", Arg::Text(&visit.tenant.name));
    let (code, minutes) = (("code", Arg::Text(code.reveal())), ("minutes", Arg::Count(LIFE.num_minutes())));
    let mail = claim.contact.mail(Letter::written(locale, letter, &[name, code, minutes]))?;
    Ok(Begun { id: claim.id, expires_at, mail })
}

/// Takes the code and begins the registration of a passkey. None whatever is wrong with it.
///
/// # Errors
/// [`DoorError`].
#[tracing::instrument(name = "sign_up.prove", skip_all, fields(tenant.id = visit.tenant.id))]
pub fn prove(
    conn: &mut PgConnection,
    visit: &Visit,
    id: Uuid,
    code: &str,
) -> Result<Option<passkeys::Opened>, DoorError> {
    let Some(claim) = claims::prove(conn, visit, (id, Purpose::SignUp), code)? else { return Ok(None) };
    let (holder, shown) = (Holder::person(person_of(visit, id)), claim.contact.reveal());
    let new = NewPasskey { holder, user_name: shown, display_name: shown };
    let tenant = visit.tenant.id;
    Ok(Some(passkeys::start_registration(conn, &visit.ids, visit.now, &visit.party, tenant, &new)?))
}

/// Ends a sign-up: judges the passkey, and makes whoever it is of a customer who is signed in. None whatever is wrong with what
/// was answered; then it begins again with a new code.
///
/// # Errors
/// [`DoorError::Contact`] when somebody signed up with the contact meanwhile, [`DoorError::DeviceTaken`]: nothing is changed then.
#[tracing::instrument(name = "sign_up.finish", skip_all, fields(tenant.id = visit.tenant.id))]
pub fn finish(
    conn: &mut PgConnection,
    visit: &Visit,
    (id, passkey_name): (Uuid, &str),
    answer: &Answer,
) -> Result<Option<Entered>, DoorError> {
    let (tenant, now) = (visit.tenant.id, visit.now);
    let Some(claim) = claims::take(conn, visit, (id, Purpose::SignUp))? else { return Ok(None) };
    let whose = (tenant, Holder::person(person_of(visit, id)));
    let registered = passkeys::finish_registration(
        conn,
        &visit.ids,
        now,
        &visit.party,
        whose,
        answer.challenge,
        &answer.response,
        passkey_name,
    )?;
    let Ok(passkey) = registered else { return Ok(None) };
    profile::ensure(conn, &visit.ids, now, tenant, &[reference(id)])?;
    let person = people::ensure(conn, now, tenant, passkey.holder.id, claim.locale)?.id;
    contacts::add(conn, &visit.vault, &visit.ids, now, (tenant, person), &claim.contact)?;
    doors::note(conn, visit, person, (Action::PersonSignedUp, Object::Person(person)), &[])?;
    let device = doors::bind(conn, visit, (person, passkey.id), answer, BoundBy::SignUp)?;
    doors::enter(conn, visit, (person, device), (answer.held, answer.device.is_some())).map(Some)
}

/// Who it will be: known before they are there, because the passkey has to be made for somebody.
fn person_of(visit: &Visit, id: Uuid) -> Uuid {
    profile::customer_id(visit.tenant.id, &reference(id))
}

/// What the tenant calls a customer who came by themselves, until it says otherwise.
fn reference(id: Uuid) -> String {
    format!("sign-up-{id}")
}
