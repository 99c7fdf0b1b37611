//! What an operator sees of a node: its log and its figures. They tell how it fares and nothing about people.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tessera_tests::{Api, Ground, NodeProcess, TestDb, World, eur, eventually_async, run_sql};
use uuid::Uuid;

/// Values that may be nowhere but where they belong.
const REFERENCE: &str = "canary-reference";
const IBAN: &str = "IT60X0542811101000000123456";
const NAME: &str = "Canary Emporium";
const PASSWORD: &str = "canary-password";
const HOOK_PATH: &str = "canary-hook-path";
const ANSWER: &str = "canary-answer";
const IN_PATH: &str = "canary-in-path";
const IN_QUERY: &str = "canary-in-query";
const IN_BODY: &str = "canary-in-body";
const IN_HEADER: &str = "canary-in-header";
const WRONG_KEY: &str = "tsk_canarykeyab_canarysecretcanarysecretcanarysecret";

/// A receiver of hooks that refuses the first, in words of its own, and takes the others.
fn receiver() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, mut stream) in listener.incoming().flatten().enumerate() {
            _ = stream.read(&mut [0; 64 * 1024]);
            let status = if number == 0 { "500 No" } else { "200 Yes" };
            let length = ANSWER.len();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{ANSWER}");
            _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

/// A node that leads, and a tenant on it.
async fn node<'a>(db: &TestDb<'a>, env: &[(&str, &str)]) -> (NodeProcess, World) {
    let node = NodeProcess::start(db, env);
    let world = World::new(&db.url(), &node.authority(), "acme");
    eventually_async("the node leads", Duration::from_secs(20), async || {
        (world.api.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    (node, world)
}

/// Goes through the main routes with canaries wherever a caller may put something; tells the secrets it was given.
async fn sing(world: &World) -> Vec<String> {
    let api = &world.api;
    let hook = json!({"url": format!("http://{}/{HOOK_PATH}?token={HOOK_PATH}", receiver()), "event_types": ["*"]});
    let hook = api.post("/v1/hook-endpoints", &hook).await.expect(201);
    let shop = world.shop(REFERENCE, tessera_tests::Rewards::PLENTY).await;
    let merchant = json!({"reference": "canary-reference-2", "name": NAME});
    api.post("/v1/merchants", &merchant).await.expect(201);
    api.post("/v1/merchants", &merchant).await;
    let customer = world.customer(REFERENCE).await;
    world.customer(REFERENCE).await;
    world.top_up(customer, 5_000).await;
    let order = std::cell::Cell::new(0);
    let pay = |amount: Value, instrument: Value| {
        let reference = format!("{IBAN}-{}", order.replace(order.get() + 1));
        json!({"customer": customer, "merchant": shop.merchant, "amount": amount, "instrument": instrument,
            "reference": reference})
    };
    let (wallet, card) = (json!({"kind": "wallet"}), json!({"kind": "external", "rail": "card"}));
    let paid = api.post("/v1/payments", &pay(eur(1_000), wallet.clone())).await.expect(201);
    api.post("/v1/payments", &pay(eur(1_000), card.clone())).await.expect(201);
    api.post("/v1/payments", &pay(eur(100_000), wallet)).await.expect(422);
    api.post("/v1/payments", &pay(json!({"amount": IN_BODY, "asset": IN_BODY}), card)).await.expect(422);
    api.post("/v1/customers", &json!({"reference": "x", IN_BODY: IN_BODY})).await.expect(422);
    api.post("/v1/quotes", &json!({"merchant": shop.merchant, "amount": eur(500)})).await.expect(200);
    let id = paid["id"].as_str().unwrap();
    for path in [
        format!("/v1/payments/{id}"),
        format!("/v1/payments/{id}/explanation"),
        format!("/v1/customers/{customer}/balances"),
        format!("/v1/customers/{customer}/statement"),
        format!("/v1/customers/{customer}/card"),
        "/v1/sandbox/clock".into(),
        "/v1/node".into(),
    ] {
        api.get(&path).await.expect(200);
    }
    for path in [format!("/v1/{IN_PATH}"), format!("/v1/payments/{IN_PATH}"), format!("/v1/node?{IN_QUERY}={IN_QUERY}")]
    {
        api.get(&path).await;
    }
    let headers = [("idempotency-key", IN_HEADER), ("content-type", "application/json"), ("x-canary", IN_HEADER)];
    let broken = format!("{{\"{IN_BODY}\": \"{IN_BODY}");
    api.send(Method::POST, "/v1/payments", &headers, broken.into()).await.unwrap();
    api.send(Method::from_bytes(b"CANARY").unwrap(), "/v1/payments", &headers, IN_BODY.into()).await.unwrap();
    api.with_key(WRONG_KEY).get("/v1/node").await.expect(401);
    api.with_key(format!("{WRONG_KEY}\u{e9}")).get("/v1/node").await;
    let listed = format!("/v1/hook-endpoints/{}/deliveries", hook["id"].as_str().unwrap());
    eventually_async("one hook was taken and one was refused", Duration::from_secs(20), async || {
        let deliveries = api.get(&listed).await.expect(200)["items"].as_array()?.clone();
        let is = |one: &Value, status: &str| one["status"] == status && one["attempts"] == 1;
        let both = ["delivered", "pending"].iter().all(|status| deliveries.iter().any(|one| is(one, status)));
        both.then_some(())
    })
    .await;
    let secret_part = |key: &str| key.rsplit('_').next().unwrap().to_owned();
    vec![secret_part(&api.key), secret_part(hook["secret"].as_str().unwrap())]
}

/// R10: a node that logs all it can, asked for everything with values that are nobody's business, tells none of them: not
/// in its log, not in its figures, and not in the log of the database it runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r10_no_canary_is_in_logs_or_figures_at_the_finest_level() {
    let ground = Ground::own("canary");
    let db = ground.database();
    let url = format!("{}&password={PASSWORD}", db.url());
    let env = [("RUST_LOG", "trace"), ("TESSERA_ALLOW_PRIVATE_HOOKS", "true"), ("DATABASE_URL", url.as_str())];
    let (mut node, world) = node(&db, &env).await;
    let secrets = sing(&world).await;
    break_the_tables_under(&world, &db).await;
    let figures = world.api.get("/metrics").await;
    node.signal(rustix::process::Signal::TERM);
    assert!(node.wait_until_ended().success());
    let database_log = std::fs::read_to_string(tessera_tests::root().join("canary/server.log")).unwrap();
    let texts = [
        ("log", node.log()),
        ("figures", String::from_utf8(figures.bytes.to_vec()).unwrap()),
        ("database's log", database_log),
    ];
    assert!(texts[0].1.contains("TRACE") || texts[0].1.contains("DEBUG"), "the level was not taken");
    let fixed = [
        REFERENCE,
        IBAN,
        NAME,
        PASSWORD,
        HOOK_PATH,
        ANSWER,
        IN_PATH,
        IN_QUERY,
        IN_BODY,
        IN_HEADER,
        "canarysecret",
        "CANARY",
    ];
    let canaries = fixed.iter().copied().chain(secrets.iter().map(String::as_str));
    let leak = |canary: &str, (place, text): &(&str, String)| {
        let line = text.lines().find(|line| line.contains(canary))?;
        Some(format!("{canary} is in the {place}: {line}"))
    };
    let leaks: Vec<String> =
        canaries.flat_map(|canary| texts.iter().filter_map(move |text| leak(canary, text))).collect();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

/// A fault of our own, with what PostgreSQL has to say about it.
async fn break_the_tables_under(world: &World, db: &TestDb<'_>) {
    run_sql(&db.super_url(), "ALTER TABLE merchant RENAME TO lost");
    world.api.post("/v1/merchants", &json!({"reference": IN_BODY, "name": NAME})).await.expect_problem(500, "internal");
    run_sql(&db.super_url(), "ALTER TABLE lost RENAME TO merchant");
}

/// One line of a log.
fn lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The id of the request that a line was logged for.
fn request_of(line: &Value) -> Option<&str> {
    line["spans"].as_array()?.iter().find_map(|span| span["request_id"].as_str())
}

/// Whoever tells us an x-request-id has told us enough: the chain of causes stands in the log, once, under that id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_our_own_is_logged_once_with_its_causes_and_the_requests_id() {
    let db = Ground::fast().database();
    let (node, world) = node(&db, &[]).await;
    run_sql(&db.super_url(), "ALTER TABLE merchant RENAME TO lost");
    let headers = [("x-request-id", "till-7"), ("content-type", "application/json"), ("idempotency-key", "a")];
    let body = json!({"reference": "shop", "name": "Shop"}).to_string();
    let reply = world.api.send(Method::POST, "/v1/merchants", &headers, body.into()).await.unwrap();
    assert_eq!((reply.status, reply.headers["x-request-id"].to_str().unwrap()), (500, "till-7"));
    let ours: Vec<Value> = lines(&node.log()).into_iter().filter(|line| request_of(line) == Some("till-7")).collect();
    let errors: Vec<&Value> = ours.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{ours:?}");
    assert!(errors[0]["error"].as_str().unwrap().contains("\"merchant\" does not exist"), "{errors:?}");
    assert!(ours.iter().any(|line| line["message"] == "answered" && line["status"] == 500), "{ours:?}");
}

/// A line that is logged while a request is served has its id, however deep in the house it comes from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_a_request_has_its_id() {
    let db = Ground::fast().database();
    let (node, world) = node(&db, &[("RUST_LOG", "debug"), ("TESSERA_ALLOW_PRIVATE_HOOKS", "true")]).await;
    sing(&world).await;
    for line in lines(&node.log()) {
        let spans = line["spans"].as_array().cloned().unwrap_or_default();
        let is_of_slice = spans.iter().any(|span| span["name"].as_str().is_some_and(|name| name.contains('.')));
        let is_answer = line["message"] == "answered";
        assert!(!(is_of_slice || is_answer) || request_of(&line).is_some(), "{line}");
    }
}

/// A family of figures: its kind and its samples.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: bool,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

/// Reads the text format, strictly: each sample belongs to a family that was announced, and stands once.
fn families(text: &str) -> BTreeMap<String, Family> {
    let (mut families, mut seen) = (BTreeMap::<String, Family>::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty() && !families.contains_key(name), "{line}");
            families.entry(name.to_owned()).or_default().help = true;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            families.get_mut(name).unwrap_or_else(|| panic!("{line}")).kind = kind.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(seen.insert(series.to_owned()), "twice: {line}");
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let family = family_of(name, &families).unwrap_or_else(|| panic!("no family: {line}")).to_owned();
            let sample = (name.to_owned(), labels_of(labels.strip_suffix('}').unwrap()), value.parse().unwrap());
            families.get_mut(&family).unwrap().samples.push(sample);
        }
    }
    families
}

