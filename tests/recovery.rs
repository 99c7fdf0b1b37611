//! Coming back without a passkey, what somebody changes at their own doors, and who is told of it.

use std::time::Duration;

use diesel::{Connection as _, PgConnection};
use hyper::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tessera_tests::{
    Guest, MailServer, NodeProcess, ORIGIN, Payer, RP_ID, Reply, Speech, TestApp, bytes, code_in, create, eur,
    eventually_async, mails_for, nth_mail, run_sql, vault_dir,
};
use uuid::Uuid;
use wallet_api::identity::contacts::{self, Contact};
use wallet_api::identity::people;
use wallet_api::platform::authenticator::{Ask, Make, Manners};
use wallet_api::platform::clock::Clock;
use wallet_api::platform::ids::Ids;

use crate::doors::House;

const PATIENCE: Duration = Duration::from_secs(20);

/// Whether somebody was told something, in words of the catalogue, so many times.
async fn told(house: &House, email: &str, words: &str, times: usize) {
    // Long lines are folded on their way.
    let told =
        || mails_for(&house.mails, email).iter().filter(|mail| mail.replace("=\r\n", "").contains(words)).count();
    eventually_async(words, PATIENCE, async || (told() == times).then_some(())).await;
}

async fn ids(guest: &Guest, path: &str) -> Vec<String> {
    let all = guest.api.get(path).await.expect(200);
    all.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

async fn delete(guest: &Guest, path: &str) -> Reply {
    guest.ask(Method::DELETE, path, &Value::Null).await
}

/// T18: an access token that somebody copied changes no way in, without a proof or with another key's; nor does the device itself
/// once the passkey was shown too long ago.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t18_a_copied_access_token_changes_no_way_in() {
    let Some(house) = House::start(&[]) else { return };
    let (phone, _) = house.anna("anna@example.com", Make::SYNCED).await;
    let passkey = ids(&phone, "/v1/me/passkeys").await.remove(0);
    let contact = ids(&phone, "/v1/me/contacts").await.remove(0);
    let other = json!({"email": "thief@example.com"});
    let change = async |guest: &Guest, refusal: &str| {
        guest.post("/v1/me/passkeys/challenges", &Value::Null).await.expect_problem(401, refusal);
        delete(guest, &format!("/v1/me/passkeys/{passkey}")).await.expect_problem(401, refusal);
        guest.post("/v1/me/contacts", &other).await.expect_problem(401, refusal);
        delete(guest, &format!("/v1/me/contacts/{contact}")).await.expect_problem(401, refusal);
    };
    for mut thief in [house.browser(), house.phone()] {
        thief.api = phone.api.clone();
        thief.api.get("/v1/me/devices").await.expect(200);
        change(&thief, "proof-needed").await;
    }
    phone.post("/v1/me/passkeys/challenges", &Value::Null).await.expect(201);
    run_sql(&house.db.super_url(), "UPDATE session SET authenticated_at = authenticated_at - interval '301 seconds'");
    change(&phone, "passkey-needed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_adds_names_and_ends_passkeys_and_the_last_one_stays() {
    let Some(house) = House::start(&[]) else { return };
    let (phone, mut first) = house.anna("anna@example.com", Make::SYNCED).await;
    let opened = phone.post("/v1/me/passkeys/challenges", &Value::Null).await.expect(201);
    let (mut second, response) = create(&opened, Make::DEVICE);
    let made = json!({"challenge": opened["challenge"], "response": response, "name": "Key ring"});
    let added = phone.post("/v1/me/passkeys", &made).await.expect(201);
    assert_eq!((&added["name"], &added["synced"]), (&json!("Key ring"), &json!(false)));
    phone.post("/v1/me/passkeys", &made).await.expect_problem(403, "passkey-not-registered");
    told(&house, "anna@example.com", "stata aggiunta una passkey", 1).await;
    let all = ids(&phone, "/v1/me/passkeys").await;
    let at = |n: usize| format!("/v1/me/passkeys/{}", all[n]);
    assert_eq!(phone.ask(Method::PATCH, &at(1), &json!({"name": "Drawer"})).await.status, 204);
    assert_eq!(phone.api.get("/v1/me/passkeys").await.expect(200)[1]["name"], "Drawer");
    assert_eq!(delete(&phone, &at(0)).await.status, 204);
    assert_eq!(delete(&phone, &at(0)).await.status, 204, "again changes nothing");
    told(&house, "anna@example.com", "stata tolta una passkey", 1).await;
    delete(&phone, &at(1)).await.expect_problem(409, "last-passkey");
    let (bruno, _) = house.anna("bruno@example.com", Make::SYNCED).await;
    delete(&bruno, &at(1)).await.expect_problem(404, "not-found");
    let out = phone.out();
    out.sign_in(&mut first).await.expect_problem(403, "entry-refused");
    out.sign_in(&mut second).await.expect(201);
}

/// T19: who comes back by a code has a new passkey and no more: every session has ended, little can be paid for a day, what was
/// proved beyond the contact has to be proved anew, all contacts know, and nothing older can be thrown out; the owner throws
/// it out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t19_a_recovery_is_told_to_every_contact_and_brings_a_day_of_caution() {
    let Some(house) = House::start(&[]) else { return };
    let (phone, mut synced) = house.anna("anna@example.com", Make::SYNCED).await;
    let begun = phone.post("/v1/me/contacts", &json!({"email": "other@example.com"})).await.expect(202);
    let code = code_in(&nth_mail(&house.mails, "other@example.com", 0).await);
    let path = format!("/v1/me/contacts/{}/code", begun["id"].as_str().unwrap());
    assert_eq!(phone.post(&path, &json!({"code": code})).await.status, 204);
    told(&house, "anna@example.com", "stato aggiunto un contatto", 1).await;
    run_sql(&house.db.super_url(), "UPDATE person SET level = 2");

    let elsewhere = house.phone();
    let door = ("/v1/recoveries", &house.mails, "other@example.com");
    let (_, reply) = elsewhere.come("club", door, Make::DEVICE).await;
    let entered = reply.expect(201);
    assert_eq!(entered["device_bound"], true);
    for email in ["anna@example.com", "other@example.com"] {
        told(&house, email, "sta recuperando il tuo wallet", 1).await;
        told(&house, email, "le tue passkey precedenti aprono ancora", 1).await;
    }
    let over = async || (phone.api.get("/v1/me/sessions").await.status == 401).then_some(());
    eventually_async("the older session is over", PATIENCE, over).await;
    let person: Uuid = entered["person"].as_str().unwrap().parse().unwrap();
    let conn = &mut PgConnection::establish(&house.db.url()).unwrap();
    let now = Clock::System.now();
    let caution = people::caution(conn, house.world.tenant, person, now).unwrap().expect("a day of caution");
    assert!(caution.until > now + chrono::TimeDelta::hours(23) && caution.most_minor == 15_000, "{caution:?}");
    let level = people::find(conn, house.world.tenant, person).unwrap().unwrap().level;
    assert_eq!(level, people::Level::T1, "what was proved beyond the contact is proved anew");
    let log = house.api().get("/v1/audit?action=person.level_changed").await.expect(200);
    let changed = &log["items"][0];
    assert_eq!(
        (&changed["detail"], &changed["object"]["id"]),
        (&json!({"from": "T2", "to": "T1"}), &entered["person"])
    );

    let elsewhere = elsewhere.with_session(&entered);
    let passkeys = ids(&elsewhere, "/v1/me/passkeys").await;
    let devices = ids(&elsewhere, "/v1/me/devices").await;
    let contacts = ids(&elsewhere, "/v1/me/contacts").await;
    for older in [
        format!("/v1/me/passkeys/{}", passkeys[0]),
        format!("/v1/me/devices/{}", devices[0]),
        format!("/v1/me/contacts/{}", contacts[0]),
    ] {
        delete(&elsewhere, &older).await.expect_problem(403, "cooling-off");
    }
    let phone = phone.out();
    let entered = phone.sign_in(&mut synced).await.expect(201);
    let phone = phone.with_session(&entered);
    assert_eq!(delete(&phone, &format!("/v1/me/passkeys/{}", passkeys[1])).await.status, 204);
    assert_eq!(delete(&phone, &format!("/v1/me/devices/{}", devices[1])).await.status, 204);
    told(&house, "anna@example.com", "le sue sessioni sono terminate", 1).await;
    let over = async || (elsewhere.api.get("/v1/me/sessions").await.status == 401).then_some(());
    eventually_async("whoever came back is out", PATIENCE, over).await;
}

