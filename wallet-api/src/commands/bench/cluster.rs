//! Two nodes on the same cores: what forwarding costs, and how long nobody writes when the leader is killed.
//!
//! The load is that of [`payments`](super::payments), without hooks. *One node*: all connections at the node that leads,
//! the other one idle. *Two nodes*: half of them at each, so that half of the payments are forwarded. The two take turns,
//! so that neither has the emptier tables or the quieter minute. *Take-over*: under load, from SIGKILL of the leader to the
//! first acknowledgement of a payment that was sent to the other node after it; the worst of ten rounds, in which the nodes
//! take turns. Every round's killed node comes back before the next.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::load::{LoadReport, Plan, closed_loop, open_loop};
use super::open_files;
use super::payments::{Server, Shop, admin_key, all_answered, ms};
use super::pgbench::ratio;
use super::reference::{Reference, Stage};
use crate::commands::client::Client;
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;

/// Connections, over all nodes.
const CONNECTIONS: usize = 256;
/// How often one node and two take turns.
const TURNS: u32 = 3;
/// Rounds of take-over.
const ROUNDS: u32 = 10;
/// Who pays during a take-over, one payment after the other.
const PAYERS: u32 = 16;
/// Payments acknowledged before the leader is killed.
const WARM: u64 = 500;
/// What a round may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came out.
#[derive(Debug, Serialize)]
pub struct Cluster {
    /// Payments a second through one node.
    pub one_node_per_s: u64,
    /// The same through two, half of them forwarded.
    pub two_nodes_per_s: u64,
    /// `two_nodes_per_s` over `one_node_per_s`.
    pub two_nodes_ratio: Decimal,
    /// Latency of forwarded payments at half of `two_nodes_per_s`, from when each was due.
    pub forwarded_p50_ms: Decimal,
    /// The same, 99th percentile.
    pub forwarded_p99_ms: Decimal,
    /// From the kill of the leader to the next acknowledgement, in seconds: the worst round.
    pub takeover_worst_s: Decimal,
    /// Every round, in order.
    pub takeovers_s: Vec<Decimal>,
    /// Payments acknowledged to the load, outside the rounds of take-over.
    pub acknowledged: u64,
    /// Transactions in the books, set-up left out.
    pub rows: u64,
    /// Payments acknowledged in the rounds of take-over.
    pub acknowledged_in_takeovers: u64,
    /// What `verify` said.
    pub verify_ok: bool,
    /// The reference, and both sides' durability.
    #[serde(flatten)]
    pub reference: Reference,
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { one_node_per_s, two_nodes_per_s, forwarded_p99_ms, takeover_worst_s, .. } = self;
        writeln!(f, "one node {one_node_per_s} payments/s, two {two_nodes_per_s}/s")?;
        write!(f, "forwarded p99 {forwarded_p99_ms} ms; worst take-over {takeover_worst_s} s")
    }
}