/// The family that a name of a sample belongs to.
fn family_of<'a>(name: &'a str, families: &BTreeMap<String, Family>) -> Option<&'a str> {
    let ends = ["_bucket", "_sum", "_count"];
    let of =
        |end: &&str| name.strip_suffix(*end).filter(|name| families.get(*name).is_some_and(|f| f.kind == "histogram"));
    families.get(name).filter(|family| family.kind != "histogram").map(|_| name).or_else(|| ends.iter().find_map(of))
}

fn labels_of(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split("\",").filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.trim_end_matches('"').split_once("=\"").unwrap()).map(|(n, v)| (n.into(), v.into())).collect()
}

async fn figures(api: &Api) -> BTreeMap<String, Family> {
    let reply = api.with_key("").get("/metrics").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    families(std::str::from_utf8(&reply.bytes).unwrap())
}

/// The sum of a family's samples that have these labels.
fn total(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let family = family_of(name, families).unwrap_or_else(|| panic!("no {name}"));
    let has =
        |of: &BTreeMap<String, String>| labels.iter().all(|(name, value)| of.get(*name).is_some_and(|v| v == value));
    families[family].samples.iter().filter(|(n, l, _)| n == name && has(l)).map(|(_, _, value)| value).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_figures_are_well_formed_and_count_what_happened() {
    let db = Ground::fast().database();
    let (_node, world) = node(&db, &[("TESSERA_ALLOW_PRIVATE_HOOKS", "true")]).await;
    sing(&world).await;
    let all = figures(&world.api).await;
    for (name, family) in &all {
        assert!(family.help && ["counter", "gauge", "histogram"].contains(&family.kind.as_str()), "{name}");
        assert_eq!(family.kind == "counter", name.ends_with("_total"), "{name}");
        if family.kind == "histogram" {
            assert_histogram(name, family);
        }
    }
    let paid = [("route", "/v1/payments"), ("method", "POST")];
    let with = |status| [paid[0], paid[1], ("status", status)];
    assert_eq!(total(&all, "tessera_http_requests_total", &with("2xx")), 2.0);
    assert_eq!(total(&all, "tessera_http_request_seconds_count", &paid), 5.0);
    assert_eq!(total(&all, "tessera_refusals_total", &[("code", "insufficient-funds")]), 1.0);
    assert_eq!(total(&all, "tessera_journal_leading", &[]), 1.0);
    assert!(total(&all, "tessera_journal_records_total", &[]) >= 6.0);
    let batches = total(&all, "tessera_journal_batches_total", &[]);
    assert_eq!(total(&all, "tessera_journal_commit_seconds_count", &[]), batches);
    assert_eq!(
        total(&all, "tessera_journal_batch_records_sum", &[]),
        total(&all, "tessera_journal_records_total", &[])
    );
    assert!(total(&all, "tessera_hook_attempts_total", &[("outcome", "status")]) >= 1.0);
    assert_eq!(total(&all, "tessera_database_up", &[]), 1.0);
    assert!((0.1..=3.0).contains(&total(&all, "tessera_lease_left_seconds", &[("slot", "0")])));
    assert!(total(&all, "tessera_clock_skew_seconds", &[]).abs() < 1.0);
    assert!(total(&all, "tessera_hook_pending", &[]) >= 1.0, "refused hooks wait for another attempt");
    let journal = world.tenant.to_string();
    let followers: BTreeSet<_> =
        all["tessera_follower_lag_records"].samples.iter().map(|(_, l, _)| &l["follower"]).collect();
    assert!(
        followers.len() >= 2
            && all["tessera_follower_lag_records"].samples.iter().all(|(_, l, _)| l["journal"] == journal)
    );
    assert!(total(&all, "process_resident_memory_bytes", &[]) > 1e6);
}

/// What memory holds of hooks lane by lane, who is asked seldom, and who is told no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_figures_tell_how_hooks_fare_by_lane_breaker_and_endpoint() {
    let db = Ground::fast().database();
    let (_node, world) = node(&db, &[("TESSERA_ALLOW_PRIVATE_HOOKS", "true")]).await;
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let refuses = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap(); // and is closed at once
    let hanging = test_hooks(&world, hangs.local_addr().unwrap(), 1).await;
    test_hooks(&world, refuses, 10).await;
    let told =
        eventually_async("one hook hangs, and one endpoint is asked seldom", Duration::from_secs(20), async || {
            let all = figures(&world.api).await;
            let under_way = [("lane", "first"), ("state", "under_way")];
            let hangs = total(&all, "tessera_hook_lane_deliveries", &under_way) == 1.0;
            (hangs && total(&all, "tessera_hook_breakers_open", &[]) == 1.0).then_some(all)
        });
    let all = told.await;
    assert_eq!(all["tessera_hook_lane_deliveries"].samples.len(), 6, "three lanes, waiting and under way");
    world.api.send(Method::DELETE, &hanging, &[], Default::default()).await.unwrap().expect(204);
    let all = figures(&world.api).await;
    let endpoints = |state| total(&all, "tessera_hook_endpoints", &[("state", state)]);
    assert_eq!(["enabled", "requested", "gone", "failing"].map(endpoints), [1.0, 1.0, 0.0, 0.0]);
}

