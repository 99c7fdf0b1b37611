//! House rules that no linter knows: which way imports run, where SQL stands, that every refusal has its words, and that
//! every route refuses whoever may not call it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use hyper::Method;
use serde_json::{Map, Value, json};
use tessera_tests::{Api, TestApp, fresh_key};
use wallet_api::platform::keyring::Scope;

const SLICES: [&str; 14] = [
    "billers",
    "books",
    "consents",
    "engagement",
    "identity",
    "levels",
    "loyalty",
    "pages",
    "payments",
    "privacy",
    "profile",
    "proofs",
    "reports",
    "sandbox",
];

/// Where SQL stands outside a `store`, and why.
const SQL_ELSEWHERE: &[(&str, &str)] = &[
    ("ledger/src/follow", "the journal's reading side is small modules, each its own store"),
    ("ledger/src/health.rs", "the journal's reading side is small modules, each its own store"),
    ("ledger/src/forks.rs", "the journal's lines of history are one small module, its own store"),
    ("ledger/src/read/", "the journal's reading side is small modules, each its own store"),
    ("ledger/src/verify/", "verify shares no statement with what it checks"),
    ("ledger/src/writer/session.rs", "settings of the writer's sessions"),
    ("wallet-api/src/commands/bench/", "the benchmark's own measurements"),
    ("wallet-api/src/platform/cluster/", "makes roles and databases"),
    ("wallet-api/src/platform/db", "settings of the pool's sessions, migrations"),
    ("wallet-api/src/platform/snapshot.rs", "the revision that tells when to read again"),
];

/// A type's name in the document is its name here. utoipa keeps the last of two that share one, without a word.
#[test]
fn no_two_types_of_the_document_share_a_name() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (file, code) in sources("wallet-api/src").into_iter().chain(sources("ledger/src")) {
        let derived = code.split("#[derive(").skip(1).filter(|it| it.split(")]").next().unwrap().contains("ToSchema"));
        for item in derived {
            let words = item.lines().find_map(|line| {
                let line =
                    line.trim_start_matches("pub(super) ").trim_start_matches("pub(crate) ").trim_start_matches("pub ");
                line.strip_prefix("struct ").or_else(|| line.strip_prefix("enum "))
            });
            let Some(words) = words else { continue }; // a macro's, which each use of it names
            let name = words.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            if let Some(other) = seen.insert(name.to_owned(), file.clone()) {
                panic!("{name} of {file} is also the name of a type of {other}");
            }
        }
    }
    assert!(seen.len() > 150, "{}", seen.len());
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Source files below a folder, by their path from the root, their tests left out.
fn sources(folder: &str) -> BTreeMap<String, String> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            let is_test = name.contains("/tests/") || name.ends_with("/tests.rs") || name.ends_with("/scratch.rs");
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && !is_test {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
                found.insert(name, code);
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {folder}");
    found
}

/// The code without its comments.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules of the crate that a file names: `crate::a::…` and `use crate::{a, b::…}`.
fn named_modules(text: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let mut named = BTreeSet::new();
    for rest in code(text).split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => _ = named.insert(word(rest)),
            Some(list) => {
                let list = list.split(';').next().unwrap_or_default();
                let mut depth = 0_i32;
                for part in list.split_inclusive(['{', '}', ',']) {
                    if depth == 0 && !word(part.trim()).is_empty() {
                        named.insert(word(part.trim()));
                    }
                    depth += i32::from(part.ends_with('{')) - i32::from(part.ends_with('}'));
                }
            }
        }
    }
    named
}

#[test]
fn a_files_imports_are_read_right() {
    let text = "// crate::no\nuse crate::{app::{self, Parts}, payments};\nfn f() { crate::platform::db::g() }";
    assert_eq!(named_modules(text).into_iter().collect::<Vec<_>>(), ["app", "payments", "platform"]);
}

