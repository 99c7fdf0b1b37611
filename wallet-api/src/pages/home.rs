//! The first page: where everything is.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use minijinja::context;

use super::ask::{Halt, Visitor};
use super::frame::Frame;

/// The page.
pub(super) async fn show(visitor: Visitor) -> Result<HttpResponse, Halt> {
    let Visitor { ask, caller, .. } = &visitor;
    let frame = Frame { ask, tenant: &caller.tenant, is_in: true, status: StatusCode::OK };
    Ok(frame.page("home.html", context! {})?)
}
