//! Hooks as a tenant meets them: over HTTP, with receivers that answer, call back, agree or do not.

use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::TcpStream as StdStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tessera_tests::{
    Api, Ground, NodeProcess, Reply, TestApp, World, eur, eventually, eventually_async, run_sql, tessera,
};
use tokio::net::TcpListener;
use uuid::Uuid;
use wallet_api::engagement::hooks::catalogue::EVENT_TYPES;
use wallet_api::platform::keyring::Scope;

const PATIENCE: Duration = Duration::from_secs(20);

/// A hook as it came.
#[derive(Debug, Clone)]
struct Hook {
    method: Method,
    headers: HeaderMap,
    body: Bytes,
}

impl Hook {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap_or_default().to_owned()
    }
}

/// A receiver on this machine.
#[derive(Clone)]
struct Inbox {
    url: String,
    hooks: Arc<Mutex<Vec<Hook>>>,
    status: Arc<Mutex<u16>>,
    /// What it answers to the question whose hooks it takes.
    allows: Arc<Mutex<&'static str>>,
}

impl Inbox {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let inbox = Self { url, hooks: Arc::default(), status: Arc::new(Mutex::new(204)), allows: Arc::default() };
        let taking = inbox.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inbox = taking.clone();
                let service = service_fn(move |request| take(inbox.clone(), request));
                let serving =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async { serving.await.ok() });
            }
        });
        inbox
    }

    fn answer(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    fn hooks(&self) -> Vec<Hook> {
        self.hooks.lock().unwrap().clone()
    }

    async fn wait_for(&self, count: usize) -> Vec<Hook> {
        eventually_async("the hooks are here", PATIENCE, async || (self.hooks().len() >= count).then(|| self.hooks()))
            .await
    }
}

async fn take(inbox: Inbox, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let answer = Response::builder()
        .status(*inbox.status.lock().unwrap())
        .header("webhook-allowed-origin", *inbox.allows.lock().unwrap())
        .body(Full::default())
        .unwrap();
    inbox.hooks.lock().unwrap().push(Hook { method: parts.method, headers: parts.headers, body });
    Ok(answer)
}

async fn add(api: &Api, url: &str, more: Value) -> (String, String) {
    let mut body = json!({"url": url, "event_types": ["*"]});
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let added = api.post("/v1/hook-endpoints", &body).await.expect(201);
    (added["id"].as_str().unwrap().to_owned(), added["secret"].as_str().unwrap().to_owned())
}

async fn ask(api: &Api, path: &str, body: &Value) -> Reply {
    api.post(path, body).await
}

async fn pay(api: &Api, customer: Uuid, merchant: Uuid, instrument: Value) -> Reply {
    let body = json!({"customer": customer, "merchant": merchant, "amount": eur(1_999), "instrument": instrument});
    api.post("/v1/payments", &body).await
}

#[tokio::test]
async fn a_test_event_comes_at_once_signed_and_is_listed_like_any_other() {
    let app = TestApp::start();
    let inbox = Inbox::start().await;
    let (id, secret) = add(&app.api(), &inbox.url, json!({"event_types": ["payment.cleared.v1"]})).await;
    let path = format!("/v1/hook-endpoints/{id}");
    let said = app.api().send(Method::POST, &format!("{path}/test"), &[], Bytes::new()).await.unwrap().expect(202);
    let hook = inbox.wait_for(1).await.remove(0);
    assert_eq!((hook.kind().as_str(), &hook.json()["data"]["endpoint"]), ("endpoint.test.v1", &json!(id)));
    assert_eq!(
        (hook.header("webhook-id"), &hook.json()["sequence"]),
        (said["webhook_id"].as_str().unwrap().to_owned(), &said["sequence"])
    );
    Webhook::new(&secret).unwrap().verify(&hook.body, &hook.headers).unwrap();
    let list = app.api().get(&format!("{path}/deliveries")).await.expect(200);
    assert_eq!(
        (&list["items"][0]["type"], &list["items"][0]["sequence"]),
        (&json!("endpoint.test.v1"), &said["sequence"])
    );
    app.api().send(Method::DELETE, &path, &[], Bytes::new()).await.unwrap().expect(204);
    ask(&app.api(), &format!("{path}/test"), &json!({})).await.expect_problem(409, "endpoint-disabled");
    let enabled = ask(&app.api(), &format!("{path}/enable"), &json!({})).await.expect(200);
    assert_eq!((&enabled["disabled_at"], &enabled["disabled_reason"]), (&Value::Null, &Value::Null));
    ask(&app.api(), &format!("{path}/test"), &json!({})).await.expect(202);
}