/// Adds an endpoint and sends it so many test events; gives its path.
async fn test_hooks(world: &World, address: SocketAddr, count: usize) -> String {
    let endpoint = json!({"url": format!("http://{address}/hooks"), "event_types": ["payment.cleared.v1"]});
    let added = world.api.post("/v1/hook-endpoints", &endpoint).await.expect(201);
    let path = format!("/v1/hook-endpoints/{}", added["id"].as_str().unwrap());
    for _ in 0..count {
        world.api.post(&format!("{path}/test"), &json!({})).await.expect(202);
    }
    path
}

fn assert_histogram(name: &str, family: &Family) {
    let mut series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
    for (_, labels, value) in family.samples.iter().filter(|(sample, ..)| sample.ends_with("_bucket")) {
        let mut labels = labels.clone();
        let bound = labels.remove("le").unwrap().replace("+Inf", "inf").parse().unwrap();
        series.entry(labels).or_default().push((bound, *value));
    }
    for (labels, buckets) in series {
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name} {labels:?}: {buckets:?}");
        let count = family.samples.iter().find(|(n, l, _)| n.ends_with("_count") && *l == labels).unwrap().2;
        assert_eq!(buckets.last().unwrap(), &(f64::INFINITY, count), "{name} {labels:?}");
    }
}

