//! Roles over HTTP: each role at each route of the document, what is another shop's, who looks and who is told, and whose
//! eyes two pairs are. The threats' numbers are those of `docs/threats.md`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use diesel::{Connection, PgConnection};
use hyper::Method;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tessera_tests::staff::{grant, invite, role, sign_up};
use tessera_tests::{Api, Reply, Rewards, Staff, TestApp, World, eur, eventually_async, fresh_key};
use uuid::Uuid;
use wallet_api::identity::devices::{self, BoundBy, NewDevice};
use wallet_api::identity::people;
use wallet_api::identity::sessions::{self, Held};
use wallet_api::platform::chart::Purpose;
use wallet_api::platform::clock::Clock;
use wallet_api::platform::ids::Ids;
use wallet_api::platform::keyring::{Role, Scope};
use wallet_api::platform::text::Lang;

use crate::tidy::example;

/// An id of nobody and nothing.
const NOBODY: &str = "00000000-0000-8000-8000-000000000001";
const DOC: &str = "docs/roles.md";
const BEGIN: &str = "<!-- written by UPDATE_DOCS=1 cargo test -p tessera-tests roles -->\n";

struct Operation {
    method: Method,
    /// As the document has it.
    path: String,
    scope: Option<Scope>,
    /// Whether those may try whose role is bound to a merchant.
    keeps_within: bool,
    body: Option<Value>,
    /// The members that its body may have.
    members: BTreeSet<String>,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    async fn call(&self, api: &Api, body: Option<&Value>) -> Reply {
        let key = fresh_key().to_string();
        let path = self.path.replace("{sequence}", "1").replace("{id}", NOBODY).replace("{key}", NOBODY);
        let path = path.replace("{seq}", "1").replace("{leg}", "0").replace("{size}", "1").replace("{name}", "x");
        let mut headers = vec![("idempotency-key", key.as_str())];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let bytes = body.map(Value::to_string).unwrap_or_default();
        api.send(self.method.clone(), &path, &headers, Bytes::from(bytes)).await.unwrap()
    }
}

fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(wallet_api::app::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let of = match schema["$ref"].as_str() {
                Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
                None => schema,
            };
            let members = of["properties"].as_object().map(|members| members.keys().cloned().collect());
            let alternatives = operation["security"].as_array().unwrap();
            let scope = operation["security"][0]["key"][0].as_str().map(|word| word.parse().unwrap());
            all.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                scope,
                keeps_within: alternatives.iter().any(|one| one.get("bound").is_some()),
                body: (!schema.is_null()).then(|| example(&document, schema)),
                members: members.unwrap_or_default(),
            });
        }
    }
    all
}

/// What somebody finds at a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Door {
    Open,
    Own,
    Shut,
}

/// By the one table of roles; none is the consumer.
fn door(role: Option<Role>, operation: &Operation) -> Door {
    let Some(scope) = operation.scope else { return Door::Open };
    let Some(role) = role else {
        return if [Scope::Me, Scope::MeMoney].contains(&scope) { Door::Own } else { Door::Shut };
    };
    match (scope == Scope::Staff, role.scopes().contains(&scope), role.is_bound()) {
        (true, ..) => Door::Open,
        (_, true, false) => Door::Open,
        (_, true, true) if operation.keeps_within => Door::Own,
        // Whoever may break the glass comes in where an emergency may lead; without one, nothing is found there.
        _ => Door::Shut,
    }
}

fn table() -> String {
    let mut text = String::from("| Route | scope | consumer |");
    Role::ALL.iter().for_each(|role| write!(text, " {} |", role.word()).unwrap());
    text.push_str("\n|---|---|---|");
    Role::ALL.iter().for_each(|_| text.push_str("---|"));
    for operation in operations().iter().filter(|operation| operation.scope.is_some()) {
        let scope = operation.scope.unwrap().word();
        write!(text, "\n| `{}` | `{scope}` |", operation.name()).unwrap();
        for role in std::iter::once(None).chain(Role::ALL.map(Some)) {
            let cell = match door(role, operation) {
                Door::Open => "yes",
                Door::Own => "own",
                Door::Shut => "",
            };
            write!(text, " {cell} |").unwrap();
        }
    }
    text + "\n"
}