/// Measures.
///
/// # Errors
/// When the figures would be void.
pub async fn cluster(seconds: u32) -> anyhow::Result<Cluster> {
    open_files::allow(8_192)?;
    let mut stage = Stage::set(seconds)?;
    let tenant = stage.tenant()?;
    let (url, time) = (stage.url(), Duration::from_secs(u64::from(seconds)));
    let key = admin_key(&url, tenant.id)?;
    let first = Server::start(&url).await?;
    let shop = Shop::open(&first, &key).await?;
    stage.settle()?;
    stage.run_reference(8)?;
    let second = Server::start(&url).await?;
    let plan = |node: &Server, share: usize| {
        Plan::new(node.address, CONNECTIONS.checked_div(share).unwrap_or(1), shop.payment(run()))
    };
    let turn = time.checked_div(TURNS).unwrap_or(time);
    let (mut one, mut two) = (Peak::default(), Peak::default());
    for _ in 0..TURNS {
        one.add(&[closed_loop(plan(&first, 1), turn).await?])?;
        let (here, there) = tokio::try_join!(closed_loop(plan(&first, 2), turn), closed_loop(plan(&second, 2), turn))?;
        two.add(&[here, there])?;
    }
    // A quarter of what two nodes do at each of them, together half.
    let rate = NonZeroU32::new(u32::try_from(two.per_s().checked_div(4).unwrap_or(0))?);
    let rate = rate.context("the nodes answer nothing")?;
    let (direct, forwarded) =
        tokio::try_join!(open_loop(plan(&first, 2), rate, time), open_loop(plan(&second, 2), rate, time))?;
    all_answered(&direct)?;
    all_answered(&forwarded)?;
    stage.run_reference(8)?;
    let rounds = takeovers(&url, &shop, &key, first, second).await?;
    let acknowledged = [one.ok, two.ok, direct.ok, forwarded.ok].into_iter().fold(0, u64::saturating_add);
    let rows = rows(&url, tenant.id, &shop)?;
    rounds.must_explain(rows, acknowledged)?;
    Ok(Cluster {
        one_node_per_s: one.per_s(),
        two_nodes_per_s: two.per_s(),
        two_nodes_ratio: ratio(two.per_s(), Decimal::from(one.per_s())).context("one node did nothing")?,
        forwarded_p50_ms: ms(&forwarded.latencies, 500),
        forwarded_p99_ms: ms(&forwarded.latencies, 990),
        takeover_worst_s: seconds_of(rounds.times.iter().max().copied().unwrap_or_default()),
        takeovers_s: rounds.times.into_iter().map(seconds_of).collect(),
        acknowledged,
        rows,
        acknowledged_in_takeovers: rounds.acknowledged,
        verify_ok: true, // without it there are no figures
        reference: stage.close()?,
    })
}

/// The worst of ten take-overs of a stage's own database, seconds: killed under load, served again elsewhere.
///
/// # Errors
/// When anything makes the figure void.
pub async fn worst_takeover(stage: &Stage) -> anyhow::Result<Decimal> {
    open_files::allow(8_192)?;
    let (url, key) = (stage.url(), admin_key(&stage.url(), stage.tenant()?.id)?);
    let first = Server::start(&url).await?;
    let shop = Shop::open(&first, &key).await?;
    let second = Server::start(&url).await?;
    let rounds = takeovers(&url, &shop, &key, first, second).await?;
    Ok(seconds_of(rounds.times.into_iter().max().unwrap_or_default()))
}

/// What all turns of one arrangement did.
#[derive(Debug, Default)]
struct Peak {
    ok: u64,
    elapsed: Duration,
}

impl Peak {
    /// Counts a turn: what ran at once in it, each of which must have been answered whole.
    fn add(&mut self, turn: &[LoadReport]) -> anyhow::Result<()> {
        for report in turn {
            all_answered(report)?;
            self.ok = self.ok.saturating_add(report.ok);
        }
        let longest = turn.iter().map(|report| report.elapsed).max().unwrap_or_default();
        self.elapsed = self.elapsed.saturating_add(longest);
        Ok(())
    }

    fn per_s(&self) -> u64 {
        let per_s = u128::from(self.ok).saturating_mul(1_000_000_000).checked_div(self.elapsed.as_nanos());
        per_s.and_then(|per_s| u64::try_from(per_s).ok()).unwrap_or(0)
    }
}

/// Verifies the books, and counts the transactions in them, set-up left out.
fn rows(url: &str, tenant: i64, shop: &Shop) -> anyhow::Result<u64> {
    let conn = &mut PgConnection::establish(url)?;
    let report = ledger::verify::verify(conn, ledger::JournalId(tenant), |_, _| {})?;
    anyhow::ensure!(report.ok, "the books do not verify: {:?}", report.broken);
    Ok(report.transactions.saturating_sub(shop.transactions_before))
}

fn run() -> uuid::Uuid {
    Ids::system().uuid_v7(Clock::System.now())
}

fn seconds_of(time: Duration) -> Decimal {
    Decimal::new(i64::try_from(time.as_millis()).unwrap_or(i64::MAX), 3)
}

/// What came of the rounds of take-over.
#[derive(Default)]
struct Rounds {
    times: Vec<Duration>,
    /// Payments acknowledged.
    acknowledged: u64,
    /// Payments that may have been done besides.
    uncertain: u64,
}

