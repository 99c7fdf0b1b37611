//! The OpenAPI document that is checked in is the one the code writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// `UPDATE_OPENAPI=1 cargo test -p tessera-tests openapi` writes it anew.
#[test]
fn the_document_checked_in_is_the_one_the_code_writes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/wallet.yaml");
    let written = wallet_api::app::openapi().to_yaml().unwrap();
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &written).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    let differs = written.lines().zip(stored.lines()).position(|(new, old)| new != old);
    let line = differs.unwrap_or_else(|| written.lines().count().min(stored.lines().count()));
    assert!(
        written == stored,
        "openapi/wallet.yaml is not what the code writes, from line {}: run UPDATE_OPENAPI=1 cargo test -p tessera-tests openapi\n\
         code:   {:?}\nstored: {:?}",
        line + 1,
        written.lines().nth(line),
        stored.lines().nth(line),
    );
}

/// Whoever comes here has no token yet, or one that is over.
const OPEN: [&str; 14] = [
    "post /v1/sessions/refresh",
    "post /v1/sign-ups",
    "post /v1/sign-ups/{id}/code",
    "post /v1/sign-ups/{id}/passkey",
    "post /v1/sign-ins",
    "post /v1/sign-ins/{id}",
    "post /v1/recoveries",
    "post /v1/recoveries/{id}/code",
    "post /v1/recoveries/{id}/passkey",
    "post /v1/operator-sign-ups",
    "post /v1/operator-sign-ups/{id}",
    "post /v1/operator-sign-ins",
    "post /v1/operator-password-sign-ins",
    "post /v1/operator-sign-ins/{id}",
];

/// What clients build on: every operation says what it answers, and every money-moving POST names its key.
#[test]
fn the_document_says_what_clients_need() {
    let document = serde_json::to_value(wallet_api::app::openapi()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let at = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{at}: the id is taken");
            assert!(operation["summary"].is_string(), "{at}: no summary");
            assert!(operation["responses"].get("4XX").is_some(), "{at}: no refusal");
            let scope = &operation["security"][0]["key"][0];
            assert_eq!(scope.is_string(), !OPEN.contains(&at.as_str()), "{at}: {scope}");
        }
    }
}

/// Places in a schema, and in what it names, where an object with members of its own takes any other member too.
fn left_open(document: &Value, at: &str, schema: &Value, seen: &mut BTreeSet<String>) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let is_new = seen.insert(name.to_owned());
        let named = document.pointer(name.trim_start_matches('#')).unwrap();
        return if is_new { left_open(document, name, named, seen) } else { Vec::new() };
    }
    let members = schema["properties"].as_object().into_iter().flatten();
    let mut found = Vec::new();
    if schema["properties"].is_object() && schema["additionalProperties"] != false {
        found.push(at.to_owned());
    }
    for (name, member) in members {
        found.extend(left_open(document, &format!("{at}/{name}"), member, seen));
    }
    let lists = ["oneOf", "anyOf", "allOf"].into_iter().filter_map(|name| schema[name].as_array()).flatten();
    for inner in lists.chain(schema.get("items")) {
        found.extend(left_open(document, at, inner, seen));
    }
    found
}

/// A member that nobody named is refused (T38), so the document must not allow it, however deep it stands.
#[test]
fn no_object_that_is_read_takes_members_that_the_document_does_not_name() {
    let document = serde_json::to_value(wallet_api::app::openapi()).unwrap();
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            found.extend(left_open(&document, &format!("{method} {path}"), schema, &mut seen));
        }
    }
    assert_eq!(found, Vec::<String>::new());
    assert!(seen.iter().any(|name| name.ends_with("/Keeps")), "{seen:?}");
}
