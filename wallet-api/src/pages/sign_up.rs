//! Signing up: a mail address, the code that was sent there, a passkey.
//!
//! The three steps are three forms; what is between them is kept by the doors under the sign-up's id, which is in the
//! address and is no secret. Whoever does not read the mail sees the same, whether or not somebody has a wallet with it (T59).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use minijinja::context;
use serde::Deserialize;
use uuid::Uuid;

use super::ask::{Ask, Halt, elsewhere};
use super::device::{self, Make};
use super::frame::Frame;
use super::sign_in::come_in;
use super::words::machine;
use crate::identity::contacts::Contact;
use crate::identity::doors::{Answer, Visit};
use crate::identity::passkeys::Opened;
use crate::identity::sessions::Held;
use crate::identity::sign_up;
use crate::platform::post::Post;
use crate::platform::problem::Problem;

/// Most characters that are looked at of what is said to be a code.
const CODE_LENGTH: usize = 16;

/// A mail address that somebody says is theirs.
#[derive(Deserialize)]
pub(super) struct Reached {
    email: String,
}

/// The code that came.
#[derive(Deserialize)]
pub(super) struct Said {
    code: String,
}

/// What a new passkey answered.
#[derive(Deserialize)]
pub(super) struct Made {
    challenge: Uuid,
    response: String,
    #[serde(default)]
    proof: String,
    name: String,
}

/// The first step.
pub(super) async fn show(ask: Ask) -> Result<HttpResponse, Halt> {
    let visit = ask.visit().await?;
    first(&ask, &visit, StatusCode::OK, ("", ""))
}

fn first(ask: &Ask, visit: &Visit, status: StatusCode, (email, wrong): (&str, &str)) -> Result<HttpResponse, Halt> {
    let frame = Frame { ask, tenant: &visit.tenant, is_in: false, status };
    Ok(frame.page("sign_up.html", context! { email, wrong })?)
}

/// Sends a code.
pub(super) async fn begin(ask: Ask, post: web::Data<Post>, form: web::Form<Reached>) -> Result<HttpResponse, Halt> {
    let (visit, email, lang) = (ask.visit().await?, form.into_inner().email, ask.lang);
    let Ok(contact) = Contact::email(&email) else {
        return first(&ask, &visit, StatusCode::UNPROCESSABLE_ENTITY, (&email, "page-sign-up-wrong-email"));
    };
    post.is_set().map_err(Problem::from)?;
    let (again, of) = (visit.clone(), ask.platform.db.of(visit.tenant.id));
    let begun = of.write(move |conn| sign_up::begin(conn, &visit, (contact, lang))).await;
    let begun = match begun {
        Err(problem) if problem.code() == "codes-too-many" => {
            return first(&ask, &again, StatusCode::TOO_MANY_REQUESTS, (&email, "page-sign-up-too-many"));
        }
        begun => begun?,
    };
    post.send(&begun.mail).map_err(Problem::from)?;
    Ok(elsewhere(&ask.address(&format!("/sign-up/{}", begun.id))))
}

/// The second step.
pub(super) async fn show_code(ask: Ask, path: web::Path<(String, Uuid)>) -> Result<HttpResponse, Halt> {
    let visit = ask.visit().await?;
    second(&ask, &visit, path.1, StatusCode::OK, "")
}

fn second(ask: &Ask, visit: &Visit, id: Uuid, status: StatusCode, wrong: &str) -> Result<HttpResponse, Halt> {
    let frame = Frame { ask, tenant: &visit.tenant, is_in: false, status };
    Ok(frame.page("sign_up_code.html", context! { id => id.to_string(), wrong })?)
}

/// Takes the code, and goes on to the third step.
pub(super) async fn prove(
    ask: Ask,
    path: web::Path<(String, Uuid)>,
    form: web::Form<Said>,
) -> Result<HttpResponse, Halt> {
    let (visit, id) = (ask.visit().await?, path.1);
    let digits: String = form.code.chars().filter(|letter| !letter.is_whitespace()).take(CODE_LENGTH).collect();
    let (again, of) = (visit.clone(), ask.platform.db.of(visit.tenant.id));
    let opened = of.write(move |conn| sign_up::prove(conn, &visit, id, &digits)).await?;
    match opened {
        Some(opened) => third(&ask, &again, id, &opened),
        None => second(&ask, &again, id, StatusCode::UNPROCESSABLE_ENTITY, "page-sign-up-wrong-code"),
    }
}

fn third(ask: &Ask, visit: &Visit, id: Uuid, opened: &Opened) -> Result<HttpResponse, Halt> {
    let values = context! {
        id => id.to_string(),
        challenge => opened.challenge.to_string(),
        options => opened.options.to_string(),
        device => device::in_ceremony(ask, opened.challenge, Make::Anew),
        name => machine(&ask.req).unwrap_or_default(),
    };
    let frame = Frame { ask, tenant: &visit.tenant, is_in: false, status: StatusCode::OK };
    Ok(frame.page("sign_up_passkey.html", values)?)
}

/// Registers the passkey: they are a customer, and signed in.
pub(super) async fn finish(
    ask: Ask,
    path: web::Path<(String, Uuid)>,
    form: web::Form<Made>,
) -> Result<HttpResponse, Halt> {
    let (visit, id) = (ask.visit().await?, path.1);
    let Made { challenge, response, proof, name } = form.into_inner();
    let device = device::shown_in_ceremony(&ask, &proof, challenge)?;
    let (before, device_name) = (ask.known().await?.map(|(_, me)| me), machine(&ask.req));
    let answer = Answer { challenge, response: response.into_bytes(), device, device_name, held: Held::Page };
    let (again, of) = (visit.clone(), ask.platform.db.of(visit.tenant.id));
    let entered = of.write(move |conn| sign_up::finish(conn, &visit, (id, &name), &answer)).await;
    match entered {
        Ok(Some(entered)) => come_in(&ask, &again, &entered, before, None).await,
        // The code is used up: from the beginning.
        Ok(None) => first(&ask, &again, StatusCode::FORBIDDEN, ("", "page-sign-up-refused")),
        Err(problem) if problem.code() == "contact-taken" => {
            first(&ask, &again, StatusCode::CONFLICT, ("", "page-sign-up-taken"))
        }
        Err(problem) => Err(problem.into()),
    }
}
