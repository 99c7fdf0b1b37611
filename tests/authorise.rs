//! Payments in two steps and back: authorised, captured in parts, given back, expired, refunded, with what they earn and
//! what is taken back of it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use ledger::{Amount, AssetId, Body, JournalId, Request, Transfer};
use serde_json::{Value, json};
use tessera_tests::books::{lead, request, submit, transact};
use tessera_tests::{Api, Reply, Rewards, TestApp, TestDb, eur, eventually_async, fresh_key, rows};
use uuid::Uuid;
use wallet_api::platform::chart::{Purpose, Rail};
use wallet_api::platform::clock::Clock;

const DAY_S: i64 = 86_400;

fn wish(customer: Uuid, merchant: Uuid, minor: i64) -> Value {
    let instrument = json!({"kind": "wallet"});
    json!({"customer": customer, "merchant": merchant, "amount": eur(minor), "instrument": instrument, "capture": "manual"})
}

fn minor(money: &Value) -> i64 {
    money["amount"].as_str().unwrap_or_else(|| panic!("no money: {money}")).parse().unwrap()
}

fn id(body: &Value) -> String {
    body["id"].as_str().unwrap_or_else(|| panic!("no id: {body}")).to_owned()
}

/// Each reward's amount, with what came of it.
fn rewards<'a>(body: &'a Value, outcome: &str) -> Vec<(i64, &'a Value)> {
    body["rewards"].as_array().unwrap().iter().map(|one| (minor(&one["amount"]), &one[outcome])).collect()
}

/// A customer with money, a shop, and what is asked of them.
struct Till {
    app: TestApp,
    anna: Uuid,
    merchant: Uuid,
    campaign: Uuid,
}

impl Till {
    async fn open(rewards: Rewards, in_wallet: i64) -> Self {
        let app = TestApp::start();
        let shop = app.world.shop("shop", rewards).await;
        let anna = app.world.customer("anna").await;
        app.world.top_up(anna, in_wallet).await;
        Self { app, anna, merchant: shop.merchant, campaign: shop.campaign }
    }

    fn api(&self) -> Api {
        self.app.api()
    }

    async fn authorise(&self, minor: i64) -> String {
        id(&self.api().post("/v1/payments", &wish(self.anna, self.merchant, minor)).await.expect(201))
    }

    async fn pay(&self, minor: i64) -> String {
        let body = json!({"customer": self.anna, "merchant": self.merchant, "amount": eur(minor), "instrument": {"kind": "wallet"}});
        id(&self.api().post("/v1/payments", &body).await.expect(201))
    }

    async fn ask(&self, payment: &str, what: &str, body: Value) -> Reply {
        self.api().post(&format!("/v1/payments/{payment}/{what}"), &body).await
    }

    async fn read(&self, payment: &str) -> Value {
        self.api().get(&format!("/v1/payments/{payment}")).await.expect(200)
    }

    /// Status, captured, remaining, refunded.
    async fn stands(&self, payment: &str) -> (String, i64, i64, i64) {
        let read = self.read(payment).await;
        let status = read["status"].as_str().unwrap().to_owned();
        (status, minor(&read["captured"]), minor(&read["remaining"]), minor(&read["refunded"]))
    }

    /// Balance, available, held of the wallet.
    async fn wallet(&self) -> (i64, i64, i64) {
        let body = self.api().get(&format!("/v1/customers/{}/balances", self.anna)).await.expect(200);
        let one = &body["balances"][0];
        assert_eq!(one["account"], "available");
        (minor(&one["balance"]), minor(&one["available"]), minor(&one["held"]))
    }

    async fn has(&self, account: &str) -> i64 {
        self.app.world.balance(self.anna, account).await
    }

    async fn pass(&self, seconds: i64) {
        self.api().post("/v1/sandbox/clock/advance", &json!({"seconds": seconds})).await.expect(201);
    }

    fn whole(&self) {
        self.app.world.assert_whole();
    }
}

fn stands(status: &str, captured: i64, remaining: i64, refunded: i64) -> (String, i64, i64, i64) {
    (status.to_owned(), captured, remaining, refunded)
}

