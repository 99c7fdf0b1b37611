//! What takes four eyes, over HTTP: large refunds, tables of limits, erasures by staff.

use diesel::{Connection as _, PgConnection};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tessera_tests::{Api, Payer, Staff, TestApp, eur, fresh_key, run_sql, staff};
use uuid::Uuid;
use wallet_api::identity::{self, NewKey, four_eyes};
use wallet_api::platform::audit::Actor;
use wallet_api::platform::authenticator::Make;
use wallet_api::platform::clock::Clock;
use wallet_api::platform::ids::Ids;
use wallet_api::platform::keyring::{Role, Scope};

/// A tenant whose refunds above 10.00 take four eyes, and a payment of 50.00.
struct Desk {
    app: TestApp,
    shop: Uuid,
    customer: Uuid,
    refund: String,
}

impl Desk {
    async fn open() -> Self {
        let app = TestApp::start();
        let mut conn = PgConnection::establish(&app.world.url).unwrap();
        four_eyes::set_refunds_above(&mut conn, Clock::System.now(), app.world.tenant, Some(1_000)).unwrap();
        let (shop, customer) = (app.world.merchant("shop").await, app.world.customer("anna").await);
        app.world.top_up(customer, 5_000).await;
        let mut desk = Self { app, shop, customer, refund: String::new() };
        desk.refund = desk.paid(5_000).await;
        desk
    }

    /// One more payment; where it is refunded.
    async fn paid(&self, minor: i64) -> String {
        let Self { app, shop, customer, .. } = self;
        let wish =
            json!({"customer": customer, "merchant": shop, "amount": eur(minor), "instrument": {"kind": "wallet"}});
        let paid = app.api().post("/v1/payments", &wish).await.expect(201);
        format!("/v1/payments/{}/refund", paid["id"].as_str().unwrap())
    }

    async fn available(&self) -> i64 {
        self.app.world.balance(self.customer, "available").await
    }
}

fn to(asked: &Value, what: &str) -> String {
    format!("/v1/approvals/{}/{what}", asked["approval"].as_str().unwrap())
}

async fn approve(by: &Api, asked: &Value) -> tessera_tests::Reply {
    by.post(&to(asked, "approve"), &Value::Null).await
}

/// T41: what a merchant asks for above the amount, finance decides; in many small parts it is no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t41_a_refund_above_the_amount_waits_for_another_pair_of_eyes_and_is_posted_once_to_the_letter() {
    let desk = Desk::open().await;
    let clerk = Staff::with(&desk.app, &[staff::role(Role::Merchant, Some(desk.shop))]).await;
    let finance = Staff::with(&desk.app, &[staff::role(Role::Finance, None)]).await;
    clerk.api.post(&desk.refund, &json!({"amount": eur(600)})).await.expect(201);
    assert_eq!(desk.available().await, 600, "below it nobody is asked");
    let (key, body) = (fresh_key(), json!({"amount": eur(401)}));
    let asked = clerk.api.post_as(key, &desk.refund, &body).await.expect(202);
    assert_eq!((asked["act"].as_str(), asked["status"].as_str()), (Some("refund"), Some("pending")), "a part too many");
    assert_eq!(clerk.api.post_as(key, &desk.refund, &body).await.expect(202)["approval"], asked["approval"]);
    clerk.api.post_as(key, &desk.refund, &json!({"amount": eur(402)})).await.expect_problem(422, "key-reused");
    assert_eq!(desk.available().await, 600, "nothing is done yet");
    clerk.api.post(&to(&asked, "approve"), &Value::Null).await.expect_problem(403, "role-missing");
    let listed = finance.api.get("/v1/approvals").await.expect(200);
    assert_eq!(listed["items"][0]["approval"], asked["approval"]);
    assert_eq!(listed["items"][0]["asked"]["amount_minor"], 401);
    let told = join_all((0..5).map(|_| approve(&finance.api, &asked))).await;
    let told: Vec<Value> = told.into_iter().map(|one| one.expect(200)).collect();
    assert!(told.iter().all(|one| one["seq"] == told[0]["seq"]), "{told:?}");
    assert_eq!(desk.available().await, 1_001, "once");
    let refunded = clerk.api.post_as(key, &desk.refund, &body).await.expect(201);
    assert_eq!(
        (&refunded["seq"], &refunded["amount"]),
        (&told[0]["seq"], &eur(401)),
        "who asked is told what came of it"
    );
    let shown = finance.api.get(&format!("/v1/approvals/{}", asked["approval"].as_str().unwrap())).await.expect(200);
    assert_eq!((&shown["seq"], shown.get("refused")), (&told[0]["seq"], None));
    // All that is left, as it stands when it is asked.
    let rest = clerk.api.post(&desk.refund, &json!({})).await.expect(202);
    assert_eq!(rest["asked"]["amount_minor"], 3_999);
    let rejected = finance.api.post(&to(&rest, "reject"), &Value::Null).await.expect(200);
    assert_eq!(rejected["status"], "rejected");
    approve(&finance.api, &rest).await.expect_problem(409, "request-for-eyes-over");
    assert_eq!(desk.available().await, 1_001);
    assert_eq!(finance.api.get("/v1/approvals").await.expect(200)["items"], json!([]));
    assert_eq!(finance.api.get("/v1/approvals?all=true").await.expect(200)["items"].as_array().unwrap().len(), 2);
    desk.app.world.assert_whole();
}

