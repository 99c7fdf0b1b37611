mod again;
mod support;
mod trouble;

use std::collections::BTreeSet;
use std::sync::Mutex as StdMutex;

use diesel::connection::SimpleConnection;
use support::{Answer, Inbox, World, eventually, hasty, quick};

use super::*;
use crate::engagement::hooks::model::DeliveryStatus;
use crate::engagement::hooks::sign;

/// What was delivered is what was committed: no more, no less, under the ids of its place, signed with the secret shown.
#[tokio::test(flavor = "multi_thread")]
async fn every_committed_event_is_told_once_and_verifies() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, secret) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(quick());
    let committed = world.pay(150).await;
    eventually(|| inbox.bodies().len() == 150).await;
    assert_eq!(inbox.sequences(), committed);
    for hook in inbox.received() {
        let now_s = world.platform.clock.now().timestamp();
        assert_eq!(sign::verify(&secret, &hook.id, &hook.timestamp, &hook.signature, &hook.body, now_s, 300), Ok(()));
        assert!(hook.id.starts_with("msg_") && !hook.id.contains('.'));
    }
    assert_eq!(inbox.ids().len(), 150, "each has an id of its own");
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 150).await;
    assert_eq!(world.attempts(endpoint), 150);
    hooks.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_told_its_types_only_and_only_what_came_after_it() {
    let world = World::new().await;
    world.pay(3).await;
    let all = Inbox::start(|_, _| Answer::Status(204)).await;
    let none = Inbox::start(|_, _| Answer::Status(204)).await;
    let hooks = world.hooks(quick());
    world.add(&all.url, &["test.paid.v1"]).await;
    world.add(&none.url, &["test.refunded.v1"]).await;
    let committed = world.pay(4).await;
    eventually(|| all.bodies().len() == 4).await;
    assert_eq!(all.sequences(), committed);
    assert!(none.bodies().is_empty());
    hooks.stop();
}

/// The id stays and the signature is made anew for each attempt.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_twice_is_told_at_the_third_attempt() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, nth| Answer::Status(if nth < 2 { 500 } else { 200 })).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(quick());
    world.pay(1).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 1).await;
    assert_eq!((inbox.received().len(), inbox.ids().len()), (3, 1));
    let log = world.attempt_log(endpoint);
    let seen: Vec<_> = log.iter().map(|made| (made.attempt, made.status, made.reason.as_deref())).collect();
    assert_eq!(seen, [(1, Some(500), Some("status")), (2, Some(500), Some("status")), (3, Some(200), None)]);
    assert_eq!((log[0].response.as_deref(), log[2].response.as_deref()), (Some("answer 500"), None));
    hooks.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_always_fails_is_given_up_by_the_schedule() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, _| Answer::Status(503)).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(quick());
    world.pay(1).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Failed) == 1).await;
    assert_eq!(inbox.received().len(), 4);
    hooks.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_hangs_holds_up_no_other() {
    let world = World::new().await;
    let (hanging, fine) = (Inbox::start(|_, _| Answer::Hang).await, Inbox::start(|_, _| Answer::Status(200)).await);
    let (stuck, _) = world.add(&hanging.url, &["*"]).await;
    world.add(&fine.url, &["*"]).await;
    let hooks = world.hooks(Settings { concurrency: Concurrency { first: 4, ..quick().concurrency }, ..quick() });
    world.pay(200).await;
    eventually(|| fine.bodies().len() == 200).await;
    assert!(hanging.received().len() < 200, "while the other is still being waited for");
    assert_eq!(world.count(stuck, DeliveryStatus::Delivered), 0);
    hooks.stop();
}

/// E66: 410 disables the endpoint at once; what is pending there ends as gone.
#[tokio::test(flavor = "multi_thread")]
async fn e66_a_410_disables_the_endpoint() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, _| Answer::Status(410)).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(Settings { concurrency: Concurrency { first: 1, ..quick().concurrency }, ..quick() });
    world.pay(20).await;
    eventually(|| world.endpoint(endpoint).disabled.is_some_and(|(_, reason)| reason == "gone")).await;
    let heard = inbox.received().len();
    world.pay(5).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(inbox.received().len(), heard, "nothing more is sent");
    hooks.stop();
    let hooks = world.hooks(quick()); // sweeps as it starts
    eventually(|| world.count(endpoint, DeliveryStatus::Pending) == 0).await;
    assert!(world.count(endpoint, DeliveryStatus::Gone) >= 1);
    hooks.stop();
}

/// The cursor is past the event and the hook was never sent: the table still has it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_and_not_sent_is_sent_after_a_restart() {
    let world = World::new().await;
    let answers = Arc::new(StdMutex::new(Answer::Hang));
    let now_is = Arc::clone(&answers);
    let inbox = Inbox::start(move |_, _| *now_is.lock().unwrap()).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(Settings { concurrency: Concurrency { first: 2, ..quick().concurrency }, ..quick() });
    let committed = world.pay(30).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Pending) == 30).await;
    hooks.stop();
    assert_eq!(world.count(endpoint, DeliveryStatus::Delivered), 0);
    *answers.lock().unwrap() = Answer::Status(200);
    let hooks = world.hooks(quick());
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 30).await;
    assert_eq!(inbox.sequences(), committed);
    hooks.stop();
}