#[test]
fn imports_run_one_way() {
    for (name, text) in sources("wallet-api/src") {
        let named = named_modules(&text);
        let inside = name.strip_prefix("wallet-api/src/").unwrap().split('/').next().unwrap().trim_end_matches(".rs");
        if inside == "platform" {
            let wrong: Vec<_> = named.iter().filter(|module| *module != "platform").collect();
            assert!(wrong.is_empty(), "{name}: the platform knows no slice: {wrong:?}");
        }
        if SLICES.contains(&inside) {
            assert!(
                !named.contains("app") && !named.contains("commands"),
                "{name}: a slice knows its ground and its peers"
            );
        }
        if inside != "commands" && inside != "main" {
            assert!(!named.contains("commands"), "{name}: nothing imports the commands");
        }
    }
    for crate_dir in ["ledger", "psd2-connector"] {
        let manifest = fs::read_to_string(root().join(crate_dir).join("Cargo.toml")).unwrap();
        for below in ["wallet-api", "actix", "hyper", "utoipa"] {
            assert!(!manifest.contains(below), "{crate_dir} knows nothing of {below}");
        }
    }
}

/// A slice's store is its own: private, and named by nobody else.
#[test]
fn no_slice_touches_anothers_store() {
    for (name, text) in sources("wallet-api/src") {
        let text = code(&text);
        assert!(
            !text.contains("pub mod store") && !text.contains("pub(crate) mod store"),
            "{name}: a store is private"
        );
        for slice in SLICES {
            let own = name.starts_with(&format!("wallet-api/src/{slice}"));
            let foreign = [format!("{slice}::store"), format!("{slice}::hooks::store")];
            assert!(own || foreign.iter().all(|path| !text.contains(path)), "{name}: uses the store of {slice}");
        }
    }
}

#[test]
fn sql_stands_in_stores() {
    let words = [
        "SELECT ",
        "INSERT INTO ",
        "UPDATE journal",
        "DELETE FROM ",
        "sql_query(",
        "batch_execute(",
        "diesel::insert_into(",
        "diesel::update(",
        "diesel::delete(",
    ];
    let mut used = BTreeSet::new();
    for folder in ["wallet-api/src", "ledger/src", "psd2-connector/src"] {
        for (name, text) in sources(folder) {
            let text = code(&text);
            let in_store = name.ends_with("/store.rs") || name.contains("/store/");
            if in_store || !words.iter().any(|word| text.contains(word)) {
                continue;
            }
            let allowed = SQL_ELSEWHERE.iter().find(|(place, _)| name.starts_with(place));
            let (place, _why) = allowed.unwrap_or_else(|| panic!("{name}: SQL outside a store"));
            used.insert(*place);
        }
    }
    let unused: Vec<_> = SQL_ELSEWHERE.iter().map(|(place, _)| place).filter(|place| !used.contains(*place)).collect();
    assert!(unused.is_empty(), "allowed for nothing: {unused:?}");
}

/// Every refusal in the code has words in both languages, and no words are left over in one of them.
#[test]
fn every_refusal_has_its_words_in_both_languages() {
    let catalogue = |lang: &str| -> BTreeSet<String> {
        let text = fs::read_to_string(root().join(format!("wallet-api/locales/{lang}.ftl"))).unwrap();
        let ids = text.lines().filter_map(|line| line.split_once(" =")).map(|(id, _)| id.to_owned());
        ids.filter(|id| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'))
            .collect()
    };
    let (english, italian) = (catalogue("en"), catalogue("it"));
    assert_eq!(english, italian, "the catalogues have the same ids");
    let (mut missing, mut codes) = (BTreeSet::new(), 0);
    for (name, text) in sources("wallet-api/src") {
        for call in code(&text).split("Problem::new(").skip(1) {
            let mut arguments = call.splitn(3, ',');
            let status = arguments.next().unwrap_or_default().trim();
            let code = arguments.next().unwrap_or_default().trim();
            let literal = code.strip_prefix('"').and_then(|code| code.strip_suffix('"'));
            let Some(code) =
                literal.filter(|_| status.bytes().all(|byte| byte.is_ascii_digit()) || status.contains("as_u16"))
            else {
                continue;
            };
            codes += 1;
            for id in [format!("problem-{code}"), format!("problem-{code}-detail")] {
                if !english.contains(&id) {
                    missing.insert(format!("{id} ({name})"));
                }
            }
        }
    }
    assert!(codes > 30, "only {codes} refusals were found");
    assert!(missing.is_empty(), "no words for {missing:#?}");
}

/// An operation of the API as its document describes it.
struct Operation {
    method: Method,
    path: String,
    body: Option<Value>,
}

fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(wallet_api::app::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap().clone();
    let all = paths.into_iter().flat_map(|(path, operations)| {
        let operations = operations.as_object().unwrap().clone();
        operations.into_iter().map(move |(method, operation)| (path.clone(), method, operation))
    });
    all.map(|(path, method, operation)| {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        Operation {
            method: method.to_uppercase().parse().unwrap(),
            path: path.replace("{sequence}", "1").replace("{id}", "00000000-0000-8000-8000-000000000001"),
            body: (!schema.is_null()).then(|| example(&document, schema)),
        }
    })
    .collect()
}

/// A value that a schema allows.
pub(crate) fn example(document: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        return example(document, document.pointer(reference.trim_start_matches('#')).unwrap());
    }
    let first = |name: &str| schema[name].as_array().and_then(|all| all.first());
    if let Some(value) = schema.get("example").or_else(|| first("examples")).or_else(|| first("enum")) {
        return value.clone();
    }
    if let Some(schema) = first("oneOf").or_else(|| first("allOf")).or_else(|| first("anyOf")) {
        return example(document, schema);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match (kind, schema["format"].as_str()) {
        (Some("object") | None, _) => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let member = |name: &Value| {
                let name = name.as_str().unwrap();
                (name.to_owned(), example(document, &schema["properties"][name]))
            };
            Value::Object(required.iter().map(member).collect::<Map<_, _>>())
        }
        (Some("array"), _) => json!([example(document, &schema["items"])]),
        (Some("integer"), _) => schema.get("minimum").cloned().unwrap_or(json!(1)),
        (Some("boolean"), _) => json!(true),
        (_, Some("uuid")) => json!("00000000-0000-8000-8000-000000000001"),
        (_, Some("date-time")) => json!("2026-01-01T00:00:00Z"),
        (_, Some("uri")) => json!("https://example.org/hook"),
        (Some(_), _) => json!("text"),
    }
}

