//! Payments and what they earn: one transaction, exact to the cent, explained in words.

use diesel::sql_types::BigInt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tessera_tests::{Reply, Rewards, TestApp, eur, eventually_async, fresh_key, rows, scalar};
use uuid::Uuid;
use wallet_api::loyalty::AT_ONCE;

fn from_wallet(customer: Uuid, merchant: Uuid, minor: i64) -> Value {
    json!({"customer": customer, "merchant": merchant, "amount": eur(minor), "instrument": {"kind": "wallet"}})
}

fn from_card(customer: Uuid, merchant: Uuid, minor: i64) -> Value {
    let instrument = json!({"kind": "external", "rail": "card"});
    json!({"customer": customer, "merchant": merchant, "amount": eur(minor), "instrument": instrument})
}

fn outcomes(body: &Value) -> Vec<(&str, &str, &str)> {
    let field = |reward: &'_ Value, name: &str| -> &'static str {
        Box::leak(reward[name].as_str().unwrap_or_default().to_owned().into_boxed_str())
    };
    let rewards = body["rewards"].as_array().unwrap();
    let outcome = |reward| {
        let amount = Box::leak(reward_amount(reward).into_boxed_str());
        (field(reward, "kind"), &*amount, field(reward, "outcome"))
    };
    rewards.iter().map(outcome).collect()
}

fn reward_amount(reward: &Value) -> String {
    reward["amount"]["amount"].as_str().unwrap().to_owned()
}

fn statuses(replies: &[Reply]) -> (usize, usize) {
    let of = |status| replies.iter().filter(|reply| reply.status == status).count();
    (of(201), of(422))
}

#[tokio::test]
async fn a_payment_posts_money_cashback_and_points_in_one_transaction() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards::PLENTY).await;
    let anna = app.world.customer("anna").await;
    app.world.top_up(anna, 10_000).await;

    let paid = app.api().post("/v1/payments", &from_wallet(anna, shop.merchant, 1_999)).await.expect(201);

    assert_eq!(paid["status"], "cleared");
    assert_eq!(outcomes(&paid), [("cashback", "39", "given"), ("points", "19", "given")]); // 39.98 cents, 19.99 euro
    let seq = paid["seq"].as_i64().unwrap();
    let legs = rows(
        &app.db().url(),
        &format!(
            "SELECT t.leg, a.code, t.amount FROM journal.transfer t JOIN journal.asset a \
             ON (a.journal, a.id) = (t.journal, t.asset) WHERE t.seq = {seq} ORDER BY leg"
        ),
    );
    let legs: Vec<Vec<String>> = legs.into_iter().map(|row| row.into_iter().flatten().collect()).collect();
    assert_eq!(legs, [["0", "EUR", "1999"], ["1", "EUR", "39"], ["2", "PTS:club", "19"]]);
    let expected =
        [("available", 8_001), ("cashback", 39), ("points:club", 19)].map(|(name, minor)| (name.to_owned(), minor));
    assert_eq!(app.world.balances(anna).await, expected);
    assert_eq!(app.world.budget(shop.campaign, "EUR").await, Rewards::PLENTY.budget - 39);
    app.world.assert_whole();
}

#[tokio::test]
async fn a_quote_tells_what_the_payment_then_earns_and_writes_nothing() {
    let app = TestApp::start();
    let rewards = Rewards { cap: Some(25), budget: 20, ..Rewards::PLENTY };
    let shop = app.world.shop("shop", rewards).await;
    let anna = app.world.customer("anna").await;
    let head = || scalar::<BigInt, i64>(&app.db().url(), "(SELECT seq FROM journal.head)");

    let before = head();
    let quote =
        app.api().post("/v1/quotes", &json!({"merchant": shop.merchant, "amount": eur(5_000)})).await.expect(200);
    assert_eq!(head(), before, "a quote is not a record");
    let told: Vec<_> =
        quote["rewards"].as_array().unwrap().iter().map(|r| (reward_amount(r), r["funded"] == true)).collect();
    assert_eq!(told, [("25".to_owned(), false), ("50".to_owned(), true)], "capped, and beyond the budget of 20");

    let paid = app.api().post("/v1/payments", &from_card(anna, shop.merchant, 5_000)).await.expect(201);
    assert_eq!(outcomes(&paid), [("cashback", "25", "budget-exhausted"), ("points", "50", "given")]);
}

