//! Rules of strong authentication over HTTP: switched on by two people, off by one, and never beyond the law.

use chrono::TimeDelta;
use serde_json::{Value, json};
use tessera_tests::{Api, Payer, Reply, Staff, TestApp, staff};
use wallet_api::platform::authenticator::Make;
use wallet_api::platform::clock::Clock;
use wallet_api::platform::keyring::Role;

const RULES: &str = "/v1/sca-rules";

async fn decide(by: &Api, asked: &Value, how: &str) -> Reply {
    by.post(&format!("/v1/approvals/{}/{how}", asked["approval"].as_str().unwrap()), &Value::Null).await
}

async fn two_admins(app: &TestApp) -> [Staff; 2] {
    [
        Staff::with(app, &[staff::role(Role::Admin, None)]).await,
        Staff::with(app, &[staff::role(Role::Admin, None)]).await,
    ]
}

async fn end(by: &Api, rule: &str) -> Value {
    by.post(&format!("{RULES}/end"), &json!({"rule": rule})).await.expect(200)
}

/// RTS, art. 16, off by default; I5: exemption switches take four eyes. T41: of one person they are two.
#[tokio::test]
async fn t41_an_exemption_is_switched_on_by_two_people_and_off_by_one_at_once() {
    let app = TestApp::start();
    let [anna, bruno] = two_admins(&app).await;
    let finance = Staff::with(&app, &[staff::role(Role::Finance, None)]).await;
    let (merchant, payer) =
        (app.world.merchant("shop").await, Payer::with_money(&app.world, "carla", Make::DEVICE, 10_000).await);
    let status = async || payer.ask(merchant, 1_000).await.expect(201)["status"].clone();
    let wish = json!({"allow": {"rts-16": {"most_minor": 1_000, "most_uses": 2}}});
    finance.api.post(RULES, &wish).await.expect_problem(403, "role-missing");
    let asked = anna.api.post(RULES, &wish).await.expect(202);
    assert_eq!((&asked["act"], &asked["asked"]), (&json!("sca-rule"), &wish));
    decide(&anna.api, &asked, "approve").await.expect_problem(403, "same-eyes");
    decide(&app.api(), &asked, "approve").await.expect_problem(403, "operators-only");
    decide(&finance.api, &asked, "approve").await.expect_problem(404, "request-for-eyes-unknown");
    assert_eq!(status().await, "waiting", "one pair of eyes switches nothing on");
    assert_eq!(anna.api.get(RULES).await.expect(200), json!([]));
    for _ in 0..2 {
        decide(&bruno.api, &asked, "approve").await.expect(200);
    }
    assert_eq!(status().await, "paid");
    let listed = bruno.api.get(RULES).await.expect(200);
    let [only] = listed.as_array().unwrap().as_slice() else { panic!("once: {listed}") };
    assert_eq!((&only["rule"], &only["in_force"]), (&json!("rts-16"), &json!(true)));
    assert_eq!((&only["most_minor"], &only["most_uses"]), (&json!(1_000), &json!(2)));
    // Off by whoever is there, again without a word more.
    for _ in 0..2 {
        let rules = end(&anna.api, "rts-16").await;
        let [was, is] = rules.as_array().unwrap().as_slice() else { panic!("two: {rules}") };
        assert_eq!((&was["in_force"], &is["in_force"]), (&json!(false), &json!(true)));
        assert_eq!((is.get("most_minor"), is.get("most_uses")), (None, None), "nothing goes by it");
    }
    assert_eq!(status().await, "waiting", "the second use was left");
    let rejected = anna.api.post(RULES, &wish).await.expect(202);
    decide(&bruno.api, &rejected, "reject").await.expect(200);
    assert_eq!(status().await, "waiting");
    let noted = app.api().get("/v1/audit").await.expect(200);
    let of = |action: &str| {
        let items = noted["items"].as_array().unwrap().iter();
        items.filter(|one| one["action"] == action).map(|one| one["detail"].clone()).collect::<Vec<_>>()
    };
    let [published] = of("sca_rule.published").try_into().unwrap();
    assert_eq!((&published["rule"], &published["most_minor"]), (&json!("rts-16"), &json!(1_000)));
    assert_eq!(of("sca_rule.ended"), [json!({"rule": "rts-16", "was_on": true, "withdrawn": 0})]);
    app.world.assert_whole();
}

