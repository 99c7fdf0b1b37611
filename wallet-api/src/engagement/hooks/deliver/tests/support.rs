//! A tenant with a real journal on a real database, and receivers on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Instant;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::BigInt;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, server};
use hyper_util::rt::TokioIo;
use ledger::follow::{Entry, Said};
use ledger::{Amount, AssetId, Command, Companion, Config, JournalId, Key, NewAccount, NormalSide, Scope, Transfer};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::super::*;
use crate::engagement::hooks::model::{AttemptMade, DeliveryStatus, Endpoint, EventTypes, NewEndpoint};
use crate::engagement::hooks::sign::Secret;
use crate::engagement::hooks::{self, message};
use crate::identity;
use crate::platform::audit::Actor;
use crate::platform::clock::Clock;
use crate::platform::db::{Db, HouseDb};
use crate::platform::ids::Ids;
use crate::platform::keyring::Keyring;
use crate::platform::scratch::Scratch;
use crate::platform::text::Lang;
use crate::platform::vault::Vault;

/// Four attempts, 50 ms apart.
fn soon(made: u32, last_at: DateTime<Utc>, _: Option<Duration>, _: u64) -> Option<DateTime<Utc>> {
    (made < 4).then(|| last_at + TimeDelta::milliseconds(50))
}

/// Everything fast, receivers on this machine allowed.
pub(super) fn quick() -> Settings {
    let limits = Limits { connect: Duration::from_secs(2), total: Duration::from_secs(4), ..Limits::default() };
    Settings { limits, schedule: soon, ..hasty() }
}

/// The usual settings, receivers on this machine allowed.
pub(super) fn hasty() -> Settings {
    let policy = Policy { allow_private: true, allow_http: true, own: Vec::new() };
    Settings { policy, hold: Duration::from_secs(30), ..Settings::default() }
}

