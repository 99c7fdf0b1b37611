use actix_web::http::{Method, StatusCode};
use actix_web::middleware::from_fn;
use actix_web::{App, test as http};
use serde_json::{Value, json};

use super::*;
use crate::identity;
use crate::platform::audit::Actor;
use crate::platform::clock::Clock;
use crate::platform::db::Db;
use crate::platform::http::edge;
use crate::platform::ids::Ids;
use crate::platform::keyring::Keyring;
use crate::platform::scratch::Scratch;
use crate::platform::text::Lang;
use crate::platform::vault::Vault;

/// Two tenants, each with keys.
struct World {
    platform: Platform,
    policy: Policy,
    scratch: Scratch,
}

impl World {
    fn new() -> Self {
        let scratch = Scratch::migrated();
        let (db, clock) = (Db::open(&scratch.url, 4).unwrap(), Clock::System);
        let keyring = Keyring::new(db.clone(), clock.clone(), identity::directory());
        let platform = Platform {
            db,
            history: ledger::History::default(),
            clock,
            ids: Ids::system(),
            keyring,
            vault: Vault::closed(),
        };
        let policy = Policy { allow_private: true, allow_http: true, own: Vec::new() };
        Self { platform, policy, scratch }
    }

    fn key(&self, slug: &str, scopes: &[Scope]) -> String {
        let (mut conn, now) = (self.scratch.connect(), self.platform.clock.now());
        let (slug, name, zone) = (slug.to_owned(), "A company".to_owned(), chrono_tz::Europe::Rome);
        let wish = identity::NewTenant { slug: slug.clone(), name, sandbox: true, zone, locale: Lang::En };
        let tenant = identity::create_tenant(&mut conn, &self.platform.ids, now, Actor::Operator, &wish)
            .or_else(|_taken| identity::tenant_by_slug(&mut conn, &slug))
            .unwrap();
        let wish = identity::NewKey { tenant: tenant.id, name: "k".to_owned(), scopes: scopes.to_vec(), client: None };
        let made = identity::create_key(&mut conn, &self.platform.ids, now, Actor::Operator, &wish).unwrap();
        made.key.reveal().to_owned()
    }

    async fn ask(&self, method: Method, path: &str, key: &str, body: Option<Value>) -> (StatusCode, Value) {
        let app = App::new()
            .app_data(web::Data::new(self.platform.clone()))
            .app_data(web::Data::new(self.policy.clone()))
            .wrap(from_fn(edge))
            .configure(|config| routes(&mut ServiceConfig::new(config)));
        let app = http::init_service(app).await;
        let mut request = http::TestRequest::with_uri(path).method(method);
        request = request.insert_header(("authorization", format!("Bearer {key}")));
        if let Some(body) = body {
            request = request.set_json(body);
        }
        let response = match http::try_call_service(&app, request.to_request()).await {
            Ok(response) => response.into_parts().1.map_into_boxed_body(),
            Err(error) => HttpResponse::from_error(error),
        };
        let status = response.status();
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap_or_default();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str, key: &str) -> (StatusCode, Value) {
        self.ask(Method::GET, path, key, None).await
    }

    async fn add(&self, key: &str, url: &str) -> (StatusCode, Value) {
        let body = json!({"url": url, "event_types": ["payment.cleared.v1"]});
        self.ask(Method::POST, "/v1/hook-endpoints", key, Some(body)).await
    }
}

const URL: &str = "http://127.0.0.1:9/hooks";

