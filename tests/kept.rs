//! Holds and lots over HTTP: pages, filters, and that what has expired is so at once, whoever writes it down or will.

use serde_json::{Value, json};
use tessera_tests::{TestApp, fresh_key, rows};
use uuid::Uuid;

/// Books of points with an account that keeps lots.
struct Desk {
    app: TestApp,
    source: Uuid,
    club: Uuid,
    shop: Uuid,
}

impl Desk {
    async fn open() -> Self {
        let app = TestApp::start();
        let mut desk = Self { app, source: Uuid::nil(), club: Uuid::nil(), shop: Uuid::nil() };
        desk.source = desk.account(json!({"asset": "EUR"})).await;
        desk.shop = desk.account(json!({"asset": "EUR", "floor": "0"})).await;
        let breakage = desk.account(json!({"asset": "EUR"})).await;
        let keeps = json!({"lots": {"breakage": breakage}});
        desk.club = desk.account(json!({"asset": "EUR", "floor": "0", "keeps": keeps})).await;
        desk
    }

    async fn account(&self, terms: Value) -> Uuid {
        let opened = self.app.api().post("/v1/ledger/accounts", &terms).await.expect(201);
        opened["id"].as_str().unwrap().parse().unwrap()
    }

    async fn post(&self, leg: Value) -> i64 {
        let told = self.app.api().post("/v1/ledger/transactions", &json!({"transfers": [leg]})).await.expect(201);
        told["seq"].as_i64().unwrap()
    }

    async fn earn(&self, minor: i64, lot: Value) {
        let mut leg = leg(self.source, self.club, minor);
        leg["lot"] = lot;
        self.post(leg).await;
    }

    async fn hold(&self, debit: Uuid, minor: i64, expires_at: Option<&str>) -> i64 {
        let mut leg = leg(debit, self.shop, minor);
        leg["how"] = json!("hold");
        if let Some(at) = expires_at {
            leg["expires_at"] = json!(at);
        }
        self.post(leg).await
    }

    async fn end(&self, how: &str, hold: i64, debit: Uuid, minor: i64) {
        let mut leg = leg(debit, self.shop, minor);
        (leg["how"], leg["of"]) = (json!(how), json!({"seq": hold}));
        if how == "void" {
            leg.as_object_mut().unwrap().remove("amount");
        }
        self.post(leg).await;
    }

    async fn get(&self, path: &str) -> Value {
        self.app.api().get(&format!("/v1/ledger/{path}")).await.expect(200)
    }

    /// Every page of a listing, two at a time, each item told by these members.
    async fn all(&self, path: &str, members: &[&str]) -> Vec<String> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let sign = if path.contains('?') { '&' } else { '?' };
            let page = self.get(&format!("{path}{sign}limit=2{cursor}")).await;
            for item in page["items"].as_array().unwrap() {
                let word = |member: &&str| {
                    let value = &item[*member];
                    value["amount"].as_str().or(value.as_str()).map_or(value.to_string(), str::to_owned)
                };
                all.push(members.iter().map(word).collect::<Vec<_>>().join(" "));
            }
            let Some(next) = page["next_cursor"].as_str() else { return all };
            cursor = format!("&cursor={next}");
        }
    }

    async fn pass_days(&self, days: i64) {
        let body = json!({"seconds": days * 86_400});
        let reply = self.app.api().post("/v1/sandbox/clock/advance", &body).await;
        assert!(reply.status < 300, "{}", reply.json());
    }

    async fn now(&self, days: i64) -> String {
        let told = self.app.api().get("/v1/sandbox/clock").await.expect(200);
        let now: chrono::DateTime<chrono::Utc> = told["now"].as_str().unwrap().parse().unwrap();
        (now + chrono::TimeDelta::days(days)).to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
    }
}

fn leg(debit: Uuid, credit: Uuid, minor: i64) -> Value {
    json!({"debit": debit, "credit": credit, "amount": minor.to_string(), "asset": "EUR"})
}

