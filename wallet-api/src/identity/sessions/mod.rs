//! Sessions: a person at a device, from a sign-in until it ends.
//!
//! A session of an app has an access token of [`ACCESS`] and a refresh token that is good once: it gives the next pair, for
//! the device that the session is bound to and no other. A used one that comes again is a copy in somebody's hands: the
//! session ends, whoever holds what (RFC 9700, section 4.14.2). Only the very device, by its key, may repeat its last
//! refresh within [`GRACE`], because the answer may have been lost. A session of a page has no refresh token and ends after
//! [`PAGE`].
//! What moves or shows money asks for a person who is there: five minutes without anything being asked, or twelve hours
//! after the passkey, and it is refused until the passkey is shown again ([`confirm`]; RTS, Art. 4(3)(d)). What is merely
//! theirs, the card above all, stays open.
//! Operators' sessions are in the same tables, without a device: their tokens live shorter, they end when nothing was asked
//! for [`STAFF_IDLE`] (a refresh is not asking), and when their roles change. On a page their one token lives as long as the
//! session may, and ends with it when nothing was asked.
//! At the latest one second after a session or its device was revoked no node lets its token in (see
//! [`keyring`](crate::platform::keyring)). Functions join their caller's transaction. Not here: how a person proves to be
//! one (`passkeys`), and cookies.

mod store;

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{Connection, PgConnection, QueryResult};
use subtle::ConstantTimeEq;
use uuid::Uuid;

pub(super) use store::operators::{find_operator_access, touch_operator};
pub(super) use store::{Access, find_access, touch};

use crate::platform::ids::Ids;
use crate::platform::keyring::{Kind, Token};

/// How long an access token of an app lives.
pub const ACCESS: TimeDelta = TimeDelta::minutes(5);
/// How long a refresh token waits to be used.
pub const REFRESH_IDLE: TimeDelta = TimeDelta::days(30);
/// How long an app's session can be refreshed.
pub const APP: TimeDelta = TimeDelta::days(180);
/// How long a page's session lives.
pub const PAGE: TimeDelta = TimeDelta::hours(12);
/// How long nothing may be asked before money wants the passkey again.
pub const IDLE: TimeDelta = TimeDelta::seconds(300);
/// How long after the passkey it is wanted again in any case.
pub const THERE: TimeDelta = TimeDelta::hours(12);
/// How long an operator's session lives when nothing is asked.
pub const STAFF_IDLE: TimeDelta = TimeDelta::minutes(15);
/// How long an operator's access token lives, and the session in all.
pub const STAFF: (TimeDelta, TimeDelta) = (TimeDelta::minutes(10), TimeDelta::hours(10));
/// The same of operators who may so much that it has to be shorter.
pub const STRICT: (TimeDelta, TimeDelta) = (TimeDelta::minutes(5), TimeDelta::hours(8));
/// How long a device may repeat its last refresh.
pub const GRACE: TimeDelta = TimeDelta::seconds(10);

/// Where a session is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// By an app, which refreshes it.
    App,
    /// By a browser, in a cookie.
    Page,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The person signed out.
    SignedOut,
    /// Its device was revoked.
    DeviceRevoked,
    /// A used refresh token came again.
    Reused,
    /// The person recovered their account.
    Recovery,
    /// The account was closed.
    Closed,
    /// An operator's roles changed, or the password that opened it.
    RolesChanged,
}

impl End {
    const fn number(self) -> i16 {
        match self {
            Self::SignedOut => 0,
            Self::DeviceRevoked => 1,
            Self::Reused => 2,
            Self::Recovery => 3,
            Self::Closed => 4,
            Self::RolesChanged => 5,
        }
    }
}

/// A token and until when it is good.
#[derive(Debug)]
pub struct Issued {
    /// The token: shown now, and kept as a hash only.
    pub token: Token,
    /// Until when.
    pub until: DateTime<Utc>,
}

/// What the holder of a session has.
#[derive(Debug)]
pub struct Pair {
    /// The session.
    pub session: Uuid,
    /// For every request.
    pub access: Issued,
    /// For the next pair; none of a page's.
    pub refresh: Option<Issued>,
}

/// What came of a refresh.
#[derive(Debug)]
pub enum Refreshed {
    /// The next pair, and the prefix of the access token that it ends.
    Next(Pair, String),
    /// A used token came again: the session has ended. Its person has to be told, and nodes that the token with this prefix
    /// has.
    Reused {
        /// Of which tenant.
        tenant: i64,
        /// Whose; none of an operator's.
        person: Option<Uuid>,
        /// Its access token's prefix.
        access_prefix: String,
    },
    /// Nothing can be had for this token: unknown, over, ended, of another device.
    Refused,
}