#[actix_web::test]
async fn an_endpoint_is_added_seen_listed_and_disabled_and_its_secret_is_shown_once() {
    let world = World::new();
    let key = world.key("acea", &[Scope::HooksWrite, Scope::HooksRead]);
    let (status, added) = world.add(&key, URL).await;
    assert_eq!(status, 201, "{added}");
    let secret = Secret::parse(added["secret"].as_str().unwrap()).unwrap();
    let path = format!("/v1/hook-endpoints/{}", added["id"].as_str().unwrap());
    let (status, seen) = world.get(&path, &key).await;
    assert_eq!((status, seen.get("secret")), (StatusCode::OK, None));
    assert_eq!((&seen["url"], &seen["event_types"]), (&json!(URL), &json!(["payment.cleared.v1"])));
    assert!(!seen.to_string().contains(&secret.reveal()));
    for _ in 0..2 {
        assert_eq!(world.ask(Method::DELETE, &path, &key, None).await.0, 204, "again changes nothing");
    }
    let (_, list) = world.get("/v1/hook-endpoints", &key).await;
    assert_eq!(list["items"][0]["disabled_reason"], "requested");
    assert!(!list.to_string().contains("whsec_"));
}

#[actix_web::test]
async fn pages_of_endpoints_hold_each_of_them_once() {
    let world = World::new();
    let key = world.key("acea", &[Scope::Admin]);
    let mut added = Vec::new();
    for _ in 0..5 {
        added.push(world.add(&key, URL).await.1["id"].clone());
    }
    let (mut seen, mut path) = (Vec::new(), "/v1/hook-endpoints?limit=2".to_owned());
    loop {
        let (status, page) = world.get(&path, &key).await;
        assert_eq!(status, 200, "{page}");
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/hook-endpoints?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, added, "and in the order they were added");
}

#[actix_web::test]
async fn an_address_the_guard_refuses_is_refused_with_the_reason() {
    let world = World { policy: Policy::default(), ..World::new() };
    let key = world.key("acea", &[Scope::HooksWrite]);
    for (url, code) in [
        ("http://example.com/", "not-https"),
        ("https://127.0.0.1/", "not-public"),
        ("https://169.254.169.254/latest", "not-public"),
        ("https://0x7f.1/", "disguised-host"),
        ("https://u:p@example.com/", "user-info"),
        ("https://example.com:22/", "port"),
        ("ftp://example.com/", "not-https"),
        ("not a url", "malformed"),
        ("https://no-such-name.invalid/", "unresolved"),
    ] {
        let (status, body) = world.add(&key, url).await;
        assert_eq!((status.as_u16(), &body["code"]), (422, &json!("endpoint-refused")), "{url}: {body}");
        let error = &body["errors"][0];
        assert_eq!((&error["pointer"], &error["code"]), (&json!("/url"), &json!(code)), "{url}");
    }
    let types = json!({"url": "https://example.com/", "event_types": ["Payment"]});
    let (status, body) = world.ask(Method::POST, "/v1/hook-endpoints", &key, Some(types)).await;
    assert_eq!((status.as_u16(), &body["errors"][0]["pointer"]), (422, &json!("/event_types")));
}

#[actix_web::test]
async fn no_one_comes_in_without_the_scope() {
    let world = World::new();
    let (write, read) = (world.key("acea", &[Scope::HooksWrite]), world.key("acea", &[Scope::HooksRead]));
    let (_, added) = world.add(&write, URL).await;
    let path = format!("/v1/hook-endpoints/{}", added["id"].as_str().unwrap());
    let deliveries = format!("{path}/deliveries");
    let attempts = format!("{deliveries}/0000000000000000001.0000/attempts");
    assert_eq!(world.add(&read, URL).await.0, 403);
    assert_eq!(world.ask(Method::DELETE, &path, &read, None).await.0, 403);
    for path in ["/v1/hook-endpoints", &path, &deliveries, &attempts] {
        assert_eq!(world.get(path, &write).await.0, 403, "{path}");
        assert_eq!(world.get(path, "tsk_none").await.0, 401, "{path}");
    }
}