/// T19: whoever came in last may not be the person, so for a day they forget nobody, and a token that was copied never does. Then it
/// is done, and told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t19_for_a_day_after_a_recovery_nobody_is_forgotten() {
    let Some(house) = House::start(&[]) else { return };
    house.anna("anna@example.com", Make::SYNCED).await;
    let phone = house.phone();
    let door = ("/v1/recoveries", &house.mails, "anna@example.com");
    let (_, reply) = phone.come("club", door, Make::DEVICE).await;
    let phone = phone.with_session(&reply.expect(201));
    let told_when = phone.post("/v1/me/erasure", &Value::Null).await.expect_problem(403, "erasure-too-soon");
    assert!(told_when["until"].is_string(), "{told_when}");
    run_sql(
        &house.db.super_url(),
        "UPDATE recovery SET begun_at = begun_at - interval '1 day', done_at = done_at - interval '1 day'; \
         UPDATE device SET created_at = created_at - interval '1 day'",
    );
    let mut thief = house.phone();
    thief.api = phone.api.clone();
    thief.post("/v1/me/erasure", &Value::Null).await.expect_problem(401, "proof-needed");
    told(&house, "anna@example.com", "viene cancellato per sempre", 0).await;
    assert_eq!(house.count("vault_erasure"), 0);
    phone.post("/v1/me/erasure", &Value::Null).await.expect(200);
    told(&house, "anna@example.com", "viene cancellato per sempre", 1).await;
    assert_eq!(house.count("vault_erasure"), 1);
}

