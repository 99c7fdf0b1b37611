//! The key of a device on a page: what the script needs to prove it, and what a form proves.
//!
//! The script keeps a pair of P-256 in the browser, which cannot be taken out of it, one for each person. A form says in
//! `data-device` whose, and what the proof is to be over; the proof comes back as a field of the form, and is the same as an app's
//! (RFC 9449): over the form's address, our clock, and for who is signed in the session's token. Its nonce is the ceremony's challenge,
//! which is good once, or the session's, which any node knows and which changes every five minutes.
//! Not here: whose key it is, and what may be done with it ([`doors`](crate::identity::doors), [`own`](crate::identity::own)).

use chrono::{DateTime, Utc};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::digest;
use serde_json::json;
use uuid::Uuid;

use super::ask::{Ask, Visitor};
use super::cookies;
use crate::identity::devices::DeviceKey;
use crate::platform::keyring::Token;
use crate::platform::problem::Problem;

/// How long a session's nonce is given out, seconds; it is taken for as long again.
const NONCE_S: i64 = 300;

/// When the script makes a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    /// Always, in the place of one that is there: somebody comes in who was not here, or whose key is refused.
    Anew,
    /// When there is none.
    Missing,
}

/// For a ceremony of whoever is nobody yet.
pub(super) fn in_ceremony(ask: &Ask, challenge: Uuid, make: Make) -> String {
    let make = match make {
        Make::Anew => "anew",
        Make::Missing => "missing",
    };
    json!({"now": ask.platform.clock.now().timestamp(), "nonce": challenge, "make": make}).to_string()
}

/// For a deed of somebody who is signed in.
pub(super) fn in_session(visitor: &Visitor) -> String {
    let now = visitor.ask.platform.clock.now();
    let over = token(visitor).map(|token| {
        let hash = digest::digest(&digest::SHA256, token.reveal().as_bytes());
        BASE64URL_NOPAD.encode(hash.as_ref())
    });
    let nonce = nonces(visitor, now).into_iter().next();
    json!({"now": now.timestamp(), "nonce": nonce, "ath": over, "holder": holder(visitor.me.id)}).to_string()
}

/// For an approval: whose key signs the payload.
pub(super) fn of(person: Uuid) -> String {
    json!({"holder": holder(person)}).to_string()
}

/// The key that a ceremony's form proves; none when the browser keeps none.
///
/// # Errors
/// 401 `proof-needed`, 503 `overloaded`.
pub(super) fn shown_in_ceremony(ask: &Ask, proof: &str, challenge: Uuid) -> Result<Option<DeviceKey>, Problem> {
    let nonces = [challenge.to_string()];
    ask.doors()?.shown_by_page(&ask.req, (proof, &nonces), None, ask.platform.clock.now())
}

/// The key that a form of somebody who is signed in proves; none when the browser keeps none.
///
/// # Errors
/// 401 `proof-needed`, 503 `overloaded`.
pub(super) fn shown_in_session(
    visitor: &Visitor,
    proof: &str,
    now: DateTime<Utc>,
) -> Result<Option<DeviceKey>, Problem> {
    let (ask, token) = (&visitor.ask, token(visitor));
    ask.doors()?.shown_by_page(&ask.req, (proof, &nonces(visitor, now)), token.as_ref(), now)
}

fn token(visitor: &Visitor) -> Option<Token> {
    cookies::session(visitor.ask.req.headers(), visitor.ask.side, &visitor.ask.slug)
}

/// The nonces of a session that are taken now, the one to give out first.
fn nonces(visitor: &Visitor, now: DateTime<Utc>) -> [String; 2] {
    let (secret, session) = (&visitor.caller.tenant.secret, visitor.me.session);
    let turn = now.timestamp().div_euclid(NONCE_S);
    [turn, turn.saturating_sub(1)]
        .map(|turn| HEXLOWER.encode(&secret.sign16("page-proof", &[session.as_bytes(), &turn.to_be_bytes()])))
}

/// Somebody as their passkeys name them: the user handle.
fn holder(person: Uuid) -> String {
    BASE64URL_NOPAD.encode(person.as_bytes())
}