#[tokio::test]
async fn a_payment_is_explained_in_italian_and_english() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards { budget: 10, ..Rewards::PLENTY }).await;
    let anna = app.world.customer("anna").await;
    let paid = app.api().post("/v1/payments", &from_card(anna, shop.merchant, 1_999)).await.expect(201);
    let path = format!("/v1/payments/{}/explanation", paid["id"].as_str().unwrap());
    let words = async |lang| {
        let body = app.api().in_lang(lang).get(&path).await.expect(200);
        let lines = body["lines"].as_array().unwrap().clone();
        lines
            .iter()
            .map(|line| format!("{} {}", line["leg"], line["words"].as_str().unwrap()))
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!(words("it").await, @r"
    0 € 19,99 a Emporio, pagati con una carta o un conto esterni al wallet.
    null Non hai ottenuto € 0,39 su € 19,99 (cashback del 2,00%, arrotondato per difetto al centesimo): quel che resta del budget di «Spring» non basta (versione 1 della regola). Il pagamento resta valido.
    2 Hai ottenuto 19 punti su € 19,99: 1 punto per ogni euro intero. A carico del budget di «Spring» (versione 1 della regola).
    ");
    insta::assert_snapshot!(words("en").await, @r"
    0 €19.99 went to Emporio, paid with a card or account outside the wallet.
    null You did not earn €0.39 on €19.99 (2.00% cashback, rounded down to the cent): what is left of the budget of “Spring” does not cover it (version 1 of its rule). The payment stands.
    2 You earned 19 points on €19.99: 1 point for each whole euro. From the budget of “Spring” (version 1 of its rule).
    ");
}

#[tokio::test]
async fn a_statement_follows_line_by_line_through_its_cursor() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards::PLENTY).await;
    let anna = app.world.customer("anna").await;
    app.world.top_up(anna, 10_000).await;
    for minor in [100, 200, 300, 400] {
        app.api().post("/v1/payments", &from_wallet(anna, shop.merchant, minor)).await.expect(201);
    }
    let mut lines = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/customers/{anna}/statement?limit=2{cursor}");
        let page = app.api().get(&path).await.expect(200);
        let items = page["items"].as_array().unwrap();
        assert!((1..=2).contains(&items.len()));
        let minor = |item: &Value, field: &str| item[field]["amount"].as_str().unwrap().parse::<i64>().unwrap();
        lines.extend(items.iter().map(|item| (minor(item, "change"), minor(item, "balance"))));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(lines, [(-400, 9_000), (-300, 9_400), (-200, 9_700), (-100, 9_900), (10_000, 10_000)]);
    let path = format!("/v1/customers/{anna}/statement?account=cashback");
    let cashback = app.api().get(&path).await.expect(200);
    assert_eq!(cashback["items"].as_array().unwrap().len(), 4);
    let nothing = format!("/v1/customers/{anna}/statement?account=points:other");
    app.api().get(&nothing).await.expect_problem(404, "customer-account-unknown");
    let forged = format!("/v1/customers/{anna}/statement?account=cashback{cursor}");
    app.api().get(&forged).await.expect_problem(400, "cursor-invalid");
}

/// W12: twenty awards of 1.50 race for a budget of 10.00. Six are paid, and every payment clears.
#[tokio::test]
async fn w12_awards_racing_for_a_budget_take_it_to_its_floor_and_never_below() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards { bps: 1_000, points: 0, budget: 1_000, ..Rewards::PLENTY }).await;
    let customers = join_all((0..20).map(|n| async move { format!("c{n}") })).await;
    let customers = join_all(customers.iter().map(|reference| app.world.customer(reference))).await;
    let api = app.api();
    let bodies: Vec<Value> = customers.iter().map(|id| from_card(*id, shop.merchant, 1_500)).collect();
    let replies = join_all(bodies.iter().map(|body| api.post("/v1/payments", body))).await;

    assert_eq!(statuses(&replies), (20, 0), "an exhausted budget blocks no payment");
    let given = replies.iter().filter(|reply| outcomes(&reply.json()) == [("cashback", "150", "given")]).count();
    let dropped = replies.iter().filter(|reply| outcomes(&reply.json()) == [("cashback", "150", "budget-exhausted")]);
    assert_eq!((given, dropped.count()), (6, 14));
    assert_eq!(app.world.budget(shop.campaign, "EUR").await, 100);
    app.world.assert_whole();
}

