//! Levels' limits from outside: what each level may hold and pay, who decides it and in what order, and what is told of it.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tessera_tests::{Api, Member, Reply, Run as _, TestApp, World, eur, fresh_key, rows, run_sql, staff, tessera};
use uuid::Uuid;
use wallet_api::platform::clock::Clock;
use wallet_api::platform::keyring::Scope;

/// A tenant with the law's limits, and a merchant to pay.
struct Town {
    app: TestApp,
    shop: Uuid,
}

impl Town {
    async fn start() -> Self {
        let town = Self::lawless().await;
        town.publish(&json!({})).await.expect(200);
        town
    }

    /// The same before any table.
    async fn lawless() -> Self {
        let app = TestApp::start();
        let shop = app.world.merchant("emporio").await;
        Self { app, shop }
    }

    fn world(&self) -> &World {
        &self.app.world
    }

    fn api(&self) -> Api {
        self.app.api()
    }

    async fn publish(&self, body: &Value) -> Reply {
        let asked = self.api().post("/v1/limit-tables", body).await;
        if asked.status != 202 {
            return asked;
        }
        let path = format!("/v1/approvals/{}/approve", asked.json()["approval"].as_str().unwrap());
        staff::colleague(&self.app, &[Scope::Admin]).post(&path, &Value::Null).await
    }

    /// Somebody of this level, with so much in the wallet.
    async fn member(&self, reference: &str, level: &str, minor: i64) -> Member {
        let member = self.world().member(reference).await;
        self.set(&member, level).await;
        if minor > 0 {
            self.world().top_up(member.id, minor).await;
        }
        member
    }

    async fn set(&self, member: &Member, level: &str) -> Value {
        let path = format!("/v1/customers/{}/level", member.id);
        self.api().post(&path, &json!({"level": level})).await.expect(200)
    }

    fn payment(&self, customer: Uuid, minor: i64) -> Value {
        json!({"customer": customer, "merchant": self.shop, "amount": eur(minor), "instrument": {"kind": "wallet"}})
    }

    async fn pay(&self, customer: Uuid, minor: i64) -> Reply {
        self.api().post("/v1/payments", &self.payment(customer, minor)).await
    }

    async fn top_up(&self, customer: Uuid, minor: i64) -> Reply {
        let body = json!({"customer": customer, "amount": eur(minor), "rail": "card"});
        self.api().post("/v1/top-ups", &body).await
    }

    async fn advance(&self, seconds: i64) {
        self.api().post("/v1/sandbox/clock/advance", &json!({"seconds": seconds})).await.expect(201);
    }

    async fn available(&self, customer: Uuid) -> i64 {
        self.world().balance(customer, "available").await
    }
}

/// What a person reads of one of their limits: most, used, left.
async fn standing(member: &Member, limit: &str) -> [Option<i64>; 3] {
    let told = member.api.get("/v1/me/limits").await.expect(200);
    let one = told["limits"].as_array().unwrap().iter().find(|one| one["limit"] == limit);
    let one = one.unwrap_or_else(|| panic!("no {limit} in {told}"));
    ["most", "used", "left"].map(|name| one[name]["amount"].as_str().map(|minor| minor.parse().unwrap()))
}

#[tokio::test]
async fn without_a_table_nobody_is_limited_and_with_one_only_people_are() {
    let town = Town::lawless().await;
    let (anna, machine) = (town.world().member("anna").await, town.world().customer("machine").await);
    town.world().top_up(anna.id, 1_000_000).await;
    town.pay(anna.id, 100_000).await.expect(201);
    let told = anna.api.get("/v1/me/limits").await.expect(200);
    assert_eq!(told, json!({"level": "T0", "limits": []}));
    town.publish(&json!({})).await.expect(200);
    town.pay(anna.id, 5_001).await.expect_problem(422, "limit-payment");
    town.world().top_up(machine, 1_000_000).await;
    town.pay(machine, 500_000).await.expect(201);
    town.world().assert_whole();
}

