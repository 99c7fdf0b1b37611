//! What holds for every operation of the OpenAPI document, whichever it is.
//!
//! `make contract` holds a node against the document by requests that nobody thought of; here are the laws that need
//! keys of several rights.

use hyper::Method;
use serde_json::json;
use tessera_tests::TestApp;
use wallet_api::platform::keyring::Scope;

/// A body that no route takes: cut off, of a kind that nobody reads.
const NO_BODY: &str = "{";

struct Operation {
    method: Method,
    /// With an id in it that is none, where it takes one.
    path: String,
    scope: Scope,
}

/// Whoever comes here has no token yet, or one that is over.
const OPEN: [&str; 7] = [
    "/v1/sessions/refresh",
    "/v1/sign-ups",
    "/v1/sign-ins",
    "/v1/recoveries",
    "/v1/operator-sign-ups",
    "/v1/operator-sign-ins",
    "/v1/operator-password-sign-ins",
];

fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(wallet_api::app::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if OPEN.iter().any(|open| path.starts_with(open)) {
                continue;
            }
            let scope =
                operation["security"][0]["key"][0].as_str().unwrap_or_else(|| panic!("{method} {path}: no scope"));
            let method = method.to_uppercase().parse().unwrap();
            let path = path.replace("{id}", "none").replace("{key}", "%00").replace("{sequence}", "x");
            all.push(Operation { method, path, scope: scope.parse().unwrap() });
        }
    }
    assert!(all.len() >= 39, "{}", all.len());
    all
}

/// 401 and 403 come before everything else that is wrong, so that a stranger learns nothing of what a route reads.
#[tokio::test]
async fn every_route_asks_who_and_what_they_may_before_it_reads_anything() {
    let app = TestApp::start();
    let stranger = app.api().with_key("tsk_nobody_at-all");
    let headers = [("content-type", "text/plain"), ("idempotency-key", "no key")];
    for Operation { method, path, scope } in operations() {
        let is_of_machines = |one: &Scope| !one.is_of_people();
        let others = Scope::ALL.into_iter().filter(|one| !one.stands_for(scope)).filter(is_of_machines);
        let may_not = app.world.client(&others.collect::<Vec<_>>());
        let ask =
            async |api: &tessera_tests::Api| api.send(method.clone(), &path, &headers, NO_BODY.into()).await.unwrap();
        let at = format!("{method} {path}");
        let reply = ask(&stranger).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "unauthenticated"), "{at}");
        let reply = ask(&may_not).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "scope-missing"), "{at}");
        assert_eq!(reply.json()["scope"], scope.word(), "{at}: the document names the scope that is asked for");
        if scope.is_of_people() {
            continue; // no key can have it
        }
        let reply = ask(&app.world.client(&[scope])).await;
        assert!(![401, 403].contains(&reply.status), "{at}: {}", reply.json());
    }
}

/// PostgreSQL takes no text with a zero in it.
#[tokio::test]
async fn a_slug_that_can_be_nobodys_is_unknown_and_no_error_of_ours() {
    let app = TestApp::start();
    let nobody = app.api().with_key("");
    for slug in ["", "\u{0}", "acme\u{0}", "ACME"] {
        for door in ["/v1/operator-sign-ins", "/v1/sign-ins"] {
            nobody.post(door, &json!({"tenant": slug})).await.expect_problem(404, "tenant-unknown");
        }
    }
}

/// RFC 9110, section 15.5.6.
#[tokio::test]
async fn a_405_says_what_can_be_done_there() {
    let app = TestApp::start();
    let document = serde_json::to_value(wallet_api::app::openapi()).unwrap();
    let documented = document["paths"].as_object().unwrap().iter().map(|(path, item)| {
        let methods: Vec<String> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        (path.replace("{id}", "1"), methods)
    });
    let node = ["/livez", "/readyz", "/metrics", "/docs"].map(|path| (path.to_owned(), vec!["GET".to_owned()]));
    let link = [("/internal/journal".to_owned(), vec!["POST".to_owned()])];
    for (path, mut methods) in documented.chain(node).chain(link) {
        let reply = app.api().send(Method::PUT, &path, &[], "".into()).await.unwrap();
        let allow = reply.headers.get("allow").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let mut allowed: Vec<String> = allow.split(", ").map(str::to_owned).collect();
        allowed.sort();
        methods.sort();
        assert_eq!((reply.status, allowed), (405, methods), "{path}");
    }
    let nowhere = app.api().send(Method::PUT, "/v1/nowhere", &[], "".into()).await.unwrap();
    assert!(nowhere.headers.get("allow").is_none());
    nowhere.expect_problem(404, "not-found");
}
