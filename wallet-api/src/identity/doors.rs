//! The doors people come in by: what a request at them stands on, and what somebody has who came in.
//!
//! Whoever is at a door is nobody yet: the tenant is named by its slug, and they are counted by their address. An address is
//! the connection's, or, where that is a proxy the operator trusts, the last one that such a proxy has not added itself
//! (`X-Forwarded-For`, read from its end). Of IPv6 a /64 counts as one, since one household has it.
//! Not here: what is asked at each door ([`sign_up`](super::sign_up), [`sign_in`](super::sign_in),
//! [`recovery`](super::recovery)), routes, pages.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderName};
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use uuid::Uuid;

use super::claims::ClaimError;
use super::codes::Blind;
use super::contacts::ContactError;
use super::devices::proof::{Asked, Judge, ProofError};
use super::devices::{self, BoundBy, DeviceKey, NewDevice};
use super::notices::{self, Notice};
use super::passkeys::{PasskeyError, RelyingParty};
use super::sessions::{self, Held, Pair};
use crate::platform::Platform;
use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};
use crate::platform::ids::Ids;
use crate::platform::keyring::{Tenant, Token};
use crate::platform::post::Mail;
use crate::platform::problem::{Describe, Problem};
use crate::platform::vault::{Vault, VaultError};

/// The header a device's proof comes in, and the one its nonce goes out in (RFC 9449, sections 4.1 and 8).
const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");
/// What a proxy adds whom it got a request from to.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What people come in by: who judges their devices' proofs, under which names we are known, and who we are to passkeys. Apps hold
/// it as `web::Data`.
#[derive(Clone)]
pub struct Doors {
    judge: Judge,
    origins: Vec<String>,
    party: Option<RelyingParty>,
    proxies: Vec<IpAddr>,
}

impl Doors {
    /// Doors of a node that is known by these origins, such as `https://wallet.example`.
    #[must_use]
    pub fn new(ids: &Ids, origins: Vec<String>) -> Self {
        Self { judge: Judge::new(ids), origins, party: None, proxies: Vec::new() }
    }

    /// The same for the passkeys of a relying party, known by its origins.
    #[must_use]
    pub fn of(self, party: RelyingParty) -> Self {
        Self { origins: party.origins().to_vec(), party: Some(party), ..self }
    }

    /// The same behind these proxies, which are believed to say whom they got a request from.
    #[must_use]
    pub fn behind(self, proxies: Vec<IpAddr>) -> Self {
        Self { proxies, ..self }
    }

    /// Who we are to passkeys.
    ///
    /// # Errors
    /// 503 `passkeys-not-set`.
    pub fn party(&self) -> Result<&RelyingParty, Problem> {
        let remedy = "Whoever runs it names the domain and the pages of its passkeys: --rp-id and --origin.";
        self.party.as_ref().ok_or_else(|| Problem::new(503, "passkeys-not-set", "This node knows no passkeys", remedy))
    }

    /// Where our pages are, to the letter.
    #[must_use]
    pub fn origins(&self) -> &[String] {
        &self.origins
    }

    /// A request of somebody, for a tenant.
    ///
    /// # Errors
    /// 503 `passkeys-not-set`.
    pub fn visit(&self, req: &HttpRequest, platform: &Platform, tenant: Arc<Tenant>) -> Result<Visit, Problem> {
        tracing::Span::current().record("tenant", tenant.id);
        let address = address_of(&tenant, self.address(req));
        let (ids, vault, now) = (platform.ids.clone(), platform.vault.clone(), platform.clock.now());
        Ok(Visit { tenant, now, address, ids, vault, party: self.party()?.clone() })
    }

    fn address(&self, req: &HttpRequest) -> Option<IpAddr> {
        let peer = req.peer_addr()?.ip().to_canonical();
        if !self.proxies.contains(&peer) {
            return Some(peer);
        }
        let given = req.headers().get_all(FORWARDED_FOR).filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = given.flat_map(|value| value.split(',')).map(str::trim).collect();
        Some(behind(peer, &hops, &self.proxies))
    }

    /// The device key whose holder proves with this request that it is theirs; none when it brings no proof.
    pub(super) fn shown(
        &self,
        req: &HttpRequest,
        access: Option<&Token>,
        now: DateTime<Utc>,
    ) -> Result<Option<DeviceKey>, Problem> {
        let mut given = req.headers().get_all(DPOP);
        let (proof, None) = (given.next(), given.next()) else { return Err(self.refusal(ProofError::Worthless, now)) };
        let Some(proof) = proof else { return Ok(None) };
        let asked =
            Asked { method: req.method().as_str(), origins: &self.origins, path: req.path(), access, nonces: None };
        let judged = self.judge.judge(proof.to_str().unwrap_or_default(), asked, now);
        judged.map(Some).map_err(|error| self.refusal(error, now))
    }

