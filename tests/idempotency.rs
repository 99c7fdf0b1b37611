//! One key, one effect, one answer: for ever, and whoever asks.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tessera_tests::{Api, Reply, Rewards, TestApp, eur, fresh_key, rows};
use uuid::Uuid;
use wallet_api::platform::keyring::Scope;

fn payment(customer: Uuid, merchant: Uuid, minor: i64) -> Value {
    let instrument = json!({"kind": "external", "rail": "cash"});
    json!({"customer": customer, "merchant": merchant, "amount": eur(minor), "instrument": instrument})
}

fn count(app: &TestApp, from: &str) -> usize {
    rows(&app.db().url(), &format!("SELECT 1 FROM {from}")).len()
}

#[tokio::test]
async fn fifty_requests_with_one_key_have_one_effect_and_the_same_bytes() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards::PLENTY).await;
    let anna = app.world.customer("anna").await;
    let (api, key, body) = (app.api(), fresh_key(), payment(anna, shop.merchant, 1_234));

    let replies = join_all((0..50).map(|_| api.post_as(key, "/v1/payments", &body))).await;

    assert!(replies.iter().all(|reply| reply.status == 201));
    assert!(replies.iter().all(|reply| reply.bytes == replies[0].bytes), "the same bytes for all");
    let first = replies.iter().filter(|reply| !reply.headers.contains_key("idempotent-replayed")).count();
    assert_eq!(first, 1, "one of them did it, the others hear of it");
    assert_eq!(count(&app, "journal.companion"), 1);
    assert_eq!(app.world.balance(anna, "cashback").await, 24);
    app.world.assert_whole();
}

#[tokio::test]
async fn a_key_with_another_body_or_at_another_address_is_refused_at_once() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    let (api, key) = (app.api(), fresh_key());
    let first = api.post_as(key, "/v1/payments", &payment(anna, merchant, 100)).await;

    api.post_as(key, "/v1/payments", &payment(anna, merchant, 101)).await.expect_problem(422, "key-reused");
    let top_up = json!({"customer": anna, "amount": eur(100), "rail": "cash"});
    api.post_as(key, "/v1/top-ups", &top_up).await.expect_problem(422, "key-reused");

    // The order of members is not another body.
    let instrument = json!({"rail": "cash", "kind": "external"});
    let same = json!({"instrument": instrument, "amount": eur(100), "merchant": merchant, "customer": anna});
    assert_eq!(api.post_as(key, "/v1/payments", &same).await.bytes, first.bytes);
    assert_eq!(app.world.balance(anna, "available").await, 0);
}

/// Two bodies under one key, in one batch or in several: whichever came first is right for ever.
#[tokio::test]
async fn of_two_bodies_racing_under_one_key_one_wins_for_all() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    let (api, key) = (app.api(), fresh_key());
    let bodies = [payment(anna, merchant, 100), payment(anna, merchant, 200)];
    let mut won = Vec::new();
    for _round in 0..5 {
        let replies = join_all((0..40).map(|n| api.post_as(key, "/v1/payments", &bodies[n % 2]))).await;
        let refused = replies.iter().filter(|reply| reply.status != 201);
        assert!(refused.map(Reply::code).all(|code| code == "key-reused"));
        won.extend(replies.into_iter().filter(|reply| reply.status == 201));
    }
    assert_eq!(won.len(), 100, "the right body is never refused");
    assert!(won.iter().all(|reply| reply.bytes == won[0].bytes));
    assert_eq!(count(&app, "journal.companion"), 1);
}

#[tokio::test]
async fn another_clients_key_of_the_same_name_is_another_key() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    let (one, other) = (app.world.client(&[Scope::PaymentsWrite]), app.world.client(&[Scope::PaymentsWrite]));
    let (key, body) = (fresh_key(), payment(anna, merchant, 100));
    let first = one.post_as(key, "/v1/payments", &body).await.expect(201);
    let second = other.post_as(key, "/v1/payments", &body).await.expect(201);
    assert_ne!(first["id"], second["id"]);
    assert_eq!(count(&app, "journal.companion"), 2);
}

#[tokio::test]
async fn a_replay_after_a_restart_is_the_same_bytes() {
    let mut app = TestApp::start();
    let shop = app.world.shop("shop", Rewards { budget: 10, ..Rewards::PLENTY }).await;
    let anna = app.world.customer("anna").await;
    let keys = [fresh_key(), fresh_key(), fresh_key()];
    let wallet =
        json!({"customer": anna, "merchant": shop.merchant, "amount": eur(9), "instrument": {"kind": "wallet"}});
    let top_up = json!({"customer": anna, "amount": eur(5), "rail": "cash"});
    let asked = [
        (keys[0], "/v1/payments", payment(anna, shop.merchant, 1_000)),
        (keys[1], "/v1/payments", wallet), // refused: the wallet is empty
        (keys[2], "/v1/top-ups", top_up),
    ];
    let mut before = Vec::new();
    for (key, path, body) in &asked {
        before.push(app.api().post_as(*key, path, body).await);
    }
    assert_eq!(before.iter().map(|reply| reply.status).collect::<Vec<_>>(), [201, 422, 201]);

    app.restart();

    for ((key, path, body), before) in asked.iter().zip(&before) {
        let after = app.api().post_as(*key, path, body).await;
        assert_eq!((after.status, &after.bytes), (before.status, &before.bytes));
    }
    app.world.assert_whole();
}