/// RTS, Art. 4(3)(b): who was barred for good regains the use of their wallet by a recovery, and for a day a little of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t08_whoever_was_barred_for_good_recovers_and_pays_a_little_again() {
    let Some(mails) = MailServer::start(Speech::Plain) else { return };
    let app = TestApp::with_mail(&mails);
    let merchant = app.world.merchant("shop").await;
    let anna = Payer::with_money(&app.world, "anna", Make::DEVICE, 50_000).await;
    let conn = &mut PgConnection::establish(&app.db().url()).unwrap();
    let (email, now) = (Contact::email("anna@example.com").unwrap(), Clock::System.now());
    let whose = (app.world.tenant, anna.id);
    conn.transaction(|conn| contacts::add(conn, &app.vault(), &Ids::system(), now, whose, &email)).unwrap();
    let wrong = Manners { user_unverified: true, ..Manners::good() };
    for _ in 0..15 {
        let asked = anna.ask(merchant, 100).await.expect(201);
        anna.approve(&asked, &anna.answer_as(&asked, &wrong)).await.expect_problem(403, "approval-refused");
        // Blocks that have an end are over at once.
        run_sql(&app.db().super_url(), "UPDATE sca_failure SET blocked_until = now() WHERE blocked_until IS NOT NULL");
    }
    anna.pay(merchant, 100).await.expect_problem(403, "approval-refused");
    let barred = app.api().get("/v1/audit?action=approvals.blocked").await.expect(200);
    assert_eq!(barred["items"][0]["detail"]["for_good"], true);

    let phone = Guest::phone(&app.api(), "acme");
    let door = ("/v1/recoveries", &mails, "anna@example.com");
    let (mut passkey, reply) = phone.come("acme", door, Make::DEVICE).await;
    let phone = phone.with_session(&reply.expect(201));
    let done = app.api().get("/v1/audit?action=recovery.done").await.expect(200);
    assert_eq!(done["items"][0]["detail"]["approvals_readmitted"], true);
    let wish = json!({"merchant": merchant, "amount": eur(10_000)});
    let asked = phone.api.post("/v1/me/payments", &wish).await.expect(201);
    let offer = &asked["offer"];
    let challenge = bytes(&offer["passkey"]["publicKey"]["challenge"]);
    let ask = Ask { challenge: &challenge, origin: ORIGIN, rp_id: RP_ID };
    let response = passkey.get(&ask, &Manners::good()).unwrap().to_json();
    let answer = json!({"offer": offer["id"], "method": "webauthn.get", "response": response});
    let path = format!("/v1/me/payments/{}/approval", asked["id"].as_str().unwrap());
    assert_eq!(phone.api.post(&path, &answer).await.expect(200)["status"], "paid");
    phone.api.post("/v1/me/payments", &wish).await.expect_problem(403, "caution");
    assert_eq!(app.world.balance(anna.id, "available").await, 40_000);
    app.world.assert_whole();
}

