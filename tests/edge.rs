//! The edge: what is refused before it reaches the books, and what each refusal says.

use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};
use tessera_tests::{Reply, TestApp, World, eur, eventually_async, fresh_key};
use uuid::Uuid;
use wallet_api::platform::keyring::Scope;

fn payment(customer: Uuid, merchant: Uuid, amount: Value) -> Value {
    let instrument = json!({"kind": "external", "rail": "card"});
    json!({"customer": customer, "merchant": merchant, "amount": amount, "instrument": instrument})
}

/// A problem is RFC 9457, the same bytes each time, its request id in a header.
fn assert_problem(reply: &Reply) {
    let problem = reply.json();
    assert_eq!(reply.headers["content-type"], "application/problem+json", "{problem}");
    assert_eq!(problem["type"], format!("/problems/{}", reply.code()));
    assert_eq!(problem["status"], reply.status);
    assert!(reply.headers.contains_key("x-request-id"), "{:?}", reply.headers);
    assert!(problem.get("request_id").is_none(), "a replay must be the same bytes");
}

#[tokio::test]
async fn what_the_body_may_not_say_is_named_with_its_place() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    let good = payment(anna, merchant, eur(100));
    let with = |pointer: &str, value: Value| {
        let mut body = good.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = if parent.is_empty() { Some(&mut body) } else { body.pointer_mut(parent) };
        parent.unwrap()[name] = value;
        body
    };
    let cases = [
        ("/surprise", with("/surprise", json!(1))),
        ("/amount/surprise", with("/amount/surprise", json!(1))),
        ("/instrument/surprise", with("/instrument/surprise", json!(1))),
        ("/amount", with("/amount/amount", json!("0"))),
        ("/amount", with("/amount/amount", json!("-5"))),
        ("/amount", with("/amount/amount", json!("1.00"))),
        ("/amount", with("/amount/amount", json!("+1"))),
        ("/amount", with("/amount/amount", json!(" 1"))),
        ("/amount", with("/amount/amount", json!("10000000000000000"))), // 10^16
        ("/amount", with("/amount/amount", json!("99999999999999999999999"))),
        ("/amount/amount", with("/amount/amount", json!(100))),
        ("/amount", with("/amount/asset", json!("USD"))),
        ("/customer", with("/customer", json!("anna"))),
        ("/instrument", with("/instrument/rail", json!("pigeon"))),
        ("/occurred_at", with("/occurred_at", json!("1969-12-31T23:59:59Z"))),
        ("/occurred_at", with("/occurred_at", json!("2999-01-01T00:00:00Z"))),
        ("/reference", with("/reference", json!(""))),
    ];
    for (pointer, body) in cases {
        let reply = app.api().post("/v1/payments", &body).await;
        assert_problem(&reply);
        let problem = reply.expect_problem(422, "body-invalid");
        let at = problem["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert!(at.starts_with(pointer), "{body}: {problem}");
    }
    app.api().post("/v1/payments", &good).await.expect(201);
    app.world.assert_whole();
}

#[tokio::test]
async fn a_body_that_is_no_json_object_of_ours_is_refused_kindly() {
    let app = TestApp::start();
    let key = fresh_key().to_string();
    let send = async |kind: &str, body: String| {
        let headers = [("idempotency-key", key.as_str()), ("content-type", kind)];
        app.api().send(Method::POST, "/v1/payments", &headers, body.into()).await.unwrap()
    };
    let json = "application/json";
    for (kind, body, status) in [
        (json, String::new(), 400),
        (json, "{".to_owned(), 400),
        (json, "[".repeat(50_000), 400),
        (json, format!("\"{}\"", "x".repeat(3_000_000)), 413),
        ("text/plain", "{}".to_owned(), 415),
        (json, "[]".to_owned(), 422),
        (json, "{}".to_owned(), 422),
        (json, r#"{"customer":1,"customer":2}"#.to_owned(), 400),
    ] {
        let reply = send(kind, body.clone()).await;
        assert_problem(&reply);
        assert_eq!(reply.status, status, "{:.40}: {}", body, reply.json());
    }
}

#[tokio::test]
async fn money_moves_only_under_an_idempotency_key() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    let body = payment(anna, merchant, eur(100)).to_string();
    let json = ("content-type", "application/json");
    let send = async |headers: &[(&str, &str)]| {
        app.api().send(Method::POST, "/v1/payments", headers, body.clone().into()).await.unwrap()
    };
    send(&[json]).await.expect_problem(400, "idempotency-key-missing");
    send(&[json, ("idempotency-key", "")]).await.expect_problem(400, "idempotency-key-invalid");
    send(&[json, ("idempotency-key", "a b")]).await.expect_problem(400, "idempotency-key-invalid");
    let twice = [json, ("idempotency-key", "one"), ("idempotency-key", "two")];
    send(&twice).await.expect_problem(400, "idempotency-key-invalid");
}