impl Rounds {
    /// That the books hold what was acknowledged, in the rounds and besides, and nothing that was not asked for.
    fn must_explain(&self, rows: u64, besides: u64) -> anyhow::Result<()> {
        let (certain, uncertain) = (besides.saturating_add(self.acknowledged), self.uncertain);
        let agree = (certain..=certain.saturating_add(uncertain)).contains(&rows);
        anyhow::ensure!(agree, "{certain} payments were acknowledged, {uncertain} not, {rows} are in the books");
        Ok(())
    }
}

async fn takeovers(url: &str, shop: &Shop, key: &str, mut leader: Server, mut other: Server) -> anyhow::Result<Rounds> {
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        let payers = Payers::start(shop, key, &other)?;
        payers.until(WARM).await?;
        let killed = leader.kill()?;
        rounds.times.push(payers.first_after(killed).await?);
        let (done, maybe) = payers.stop().await;
        rounds.acknowledged = rounds.acknowledged.saturating_add(done);
        rounds.uncertain = rounds.uncertain.saturating_add(maybe);
        leader = std::mem::replace(&mut other, Server::start(url).await?);
    }
    leader.stop()?;
    other.stop()?;
    Ok(rounds)
}

/// Customers who pay at one node, and when their payments were sent and acknowledged.
struct Payers {
    tasks: JoinSet<()>,
    acknowledged: Arc<AtomicU64>,
    /// Sent, and not acknowledged so far.
    open: Arc<AtomicU64>,
    /// When the payment acknowledged last was sent, and when it was acknowledged.
    last: tokio::sync::watch::Receiver<Option<(Instant, Instant)>>,
}

impl Payers {
    fn start(shop: &Shop, key: &str, node: &Server) -> anyhow::Result<Self> {
        let (sender, last) = tokio::sync::watch::channel(None);
        let (sender, acknowledged, open) = (Arc::new(sender), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let mut tasks = JoinSet::new();
        for customer in shop.customers.iter().take(usize::try_from(PAYERS)?) {
            let body = json!({"customer": customer, "merchant": shop.merchant, "instrument": {"kind": "wallet"},
                "amount": {"amount": "1999", "asset": "EUR"}});
            let client = Client::new(&format!("http://{}", node.address), key)?;
            let (sender, acknowledged, open) = (Arc::clone(&sender), Arc::clone(&acknowledged), Arc::clone(&open));
            tasks.spawn(async move {
                loop {
                    let sent = Instant::now();
                    open.fetch_add(1, Ordering::SeqCst);
                    if client.post("/v1/payments", run(), &body).await.is_ok_and(|reply| reply.status == 201) {
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                        open.fetch_sub(1, Ordering::SeqCst);
                        sender.send_replace(Some((sent, Instant::now())));
                    }
                }
            });
        }
        Ok(Self { tasks, acknowledged, open, last })
    }

    async fn until(&self, acknowledged: u64) -> anyhow::Result<()> {
        let mut last = self.last.clone();
        let enough = async {
            while self.acknowledged.load(Ordering::SeqCst) < acknowledged {
                last.changed().await?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, enough).await.context("payments are not acknowledged")?
    }

    /// From a moment to the first acknowledgement of a payment sent after it.
    async fn first_after(&self, moment: Instant) -> anyhow::Result<Duration> {
        let mut last = self.last.clone();
        let sent_after = |seen: &Option<(Instant, Instant)>| seen.is_some_and(|(sent, _)| sent > moment);
        let seen = *tokio::time::timeout(PATIENCE, last.wait_for(sent_after)).await.context("nobody took over")??;
        let (_, acknowledged) = seen.context("nothing was acknowledged")?;
        Ok(acknowledged.saturating_duration_since(moment))
    }

    /// How many were acknowledged, and how many were not.
    async fn stop(mut self) -> (u64, u64) {
        self.tasks.shutdown().await;
        (self.acknowledged.load(Ordering::SeqCst), self.open.load(Ordering::SeqCst))
    }
}
