//! Corrections by hand, with four eyes: who may decide, what is posted, and that nothing is posted twice.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tessera_tests::{Api, TestApp, fresh_key, rows, run_sql, staff};
use uuid::Uuid;
use wallet_api::platform::keyring::Scope;

const ADJUSTMENTS: &str = "/v1/ledger/adjustments";

struct Desk {
    app: TestApp,
    /// Who proposes; may approve too, and so cannot.
    clerk: Api,
    /// Who decides.
    chief: Api,
    cash: Uuid,
    wallet: Uuid,
}

impl Desk {
    async fn open() -> Self {
        let app = TestApp::start();
        let clerk = app.world.client(&[Scope::LedgerWrite, Scope::LedgerRead, Scope::LedgerApprove]);
        let chief = staff::colleague(&app, &[Scope::LedgerApprove, Scope::LedgerRead]);
        let mut desk = Self { app, clerk, chief, cash: Uuid::nil(), wallet: Uuid::nil() };
        desk.cash = desk.account(json!({"asset": "EUR", "normal_side": "debit"})).await;
        desk.wallet = desk.account(json!({"asset": "EUR", "floor": "0"})).await;
        desk
    }

    async fn account(&self, terms: Value) -> Uuid {
        let opened = self.clerk.post("/v1/ledger/accounts", &terms).await.expect(201);
        opened["id"].as_str().unwrap().parse().unwrap()
    }

    fn wish(&self, debit: Uuid, credit: Uuid, minor: i64) -> Value {
        let transfer = json!({"debit": debit, "credit": credit, "amount": minor.to_string(), "asset": "EUR"});
        json!({"reason": "error", "text": "Anna Rossi was charged twice", "transfers": [transfer]})
    }

    /// A proposal of so much for the wallet, by its address.
    async fn proposed(&self, minor: i64) -> String {
        let wish = self.wish(self.cash, self.wallet, minor);
        let told = self.clerk.post(ADJUSTMENTS, &wish).await.expect(201);
        assert_eq!((&told["status"], told["seq"].is_null()), (&json!("proposed"), true));
        format!("{ADJUSTMENTS}/{}", told["id"].as_str().unwrap())
    }

    async fn approve(&self, api: &Api, proposal: &str) -> tessera_tests::Reply {
        api.post(&format!("{proposal}/approve"), &Value::Null).await
    }

    async fn balance(&self, account: Uuid) -> String {
        let account = self.clerk.get(&format!("/v1/ledger/accounts/{account}")).await.expect(200);
        account["balance"].as_str().unwrap().to_owned()
    }

    fn transfers(&self) -> usize {
        rows(&self.app.db().url(), "SELECT 1 FROM journal.transfer").len()
    }

    fn sql(&self, text: &str) {
        run_sql(&self.app.db().super_url(), text);
    }
}

#[tokio::test]
async fn what_one_proposes_another_approves_and_both_stand_in_the_books_and_the_words_do_not() {
    let desk = Desk::open().await;
    let proposal = desk.proposed(500).await;
    assert_eq!(desk.balance(desk.wallet).await, "0", "nothing moves before");
    desk.approve(&desk.clerk, &proposal).await.expect_problem(403, "same-eyes");
    desk.clerk.post(&format!("{proposal}/reject"), &json!({"text": "no"})).await.expect_problem(403, "same-eyes");
    let told = desk.approve(&desk.chief, &proposal).await.expect(200);
    assert_eq!((&told["status"], desk.balance(desk.wallet).await.as_str()), (&json!("posted"), "500"));
    assert_ne!(told["proposed_by"], told["decided_by"]);
    let record = desk.clerk.get(&format!("/v1/ledger/transactions/{}", told["seq"])).await.expect(200);
    let meta = &record["meta"];
    assert_eq!((&record["id"], &meta["reason"]), (&told["id"], &json!("error")));
    assert_eq!((&meta["proposed_by"], &meta["approved_by"]), (&told["proposed_by"], &told["decided_by"]));
    assert_eq!(meta["words"].as_str().map(str::len), Some(64), "a commitment");
    assert!(!record.to_string().contains("Rossi"), "{record}");
    // Again, by whoever may: the same answer, and nothing more.
    let again = desk.approve(&staff::colleague(&desk.app, &[Scope::LedgerApprove]), &proposal).await.expect(200);
    assert_eq!((again, desk.transfers()), (told, 1));
    desk.app.world.assert_whole();
}