/// T41: many small parts at the same moment are one large refund: of those that together are above the amount, one is done alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t41_parts_at_the_same_moment_that_together_are_above_the_amount_are_not_all_done_alone() {
    let desk = Desk::open().await;
    desk.app.world.top_up(desk.customer, 60_000).await;
    for _ in 0..4 {
        let refund = desk.paid(5_000).await;
        let before = desk.available().await;
        let api = desk.app.api();
        let part = json!({"amount": eur(600)});
        let told = join_all((0..3).map(|_| api.post(&refund, &part))).await;
        let told: Vec<u16> = told.iter().map(|one| one.status).collect();
        let alone = told.iter().filter(|status| **status == 201).count();
        assert!(alone <= 1 && told.iter().all(|status| matches!(status, 201 | 202 | 409 | 429)), "{told:?}");
        assert_eq!(desk.available().await - before, 600 * i64::try_from(alone).unwrap(), "{told:?}");
    }
    desk.app.world.assert_whole();
}

/// What was approved and the books refuse is refused for good: who decides and who asked read why.
#[tokio::test]
async fn what_the_books_refuse_of_an_approved_refund_is_told_to_who_decided_and_who_asked() {
    let desk = Desk::open().await;
    let clerk = Staff::with(&desk.app, &[staff::role(Role::Merchant, Some(desk.shop))]).await;
    let finance = Staff::with(&desk.app, &[staff::role(Role::Finance, None)]).await;
    let body = json!({"amount": eur(3_000)});
    let (one, two) = (fresh_key(), fresh_key());
    let first = clerk.api.post_as(one, &desk.refund, &body).await.expect(202);
    let second = clerk.api.post_as(two, &desk.refund, &body).await.expect(202);
    approve(&finance.api, &first).await.expect(200);
    for _ in 0..2 {
        approve(&finance.api, &second).await.expect_problem(422, "refund-exceeded");
    }
    let listed = finance.api.get("/v1/approvals?all=true").await.expect(200);
    assert_eq!(
        (&listed["items"][0]["approval"], &listed["items"][0]["refused"]),
        (&second["approval"], &json!("refund-exceeded"))
    );
    assert!(listed["items"][0]["seq"].as_i64() > listed["items"][1]["seq"].as_i64(), "{listed}");
    clerk.api.post_as(two, &desk.refund, &body).await.expect_problem(422, "refund-exceeded");
    clerk.api.post_as(one, &desk.refund, &body).await.expect(201);
    assert_eq!(desk.available().await, 3_000);
    desk.app.world.assert_whole();
}

/// Whoever gave their key up is not refunded later by somebody who finds what waits under it; and what was approved is not
/// called given up.
#[tokio::test]
async fn a_refund_that_waits_is_withdrawn_with_its_key_and_one_that_was_approved_is_told_as_done() {
    let desk = Desk::open().await;
    let clerk = Staff::with(&desk.app, &[staff::role(Role::Merchant, Some(desk.shop))]).await;
    let finance = Staff::with(&desk.app, &[staff::role(Role::Finance, None)]).await;
    let body = json!({"amount": eur(2_000)});
    let (given_up, done) = (fresh_key(), fresh_key());
    let resolve =
        async |key: Uuid| clerk.api.post(&format!("/v1/requests/{key}/resolve"), &Value::Null).await.expect(200);
    let waits = clerk.api.post_as(given_up, &desk.refund, &body).await.expect(202);
    clerk.api.get(&format!("/v1/requests/{given_up}")).await.expect_problem(404, "request-unknown");
    let told = resolve(given_up).await;
    assert_eq!(told["status"], "abandoned");
    assert_eq!(resolve(given_up).await, told);
    approve(&finance.api, &waits).await.expect_problem(409, "request-for-eyes-over");
    assert_eq!(finance.api.get("/v1/approvals").await.expect(200)["items"], json!([]));
    assert_eq!(finance.api.get("/v1/approvals?all=true").await.expect(200)["items"][0]["status"], "withdrawn");
    clerk.api.post_as(given_up, &desk.refund, &body).await.expect_problem(409, "request-abandoned");
    assert_eq!(desk.available().await, 0);
    let waits = clerk.api.post_as(done, &desk.refund, &body).await.expect(202);
    let approved = approve(&finance.api, &waits).await.expect(200);
    for _ in 0..2 {
        let told = resolve(done).await;
        assert_eq!((&told["status"], &told["seq"]), (&json!("done"), &approved["seq"]));
        assert_eq!(clerk.api.get(&format!("/v1/requests/{done}")).await.expect(200), told);
    }
    approve(&finance.api, &waits).await.expect(200);
    clerk.api.post_as(done, &desk.refund, &body).await.expect(201);
    assert_eq!(desk.available().await, 2_000);
    desk.app.world.assert_whole();
}

