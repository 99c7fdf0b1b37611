//! `tessera bench payments`: payments with cashback and points over HTTP, with and without hooks, against pgbench.
//!
//! The server is a process of its own; load generator and hook receiver are in this one. One payment a request, fresh
//! keys, from customers' wallets. The run ends with `verify`; what was acknowledged is held against the books, what was
//! committed while the endpoint was there against what was delivered. Latencies come from an open loop at half of peak.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::histogram::Histogram;
use super::load::{Answer, LoadReport, Plan, closed_loop, open_loop};
use super::pgbench::{CLIENTS, ratio};
use super::receiver::Receiver;
use super::reference::{Reference, Stage};
use super::server::Server;
use super::{open_files, rss, wire};
use crate::commands::client::Client;
use crate::identity::{self, NewKey};
use crate::platform::audit::Actor;
use crate::platform::clock::Clock;
use crate::platform::ids::{Ids, derived};
use crate::platform::keyring::Scope;

/// Concurrent requests that are tried.
const CONCURRENT: [usize; 3] = [64, 256, 1_024];
/// Customers who pay in turn.
const CUSTOMERS: u64 = 2_000;
/// Enough in each wallet, and in each budget, that none runs out.
const FUNDS: &str = "1000000000000";
/// How long hooks may take to be delivered after the last payment.
const DRAIN: Duration = Duration::from_secs(10);

/// What came out.
#[derive(Debug, Serialize)]
pub struct Payments {
    /// Payments a second with one endpoint told of each, the best of the concurrencies.
    pub payments_per_s: u64,
    /// The same without an endpoint.
    pub payments_per_s_no_hooks: u64,
    /// `payments_per_s` over the reference's best.
    pub ratio: Decimal,
    /// Without hooks.
    pub ratio_no_hooks: Decimal,
    /// Payment latency at half of peak, from when it was due.
    pub p50_ms: Decimal,
    /// The same, 99th percentile.
    pub p99_ms: Decimal,
    /// From the acknowledgement of the payment to the body of its hook.
    pub hook_p50_ms: Decimal,
    /// The same, 99th percentile.
    pub hook_p99_ms: Decimal,
    /// Peak resident memory of the server.
    pub rss_mb: u64,
    /// Payments a second of the open loop.
    pub open_rate: u32,
    /// How long the backlog of hooks took after a closed loop, the longest of them.
    pub drained_ms: u64,
    /// Every run of ours.
    pub runs: Vec<Run>,
    /// Payments answered 2xx.
    pub acknowledged: u64,
    /// Payments in the books.
    pub rows: u64,
    /// Payments committed while the endpoint was there.
    pub committed_with_hooks: u64,
    /// Of these, told.
    pub delivered: u64,
    /// What verify said.
    pub verify_ok: bool,
    /// The other side.
    #[serde(flatten)]
    pub reference: Reference,
}

impl fmt::Display for Payments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { payments_per_s, ratio, ratio_no_hooks, p99_ms, hook_p99_ms, rss_mb, .. } = self;
        writeln!(f, "{payments_per_s} payments/s with hooks ({ratio} x pgbench, {ratio_no_hooks} x without)")?;
        write!(f, "at half of that: p99 {p99_ms} ms, hook p99 {hook_p99_ms} ms; server {rss_mb} MB")
    }
}

/// One closed-loop run of ours.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// With an endpoint told of every payment.
    pub hooks: bool,
    /// Concurrent requests.
    pub concurrent: usize,
    /// Payments a second.
    pub per_s: u64,
    /// Payments answered 2xx.
    pub acknowledged: u64,
}

pub(super) type Moments = Arc<Mutex<HashMap<Uuid, Instant>>>;