#[tokio::test]
async fn an_authorisation_is_captured_in_parts_and_each_part_earns() {
    let till = Till::open(Rewards::PLENTY, 10_000).await;
    let body = wish(till.anna, till.merchant, 5_000);
    let asked = till.api().post("/v1/payments", &body).await.expect(201);
    assert_eq!((&asked["status"], &asked["rewards"]), (&json!("authorised"), &json!([])));
    assert_eq!(asked["balances"], json!([{"account": "available", "balance": eur(10_000), "held": eur(5_000)}]));
    let at = |name: &str| asked[name].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    let stood = at("expires_at") - at("recorded_at");
    assert!((stood - TimeDelta::days(7)).abs() < TimeDelta::minutes(1), "{stood}");
    let payment = id(&asked);
    assert_eq!(till.wallet().await, (10_000, 5_000, 5_000));
    assert_eq!(till.stands(&payment).await, stands("authorised", 0, 5_000, 0));

    let first = till.ask(&payment, "capture", json!({"amount": eur(1_999)})).await.expect(201);
    assert_eq!((&first["status"], &first["authorisation"]), (&json!("cleared"), &json!(payment)));
    assert_eq!(rewards(&first, "outcome"), [(39, &json!("given")), (19, &json!("given"))]);
    assert_eq!(till.wallet().await, (8_001, 5_000, 3_001));
    assert_eq!(till.stands(&payment).await, stands("authorised", 1_999, 3_001, 0));
    let second = till.ask(&payment, "capture", json!({})).await.expect(201);
    assert_eq!((minor(&second["amount"]), second.get("released")), (3_001, None));
    assert_eq!(rewards(&second, "outcome"), [(60, &json!("given")), (30, &json!("given"))]);

    assert_eq!(till.wallet().await, (5_000, 5_000, 0));
    assert_eq!(till.stands(&payment).await, stands("captured", 5_000, 0, 0));
    assert_eq!((till.has("cashback").await, till.has("points:club").await), (99, 49));
    let parts = till.read(&payment).await["captures"].clone();
    assert_eq!(parts, json!([{"id": first["id"], "amount": eur(1_999)}, {"id": second["id"], "amount": eur(3_001)}]));
    // A capture is a payment: it is read, explained, on the card and in the statement as any.
    let mut read = till.read(&id(&first)).await;
    let since = read.as_object_mut().unwrap();
    assert_eq!((since.remove("refunded"), since.remove("refunds")), (Some(eur(0)), Some(json!([]))));
    assert_eq!(read, first);
    let explained = till.api().get(&format!("/v1/payments/{}/explanation", id(&first))).await.expect(200);
    assert_eq!(explained["lines"].as_array().unwrap().len(), 3);
    let lines = till.api().get(&format!("/v1/customers/{}/statement", till.anna)).await.expect(200);
    let line =
        |line: &Value| (line["kind"].as_str().unwrap().to_owned(), minor(&line["change"]), minor(&line["balance"]));
    let lines: Vec<_> = lines["items"].as_array().unwrap().iter().map(line).collect();
    let expected = [("capture", -3_001, 5_000), ("capture", -1_999, 8_001), ("top_up", 10_000, 10_000)];
    assert_eq!(lines, expected.map(|(kind, change, balance)| (kind.to_owned(), change, balance)));
    eventually_async("the card has both", std::time::Duration::from_secs(5), async || {
        let card = till.api().get(&format!("/v1/customers/{}/card", till.anna)).await.expect(200);
        (card["payments"] == 2 && card["paid"] == eur(5_000)).then_some(())
    })
    .await;
    till.whole();
}

#[tokio::test]
async fn case_39_no_more_is_captured_than_is_held() {
    let till = Till::open(Rewards::PLENTY, 1_000).await;
    let payment = till.authorise(1_000).await;
    let refused = till.ask(&payment, "capture", json!({"amount": eur(1_001)})).await;
    refused.expect_problem(422, "hold-exceeded");
    till.ask(&payment, "capture", json!({"amount": eur(600)})).await.expect(201);
    till.ask(&payment, "capture", json!({"amount": eur(401)})).await.expect_problem(422, "hold-exceeded");
    till.ask(&payment, "capture", json!({"amount": eur(400)})).await.expect(201);
    for body in [json!({"amount": eur(1)}), json!({}), json!({"final": true})] {
        till.ask(&payment, "capture", body).await.expect_problem(409, "hold-ended");
    }
    till.ask(&payment, "void", json!({})).await.expect_problem(409, "hold-ended");
    assert_eq!(till.stands(&payment).await, stands("captured", 1_000, 0, 0));
    till.whole();
}

