//! Coming in by a code that is mailed: a sign-up, or a recovery of who lost every passkey.
//!
//! The three steps are three forms: a mail address, the code, a passkey. What is between them is kept by the doors under an id,
//! which is in the address and is no secret. Whoever does not read the mail sees the same, whether or not somebody has a wallet
//! with it (T59). The two ways differ in their words, and in what the doors do.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use diesel::PgConnection;
use minijinja::context;
use serde::Deserialize;
use uuid::Uuid;

use super::ask::{Ask, Halt, elsewhere};
use super::device::{self, Make};
use super::frame::Frame;
use super::sign_in::come_in;
use super::words::{cautious, digits, machine};
use crate::identity::contacts::Contact;
use crate::identity::doors::{Answer, Begun, DoorError, Entered, Visit};
use crate::identity::passkeys::Opened;
use crate::identity::recovery::{self, Recovered};
use crate::identity::sessions::Held;
use crate::identity::sign_up;
use crate::platform::post::Post;
use crate::platform::problem::Problem;
use crate::platform::text::Lang;

/// Which of the two: an extractor, by the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Somebody new.
    SignUp,
    /// Somebody who comes back.
    Recovery,
}

impl FromRequest for Way {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let is_recovery = req.path().split('/').nth(3) == Some(Self::Recovery.word());
        ready(Ok(if is_recovery { Self::Recovery } else { Self::SignUp }))
    }
}

/// Somebody who came in, and the access tokens that ended with it.
type CameIn = (Entered, Vec<String>);

impl Way {
    /// Its word in addresses, and in the names of its words.
    const fn word(self) -> &'static str {
        match self {
            Self::SignUp => "sign-up",
            Self::Recovery => "recovery",
        }
    }

    fn begin(self, conn: &mut PgConnection, visit: &Visit, contact: (Contact, Lang)) -> Result<Begun, DoorError> {
        match self {
            Self::SignUp => sign_up::begin(conn, visit, contact),
            Self::Recovery => recovery::begin(conn, visit, contact),
        }
    }

    fn prove(self, conn: &mut PgConnection, visit: &Visit, id: Uuid, code: &str) -> Result<Option<Opened>, DoorError> {
        match self {
            Self::SignUp => sign_up::prove(conn, visit, id, code),
            Self::Recovery => recovery::prove(conn, visit, id, code),
        }
    }

    fn finish(
        self,
        conn: &mut PgConnection,
        visit: &Visit,
        which: (Uuid, &str),
        answer: &Answer,
    ) -> Result<Option<CameIn>, DoorError> {
        match self {
            Self::SignUp => Ok(sign_up::finish(conn, visit, which, answer)?.map(|entered| (entered, Vec::new()))),
            Self::Recovery => {
                let recovered = recovery::finish(conn, visit, which, answer)?;
                Ok(recovered.map(|Recovered { entered, ended }| (entered, ended)))
            }
        }
    }
}

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
pub(super) async fn show(ask: Ask, way: Way) -> Result<HttpResponse, Halt> {
    let visit = ask.visit().await?;
    first(&ask, (&visit, way), StatusCode::OK, ("", ""))
}

fn first(
    ask: &Ask,
    (visit, way): (&Visit, Way),
    status: StatusCode,
    (email, wrong): (&str, &str),
) -> Result<HttpResponse, Halt> {
    let frame = Frame { ask, tenant: &visit.tenant, is_in: false, status };
    Ok(frame.page("by_mail.html", context! { way => way.word(), email, wrong, most => cautious(ask) })?)
}

/// Sends a code.
pub(super) async fn begin(
    ask: Ask,
    way: Way,
    post: web::Data<Post>,
    form: web::Form<Reached>,
) -> Result<HttpResponse, Halt> {
    let (visit, email, lang) = (ask.visit().await?, form.into_inner().email, ask.lang);
    let Ok(contact) = Contact::email(&email) else {
        return first(&ask, (&visit, way), StatusCode::UNPROCESSABLE_ENTITY, (&email, "page-sign-up-wrong-email"));
    };
    post.is_set().map_err(Problem::from)?;
    let (again, of) = (visit.clone(), ask.platform.db.of(visit.tenant.id));
    let begun = of.write(move |conn| way.begin(conn, &visit, (contact, lang))).await;
    let begun = match begun {
        Err(problem) if problem.code() == "codes-too-many" => {
            return first(&ask, (&again, way), StatusCode::TOO_MANY_REQUESTS, (&email, "page-sign-up-too-many"));
        }
        begun => begun?,
    };
    post.send(&begun.mail).map_err(Problem::from)?;
    Ok(elsewhere(&ask.address(&format!("/{}/{}", way.word(), begun.id))))
}

