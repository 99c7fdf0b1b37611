//! The guard: where a hook may go, so that nobody can use hooks to reach what only the operator's network should reach.
//!
//! An endpoint's address is text from outside. [`Target::parse`] takes only a plain public web address: `https`, port
//! 443 or 8443, no user, no fragment, and a host written as it is read, so that no spelling of an IPv4 address other than
//! the dotted quad passes for a name. [`Policy::resolve`] asks for the host's addresses once, refuses if *any* of them is
//! not a public one, and returns the very addresses to connect to, so that a name which answers differently a moment
//! later gains nothing. Whoever connects does so for every new connection and follows no redirect.
//!
//! Limits: an address inside the operator's network that looks public is told to the guard as one of the node's own, or
//! is blocked by the network; the same goes for a NAT64 prefix of the operator's own choice. The resolver's answers are
//! taken from the system, hosts file included. Not here: sending (send.rs).
//! Sources: OWASP ASVS 5.0, 1.3.6 and 15.3.2; RFC 6890 and the IANA special-purpose registries; WHATWG URL.

mod ranges;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::Uri;
use hyper::header::HeaderValue;
use url::{Host, Url};

/// Longest endpoint address taken, in bytes.
const MAX_URL_BYTES: usize = 2_048;
/// Addresses of one host that are looked at; a name with more is refused, since the rest would go unchecked.
const MAX_ADDRESSES: usize = 32;

/// What the operator allows. The default allows nothing but the public internet over TLS.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Lets hooks go to any address and any port. For the demo, for tests, and for receivers on the operator's network.
    pub allow_private: bool,
    /// Lets hooks go in the clear, over `http`.
    pub allow_http: bool,
    /// Public addresses of this installation, which are refused like private ones.
    pub own: Vec<IpAddr>,
}

/// Why a hook may not go to an address. The texts are for the endpoint's owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a web address in the plain form that both people and machines read alike.
    #[error("endpoint is not a plain web address: write it as https://host/path, in ASCII, 2,048 characters at most")]
    Malformed,
    /// Neither `https` nor, where allowed, `http`.
    #[error("endpoint is not https")]
    Scheme,
    /// A user name or password in the address.
    #[error("endpoint carries a user or password: the signature proves who sends")]
    UserInfo,
    /// A fragment, which no server ever sees.
    #[error("endpoint has a fragment (#…): leave it out")]
    Fragment,
    /// The host is not written the way it is read: a number, octal, percent signs.
    #[error("endpoint's host is disguised: write the name, or the address as four decimal numbers with dots")]
    DisguisedHost,
    /// A port other than those of web servers.
    #[error("endpoint's port {0} is not allowed: use 443 or 8443")]
    Port(u16),
    /// The name leads nowhere, or the resolver does not answer.
    #[error("endpoint's host name does not resolve")]
    Unresolved,
    /// At least one of the host's addresses is not on the public internet.
    #[error("endpoint's address {address} is not public: it is {kind}")]
    NotPublic {
        /// The address refused.
        address: IpAddr,
        /// What the address is used for, such as `loopback`.
        kind: &'static str,
    },
}

/// Where a hook may go, parsed once when the endpoint is registered or loaded, and cheap to send to many times.
#[derive(Debug, Clone)]
pub struct Target {
    origin: Arc<str>,
    host: Host,
    port: u16,
    is_tls: bool,
    authority: HeaderValue,
    path: Uri,
}

impl Target {
    /// Reads an endpoint's address and checks all that can be checked without asking for the host's addresses.
    ///
    /// # Errors
    /// [`Refusal`] says what is wrong with it, in words for the endpoint's owner.
    pub fn parse(text: &str, policy: &Policy) -> Result<Self, Refusal> {
        let written_host = written_host(text)?;
        let url = Url::parse(text).ok().ok_or(Refusal::Malformed)?;
        let is_tls = match url.scheme() {
            "https" => true,
            "http" if policy.allow_http => false,
            _ => return Err(Refusal::Scheme),
        };
        if url.fragment().is_some() {
            return Err(Refusal::Fragment);
        }
        let port = url.port_or_known_default().ok_or(Refusal::Malformed)?;
        if !policy.allow_private && !matches!(port, 443 | 8_443) {
            return Err(Refusal::Port(port));
        }
        let host = url.host().ok_or(Refusal::Malformed)?.to_owned();
        check_spelling(written_host, &host)?;
        if let Some(address) = literal(&host) {
            policy.check(address)?;
        }
        Self::assemble(&url, host, port, is_tls).ok_or(Refusal::Malformed)
    }