/// T41: a key of the house is no pair of eyes; T30: what somebody asked who has lost the right to ask nobody approves.
#[tokio::test]
async fn t41_a_key_of_the_house_decides_nothing_and_what_was_asked_falls_with_the_right_to_ask() {
    let app = TestApp::start();
    let anna = Staff::with(&app, &[staff::role(Role::Admin, None)]).await;
    let bruno = Staff::with(&app, &[staff::role(Role::Admin, None)]).await;
    let ask = async |by: &Api| by.post("/v1/limit-tables", &json!({})).await.expect(202);
    let hers = ask(&anna.api).await;
    for houses in [&app.api(), &app.world.client(&[Scope::Admin])] {
        approve(houses, &hers).await.expect_problem(403, "operators-only");
        houses.post(&to(&hers, "reject"), &Value::Null).await.expect_problem(403, "operators-only");
    }
    staff::end_role(&app.world, anna.id, Role::Admin);
    approve(&bruno.api, &hers).await.expect_problem(409, "request-for-eyes-orphaned");
    assert_eq!(app.api().get("/v1/limit-tables").await.expect(200), json!([]));
    assert_eq!(bruno.api.post(&to(&hers, "reject"), &Value::Null).await.expect(200)["status"], "rejected");
    // A machine's key that was ended asked for nothing any more; of a client that has another in its place it stands.
    let mut conn = PgConnection::establish(&app.world.url).unwrap();
    let mut key = |client: Option<i64>, scope: Scope| {
        let wish = NewKey { tenant: app.world.tenant, name: "machine".into(), scopes: vec![scope], client };
        let made =
            identity::create_key(&mut conn, &Ids::system(), Clock::System.now(), Actor::Operator, &wish).unwrap();
        (made.client, made.key.reveal().to_owned())
    };
    let (client, first) = key(None, Scope::Admin);
    let asked = ask(&app.api().with_key(&first)).await;
    app.world.revoke(&first);
    approve(&bruno.api, &asked).await.expect_problem(409, "request-for-eyes-orphaned");
    key(Some(client), Scope::PaymentsRead);
    approve(&bruno.api, &asked).await.expect_problem(409, "request-for-eyes-orphaned");
    assert_eq!(app.api().get("/v1/limit-tables").await.expect(200), json!([]));
    key(Some(client), Scope::Admin);
    approve(&bruno.api, &asked).await.expect(200);
    // Who still may is not in the way, and who was given more than before neither.
    let carla = Staff::with(&app, &[staff::role(Role::Admin, None)]).await;
    let asked = ask(&carla.api).await;
    staff::grant(&app.world, carla.id, &staff::role(Role::Bank, None));
    staff::end_role(&app.world, carla.id, Role::Bank);
    approve(&bruno.api, &asked).await.expect(200);
}

