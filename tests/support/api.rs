//! A client that sees raw answers: status, headers, bytes.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::HeaderMap;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use uuid::Uuid;
use wallet_api::platform::clock::Clock;
use wallet_api::platform::ids::Ids;

/// How long an answer may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// A new idempotency key.
pub fn fresh_key() -> Uuid {
    Ids::system().uuid_v7(Clock::System.now())
}

/// A node, a key to talk to it with, and the language to be answered in.
#[derive(Debug, Clone)]
pub struct Api {
    /// `host:port`.
    pub authority: String,
    /// The API key.
    pub key: String,
    /// `it` or `en`.
    pub lang: &'static str,
    /// How long to wait for an answer.
    pub patience: Duration,
}

/// An answer, or what came instead of one.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub bytes: Bytes,
}

impl Reply {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    /// A problem's code; empty when it is none.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        let body = String::from_utf8_lossy(&self.bytes);
        assert_eq!(self.status, status, "{body}");
        self.json()
    }

    /// The problem of an answer that must be this refusal.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(problem["code"], code, "{problem}");
        problem
    }
}

impl Api {
    /// A client of the node at `authority`.
    pub fn new(authority: impl Into<String>, key: impl Into<String>) -> Self {
        Self { authority: authority.into(), key: key.into(), lang: "en", patience: PATIENCE }
    }

    /// The same node with another key.
    #[must_use]
    pub fn with_key(&self, key: impl Into<String>) -> Self {
        Self { key: key.into(), ..self.clone() }
    }

    /// The same, answered in another language.
    #[must_use]
    pub fn in_lang(&self, lang: &'static str) -> Self {
        Self { lang, ..self.clone() }
    }

    /// GETs a path.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], Bytes::new()).await.unwrap()
    }

    /// GETs a path of a node that may not answer.
    pub async fn try_get(&self, path: &str) -> Result<Reply, String> {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// POSTs JSON under a new idempotency key.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.post_as(fresh_key(), path, body).await
    }

    /// POSTs JSON under this idempotency key.
    pub async fn post_as(&self, key: Uuid, path: &str, body: &Value) -> Reply {
        self.try_post_as(key, path, body).await.unwrap()
    }

    /// The same where there may be no answer; says what came instead.
    pub async fn try_post_as(&self, key: Uuid, path: &str, body: &Value) -> Result<Reply, String> {
        let key = key.to_string();
        let headers = [("idempotency-key", key.as_str()), ("content-type", "application/json")];
        self.send(Method::POST, path, &headers, Bytes::from(body.to_string())).await
    }

    /// Sends whatever it is told, on a connection of its own. An empty API key sends none.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply, String> {
        let call = self.call(method, path, headers, body);
        tokio::time::timeout(self.patience, call).await.unwrap_or_else(|_elapsed| Err("no answer in time".into()))
    }

    async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Reply, String> {
        let stream = TcpStream::connect(&self.authority).await.map_err(|error| format!("connect: {error}"))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header("host", &self.authority);
        request = request.header("accept-language", self.lang);
        if !self.key.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.key));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        connection.abort();
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, bytes })
    }
}
