//! Take-over: how long nobody writes when the leader is lost, in three ways ([`Way`]).
//!
//! Under load, from the loss to the first acknowledgement of a payment that was sent to the other node after it; ten rounds
//! of each way, in which the nodes take turns: whoever was lost is replaced before the next. A node that slept wakes up when
//! another one leads, has to find out, and stops in order; one that is cut off from its database reached it through a
//! [`relay`] and is killed in the end. What was acknowledged, late answers included, has to be in the books, and nothing
//! that was not asked for ([`Takeovers::must_explain`]).

mod payers;
mod relay;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use self::payers::Payers;
use self::relay::Relay;
use super::open_files;
use super::payments::{Shop, admin_key};
use super::reference::Stage;
use super::server::Server;
use crate::commands::client::Client;

/// Rounds of each way.
const ROUNDS: u32 = 10;
/// Payments acknowledged before the leader is lost.
const WARM: u64 = 500;
/// What a step of a round may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a node is asked what it does.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// A way to lose the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Its process is killed.
    Kill,
    /// Its process sleeps, until another node leads.
    Freeze,
    /// Nothing passes between it and the database, and nobody hangs up.
    Blackhole,
}

/// The worst rounds, seconds.
#[derive(Debug, Serialize)]
pub struct Worst {
    /// Of all.
    pub takeover_s: Decimal,
    /// The leader killed.
    pub takeover_kill_s: Decimal,
    /// The leader asleep.
    pub takeover_freeze_s: Decimal,
    /// The leader cut off from the database.
    pub takeover_blackhole_s: Decimal,
}

/// Loses the leader of a stage's own database again and again, under load.
///
/// # Errors
/// When anything makes the figures void.
pub async fn worst(stage: &Stage) -> anyhow::Result<Worst> {
    open_files::allow(8_192)?;
    let tenant = stage.tenant()?;
    let key = admin_key(&stage.url(), tenant.id)?;
    let first = Server::start(&stage.url()).await?;
    let shop = Shop::open(&first, &key).await?;
    first.stop()?;
    let takeovers = Takeovers::play(stage, &shop, &key).await?;
    takeovers.must_explain(payments_in_books(&stage.url(), tenant.id, &shop)?, 0)?;
    Ok(takeovers.worst())
}

/// Verifies the books, and counts the transactions in them, set-up left out.
///
/// # Errors
/// When they do not verify.
pub fn payments_in_books(url: &str, tenant: i64, shop: &Shop) -> anyhow::Result<u64> {
    let conn = &mut PgConnection::establish(url)?;
    let report = ledger::verify::verify(conn, ledger::JournalId(tenant), |_, _| {})?;
    anyhow::ensure!(report.ok, "the books do not verify: {:?}", report.broken);
    Ok(report.transactions.saturating_sub(shop.transactions_before))
}

/// What came of all rounds: the seconds of each, in order.
#[derive(Debug, Default)]
pub struct Takeovers {
    /// The leader killed.
    pub kill: Vec<Decimal>,
    /// The leader asleep.
    pub freeze: Vec<Decimal>,
    /// The leader cut off from the database.
    pub blackhole: Vec<Decimal>,
    /// Payments acknowledged.
    pub acknowledged: u64,
    /// Payments sent and not acknowledged: each may have been done.
    pub unanswered: u64,
}

impl Takeovers {
    /// Plays all rounds of all ways, each way on nodes of its own.
    ///
    /// # Errors
    /// When nobody takes over, or a node that slept does not find out.
    pub async fn play(stage: &Stage, shop: &Shop, key: &str) -> anyhow::Result<Self> {
        let mut all = Self::default();
        all.kill = all.rounds(Way::Kill, stage, shop, key).await?;
        all.freeze = all.rounds(Way::Freeze, stage, shop, key).await?;
        all.blackhole = all.rounds(Way::Blackhole, stage, shop, key).await?;
        Ok(all)
    }

    /// The worst rounds.
    pub fn worst(&self) -> Worst {
        let worst = |rounds: &[Decimal]| rounds.iter().max().copied().unwrap_or_default();
        let (kill, freeze, blackhole) = (worst(&self.kill), worst(&self.freeze), worst(&self.blackhole));
        Worst {
            takeover_s: kill.max(freeze).max(blackhole),
            takeover_kill_s: kill,
            takeover_freeze_s: freeze,
            takeover_blackhole_s: blackhole,
        }
    }

