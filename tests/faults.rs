//! What lies between a node and its database, misbehaving; and nodes that come and go under load.
//!
//! Every test is loaded when it is hit, counts the hits, and fails itself when there were none. After each: what the
//! clients were told is what the books say, and the books prove themselves.

use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tessera_tests::{Fault, Ground, Load, NodeProcess, Proxy, Rewards, TestDb, World, eventually_async};

/// Customers that pay at once.
const CLIENTS: usize = 16;
/// A pool heals, or another node leads, within five seconds; tests share their cores.
const HEALED: Duration = Duration::from_secs(20);

/// A node that reaches its database through a proxy.
struct Behind {
    world: World,
    proxy: Proxy,
    node: NodeProcess,
    db: TestDb<'static>,
    _folder: TempDir,
}

impl Behind {
    async fn start() -> Self {
        let db = Ground::fast().database();
        // Short: the address of a socket has room for a hundred bytes.
        let folder = tempfile::Builder::new().prefix("tp").tempdir_in("/tmp").unwrap();
        let proxy = Proxy::before_database(folder.path(), db.socket_dir());
        let through = |url: String| {
            let (before, _) = url.split_once("?host=").unwrap();
            format!("{before}?host={}", proxy.authority.replace('/', "%2F"))
        };
        let (url, owner_url) = (through(db.url()), through(db.owner_url()));
        let node = NodeProcess::start(&db, &[("DATABASE_URL", &url), ("DATABASE_OWNER_URL", &owner_url)]);
        let world = World::new(&db.url(), &node.authority(), "acme");
        wait_for_role(&world, "leading").await;
        Self { world, proxy, node, db, _folder: folder }
    }

    /// Load on these nodes, struck by a fault until it has hit a few times, and then going on.
    async fn under(&self, fault: Fault, nodes: &[String]) {
        let shop = self.world.shop("shop", Rewards::PLENTY).await;
        let load = Load::start(&self.world, shop, nodes, CLIENTS).await;
        load.more(100, HEALED).await;
        self.proxy.set(fault);
        let struck = async || (self.proxy.hits() >= 4).then_some(());
        eventually_async("the fault strikes", HEALED, struck).await;
        if nodes.len() > 1 {
            load.more(100, HEALED).await; // the others go on while it lasts
        }
        self.proxy.set(Fault::None);
        load.more(200, HEALED).await;
        let tally = load.stop().await;
        assert!(!tally.others.is_empty() || nodes.len() > 1, "the load noticed nothing");
        tally.assert_equals_books(&self.db.url());
        tally.assert_stable(&nodes[0]).await;
        self.world.assert_whole();
    }
}

async fn wait_for_role(world: &World, role: &str) {
    eventually_async("the node's role", HEALED, async || {
        let node = world.api.try_get("/v1/node").await.ok()?;
        (node.status == 200 && node.json()["role"] == role).then_some(())
    })
    .await;
}

/// F22: the commit was sent, and the connection is cut before its answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f22_a_commit_whose_answer_is_cut_off_is_resolved_by_its_key() {
    let behind = Behind::start().await;
    behind.under(Fault::LoseAnswers, &[behind.node.authority()]).await;
}

/// F23: every connection to the database is reset, new ones too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f23_a_storm_of_resets_passes() {
    let behind = Behind::start().await;
    behind.under(Fault::Reset, &[behind.node.authority()]).await;
}

/// F24: what the leader says to the database vanishes. Another node, which still reaches it, takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_a_leader_whose_database_went_silent_is_replaced() {
    let behind = Behind::start().await;
    let other = NodeProcess::start(&behind.db, &[]);
    behind.under(Fault::Blackhole, &[other.authority(), behind.node.authority()]).await;
    wait_for_role(&World { api: other.api(&behind.world.api), ..behind.world.clone() }, "leading").await;
}

/// F44: two nodes are restarted in turn, again and again. No money command fails for good, and none is done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f44_a_rolling_restart_fails_no_money_command() {
    let db = Ground::fast().database();
    let mut nodes = vec![NodeProcess::start(&db, &[])];
    let world = World::new(&db.url(), &nodes[0].authority(), "acme");
    wait_for_role(&world, "leading").await;
    nodes.push(NodeProcess::start(&db, &[]));
    let shop = world.shop("shop", Rewards::PLENTY).await;
    let authorities = |nodes: &[NodeProcess]| nodes.iter().map(NodeProcess::authority).collect::<Vec<_>>();
    let load = Load::start(&world, shop, &authorities(&nodes), CLIENTS).await;
    for _ in 0..6 {
        load.more(100, HEALED).await;
        let mut going = nodes.remove(0);
        load.ask(&authorities(&nodes));
        going.signal(Signal::TERM);
        assert!(going.wait_until_ended().success(), "{}", going.log());
        nodes.push(NodeProcess::start(&db, &[]));
        load.ask(&authorities(&nodes));
    }
    load.more(100, HEALED).await;
    let tally = load.stop().await;
    assert_eq!(tally.saw("503 outcome-unknown"), 0, "{:?}", tally.others);
    tally.assert_equals_books(&db.url());
    tally.assert_stable(&nodes[0].authority()).await;
    let world = World { api: nodes[0].api(&world.api), ..world };
    world.assert_whole();
}