/// The second step.
pub(super) async fn show_code(ask: Ask, way: Way, path: web::Path<(String, Uuid)>) -> Result<HttpResponse, Halt> {
    let visit = ask.visit().await?;
    second(&ask, (&visit, way), path.1, StatusCode::OK, "")
}

fn second(
    ask: &Ask,
    (visit, way): (&Visit, Way),
    id: Uuid,
    status: StatusCode,
    wrong: &str,
) -> Result<HttpResponse, Halt> {
    let frame = Frame { ask, tenant: &visit.tenant, is_in: false, status };
    Ok(frame.page("by_mail_code.html", context! { way => way.word(), id => id.to_string(), wrong })?)
}

/// Takes the code, and goes on to the third step.
pub(super) async fn prove(
    ask: Ask,
    way: Way,
    path: web::Path<(String, Uuid)>,
    form: web::Form<Said>,
) -> Result<HttpResponse, Halt> {
    let (visit, id, code) = (ask.visit().await?, path.1, digits(&form.code));
    let (again, of) = (visit.clone(), ask.platform.db.of(visit.tenant.id));
    let opened = of.write(move |conn| way.prove(conn, &visit, id, &code)).await?;
    match opened {
        Some(opened) => third(&ask, (&again, way), id, &opened),
        None => second(&ask, (&again, way), id, StatusCode::UNPROCESSABLE_ENTITY, "page-sign-up-wrong-code"),
    }
}

fn third(ask: &Ask, (visit, way): (&Visit, Way), id: Uuid, opened: &Opened) -> Result<HttpResponse, Halt> {
    let values = context! {
        way => way.word(),
        most => cautious(ask),
        id => id.to_string(),
        challenge => opened.challenge.to_string(),
        options => opened.options.to_string(),
        device => device::in_ceremony(ask, opened.challenge, Make::Anew),
        name => machine(&ask.req).unwrap_or_default(),
    };
    let frame = Frame { ask, tenant: &visit.tenant, is_in: false, status: StatusCode::OK };
    Ok(frame.page("by_mail_passkey.html", values)?)
}

/// Registers the passkey: they are a customer, or are back, and signed in.
pub(super) async fn finish(
    ask: Ask,
    way: Way,
    path: web::Path<(String, Uuid)>,
    form: web::Form<Made>,
) -> Result<HttpResponse, Halt> {
    let (visit, id) = (ask.visit().await?, path.1);
    let Made { challenge, response, proof, name } = form.into_inner();
    let device = device::shown_in_ceremony(&ask, &proof, challenge)?;
    let (before, device_name) = (ask.known().await?.map(|(_, me)| me), machine(&ask.req));
    let answer = Answer { challenge, response: response.into_bytes(), device, device_name, held: Held::Page };
    let (again, of) = (visit.clone(), ask.platform.db.of(visit.tenant.id));
    let entered = of.write(move |conn| way.finish(conn, &visit, (id, &name), &answer)).await;
    match entered {
        Ok(Some((entered, ended))) => {
            ask.platform.keyring.ended(&ended);
            let back = ask.address("/devices?done=recovered");
            come_in(&ask, &again, &entered, before, (way == Way::Recovery).then_some(back.as_str())).await
        }
        // The code is used up: from the beginning.
        Ok(None) => first(&ask, (&again, way), StatusCode::FORBIDDEN, ("", "page-sign-up-refused")),
        Err(problem) if problem.code() == "contact-taken" => {
            first(&ask, (&again, way), StatusCode::CONFLICT, ("", "page-sign-up-taken"))
        }
        Err(problem) => Err(problem.into()),
    }
}