/// Who switches a rule off wants it off: what was approved for later is withdrawn, and what waits to be approved is decided anew.
#[tokio::test]
async fn what_is_switched_off_does_not_come_back_by_a_rule_that_was_to_begin() {
    let app = TestApp::start();
    let [anna, bruno] = two_admins(&app).await;
    let later = Clock::System.now() + TimeDelta::days(1);
    let wish = json!({"valid_from": later, "allow": {"rts-16": {"most_minor": 3_000, "most_total_minor": 10_000}}});
    let asked = anna.api.post(RULES, &wish).await.expect(202);
    let same = anna.api.post(RULES, &wish).await.expect(202);
    decide(&bruno.api, &asked, "approve").await.expect(200);
    decide(&bruno.api, &same, "approve").await.expect_problem(409, "sca-rule-taken");
    anna.api.post(RULES, &wish).await.expect_problem(409, "sca-rule-taken");
    let listed = anna.api.get(RULES).await.expect(200);
    assert_eq!((&listed[0]["in_force"], &listed[0]["most_total_minor"]), (&json!(false), &json!(10_000)));
    assert_eq!(listed[0].get("withdrawn_at"), None);
    assert_eq!(end(&anna.api, "synced-passkey").await, listed, "of another thing");
    let ended = end(&anna.api, "rts-16").await;
    assert_eq!(ended.as_array().unwrap().len(), 1, "nothing was in force: {ended}");
    assert!(ended[0]["withdrawn_at"].is_string(), "{ended}");
    let noted = app.api().get("/v1/audit?action=sca_rule.ended").await.expect(200);
    assert_eq!(noted["items"][0]["detail"], json!({"rule": "rts-16", "was_on": false, "withdrawn": 1}));
}

/// Art. 16: 30 euro each, and 100 in all or five payments, one of the two (EBA Q&A 2018_4225). What was in force stays as it was.
#[tokio::test]
async fn no_rule_allows_more_than_the_law_or_begins_in_the_past() {
    let app = TestApp::start();
    let anna = Staff::with(&app, &[staff::role(Role::Admin, None)]).await;
    for beyond in [
        json!({"rts-16": {"most_minor": 3_001, "most_uses": 5}}),
        json!({"rts-16": {"most_minor": 3_000, "most_uses": 6}}),
        json!({"rts-16": {"most_minor": 3_000, "most_total_minor": 10_001}}),
        json!({"rts-16": {"most_minor": 3_000, "most_uses": 5, "most_total_minor": 10_000}}),
        json!({"rts-16": {"most_minor": 3_000}}),
        json!({"rts-16": {"most_minor": 0, "most_uses": 5}}),
        json!({"synced-passkey": {"most_minor": -1}}),
        json!({"synced-passkey": {"most_minor": 0}}),
        json!({"synced-passkey": {"most_minor": 1_000_000_000_000_001_i64}}),
    ] {
        anna.api.post(RULES, &json!({"allow": beyond})).await.expect_problem(422, "sca-rule-unlawful");
    }
    let allow = json!({"rts-16": {"most_minor": 3_000, "most_uses": 5}});
    let past = json!({"valid_from": Clock::System.now() - TimeDelta::hours(1), "allow": allow});
    anna.api.post(RULES, &past).await.expect_problem(422, "sca-rule-in-the-past");
    assert_eq!(app.api().get("/v1/approvals").await.expect(200)["items"], json!([]));
}

/// B3: a synced passkey alone is policy, per tenant and amount; T17: without a rule it never suffices.
#[tokio::test]
async fn t17_up_to_which_amount_a_synced_passkey_suffices_is_set_by_two_people_and_ended_by_one() {
    let app = TestApp::start();
    let [anna, bruno] = two_admins(&app).await;
    let (merchant, payer) =
        (app.world.merchant("shop").await, Payer::with_money(&app.world, "carla", Make::SYNCED, 10_000).await);
    let pay = async |minor: i64| {
        let asked = payer.ask(merchant, minor).await.expect(201);
        let mut answer = payer.answer(&asked);
        answer.as_object_mut().unwrap().remove("device_signature");
        payer.approve(&asked, &answer).await
    };
    pay(1).await.expect_problem(403, "device-needed");
    let asked = anna.api.post(RULES, &json!({"allow": {"synced-passkey": {"most_minor": 1_000}}})).await.expect(202);
    decide(&anna.api, &asked, "approve").await.expect_problem(403, "same-eyes");
    pay(1).await.expect_problem(403, "device-needed");
    decide(&bruno.api, &asked, "approve").await.expect(200);
    pay(1_000).await.expect(200);
    pay(1_001).await.expect_problem(403, "device-needed");
    let ended = end(&bruno.api, "synced-passkey").await;
    assert_eq!((&ended[1]["rule"], ended[1].get("most_minor")), (&json!("synced-passkey"), None));
    pay(1).await.expect_problem(403, "device-needed");
    app.world.assert_whole();
}
