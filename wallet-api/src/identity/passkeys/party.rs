//! Who we are to authenticators: a relying party id, and the origins of our pages.

use url::{Host, Url};
use webauthn_rs::{Webauthn, WebauthnBuilder};

use super::CHALLENGE_SECONDS;
use crate::platform::webauthn::{Ceremony, Expected};

/// What authenticators show people as our name.
const NAME: &str = "Tessera";

/// The relying party. Credentials are bound to its id for ever: another id has other passkeys.
#[derive(Clone)]
pub struct RelyingParty {
    id: String,
    origins: Vec<String>,
    pub(super) library: Webauthn,
}

/// Why there is no such relying party.
#[derive(Debug, thiserror::Error)]
pub enum PartyError {
    /// It is no domain name.
    #[error("{0:?} is no relying party id: it is a domain name in lower case, without scheme and port")]
    Id(String),
    /// It has no pages.
    #[error("a relying party has at least one origin")]
    NoOrigin,
    /// It is no origin.
    #[error("{0:?} is no origin: https://host or https://host:port, with nothing after it (http only for localhost)")]
    Origin(String),
    /// It is somebody else's page.
    #[error("{origin:?} is not on {id:?} or below it")]
    Elsewhere {
        /// The origin.
        origin: String,
        /// The relying party id.
        id: String,
    },
    /// The library refuses it.
    #[error("the relying party is refused")]
    Library(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl RelyingParty {
    /// The relying party of this id, with pages at these origins and nowhere else: each is compared to the letter.
    ///
    /// # Errors
    /// [`PartyError`].
    pub fn new(id: &str, origins: &[String]) -> Result<Self, PartyError> {
        check_id(id)?;
        let urls = origins.iter().map(|origin| check_origin(id, origin)).collect::<Result<Vec<_>, _>>()?;
        let [first, others @ ..] = urls.as_slice() else { return Err(PartyError::NoOrigin) };
        let timeout = std::time::Duration::from_secs(u64::try_from(CHALLENGE_SECONDS).unwrap_or_default());
        let builder = WebauthnBuilder::new(id, first).map(|builder| builder.rp_name(NAME).timeout(timeout));
        let library = builder
            .map(|builder| others.iter().fold(builder, WebauthnBuilder::append_allowed_origin))
            .and_then(WebauthnBuilder::build)
            .map_err(|error| PartyError::Library(error.into()))?;
        Ok(Self { id: id.to_owned(), origins: origins.to_vec(), library })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its origins.
    #[must_use]
    pub fn origins(&self) -> &[String] {
        &self.origins
    }

    /// What it expects of an answer to a challenge.
    pub(in crate::identity) fn expects<'a>(&'a self, ceremony: Ceremony<'a>, challenge: &'a [u8]) -> Expected<'a> {
        Expected { ceremony, challenge, rp_id: &self.id, origins: &self.origins }
    }
}

/// A domain name as URLs write it, which an address is not.
fn check_id(id: &str) -> Result<(), PartyError> {
    match Host::parse(id) {
        Ok(Host::Domain(domain)) if domain == id => Ok(()),
        _ => Err(PartyError::Id(id.to_owned())),
    }
}

fn check_origin(id: &str, origin: &str) -> Result<Url, PartyError> {
    let wrong = || PartyError::Origin(origin.to_owned());
    let url = Url::parse(origin).map_err(|_form| wrong())?;
    let host = url.domain().ok_or_else(wrong)?;
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && host == "localhost");
    if !is_safe || url.origin().ascii_serialization() != origin {
        return Err(wrong());
    }
    let is_ours = host == id || host.strip_suffix(id).is_some_and(|before| before.ends_with('.'));
    if is_ours { Ok(url) } else { Err(PartyError::Elsewhere { origin: origin.to_owned(), id: id.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(id: &str, origins: &[&str]) -> Result<RelyingParty, PartyError> {
        RelyingParty::new(id, &origins.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn t14_a_relying_party_has_only_pages_of_its_own_and_only_safe_ones() {
        party("localhost", &["http://localhost:8080"]).unwrap();
        party("wallet.example", &["https://wallet.example", "https://app.wallet.example:8443"]).unwrap();
        assert!(matches!(party("wallet.example", &[]), Err(PartyError::NoOrigin)));
        for id in ["", "127.0.0.1", "::1", "https://wallet.example", "wallet.example:443", "Wallet.example", "a b"] {
            assert!(matches!(party(id, &["https://wallet.example"]), Err(PartyError::Id(_))), "{id}");
        }
        for origin in [
            "http://wallet.example",
            "https://wallet.example/",
            "https://wallet.example/pay",
            "https://wallet.example:443",
            "https://user@wallet.example",
            "https://WALLET.example",
            "wallet.example",
            "https://127.0.0.1",
        ] {
            assert!(matches!(party("wallet.example", &[origin]), Err(PartyError::Origin(_))), "{origin}");
        }
        for origin in ["https://wallet.example.evil.test", "https://evilwallet.example", "https://example"] {
            assert!(matches!(party("wallet.example", &[origin]), Err(PartyError::Elsewhere { .. })), "{origin}");
        }
    }
}
