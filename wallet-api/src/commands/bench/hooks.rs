//! `tessera bench hooks`: how fast many endpoints are told, and what dead ones among them cost the living.
//!
//! Every endpoint is told of every payment, so that a payment is as many events as there are endpoints. First as many as
//! go (closed loop, drained), then two open loops at one rate: all endpoints living, and one of twenty dead, which takes
//! connections and never answers. A latency is from the acknowledgement of the payment to the last byte of its hook at a
//! living endpoint. The run is void unless every living endpoint was told of every payment, and the books verify.

use std::fmt;
use std::net::TcpListener;
use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};

use super::histogram::Histogram;
use super::load::{Answer, Plan, closed_loop, open_loop};
use super::open_files;
use super::payments::{Moments, Shop, admin_key, all_answered, count, drained, field, ms, note, receive};
use super::receiver::Receiver;
use super::reference::{Reference, Stage};
use super::server::Server;
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;

/// Of so many endpoints one is dead.
const DEAD_ONE_OF: u32 = 20;
/// Connections of the load.
const CONNECTIONS: usize = 64;
/// How long the last hooks may take.
const DRAIN: Duration = Duration::from_secs(60);

/// What came out.
#[derive(Debug, Serialize)]
pub struct Hooks {
    /// Hooks a second when payments come as fast as they go: from the first payment to the last hook.
    pub events_per_s: u64,
    /// At `rate`, every endpoint living: from a payment's acknowledgement to its hook.
    pub p50_ms: Decimal,
    /// The same, 99th percentile.
    pub p99_ms: Decimal,
    /// At `rate`, one endpoint of twenty dead: the median of the living.
    pub p50_with_dead_ms: Decimal,
    /// The same, 99th percentile.
    pub p99_with_dead_ms: Decimal,
    /// Hooks a second of the open loops, dead endpoints included.
    pub rate: u32,
    /// Endpoints.
    pub endpoints: u32,
    /// Of these, dead in the last run.
    pub dead: u32,
    /// Hooks that came, over all runs.
    pub delivered: u64,
    /// What verify said.
    pub verify_ok: bool,
    /// The other side.
    #[serde(flatten)]
    pub reference: Reference,
}

impl fmt::Display for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events_per_s, rate, p50_ms, p99_ms, p99_with_dead_ms, .. } = self;
        writeln!(f, "{events_per_s} hooks/s; at {rate}/s: p50 {p50_ms} ms, p99 {p99_ms} ms")?;
        write!(f, "p99 of the living with 5 % dead endpoints {p99_with_dead_ms} ms")
    }
}

/// How long everybody pays as fast as they can. Payments are told to all endpoints and outrun their hooks: what is left over
/// when this ends has to be delivered within a minute.
const PEAK: Duration = Duration::from_secs(3);

/// An endpoint that lives: when the hook of each payment came.
struct Living {
    id: String,
    arrived: Moments,
    _receiver: Receiver,
}

/// Runs the bench; each run takes `seconds`.
///
/// # Errors
/// When anything makes the figures void.
pub async fn hooks(seconds: u32, rate: u32, endpoints: u32) -> anyhow::Result<Hooks> {
    open_files::allow(8_192)?;
    let mut stage = Stage::set(seconds)?;
    let tenant = stage.tenant()?;
    let key = admin_key(&stage.url(), tenant.id)?;
    let server = Server::start(&stage.url()).await?;
    let shop = Shop::open(&server, &key).await?;
    stage.settle()?;
    stage.run_reference(u32::try_from(CONNECTIONS)?)?;
    let mut living = Vec::new();
    for _ in 0..endpoints {
        living.push(Living::add(&shop).await?);
    }
    let time = Duration::from_secs(u64::from(seconds));
    let payments = NonZeroU32::new(rate.checked_div(endpoints).unwrap_or(0)).context("less than a payment a second")?;
    let mut told = 0;
    let events_per_s = peak(&shop, &living, time.min(PEAK), &mut told).await?;
    let all = open(&shop, &living, payments, time, &mut told).await?;
    let dead = endpoints.checked_div(DEAD_ONE_OF).unwrap_or(0);
    let mut graves = Vec::new();
    for gone in living.drain(..usize::try_from(dead)?) {
        shop.disable(&gone.id).await?;
        graves.push(bury(&shop).await?);
    }
    let with_dead = open(&shop, &living, payments, time, &mut told).await?;
    server.stop()?;
    drop(graves);
    let conn = &mut PgConnection::establish(&stage.url())?;
    let report = ledger::verify::verify(conn, ledger::JournalId(tenant.id), |_, _| {})?;
    anyhow::ensure!(report.ok, "the books do not verify: {:?}", report.broken);
    let delivered = living.iter().map(|one| count(&one.arrived)).fold(0, u64::saturating_add);
    Ok(Hooks {
        events_per_s,
        p50_ms: ms(&all, 500),
        p99_ms: ms(&all, 990),
        p50_with_dead_ms: ms(&with_dead, 500),
        p99_with_dead_ms: ms(&with_dead, 990),
        rate,
        endpoints,
        dead,
        delivered,
        verify_ok: report.ok,
        reference: stage.close()?,
    })
}