/// A key that is no UUID serves as well, and is kept as an HMAC only.
#[tokio::test]
async fn a_key_in_the_clients_own_words_is_not_readable_in_the_books() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    let body = payment(anna, merchant, 100).to_string();
    let headers = [("idempotency-key", "order-of-anna"), ("content-type", "application/json")];
    let send =
        async || app.api().send(hyper::Method::POST, "/v1/payments", &headers, body.clone().into()).await.unwrap();
    let (first, second) = (send().await, send().await);
    assert_eq!((first.status, &first.bytes), (201, &second.bytes));
    let dump = format!("{:?}", rows(&app.db().url(), "SELECT * FROM journal.key"));
    let hex = "6f726465722d6f662d616e6e61"; // "order-of-anna"
    assert!(!dump.contains("order-of-anna") && !dump.replace('-', "").contains(hex), "{dump}");
}

fn request(key: Uuid) -> String {
    format!("/v1/requests/{key}")
}

async fn resolve(api: &Api, key: Uuid) -> Reply {
    api.post(&format!("{}/resolve", request(key)), &json!({})).await
}

/// JOURNAL 18: what a key did can be asked, and resolving changes none of it.
#[tokio::test]
async fn resolving_tells_what_was_done_or_refused_and_changes_nothing() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    let (api, done, refused) = (app.api(), fresh_key(), fresh_key());
    let paid = api.post_as(done, "/v1/payments", &payment(anna, merchant, 100)).await;
    let from_wallet =
        json!({"customer": anna, "merchant": merchant, "amount": eur(100), "instrument": {"kind": "wallet"}});
    api.post_as(refused, "/v1/payments", &from_wallet).await.expect_problem(422, "insufficient-funds");

    let told = api.get(&request(done)).await.expect(200);
    assert_eq!((&told["status"], &told["id"]), (&json!("done"), &paid.json()["id"]));
    assert_eq!(resolve(&api, done).await.expect(200), told);
    let told = api.get(&request(refused)).await.expect(200);
    assert_eq!((&told["status"], &told["code"]), (&json!("refused"), &json!("insufficient-funds")));
    assert_eq!(resolve(&api, refused).await.expect(200), told);

    assert_eq!(api.post_as(done, "/v1/payments", &payment(anna, merchant, 100)).await.bytes, paid.bytes);
    let stranger = app.world.client(&[Scope::Admin]);
    stranger.get(&request(done)).await.expect_problem(404, "request-unknown");
    app.world.assert_whole();
}

/// JOURNAL 18: absence becomes final by being recorded.
#[tokio::test]
async fn a_request_that_was_resolved_before_it_came_never_happens() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    let (api, key) = (app.api(), fresh_key());
    api.get(&request(key)).await.expect_problem(404, "request-unknown");
    let given_up = resolve(&api, key).await.expect(200);
    assert_eq!(given_up["status"], "abandoned");

    let late = api.post_as(key, "/v1/payments", &payment(anna, merchant, 100)).await;
    assert_eq!(late.expect_problem(409, "request-abandoned")["seq"], given_up["seq"]);
    assert_eq!(resolve(&api, key).await.expect(200), given_up);
    assert_eq!(api.get(&request(key)).await.expect(200), given_up);
    assert_eq!(count(&app, "journal.companion"), 0);
    app.world.assert_whole();
}

/// Whichever comes first, both hear the same of it.
#[tokio::test]
async fn a_payment_and_its_resolution_never_disagree() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    let (api, mut outcomes) = (app.api(), std::collections::BTreeSet::new());
    for round in 0..40 {
        let (key, body) = (fresh_key(), payment(anna, merchant, 100));
        let pay = async {
            loop {
                let reply = api.post_as(key, "/v1/payments", &body).await;
                // In one batch with its resolution it is told to come again.
                if reply.status != 503 {
                    return reply;
                }
            }
        };
        let (paid, resolved) = if round % 2 == 0 {
            tokio::join!(pay, resolve(&api, key))
        } else {
            let (resolved, paid) = tokio::join!(resolve(&api, key), pay);
            (paid, resolved)
        };
        let resolved = resolved.expect(200);
        match paid.status {
            201 => assert_eq!((&resolved["status"], &resolved["id"]), (&json!("done"), &paid.json()["id"])),
            _ => assert_eq!((paid.code().as_str(), &resolved["status"]), ("request-abandoned", &json!("abandoned"))),
        }
        outcomes.insert(paid.status);
    }
    assert_eq!(outcomes.into_iter().collect::<Vec<_>>(), [201, 409], "both orders were met");
    app.world.assert_whole();
}
