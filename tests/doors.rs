//! People come in: sign-up by a code and a passkey, sign-in, over HTTP and with real mail.

use hyper::Method;
use serde_json::{Value, json};
use tessera_tests::{
    Api, Ground, Guest, MailServer, NodeProcess, Reply, Speech, TestDb, World, code_in, create, mails_for, nth_mail,
    rows, vault_dir,
};
use wallet_api::platform::authenticator::{Authenticator, Make, Manners};

/// A node that sends mail, and a tenant called `club`.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) mails: MailServer,
    pub(crate) node: NodeProcess,
    pub(crate) db: TestDb<'static>,
}

impl House {
    /// None where there is no mail server to be had.
    pub(crate) fn start(env: &[(&str, &str)]) -> Option<Self> {
        let (mails, db) = (MailServer::start(Speech::Plain)?, Ground::fast().database());
        let world = World::new(&db.url(), "", "club");
        Some(Self::over((world, mails, db), env))
    }

    /// A node over what is there.
    pub(crate) fn over((mut world, mails, db): (World, MailServer, TestDb<'static>), env: &[(&str, &str)]) -> Self {
        let (smtp, vault) = (format!("smtp://127.0.0.1:{}", mails.port), vault_dir(&db.url()));
        let ours = [
            ("TESSERA_SMTP_URL", smtp.as_str()),
            ("TESSERA_MAIL_FROM", "Club <wallet@example.org>"),
            ("TESSERA_VAULT_DIR", vault.to_str().unwrap()),
            ("TESSERA_TRUSTED_PROXIES", "127.0.0.1"),
        ];
        let node = NodeProcess::start(&db, &[&ours[..], env].concat());
        world.api.authority = node.authority();
        Self { world, mails, node, db }
    }

    pub(crate) fn api(&self) -> &Api {
        &self.world.api
    }

    pub(crate) fn phone(&self) -> Guest {
        Guest::phone(self.api(), "club")
    }

    pub(crate) fn browser(&self) -> Guest {
        Guest::browser(self.api(), "club")
    }

    /// Somebody with a wallet: their phone, signed in, and their passkey.
    pub(crate) async fn anna(&self, email: &str, make: Make) -> (Guest, Authenticator) {
        let phone = self.phone();
        let (authenticator, reply) = phone.sign_up(&self.mails, email, make).await;
        let entered = reply.expect(201);
        (phone.with_session(&entered), authenticator)
    }

    pub(crate) fn count(&self, from: &str) -> usize {
        rows(&self.db.super_url(), &format!("SELECT 1 AS one FROM {from}")).len()
    }
}

fn refusal(reply: &Reply) -> (u16, String) {
    (reply.status, reply.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_proves_a_contact_and_registers_a_passkey_is_a_customer_and_signs_in_again() {
    let Some(house) = House::start(&[]) else { return };
    let phone = house.phone();
    let (mut passkey, reply) = phone.sign_up(&house.mails, "anna@example.com", Make::SYNCED).await;
    let entered = reply.expect(201);
    assert_eq!(entered["device_bound"], true);
    let phone = phone.with_session(&entered);
    let sessions = phone.api.get("/v1/me/sessions").await.expect(200);
    assert_eq!(
        (sessions[0]["current"].clone(), sessions[0]["device"].clone()),
        (json!(true), entered["device"].clone())
    );
    let devices = phone.api.get("/v1/me/devices").await.expect(200);
    assert_eq!((&devices[0]["bound_by"], &devices[0]["name"]), (&json!("sign-up"), &json!("Anna's phone")));
    // The customer is one like any other.
    let person = entered["person"].as_str().unwrap();
    house.api().get(&format!("/v1/customers/{person}/balances")).await.expect(200);
    let again = phone.out();
    let entered = again.sign_in(&mut passkey).await.expect(201);
    assert_eq!((entered["person"].as_str().unwrap(), &entered["device"]), (person, &devices[0]["id"]));
    assert_eq!(entered["device_bound"], true, "the device is known by its key");
    // The session is the device's: a refresh token is nothing elsewhere.
    let refresh = json!({"refresh_token": entered["refresh_token"]});
    house.browser().post("/v1/sessions/refresh", &refresh).await.expect_problem(401, "session-over");
    again.post("/v1/sessions/refresh", &refresh).await.expect(200);
    let log = house.api().get(&format!("/v1/audit?subject={person}&limit=20")).await.expect(200);
    let mut actions: Vec<&str> =
        log["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    actions.reverse();
    assert_eq!(actions, ["person.signed_up", "device.bound", "person.signed_in"]);
}

/// T59: who asks for a wallet with somebody's contact is answered to the letter as with nobody's, and so is who guesses its code;
/// only the mailbox knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t59_nobody_learns_whether_a_contact_has_a_wallet() {
    let Some(house) = House::start(&[]) else { return };
    house.anna("anna@example.com", Make::DEVICE).await;
    let stranger = house.browser();
    let (mut sizes, mut refusals) = (Vec::new(), Vec::new());
    for (n, email) in ["Anna@Example.com", "nobody@example.com"].into_iter().enumerate() {
        let mailbox = email.to_lowercase();
        let before = mails_for(&house.mails, &mailbox).len();
        let reply = stranger.post("/v1/sign-ups", &json!({"tenant": "club", "email": email, "locale": "it"})).await;
        sizes.push((reply.status, reply.bytes.len(), reply.headers.len()));
        let id = reply.expect(202)["id"].as_str().unwrap().to_owned();
        let mail = nth_mail(&house.mails, &mailbox, before).await;
        let has_code =
            mail.lines().any(|line| line.trim().len() == 8 && line.trim().bytes().all(|b| b.is_ascii_digit()));
        assert_eq!(has_code, n == 1, "{mail}");
        let said = json!({"tenant": "club", "code": "00000000"});
        let reply = stranger.post(&format!("/v1/sign-ups/{id}/code"), &said).await;
        refusals.push((refusal(&reply), reply.bytes.clone()));
    }
    let unknown = "/v1/sign-ups/00000000-0000-7000-8000-000000000001/code";
    let reply = stranger.post(unknown, &json!({"tenant": "club", "code": "00000000"})).await;
    refusals.push((refusal(&reply), reply.bytes.clone()));
    assert!(sizes.windows(2).all(|pair| pair[0] == pair[1]), "{sizes:?}");
    assert!(refusals.windows(2).all(|pair| pair[0] == pair[1]), "{refusals:?}");
    assert_eq!(refusals[0].0, (403, "code-refused".to_owned()));
}

/// T7: a strange passkey, a wrong signature, a used challenge and one that never was read the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t07_whoever_is_not_let_in_reads_the_same_whatever_was_wrong() {
    let Some(house) = House::start(&[]) else { return };
    let (phone, mut passkey) = house.anna("anna@example.com", Make::SYNCED).await;
    let out = phone.out();
    let (mut strange, _) = stranger_key();
    let forged = Manners { signs_with_another_key: true, ..Manners::good() };
    let mut replies = vec![
        out.sign_in(&mut strange).await,
        out.sign_in_as(&mut passkey, &forged).await,
        out.sign_in_as(&mut passkey, &Manners { user_unverified: true, ..Manners::good() }).await,
        out.post("/v1/sign-ins/00000000-0000-7000-8000-000000000001", &json!({"tenant": "club", "response": {}})).await,
    ];
    // With the key of somebody else's device.
    let (bruno, _) = house.anna("bruno@example.com", Make::SYNCED).await;
    let bruno = bruno.out();
    replies.push(bruno.sign_in(&mut passkey).await);
    let first = replies[0].bytes.clone();
    for reply in &replies {
        assert_eq!((refusal(reply), &reply.bytes), ((403, "entry-refused".to_owned()), &first));
    }
    assert_eq!(house.count("session"), 2, "the two of the sign-ups");
}

/// A credential that was registered nowhere.
fn stranger_key() -> (Authenticator, Value) {
    let nonce = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    create(&json!({"options": {"publicKey": {"challenge": nonce, "user": {"id": "AAAA"}}}}), Make::DEVICE)
}

/// T9: somebody at another address fails as her five times and more, and is shut out there; her known device comes in from the
/// same address, and whatever she has from another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t09_whoever_fails_elsewhere_locks_nobody_out() {
    let Some(house) = House::start(&[]) else { return };
    let (phone, mut passkey) = house.anna("anna@example.com", Make::SYNCED).await;
    let attacker = house.browser().at("203.0.113.66");
    let forged = Manners { signs_with_another_key: true, ..Manners::good() };
    for _ in 0..6 {
        attacker.sign_in_as(&mut passkey, &forged).await.expect_problem(403, "entry-refused");
    }
    // Where the failures came from even the right passkey is refused, and reads the same.
    attacker.sign_in(&mut passkey).await.expect_problem(403, "entry-refused");
    let home = house.browser().at("198.51.100.7");
    home.sign_in(&mut passkey).await.expect(201);
    let phone = phone.out().at("203.0.113.66");
    phone.sign_in(&mut passkey).await.expect(201);
}

/// T9: nor does whoever begins more sign-ins than may, from the address she is at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t09_thirty_a_minute_from_an_address_and_a_known_device_beside_them() {
    let Some(house) = House::start(&[]) else { return };
    let (phone, mut passkey) = house.anna("anna@example.com", Make::SYNCED).await;
    let attacker = house.browser().at("203.0.113.66");
    let wish = json!({"tenant": "club"});
    for _ in 0..30 {
        attacker.post("/v1/sign-ins", &wish).await.expect(201);
    }
    let refused = attacker.post("/v1/sign-ins", &wish).await;
    assert_eq!(refused.headers["retry-after"], "60");
    refused.expect_problem(429, "sign-ins-too-many");
    house.browser().at("203.0.113.67").post("/v1/sign-ins", &wish).await.expect(201);
    let phone = phone.out().at("203.0.113.66");
    phone.sign_in(&mut passkey).await.expect(201);
}

