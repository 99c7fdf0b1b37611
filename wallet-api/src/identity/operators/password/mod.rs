//! An operator's password: what they fall back on when their passkey is not at hand, and no more than that.
//!
//! It is set in a session that a passkey opened, by who showed that passkey within five minutes. A session that it opens lives as
//! short as any, and in it the roles that may much (finance, admin) are not in force: one thing that is known opens no
//! books. Whatever is wrong, the refusal is the same, after as long a time, known address or not.
//! **Limits.** A place in the queue comes first, so that nobody is counted who is not looked at (T58). Then tries are counted, before
//! any is looked at: [`AT_PLACE`] within a quarter of an hour for an account from an address, and [`IN_ALL`] from
//! wherever, of which one address uses up no more than its own. Past that the password opens nothing for as long; the passkey's
//! door is another with a counter of its own, and stays open (T9).
//! A password ends with the passkeys that a further invitation ends; what it opened ends with it, and when it is changed.
//! Not here: how passwords are computed (`platform::password`), lists of passwords that leaked.

mod routes;
mod store;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

pub use routes::routes;

use super::{BY_EMAIL, Entered, OperatorError};
use crate::identity::codes::Blind;
use crate::identity::doors::{DoorError, Visit};
use crate::identity::sessions::{self, Held};
use crate::identity::sign_in;
use crate::platform::Platform;
use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};
use crate::platform::keyring::Caller;
use crate::platform::password::{Kept, Password, Passwords, Place};
use crate::platform::problem::Problem;

/// Tries for one account from one address within [`FAILURES_WINDOW`].
pub const AT_PLACE: i32 = 5;
/// The same from all addresses.
pub const IN_ALL: i32 = 30;
/// How long ago the passkey may have been shown in the session that sets a password.
const FRESH: TimeDelta = TimeDelta::minutes(5);

/// What a try is judged by.
pub struct Tried {
    /// Whose address it is, and what is kept of their password; none of nobody's, and of who may not try.
    who: Option<(Uuid, Kept)>,
    /// What is forgotten when they come in.
    counted: [Blind; 2],
}

impl Tried {
    /// What to compare with.
    #[must_use]
    pub fn kept(&self) -> Option<&Kept> {
        self.who.as_ref().map(|(_, kept)| kept)
    }
}

/// Counts a try, and finds what to judge it by. To be committed whatever comes after.
///
/// # Errors
/// [`DoorError::TooMany`] from this address; the vault's and the database's.
pub fn try_once(conn: &mut PgConnection, visit: &Visit, email: &str) -> Result<Tried, DoorError> {
    let (tenant, now, email) = (visit.tenant.id, visit.now, email.trim().to_lowercase());
    sign_in::begun_by_password(conn, visit)?;
    let place = sign_in::counted(visit, &[b"password-from-address", email.as_bytes(), &visit.address]);
    let account = sign_in::counted(visit, &[b"password-of", email.as_bytes()]);
    // What one address tries beyond its own is no try at the account: it locks nobody out elsewhere.
    let may =
        sign_in::count(conn, tenant, &place, now, AT_PLACE)? && sign_in::count(conn, tenant, &account, now, IN_ALL)?;
    let who = match visit.vault.find_index(conn, tenant, BY_EMAIL, &email)? {
        Some(index) if may => store::by_email(conn, tenant, index.as_bytes())?,
        Some(_) | None => None,
    };
    Ok(Tried { who: who.map(|(id, kept)| (id, Kept::new(kept))), counted: [place, account] })
}

/// Opens a session for whoever said the password of a try; none when it is not theirs any more.
///
/// # Errors
/// The database's.
pub fn enter(
    conn: &mut PgConnection,
    (visit, held): (&Visit, Held),
    tried: Tried,
) -> Result<Option<Entered>, OperatorError> {
    let (tenant, now, [place, account]) = (visit.tenant.id, visit.now, tried.counted);
    let Some((operator, kept)) = tried.who else { return Ok(None) };
    // It may have been changed, or its operator may have left, while it was computed.
    if !store::is_kept(conn, tenant, operator, kept.text())? {
        return Ok(None);
    }
    sign_in::forget(conn, tenant, &place)?;
    sign_in::forget(conn, tenant, &account)?;
    let pair = sessions::open_by_password(conn, &visit.ids, now, tenant, operator, held)?;
    let entry = Entry::done(tenant, Actor::Staff(operator), Action::OperatorSignedIn, Object::Operator(operator));
    audit::append(conn, &entry.with("by", Fact::Word("password")), now)?;
    Ok(Some(Entered { operator, pair, ended: Vec::new() }))
}

