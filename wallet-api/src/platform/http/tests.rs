use std::io::{Read, Write};
use std::net::TcpStream;

use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, get, post, test as http};
use serde::Deserialize;
use serde_json::Value;

use super::*;

const DEADLINE: Duration = Duration::from_millis(300);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Greeting {
    name: String,
}

#[post("/greet")]
async fn greet(body: Json<Greeting>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "hello": body.name }))
}

#[get("/refuse")]
async fn refuse() -> Result<HttpResponse, Problem> {
    Err(Problem::new(403, "scope-missing", "t", "d").with("scope", "admin"))
}

#[get("/panic")]
async fn panics() -> HttpResponse {
    panic!("secret")
}

#[get("/number/{n}")]
async fn number(n: web::Path<u8>, query: web::Query<PageQuery>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({ "n": *n, "limit": query.limit()? })))
}

#[get("/keyed")]
async fn keyed(_key: IdempotencyKey) -> HttpResponse {
    HttpResponse::NoContent().finish()
}

#[get("/slow")]
async fn slow() -> HttpResponse {
    tokio::time::sleep(DEADLINE * 20).await;
    HttpResponse::NoContent().finish()
}

fn routes(config: &mut web::ServiceConfig) {
    let ready: ReadyCheck = Arc::new(|| Box::pin(async { Err(Problem::new(503, "not-ready", "Not ready", "Wait.")) }));
    let small = web::resource("/small").app_data(BodyLimit(20)).route(web::post().to(async |_: Json<Value>| "ok"));
    config.service((greet, refuse, panics, number, keyed, slow, small)).configure(common(ready));
}

