//! What is told again, and what is told in order.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::*;
use super::support::{Answer, Inbox, World, eventually, quick};
use crate::engagement::hooks::model::DeliveryStatus;
use crate::engagement::hooks::replay::{self, Bound, Wish};
use crate::engagement::hooks::{self, message, sign};
use crate::platform::audit::Actor;

fn order(world: &World, endpoint: uuid::Uuid, wish: Wish) -> replay::Replay {
    let (now, ids) = (world.platform.clock.now(), &world.platform.ids);
    replay::order(&mut world.connect(), world.tenant, now, Actor::Client(1), endpoint, ids.uuid_v7(now), wish).unwrap()
}

fn ended(world: &World, order: &replay::Replay) -> bool {
    replay::find(&mut world.connect(), world.tenant, order.id).unwrap().ended_at.is_some()
}

/// E63: a receiver that said 200 and lost what it took is told again, under the id it had.
#[tokio::test(flavor = "multi_thread")]
async fn e63_what_a_receiver_took_and_lost_is_told_again_under_the_same_id() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(quick());
    let committed = world.pay(3).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 3).await;
    let (before, lost) = (inbox.ids(), message::parse_sequence(committed.first().unwrap()).unwrap());
    inbox.clear();
    let (conn, now) = (&mut world.connect(), world.platform.clock.now());
    replay::one(conn, world.tenant, now, Actor::Client(1), endpoint, lost, 0).unwrap();
    eventually(|| inbox.len() == 1 && world.count(endpoint, DeliveryStatus::Delivered) == 3).await;
    assert!(inbox.ids().is_subset(&before));
    assert_eq!(world.attempts(endpoint), 4, "and its attempts go on counting");
    let nowhere = replay::one(conn, world.tenant, now, Actor::Client(1), endpoint, (1_000_000, 0), 0);
    assert!(matches!(nowhere, Err(HookError::Unknown)));
    hooks.stop();
}

/// E64, T53: a retry is signed by both secrets, whichever was in force at the first attempt.
#[tokio::test(flavor = "multi_thread")]
async fn e64_a_secret_that_rotates_between_two_attempts_signs_both_ways() {
    let world = World::new().await;
    let fails = Arc::new(AtomicBool::new(true));
    let failing = Arc::clone(&fails);
    let answer = move |_: &_, _| Answer::Status(if failing.load(Ordering::SeqCst) { 500 } else { 200 });
    let inbox = Inbox::start(answer).await;
    let (endpoint, old) = world.add(&inbox.url, &["*"]).await;
    let schedule: Schedule = |made, at, _, _| (made < 9).then(|| at + TimeDelta::milliseconds(1_500));
    let hooks = world.hooks(Settings { schedule, ..quick() });
    world.pay(1).await;
    eventually(|| inbox.len() == 1).await;
    let new = sign::Secret::generate(&|bytes| world.platform.ids.fill(bytes));
    let now = world.platform.clock.now();
    let rotate = |secret, overlap| {
        hooks::rotate_secret(&mut world.connect(), world.tenant, now, Actor::Client(1), endpoint, (secret, overlap))
            .unwrap()
    };
    assert_eq!(rotate(&new, TimeDelta::hours(24)).old_until, [now + TimeDelta::hours(24)]);
    fails.store(false, Ordering::SeqCst);
    eventually(|| inbox.len() == 2).await;
    let opens = |secret: &_, hook: &super::support::Received| {
        let now_s = world.platform.clock.now().timestamp();
        sign::verify(secret, &hook.id, &hook.timestamp, &hook.signature, &hook.body, now_s, 300).is_ok()
    };
    let received = inbox.received();
    assert_eq!((opens(&old, &received[0]), opens(&new, &received[0])), (true, false));
    assert_eq!((opens(&old, &received[1]), opens(&new, &received[1])), (true, true));
    rotate(&old, TimeDelta::zero());
    tokio::time::sleep(Duration::from_millis(800)).await;
    world.pay(1).await;
    eventually(|| inbox.len() == 3).await;
    let last = &inbox.received()[2];
    assert_eq!((opens(&old, last), opens(&new, last)), (true, false), "no overlap: the one in force and no other");
    hooks.stop();
}

/// E67: what was queued when its endpoint was disabled is kept, and told once somebody asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn e67_what_was_queued_at_a_disabled_endpoint_is_kept_and_replayed() {
    let world = World::new().await;
    let hangs = Arc::new(AtomicBool::new(true));
    let hanging = Arc::clone(&hangs);
    let answer = move |_: &_, _| if hanging.load(Ordering::SeqCst) { Answer::Hang } else { Answer::Status(200) };
    let inbox = Inbox::start(answer).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(quick());
    let committed = world.pay(30).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Pending) == 30).await;
    world.disable(endpoint);
    hooks.stop();
    hangs.store(false, Ordering::SeqCst);
    let hooks = world.hooks(quick()); // sweeps as it starts
    eventually(|| world.count(endpoint, DeliveryStatus::Gone) == 30).await;
    let (now, id) = (world.platform.clock.now(), uuid::Uuid::from_u128(8));
    let refused =
        replay::order(&mut world.connect(), world.tenant, now, Actor::Client(1), endpoint, id, Wish::default());
    assert!(matches!(refused, Err(HookError::Disabled)));
    let enabled = hooks::enable(&mut world.connect(), world.tenant, now, Actor::Client(1), endpoint).unwrap();
    assert_eq!(enabled.disabled, None);
    inbox.clear();
    let order = order(&world, endpoint, Wish { statuses: Some(vec![DeliveryStatus::Gone]), ..Wish::default() });
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 30).await;
    assert_eq!(inbox.sequences(), committed);
    eventually(|| ended(&world, &order)).await;
    hooks.stop();
}

