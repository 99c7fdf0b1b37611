//! Own payments that were agreed to and not posted: nodes as processes bring them to their end, and nobody has to ask.

use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::BigInt;
use diesel::{Connection as _, PgConnection};
use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::Value;
use tessera_tests::{Ground, NodeProcess, Payer, TestDb, World, eventually_async, run_sql, scalar, vault_dir};
use wallet_api::platform::authenticator::Make;

const PATIENCE: Duration = Duration::from_secs(60);
/// What an approval leaves behind when its node dies right after: the agreement, and nothing in the books.
const AGREED: &str = "UPDATE payment_intent SET agreed_at = now(), evidence = sha256(id::text::bytea), look_at = now()";

fn node(db: &TestDb<'_>) -> NodeProcess {
    let vault = vault_dir(&db.url());
    NodeProcess::start(db, &[("TESSERA_VAULT_DIR", vault.to_str().unwrap())])
}

async fn wait_until_led(world: &World) {
    let led = async || {
        let node = world.api.get("/v1/node").await;
        (node.status == 200 && (node.json()["role"] == "leading" || !node.json()["leader"].is_null())).then_some(())
    };
    eventually_async("somebody leads", PATIENCE, led).await;
}

/// Waits until the journal has told the house of every agreed payment.
async fn all_finished(db: &TestDb<'_>) {
    eventually_async("every agreed payment is at its end", PATIENCE, async || {
        let left = "(SELECT count(*) FROM payment_intent WHERE look_at IS NOT NULL)";
        (scalar::<BigInt, i64>(&db.super_url(), left) == 0).then_some(())
    })
    .await;
}

/// T3: the node is killed between the approval and the posting. The next one posts, and is asked by nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t03_what_was_approved_before_its_node_was_killed_is_posted_by_the_next_without_being_asked() {
    let db = Ground::durable().database();
    let first = node(&db);
    let mut world = World::new(&db.url(), &first.authority(), "acme");
    wait_until_led(&world).await;
    let merchant = world.merchant("shop").await;
    let anna = Payer::with_money(&world, "anna", Make::DEVICE, 10_000).await;
    anna.pay(merchant, 1).await.expect(200); // what is only read once is known from here on
    let asked = anna.ask(merchant, 1_000).await.expect(201);
    let answer = anna.answer(&asked);
    let mut held_up = PgConnection::establish(&db.super_url()).unwrap();
    held_up.batch_execute("BEGIN; LOCK TABLE journal.head IN ACCESS EXCLUSIVE MODE").unwrap();
    let agreed = format!(
        "(SELECT count(*) FROM payment_intent WHERE id = '{}' AND agreed_at IS NOT NULL)",
        asked["id"].as_str().unwrap()
    );
    let kill_when_agreed = async {
        let is_agreed = async || (scalar::<BigInt, i64>(&db.super_url(), &agreed) == 1).then_some(());
        eventually_async("the approval is kept", PATIENCE, is_agreed).await;
        first.signal(Signal::KILL);
    };
    let (answered, ()) = tokio::join!(anna.try_approve(&asked, &answer), kill_when_agreed);
    assert!(answered.is_err(), "the node was dead by then: {:?}", answered.map(|reply| reply.status));
    drop(held_up);
    let second = node(&db);
    world.api.authority = second.authority();
    wait_until_led(&world).await;
    all_finished(&db).await;
    let path = format!("/v1/payments/{}", asked["id"].as_str().unwrap());
    world.api.get(&path).await.expect(200);
    assert_eq!(world.balance(anna.id, "available").await, 8_999, "once");
    world.assert_whole();
}

/// Two nodes come upon the same payments at once: each is posted once; what came too late lapses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_finish_what_was_left_each_payment_once_and_let_lapse_what_is_late() {
    let db = Ground::durable().database();
    let first = node(&db);
    let second = node(&db);
    let world = World::new(&db.url(), &first.authority(), "acme");
    wait_until_led(&world).await;
    let merchant = world.merchant("shop").await;
    let anna = Payer::with_money(&world, "anna", Make::DEVICE, 10_000).await;
    let asked: Vec<Value> =
        join_all((0..20).map(|_| anna.ask(merchant, 100))).await.into_iter().map(|one| one.expect(201)).collect();
    let late = asked[0]["id"].as_str().unwrap();
    run_sql(
        &db.super_url(),
        &format!(
            "{AGREED}, post_until = CASE WHEN id = '{late}' THEN now() - interval '1 s' ELSE now() + interval '5 min' END"
        ),
    );
    all_finished(&db).await;
    assert_eq!(world.balance(anna.id, "available").await, 10_000 - 19 * 100);
    assert_eq!(anna.look(&asked[0]).await["status"], "lapsed");
    let paid = join_all(asked[1..].iter().map(|one| anna.look(one))).await;
    assert!(paid.iter().all(|one| one["status"] == "paid"), "{paid:?}");
    // Once they are done, nobody takes them again: a lease that was never given back would not change that.
    run_sql(&db.super_url(), "UPDATE payment_intent SET look_at = now()");
    all_finished(&db).await;
    assert_eq!(world.balance(anna.id, "available").await, 10_000 - 19 * 100, "once, also when it is looked at twice");
    drop(second);
    world.assert_whole();
}

/// An error at one tenant, or a payment that nobody can read, leaves everybody else's payments to be finished.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_tenant_or_one_payment_has_wrong_holds_up_no_other() {
    let db = Ground::durable().database();
    let node = node(&db);
    let worlds = ["acme", "beta"].map(|slug| World::new(&db.url(), &node.authority(), slug));
    wait_until_led(&worlds[0]).await;
    let mut asked = Vec::new();
    for world in &worlds {
        let merchant = world.merchant("shop").await;
        let anna = Payer::with_money(world, "anna", Make::DEVICE, 10_000).await;
        let two = [anna.ask(merchant, 100).await.expect(201), anna.ask(merchant, 100).await.expect(201)];
        asked.push((anna, two));
    }
    let (first, unreadable) = (worlds[0].tenant, asked[1].1[0]["id"].as_str().unwrap());
    run_sql(
        &db.super_url(),
        &format!(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''broken''; END'; \
             CREATE TRIGGER fail BEFORE UPDATE OF look_at ON payment_intent FOR EACH ROW \
             WHEN (old.tenant = {first} AND old.look_at IS NOT NULL) EXECUTE FUNCTION fail(); \
             {AGREED}, post_until = now() + interval '5 min'; \
             UPDATE payment_intent SET evidence = NULL, article = 'rts-99', look_at = look_at - interval '1 s' \
             WHERE id = '{unreadable}'"
        ),
    );
    let (bruno, [_, good]) = &asked[1];
    let paid = async || (bruno.look(good).await["status"] == "paid").then_some(());
    eventually_async("the other tenant's other payment is paid", PATIENCE, paid).await;
    assert_eq!(worlds[1].balance(bruno.id, "available").await, 9_900);
    // Mended, the first tenant's are finished too.
    run_sql(&db.super_url(), "DROP TRIGGER fail ON payment_intent");
    let (anna, both) = &asked[0];
    let paid = async || {
        let told = join_all(both.iter().map(|one| anna.look(one))).await;
        told.iter().all(|one| one["status"] == "paid").then_some(())
    };
    eventually_async("the first tenant's payments are paid", PATIENCE, paid).await;
}