/// Nobody makes series by asking for what is not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strange_requests_make_no_new_series() {
    let db = Ground::fast().database();
    let (_node, world) = node(&db, &[]).await;
    let ask = async |number: u32| {
        world.api.get(&format!("/v1/strange/{number}")).await;
        world.api.get(&format!("/v1/payments/{}", Uuid::from_u128(number.into()))).await;
        let method = Method::from_bytes(format!("STRANGE{number}").as_bytes()).unwrap();
        world.api.send(method, "/v1/payments", &[], Default::default()).await.unwrap();
    };
    ask(0).await;
    figures(&world.api).await;
    let count = |all: &BTreeMap<String, Family>| all["tessera_http_requests_total"].samples.len();
    let before = count(&figures(&world.api).await);
    for number in 1..50 {
        ask(number).await;
    }
    let after = figures(&world.api).await;
    assert_eq!(count(&after), before);
    assert!(total(&after, "tessera_http_requests_total", &[("method", "other")]) >= 50.0);
}

/// Beside the API for this machine alone; to others at the address that the operator chose, and nothing else there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_figures_are_not_for_whoever_reaches_the_api() {
    let db = Ground::fast().database();
    let (node, world) = node(&db, &[("TESSERA_METRICS_LISTEN", "127.0.0.1:0")]).await;
    assert_eq!(world.api.get("/metrics").await.status, 200);
    for header in ["forwarded", "x-forwarded-for", "x-real-ip", "via"] {
        let passed_on = world.api.send(Method::GET, "/metrics", &[(header, "for=192.0.2.1")], Default::default()).await;
        passed_on.unwrap().expect_problem(404, "not-found");
    }
    let told = lines(&node.log()).into_iter().find(|line| line["message"] == "serving metrics").unwrap();
    let apart = Api::new(told["address"].as_str().unwrap(), "");
    assert!(String::from_utf8_lossy(&apart.get("/metrics").await.bytes).contains("tessera_build_info"));
    apart.get("/livez").await.expect_problem(404, "not-found");
}

