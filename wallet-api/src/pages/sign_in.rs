//! Signing in with a passkey, and out.
//!
//! The page brings the options for the browser with it, and the passkey's answer comes back as a field of its form. Whoever is
//! signed in may sign in again, to be let at their money after a while away: the session before ends with it.

use actix_web::http::StatusCode;
use actix_web::http::header::SET_COOKIE;
use actix_web::{HttpResponse, web};
use minijinja::context;
use serde::Deserialize;
use uuid::Uuid;

use super::ask::{Ask, Halt, Visitor, elsewhere};
use super::cookies;
use super::device::{self, Make};
use super::frame::Frame;
use super::words::machine;
use crate::identity::devices::{self, DeviceKey};
use crate::identity::doors::{Answer, Entered, Visit};
use crate::identity::sessions::{self, End, Held};
use crate::identity::sign_in;
use crate::platform::keyring::Person;
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
    #[serde(default)]
    proof: String,
    next: Option<String>,
}

/// The page.
pub(super) async fn show(ask: Ask, wish: web::Query<Wish>) -> Result<HttpResponse, Halt> {
    let Wish { next, done } = wish.into_inner();
    if next.is_none() && done.is_none() && ask.known().await?.is_some() {
        return Ok(elsewhere(&ask.address("")));
    }
    let visit = ask.visit().await?;
    let done = done.filter(|done| matches!(done.as_str(), "out" | "removed")).unwrap_or_default();
    page(&ask, visit, next.as_deref(), StatusCode::OK, &done).await
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
    let opened = of.write(move |conn| sign_in::begin(conn, &visit, None)).await?;
    let values = context! {
        challenge => opened.challenge.to_string(),
        options => opened.options.to_string(),
        device => device::in_ceremony(ask, opened.challenge, if news == "renew" { Make::Anew } else { Make::Missing }),
        next => ask.next(next),
        news,
    };
    Ok(Frame { ask, tenant: &tenant, is_in: false, status }.page("sign_in.html", values)?)
}

/// Judges what the passkey answered.
pub(super) async fn enter(ask: Ask, form: web::Form<Shown>) -> Result<HttpResponse, Halt> {
    let Shown { challenge, response, proof, next } = form.into_inner();
    let visit = ask.visit().await?;
    if response.is_empty() {
        // There is no script, or it could not do its work: nothing was tried, so nothing is counted.
        return page(&ask, visit, next.as_deref(), StatusCode::UNPROCESSABLE_ENTITY, "no-script").await;
    }
    let before = ask.known().await?.map(|(_, me)| me);
    let device = device::shown_in_ceremony(&ask, &proof, challenge)?;
    let (key, device_name) = (device.clone(), machine(&ask.req));
    let answer = Answer { challenge, response: response.into_bytes(), device, device_name, held: Held::Page };
    let (again, of) = (visit.clone(), ask.platform.db.of(visit.tenant.id));
    let entered = of.write(move |conn| sign_in::finish(conn, &visit, &answer)).await?;
    let Some(entered) = entered else {
        let news = if is_removed(&ask, &again, key).await? { "renew" } else { "refused" };
        return page(&ask, again, next.as_deref(), StatusCode::FORBIDDEN, news).await;
    };
    come_in(&ask, &again, &entered, before, next.as_deref()).await
}

/// Whether the key that was proved is of a device that was removed: whoever holds it may know, and makes another.
async fn is_removed(ask: &Ask, visit: &Visit, key: Option<DeviceKey>) -> Result<bool, Problem> {
    let (Some(key), tenant) = (key, visit.tenant.id) else { return Ok(false) };
    let found = ask.platform.db.of(tenant).read(move |conn| devices::find_by_key(conn, tenant, &key)).await?;
    Ok(found.is_some_and(|device| device.revoked_at.is_some()))
}

/// Keeps the session in the browser and ends the one it had before.
pub(super) async fn come_in(
    ask: &Ask,
    visit: &Visit,
    entered: &Entered,
    before: Option<Person>,
    next: Option<&str>,
) -> Result<HttpResponse, Halt> {
    if let Some(before) = before {
        end(ask, visit.tenant.id, before).await?;
    }
    let access = &entered.pair.access;
    let mut response = elsewhere(&ask.next(next));
    if let Some(cookie) = cookies::keep_session(ask.side, &ask.slug, &access.token, access.until - visit.now) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

async fn end(ask: &Ask, tenant: i64, whose: Person) -> Result<(), Halt> {
    let now = ask.platform.clock.now();
    let which = (whose.id, whose.session);
    let end = move |conn: &mut _| sessions::end(conn, now, tenant, which, End::SignedOut);
    let ended = ask.platform.db.of(tenant).write(end).await?;
    ask.platform.keyring.ended(&ended);
    Ok(())
}

/// Signs out.
pub(super) async fn leave(visitor: Visitor) -> Result<HttpResponse, Halt> {
    end(&visitor.ask, visitor.caller.tenant.id, visitor.me).await?;
    Ok(out(&visitor.ask, "out"))
}

/// To the sign-in, with nothing kept in the browser.
pub(super) fn out(ask: &Ask, done: &str) -> HttpResponse {
    let mut response = elsewhere(&format!("{}?done={done}", ask.address("/sign-in")));
    if let Some(cookie) = cookies::forget_session(ask.side, &ask.slug) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}