async fn call(api: &Api, operation: &Operation) -> tessera_tests::Reply {
    let key = fresh_key().to_string();
    let mut headers = vec![("idempotency-key", key.as_str())];
    let mut bytes = String::new();
    if let Some(body) = &operation.body {
        headers.push(("content-type", "application/json"));
        bytes = body.to_string();
    }
    api.send(operation.method.clone(), &operation.path, &headers, bytes.into()).await.unwrap()
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

/// Generated from the document, so that a route nobody thought of is tried too.
#[tokio::test]
async fn every_route_refuses_strangers_and_keys_that_may_not() {
    let app = TestApp::start();
    let stranger = app.api().with_key("");
    let machines = Scope::ALL.into_iter().filter(|scope| !scope.is_of_people());
    let clients: Vec<(Scope, Api)> = machines.map(|scope| (scope, app.world.client(&[scope]))).collect();
    let operations = operations();
    assert!(operations.len() >= 20, "the document lists the API");
    for operation in operations.iter().filter(|operation| !OPEN.iter().any(|open| operation.path.starts_with(open))) {
        let at = format!("{} {}", operation.method, operation.path);
        let reply = call(&stranger, operation).await;
        assert_eq!((reply.status, reply.code().as_str()), (401, "unauthenticated"), "{at}, no key: {}", reply.json());
        let mut fitting = Vec::new();
        let mut required = BTreeSet::new();
        for (scope, client) in &clients {
            let reply = call(client, operation).await;
            assert_ne!(reply.status, 401, "{at}");
            assert!(reply.status < 500, "{at}, {scope}: {}", reply.json());
            if reply.status == 403 {
                let problem = reply.expect_problem(403, "scope-missing");
                required.insert(problem["scope"].as_str().unwrap().to_owned());
            } else {
                fitting.push(*scope);
            }
        }
        let required: Vec<String> = required.into_iter().collect();
        assert_eq!(required.len(), 1, "{at}: one scope opens it, and the refusal names it");
        let scope = required[0].parse::<Scope>().unwrap();
        let stand_for_it = clients.iter().map(|(one, _)| one).filter(|one| one.stands_for(scope));
        let expected: BTreeSet<String> = stand_for_it.map(ToString::to_string).collect();
        assert_eq!(fitting.iter().map(ToString::to_string).collect::<BTreeSet<_>>(), expected, "{at}");
    }
}

/// Every route of the document is served, and nothing is served that the document does not have.
#[tokio::test]
async fn an_address_that_is_none_says_so() {
    let app = TestApp::start();
    app.api().get("/v1/nothing").await.expect_problem(404, "not-found");
    let wrong = app.api().send(Method::DELETE, "/v1/payments", &[], hyper::body::Bytes::new()).await.unwrap();
    wrong.expect_problem(405, "method-not-allowed");
}