    /// The same for a request with an access token, which the proof must be over too.
    ///
    /// # Errors
    /// 401 `use-dpop-nonce`, and when the proof is worth nothing; 503 `overloaded`.
    pub fn shown_with_token(&self, req: &HttpRequest, now: DateTime<Utc>) -> Result<Option<DeviceKey>, Problem> {
        let given = req.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '));
        let token = given.and_then(|(_scheme, token)| Token::parse(token));
        self.shown(req, token.as_ref(), now)
    }

    /// The device key whose holder proves it in a form of a page, under a nonce that the page gave it; none when the browser brings
    /// no proof. Any node gives such nonces and takes them, because a form cannot be asked for twice: what is done with it must be
    /// done once by itself.
    ///
    /// # Errors
    /// 401 `proof-needed` when the proof is worth nothing, 503 `overloaded`.
    pub fn shown_by_page(
        &self,
        req: &HttpRequest,
        (proof, nonces): (&str, &[String]),
        access: Option<&Token>,
        now: DateTime<Utc>,
    ) -> Result<Option<DeviceKey>, Problem> {
        if proof.is_empty() {
            return Ok(None);
        }
        let (method, origins, path) = (req.method().as_str(), &*self.origins, req.path());
        let asked = Asked { method, origins, path, access, nonces: Some(nonces) };
        self.judge.judge(proof, asked, now).map(Some).map_err(|error| match error {
            ProofError::Overrun => self.refusal(error, now),
            ProofError::Nonce | ProofError::Worthless => super::own::OwnError::NoProof.describe(),
        })
    }

    /// The refusal of a proof, with the nonce to use.
    fn refusal(&self, error: ProofError, now: DateTime<Utc>) -> Problem {
        let problem = match error {
            ProofError::Nonce => {
                let remedy = "Make the proof again with the nonce of the DPoP-Nonce header.";
                Problem::new(401, "use-dpop-nonce", "The proof has not our nonce", remedy)
            }
            ProofError::Worthless => super::routes::refused(),
            ProofError::Overrun => {
                Problem::new(503, "overloaded", "Too much at once", "Try again in a moment.").retry_after(1)
            }
        };
        match self.judge.nonce(now).parse() {
            Ok(nonce) => problem.header(DPOP_NONCE, nonce),
            Err(_no_header) => problem,
        }
    }
}

/// Whom a proxy of ours got a request from: the last hop that none of them is. What cannot be read ends the search, for
/// whatever stands before it was said by a stranger.
fn behind(peer: IpAddr, hops: &[&str], proxies: &[IpAddr]) -> IpAddr {
    let mut last = peer;
    for hop in hops.iter().rev() {
        let Ok(address) = hop.parse::<IpAddr>() else { return last };
        last = address.to_canonical();
        if !proxies.contains(&last) {
            return last;
        }
    }
    last
}

/// What counts an address, and does not tell it.
fn address_of(tenant: &Tenant, address: Option<IpAddr>) -> Blind {
    let bytes = match address {
        Some(IpAddr::V4(v4)) => v4.octets().to_vec(),
        Some(IpAddr::V6(v6)) => v6.octets().into_iter().take(8).collect(),
        None => Vec::new(),
    };
    // HMAC-SHA-256 is 32 bytes by definition.
    Blind::try_from(tenant.secret.sign("door-address", &[&bytes]).as_ref()).unwrap_or_default()
}

/// One request at a door: for which tenant, when, from where, and what it stands on.
#[derive(Clone)]
pub struct Visit {
    /// The tenant.
    pub tenant: Arc<Tenant>,
    /// When.
    pub now: DateTime<Utc>,
    /// What stands for the address it comes from.
    pub address: Blind,
    /// Randomness.
    pub ids: Ids,
    /// What seals.
    pub vault: Vault,
    /// Who we are to passkeys.
    pub party: RelyingParty,
}

/// What was asked for at a door, and what goes to the contact once it is committed.
#[derive(Debug)]
pub struct Begun {
    /// Names it from now on.
    pub id: Uuid,
    /// Until when the code can be said.
    pub expires_at: DateTime<Utc>,
    /// The letter.
    pub mail: Mail,
}

/// What a browser or an app answers with: a passkey's answer, and the key of its device.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The challenge it answers.
    pub challenge: Uuid,
    /// What the authenticator said, as JSON.
    pub response: Vec<u8>,
    /// The device's key, whose holder has just proved to be it; none of a browser that keeps none.
    pub device: Option<DeviceKey>,
    /// What to call the device, if it is new.
    pub device_name: Option<String>,
    /// Who will hold the session.
    pub held: Held,
}

