//! The middleware around everything: request id, log line, limits, deadline, panics, language, security headers.

use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};
use futures_util::FutureExt;
use header::{HeaderMap, HeaderName, HeaderValue};
use tracing::Instrument;
use uuid::Uuid;

use super::{Face, Faces, HEADER_BYTES, RequestDeadline, allow, language, method_not_allowed, not_found};
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;
use crate::platform::limits::{self, Pass};
use crate::platform::metrics;
use crate::platform::patience;
use crate::platform::problem::Problem;
use crate::platform::text::Lang;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Sent with every answer that has none of its own of that name. An API answer is nothing to render, frame or keep.
const SECURITY: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Wraps an app: `App::new().wrap(from_fn(edge))`, outermost.
///
/// # Errors
/// Only with an answer that is complete: a problem, its id and its headers.
pub async fn edge(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let faces = req.app_data::<Faces>().map_or(&[][..], |faces| faces.0);
    let face = faces.iter().find(|face| req.path().starts_with(face.below)).copied();
    let lang = face.map_or_else(|| language(req.headers()), |face| (face.language)(req.headers()));
    let id = request_id(req.headers());
    let method = metrics::method_name(req.method());
    let route = req.match_pattern().unwrap_or_else(|| "-".to_owned());
    let span = tracing::info_span!(
        "request",
        request_id = id,
        method,
        route = route.as_str(),
        tenant = tracing::field::Empty,
        client = tracing::field::Empty,
    );
    let pass = span.in_scope(|| limits::enter(&req, &route));
    let answer = match pass {
        Ok(pass) => answer(req, next, pass).instrument(span.clone()).await,
        Err(problem) => Err(problem.into()),
    };
    let answer = match answer {
        Ok(response) => Ok(response.map_body(|_, body| body.boxed())),
        Err(error) => Err(HttpResponse::from_error(error)),
    };
    let status = answer.as_ref().map_or_else(HttpResponse::status, ServiceResponse::status);
    let took = started.elapsed();
    metrics::HTTP.answered(&route, method, status, took);
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::info!(status = status.as_u16(), took_us, "answered"));
    match answer {
        Ok(response) => {
            let (req, response) = response.into_parts();
            let mut response = finish(response, (lang, face), &id);
            limits::tell(&req, response.headers_mut());
            if status == StatusCode::METHOD_NOT_ALLOWED {
                allow::tell(&req, response.headers_mut());
            }
            Ok(ServiceResponse::new(req, response))
        }
        // The request went down with its handler, so the answer travels as an error that carries it.
        Err(response) => Err(InternalError::from_response("refused", finish(response, (lang, face), &id)).into()),
    }
}

/// The inner answer, within the deadline and whole even if a handler panics. The request is in hand until then.
async fn answer<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
    pass: Option<Pass>,
) -> Result<ServiceResponse<B>, Error> {
    if header_bytes(req.headers()) > HEADER_BYTES {
        let problem =
            Problem::new(431, "headers-too-large", "The headers are too large", "Send fewer or shorter ones.");
        return Err(problem.into());
    }
    let deadline = req.app_data::<RequestDeadline>().copied().unwrap_or_default();
    let inner = limits::scope(pass.as_ref().map(Pass::class), AssertUnwindSafe(next.call(req)).catch_unwind());
    let now = Instant::now();
    let inner = patience::until(now.checked_add(deadline.0).unwrap_or(now), inner);
    match tokio::time::timeout(deadline.0, inner).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_panic)) => Err(Problem::internal(&Panicked).into()), // its message was logged by the panic hook
        Err(_elapsed) => Err(too_slow().into()),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a handler panicked")]
struct Panicked;

fn too_slow() -> Problem {
    let remedy = "Repeat the request; if it changes something, with the same Idempotency-Key.";
    Problem::new(503, "deadline", "This took too long", remedy).retry_after(2)
}

/// Every refusal a problem in `lang`, or a page where people read it; every answer with its id and the security headers.
fn finish(mut response: HttpResponse, (lang, face): (Lang, Option<Face>), id: &str) -> HttpResponse {
    let problem = response.extensions_mut().remove::<Problem>();
    if let Some(problem) = problem.or_else(|| stand_in(&response)) {
        metrics::HTTP.refused(problem.code());
        response = face.map_or_else(|| problem.response(lang), |face| (face.write)(&problem, lang));
    }
    let headers = response.headers_mut();
    for (name, value) in SECURITY {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// The problem for a refusal that actix worded itself: a path or query it could not read, a method a resource lacks.
fn stand_in(response: &HttpResponse) -> Option<Problem> {
    let status = response.status();
    let is_actix = response.error().is_some() || !response.headers().contains_key(header::CONTENT_TYPE);
    if !is_actix || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    Some(match status {
        StatusCode::NOT_FOUND => not_found(),
        StatusCode::METHOD_NOT_ALLOWED => method_not_allowed(),
        status if status.is_client_error() => {
            let remedy = "Check its path, query and headers against the documentation.";
            Problem::new(status.as_u16(), "request-malformed", "The request cannot be read", remedy)
        }
        _ => match response.error() {
            Some(error) => Problem::internal(&Worded(error.to_string())),
            None => Problem::internal(&Worded(status.to_string())),
        },
    })
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Worded(String);

/// The caller's own id if it is a sane one (so that their log and ours meet), else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_sane = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    match given.filter(is_sane) {
        Some(id) => id.to_owned(),
        // Only for people reading logs: neither a seeded demo nor a manual clock should show in it.
        None => next_id(&STARTED_AT).to_string(),
    }
}

/// Where this process began to count requests: random, so that no two processes count the same.
static STARTED_AT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(Ids::system().random_u64()));

/// A UUID of version 7 whose tail is counted on: the system is asked for randomness once, not at every request.
fn next_id(count: &AtomicU64) -> Uuid {
    let count = count.fetch_add(1, Ordering::Relaxed);
    let mut tail = [0; 10];
    for (to, from) in tail.iter_mut().zip(count.to_be_bytes()) {
        *to = from;
    }
    let millis = u64::try_from(Clock::System.now().timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len())).fold(0, usize::saturating_add)
}