/// A name that the dashboard or an alert uses and no node exports would be a panel that is empty and an alert that never
/// rings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dashboard_and_alerts_name_only_what_a_node_exports() {
    let db = Ground::fast().database();
    let (_node, world) = node(&db, &[("TESSERA_ALLOW_PRIVATE_HOOKS", "true")]).await;
    sing(&world).await;
    let exported = figures(&world.api).await;
    let (rules, dashboard) = (alerts(), document("grafana.json"));
    let queries: Vec<String> =
        panels(&dashboard).into_iter().chain(rules.iter().map(|rule| text(rule, "expr"))).collect();
    assert!(queries.len() > 50, "{}", queries.len());
    let mut used = BTreeSet::new();
    for query in &queries {
        used.extend(check_query(query, &exported));
    }
    let documented = document_text("metrics.md");
    for family in exported.keys().filter(|name| name.starts_with("tessera_")) {
        let is_seen = used.contains(family) || family == "tessera_lease_epoch";
        assert!(is_seen, "{family} is exported, and neither dashboard nor alerts look at it");
        assert!(documented.contains(&format!("`{family}`")), "{family} is not documented");
    }
}

/// Every alert has a severity, a summary, and lines in the runbook; and the runbook has no lines about none.
#[test]
fn every_alert_is_in_the_runbook() {
    let runbook = document_text("runbook.md");
    let headings: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let rules = alerts();
    let names: Vec<String> = rules.iter().map(|rule| text(rule, "alert")).collect();
    assert_eq!(names.iter().map(String::as_str).collect::<BTreeSet<_>>(), headings);
    assert_eq!(names.len(), headings.len(), "an alert stands twice");
    for rule in &rules {
        let name = text(rule, "alert");
        assert!(["page", "ticket"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        assert!(!rule["annotations"]["summary"].as_str().unwrap().is_empty(), "{name}");
        let link = rule["annotations"]["runbook_url"].as_str().unwrap();
        assert!(link.ends_with(&format!("runbook.md#{}", name.to_lowercase())), "{link}");
        let lasts = text(rule, "for");
        let (digits, unit) = lasts.split_at(lasts.len() - 1);
        assert!(digits.parse::<u32>().is_ok() && ["s", "m", "h"].contains(&unit), "{name}: {lasts}");
    }
}

fn document_text(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations").join(name)).unwrap()
}

fn document(name: &str) -> Value {
    yaml_serde::from_str(&document_text(name)).unwrap() // JSON is YAML
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key}: {value}")).to_owned()
}

/// The rules of the alerts, as Prometheus reads them.
fn alerts() -> Vec<Value> {
    let groups = document("alerts.yaml")["groups"].as_array().unwrap().clone();
    let rules: Vec<Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
    for rule in &rules {
        let known = ["alert", "expr", "for", "labels", "annotations"];
        assert!(rule.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{rule}");
    }
    rules
}

/// The queries of the dashboard's panels, each of which has one at least.
fn panels(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    let queries = |panel: &Value| {
        let targets = panel["targets"].as_array().unwrap().clone();
        assert!(!targets.is_empty(), "{panel}");
        targets.iter().map(|target| text(target, "expr")).collect::<Vec<_>>()
    };
    panels.flat_map(queries).collect()
}

/// Reads a query as far as a typing error would show: brackets, functions, metrics and their labels. Tells the families.
fn check_query(query: &str, exported: &BTreeMap<String, Family>) -> BTreeSet<String> {
    const FUNCTIONS: [&str; 12] =
        ["sum", "max", "min", "count", "topk", "rate", "increase", "changes", "abs", "histogram_quantile", "by", "on"];
    /// What a scrape adds, and what a histogram has.
    const ADDED: [&str; 3] = ["job", "instance", "le"];
    let (mut open, mut used, mut labels) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    let mut before = "";
    for token in tokens(query) {
        let in_braces = open.last() == Some(&"{");
        let in_labels = in_braces || open.last() == Some(&"labels");
        match token {
            "(" | "{" | "[" => open.push(if ["by", "on", "group_left"].contains(&before) { "labels" } else { token }),
            ")" | "}" | "]" => {
                let begun = open.pop().unwrap_or_else(|| panic!("{query}: {token} closes nothing"));
                let is_pair = ["()", "{}", "[]", "labels)"].contains(&format!("{begun}{token}").as_str());
                assert!(is_pair, "{query}: {begun} ends with {token}");
            }
            word if !word.starts_with(|c: char| c.is_ascii_alphabetic()) || open.last() == Some(&"[") => {}
            word if in_labels => _ = labels.insert(word.to_owned()),
            word if FUNCTIONS.contains(&word) || ["up", "group_left"].contains(&word) => {}
            word => {
                let family = family_of(word, exported).unwrap_or_else(|| panic!("{query}: nobody exports {word}"));
                used.insert(family.to_owned());
            }
        }
        let calls = FUNCTIONS.contains(&before) && !in_labels;
        assert!(!calls || token == "(" || token == "by", "{query}: {before} is called with nothing");
        before = token;
    }
    assert!(open.is_empty(), "{query}: {open:?} stays open");
    let samples = used.iter().flat_map(|name| &exported[name].samples);
    let known: BTreeSet<&String> = samples.flat_map(|(_, labels, _)| labels.keys()).collect();
    for label in labels.iter().filter(|label| !ADDED.contains(&label.as_str())) {
        assert!(known.contains(label), "{query}: no metric of it has the label {label}");
    }
    used
}

/// Words, texts in quotes and single signs, without what is between them.
fn tokens(query: &str) -> Vec<&str> {
    let (mut found, mut rest) = (Vec::new(), query.trim_start());
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        let end = match first {
            '"' => rest[1..].find('"').unwrap_or_else(|| panic!("{query}: an open quote")) + 2,
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        found.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    found
}

/// The checker is one to rely on.
#[test]
fn a_query_with_a_typing_error_is_seen() {
    let exported = families("# HELP a_total A.\n# TYPE a_total counter\na_total{code=\"x\"} 1\n");
    assert_eq!(check_query("sum by (code) (rate(a_total{code=\"x\"}[5m])) / 2 > 0.1", &exported).len(), 1);
    for wrong in [
        "rate(b_total[5m])",
        "rat(a_total[5m])",
        "sum by (cod) (a_total)",
        "sum(a_total{kode=\"x\"})",
        "sum(rate(a_total[5m])",
        "sum(rate(a_total[5m)])",
    ] {
        let seen = std::panic::catch_unwind(|| check_query(wrong, &exported));
        assert!(seen.is_err(), "{wrong}");
    }
}