/// `UPDATE_DOCS=1` writes it anew.
#[test]
fn t39_the_page_of_roles_is_the_table_in_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(DOC);
    let stored = fs::read_to_string(&path).unwrap();
    let (head, rest) = stored.split_once(BEGIN).expect("the page says where the table begins");
    let written = format!("{head}{BEGIN}{}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &written).unwrap();
        return;
    }
    assert!(rest == table(), "{DOC} is old: run UPDATE_DOCS=1 cargo test -p tessera-tests roles");
}

/// A session of a customer at a browser.
fn consumer(world: &World, customer: Uuid) -> Api {
    let (mut conn, ids, now) = (PgConnection::establish(&world.url).unwrap(), Ids::system(), Clock::System.now());
    people::ensure(&mut conn, now, world.tenant, customer, Lang::En).unwrap();
    let new = NewDevice { person: customer, key: None, bound_by: BoundBy::SignUp };
    let device = devices::bind(&mut conn, &ids, now, world.tenant, &new).unwrap().unwrap();
    let pair = sessions::open(&mut conn, &ids, now, world.tenant, (customer, device), Held::Page).unwrap();
    world.api.with_key(pair.access.token.reveal())
}

/// T39: generated from the document, so that a route nobody thought of is tried too.
#[tokio::test]
async fn t39_each_role_passes_the_doors_that_the_table_opens_and_no_other() {
    let app = TestApp::start();
    let (shop, customer) = (app.world.merchant("a").await, app.world.customer("anna").await);
    let mut who = vec![(None, consumer(&app.world, customer))];
    for one in Role::ALL {
        let merchant = one.is_bound().then_some(shop);
        who.push((Some(one), Staff::with(&app, &[role(one, merchant)]).await.api));
    }
    let operations = operations();
    assert!(operations.len() >= 80, "{}", operations.len());
    let ends_who_asks =
        |operation: &Operation| ["/v1/me/erasure", "/v1/staff/session"].contains(&operation.path.as_str());
    for (role, api) in &who {
        let mut tried: Vec<_> = operations.iter().filter(|one| one.scope.is_some()).collect();
        // Last of all that which leaves them no session to try with.
        tried.sort_by_key(|one| ends_who_asks(one) && door(*role, one) != Door::Shut);
        for operation in tried {
            let reply = operation.call(api, operation.body.as_ref()).await;
            let at = format!("{role:?} at {}: {} {}", operation.name(), reply.status, reply.json());
            // This node has no mail server, which whoever passed the door is told.
            let is_unset = reply.code() == "mail-not-set";
            assert!(reply.status != 401 && (reply.status < 500 || is_unset), "{at}");
            let is_refused =
                ["role-missing", "scope-missing", "people-only", "operators-only"].contains(&reply.code().as_str());
            match door(*role, operation) {
                Door::Shut => assert!(reply.status == 403 && is_refused, "{at}"),
                Door::Open | Door::Own => assert!(!is_refused, "{at}"),
            }
        }
    }
}

/// T38: whatever only the house may say is a member that no body has.
#[tokio::test]
async fn t38_no_body_takes_what_only_the_house_may_say() {
    const SAID: [&str; 10] =
        ["tenant_id", "role", "roles", "scopes", "status", "tier", "level", "balance", "created_by", "operator"];
    let app = TestApp::start();
    let customer = app.world.customer("anna").await;
    let (person, admin) = (consumer(&app.world, customer), Staff::with(&app, &[role(Role::Admin, None)]).await.api);
    let mut tried = 0;
    for operation in operations() {
        let Some(Value::Object(body)) = &operation.body else { continue };
        let api = match operation.scope {
            Some(Scope::Me | Scope::MeMoney) => person.clone(),
            Some(Scope::Staff | Scope::BreakGlass) => admin.clone(),
            _ => app.api(),
        };
        for name in SAID.iter().filter(|name| !operation.members.contains(**name)) {
            let mut body = body.clone();
            body.insert((*name).to_owned(), json!("admin"));
            let reply = operation.call(&api, Some(&Value::Object(body))).await;
            let problem = reply.json();
            let at = format!("{} with {name}: {} {problem}", operation.name(), reply.status);
            assert_eq!((reply.status, reply.code().as_str()), (422, "body-invalid"), "{at}");
            let told = problem["errors"].as_array().unwrap();
            let is_named = |error: &Value| error["code"] == "unknown" && error["pointer"] == format!("/{name}");
            // A body that is one of several things names none of its members.
            let is_whole = |error: &Value| error["pointer"] == "";
            assert!(told.iter().any(|error| is_named(error) || is_whole(error)), "{at}");
            tried += 1;
        }
    }
    assert!(tried >= 150, "{tried}");
}