#[tokio::test]
async fn a_final_capture_gives_the_rest_back_in_the_same_transaction() {
    let till = Till::open(Rewards { budget: 30, ..Rewards::PLENTY }, 10_000).await;
    let payment = till.authorise(5_000).await;
    let body = json!({"amount": eur(2_000), "final": true});
    let last = till.ask(&payment, "capture", body).await.expect(201);
    // The budget does not bear it: a dropped reward moves no other one's place.
    assert_eq!(rewards(&last, "outcome"), [(40, &json!("budget-exhausted")), (20, &json!("given"))]);
    assert_eq!(minor(&last["released"]), 3_000);
    assert_eq!(till.wallet().await, (8_000, 8_000, 0));
    assert_eq!(till.stands(&payment).await, stands("captured", 2_000, 0, 0));
    let explained = till.api().get(&format!("/v1/payments/{}/explanation", id(&last))).await.expect(200);
    let words: Vec<_> = explained["lines"].as_array().unwrap().iter().map(|line| line["words"].clone()).collect();
    assert_eq!(words.last(), Some(&json!("€30.00 that had been set aside was given back.")));
    // Refunded is what was captured, not what was given back.
    till.ask(&payment, "refund", json!({"amount": eur(2_001)})).await.expect_problem(422, "refund-exceeded");
    let refund = till.ask(&payment, "refund", json!({})).await.expect(201);
    assert_eq!((minor(&refund["amount"]), rewards(&refund, "taken_back")), (2_000, vec![(20, &json!(true))]));
    assert_eq!(till.wallet().await, (10_000, 10_000, 0));
    // With nothing left there is nothing to give back, and that is no refusal.
    let exact = till.authorise(1_000).await;
    let last = till.ask(&exact, "capture", json!({"final": true})).await.expect(201);
    assert_eq!((minor(&last["amount"]), last.get("released")), (1_000, None));
    till.whole();
}

#[tokio::test]
async fn a_void_gives_back_what_is_left_once() {
    let till = Till::open(Rewards::PLENTY, 1_000).await;
    let payment = till.authorise(1_000).await;
    till.api().post("/v1/payments", &wish(till.anna, till.merchant, 1)).await.expect_problem(422, "insufficient-funds");
    let key = fresh_key();
    let path = format!("/v1/payments/{payment}/void");
    let given_back = till.api().post_as(key, &path, &json!({})).await;
    let body = given_back.clone().expect(201);
    assert_eq!((minor(&body["amount"]), &body["payment"]), (1_000, &json!(payment)));
    assert_eq!(till.api().post_as(key, &path, &json!({})).await.bytes, given_back.bytes);
    assert_eq!(till.wallet().await, (1_000, 1_000, 0));
    assert_eq!(till.stands(&payment).await, stands("voided", 0, 0, 0));
    till.ask(&payment, "void", json!({})).await.expect_problem(409, "hold-ended");
    till.ask(&payment, "capture", json!({"amount": eur(1)})).await.expect_problem(409, "hold-ended");
    // After a part was captured, what is left.
    let payment = till.authorise(1_000).await;
    till.ask(&payment, "capture", json!({"amount": eur(300)})).await.expect(201);
    assert_eq!(minor(&till.ask(&payment, "void", json!({})).await.expect(201)["amount"]), 700);
    assert_eq!(till.stands(&payment).await, stands("captured", 300, 0, 0));
    // What has cleared at once has nothing to void.
    let cleared = till.pay(100).await;
    for what in ["void", "capture"] {
        till.ask(&cleared, what, json!({})).await.expect_problem(409, "already-cleared");
        till.ask(&fresh_key().to_string(), what, json!({})).await.expect_problem(404, "not-found");
    }
    till.whole();
}