    fn assemble(url: &Url, host: Host, port: u16, is_tls: bool) -> Option<Self> {
        let origin: Arc<str> = url.origin().ascii_serialization().into();
        // The `Host` header names the port only where it is not the scheme's own: as `origin` does.
        let authority = HeaderValue::from_str(origin.split_once("://")?.1).ok()?;
        let path_and_query = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Some(Self { origin, host, port, is_tls, authority, path: path_and_query.parse().ok()? })
    }

    /// Scheme, host and port: targets with the same origin can share connections.
    pub(super) fn origin(&self) -> &Arc<str> {
        &self.origin
    }

    /// Name or address of the server, as its certificate must say.
    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// Whether the connection is encrypted.
    pub(super) fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Value of the `Host` header.
    pub(super) fn authority(&self) -> HeaderValue {
        self.authority.clone()
    }

    /// Path and query, as they stand on the request line.
    pub(super) fn path(&self) -> Uri {
        self.path.clone()
    }
}

impl Policy {
    /// Asks once for the target's addresses and returns those to connect to, in the order the system prefers them.
    ///
    /// # Errors
    /// [`Refusal::NotPublic`] if *any* address is not public and the policy does not allow it, so that a mixed answer
    /// cannot be used to wait for the wrong one; [`Refusal::Unresolved`] if there is none.
    pub async fn resolve(&self, target: &Target) -> Result<Vec<SocketAddr>, Refusal> {
        let addresses = match &target.host {
            Host::Domain(name) => {
                let found = tokio::net::lookup_host((name.as_str(), target.port)).await;
                found.ok().ok_or(Refusal::Unresolved)?.take(MAX_ADDRESSES.saturating_add(1)).collect()
            }
            Host::Ipv4(address) => vec![SocketAddr::from((*address, target.port))],
            Host::Ipv6(address) => vec![SocketAddr::from((*address, target.port))],
        };
        self.check_all(addresses)
    }

    /// All or none: returns the addresses if each may be connected to.
    fn check_all(&self, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Refusal> {
        if addresses.is_empty() || addresses.len() > MAX_ADDRESSES {
            return Err(Refusal::Unresolved);
        }
        addresses.iter().try_for_each(|address| self.check(address.ip()))?;
        Ok(addresses)
    }

    fn check(&self, address: IpAddr) -> Result<(), Refusal> {
        let kind = match ranges::not_public(address) {
            _ if self.allow_private => None,
            Some(kind) => Some(kind),
            None => self.own.iter().any(|own| own.to_canonical() == address.to_canonical()).then_some("our own"),
        };
        kind.map_or(Ok(()), |kind| Err(Refusal::NotPublic { address, kind }))
    }
}

/// The host as it stands in the text: between `://` and the port or path.
///
/// Parsers of web addresses forgive much (backslashes, missing slashes, line breaks, other scripts' digits), and each
/// forgives something else. What needs forgiving is refused here, so that no two readers can differ.
fn written_host(text: &str) -> Result<&str, Refusal> {
    if text.len() > MAX_URL_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err(Refusal::Malformed);
    }
    let (_, rest) = text.split_once("://").ok_or(Refusal::Malformed)?;
    let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.is_empty());
    let authority = authority.ok_or(Refusal::Malformed)?;
    if authority.contains('@') {
        return Err(Refusal::UserInfo);
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Ok(host),
        _ => Ok(authority),
    }
}

/// Refuses a host that reads as one thing and means another: `0x7f.1`, `2130706433`, `127.0.0.1.`, `ex%61mple.com`.
///
/// IPv6 addresses have many honest spellings and stand in brackets, so none passes for a name.
fn check_spelling(written: &str, host: &Host) -> Result<(), Refusal> {
    let honest = match host {
        Host::Domain(name) => written.eq_ignore_ascii_case(name) && !ends_in_number(name),
        Host::Ipv4(address) => written == address.to_string(),
        Host::Ipv6(_) => true,
    };
    if honest { Ok(()) } else { Err(Refusal::DisguisedHost) }
}

/// Whether a resolver might take the name for an IPv4 address: no top-level domain starts with a digit.
fn ends_in_number(name: &str) -> bool {
    let last = name.trim_end_matches('.').rsplit('.').next();
    last.is_some_and(|label| label.starts_with(|first: char| first.is_ascii_digit()))
}

fn literal(host: &Host) -> Option<IpAddr> {
    match host {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(IpAddr::V4(*address)),
        Host::Ipv6(address) => Some(IpAddr::V6(*address)),
    }
}

#[cfg(test)]
mod tests;