#[tokio::test]
async fn an_exhausted_budget_says_why_in_both_languages() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards { budget: 0, points: 0, ..Rewards::PLENTY }).await;
    let anna = app.world.customer("anna").await;
    let body = from_card(anna, shop.merchant, 5_000);
    let reason = |paid: Value| paid["rewards"][0]["reason"].as_str().unwrap().to_owned();
    let italian = reason(app.api().in_lang("it").post("/v1/payments", &body).await.expect(201));
    let english = reason(app.api().in_lang("en").post("/v1/payments", &body).await.expect(201));
    insta::assert_snapshot!(format!("{italian}\n{english}"), @r"
    Quel che resta del budget della campagna non copre questo premio.
    What is left of the campaign's budget does not cover this reward.
    ");
}

#[tokio::test]
async fn of_many_payments_of_the_last_money_one_clears() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    app.world.top_up(anna, 1_000).await;
    let (api, body) = (app.api(), from_wallet(anna, merchant, 1_000));

    let replies = join_all((0..20).map(|_| api.post("/v1/payments", &body))).await;

    assert_eq!(statuses(&replies), (1, 19));
    assert!(replies.iter().filter(|reply| reply.status == 422).all(|reply| reply.code() == "insufficient-funds"));
    assert_eq!(app.world.balance(anna, "available").await, 0);
    app.world.assert_whole();
}

#[tokio::test]
async fn an_order_is_paid_once_whatever_the_keys() {
    let app = TestApp::start();
    let (merchant, other) = (app.world.merchant("shop").await, app.world.merchant("other").await);
    let anna = app.world.customer("anna").await;
    let mut body = from_card(anna, merchant, 700);
    body["reference"] = json!("order-7");
    let api = app.api();

    let replies = join_all((0..16).map(|_| api.post("/v1/payments", &body))).await;

    let paid: Vec<_> = replies.iter().filter(|reply| reply.status == 201).collect();
    assert_eq!(paid.len(), 1);
    let seq = &paid[0].json()["seq"];
    for refused in replies.iter().filter(|reply| reply.status != 201) {
        let problem = refused.clone().expect_problem(409, "already-done");
        assert_eq!(&problem["done_at_seq"], seq, "it names the payment that did it");
    }
    body["merchant"] = json!(other);
    api.post("/v1/payments", &body).await.expect(201); // another merchant's order of the same name
    app.world.assert_whole();
}

/// A refused order is not paid: its reference is free for the next key (JOURNAL 5: a refusal spends no claim).
#[tokio::test]
async fn a_refusal_is_frozen_for_its_key_and_spends_no_order() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    app.world.top_up(anna, 500).await;
    let mut body = from_wallet(anna, merchant, 800);
    body["reference"] = json!("order-8");
    let key = fresh_key();

    let refused = app.api().post_as(key, "/v1/payments", &body).await;
    refused.clone().expect_problem(422, "insufficient-funds");
    app.world.top_up(anna, 500).await;
    let again = app.api().post_as(key, "/v1/payments", &body).await;

    assert_eq!(
        (again.status, &again.bytes),
        (422, &refused.bytes),
        "money that came later changes nothing for this key"
    );
    app.api().post("/v1/payments", &body).await.expect(201);
    assert_eq!(app.world.balance(anna, "available").await, 200);
    app.world.assert_whole();
}

