//! The OpenAPI document that is checked in is the one the code writes.

use std::fs;
use std::path::Path;

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
    let mut ids = std::collections::BTreeSet::new();
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
