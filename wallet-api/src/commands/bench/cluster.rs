//! Two nodes on the same cores: what forwarding costs, and how long nobody writes when the leader is lost.
//!
//! The load is that of [`payments`](super::payments), without hooks. *One node*: all connections at the node that leads,
//! the other one idle. *Two nodes*: half of them at each, so that half of the payments are forwarded. The two take turns,
//! so that neither has the emptier tables or the quieter minute. Then the leader is lost, in three ways: `takeover`.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Context as _;
use rust_decimal::Decimal;
use serde::Serialize;

use super::load::{LoadReport, Plan, closed_loop, open_loop};
use super::open_files;
use super::payments::{Shop, admin_key, all_answered, ms};
use super::pgbench::ratio;
use super::reference::{Reference, Stage};
use super::server::Server;
use super::takeover::{Takeovers, payments_in_books};
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;

/// Connections, over all nodes.
const CONNECTIONS: usize = 256;
/// How often one node and two take turns.
const TURNS: u32 = 3;

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
    /// From the loss of the leader to the next acknowledgement, in seconds: the worst round of all.
    pub takeover_worst_s: Decimal,
    /// Every round in which it was killed, in order.
    pub takeovers_s: Vec<Decimal>,
    /// In which it slept.
    pub takeovers_freeze_s: Vec<Decimal>,
    /// In which it was cut off from the database.
    pub takeovers_blackhole_s: Vec<Decimal>,
    /// Payments acknowledged to the load, outside the rounds of take-over.
    pub acknowledged: u64,
    /// Transactions in the books, set-up left out.
    pub rows: u64,
    /// Payments acknowledged in the rounds of take-over.
    pub acknowledged_in_takeovers: u64,
    /// Payments sent in those rounds and not acknowledged: `rows` may have as many more.
    pub unanswered_in_takeovers: u64,
    /// What `verify` said.
    pub verify_ok: bool,
    /// The reference, and both sides' durability.
    #[serde(flatten)]
    pub reference: Reference,
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { one_node_per_s, two_nodes_per_s, forwarded_p99_ms, takeover_worst_s, .. } = self;
        let Self { takeovers_s, takeovers_freeze_s, takeovers_blackhole_s, .. } = self;
        writeln!(f, "one node {one_node_per_s} payments/s, two {two_nodes_per_s}/s")?;
        writeln!(f, "forwarded p99 {forwarded_p99_ms} ms; worst take-over {takeover_worst_s} s")?;
        let worst = |rounds: &[Decimal]| rounds.iter().max().copied().unwrap_or_default();
        let [killed, asleep, cut] =
            [takeovers_s, takeovers_freeze_s, takeovers_blackhole_s].map(|rounds| worst(rounds));
        write!(f, "leader killed {killed} s, asleep {asleep} s, cut off {cut} s")
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
    first.stop()?;
    second.stop()?;
    let takeovers = Takeovers::play(&stage, &shop, &key).await?;
    let acknowledged = [one.ok, two.ok, direct.ok, forwarded.ok].into_iter().fold(0, u64::saturating_add);
    let rows = payments_in_books(&url, tenant.id, &shop)?;
    takeovers.must_explain(rows, acknowledged)?;
    Ok(Cluster {
        one_node_per_s: one.per_s(),
        two_nodes_per_s: two.per_s(),
        two_nodes_ratio: ratio(two.per_s(), Decimal::from(one.per_s())).context("one node did nothing")?,
        forwarded_p50_ms: ms(&forwarded.latencies, 500),
        forwarded_p99_ms: ms(&forwarded.latencies, 990),
        takeover_worst_s: takeovers.worst().takeover_s,
        takeovers_s: takeovers.kill,
        takeovers_freeze_s: takeovers.freeze,
        takeovers_blackhole_s: takeovers.blackhole,
        acknowledged,
        rows,
        acknowledged_in_takeovers: takeovers.acknowledged,
        unanswered_in_takeovers: takeovers.unanswered,
        verify_ok: true, // without it there are no figures
        reference: stage.close()?,
    })
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

fn run() -> uuid::Uuid {
    Ids::system().uuid_v7(Clock::System.now())
}