#[tokio::test]
async fn holds_are_told_as_they_stand_open_ones_by_what_expires_first() {
    let desk = Desk::open().await;
    let payer = desk.account(json!({"asset": "EUR", "floor": "0"})).await;
    desk.post(leg(desk.source, payer, 1_000)).await;
    let (soon, later) = (desk.now(1).await, desk.now(9).await);
    let never = desk.hold(payer, 10, None).await;
    let late = desk.hold(payer, 20, Some(&later)).await;
    let early = desk.hold(payer, 30, Some(&soon)).await;
    let (captured, voided) = (desk.hold(payer, 40, None).await, desk.hold(payer, 50, None).await);
    desk.end("capture", captured, payer, 15).await;
    desk.end("capture", late, payer, 5).await;
    desk.end("capture", captured, payer, 25).await;
    desk.end("void", voided, payer, 0).await;
    let path = format!("accounts/{payer}/holds");
    assert_eq!(desk.all(&path, &["amount", "status"]).await, ["30 open", "20 open", "10 open"]);
    assert_eq!(desk.all(&format!("{path}?expiring_before={soon}"), &["amount"]).await, [""; 0]);
    assert_eq!(desk.all(&format!("{path}?expiring_before={later}"), &["amount"]).await, ["30"]);
    let all = ["50 ended 0 50 0", "40 ended 40 0 0", "30 open 0 0 30", "20 open 5 0 15", "10 open 0 0 10"];
    let members = ["amount", "status", "captured", "given_back", "remaining"];
    assert_eq!(desk.all(&format!("{path}?state=all"), &members).await, all);

    // Its time is over: so it is told before anybody has written it down, and after.
    desk.pass_days(2).await;
    let expired = "SELECT 1 FROM journal.record WHERE kind = 7";
    for written in [false, true] {
        if written {
            desk.post(leg(payer, desk.shop, 1)).await;
            assert_eq!(rows(&desk.app.db().url(), expired).len(), 1);
        }
        assert_eq!(desk.all(&path, &["amount"]).await, ["20", "10"]);
        assert_eq!(desk.all(&format!("{path}?state=all"), &members).await[2], "30 expired 0 30 0");
        let told = desk.get(&format!("holds/{early}/0")).await;
        assert_eq!((&told["status"], &told["remaining"]["amount"]), (&json!("expired"), &json!("0")));
    }
    let told = desk.get(&format!("holds/{never}/0")).await;
    assert_eq!((&told["debit"], &told["credit"]), (&json!(payer), &json!(desk.shop)));
    assert!(told["expires_at"].is_null() && told["recorded_at"].is_string());
    for missing in [format!("holds/{never}/1"), format!("accounts/{}/holds", fresh_key())] {
        desk.app.api().get(&format!("/v1/ledger/{missing}")).await.expect_problem(404, "not-found");
    }
    let page = desk.get(&format!("{path}?limit=1")).await;
    let stolen = format!("/v1/ledger/{path}?state=all&cursor={}", page["next_cursor"].as_str().unwrap());
    desk.app.api().get(&stolen).await.expect_problem(400, "cursor-invalid");
}

/// While a hold is captured cent by cent, what is captured, given back and left of it always add up, and nothing is given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_is_being_captured_is_told_as_of_one_moment() {
    const CENTS: i64 = 60;
    let desk = Desk::open().await;
    let hold = desk.hold(desk.source, CENTS, None).await;
    let captures = async {
        for _ in 0..CENTS {
            desk.end("capture", hold, desk.source, 1).await;
        }
    };
    let one = format!("holds/{hold}/0");
    let all = format!("accounts/{}/holds?state=all", desk.source);
    let looks = async {
        let mut left = CENTS;
        while left > 0 {
            for told in [desk.get(&one).await, desk.get(&all).await["items"][0].clone()] {
                let part = |name: &str| told[name]["amount"].as_str().unwrap().parse::<i64>().unwrap();
                assert_eq!((part("captured") + part("remaining"), part("given_back")), (CENTS, 0), "{told}");
                left = part("remaining");
            }
        }
    };
    tokio::join!(captures, looks);
}

#[tokio::test]
async fn lots_are_told_in_the_order_they_are_spent_and_expire_by_the_clock() {
    let desk = Desk::open().await;
    let campaign = Uuid::from_u128(u128::MAX - 5);
    let (soon, later, matures) = (desk.now(2).await, desk.now(9).await, desk.now(1).await);
    desk.earn(10, json!({"expires_at": soon})).await;
    desk.earn(20, json!({"expires_at": later, "campaign": campaign, "unit_cost": 7})).await;
    desk.earn(30, json!({})).await;
    desk.earn(40, json!({"activates_at": matures})).await;
    desk.earn(5, json!({"expires_at": later})).await;
    let path = format!("accounts/{}/lots", desk.club);
    let members = ["remaining", "held", "status"];
    assert_eq!(desk.all(&path, &members).await, ["10 0 open", "5 0 open", "20 0 open", "30 0 open", "40 0 pending"]);
    assert_eq!(desk.all(&format!("{path}?campaign={campaign}"), &["remaining", "unit_cost"]).await, ["20 7"]);
    assert_eq!(desk.all(&format!("{path}?expiring_before={later}"), &["remaining"]).await, ["10"]);
    let stands = desk.get(&format!("accounts/{}", desk.club)).await;
    assert_eq!(
        ["balance", "held", "available"].map(|member| &stands[member]),
        ["105", "0", "65"],
        "40 are not to be spent yet"
    );
    // All of the first lot and some of the next are held, until the hold's own time is over.
    desk.hold(desk.club, 12, Some(&desk.now(3).await)).await;
    assert_eq!(desk.all(&path, &members).await[..2], ["10 10 open", "5 2 open"]);
    desk.pass_days(2).await;
    let due = "SELECT 1 FROM journal.record WHERE kind = 7";
    assert_eq!(desk.all(&path, &members).await[..2], ["10 10 open", "5 2 open"], "what is held lives on");
    desk.pass_days(1).await;
    let told = ["5 0 open", "20 0 open", "30 0 open", "40 0 open"];
    assert_eq!(desk.all(&path, &members).await, told, "given back by time, it expires with its lot");
    let all = desk.all(&format!("{path}?state=all"), &members).await;
    assert_eq!(all[0], "0 0 ended");
    // Written down, it reads the same.
    desk.post(leg(desk.club, desk.shop, 1)).await;
    assert!(!rows(&desk.app.db().url(), due).is_empty());
    assert_eq!(desk.all(&path, &members).await, ["4 0 open", "20 0 open", "30 0 open", "40 0 open"]);
    let sum = desk.get(&format!("accounts/{}", desk.club)).await;
    assert_eq!(sum["balance"], "94");
    assert_eq!(desk.all(&format!("accounts/{}/lots", desk.shop), &members).await, [""; 0], "an account without lots");
    desk.app.api().get(&format!("/v1/ledger/accounts/{}/lots", fresh_key())).await.expect_problem(404, "not-found");
}