/// A filter that matches everything is walked through in pages, and a kill in the middle loses none of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_for_everything_goes_on_after_a_stop() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(quick());
    let committed = world.pay(2_300).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 2_300).await;
    inbox.clear();
    let order = order(&world, endpoint, Wish::default());
    let found = || replay::find(&mut world.connect(), world.tenant, order.id).unwrap();
    eventually(|| found().examined >= 1_000).await;
    drop(hooks); // as it is
    assert!(found().ended_at.is_none(), "it was stopped in the middle");
    let hooks = world.hooks(quick());
    eventually(|| found().ended_at.is_some()).await;
    assert_eq!((found().examined, found().replayed), (2_300, 2_300));
    eventually(|| inbox.sequences() == committed).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 2_300).await;
    hooks.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_sequences_or_times_is_told_again_and_nothing_beside_it() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, _) = world.add(&inbox.url, &["*"]).await;
    let hooks = world.hooks(quick());
    let first = world.pay(5).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 5).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let between = world.platform.clock.now();
    let second = world.pay(5).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 10).await;
    let at = |text: &String| Some(Bound::At(message::parse_sequence(text).unwrap()));
    let time = Some(Bound::Time(between));
    let (some, rest): (Vec<_>, Vec<_>) = first.iter().partition(|text| *text <= first.iter().nth(2).unwrap());
    assert_eq!((some.len(), rest.len()), (3, 2));
    for (wish, expected) in [
        (Wish { until: time, ..Wish::default() }, first.clone()),
        (Wish { from: time, ..Wish::default() }, second.clone()),
        (
            Wish { from: at(some[0]), until: at(some[2]), ..Wish::default() },
            some.iter().map(|&text| text.clone()).collect(),
        ),
        (Wish { statuses: Some(vec![DeliveryStatus::Failed]), ..Wish::default() }, std::collections::BTreeSet::new()),
    ] {
        inbox.clear();
        let order = order(&world, endpoint, wish);
        eventually(|| ended(&world, &order)).await;
        eventually(|| inbox.sequences() == expected).await;
        eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 10).await;
    }
    let one: Vec<_> = inbox.ids().into_iter().collect();
    assert!(one.is_empty(), "nothing had failed");
    hooks.stop();
}

/// In order: the next event of a subject is sent once the one before has ended, whatever it takes.
#[tokio::test(flavor = "multi_thread")]
async fn an_ordered_endpoint_is_told_in_order_through_failures_and_a_restart() {
    let world = World::new().await;
    let inbox = Inbox::start(|_, nth| Answer::Status(if nth % 3 == 0 { 500 } else { 200 })).await;
    let (endpoint, _) = world.add_as(&inbox.url, &["*"], Some(4)).await;
    let hooks = world.hooks(quick());
    let mut committed = world.pay(12).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) >= 3).await;
    hooks.stop();
    let hooks = world.hooks(quick());
    committed.extend(world.pay(4).await);
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 16).await;
    let mut told: Vec<String> = inbox.received().iter().map(super::support::Received::sequence).collect();
    assert!(told.is_sorted(), "{told:?}");
    told.dedup();
    assert_eq!(told, committed.into_iter().collect::<Vec<_>>());
    hooks.stop();
}

/// E69: what an ordered endpoint never takes is passed over by its policy, and the other endpoints are told.
#[tokio::test(flavor = "multi_thread")]
async fn e69_a_poisoned_event_is_passed_over_and_the_others_are_told() {
    let world = World::new().await;
    let poison = Arc::new(Mutex::new(None::<String>));
    let first = Arc::clone(&poison);
    let answer = move |hook: &super::support::Received, _| {
        let mut first = first.lock().unwrap();
        let is_poison = *first.get_or_insert_with(|| hook.id.clone()) == hook.id;
        Answer::Status(if is_poison { 500 } else { 200 })
    };
    let ordered = Inbox::start(answer).await;
    let other = Inbox::start(|_, _| Answer::Status(200)).await;
    let (endpoint, _) = world.add_as(&ordered.url, &["test.paid.v1"], Some(2)).await;
    world.add(&other.url, &["endpoint.skipped.v1"]).await;
    let hooks = world.hooks(quick());
    let committed = world.pay(4).await;
    eventually(|| world.count(endpoint, DeliveryStatus::Delivered) == 3).await;
    assert_eq!(world.count(endpoint, DeliveryStatus::Failed), 1);
    eventually(|| other.len() == 1).await;
    let said: serde_json::Value = serde_json::from_slice(&other.bodies()[0]).unwrap();
    assert_eq!(said["type"], "endpoint.skipped.v1");
    assert_eq!((&said["data"]["endpoint"], &said["data"]["attempts"]), (&serde_json::json!(endpoint), &2.into()));
    assert_eq!(said["data"]["sequence"].as_str(), committed.first().map(String::as_str));
    hooks.stop();
}
