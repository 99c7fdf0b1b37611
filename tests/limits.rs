//! Limits and shedding, and what they are with a Redis that fails in every way: money is untouched, nobody waits for it,
//! and no limit is escaped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::{Value, json};
use tessera_tests::{
    Api, Ground, Lie, Load, LyingRedis, NodeProcess, Redis, Rewards, Run, TestDb, World, eur, eventually_async,
    fresh_key, tessera,
};
use tokio::task::JoinHandle;
use wallet_api::platform::keyring::Scope;

/// F8: nobody waits longer than this for a Redis that stands still, on a machine that has other work; who waited for it
/// would wait a quarter of a second.
const UNBLOCKED: Duration = Duration::from_millis(200);
/// How soon a node finds out how its Redis is.
const NOTICED: Duration = Duration::from_secs(10);
/// Reads a second and at once of a client, where a test needs a limit that can be reached.
const READS: &str = "read=10:10,tenant.read=100000";
const PER_S: u32 = 10;
/// Requests that a greedy client has in hand at once: enough to reach that limit on a machine with much other work.
const HANDS: usize = 8;
/// By then the load was answered so often as a test asks for, also on such a machine.
const GOES_ON: Duration = Duration::from_secs(60);

/// Two nodes over one database, the first leading, and load on both.
struct Pair {
    world: World,
    nodes: [NodeProcess; 2],
    /// Asks the nodes how they are, apart from whoever is limited.
    watcher: Api,
    db: TestDb<'static>,
}

impl Pair {
    async fn start(env: &[(&str, &str)]) -> Self {
        let db = Ground::durable().database();
        let first = NodeProcess::start(&db, env);
        let world = World::new(&db.url(), &first.authority(), "acme");
        eventually_async("the node leads", Duration::from_secs(20), async || {
            (world.api.get("/readyz").await.status == 200).then_some(())
        })
        .await;
        let nodes = [first, NodeProcess::start(&db, env)];
        let watcher = world.client(&[Scope::Admin]);
        Self { world, nodes, watcher, db }
    }

    async fn node(&self, which: usize) -> Value {
        eventually_async("the node answers", Duration::from_secs(20), async || {
            let reply = self.nodes[which].api(&self.watcher).try_get("/v1/node").await.ok()?;
            (reply.status == 200).then(|| reply.json())
        })
        .await
    }

    /// Waits until both nodes say this of their Redis.
    async fn redis_is(&self, word: &str) {
        for which in [0, 1] {
            eventually_async(&format!("redis is {word}"), NOTICED, async || {
                let node = self.node(which).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
                (node["redis"] == word).then_some(())
            })
            .await;
        }
    }

    async fn leader(&self) -> &NodeProcess {
        eventually_async("somebody leads", Duration::from_secs(20), async || {
            for which in [0, 1] {
                if self.node(which).await["role"] == "leading" {
                    return Some(&self.nodes[which]);
                }
            }
            None
        })
        .await
    }

    async fn load(&self) -> Load {
        let shop = self.world.shop("shop", Rewards { budget: 100, ..Rewards::PLENTY }).await;
        let nodes: Vec<String> = self.nodes.iter().map(NodeProcess::authority).collect();
        Load::start(&self.world, shop, &nodes, 16).await
    }

    /// The load ends, and the books say what its clients were told.
    async fn settle(&self, load: Load) {
        load.more(50, GOES_ON).await;
        let tally = load.stop().await;
        tally.assert_equals_books(&self.db.url());
        tally.assert_stable(&self.leader().await.authority()).await;
        self.world.assert_whole();
    }
}

/// Asks one node for the same thing as fast as it answers, and counts what passes.
struct Greedy {
    stop: Arc<AtomicBool>,
    task: JoinHandle<(u32, u32)>,
    began: Instant,
}

impl Greedy {
    fn start(api: Api) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopping = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            // Several at once, so that a slow machine reaches the limit too.
            let all = join_all((0..HANDS).map(|_| grab(&api, &stopping))).await;
            all.into_iter().fold((0, 0), |(passed, refused), one| (passed + one.0, refused + one.1))
        });
        Self { stop, task, began: Instant::now() }
    }

    /// What passed, and what a node by itself would let pass in that time: what it has at once and what flowed in.
    async fn stop(self) -> (u32, u32) {
        self.stop.store(true, Ordering::SeqCst);
        let (passed, refused) = self.task.await.unwrap();
        assert!(refused > 0, "the limit was not reached: {passed} passed");
        let flowed_in = u32::try_from(self.began.elapsed().as_millis()).unwrap() * PER_S / 1_000;
        (passed, PER_S + flowed_in + 1)
    }
}

