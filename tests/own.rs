//! A person's own payments, over HTTP: offered, approved, posted once; the threats' numbers are those of `docs/threats.md`.

use std::time::Duration;

use chrono::DateTime;
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::BigInt;
use diesel::{Connection as _, PgConnection};
use futures_util::future::join_all;
use ledger::proof::PublicKey;
use serde_json::{Value, json};
use tessera_tests::{ORIGIN, Payer, RP_ID, Rewards, TestApp, eur, eventually_async, fresh_key, run_sql, scalar};
use wallet_api::identity::devices::{self, BoundBy, NewDevice};
use wallet_api::identity::sca::exemption::{self, Counter, Rule};
use wallet_api::platform::authenticator::{Make, Manners};
use wallet_api::platform::clock::Clock;
use wallet_api::platform::ids::Ids;
use wallet_api::platform::sealing::read_public_keys;
use wallet_api::proofs::evidence::{self, Party};

const PATIENCE: Duration = Duration::from_secs(60);

fn minor(balances: &[(String, i64)], account: &str) -> i64 {
    balances.iter().find(|(name, _)| name == account).map_or(0, |(_, minor)| *minor)
}

#[tokio::test]
async fn a_person_is_shown_a_payment_approves_it_by_either_method_and_it_is_paid_with_what_it_earns() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards::PLENTY).await;
    let anna = Payer::with_money(&app.world, "anna", Make::SYNCED, 10_000).await;
    let asked = anna.ask(shop.merchant, 2_500).await.expect(201);
    assert_eq!((asked["status"].as_str(), asked["payee_name"].as_str()), (Some("waiting"), Some("Emporio")));
    let (offer, payload) = (&asked["offer"], &asked["offer"]["payload"]);
    assert_eq!(payload["payment_id"], asked["id"]);
    assert_eq!((payload["amount_minor"].as_str(), payload["currency"].as_str()), (Some("2500"), Some("EUR")));
    assert_eq!(payload["payee_id"], json!(shop.merchant));
    assert_eq!(payload["payee_name_shown"], "Emporio");
    assert_eq!(offer["passkey"]["publicKey"]["challenge"], offer["payload_sha256"]);
    assert_eq!(offer["confirmation"]["total"], json!({"value": "25.00", "currency": "EUR"}));
    assert_eq!(offer["device_needed"], true, "a passkey that may be synced needs its device too");
    let earns: Vec<_> = offer["earns"].as_array().unwrap().iter().map(|one| one["amount"]["amount"].clone()).collect();
    assert_eq!(earns, [json!("50"), json!("25")], "cashback and points");
    assert_eq!(minor(&app.world.balances(anna.id).await, "available"), 10_000, "nothing is paid before it is approved");
    let paid = anna.approve(&asked, &anna.answer(&asked)).await.expect(200);
    assert_eq!((paid["status"].as_str(), paid["payment"]["id"] == asked["id"]), (Some("paid"), true));
    let after = app.world.balances(anna.id).await;
    assert_eq!((minor(&after, "available"), minor(&after, "cashback"), minor(&after, "points:club")), (7_500, 50, 25));
    // Everybody who may see the payment sees how it was agreed to.
    let digest = paid["agreed"]["evidence_sha256"].as_str().unwrap();
    let seen = app.api().get(&format!("/v1/payments/{}", asked["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(seen["agreed"]["evidence_sha256"], digest);
    assert_eq!(anna.look(&asked).await["seq"], seen["seq"]);
    // The browser's own dialogue does as well, by a key that cannot leave its device.
    let bea = Payer::with_money(&app.world, "bea", Make::DEVICE, 1_000).await;
    let asked = bea.ask(shop.merchant, 1_000).await.expect(201);
    bea.approve(&asked, &bea.confirm(&asked, &Manners::good())).await.expect(200);
    assert_eq!(minor(&app.world.balances(bea.id).await, "available"), 0);
    let listed = anna.api.get("/v1/me/payments?limit=1").await.expect(200);
    assert_eq!((listed["items"][0]["status"].as_str(), listed["has_more"].as_bool()), (Some("paid"), Some(false)));
    app.world.assert_whole();
}

/// T3, T45: fifty who send one approval at once, and who sends it again, are told of one payment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t03_one_approval_sent_fifty_times_at_once_pays_once() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = Payer::with_money(&app.world, "anna", Make::DEVICE, 10_000).await;
    let asked = anna.ask(merchant, 1_000).await.expect(201);
    let answer = anna.answer(&asked);
    let all = join_all((0..50).map(|_| anna.approve(&asked, &answer))).await;
    // A node may have enough of fifty at once; nobody is told anything else.
    let told: Vec<Value> = all.into_iter().filter(|one| one.status != 503).map(|one| one.expect(200)).collect();
    assert!(!told.is_empty() && told.iter().all(|one| one == &told[0]), "{told:?}");
    assert_eq!(anna.approve(&asked, &answer).await.expect(200), told[0], "and later");
    assert_eq!(minor(&app.world.balances(anna.id).await, "available"), 9_000);
    app.world.assert_whole();
}

/// Answers that come at once are judged together, and what fails one of them is nobody else's: here, of one of them there is
/// nothing to seal the evidence with any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_payers_who_approve_at_once_each_is_judged_for_themselves() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let (mut payers, mut asked) = (Vec::new(), Vec::new());
    for number in 0..24 {
        let payer = Payer::with_money(&app.world, &format!("payer{number}"), Make::SYNCED, 1_000).await;
        asked.push(payer.ask(merchant, 1_000).await.expect(201));
        payers.push(payer);
    }
    let answer = |place: usize| match place % 4 {
        0 => payers[place].answer_as(&asked[place], &Manners { signs_with_another_key: true, ..Manners::good() }),
        _ => payers[place].answer(&asked[place]),
    };
    let answers: Vec<Value> = (0..24).map(answer).collect();
    let gone = 13;
    let destroy = format!(
        "INSERT INTO vault_person_key (tenant, person, version, made_at, forgotten_at) \
         SELECT tenant, id, 1, now(), now() FROM person WHERE id = '{}'",
        payers[gone].id
    );
    run_sql(&app.db().super_url(), &destroy);
    let send = async |place: usize| payers[place].approve(&asked[place], &answers[place]).await;
    let told = join_all((0..24).map(send)).await;
    for (place, reply) in told.into_iter().enumerate() {
        let left = minor(&app.world.balances(payers[place].id).await, "available");
        if place % 4 == 0 {
            reply.expect_problem(403, "approval-refused");
            assert_eq!(left, 1_000);
        } else if place == gone {
            assert!(reply.status >= 400, "{reply:?}");
            assert_eq!(left, 1_000);
        } else {
            assert_eq!(reply.expect(200)["payment"]["id"], asked[place]["id"], "their own");
            assert_eq!(left, 0);
        }
    }
    app.world.assert_whole();
}