/// Two shops, a customer of each, and what they paid.
struct Town {
    app: TestApp,
    shops: [Uuid; 2],
    customers: [Uuid; 2],
    payments: [String; 2],
}

impl Town {
    async fn new() -> Self {
        let app = TestApp::start();
        let one = app.world.shop("a", Rewards::PLENTY).await.merchant;
        let shops = [one, app.world.merchant("b").await];
        let customers = [app.world.customer("anna").await, app.world.customer("bruno").await];
        let mut payments = Vec::new();
        for (customer, merchant) in customers.iter().zip(shops) {
            app.world.top_up(*customer, 10_000).await;
            let wish = json!({"customer": customer, "merchant": merchant, "amount": eur(1_000),
                "instrument": {"kind": "wallet"}});
            let paid = app.api().post("/v1/payments", &wish).await.expect(201);
            payments.push(paid["id"].as_str().unwrap().to_owned());
        }
        let [first, second]: [String; 2] = payments.try_into().unwrap();
        let town = Self { app, shops, customers, payments: [first, second] };
        for customer in town.customers {
            let api = town.app.api();
            let counted = async || {
                let card = api.get(&format!("/v1/customers/{customer}/card")).await.expect(200);
                (card["payments"] == 1).then_some(())
            };
            eventually_async("the cards have the payments", Duration::from_secs(10), counted).await;
        }
        town
    }

    async fn staff(&self, one: Role, shop: usize) -> Staff {
        Staff::with(&self.app, &[role(one, Some(self.shops[shop]))]).await
    }
}

/// The same answer for what is another's and for what is not there: status, and bytes.
async fn same(api: &Api, (method, foreign, guessed): (Method, String, String), body: &Value) {
    let bytes = if body.is_null() { String::new() } else { body.to_string() };
    let mut replies = Vec::new();
    for path in [&foreign, &guessed] {
        let key = fresh_key().to_string();
        let headers = [("idempotency-key", key.as_str()), ("content-type", "application/json")];
        replies.push(api.send(method.clone(), path, &headers, Bytes::from(bytes.clone())).await.unwrap());
    }
    assert_eq!(replies[0].status, 404, "{foreign}: {}", replies[0].json());
    assert_eq!((replies[0].status, &replies[0].bytes), (replies[1].status, &replies[1].bytes), "{foreign}");
}