#[tokio::test]
async fn case_43_an_authorisation_whose_time_is_over_reads_as_expired_before_anybody_sweeps() {
    let till = Till::open(Rewards::PLENTY, 1_000).await;
    let first = till.authorise(400).await;
    let recorded = till.read(&first).await["recorded_at"].clone();
    let ends = recorded.as_str().unwrap().parse::<DateTime<Utc>>().unwrap() + TimeDelta::days(2);
    let (key, mut body) = (fresh_key(), wish(till.anna, till.merchant, 600));
    body["expires_at"] = json!(ends);
    let asked = till.api().post_as(key, "/v1/payments", &body).await;
    let payment = id(&asked.clone().expect(201));
    till.pass(DAY_S).await;
    till.ask(&payment, "capture", json!({"amount": eur(100)})).await.expect(201);
    till.pass(DAY_S + 1).await;
    assert_eq!(till.stands(&payment).await, stands("captured", 100, 0, 0));
    assert_eq!(till.wallet().await, (900, 500, 400), "the other one still stands");
    till.ask(&payment, "capture", json!({"amount": eur(1)})).await.expect_problem(409, "hold-ended");
    till.ask(&payment, "void", json!({})).await.expect_problem(409, "hold-ended");
    // The same key and body: the same answer, though it could not be asked for any more.
    assert_eq!(till.api().post_as(key, "/v1/payments", &body).await.bytes, asked.bytes);
    till.api().post("/v1/payments", &body).await.expect_problem(422, "dates-unsuitable");
    till.pass(5 * DAY_S).await;
    assert_eq!(till.stands(&first).await, stands("expired", 0, 0, 0));
    assert_eq!(till.wallet().await, (900, 900, 0));
    till.pay(900).await;
    till.whole();
}

