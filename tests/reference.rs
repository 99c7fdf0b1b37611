//! The API reference that a node serves, and the collection of requests: whole, offline, and true.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use hyper::Method;
use hyper::body::Bytes;
use serde_json::Value;
use tessera_tests::{Reply, TestApp, fresh_key};
use wallet_api::platform::http::reference::collection;

/// Requests of the collection that a fresh tenant cannot answer with a success, and what it says instead.
const REFUSED: &[(&str, u16)] = &[
    ("list_hook_attempts", 404),
    // What is a person's own, asked for with a machine's key.
    ("list_sessions", 403),
    ("end_session", 403),
    ("list_devices", 403),
    ("revoke_device", 403),
    ("rename_device", 403),
    ("list_passkeys", 403),
    ("begin_passkey", 403),
    ("add_passkey", 403),
    ("rename_passkey", 404),
    ("revoke_passkey", 404),
    ("list_contacts", 403),
    ("begin_contact", 403),
    ("add_contact", 403),
    ("end_contact", 403),
    ("ask_own_payment", 403),
    ("approve_own_payment", 403),
    ("list_own_payments", 403),
    ("get_own_payment", 403),
    ("get_own_evidence", 403),
    ("refresh_session", 401),
    // There is no such tenant where the collection is sent.
    ("begin_sign_up", 404),
    ("prove_sign_up", 404),
    ("finish_sign_up", 422),
    ("begin_sign_in", 404),
    ("finish_sign_in", 404),
    ("begin_recovery", 404),
    ("prove_recovery", 404),
    ("finish_recovery", 422),
    ("my_limits", 403),
    ("list_my_consents", 403),
    ("say_consent", 403),
    ("export_me", 403),
    ("erase_me", 403),
    // The collection's customer has not signed up.
    ("set_level", 404),
    ("list_looks", 403),
    // What is an operator's own; and there is no such tenant where the collection is sent.
    ("get_operator", 403),
    ("end_operator_session", 403),
    ("break_glass", 403),
    ("begin_operator_sign_up", 404),
    ("finish_operator_sign_up", 404),
    ("begin_operator_sign_in", 404),
    ("finish_operator_sign_in", 404),
    ("sign_in_by_password", 404),
    ("set_password", 403),
    ("end_password", 403),
    // Nobody asked for anything that takes four eyes, and the collection's customer has no wallet of their own.
    ("get_approval", 404),
    ("approve", 404),
    ("reject", 404),
    ("get_request", 404),
    ("get_event_type", 404),
    ("get_hook_replay", 404),
    ("replay_hook_delivery", 404),
    ("cancel_hook_replay", 404),
    // Both accounts are the same nobody's; a transaction's place is a number, and none is made to stand here.
    ("post_transactions", 422),
    ("get_transaction", 404),
    // So are an adjustment's, and nothing is held.
    ("propose_adjustment", 422),
    ("get_adjustment", 404),
    ("approve_adjustment", 404),
    ("reject_adjustment", 404),
    ("get_hold", 404),
    // The collection's payment clears at once.
    ("capture_payment", 409),
    ("void_payment", 409),
];

/// Requests that are answered once the sealer has come, and say that they are not known until then.
const SEALED_SOON: &[&str] = &["get_head", "get_latest_head", "get_consistency", "get_inclusion", "get_receipt"];

/// Where the collection has hooks go.
const RECEIVER: &str = "https://example.com/hooks/tessera";

fn document() -> Value {
    serde_json::to_value(wallet_api::app::openapi()).unwrap()
}

/// The values of an attribute in a page.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let marker = format!(" {name}=\"");
    page.split(&marker).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[tokio::test]
async fn the_page_shows_every_operation_and_schema_and_asks_nobody_else_for_anything() {
    let app = TestApp::start();
    let stranger = app.api().with_key("");
    for (path, lang, word) in [("/docs", "en", "Operations"), ("/docs?lang=it", "it", "Operazioni")] {
        let reply = stranger.get(path).await;
        assert_eq!(reply.status, 200);
        let header = |name: &str| reply.headers[name].to_str().unwrap();
        assert_eq!((header("content-type"), header("content-language")), ("text/html; charset=utf-8", lang));
        assert!(header("content-security-policy").starts_with("default-src 'none'; style-src 'self';"));
        let page = String::from_utf8(reply.bytes.to_vec()).unwrap();
        assert!(page.contains(&format!("<html lang=\"{lang}\">")) && page.contains(word), "in {lang}");
        assert!(
            !page.contains("<script")
                && !page.contains(" style=\"")
                && !page.contains(" onclick")
                && !page.contains(" onload"),
            "no inline anything"
        );
        let ids: BTreeSet<&str> = attributes(&page, "id").into_iter().collect();
        assert_eq!(ids.len(), attributes(&page, "id").len(), "no id twice");
        for link in attributes(&page, "href") {
            match link.strip_prefix('#') {
                Some(anchor) => assert!(ids.contains(anchor), "{link} leads nowhere"),
                None => assert_eq!(stranger.get(link).await.status, 200, "{link} is ours"),
            }
        }
        let document = document();
        let operations =
            document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
        let operations: Vec<String> =
            operations.map(|one| format!("op-{}", one["operationId"].as_str().unwrap())).collect();
        let schemas =
            document["components"]["schemas"].as_object().unwrap().keys().map(|name| format!("schema-{name}"));
        for anchor in operations.into_iter().chain(schemas) {
            assert!(ids.contains(anchor.as_str()), "{anchor} is not on the page");
        }
    }
    let mut accepts = stranger.clone();
    accepts.lang = "it";
    assert_eq!(accepts.get("/docs").await.headers["content-language"], "it");
}