/// T1, T2: whoever changes what is kept between the approval's offer and its answer gets nothing paid, and it is noted.
#[tokio::test]
async fn t01_t02_a_payment_changed_after_it_was_shown_is_not_paid_and_somebody_is_told() {
    let app = TestApp::start();
    let (merchant, other) = (app.world.merchant("shop").await, app.world.merchant("other").await);
    let anna = Payer::with_money(&app.world, "anna", Make::DEVICE, 10_000).await;
    let changes = ["amount_minor = 1001", &format!("merchant = '{other}'"), "payee_name = 'Emporiо'"]; // a Cyrillic о
    for change in changes {
        let asked = anna.ask(merchant, 1_000).await.expect(201);
        let answer = anna.answer(&asked);
        run_sql(
            &app.db().super_url(),
            &format!("UPDATE payment_intent SET {change} WHERE id = '{}'", asked["id"].as_str().unwrap()),
        );
        anna.approve(&asked, &answer).await.expect_problem(403, "approval-refused");
        anna.approve(&asked, &answer).await.expect_problem(403, "approval-refused");
    }
    assert_eq!(minor(&app.world.balances(anna.id).await, "available"), 10_000);
    let noted = app.api().get("/v1/audit?action=approval.of_another").await.expect(200);
    assert_eq!(noted["items"].as_array().unwrap().len(), changes.len());
    app.world.assert_whole();
}

