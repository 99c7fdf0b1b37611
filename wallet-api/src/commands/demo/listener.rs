//! The demo's receiver of hooks: what any receiver of Standard Webhooks does, on loopback.
//!
//! It takes the body as it came, checks the signature over exactly these bytes, and only then reads them. Unlike a real
//! receiver it answers before it has checked, since a story waits for hooks and nobody acts on them.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::commands::bench::receiver::{Delivery, Receiver};
use crate::engagement::hooks::sign::{self, Secret};

/// The standard's tolerance between signature and arrival.
const TOLERANCE_S: u64 = 300;

/// A listener at work; it ends with the value.
pub(super) struct Listener {
    receiver: Receiver,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    secret: Option<Secret>,
}

/// A hook as it came, not to be trusted yet.
#[derive(Debug)]
pub(super) struct Arrival {
    id: String,
    timestamp: String,
    signature: String,
    body: Vec<u8>,
    /// When its last byte was here.
    pub(super) at: Instant,
}

/// A hook whose signature was checked.
#[derive(Debug)]
pub(super) struct Hook {
    /// The event's type.
    pub(super) kind: String,
    /// The record it tells of.
    pub(super) seq: i64,
    /// When it came.
    pub(super) at: Instant,
}

impl Listener {
    /// Listens on a free port of loopback.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let keep = move |delivery: &Delivery<'_, '_>| {
            // Nobody waits any more when the demo ends: the hook is nobody's loss.
            _ = sender.send(Arrival::of(delivery));
        };
        Ok(Self { receiver: Receiver::start(keep).await?, arrivals, secret: None })
    }

    /// The address to register.
    pub(super) fn url(&self) -> String {
        format!("http://{}/hooks", self.receiver.addr())
    }

    /// Takes the secret that the registration showed.
    pub(super) fn trust(&mut self, secret: &str) -> anyhow::Result<()> {
        self.secret = Some(Secret::parse(secret)?);
        Ok(())
    }

    /// The next hook, whenever it comes.
    pub(super) async fn next(&mut self) -> anyhow::Result<Arrival> {
        self.arrivals.recv().await.context("the listener ended")
    }

    /// The next hook, if it comes in time.
    pub(super) async fn next_within(&mut self, patience: Duration) -> anyhow::Result<Arrival> {
        tokio::time::timeout(patience, self.next()).await.context("no hook came in time")?
    }

    /// Checks a hook's signature, then reads it.
    pub(super) fn check(&self, arrival: &Arrival, now: DateTime<Utc>) -> anyhow::Result<Hook> {
        let secret = self.secret.as_ref().context("a hook came before its secret was known")?;
        let Arrival { id, timestamp, signature, body, at } = arrival;
        sign::verify(secret, id, timestamp, signature, body, now.timestamp(), TOLERANCE_S)?;
        let event: Value = serde_json::from_slice(body).context("the hook's body is not JSON")?;
        let kind = event.get("type").and_then(Value::as_str).context("the hook has no type")?.to_owned();
        let seq = event.pointer("/data/seq").and_then(Value::as_i64).context("the hook names no record")?;
        Ok(Hook { kind, seq, at: *at })
    }

    /// A hook on one line, for a reader who plays on.
    pub(super) fn in_words(&self, arrival: &Arrival, now: DateTime<Utc>) -> String {
        match self.check(arrival, now) {
            Ok(Hook { kind, seq, .. }) => format!("hook: {kind}, record {seq}, signature good"),
            Err(error) => format!("hook: NOT TRUSTED, {error:#}"),
        }
    }
}

impl Arrival {
    fn of(delivery: &Delivery<'_, '_>) -> Self {
        let header = |name| delivery.header(name).unwrap_or_default().to_owned();
        Self {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
            body: delivery.body.to_vec(),
            at: delivery.arrived,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_S: i64 = 1_700_000_000;

    fn arrival(secret: &str, body: &str) -> Arrival {
        let secrets = [Secret::parse(secret).unwrap()];
        let signature = sign::sign(&secrets, "msg_1", AT_S, body.as_bytes());
        let (timestamp, body) = (AT_S.to_string(), body.as_bytes().to_vec());
        Arrival { id: "msg_1".into(), timestamp, signature, body, at: Instant::now() }
    }

    #[tokio::test]
    async fn a_hook_is_read_only_once_its_signature_fits() {
        let mut listener = Listener::start().await.unwrap();
        let ours = Secret::generate(&|bytes| bytes.fill(1)).reveal();
        let theirs = Secret::generate(&|bytes| bytes.fill(2)).reveal();
        let now = DateTime::from_timestamp(AT_S, 0).unwrap();
        let body = r#"{"type":"payment.cleared.v1","data":{"seq":7}}"#;
        assert!(listener.check(&arrival(&ours, body), now).is_err(), "no secret yet");
        listener.trust(&ours).unwrap();
        let hook = listener.check(&arrival(&ours, body), now).unwrap();
        assert_eq!((hook.kind.as_str(), hook.seq), ("payment.cleared.v1", 7));
        assert!(listener.check(&arrival(&theirs, body), now).is_err());
        let touched = Arrival { body: body.replace('7', "8").into_bytes(), ..arrival(&ours, body) };
        assert!(listener.in_words(&touched, now).contains("NOT TRUSTED"));
    }
}
