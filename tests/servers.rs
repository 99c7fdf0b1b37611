//! A PostgreSQL that dies, or falls asleep, under nodes that live on. Each test has a durable server of its own to kill.

use std::time::{Duration, Instant};

use diesel::sql_types::Bool;
use diesel::{Connection, PgConnection, RunQueryDsl};
use rustix::process::Signal;
use tessera_tests::{Dice, Ground, HEALED, Point, Run, Scene, eventually_async, rows, signal_process};

use crate::crash::PIPED;

/// The longest a request may take while the database hangs: its turn (5 s), and its other database work (5 s each).
const OUTER_DEADLINE: Duration = Duration::from_secs(20);

/// So often a test strikes until it has struck a batch; between the look and the blow one may have ended.
const MOST_TRIES: u32 = 12;

/// The session of the writer that leads, as PostgreSQL knows it.
fn writers_backend(scene: &Scene<'_>) -> i32 {
    let found = rows(&scene.db.super_url(), "SELECT session_pids[1] AS pid FROM journal.lease");
    found[0][0].as_ref().unwrap().parse().unwrap()
}

/// Waits until the writer's backend is seen posting a batch, and says which it is.
fn caught_posting(scene: &Scene<'_>) -> i32 {
    let backend = writers_backend(scene);
    let text = format!(
        "(SELECT state = 'active' AND query LIKE '%journal.head(%journal.rows(%' FROM pg_stat_activity WHERE pid = {backend})"
    );
    let mut conn = PgConnection::establish(&scene.db.super_url()).unwrap();
    let look = diesel::dsl::sql::<Bool>(&text);
    let until = Instant::now() + HEALED;
    while !diesel::select(look.clone()).get_result::<bool>(&mut conn).unwrap() {
        assert!(Instant::now() < until, "the writer posts nothing");
    }
    backend
}

/// How many batches the first node has sent that the database never acknowledged.
fn batches_hit(scene: &Scene<'_>) -> usize {
    scene.nodes[0].node.log().matches("a batch was not acknowledged").count()
}

/// F3: one backend is killed in the middle of a batch, and PostgreSQL drops all sessions and recovers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f03_a_killed_backend_costs_every_session_and_no_payment() {
    let ground = Ground::own("f03");
    let mut scene = Scene::start(ground.database(), 1, &[]).await;
    let (mut before, mut kills) = (None, 0);
    while kills < 3 || batches_hit(&scene) == 0 {
        kills += 1;
        assert!(kills <= MOST_TRIES, "no batch was under way");
        let failed = scene.load().await.failed();
        signal_process(caught_posting(&scene), Signal::KILL);
        scene.noticed(failed).await;
        scene.load().await.more(100, HEALED).await;
        before = before.or(Some(scene.footprint(0)));
    }
    let hit = batches_hit(&scene);
    let tally = scene.assert_laws().await;
    scene.assert_no_growth(0, before.unwrap()).await;
    eprintln!("f03: {kills} backends killed, {hit} batches hit, {:?}", tally.others);
}

/// F4: the postmaster is killed, and somebody starts it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f04_a_killed_postmaster_comes_back_with_all_that_was_acknowledged() {
    stop_server("f04", Signal::KILL, 2).await;
}

/// F5: PostgreSQL is told to drop everything, again and again, and recovers each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f05_an_immediate_shutdown_loses_nothing_that_was_acknowledged() {
    stop_server("f05", Signal::QUIT, 2).await;
}

/// F4 at a point of a commit, one of each sort of batch: what the point says has happened, has, and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f04_a_postmaster_killed_at_any_point_of_a_commit_leaves_all_of_it_or_nothing() {
    let mut dice = Dice::thrown("f04");
    let (one, piped) = (dice.pick(&Point::LEADING), dice.pick(&Point::PIPED));
    kill_server_at_points("f04-one", &[one], &[]).await;
    kill_server_at_points("f04-piped", &[piped], &[PIPED]).await;
}

/// The same, ten times at every point.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make rounds"]
async fn f04_ten_times_at_every_point() {
    kill_server_at_points("f04-ten", &Point::LEADING.repeat(10), &[]).await;
    kill_server_at_points("f04-ten-piped", &Point::PIPED.repeat(10), &[PIPED]).await;
}

async fn kill_server_at_points(name: &'static str, points: &[Point], environment: &[(&str, &str)]) {
    let ground = Ground::own(name);
    let mut scene = Scene::start(ground.database(), 1, environment).await;
    for point in points {
        kill_server_at(&mut scene, &ground, *point).await;
    }
    let tally = scene.assert_laws().await;
    eprintln!("f04: {} kills at {points:?}, {:?}", points.len(), tally.others);
}