/// T12, T13, T14, T15, T16, T17: whatever is wrong with an answer, nothing is paid and it reads the same (T7).
#[tokio::test]
async fn t07_an_answer_that_is_wrong_pays_nothing_and_reads_like_any_other() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let mut bodies = Vec::new();
    for manners in [
        Manners { user_unverified: true, ..Manners::good() },
        Manners { signs_with_another_key: true, ..Manners::good() },
        Manners { origin: Some("https://evil.test".to_owned()), ..Manners::good() },
        Manners { cross_origin: true, ..Manners::good() },
        Manners { ceremony: Some("payment.get"), ..Manners::good() },
        Manners { counter: Some(0), backup: Some((true, true)), ..Manners::good() },
    ] {
        let payer = Payer::with_money(&app.world, &format!("{}", fresh_key()), Make::DEVICE, 10_000).await;
        let asked = payer.ask(merchant, 1_000).await.expect(201);
        let mut problem =
            payer.approve(&asked, &payer.answer_as(&asked, &manners)).await.expect_problem(403, "approval-refused");
        problem.as_object_mut().unwrap().remove("instance");
        bodies.push(problem);
        // The offer is spent: the right answer comes too late.
        payer.approve(&asked, &payer.answer(&asked)).await.expect_problem(403, "approval-refused");
        assert_eq!(minor(&app.world.balances(payer.id).await, "available"), 10_000);
        // Asked again under the same key there is a new offer for the same payment.
        let body = json!({"merchant": merchant, "amount": eur(500)});
        let key = fresh_key();
        let first = payer.api.post_as(key, "/v1/me/payments", &body).await.expect(201);
        payer.approve(&first, &payer.answer_as(&first, &manners)).await.expect_problem(403, "approval-refused");
        let again = payer.api.post_as(key, "/v1/me/payments", &body).await.expect(201);
        assert!(again["id"] == first["id"] && again["offer"]["id"] != first["offer"]["id"]);
        payer.approve(&again, &payer.answer(&again)).await.expect(200);
    }
    assert!(bodies.iter().all(|body| body == &bodies[0]), "{bodies:?}");
    // T17: a passkey that may be synced, alone, or with another device's signature.
    let anna = Payer::with_money(&app.world, "anna", Make::SYNCED, 10_000).await;
    let bea = Payer::new(&app.world, "bea", Make::DEVICE).await;
    let asked = anna.ask(merchant, 1_000).await.expect(201);
    let mut alone = anna.answer(&asked);
    alone.as_object_mut().unwrap().remove("device_signature");
    anna.approve(&asked, &alone).await.expect_problem(403, "device-needed");
    let asked = anna.ask(merchant, 1_000).await.expect(201);
    let mut with_another = anna.answer(&asked);
    let hash = tessera_tests::bytes(&asked["offer"]["payload_sha256"]);
    with_another["device_signature"] = json!(bea.device_signature(&hash));
    anna.approve(&asked, &with_another).await.expect_problem(403, "approval-refused");
    // And somebody else's payment is nobody's.
    bea.approve(&asked, &bea.answer(&asked)).await.expect_problem(404, "not-found");
    assert_eq!(minor(&app.world.balances(anna.id).await, "available"), 10_000);
    app.world.assert_whole();
}

/// The books refuse what the wallet has not: nothing moves, and that it was approved stays known.
#[tokio::test]
async fn what_the_books_refuse_moves_nothing_and_leaves_its_evidence() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = Payer::with_money(&app.world, "anna", Make::DEVICE, 500).await;
    let asked = anna.ask(merchant, 501).await.expect(201);
    let answer = anna.answer(&asked);
    let problem = anna.approve(&asked, &answer).await.expect_problem(422, "insufficient-funds");
    assert_eq!(problem["payment"], asked["id"]);
    app.world.top_up(anna.id, 10_000).await;
    let again = anna.approve(&asked, &answer).await.expect_problem(422, "insufficient-funds");
    assert_eq!(again["seq"], problem["seq"], "for good");
    let seen = anna.look(&asked).await;
    assert_eq!((seen["status"].as_str(), seen["code"].as_str()), (Some("refused"), Some("insufficient-funds")));
    assert!(seen["agreed"]["evidence_sha256"].is_string());
    assert_eq!(minor(&app.world.balances(anna.id).await, "available"), 10_500);
    app.world.assert_whole();
}

