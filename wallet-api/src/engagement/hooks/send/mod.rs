//! One attempt to deliver a hook: one POST, one verdict.
//!
//! Whatever the receiver does, an attempt ends within the total timeout and reads at most 20,000 bytes of its answer; a
//! redirect is a failure and is not followed. A connection is opened only to an address that the guard has just checked;
//! it is kept for the next hook to the same server, and then no name is looked up at all.
//!
//! A kept connection may have been closed by the receiver meanwhile. If it breaks before an answer begins, the request is
//! sent once more over a new one, within the same timeout: the receiver may then see a hook twice, which `webhook-id`
//! lets it notice.
//!
//! Limits: HTTP/1.1 only, one request at a time per connection; no proxy. A sender belongs to the async runtime that
//! polls it. How many attempts run at once is the caller's affair. What an answer says is kept
//! without what looks like a secret, a card or an account ([`redact`]). [`handshake`] asks before the first hook.
//! Not here: signing (sign.rs), trying again (schedule.rs), where a hook may go (guard.rs).
//! Sources: Standard Webhooks 1.0; RFC 9110, 10.2.3 (Retry-After); RFC 9112.

mod answer;
mod handshake;
mod pool;
mod redact;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::guard::{Policy, Refusal, Target};
use crate::platform::events::DEPTH_HEADER;
use answer::Answer;
pub use handshake::{ORIGIN, ShakeError};
use pool::{Connection, Pool};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// How many hooks led to a hook, or to a call: a call made because of a hook carries the hook's on.
pub const DEPTH: HeaderName = HeaderName::from_static(DEPTH_HEADER);
const CLOUD_EVENT: HeaderValue = HeaderValue::from_static("application/cloudevents+json");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("tessera/", env!("CARGO_PKG_VERSION")));

/// How long and how much an attempt may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the name's lookup to a connection that is ready, encryption included.
    pub connect: Duration,
    /// From the call to the verdict.
    pub total: Duration,
    /// How long a connection is kept without use.
    pub idle: Duration,
    /// How many unused connections are kept for one server.
    pub idle_per_server: usize,
}

impl Default for Limits {
    /// 5 s to connect, 10 s in all; 8 unused connections for each server, for 30 s.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(5), total: seconds(10), idle: seconds(30), idle_per_server: 8 }
    }
}

/// What to send, where to.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The endpoint.
    pub url: &'a Target,
    /// `webhook-id`: the same at every attempt of one hook.
    pub id: &'a str,
    /// `webhook-timestamp`: when this attempt is made, in Unix seconds, as it was signed.
    pub timestamp_s: i64,
    /// `webhook-signature`, as [`sign`](super::sign::sign) gives it.
    pub signature: &'a str,
    /// How many hooks led to this one, itself included: whoever calls us because of it hands the number on.
    pub depth: i16,
    /// The CloudEvents body, as it was signed.
    pub body: Bytes,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Whether the hook arrived, and if not, why.
    pub verdict: Verdict,
    /// The beginning of the answer's body: at most 20,000 bytes, unreadable bytes and control characters replaced by
    /// `U+FFFD`, secrets and account numbers by `[redacted]`.
    pub excerpt: String,
    /// From the call to the verdict.
    pub duration: Duration,
}

/// Whether a hook arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver answered with a 2xx: done.
    Delivered {
        /// The status of the answer.
        status: u16,
    },
    /// The receiver answered 410: it wants no more hooks, so the endpoint is to be switched off.
    Gone,
    /// Anything else: to be tried again by the schedule.
    Failed {
        /// The status, if an answer began.
        status: Option<u16>,
        /// Why it counts as a failure.
        reason: FailReason,
        /// How long the receiver asks to be left alone, from this attempt on.
        retry_after: Option<Duration>,
    },
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FailReason {
    /// The guard lets no hook go there; nothing was sent.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The server does not take connections.
    #[error("cannot connect to the endpoint's server")]
    Connect,
    /// The server's certificate does not prove its name, or it does not speak TLS.
    #[error("cannot agree on encryption with the endpoint's server: check its certificate")]
    Tls,
    /// No connection, no answer or no end of an answer in time.
    #[error("endpoint did not answer in time")]
    Timeout,
    /// The connection broke before the answer ended, or the answer is not HTTP.
    #[error("endpoint broke off, or its answer is not HTTP")]
    Broken,
    /// The answer is a redirect, which hooks do not follow.
    #[error("endpoint redirects: register the address it redirects to")]
    Redirect,
    /// The answer is another status than 2xx.
    #[error("endpoint did not answer with 2xx")]
    Status,
    /// The id or the signature cannot stand in a header.
    #[error("id or signature has characters that no header can carry")]
    Header,
}

