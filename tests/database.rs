//! The database killed under load: nothing acknowledged is lost, nothing unknown is guessed.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tessera_tests::{Ground, Load, NodeProcess, Rewards, World, eventually_async};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_killed_under_load_leaves_every_outcome_to_be_found_by_its_key() {
    let ground = Ground::own("killed");
    let db = ground.database();
    let node = NodeProcess::start(&db, &[]);
    let world = World::new(&db.url(), &node.authority(), "acme");
    eventually_async("the node leads", Duration::from_secs(20), async || {
        (world.api.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    let shop = world.shop("shop", Rewards { budget: 500, ..Rewards::PLENTY }).await;
    let load = Load::start(&world, shop, &[node.authority()], 32).await;

    for _ in 0..3 {
        load.more(200, Duration::from_secs(30)).await;
        let postmaster = Pid::from_raw(i32::try_from(ground.cluster().pid()).unwrap()).unwrap();
        kill_process(postmaster, Signal::KILL).unwrap();
        eventually_async("the node says it is not ready", Duration::from_secs(20), async || {
            (world.api.get("/readyz").await.status == 503).then_some(())
        })
        .await;
        assert_eq!(world.api.get("/livez").await.status, 200, "the process itself is well");
        tokio::task::block_in_place(|| ground.cluster().restart().unwrap());
    }
    load.more(200, Duration::from_secs(30)).await;

    let tally = load.stop().await;
    assert!(!tally.others.is_empty(), "the load noticed nothing");
    tally.assert_equals_books(&db.url());
    tally.assert_stable(&node.authority()).await;
    world.assert_whole();
}