#[tokio::test]
async fn a_rejection_is_final_and_so_is_the_end_of_its_time() {
    let desk = Desk::open().await;
    let (first, second, third) = (desk.proposed(1).await, desk.proposed(2).await, desk.proposed(3).await);
    let no = json!({"text": "not our fault"});
    let told = desk.chief.post(&format!("{first}/reject"), &no).await.expect(200);
    assert_eq!((&told["status"], &told["decision"]), (&json!("rejected"), &json!("not our fault")));
    assert_eq!(desk.chief.post(&format!("{first}/reject"), &no).await.expect(200), told, "again changes nothing");
    desk.approve(&desk.chief, &first).await.expect_problem(409, "adjustment-decided");
    desk.sql("UPDATE adjustment SET expires_at = now() WHERE transfers LIKE '%\"2\"%'");
    desk.approve(&desk.chief, &second).await.expect_problem(409, "adjustment-expired");
    desk.chief.post(&format!("{second}/reject"), &no).await.expect_problem(409, "adjustment-expired");
    assert_eq!(desk.clerk.get(&second).await.expect(200)["status"], "expired");
    desk.approve(&desk.chief, &third).await.expect(200);
    desk.chief.post(&format!("{third}/reject"), &no).await.expect_problem(409, "adjustment-decided");
    assert_eq!((desk.balance(desk.wallet).await.as_str(), desk.transfers()), ("3", 1));

    let listed = async |query: &str| {
        let page = desk.clerk.get(&format!("{ADJUSTMENTS}{query}")).await.expect(200);
        let id = |one: &Value| format!("{ADJUSTMENTS}/{}", one["id"].as_str().unwrap());
        page["items"].as_array().unwrap().iter().map(id).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, [third.clone(), second.clone(), first.clone()], "newest first");
    assert_eq!(listed("?status=rejected").await, [first]);
    assert_eq!(listed("?status=expired").await, std::slice::from_ref(&second));
    assert_eq!(listed("?status=posted&reason=error").await, std::slice::from_ref(&third));
    assert!(listed("?status=proposed").await.is_empty() && listed("?reason=fraud").await.is_empty());
    let page = desk.clerk.get(&format!("{ADJUSTMENTS}?limit=1")).await.expect(200);
    let next = page["next_cursor"].as_str().unwrap();
    assert_eq!(listed(&format!("?limit=1&cursor={next}")).await, [second]);
    desk.clerk.get(&format!("{ADJUSTMENTS}/{}", fresh_key())).await.expect_problem(404, "not-found");
}

/// T41: in whose hands a key of the house is, nobody knows.
#[tokio::test]
async fn t41_a_key_of_the_house_decides_no_adjustment() {
    let desk = Desk::open().await;
    let proposal = desk.proposed(1).await;
    for houses in [&desk.app.api(), &desk.app.world.client(&[Scope::LedgerApprove])] {
        desk.approve(houses, &proposal).await.expect_problem(403, "operators-only");
        houses.post(&format!("{proposal}/reject"), &json!({"text": "no"})).await.expect_problem(403, "operators-only");
    }
    assert_eq!(desk.clerk.get(&proposal).await.expect(200)["status"], "proposed");
    desk.approve(&desk.chief, &proposal).await.expect(200);
}