/// Directive (EU) 2015/849, Art. 12: 150 EUR stored, 50 a payment, 150 a month; each refused whole, each with what is left.
#[tokio::test]
async fn t1_may_hold_150_pay_50_at_once_and_150_a_month() {
    let town = Town::start().await;
    let anna = town.member("anna", "T1", 15_000).await;
    let full = town.top_up(anna.id, 1).await.expect_problem(422, "limit-stored");
    assert_eq!((&full["limit"], &full["level"]), (&json!("stored"), &json!("T1")));
    assert_eq!((&full["most"], &full["left"], &full["remedy"]), (&eur(15_000), &eur(0), &json!("raise-level")));
    let large = town.pay(anna.id, 5_001).await.expect_problem(422, "limit-payment");
    assert_eq!((&large["most"], &large["left"]), (&eur(5_000), &eur(5_000)));
    for _ in 0..2 {
        town.pay(anna.id, 5_000).await.expect(201);
    }
    town.pay(anna.id, 4_000).await.expect(201);
    town.world().top_up(anna.id, 10_000).await;
    let key = fresh_key();
    let month = town.api().post_as(key, "/v1/payments", &town.payment(anna.id, 1_001)).await;
    let bytes = month.bytes.clone();
    let month = month.expect_problem(422, "limit-month");
    assert_eq!((&month["most"], &month["left"]), (&eur(15_000), &eur(1_000)));
    assert!(month["until"].as_str().unwrap().ends_with(":00:00Z"), "{month}");
    assert_eq!(standing(&anna, "month").await, [Some(15_000), Some(14_000), Some(1_000)]);
    assert_eq!(standing(&anna, "stored").await, [Some(15_000), Some(11_000), Some(4_000)]);
    assert_eq!(standing(&anna, "payment").await, [Some(5_000), None, Some(5_000)]);
    assert_eq!(standing(&anna, "day").await, [None, Some(14_000), None]);
    // What is left of it changes; what was said does not.
    town.pay(anna.id, 1_000).await.expect(201);
    let again = town.api().post_as(key, "/v1/payments", &town.payment(anna.id, 1_001)).await;
    assert_eq!(again.bytes, bytes, "the same request reads the same for ever");
    let italian = town.api().in_lang("it").post("/v1/payments", &town.payment(anna.id, 1)).await;
    let italian = italian.expect_problem(422, "limit-month");
    assert!(italian["detail"].as_str().unwrap().contains("alza il tuo livello"), "{italian}");
    assert_eq!(town.available(anna.id).await, 10_000);
    town.world().assert_whole();
}

#[tokio::test]
async fn t2_may_hold_10000_and_pay_5000_a_day_and_t3_what_its_contract_says() {
    let town = Town::start().await;
    let anna = town.member("anna", "T2", 1_000_000).await;
    town.top_up(anna.id, 1).await.expect_problem(422, "limit-stored");
    town.pay(anna.id, 500_001).await.expect_problem(422, "limit-day");
    town.pay(anna.id, 300_000).await.expect(201);
    let day = town.pay(anna.id, 200_001).await.expect_problem(422, "limit-day");
    assert_eq!((&day["most"], &day["left"]), (&eur(500_000), &eur(200_000)));
    town.pay(anna.id, 200_000).await.expect(201);
    // Another day.
    town.advance(86_400).await;
    assert_eq!(standing(&anna, "day").await, [Some(500_000), Some(0), Some(500_000)]);
    town.pay(anna.id, 400_000).await.expect(201);
    town.set(&anna, "T3").await;
    town.world().top_up(anna.id, 2_000_000).await;
    town.pay(anna.id, 1_500_000).await.expect(201);
    town.world().assert_whole();
}

