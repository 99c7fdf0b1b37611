//! The books over HTTP: what is asked, what is answered, what no retry and no wrong body can do. Numbers are those of the
//! edge cases of ledgers.

use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use tessera_tests::{Api, TestApp, fresh_key};
use uuid::Uuid;
use wallet_api::platform::keyring::Scope;

const POST: &str = "/v1/ledger/transactions";

/// Books with EUR and points, a source without a floor, and an API that may read and write them.
struct Desk {
    app: TestApp,
    api: Api,
    source: Uuid,
}

impl Desk {
    async fn open() -> Self {
        let app = TestApp::start();
        let api = app.world.client(&[Scope::LedgerWrite, Scope::LedgerRead]);
        for (code, scale) in [("EUR", 2), ("JPY", 0), ("KWD", 3), ("PTS:desk", 0)] {
            api.post("/v1/ledger/assets", &json!({"code": code, "scale": scale})).await.expect(201);
        }
        let mut desk = Self { app, api, source: Uuid::nil() };
        desk.source = desk.account("EUR", json!({"normal_side": "debit"})).await;
        desk
    }

    async fn account(&self, asset: &str, terms: Value) -> Uuid {
        let mut body = json!({"asset": asset});
        body.as_object_mut().unwrap().extend(terms.as_object().unwrap().clone());
        let opened = self.api.post("/v1/ledger/accounts", &body).await.expect(201);
        opened["id"].as_str().unwrap().parse().unwrap()
    }

    /// An account with floor 0 and so much on it.
    async fn wallet(&self, minor: u64) -> Uuid {
        let wallet = self.account("EUR", json!({"floor": "0"})).await;
        if minor > 0 {
            self.api.post(POST, &json!({"transfers": [leg(self.source, wallet, minor)]})).await.expect(201);
        }
        wallet
    }

    async fn balance(&self, account: Uuid) -> i64 {
        let account = self.api.get(&format!("/v1/ledger/accounts/{account}")).await.expect(200);
        account["balance"].as_str().unwrap().parse().unwrap()
    }

    async fn head(&self) -> i64 {
        self.api.get("/v1/ledger/records?after=999999999").await.expect(200)["head"].as_i64().unwrap()
    }

