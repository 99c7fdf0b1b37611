//! The link between nodes, misbehaving: whatever it loses, a money command has one effect and one answer.

use std::time::Duration;

use serde_json::{Value, json};
use tessera_tests::{
    Api, Fault, Ground, Load, NodeProcess, Proxy, Rewards, TestDb, World, eventually_async, fresh_key,
};
use uuid::Uuid;
use wallet_api::platform::keyring::Scope;

/// Customers that pay at once.
const CLIENTS: usize = 16;
const POST: &str = "/v1/ledger/transactions";

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

/// Two accounts, and a client that asks the node which follows.
struct Batches {
    /// At the node that leads.
    here: Api,
    /// At the node that follows.
    there: Api,
    source: Uuid,
    wallet: Uuid,
}

impl Batches {
    async fn open(linked: &Linked) -> Self {
        let here = linked.world.client(&[Scope::LedgerWrite, Scope::LedgerRead]);
        let there = linked.second.api(&here);
        here.post("/v1/ledger/assets", &json!({"code": "GEM", "scale": 2})).await.expect(201);
        let account = async |terms: &Value| -> Uuid {
            let opened = there.post("/v1/ledger/accounts", terms).await.expect(201);
            opened["id"].as_str().unwrap().parse().unwrap()
        };
        let source = account(&json!({"asset": "GEM", "normal_side": "debit"})).await;
        let wallet = account(&json!({"asset": "GEM", "floor": "0"})).await;
        Self { here, there, source, wallet }
    }

    /// All or none: so much each into the wallet, and out of it where it is negative.
    fn atomic(&self, amounts: &[i64]) -> Value {
        let items = amounts.iter().map(|minor| {
            let (debit, credit) = if *minor > 0 { (self.source, self.wallet) } else { (self.wallet, self.source) };
            let transfer = json!({"debit": debit, "credit": credit, "amount": minor.abs().to_string(), "asset": "GEM"});
            json!({"id": fresh_key(), "transfers": [transfer]})
        });
        json!({"mode": "atomic", "transactions": items.collect::<Vec<_>>()})
    }

    async fn balance(&self) -> String {
        let account = self.here.get(&format!("/v1/ledger/accounts/{}", self.wallet)).await.expect(200);
        account["balance"].as_str().unwrap().to_owned()
    }
}

/// Of each item of a batch, what became of it and its place.
fn told(answer: &Value) -> Vec<(String, i64)> {
    let of = |one: &Value| (one["status"].as_str().unwrap().to_owned(), one["seq"].as_i64().unwrap());
    answer["results"].as_array().unwrap().iter().map(of).collect()
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

/// JOURNAL 20: all or none stays all or none on its way to the node that leads, and the answers are the leader's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_26_an_atomic_batch_at_a_node_that_follows_is_all_or_none_at_the_leader() {
    let linked = Linked::start().await;
    let batches = Batches::open(&linked).await;
    let good = batches.atomic(&[5, 7, -12]);
    let first = told(&batches.there.post(POST, &good).await.expect(201));
    let side_by_side: Vec<i64> = (first[0].1..).take(3).collect();
    assert!(first.iter().all(|(status, _)| status == "posted"));
    assert_eq!(first.iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), side_by_side, "with nothing between");
    for api in [&batches.there, &batches.here] {
        let again: Vec<_> = first.iter().map(|(_, seq)| ("replayed".to_owned(), *seq)).collect();
        assert_eq!(told(&api.post(POST, &good).await.expect(201)), again);
    }

    let bad = batches.atomic(&[5, -6, 1]);
    let problem = batches.there.post(POST, &bad).await;
    assert_eq!(problem.bytes, batches.here.post(POST, &bad).await.bytes, "the same refusal, for ever");
    let problem = problem.expect_problem(422, "batch-refused");
    assert_eq!((&problem["item"], &problem["reason"]), (&json!(1), &json!("insufficient-funds")));
    assert_eq!(batches.balance().await, "0", "nothing of it");

    let most = batches.atomic(&[1; 1_000]);
    assert_eq!(batches.there.post(POST, &most).await.expect(201)["posted"], 1_000);
    assert_eq!(batches.balance().await, "1000");
    let node = batches.there.with_key(linked.world.api.key.clone()).get("/v1/node").await.expect(200);
    assert_eq!(node["batches"], 0, "it wrote nothing itself");
    linked.world.assert_whole();
}

/// Each by itself, and yet in the order listed, wherever it is asked: every second one needs what the one before it brought.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_27_a_batch_at_a_node_that_follows_is_done_in_the_order_listed() {
    let linked = Linked::start().await;
    let batches = Batches::open(&linked).await;
    let amounts: Vec<i64> = (0..500).flat_map(|_| [5, -5]).collect();
    let mut batch = batches.atomic(&amounts);
    batch["mode"] = json!("independent");
    let done = told(&batches.there.post(POST, &batch).await.expect(200));
    let side_by_side: Vec<_> = (done[0].1..).take(1_000).map(|seq| ("posted".to_owned(), seq)).collect();
    assert_eq!(done, side_by_side, "with nothing between");
    assert_eq!(batches.balance().await, "0");
    // What is no request stands in nobody's way.
    let mut odd = batches.atomic(&[5, 1, -5]);
    odd["mode"] = json!("independent");
    odd["transactions"][1]["transfers"][0]["credit"] = json!(fresh_key());
    let odd = batches.there.post(POST, &odd).await.expect(200);
    let statuses: Vec<_> = odd["results"].as_array().unwrap().iter().map(|one| one["status"].clone()).collect();
    assert_eq!(statuses, ["posted", "invalid", "posted"]);
    linked.world.assert_whole();
}

/// F22, for a batch: the answer is lost after all of it was done. While the link is cut nobody knows; then the keys tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f22_the_lost_answer_of_an_atomic_batch_is_unknown_until_its_keys_tell() {
    let linked = Linked::start().await;
    let batches = Batches::open(&linked).await;
    for (fault, status) in [(Fault::LoseAnswers, "replayed"), (Fault::Blackhole, "posted")] {
        let before = batches.balance().await.parse::<i64>().unwrap();
        let batch = batches.atomic(&[5, 7, -2]);
        linked.proxy.set(fault);
        batches.there.post(POST, &batch).await.expect_problem(503, "outcome-unknown");
        linked.proxy.set(Fault::None);
        let healed = told(&batches.there.post(POST, &batch).await.expect(201));
        assert!(healed.iter().all(|(told, _)| told == status), "{fault:?}: {healed:?}");
        assert_eq!(batches.balance().await, (before + 10).to_string(), "{fault:?}");
    }
    // Cut while it is asked, and healed while there is time: it is asked again, and is done once.
    let batch = batches.atomic(&[5, 7, -2]);
    linked.proxy.set(Fault::LoseAnswers);
    let struck = linked.proxy.hits();
    let asked = batches.there.post(POST, &batch);
    let heal = async {
        eventually_async("the answer is lost", Duration::from_secs(4), async || {
            (linked.proxy.hits() > struck).then_some(())
        })
        .await;
        linked.proxy.set(Fault::None);
    };
    let (answer, ()) = tokio::join!(asked, heal);
    assert_eq!(told(&answer.expect(201)).len(), 3);
    assert_eq!(batches.balance().await, "30");
    linked.world.assert_whole();
}