impl Living {
    async fn add(shop: &Shop) -> anyhow::Result<Self> {
        let arrived = Moments::default();
        let receiver = receive(&arrived).await?;
        let id = shop.register(&format!("http://{}/hooks", receiver.addr())).await?;
        Ok(Self { id, arrived, _receiver: receiver })
    }
}

impl Shop {
    async fn register(&self, url: &str) -> anyhow::Result<String> {
        let body = json!({"url": url, "event_types": ["payment.cleared.v1"]});
        let added = self.client.post("/v1/hook-endpoints", Ids::system().uuid_v7(Clock::System.now()), &body).await?;
        Ok(added.done()?.get("id").and_then(Value::as_str).context("no id in the answer")?.to_owned())
    }

    async fn disable(&self, id: &str) -> anyhow::Result<()> {
        let path = format!("/v1/hook-endpoints/{id}");
        self.client.call(hyper::Method::DELETE, &path, None, "en").await?.done()?;
        Ok(())
    }
}

/// An endpoint that takes connections, as its kernel does for it, and never answers.
async fn bury(shop: &Shop) -> anyhow::Result<TcpListener> {
    let grave = TcpListener::bind("127.0.0.1:0")?;
    shop.register(&format!("http://{}/hooks", grave.local_addr()?)).await?;
    Ok(grave)
}

/// As many as go; adds the payments made to `told`.
async fn peak(shop: &Shop, living: &[Living], time: Duration, told: &mut u64) -> anyhow::Result<u64> {
    let run = Ids::system().uuid_v7(Clock::System.now());
    let started = Instant::now();
    let report = closed_loop(Plan::new(shop.address, CONNECTIONS, shop.payment(run)), time).await?;
    all_answered(&report)?;
    *told = told.saturating_add(report.ok);
    all_here(living, *told).await?;
    let events = u128::from(report.ok).saturating_mul(u128::try_from(living.len())?);
    let per_s = events.saturating_mul(1_000).checked_div(started.elapsed().as_millis()).unwrap_or(0);
    Ok(u64::try_from(per_s)?)
}

/// At a rate; gives the latencies at the living endpoints, and adds the payments made to `told`.
async fn open(
    shop: &Shop,
    living: &[Living],
    payments: NonZeroU32,
    time: Duration,
    told: &mut u64,
) -> anyhow::Result<Histogram> {
    let acknowledged = Moments::default();
    let noted = Arc::clone(&acknowledged);
    let on_ok = move |answer: &Answer<'_>| note(&noted, field(answer.body, b"{\"id\":\""), answer.received);
    let run = Ids::system().uuid_v7(Clock::System.now());
    let report =
        open_loop(Plan::new(shop.address, CONNECTIONS, shop.payment(run)).on_ok(on_ok), payments, time).await?;
    all_answered(&report)?;
    *told = told.saturating_add(report.ok);
    all_here(living, *told).await?;
    let mut latencies = Histogram::default();
    let acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
    for one in living {
        let arrived = one.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        for (payment, at) in acknowledged.iter() {
            let hook = arrived.get(payment).context("a payment without its hook")?;
            latencies.record(hook.saturating_duration_since(*at));
        }
    }
    Ok(latencies)
}

async fn all_here(living: &[Living], told: u64) -> anyhow::Result<()> {
    for one in living {
        drained(&one.arrived, told, DRAIN).await?;
    }
    Ok(())
}