#[tokio::test]
async fn t37_what_is_another_shops_is_not_there_and_its_answer_reads_like_nothings() {
    let town = Town::new().await;
    let (shop, world) = (town.staff(Role::Merchant, 0).await.api, &town.app.world);
    let ([anna, bruno], [own, foreign]) = (town.customers, &town.payments);
    // What is theirs is there.
    for path in [
        format!("/v1/customers/{anna}/card"),
        format!("/v1/customers/{anna}/balances"),
        format!("/v1/customers/{anna}/statement"),
        format!("/v1/payments/{own}"),
        format!("/v1/payments/{own}/explanation"),
        format!("/v1/merchants/{}", town.shops[0]),
    ] {
        shop.get(&path).await.expect(200);
    }
    let get = |foreign: String, guessed: String| (Method::GET, foreign, guessed);
    for what in ["card", "balances", "statement"] {
        let of = |id: &dyn std::fmt::Display| format!("/v1/customers/{id}/{what}");
        same(&shop, get(of(&bruno), of(&NOBODY)), &Value::Null).await;
    }
    for what in ["", "/explanation"] {
        let of = |id: &str| format!("/v1/payments/{id}{what}");
        same(&shop, get(of(foreign), of(NOBODY)), &Value::Null).await;
    }
    let of = |id: &dyn std::fmt::Display| format!("/v1/merchants/{id}");
    same(&shop, get(of(&town.shops[1]), of(&NOBODY)), &Value::Null).await;
    let before = world.balances(bruno).await;
    for what in ["refund", "capture", "void"] {
        let of = |id: &str| format!("/v1/payments/{id}/{what}");
        same(&shop, (Method::POST, of(foreign), of(NOBODY)), &json!({})).await;
    }
    assert_eq!(world.balances(bruno).await, before, "nothing moved");
    shop.post(&format!("/v1/payments/{own}/refund"), &json!({"amount": eur(100)})).await.expect(201);
    // Another tenant's, by whoever may most there.
    let other = World::new(&town.app.db().url(), &town.app.authority(), "other");
    let roles = [role(Role::Finance, None), role(Role::Admin, None)];
    let stranger = Staff::of(&other, &town.app.vault(), "other", &roles).await.api;
    for path in [format!("/v1/payments/{own}"), format!("/v1/customers/{anna}/balances"), of(&town.shops[0])] {
        let guessed = path.replace(own, NOBODY).replace(&anna.to_string(), NOBODY);
        let guessed = guessed.replace(&town.shops[0].to_string(), NOBODY);
        same(&stranger, get(path, guessed), &Value::Null).await;
    }
    world.assert_whole();
}

