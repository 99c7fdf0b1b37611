//! Sign-in: a passkey, and the device it is shown at.
//!
//! Two steps: [`begin`] gives the options for the browser, whoever is there; [`finish`] judges the answer and opens a session.
//! Whatever is wrong, the answer is the same.
//!
//! **Devices.** A device that proves its key and is theirs is known. A new one is bound by a passkey that cannot leave
//! its authenticator, which is an older device in itself (RTS, Art. 24). A passkey that may be synced shows only that somebody
//! has the person's cloud: who comes with it alone gets a session that is bound to no key, where nothing can be approved that
//! needs the device (T17, T18). Without a key the session is at the device that this passkey stands for. Each new device is told to
//! its person and calls for caution with payments ([`people::caution`](super::people::caution)).
//!
//! **Limits** ([`PER_MINUTE`], [`FAILURES`]). Failures are counted by whom the credential is of *and* where they come from:
//! from an address, or at a device of theirs that proves its key. So whoever fails elsewhere, or even at the same address,
//! locks no known device out, and nobody at another address (T9). What is over its limit is answered as whatever else is wrong.
//! Both functions write, and what they write must be committed. Not here: routes, cookies.

mod store;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

use super::codes::Blind;
use super::devices::{self, BoundBy, Device, DeviceKey};
use super::doors::{self, Answer, DoorError, Entered, Visit};
use super::passkeys::{self, HolderKind, Opened, SignedIn};
use super::people;
use crate::platform::audit::{Action, Fact, Object};

/// Sign-ins that may begin from an address, or at a known device, within a minute.
pub const PER_MINUTE: i32 = 30;
/// Failures of one person at one place within [`FAILURES_WINDOW`] that end sign-ins there for as long.
pub const FAILURES: i32 = 5;
/// How long failures count.
pub const FAILURES_WINDOW: TimeDelta = TimeDelta::minutes(15);
const MINUTE: TimeDelta = TimeDelta::minutes(1);

/// Begins a sign-in: the options for `navigator.credentials.get()`. A device that proves its key is counted by itself.
///
/// # Errors
/// [`DoorError::TooMany`], with nothing changed.
#[tracing::instrument(name = "sign_in.begin", skip_all, fields(tenant.id = visit.tenant.id))]
pub fn begin(conn: &mut PgConnection, visit: &Visit, key: Option<&DeviceKey>) -> Result<Opened, DoorError> {
    let (tenant, now) = (visit.tenant.id, visit.now);
    let known = match key {
        Some(key) => devices::find_by_key(conn, tenant, key)?.filter(|device| device.revoked_at.is_none()),
        None => None,
    };
    let who = match known {
        Some(device) => counted(visit, &[b"begun-at-device", device.id.as_bytes()]),
        None => counted(visit, &[b"begun-from-address", &visit.address]),
    };
    if !store::count(conn, tenant, &who, now, (now - MINUTE, PER_MINUTE))? {
        return Err(DoorError::TooMany);
    }
    Ok(passkeys::start_sign_in(conn, &visit.ids, now, &visit.party, tenant, (HolderKind::Person, None))?)
}

/// Ends a sign-in: judges the passkey and opens a session at its device. None whatever is wrong.
///
/// # Errors
/// [`DoorError`]; [`DoorError::DeviceTaken`] does not happen: a key that is another's is one of the things that are wrong.
#[tracing::instrument(name = "sign_in.finish", skip_all, fields(tenant.id = visit.tenant.id))]
pub fn finish(conn: &mut PgConnection, visit: &Visit, answer: &Answer) -> Result<Option<Entered>, DoorError> {
    let (tenant, now) = (visit.tenant.id, visit.now);
    let claimed = passkeys::claimed_holder(conn, (tenant, HolderKind::Person), &answer.response)?;
    let shown = match &answer.device {
        Some(key) => devices::find_by_key(conn, tenant, key)?,
        None => None,
    };
    let place = claimed.map(|person| place(visit, person, shown.as_ref()));
    // The try is counted before anything is judged, so that of many at once no more than may are believed.
    let may = match &place {
        Some(place) => store::count(conn, tenant, place, now, (now - FAILURES_WINDOW, FAILURES))?,
        None => true,
    };
    let party = &visit.party;
    let judged =
        passkeys::finish_sign_in(conn, now, party, (tenant, HolderKind::Person), answer.challenge, &answer.response)?;
    let (Ok(signed_in), true) = (judged, may) else { return Ok(None) };
    let person = people::find(conn, tenant, signed_in.holder.id)?.filter(|person| !person.is_closed);
    let Some(person) = person else { return Ok(None) };
    let Some((device, is_bound)) = at(conn, visit, signed_in, shown, answer)? else { return Ok(None) };
    if let Some(place) = &place {
        store::forget(conn, tenant, place)?;
    }
    let facts = [("device", Fact::Id(device)), ("passkey", Fact::Id(signed_in.passkey))];
    doors::note(conn, visit, person.id, (Action::PersonSignedIn, Object::Person(person.id)), &facts)?;
    doors::enter(conn, visit, (person.id, device), (answer.held, is_bound)).map(Some)
}

