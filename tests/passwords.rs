//! Operators' passwords, over HTTP: what they open, what they do not, and what trying many of them costs others.

use futures_util::future::join_all;
use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tessera_tests::{Api, Reply, Staff, TestApp, eur, fresh_key, staff};
use wallet_api::platform::keyring::Role;

const RIGHT: &str = "correct horse battery staple";

async fn set(api: &Api, password: &str) -> Reply {
    api.post("/v1/staff/password", &json!({"password": password})).await
}

async fn come(app: &TestApp, email: &str, password: &str) -> Reply {
    let said = json!({"tenant": "acme", "email": email, "password": password});
    app.api().with_key("").post("/v1/operator-password-sign-ins", &said).await
}

fn refusal(reply: Reply) -> Value {
    let mut problem = reply.expect_problem(403, "operator-refused");
    problem.as_object_mut().unwrap().remove("instance");
    problem
}

/// A password opens what a clerk does, and nothing that may much; it sets no other one; and whatever is wrong reads the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_a_fallback_for_who_set_it_with_their_passkey_and_opens_no_books() {
    let app = TestApp::start();
    let roles = [staff::role(Role::Finance, None), staff::role(Role::Marketing, None)];
    let anna = Staff::with(&app, &roles).await;
    let without = refusal(come(&app, &anna.email, RIGHT).await);
    set(&anna.api, "too short").await.expect_problem(422, "password-weak");
    set(&anna.api, RIGHT).await.expect(204);
    let entered = come(&app, &anna.email.to_uppercase(), RIGHT).await.expect(201);
    let by_password = anna.api.with_key(entered["access_token"].as_str().unwrap());
    let me = by_password.get("/v1/staff").await.expect(200);
    assert_eq!((&me["operator"], &me["roles"]), (&json!(anna.id), &json!([{"role": "marketing"}])));
    by_password.get("/v1/ledger/accounts").await.expect_problem(403, "role-missing");
    anna.api.get("/v1/ledger/accounts").await.expect(200);
    set(&by_password, "another horse battery staple").await.expect_problem(401, "passkey-stale");
    assert_eq!(refusal(come(&app, &anna.email, "wrong horse battery staple").await), without);
    assert_eq!(refusal(come(&app, "nobody@example.org", RIGHT).await), without);
    assert_eq!(refusal(come(&app, &anna.email, &"x".repeat(129)).await), without);
    anna.api.send(Method::DELETE, "/v1/staff/password", &[], Bytes::new()).await.unwrap().expect(204);
    assert_eq!(refusal(come(&app, &anna.email, RIGHT).await), without);
    by_password.get("/v1/staff").await.expect_problem(401, "unauthenticated");
    anna.api.get("/v1/staff").await.expect(200);
    let log = app.api().get("/v1/audit?limit=100").await.expect(200).to_string();
    assert!(log.contains("operator.password_set") && log.contains("operator.password_ended"), "{log}");
    assert!(!log.contains("horse"), "{log}");
}

/// T9: five wrong ones end the password for a while, the right one too; the passkey's door is another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t09_wrong_passwords_end_the_password_for_a_while_and_not_the_passkey() {
    let app = TestApp::start();
    let mut anna = Staff::with(&app, &[staff::role(Role::Marketing, None)]).await;
    set(&anna.api, RIGHT).await.expect(204);
    for _ in 0..4 {
        refusal(come(&app, &anna.email, "wrong").await);
    }
    come(&app, &anna.email, RIGHT).await.expect(201);
    for _ in 0..5 {
        refusal(come(&app, &anna.email, "wrong").await);
    }
    refusal(come(&app, &anna.email, RIGHT).await);
    anna.sign_in("acme").await.expect(201);
    // And from one address no more than thirty a minute begin, whoever they say they are.
    let mut refused = Vec::new();
    for number in 0..30 {
        refused.push(come(&app, &format!("{number}@example.org"), "wrong").await.status);
    }
    assert!(refused.ends_with(&[429]) && refused.starts_with(&[403]), "{refused:?}");
    // The door of the passkeys at that same address is another.
    anna.sign_in("acme").await.expect(201);
}

/// T58: of two hundred at once few are looked at and the others are told to come back; who pays meanwhile is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t58_two_hundred_passwords_at_once_are_told_to_come_back_and_payments_go_on() {
    let app = TestApp::start();
    let anna = Staff::with(&app, &[staff::role(Role::Marketing, None)]).await;
    set(&anna.api, RIGHT).await.expect(204);
    let merchant = app.world.merchant("shop").await;
    let customer = app.world.customer("anna").await;
    app.world.top_up(customer, 10_000).await;
    let wish = json!({"customer": customer, "merchant": merchant, "amount": eur(1), "instrument": {"kind": "wallet"}});
    let pay = async || {
        let mut told = Vec::new();
        for _ in 0..20 {
            told.push(app.api().post_as(fresh_key(), "/v1/payments", &wish).await.status);
        }
        told
    };
    let tries = join_all((0..200).map(|_| come(&app, &anna.email, "wrong")));
    let (tried, paid) = tokio::join!(tries, pay());
    assert!(paid.iter().all(|status| *status == 201), "{paid:?}");
    let busy: Vec<&Reply> = tried.iter().filter(|one| one.status == 503).collect();
    let looked_at = tried.iter().filter(|one| one.status == 403).count();
    assert!(!busy.is_empty() && looked_at <= 30, "{} were told to come back, {looked_at} looked at", busy.len());
    assert!(busy.iter().all(|one| one.headers.contains_key("retry-after")), "and when");
    assert!(tried.iter().all(|one| matches!(one.status, 403 | 429 | 503)));
    app.world.assert_whole();
}
