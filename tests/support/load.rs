//! Load that remembers: payments by many customers at once, each key asked until its outcome is certain.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{Api, Reply, Shop, World, eur, eventually_async, fresh_key, rows};

/// An attempt that has no answer by then is asked again elsewhere.
const ATTEMPT: Duration = Duration::from_secs(3);
/// A key whose outcome is not certain by then is a failure of the house.
const CERTAINTY: Duration = Duration::from_secs(60);
/// How many keys are asked again at once.
const AT_ONCE: usize = 16;

/// What the clients saw.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    /// Each acknowledged key with its answer's bytes.
    pub acknowledged: BTreeMap<Uuid, Vec<u8>>,
    /// What each acknowledged key asked.
    pub asked: BTreeMap<Uuid, Value>,
    /// How often each other answer came: `503 not-leader`, `no answer in time`, …
    pub others: BTreeMap<String, u64>,
    client: Option<Api>,
}

/// Clients that pay until they are told to stop.
pub struct Load {
    api: Api,
    nodes: Arc<Mutex<Vec<String>>>,
    tally: Arc<Mutex<Tally>>,
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts `clients` customers of a shop, each paying 1.00 from outside again and again, at the first of these nodes
    /// that answers, beginning with one each in turn. The key is the world's own, so its client is the scope of all keys.
    pub async fn start(world: &World, shop: Shop, nodes: &[String], clients: usize) -> Self {
        let (tally, count, stop) = (Arc::default(), Arc::default(), Arc::<AtomicBool>::default());
        let nodes = Arc::new(Mutex::new(nodes.to_vec()));
        let api = Api { patience: ATTEMPT, ..world.client(&[wallet_api::platform::keyring::Scope::Admin]) };
        let mut load = Self { api, nodes, tally, count, stop, clients: Vec::new() };
        let mut customers = Vec::new();
        for _ in 0..clients {
            customers.push(world.customer(&format!("load-{}", fresh_key())).await);
        }
        for (at, customer) in customers.into_iter().enumerate() {
            let body = json!({"customer": customer, "merchant": shop.merchant, "amount": eur(100),
                "instrument": {"kind": "external", "rail": "card"}});
            load.clients.push(tokio::spawn(load.client(at).pay_until_stopped(body)));
        }
        load
    }

    fn client(&self, at: usize) -> Client {
        Client {
            api: self.api.clone(),
            nodes: Arc::clone(&self.nodes),
            tally: Arc::clone(&self.tally),
            count: Arc::clone(&self.count),
            stop: Arc::clone(&self.stop),
            at,
        }
    }

    /// Asks these nodes from here on.
    pub fn ask(&self, nodes: &[String]) {
        *self.nodes.lock().unwrap_or_else(PoisonError::into_inner) = nodes.to_vec();
    }

    /// How many keys were acknowledged so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// How many calls so far were answered otherwise than well, or not at all.
    pub fn failed(&self) -> u64 {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).others.values().sum()
    }

    /// How many calls so far were under way when their node broke off.
    pub fn broken_off(&self) -> u64 {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).broken_off()
    }

    /// Waits for this many more acknowledgements.
    pub async fn more(&self, acknowledgements: u64, within: Duration) {
        let wanted = self.count() + acknowledgements;
        eventually_async("the load goes on", within, async || (self.count() >= wanted).then_some(())).await;
    }

    /// Lets every client come to the end of its key, and tells what they saw.
    pub async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.expect("a client of the load");
        }
        let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Tally { client: Some(self.api), ..tally }
    }
}

struct Client {
    api: Api,
    nodes: Arc<Mutex<Vec<String>>>,
    tally: Arc<Mutex<Tally>>,
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    /// The node to ask: the last one that answered well.
    at: usize,
}

