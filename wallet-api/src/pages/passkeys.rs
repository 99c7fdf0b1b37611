//! Passkeys of somebody who is signed in: a further one, another name, the end of one. They are listed with the
//! [`devices`](super::devices).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use minijinja::context;
use serde::Deserialize;
use uuid::Uuid;

use super::ask::{Halt, Visitor};
use super::devices::{Named, Proved, page};
use super::frame::Frame;
use super::{device, words};
use crate::identity::own;
use crate::identity::passkeys::{self, Holder};
use crate::platform::http::not_found;

/// What the new passkey answered.
#[derive(Deserialize)]
pub(super) struct Made {
    challenge: Uuid,
    response: String,
    #[serde(default)]
    proof: String,
    name: String,
}

/// Begins to add one: the page that makes it.
pub(super) async fn begin(visitor: Visitor, form: web::Form<Proved>) -> Result<HttpResponse, Halt> {
    visitor.is_there("/devices")?;
    let (visit, me) = visitor.own(&form.proof)?;
    let of = visitor.ask.platform.db.of(visit.tenant.id);
    let opened = of.write(move |conn| own::begin_passkey(conn, &visit, &me)).await;
    let opened = opened.map_err(|problem| visitor.halted(problem, "/devices"))?;
    let Visitor { ask, caller, .. } = &visitor;
    let values = context! {
        challenge => opened.challenge.to_string(),
        options => opened.options.to_string(),
        device => device::in_session(&visitor),
        name => words::machine(&ask.req).unwrap_or_default(),
    };
    let frame = Frame { ask, tenant: &caller.tenant, is_in: true, status: StatusCode::OK };
    Ok(frame.page("passkey_new.html", values)?)
}

/// Adds it. Every contact is told.
pub(super) async fn add(visitor: Visitor, form: web::Form<Made>) -> Result<HttpResponse, Halt> {
    visitor.is_there("/devices")?;
    let Made { challenge, response, proof, name } = form.into_inner();
    let (visit, me) = visitor.own(&proof)?;
    let of = visitor.ask.platform.db.of(visit.tenant.id);
    let add = move |conn: &mut _| own::add_passkey(conn, &visit, &me, (challenge, response.as_bytes(), name.as_str()));
    match of.write(add).await {
        Ok(Some(_added)) => Ok(visitor.on_to("/devices?done=added")),
        Ok(None) => page(&visitor, StatusCode::FORBIDDEN, "not-added").await,
        Err(problem) => Err(visitor.halted(problem, "/devices")),
    }
}

/// Gives one another name.
pub(super) async fn rename(
    visitor: Visitor,
    path: web::Path<(String, Uuid)>,
    form: web::Form<Named>,
) -> Result<HttpResponse, Halt> {
    let ((tenant, person), (_, id), name) = (visitor.who(), path.into_inner(), form.into_inner().name);
    let whose = Holder::person(person);
    let rename = move |conn: &mut _| passkeys::rename(conn, tenant, whose, id, &name);
    if !visitor.ask.platform.db.of(tenant).write(rename).await? {
        return Err(not_found().into());
    }
    Ok(visitor.on_to("/devices?done=renamed"))
}

/// Ends one, once one was shown again. The last one stays: its holder would be locked out.
pub(super) async fn remove(
    visitor: Visitor,
    path: web::Path<(String, Uuid)>,
    form: web::Form<Proved>,
) -> Result<HttpResponse, Halt> {
    visitor.is_there("/devices")?;
    let ((visit, me), id) = (visitor.own(&form.proof)?, path.1);
    let of = visitor.ask.platform.db.of(visit.tenant.id);
    match of.write(move |conn| own::revoke_passkey(conn, &visit, &me, id)).await {
        Ok(()) => Ok(visitor.on_to("/devices?done=removed")),
        Err(problem) => match problem.code() {
            "last-passkey" => page(&visitor, StatusCode::CONFLICT, "last-passkey").await,
            _ => Err(visitor.halted(problem, "/devices")),
        },
    }
}
