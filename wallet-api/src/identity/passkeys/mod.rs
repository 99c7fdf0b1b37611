//! Passkeys: registration and sign-in by WebAuthn, and the credentials that approvals are signed with.
//!
//! A ceremony is two calls: one keeps a challenge and gives the options for the browser, the other spends the challenge
//! and judges the answer. Promise: a challenge is 256 random bits, lasts [`CHALLENGE_SECONDS`] and counts once, also when it
//! is answered many times at once; user verification is required; a credential whose counter went back is locked for good;
//! whatever is wrong with an answer, its sender is told the same ([`Refused`]).
//! An answer has two judges: `webauthn-rs`, and our own verifier ([`crate::platform::webauthn`]) over the same bytes. Both
//! must take it. The library knows no Ed25519, so such keys are judged by ours alone.
//! A refusal is a value, not an error of the transaction: what it spent and locked is committed with it.
//! Not here: who may register a further credential (sign-up, sessions), attestation (operators' allow-list comes with the
//! FIDO metadata), routes.

mod challenge;
mod library;
mod model;
mod party;
mod store;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection, QueryResult};
use serde_json::Value;
use uuid::Uuid;

use challenge::spend;
pub(in crate::identity) use challenge::{Asked, Purpose, keep, spend_all, still_open};
pub use challenge::{CHALLENGE_SECONDS, forget_expired};
pub(in crate::identity) use model::descriptors;
pub use model::{Holder, HolderKind, NewPasskey, Opened, Passkey, PasskeyError, Refused, SignedIn};
pub use party::{PartyError, RelyingParty};

use crate::platform::ids::Ids;
use crate::platform::webauthn::{self, Assertion, Attestation, Ceremony, Expected, Fault, Known, Verified};

/// Most live passkeys of one holder.
const MOST: usize = 20;
/// Most characters of a passkey's name.
const NAME_LENGTH: usize = 60;

/// Begins a registration: the options for `navigator.credentials.create()`.
///
/// The names are what the holder's device shows beside the credential; nothing of them is kept here.
/// # Errors
/// [`PasskeyError::TooMany`]; [`PasskeyError::Library`] when a name is empty.
#[tracing::instrument(name = "passkeys.start_registration", skip_all, fields(tenant.id = tenant))]
pub fn start_registration(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    party: &RelyingParty,
    tenant: i64,
    new: &NewPasskey<'_>,
) -> Result<Opened, PasskeyError> {
    let live = store::live(conn, tenant, new.holder)?;
    if live.len() >= MOST {
        return Err(PasskeyError::TooMany);
    }
    let known = live.into_iter().map(|passkey| passkey.credential_id).collect();
    let start = library::start_registration(party, new, known)?;
    let holder = (new.holder.kind, Some(new.holder.id));
    open(conn, ids, now, tenant, Purpose::Register, holder, start)
}

/// Ends a registration: judges what the browser sent and keeps the credential under a name.
///
/// # Errors
/// The database's. A refusal is no error.
#[tracing::instrument(name = "passkeys.finish_registration", skip_all, fields(tenant.id = tenant))]
#[expect(clippy::too_many_arguments, reason = "a transaction's ground, whose it is, and the three parts of an answer")]
pub fn finish_registration(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    party: &RelyingParty,
    (tenant, holder): (i64, Holder),
    challenge: Uuid,
    response: &[u8],
    name: &str,
) -> QueryResult<Result<Passkey, Refused>> {
    let asked = spend(conn, tenant, challenge, (Purpose::Register, holder.kind, Some(holder.id)), now)?;
    let judged = asked.ok_or(Fault::Challenge).and_then(|asked| judge_registration(party, &asked, response));
    let registered = match judged {
        Ok(registered) => registered,
        Err(fault) => return Ok(Err(Refused::because(fault))),
    };
    let name = named(name);
    let passkey = Passkey::registered(ids.uuid_v7(now), holder, name, registered, now);
    // An id that is on file is another's, or this one's again: either way it is not new.
    let is_new = store::insert(conn, tenant, &passkey)?;
    Ok(if is_new { Ok(passkey) } else { Err(Refused::because(Fault::Credential)) })
}

fn judge_registration(party: &RelyingParty, asked: &Asked, response: &[u8]) -> Result<webauthn::Registered, Fault> {
    let attestation = Attestation::from_json(response)?;
    let registered = webauthn::register(&attestation, &party.expects(Ceremony::Create, &asked.nonce))?;
    library::agrees_to_registration(party, &asked.state, response, &registered)?;
    Ok(registered)
}

