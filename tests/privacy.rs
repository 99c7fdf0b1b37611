//! A person's rights from outside: all of what is kept of them in one file, and being forgotten for good.

use diesel::{Connection as _, PgConnection};
use serde_json::{Value, json};
use tessera_tests::{
    MailServer, Member, Payer, Rewards, Speech, TestApp, eur, eventually_async, nth_mail, run_sql, scalar,
};
use wallet_api::identity::contacts::{self, Contact};
use wallet_api::platform::authenticator::Make;
use wallet_api::platform::clock::Clock;
use wallet_api::platform::ids::Ids;
use wallet_api::platform::vault::Receipt;

async fn export(member: &Member) -> Vec<Value> {
    let reply = member.api.post("/v1/me/export", &Value::Null).await;
    assert_eq!(reply.status, 200, "{:?}", reply.bytes);
    assert_eq!(reply.headers["content-type"], "application/x-ndjson");
    let text = String::from_utf8(reply.bytes.to_vec()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((&last["kind"], &last["lines"]), (&json!("end"), &json!(lines.len())), "it is whole");
    lines
}

/// As if they had proved it.
fn add_contact(app: &TestApp, member: &Member) {
    let (contact, now) = (Contact::email("Anna@example.org").unwrap(), Clock::System.now());
    let conn = &mut PgConnection::establish(&app.db().url()).unwrap();
    let whose = (app.world.tenant, member.id);
    conn.transaction(|conn| contacts::add(conn, &app.vault(), &Ids::system(), now, whose, &contact)).unwrap();
}

fn of<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

/// GDPR, Art. 15 and 20: everything, machine-readable, who looked included, and nothing of anybody else.
#[tokio::test]
async fn an_export_has_all_of_a_person_and_nothing_of_anybody_else() {
    let app = TestApp::start();
    let shop = app.world.shop("emporio", Rewards::PLENTY).await;
    let (anna, bruno) = (app.world.member("anna").await, app.world.member("bruno").await);
    for (member, minor) in [(&anna, 100), (&bruno, 777)] {
        app.world.top_up(member.id, 50_000).await;
        // More than a page.
        for _ in 0..if minor == 100 { 205 } else { 1 } {
            let body = json!({"customer": member.id, "merchant": shop.merchant, "amount": eur(minor),
                "instrument": {"kind": "wallet"}});
            app.api().post("/v1/payments", &body).await.expect(201);
        }
    }
    let level = json!({"level": "T2"});
    app.api().post(&format!("/v1/customers/{}/level", anna.id), &level).await.expect(200);
    app.api().post("/v1/consent-texts", &json!({"purpose": "marketing", "it": "Si?", "en": "Yes?"})).await.expect(201);
    let text = anna.api.get("/v1/me/consents").await.expect(200)[0]["text"].clone();
    let agree = json!({"purpose": "marketing", "granted": true, "version": text["version"], "locale": text["locale"],
        "sha256": text["sha256"]});
    anna.api.post("/v1/me/consents", &agree).await.expect(200);

    add_contact(&app, &anna);

    let lines = export(&anna).await;
    assert_eq!(of(&lines, "contact")[0]["value"], "anna@example.org");
    assert_eq!(lines[0]["person"], json!(anna.id));
    assert_eq!((&lines[0]["level"], of(&lines, "device").len(), of(&lines, "session").len()), (&json!("T2"), 1, 1));
    assert_eq!(of(&lines, "consent")[0]["sha256"], text["sha256"]);
    let entries = of(&lines, "entry");
    let spent: Vec<_> = entries.iter().filter(|one| one["account"] == "available").collect();
    assert_eq!(spent.len(), 206, "each payment and the top-up");
    assert_eq!(spent[0]["payment"]["merchant"], json!(shop.merchant));
    let balance =
        of(&lines, "account").iter().find(|one| one["account"] == "available").unwrap()["balance_minor"].clone();
    assert_eq!((&balance, &spent[0]["balance_minor"]), (&json!("29500"), &json!("29500")));
    let acts: Vec<_> = of(&lines, "act").iter().map(|act| act["action"].as_str().unwrap()).collect();
    assert_eq!(acts, ["person.exported", "consent.granted", "person.level_changed"]);
    let brunos = format!("{:?}", of(&lines, "entry")).contains("\"-777\"");
    assert!(!brunos && !format!("{lines:?}").contains(&bruno.id.to_string()), "nothing of anybody else");
    app.api().post("/v1/me/export", &Value::Null).await.expect_problem(403, "scope-missing");
}

/// GDPR, Art. 17: the key is destroyed, the person closed, the receipt signed; the books stay, under an id without a name.
#[tokio::test]
async fn whoever_asks_is_forgotten_once_the_wallet_is_empty() {
    let Some(mails) = MailServer::start(Speech::Plain) else { return };
    let app = TestApp::with_mail(&mails);
    let shop = app.world.merchant("emporio").await;
    let anna = app.world.member("anna").await;
    app.world.top_up(anna.id, 1_000).await;
    let pay = json!({"customer": anna.id, "merchant": shop, "amount": eur(1_000), "instrument": {"kind": "wallet"}});
    anna.api.post("/v1/me/erasure", &Value::Null).await.expect_problem(409, "wallet-not-empty");
    app.api().post("/v1/payments", &pay).await.expect(201);
    run_sql(&app.db().super_url(), "UPDATE session SET authenticated_at = now() - interval '301 seconds'");
    anna.api.post("/v1/me/erasure", &Value::Null).await.expect_problem(401, "passkey-needed");
    run_sql(&app.db().super_url(), "UPDATE session SET authenticated_at = now() - interval '290 seconds'");
    add_contact(&app, &anna);
    let receipt = anna.api.post("/v1/me/erasure", &Value::Null).await.expect(200);
    assert_eq!(receipt["person"], json!(anna.id));
    let letter = nth_mail(&mails, "anna@example.org", 0).await.replace("=\r\n", "");
    assert!(letter.contains("viene cancellato per sempre"), "{letter}");
    Receipt::parse(&receipt.to_string()).unwrap();
    assert_eq!(anna.api.get("/v1/me/limits").await.status, 401, "the session is over");
    let url = app.db().super_url();
    let count = |of: &str| scalar::<diesel::sql_types::BigInt, i64>(&url, &format!("(SELECT count(*) FROM {of})"));
    assert_eq!(count("person WHERE closed_at IS NOT NULL"), 1);
    assert_eq!(count("contact WHERE blind IS NOT NULL OR ended_at IS NULL"), 0, "nobody is found by the address");
    assert_eq!((count("vault_erasure"), count("person_secret"), count("session WHERE revoked_at IS NULL")), (1, 0, 0));
    // Nobody pays into it or out of it, and what was paid stays in the books.
    let top_up = json!({"customer": anna.id, "amount": eur(1), "rail": "card"});
    app.api().post("/v1/top-ups", &top_up).await.expect_problem(404, "customer-unknown");
    app.api().post("/v1/payments", &pay).await.expect_problem(404, "customer-unknown");
    app.world.assert_whole();
    let log = app.api().get(&format!("/v1/audit?subject={}", anna.id)).await.expect(200);
    assert_eq!(log["items"][0]["action"], "person.erased");
}

/// Nobody is forgotten whom nobody could tell: a node without mail leaves everything as it is, the wallet too.
#[tokio::test]
async fn where_no_letter_can_go_nobody_with_a_contact_is_forgotten() {
    let app = TestApp::start();
    let anna = app.world.member("anna").await;
    app.world.top_up(anna.id, 1_000).await;
    let shop = app.world.merchant("emporio").await;
    let pay = json!({"customer": anna.id, "merchant": shop, "amount": eur(1_000), "instrument": {"kind": "wallet"}});
    app.api().post("/v1/payments", &pay).await.expect(201);
    add_contact(&app, &anna);
    anna.api.post("/v1/me/erasure", &Value::Null).await.expect_problem(503, "mail-not-set");
    app.world.top_up(anna.id, 1).await;
    assert_eq!(
        scalar::<diesel::sql_types::BigInt, i64>(&app.db().super_url(), "(SELECT count(*) FROM vault_erasure)"),
        0
    );
}

/// T18: a copied access token forgets nobody, however fresh the passkey.
#[tokio::test]
async fn t18_a_copied_access_token_forgets_nobody() {
    let app = TestApp::start();
    let anna = Payer::new(&app.world, "anna", Make::DEVICE).await;
    anna.api.post("/v1/me/erasure", &Value::Null).await.expect_problem(401, "proof-needed");
    anna.api.get("/v1/me/devices").await.expect(200);
}

/// RTS, Art. 4(3)(d): what money there is, is shown to who is there.
#[tokio::test]
async fn whoever_was_away_sees_no_balance_by_the_limits_or_the_export() {
    let app = TestApp::start();
    let anna = app.world.member("anna").await;
    anna.api.get("/v1/me/limits").await.expect(200);
    run_sql(&app.db().super_url(), "UPDATE session SET authenticated_at = now() - interval '13 hours'");
    let away = async || (anna.api.get("/v1/me/limits").await.code() == "sign-in-again").then_some(());
    eventually_async("they are away", std::time::Duration::from_secs(10), away).await;
    anna.api.post("/v1/me/export", &Value::Null).await.expect_problem(401, "sign-in-again");
    anna.api.get("/v1/me/devices").await.expect(200);
}

/// T65: a database restored from a backup has the person as they were; who forgets them again closes them in the same commit.
#[tokio::test]
async fn t65_a_restored_database_closes_the_person_again_with_their_key() {
    let mut app = TestApp::start();
    let anna = app.world.member("anna").await;
    anna.api.post("/v1/me/erasure", &Value::Null).await.expect(200);
    let restored = "DELETE FROM vault_erasure; UPDATE person SET closed_at = NULL; \
        UPDATE session SET revoked_at = NULL, revoked_for = NULL";
    app.meanwhile(|db| run_sql(&db.super_url(), restored));
    let url = app.db().super_url();
    let count = |of: &str| scalar::<diesel::sql_types::BigInt, i64>(&url, &format!("(SELECT count(*) FROM {of})"));
    let left = (count("person WHERE closed_at IS NULL"), count("session WHERE revoked_at IS NULL"));
    assert_eq!((left, count("vault_erasure")), ((0, 0), 1));
}
