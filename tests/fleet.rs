//! Three nodes under load, which are killed, put to sleep and restarted in turn.

use rustix::process::Signal;
use tessera_tests::{Ground, HEALED, Scene};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_outlive_a_kill_a_sleep_and_a_rolling_restart() {
    let mut scene = Scene::start(Ground::fast().database(), 3, &[]).await;
    let broken_off = scene.load().await.broken_off();
    let leader = scene.leader().await;
    scene.kill(leader);
    scene.leader().await;
    scene.load().await.more(100, HEALED).await;
    assert!(scene.load().await.broken_off() > broken_off, "nothing was under way when the leader was killed");
    scene.add();

    let asleep = scene.leader().await;
    scene.nodes[asleep].node.signal(Signal::STOP);
    scene.leader_but(Some(asleep)).await;
    scene.load().await.more(100, HEALED).await;
    scene.nodes[asleep].node.signal(Signal::CONT);

    for _ in 0..3 {
        let mut going = scene.part(0);
        going.node.signal(Signal::TERM);
        assert!(going.node.wait_until_ended().success(), "{}", going.node.log());
        scene.add();
        scene.load().await.more(50, HEALED).await;
    }
    let tally = scene.assert_laws().await;
    eprintln!("three nodes: {} acknowledged, {:?}", tally.acknowledged.len(), tally.others);
}