/// Waits for something to become true, for a minute at most.
pub(super) async fn eventually(mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !tokio::task::block_in_place(&mut is_so) {
        assert!(Instant::now() < until, "it never came to be");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One event per transaction, its data from the companion.
fn paid(page: &Page) -> Reading<Event> {
    let transactions = page.entries.iter().filter(|entry| matches!(entry.said, Said::Posted { .. }));
    let at = |us| DateTime::from_timestamp_micros(us).unwrap();
    let event = |record: &Entry| Event {
        tenant: page.span.journal.0,
        fork: page.span.fork,
        seq: record.seq,
        ordinal: 0,
        kind: "test.paid.v1",
        subject: "customer/1".to_owned(),
        occurred: at(record.effective_us),
        recorded: at(record.recorded_us),
        depth: 0,
        data: page
            .companions
            .iter()
            .find(|written| written.seq == record.seq)
            .map_or(serde_json::Value::Null, |written| serde_json::from_slice(&written.body).unwrap()),
    };
    Reading { read: transactions.map(event).collect(), unread: Vec::new() }
}

/// For measuring: no look-up of companions in a list.
fn paid_plainly(page: &Page) -> Reading<Event> {
    let bare = Page { companions: Vec::new(), ..page.clone() };
    let mut events = paid(&bare);
    for event in &mut events.read {
        event.data = serde_json::json!({"payment": Uuid::nil(), "merchant": Uuid::nil(), "instrument": "wallet",
            "amount": {"amount": "1999", "asset": "EUR"}, "cashback": {"amount": "39", "asset": "EUR"},
            "points": {"amount": "19", "asset": "PTS:club"}});
    }
    events
}

pub(super) struct World {
    pub(super) platform: Platform,
    journal: Journal,
    pub(super) tenant: i64,
    asset: AssetId,
    answered: StdMutexMap,
    events: EventSource,
    scratch: Scratch,
}

type StdMutexMap = Mutex<BTreeMap<i64, Instant>>;

impl World {
    pub(super) async fn new() -> Self {
        Self::on(Scratch::migrated(), paid).await
    }

    /// For measuring; like every scratch database it does not wait for the disk.
    pub(super) async fn plain() -> Self {
        Self::on(Scratch::migrated(), paid_plainly).await
    }

    async fn on(scratch: Scratch, events: EventSource) -> Self {
        let db = Db::open(&scratch.url, 8).unwrap();
        let (clock, ids) = (Clock::System, Ids::system());
        let mut conn = scratch.connect();
        let wish = identity::NewTenant {
            slug: "acea".to_owned(),
            name: "A company".to_owned(),
            sandbox: false,
            zone: chrono_tz::Europe::Rome,
            locale: Lang::It,
        };
        let tenant = identity::create_tenant(&mut conn, &ids, clock.now(), Actor::Operator, &wish).unwrap().id;
        ledger::create_journal(&mut conn, JournalId(tenant), Uuid::from_u128(77), false).unwrap();
        let asset = ledger::define_asset(&mut conn, JournalId(tenant), "EUR", 2).unwrap().id;
        let keyring = Keyring::new(db.clone(), clock.clone(), identity::directory());
        let platform =
            Platform { db, history: ledger::History::default(), clock, ids, keyring, vault: Vault::closed() };
        let holder = platform.ids.uuid_v7(platform.clock.now());
        let journal = Journal::start(Config::new(as_uri(&scratch.url), holder, "here".to_owned())).unwrap();
        assert!(journal.wait_until_leading(Duration::from_secs(10)).await);
        Self { platform, journal, tenant, asset, answered: Mutex::default(), events, scratch }
    }

    /// An engine with a pool of its own.
    pub(super) fn hooks(&self, settings: Settings) -> Hooks {
        let db = HouseDb::open(&self.scratch.url, 4).unwrap();
        Hooks::start(self.platform.clone(), db, self.journal.clone(), self.events, settings).unwrap()
    }

    pub(super) fn connect(&self) -> PgConnection {
        self.scratch.connect()
    }

    pub(super) async fn add(&self, url: &str, types: &[&str]) -> (Uuid, Secret) {
        self.add_as(url, types, None).await
    }

    pub(super) async fn add_as(&self, url: &str, types: &[&str], ordered: Option<i16>) -> (Uuid, Secret) {
        hooks::check_url(&quick().policy, url).await.unwrap();
        let now = self.platform.clock.now();
        let secret = Secret::generate(&|bytes| self.platform.ids.fill(bytes));
        let event_types = EventTypes::parse(types.iter().map(|name| (*name).to_owned()).collect()).unwrap();
        let id = self.platform.ids.uuid_v7(now);
        let wish = NewEndpoint { id, url: url.to_owned(), event_types, secret: secret.clone(), ordered, purpose: None };
        hooks::add(&mut self.connect(), self.tenant, now, Actor::Client(1), &wish).unwrap();
        (id, secret)
    }

    pub(super) fn disable(&self, endpoint: Uuid) {
        hooks::disable(&mut self.connect(), self.tenant, self.platform.clock.now(), Actor::Client(1), endpoint)
            .unwrap();
    }

    pub(super) fn endpoint(&self, endpoint: Uuid) -> Endpoint {
        hooks::endpoint(&mut self.connect(), self.tenant, endpoint).unwrap()
    }

    /// Posts transactions, all at once; gives the sequences of their events.
    pub(super) async fn pay(&self, count: usize) -> BTreeSet<String> {
        let mut payments = tokio::task::JoinSet::new();
        let mut sequences = BTreeSet::new();
        for _ in 0..count {
            let (journal, request) = (self.journal.clone(), self.payment());
            payments.spawn(async move { journal.submit(request, Instant::now() + Duration::from_secs(20)).await });
            if payments.len() >= 1_000 {
                let answer = payments.join_next().await.unwrap().unwrap().unwrap();
                sequences.insert(message::sequence(answer.record.seq, 0));
            }
        }
        while let Some(answer) = payments.join_next().await {
            sequences.insert(message::sequence(answer.unwrap().unwrap().record.seq, 0));
        }
        sequences
    }

    /// Posts at a rate, and notes when each was answered.
    pub(super) async fn pay_at(&self, per_second: u32, time: Duration) {
        lock(&self.answered).clear();
        let mut payments = tokio::task::JoinSet::new();
        let started = tokio::time::Instant::now();
        let count = per_second * u32::try_from(time.as_secs()).unwrap();
        for nth in 0..count {
            tokio::time::sleep_until(started + Duration::from_secs(1) * nth / per_second).await;
            let (journal, request) = (self.journal.clone(), self.payment());
            payments.spawn(async move {
                let answer = journal.submit(request, Instant::now() + Duration::from_secs(20)).await.unwrap();
                (answer.record.seq, Instant::now())
            });
            while let Some(done) = payments.try_join_next() {
                lock(&self.answered).extend([done.unwrap()]);
            }
        }
        while let Some(done) = payments.join_next().await {
            lock(&self.answered).extend([done.unwrap()]);
        }
    }

    /// From the answer to the body received: median, 99th percentile, most.
    pub(super) fn latencies(&self, inbox: &Inbox) -> [Duration; 3] {
        let answered = lock(&self.answered);
        let mut all: Vec<Duration> = inbox
            .received()
            .iter()
            .map(|hook| {
                let seq = message::parse_sequence(&hook.sequence()).unwrap().0;
                hook.at.saturating_duration_since(answered[&seq])
            })
            .collect();
        all.sort_unstable();
        [all[all.len() / 2], all[all.len() * 99 / 100], all[all.len() - 1]]
    }

    fn payment(&self) -> ledger::Request {
        let ids = &self.platform.ids;
        let id = ids.uuid_v7(self.platform.clock.now());
        let account = |n, floor| NewAccount {
            public_id: Uuid::from_u128(n),
            asset: self.asset,
            normal_side: NormalSide::Credit,
            owner: None,
            floor,
            ceiling: None,
            nature: ledger::Nature::Plain,
        };
        let (from, to) = (account(1, None), account(2 + u128::from(ids.random_u64() % 100), Some(0)));
        let amount = Amount { minor: 1_999, asset: self.asset };
        let transfer = Transfer::moving(from.public_id, to.public_id, amount);
        let body = serde_json::to_vec(&serde_json::json!({"payment": id})).unwrap();
        ledger::Request {
            journal: JournalId(self.tenant),
            key: Key { scope: Scope(1), key: id, fingerprint: id },
            command: Command::Transact {
                id,
                open: vec![from, to],
                transfers: vec![transfer],
                groups: vec![],
                claim: None,
            },
            effective_us: None,
            meta: vec![],
            companions: vec![Companion { kind: 1, key: id, body }],
        }
    }

    pub(super) fn count(&self, endpoint: Uuid, status: DeliveryStatus) -> i64 {
        let (tenant, status) = (self.tenant, status.code());
        let rows = format!("hook_delivery WHERE tenant = {tenant} AND endpoint = '{endpoint}' AND status = {status}");
        let mut conn = self.connect();
        // So that scans by the tests are not taken for scans by the engine.
        sql_query("SET enable_seqscan = off").execute(&mut conn).unwrap();
        count(&mut conn, &format!("SELECT count(*) AS count FROM {rows}"))
    }

    pub(super) fn attempts(&self, endpoint: Uuid) -> i64 {
        let text = format!("SELECT count(*) AS count FROM hook_attempt WHERE endpoint = '{endpoint}'");
        count(&mut self.connect(), &text)
    }

    /// The attempts of the endpoint's only delivery.
    pub(super) fn attempt_log(&self, endpoint: Uuid) -> Vec<AttemptMade> {
        let mut conn = self.connect();
        let seq = format!("SELECT seq AS count FROM hook_delivery WHERE endpoint = '{endpoint}'");
        let seq = count(&mut conn, &seq);
        hooks::attempts(&mut conn, self.tenant, endpoint, (seq, 0)).unwrap()
    }
}

/// The journal takes addresses in their URI form only.
fn as_uri(keywords: &str) -> String {
    format!("postgresql:///?{}", keywords.replace(' ', "&"))
}

impl Drop for World {
    fn drop(&mut self) {
        self.journal.stop();
    }
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn count(conn: &mut PgConnection, text: &str) -> i64 {
    sql_query(text).get_result::<Count>(conn).unwrap().count
}

/// How often PostgreSQL read one of the hot tables from end to end.
pub(super) fn sequential_scans(conn: &mut PgConnection) -> i64 {
    let text = "SELECT coalesce(sum(seq_scan), 0)::bigint AS count FROM pg_stat_user_tables \
        WHERE relname IN ('hook_event', 'hook_delivery', 'hook_attempt')";
    count(conn, text)
}

/// How often it probed an index of them.
pub(super) fn index_probes(conn: &mut PgConnection) -> i64 {
    let text =
        "SELECT coalesce(sum(idx_scan), 0)::bigint AS count FROM pg_stat_user_tables WHERE relname = 'hook_event'";
    count(conn, text)
}

/// What a receiver does with a hook.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Status(u16),
    Hang,
}

/// A hook as it came in.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub(super) id: String,
    pub(super) timestamp: String,
    pub(super) signature: String,
    pub(super) body: Bytes,
    at: Instant,
}

impl Received {
    pub(super) fn sequence(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        body["sequence"].as_str().unwrap().to_owned()
    }
}

/// A receiver that keeps what it got.
pub(super) struct Inbox {
    pub(super) url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Inbox {
    /// `answer` is asked with each hook and how many came before it.
    pub(super) async fn start(answer: impl Fn(&Received, usize) -> Answer + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let kept = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, answer) = (Arc::clone(&kept), answer.clone());
                let service = service_fn(move |request| take(request, Arc::clone(&kept), answer.clone()));
                let serving = server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async { _ = serving.await });
            }
        });
        Self { url, received }
    }

    pub(super) fn received(&self) -> Vec<Received> {
        lock(&self.received).clone()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.received).len()
    }

    pub(super) fn clear(&self) {
        lock(&self.received).clear();
    }

    pub(super) fn bodies(&self) -> Vec<Bytes> {
        self.received().into_iter().map(|hook| hook.body).collect()
    }

    pub(super) fn ids(&self) -> BTreeSet<String> {
        self.received().into_iter().map(|hook| hook.id).collect()
    }

    pub(super) fn sequences(&self) -> BTreeSet<String> {
        self.received().iter().map(Received::sequence).collect()
    }
}

async fn take(
    request: Request<Incoming>,
    kept: Arc<Mutex<Vec<Received>>>,
    answer: impl Fn(&Received, usize) -> Answer,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = |name| request.headers().get(name).unwrap().to_str().unwrap().to_owned();
    let (id, timestamp, signature) = (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    assert_eq!(header("content-type"), "application/cloudevents+json");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let hook = Received { id, timestamp, signature, body, at: Instant::now() };
    let answer = {
        let mut kept = lock(&kept);
        let answer = answer(&hook, kept.len());
        kept.push(hook);
        answer
    };
    match answer {
        Answer::Status(status) => {
            Ok(Response::builder().status(status).body(format!("answer {status}").into()).unwrap())
        }
        Answer::Hang => std::future::pending().await,
    }
}