/// Somebody who came in.
#[derive(Debug)]
pub struct Entered {
    /// Who.
    pub person: Uuid,
    /// At which device.
    pub device: Uuid,
    /// Whether the session is bound to the device's key: without one, some payments cannot be approved from it.
    pub is_bound: bool,
    /// What opens.
    pub pair: Pair,
}

/// Why nobody came in, where it may be said. What may not be said is a value: none.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The claim.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The contact.
    #[error(transparent)]
    Contact(#[from] ContactError),
    /// The passkey's ceremony cannot begin.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// The device's key is some device's already.
    #[error("the key is some device's already")]
    DeviceTaken,
    /// So many sign-ins were begun there within a minute.
    #[error("too many sign-ins were begun")]
    TooMany,
    /// The vault refuses.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database failed.
    #[error("database call failed")]
    Database(#[from] diesel::result::Error),
}

impl Describe for DoorError {
    fn describe(&self) -> Problem {
        match self {
            Self::Claim(error) => error.describe(),
            Self::Contact(error) => error.describe(),
            Self::Passkey(error) => error.describe(),
            Self::DeviceTaken => {
                let remedy = "Make a new key for this device and begin again: a key is one device, for good.";
                Problem::new(409, "device-key-taken", "The device's key cannot be bound", remedy)
            }
            Self::TooMany => {
                let remedy = "Wait a minute and begin again.";
                Problem::new(429, "sign-ins-too-many", "Too many sign-ins were begun", remedy).retry_after(60)
            }
            Self::Vault(error) => error.describe(),
            Self::Database(error) => error.describe(),
        }
    }
}

/// Binds a device to a person who has shown enough for it, which the caller says. One without a key is known by its passkey. A
/// further one is told to its person; that of a sign-up is no news, and that of a recovery is told with it.
pub(super) fn bind(
    conn: &mut PgConnection,
    visit: &Visit,
    (person, passkey): (Uuid, Uuid),
    answer: &Answer,
    bound_by: BoundBy,
) -> Result<Uuid, DoorError> {
    let (tenant, now) = (visit.tenant.id, visit.now);
    let new = NewDevice { person, key: answer.device.clone(), bound_by };
    let device = devices::bind(conn, &visit.ids, now, tenant, &new)?.ok_or(DoorError::DeviceTaken)?;
    if answer.device.is_none() {
        devices::know_by(conn, tenant, device, passkey)?;
    }
    if let Some(name) = &answer.device_name {
        devices::call(conn, &visit.vault, now, (tenant, person, device), name)?;
    }
    let entry = Entry::done(tenant, Actor::Person(person), Action::DeviceBound, Object::Device(device)).about(person);
    let entry = entry.with("by", Fact::Word(bound_by.word())).with("key", Fact::Flag(answer.device.is_some()));
    audit::append(conn, &entry, now)?;
    if bound_by == BoundBy::OlderDevice {
        notices::tell(conn, &visit.ids, now, (tenant, person), Notice::DeviceBound)?;
    }
    Ok(device)
}

/// Opens a session for somebody at a device of theirs.
pub(super) fn enter(
    conn: &mut PgConnection,
    visit: &Visit,
    (person, device): (Uuid, Uuid),
    (held, is_bound): (Held, bool),
) -> Result<Entered, DoorError> {
    let pair = sessions::open(conn, &visit.ids, visit.now, visit.tenant.id, (person, device), held)?;
    Ok(Entered { person, device, is_bound, pair })
}

/// Notes in the audit log what somebody did at a door.
pub(super) fn note(
    conn: &mut PgConnection,
    visit: &Visit,
    person: Uuid,
    (action, object): (Action, Object),
    facts: &[(&'static str, Fact)],
) -> Result<(), DoorError> {
    let entry = Entry::done(visit.tenant.id, Actor::Person(person), action, object).about(person);
    let entry = facts.iter().fold(entry, |entry, (name, fact)| entry.with(name, fact.clone()));
    audit::append(conn, &entry, visit.now)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_no_proxy_of_ours_has_added() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let proxies = [ip("10.0.0.1"), ip("10.0.0.2")];
        for (hops, address) in [
            (&["203.0.113.7"][..], "203.0.113.7"),
            (&["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
            (&["198.51.100.1", "203.0.113.7", "10.0.0.2"], "203.0.113.7"),
            (&["203.0.113.7", "nonsense"], "10.0.0.1"),
            (&["203.0.113.7", "nonsense", "10.0.0.2"], "10.0.0.2"),
            (&[], "10.0.0.1"),
            (&["::ffff:203.0.113.7"], "203.0.113.7"),
        ] {
            assert_eq!(behind(proxies[0], hops, &proxies), ip(address), "{hops:?}");
        }
    }
}
