//! The HTTP edge: what every request passes before a route sees it, and what every answer passes before it leaves.
//!
//! An app is built as `App::new().wrap(from_fn(http::edge)).configure(http::common(ready))`, with `web::Data<Platform>`.
//! Promise: every answer has an `x-request-id`; every refusal is an RFC 9457 problem in the language of the request; a
//! request takes at most [`RequestDeadline`], its body at most [`BodyLimit`], its headers [`HEADER_BYTES`] in at most 96
//! fields (actix's parser holds no more, and refuses those, and what is no HTTP, without words). The log has one line per request: route pattern and numbers, never paths, queries,
//! bodies or tokens. Not here: TLS and HSTS (the proxy in front), compression, how much is too much (`limits`), time to *send* headers
//! (`HttpServer::client_request_timeout`).

mod allow;
mod body;
pub mod contract;
mod cursor;
mod edge;
mod idempotency;
pub mod reference;

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use futures_util::future::{LocalBoxFuture, Ready, ready};
use serde_json::json;

pub use allow::Methods;
pub use body::{BodyLimit, Json, JsonBytes, read_json, read_object};
pub use cursor::{Cursor, Page, PageQuery, halves, whole};
pub use edge::edge;
pub use idempotency::{IdempotencyKey, fingerprint};

use super::problem::Problem;
use super::text::Lang;

/// Longest time from a request's headers to its answer, for the whole app: put another one into its `app_data`.
#[derive(Debug, Clone, Copy)]
pub struct RequestDeadline(pub Duration);

impl Default for RequestDeadline {
    fn default() -> Self {
        Self(Duration::from_secs(10))
    }
}

/// Most bytes that the names and values of a request's headers may have together.
pub const HEADER_BYTES: usize = 16 * 1024;

/// How refusals look below an address that people read.
#[derive(Clone, Copy)]
pub struct Face {
    /// The addresses that begin with this.
    pub below: &'static str,
    /// The language of a request there.
    pub language: fn(&header::HeaderMap) -> Lang,
    /// The refusal as they read it.
    pub write: fn(&Problem, Lang) -> HttpResponse,
}

/// Where people read. Put it into the app's data as it is.
#[derive(Clone, Copy)]
pub struct Faces(pub &'static [Face]);

/// Says whether this node should get requests: `Ok`, or the problem that `/readyz` answers.
pub type ReadyCheck = Arc<dyn Fn() -> LocalBoxFuture<'static, Result<(), Problem>> + Send + Sync>;

/// The routes that every node has: `/livez`, `/readyz`, and a problem for all that is not there.
pub fn common(ready: ReadyCheck) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config
            .app_data(web::Data::new(Readiness(ready)))
            .route("/livez", web::get().to(livez))
            .route("/readyz", web::get().to(readyz))
            .default_service(web::to(nothing_here));
    }
}

struct Readiness(ReadyCheck);

/// Alive: the process answers. Says nothing about the database, so that nobody restarts us for its sake.
async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

/// Ready: requests may come.
async fn readyz(readiness: web::Data<Readiness>) -> Result<HttpResponse, Problem> {
    (readiness.0)().await?;
    Ok(HttpResponse::Ok().json(json!({"status": "ready"})))
}

/// Routes made by attribute macros guard the whole resource, so a wrong method ends up here too.
async fn nothing_here(req: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(if req.resource_map().has_resource(req.path()) { method_not_allowed() } else { not_found() })
}

/// 404: there is nothing at this address, or nothing that the caller may see.
#[must_use]
pub fn not_found() -> Problem {
    Problem::new(404, "not-found", "There is nothing here", "Check the address and the id in it.")
}

fn method_not_allowed() -> Problem {
    Problem::new(405, "method-not-allowed", "This cannot be done here", "Check the method against the documentation.")
}

/// The language the request asks for; English when it names none of ours.
fn language(headers: &header::HeaderMap) -> Lang {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    accepted.map_or_else(Lang::default, Lang::from_header)
}

impl FromRequest for Lang {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(language(req.headers())))
    }
}

#[cfg(test)]
mod tests;