/// A session that has not ended, as its person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: Uuid,
    /// At which device.
    pub device: Uuid,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// When something was last asked, to half a minute.
    pub seen_at: DateTime<Utc>,
    /// Until when at the most.
    pub until: DateTime<Utc>,
}

/// Opens a session for a person who has just shown a passkey at a device of theirs.
///
/// # Errors
/// What the database says; a device that is not theirs is one of it.
pub fn open(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    tenant: i64,
    (person, device): (Uuid, Uuid),
    held: Held,
) -> QueryResult<Pair> {
    let session = ids.uuid_v7(now);
    let (access_for, session_for) = match held {
        Held::App => (ACCESS, APP),
        Held::Page => (PAGE, PAGE),
    };
    let access = issue(ids, Kind::Access, now + access_for);
    let until = now + session_for;
    conn.transaction(|conn| {
        store::insert(conn, now, tenant, &store::NewSession { id: session, person, device, until }, &access)?;
        let refresh = match held {
            Held::Page => None,
            Held::App => {
                let refresh = issue(ids, Kind::Refresh, now + REFRESH_IDLE);
                store::insert_refresh(conn, tenant, session, 0, &refresh)?;
                Some(refresh)
            }
        };
        Ok(Pair { session, access, refresh })
    })
}

/// Opens a session for an operator who has just shown a passkey.
///
/// # Errors
/// What the database says.
pub fn open_operators(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    tenant: i64,
    (operator, is_strict): (Uuid, bool),
    held: Held,
) -> QueryResult<Pair> {
    of_operator(conn, ids, now, tenant, (operator, is_strict, false), held)
}

/// The same by a password: it lives as short as any.
///
/// # Errors
/// What the database says.
pub fn open_by_password(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    tenant: i64,
    operator: Uuid,
    held: Held,
) -> QueryResult<Pair> {
    of_operator(conn, ids, now, tenant, (operator, true, true), held)
}

/// When a passkey was last shown in an operator's session; none in one that a password opened.
///
/// # Errors
/// What the database says.
pub fn passkey_shown_at(conn: &mut PgConnection, tenant: i64, session: Uuid) -> QueryResult<Option<DateTime<Utc>>> {
    store::operators::passkey_shown_at(conn, tenant, session)
}

fn of_operator(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    tenant: i64,
    (operator, is_strict, by_password): (Uuid, bool, bool),
    held: Held,
) -> QueryResult<Pair> {
    let session = ids.uuid_v7(now);
    let (access_for, session_for) = if is_strict { STRICT } else { STAFF };
    let until = now + session_for;
    let (access_until, refresh) = match held {
        Held::Page => (until, None),
        Held::App => (now + access_for, Some(issue(ids, Kind::Refresh, now + access_for + STAFF_IDLE))),
    };
    let access = issue(ids, Kind::Access, access_until);
    conn.transaction(|conn| {
        store::operators::insert(conn, now, tenant, (session, operator), (is_strict, by_password, until), &access)?;
        if let Some(refresh) = &refresh {
            store::insert_refresh(conn, tenant, session, 0, refresh)?;
        }
        Ok(Pair { session, access, refresh })
    })
}

/// Ends an operator's sessions and gives their access tokens' prefixes.
///
/// # Errors
/// What the database says.
pub fn end_operators(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    operator: Uuid,
    only: Option<Uuid>,
    why: End,
) -> QueryResult<Vec<String>> {
    store::operators::end(conn, now, tenant, (operator, only), why)
}

/// Ends the sessions that an operator's password opened, and gives their access tokens' prefixes.
///
/// # Errors
/// What the database says.
pub fn end_by_password(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    operator: Uuid,
) -> QueryResult<Vec<String>> {
    store::operators::end_by_password(conn, now, tenant, operator)
}

fn issue(ids: &Ids, kind: Kind, until: DateTime<Utc>) -> Issued {
    Issued { token: Token::generate(kind, ids), until }
}

