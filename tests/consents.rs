//! Consents from outside: what was said stays, in the words that were shown, and taking back is as easy as agreeing.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tessera_tests::{Member, TestApp, rows};

async fn publish(app: &TestApp, it: &str, en: &str) -> Value {
    let text = json!({"purpose": "marketing", "it": it, "en": en});
    app.api().post("/v1/consent-texts", &text).await.expect(201)
}

/// What somebody says who agrees to what they are shown.
async fn agreeing(member: &Member) -> Value {
    let shown = member.api.get("/v1/me/consents").await.expect(200)[0].clone();
    let text = &shown["text"];
    json!({"purpose": shown["purpose"], "granted": true, "version": text["version"], "locale": text["locale"],
        "sha256": text["sha256"]})
}

fn withdrawing() -> Value {
    json!({"purpose": "marketing", "granted": false})
}

/// GDPR, Art. 7(1) and (3): who agreed to what can be shown, and it is as easy to withdraw as to give.
#[tokio::test]
async fn one_agrees_to_the_words_one_was_shown_and_takes_it_back_by_a_word() {
    let app = TestApp::start();
    let published = publish(&app, "Vuoi offerte?", "Do you want offers?").await;
    assert_eq!(published["texts"].as_array().unwrap().len(), 2);
    let anna = app.world.member("anna").await;
    let first = agreeing(&anna).await;
    let said = anna.api.post("/v1/me/consents", &first).await.expect(200);
    assert_eq!(said["granted"], true);
    let told = anna.api.get("/v1/me/consents").await.expect(200)[0].clone();
    assert_eq!((&told["granted"], &told["sha256"], &told["version"]), (&json!(true), &first["sha256"], &json!(1)));
    let hash = "46e1bd2c6d2bb2ec2ba57b9e51c1ecfbfe7d6f6dd3e3d83f7ac9a5c7ab5f0f0e";
    let other = json!({"purpose": "marketing", "granted": true, "version": 1, "locale": "en", "sha256": hash});
    anna.api.post("/v1/me/consents", &other).await.expect_problem(409, "consent-text-changed");
    let blind = json!({"purpose": "marketing", "granted": true});
    anna.api.post("/v1/me/consents", &blind).await.expect_problem(422, "body-invalid");
    let nothing = json!({"purpose": "profiling", "granted": true, "version": 1, "locale": "en", "sha256": hash});
    anna.api.post("/v1/me/consents", &nothing).await.expect_problem(404, "purpose-unknown");

    publish(&app, "Vuoi offerte e giochi?", "Do you want offers and games?").await;
    anna.api.post("/v1/me/consents", &first).await.expect_problem(409, "consent-text-changed");
    let told = anna.api.get("/v1/me/consents").await.expect(200)[0].clone();
    assert_eq!((&told["granted"], &told["version"], &told["text"]["version"]), (&json!(true), &json!(1), &json!(2)));

    let back = anna.api.post("/v1/me/consents", &withdrawing()).await.expect(200);
    assert_eq!(back["granted"], false);
    assert!(back["audit_seq"].is_i64());
    let again = anna.api.post("/v1/me/consents", &withdrawing()).await.expect(200);
    assert_eq!(again, withdrawing(), "there is nothing to take back, and nothing is written");
    for purpose in ["", "\u{0}"] {
        let none = json!({"purpose": purpose, "granted": false});
        anna.api.post("/v1/me/consents", &none).await.expect_problem(404, "purpose-unknown");
    }
    let misquoted = json!({"purpose": "marketing", "granted": false, "sha256": "x"});
    anna.api.post("/v1/me/consents", &misquoted).await.expect_problem(422, "body-invalid");
    let log = app.api().get(&format!("/v1/audit?subject={}", anna.id)).await.expect(200);
    let acts: Vec<_> = log["items"].as_array().unwrap().iter().map(|one| one["action"].as_str().unwrap()).collect();
    assert_eq!(acts, ["consent.withdrawn", "consent.granted"]);
    app.api().get("/v1/me/consents").await.expect_problem(403, "scope-missing");
    anna.api.get("/v1/consent-texts").await.expect_problem(403, "scope-missing");
    for (purpose, it) in [("Marketing", "x"), ("marketing", " ")] {
        let wrong = json!({"purpose": purpose, "it": it, "en": "x"});
        app.api().post("/v1/consent-texts", &wrong).await.expect_problem(422, "consent-text-invalid");
    }
}

/// Whatever is said at once is written one after the other, and the last one counts.
#[tokio::test]
async fn what_is_said_at_once_is_a_ledger_without_gaps() {
    let app = TestApp::start();
    publish(&app, "Vuoi offerte?", "Do you want offers?").await;
    let anna = app.world.member("anna").await;
    let (agree, back) = (agreeing(&anna).await, withdrawing());
    let all = (0..24).map(|turn| {
        let (api, body) = (anna.api.clone(), if turn % 2 == 0 { &agree } else { &back });
        async move { api.post("/v1/me/consents", body).await.expect(200) }
    });
    join_all(all).await;
    let said = rows(
        &app.db().super_url(),
        "SELECT number, is_granted, lag(is_granted) OVER (ORDER BY number) AS before FROM consent ORDER BY number",
    );
    for (row, number) in said.iter().zip(1..) {
        assert_eq!(row[0], Some(i32::to_string(&number)), "no gaps: {said:?}");
        let taken_back = row[1].as_deref() == Some("false");
        assert!(!taken_back || row[2].as_deref() == Some("true"), "only what was given is taken back: {said:?}");
    }
    let last = said.last().unwrap()[1].clone().unwrap();
    let told = anna.api.get("/v1/me/consents").await.expect(200)[0]["granted"].to_string();
    assert_eq!(told, last);
    let role = "SET ROLE tessera_app; UPDATE consent SET is_granted = true";
    let conn = &mut <diesel::PgConnection as diesel::Connection>::establish(&app.db().super_url()).unwrap();
    assert!(diesel::connection::SimpleConnection::batch_execute(conn, role).is_err(), "it only grows");
}
