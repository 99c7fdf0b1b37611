//! Nodes as processes: whatever stops one of them, acknowledged is what the books say, and another one goes on.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tessera_tests::{
    Api, Ground, Load, NodeProcess, Rewards, Run, TestDb, World, eur, eventually, eventually_async, fresh_key, rows,
    tessera,
};

/// A stopped or killed leader's lease runs out after 3 s; another node must write by then and a little.
const TAKEOVER: Duration = Duration::from_secs(5);
/// Customers that pay at once.
const CLIENTS: usize = 32;
/// Records of a batch that counts as loaded.
const LOADED: &str = "8";

/// Two nodes over one database, the first leading.
struct Pair {
    world: World,
    first: NodeProcess,
    second: NodeProcess,
    db: TestDb<'static>,
}

impl Pair {
    async fn start(first_env: &[(&str, &str)]) -> Self {
        let db = Ground::durable().database();
        let first = NodeProcess::start(&db, first_env);
        let world = World::new(&db.url(), &first.authority(), "acme");
        wait_for_role(&first.api(&world.api), "leading").await;
        let second = NodeProcess::start(&db, &[]);
        let pair = Self { world, first, second, db };
        let following = wait_for_role(&pair.second(), "following").await;
        assert_eq!(following["leader"], format!("http://{}", pair.first.authority()));
        pair
    }

    fn first(&self) -> Api {
        self.first.api(&self.world.api)
    }

    fn second(&self) -> Api {
        self.second.api(&self.world.api)
    }

    async fn load(&self) -> Load {
        let shop = self.world.shop("shop", Rewards { budget: 100, ..Rewards::PLENTY }).await;
        Load::start(&self.world, shop, &[self.first.authority(), self.second.authority()], CLIENTS).await
    }
}

async fn node(api: &Api) -> Value {
    api.get("/v1/node").await.expect(200)
}

async fn wait_for_role(api: &Api, role: &str) -> Value {
    eventually_async("the node's role", Duration::from_secs(20), async || {
        let node = node(api).await;
        (node["role"] == role && (role == "leading" || !node["leader"].is_null())).then_some(node)
    })
    .await
}

/// JOURNAL 20: whichever node is asked, the one that leads answers, and what it answered is the same everywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_follows_answers_as_the_leader_does() {
    let pair = Pair::start(&[]).await;
    let shop = pair.world.shop("shop", Rewards::PLENTY).await;
    let there = World { api: pair.second(), ..pair.world.clone() };
    let anna = there.customer("anna").await;
    there.top_up(anna, 1_000).await;
    let body = |minor| json!({"customer": anna, "merchant": shop.merchant, "amount": eur(minor), "instrument": {"kind": "wallet"}});
    let key = fresh_key();
    let paid = there.api.post_as(key, "/v1/payments", &body(600)).await;
    let again = pair.first().post_as(key, "/v1/payments", &body(600)).await;
    assert_eq!((paid.status, again.status), (201, 201));
    assert_eq!(paid.bytes, again.bytes);
    assert!(!paid.headers.contains_key("idempotent-replayed"));
    assert_eq!(again.headers["idempotent-replayed"], "true");

    there.api.post_as(key, "/v1/payments", &body(601)).await.expect_problem(422, "key-reused");
    there.api.post("/v1/payments", &body(10_000)).await.expect_problem(422, "insufficient-funds");
    assert_eq!(there.balance(anna, "available").await, 400);
    assert_eq!(node(&pair.second()).await["batches"], 0, "it wrote nothing itself");
    pair.world.assert_whole();
}