/// Asks until told to stop; says how often that passed and how often it was refused.
async fn grab(api: &Api, stopping: &AtomicBool) -> (u32, u32) {
    let (mut passed, mut refused) = (0, 0);
    while !stopping.load(Ordering::SeqCst) {
        // What needs no database: how busy that is says nothing of the limit.
        match api.get("/v1/event-types").await {
            reply if reply.status == 200 => passed += 1,
            // A machine that is busy otherwise: the pool is for those who pay.
            reply if reply.code() == "database-busy" => {}
            reply => {
                let told = reply.headers.contains_key("retry-after") && reply.headers.contains_key("ratelimit");
                reply.expect_problem(429, "rate-limited");
                assert!(told, "a refusal says when to come back");
                refused += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    (passed, refused)
}

/// How long requests to both nodes take, the slowest of a hundred left out.
async fn p99(pair: &Pair) -> Duration {
    let mut took = Vec::new();
    for turn in 0..300 {
        let api = pair.nodes[turn % 2].api(&pair.watcher);
        let began = Instant::now();
        api.get("/v1/hook-endpoints").await.expect(200);
        took.push(began.elapsed());
    }
    took.sort();
    took[took.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f08_a_redis_that_stands_still_blocks_no_request() {
    let redis = Redis::start();
    let pair = Pair::start(&[("REDIS_URL", &redis.url())]).await;
    pair.redis_is("up").await;
    let load = pair.load().await;
    load.more(100, GOES_ON).await;
    let usual = p99(&pair).await;

    redis.signal(Signal::STOP);
    let stopped = p99(&pair).await;
    pair.redis_is("down").await;
    let away = p99(&pair).await;
    load.more(100, GOES_ON).await;
    // On a machine that is busy by itself, no slower than it was.
    assert!(stopped.max(away) <= UNBLOCKED.max(usual * 3), "{usual:?}, then {stopped:?} and {away:?}");

    redis.signal(Signal::CONT);
    pair.redis_is("up").await;
    pair.settle(load).await;
}

/// What each node would let pass alone is what two let pass together, and a little.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_has_its_limit_once_for_all_nodes_where_there_is_a_redis() {
    let redis = Redis::start();
    let pair = Pair::start(&[("REDIS_URL", &redis.url()), ("TESSERA_LIMITS", READS)]).await;
    pair.redis_is("up").await;
    let greedy = pair.world.client(&[Scope::HooksRead]);
    let both = pair.nodes.each_ref().map(|node| Greedy::start(node.api(&greedy)));
    tokio::time::sleep(Duration::from_secs(6)).await;
    let [first, second] = both;
    let ((one, alone), (other, _)) = (first.stop().await, second.stop().await);
    // At once, each node lets pass what it has; from then on they know of each other.
    let shared = alone + PER_S;
    assert!(one + other <= shared * 5 / 4, "{one} and {other} passed; one node lets {alone} pass");
    assert!(one.min(other) >= alone / 4, "no node is shut: {one} and {other}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f31_a_redis_killed_flushed_and_restarted_empty_moves_no_money_and_opens_no_limit() {
    let mut redis = Redis::start();
    let pair = Pair::start(&[("REDIS_URL", &redis.url()), ("TESSERA_LIMITS", READS)]).await;
    pair.redis_is("up").await;
    let load = pair.load().await;
    let greedy = pair.world.client(&[Scope::HooksRead]);
    let both = pair.nodes.each_ref().map(|node| Greedy::start(node.api(&greedy)));
    for _ in 0..2 {
        load.more(50, GOES_ON).await;
        redis.kill();
        pair.redis_is("down").await;
        load.more(50, GOES_ON).await;
        redis.kill_and_restart();
        pair.redis_is("up").await;
        for _ in 0..20 {
            assert!(redis.command(&["FLUSHALL"]).starts_with("+OK") || redis.command(&["DBSIZE"]).starts_with(':'));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    redis.kill();
    pair.redis_is("down").await;
    assert_refused_soon(&pair, Duration::from_millis(1_500), |pair, key| pair.world.revoke(key)).await;
    for greedy in both {
        let (passed, alone) = greedy.stop().await;
        assert!(passed <= alone, "{passed} passed where {alone} may");
        assert!(passed >= alone / 4, "{passed} passed: the node was shut");
    }
    pair.settle(load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f32_what_a_lying_redis_says_moves_no_money_opens_no_limit_and_shuts_no_node() {
    let redis = Redis::start();
    let proxy = LyingRedis::start(&redis).await;
    let pair = Pair::start(&[("REDIS_URL", &proxy.url()), ("TESSERA_LIMITS", READS)]).await;
    pair.redis_is("up").await;
    let load = pair.load().await;
    let greedy = pair.world.client(&[Scope::HooksRead]);
    let both = pair.nodes.each_ref().map(|node| Greedy::start(node.api(&greedy)));
    for lie in [Lie::Garbage, Lie::WrongType, Lie::Huge, Lie::Silence] {
        let before = proxy.told();
        proxy.lie(lie);
        load.more(50, GOES_ON).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        eventually_async("the lie is told", NOTICED, async || (proxy.told() > before + 3).then_some(())).await;
        proxy.lie(Lie::Truth);
        pair.redis_is("up").await;
    }
    // Counters that are no counters, and news that is no news, too much of it, or not true.
    for name in redis.command(&["KEYS", "tessera:spent:*"]).lines().filter(|line| line.starts_with("tessera")) {
        redis.command(&["DEL", name]);
        redis.command(&["LPUSH", name, "x"]);
    }
    let prefix = greedy.key.split('_').nth(1).unwrap();
    for n in 0..500 {
        redis.command(&["PUBLISH", "tessera:news", &format!("\"1 key {prefix}\"")]);
        redis.command(&["PUBLISH", "tessera:news", &format!("\"1 config {n} {}\"", "x".repeat(n))]);
    }
    pair.redis_is("up").await;
    for greedy in both {
        let (passed, alone) = greedy.stop().await;
        assert!(passed <= alone, "{passed} passed where {alone} may");
        assert!(passed >= alone / 4, "{passed} passed where {alone} may: the node was shut");
    }
    pair.settle(load).await;
}

/// Uses a new key at both nodes, ends it, and waits until both refuse it; says how long after its end the last request
/// came in that still passed.
async fn refused_after(pair: &Pair, revoke: impl FnOnce(&Pair, &str)) -> Duration {
    let client = pair.world.client(&[Scope::HooksRead]);
    let apis = pair.nodes.each_ref().map(|node| node.api(&client));
    for api in &apis {
        for _ in 0..3 {
            api.get("/v1/hook-endpoints").await.expect(200);
        }
    }
    tokio::task::block_in_place(|| revoke(pair, &client.key));
    let (revoked, mut passed) = (Instant::now(), Duration::ZERO);
    for api in &apis {
        eventually_async("the key is refused", NOTICED, async || {
            let asked = revoked.elapsed();
            let is_refused = api.get("/v1/hook-endpoints").await.status == 401;
            if !is_refused {
                passed = passed.max(asked);
            }
            is_refused.then_some(())
        })
        .await;
    }
    for api in &apis {
        api.get("/v1/hook-endpoints").await.expect_problem(401, "unauthenticated");
    }
    passed
}

async fn assert_refused_soon(pair: &Pair, within: Duration, revoke: impl FnOnce(&Pair, &str)) {
    let passed = refused_after(pair, revoke).await;
    assert!(passed < within, "passed after {passed:?}");
}

fn revoke_by_command(pair: &Pair, key: &str, env: &[(&str, &str)]) {
    let prefix = key.split('_').nth(1).unwrap();
    let mut command = tessera(&["keys", "revoke", "--tenant", "acme", prefix]);
    command.env("DATABASE_URL", pair.db.url()).env("DATABASE_OWNER_URL", pair.db.owner_url());
    let output = command.envs(env.iter().copied()).run();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_is_refused_by_every_node_within_a_second_with_redis_or_without() {
    let redis = Redis::start();
    let url = redis.url();
    let env = [("REDIS_URL", url.as_str())];
    let pair = Pair::start(&env).await;
    pair.redis_is("up").await;
    let mut took = Vec::new();
    for _ in 0..7 {
        took.push(refused_after(&pair, |pair, key| revoke_by_command(pair, key, &env)).await);
    }
    took.sort();
    assert!(took[6] < Duration::from_secs(1), "{took:?}");
    assert!(took[3] < Duration::from_millis(300), "the news came: {took:?}");

    // Nodes that are told nothing look again after a second at the most; the rest is the time to ask them.
    assert_refused_soon(&pair, Duration::from_millis(1_500), |pair, key| revoke_by_command(pair, key, &[])).await;
}

/// A rule that one node publishes decides at another: at once where there is a Redis, within a second by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_changed_others_look_up_at_once() {
    let redis = Redis::start();
    let pair = Pair::start(&[("REDIS_URL", &redis.url())]).await;
    pair.redis_is("up").await;
    let shop = pair.world.shop("shop", Rewards::PLENTY).await;
    let nodes = pair.nodes.each_ref().map(|node| node.api(&pair.world.api));
    let quote = json!({"merchant": shop.merchant, "amount": eur(10_000)});
    let version = async |node: &Api| {
        let quote = node.post("/v1/quotes", &quote).await.expect(200);
        quote["rewards"][0]["rule_version"].as_i64().unwrap()
    };
    let mut took = Vec::new();
    for next in 2..9 {
        let (changes, asked) = if next % 2 == 0 { (&nodes[0], &nodes[1]) } else { (&nodes[1], &nodes[0]) };
        eventually_async("both know the last", Duration::from_secs(3), async || {
            (version(asked).await == next - 1).then_some(())
        })
        .await;
        let rule = json!({"cashback_bps": 200 + next, "points_per_euro": 1});
        changes.post(&format!("/v1/campaigns/{}/rules", shop.campaign), &rule).await.expect(201);
        let changed = Instant::now();
        eventually_async("the change is seen", Duration::from_secs(3), async || {
            (version(asked).await == next).then_some(())
        })
        .await;
        took.push(changed.elapsed());
    }
    took.sort();
    assert!(took[6] < Duration::from_millis(1_500), "{took:?}");
    assert!(took[3] < Duration::from_millis(200), "the news came: {took:?}");
}

/// I2: what may wait behind money never takes the connections that money needs, and is turned away instead of queued.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f33_when_the_pool_is_exhausted_reads_are_turned_away_and_money_and_health_go_on() {
    let pair = Pair::start(&[]).await;
    let anna = pair.world.customer("anna").await;
    let load = pair.load().await;
    load.more(100, GOES_ON).await;

    // Everybody who reads a card now waits for the server, and holds a connection of the pool.
    let mut holder = PgConnection::establish(&pair.db.super_url()).unwrap();
    holder.batch_execute("BEGIN; LOCK TABLE customer_card IN ACCESS EXCLUSIVE MODE").unwrap();
    let (path, readers) = (format!("/v1/customers/{anna}/card"), Readers::default());
    let all: Vec<_> =
        (0..40).map(|_| tokio::spawn(readers.clone().read(pair.nodes[0].api(&pair.watcher), path.clone()))).collect();
    // The first burst may wait; from then on there is a queue, and nobody joins it for long.
    eventually_async("the pool is exhausted", NOTICED, async || (readers.turned_away().len() > 40).then_some(())).await;
    let first = readers.turned_away().len();
    for path in ["/livez", "/readyz"].repeat(20) {
        pair.nodes[0].api(&pair.watcher).get(path).await.expect(200);
    }
    load.more(50, GOES_ON).await;
    eventually_async("it still is", NOTICED, async || (readers.turned_away().len() > first + 100).then_some(())).await;
    holder.batch_execute("COMMIT").unwrap();
    readers.stop.store(true, Ordering::SeqCst);
    join_all(all).await.into_iter().for_each(Result::unwrap);

    // Whoever waits out a burst waits a second; where there is a queue nobody joins it, so much as a busy machine shows it.
    let mut away = readers.turned_away().split_off(first);
    away.sort();
    let soon = away[away.len() / 10];
    assert!(soon < UNBLOCKED * 3, "turned away after {soon:?} at the soonest");
    pair.world.api.get(&path).await.expect(200);
    pair.settle(load).await;
}

/// Who reads again and again, and how long each waited who was turned away.
#[derive(Default, Clone)]
struct Readers {
    stop: Arc<AtomicBool>,
    turned_away: Arc<Mutex<Vec<Duration>>>,
}

impl Readers {
    fn turned_away(&self) -> Vec<Duration> {
        self.turned_away.lock().unwrap().clone()
    }

    async fn read(self, api: Api, path: String) {
        while !self.stop.load(Ordering::SeqCst) {
            let asked = Instant::now();
            let reply = api.get(&path).await;
            assert!(reply.status == 200 || reply.status == 503, "{} {}", reply.status, reply.code());
            if reply.code() == "database-busy" {
                self.turned_away.lock().unwrap().push(asked.elapsed());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// When the writer stands still, new money commands are turned away at the door instead of waiting their time out, and all
/// that was taken in comes to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_stands_still_is_not_joined() {
    let pair = Pair::start(&[("TESSERA_LIMITS", "patience-ms=100")]).await;
    let load = pair.load().await;
    load.more(100, GOES_ON).await;
    let mut holder = PgConnection::establish(&pair.db.super_url()).unwrap();
    holder.batch_execute("BEGIN; LOCK TABLE journal.record IN ACCESS EXCLUSIVE MODE").unwrap();
    let shed = eventually_async("requests are turned away", NOTICED, async || {
        let body = json!({"customer": fresh_key(), "amount": eur(1), "rail": "card"});
        let mut api = pair.world.api.clone();
        api.patience = Duration::from_secs(1);
        let reply = api.try_post_as(fresh_key(), "/v1/top-ups", &body).await.ok()?;
        (reply.code() == "overloaded").then_some(reply)
    })
    .await;
    assert!(shed.headers.contains_key("retry-after"));
    assert!(pair.node(0).await["shed"].as_u64() > Some(0));
    assert_eq!(pair.world.api.get("/livez").await.status, 200);
    holder.batch_execute("COMMIT").unwrap();
    load.more(100, GOES_ON).await;
    pair.settle(load).await;
}