/// What was paid at a higher level counts at the lower one, and what is there may leave and not come.
#[tokio::test]
async fn a_level_that_is_lowered_finds_what_was_paid_and_what_is_there() {
    let town = Town::start().await;
    let anna = town.member("anna", "T2", 50_000).await;
    town.pay(anna.id, 14_000).await.expect(201);
    let lowered = town.set(&anna, "T1").await;
    assert!(lowered["seq"].as_i64().unwrap() > 0);
    town.top_up(anna.id, 1).await.expect_problem(422, "limit-stored");
    town.pay(anna.id, 1_001).await.expect_problem(422, "limit-month");
    town.pay(anna.id, 1_000).await.expect(201);
    assert_eq!(standing(&anna, "stored").await, [Some(15_000), Some(35_000), Some(0)]);
    town.set(&anna, "T2").await;
    town.pay(anna.id, 34_000).await.expect(201);
    town.set(&anna, "T1").await;
    assert_eq!(standing(&anna, "month").await, [Some(15_000), Some(49_000), Some(0)]);
    town.top_up(anna.id, 14_001).await.expect_problem(422, "limit-stored");
    town.top_up(anna.id, 14_000).await.expect(201);
    let log = town.api().get(&format!("/v1/audit?subject={}", anna.id)).await.expect(200);
    let changes: Vec<_> = log["items"].as_array().unwrap().iter().map(|one| &one["detail"]).collect();
    assert_eq!(changes.last(), Some(&&json!({"from": "T0", "to": "T2"})), "{log}");
    assert_eq!(changes.len(), 4, "{log}");
    town.world().assert_whole();
}

#[tokio::test]
async fn of_payments_at_once_as_many_pass_as_the_month_has_room_for() {
    let town = Town::start().await;
    let anna = town.member("anna", "T1", 15_000).await;
    let replies = join_all((0..20).map(|_| town.pay(anna.id, 1_000))).await;
    let passed = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(passed, 15, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
    let replies = join_all((0..10).map(|_| town.top_up(anna.id, 4_000))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 3);
    assert_eq!(town.available(anna.id).await, 12_000);
    town.world().assert_whole();
}

/// T49: the level is lowered and raised while payments are made; each is judged by the level in force at its place in the books.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t49_a_level_changed_while_payments_are_made_counts_from_its_place_in_the_books() {
    let town = Town::start().await;
    let anna = town.member("anna", "T2", 900_000).await;
    let six = || join_all((0..6).map(|_| town.pay(anna.id, 6_000)));
    let before = six().await;
    let pays = async {
        let mut told = Vec::new();
        for _ in 0..11 {
            told.extend(six().await);
        }
        told
    };
    let turns = async {
        let mut places = vec![(0, "T2")];
        for level in ["T1", "T2", "T0", "T2", "T1", "T2", "T0"] {
            let seq = town.set(&anna, level).await["seq"].as_i64().unwrap();
            places.push((seq, level));
        }
        places
    };
    let (told, places) = tokio::join!(pays, turns);
    let in_force = |seq: i64| places.iter().rfind(|(from, _)| *from < seq).unwrap().1;
    let (mut passed, mut refused) = (0, 0);
    for reply in before.into_iter().chain(told).chain(six().await) {
        let (status, body) = (reply.status, reply.json());
        let Some(seq) = body["seq"].as_i64() else {
            assert_eq!(body["code"], "too-many-refusals", "{body}");
            continue;
        };
        match status {
            201 => {
                passed += 1;
                assert_eq!(in_force(seq), "T2", "60 EUR passed at {seq}: {places:?}");
            }
            _ => {
                refused += 1;
                assert!(matches!(body["code"].as_str(), Some("limit-payment")), "{body}");
                assert_ne!(in_force(seq), "T2", "60 EUR were refused at {seq}: {places:?}");
                assert_eq!(body["level"], in_force(seq), "{body}");
            }
        }
    }
    assert!(passed > 0 && refused > 0, "{passed} passed, {refused} were refused: nothing raced");
    assert_eq!(standing(&anna, "month").await[1], Some(passed * 6_000));
    town.world().assert_whole();
}