/// Who leads, and who follows how far behind, as an operator sees it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_tells_who_leads_and_how_far_followers_are_behind() {
    let pair = Pair::start(&[]).await;
    pair.world.customer("anna").await;
    let ask = || tessera(&["doctor", "--cluster", "--json"]).env("DATABASE_URL", pair.db.url()).run();
    let report = eventually("followers have cursors", Duration::from_secs(10), || {
        let report: Value = serde_json::from_str(&ask().out).unwrap();
        report.to_string().contains("card is 0 records behind").then_some(report)
    });
    let leader = format!("http://{} leads slot 0 (epoch 1", pair.first.authority());
    assert!(report.to_string().contains(&leader), "{report}");
    pair.first.signal(Signal::STOP);
    let report = eventually("the lease runs out", Duration::from_secs(10), || {
        let report: Value = serde_json::from_str(&ask().out).unwrap();
        report.to_string().contains("(epoch 2").then_some(report)
    });
    assert!(report.to_string().contains(&pair.second.authority()), "{report}");
    pair.first.signal(Signal::CONT);
}

/// Half of the load comes to the node that follows; all of it is done, each key once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_on_both_nodes_is_answered_without_a_refusal() {
    let pair = Pair::start(&[]).await;
    let load = pair.load().await;
    load.more(600, Duration::from_secs(20)).await;
    let tally = load.stop().await;
    assert!(tally.others.is_empty(), "{:?}", tally.others);
    tally.assert_equals_books(&pair.db.url());
    tally.assert_stable(&pair.second.authority()).await;
    pair.world.assert_whole();
}

/// Whoever is no node of this deployment gets nothing through the link, and learns nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_between_nodes_answers_no_stranger() {
    let pair = Pair::start(&[]).await;
    pair.first().post("/internal/journal", &json!({})).await.expect_problem(403, "link-refused");
}

/// F7, JOURNAL 14: the epoch in the head row is the only write fence. A leader that is stopped with a decided batch in its
/// hands, and wakes up when another one leads, is kept out; what its callers were not told is resolved by their keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f07_a_leader_that_sleeps_through_its_lease_is_fenced_off() {
    let pair = Pair::start(&[("TESSERA_STOP_BEFORE_POST", LOADED)]).await;
    let load = pair.load().await;
    pair.first.wait_until_stopped(Duration::from_secs(20));

    wait_for_role(&pair.second(), "leading").await;
    load.more(200, Duration::from_secs(20)).await;
    pair.first.signal(Signal::CONT);

    let resumed = eventually_async("the batch is fenced", Duration::from_secs(20), async || {
        // Connections made while it slept may be told 408 first, or be closed.
        let resumed = pair.first().try_get("/v1/node").await.ok()?.json();
        (resumed["fenced_batches"].as_u64() >= Some(1)).then_some(resumed)
    })
    .await;
    assert_eq!(resumed["role"], "following", "{resumed}");
    load.more(200, Duration::from_secs(20)).await;
    let tally = load.stop().await;
    tally.assert_equals_books(&pair.db.url());
    tally.assert_stable(&pair.second.authority()).await;
    assert_eq!(node(&pair.second()).await["fenced_batches"], 0);
    pair.world.assert_whole();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_leader_is_killed_another_leads_within_5_s_and_nothing_is_lost() {
    let pair = Pair::start(&[]).await;
    let load = pair.load().await;
    load.more(300, Duration::from_secs(20)).await;

    pair.first.signal(Signal::KILL);
    let killed = Instant::now();
    wait_for_role(&pair.second(), "leading").await;
    assert!(killed.elapsed() < TAKEOVER, "{:?}", killed.elapsed());
    load.more(300, Duration::from_secs(20)).await;
    let tally = load.stop().await;
    tally.assert_equals_books(&pair.db.url());
    tally.assert_stable(&pair.second.authority()).await;
    pair.world.assert_whole();
}