/// Begins a sign-in: the options for `navigator.credentials.get()`. Any discoverable credential may answer; of a holder
/// who is known already, only theirs.
///
/// # Errors
/// [`PasskeyError::Library`], which does not happen, and the database's.
#[tracing::instrument(name = "passkeys.start_sign_in", skip_all, fields(tenant.id = tenant))]
pub fn start_sign_in(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    party: &RelyingParty,
    tenant: i64,
    (kind, known): (HolderKind, Option<Uuid>),
) -> Result<Opened, PasskeyError> {
    let allowed = match known {
        Some(id) => store::live(conn, tenant, Holder { kind, id })?,
        None => Vec::new(),
    };
    let allowed = allowed.into_iter().map(|passkey| passkey.credential_id).collect();
    let start = library::start_sign_in(party, allowed)?;
    open(conn, ids, now, tenant, Purpose::SignIn, (kind, known), start)
}

/// Ends a sign-in: who it is, by which credential. The credential's counter and flags are brought up to date.
///
/// # Errors
/// The database's. A refusal is no error.
#[tracing::instrument(name = "passkeys.finish_sign_in", skip_all, fields(tenant.id = tenant))]
pub fn finish_sign_in(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    party: &RelyingParty,
    (tenant, kind): (i64, HolderKind),
    challenge: Uuid,
    response: &[u8],
) -> QueryResult<Result<SignedIn, Refused>> {
    let Ok(assertion) = Assertion::from_json(response) else {
        return Ok(Err(Refused::because(Fault::Malformed)));
    };
    conn.transaction(|conn| {
        let asked = spend(conn, tenant, challenge, (Purpose::SignIn, kind, None), now)?;
        let passkey = usable(conn, tenant, kind, &assertion)?;
        let (Some(asked), Some(passkey)) = (asked, passkey) else {
            webauthn::judge_in_vain(&assertion);
            return Ok(Err(Refused::because(Fault::Credential)));
        };
        let expected = party.expects(Ceremony::Get, &asked.nonce);
        let judged = judge(&assertion, &expected, &passkey)
            .and_then(|verified| check_holder(&asked, &assertion, &passkey).map(|()| verified))
            .and_then(|verified| {
                library::agrees_to_sign_in(party, &asked.state, response, &passkey).map(|()| verified)
            });
        note(conn, tenant, &[(passkey.id, judged)], now)?;
        Ok(match judged {
            Ok(_) => Ok(SignedIn { holder: passkey.holder, passkey: passkey.id, synced: passkey.backup_eligible }),
            Err(fault) => Err(Refused::because(fault)),
        })
    })
}

/// Whose credential an answer says it is, before anything of it is judged.
///
/// # Errors
/// The database's.
pub(in crate::identity) fn claimed_holder(
    conn: &mut PgConnection,
    (tenant, kind): (i64, HolderKind),
    response: &[u8],
) -> QueryResult<Option<Uuid>> {
    let Ok(assertion) = Assertion::from_json(response) else { return Ok(None) };
    store::holder_of(conn, tenant, kind, &assertion.credential_id)
}

/// The credential that an answer names, locked against other answers of it, if it may be used.
fn usable(
    conn: &mut PgConnection,
    tenant: i64,
    kind: HolderKind,
    assertion: &Assertion,
) -> QueryResult<Option<Passkey>> {
    let found = store::find_locked(conn, tenant, &assertion.credential_id)?;
    Ok(found.filter(|passkey| passkey.is_live() && passkey.holder.kind == kind))
}

/// The credentials that answers name, each by its holder, locked against other answers of it: those that may be used.
pub(in crate::identity) fn usable_all(
    conn: &mut PgConnection,
    tenant: i64,
    kind: HolderKind,
    named: &[(Uuid, &Assertion)],
) -> QueryResult<HashMap<Uuid, Passkey>> {
    let holders: Vec<_> = named.iter().map(|(holder, _)| *holder).collect();
    let credentials: Vec<_> = named.iter().map(|(_, assertion)| assertion.credential_id.as_slice()).collect();
    let found = store::find_all_locked(conn, tenant, kind, (&credentials, &holders))?;
    // A pair of each: the one who names it is the one whose it is.
    let names = |passkey: &Passkey| {
        let is_named = |(holder, assertion): &(Uuid, &Assertion)| {
            *holder == passkey.holder.id && assertion.credential_id == passkey.credential_id
        };
        named.iter().any(is_named)
    };
    let usable = found.into_iter().filter(|passkey| passkey.is_live() && names(passkey));
    Ok(usable.map(|passkey| (passkey.holder.id, passkey)).collect())
}