/// What is set aside counts until it is captured or given back; of a refund, what it refunds may be paid again in its month.
#[tokio::test]
async fn what_is_authorised_counts_and_what_is_given_back_or_refunded_does_not() {
    let town = Town::start().await;
    let anna = town.member("anna", "T1", 15_000).await;
    let mut hold = town.payment(anna.id, 5_000);
    hold["capture"] = json!("manual");
    let held = town.api().post("/v1/payments", &hold).await.expect(201);
    let path = format!("/v1/payments/{}", held["id"].as_str().unwrap());
    assert_eq!(standing(&anna, "month").await[1], Some(5_000));
    let part = json!({"amount": eur(2_000), "final": true});
    let captured = town.api().post(&format!("{path}/capture"), &part).await.expect(201);
    assert_eq!(captured["released"], eur(3_000));
    assert_eq!(standing(&anna, "month").await[1], Some(2_000));
    let read = town.api().get(&path).await.expect(200);
    assert_eq!((&read["status"], &read["captured"]), (&json!("captured"), &eur(2_000)));
    assert_eq!(read["captures"].as_array().unwrap().len(), 1);
    town.api().post(&format!("{path}/refund"), &json!({"amount": eur(500)})).await.expect(201);
    assert_eq!(standing(&anna, "month").await[1], Some(1_500));
    let read = town.api().get(&path).await.expect(200);
    assert_eq!(read["refunds"].as_array().unwrap().len(), 1, "{read}");

    let held = town.api().post("/v1/payments", &hold).await.expect(201);
    let void = format!("/v1/payments/{}/void", held["id"].as_str().unwrap());
    town.api().post(&void, &Value::Null).await.expect(201);
    hold["amount"] = eur(5_001);
    town.api().post("/v1/payments", &hold).await.expect_problem(422, "limit-payment");
    assert_eq!(standing(&anna, "month").await[1], Some(1_500));

    // What time ends counts no more either.
    let soon = Clock::System.now() + chrono::TimeDelta::seconds(60);
    let mut hold = town.payment(anna.id, 1_000);
    (hold["capture"], hold["expires_at"]) = (json!("manual"), json!(soon));
    town.api().post("/v1/payments", &hold).await.expect(201);
    assert_eq!(standing(&anna, "day").await[1], Some(2_500));
    town.advance(120).await;
    assert!(standing(&anna, "day").await[1].unwrap() <= 1_500);
    town.world().assert_whole();
}

/// JOURNAL 9: a refund gives back only to the month it was paid in.
#[tokio::test]
async fn a_refund_of_last_month_leaves_this_month_as_it_is() {
    let town = Town::start().await;
    let anna = town.member("anna", "T1", 15_000).await;
    let paid = town.pay(anna.id, 5_000).await.expect(201);
    town.advance(32 * 86_400).await;
    assert_eq!(standing(&anna, "month").await, [Some(15_000), Some(0), Some(15_000)]);
    town.pay(anna.id, 5_000).await.expect(201);
    let refund = format!("/v1/payments/{}/refund", paid["id"].as_str().unwrap());
    town.api().post(&refund, &json!({})).await.expect(201);
    assert_eq!(standing(&anna, "month").await[1], Some(5_000));
    town.world().assert_whole();
}

/// A law that comes into force does so by its date: nothing is released for it, and nobody is asked.
#[tokio::test]
async fn a_table_follows_another_by_its_date() {
    let town = Town::start().await;
    let anna = town.member("anna", "T0", 15_000).await;
    let now = Clock::System.now();
    let none = json!({"stored_minor": 0, "payment_minor": 0, "day_minor": 0, "month_minor": 0});
    let levels = json!({"T0": none, "T1": none, "T2": {"stored_minor": 500_000}, "T3": {}});
    let table = json!({"valid_from": now + chrono::TimeDelta::hours(1), "levels": levels});
    town.publish(&table).await.expect(200);
    town.publish(&table).await.expect_problem(409, "limits-taken");
    let past = json!({"valid_from": now - chrono::TimeDelta::hours(1)});
    town.publish(&past).await.expect_problem(422, "limits-in-the-past");
    let mut wrong = table.clone();
    wrong["levels"]["T2"]["stored_minor"] = json!(-1);
    town.publish(&wrong).await.expect_problem(422, "limits-impossible");
    town.pay(anna.id, 5_000).await.expect(201);
    town.advance(3_600).await;
    town.pay(anna.id, 1).await.expect_problem(422, "limit-payment");
    town.top_up(anna.id, 1).await.expect_problem(422, "limit-stored");
    // Whoever proves who they are goes on.
    town.set(&anna, "T2").await;
    town.pay(anna.id, 9_999).await.expect(201);
    let tables = town.api().get("/v1/limit-tables").await.expect(200);
    assert_eq!(tables.as_array().unwrap().len(), 2);
    assert_eq!(tables[1]["levels"], levels);
    town.world().assert_whole();
}

