use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::{App, FromRequest, HttpResponse, test as http, web};
use chrono_tz::Europe::Rome;

use super::*;
use crate::platform::http::edge;
use crate::platform::keyring::{Actor, Tenant, TenantSecret};
use crate::platform::text::Lang;

const CLASSES: Classes = &[("POST", "/pay", Class::Money)];

fn limits(policy: &str) -> Limits {
    Limits::new(policy.parse().unwrap(), CLASSES, Arc::new(Writer::default))
}

/// A caller by a header, so that no directory is needed: `tenant/client`.
struct Somebody;

impl FromRequest for Somebody {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        let who = req.headers().get("who").unwrap().to_str().unwrap();
        let (id, client) = who.split_once('/').map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap())).unwrap();
        let secret = TenantSecret::new(&[1; 32]);
        let (slug, name) = (String::new(), String::new());
        let tenant = Arc::new(Tenant { id, slug, name, sandbox: true, zone: Rome, locale: Lang::It, secret });
        let caller = Caller::new(tenant, Actor::Client(client), []);
        std::future::ready(charge(req, &caller).map(|()| Self))
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).unwrap().to_str().unwrap()
}

async fn ask(limits: &Limits, method: &str, path: &str, who: &str) -> (StatusCode, HeaderMap, serde_json::Value) {
    let ok = async |_: Somebody| HttpResponse::Ok().body(may_wait_behind_money().to_string());
    let app = App::new().app_data(web::Data::new(limits.clone())).wrap(from_fn(edge));
    let app = app.route("/pay", web::post().to(ok)).route("/see", web::get().to(ok)).route("/livez", web::get().to(ok));
    let app = http::init_service(app).await;
    let request = http::TestRequest::default().method(method.parse().unwrap()).uri(path).insert_header(("who", who));
    let response = match http::try_call_service(&app, request.to_request()).await {
        Ok(response) => response.into_parts().1.map_into_boxed_body(),
        Err(error) => HttpResponse::from_error(error),
    };
    let (status, headers) = (response.status(), response.headers().clone());
    let body = actix_web::body::to_bytes(response.into_body()).await.unwrap_or_default();
    (status, headers, serde_json::from_slice(&body).unwrap_or_default())
}

async fn status(limits: &Limits, method: &str, path: &str, who: &str) -> u16 {
    ask(limits, method, path, who).await.0.as_u16()
}

#[actix_web::test]
async fn who_asks_too_much_is_told_when_to_come_back_and_nobody_else_is() {
    let limits = limits("money=1:2,tenant.money=1:3");
    let (ok, headers, _) = ask(&limits, "POST", "/pay", "1/1").await;
    assert_eq!((ok.as_u16(), header(&headers, "ratelimit")), (200, "\"money\";r=1;t=1"));
    assert_eq!(status(&limits, "POST", "/pay", "1/1").await, 200);
    let (refused, headers, problem) = ask(&limits, "POST", "/pay", "1/1").await;
    assert_eq!((refused.as_u16(), &problem["code"], &problem["class"]), (429, &"rate-limited".into(), &"money".into()));
    assert_eq!(header(&headers, "retry-after"), "1");
    assert_eq!(header(&headers, "ratelimit-policy"), "\"money\";q=2;w=2");
    assert_eq!(header(&headers, "ratelimit"), "\"money\";r=0;t=2");
    assert_eq!(status(&limits, "GET", "/see", "1/1").await, 200, "another class");
    assert_eq!(status(&limits, "POST", "/pay", "2/1").await, 200, "another tenant");
    assert_eq!(status(&limits, "POST", "/pay", "1/2").await, 200, "another client, the tenant's last token");
    let (refused, headers, _) = ask(&limits, "POST", "/pay", "1/2").await;
    assert_eq!((refused.as_u16(), header(&headers, "ratelimit-policy")), (429, "\"money\";q=3;w=3"));
    assert_eq!(limits.counts(), Counts { in_hand: 0, rate_limited: 2, shed: PerClass::default() });
}

#[actix_web::test]
async fn off_is_off_health_is_free_and_an_app_without_limits_has_none() {
    let (off, tight) = (limits("off"), limits("read=1,at-once.read=1"));
    for _ in 0..3 {
        assert_eq!(status(&off, "GET", "/see", "1/1").await, 200);
        assert_eq!(status(&tight, "GET", "/livez", "1/1").await, 200);
    }
    assert_eq!(status(&tight, "GET", "/see", "1/1").await, 200);
    assert_eq!(status(&tight, "GET", "/see", "1/1").await, 429);
    assert!(!ask(&limits("default"), "GET", "/see", "1/1").await.1.contains_key("ratelimit"), "there is plenty left");
}

#[actix_web::test]
async fn a_queue_that_stands_turns_requests_away_with_the_words_for_it() {
    let standing = Limits::new(Policy::default(), CLASSES, Arc::new(|| Writer { queued: 9, ..Writer::default() }));
    let standing = standing.with_policy("patience-ms=1".parse().unwrap());
    assert_eq!(status(&standing, "POST", "/pay", "1/1").await, 200, "nothing is known yet");
    actix_web::rt::time::sleep(load::LOOK_EVERY * 2).await;
    let (refused, headers, problem) = ask(&standing, "POST", "/pay", "1/1").await;
    assert_eq!((refused.as_u16(), problem["code"].as_str()), (503, Some("overloaded")));
    assert_eq!(header(&headers, "retry-after"), "1");
    assert_eq!(status(&standing, "GET", "/livez", "1/1").await, 200);
    assert_eq!((standing.counts().shed.money, standing.counts().in_hand), (1, 0));
}

#[actix_web::test]
async fn what_a_request_awaits_knows_whether_money_goes_before_it() {
    let limits = limits("default");
    assert_eq!(ask(&limits, "POST", "/pay", "1/1").await.2, false);
    assert_eq!(ask(&limits, "GET", "/see", "1/1").await.2, true);
    assert_eq!(ask(&limits, "GET", "/livez", "1/1").await.2, false);
    assert!(!may_wait_behind_money(), "and what is no request goes as before");
}
