use actix_web::http::header::{HeaderName, HeaderValue};

use super::*;

#[test]
fn a_request_that_a_proxy_passed_on_is_not_a_local_one() {
    let with = |name: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("203.0.113.9"));
        is_passed_on(&headers)
    };
    assert!(PASSED_ON.iter().all(|name| with(name)));
    assert!(!with("x-request-id"));
}