/// Keeps the writer from committing anything for as long as it lives.
fn hold_up_the_books(app: &TestApp) -> PgConnection {
    let mut conn = PgConnection::establish(&app.db().super_url()).unwrap();
    conn.batch_execute("BEGIN; LOCK TABLE journal.head IN ACCESS EXCLUSIVE MODE").unwrap();
    conn
}

/// T3: the approval is committed and the books are out of reach. It is not known then whether it is paid; whoever asks again
/// under it is told, or pays it, and it is paid once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t03_what_was_approved_and_not_posted_is_posted_once_by_whoever_asks_again() {
    let mut app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let mut anna = Payer::with_money(&app.world, "anna", Make::DEVICE, 10_000).await;
    anna.pay(merchant, 1).await.expect(200); // what is only read once is known from here on
    let asked = anna.ask(merchant, 1_000).await.expect(201);
    let answer = anna.answer(&asked);
    let held_up = hold_up_the_books(&app);
    let unknown = anna.approve(&asked, &answer).await;
    assert_eq!(unknown.status, 503, "{}", unknown.json());
    drop(held_up);
    app.restart();
    anna.api.authority = app.authority();
    let paid = eventually_async("the books are back", PATIENCE, async || {
        let reply = anna.approve(&asked, &answer).await;
        (reply.status != 503).then_some(reply)
    });
    let paid = paid.await.expect(200);
    assert_eq!(paid["status"], "paid");
    assert_eq!(anna.approve(&asked, &answer).await.expect(200), paid);
    assert_eq!(minor(&app.world.balances(anna.id).await, "available"), 8_999);
    app.world.assert_whole();
}

/// What was approved and not posted in its time never is: the journal says so, whoever asks and however often.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_approved_and_not_posted_in_time_never_is_and_says_so() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = Payer::with_money(&app.world, "anna", Make::DEVICE, 10_000).await;
    anna.pay(merchant, 1).await.expect(200);
    let asked = anna.ask(merchant, 1_000).await.expect(201);
    let answer = anna.answer(&asked);
    let key = asked["id"].as_str().unwrap();
    // Approved, and its time over before it was posted: what a node does that dies in between, and nobody asks for an hour.
    let held_up = hold_up_the_books(&app);
    assert_eq!(anna.approve(&asked, &answer).await.status, 503);
    run_sql(
        &app.db().super_url(),
        &format!("UPDATE payment_intent SET post_until = now() - interval '1 second' WHERE id = '{key}'"),
    );
    drop(held_up);
    let told = eventually_async("the books are back", PATIENCE, async || {
        let reply = anna.api.get(&format!("/v1/me/payments/{key}")).await;
        (reply.status == 200).then(|| reply.json())
    });
    let told = told.await;
    // The posting may have been on its way when it was given up: then it is paid, and that is as final.
    let is_paid = told["status"] == "paid";
    assert!(is_paid || told["status"] == "lapsed", "{told}");
    for _ in 0..2 {
        let again = anna.approve(&asked, &answer).await;
        if is_paid {
            again.expect(200);
        } else {
            again.expect_problem(409, "payment-lapsed");
        }
        assert_eq!(anna.look(&asked).await["status"], told["status"]);
    }
    let left = if is_paid { 8_999 } else { 9_999 };
    assert_eq!(minor(&app.world.balances(anna.id).await, "available"), left);
    app.world.assert_whole();
}

/// The evidence of a payment, once its record is sealed, and the log's public keys.
async fn evidence_of(app: &TestApp, payer: &Payer, id: &str) -> (Vec<u8>, Vec<PublicKey>) {
    let file = eventually_async("the record is sealed", PATIENCE, async || {
        let reply = payer.api.get(&format!("/v1/me/payments/{id}/evidence")).await;
        (reply.status != 202).then_some(reply)
    });
    let file = file.await;
    assert_eq!(file.status, 200, "{}", file.json());
    let told = app.api().get("/v1/ledger/keys").await.expect(200);
    let lines: Vec<_> = told["keys"].as_array().unwrap().iter().map(|key| key["line"].as_str().unwrap()).collect();
    (file.bytes.to_vec(), read_public_keys(&lines.join("\n")).unwrap())
}