/// Somebody died between writing a version down and telling the journal of it: the next payment gives it up for good.
#[tokio::test]
async fn limits_that_were_written_down_and_not_told_never_come_late() {
    let town = Town::start().await;
    let anna = town.member("anna", "T1", 15_000).await;
    let stray = |version: i32, level: i32| {
        let insert = format!(
            "INSERT INTO person_limit (tenant, person, version, level, table_from, made_at) SELECT tenant, person, {version}, \
             {level}, table_from, now() FROM person_limit WHERE person = '{}' AND version = 1",
            anna.id
        );
        run_sql(&town.app.db().super_url(), &insert);
    };
    stray(2, 3);
    stray(3, 2);
    town.pay(anna.id, 5_001).await.expect_problem(422, "limit-payment");
    let versions = format!(
        "SELECT version, level, is_set, seq IS NOT NULL AS known FROM person_limit WHERE person = '{}' ORDER BY version",
        anna.id
    );
    let versions = rows(&town.app.db().super_url(), &versions);
    let told: Vec<Vec<&str>> = versions.iter().map(|row| row.iter().flatten().map(String::as_str).collect()).collect();
    let expected: [&[&str]; 4] = [
        &["1", "1", "true", "true"],
        &["2", "3", "false", "true"],
        &["3", "2", "false", "true"],
        &["4", "1", "true", "true"],
    ];
    assert_eq!(told, expected);
    town.world().assert_whole();
}

#[tokio::test]
async fn a_level_is_set_of_people_by_who_may_and_to_one_there_is() {
    let town = Town::start().await;
    let (anna, machine) = (town.world().member("anna").await, town.world().customer("machine").await);
    let level = json!({"level": "T2"});
    let path = |id: Uuid| format!("/v1/customers/{id}/level");
    town.api().post(&path(machine), &level).await.expect_problem(404, "person-unknown");
    town.api().post(&path(anna.id), &json!({"level": "T4"})).await.expect_problem(422, "body-invalid");
    anna.api.post(&path(anna.id), &level).await.expect_problem(403, "scope-missing");
    town.api().get("/v1/me/limits").await.expect_problem(403, "scope-missing");
    town.api().post(&path(anna.id), &level).await.expect(200);
    assert_eq!(anna.api.get("/v1/me/limits").await.expect(200)["level"], "T2");
}

/// The law by date: a month that was made under one table, judged by another. Nothing is written.
#[tokio::test]
async fn a_report_tells_which_payments_of_a_month_another_table_would_have_refused() {
    let town = Town::lawless().await;
    let (anna, machine) = (town.world().member("anna").await, town.world().customer("machine").await);
    let mut told = Vec::new();
    for customer in [anna.id, machine] {
        town.world().top_up(customer, 100_000).await;
        for minor in [5_000, 5_001, 5_000, 4_000, 1_500, 1_000] {
            told.push(town.pay(customer, minor).await.expect(201));
        }
    }
    let month = Clock::System.now().with_timezone(&chrono_tz::Europe::Rome).format("%Y-%m").to_string();
    let url = town.app.db().url();
    let report = |under: &str| {
        let words = ["report", "limits", "--tenant", "acme", "--month", &month, "--under", under, "--json"];
        tessera(&words).env("DATABASE_URL", &url).run()
    };
    let found = report("law").json();
    assert!(!report("2027-07-10T00:00:00Z").status.success(), "no such table");
    assert_eq!((&found["payments"], &found["refused"], &found["people"]), (&json!(6), &json!(2), &json!(1)));
    assert_eq!(found["by_limit"], json!({"month": 1, "payment": 1}));
    let refused = |at: usize| &found["refusals"][at];
    assert_eq!((&refused(0)["payment"], &refused(0)["over_minor"]), (&told[1]["id"], &json!(1)));
    assert_eq!((&refused(1)["payment"], &refused(1)["left_minor"]), (&told[4]["id"], &json!(1_000)));
    assert_eq!(refused(1)["level"], "T0");
}