/// Runs the bench; each contender takes `seconds`, the open loop `open_seconds`.
///
/// # Errors
/// When anything makes the figures void.
pub async fn payments(seconds: u32, open_seconds: u32) -> anyhow::Result<Payments> {
    open_files::allow(8_192)?;
    let mut stage = Stage::set(seconds)?;
    let tenant = stage.tenant()?;
    let key = admin_key(&stage.url(), tenant.id)?;
    let server = Server::start(&stage.url()).await?;
    let shop = Shop::open(&server, &key).await?;
    stage.settle()?;
    let time = Duration::from_secs(u64::from(seconds));
    let mut runs = Vec::new();
    for (concurrent, clients) in CONCURRENT.into_iter().zip(CLIENTS) {
        stage.run_reference(clients)?;
        runs.push(shop.closed(false, concurrent, time).await?);
    }
    let arrived = Moments::default();
    let receiver = receive(&arrived).await?;
    let endpoint = json!({"url": format!("http://{}/hooks", receiver.addr()), "event_types": ["payment.cleared.v1"]});
    shop.client.post("/v1/hook-endpoints", derived("bench", &[b"endpoint"]), &endpoint).await?.done()?;
    let (mut told, mut drained_ms) = (0_u64, 0_u64);
    for (concurrent, clients) in CONCURRENT.into_iter().zip(CLIENTS) {
        stage.run_reference(clients)?;
        let run = shop.closed(true, concurrent, time).await?;
        told = told.saturating_add(run.acknowledged);
        // Each time: the receiver is deaf while the reference runs, which in turn must not run beside hooks.
        drained_ms = drained(&arrived, told, DRAIN).await?.max(drained_ms);
        runs.push(run);
    }
    let best = |hooks| runs.iter().filter(|run| run.hooks == hooks).map(|run| run.per_s).max().unwrap_or(0);
    let (with, without) = (best(true), best(false));
    let open_rate = u32::try_from(with.checked_div(2).unwrap_or(0))?.max(1);
    let (open, hooks) = shop.open_run(open_rate, Duration::from_secs(u64::from(open_seconds)), &arrived, told).await?;
    let rss_mb = rss::peak_mb(server.id()).context("this system tells no peak memory: the figures are void")?;
    server.stop()?;
    let conn = &mut PgConnection::establish(&stage.url())?;
    let report = ledger::verify::verify(conn, ledger::JournalId(tenant.id), |_, _| {})?;
    anyhow::ensure!(report.ok, "the books do not verify: {:?}", report.broken);
    let closed = runs.iter().map(|run| run.acknowledged).fold(0, u64::saturating_add);
    let acknowledged = closed.saturating_add(open.ok);
    let rows = report.transactions.saturating_sub(shop.transactions_before);
    anyhow::ensure!(rows == acknowledged, "{acknowledged} payments were acknowledged, {rows} are in the books");
    let (committed_with_hooks, delivered) = (told.saturating_add(open.ok), count(&arrived));
    anyhow::ensure!(delivered == committed_with_hooks, "{committed_with_hooks} hooks were due, {delivered} came");
    let reference = stage.close()?;
    let against = |per_s| ratio(per_s, reference.pgbench_tps).context("the reference did nothing");
    Ok(Payments {
        payments_per_s: with,
        payments_per_s_no_hooks: without,
        ratio: against(with)?,
        ratio_no_hooks: against(without)?,
        p50_ms: ms(&open.latencies, 500),
        p99_ms: ms(&open.latencies, 990),
        hook_p50_ms: ms(&hooks, 500),
        hook_p99_ms: ms(&hooks, 990),
        rss_mb,
        open_rate,
        drained_ms,
        runs,
        acknowledged,
        rows,
        committed_with_hooks,
        delivered,
        verify_ok: report.ok,
        reference,
    })
}

/// A key of the tenant that may do everything.
pub(super) fn admin_key(url: &str, tenant: i64) -> anyhow::Result<String> {
    let conn = &mut PgConnection::establish(url)?;
    let wish = NewKey { tenant, name: "bench".into(), scopes: vec![Scope::Admin], client: None };
    let made = identity::create_key(conn, &Ids::system(), Clock::System.now(), Actor::Operator, &wish)?;
    Ok(made.key.reveal().to_owned())
}

pub(super) fn ms(histogram: &Histogram, per_mille: u32) -> Decimal {
    Decimal::new(i64::from(histogram.quantile_us(per_mille)), 3)
}

/// What is paid at: a merchant with a funded campaign, customers with full wallets.
pub(super) struct Shop {
    pub(super) client: Client,
    pub(super) address: SocketAddr,
    authorization: Arc<str>,
    pub(super) merchant: Uuid,
    pub(super) customers: Arc<[Uuid]>,
    pub(super) transactions_before: u64,
}

impl Shop {
    pub(super) async fn open(server: &Server, key: &str) -> anyhow::Result<Self> {
        let client = Client::new(&format!("http://{}", server.address), key)?;
        let post = async |path: &str, body: Value| -> anyhow::Result<Value> {
            client.post(path, Ids::system().uuid_v7(Clock::System.now()), &body).await?.done()
        };
        let id = |body: &Value| -> anyhow::Result<Uuid> {
            Ok(body.get("id").and_then(Value::as_str).context("no id in the answer")?.parse()?)
        };
        let merchant = id(&post("/v1/merchants", json!({"reference": "m", "name": "Shop"})).await?)?;
        let programme = id(&post("/v1/programmes", json!({"code": "club", "name": "Club"})).await?)?;
        let rule = json!({"cashback_bps": 200, "points_per_euro": 1});
        let campaign = json!({"programme": programme, "name": "Bench", "rule": rule});
        let campaign = id(&post("/v1/campaigns", campaign).await?)?;
        for asset in ["EUR", "PTS:club"] {
            let amount = json!({"amount": {"amount": FUNDS, "asset": asset}});
            post(&format!("/v1/campaigns/{campaign}/fund"), amount).await?;
        }
        let mut customers = Vec::new();
        for number in 0..CUSTOMERS {
            let customer = id(&post("/v1/customers", json!({"reference": format!("c{number}")})).await?)?;
            let amount = json!({"amount": FUNDS, "asset": "EUR"});
            post("/v1/top-ups", json!({"customer": customer, "amount": amount, "rail": "card"})).await?;
            customers.push(customer);
        }
        let authorization = format!("Bearer {key}").into();
        let transactions_before = CUSTOMERS.saturating_add(2);
        Ok(Self {
            client,
            address: server.address,
            authorization,
            merchant,
            customers: customers.into(),
            transactions_before,
        })
    }

