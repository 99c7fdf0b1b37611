//! Devices and passkeys: where somebody is signed in, and what they can sign in with. What is done to passkeys
//! has a file of its own ([`passkeys`](super::passkeys)).

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use diesel::PgConnection;
use minijinja::context;
use serde::Deserialize;
use uuid::Uuid;

use super::ask::{Halt, Visitor};
use super::device;
use super::frame::Frame;
use super::sign_in::out;
use super::words::{When, cautious};
use crate::identity::devices::{self, Device};
use crate::identity::own;
use crate::identity::passkeys::{self, Holder, Passkey};
use crate::identity::sessions::{self, End, Session};
use crate::platform::http::not_found;
use crate::platform::problem::Problem;

/// What has just happened.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    done: Option<String>,
}

/// A new name.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

/// What the form of a deed brings: the device's proof, if this browser keeps a key.
#[derive(Deserialize)]
pub(super) struct Proved {
    #[serde(default)]
    pub(super) proof: String,
}

/// Everything the page shows.
struct Found {
    devices: Vec<(Device, Option<String>)>,
    sessions: Vec<Session>,
    passkeys: Vec<Passkey>,
}

/// The page.
pub(super) async fn show(visitor: Visitor, wish: web::Query<Wish>) -> Result<HttpResponse, Halt> {
    let done = wish.into_inner().done;
    let done = done
        .filter(|done| matches!(done.as_str(), "removed" | "renamed" | "others" | "added" | "recovered"))
        .unwrap_or_default();
    page(&visitor, StatusCode::OK, &done).await
}

/// The page. `news` is what to say first: a word of ours, or nothing.
pub(super) async fn page(visitor: &Visitor, status: StatusCode, news: &str) -> Result<HttpResponse, Halt> {
    let Visitor { ask, caller, me } = visitor;
    let (tenant, person) = visitor.who();
    let (now, vault) = (ask.platform.clock.now(), ask.platform.vault.clone());
    let find = move |conn: &mut PgConnection| -> Result<Found, Problem> {
        let mut devices = devices::named_list(conn, &vault, tenant, person)?;
        devices.retain(|(device, _)| device.revoked_at.is_none());
        let sessions = sessions::living(conn, now, tenant, person)?;
        let passkeys = passkeys::live(conn, tenant, Holder::person(person))?;
        Ok(Found { devices, sessions, passkeys })
    };
    let found = ask.platform.db.of(tenant).read(find).await?;
    let here = found.sessions.iter().find(|session| session.id == me.session).map(|session| session.device);
    let when = |at| When::of(at, caller.tenant.zone, ask.lang);
    let line = |(device, name): &(Device, Option<String>)| {
        context! {
            id => device.id.to_string(),
            name => name.clone(),
            is_this => here == Some(device.id),
            bound_by => device.bound_by.word(),
            sessions => found.sessions.iter().filter(|session| session.device == device.id).count(),
            since => when(device.created_at),
            seen => when(device.last_seen_at),
        }
    };
    let passkey = |passkey: &Passkey| {
        context! {
            id => passkey.id.to_string(),
            name => passkey.name.clone(),
            is_synced => passkey.backup_eligible,
            since => when(passkey.created_at),
            used => passkey.last_used_at.map(when),
        }
    };
    let values = context! {
        devices => found.devices.iter().map(line).collect::<Vec<_>>(),
        passkeys => found.passkeys.iter().map(passkey).collect::<Vec<_>>(),
        sessions => found.sessions.len(),
        device => device::in_session(visitor),
        most => cautious(ask),
        news,
    };
    Ok(Frame { ask, tenant: &caller.tenant, is_in: true, status }.page("devices.html", values)?)
}

/// Ends all sessions but this one.
pub(super) async fn sign_out_others(visitor: Visitor) -> Result<HttpResponse, Halt> {
    let ((tenant, person), platform) = (visitor.who(), &visitor.ask.platform);
    let (now, this) = (platform.clock.now(), visitor.me.session);
    let end = move |conn: &mut _| sessions::end_others(conn, now, tenant, person, Some(this), End::SignedOut);
    let ended = platform.db.of(tenant).write(end).await?;
    platform.keyring.ended(&ended);
    Ok(visitor.on_to("/devices?done=others"))
}

/// Revokes a device and ends its sessions; whoever does it to the one they sit at is signed out.
pub(super) async fn remove(visitor: Visitor, path: web::Path<(String, Uuid)>) -> Result<HttpResponse, Halt> {
    let ((visit, me), platform, id) = (visitor.own("")?, &visitor.ask.platform, path.1);
    let (tenant, person, now) = (visit.tenant.id, me.person, visit.now);
    let ended = platform.db.of(tenant).write(move |conn| own::revoke_device(conn, &visit, &me, id)).await?;
    platform.keyring.ended(&ended);
    let still = platform.db.of(tenant).read(move |conn| sessions::living(conn, now, tenant, person.id)).await?;
    if still.iter().any(|session| session.id == person.session) {
        return Ok(visitor.on_to("/devices?done=removed"));
    }
    Ok(out(&visitor.ask, "removed"))
}

/// Gives a device another name.
pub(super) async fn rename(
    visitor: Visitor,
    path: web::Path<(String, Uuid)>,
    form: web::Form<Named>,
) -> Result<HttpResponse, Halt> {
    let ((tenant, person), platform, id) = (visitor.who(), &visitor.ask.platform, path.1);
    let (vault, now, name) = (platform.vault.clone(), platform.clock.now(), form.into_inner().name);
    let call = move |conn: &mut _| devices::call(conn, &vault, now, (tenant, person, id), &name);
    if !platform.db.of(tenant).write(call).await? {
        return Err(not_found().into());
    }
    Ok(visitor.on_to("/devices?done=renamed"))
}