fn ours() -> Option<Party> {
    Some(Party { id: RP_ID.to_owned(), origins: vec![ORIGIN.to_owned()] })
}

/// What a payer approved and what the books say is one thing, which anyone can check who has the file and the log's public key;
/// and the file's payload and record cannot be of two payments.
#[tokio::test]
async fn evidence_leads_from_the_passkey_to_the_record_in_the_signed_log_and_nothing_of_it_can_be_swapped() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = Payer::with_money(&app.world, "anna", Make::SYNCED, 10_000).await;
    let paid = anna.pay(merchant, 1_000).await.expect(200);
    let other = anna.pay(merchant, 1_000).await.expect(200);
    let refused = anna.ask(merchant, 9_000).await.expect(201);
    anna.approve(&refused, &anna.answer(&refused)).await.expect_problem(422, "insufficient-funds");
    let (file, keys) = evidence_of(&app, &anna, paid["id"].as_str().unwrap()).await;
    let checked = evidence::check(&file, &keys, ours()).unwrap();
    assert!(checked.is_paid);
    assert_eq!(json!(checked.shown.payload.payment_id), paid["id"]);
    assert_eq!(checked.receipt.leaf.header.seq, paid["seq"].as_i64().unwrap());
    assert_eq!(checked.shown.factors.len(), 3, "the device's own key too");
    // The receipt within is one that the other commands read.
    let whole: Value = serde_json::from_slice(&file).unwrap();
    let (not_paid, _) = evidence_of(&app, &anna, refused["id"].as_str().unwrap()).await;
    assert!(!evidence::check(&not_paid, &keys, ours()).unwrap().is_paid, "it was refused, and the books say so");
    let (others, _) = evidence_of(&app, &anna, other["id"].as_str().unwrap()).await;
    let others: Value = serde_json::from_slice(&others).unwrap();
    let not_paid: Value = serde_json::from_slice(&not_paid).unwrap();
    for from in [&others, &not_paid] {
        for members in
            [vec!["evidence"], vec!["receipt"], vec!["record"], vec!["record", "receipt"], vec!["evidence", "record"]]
        {
            let mut swapped = whole.clone();
            members.iter().for_each(|member| swapped[*member] = from[*member].clone());
            let fault = evidence::check(swapped.to_string().as_bytes(), &keys, ours());
            assert!(fault.is_err(), "{members:?} of another payment");
        }
    }
    let meta = whole["record"]["meta"].as_str().unwrap();
    let digest = paid["agreed"]["evidence_sha256"].as_str().unwrap();
    assert!(meta.contains(digest));
    for (at, value) in [
        ("/record/meta", json!(meta.replace(digest, &"0".repeat(64)))),
        ("/record/salt", json!("AAAA")),
        ("/record/path", json!([])),
        ("/evidence", json!(whole["evidence"].as_str().unwrap().replace("\"1000\"", "\"1001\""))),
        ("/receipt", json!("AAAA")),
        ("/format", json!("something")),
        ("/v", json!(2)),
    ] {
        let mut changed = whole.clone();
        *changed.pointer_mut(at).unwrap() = value;
        assert!(evidence::check(changed.to_string().as_bytes(), &keys, ours()).is_err(), "{at}");
    }
    let elsewhere = Some(Party { id: "evil.test".to_owned(), origins: vec!["https://evil.test".to_owned()] });
    assert!(evidence::check(&file, &keys, elsewhere).is_err());
    assert!(evidence::check(&file, &[], ours()).is_err(), "by nobody's key");
    // It is sealed where it lies, and is nobody else's.
    let lies = scalar::<BigInt, i64>(
        &app.db().super_url(),
        "(SELECT count(*) FROM sca_evidence WHERE position('payload'::bytea IN file) > 0)",
    );
    assert_eq!(lies, 0, "in clear");
    let bea = Payer::new(&app.world, "bea", Make::DEVICE).await;
    let path = format!("/v1/me/payments/{}/evidence", paid["id"].as_str().unwrap());
    bea.api.get(&path).await.expect_problem(404, "not-found");
    let waiting = anna.ask(merchant, 1).await.expect(201);
    let path = format!("/v1/me/payments/{}/evidence", waiting["id"].as_str().unwrap());
    anna.api.get(&path).await.expect_problem(409, "payment-not-posted");
}