/// A refusal is a record for ever: nobody may fill the books with them.
#[tokio::test]
async fn whoever_is_refused_again_and_again_is_stopped_before_the_books() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards::PLENTY).await;
    let (poor, rich) = (app.world.customer("poor").await, app.world.customer("rich").await);
    app.world.top_up(rich, 10_000).await;
    let body = from_wallet(poor, shop.merchant, 1);
    let (cleared, first) = (fresh_key(), fresh_key());
    app.world.top_up(poor, 1).await;
    app.api().post_as(cleared, "/v1/payments", &body).await.expect(201);
    app.api().post_as(first, "/v1/payments", &body).await.expect_problem(422, "insufficient-funds");
    let (began, mut refused, key) = (std::time::Instant::now(), 1, fresh_key());
    while app.api().post("/v1/payments", &body).await.status == 422 {
        refused += 1;
    }
    let given_back = usize::try_from(began.elapsed().as_secs()).unwrap() / 3 + 1;
    assert!((20..=20 + given_back).contains(&refused), "{refused} refusals, {given_back} given back");
    let refusals = || rows(&app.db().url(), "SELECT 1 FROM journal.record WHERE kind = 4").len();
    assert_eq!(refusals(), refused, "what was stopped left nothing");
    // Keys that were used before still get their answers, and others go on as they were.
    app.api().post_as(cleared, "/v1/payments", &body).await.expect(201);
    app.api().post_as(first, "/v1/payments", &body).await.expect_problem(422, "insufficient-funds");
    app.api().post("/v1/payments", &from_wallet(rich, shop.merchant, 1)).await.expect(201);
    // One refusal is given back in three seconds, and the key was not spent.
    let answered = eventually_async("the key is answered", std::time::Duration::from_secs(20), async || {
        let reply = app.api().post_as(key, "/v1/payments", &body).await;
        (reply.status != 429).then_some(reply)
    });
    answered.await.expect_problem(422, "insufficient-funds");
    app.world.assert_whole();
}

/// Rewards never stand in a payment's way, however many there are.
#[tokio::test]
async fn as_many_campaigns_as_may_be_reward_one_payment_and_one_more_is_refused() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards::PLENTY).await;
    let anna = app.world.customer("anna").await;
    app.world.top_up(anna, 10_000).await;
    let rule = json!({"cashback_bps": 100, "points_per_euro": 1});
    let campaign = |programme: &Value, merchant: Value| json!({"programme": programme, "name": "One more", "merchant": merchant, "rule": rule});
    let mut programmes = Vec::new();
    for number in 1..AT_ONCE {
        let body = json!({"code": format!("p{number}"), "name": "Club"});
        let programme = app.api().post("/v1/programmes", &body).await.expect(201)["id"].clone();
        // Half of them for every merchant: both kinds count.
        let merchant = if number % 2 == 0 { Value::Null } else { json!(shop.merchant) };
        app.api().post("/v1/campaigns", &campaign(&programme, merchant)).await.expect(201);
        programmes.push(programme);
    }
    for merchant in [Value::Null, json!(shop.merchant)] {
        let refused = app.api().post("/v1/campaigns", &campaign(&programmes[0], merchant)).await;
        assert_eq!(refused.expect_problem(409, "campaigns-too-many")["most"], AT_ONCE);
    }
    let other = json!(app.world.merchant("other").await);
    app.api().post("/v1/campaigns", &campaign(&programmes[0], other)).await.expect(201);
    let paid = app.api().post("/v1/payments", &from_wallet(anna, shop.merchant, 1_000)).await.expect(201);
    assert_eq!(paid["rewards"].as_array().unwrap().len(), 2 * AT_ONCE);
    app.world.assert_whole();
}

#[tokio::test]
async fn a_paused_campaign_gives_nothing_and_a_resumed_one_gives_again() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards::PLENTY).await;
    let anna = app.world.customer("anna").await;
    let api = app.api();
    let pay = async || api.post("/v1/payments", &from_card(anna, shop.merchant, 1_000)).await.expect(201);

    api.post(&format!("/v1/campaigns/{}/pause", shop.campaign), &json!({})).await.expect(201);
    let paused = pay().await;
    assert_eq!(outcomes(&paused), [("cashback", "20", "campaign-paused"), ("points", "10", "campaign-paused")]);
    let campaign = api.get(&format!("/v1/campaigns/{}", shop.campaign)).await.expect(200);
    assert_eq!(campaign["paused"], true);

    // Money still flows in: a pause freezes debits only.
    let funding = json!({"amount": eur(100)});
    api.post(&format!("/v1/campaigns/{}/fund", shop.campaign), &funding).await.expect(201);
    api.post(&format!("/v1/campaigns/{}/resume", shop.campaign), &json!({})).await.expect(201);
    assert_eq!(outcomes(&pay().await), [("cashback", "20", "given"), ("points", "10", "given")]);
    app.world.assert_whole();
}

