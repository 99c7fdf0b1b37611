//! Proofs that a device holds its key: a JWT over one request (RFC 9449, DPoP), with this node's nonce in it.
//!
//! A proof is good for one request: its method and address, the access token it goes with (`ath`), a time of at most a
//! minute ago and ten seconds ahead (clocks differ), a nonce, and an id that has not been seen. Nonces are a node's own and
//! change every five minutes, so a proof that was used at one node is refused at every other and what was seen needs to be
//! remembered in one memory only, with Redis or without. A device that comes to another node is told that node's nonce with
//! its refusal and asks again, as the RFC foresees (section 8).
//! ES256 only. Whatever is wrong with a proof, the refusal is the same; only a nonce that is not ours is told apart, because
//! the answer to it is to use ours. Not here: whose key it is.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use ring::{digest, hmac};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use crate::platform::ids::Ids;
use crate::platform::keyring::Token;

/// Longest proof, bytes.
const LONGEST: usize = 2_048;
/// Longest id of a proof, bytes.
const LONGEST_JTI: usize = 128;
/// How far a proof's time may be behind and ahead.
const BEHIND: TimeDelta = TimeDelta::seconds(60);
const AHEAD: TimeDelta = TimeDelta::seconds(10);
/// How long a nonce is given out; it is taken for as long again.
const NONCE_S: i64 = 300;
/// Proofs that are remembered, in each of two generations of a minute and ten seconds. More is no load that devices make.
const REMEMBERED: usize = 500_000;
const GENERATION: TimeDelta = TimeDelta::seconds(70);

const POINT_BYTES: usize = 65;
const UNCOMPRESSED: u8 = 4;

/// A device's public key: a point of P-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceKey([u8; POINT_BYTES]);

impl DeviceKey {
    /// From an uncompressed point (SEC 1, section 2.3.3), by its form: whether it lies on the curve shows when it proves
    /// something.
    #[must_use]
    pub fn of_point(bytes: &[u8]) -> Option<Self> {
        let point = <[u8; POINT_BYTES]>::try_from(bytes).ok()?;
        (point.first() == Some(&UNCOMPRESSED)).then_some(Self(point))
    }

    fn of_jwk(jwk: &Jwk) -> Option<Self> {
        let is_ours = jwk.kty == "EC" && jwk.crv == "P-256" && jwk.d.is_none();
        let coordinate = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).ok().filter(|bytes| bytes.len() == 32);
        let (x, y) = (coordinate(&jwk.x)?, coordinate(&jwk.y)?);
        is_ours.then(|| [&[UNCOMPRESSED], x.as_slice(), y.as_slice()].concat()).and_then(|point| Self::of_point(&point))
    }

    /// The point, uncompressed.
    #[must_use]
    pub const fn point(&self) -> &[u8; POINT_BYTES] {
        &self.0
    }

    /// SHA-256 of the key as a JWK (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> [u8; 32] {
        let (x, y) = self.0.get(1..).unwrap_or_default().split_at(32);
        let [x, y] = [x, y].map(|coordinate| BASE64URL_NOPAD.encode(coordinate));
        sha256(format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes())
    }

    /// Whether the holder of the key signed this, by ES256 as JWTs have it.
    #[must_use]
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.0).verify(message, signature).is_ok()
    }
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It has not this node's nonce, and is well apart from that.
    #[error("the proof has not this node's nonce")]
    Nonce,
    /// Whatever else.
    #[error("the proof proves nothing")]
    Worthless,
    /// More proofs came within a minute than can be remembered.
    #[error("more proofs came than can be remembered")]
    Overrun,
}

/// The request a proof must be over.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its method, in capitals.
    pub method: &'a str,
    /// What we are called: scheme and host, as a browser has it for an origin.
    pub origins: &'a [String],
    /// Its path, without query.
    pub path: &'a str,
    /// The token it goes with, if it goes with one.
    pub access: Option<&'a Token>,
    /// The nonces it may have, where whoever asks gave their own; without any, this node's.
    pub nonces: Option<&'a [String]>,
}

#[derive(Deserialize)]
struct Header {
    typ: String,
    alg: String,
    jwk: Jwk,
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
    y: String,
    d: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: i64,
    ath: Option<String>,
    nonce: Option<String>,
}