/// Turns exemptions of low value on: five payments of 30 euro each.
fn exempt_five(app: &TestApp) {
    let mut conn = PgConnection::establish(&app.world.url).unwrap();
    let (valid_from, counter) = (DateTime::UNIX_EPOCH, Counter::Uses(5));
    let rule = Rule { valid_from, enabled: true, most_minor: 3_000, counter };
    exemption::set_rule(&mut conn, app.world.tenant, rule).unwrap();
}

/// T10, T11: of ten payments at once at the fourth use, one goes without; which is said, is recorded, and counts when it is paid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t10_t11_what_goes_without_approval_says_by_which_article_and_counts_once_it_is_paid() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = Payer::with_money(&app.world, "anna", Make::DEVICE, 100_000).await;
    assert_eq!(anna.ask(merchant, 100).await.expect(201)["status"], "waiting", "off until a rule says otherwise");
    exempt_five(&app);
    let asked = anna.ask(merchant, 3_001).await.expect(201);
    assert_eq!(asked["status"], "waiting", "more than low");
    let (key, body) = (fresh_key(), json!({"merchant": merchant, "amount": eur(3_000)}));
    let first = anna.api.post_as(key, "/v1/me/payments", &body).await.expect(201);
    assert_eq!((first["status"].as_str(), first["agreed"]["exempt"].as_str()), (Some("paid"), Some("rts-16")));
    let again = anna.api.post_as(key, "/v1/me/payments", &body).await.expect(201);
    assert_eq!(again, first, "the same key, the same payment, one use");
    anna.api
        .get(&format!("/v1/me/payments/{}/evidence", first["id"].as_str().unwrap()))
        .await
        .expect_problem(404, "not-found");
    let seen = app.api().get(&format!("/v1/payments/{}", first["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(seen["agreed"], json!({"exempt": "rts-16"}));
    for _ in 0..3 {
        assert_eq!(anna.ask(merchant, 2_900).await.expect(201)["status"], "paid");
    }
    // A failed approval leaves the counter as it was.
    anna.approve(&asked, &anna.answer_as(&asked, &Manners { user_unverified: true, ..Manners::good() }))
        .await
        .expect_problem(403, "approval-refused");
    let at_once = join_all((0..10).map(|_| anna.ask(merchant, 2_900))).await;
    let told: Vec<Value> = at_once.into_iter().map(|one| one.expect(201)).collect();
    let count = |status: &str| told.iter().filter(|one| one["status"] == status).count();
    assert_eq!((count("paid"), count("waiting")), (1, 9));
    let uses = "(SELECT count(*) FROM sca_exemption_use WHERE status = 'executed' AND article = 'rts-16')";
    assert_eq!(scalar::<BigInt, i64>(&app.db().super_url(), uses), 5);
    // Strong authentication sets it to zero.
    let waiting = told.iter().find(|one| one["status"] == "waiting").unwrap();
    anna.approve(waiting, &anna.answer(waiting)).await.expect(200);
    assert_eq!(anna.ask(merchant, 100).await.expect(201)["status"], "paid");
    app.world.assert_whole();
}

/// What was exempted and then refused by the books was not executed, and counts no more (EBA Q&A 2018_4230).
#[tokio::test]
async fn an_exempted_payment_that_the_books_refuse_gives_its_use_back() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    exempt_five(&app);
    let anna = Payer::with_money(&app.world, "anna", Make::DEVICE, 100).await;
    for _ in 0..6 {
        anna.ask(merchant, 101).await.expect_problem(422, "insufficient-funds");
    }
    let released = "(SELECT count(*) FROM sca_exemption_use WHERE status = 'released')";
    assert_eq!(scalar::<BigInt, i64>(&app.db().super_url(), released), 6);
    assert_eq!(anna.ask(merchant, 100).await.expect(201)["status"], "paid");
    app.world.assert_whole();
}

/// T19: who came back by recovery, or on a new device, pays 150 euro within the day and not a cent more, in one or in many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t19_after_a_new_device_or_a_recovery_little_is_paid_for_a_day() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = Payer::with_money(&app.world, "anna", Make::DEVICE, 100_000).await;
    anna.pay(merchant, 15_001).await.expect(200);
    let before = anna.ask(merchant, 2_001).await.expect(201);
    let mut conn = PgConnection::establish(&app.world.url).unwrap();
    let device = NewDevice { person: anna.id, key: None, bound_by: BoundBy::Recovery };
    devices::bind(&mut conn, &Ids::system(), Clock::System.now(), app.world.tenant, &device).unwrap().unwrap();
    let problem = anna.ask(merchant, 15_001).await.expect_problem(403, "caution");
    assert!(problem["until"].is_string());
    // What was paid the day before counts too, so nothing at all is left here.
    assert_eq!(problem["left"], eur(0));
    anna.approve(&before, &anna.answer(&before)).await.expect_problem(403, "caution");
    let bea = Payer::with_money(&app.world, "bea", Make::SYNCED, 100_000).await; // counts no signatures: they come in any order
    let device = NewDevice { person: bea.id, key: None, bound_by: BoundBy::OlderDevice };
    devices::bind(&mut conn, &Ids::system(), Clock::System.now(), app.world.tenant, &device).unwrap().unwrap();
    let asked = join_all((0..4).map(|_| bea.ask(merchant, 5_000))).await;
    let asked: Vec<Value> = asked.into_iter().map(|one| one.expect(201)).collect();
    let answers: Vec<Value> = asked.iter().map(|one| bea.answer(one)).collect();
    let mut told = join_all(asked.iter().zip(&answers).map(|(asked, answer)| bea.approve(asked, answer))).await;
    told.sort_by_key(|reply| reply.status);
    let codes: Vec<_> = told.iter().map(|reply| (reply.status, reply.code())).collect();
    assert_eq!(codes[..3], [(200, String::new()), (200, String::new()), (200, String::new())]);
    assert_eq!(codes[3], (403, "caution".to_owned()));
    assert_eq!(minor(&app.world.balances(bea.id).await, "available"), 85_000);
    app.world.assert_whole();
}