#[actix_web::test]
async fn no_tenant_sees_or_disables_anothers_endpoint() {
    let world = World::new();
    let (ours, theirs) = (world.key("acea", &[Scope::Admin]), world.key("enel", &[Scope::Admin]));
    let (_, added) = world.add(&theirs, URL).await;
    let path = format!("/v1/hook-endpoints/{}", added["id"].as_str().unwrap());
    assert_eq!(world.get(&path, &ours).await.0, 404);
    assert_eq!(world.get(&format!("{path}/deliveries"), &ours).await.0, 404);
    assert_eq!(world.ask(Method::DELETE, &path, &ours, None).await.0, 404);
    assert_eq!(world.get("/v1/hook-endpoints", &ours).await.1["items"], json!([]));
    assert_eq!(world.get(&path, &theirs).await.1["disabled_at"], Value::Null);
}

#[actix_web::test]
async fn deliveries_are_listed_newest_first_by_status_with_their_attempts() {
    use chrono::TimeDelta;
    use store::bulk::{self, NewDelivery, NewEvent, Outcome, Place};

    let world = World::new();
    let key = world.key("acea", &[Scope::Admin]);
    let (_, added) = world.add(&key, URL).await;
    let endpoint: Uuid = added["id"].as_str().unwrap().parse().unwrap();
    let (mut conn, now) = (world.scratch.connect(), world.platform.clock.now());
    let tenant = identity::tenant_by_slug(&mut conn, "acea").unwrap().id;
    let place = |seq| Place { tenant, endpoint, seq, ordinal: 0 };
    for seq in 1..=3 {
        let event = NewEvent {
            seq,
            ordinal: 0,
            id: Uuid::from_u128(9),
            kind: "payment.cleared.v1",
            body: b"{}",
            depth: 0,
            created_at: now,
        };
        bulk::insert_events(&mut conn, tenant, &[event]).unwrap();
        let (status, next_at) = (DeliveryStatus::Pending, Some(now));
        bulk::insert_deliveries(
            &mut conn,
            &[NewDelivery { place: place(seq), status, attempts: 0, next_at, turn: None }],
        )
        .unwrap();
    }
    let failed = Outcome {
        place: place(2),
        attempt: 1,
        at: now,
        http_status: Some(500),
        reason: Some("status"),
        duration_ms: 12,
        response: Some("no".to_owned()),
        status: DeliveryStatus::Pending,
        next_at: Some(now + TimeDelta::seconds(5)),
        turn: None,
    };
    let (status, next_at) = (DeliveryStatus::Failed, None);
    let last = Outcome {
        attempt: 2,
        http_status: None,
        reason: Some("timeout"),
        response: None,
        status,
        next_at,
        ..failed.clone()
    };
    for outcome in [&failed, &failed, &last] {
        bulk::settle(&mut conn, &[outcome]).unwrap();
    }
    let path = format!("/v1/hook-endpoints/{endpoint}/deliveries");
    let sequences = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["sequence"].as_str().unwrap().to_owned()).collect()
    };
    let (_, first) = world.get(&format!("{path}?limit=2"), &key).await;
    assert_eq!(sequences(&first), [sequence(3, 0), sequence(2, 0)]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let (_, second) = world.get(&format!("{path}?limit=2&cursor={cursor}"), &key).await;
    assert_eq!((sequences(&second), &second["next_cursor"]), (vec![sequence(1, 0)], &Value::Null));
    let (status, _) = world.get(&format!("{path}?status=failed&cursor={cursor}"), &key).await;
    assert_eq!(status, 400, "a cursor belongs to its filter");
    let (_, failed) = world.get(&format!("{path}?status=failed"), &key).await;
    assert_eq!(sequences(&failed), [sequence(2, 0)]);
    assert_eq!(failed["items"][0]["attempts"], 2, "the same attempt twice counts once");
    let (_, attempts) = world.get(&format!("{path}/{}/attempts", sequence(2, 0)), &key).await;
    let reasons: Vec<_> = attempts["items"].as_array().unwrap().iter().map(|made| made["reason"].clone()).collect();
    assert_eq!(reasons, ["status", "timeout"]);
    for nowhere in [sequence(4, 0), "2".to_owned()] {
        assert_eq!(world.get(&format!("{path}/{nowhere}/attempts"), &key).await.0, 404, "{nowhere}");
    }
}
