//! The password an operator falls back on: set in a session that a passkey opened within five minutes, and ended.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use minijinja::context;
use serde::Deserialize;

use super::super::ask::Halt;
use super::super::frame::Frame;
use super::Colleague;
use crate::identity::operators::password;
use crate::platform::password::Passwords;
use crate::platform::problem::Problem;

const PAGE: &str = "/password";

/// What has just happened.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wish {
    done: Option<String>,
}

/// A new password.
#[derive(Deserialize)]
pub(super) struct Chosen {
    password: String,
}

/// The page.
pub(super) async fn show(colleague: Colleague, wish: web::Query<Wish>) -> Result<HttpResponse, Halt> {
    let done = wish.into_inner().done.filter(|done| matches!(done.as_str(), "set" | "ended")).unwrap_or_default();
    page(&colleague, &done, None).await
}

async fn page(colleague: &Colleague, news: &str, wrong: Option<&Problem>) -> Result<HttpResponse, Halt> {
    let Colleague { ask, caller, me } = colleague;
    let (tenant, operator) = (caller.tenant.id, me.id);
    let is_set = move |conn: &mut _| password::is_set(conn, tenant, operator);
    let is_set = ask.platform.db.of(tenant).read(is_set).await?;
    let status = wrong.map_or(StatusCode::OK, Problem::status);
    let wrong = wrong.map(|problem| problem.body(ask.lang).detail);
    let frame = Frame { ask, tenant: &caller.tenant, is_in: true, status };
    Ok(frame.page("staff_password.html", context! { is_set, news, wrong })?)
}

/// Sets it. Whoever showed no passkey just now does by the sign-in, and goes on to this page.
pub(super) async fn set(
    colleague: Colleague,
    passwords: web::Data<Passwords>,
    form: web::Form<Chosen>,
) -> Result<HttpResponse, Halt> {
    let (platform, chosen) = (&colleague.ask.platform, form.into_inner().password);
    match password::choose(platform, &passwords, &colleague.caller, chosen).await {
        Ok(()) => Ok(colleague.on_to("/password?done=set")),
        Err(problem) if problem.code() == "passkey-stale" => Err(colleague.ask.again(PAGE)),
        Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            page(&colleague, "", Some(&problem)).await
        }
        Err(problem) => Err(problem.into()),
    }
}

/// Ends it, and what it opened.
pub(super) async fn end(colleague: Colleague) -> Result<HttpResponse, Halt> {
    password::give_up(&colleague.ask.platform, &colleague.caller).await?;
    Ok(colleague.on_to("/password?done=ended"))
}