/// Authorises 20.00, captures 12.00 as the last of it, refunds 5.00 of that; authorises and voids 1.00. Says what was
/// authorised, captured, refunded; and authorised and voided.
async fn in_two_steps(app: &TestApp, customer: Uuid, merchant: Uuid) -> [String; 4] {
    app.world.top_up(customer, 10_000).await;
    let api = app.api();
    let id = |body: Value| body["id"].as_str().unwrap().to_owned();
    let authorise = async |minor| {
        let instrument = json!({"kind": "wallet"});
        let body = json!({"customer": customer, "merchant": merchant, "amount": eur(minor), "instrument": instrument, "capture": "manual"});
        id(api.post("/v1/payments", &body).await.expect(201))
    };
    let ask = async |of: &str, what: &str, body: Value| {
        id(ask(&api, &format!("/v1/payments/{of}/{what}"), &body).await.expect(201))
    };
    let first = authorise(2_000).await;
    let capture = ask(&first, "capture", json!({"amount": eur(1_200), "final": true})).await;
    let refund = ask(&capture, "refund", json!({"amount": eur(500)})).await;
    let second = authorise(100).await;
    ask(&second, "void", json!({})).await;
    [first, capture, refund, second]
}

/// What becomes of a payment is told in its order, a final capture before what it gave back.
#[tokio::test]
async fn each_step_of_a_payment_is_told_in_order() {
    let app = TestApp::start();
    let inbox = Inbox::start().await;
    let shop = app.world.shop("shop", tessera_tests::Rewards::PLENTY).await;
    let anna = app.world.customer("anna").await;
    add(&app.api(), &inbox.url, json!({"ordered": true})).await;
    let [first, capture, refund, second] = in_two_steps(&app, anna, shop.merchant).await;
    let hooks: Vec<Value> = inbox.wait_for(6).await.iter().map(Hook::json).collect();
    let told = |hook: &Value| {
        (hook["type"].as_str().unwrap().to_owned(), hook["data"]["payment"].as_str().unwrap().to_owned())
    };
    let expected = [
        ("payment.authorised.v1", &first),
        ("payment.cleared.v1", &capture),
        ("payment.voided.v1", &first),
        ("payment.refunded.v1", &capture),
        ("payment.authorised.v1", &second),
        ("payment.voided.v1", &second),
    ];
    assert_eq!(hooks.iter().map(told).collect::<Vec<_>>(), expected.map(|(kind, of)| (kind.to_owned(), of.clone())));
    let data = |at: usize| &hooks[at]["data"];
    assert_eq!((&data(1)["authorisation"], &data(1)["amount"]), (&json!(first), &eur(1_200)));
    assert_eq!((&data(2)["capture"], data(2)["seq"].as_i64()), (&json!(capture), data(1)["seq"].as_i64()));
    assert_eq!((&data(3)["refund"], &data(3)["amount"]), (&json!(refund), &eur(500)));
    // 24 cents for 12.00 euro: ten for five.
    assert_eq!((&data(3)["rewards"][0]["amount"], &data(3)["rewards"][0]["taken_back"]), (&eur(10), &json!(true)));
    assert_eq!(data(5).get("capture"), None);
}

/// What is left of an authorisation when its time is over, told once: by the sweep, by a request that comes before it, and
/// of one that was captured in part.
#[tokio::test]
async fn an_authorisation_that_runs_out_is_told_once_whoever_writes_it_down() {
    let app = TestApp::start();
    let inbox = Inbox::start().await;
    let merchant = app.world.merchant("shop").await;
    let api = app.api();
    let authorised = async |name: &str| {
        let customer = app.world.customer(name).await;
        app.world.top_up(customer, 5_000).await;
        let instrument = json!({"kind": "wallet"});
        let body = json!({"customer": customer, "merchant": merchant, "amount": eur(900), "instrument": instrument, "capture": "manual"});
        let told = api.post("/v1/payments", &body).await.expect(201);
        (customer, told["id"].as_str().unwrap().to_owned())
    };
    let [(_, swept), (bruno, touched), (_, captured)] =
        [authorised("anna").await, authorised("bruno").await, authorised("carla").await];
    ask(&api, &format!("/v1/payments/{captured}/capture"), &json!({"amount": eur(250)})).await.expect(201);
    add(&api, &inbox.url, json!({"event_types": ["payment.authorisation_expired.v1"]})).await;
    api.post("/v1/sandbox/clock/advance", &json!({"seconds": 8 * 86_400})).await.expect(201);
    for payment in [&swept, &touched] {
        let read = api.get(&format!("/v1/payments/{payment}")).await.expect(200);
        assert_eq!(read["status"], "expired", "at once, whoever has written it down");
    }
    // A batch on the wallet writes it down ahead of itself; if the sweep was faster, so it did.
    app.world.top_up(bruno, 100).await;
    inbox.wait_for(3).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut told: Vec<_> = inbox.hooks().iter().map(|hook| hook.json()["data"].clone()).collect();
    assert_eq!(told.len(), 3, "each once: {told:?}");
    told.sort_by_key(|data| data["payment"].to_string());
    let mut expected = [(&swept, 900), (&touched, 900), (&captured, 650)];
    expected.sort_by_key(|(payment, _)| (*payment).clone());
    for (data, (payment, left)) in told.iter().zip(expected) {
        assert_eq!((&data["payment"], &data["given_back"]), (&json!(payment), &eur(left)));
    }
    app.world.assert_whole();
}