/// Who judges proofs at this node; clones share what was seen.
#[derive(Clone)]
pub struct Judge {
    secret: hmac::Key,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// When the younger generation began.
    since: Option<DateTime<Utc>>,
    younger: HashSet<[u8; 16]>,
    older: HashSet<[u8; 16]>,
}

impl Judge {
    /// A judge with nonces of its own.
    #[must_use]
    pub fn new(ids: &Ids) -> Self {
        let mut secret = [0; 32];
        ids.fill(&mut secret);
        Self { secret: hmac::Key::new(hmac::HMAC_SHA256, &secret), seen: Arc::default() }
    }

    /// The nonce to use now.
    #[must_use]
    pub fn nonce(&self, now: DateTime<Utc>) -> String {
        self.nonce_of(now.timestamp().div_euclid(NONCE_S))
    }

    fn nonce_of(&self, turn: i64) -> String {
        let tag = hmac::sign(&self.secret, &turn.to_be_bytes());
        HEXLOWER.encode(tag.as_ref().get(..16).unwrap_or_default())
    }

    fn is_ours(&self, nonce: &str, now: DateTime<Utc>) -> bool {
        let turn = now.timestamp().div_euclid(NONCE_S);
        let is = |turn: i64| self.nonce_of(turn).as_bytes().ct_eq(nonce.as_bytes());
        (is(turn) | is(turn.saturating_sub(1))).into()
    }

    /// The key whose holder proves with this that the request is theirs. Said once: the same proof proves nothing again.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn judge(&self, proof: &str, asked: Asked<'_>, now: DateTime<Utc>) -> Result<DeviceKey, ProofError> {
        let (key, claims) = read(proof).ok_or(ProofError::Worthless)?;
        let iat = DateTime::from_timestamp(claims.iat, 0).ok_or(ProofError::Worthless)?;
        let in_time = iat >= now - BEHIND && iat <= now + AHEAD;
        let with = asked.access.map(|token| BASE64URL_NOPAD.encode(&sha256(token.reveal().as_bytes())));
        let at = |origin: &String| claims.htu.strip_prefix(origin.as_str()) == Some(asked.path);
        let is_over = claims.htm == asked.method && asked.origins.iter().any(at) && claims.ath == with;
        if !(in_time && is_over && (1..=LONGEST_JTI).contains(&claims.jti.len())) {
            return Err(ProofError::Worthless);
        }
        let is_good =
            |nonce: String| asked.nonces.map_or_else(|| self.is_ours(&nonce, now), |all| all.contains(&nonce));
        if !claims.nonce.is_some_and(is_good) {
            return Err(ProofError::Nonce);
        }
        self.first_time(&key, &claims.jti, now)?;
        Ok(key)
    }

    fn first_time(&self, key: &DeviceKey, jti: &str, now: DateTime<Utc>) -> Result<(), ProofError> {
        let mut name = [0; 16];
        let whole = sha256(&[&key.thumbprint(), jti.as_bytes()].concat());
        name.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).note(name, now)
    }
}

impl Seen {
    fn note(&mut self, name: [u8; 16], now: DateTime<Utc>) -> Result<(), ProofError> {
        if self.since.is_none_or(|since| now - since >= GENERATION) {
            let both_old = self.since.is_some_and(|since| now - since >= GENERATION * 2);
            self.older = std::mem::take(&mut self.younger);
            if both_old {
                self.older.clear();
            }
            self.since = Some(now);
        }
        if self.older.contains(&name) || self.younger.contains(&name) {
            return Err(ProofError::Worthless);
        }
        if self.younger.len() >= REMEMBERED {
            return Err(ProofError::Overrun);
        }
        self.younger.insert(name);
        Ok(())
    }
}

/// Key and claims of a proof whose signature holds.
fn read(proof: &str) -> Option<(DeviceKey, Claims)> {
    if proof.len() > LONGEST {
        return None;
    }
    let (signed, signature) = proof.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decoded = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    let header: Header = serde_json::from_slice(&decoded(header)?).ok()?;
    if header.typ != "dpop+jwt" || header.alg != "ES256" || header.crit.is_some() {
        return None;
    }
    let key = DeviceKey::of_jwk(&header.jwk)?;
    if !key.signed(signed.as_bytes(), &decoded(signature)?) {
        return None;
    }
    Some((key, serde_json::from_slice(&decoded(claims)?).ok()?))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
    out
}

#[cfg(test)]
mod tests;