/// T17, T18: a passkey that may be synced binds no further device key, and where it is alone changes no way in: nothing that it
/// registered there is taken for hardware. One that cannot leave its authenticator does both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t18_a_further_device_is_bound_by_an_older_one_and_not_by_somebodys_cloud() {
    let Some(house) = House::start(&[]) else { return };
    let (_phone, mut synced) = house.anna("anna@example.com", Make::SYNCED).await;
    for thief in [house.phone(), house.browser()] {
        let entered = thief.sign_in(&mut synced).await.expect(201);
        assert_eq!(entered["device_bound"], false);
        let thief = thief.with_session(&entered);
        thief.post("/v1/me/passkeys/challenges", &Value::Null).await.expect_problem(403, "own-device-needed");
        let contact = json!({"email": "thief@example.com"});
        thief.post("/v1/me/contacts", &contact).await.expect_problem(403, "own-device-needed");
        for doors in ["passkeys", "contacts"] {
            let theirs = thief.api.get(&format!("/v1/me/{doors}")).await.expect(200);
            let path = format!("/v1/me/{doors}/{}", theirs[0]["id"].as_str().unwrap());
            thief.ask(Method::DELETE, &path, &Value::Null).await.expect_problem(403, "own-device-needed");
        }
    }
    assert_eq!(
        (house.count("passkey WHERE revoked_at IS NULL"), house.count("contact_claim WHERE proved_at IS NULL")),
        (1, 0)
    );
    let (_phone, mut hardware) = house.anna("bruno@example.com", Make::DEVICE).await;
    let entered = house.phone().sign_in(&mut hardware).await.expect(201);
    assert_eq!(entered["device_bound"], true);
    let bound = "device WHERE key IS NOT NULL AND bound_by <> 0";
    assert_eq!(house.count(bound), 1, "his");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_or_a_registration_is_good_once_and_for_its_own_sign_up() {
    let Some(house) = House::start(&[]) else { return };
    let guest = house.browser();
    let (id, code) = guest.code("/v1/sign-ups", &house.mails, "anna@example.com").await;
    let (other, _) = guest.code("/v1/sign-ups", &house.mails, "bruno@example.com").await;
    let said = json!({"tenant": "club", "code": code});
    guest.post(&format!("/v1/sign-ups/{other}/code"), &said).await.expect_problem(403, "code-refused");
    let opened = guest.post(&format!("/v1/sign-ups/{id}/code"), &said).await.expect(200);
    guest.post(&format!("/v1/sign-ups/{id}/code"), &said).await.expect_problem(403, "code-refused");
    let (_, response) = create(&opened, Make::DEVICE);
    let body = json!({"tenant": "club", "challenge": opened["challenge"], "response": response});
    guest.post(&format!("/v1/sign-ups/{other}/passkey"), &body).await.expect_problem(403, "entry-refused");
    guest.post(&format!("/v1/sign-ups/{id}/passkey"), &body).await.expect(201);
    guest.post(&format!("/v1/sign-ups/{id}/passkey"), &body).await.expect_problem(403, "entry-refused");
    assert_eq!((house.count("person"), house.count("contact")), (1, 1));
}