async fn looks(api: &Api) -> Vec<Value> {
    api.get("/v1/me/looks").await.expect(200)["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn t40_staff_sees_its_shops_customers_and_every_look_is_told_to_whom_it_was_at() {
    let town = Town::new().await;
    let [anna, bruno] = town.customers;
    let clerk = town.staff(Role::ShopStaff, 0).await;
    let (hers, his) = (consumer(&town.app.world, anna), consumer(&town.app.world, bruno));
    clerk.api.get(&format!("/v1/customers/{anna}/card")).await.expect(200);
    clerk.api.get(&format!("/v1/payments/{}", town.payments[0])).await.expect(200);
    clerk.api.get(&format!("/v1/customers/{bruno}/card")).await.expect_problem(404, "customer-unknown");
    // Machines' looks are the company's systems' own.
    town.app.api().get(&format!("/v1/customers/{anna}/card")).await.expect(200);
    let told = looks(&hers).await;
    let what: Vec<_> = told.iter().map(|look| look["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["payment", "card"], "{told:?}");
    let look = &told[0];
    assert_eq!((&look["operator"], &look["roles"]), (&json!(clerk.id), &json!(["shop-staff"])), "{look}");
    assert_eq!((&look["emergency"], &look["outcome"]), (&json!(false), &json!("done")), "{look}");
    let told = looks(&his).await;
    assert_eq!((told.len(), &told[0]["outcome"]), (1, &json!("refused")), "the try is told too: {told:?}");
    // In an emergency.
    let card = format!("/v1/customers/{bruno}/card");
    let admin = Staff::with(&town.app, &[role(Role::Admin, None)]).await;
    admin.api.get(&card).await.expect_problem(403, "role-missing");
    let wish = json!({"customer": bruno, "reason": "He reports a payment that he does not know"});
    clerk.api.post("/v1/break-glass", &wish).await.expect_problem(403, "role-missing");
    admin.api.post("/v1/break-glass", &json!({"customer": bruno, "reason": "because"})).await.expect(422);
    let unknown = json!({"customer": NOBODY, "reason": wish["reason"]});
    admin.api.post("/v1/break-glass", &unknown).await.expect_problem(404, "customer-unknown");
    admin.api.post("/v1/break-glass", &wish).await.expect(201);
    let open = async || (admin.api.get(&card).await.status == 200).then_some(());
    eventually_async("the glass is broken on every node", Duration::from_secs(5), open).await;
    admin.api.get(&format!("/v1/payments/{}", town.payments[1])).await.expect(200);
    admin.api.get(&format!("/v1/customers/{anna}/card")).await.expect_problem(404, "customer-unknown");
    admin.api.post(&format!("/v1/payments/{}/refund", town.payments[1]), &json!({})).await.expect(403);
    let told = looks(&his).await;
    let acts: Vec<_> = told.iter().map(|look| look["act"].as_str().unwrap()).collect();
    assert!(acts.ends_with(&["customer.looked_at", "glass.broken", "customer.looked_at"]), "{told:?}");
    let (looked, opened) = (&told[0], &told[told.len() - 2]);
    assert_eq!((&looked["emergency"], &looked["roles"]), (&json!(true), &json!(["admin"])), "{looked}");
    assert_eq!((&opened["operator"], &opened["reason"]), (&json!(admin.id), &wish["reason"]), "{opened}");
    // Their page says it too, in their language, and so does the copy they take out.
    for (lang, words) in [
        ("en", ["administration", "Your card: what you paid", "In an emergency."]),
        ("it", ["amministrazione", "La tua tessera", "In emergenza."]),
    ] {
        let cookie = format!("__Host-tessera-acme={}; __Host-tessera-lang={lang}", his.key);
        let page =
            his.with_key("").send(Method::GET, "/my/acme/looks", &[("cookie", &cookie)], "".into()).await.unwrap();
        let text = String::from_utf8(page.bytes.to_vec()).unwrap();
        for word in words.into_iter().chain(wish["reason"].as_str()) {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
    let export = his.post("/v1/me/export", &Value::Null).await;
    let export = String::from_utf8(export.bytes.to_vec()).unwrap();
    let acts: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let opened = acts.iter().find(|act| act["action"] == "glass.broken").unwrap();
    assert_eq!(opened["reason"], wish["reason"], "{opened}");
    let looked = acts.iter().find(|act| act["action"] == "customer.looked_at").unwrap();
    assert!(looked["detail"]["roles"].is_array() && looked.get("reason").is_none(), "{looked}");
    // In the audit log there are no words of theirs.
    let log = admin.api.get(&format!("/v1/audit?subject={bruno}&limit=100")).await.expect(200).to_string();
    assert!(log.contains("glass.broken") && !log.contains("payment that he"), "{log}");
    clerk.api.get("/v1/me/looks").await.expect_problem(403, "role-missing");
}

/// Who reads a customer's account in the books looks at the customer, who is told before anything is shown.
#[tokio::test]
async fn t40_finance_reading_a_customers_account_in_the_books_is_told_to_them() {
    let town = Town::new().await;
    let [anna, bruno] = town.customers;
    let finance = Staff::with(&town.app, &[role(Role::Finance, None)]).await;
    let (hers, his) = (consumer(&town.app.world, anna), consumer(&town.app.world, bruno));
    let account = Purpose::Available(anna).account(town.app.world.tenant);
    let paths = ["", "/balance", "/entries", "/statement", "/holds", "/lots"];
    for path in paths {
        let path = format!("/v1/ledger/accounts/{account}{path}");
        town.app.api().get(&path).await;
        assert_ne!(finance.api.get(&path).await.status, 403, "{path}");
    }
    let told = looks(&hers).await;
    assert_eq!(told.len(), paths.len(), "each, and no machine's: {told:?}");
    assert!(told.iter().all(|look| look["what"] == "account" && look["operator"] == json!(finance.id)), "{told:?}");
    finance.api.get("/v1/ledger/totals").await.expect(200);
    finance.api.get(&format!("/v1/ledger/accounts/{NOBODY}")).await.expect_problem(404, "not-found");
    assert_eq!((looks(&hers).await.len(), looks(&his).await.len()), (paths.len(), 0));
}

/// Whoever asks the books, the receipts or the log for what is one customer's looks at them, in a session and by a key of theirs.
#[tokio::test]
async fn t40_who_asks_books_receipts_or_the_log_for_one_customer_is_told_to_them_also_by_a_key() {
    let town = Town::new().await;
    let [anna, bruno] = town.customers;
    let world = &town.app.world;
    let staff = Staff::with(&town.app, &[role(Role::Finance, None), role(Role::Admin, None)]).await;
    let key = staff.key(world, &[Scope::Admin]);
    let (hers, his) = (consumer(world, anna), consumer(world, bruno));
    let account = Purpose::Available(anna).account(world.tenant);
    let paths = [
        (format!("/v1/ledger/accounts?owner={anna}"), "accounts"),
        (format!("/v1/ledger/transactions?account={account}"), "account"),
        (format!("/v1/ledger/receipts/1?account={account}"), "account"),
        (format!("/v1/ledger/receipts/1?customer={anna}"), "receipt"),
        (format!("/v1/ledger/accounts/{account}"), "account"),
        (format!("/v1/customers/{anna}/balances"), "balances"),
        (format!("/v1/audit?subject={anna}"), "log"),
    ];
    for (path, what) in &paths {
        town.app.api().get(path).await;
        for api in [&staff.api, &key] {
            let before = looks(&hers).await.len();
            assert_ne!(api.get(path).await.status, 403, "{path}");
            let told = looks(&hers).await;
            assert_eq!((told.len(), &told[0]["what"]), (before + 1, &json!(what)), "{path}: {told:?}");
        }
    }
    let told = looks(&hers).await;
    assert_eq!(told[1]["operator"], json!(staff.id), "in a session");
    assert_ne!(told[0]["operator"], json!(staff.id), "by a key, whose number it is");
    let log = town.app.api().get(&format!("/v1/audit?subject={anna}&actor=client")).await.expect(200);
    let eyes = &log["items"][0]["detail"]["eyes"];
    assert!(eyes.is_i64(), "and the company knows whose the key is: {log}");
    for nobodys in [format!("owner={NOBODY}"), format!("owner={}", town.shops[0])] {
        staff.api.get(&format!("/v1/ledger/accounts?{nobodys}")).await.expect(200);
    }
    assert_eq!((looks(&hers).await.len(), looks(&his).await.len()), (2 * paths.len(), 0));
}

#[tokio::test]
async fn t41_no_second_role_session_or_key_of_whoever_proposed_approves() {
    let app = TestApp::start();
    let finance = role(Role::Finance, None);
    let mut anna = Staff::with(&app, &[finance]).await;
    let bruno = Staff::with(&app, &[finance]).await;
    let account = async |terms: Value| {
        let opened = app.api().post("/v1/ledger/accounts", &terms).await.expect(201);
        opened["id"].as_str().unwrap().to_owned()
    };
    let cash = account(json!({"asset": "EUR", "normal_side": "debit"})).await;
    let wallet = account(json!({"asset": "EUR", "floor": "0"})).await;
    let wish = json!({"reason": "error", "text": "Charged twice",
        "transfers": [{"debit": cash, "credit": wallet, "amount": "5", "asset": "EUR"}]});
    let proposed = anna.api.post("/v1/ledger/adjustments", &wish).await.expect(201);
    let approve = format!("/v1/ledger/adjustments/{}/approve", proposed["id"].as_str().unwrap());
    let key = anna.key(&app.world, &[Scope::LedgerWrite, Scope::LedgerApprove]);
    let entered = anna.sign_in("acme").await.expect(201);
    let second = anna.api.with_key(entered["access_token"].as_str().unwrap());
    for (by, same) in [("the session", &anna.api), ("a second session", &second), ("a key of theirs", &key)] {
        let refused = same.post(&approve, &Value::Null).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "same-eyes"), "{by}");
    }
    grant(&app.world, anna.id, &role(Role::Admin, None));
    let entered = anna.sign_in("acme").await.expect(201);
    let admin = anna.api.with_key(entered["access_token"].as_str().unwrap());
    admin.post(&approve, &Value::Null).await.expect_problem(403, "same-eyes");
    // What a key of theirs proposed, they do not approve.
    let by_key = key.post("/v1/ledger/adjustments", &wish).await.expect(201);
    let path = format!("/v1/ledger/adjustments/{}/approve", by_key["id"].as_str().unwrap());
    admin.post(&path, &Value::Null).await.expect_problem(403, "same-eyes");
    // By hand and alone nobody of the staff posts at all.
    bruno.api.post("/v1/ledger/transactions", &json!({"transactions": []})).await.expect_problem(403, "role-missing");
    bruno.api.post(&approve, &Value::Null).await.expect(200);
    app.world.assert_whole();
}

#[tokio::test]
async fn t30_whoever_left_or_changed_roles_is_out_within_a_second() {
    let app = TestApp::start();
    let anna = Staff::with(&app, &[role(Role::Marketing, None)]).await;
    anna.api.get("/v1/staff").await.expect(200);
    grant(&app.world, anna.id, &role(Role::Developer, None));
    let out = async || (anna.api.get("/v1/staff").await.status == 401).then_some(());
    eventually_async("the session is over", Duration::from_millis(1_500), out).await;
    let refused =
        app.api().with_key("").post("/v1/sessions/refresh", &json!({"refresh_token": anna.refresh_token})).await;
    refused.expect_problem(401, "session-over");
    let bruno = Staff::with(&app, &[role(Role::Marketing, None)]).await;
    bruno.api.send(Method::DELETE, "/v1/staff/session", &[], Bytes::new()).await.unwrap().expect(204);
    let out = async || (bruno.api.get("/v1/staff").await.status == 401).then_some(());
    eventually_async("they signed out", Duration::from_millis(1_500), out).await;
}

#[tokio::test]
async fn nobody_comes_in_by_another_tenants_or_a_used_invitation() {
    let app = TestApp::start();
    World::new(&app.db().url(), &app.authority(), "other");
    let nobody = app.api().with_key("");
    let invited = invite(&app.world, &app.vault(), "anna@example.org", Some(role(Role::Bank, None)));
    let invitation = invited.invitation.reveal();
    for (tenant, said) in [("other", invitation), ("acme", "tsi_x"), ("acme", &app.api().key)] {
        let body = json!({"tenant": tenant, "invitation": said});
        nobody.post("/v1/operator-sign-ups", &body).await.expect_problem(403, "operator-refused");
    }
    nobody.post("/v1/operator-sign-ins", &json!({"tenant": "none"})).await.expect_problem(404, "tenant-unknown");
    let (_, entered) = sign_up(&nobody, "acme", invitation).await;
    let token = entered.expect(201)["access_token"].as_str().unwrap().to_owned();
    let me = nobody.with_key(token).get("/v1/staff").await.expect(200);
    assert_eq!((&me["operator"], &me["roles"][0]["role"]), (&json!(invited.operator), &json!("bank")));
    let body = json!({"tenant": "acme", "invitation": invitation});
    nobody.post("/v1/operator-sign-ups", &body).await.expect_problem(403, "operator-refused");
    // An invitation lets nobody in by itself.
    nobody.with_key(invitation).get("/v1/staff").await.expect_problem(401, "unauthenticated");
}

#[test]
fn the_command_line_invites_gives_roles_and_closes() {
    for words in [
        &[
            "operators",
            "invite",
            "--tenant",
            "t",
            "--name",
            "n",
            "--email",
            "e",
            "--role",
            "shop-staff",
            "--merchant",
            NOBODY,
            "--hours",
            "mon-fri 8-20",
        ][..],
        &["operators", "roles", "--tenant", "t", "e", "--grant", "finance"],
        &["operators", "roles", "--tenant", "t", "e", "--end", "finance"],
        &["operators", "close", "--tenant", "t", "e"],
        &["operators", "list", "--tenant", "t", "--json"],
        &["operators", "four-eyes", "--tenant", "t", "--refunds-above", "5000"],
        &["operators", "four-eyes", "--tenant", "t", "--refunds-off"],
    ] {
        wallet_api::commands::check_usage(words).unwrap();
    }
    for words in [
        &["operators", "invite", "--tenant", "t", "--name", "n", "--email", "e", "--role", "root"][..],
        &["operators", "roles", "--tenant", "t", "e"],
        &["operators", "four-eyes", "--tenant", "t"],
        &["operators", "roles", "--tenant", "t", "e", "--grant", "bank", "--end", "bank"],
    ] {
        assert!(wallet_api::commands::check_usage(words).is_err(), "{words:?}");
    }
}