impl Client {
    async fn pay_until_stopped(mut self, body: Value) {
        while !self.stop.load(Ordering::SeqCst) {
            let key = fresh_key();
            let paid = tokio::time::timeout(CERTAINTY, self.until_certain(key, &body)).await;
            let reply = paid.unwrap_or_else(|_| panic!("the outcome of {key} is not known"));
            self.note(|tally| {
                tally.acknowledged.insert(key, reply.bytes.to_vec());
                tally.asked.insert(key, body.clone());
            });
            self.count.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Asks under one key, from node to node, until somebody says 201.
    async fn until_certain(&mut self, key: Uuid, body: &Value) -> Reply {
        loop {
            let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let authority = nodes[self.at % nodes.len()].clone();
            let api = Api { authority, ..self.api.clone() };
            match api.try_post_as(key, "/v1/payments", body).await {
                Ok(reply) if reply.status == 201 => return reply,
                Ok(reply) => {
                    // 408: the node slept while the request arrived.
                    let body = String::from_utf8_lossy(&reply.bytes);
                    assert!([408, 503].contains(&reply.status), "{}: {body}", reply.status);
                    let answer = format!("{} {}", reply.status, reply.code());
                    self.note(|tally| *tally.others.entry(answer).or_default() += 1);
                }
                Err(error) => self.note(|tally| *tally.others.entry(error).or_default() += 1),
            }
            self.at += 1;
            // A pause, not a wait: whoever was refused comes again a little later.
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    fn note(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Tally {
    /// The API key under which it was paid.
    pub fn key(&self) -> &str {
        &self.client.as_ref().expect("the load is over").key
    }

    /// How often this answer came.
    pub fn saw(&self, answer: &str) -> u64 {
        self.others.get(answer).copied().unwrap_or(0)
    }

    /// How many calls were under way when their node broke off: neither answered, nor refused a connection.
    pub fn broken_off(&self) -> u64 {
        let was_under_way = |answer: &str| {
            !answer.starts_with(|first: char| first.is_ascii_digit()) && !answer.starts_with("connect: ")
        };
        self.others.iter().filter(|(answer, _)| was_under_way(answer)).map(|(_, count)| count).sum()
    }

    /// The payments that were acknowledged, with the seq each was told.
    pub fn payments(&self) -> BTreeMap<Uuid, i64> {
        let payment = |bytes: &Vec<u8>| {
            let body: Value = serde_json::from_slice(bytes).unwrap();
            (body["id"].as_str().unwrap().parse().unwrap(), body["seq"].as_i64().unwrap())
        };
        self.acknowledged.values().map(payment).collect()
    }

    /// Compares what the clients saw with the books, key by key: every acknowledged key is there once with the
    /// transaction that was answered, and no other key of this client is.
    pub fn assert_equals_books(&self, url: &str) {
        let known = self.acknowledged.keys().next().expect("the load did something");
        let in_books = rows(
            url,
            &format!(
                "SELECT k.key, k.seq, r.id, r.kind FROM journal.key k JOIN journal.record r USING (journal, seq) \
                 WHERE k.scope = (SELECT scope FROM journal.key WHERE key = '{known}')"
            ),
        );
        let in_books: BTreeMap<Uuid, (String, String)> = in_books
            .into_iter()
            .map(|row| {
                let [key, seq, id, kind] = row.try_into().unwrap();
                assert_eq!(kind.as_deref(), Some("1"), "a payment is a transaction");
                (key.unwrap().parse().unwrap(), (seq.unwrap(), id.unwrap()))
            })
            .collect();
        let acknowledged: BTreeMap<Uuid, (String, String)> = self
            .acknowledged
            .iter()
            .map(|(key, bytes)| {
                let body: Value = serde_json::from_slice(bytes).unwrap();
                (*key, (body["seq"].to_string(), body["id"].as_str().unwrap().to_owned()))
            })
            .collect();
        assert_eq!(acknowledged.len(), in_books.len(), "acknowledged and in the books");
        assert_eq!(acknowledged, in_books);
    }

    /// Asks this node for every key once more: the same bytes each time, if not at once.
    pub async fn assert_stable(&self, authority: &str) {
        let client = self.client.as_ref().expect("the load is over");
        let api = Api { authority: authority.to_owned(), patience: CERTAINTY, ..client.clone() };
        let asking = self.acknowledged.iter().map(async |(key, bytes)| {
            let again = eventually_async("a stable answer", CERTAINTY, async || {
                let again = api.try_post_as(*key, "/v1/payments", &self.asked[key]).await.ok()?;
                (![408, 503].contains(&again.status)).then_some(again)
            });
            let again = again.await;
            assert_eq!(again.status, 201, "{}", String::from_utf8_lossy(&again.bytes));
            assert_eq!(again.headers["idempotent-replayed"], "true");
            assert_eq!(&again.bytes, bytes, "key {key}");
        });
        stream::iter(asking).buffer_unordered(AT_ONCE).collect::<()>().await;
    }
}