/// Two mailboxes at once that are one: the second to finish finds a wallet, and nothing of theirs is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_is_one_persons_also_when_two_sign_ups_race() {
    let Some(house) = House::start(&[]) else { return };
    let mut ready = Vec::new();
    for _ in 0..2 {
        let guest = house.phone();
        let (id, code) = guest.code("/v1/sign-ups", &house.mails, "anna@example.com").await;
        let said = json!({"tenant": "club", "code": code});
        let opened = guest.post(&format!("/v1/sign-ups/{id}/code"), &said).await.expect(200);
        let (_, response) = create(&opened, Make::DEVICE);
        let body = json!({"tenant": "club", "challenge": opened["challenge"], "response": response});
        ready.push((guest, format!("/v1/sign-ups/{id}/passkey"), body));
    }
    let [first, second] = [&ready[0], &ready[1]].map(|(guest, path, body)| guest.post(path, body));
    let (first, second) = tokio::join!(first, second);
    let mut statuses = [refusal(&first), refusal(&second)];
    statuses.sort();
    assert_eq!(statuses, [(201, String::new()), (409, "contact-taken".to_owned())]);
    assert_eq!((house.count("person"), house.count("passkey"), house.count("device")), (1, 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_reached_is_refused_before_anything_is_done() {
    let Some(house) = House::start(&[]) else { return };
    let guest = house.browser();
    let ask = async |body: Value| guest.post("/v1/sign-ups", &body).await;
    ask(json!({"tenant": "nobody", "email": "a@example.com"})).await.expect_problem(404, "tenant-unknown");
    ask(json!({"tenant": "club", "email": "a@"})).await.expect_problem(422, "mail-address-invalid");
    ask(json!({"tenant": "club", "phone": "0612345678"})).await.expect_problem(422, "phone-invalid");
    ask(json!({"tenant": "club", "phone": "+390612345678"})).await.expect_problem(503, "phone-not-set");
    ask(json!({"tenant": "club"})).await.expect_problem(422, "body-invalid");
    ask(json!({"tenant": "club", "email": "a@example.com", "level": 3})).await.expect_problem(422, "body-invalid");
    assert_eq!(house.count("contact_claim"), 0);
    for _ in 0..5 {
        ask(json!({"tenant": "club", "email": "a@example.com"})).await.expect(202);
    }
    ask(json!({"tenant": "club", "email": "a@example.com"})).await.expect_problem(429, "codes-too-many");
}

/// T55: a contact is in no table, no log and no answer but sealed; a code likewise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t55_no_contact_and_no_code_is_in_clear_anywhere() {
    let Some(house) = House::start(&[("RUST_LOG", "debug")]) else { return };
    let email = "canary-anna@example.com";
    let (phone, mut passkey) = house.anna(email, Make::SYNCED).await;
    phone.out().sign_in(&mut passkey).await.expect(201);
    // One who is half way: claim, challenge and all.
    let (_, pending) = house.browser().code("/v1/sign-ups", &house.mails, "canary-carla@example.com").await;
    let (id, bruno) = house.browser().code("/v1/sign-ups", &house.mails, "canary-bruno@example.com").await;
    let said = json!({"tenant": "club", "code": bruno});
    house.browser().post(&format!("/v1/sign-ups/{id}/code"), &said).await.expect(200);
    let code = code_in(&mails_for(&house.mails, email)[0]);
    let tables = rows(
        &house.db.super_url(),
        "SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind = 'r' AND n.nspname IN ('public', 'journal')",
    );
    let mut all = house.node.log();
    for table in tables {
        let table = table[0].clone().unwrap();
        // What is bytes shows as hexadecimal: look for that too.
        for row in rows(&house.db.super_url(), &format!("SELECT t::text AS row FROM {table} t")) {
            all.push_str(&row[0].clone().unwrap_or_default());
            all.push('\n');
        }
    }
    let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    assert!(all.contains("sign-up-"), "the tables were read");
    for canary in ["canary-anna", "canary-bruno", "canary-carla", "Anna's phone"] {
        assert!(!all.contains(canary) && !all.contains(&hex(canary)), "{canary} is in clear");
    }
    for code in [code, pending] {
        assert!(!all.contains(&format!("\"{code}\"")) && !all.contains(&hex(&code)), "a code is in clear");
    }
}