#[tokio::test]
async fn of_many_approvals_at_once_one_posting_comes() {
    let desk = Desk::open().await;
    let proposal = desk.proposed(700).await;
    let chiefs: Vec<Api> = (0..10).map(|_| staff::colleague(&desk.app, &[Scope::LedgerApprove])).collect();
    let replies = join_all(chiefs.iter().map(|chief| desk.approve(chief, &proposal))).await;
    let told: Vec<Value> = replies.into_iter().map(|reply| reply.expect(200)).collect();
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    assert_eq!((desk.transfers(), desk.balance(desk.wallet).await.as_str()), (1, "700"));

    // Approvals against rejections: one of the two is the truth, for all of them.
    let proposal = desk.proposed(1).await;
    let both = chiefs.iter().enumerate().map(|(place, chief)| {
        let (word, body) = if place % 2 == 0 { ("approve", Value::Null) } else { ("reject", json!({"text": "no"})) };
        let path = format!("{proposal}/{word}");
        async move { chief.post(&path, &body).await.status }
    });
    let statuses = join_all(both).await;
    let status = desk.clerk.get(&proposal).await.expect(200)["status"].clone();
    let (yes, no) = if status == "posted" { (0, 1) } else { (1, 0) };
    let of = |which: usize| statuses.iter().skip(which).step_by(2).all(|status| *status == 200);
    assert!(of(yes) && statuses.iter().skip(no).step_by(2).all(|status| *status == 409), "{status}: {statuses:?}");
    assert_eq!(desk.transfers(), if status == "posted" { 2 } else { 1 });
}

#[tokio::test]
async fn a_crash_between_decision_and_posting_or_after_it_is_resolved_by_approving_again() {
    let desk = Desk::open().await;
    let proposal = desk.proposed(900).await;
    // Decided, and nothing posted.
    desk.sql("UPDATE adjustment SET status = 'approved', decided_by = 77, decided_eyes = 77, decided_at = now(), expires_at = now()");
    assert_eq!(desk.clerk.get(&proposal).await.expect(200)["status"], "approved");
    desk.chief
        .post(&format!("{proposal}/reject"), &json!({"text": "no"}))
        .await
        .expect_problem(409, "adjustment-decided");
    let told = desk.approve(&desk.chief, &proposal).await.expect(200);
    assert_eq!((&told["status"], &told["decided_by"], desk.transfers()), (&json!("posted"), &json!(77), 1));
    // Posted, and that was not noted.
    desk.sql("UPDATE adjustment SET status = 'approved', seq = NULL");
    assert_eq!(desk.approve(&desk.chief, &proposal).await.expect(200), told);
    assert_eq!((desk.transfers(), desk.balance(desk.wallet).await.as_str()), (1, "900"));
}