/// Every event that the house can raise, sent for real, against the schema that is served for it.
#[tokio::test]
async fn every_event_that_is_sent_fits_its_schema() {
    let app = TestApp::start();
    let (inbox, sick) = (Inbox::start().await, Inbox::start().await);
    let api = app.api();
    let shop = app.world.shop("shop", tessera_tests::Rewards::PLENTY).await;
    let anna = app.world.customer("anna").await;
    let (main, _) = add(&api, &inbox.url, json!({})).await;
    sick.answer(500);
    let (ordered, _) = add(&api, &sick.url, json!({"ordered": true, "skip_after": 1})).await;
    // Nothing in the wallet: refused by the account, for good.
    assert_eq!(pay(&api, anna, shop.merchant, json!({"kind": "wallet"})).await.status, 422);
    pay(&api, anna, shop.merchant, json!({"kind": "external", "rail": "card"})).await.expect(201);
    in_two_steps(&app, anna, shop.merchant).await;
    let (wallet, manual) = (json!({"kind": "wallet"}), "manual");
    let body =
        json!({"customer": anna, "merchant": shop.merchant, "amount": eur(1), "instrument": wallet, "capture": manual});
    api.post("/v1/payments", &body).await.expect(201);
    api.post("/v1/sandbox/clock/advance", &json!({"seconds": 8 * 86_400})).await.expect(201);
    ask(&api, &format!("/v1/hook-endpoints/{main}/test"), &json!({})).await.expect(202);
    let has = async |kind: &str| {
        eventually_async(kind, PATIENCE, async || inbox.hooks().iter().any(|hook| hook.kind() == kind).then_some(()))
            .await;
    };
    has("endpoint.skipped.v1").await;
    run_sql(
        &app.db().super_url(),
        "UPDATE hook_endpoint SET failing_since = now() - interval '25 hours' WHERE failing_since IS NOT NULL",
    );
    tokio::time::sleep(Duration::from_millis(800)).await;
    pay(&api, anna, shop.merchant, json!({"kind": "external", "rail": "card"})).await.expect(201);
    has("endpoint.failing.v1").await;
    api.send(Method::DELETE, &format!("/v1/hook-endpoints/{ordered}"), &[], Bytes::new()).await.unwrap().expect(204);
    let types = api.get("/v1/event-types").await.expect(200);
    let names: Vec<_> =
        types["items"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, EVENT_TYPES.map(|kind| kind.name));
    for name in &names {
        has(name).await;
        let schema = api.get(&format!("/v1/event-types/{name}")).await.expect(200)["schema"].clone();
        let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
        for hook in inbox.hooks().iter().filter(|hook| hook.kind() == *name) {
            let errors: Vec<_> = validator.iter_errors(&hook.json()).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{name}: {errors:?} in {}", hook.json());
        }
        assert!(!validator.is_valid(&json!({"type": name})), "{name}: the schema takes anything");
    }
    let sent: Vec<_> = inbox.hooks().iter().map(Hook::kind).collect();
    assert!(sent.iter().all(|kind| names.contains(kind)), "{sent:?}");
    api.get("/v1/event-types/payment.lost.v1").await.expect_problem(404, "event-type-unknown");
}

/// E68: a receiver that answers each hook with what raises the next one is stopped after eight.
#[tokio::test]
async fn e68_a_hook_that_calls_us_back_ends_after_eight() {
    let app = TestApp::start();
    let inbox = Inbox::start().await;
    let (id, _) = add(&app.api(), &inbox.url, json!({})).await;
    let path = format!("/v1/hook-endpoints/{id}/test");
    ask(&app.api(), &path, &json!({})).await.expect(202);
    for told in 1..=9 {
        let hook = inbox.wait_for(told).await.remove(told - 1);
        let depth = hook.header("tessera-hook-depth");
        assert_eq!(depth, told.to_string());
        let back = app.api().send(Method::POST, &path, &[("tessera-hook-depth", &depth)], Bytes::new()).await.unwrap();
        if told < 9 {
            back.expect(202);
        } else {
            assert_eq!(back.expect_problem(409, "hook-loop")["most"], 8);
        }
        if told == 9 {
            let again =
                format!("/v1/hook-endpoints/{id}/deliveries/{}/replay", hook.json()["sequence"].as_str().unwrap());
            let again =
                app.api().send(Method::POST, &again, &[("tessera-hook-depth", &depth)], Bytes::new()).await.unwrap();
            again.expect_problem(409, "hook-loop");
        }
    }
}

