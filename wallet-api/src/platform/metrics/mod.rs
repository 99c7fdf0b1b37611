//! What this node does, in figures, for Prometheus: text format 0.0.4 at `/metrics`.
//!
//! Counting costs a request a few atomic additions: no lock, no memory once a series is there. A process is one node, so
//! what it counts is the process's ([`HTTP`], [`HOOKS`]). What can be asked when somebody looks is asked then: journal,
//! pools, operating system, and with one short database call leases, followers and hooks; when the database does not
//! answer, `tessera_database_up` is 0 and the rest is there.
//!
//! Labels are route patterns, stable codes, names of ours and numbers of journals, each bounded; none is a person, a
//! tenant's name, an address or an id that a caller chose.
//! Who may look: see [`get_metrics`]. Not here: traces, dashboards and alerts (`docs/operations/`).

mod counts;
mod exporter;
mod hooks;
mod process;
mod seals;
mod text;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

pub use counts::{HookCounts, HttpCounts, method_name};
pub use exporter::Exporter;
pub use hooks::{HookBacklog, HookLoad, HookView, LaneLoad};
pub use seals::SealCounts;

use super::http::not_found;
use super::problem::Problem;

/// What the HTTP edge answered.
pub static HTTP: HttpCounts = HttpCounts::new();

/// What became of hooks.
pub static HOOKS: HookCounts = HookCounts::new();

/// What the sealer did.
pub static SEALS: SealCounts = SealCounts::new();

/// Remembers when this process began; the first call counts.
pub fn began(at: chrono::DateTime<chrono::Utc>) {
    process::began(at);
}

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a proxy adds to a request that it passes on.
const PASSED_ON: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// The figures, beside the API: to callers on this machine only. Where the API listens on other addresses, or a proxy
/// passed the request on, there is nothing here, since an API key is one tenant's and the figures are everybody's.
///
/// # Errors
/// 404 to everybody else.
pub async fn get_metrics(req: HttpRequest, exporter: web::Data<Exporter>) -> Result<HttpResponse, Problem> {
    if !is_local(&req) {
        return Err(not_found());
    }
    Ok(get_metrics_anywhere(exporter).await)
}

/// The figures, to whoever reaches the address that the operator chose for them.
pub async fn get_metrics_anywhere(exporter: web::Data<Exporter>) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, TEXT_FORMAT)).body(exporter.text().await)
}

/// Whether a request came from this machine, for its own sake: to a socket that no other can reach, and through no proxy
/// that says so.
fn is_local(req: &HttpRequest) -> bool {
    let is_passed_on = PASSED_ON.iter().any(|name| req.headers().contains_key(*name));
    req.app_config().local_addr().ip().is_loopback() && !is_passed_on
}

#[cfg(test)]
mod tests;