/// A leader that is asked to go finishes what it accepted and gives its lease up: nobody waits for it to run out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_asked_to_go_finishes_what_it_accepted_and_hands_over_at_once() {
    let mut pair = Pair::start(&[]).await;
    let load = pair.load().await;
    load.more(300, Duration::from_secs(20)).await;

    pair.first.signal(Signal::TERM);
    let status = pair.first.wait_until_ended();
    let ended = Instant::now();
    assert!(status.success(), "{status}: {}", pair.first.log());
    wait_for_role(&pair.second(), "leading").await;
    assert!(
        ended.elapsed() < Duration::from_millis(1_500),
        "the lease was given up, not waited for: {:?}",
        ended.elapsed()
    );
    load.more(300, Duration::from_secs(20)).await;
    let tally = load.stop().await;
    assert_eq!(tally.saw("503 outcome-unknown"), 0, "{:?}", tally.others);
    tally.assert_equals_books(&pair.db.url());
    tally.assert_stable(&pair.second.authority()).await;
    pair.world.assert_whole();
}

/// The last checkpoint of a leader that went in order covers everything: the next one replays nothing, and reads the
/// same balances.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ends_in_order_leaves_exact_checkpoints() {
    let db = Ground::durable().database();
    let mut first = NodeProcess::start(&db, &[]);
    let world = World::new(&db.url(), &first.authority(), "acme");
    wait_for_role(&world.api, "leading").await;
    let shop = world.shop("shop", Rewards::PLENTY).await;
    let load = Load::start(&world, shop, &[first.authority()], 8).await;
    load.more(100, Duration::from_secs(20)).await;
    let tally = load.stop().await;
    first.signal(Signal::TERM);
    assert!(first.wait_until_ended().success());

    let wrong = rows(
        &db.url(),
        "SELECT a.id, a.checkpoint_version, b.version FROM journal.account a JOIN journal.balance b USING (journal, id) \
         WHERE (a.checkpoint_version, a.checkpoint_balance) IS DISTINCT FROM (b.version, b.balance)",
    );
    assert!(wrong.is_empty(), "{wrong:?}");
    let behind = rows(
        &db.url(),
        "SELECT h.seq, w.seq FROM journal.head h JOIN journal.watermark w USING (journal) WHERE h.seq <> w.seq",
    );
    assert!(behind.is_empty(), "{behind:?}");
    let second = NodeProcess::start(&db, &[]);
    wait_for_role(&second.api(&world.api), "leading").await;
    tally.assert_stable(&second.authority()).await;
    world.assert_whole();
}

/// What a start replayed is ahead of its checkpoint until it is written: the watermark must not pass it, or the start
/// after that reads a balance that is no longer true.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_replayed_after_a_kill_is_checkpointed_before_the_watermark_passes_it() {
    let db = Ground::durable().database();
    let first = NodeProcess::start(&db, &[]);
    let world = World::new(&db.url(), &first.authority(), "acme");
    wait_for_role(&world.api, "leading").await;
    let (anna, bruno) = (world.customer("anna").await, world.customer("bruno").await);
    world.top_up(anna, 100).await;
    let at_head = "SELECT 1 FROM journal.head h JOIN journal.watermark w USING (journal) WHERE h.seq = w.seq";
    eventually("a checkpoint", Duration::from_secs(10), || (!rows(&db.url(), at_head).is_empty()).then_some(()));
    world.top_up(anna, 100).await; // two seconds before the next checkpoint
    first.signal(Signal::KILL);
    assert!(rows(&db.url(), at_head).is_empty());

    let mut second = NodeProcess::start(&db, &[]);
    let world = World { api: second.api(&world.api), ..world };
    wait_for_role(&world.api, "leading").await;
    world.top_up(bruno, 100).await; // anna's account is replayed, not changed
    second.signal(Signal::TERM);
    assert!(second.wait_until_ended().success());
    assert!(!rows(&db.url(), at_head).is_empty(), "all is checkpointed");

    let third = NodeProcess::start(&db, &[]);
    let world = World { api: third.api(&world.api), ..world };
    wait_for_role(&world.api, "leading").await;
    let merchant = world.merchant("shop").await;
    let all = json!({"customer": anna, "merchant": merchant, "amount": eur(200), "instrument": {"kind": "wallet"}});
    world.api.post("/v1/payments", &all).await.expect(201);
    assert_eq!(world.balance(anna, "available").await, 0);
    world.assert_whole();
}