/// A contact that does not open puts off its own notice; the others are told at once, and it is once it opens.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_that_does_not_open_keeps_no_other_from_being_told() {
    let Some(house) = House::start(&[]) else { return };
    let (phone, _) = house.anna("anna@example.com", Make::SYNCED).await;
    let begun = phone.post("/v1/me/contacts", &json!({"email": "other@example.com"})).await.expect(202);
    let code = code_in(&nth_mail(&house.mails, "other@example.com", 0).await);
    let path = format!("/v1/me/contacts/{}/code", begun["id"].as_str().unwrap());
    assert_eq!(phone.post(&path, &json!({"code": code})).await.status, 204);
    told(&house, "anna@example.com", "stato aggiunto un contatto", 1).await;
    let first = ids(&phone, "/v1/me/contacts").await.remove(0);
    run_sql(&house.db.super_url(), &format!("UPDATE contact SET value = value || '\\x00' WHERE id = '{first}'"));
    let device = ids(&phone, "/v1/me/devices").await.remove(0);
    assert_eq!(delete(&phone, &format!("/v1/me/devices/{device}")).await.status, 204);
    told(&house, "other@example.com", "le sue sessioni sono terminate", 1).await;
    let put_off = async || {
        let soon = "notice WHERE tries > 0 AND next_at < now() + interval '1 minute'";
        (house.count(soon) == 1 && house.count("notice") == 1).then_some(())
    };
    eventually_async("the other one is put off, as what a server does not take now", PATIENCE, put_off).await;
    run_sql(
        &house.db.super_url(),
        "UPDATE contact SET value = substring(value FOR length(value) - 1) WHERE id IN (SELECT contact FROM notice); \
         UPDATE notice SET next_at = now()",
    );
    told(&house, "anna@example.com", "le sue sessioni sono terminate", 1).await;
}

/// T59: recovery answers to the letter the same for a contact that has a wallet and for one that has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t59_a_recovery_tells_nobody_whether_there_is_a_wallet() {
    let Some(house) = House::start(&[]) else { return };
    house.anna("anna@example.com", Make::DEVICE).await;
    let stranger = house.browser();
    let mut seen = Vec::new();
    for email in ["anna@example.com", "none@example.com"] {
        let reply = stranger.post("/v1/recoveries", &json!({"tenant": "club", "email": email})).await;
        let shape = (reply.status, reply.bytes.len(), reply.headers.len());
        let id = reply.expect(202)["id"].as_str().unwrap().to_owned();
        let said = json!({"tenant": "club", "code": "00000000"});
        let refused = stranger.post(&format!("/v1/recoveries/{id}/code"), &said).await;
        seen.push((shape, refused.status, refused.bytes));
    }
    assert_eq!(seen[0], seen[1]);
    told(&house, "none@example.com", "Non ce n'", 1).await;
}

/// What was done is told also when the node that did it sends no mail and is killed: the next one sends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_outlives_the_node_that_owes_it() {
    let Some(house) = House::start(&[]) else { return };
    let (mut phone, _) = house.anna("anna@example.com", Make::SYNCED).await;
    let opened = phone.post("/v1/me/passkeys/challenges", &Value::Null).await.expect(201);
    let (_, response) = create(&opened, Make::DEVICE);
    let House { world, mails, mut node, db } = house;
    node.signal(Signal::TERM);
    assert!(node.wait_until_ended().success());
    let vault = vault_dir(&db.url());
    let silent = NodeProcess::start(&db, &[("TESSERA_VAULT_DIR", vault.to_str().unwrap())]);
    phone.api.authority = silent.authority();
    let made = json!({"challenge": opened["challenge"], "response": response});
    phone.post("/v1/me/passkeys", &made).await.expect(201);
    silent.signal(Signal::KILL);
    assert_eq!(mails_for(&mails, "anna@example.com").len(), 1, "the code alone");
    let house = House::over((world, mails, db), &[]);
    told(&house, "anna@example.com", "stata aggiunta una passkey", 1).await;
    let left = async || (house.count("notice") == 0).then_some(());
    eventually_async("what was told is owed no more", PATIENCE, left).await;
}
