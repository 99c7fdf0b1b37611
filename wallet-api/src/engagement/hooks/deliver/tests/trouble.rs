//! Endpoints that are dead, and what is old.

use std::sync::atomic::{AtomicBool, Ordering};

use diesel::connection::SimpleConnection;

use super::super::*;
use super::support::{Answer, Inbox, World, eventually, quick};
use crate::engagement::hooks::model::DeliveryStatus;

fn kinds(inbox: &Inbox) -> Vec<String> {
    let kind = |body: &hyper::body::Bytes| -> String {
        let body: serde_json::Value = serde_json::from_slice(body).unwrap();
        body["type"].as_str().unwrap().to_owned()
    };
    inbox.bodies().iter().map(kind).collect()
}

/// A dead endpoint is asked seldom, its hooks lose no attempt by it, and when it is back it is told all of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_is_asked_seldom_and_told_everything_once_it_is_back() {
    let world = World::new().await;
    let dead = Arc::new(AtomicBool::new(true));
    let is_dead = Arc::clone(&dead);
    let inbox = Inbox::start(move |_, _| Answer::Status(if is_dead.load(Ordering::SeqCst) { 503 } else { 200 })).await;
    let living = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    world.add(&living.url, &["*"]).await;
    let schedule: Schedule = |made, at, _, _| (made < 40).then(|| at + TimeDelta::seconds(1));
    let hooks = world.hooks(Settings { schedule, hold: Duration::from_secs(5), ..quick() });
    let mut committed = world.pay(100).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Pending) == 100).await;
    inbox.clear();
    for _ in 0..20 {
        committed.extend(world.pay(50).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eventually(|| living.sequences() == committed).await;
    assert!(inbox.len() <= 20, "{} hooks were sent to it", inbox.len());
    dead.store(false, Ordering::SeqCst);
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 1_100).await;
    assert_eq!(inbox.sequences(), committed);
    hooks.stop();
}

/// E66: 410 is heard at once, and the tenant's other endpoints hear of it.
#[tokio::test(flavor = "multi_thread")]
async fn e66_the_others_are_told_that_an_endpoint_was_disabled() {
    let world = World::new().await;
    let gone = Inbox::start(|_, _| Answer::Status(410)).await;
    let (all, deaf) = (Inbox::start(|_, _| Answer::Status(200)).await, Inbox::start(|_, _| Answer::Status(200)).await);
    let (endpoint, _) = world.add(&gone.url, &["test.paid.v1"]).await;
    world.add(&all.url, &["endpoint.disabled.v1"]).await;
    world.add(&deaf.url, &["test.refunded.v1"]).await;
    let hooks = world.hooks(quick());
    world.pay(5).await;
    eventually(|| all.len() == 1).await;
    let said: serde_json::Value = serde_json::from_slice(&all.bodies()[0]).unwrap();
    assert_eq!((&said["type"], &said["data"]["reason"]), (&"endpoint.disabled.v1".into(), &"gone".into()));
    assert_eq!(said["data"]["endpoint"], serde_json::json!(endpoint));
    assert_eq!(said["source"], format!("/tenants/{}/hooks", world.tenant));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((all.len(), deaf.len()), (1, 0), "once, and only who listens");
    hooks.stop();
}

/// Five days of failures end an endpoint; a day of them is told, and a success forgets them.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_for_days_is_told_of_and_then_disabled() {
    let world = World::new().await;
    let answers = Arc::new(Mutex::new(500));
    let now_is = Arc::clone(&answers);
    let inbox = Inbox::start(move |_, _| Answer::Status(*now_is.lock().unwrap())).await;
    let other = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, _) = world.add(&inbox.url, &["test.paid.v1"]).await;
    world.add(&other.url, &["endpoint.failing.v1", "endpoint.disabled.v1"]).await;
    let failing_for = |days: u32| {
        let text =
            format!("UPDATE hook_endpoint SET failing_since = now() - interval '{days} days' WHERE id = '{endpoint}'");
        world.connect().batch_execute(&text).unwrap();
    };
    let once: Schedule = |_, _, _, _| None;
    let start = || world.hooks(Settings { schedule: once, ..quick() });
    let hooks = start();
    world.pay(1).await;
    eventually(|| world.endpoint(endpoint).failing_since.is_some()).await;
    hooks.stop();
    failing_for(2);
    let hooks = start();
    world.pay(1).await;
    eventually(|| kinds(&other) == ["endpoint.failing.v1"]).await;
    *answers.lock().unwrap() = 200;
    tokio::time::sleep(Duration::from_millis(600)).await; // so that the engine has read what it wrote
    world.pay(1).await;
    eventually(|| world.endpoint(endpoint).failing_since.is_none()).await;
    hooks.stop();
    *answers.lock().unwrap() = 500;
    failing_for(6);
    let hooks = start();
    world.pay(1).await;
    eventually(|| world.endpoint(endpoint).disabled.is_some_and(|(_, reason)| reason == "failing")).await;
    eventually(|| kinds(&other) == ["endpoint.failing.v1", "endpoint.disabled.v1"]).await;
    hooks.stop();
}

/// What is older than the retention goes, with all that names it; what comes after is told as ever.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_is_deleted_and_what_is_new_is_told() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(quick());
    world.pay(1_500).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 1_500).await;
    hooks.stop();
    world
        .connect()
        .batch_execute(
            "UPDATE hook_event SET created_at = created_at - interval '31 days' WHERE seq < \
        (SELECT percentile_disc(0.8) WITHIN GROUP (ORDER BY seq) FROM hook_event)",
        )
        .unwrap();
    let hooks = world.hooks(quick());
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) <= 400).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    eventually(|| world.attempts(endpoint) == world.count(endpoint, DeliveryStatus::Delivered)).await;
    let left = world.count(endpoint, DeliveryStatus::Delivered);
    assert!((200..=400).contains(&left), "{left} are young");
    world.pay(10).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == left + 10).await;
    hooks.stop();
}