    /// The problem of one transaction whose only leg reads so.
    async fn refused(&self, leg: Value) -> (u16, String, String) {
        let reply = self.api.post(POST, &json!({"transfers": [leg]})).await;
        let place = reply.json()["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned();
        (reply.status, reply.code(), place)
    }
}

fn leg(debit: Uuid, credit: Uuid, minor: u64) -> Value {
    json!({"debit": debit, "credit": credit, "amount": minor.to_string(), "asset": "EUR"})
}

fn item(id: Uuid, transfers: Value) -> Value {
    json!({"id": id, "transfers": transfers})
}

fn batch(mode: &str, items: &[Value]) -> Value {
    json!({"mode": mode, "transactions": items})
}

fn statuses(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|result| result["status"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn case_01_the_same_id_and_body_twice_is_one_transaction_alone_or_among_others() {
    let desk = Desk::open().await;
    let (wallet, key) = (desk.wallet(0).await, fresh_key());
    let one = json!({"transfers": [leg(desk.source, wallet, 5)]});
    let first = desk.api.post_as(key, POST, &one).await;
    let again = desk.api.post_as(key, POST, &one).await;
    assert_eq!((first.status, again.status, &first.bytes), (201, 201, &again.bytes));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(first.json()["id"], key.to_string());
    let several = batch("independent", &[item(key, one["transfers"].clone())]);
    let told = desk.api.post(POST, &several).await.expect(200);
    assert_eq!((statuses(&told), &told["results"][0]["seq"]), (vec!["replayed"], &first.json()["seq"]));
    assert_eq!(desk.balance(wallet).await, 5);
}

#[tokio::test]
async fn case_02_fifty_at_once_under_one_id_are_one() {
    let desk = Desk::open().await;
    let (wallet, key) = (desk.wallet(0).await, fresh_key());
    let several = batch("independent", &[item(key, json!([leg(desk.source, wallet, 5)]))]);
    let replies = join_all((0..50).map(|_| desk.api.post(POST, &several))).await;
    let told: Vec<Value> = replies.into_iter().map(|reply| reply.expect(200)).collect();
    assert_eq!(told.iter().filter(|told| statuses(told) == ["posted"]).count(), 1);
    assert!(told.iter().all(|one| one["results"][0]["seq"] == told[0]["results"][0]["seq"]));
    assert_eq!(desk.balance(wallet).await, 5);
}

#[tokio::test]
async fn case_03_and_07_one_id_with_two_bodies_is_a_conflict_and_with_one_a_replay() {
    let desk = Desk::open().await;
    let (wallet, key, other) = (desk.wallet(0).await, fresh_key(), fresh_key());
    let of = |id, minor| item(id, json!([leg(desk.source, wallet, minor)]));
    let told = desk.api.post(POST, &batch("independent", &[of(key, 5), of(key, 5), of(other, 7), of(other, 8)])).await;
    let told = told.expect(200);
    assert_eq!(statuses(&told), ["posted", "replayed", "posted", "invalid"]);
    assert_eq!(told["results"][3]["code"], "key-reused");
    assert_eq!(desk.balance(wallet).await, 12);
    let twice = desk.api.post(POST, &batch("atomic", &[of(fresh_key(), 1), of(key, 9), of(key, 9)])).await;
    assert_eq!(twice.expect_problem(422, "id-repeated")["errors"][0]["pointer"], "/transactions/2/id");
    assert_eq!(desk.balance(wallet).await, 12);
}

#[tokio::test]
async fn case_04_what_was_refused_stays_refused_when_funds_have_come() {
    let desk = Desk::open().await;
    let (wallet, key) = (desk.wallet(3).await, fresh_key());
    let spend = json!({"transfers": [leg(wallet, desk.source, 5)]});
    let first = desk.api.post_as(key, POST, &spend).await;
    first.clone().expect_problem(422, "insufficient-funds");
    desk.api.post(POST, &json!({"transfers": [leg(desk.source, wallet, 100)]})).await.expect(201);
    assert_eq!(desk.api.post_as(key, POST, &spend).await.bytes, first.bytes);
    let told = desk.api.post(POST, &batch("independent", &[item(key, spend["transfers"].clone())])).await.expect(200);
    assert_eq!((statuses(&told), &told["results"][0]["code"]), (vec!["refused"], &json!("insufficient-funds")));
    assert_eq!(desk.balance(wallet).await, 103);
}

#[tokio::test]
async fn case_06_another_clients_id_is_another_id() {
    let desk = Desk::open().await;
    let (wallet, key) = (desk.wallet(0).await, fresh_key());
    let other = desk.app.world.client(&[Scope::LedgerWrite]);
    let body = json!({"transfers": [leg(desk.source, wallet, 5)]});
    desk.api.post_as(key, POST, &body).await.expect(201);
    other.post_as(key, POST, &body).await.expect(201);
    assert_eq!(desk.balance(wallet).await, 10);
}

#[tokio::test]
async fn case_08_members_in_another_order_are_the_same_and_another_amount_is_not() {
    let desk = Desk::open().await;
    let (wallet, key) = (desk.wallet(0).await, fresh_key());
    let headers = [("idempotency-key", key.to_string())];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let headers = [headers.as_slice(), &[("content-type", "application/json")]].concat();
    let send = async |text: String| desk.api.send(Method::POST, POST, &headers, text.into()).await.unwrap();
    let source = desk.source;
    let text = |members: String| format!(r#"{{"meta":{{"b":"è","a":1}},"transfers":[{{{members}}}]}}"#);
    let one = text(format!(r#""debit":"{source}","credit":"{wallet}","amount":"100","asset":"EUR""#));
    let first = send(one).await;
    assert_eq!(first.status, 201);
    let same =
        text(format!(r#" "asset" : "\u0045UR","how":"move","amount":"100","credit":"{wallet}","debit":"{source}""#));
    let same = same.replace(r#"{"b":"è","a":1}"#, r#"{ "a":1, "b":"\u00e8" }"#);
    assert_eq!(send(same).await.bytes, first.bytes);
    for amount in ["100.00", "1e2", "0100", "+100", " 100"] {
        let other = text(format!(r#""debit":"{source}","credit":"{wallet}","amount":"{amount}","asset":"EUR""#));
        send(other).await.expect_problem(422, "amount-invalid");
    }
    let number = text(format!(r#""debit":"{source}","credit":"{wallet}","amount":100,"asset":"EUR""#));
    assert_eq!(send(number).await.expect_problem(422, "body-invalid")["errors"][0]["pointer"], "/transfers/0/amount");
    let twice =
        text(format!(r#""debit":"{source}","debit":"{source}","credit":"{wallet}","amount":"1","asset":"EUR""#));
    send(twice).await.expect_problem(400, "body-malformed");
    assert_eq!(desk.balance(wallet).await, 100);
}

#[tokio::test]
async fn case_09_a_replay_tells_the_first_times_and_balances() {
    let desk = Desk::open().await;
    let (wallet, key) = (desk.wallet(0).await, fresh_key());
    let body = json!({"transfers": [leg(desk.source, wallet, 5)], "effective_at": "2001-02-03T04:05:06.000007Z"});
    let first = desk.api.post_as(key, POST, &body).await;
    desk.api.post(POST, &json!({"transfers": [leg(desk.source, wallet, 50)]})).await.expect(201);
    let again = desk.api.post_as(key, POST, &body).await.expect(201);
    assert_eq!(again, first.json());
    assert_eq!(again["transfers"][0]["credit"]["balance"], "5");
    assert_eq!(again["effective_at"], "2001-02-03T04:05:06.000007Z");
    let read = desk.api.get(&format!("{POST}/{}", again["seq"])).await.expect(200);
    assert_eq!(read, again, "and so does the book itself");
}

#[tokio::test]
async fn case_10_to_15_and_19_no_wrong_amount_moves_anything() {
    let desk = Desk::open().await;
    let wallet = desk.wallet(0).await;
    let before = desk.head().await;
    let with = |amount: &str| json!({"debit": desk.source, "credit": wallet, "amount": amount, "asset": "EUR"});
    for amount in ["0", "-1", "1000000000000001", "9223372036854775807", "9223372036854775808", "1.005", "", "NaN"] {
        let told = desk.refused(with(amount)).await;
        assert_eq!(told, (422, "amount-invalid".into(), "/transfers/0/amount".into()), "{amount}");
    }
    assert_eq!(desk.head().await, before, "nothing was written");
    // Above 2^53, where a JSON number would lose the last digit.
    desk.api.post(POST, &json!({"transfers": [with("999999999999999")]})).await.expect(201);
    assert_eq!(desk.balance(wallet).await, 999_999_999_999_999);
}

#[tokio::test]
async fn case_16_assets_of_other_scales_are_whole_units_too() {
    let desk = Desk::open().await;
    for asset in ["JPY", "KWD", "PTS:desk"] {
        let (from, to) = (desk.account(asset, json!({})).await, desk.account(asset, json!({})).await);
        let leg = json!({"debit": from, "credit": to, "amount": "1234", "asset": asset});
        desk.api.post(POST, &json!({"transfers": [leg]})).await.expect(201);
        assert_eq!(desk.balance(to).await, 1_234);
    }
    desk.api.post("/v1/ledger/assets", &json!({"code": "EUR", "scale": 2})).await.expect(201);
    desk.api.post("/v1/ledger/assets", &json!({"code": "EUR", "scale": 3})).await.expect_problem(409, "asset-exists");
    let totals = desk.api.get("/v1/ledger/totals").await.expect(200);
    for total in totals["totals"].as_array().unwrap() {
        let sum = |side: &str| total[side].as_str().unwrap().parse::<i64>().unwrap();
        assert_eq!(sum("above_zero") + sum("below_zero"), 0, "{total}");
    }
}

#[tokio::test]
async fn case_20_to_24_wrong_accounts_and_assets_are_named_with_their_place() {
    let desk = Desk::open().await;
    let (wallet, points) = (desk.wallet(9).await, desk.account("PTS:desk", json!({})).await);
    let before = desk.head().await;
    let with = |debit: Value, credit: Value, asset: &str| json!({"debit": debit, "credit": credit, "amount": "1", "asset": asset});
    let nobody = Uuid::from_u128(0xdead);
    let cases = [
        (with(json!(wallet), json!(wallet), "EUR"), "same-account", "/transfers/0/debit"),
        (with(json!(wallet), json!(nobody), "EUR"), "account-unknown", "/transfers/0/credit"),
        (with(json!("no uuid"), json!(wallet), "EUR"), "account-unknown", "/transfers/0/debit"),
        (with(json!(wallet), json!(points), "EUR"), "asset-mismatch", "/transfers/0/credit"),
        (with(json!(wallet), json!(desk.source), "XAU"), "asset-unknown", "/transfers/0/asset"),
    ];
    for (leg, code, place) in cases {
        assert_eq!(desk.refused(leg.clone()).await, (422, code.into(), place.into()), "{leg}");
    }
    assert_eq!((desk.head().await, desk.balance(wallet).await), (before, 9));
    // The same account in several legs is no mistake: each sees what the one before left.
    let legs = json!({"transfers": [leg(desk.source, wallet, 1), leg(wallet, desk.source, 10)]});
    desk.api.post(POST, &legs).await.expect(201);
    assert_eq!(desk.balance(wallet).await, 0);
    // An asset that was never defined opens no account; an id that is taken opens none.
    desk.api.post("/v1/ledger/accounts", &json!({"asset": "XAU"})).await.expect_problem(422, "body-invalid");
    let taken = json!({"asset": "EUR", "id": wallet});
    desk.api.post("/v1/ledger/accounts", &taken).await.expect_problem(409, "account-exists");
    let above = json!({"asset": "EUR", "floor": "1"});
    desk.api.post("/v1/ledger/accounts", &above).await.expect_problem(422, "account-limits-invalid");
}

#[tokio::test]
async fn case_22_there_is_no_way_to_say_what_does_not_balance() {
    let desk = Desk::open().await;
    let wallet = desk.wallet(0).await;
    let before = desk.head().await;
    let one_sided = json!({"transfers": [{"credit": wallet, "amount": "1", "asset": "EUR"}]});
    let problem = desk.api.post(POST, &one_sided).await.expect_problem(422, "body-invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/transfers/0/debit");
    let other_how =
        json!({"transfers": [{"how": "mint", "debit": desk.source, "credit": wallet, "amount": "1", "asset": "EUR"}]});
    desk.api.post(POST, &other_how).await.expect_problem(422, "body-invalid");
    assert_eq!(desk.head().await, before);
}

#[tokio::test]
async fn case_26_an_atomic_batch_that_fails_at_its_first_or_last_item_leaves_nothing() {
    let desk = Desk::open().await;
    let (rich, poor) = (desk.wallet(100).await, desk.wallet(0).await);
    for failing in [0_usize, 2] {
        let ids = [fresh_key(), fresh_key(), fresh_key()];
        let mut items: Vec<Value> = ids.iter().map(|id| item(*id, json!([leg(rich, desk.source, 1)]))).collect();
        items[failing]["transfers"] = json!([leg(poor, desk.source, 1)]);
        let before = desk.head().await;
        let first = desk.api.post(POST, &batch("atomic", &items)).await;
        let problem = first.clone().expect_problem(422, "batch-refused");
        assert_eq!((&problem["item"], &problem["reason"]), (&json!(failing), &json!("insufficient-funds")));
        assert_eq!(problem["errors"][0]["pointer"], format!("/transactions/{failing}/transfers/0/debit"));
        assert_eq!((desk.balance(rich).await, desk.head().await), (100, before + 1), "one refusal was written");
        assert_eq!(desk.api.post(POST, &batch("atomic", &items)).await.bytes, first.bytes, "for ever");
        assert_eq!(desk.head().await, before + 1);
        // The others were not used up: they can be done without the one that was refused.
        items.remove(failing);
        let told = desk.api.post(POST, &batch("atomic", &items)).await.expect(201);
        assert_eq!(statuses(&told), ["posted", "posted"]);
        desk.api.post(POST, &json!({"transfers": [leg(desk.source, rich, 2)]})).await.expect(201);
    }
    // What only the items before it stand in the way of is no refusal: nothing is written, and the item is named.
    let before = desk.head().await;
    let items = [100, 1].map(|minor| item(fresh_key(), json!([leg(rich, desk.source, minor)])));
    let problem = desk.api.post(POST, &batch("atomic", &items)).await.expect_problem(422, "batch-refused");
    assert_eq!((&problem["item"], &problem["reason"]), (&json!(1), &json!("linked-not-done")));
    assert_eq!((desk.balance(rich).await, desk.head().await), (100, before));
    desk.api.post(POST, &batch("atomic", &items[1..])).await.expect(201);
    desk.api.post(POST, &json!({"transfers": [leg(desk.source, rich, 1)]})).await.expect(201);
    // What is no request at all spends nothing.
    let before = desk.head().await;
    let items =
        [item(fresh_key(), json!([leg(rich, desk.source, 1)])), item(fresh_key(), json!([leg(rich, Uuid::nil(), 1)]))];
    let problem = desk.api.post(POST, &batch("atomic", &items)).await.expect_problem(422, "batch-refused");
    assert_eq!(problem["reason"], "account-unknown");
    assert_eq!(problem["errors"][0]["pointer"], "/transactions/1/transfers/0/credit");
    assert_eq!((desk.balance(rich).await, desk.head().await), (100, before));
    desk.app.world.assert_whole();
}

#[tokio::test]
async fn case_27_an_item_may_need_what_the_one_before_it_did() {
    let desk = Desk::open().await;
    for mode in ["independent", "atomic"] {
        let (first, second) = (desk.wallet(0).await, desk.wallet(0).await);
        let items = [
            item(fresh_key(), json!([leg(desk.source, first, 10)])),
            item(fresh_key(), json!([leg(first, second, 10)])),
            item(fresh_key(), json!([leg(second, desk.source, 4)])),
        ];
        let reply = desk.api.post(POST, &batch(mode, &items)).await;
        let told = reply.json();
        assert_eq!(statuses(&told), ["posted", "posted", "posted"], "{mode}");
        assert_eq!((desk.balance(first).await, desk.balance(second).await), (0, 6));
        let again = desk.api.post(POST, &batch(mode, &items)).await;
        assert_eq!((again.status, statuses(&again.json())), (reply.status, vec!["replayed"; 3]), "{mode}");
        assert_eq!((desk.balance(first).await, desk.balance(second).await), (0, 6));
    }
    desk.app.world.assert_whole();
}

#[tokio::test]
async fn case_28_of_independent_items_one_fails_and_the_next_does_not_see_it() {
    let desk = Desk::open().await;
    let (first, second) = (desk.wallet(5).await, desk.wallet(0).await);
    let items = [
        item(fresh_key(), json!([leg(first, second, 1)])),
        item(fresh_key(), json!([leg(first, second, 3), leg(first, second, 9)])),
        item(fresh_key(), json!([leg(first, second, 4)])),
        item(fresh_key(), json!([leg(second, desk.source, 6)])),
        item(fresh_key(), json!([leg(first, second, 0)])),
    ];
    let told = desk.api.post(POST, &batch("independent", &items)).await.expect(200);
    assert_eq!(statuses(&told), ["posted", "refused", "posted", "refused", "invalid"]);
    assert_eq!((&told["posted"], &told["results"][4]["code"]), (&json!(2), &json!("amount-invalid")));
    assert_eq!(told["results"][4]["errors"][0]["pointer"], "/transactions/4/transfers/0/amount");
    assert_eq!((desk.balance(first).await, desk.balance(second).await), (0, 5));
    desk.app.world.assert_whole();
}

#[tokio::test]
async fn case_29_none_a_thousand_and_one_more() {
    let desk = Desk::open().await;
    let wallet = desk.wallet(0).await;
    let items = |count: usize| -> Vec<Value> {
        (0..count).map(|_| item(fresh_key(), json!([leg(desk.source, wallet, 1)]))).collect()
    };
    for mode in ["independent", "atomic"] {
        desk.api.post(POST, &batch(mode, &[])).await.expect_problem(422, "body-invalid");
        desk.api.post(POST, &batch(mode, &items(1_001))).await.expect_problem(422, "body-invalid");
        let before = desk.balance(wallet).await;
        let told = desk.api.post(POST, &batch(mode, &items(1_000))).await.json();
        assert_eq!((&told["posted"], desk.balance(wallet).await), (&json!(1_000), before + 1_000), "{mode}");
    }
    let legs = |count: usize| json!({"transfers": vec![leg(desk.source, wallet, 1); count]});
    let before = desk.balance(wallet).await;
    desk.api.post(POST, &legs(0)).await.expect_problem(422, "transfers-missing");
    desk.api.post(POST, &legs(1_001)).await.expect_problem(422, "too-many");
    desk.api.post(POST, &legs(100_000)).await.expect_problem(413, "body-too-large");
    assert_eq!(desk.balance(wallet).await, before);
    desk.api.post(POST, &legs(1_000)).await.expect(201);
    assert_eq!(desk.balance(wallet).await, before + 1_000);
    desk.api.post(POST, &json!({})).await.expect_problem(422, "body-invalid");
    desk.api.post(POST, &json!({"transfers": [], "transactions": []})).await.expect_problem(422, "body-invalid");
    desk.app.world.assert_whole();
}

#[tokio::test]
async fn case_30_and_31_batches_against_each_other_on_the_same_accounts_all_end() {
    let desk = Desk::open().await;
    let (one, other) = (desk.wallet(1_000).await, desk.wallet(1_000).await);
    let call = |turn: usize| {
        let (from, to) = if turn.is_multiple_of(2) { (one, other) } else { (other, one) };
        let mode = if turn.is_multiple_of(4) { "atomic" } else { "independent" };
        let items: Vec<Value> = (0..20).map(|_| item(fresh_key(), json!([leg(from, to, 1)]))).collect();
        let api = desk.api.clone();
        async move { api.post(POST, &batch(mode, &items)).await.json()["posted"].as_u64().unwrap() }
    };
    let posted: u64 = join_all((0..24).map(call)).await.into_iter().sum();
    assert_eq!(posted, 480, "nobody ran dry, nobody waits for ever");
    assert_eq!((desk.balance(one).await, desk.balance(other).await), (1_000, 1_000));
    desk.app.world.assert_whole();
}

#[tokio::test]
async fn dates_from_1970_to_9999_count_and_no_others() {
    let desk = Desk::open().await;
    let wallet = desk.wallet(0).await;
    for (date, passes) in [
        ("1969-12-31T23:59:59.999999Z", false),
        ("1970-01-01T00:00:00Z", true),
        ("9999-12-31T23:59:59.999999Z", true),
        ("10000-01-01T00:00:00Z", false),
        ("2026-02-30T00:00:00Z", false),
        ("2026-01-01", false),
    ] {
        let before = desk.balance(wallet).await;
        let reply =
            desk.api.post(POST, &json!({"transfers": [leg(desk.source, wallet, 1)], "effective_at": date})).await;
        if passes {
            assert_eq!(reply.expect(201)["effective_at"], date);
        } else {
            assert_eq!(reply.expect_problem(422, "date-invalid")["errors"][0]["pointer"], "/effective_at");
        }
        assert_eq!(desk.balance(wallet).await, before + i64::from(passes), "{date}");
    }
}

#[tokio::test]
async fn case_73_an_accounts_entries_follow_from_line_to_line_over_pages_while_others_write() {
    let desk = Desk::open().await;
    let wallet = desk.wallet(0).await;
    for minor in 1..=45 {
        desk.api.post(POST, &json!({"transfers": [leg(desk.source, wallet, minor)]})).await.expect(201);
    }
    let (mut path, mut seen) = (format!("/v1/ledger/accounts/{wallet}/entries?limit=10"), Vec::new());
    loop {
        let page = desk.api.get(&path).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().clone());
        let late = json!({"transfers": [leg(desk.source, wallet, 1), leg(wallet, desk.source, 1)]});
        desk.api.post(POST, &late).await.expect(201);
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/ledger/accounts/{wallet}/entries?limit=10&cursor={cursor}");
    }
    let number = |value: &Value| value["amount"].as_str().unwrap().parse::<i64>().unwrap();
    assert_eq!(seen.len(), 45);
    let mut balance = 0;
    for entry in seen.iter().rev() {
        balance += number(&entry["change"]);
        assert_eq!(number(&entry["balance"]), balance);
    }
    assert_eq!(balance, 45 * 46 / 2);
    desk.api.get(&format!("/v1/ledger/accounts/{}/entries", Uuid::nil())).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn accounts_and_transactions_are_listed_page_by_page_each_once() {
    let desk = Desk::open().await;
    let owner = fresh_key();
    let mut mine = Vec::new();
    for _ in 0..5 {
        mine.push(desk.account("EUR", json!({"owner": owner, "floor": "0"})).await.to_string());
        desk.account("EUR", json!({})).await;
    }
    let list = async |first: String, id: &str| {
        let (mut path, mut seen) = (first.clone(), Vec::new());
        loop {
            let page = desk.api.get(&path).await.expect(200);
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item[id].to_string().replace('"', "")));
            let Some(cursor) = page["next_cursor"].as_str() else { return seen };
            path = format!("{first}&cursor={cursor}");
        }
    };
    assert_eq!(list(format!("/v1/ledger/accounts?limit=2&owner={owner}"), "id").await, mine);
    assert_eq!(list("/v1/ledger/accounts?limit=3".into(), "id").await.len(), 11);
    assert!(list("/v1/ledger/accounts?limit=3&asset=JPY".into(), "id").await.is_empty());
    let wallet = desk.wallet(0).await;
    let mut seqs = Vec::new();
    for _ in 0..5 {
        let legs = json!({"transfers": [leg(desk.source, wallet, 2), leg(wallet, desk.source, 1), leg(desk.source, wallet, 1)]});
        seqs.push(desk.api.post(POST, &legs).await.expect(201)["seq"].to_string());
    }
    let spend = json!({"transfers": [leg(wallet, desk.source, 100)]});
    let refused = desk.api.post(POST, &spend).await.expect_problem(422, "insufficient-funds")["seq"].to_string();
    seqs.reverse();
    assert_eq!(list(format!("{POST}?limit=2"), "seq").await, seqs);
    // Two entries a page, three a transaction: none twice, none left out.
    assert_eq!(list(format!("{POST}?limit=2&account={wallet}"), "seq").await, seqs);
    assert_eq!(list(format!("{POST}?limit=2&kind=refused"), "seq").await, [refused]);
    desk.api.get(&format!("{POST}?kind=other")).await.expect_problem(400, "request-malformed");

    // By recorded date: the first moment counts, the last does not; an account's too, page by page.
    let at = async |seq: &str| desk.api.get(&format!("{POST}/{seq}")).await.expect(200)["recorded_at"].clone();
    let (newest, oldest) = (at(&seqs[0]).await, at(&seqs[3]).await);
    let dates = format!("recorded_from={}&recorded_to={}", oldest.as_str().unwrap(), newest.as_str().unwrap());
    assert_eq!(list(format!("{POST}?limit=2&{dates}"), "seq").await, seqs[1..4]);
    assert_eq!(list(format!("{POST}?limit=2&account={wallet}&{dates}"), "seq").await, seqs[1..4]);
    let none = format!("recorded_from={}", "2999-01-01T00:00:00Z");
    assert!(list(format!("{POST}?limit=2&{none}"), "seq").await.is_empty());
    let page = desk.api.get(&format!("{POST}?limit=2&{dates}")).await.expect(200);
    let elsewhere = format!("{POST}?limit=2&cursor={}", page["next_cursor"].as_str().unwrap());
    desk.api.get(&elsewhere).await.expect_problem(400, "cursor-invalid");
    desk.api.get(&format!("{POST}/1")).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn whoever_follows_gets_every_record_once_and_is_woken_by_the_next() {
    let desk = Desk::open().await;
    let wallet = desk.wallet(0).await;
    let writer = async {
        for _ in 0..30 {
            let items: Vec<Value> = (0..20).map(|_| item(fresh_key(), json!([leg(desk.source, wallet, 1)]))).collect();
            desk.api.post(POST, &batch("independent", &items)).await.expect(200);
        }
    };
    let reader = async {
        let (mut after, mut seen) = (0, Vec::new());
        while seen.len() < 602 {
            let page = desk.api.get(&format!("/v1/ledger/records?after={after}&wait=5")).await.expect(200);
            seen.extend(page["records"].as_array().unwrap().iter().map(|record| record["seq"].as_i64().unwrap()));
            after = page["after"].as_i64().unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        seen
    };
    let (seen, ()) = tokio::join!(reader, writer);
    assert_eq!(seen, (1..=602).collect::<Vec<i64>>());
    let waited = std::time::Instant::now();
    let late = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        desk.api.post(POST, &json!({"transfers": [leg(desk.source, wallet, 1)]})).await.expect(201)
    };
    let path = "/v1/ledger/records?after=602&wait=8";
    let (page, _) = tokio::join!(desk.api.get(path), late);
    assert_eq!(page.expect(200)["records"][0]["type"], "transaction");
    assert!(waited.elapsed() < Duration::from_secs(3), "woken, not waited for");
    for wrong in ["after=-1", "wait=9", "after=x"] {
        desk.api.get(&format!("/v1/ledger/records?{wrong}")).await.expect_problem(400, "request-malformed");
    }
}

/// Reads a stream of events until there are so many of them, or it ends.
async fn events(app: &TestApp, api: &Api, last: i64, count: usize) -> Vec<(String, Value)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(app.authority()).await.unwrap();
    let key = &api.key;
    let request = format!(
        "GET /v1/ledger/records HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
         accept: text/event-stream\r\nlast-event-id: {last}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut bytes = [0; 65_536];
    loop {
        let found: Vec<(String, Value)> = text
            .split("\n\n")
            .filter_map(|event| {
                let line = |name: &str| Some(event.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned());
                Some((line("event:")?, serde_json::from_str(&line("data:")?).ok()?))
            })
            .collect();
        if found.len() >= count {
            return found;
        }
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut bytes)).await.unwrap().unwrap();
        if read == 0 {
            return found;
        }
        text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
}

#[tokio::test]
async fn a_stream_goes_on_from_the_last_event_and_follows_what_is_posted() {
    let desk = Desk::open().await;
    let wallet = desk.wallet(7).await;
    let before = desk.head().await;
    let writer = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        for _ in 0..50 {
            desk.api.post(POST, &json!({"transfers": [leg(desk.source, wallet, 1)]})).await.expect(201);
        }
    };
    let (seen, ()) = tokio::join!(events(&desk.app, &desk.api, before - 1, 51), writer);
    let seqs: Vec<i64> = seen.iter().map(|(_, record)| record["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (before..before + 51).collect::<Vec<_>>());
    assert!(seen.iter().all(|(name, _)| name == "record"));
    assert_eq!(seen[0].1["transfers"][0]["credit"]["balance"], "7");
    for accept in ["text/event-stream", "application/json"] {
        let wrong = [("accept", accept), ("last-event-id", "x")];
        let wrong = desk.api.send(Method::GET, "/v1/ledger/records", &wrong, "".into()).await.unwrap();
        wrong.expect_problem(400, "request-malformed");
    }
}

/// A server that stops does not wait for those who follow, and tells them where to go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_a_word_when_the_node_stops() {
    let mut desk = Desk::open().await;
    desk.wallet(7).await;
    let head = desk.head().await;
    let (authority, key) = (desk.app.authority(), desk.api.key.clone());
    let reading = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(authority).unwrap();
        let request = format!(
            "GET /v1/ledger/records?after={head} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
             accept: text/event-stream\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        _ = stream.read_to_string(&mut text);
        text
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let began = std::time::Instant::now();
    tokio::task::block_in_place(|| desk.app.restart());
    assert!(began.elapsed() < Duration::from_secs(10), "it does not wait for whoever follows");
    let text = reading.join().unwrap();
    assert!(
        text.contains("event: end") && text.contains(&format!(r#"{{"reason":"stopping","after":{head}}}"#)),
        "{text}"
    );
}

#[tokio::test]
async fn holds_refunds_and_lots_over_http_say_what_they_build_on() {
    let desk = Desk::open().await;
    let (wallet, shop) = (desk.wallet(100).await, desk.wallet(0).await);
    let with = |mut leg: Value, more: Value| {
        leg.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        leg
    };
    let post = async |leg: Value| desk.api.post(POST, &json!({"transfers": [leg]})).await;
    let held = post(with(leg(wallet, shop, 60), json!({"how": "hold"}))).await.expect(201);
    let of = json!({"seq": held["seq"], "leg": 0});
    let account = desk.api.get(&format!("/v1/ledger/accounts/{wallet}")).await.expect(200);
    assert_eq!((&account["held"], &account["available"]), (&json!("60"), &json!("40")));
    let capture = post(with(leg(wallet, shop, 25), json!({"how": "capture", "of": of}))).await.expect(201);
    assert_eq!((&capture["transfers"][0]["kind"], &capture["transfers"][0]["of"]), (&json!("capture"), &of));
    let void = json!({"debit": wallet, "credit": shop, "asset": "EUR", "how": "void", "of": of});
    post(void.clone()).await.expect(201);
    assert_eq!(post(void).await.code(), "hold-ended");
    let captured = json!({"seq": capture["seq"], "leg": 0});
    post(with(leg(shop, wallet, 20), json!({"how": "refund", "of": captured}))).await.expect(201);
    assert_eq!(
        post(with(leg(shop, wallet, 6), json!({"how": "refund", "of": captured}))).await.code(),
        "refund-exceeded"
    );
    assert_eq!((desk.balance(wallet).await, desk.balance(shop).await), (95, 5));
    let followed = async |seq: &Value| {
        let told = desk.api.get(&format!("{POST}/{seq}")).await.expect(200);
        let links = told["followed_by"].as_array().unwrap().clone();
        links.iter().map(|link| format!("{} {}", link["kind"].as_str().unwrap(), link["amount"])).collect::<Vec<_>>()
    };
    assert_eq!(followed(&held["seq"]).await, [r#"capture "25""#, r#"void "35""#]);
    assert_eq!(followed(&capture["seq"]).await, [r#"refund "20""#], "both ways: it names its hold above");
    // A member that says nothing there is a mistake, and costs nothing.
    let stray = desk.refused(with(leg(wallet, shop, 1), json!({"of": of}))).await;
    assert_eq!((stray.0, stray.2.as_str()), (422, "/transfers/0/of"));

    let breakage = desk.account("EUR", json!({})).await;
    let lots = json!({"floor": "0", "keeps": {"lots": {"breakage": breakage, "grace_seconds": 60}}});
    let club = desk.account("EUR", lots).await;
    let dates = json!({"lot": {"expires_at": "2999-01-01T00:00:00Z"}});
    let earned = post(with(leg(desk.source, club, 7), dates)).await.expect(201);
    assert_eq!(earned["transfers"][0]["credit_lots"][0]["expires_at"], "2999-01-01T00:00:00Z");
    let change = format!("/v1/ledger/accounts/{club}/changes");
    assert_eq!(desk.api.post(&change, &json!({"closed": true})).await.code(), "account-not-empty");
    post(leg(club, shop, 7)).await.expect(201);
    let closed = desk.api.post(&change, &json!({"closed": true})).await.expect(201);
    assert_eq!((&closed["type"], &closed["change"]), (&json!("changed"), &json!({"closed": true})));
    assert_eq!(post(leg(shop, club, 1)).await.code(), "account-closed");
    desk.app.world.assert_whole();
}

#[tokio::test]
async fn case_71_73_balances_and_statements_of_the_past_over_http() {
    let desk = Desk::open().await;
    let (wallet, shop) = (desk.wallet(100).await, desk.wallet(0).await);
    let before = desk.head().await;
    let old = json!({"transfers": [leg(wallet, shop, 30)], "effective_at": "2020-01-01T00:00:00Z"});
    desk.api.post(POST, &old).await.expect(201);
    desk.api.post(POST, &json!({"transfers": [leg(wallet, shop, 5)]})).await.expect(201);
    let at = async |query: &str| {
        let told = desk.api.get(&format!("/v1/ledger/accounts/{shop}/balance{query}")).await.expect(200);
        told["balance"]["amount"].as_str().unwrap().parse::<i64>().unwrap()
    };
    assert_eq!((at("").await, at(&format!("?seq={before}")).await), (35, 0));
    assert_eq!(at("?effective_at=2021-01-01T00:00:00Z").await, 30);
    assert_eq!(at("?recorded_at=2021-01-01T00:00:00Z").await, 0, "before its first entry");
    let nobody = format!("/v1/ledger/accounts/{}/balance", fresh_key());
    assert_eq!(desk.api.get(&nobody).await.status, 404);
    let both = format!("/v1/ledger/accounts/{shop}/balance?seq=1&recorded_at=2021-01-01T00:00:00Z");
    assert_eq!(desk.api.get(&both).await.status, 422);

    // Page by page, while writes go on, the changes lead from the opening balance to the closing one.
    let statement = format!("/v1/ledger/accounts/{shop}/statement?limit=1");
    let first = desk.api.get(&statement).await.expect(200);
    desk.api.post(POST, &json!({"transfers": [leg(wallet, shop, 1)]})).await.expect(201);
    let next = first["entries"]["next_cursor"].as_str().unwrap();
    let second = desk.api.get(&format!("{statement}&cursor={next}")).await.expect(200);
    let amount = |value: &Value| value["amount"].as_str().unwrap().parse::<i64>().unwrap();
    let change = |page: &Value| amount(&page["entries"]["items"][0]["change"]);
    assert_eq!((amount(&first["opening"]), amount(&first["closing"])), (0, 35));
    assert_eq!(amount(&second["closing"]), 35);
    assert_eq!((change(&first) + change(&second), &second["entries"]["has_more"]), (35, &json!(false)));

    let trial = desk.api.get("/v1/ledger/trial-balance?effective_at=2021-01-01T00:00:00Z").await.expect(200);
    assert!(trial["assets"].as_array().unwrap().iter().all(|asset| asset["balanced"] == json!(true)), "{trial}");
    desk.app.world.assert_whole();
}