/// T41: a second session, a second role and a key of whoever asked are the same eyes.
#[tokio::test]
async fn t41_whoever_asked_decides_by_no_session_role_or_key_of_theirs_and_nobody_decides_what_was_changed() {
    let desk = Desk::open().await;
    let app = &desk.app;
    let mut anna = Staff::with(app, &[staff::role(Role::Admin, None)]).await;
    let bruno = Staff::with(app, &[staff::role(Role::Admin, None)]).await;
    let asked = anna.api.post("/v1/limit-tables", &json!({})).await.expect(202);
    let key = anna.key(&app.world, &[Scope::Admin]);
    let entered = anna.sign_in("acme").await.expect(201);
    let second = anna.api.with_key(entered["access_token"].as_str().unwrap());
    for same in [&anna.api, &second, &key] {
        approve(same, &asked).await.expect_problem(403, "same-eyes");
        same.post(&to(&asked, "reject"), &Value::Null).await.expect_problem(403, "same-eyes");
    }
    let by_key = key.post(&desk.refund, &json!({})).await.expect(202);
    staff::grant(&app.world, anna.id, &staff::role(Role::Finance, None));
    let entered = anna.sign_in("acme").await.expect(201);
    let as_finance = anna.api.with_key(entered["access_token"].as_str().unwrap());
    approve(&as_finance, &by_key).await.expect_problem(403, "same-eyes");
    // An administrator decides no refunds, and finance no limits: to them it is not there.
    approve(&bruno.api, &by_key).await.expect_problem(404, "request-for-eyes-unknown");
    let finance = Staff::with(app, &[staff::role(Role::Finance, None)]).await;
    approve(&finance.api, &asked).await.expect_problem(404, "request-for-eyes-unknown");
    let id = by_key["approval"].as_str().unwrap();
    let more = r#"convert_from(body, 'UTF8')::jsonb || '{"amount_minor": 4999}'"#;
    run_sql(
        &app.db().super_url(),
        &format!("UPDATE four_eyes SET body = convert_to(({more})::text, 'UTF8') WHERE id = '{id}'"),
    );
    approve(&finance.api, &by_key).await.expect_problem(409, "request-for-eyes-changed");
    assert_eq!(desk.available().await, 0);
    run_sql(
        &app.db().super_url(),
        "UPDATE four_eyes SET asked_at = now() - interval '8 days', expires_at = now() - interval '1 day' WHERE act = 'limits'",
    );
    approve(&bruno.api, &asked).await.expect_problem(409, "request-for-eyes-over");
    let noted = app.api().get("/v1/audit?action=four_eyes.confirmed").await.expect(200);
    let refused = noted["items"].as_array().unwrap().iter().filter(|one| one["outcome"] == "refused").count();
    assert_eq!(refused, 5, "three at the table, one at the refund, one that was changed: {noted}");
    assert_eq!(app.api().get("/v1/limit-tables").await.expect(200), json!([]));
}

/// A table is published in the transaction that approves it, once; one whose time has come before is not, and waits no more.
#[tokio::test]
async fn a_table_of_limits_is_published_with_its_approval_and_once() {
    let app = TestApp::start();
    let other = staff::colleague(&app, &[Scope::Admin]);
    let asked = app.api().post("/v1/limit-tables", &json!({})).await.expect(202);
    assert_eq!(app.api().get("/v1/limit-tables").await.expect(200), json!([]), "not yet");
    for _ in 0..2 {
        assert_eq!(approve(&other, &asked).await.expect(200)["status"], "approved");
    }
    assert_eq!(app.api().get("/v1/limit-tables").await.expect(200).as_array().unwrap().len(), 1);
    let at = json!({"valid_from": Clock::System.now() + chrono::TimeDelta::hours(1)});
    let (one, two) = (
        app.api().post("/v1/limit-tables", &at).await.expect(202),
        app.api().post("/v1/limit-tables", &at).await.expect(202),
    );
    approve(&other, &one).await.expect(200);
    approve(&other, &two).await.expect_problem(409, "limits-taken");
    assert_eq!(
        other.get(&format!("/v1/approvals/{}", two["approval"].as_str().unwrap())).await.expect(200)["status"],
        "pending",
        "what could not be done was not decided"
    );
}

/// Staff forget nobody alone; what two decided gives the receipt, again the same, and the person is out.
#[tokio::test]
async fn an_erasure_that_staff_order_takes_two_and_gives_the_signed_receipt() {
    let app = TestApp::start();
    let anna = Payer::new(&app.world, "anna", Make::DEVICE).await;
    let (one, two) = (
        Staff::with(&app, &[staff::role(Role::Admin, None)]).await,
        Staff::with(&app, &[staff::role(Role::Admin, None)]).await,
    );
    let path = format!("/v1/customers/{}/erasure", anna.id);
    let nobody = fresh_key();
    one.api.post(&format!("/v1/customers/{nobody}/erasure"), &Value::Null).await.expect_problem(404, "not-found");
    // Who never signed up is forgotten too: nothing is committed about them any more.
    let card_only = app.world.customer("card-only").await;
    let asked = one.api.post(&format!("/v1/customers/{card_only}/erasure"), &Value::Null).await.expect(202);
    assert!(approve(&two.api, &asked).await.expect(200)["receipt"].is_object());
    let top_up = json!({"customer": card_only, "amount": eur(100), "rail": "card"});
    app.api().post("/v1/top-ups", &top_up).await.expect_problem(404, "customer-unknown");
    let asked = one.api.post(&path, &Value::Null).await.expect(202);
    anna.api.get("/v1/me/devices").await.expect(200);
    approve(&one.api, &asked).await.expect_problem(403, "same-eyes");
    let done = approve(&two.api, &asked).await.expect(200);
    assert!(done["receipt"].is_object(), "{done}");
    assert_eq!(approve(&two.api, &asked).await.expect(200)["receipt"], done["receipt"]);
    anna.api.get("/v1/me/devices").await.expect(401);
    let log = app.api().get(&format!("/v1/audit?subject={}", anna.id)).await.expect(200).to_string();
    for word in ["four_eyes.asked", "four_eyes.confirmed", "person.erased"] {
        assert!(log.contains(word), "{word}: {log}");
    }
}