#[tokio::test]
async fn only_a_wallet_is_authorised_from_now_on_for_a_month_at_most() {
    let till = Till::open(Rewards::PLENTY, 1_000).await;
    let refused = async |change: Value, pointer: &str| {
        let mut body = wish(till.anna, till.merchant, 100);
        body.as_object_mut().unwrap().extend(change.as_object().cloned().unwrap());
        let problem = till.api().post("/v1/payments", &body).await.expect_problem(422, "body-invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    };
    let in_days = |days| json!(Clock::System.now() + TimeDelta::days(days));
    refused(json!({"instrument": {"kind": "external", "rail": "card"}}), "/instrument/kind").await;
    refused(json!({"occurred_at": in_days(-1)}), "/occurred_at").await;
    refused(json!({"expires_at": in_days(31)}), "/expires_at").await;
    refused(json!({"capture": "automatic", "expires_at": in_days(1)}), "/expires_at").await;
    let mut body = wish(till.anna, till.merchant, 100);
    body["expires_at"] = in_days(-1);
    till.api().post("/v1/payments", &body).await.expect_problem(422, "dates-unsuitable");
    let payment = till.authorise(100).await;
    for amount in [json!({"amount": "0", "asset": "EUR"}), json!({"amount": "1", "asset": "PTS:club"})] {
        for what in ["capture", "refund"] {
            till.ask(&payment, what, json!({"amount": amount})).await.expect_problem(422, "body-invalid");
        }
    }
    till.whole();
}

#[tokio::test]
async fn an_order_is_authorised_or_paid_once() {
    let till = Till::open(Rewards::PLENTY, 1_000).await;
    let mut body = wish(till.anna, till.merchant, 100);
    body["reference"] = json!("order-1");
    let asked = till.api().post("/v1/payments", &body).await.expect(201);
    for capture in ["manual", "automatic"] {
        body["capture"] = json!(capture);
        let problem = till.api().post("/v1/payments", &body).await.expect_problem(409, "already-done");
        assert_eq!(problem["done_at_seq"], asked["seq"]);
    }
    let captured = till.ask(&id(&asked), "capture", json!({})).await.expect(201);
    assert_eq!(captured["reference"], "order-1");
    till.whole();
}

#[tokio::test]
async fn case_40_of_captures_at_once_those_that_fit_are_captured() {
    let till = Till::open(Rewards::PLENTY, 10_000).await;
    for _ in 0..5 {
        let payment = till.authorise(1_000).await;
        let replies = join_all((0..6).map(|_| till.ask(&payment, "capture", json!({"amount": eur(300)})))).await;
        let captured = replies.iter().filter(|reply| reply.status == 201).count();
        assert!(replies.iter().all(|reply| reply.status == 201 || reply.code() == "hold-exceeded"));
        assert_eq!(captured, 3);
        assert_eq!(till.stands(&payment).await, stands("authorised", 900, 100, 0));
        till.ask(&payment, "void", json!({})).await.expect(201);
    }
    assert_eq!(till.wallet().await, (5_500, 5_500, 0));
    till.whole();
}

#[tokio::test]
async fn case_41_of_a_capture_and_a_void_at_once_one_happens() {
    let till = Till::open(Rewards::PLENTY, 10_000).await;
    let (mut captures, mut in_wallet) = (0, 10_000);
    for round in 0..10 {
        let payment = till.authorise(500).await;
        let (capture, void) = if round % 2 == 0 {
            tokio::join!(till.ask(&payment, "capture", json!({})), till.ask(&payment, "void", json!({})))
        } else {
            let (void, capture) =
                tokio::join!(till.ask(&payment, "void", json!({})), till.ask(&payment, "capture", json!({})));
            (capture, void)
        };
        match (capture.status, void.status) {
            (201, 409) => {
                assert_eq!(void.code(), "hold-ended");
                (captures, in_wallet) = (captures + 1, in_wallet - 500);
                assert_eq!(till.stands(&payment).await, stands("captured", 500, 0, 0));
            }
            (409, 201) => {
                assert_eq!(capture.code(), "hold-ended");
                assert_eq!(till.stands(&payment).await, stands("voided", 0, 0, 0));
            }
            both => panic!("{both:?}: {} {}", capture.json(), void.json()),
        }
    }
    assert_eq!(till.wallet().await, (in_wallet, in_wallet, 0));
    assert_eq!(till.has("cashback").await, captures * 10);
    till.whole();
}

/// Cases 48 and 49: partial refunds to exactly the total, one cent more refused, and a key that is asked again is answered.
#[tokio::test]
async fn case_48_49_refunds_add_up_to_the_payment_and_a_key_gives_its_first_answer_for_ever() {
    let till = Till::open(Rewards::PLENTY, 1_000).await;
    let payment = till.pay(1_000).await;
    let path = format!("/v1/payments/{payment}/refund");
    let (key, body) = (fresh_key(), json!({"amount": eur(300)}));
    let first = till.api().post_as(key, &path, &body).await;
    assert_eq!(minor(&first.clone().expect(201)["amount"]), 300);
    till.ask(&payment, "refund", json!({"amount": eur(701)})).await.expect_problem(422, "refund-exceeded");
    let rest = till.ask(&payment, "refund", json!({})).await.expect(201);
    assert_eq!(minor(&rest["amount"]), 700);
    for body in [json!({"amount": eur(1)}), json!({})] {
        till.ask(&payment, "refund", body).await.expect_problem(422, "refund-exceeded");
    }
    let again = till.api().post_as(key, &path, &body).await;
    assert_eq!((again.status, &again.bytes), (201, &first.bytes));
    assert!(again.headers.contains_key("idempotent-replayed"));
    till.api().post_as(key, &path, &json!({"amount": eur(301)})).await.expect_problem(422, "key-reused");
    let read = till.read(&payment).await;
    assert_eq!((&read["status"], minor(&read["refunded"])), (&json!("cleared"), 1_000));
    let parts = json!([{"id": id(&first.json()), "amount": eur(300)}, {"id": id(&rest), "amount": eur(700)}]);
    assert_eq!(read["refunds"], parts);
    assert_eq!(till.wallet().await, (1_000, 1_000, 0));
    till.whole();
}

#[tokio::test]
async fn refunds_take_back_their_share_of_the_rewards_and_the_last_one_all_that_is_left() {
    let till = Till::open(Rewards::PLENTY, 1_999).await;
    let payment = till.pay(1_999).await; // 39 cents, 19 points
    let budget = async |asset: &str| till.app.world.budget(till.campaign, asset).await;
    let full = Rewards::PLENTY.budget;
    let mut shares = Vec::new();
    for minor in [500, 500, 500, 499] {
        let refund = till.ask(&payment, "refund", json!({"amount": eur(minor)})).await.expect(201);
        assert!(rewards(&refund, "taken_back").iter().all(|(_, taken)| **taken == json!(true)));
        shares.push(rewards(&refund, "taken_back").iter().map(|(minor, _)| *minor).collect::<Vec<_>>());
    }
    // 39 × 500 ÷ 1999 = 9.75, × 1000 = 19.5, × 1500 = 29.3; 19 points: 4.75, 9.5, 14.3.
    assert_eq!(shares, [[9, 4], [10, 5], [10, 5], [10, 5]]);
    assert_eq!((till.has("cashback").await, till.has("points:club").await), (0, 0));
    assert_eq!((budget("EUR").await, budget("PTS:club").await), (full, full), "the campaign has it back");
    // A card's payment goes back over its rail, its rewards to the campaign as well.
    let instrument = json!({"kind": "external", "rail": "card"});
    let body = json!({"customer": till.anna, "merchant": till.merchant, "amount": eur(100), "instrument": instrument});
    let card = id(&till.api().post("/v1/payments", &body).await.expect(201));
    let refund = till.ask(&card, "refund", json!({})).await.expect(201);
    assert_eq!((refund["instrument"].clone(), till.wallet().await.0), (instrument, 1_999));
    till.whole();
}

/// Moves money in the books of a till, as payouts and redemptions will one day.
fn moved(till: &mut Till, from: Purpose, to: Purpose, minor: i64) {
    let tenant = till.app.world.tenant;
    let post = |db: &TestDb<'_>| {
        let journal = lead(db);
        let eur = rows(&db.url(), &format!("SELECT id FROM journal.asset WHERE journal = {tenant} AND code = 'EUR'"));
        let amount = Amount::new(minor, AssetId(eur[0][0].as_ref().unwrap().parse().unwrap()));
        let transfer = Transfer::moving(from.account(tenant), to.account(tenant), amount);
        let asked = Request { journal: JournalId(tenant), ..request(fresh_key(), transact(vec![transfer])) };
        let answer = submit(&journal, asked);
        assert!(matches!(answer.record.body, Body::Transaction { .. }), "{:?}", answer.record.body);
        journal.stop();
    };
    // Away from the test's runtime, which may not be blocked.
    till.app.meanwhile(|db| std::thread::scope(|scope| scope.spawn(|| post(db)).join().unwrap()));
}

#[tokio::test]
async fn case_63_rewards_that_were_spent_are_owed_and_repaid_by_what_is_earned_next() {
    let mut till = Till::open(Rewards::PLENTY, 10_000).await;
    let payment = till.pay(5_000).await; // 100 cents, 50 points
    let (cashback, cost) = (Purpose::Cashback(till.anna), Purpose::MarketingCost);
    moved(&mut till, cashback, cost, 80);
    let refund = till.ask(&payment, "refund", json!({})).await.expect(201);
    assert_eq!(rewards(&refund, "taken_back"), [(100, &json!(true)), (50, &json!(true))]);
    assert_eq!((till.has("cashback").await, till.wallet().await.0), (-80, 10_000), "the debt is not the wallet's");
    till.pay(2_000).await;
    assert_eq!(till.has("cashback").await, -40);
    till.pay(3_000).await;
    assert_eq!(till.has("cashback").await, 20);
    till.whole();
}

#[tokio::test]
async fn case_51_a_refund_whose_merchant_has_spent_the_money_is_refused_or_owed_as_it_says() {
    let mut till = Till::open(Rewards::PLENTY, 1_000).await;
    let payment = till.pay(1_000).await;
    let (payable, bank) = (Purpose::Payable(till.merchant), Purpose::Settlement(Rail::Card));
    moved(&mut till, payable, bank, 900);
    till.ask(&payment, "refund", json!({})).await.expect_problem(422, "insufficient-funds");
    assert_eq!((till.wallet().await.0, till.has("cashback").await), (0, 20), "nothing was taken back either");
    till.ask(&payment, "refund", json!({"owing": true})).await.expect(201);
    assert_eq!((till.wallet().await.0, till.has("cashback").await), (1_000, 0));
    till.whole();
}

#[tokio::test]
async fn an_authorisation_captured_once_stands_for_its_capture_and_captured_twice_for_neither() {
    let till = Till::open(Rewards::PLENTY, 1_000).await;
    let payment = till.authorise(1_000).await;
    till.ask(&payment, "refund", json!({})).await.expect_problem(409, "nothing-captured");
    let first = id(&till.ask(&payment, "capture", json!({"amount": eur(400)})).await.expect(201));
    let (key, body) = (fresh_key(), json!({"amount": eur(100)}));
    let path = format!("/v1/payments/{payment}/refund");
    let refunded = till.api().post_as(key, &path, &body).await;
    assert_eq!(refunded.clone().expect(201)["payment"], json!(first));
    let second = id(&till.ask(&payment, "capture", json!({})).await.expect(201));
    let problem = till.ask(&payment, "refund", json!({})).await.expect_problem(409, "several-captures");
    assert_eq!(problem["captures"], json!([first, second]));
    assert_eq!(till.api().post_as(key, &path, &body).await.bytes, refunded.bytes, "what was answered once is for ever");
    till.api().post_as(key, &path, &json!({"amount": eur(2)})).await.expect_problem(422, "key-reused");
    till.ask(&first, "refund", json!({})).await.expect(201);
    till.ask(&second, "refund", json!({"amount": eur(600)})).await.expect(201);
    till.ask(&second, "refund", json!({"amount": eur(1)})).await.expect_problem(422, "refund-exceeded");
    assert_eq!(till.stands(&payment).await, stands("captured", 1_000, 0, 1_000));
    assert_eq!(till.read(&payment).await["refunds"].as_array().unwrap().len(), 3);
    assert_eq!((till.wallet().await, till.has("cashback").await), ((1_000, 1_000, 0), 0));
    till.ask(&fresh_key().to_string(), "refund", json!({})).await.expect_problem(404, "not-found");
    till.whole();
}

/// However refunds race, what is refunded and what is taken back belong together to the cent.
#[tokio::test]
async fn case_50_refunds_at_once_never_exceed_the_payment_and_shares_stay_exact() {
    let till = Till::open(Rewards::PLENTY, 10_000).await;
    let payment = till.pay(1_000).await; // 20 cents, 10 points
    let mut outcomes: BTreeMap<String, i64> = BTreeMap::new();
    for _ in 0..5 {
        let replies = join_all((0..4).map(|_| till.ask(&payment, "refund", json!({"amount": eur(130)})))).await;
        for reply in replies {
            let code = if reply.status == 201 { "done".to_owned() } else { reply.code() };
            *outcomes.entry(code).or_default() += 1;
        }
    }
    let done = outcomes["done"];
    let known = ["done", "refund-overtaken", "refund-exceeded"];
    assert!((5..=7).contains(&done) && outcomes.keys().all(|code| known.contains(&code.as_str())), "{outcomes:?}");
    let refunded = done * 130;
    assert_eq!(minor(&till.read(&payment).await["refunded"]), refunded);
    assert_eq!(till.wallet().await.0, 9_000 + refunded);
    assert_eq!(till.has("cashback").await, 20 - 20 * refunded / 1_000);
    till.ask(&payment, "refund", json!({})).await.expect(201);
    assert_eq!((till.wallet().await.0, till.has("cashback").await, till.has("points:club").await), (10_000, 0, 0));
    till.whole();
}

/// One key, one effect, one answer, on every one of the routes.
#[tokio::test]
async fn requests_with_one_key_at_once_have_one_effect_and_the_same_bytes() {
    let till = Till::open(Rewards::PLENTY, 1_000).await;
    let payment = till.authorise(1_000).await;
    for (what, body) in [("capture", json!({"amount": eur(600)})), ("void", json!({})), ("refund", json!({}))] {
        let (path, key, api) = (format!("/v1/payments/{payment}/{what}"), fresh_key(), till.api());
        let replies = join_all((0..12).map(|_| api.post_as(key, &path, &body))).await;
        assert!(replies.iter().all(|reply| reply.status == 201 && reply.bytes == replies[0].bytes), "{what}");
        let first = replies.iter().filter(|reply| !reply.headers.contains_key("idempotent-replayed")).count();
        assert_eq!(first, 1, "{what}");
        assert_eq!(api.post_as(key, &path, &body).await.bytes, replies[0].bytes, "{what}");
    }
    assert_eq!(till.stands(&payment).await, stands("captured", 600, 0, 600));
    assert_eq!((till.wallet().await, till.has("cashback").await), ((1_000, 1_000, 0), 0));
    till.whole();
}
