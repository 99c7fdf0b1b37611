//! Slots: the journals of several tenants, written by several nodes at once, and shared out again whenever nodes or
//! slots come and go. Whatever moves under load, acknowledged is what the books say.

use std::time::Duration;

use rustix::process::Signal;
use tessera_tests::{
    Ground, Inbox, Load, NodeProcess, Rewards, TestDb, World, eventually, eventually_async, rows, tessera,
};

/// A lease runs out after 3 s, a slot that nobody else wants is left free for 2 s; tests share their cores.
const SHARED: Duration = Duration::from_secs(30);
/// Customers of each tenant that pay at once.
const CLIENTS: usize = 2;

fn make_slots(db: &TestDb<'_>, count: &str) {
    let (url, owner) = (db.url(), db.owner_url());
    let run = tessera(&["slots", count]).env("DATABASE_URL", url).env("DATABASE_OWNER_URL", owner).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

/// How many slots each of these nodes leads, in their order; none while not every slot is led.
fn led_by(db: &TestDb<'_>, nodes: &[&NodeProcess]) -> Option<Vec<usize>> {
    let held = rows(&db.url(), "SELECT address FROM journal.lease WHERE expires_at > clock_timestamp()");
    let all = rows(&db.url(), "SELECT slot FROM journal.lease");
    let leads = |node: &&NodeProcess| {
        let address = format!("http://{}", node.authority());
        held.iter().filter(|row| row[0].as_ref() == Some(&address)).count()
    };
    (held.len() == all.len()).then(|| nodes.iter().map(leads).collect())
}

fn wait_until_led(db: &TestDb<'_>, nodes: &[&NodeProcess], shares: &[usize]) {
    eventually("the slots are shared", SHARED, || led_by(db, nodes).filter(|led| led == shares));
}

fn start(db: &TestDb<'_>) -> NodeProcess {
    NodeProcess::start(db, &[("TESSERA_ALLOW_PRIVATE_HOOKS", "true")])
}

/// Load on every tenant, at both nodes, and a receiver of each tenant's hooks.
async fn load(worlds: &[World], nodes: &[&NodeProcess]) -> (Vec<Load>, Vec<Inbox>) {
    let authorities: Vec<_> = nodes.iter().map(|node| node.authority()).collect();
    let (mut loads, mut inboxes) = (Vec::new(), Vec::new());
    for world in worlds {
        inboxes.push(Inbox::start(world).await);
        let shop = world.shop("shop", Rewards::PLENTY).await;
        loads.push(Load::start(world, shop, &authorities, CLIENTS).await);
    }
    (loads, inboxes)
}

async fn more(loads: &[Load], acknowledgements: u64) {
    for load in loads {
        load.more(acknowledgements, SHARED).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_are_shared_by_the_nodes_there_are_and_nothing_is_lost_while_they_move() {
    let db = Ground::fast().database();
    let first = start(&db);
    let worlds = ["acme", "bravo", "corso", "duomo"].map(|slug| World::new(&db.url(), &first.authority(), slug));
    wait_until_led(&db, &[&first], &[1]);
    let second = start(&db);
    let (loads, inboxes) = load(&worlds, &[&first, &second]).await;
    more(&loads, 20).await;

    make_slots(&db, "4");
    wait_until_led(&db, &[&first, &second], &[2, 2]);
    more(&loads, 20).await;
    let seen = first.api(&worlds[0].api).get("/v1/node").await.expect(200);
    assert_eq!((&seen["slots"], &seen["slots_led"]), (&4.into(), &2.into()));

    let broken_off = || loads.iter().map(Load::broken_off).sum::<u64>();
    let before = broken_off();
    second.signal(Signal::KILL);
    wait_until_led(&db, &[&first], &[4]);
    more(&loads, 20).await;
    assert!(broken_off() > before, "nothing was under way when a node was killed");

    let third = start(&db);
    for load in &loads {
        load.ask(&[first.authority(), third.authority()]);
    }
    // What was taken because nobody else did is kept for a minute; whoever goes leaves it at once.
    first.signal(Signal::TERM);
    wait_until_led(&db, &[&third], &[4]);
    more(&loads, 20).await;

    make_slots(&db, "1");
    wait_until_led(&db, &[&third], &[1]);
    more(&loads, 20).await;

    let mut epochs = Vec::new();
    for (place, ((world, load), inbox)) in worlds.iter().zip(loads).zip(inboxes).enumerate() {
        let tally = load.stop().await;
        tally.assert_equals_books(&db.url());
        inbox.assert_told(&tally.payments()).await;
        if place == 0 {
            tally.assert_stable(&third.authority()).await;
        }
        let world = World { api: third.api(&world.api), ..world.clone() };
        world.assert_whole();
        let sql = format!("SELECT count(DISTINCT epoch) FROM journal.batch WHERE journal = {}", world.tenant);
        epochs.push(rows(&db.url(), &sql)[0][0].as_ref().unwrap().parse::<i64>().unwrap());
    }
    assert!(epochs.iter().all(|epochs| *epochs >= 4), "every journal was written under several leaders: {epochs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_more_than_its_share_gives_slots_up_to_one_that_comes() {
    let db = Ground::fast().database();
    make_slots(&db, "2");
    let first = start(&db);
    let worlds = ["acme", "bravo"].map(|slug| World::new(&db.url(), &first.authority(), slug));
    wait_until_led(&db, &[&first], &[2]);
    let (loads, inboxes) = load(&worlds, &[&first]).await;
    more(&loads, 20).await;
    let second = start(&db);
    wait_until_led(&db, &[&first, &second], &[1, 1]);
    more(&loads, 20).await;
    let ready = eventually_async("ready", SHARED, async || {
        second.api(&worlds[0].api).get("/readyz").await.status.eq(&200).then_some(())
    });
    ready.await;
    for ((world, load), inbox) in worlds.iter().zip(loads).zip(inboxes) {
        let tally = load.stop().await;
        inbox.assert_told(&tally.payments()).await;
        assert_eq!(tally.saw("503 outcome-unknown"), 0, "a slot moves in good order: {:?}", tally.others);
        tally.assert_equals_books(&db.url());
        world.assert_whole();
    }
}

#[test]
fn more_slots_than_cores_could_serve_are_refused() {
    let db = Ground::fast().database();
    for count in ["0", "-1", "100000"] {
        let args = ["slots", "--", count];
        let run =
            tessera(&args).env("DATABASE_URL", db.url()).env("DATABASE_OWNER_URL", db.owner_url()).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(run.status.code() == Some(1) && said.contains("there can be 1 to"), "{said}");
    }
    assert_eq!(rows(&db.url(), "SELECT slot FROM journal.lease").len(), 1);
}