/// `UPDATE_OPENAPI=1 cargo test -p tessera-tests reference` writes it anew.
#[test]
fn the_collection_checked_in_is_the_one_the_code_writes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/wallet.http");
    let written = collection(&document());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, &written).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == stored,
        "openapi/wallet.http is old: run UPDATE_OPENAPI=1 cargo test -p tessera-tests reference"
    );
}

/// A request of a .http file.
struct Request {
    name: String,
    method: Method,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
    /// What is set from its answer: variable, then where in the answer.
    sets: Vec<(String, String)>,
}

/// The variables before the first request, and the requests.
fn parse(text: &str) -> (BTreeMap<String, String>, Vec<Request>) {
    let mut parts = text.split("\n### ");
    let variable = |line: &str| {
        let (name, value) = line.strip_prefix('@')?.split_once(" = ")?;
        Some((name.to_owned(), value.to_owned()))
    };
    let variables = parts.next().unwrap().lines().filter_map(variable).collect();
    let request = |part: &str| {
        let mut lines = part.lines().skip(1).peekable();
        let name = lines.next().unwrap().strip_prefix("# @name ").unwrap().to_owned();
        let (method, url) = lines.next().unwrap().split_once(' ').unwrap();
        let headers: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let (sets, body): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with('@'));
        let header = |line: &&str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        Request {
            name,
            method: method.parse().unwrap(),
            url: url.to_owned(),
            headers: headers.iter().filter_map(header).collect(),
            body: body.join("\n").trim().to_owned(),
            sets: sets.into_iter().filter_map(variable).collect(),
        }
    };
    (variables, parts.map(request).collect())
}

fn filled(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut text = text.replace("{{$guid}}", &fresh_key().to_string());
    for (name, value) in variables {
        text = text.replace(&format!("{{{{{name}}}}}"), value);
    }
    assert!(!text.contains("{{"), "nobody says what this is: {text}");
    text
}

/// Sends the whole collection, top to bottom, as an editor would.
#[tokio::test]
async fn every_request_of_the_collection_is_sent_and_answered_as_it_should_be() {
    let app = TestApp::start();
    let (api, stranger) = (app.api(), app.api().with_key(""));
    // Whoever is named there may not exist where the tests run: a listener of ours stands in.
    let receiver = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let here = format!("http://{}/hooks", receiver.local_addr().unwrap());
    let text = collection(&document());
    assert!(text.contains(RECEIVER));
    let (mut variables, requests) = parse(&text.replace(RECEIVER, &here));
    variables.insert("base".into(), String::new());
    variables.insert("key".into(), api.key.clone());
    let mut wrong = Vec::new();
    assert!(requests.len() >= 20, "{}", requests.len());
    for request in requests {
        let reply: Reply = {
            let (url, body) = (filled(&request.url, &variables), filled(&request.body, &variables));
            let headers = request.headers.iter().map(|(name, value)| (name.as_str(), filled(value, &variables)));
            let headers: Vec<(&str, String)> = headers.collect();
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            stranger.send(request.method, &url, &headers, Bytes::from(body)).await.unwrap()
        };
        let said = String::from_utf8_lossy(&reply.bytes).into_owned();
        let refusal = REFUSED.iter().find(|(name, _)| *name == request.name);
        let fits = refusal.map_or((200..300).contains(&reply.status), |(_, status)| reply.status == *status);
        let fits = fits || (SEALED_SOON.contains(&request.name.as_str()) && reply.status == 404);
        if !fits {
            wrong.push(format!("{}: {} {said}", request.name, reply.status));
        }
        for (variable, from) in request.sets {
            assert_eq!(from, format!("{{{{{}.response.body.$.id}}}}", request.name));
            variables.insert(variable, reply.json()["id"].as_str().unwrap_or_default().to_owned());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    app.world.assert_whole();
}