#[tokio::test]
async fn a_payment_keeps_the_rule_version_it_was_decided_under() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards::PLENTY).await;
    let anna = app.world.customer("anna").await;
    let first = app.api().post("/v1/payments", &from_card(anna, shop.merchant, 1_000)).await.expect(201);
    let rule = json!({"cashback_bps": 500, "points_per_euro": 0});
    app.api().post(&format!("/v1/campaigns/{}/rules", shop.campaign), &rule).await.expect(201);
    let second = app.api().post("/v1/payments", &from_card(anna, shop.merchant, 1_000)).await.expect(201);
    assert_eq!(outcomes(&second), [("cashback", "50", "given")]);
    assert_eq!((&first["rewards"][0]["rule_version"], &second["rewards"][0]["rule_version"]), (&json!(1), &json!(2)));
    let mut read = app.api().get(&format!("/v1/payments/{}", first["id"].as_str().unwrap())).await.expect(200);
    let since = read.as_object_mut().unwrap();
    assert_eq!((since.remove("refunded"), since.remove("refunds")), (Some(eur(0)), Some(json!([]))));
    assert_eq!(read, first, "what was answered is what is read");
}

#[tokio::test]
async fn unknown_customers_and_merchants_are_not_paid_for() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    let stranger = Uuid::from_u128(7);
    let api = app.api();
    api.post("/v1/payments", &from_card(stranger, merchant, 100)).await.expect_problem(404, "customer-unknown");
    api.post("/v1/payments", &from_card(anna, stranger, 100)).await.expect_problem(404, "merchant-unknown");
    let top_up = json!({"customer": stranger, "amount": eur(100), "rail": "card"});
    api.post("/v1/top-ups", &top_up).await.expect_problem(404, "customer-unknown");
    api.get(&format!("/v1/customers/{stranger}/balances")).await.expect_problem(404, "customer-unknown");
    api.get(&format!("/v1/payments/{stranger}")).await.expect_problem(404, "not-found");
}

/// A wallet that never held money has no account yet: paying from it is a lack of funds, not a fault.
#[tokio::test]
async fn a_wallet_never_filled_is_empty() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    app.api().post("/v1/payments", &from_wallet(anna, merchant, 1)).await.expect_problem(422, "insufficient-funds");
    app.world.assert_whole();
}

#[tokio::test]
async fn the_card_follows_the_payments() {
    let app = TestApp::start();
    let shop = app.world.shop("shop", Rewards::PLENTY).await;
    let anna = app.world.customer("anna").await;
    let mut last = Value::Null;
    for minor in [1_000, 2_000, 3_000] {
        last = app.api().post("/v1/payments", &from_card(anna, shop.merchant, minor)).await.expect(201);
    }
    let path = format!("/v1/customers/{anna}/card");
    let card = eventually_async("the card has three payments", std::time::Duration::from_secs(5), async || {
        let card = app.api().get(&path).await.expect(200);
        (card["payments"] == 3).then_some(card)
    })
    .await;
    assert_eq!(card["paid"], eur(6_000));
    assert_eq!(card["last_payment"]["id"], last["id"]);
    assert_eq!(card["balances"][1]["balance"], eur(120));
}

/// Money of a sandbox's future: the clock moves forward only, and payments are recorded at its time.
#[tokio::test]
async fn a_sandbox_clock_moves_forward_and_the_books_with_it() {
    let app = TestApp::start();
    let merchant = app.world.merchant("shop").await;
    let anna = app.world.customer("anna").await;
    let first = app.api().post("/v1/payments", &from_card(anna, merchant, 100)).await.expect(201);
    app.api().post("/v1/sandbox/clock/advance", &json!({"seconds": 86_400})).await.expect(201);
    let second = app.api().post("/v1/payments", &from_card(anna, merchant, 100)).await.expect(201);
    let at = |paid: &Value| paid["recorded_at"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    let ahead = at(&second) - at(&first);
    assert!(ahead >= chrono::TimeDelta::seconds(86_400) && ahead < chrono::TimeDelta::seconds(86_460), "{ahead}");
    app.world.assert_whole();
}