    /// A payment, as the bytes of a request.
    pub(super) fn payment(&self, run: Uuid) -> impl Fn(u64, &mut Vec<u8>) + Send + Sync + 'static {
        let (customers, merchant, authorization) =
            (Arc::clone(&self.customers), self.merchant, Arc::clone(&self.authorization));
        move |number, out| {
            let turn = usize::try_from(number).unwrap_or(0).checked_rem(customers.len()).unwrap_or(0);
            let customer = customers.get(turn).copied().unwrap_or_default();
            // Time-ordered like a UUIDv7: a counter above, the run's own bits below.
            let key = Uuid::from_u128((u128::from(number) << 64) | (run.as_u128() >> 64));
            let body = format!(
                r#"{{"customer":"{customer}","merchant":"{merchant}","amount":{{"amount":"1999","asset":"EUR"}},"instrument":{{"kind":"wallet"}}}}"#
            );
            let headers = [
                ("content-type", format_args!("application/json")),
                ("authorization", format_args!("{authorization}")),
                ("idempotency-key", format_args!("{key}")),
            ];
            wire::write_post(out, format_args!("/v1/payments"), &headers, body.as_bytes());
        }
    }

    async fn closed(&self, hooks: bool, concurrent: usize, time: Duration) -> anyhow::Result<Run> {
        let run = Ids::system().uuid_v7(Clock::System.now());
        let report = closed_loop(Plan::new(self.address, concurrent, self.payment(run)), time).await?;
        all_answered(&report)?;
        Ok(Run { hooks, concurrent, per_s: report.ok_per_s(), acknowledged: report.ok })
    }

    /// The open loop: its latencies, and how long after each acknowledgement the hook's body was here.
    async fn open_run(
        &self,
        rate: u32,
        time: Duration,
        arrived: &Moments,
        told: u64,
    ) -> anyhow::Result<(LoadReport, Histogram)> {
        let acknowledged = Moments::default();
        let noted = Arc::clone(&acknowledged);
        let note = move |answer: &Answer<'_>| note(&noted, field(answer.body, b"{\"id\":\""), answer.received);
        let run = Ids::system().uuid_v7(Clock::System.now());
        let plan = Plan::new(self.address, 256, self.payment(run)).on_ok(note);
        let report = open_loop(plan, NonZeroU32::new(rate).context("the server answers nothing")?, time).await?;
        all_answered(&report)?;
        drained(arrived, told.saturating_add(report.ok), DRAIN).await?;
        let mut hooks = Histogram::default();
        let arrived = arrived.lock().unwrap_or_else(PoisonError::into_inner);
        for (payment, at) in acknowledged.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // A hook may be here before its payment's answer was read: that is no time at all.
            let hook = arrived.get(payment).context("a payment without its hook")?;
            hooks.record(hook.saturating_duration_since(*at));
        }
        anyhow::ensure!(hooks.count() == report.ok, "not every payment of the open loop was noted");
        Ok((report, hooks))
    }
}

pub(super) fn all_answered(report: &LoadReport) -> anyhow::Result<()> {
    let clean = report.refused.is_empty() && report.errors == 0;
    anyhow::ensure!(clean, "{} errors, refusals by status: {:?}", report.errors, report.refused);
    Ok(())
}

pub(super) async fn receive(arrived: &Moments) -> anyhow::Result<Receiver> {
    let arrived = Arc::clone(arrived);
    Ok(Receiver::start(move |delivery| note(&arrived, field(delivery.body, b"\"payment\":\""), delivery.arrived))
        .await?)
}

/// Notes the first moment of a payment.
pub(super) fn note(moments: &Moments, payment: Option<Uuid>, at: Instant) {
    if let Some(payment) = payment {
        moments.lock().unwrap_or_else(PoisonError::into_inner).entry(payment).or_insert(at);
    }
}

/// The UUID that follows `name` in a body: a parser for each of thousands a second would cost the cores we measure.
pub(super) fn field(body: &[u8], name: &[u8]) -> Option<Uuid> {
    let start = body.windows(name.len()).position(|window| window == name)?.checked_add(name.len())?;
    Uuid::try_parse_ascii(body.get(start..start.checked_add(36)?)?).ok()
}

pub(super) fn count(moments: &Moments) -> u64 {
    u64::try_from(moments.lock().unwrap_or_else(PoisonError::into_inner).len()).unwrap_or(u64::MAX)
}

/// Waits until so many hooks are here, and tells how long that took.
pub(super) async fn drained(arrived: &Moments, due: u64, patience: Duration) -> anyhow::Result<u64> {
    let started = Instant::now();
    while count(arrived) < due {
        let late = due.saturating_sub(count(arrived));
        anyhow::ensure!(started.elapsed() < patience, "{late} hooks were not delivered within {patience:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(u64::try_from(started.elapsed().as_millis())?)
}