/// The device somebody signs in at, and whether the session is bound to its key; none when it cannot be theirs.
fn at(
    conn: &mut PgConnection,
    visit: &Visit,
    SignedIn { holder, passkey, synced }: SignedIn,
    shown: Option<Device>,
    answer: &Answer,
) -> Result<Option<(Uuid, bool)>, DoorError> {
    let tenant = visit.tenant.id;
    if let Some(device) = shown {
        let is_theirs = device.person == holder.id && device.revoked_at.is_none();
        return Ok(is_theirs.then_some((device.id, true)));
    }
    let is_bound = answer.device.is_some() && !synced;
    if !is_bound && let Some(device) = devices::find_by_passkey(conn, tenant, holder.id, passkey)? {
        return Ok(Some((device.id, false)));
    }
    let answer = Answer { device: answer.device.clone().filter(|_| is_bound), ..answer.clone() };
    let device = doors::bind(conn, visit, (holder.id, passkey), &answer, BoundBy::OlderDevice)?;
    Ok(Some((device, is_bound)))
}

/// Where somebody tries to come in as a person: at a device of theirs, or from an address.
fn place(visit: &Visit, person: Uuid, shown: Option<&Device>) -> Blind {
    match shown.filter(|device| device.person == person && device.revoked_at.is_none()) {
        Some(device) => counted(visit, &[b"failed-at-device", device.id.as_bytes()]),
        None => counted(visit, &[b"failed-from-address", person.as_bytes(), &visit.address]),
    }
}

/// What counts something at the doors, and does not tell what.
pub(super) fn counted(visit: &Visit, parts: &[&[u8]]) -> Blind {
    // HMAC-SHA-256 is 32 bytes by definition.
    Blind::try_from(visit.tenant.secret.sign("door-try", parts).as_ref()).unwrap_or_default()
}

/// Counts that an operator's sign-in begins from an address: beside people's, who may be behind the same one.
///
/// # Errors
/// [`DoorError::TooMany`], with nothing changed.
pub(super) fn begun_as_operator(conn: &mut PgConnection, visit: &Visit) -> Result<(), DoorError> {
    begun_at(conn, visit, b"operator-from-address")
}

/// The same by a password: passwords use up nothing of the passkeys' door, which others of the same office come in by (T9).
///
/// # Errors
/// [`DoorError::TooMany`], with nothing changed.
pub(super) fn begun_by_password(conn: &mut PgConnection, visit: &Visit) -> Result<(), DoorError> {
    begun_at(conn, visit, b"operator-password-from-address")
}

fn begun_at(conn: &mut PgConnection, visit: &Visit, door: &[u8]) -> Result<(), DoorError> {
    let (tenant, now) = (visit.tenant.id, visit.now);
    let who = counted(visit, &[door, &visit.address]);
    let may = store::count(conn, tenant, &who, now, (now - MINUTE, PER_MINUTE))?;
    if may { Ok(()) } else { Err(DoorError::TooMany) }
}

/// Where somebody tries to come in as an operator with a passkey.
pub(super) fn operators_place(visit: &Visit, operator: Uuid) -> Blind {
    counted(visit, &[b"operator-failed-from-address", operator.as_bytes(), &visit.address])
}

/// Counts a try of the last [`FAILURES_WINDOW`]; false, and nothing changed, past `most` of them.
pub(super) fn count(
    conn: &mut PgConnection,
    tenant: i64,
    who: &Blind,
    now: DateTime<Utc>,
    most: i32,
) -> QueryResult<bool> {
    store::count(conn, tenant, who, now, (now - FAILURES_WINDOW, most))
}

/// Forgets tries of who came in.
pub(super) fn forget(conn: &mut PgConnection, tenant: i64, who: &Blind) -> QueryResult<()> {
    store::forget(conn, tenant, who)
}

/// Takes away tries that count no more, at most so many rows.
///
/// # Errors
/// The database's.
pub fn sweep(conn: &mut PgConnection, tenant: i64, now: DateTime<Utc>, most: i64) -> QueryResult<usize> {
    store::sweep(conn, tenant, now - FAILURES_WINDOW, most)
}