/// Status, headers and body of one request.
async fn ask(request: http::TestRequest) -> (StatusCode, header::HeaderMap, Value) {
    let app =
        http::init_service(App::new().app_data(RequestDeadline(DEADLINE)).wrap(from_fn(edge)).configure(routes)).await;
    let response = match http::try_call_service(&app, request.to_request()).await {
        Ok(response) => response.into_parts().1.map_into_boxed_body(),
        Err(error) => HttpResponse::from_error(error),
    };
    let (status, headers) = (response.status(), response.headers().clone());
    let body = actix_web::body::to_bytes(response.into_body()).await.unwrap_or_default();
    (status, headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn get(path: &str) -> http::TestRequest {
    http::TestRequest::get().uri(path)
}

async fn code(request: http::TestRequest) -> (u16, String) {
    let (status, headers, body) = ask(request).await;
    assert_eq!(headers.get("content-type").unwrap(), "application/problem+json", "{body}");
    assert!(headers.contains_key("x-request-id"));
    assert_eq!(body["type"], format!("/problems/{}", body["code"].as_str().unwrap()));
    assert_eq!(body["status"], status.as_u16());
    (status.as_u16(), body["code"].as_str().unwrap().to_owned())
}

#[actix_web::test]
async fn whatever_goes_wrong_is_a_problem_with_an_id() {
    let json = |path: &str, body: &'static str| {
        http::TestRequest::post().uri(path).insert_header(("content-type", "application/json")).set_payload(body)
    };
    for (request, status, expected) in [
        (get("/nowhere"), 404, "not-found"),
        (get("/greet"), 405, "method-not-allowed"),
        (get("/small"), 405, "method-not-allowed"),
        (get("/refuse"), 403, "scope-missing"),
        (get("/panic"), 500, "internal"),
        (get("/readyz"), 503, "not-ready"),
        (get("/number/256"), 404, "not-found"),
        (get("/number/1?limit=x"), 400, "request-malformed"),
        (get("/number/1?page=2"), 400, "request-malformed"),
        (get("/number/1?limit=101"), 400, "limit-invalid"),
        (get("/keyed"), 400, "idempotency-key-missing"),
        (get("/keyed").insert_header(("idempotency-key", "a b")), 400, "idempotency-key-invalid"),
        (
            get("/keyed").append_header(("idempotency-key", "a")).append_header(("idempotency-key", "b")),
            400,
            "idempotency-key-invalid",
        ),
        (http::TestRequest::post().uri("/greet").set_payload("{}"), 415, "media-type-unsupported"),
        (json("/greet", "{"), 400, "body-malformed"),
        (json("/greet", r#"{"name":"a","name":"b"}"#), 400, "body-malformed"),
        (json("/greet", r#"{"name":7}"#), 422, "body-invalid"),
        (json("/small", r#"{"name":"much too long for it"}"#), 413, "body-too-large"),
        (get("/livez").insert_header(("x-long", "x".repeat(HEADER_BYTES))), 431, "headers-too-large"),
    ] {
        assert_eq!(code(request).await, (status, expected.to_owned()));
    }
    assert_eq!(ask(json("/greet", r#"{"name":"Ada"}"#)).await.2, json!({"hello": "Ada"}));
    assert_eq!(ask(json("/small", r#"{"a":1}"#)).await.0, 200);
    assert_eq!(ask(get("/livez")).await.2, json!({"status": "alive"}));
}

#[actix_web::test]
async fn a_refusal_speaks_the_language_of_the_request() {
    let (_, headers, body) = ask(get("/refuse").insert_header(("accept-language", "it-IT, en;q=0.5"))).await;
    assert_eq!(headers.get("content-language").unwrap(), "it");
    assert_eq!(body["title"], "La chiave non consente questa operazione");
    assert_eq!(body["scope"], "admin");
    let (_, headers, body) = ask(get("/nowhere").insert_header(("accept-language", "it"))).await;
    assert_eq!(
        (headers.get("content-language").unwrap().to_str().unwrap(), body["title"].as_str().unwrap()),
        ("it", "Qui non c'è nulla")
    );
}

#[actix_web::test]
async fn a_sane_request_id_is_kept_and_any_other_is_replaced() {
    let id = async |given: &str| {
        let (_, headers, _) = ask(get("/livez").insert_header(("x-request-id", given))).await;
        headers.get("x-request-id").unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(id("till-7.A_b").await, "till-7.A_b");
    for insane in ["", "a b", "<script>", &"x".repeat(65)] {
        assert_ne!(id(insane).await, insane);
        assert_eq!(id(insane).await.len(), 36);
    }
}

#[actix_web::test]
async fn every_answer_carries_the_security_headers() {
    for path in ["/livez", "/panic", "/nowhere"] {
        let (_, headers, _) = ask(get(path)).await;
        for (name, value) in [("x-content-type-options", "nosniff"), ("cache-control", "no-store")] {
            assert_eq!(headers.get(name).unwrap(), value, "{path}");
        }
    }
}

#[actix_web::test]
async fn a_request_that_outlives_its_deadline_is_answered_503() {
    assert_eq!(code(get("/slow")).await, (503, "deadline".to_owned()));
}

/// Over a real socket: the answer that travels as an error arrives whole, and actix itself refuses too many headers.
#[actix_web::test]
async fn panics_and_too_many_headers_are_answered_over_the_wire() {
    let server = HttpServer::new(|| App::new().wrap(from_fn(edge)).configure(routes)).workers(1).disable_signals();
    let server = server.bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    let running = server.run();
    let handle = running.handle();
    actix_web::rt::spawn(running);
    let say = async move |head: String| {
        let exchange = move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            let mut answer = String::new();
            let _reset = stream.read_to_string(&mut answer);
            answer
        };
        web::block(exchange).await.unwrap()
    };
    let panicked = say("GET /panic HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_owned()).await;
    assert!(panicked.starts_with("HTTP/1.1 500") && panicked.contains("x-request-id: "), "{panicked}");
    assert!(panicked.contains(r#""code":"internal""#) && !panicked.contains("secret"), "{panicked}");
    let many = (0..101).map(|n| format!("x-{n}: 1\r\n")).collect::<String>();
    let refused = say(format!("GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{many}\r\n")).await;
    assert!(refused.starts_with("HTTP/1.1 4"), "{refused}");
    handle.stop(false).await;
}