impl FailReason {
    /// Gives the stable name under which the failure is stored, counted and shown.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(Refusal::Unresolved) => "unresolved",
            Self::Refused(_) => "refused",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Redirect => "redirect",
            Self::Status => "status",
            Self::Header => "header",
        }
    }
}

/// Sends hooks, and keeps connections for the next ones. One is enough for a runtime.
pub struct Sender {
    policy: Policy,
    limits: Limits,
    tls: TlsConnector,
    pool: Pool,
}

impl Sender {
    /// Makes a sender that trusts the certificate authorities browsers trust.
    ///
    /// # Errors
    /// [`rustls::Error`] if the cryptography provider lacks the protocol versions, which is a fault of the build.
    pub fn new(policy: Policy, limits: Limits) -> Result<Self, rustls::Error> {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        Self::with_roots(policy, limits, roots)
    }

    /// Makes a sender that trusts the given certificate authorities only, for receivers on the operator's network.
    ///
    /// # Errors
    /// As [`Sender::new`].
    pub fn with_roots(policy: Policy, limits: Limits, roots: RootCertStore) -> Result<Self, rustls::Error> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
        let pool = Pool::new(limits.idle, limits.idle_per_server);
        Ok(Self { policy, limits, tls: TlsConnector::from(Arc::new(config)), pool })
    }

    /// Makes one attempt. Dropping the future breaks it off; whether the hook arrived is then unknown.
    pub async fn send(&self, attempt: Attempt<'_>) -> Sent {
        let started = Instant::now();
        let mut answer = Answer::default();
        let exchange = self.exchange(&attempt, &mut answer);
        let outcome = timeout(self.limits.total, exchange).await.unwrap_or(Err(FailReason::Timeout));
        let verdict = answer.verdict(outcome, attempt.timestamp_s);
        // What a receiver says to a success is kept nowhere, so it need not be made fit to be kept.
        let is_kept = !matches!(verdict, Verdict::Delivered { .. });
        let excerpt = if is_kept { redact::redact(&answer.into_excerpt()) } else { answer.into_excerpt() };
        Sent { verdict, excerpt, duration: started.elapsed() }
    }

    async fn exchange(&self, attempt: &Attempt<'_>, answer: &mut Answer) -> Result<(), FailReason> {
        if let Some(kept) = self.pool.take(attempt.url.origin()).await {
            let outcome = self.exchange_over(kept, attempt, answer).await;
            if outcome != Err(FailReason::Broken) || answer.has_begun() {
                return outcome;
            }
        }
        let connect = Connection::open(attempt.url, &self.policy, &self.tls, self.limits.connect);
        let fresh = timeout(self.limits.connect, connect).await.unwrap_or(Err(FailReason::Timeout))?;
        self.exchange_over(fresh, attempt, answer).await
    }

    /// Sends over one connection, and keeps it if it is good for another hook.
    async fn exchange_over(
        &self,
        mut connection: Connection,
        attempt: &Attempt<'_>,
        answer: &mut Answer,
    ) -> Result<(), FailReason> {
        connection.exchange(request(attempt)?, answer).await.ok().ok_or(FailReason::Broken)?;
        // An answer that was not read to its end leaves the connection unfit, and `settle` finds it so.
        if connection.settle().await {
            self.pool.keep(attempt.url.origin(), connection);
        }
        Ok(())
    }
}

fn request(attempt: &Attempt<'_>) -> Result<Request<Full<Bytes>>, FailReason> {
    let value = |text| HeaderValue::from_str(text).ok().ok_or(FailReason::Header);
    let mut request = Request::new(Full::new(attempt.body.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = attempt.url.path();
    let headers = request.headers_mut();
    headers.reserve(8);
    headers.insert(HOST, attempt.url.authority());
    headers.insert(CONTENT_TYPE, CLOUD_EVENT);
    headers.insert(USER_AGENT, AGENT);
    headers.insert(WEBHOOK_ID, value(attempt.id)?);
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(attempt.timestamp_s));
    headers.insert(WEBHOOK_SIGNATURE, value(attempt.signature)?);
    headers.insert(DEPTH, HeaderValue::from(attempt.depth));
    Ok(request)
}

#[cfg(test)]
mod tests;