    /// That the books hold what was acknowledged, in the rounds and besides, and nothing that was not asked for.
    ///
    /// # Errors
    /// When they do not: the figures are void.
    pub fn must_explain(&self, rows: u64, besides: u64) -> anyhow::Result<()> {
        let (certain, maybe) = (besides.saturating_add(self.acknowledged), self.unanswered);
        let agree = (certain..=certain.saturating_add(maybe)).contains(&rows);
        anyhow::ensure!(agree, "{certain} payments were acknowledged, {maybe} not, {rows} are in the books");
        Ok(())
    }

    async fn rounds(&mut self, way: Way, stage: &Stage, shop: &Shop, key: &str) -> anyhow::Result<Vec<Decimal>> {
        let mut times = Vec::new();
        let mut leader = Node::start(way, stage, key).await?;
        leader.plays("leading").await?;
        let mut other = Node::start(way, stage, key).await?;
        for _ in 0..ROUNDS {
            times.push(self.round(shop, leader, &other).await?);
            leader = std::mem::replace(&mut other, Node::start(way, stage, key).await?);
        }
        leader.stop()?;
        other.stop()?;
        Ok(times)
    }

    async fn round(&mut self, shop: &Shop, mut leader: Node, other: &Node) -> anyhow::Result<Decimal> {
        leader.plays("leading").await?;
        let payers = Payers::start(shop, &other.client)?;
        payers.until(WARM).await?;
        let lost = leader.lose().await?;
        let time = payers.first_after(lost).await?;
        leader.end().await?;
        let (done, maybe) = payers.stop().await;
        self.acknowledged = self.acknowledged.saturating_add(done);
        self.unanswered = self.unanswered.saturating_add(maybe);
        Ok(Decimal::new(i64::try_from(time.as_millis())?, 3))
    }
}

/// A node that is to be lost in one way.
struct Node {
    way: Way,
    server: Server,
    client: Client,
    /// Between it and the database, where that is what breaks.
    relay: Option<Relay>,
}

impl Node {
    async fn start(way: Way, stage: &Stage, key: &str) -> anyhow::Result<Self> {
        let relay = if way == Way::Blackhole { Some(Relay::before(stage.socket_dir())?) } else { None };
        let url = relay.as_ref().map_or_else(|| stage.url(), |relay| stage.url_through(relay.socket_dir()));
        let server = Server::start(&url).await?;
        let client = Client::new(&format!("http://{}", server.address), key)?;
        Ok(Self { way, server, client, relay })
    }

    /// Waits until it leads, or follows.
    async fn plays(&self, role: &str) -> anyhow::Result<()> {
        let plays = async {
            while !self.client.get("/v1/node").await.is_ok_and(|reply| is_role(&reply.body, role)) {
                tokio::time::sleep(ASK_EVERY).await;
            }
        };
        tokio::time::timeout(PATIENCE, plays).await.with_context(|| format!("a node that should be {role} is not"))
    }

    /// Loses it, and says from when on it cannot write.
    async fn lose(&mut self) -> anyhow::Result<Instant> {
        match self.way {
            Way::Kill => self.server.kill(),
            Way::Freeze => self.server.freeze(),
            Way::Blackhole => {
                self.relay.as_ref().context("it reaches the database by itself")?.silence().await;
                Ok(Instant::now())
            }
        }
    }

    /// Ends it when another node leads.
    async fn end(self) -> anyhow::Result<()> {
        if self.way == Way::Freeze {
            self.server.thaw()?;
            self.plays("following").await?;
        }
        self.stop()
    }

    /// In order, where it can.
    fn stop(mut self) -> anyhow::Result<()> {
        match self.way {
            Way::Freeze => self.server.stop(),
            // Through a relay it could not say good-bye: that is served by the thread that waits here.
            Way::Kill | Way::Blackhole => self.server.kill().map(drop),
        }
    }
}

fn is_role(node: &Value, role: &str) -> bool {
    node.get("role").and_then(Value::as_str) == Some(role)
}