/// T8: the fifth wrong answer in a row blocks, the right one is refused then, and the payer is told before anything worse.
#[tokio::test]
async fn t08_five_wrong_approvals_of_payments_block_and_it_is_noted() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = Payer::with_money(&app.world, "anna", Make::DEVICE, 10_000).await;
    let wrong = Manners { user_unverified: true, ..Manners::good() };
    for _ in 0..5 {
        let asked = anna.ask(merchant, 100).await.expect(201);
        anna.approve(&asked, &anna.answer_as(&asked, &wrong)).await.expect_problem(403, "approval-refused");
    }
    anna.pay(merchant, 100).await.expect_problem(403, "approval-refused");
    let noted = app.api().get("/v1/audit?action=approvals.blocked").await.expect(200);
    let noted = noted["items"].as_array().unwrap();
    assert_eq!((noted.len(), &noted[0]["detail"]["for_good"]), (1, &json!(false)));
    assert_eq!(minor(&app.world.balances(anna.id).await, "available"), 10_000);
}

/// T45: of many payments that are approved at once, the last money pays one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t45_the_last_money_is_spent_once_by_payments_approved_at_once() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = Payer::with_money(&app.world, "anna", Make::SYNCED, 1_000).await;
    let asked = join_all((0..8).map(|_| anna.ask(merchant, 1_000))).await;
    let asked: Vec<Value> = asked.into_iter().map(|one| one.expect(201)).collect();
    let answers: Vec<Value> = asked.iter().map(|one| anna.answer(one)).collect();
    let told = join_all(asked.iter().zip(&answers).map(|(asked, answer)| anna.approve(asked, answer))).await;
    let count = |code: &str| told.iter().filter(|reply| reply.code() == code).count();
    assert_eq!((count(""), count("insufficient-funds")), (1, 7));
    assert_eq!(minor(&app.world.balances(anna.id).await, "available"), 0);
    app.world.assert_whole();
}
