//! A receiver of hooks that always takes them, and remembers which payments it was told of, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::{World, eventually_async};

/// What a node was about to tell when it was killed is told by another after 15 s, and a failed attempt again after 5.
const TOLD: Duration = Duration::from_secs(60);

/// One hook of a payment: its `webhook-id`, the seq it names and its body, all the same however often it is told.
type Told = (String, i64, Bytes);

/// A running receiver; it ends with the runtime.
#[derive(Clone)]
pub struct Inbox {
    told: Arc<Mutex<BTreeMap<Uuid, BTreeSet<Told>>>>,
    count: Arc<Mutex<u64>>,
}

impl Inbox {
    /// Starts a receiver, and registers it for cleared payments. The node must let hooks go to private addresses.
    pub async fn start(world: &World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let inbox = Self { told: Arc::default(), count: Arc::default() };
        let taking = inbox.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inbox = taking.clone();
                let service = service_fn(move |request| take(inbox.clone(), request));
                let serving =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async { serving.await.ok() });
            }
        });
        let body = json!({"url": url, "event_types": ["payment.cleared.v1"]});
        world.api.post("/v1/hook-endpoints", &body).await.expect(201);
        inbox
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<Uuid, BTreeSet<Told>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many hooks came, repeats counted.
    pub fn count(&self) -> u64 {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// R6: exactly these payments are told, each at least once, each in one body under one id.
    pub async fn assert_told(&self, committed: &BTreeMap<Uuid, i64>) {
        let all = async || committed.keys().all(|payment| self.told().contains_key(payment)).then_some(());
        eventually_async("every committed payment is told", TOLD, all).await;
        let told = self.told();
        for (payment, ways) in told.iter() {
            let seq = committed.get(payment).unwrap_or_else(|| panic!("{payment} was told and is not in the books"));
            assert_eq!(ways.len(), 1, "{payment} was told in several ways: {ways:?}");
            assert!(ways.iter().all(|(_, told, _)| told == seq), "{payment} has seq {seq}, and was told as {ways:?}");
        }
        let ids: BTreeSet<&String> = told.values().flatten().map(|(id, _, _)| id).collect();
        assert_eq!(ids.len(), told.len(), "no two payments share an id");
    }
}

async fn take(inbox: Inbox, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    // A body that breaks off was never told.
    let Ok(body) = body.collect().await else {
        return Ok(Response::builder().status(400).body(Full::default()).unwrap());
    };
    let body = body.to_bytes();
    let id = parts.headers.get("webhook-id").map(|id| id.to_str().unwrap().to_owned()).unwrap_or_default();
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    let payment = event["data"]["payment"].as_str().and_then(|payment| payment.parse().ok());
    let told = payment.zip(event["data"]["seq"].as_i64());
    if let Some((payment, seq)) = told {
        inbox.told().entry(payment).or_default().insert((id, seq, body));
        *inbox.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }
    Ok(Response::builder().status(204).body(Full::default()).unwrap())
}