/// As after a kill: nothing was released, so what was held comes due by itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_engine_held_comes_due_by_itself() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(quick());
    world.pay(3).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 3).await;
    hooks.stop();
    world.connect().batch_execute(
        "UPDATE hook_delivery SET status = 0, attempts = 0, next_at = now() + interval '1 second'; TRUNCATE hook_attempt",
    ).unwrap();
    let hooks = world.hooks(quick());
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 3).await;
    assert_eq!((inbox.received().len(), inbox.ids().len()), (6, 3), "twice, under the same ids");
    hooks.stop();
}

/// As for the moment in which a former leader has not noticed yet.
#[tokio::test(flavor = "multi_thread")]
async fn two_engines_on_one_database_write_each_delivery_once_and_lose_none() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let (one, other) = (world.hooks(quick()), world.hooks(quick()));
    let mut committed = BTreeSet::new();
    for _ in 0..20 {
        committed.extend(world.pay(10).await);
    }
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 200).await;
    assert_eq!(inbox.sequences(), committed);
    assert_eq!(inbox.ids().len(), 200, "whichever of them tells it, and however often");
    assert_eq!(world.attempts(endpoint), 200);
    one.stop();
    other.stop();
}

/// JOURNAL 31: who led before sends at most what was on its way, and moves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_and_could_not_be_written_is_told_again_under_the_same_ids() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(quick());
    let mut committed = world.pay(1).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 1).await;
    world.connect().batch_execute("UPDATE journal.follower SET epoch = epoch + 1000 WHERE name = 'hooks'").unwrap();
    committed.extend(world.pay(3).await);
    eventually(|| inbox.len() >= 7).await;
    assert_eq!((world.count(endpoint, DeliveryStatus::Delivered), world.attempts(endpoint)), (1, 1));
    world.connect().batch_execute("UPDATE journal.follower SET epoch = epoch - 1000 WHERE name = 'hooks'").unwrap();
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 4).await;
    assert_eq!((inbox.ids().len(), inbox.sequences()), (4, committed));
    assert_eq!(world.attempts(endpoint), 4);
    hooks.stop();
}

/// What memory has no room for waits in the table, and is told too.
#[tokio::test(flavor = "multi_thread")]
async fn more_than_memory_holds_is_told_in_the_end() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let count = lane::PLACES.first + 1_000;
    let committed = world.pay(count).await; // before the engine runs: it meets them all at once
    let hooks = world.hooks(quick());
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == i64::try_from(count).unwrap()).await;
    assert_eq!(inbox.sequences(), committed);
    hooks.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_disabled_by_its_tenant_is_told_no_more() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(quick());
    world.pay(2).await;
    eventually(|| inbox.bodies().len() == 2).await;
    world.disable(endpoint);
    world.pay(2).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(inbox.bodies().len(), 2);
    assert_eq!(world.endpoint(endpoint).disabled.unwrap().1, "requested");
    hooks.stop();
}

/// The operator's policy is asked at each attempt, not only when the endpoint was added.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_refused_also_when_it_stands_in_the_table() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(Settings { policy: Policy::default(), ..quick() });
    world.pay(1).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Failed) == 1).await;
    assert!(inbox.received().is_empty());
    assert_eq!(world.attempt_log(endpoint)[0].reason.as_deref(), Some("refused"));
    hooks.stop();
}

/// The plans that `in_bulk` asks for are the ones the tables need when they are large.
#[tokio::test(flavor = "multi_thread")]
async fn every_look_up_of_the_engine_is_an_index_probe() {
    let world = World::new().await;
    let mut conn = world.connect();
    let scans = support::sequential_scans(&mut conn);
    let inbox = Inbox::start(|_, nth| Answer::Status(if nth == 0 { 500 } else { 200 })).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(quick());
    world.pay(20).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 20).await;
    hooks.stop();
    eventually(|| support::index_probes(&mut world.connect()) > 0).await;
    assert_eq!(support::sequential_scans(&mut conn), scans);
}

/// Not a law: what this machine does. `cargo test --release -- --ignored --nocapture throughput`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, for a release build on a quiet machine"]
async fn throughput_and_latency() {
    let world = World::plain().await;
    let inbox = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let count = 50_000;
    world.pay(count).await;
    let hooks = world.hooks(Settings { limits: Limits::default(), ..hasty() });
    let started = std::time::Instant::now();
    eventually(|| inbox.len() == count).await;
    let took = started.elapsed();
    println!("backlog: {count} hooks in {took:?}");
    let all = i64::try_from(count).unwrap();
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == all).await;
    println!("         written down after {:?}", started.elapsed());
    for rate in [100, 1_000, 3_000, 5_000] {
        inbox.clear();
        world.pay_at(rate, Duration::from_secs(10)).await;
        let told = usize::try_from(rate * 10).unwrap();
        eventually(|| inbox.len() == told).await;
        println!("{rate}/s: commit answered → body received {:?}", world.latencies(&inbox));
    }
    hooks.stop();
}