#[tokio::test]
async fn what_the_books_refuse_is_refused_for_ever_and_what_cannot_be_is_told_at_once() {
    let desk = Desk::open().await;
    let take = desk.wish(desk.wallet, desk.cash, 5);
    let proposal = desk.clerk.post(ADJUSTMENTS, &take).await.expect(201)["id"].as_str().unwrap().to_owned();
    let proposal = format!("{ADJUSTMENTS}/{proposal}");
    desk.approve(&desk.chief, &proposal).await.expect_problem(422, "insufficient-funds");
    desk.approve(&desk.chief, &desk.proposed(50).await).await.expect(200);
    desk.approve(&desk.chief, &proposal).await.expect_problem(422, "insufficient-funds");
    let told = desk.clerk.get(&proposal).await.expect(200);
    assert_eq!((&told["status"], &told["code"]), (&json!("refused"), &json!("insufficient-funds")));
    // Unless it says that the account may owe it.
    let mut owed = desk.wish(desk.wallet, desk.cash, 80);
    owed["transfers"][0]["owing"] = json!(true);
    let id = desk.clerk.post(ADJUSTMENTS, &owed).await.expect(201)["id"].as_str().unwrap().to_owned();
    desk.approve(&desk.chief, &format!("{ADJUSTMENTS}/{id}")).await.expect(200);
    assert_eq!(desk.balance(desk.wallet).await, "-30");

    // What is closed since it was proposed is not posted either, opened again or not.
    let shut = desk.account(json!({"asset": "EUR"})).await;
    let told = desk.clerk.post(ADJUSTMENTS, &desk.wish(desk.cash, shut, 1)).await.expect(201);
    let proposal = format!("{ADJUSTMENTS}/{}", told["id"].as_str().unwrap());
    let changes = format!("/v1/ledger/accounts/{shut}/changes");
    desk.clerk.post(&changes, &json!({"closed": true})).await.expect(201);
    desk.approve(&desk.chief, &proposal).await.expect_problem(422, "account-closed");
    desk.clerk.post(&changes, &json!({"closed": false})).await.expect(201);
    desk.approve(&desk.chief, &proposal).await.expect_problem(422, "account-closed");
    assert_eq!(desk.clerk.get(&proposal).await.expect(200)["status"], "refused");

    let place = async |wish: Value| {
        let problem = desk.clerk.post(ADJUSTMENTS, &wish).await.expect(422);
        problem["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned()
    };
    let with = |pointer: &str, value: Value| {
        let mut wish = desk.wish(desk.cash, desk.wallet, 1);
        *wish.pointer_mut(pointer).unwrap() = value;
        wish
    };
    assert_eq!(place(with("/transfers/0/credit", json!(fresh_key()))).await, "/transfers/0/credit");
    assert_eq!(place(with("/transfers/0/amount", json!("0"))).await, "/transfers/0/amount");
    assert_eq!(place(with("/transfers/0/asset", json!("GEM"))).await, "/transfers/0/asset");
    assert_eq!(place(with("/text", json!(" "))).await, "/text");
    assert_eq!(place(with("/transfers", json!([]))).await, "/transfers");
    let mut short = desk.wish(desk.cash, desk.wallet, 1);
    short["expires_in_seconds"] = json!(59);
    assert_eq!(place(short).await, "/expires_in_seconds");
    // One key, one proposal.
    let (key, wish) = (fresh_key(), desk.wish(desk.cash, desk.wallet, 1));
    let first = desk.clerk.post_as(key, ADJUSTMENTS, &wish).await.expect(201);
    assert_eq!(desk.clerk.post_as(key, ADJUSTMENTS, &wish).await.expect(201), first);
    let other = desk.wish(desk.cash, desk.wallet, 2);
    desk.clerk.post_as(key, ADJUSTMENTS, &other).await.expect_problem(422, "key-reused");
    desk.chief.post(ADJUSTMENTS, &wish).await.expect_problem(403, "scope-missing");
}

/// What the books cannot take when it is approved is given up: neither another approval nor a late twin ever posts it.
#[tokio::test]
async fn what_the_books_cannot_take_any_more_is_given_up_for_good() {
    let desk = Desk::open().await;
    // An account with more lots than one transaction may take.
    let breakage = desk.account(json!({"asset": "EUR"})).await;
    let club = desk.account(json!({"asset": "EUR", "floor": "0", "keeps": {"lots": {"breakage": breakage}}})).await;
    let proposed = async |wish: &Value| {
        let told = desk.clerk.post(ADJUSTMENTS, wish).await.expect(201);
        format!("{ADJUSTMENTS}/{}", told["id"].as_str().unwrap())
    };
    let earn = async |costs: std::ops::Range<u32>| {
        let leg = |cost| json!({"debit": desk.cash, "credit": club, "amount": "1", "asset": "EUR", "lot": {"unit_cost": cost}});
        let body = json!({"transfers": costs.map(leg).collect::<Vec<_>>()});
        desk.clerk.post("/v1/ledger/transactions", &body).await.expect(201);
    };
    earn(0..600).await;
    let many = proposed(&desk.wish(club, desk.cash, 600)).await;
    earn(600..1_200).await;
    let all = proposed(&desk.wish(club, desk.cash, 1_200)).await;
    desk.approve(&desk.chief, &many).await.expect(200);
    earn(1_200..1_800).await;
    let before = desk.transfers();
    let told = desk.approve(&desk.chief, &all).await.expect_problem(422, "adjustment-impossible");
    assert_eq!(told["reason"], "too-many-lots");

    let read = desk.clerk.get(&all).await.expect(200);
    assert_eq!((&read["status"], &read["code"], &read["seq"]), (&json!("refused"), &told["reason"], &told["seq"]));
    // Its lots are fewer now, and the note of it was lost: the books remember.
    desk.approve(&desk.chief, &proposed(&desk.wish(club, desk.cash, 700)).await).await.expect(200);
    desk.sql(&format!(
        "UPDATE adjustment SET status = 'approved', seq = NULL, code = NULL WHERE seq = {}",
        told["seq"]
    ));
    let again = desk.approve(&desk.chief, &all).await.expect_problem(422, "adjustment-impossible");
    assert_eq!((again, desk.clerk.get(&all).await.expect(200)), (told, read));
    assert_eq!(desk.transfers(), before + 1);
    desk.app.world.assert_whole();
}
