//! An invitation: whoever has one makes the passkey that it is for, and is signed in.
//!
//! The invitation is pasted into a form, so that no address and no log has it. Nothing else comes in by it: who can make no
//! passkey where they sit makes it on another device. Passkeys, password and sessions before end with the new one.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use minijinja::context;
use serde::Deserialize;
use uuid::Uuid;

use super::super::ask::{Ask, Halt};
use super::super::frame::Frame;
use super::super::words::machine;
use super::sign_in::come_in;
use crate::identity::operators;
use crate::identity::sessions::Held;
use crate::platform::keyring::Tenant;

/// An invitation.
#[derive(Deserialize)]
pub(super) struct Invited {
    invitation: String,
}

/// What the new passkey answered.
#[derive(Deserialize)]
pub(super) struct Made {
    invitation: String,
    challenge: Uuid,
    response: String,
    name: String,
}

/// The first step.
pub(super) async fn show(ask: Ask) -> Result<HttpResponse, Halt> {
    let tenant = ask.tenant().await?;
    first(&ask, &tenant, StatusCode::OK)
}

fn first(ask: &Ask, tenant: &Tenant, status: StatusCode) -> Result<HttpResponse, Halt> {
    let values = context! { is_refused => status != StatusCode::OK };
    Ok(Frame { ask, tenant, is_in: false, status }.page("staff_invitation.html", values)?)
}

/// Takes the invitation, and goes on to its passkey.
pub(super) async fn begin(ask: Ask, form: web::Form<Invited>) -> Result<HttpResponse, Halt> {
    let (visit, Invited { invitation }) = (ask.visit().await?, form.into_inner());
    let (tenant, of, said) = (visit.tenant.clone(), ask.platform.db.of(visit.tenant.id), invitation.clone());
    let opened = of.write(move |conn| operators::begin_sign_up(conn, &visit, &said)).await?;
    let Some(opened) = opened else { return first(&ask, &tenant, StatusCode::FORBIDDEN) };
    let values = context! {
        invitation => invitation.trim(),
        challenge => opened.challenge.to_string(),
        options => opened.options.to_string(),
        name => machine(&ask.req).unwrap_or_default(),
    };
    let frame = Frame { ask: &ask, tenant: &tenant, is_in: false, status: StatusCode::OK };
    Ok(frame.page("staff_passkey.html", values)?)
}

/// Registers the passkey: they are signed in.
pub(super) async fn finish(ask: Ask, form: web::Form<Made>) -> Result<HttpResponse, Halt> {
    let (visit, Made { invitation, challenge, response, name }) = (ask.visit().await?, form.into_inner());
    let (tenant, now, of) = (visit.tenant.clone(), visit.now, ask.platform.db.of(visit.tenant.id));
    let finish = move |conn: &mut _| {
        let said = (response.as_bytes(), name.as_str());
        operators::finish_sign_up(conn, (&visit, Held::Page), &invitation, challenge, said)
    };
    match of.write(finish).await? {
        Some(entered) => come_in(&ask, entered, now, None).await,
        None => first(&ask, &tenant, StatusCode::FORBIDDEN),
    }
}
