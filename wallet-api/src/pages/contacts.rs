//! Contacts: where somebody is told of what happens, and by which they come back in. Adding one takes the code that is sent there.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use diesel::PgConnection;
use minijinja::{Value, context};
use serde::Deserialize;
use uuid::Uuid;

use super::ask::{Halt, Visitor, elsewhere};
use super::device;
use super::devices::Proved;
use super::frame::Frame;
use super::words::{When, digits};
use crate::identity::contacts::{self, Contact, Proved as Kept};
use crate::identity::own;
use crate::platform::post::Post;
use crate::platform::problem::Problem;

/// What has just happened.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    done: Option<String>,
}

/// A mail address to add.
#[derive(Deserialize)]
pub(super) struct New {
    email: String,
    #[serde(default)]
    proof: String,
}

/// The code that came there.
#[derive(Deserialize)]
pub(super) struct Said {
    code: String,
    #[serde(default)]
    proof: String,
}

/// The page.
pub(super) async fn show(visitor: Visitor, wish: web::Query<Wish>) -> Result<HttpResponse, Halt> {
    let done = wish.into_inner().done;
    let done = done.filter(|done| matches!(done.as_str(), "added" | "removed")).unwrap_or_default();
    page(&visitor, StatusCode::OK, (&done, "", "")).await
}

/// The page. `news` is what to say first, `wrong` what was wrong with the address in the form: words of ours, or nothing.
async fn page(
    visitor: &Visitor,
    status: StatusCode,
    (news, email, wrong): (&str, &str, &str),
) -> Result<HttpResponse, Halt> {
    let Visitor { ask, caller, .. } = visitor;
    let ((tenant, person), vault) = (visitor.who(), ask.platform.vault.clone());
    let found = ask.platform.db.of(tenant).read(move |conn| contacts::list(conn, &vault, tenant, person)).await?;
    let line = |kept: &Kept| -> Value {
        context! {
            id => kept.id.to_string(),
            value => kept.contact.reveal(),
            since => When::of(kept.proved_at, caller.tenant.zone, ask.lang),
        }
    };
    let contacts = found.iter().map(line).collect::<Vec<_>>();
    let values = context! { contacts, device => device::in_session(visitor), news, email, wrong };
    Ok(Frame { ask, tenant: &caller.tenant, is_in: true, status }.page("contacts.html", values)?)
}

/// Sends a code to a new contact.
pub(super) async fn begin(visitor: Visitor, post: web::Data<Post>, form: web::Form<New>) -> Result<HttpResponse, Halt> {
    visitor.is_there("/contacts")?;
    let New { email, proof } = form.into_inner();
    let Ok(contact) = Contact::email(&email) else {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return page(&visitor, status, ("", &email, "page-sign-up-wrong-email")).await;
    };
    post.is_set().map_err(Problem::from)?;
    let ((visit, me), lang) = (visitor.own(&proof)?, visitor.ask.lang);
    let of = visitor.ask.platform.db.of(visit.tenant.id);
    let begin = move |conn: &mut PgConnection| own::begin_contact(conn, &visit, &me, (contact, lang));
    match of.write(begin).await {
        Ok(begun) => {
            post.send(&begun.mail).map_err(Problem::from)?;
            Ok(elsewhere(&visitor.ask.address(&format!("/contacts/{}", begun.id))))
        }
        Err(problem) => match problem.code() {
            "codes-too-many" => {
                page(&visitor, StatusCode::TOO_MANY_REQUESTS, ("", &email, "page-sign-up-too-many")).await
            }
            _ => Err(visitor.halted(problem, "/contacts")),
        },
    }
}

/// Where the code is said.
pub(super) async fn show_code(visitor: Visitor, path: web::Path<(String, Uuid)>) -> Result<HttpResponse, Halt> {
    code(&visitor, path.1, StatusCode::OK, "")
}

fn code(visitor: &Visitor, id: Uuid, status: StatusCode, wrong: &str) -> Result<HttpResponse, Halt> {
    let Visitor { ask, caller, .. } = visitor;
    let values = context! { id => id.to_string(), device => device::in_session(visitor), wrong };
    Ok(Frame { ask, tenant: &caller.tenant, is_in: true, status }.page("contact_code.html", values)?)
}

/// Takes the code, and has the contact as one's own from now on.
pub(super) async fn add(
    visitor: Visitor,
    path: web::Path<(String, Uuid)>,
    form: web::Form<Said>,
) -> Result<HttpResponse, Halt> {
    visitor.is_there("/contacts")?;
    let (id, digits, (visit, me)) = (path.1, digits(&form.code), visitor.own(&form.proof)?);
    let of = visitor.ask.platform.db.of(visit.tenant.id);
    match of.write(move |conn| own::add_contact(conn, &visit, &me, (id, &digits))).await {
        Ok(Some(_id)) => Ok(visitor.on_to("/contacts?done=added")),
        Ok(None) => code(&visitor, id, StatusCode::UNPROCESSABLE_ENTITY, "page-sign-up-wrong-code"),
        Err(problem) => match problem.code() {
            "contact-taken" => page(&visitor, StatusCode::CONFLICT, ("taken", "", "")).await,
            _ => Err(visitor.halted(problem, "/contacts")),
        },
    }
}

/// Ends a contact. The last one stays: without any, nobody could come back in.
pub(super) async fn remove(
    visitor: Visitor,
    path: web::Path<(String, Uuid)>,
    form: web::Form<Proved>,
) -> Result<HttpResponse, Halt> {
    visitor.is_there("/contacts")?;
    let ((visit, me), id) = (visitor.own(&form.proof)?, path.1);
    let of = visitor.ask.platform.db.of(visit.tenant.id);
    match of.write(move |conn| own::end_contact(conn, &visit, &me, id)).await {
        Ok(()) => Ok(visitor.on_to("/contacts?done=removed")),
        Err(problem) => match problem.code() {
            "last-contact" => page(&visitor, StatusCode::CONFLICT, ("last", "", "")).await,
            _ => Err(visitor.halted(problem, "/contacts")),
        },
    }
}
