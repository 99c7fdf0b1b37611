//! The link between nodes, misbehaving: whatever it loses, a money command has one effect and one answer.

use std::time::Duration;

use serde_json::Value;
use tessera_tests::{Fault, Ground, Load, NodeProcess, Proxy, Rewards, TestDb, World, eventually_async};

/// Customers that pay at once.
const CLIENTS: usize = 16;

/// Two nodes, the second of which reaches the first, which leads, through a proxy.
struct Linked {
    world: World,
    proxy: Proxy,
    _first: NodeProcess,
    second: NodeProcess,
    db: TestDb<'static>,
}

impl Linked {
    async fn start() -> Self {
        let db = Ground::fast().database();
        let (proxy, listener) = Proxy::bind().await;
        let address = format!("http://{}", proxy.authority);
        let first = NodeProcess::start(&db, &[("TESSERA_ADDRESS", &address)]);
        proxy.serve(listener, first.authority());
        let world = World::new(&db.url(), &first.authority(), "acme");
        wait_until(&world, |node| node["role"] == "leading").await;
        let second = NodeProcess::start(&db, &[]);
        let there = World { api: second.api(&world.api), ..world.clone() };
        wait_until(&there, |node| node["leader"] == address.as_str()).await;
        Self { world, proxy, _first: first, second, db }
    }

    /// Load on the second node only, struck by a fault until it has hit a few times, and then going on.
    async fn under(&self, fault: Fault) {
        let shop = self.world.shop("shop", Rewards::PLENTY).await;
        let load = Load::start(&self.world, shop, &[self.second.authority()], CLIENTS).await;
        load.more(100, Duration::from_secs(20)).await;
        self.proxy.set(fault);
        let struck = async || (self.proxy.hits() >= 4).then_some(());
        eventually_async("the fault strikes", Duration::from_secs(20), struck).await;
        self.proxy.set(Fault::None);
        load.more(200, Duration::from_secs(30)).await;
        let tally = load.stop().await;
        tally.assert_equals_books(&self.db.url());
        tally.assert_stable(&self.second.authority()).await;
        self.world.assert_whole();
    }
}

async fn wait_until(world: &World, is_so: impl Fn(&Value) -> bool) {
    eventually_async("the node's role", Duration::from_secs(20), async || {
        let node = world.api.get("/v1/node").await.expect(200);
        is_so(&node).then_some(())
    })
    .await;
}

/// F22, between nodes: the answer is lost after the command was done. It is asked again under its key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f22_answers_lost_between_nodes_are_resolved_by_their_keys() {
    Linked::start().await.under(Fault::LoseAnswers).await;
}

/// F23, between nodes: every connection is reset, new ones too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f23_a_link_that_is_reset_heals() {
    Linked::start().await.under(Fault::Reset).await;
}

/// F24, between nodes: what is sent vanishes, and nothing says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_a_link_that_swallows_everything_holds_nobody_for_ever() {
    Linked::start().await.under(Fault::Blackhole).await;
}
