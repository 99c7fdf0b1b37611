//! Signing in as an operator: with a passkey, or by the password they fall back on, and out.
//!
//! The password has a page of its own, so that trying passwords uses up nothing of the passkeys' door (T9). Whatever is wrong
//! with either is one refusal, the API's.

use actix_web::http::StatusCode;
use actix_web::http::header::SET_COOKIE;
use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use minijinja::context;
use serde::Deserialize;
use uuid::Uuid;

use super::super::ask::{Ask, Halt, elsewhere};
use super::super::cookies;
use super::super::frame::Frame;
use super::super::sign_in::out;
use super::Colleague;
use crate::identity::doors::Visit;
use crate::identity::operators::{self, Entered, password};
use crate::identity::sessions::Held;
use crate::platform::keyring::{Operator, Tenant};
use crate::platform::password::{Password, Passwords};
use crate::platform::problem::Problem;

/// Where to go on to, and what has just happened.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wish {
    next: Option<String>,
    done: Option<String>,
}

/// What a passkey answered.
#[derive(Deserialize)]
pub(super) struct Shown {
    challenge: Uuid,
    response: String,
    next: Option<String>,
}

/// What they fall back on.
#[derive(Deserialize)]
pub(super) struct Said {
    email: String,
    password: String,
}

/// The page.
pub(super) async fn show(ask: Ask, wish: web::Query<Wish>) -> Result<HttpResponse, Halt> {
    let Wish { next, done } = wish.into_inner();
    if next.is_none() && done.is_none() && ask.known_operator().await?.is_some() {
        return Ok(elsewhere(&ask.address("")));
    }
    let news = if done.as_deref() == Some("out") { "out" } else { "" };
    let visit = ask.visit().await?;
    page(&ask, visit, next.as_deref(), StatusCode::OK, news).await
}

/// The page with new options. `news` is what to say first: a word of ours, or nothing.
async fn page(
    ask: &Ask,
    visit: Visit,
    next: Option<&str>,
    status: StatusCode,
    news: &str,
) -> Result<HttpResponse, Halt> {
    let (tenant, of) = (visit.tenant.clone(), ask.platform.db.of(visit.tenant.id));
    let opened = of.write(move |conn| operators::begin_sign_in(conn, &visit)).await?;
    let values = context! {
        challenge => opened.challenge.to_string(),
        options => opened.options.to_string(),
        next => ask.next(next),
        news,
    };
    Ok(Frame { ask, tenant: &tenant, is_in: false, status }.page("staff_sign_in.html", values)?)
}

/// Judges what the passkey answered.
pub(super) async fn enter(ask: Ask, form: web::Form<Shown>) -> Result<HttpResponse, Halt> {
    let (visit, Shown { challenge, response, next }) = (ask.visit().await?, form.into_inner());
    if response.is_empty() {
        // There is no script, or it could not do its work: nothing was tried, so nothing is counted.
        return page(&ask, visit, next.as_deref(), StatusCode::UNPROCESSABLE_ENTITY, "no-script").await;
    }
    let (again, now, of) = (visit.clone(), visit.now, ask.platform.db.of(visit.tenant.id));
    let finish =
        move |conn: &mut _| operators::finish_sign_in(conn, (&visit, Held::Page), challenge, response.as_bytes());
    match of.write(finish).await? {
        Some(entered) => come_in(&ask, entered, now, next.as_deref()).await,
        None => page(&ask, again, next.as_deref(), StatusCode::FORBIDDEN, "refused").await,
    }
}

/// The page of the password.
pub(super) async fn show_password(ask: Ask) -> Result<HttpResponse, Halt> {
    let tenant = ask.tenant().await?;
    password_page(&ask, &tenant, StatusCode::OK)
}

fn password_page(ask: &Ask, tenant: &Tenant, status: StatusCode) -> Result<HttpResponse, Halt> {
    let values = context! { is_refused => status != StatusCode::OK };
    Ok(Frame { ask, tenant, is_in: false, status }.page("staff_by_password.html", values)?)
}

/// Judges a password.
pub(super) async fn enter_by_password(
    ask: Ask,
    passwords: web::Data<Passwords>,
    form: web::Form<Said>,
) -> Result<HttpResponse, Halt> {
    let Said { email, password } = form.into_inner();
    // First a place, as at the API's door: two hundred at once cost the database no more than nine do.
    let place = passwords.place().map_err(Problem::from)?;
    let visit = ask.visit().await?;
    let (tenant, now) = (visit.tenant.clone(), visit.now);
    let Ok(said) = Password::said(password) else { return password_page(&ask, &tenant, StatusCode::FORBIDDEN) };
    let (queue, door) = ((passwords.as_ref(), place), (visit, Held::Page));
    match password::sign_in(&ask.platform, queue, door, (email, said)).await? {
        Some(entered) => come_in(&ask, entered, now, None).await,
        None => password_page(&ask, &tenant, StatusCode::FORBIDDEN),
    }
}

/// Keeps the session in the browser and ends the one it had before.
pub(super) async fn come_in(
    ask: &Ask,
    entered: Entered,
    now: DateTime<Utc>,
    next: Option<&str>,
) -> Result<HttpResponse, Halt> {
    ask.platform.keyring.ended(&entered.ended);
    if let Some((caller, before)) = ask.known_operator().await? {
        end(ask, caller.tenant.id, before).await?;
    }
    let access = &entered.pair.access;
    let mut response = elsewhere(&ask.next(next));
    if let Some(cookie) = cookies::keep_session(ask.side, &ask.slug, &access.token, access.until - now) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

async fn end(ask: &Ask, tenant: i64, whose: Operator) -> Result<(), Halt> {
    let now = ask.platform.clock.now();
    let which = (whose.id, whose.session);
    let ended = ask.platform.db.of(tenant).write(move |conn| operators::sign_out(conn, now, tenant, which)).await?;
    ask.platform.keyring.ended(&ended);
    Ok(())
}

/// Signs out.
pub(super) async fn leave(colleague: Colleague) -> Result<HttpResponse, Halt> {
    end(&colleague.ask, colleague.caller.tenant.id, colleague.me).await?;
    Ok(out(&colleague.ask, "out"))
}