/// Kills the postmaster when the node comes to this point next, and starts the server again.
pub async fn kill_server_at(scene: &mut Scene<'_>, ground: &Ground, point: Point) {
    let proxy = scene.nodes[0].proxy.clone();
    let (before, failed) = (proxy.struck(point), scene.load().await.failed());
    proxy.kill_server_at(point, i32::try_from(ground.cluster().pid()).unwrap());
    let struck = async || (proxy.struck(point) > before).then_some(());
    eventually_async("the node comes to the point", HEALED, struck).await;
    scene.noticed(failed).await;
    ground.cluster().restart().unwrap();
    scene.load().await.more(20, HEALED).await;
}

async fn stop_server(name: &'static str, signal: Signal, rounds: u32) {
    let ground = Ground::own(name);
    let mut scene = Scene::start(ground.database(), 1, &[]).await;
    let (mut before, mut stops) = (None, 0);
    while stops < rounds || batches_hit(&scene) == 0 {
        stops += 1;
        assert!(stops <= MOST_TRIES, "no batch was under way");
        let failed = scene.load().await.failed();
        let pid = i32::try_from(ground.cluster().pid()).unwrap();
        caught_posting(&scene);
        signal_process(pid, signal);
        scene.noticed(failed).await;
        ground.cluster().restart().unwrap();
        scene.load().await.more(100, HEALED).await;
        before = before.or(Some(scene.footprint(0)));
    }
    let hit = batches_hit(&scene);
    let tally = scene.assert_laws().await;
    scene.assert_no_growth(0, before.unwrap()).await;
    let checked = check_pages(&ground, &scene);
    eprintln!("{name}: {stops} stops, {hit} batches hit, {:?}; pages {checked}", tally.others);
}

/// R7, of the pages themselves: every table and index hangs together.
fn check_pages(ground: &Ground, scene: &Scene<'_>) -> &'static str {
    let Ok(program) = ground.cluster().tools().program("pg_amcheck") else { return "not checked: no pg_amcheck here" };
    let offered = "SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'";
    if rows(&scene.db.super_url(), offered).is_empty() {
        return "not checked: the server has no amcheck";
    }
    let mut check = std::process::Command::new(program);
    let done = check.args(["--install-missing", "--heapallindexed"]).arg(scene.db.super_url()).run();
    assert!(done.status.success(), "{done:?}");
    "checked"
}

/// F6: the writer's backend falls asleep, maybe in the middle of a commit. Callers are told within their deadline, reads
/// are answered, and when it wakes nothing that was declared unknown has come out in two ways.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f06_a_backend_that_sleeps_holds_nobody_for_ever() {
    let ground = Ground::own("f06");
    let mut scene = Scene::start(ground.database(), 2, &[]).await;
    scene.load().await;
    let before = [scene.footprint(0), scene.footprint(1)];
    for _ in 0..2 {
        let failed = scene.load().await.failed();
        let backend = caught_posting(&scene);
        signal_process(backend, Signal::STOP);
        scene.noticed(failed).await;
        for at in 0..2 {
            let read = tokio::time::timeout(OUTER_DEADLINE, scene.api(at).try_get("/v1/node")).await;
            assert!(read.expect("an answer within the deadline").is_ok());
        }
        signal_process(backend, Signal::CONT);
        scene.load().await.more(100, HEALED).await;
    }
    let tally = scene.assert_laws().await;
    for (at, before) in before.into_iter().enumerate() {
        scene.assert_no_growth(at, before).await;
    }
    eprintln!("f06: 2 sleeps, {:?}", tally.others);
}

/// F6: all sessions of a node fall asleep, and it is asked to go. It goes, and what it left is taken up by the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f06_a_node_asked_to_go_does_not_wait_for_sessions_that_sleep() {
    let ground = Ground::own("f06-going");
    let mut scene = Scene::start(ground.database(), 1, &[]).await;
    scene.load().await;
    let sessions = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = 'tessera_app'";
    let sessions: Vec<i32> =
        rows(&scene.db.super_url(), sessions).iter().map(|row| row[0].as_ref().unwrap().parse().unwrap()).collect();
    let mut hanging = scene.part(0);
    sessions.iter().for_each(|pid| signal_process(*pid, Signal::STOP));
    hanging.node.signal(Signal::TERM);
    let status = hanging.node.wait_until_ended();
    let log = hanging.node.log();
    assert!(status.success() && log.contains("is left behind: the database hangs"), "{status}: {log}");
    sessions.iter().for_each(|pid| signal_process(*pid, Signal::CONT));
    scene.add();
    scene.load().await.more(100, HEALED).await;
    scene.assert_laws().await;
}
