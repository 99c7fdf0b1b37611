//! What lies between a node and its database, misbehaving; and nodes that come and go under load.
//!
//! Every test is loaded when it is hit, counts the hits, and fails itself when there were none.

use rustix::process::Signal;
use tessera_tests::{Dice, Fault, Ground, HEALED, Point, Scene, eventually_async};

/// A leading node whose way to the database misbehaves until that has hit a few times; then all goes on.
async fn strike(fault: Fault, nodes: usize) {
    let mut scene = Scene::start(Ground::fast().database(), nodes, &[]).await;
    let failed = scene.load().await.failed();
    let proxy = scene.nodes[0].proxy.clone();
    proxy.set(fault);
    eventually_async("the fault strikes", HEALED, async || (proxy.hits() >= 4).then_some(())).await;
    if nodes > 1 {
        scene.load().await.more(100, HEALED).await; // another goes on while it lasts
        assert_eq!(scene.leader_but(Some(0)).await, 1);
    }
    // What was hit first may have been sessions that nobody waits for.
    let load = scene.load().await;
    eventually_async("the load notices", HEALED, async || (load.failed() > failed).then_some(())).await;
    proxy.set(Fault::None);
    scene.load().await.more(200, HEALED).await;
    let tally = scene.assert_laws().await;
    eprintln!("{fault:?}: {} hits, {:?}", proxy.hits(), tally.others);
}

/// F22: the commit was sent and done, and the connection is cut before its answer. The node asks the books what became of
/// it: whatever callers are told is true, and mostly they are told that it was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f22_a_commit_whose_answer_is_cut_off_is_resolved_by_its_key() {
    let mut dice = Dice::thrown("f22");
    let mut scene = Scene::start(Ground::fast().database(), 1, &[]).await;
    let proxy = scene.nodes[0].proxy.clone();
    for cuts in 1..=2 {
        scene.load().await.more(50, HEALED).await;
        proxy.cut_at(Point::PostingCommitted, u32::try_from(dice.below(10)).unwrap());
        let is_cut = async || (proxy.struck(Point::PostingCommitted) == cuts).then_some(());
        eventually_async("a commit's answer is cut off", HEALED, is_cut).await;
    }
    let tally = scene.assert_laws().await;
    assert!(scene.nodes[0].node.log().contains("a batch was not acknowledged"), "the node noticed nothing");
    eprintln!("f22: 2 commits cut off, {:?}", tally.others);
}

/// F22: the same of every answer of the database, whatever was asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f22_answers_that_are_cut_off_hold_nobody() {
    strike(Fault::LoseAnswers, 1).await;
}

/// F23: every connection to the database is reset, new ones too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f23_a_storm_of_resets_passes() {
    strike(Fault::Reset, 1).await;
}

/// F24: what the leader says to the database vanishes. Another node, which still reaches it, takes over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f24_a_leader_whose_database_went_silent_is_replaced() {
    strike(Fault::Blackhole, 2).await;
}

/// F44: two nodes are restarted in turn, again and again. No money command fails for good, and none is done twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f44_a_rolling_restart_fails_no_money_command() {
    let mut scene = Scene::start(Ground::fast().database(), 2, &[]).await;
    for _ in 0..4 {
        scene.load().await.more(50, HEALED).await;
        let mut going = scene.part(0);
        going.node.signal(Signal::TERM);
        assert!(going.node.wait_until_ended().success(), "{}", going.node.log());
        scene.add();
    }
    let tally = scene.assert_laws().await;
    assert_eq!(tally.saw("503 outcome-unknown"), 0, "{:?}", tally.others);
}
