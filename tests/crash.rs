//! Nodes that die: at any moment, at each named point of a commit, and by a panic of the writer.
//!
//! Every test is loaded when it is hit, counts what it hit, and fails itself when nothing was under way. The instants are
//! drawn from a seed that is printed; `TESSERA_TEST_SEED` draws the same ones again.

use std::time::{Duration, Instant};

use tessera_tests::{Dice, Ground, HEALED, Point, Scene, eventually_async, run_sql};

/// A node's lease ends by itself three seconds after its death; tests that kill many cannot wait for each.
pub const LEASE_ENDS: &str = "UPDATE journal.lease SET expires_at = clock_timestamp()";

/// Batches of two or more go through the pipe, as they would with hundreds of callers.
pub const PIPED: (&str, &str) = ("TESSERA_STOP_PIPE_FROM", "2");

/// F1: the only node is killed at random instants, and started again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f01_a_node_killed_at_any_instant_comes_back_and_nothing_is_lost() {
    let mut dice = Dice::thrown("f01");
    let mut scene = Scene::start(Ground::durable().database(), 1, &[PIPED]).await;
    let mut worst = Duration::ZERO;
    for round in 0..3 {
        let under_way = scene.load().await.broken_off();
        dice.moment(Duration::from_millis(400)).await;
        let killed = Instant::now();
        scene.kill(0);
        scene.add();
        scene.load().await.more(1, HEALED).await;
        worst = worst.max(killed.elapsed());
        let load = scene.load().await;
        assert!(load.broken_off() > under_way, "round {round}: nothing was under way when the node was killed");
        load.more(50, HEALED).await;
    }
    let tally = scene.assert_laws().await;
    eprintln!("f01: 3 kills, {} calls broken off, served again at worst {worst:?} after", tally.broken_off());
}

/// F2: a node is killed at each named point, several times each: what the point says has happened, has, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f02_a_node_killed_at_any_point_of_a_commit_leaves_all_of_it_or_nothing() {
    kill_at_every_point(2, &[&Point::LEADING[..], &Point::TAKEOVER].concat(), &[]).await;
}

/// The same of batches of which one is written while the other is committed: what is laid and not landed never was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f02_a_node_killed_with_a_batch_behind_another_leaves_each_of_them_whole_or_not_at_all() {
    kill_at_every_point(2, &Point::PIPED, &[PIPED]).await;
}

/// The same, as often as the fault matrix asks for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make rounds"]
async fn f02_ten_times_at_every_point() {
    kill_at_every_point(10, &[&Point::LEADING[..], &Point::TAKEOVER].concat(), &[]).await;
    kill_at_every_point(10, &Point::PIPED, &[PIPED]).await;
}

async fn kill_at_every_point(times: u64, points: &[Point], environment: &[(&str, &str)]) {
    let mut dice = Dice::thrown("f02");
    let mut scene = Scene::start(Ground::durable().database(), 1, environment).await;
    let mut failed = 0;
    for point in points.iter().copied() {
        for _ in 0..times {
            scene.load().await;
            if matches!(point, Point::TakeoverUncommitted | Point::TakeoverCommitted) {
                kill_taking_over(&mut scene, point).await;
            } else {
                kill_at(&mut scene, point, &mut dice).await;
            }
            run_sql(&scene.db.super_url(), LEASE_ENDS);
            scene.add();
            scene.load().await.more(20, HEALED).await;
            let before = std::mem::replace(&mut failed, scene.load().await.failed());
            assert!(failed > before, "{point:?}: nobody noticed");
        }
    }
    let tally = scene.assert_laws().await;
    assert!(tally.broken_off() >= times, "nothing was under way");
    eprintln!("f02: {} points, {times} times each, {} calls broken off", points.len(), tally.broken_off());
}

/// Kills the node where it comes to this point next, or a few times later.
pub async fn kill_at(scene: &mut Scene<'_>, point: Point, dice: &mut Dice) {
    let mut hit = scene.part(0);
    hit.proxy.kill_at(point, u32::try_from(dice.below(6)).unwrap());
    let status = hit.node.wait_until_ended();
    assert_eq!(hit.proxy.struck(point), 1, "{point:?}: {status}: {}", hit.node.log());
}

/// Kills the node, and then the one that takes over from it.
async fn kill_taking_over(scene: &mut Scene<'_>, point: Point) {
    scene.kill(0);
    run_sql(&scene.db.super_url(), LEASE_ENDS);
    let door = scene.door();
    door.proxy.kill_at(point, 0);
    let mut hit = door.push();
    let status = hit.wait_until_ended();
    assert_eq!(door.proxy.struck(point), 1, "{point:?}: {status}: {}", hit.log());
}

/// F34: the writer panics with a decided batch in its hands, again and again. Its state is rebuilt each time, from rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f34_a_writer_that_panics_is_rebuilt_from_what_is_written() {
    let panics = [("TESSERA_STOP_BY_PANIC_EVERY", "60"), PIPED];
    let mut scene = Scene::start(Ground::fast().database(), 1, &panics).await;
    let terms =
        async |scene: &Scene<'_>| Some(scene.said(0).await?["terms"].as_u64().unwrap()).filter(|terms| *terms > 3);
    scene.load().await;
    eventually_async("three panics", HEALED, async || terms(&scene).await).await;
    let tally = scene.assert_laws().await;
    let panicked = scene.nodes[0].node.log().matches("panicking before a batch is sent").count();
    assert!(panicked >= 3 && tally.saw("503 outcome-unknown") >= 3, "{panicked} panics: {:?}", tally.others);
    eprintln!("f34: {panicked} panics, {:?}", tally.others);
}