/// Judges an answer against what is on file of its credential.
pub(in crate::identity) fn judge(
    assertion: &Assertion,
    expected: &Expected<'_>,
    passkey: &Passkey,
) -> Result<Verified, Fault> {
    let Passkey { key, counter, backup_eligible, .. } = passkey;
    webauthn::verify(assertion, expected, &Known { key, counter: *counter, backup_eligible: *backup_eligible })
}

/// Brings credentials up to date with their answers; one whose counter went back is locked.
pub(in crate::identity) fn note(
    conn: &mut PgConnection,
    tenant: i64,
    answers: &[(Uuid, Result<Verified, Fault>)],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let right = answers.iter().filter_map(|(id, judged)| judged.ok().map(|verified| (*id, verified)));
    let right: Vec<_> = right.collect();
    if !right.is_empty() {
        store::used(conn, tenant, &right, now)?;
    }
    for (id, _) in answers.iter().filter(|(_, judged)| matches!(judged, Err(Fault::CounterBack))) {
        tracing::warn!(tenant.id = tenant, passkey.id = %id, "a passkey's counter went back: it is locked");
        store::lock(conn, tenant, *id, now)?;
    }
    Ok(())
}

/// Who answers is who was asked, and the user handle says so too (Level 3, §7.2, step 6).
fn check_holder(asked: &Asked, assertion: &Assertion, passkey: &Passkey) -> Result<(), Fault> {
    let is_asked = asked.holder.is_none_or(|holder| holder == passkey.holder.id);
    let says_so = match &assertion.user_handle {
        Some(handle) => handle.as_slice() == passkey.holder.id.as_bytes(),
        // Needed where nobody was asked for by name.
        None => asked.holder.is_some(),
    };
    if is_asked && says_so { Ok(()) } else { Err(Fault::Credential) }
}

/// A holder's passkeys, oldest first: those that ended too.
///
/// # Errors
/// The database's.
pub fn list(conn: &mut PgConnection, tenant: i64, holder: Holder) -> QueryResult<Vec<Passkey>> {
    store::all(conn, tenant, holder)
}

/// The same, kept from others until the transaction ends: for whoever ends one by what the others are.
///
/// # Errors
/// The database's.
pub(in crate::identity) fn list_locked(
    conn: &mut PgConnection,
    tenant: i64,
    holder: Holder,
) -> QueryResult<Vec<Passkey>> {
    store::all_locked(conn, tenant, holder)
}

/// A holder's passkeys that may be used.
///
/// # Errors
/// The database's.
pub fn live(conn: &mut PgConnection, tenant: i64, holder: Holder) -> QueryResult<Vec<Passkey>> {
    store::live(conn, tenant, holder)
}

/// Gives a passkey another name. False when the holder has none of this id.
///
/// # Errors
/// The database's.
pub fn rename(conn: &mut PgConnection, tenant: i64, holder: Holder, id: Uuid, name: &str) -> QueryResult<bool> {
    store::rename(conn, tenant, holder, id, &named(name))
}

/// Ends a passkey. Again changes nothing; false when the holder has none of this id.
///
/// # Errors
/// The database's.
pub fn revoke(conn: &mut PgConnection, tenant: i64, holder: Holder, id: Uuid, now: DateTime<Utc>) -> QueryResult<bool> {
    store::revoke(conn, tenant, holder, id, now)
}

/// A name as it is kept: without control characters, cut, and one of ours when nothing is left.
fn named(name: &str) -> String {
    let kept: String = name.chars().filter(|letter| !letter.is_control()).take(NAME_LENGTH).collect();
    let kept = kept.trim();
    if kept.is_empty() { "Passkey".to_owned() } else { kept.to_owned() }
}

/// What the library began: options, nonce and state.
struct Start {
    options: Value,
    nonce: [u8; 32],
    state: String,
}

fn open(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    tenant: i64,
    purpose: Purpose,
    (kind, holder): (HolderKind, Option<Uuid>),
    start: Start,
) -> Result<Opened, PasskeyError> {
    let asked = Asked { holder, nonce: start.nonce, state: start.state };
    let (challenge, expires_at) = keep(conn, ids, now, tenant, (purpose, kind), &asked)?;
    Ok(Opened { challenge, options: start.options, expires_at })
}