/// Comes in by a password, for who has a place in the queue. None whatever is wrong.
///
/// # Errors
/// [`DoorError::TooMany`] from this address; the vault's and the database's.
pub async fn sign_in(
    platform: &Platform,
    (passwords, place): (&Passwords, Place),
    (visit, held): (Visit, Held),
    (email, said): (String, Password),
) -> Result<Option<Entered>, Problem> {
    let (again, tenant) = (visit.clone(), visit.tenant.id);
    let tried = platform.db.of(tenant).write(move |conn| try_once(conn, &again, &email)).await?;
    if !passwords.is_at(place, tried.kept(), said).await? {
        return Ok(None);
    }
    platform.db.of(tenant).write(move |conn| enter(conn, (&visit, held), tried)).await
}

/// Whether an operator has a password.
///
/// # Errors
/// The database's.
pub fn is_set(conn: &mut PgConnection, tenant: i64, operator: Uuid) -> QueryResult<bool> {
    store::is_set(conn, tenant, operator)
}

/// Sets the caller's password in place of any before, in a session that a passkey opened a short while ago.
///
/// # Errors
/// 401 `passkey-stale`, 403 `operators-only`; what is wrong with the password; the database's.
pub async fn choose(
    platform: &Platform,
    passwords: &Passwords,
    caller: &Caller,
    chosen: String,
) -> Result<(), Problem> {
    let (tenant, me, now) = (caller.tenant.id, caller.require_operator()?, platform.clock.now());
    let chosen = Password::chosen(chosen)?;
    if !platform.db.of(tenant).read(move |conn| may_set(conn, now, tenant, me.session)).await? {
        let remedy = "Sign in again with your passkey: this asks for one that was shown within five minutes.";
        return Err(Problem::new(401, "passkey-stale", "Show your passkey again", remedy));
    }
    let kept = passwords.keep(chosen).await?;
    let ended = platform.db.of(tenant).write(move |conn| set(conn, now, (tenant, me.id), Some(&kept))).await?;
    platform.keyring.ended(&ended);
    Ok(())
}

/// Ends the caller's password, and what it opened. There may be none.
///
/// # Errors
/// 403 `operators-only`; the database's.
pub async fn give_up(platform: &Platform, caller: &Caller) -> Result<(), Problem> {
    let (tenant, me, now) = (caller.tenant.id, caller.require_operator()?, platform.clock.now());
    let ended = platform.db.of(tenant).write(move |conn| set(conn, now, (tenant, me.id), None)).await?;
    platform.keyring.ended(&ended);
    Ok(())
}

/// Whether an operator may set a password in a session: a passkey opened it a short while ago.
fn may_set(conn: &mut PgConnection, now: DateTime<Utc>, tenant: i64, session: Uuid) -> QueryResult<bool> {
    let shown = sessions::passkey_shown_at(conn, tenant, session)?;
    Ok(shown.is_some_and(|at| now.signed_duration_since(at) <= FRESH))
}

/// Keeps a password in place of any before it, or none any more. What one before it opened ends: gives the access tokens'
/// prefixes, for the nodes to be told.
///
/// # Errors
/// The database's.
pub fn set(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (tenant, operator): (i64, Uuid),
    kept: Option<&Kept>,
) -> QueryResult<Vec<String>> {
    let action = match kept {
        Some(kept) => {
            store::keep(conn, tenant, operator, kept.text(), now)?;
            Action::OperatorPasswordSet
        }
        None if store::end(conn, tenant, operator)? => Action::OperatorPasswordEnded,
        None => return Ok(Vec::new()),
    };
    let ended = sessions::end_by_password(conn, now, tenant, operator)?;
    let entry = Entry::done(tenant, Actor::Staff(operator), action, Object::Operator(operator));
    audit::append(conn, &entry, now)?;
    Ok(ended)
}