/// E68: the same where the answer to a hook is a payment, which raises the next one; refused payments raise hooks too.
#[tokio::test]
async fn e68_payments_that_hooks_lead_to_end_after_eight() {
    let app = TestApp::start();
    let (inbox, merchant) = (Inbox::start().await, app.world.merchant("shop").await);
    let anna = app.world.customer("anna").await;
    add(&app.api(), &inbox.url, json!({})).await;
    let mut depth = String::new();
    for told in 1..=9 {
        // Every second one is refused by the wallet, which is empty.
        let instrument =
            if told % 2 == 0 { json!({"kind": "wallet"}) } else { json!({"kind": "external", "rail": "card"}) };
        let body = json!({"customer": anna, "merchant": merchant, "amount": eur(1), "instrument": instrument});
        let (key, carried) = (tessera_tests::fresh_key().to_string(), depth);
        let mut headers = vec![("content-type", "application/json"), ("idempotency-key", key.as_str())];
        if told > 1 {
            headers.push(("tessera-hook-depth", &carried));
        }
        let paid = app.api().send(Method::POST, "/v1/payments", &headers, body.to_string().into()).await.unwrap();
        assert_eq!(paid.status, if told % 2 == 0 { 422 } else { 201 }, "{}", paid.json());
        let hook = inbox.wait_for(told).await.remove(told - 1);
        assert_eq!(hook.header("tessera-hook-depth"), told.to_string());
        depth = hook.header("tessera-hook-depth");
        if told == 9 {
            headers[1].1 = "another";
            headers[2].1 = &depth;
            let last = app.api().send(Method::POST, "/v1/payments", &headers, body.to_string().into()).await.unwrap();
            assert_eq!(last.expect_problem(409, "hook-loop")["most"], 8);
        }
    }
    app.world.assert_whole();
}

/// T53: both secrets in the overlap, one after it; too many at once are refused.
#[tokio::test]
async fn t53_a_secret_rotates_with_an_overlap() {
    let app = TestApp::start();
    let inbox = Inbox::start().await;
    let (id, first) = add(&app.api(), &inbox.url, json!({})).await;
    let path = format!("/v1/hook-endpoints/{id}");
    let rotate = async |body: Value| ask(&app.api(), &format!("{path}/rotate-secret"), &body).await;
    let second = rotate(json!({})).await.expect(200);
    assert_eq!(second["old_secrets_until"].as_array().unwrap().len(), 1);
    tokio::time::sleep(Duration::from_millis(800)).await;
    let sent = async |count: usize| {
        ask(&app.api(), &format!("{path}/test"), &json!({})).await.expect(202);
        inbox.wait_for(count).await.remove(count - 1)
    };
    let fits = |secret: &str, hook: &Hook| Webhook::new(secret).unwrap().verify(&hook.body, &hook.headers).is_ok();
    let (one, two) = (first.as_str(), second["secret"].as_str().unwrap());
    let hook = sent(1).await;
    assert_eq!((fits(one, &hook), fits(two, &hook)), (true, true));
    let third = rotate(json!({"overlap_s": 0})).await.expect(200);
    assert_eq!(third["old_secrets_until"], json!([]));
    tokio::time::sleep(Duration::from_millis(800)).await;
    let hook = sent(2).await;
    let three = third["secret"].as_str().unwrap();
    assert_eq!((fits(one, &hook), fits(two, &hook), fits(three, &hook)), (false, false, true));
    for _ in 0..4 {
        rotate(json!({"overlap_s": 60})).await.expect(200);
    }
    rotate(json!({"overlap_s": 60})).await.expect_problem(409, "secrets-too-many");
    rotate(json!({"overlap_s": -1})).await.expect_problem(422, "body-invalid");
    assert!(!app.api().get(&path).await.expect(200).to_string().contains("whsec_"));
}

