//! A small HTTP client for commands that talk to a node: JSON in, JSON out, one connection per call.

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use uuid::Uuid;

/// A node, and the key to talk to it with.
#[derive(Debug, Clone)]
pub struct Client {
    authority: String,
    key: String,
}

/// An answer: the status, and the body as JSON.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body; null when it is none.
    pub body: Value,
}

impl Client {
    /// A client of the node at `url`, which is `http://host:port`: commands run beside their node, TLS is the proxy's.
    ///
    /// # Errors
    /// When the URL is another one.
    pub fn new(url: &str, key: &str) -> anyhow::Result<Self> {
        let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let authority = authority.context("the URL of a node is http://host:port")?;
        Ok(Self { authority: authority.to_owned(), key: key.to_owned() })
    }

    /// The same node with another key or token.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// GETs a path.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.call(Method::GET, path, None, "en").await
    }

    /// POSTs JSON under an idempotency key.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&self, path: &str, key: Uuid, body: &Value) -> anyhow::Result<Reply> {
        self.call(Method::POST, path, Some((key, body)), "en").await
    }

    /// Calls with a language of choice.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<(Uuid, &Value)>,
        lang: &str,
    ) -> anyhow::Result<Reply> {
        let stream =
            TcpStream::connect(&self.authority).await.context("no node answers there; is `tessera serve` running?")?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.authority)
            .header("accept-language", lang)
            .header("authorization", format!("Bearer {}", self.key));
        let mut bytes = Bytes::new();
        if let Some((key, body)) = body {
            request = request.header("idempotency-key", key.to_string()).header("content-type", "application/json");
            bytes = Bytes::from(body.to_string());
        }
        let response = sender.send_request(request.body(Full::new(bytes))?).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort();
        Ok(Reply { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }
}

impl Reply {
    /// The body of a success.
    ///
    /// # Errors
    /// The problem's title and detail.
    pub fn done(self) -> anyhow::Result<Value> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let words = |field: &str| self.body.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        anyhow::bail!("{} {}: {}. {}", self.status, words("code"), words("title"), words("detail"))
    }
}
