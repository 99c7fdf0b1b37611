//! The handshake: asks a receiver, before the first hook, whether it wants ours.
//!
//! One `OPTIONS` with `WebHook-Request-Origin`; the receiver agrees with a 2xx and `WebHook-Allowed-Origin`, which is `*`
//! or our origin. Goes where hooks may go, within the same limits. Not here: a rate the receiver may ask for, and consent
//! that comes later through a callback.
//! Source: CloudEvents, HTTP 1.1 Web Hooks 1.0, section 4.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Method, Request};
use tokio::time::timeout;

use super::pool::Connection;
use super::{AGENT, FailReason, Sender, Target};

const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");

/// Who asks.
pub const ORIGIN: &str = "tessera";

/// Why a receiver did not agree. The texts are for the endpoint's owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShakeError {
    /// It could not be asked.
    #[error("the endpoint could not be asked: {0}")]
    Failed(#[from] FailReason),
    /// It answered, and did not agree.
    #[error(
        "the endpoint did not agree: answer OPTIONS with 2xx and WebHook-Allowed-Origin: {ORIGIN} (status was {status})"
    )]
    Refused {
        /// The status of its answer.
        status: u16,
    },
}

impl Sender {
    /// Asks a receiver whether it wants our hooks.
    ///
    /// # Errors
    /// [`ShakeError`] unless it agrees.
    pub async fn shake(&self, url: &Target) -> Result<(), ShakeError> {
        let asked = timeout(self.limits.total, self.ask(url)).await.unwrap_or(Err(FailReason::Timeout))?;
        let (status, headers) = asked;
        if (200..300).contains(&status) && agrees(&headers) { Ok(()) } else { Err(ShakeError::Refused { status }) }
    }

    async fn ask(&self, url: &Target) -> Result<(u16, HeaderMap), FailReason> {
        let connect = Connection::open(url, &self.policy, &self.tls, self.limits.connect);
        let mut connection = timeout(self.limits.connect, connect).await.unwrap_or(Err(FailReason::Timeout))?;
        let mut request = Request::new(Full::new(Bytes::new()));
        *request.method_mut() = Method::OPTIONS;
        *request.uri_mut() = url.path();
        let headers = request.headers_mut();
        headers.insert(HOST, url.authority());
        headers.insert(USER_AGENT, AGENT);
        headers.insert(REQUEST_ORIGIN, HeaderValue::from_static(ORIGIN));
        let parts = connection.ask(request).await.ok().ok_or(FailReason::Broken)?;
        Ok((parts.status.as_u16(), parts.headers))
    }
}

fn agrees(headers: &HeaderMap) -> bool {
    let allowed = headers.get(ALLOWED_ORIGIN).and_then(|value| value.to_str().ok());
    allowed.is_some_and(|origin| origin == "*" || origin.eq_ignore_ascii_case(ORIGIN))
}