/// Gives the next pair for a refresh token. `shown` is the thumbprint of the device key that was proved with the request.
///
/// # Errors
/// What the database says.
pub fn refresh(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    token: &Token,
    shown: Option<[u8; 32]>,
) -> QueryResult<Refreshed> {
    conn.transaction(|conn| {
        let Some(found) = store::lock_refresh(conn, token.prefix(), now)? else { return Ok(Refreshed::Refused) };
        let is_it: bool = found.hash.ct_eq(&token.hash()).into();
        let is_there = is_it && token.kind() == Kind::Refresh && found.lives_at(now);
        // A bound session's tokens are nothing without the device: a copy of one does not even end the session.
        if !is_there || found.thumbprint != shown {
            return Ok(Refreshed::Refused);
        }
        let repeats = found.used_at.is_some_and(|used_at| now - used_at <= GRACE) && found.is_last_but_one();
        if found.used_at.is_some() && !(repeats && shown.is_some()) {
            store::end(conn, now, found.tenant, found.session, End::Reused)?;
            let store::Found { tenant, person, access_prefix, .. } = found;
            return Ok(Refreshed::Reused { tenant, person, access_prefix });
        }
        next_pair(conn, ids, now, found)
    })
}

/// The pair after the last one, which is over.
fn next_pair(conn: &mut PgConnection, ids: &Ids, now: DateTime<Utc>, found: store::Found) -> QueryResult<Refreshed> {
    let (tenant, session, until) = (found.tenant, found.session, found.until);
    let (access_for, idle) = match found.operators {
        None => (ACCESS, REFRESH_IDLE),
        Some(is_strict) => {
            let (access_for, _) = if is_strict { STRICT } else { STAFF };
            (access_for, access_for + STAFF_IDLE)
        }
    };
    let access = issue(ids, Kind::Access, (now + access_for).min(until));
    let refresh = issue(ids, Kind::Refresh, (now + idle).min(until));
    store::use_up(conn, now, tenant, session)?;
    store::set_access(conn, tenant, session, &access)?;
    store::insert_refresh(conn, tenant, session, found.last.saturating_add(1), &refresh)?;
    Ok(Refreshed::Next(Pair { session, access, refresh: Some(refresh) }, found.access_prefix))
}

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// At which device.
    pub device: Uuid,
    /// When its person last showed a passkey.
    pub authenticated_at: DateTime<Utc>,
}

/// How a session stands that has not ended.
///
/// # Errors
/// What the database says.
pub fn standing(conn: &mut PgConnection, tenant: i64, session: Uuid) -> QueryResult<Option<Standing>> {
    store::standing(conn, tenant, session)
}

/// Notes that the person has just shown a passkey in a session: money is open again.
///
/// # Errors
/// What the database says.
pub fn confirm(conn: &mut PgConnection, now: DateTime<Utc>, tenant: i64, session: Uuid) -> QueryResult<()> {
    store::confirm(conn, now, tenant, session)
}

/// Ends a session of a person and gives its access token's prefix, for the nodes to be told. None when it is not theirs, or has ended.
///
/// # Errors
/// What the database says.
pub fn end(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    (person, session): (Uuid, Uuid),
    why: End,
) -> QueryResult<Option<String>> {
    store::end_of(conn, now, tenant, person, session, why)
}

/// Ends all sessions at a device and gives their access tokens' prefixes.
///
/// # Errors
/// What the database says.
pub fn end_of_device(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    device: Uuid,
    why: End,
) -> QueryResult<Vec<String>> {
    store::end_of_device(conn, now, tenant, device, why)
}

/// Ends all sessions of a person but one, if one is to be kept, and gives their access tokens' prefixes.
///
/// # Errors
/// What the database says.
pub fn end_others(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    person: Uuid,
    keep: Option<Uuid>,
    why: End,
) -> QueryResult<Vec<String>> {
    store::end_others(conn, now, tenant, person, keep, why)
}

/// A person's sessions that have not ended, newest first.
///
/// # Errors
/// What the database says.
pub fn living(conn: &mut PgConnection, now: DateTime<Utc>, tenant: i64, person: Uuid) -> QueryResult<Vec<Session>> {
    store::living(conn, now, tenant, person)
}

/// The device that each of these sessions is at, by the session, of those that live and are their person's.
///
/// # Errors
/// What the database says.
pub fn devices_of(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    sessions: &[(Uuid, Uuid)],
) -> QueryResult<HashMap<Uuid, Uuid>> {
    let ids: Vec<_> = sessions.iter().map(|(session, _)| *session).collect();
    let living = store::devices_of(conn, now, tenant, &ids)?.into_iter();
    let theirs = living.filter(|(session, person, _)| sessions.contains(&(*session, *person)));
    Ok(theirs.map(|(session, _, device)| (session, device)).collect())
}

#[cfg(test)]
mod tests;