#[tokio::test]
async fn a_revoked_key_works_for_at_most_a_second_more() {
    let app = TestApp::start();
    let client = app.world.client(&[Scope::Admin]);
    client.get("/v1/node").await.expect(200);
    app.world.revoke(&client.key);
    let revoked = Instant::now();
    eventually_async("the key is refused", Duration::from_millis(1_500), async || {
        let reply = client.get("/v1/node").await;
        (reply.status == 401).then_some(())
    })
    .await;
    assert!(revoked.elapsed() < Duration::from_millis(1_500));
    let reply = client.get("/v1/node").await;
    assert_problem(&reply);
    assert_eq!(reply.headers["www-authenticate"], "Bearer");
    reply.expect_problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_key_may_do_what_its_scopes_say() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    let (reads, writes) = (app.world.client(&[Scope::PaymentsRead]), app.world.client(&[Scope::PaymentsWrite]));
    let body = payment(anna, merchant, eur(100));
    let problem = reads.post("/v1/payments", &body).await.expect_problem(403, "scope-missing");
    assert_eq!(problem["scope"], "payments:write");
    writes.post("/v1/payments", &body).await.expect(201);
    reads.get(&format!("/v1/customers/{anna}/balances")).await.expect(200);
    writes.get(&format!("/v1/customers/{anna}/balances")).await.expect_problem(403, "scope-missing");
}

/// Everything of another tenant is as if it were not there.
#[tokio::test]
async fn another_tenants_ids_lead_nowhere() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", tessera_tests::Rewards::PLENTY).await;
    let anna = app.world.customer("anna").await;
    let paid = app.api().post("/v1/payments", &payment(anna, shop.merchant, eur(100))).await.expect(201);
    let paid = paid["id"].as_str().unwrap();
    let other = World::new(&app.db().url(), &app.authority(), "other");
    let (own_shop, own_customer) = (other.merchant("shop").await, other.customer("anna").await);
    assert_ne!((own_shop, own_customer), (shop.merchant, anna), "the same names are other ids");

    for path in [
        format!("/v1/payments/{paid}"),
        format!("/v1/payments/{paid}/explanation"),
        format!("/v1/customers/{anna}/balances"),
        format!("/v1/customers/{anna}/statement"),
        format!("/v1/customers/{anna}/card"),
        format!("/v1/merchants/{}", shop.merchant),
        format!("/v1/campaigns/{}", shop.campaign),
    ] {
        let reply = other.api.get(&path).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.json());
    }
    for (customer, merchant) in [(anna, own_shop), (own_customer, shop.merchant)] {
        let body = payment(customer, merchant, eur(100));
        assert_eq!(other.api.post("/v1/payments", &body).await.status, 404);
    }
    for (path, body) in [
        ("/v1/top-ups".to_owned(), json!({"customer": anna, "amount": eur(100), "rail": "card"})),
        ("/v1/quotes".to_owned(), json!({"merchant": shop.merchant, "amount": eur(100)})),
        (format!("/v1/campaigns/{}/pause", shop.campaign), json!({})),
        (format!("/v1/campaigns/{}/fund", shop.campaign), json!({"amount": eur(100)})),
        (format!("/v1/campaigns/{}/rules", shop.campaign), json!({"cashback_bps": 1, "points_per_euro": 1})),
    ] {
        let reply = other.api.post(&path, &body).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.json());
    }
    app.world.assert_whole();
    other.assert_whole();
}

#[tokio::test]
async fn a_read_may_ask_to_be_as_new_as_what_was_just_done() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    let paid = app.api().post("/v1/payments", &payment(anna, merchant, eur(100))).await.expect(201);
    let seq = paid["seq"].as_i64().unwrap();
    let read = async |seq: i64| app.api().get(&format!("/v1/customers/{anna}/balances?min_seq={seq}")).await;
    assert!(read(seq).await.expect(200)["as_of_seq"].as_i64().unwrap() >= seq);
    let reply = read(seq + 1_000).await;
    assert!(reply.headers.contains_key("retry-after"));
    reply.expect_problem(503, "not-yet");
}