#[tokio::test]
async fn an_order_to_tell_again_is_checked_followed_and_cancelled() {
    let app = TestApp::start();
    let inbox = Inbox::start().await;
    let api = app.api();
    let (id, _) = add(&api, &inbox.url, json!({})).await;
    let path = format!("/v1/hook-endpoints/{id}");
    let said = ask(&api, &format!("{path}/test"), &json!({})).await.expect(202);
    let first = inbox.wait_for(1).await.remove(0);
    let delivered = format!("{path}/deliveries?status=delivered");
    let is_listed = async || (api.get(&delivered).await.expect(200)["items"].as_array()?.len() == 1).then_some(());
    eventually_async("it is written down", PATIENCE, is_listed).await;
    for (body, pointer) in [
        (json!({"from": "7"}), "/from"),
        (json!({"until": said["sequence"], "until_time": "2026-01-01T00:00:00Z"}), "/until_time"),
        (json!({"event_types": ["Payment"]}), "/event_types"),
        (json!({"statuses": []}), "/statuses"),
        (json!({"ids": vec!["x"; 101]}), "/ids"),
        (json!({"everything": true}), "/everything"),
    ] {
        let problem = ask(&api, &format!("{path}/replays"), &body).await.expect_problem(422, "body-invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
    }
    let order = ask(&api, &format!("{path}/replays"), &json!({"ids": [said["webhook_id"]]})).await.expect(202);
    let hooks = inbox.wait_for(2).await;
    assert_eq!(hooks[1].header("webhook-id"), first.header("webhook-id"));
    assert_eq!(hooks[1].body, first.body);
    let found = format!("/v1/hook-replays/{}", order["id"].as_str().unwrap());
    let ended = async || Some(api.get(&found).await.expect(200)).filter(|order| order["state"] == "done");
    let order = eventually_async("the order has ended", PATIENCE, ended).await;
    assert_eq!((&order["examined"], &order["replayed"]), (&json!(1), &json!(1)));
    api.send(Method::DELETE, &found, &[], Bytes::new()).await.unwrap().expect(204);
    assert_eq!(api.get(&found).await.expect(200)["state"], "done", "what has ended stays as it ended");
    let list = api.get(&format!("{path}/replays")).await.expect(200);
    assert_eq!(list["items"][0]["id"], order["id"]);
    let other = World::new(&app.db().url(), &app.authority(), "other");
    other.api.get(&found).await.expect_problem(404, "not-found");
    ask(&other.api, &format!("{path}/replays"), &json!({})).await.expect_problem(404, "not-found");
    ask(&other.api, &format!("{path}/rotate-secret"), &json!({})).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn an_address_may_be_asked_first_and_has_to_agree() {
    let app = TestApp::start();
    let inbox = Inbox::start().await;
    let body = json!({"url": inbox.url, "event_types": ["*"], "handshake": true});
    for (status, allows) in [(204, ""), (204, "somebody.else"), (403, "tessera"), (302, "*")] {
        inbox.answer(status);
        *inbox.allows.lock().unwrap() = allows;
        let problem = ask(&app.api(), "/v1/hook-endpoints", &body).await.expect_problem(422, "endpoint-refused");
        assert_eq!(problem["errors"][0]["code"], "handshake", "{status} {allows}: it answered, and did not agree");
    }
    inbox.answer(200);
    for allows in ["*", "Tessera"] {
        *inbox.allows.lock().unwrap() = allows;
        ask(&app.api(), "/v1/hook-endpoints", &body).await.expect(201);
    }
    let asked = inbox.hooks().remove(0);
    assert_eq!((asked.method.as_str(), asked.header("webhook-request-origin").as_str()), ("OPTIONS", "tessera"));
}

/// T51: whatever spelling leads inside is refused, and nothing is connected to.
#[tokio::test]
async fn t51_no_endpoint_leads_inside_and_no_socket_is_opened() {
    let db = Ground::fast().database();
    let node = NodeProcess::start(&db, &[]);
    let world = World::new(&db.url(), &node.authority(), "acme");
    let api = node.api(&world.api);
    let inside = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let port = inside.local_addr().unwrap().port();
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "169.254.169.254",
        "10.0.0.1",
        "localhost",
        "0.0.0.0",
        "[fe80::1]",
        "[fd00::1]",
        "100.64.0.1",
        "198.18.0.1",
    ] {
        for url in [format!("https://{host}:{port}/"), format!("https://{host}/"), format!("http://{host}/")] {
            for handshake in [false, true] {
                let body = json!({"url": url, "event_types": ["*"], "handshake": handshake});
                ask(&api, "/v1/hook-endpoints", &body).await.expect_problem(422, "endpoint-refused");
            }
        }
    }
    assert!(inside.accept().is_err(), "somebody connected");
}

/// T55: what comes in, in whatever field, is not in the log; nor are keys and secrets.
#[tokio::test]
async fn t55_canaries_are_in_no_log() {
    let db = Ground::fast().database();
    let env = [("TESSERA_ALLOW_PRIVATE_HOOKS", "true"), ("RUST_LOG", "debug")];
    let node = NodeProcess::start(&db, &env);
    let world = World::new(&db.url(), &node.authority(), "acme");
    let api = node.api(&world.api);
    let inbox = Inbox::start().await;
    inbox.answer(500);
    let url = format!("{}/path-canary-4111111111111111?token=query-canary", inbox.url);
    let (id, secret) = add(&api, &url, json!({})).await;
    ask(&api, &format!("/v1/hook-endpoints/{id}/test"), &json!({})).await.expect(202);
    inbox.wait_for(1).await;
    let nasty = "IT60X0542811101000000123456\r\nERROR forged \u{1b}[31m body-canary";
    for body in [
        json!({"url": nasty, "event_types": ["*"]}),
        json!({"url": url, "event_types": [nasty]}),
        json!({"url": url, "event_types": ["*"], "body-canary": nasty}),
    ] {
        assert_eq!(ask(&api, "/v1/hook-endpoints", &body).await.status, 422);
    }
    ask(&api, &format!("/v1/hook-endpoints/{id}/replays"), &json!({"ids": ["body-canary-id"]})).await.expect(202);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let log = node.log();
    assert!(log.lines().count() > 10, "the log is on: {log}");
    for canary in [
        "path-canary",
        "query-canary",
        "body-canary",
        "4111111111111111",
        "IT60X0542811101000000123456",
        "\u{1b}[31m",
        &secret,
        &api.key,
    ] {
        assert!(
            !log.contains(canary),
            "{canary} is in the log: {}",
            log.lines().find(|line| line.contains(canary)).unwrap_or_default()
        );
    }
}

fn raw(authority: &str, bytes: &[u8]) -> String {
    let mut stream = StdStream::connect(authority).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    // Whatever comes until the server closes or falls silent.
    _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// T56: a request that two readers would cut differently is answered by one refusal and the end of the connection.
#[tokio::test]
async fn t56_a_request_with_two_lengths_smuggles_nothing() {
    let app = TestApp::start();
    let (authority, key) = (app.authority(), app.api().key);
    let smuggled = "GET /v1/node HTTP/1.1\r\nhost: x\r\n\r\n";
    let answers = tokio::task::spawn_blocking(move || {
        let head = format!(
            "POST /v1/hook-endpoints HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
        );
        [
            raw(
                &authority,
                format!("{head}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}").as_bytes(),
            ),
            raw(&authority, format!("{head}content-length: 2\r\ncontent-length: 40\r\n\r\n{{}}{smuggled}").as_bytes()),
            raw(&authority, format!("{head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}").as_bytes()),
        ]
    });
    for answer in answers.await.unwrap() {
        assert!(answer.matches("HTTP/1.1 ").count() <= 1 && !answer.contains("HTTP/1.1 2"), "{answer}");
    }
}

/// T56: five hundred connections that say nothing, or next to nothing, hold up nobody, and are closed.
#[tokio::test]
async fn t56_slow_clients_hold_up_nobody() {
    let app = TestApp::start();
    let authority = app.authority();
    let slow = tokio::task::spawn_blocking({
        let authority = authority.clone();
        move || -> Vec<StdStream> {
            let open = |n: usize| {
                let mut stream = StdStream::connect(&authority).unwrap();
                stream.write_all(if n.is_multiple_of(2) { b"GET /v1/node HT" } else { b"P" }).unwrap();
                stream
            };
            (0..500).map(open).collect()
        }
    });
    let mut slow = slow.await.unwrap();
    let started = std::time::Instant::now();
    for _ in 0..20 {
        app.api().get("/v1/hook-endpoints").await.expect(200);
    }
    assert!(started.elapsed() < Duration::from_secs(3), "{:?} for twenty requests", started.elapsed());
    let closed = tokio::task::spawn_blocking(move || {
        let is_closed = |stream: &mut StdStream| {
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).is_ok()
        };
        slow.iter_mut().filter_map(|stream| is_closed(stream).then_some(())).count()
    });
    assert_eq!(closed.await.unwrap(), 500);
}

/// T56: a body of a byte a second is given up, and whoever sends it is told.
#[tokio::test]
async fn t56_a_body_of_a_byte_a_second_is_given_up() {
    let app = TestApp::start();
    let (authority, key) = (app.authority(), app.api().key);
    let trickle = tokio::task::spawn_blocking(move || {
        let mut stream = StdStream::connect(authority).unwrap();
        let head = format!(
            "POST /v1/hook-endpoints HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: 1000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let (mut answer, mut part) = (Vec::new(), [0; 1_024]);
        // A second passes with each read that finds nothing.
        for _ in 0..60 {
            match stream.read(&mut part) {
                Ok(0) => break,
                Ok(read) => answer.extend_from_slice(&part[..read]),
                Err(_) if stream.write_all(b" ").is_err() => break,
                Err(_) => {}
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    });
    app.api().get("/v1/hook-endpoints").await.expect(200);
    let answer = trickle.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body-too-slow"), "{answer}");
}

/// T57: JSON that is made to hurt is refused before it does.
#[tokio::test]
async fn t57_json_bombs_are_refused() {
    let app = TestApp::start();
    let (inbox, api) = (Inbox::start().await, app.api());
    let (id, _) = add(&api, &inbox.url, json!({})).await;
    let many: String = (0..1_000_000).map(|n| format!("\"k{n}\":1,")).collect();
    let mut answered = 0;
    let some: String = (0..5_000).map(|n| format!("\"k{n}\":1,")).collect();
    for path in [
        "/v1/hook-endpoints".to_owned(),
        format!("/v1/hook-endpoints/{id}/replays"),
        format!("/v1/hook-endpoints/{id}/rotate-secret"),
    ] {
        for (bomb, statuses) in [
            ("[".repeat(100_000), [400, 413]),
            ("[".repeat(60_000), [400, 400]),
            (format!("{{{many}\"z\":1}}"), [413, 413]),
            (format!("{{{some}\"z\":1}}"), [413, 422]),
            (r#"{"ids":["a"],"ids":["b"]}"#.to_owned(), [400, 400]),
            (r#"{"ids":["\ud800"]}"#.to_owned(), [400, 400]),
            (r#"{"overlap_s":1e999}"#.to_owned(), [400, 400]),
        ] {
            let headers = [("content-type", "application/json")];
            let reply = api.send(Method::POST, &path, &headers, bomb.clone().into()).await;
            // A refusal may come, and the connection end, before a large body was sent whole.
            let Ok(reply) = reply else {
                assert!(bomb.len() > 65_536, "{path}: no answer to {bomb:.40}");
                continue;
            };
            answered += 1;
            assert!(statuses.contains(&reply.status), "{path}: {} for {:.40}", reply.status, bomb);
        }
    }
    assert!(answered >= 3 * 5, "only {answered} were answered");
    api.get("/v1/hook-endpoints").await.expect(200);
}

/// The commands a tenant tries its receiver with, against each other.
#[tokio::test]
async fn a_receiver_can_be_tried_from_the_command_line() {
    let app = TestApp::start();
    let api = app.world.client(&[Scope::HooksWrite, Scope::HooksRead]);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{port}/hooks");
    let (id, secret) = add(&app.api(), &url, json!({})).await;
    let mut listening = tessera(&["hooks", "listen", "--json", "--listen", &port.to_string()])
        .env("TESSERA_HOOK_SECRET", &secret)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    eventually("it listens", PATIENCE, || StdStream::connect(port).ok());
    let node = format!("http://{}", app.authority());
    let run = async |args: &[&str]| {
        let mut command = tessera(&[&["hooks"], args].concat());
        command.env("TESSERA_URL", &node).env("TESSERA_KEY", &api.key);
        tokio::task::spawn_blocking(move || tessera_tests::Run::run(&mut command)).await.unwrap().json()
    };
    let said = run(&["trigger", &id]).await;
    let path = format!("/v1/hook-endpoints/{id}/deliveries?status=delivered");
    let arrived = async || (!api.get(&path).await.expect(200)["items"].as_array()?.is_empty()).then_some(());
    eventually_async("it arrived", PATIENCE, arrived).await;
    let order = run(&["replay", &id, "--type", "endpoint.test.v1", "--wait"]).await;
    assert_eq!((&order["state"], &order["replayed"]), (&json!("done"), &json!(1)));
    let out = listening.stdout.take().unwrap();
    let lines = tokio::task::spawn_blocking(move || {
        std::io::BufRead::lines(std::io::BufReader::new(out)).take(2).map(Result::unwrap).collect::<Vec<_>>()
    });
    let lines = tokio::time::timeout(PATIENCE, lines).await.unwrap().unwrap();
    let seen: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&seen[0]["signature"], &seen[1]["signature"]), (&json!("good"), &json!("repeat")));
    assert!(seen.iter().all(|line| line["webhook_id"] == said["webhook_id"]), "{seen:?}");
    listening.kill().unwrap();
    listening.wait().unwrap();
}

/// A house full of endpoints: work in proportion, no hook late, and no more of them for a tenant that has its share.
#[tokio::test]
async fn ten_thousand_endpoints_hold_up_nobody_and_a_tenant_adds_no_more_than_its_share() {
    let app = TestApp::start();
    let (inbox, api) = (Inbox::start().await, app.api());
    let shop = app.world.shop("shop", tessera_tests::Rewards::PLENTY).await;
    let anna = app.world.customer("anna").await;
    add(&api, &inbox.url, json!({})).await;
    let tenant = app.world.tenant;
    run_sql(
        &app.db().super_url(),
        &format!(
            "INSERT INTO hook_endpoint (tenant, id, url, event_types, secret, since_seq, created_at, disabled_at, \
             disabled_reason) SELECT {tenant}, gen_random_uuid(), 'https://receiver.example/hooks', \
             '{{endpoint.disabled.v1}}', decode(repeat('ab', 24), 'hex'), 0, now(), \
             CASE WHEN n % 2 = 0 THEN now() END, CASE WHEN n % 2 = 0 THEN 'requested' END \
             FROM generate_series(1, 20000) n"
        ),
    );
    for paid in 1..=3 {
        pay(&api, anna, shop.merchant, json!({"kind": "external", "rail": "card"})).await.expect(201);
        inbox.wait_for(paid).await;
    }
    let more = json!({"url": inbox.url, "event_types": ["*"]});
    api.post("/v1/hook-endpoints", &more).await.expect_problem(409, "endpoints-too-many");
    let listed = api.get("/v1/hook-endpoints?limit=100").await.expect(200);
    assert_eq!((listed["items"].as_array().map(Vec::len), &listed["has_more"]), (Some(100), &json!(true)));
}

/// T66: withdrawn, a consent stops what is queued, what is told again and what comes; who never agreed is never told of.
#[tokio::test]
async fn t66_a_withdrawn_consent_stops_what_is_queued_and_what_comes() {
    let app = TestApp::start();
    let api = app.api();
    api.post("/v1/consent-texts", &json!({"purpose": "marketing", "it": "Offerte?", "en": "Offers?"}))
        .await
        .expect(201);
    let (inbox, plain) = (Inbox::start().await, Inbox::start().await);
    let cleared = json!(["payment.cleared.v1"]);
    let (endpoint, _) = add(&api, &inbox.url, json!({"purpose": "marketing", "event_types": cleared})).await;
    add(&api, &plain.url, json!({"event_types": cleared})).await;
    let shop = app.world.merchant("emporio").await;
    let (anna, bruno) = (app.world.member("anna").await, app.world.member("bruno").await);
    let text = anna.api.get("/v1/me/consents").await.expect(200)[0]["text"].clone();
    let agree = json!({"purpose": "marketing", "granted": true, "version": text["version"], "locale": text["locale"],
        "sha256": text["sha256"]});
    let pay = async |customer: Uuid| {
        let body = json!({"customer": customer, "merchant": shop, "amount": eur(100),
            "instrument": {"kind": "external", "rail": "card"}});
        api.post("/v1/payments", &body).await.expect(201)
    };
    let deliveries = async || {
        let found = api.get(&format!("/v1/hook-endpoints/{endpoint}/deliveries")).await.expect(200);
        found["items"].as_array().unwrap().clone()
    };
    let withheld = async |count: usize| {
        eventually_async("it is withheld", PATIENCE, async || {
            let found = deliveries().await;
            (found.iter().filter(|one| one["status"] == "withheld").count() == count).then_some(())
        })
        .await;
    };

    anna.api.post("/v1/me/consents", &agree).await.expect(200);
    pay(bruno.id).await;
    pay(anna.id).await;
    plain.wait_for(2).await;
    let told = inbox.wait_for(1).await;
    assert_eq!(told[0].json()["data"]["customer"], json!(anna.id), "who never agreed is not told of");

    // Queued: it was tried once, and will be tried again.
    inbox.answer(500);
    pay(anna.id).await;
    inbox.wait_for(2).await;
    anna.api.post("/v1/me/consents", &json!({"purpose": "marketing", "granted": false})).await.expect(200);
    inbox.answer(204);
    withheld(1).await;
    // To come: not even written down.
    pay(anna.id).await;
    plain.wait_for(4).await;
    // Told again, because somebody asks for it: neither.
    let first = deliveries().await.last().unwrap()["sequence"].as_str().unwrap().to_owned();
    let again = format!("/v1/hook-endpoints/{endpoint}/deliveries/{first}/replay");
    assert!(api.post(&again, &Value::Null).await.status < 300);
    withheld(2).await;
    assert_eq!((deliveries().await.len(), inbox.hooks().len()), (2, 2), "nothing was sent after it was withdrawn");

    anna.api.post("/v1/me/consents", &agree).await.expect(200);
    pay(anna.id).await;
    assert_eq!(inbox.wait_for(3).await.len(), 3);
}
