//! Routes of what a person does to their own doors: passkeys, devices, contacts.

use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post, web};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::bodies::{BegunBody, OptionsBody, code_refused};
use crate::identity::contacts::{self, Contact, Proved};
use crate::identity::doors::{Doors, Visit};
use crate::identity::own::{self, Me};
use crate::identity::passkeys::{self, Holder, Passkey};
use crate::identity::{devices, people};
use crate::platform::Platform;
use crate::platform::fields::text;
use crate::platform::http::{Json, not_found};
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::post::Post;
use crate::platform::problem::Problem;

/// Longest name of a passkey or a device, characters.
const NAME_LENGTH: usize = 60;

/// Adds these routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(list_passkeys)
        .service(begin_passkey)
        .service(add_passkey)
        .service(rename_passkey)
        .service(revoke_passkey)
        .service(rename_device)
        .service(revoke_device)
        .service(list_contacts)
        .service(begin_contact)
        .service(add_contact)
        .service(end_contact);
}

/// The caller in a session of theirs, with their device's proof if it brings one.
fn me(req: &HttpRequest, (platform, doors): (&Platform, &Doors), caller: &Caller) -> Result<(Visit, Me), Problem> {
    let person = caller.person()?;
    let visit = doors.visit(req, platform, caller.tenant.clone())?;
    let shown = doors.shown_with_token(req, visit.now)?;
    Ok((visit, Me { person, shown }))
}

/// A passkey of one's own.
#[derive(Serialize, ToSchema)]
struct PasskeyBody {
    /// Its id.
    id: Uuid,
    /// What its person calls it.
    name: String,
    /// Whether it may be synced to other devices.
    synced: bool,
    /// Since when.
    created_at: DateTime<Utc>,
    /// When it was used last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<DateTime<Utc>>,
    /// Since when it is refused, because there may be a copy of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_at: Option<DateTime<Utc>>,
    /// Since when it is refused, because its person ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<DateTime<Utc>>,
}

impl PasskeyBody {
    fn of(passkey: &Passkey) -> Self {
        let Passkey { id, backup_eligible, created_at, last_used_at, locked_at, revoked_at, .. } = *passkey;
        let name = passkey.name.clone();
        Self { id, name, synced: backup_eligible, created_at, last_used_at, locked_at, revoked_at }
    }
}

/// What a new passkey answered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasskeyMade {
    /// The challenge it answers.
    challenge: Uuid,
    /// The browser's `PublicKeyCredential.toJSON()`.
    #[schema(value_type = Object)]
    response: Map<String, Value>,
    /// What to call it.
    name: Option<String>,
}

/// Another name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Renamed {
    /// 1 to 60 characters.
    #[schema(
        example = "My phone",
        min_length = 1,
        max_length = 60,
        pattern = r"^[^\x00-\x1F\x7F-\x9F]*[^\s\x00-\x1F\x7F-\x9F][^\x00-\x1F\x7F-\x9F]*$"
    )]
    name: String,
}

/// Lists one's own passkeys, oldest first, those that ended too.
#[utoipa::path(tag = "me", security(("key" = ["me"])), responses((status = 200, body = [PasskeyBody])))]
#[get("/v1/me/passkeys", wrap = "May(Scope::Me)")]
async fn list_passkeys(caller: Caller, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    let (tenant, me) = (caller.tenant.id, caller.person()?);
    let found = platform.db.of(tenant).read(move |conn| own::passkeys_of(conn, tenant, me.id)).await?;
    Ok(HttpResponse::Ok().json(found.iter().map(PasskeyBody::of).collect::<Vec<_>>()))
}

/// Begins the registration of a further passkey: gives what to make it with.
///
/// Wants a sign-in of at most five minutes ago and, where the session is bound to a device, its proof with the access token.
#[utoipa::path(tag = "me", security(("key" = ["me:money"])),
    params(("DPoP" = Option<String>, Header, description = "The device's proof over this request and the token")),
    responses((status = 201, body = OptionsBody)))]
#[post("/v1/me/passkeys/challenges", wrap = "May(Scope::MeMoney)")]
async fn begin_passkey(
    req: HttpRequest,
    caller: Caller,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
) -> Result<HttpResponse, Problem> {
    let (visit, me) = me(&req, (&platform, &doors), &caller)?;
    let of = platform.db.of(visit.tenant.id);
    let opened = of.write(move |conn| own::begin_passkey(conn, &visit, &me)).await?;
    Ok(HttpResponse::Created().json(OptionsBody::of(opened)))
}

/// Ends the registration of a further passkey. Every contact is told.
///
/// Wants what its beginning wants.
#[utoipa::path(tag = "me", request_body = PasskeyMade, security(("key" = ["me:money"])),
    params(("DPoP" = Option<String>, Header, description = "The device's proof over this request and the token")),
    responses((status = 201, body = PasskeyBody)))]
#[post("/v1/me/passkeys", wrap = "May(Scope::MeMoney)")]
async fn add_passkey(
    req: HttpRequest,
    caller: Caller,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    body: Json<PasskeyMade>,
) -> Result<HttpResponse, Problem> {
    let (visit, me) = me(&req, (&platform, &doors), &caller)?;
    let PasskeyMade { challenge, response, name } = body.into_inner();
    let (response, name) = (Value::Object(response).to_string().into_bytes(), name.unwrap_or_default());
    let of = platform.db.of(visit.tenant.id);
    let add = move |conn: &mut _| own::add_passkey(conn, &visit, &me, (challenge, &response, &name));
    let added = of.write(add).await?.ok_or_else(passkey_refused)?;
    Ok(HttpResponse::Created().json(PasskeyBody::of(&added)))
}

/// One refusal for whatever is wrong with a new passkey.
fn passkey_refused() -> Problem {
    let remedy = "Begin again and make it on a device that checks who you are, by a PIN, finger or face.";
    Problem::new(403, "passkey-not-registered", "The passkey was not registered", remedy)
}

/// Gives a passkey of one's own another name.
#[utoipa::path(tag = "me", request_body = Renamed, security(("key" = ["me"])), responses((status = 204)))]
#[patch("/v1/me/passkeys/{id}", wrap = "May(Scope::Me)")]
async fn rename_passkey(
    caller: Caller,
    platform: web::Data<Platform>,
    id: web::Path<Uuid>,
    body: Json<Renamed>,
) -> Result<HttpResponse, Problem> {
    let (tenant, holder, id) = (caller.tenant.id, Holder::person(caller.person()?.id), id.into_inner());
    let name = text(body.into_inner().name, "/name", 1..=NAME_LENGTH)?;
    let rename = move |conn: &mut _| passkeys::rename(conn, tenant, holder, id, &name);
    let is_theirs = platform.db.of(tenant).write(rename).await?;
    if is_theirs { Ok(HttpResponse::NoContent().finish()) } else { Err(not_found()) }
}

/// Ends a passkey of one's own; the last one stays. Every contact is told.
///
/// Wants what adding one wants.
#[utoipa::path(tag = "me", security(("key" = ["me:money"])),
    params(("DPoP" = Option<String>, Header, description = "The device's proof over this request and the token")),
    responses((status = 204)))]
#[delete("/v1/me/passkeys/{id}", wrap = "May(Scope::MeMoney)")]
async fn revoke_passkey(
    req: HttpRequest,
    caller: Caller,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (visit, me) = me(&req, (&platform, &doors), &caller)?;
    let (of, id) = (platform.db.of(visit.tenant.id), id.into_inner());
    of.write(move |conn| own::revoke_passkey(conn, &visit, &me, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Gives a device of one's own another name.
#[utoipa::path(tag = "me", request_body = Renamed, security(("key" = ["me"])), responses((status = 204)))]
#[patch("/v1/me/devices/{id}", wrap = "May(Scope::Me)")]
async fn rename_device(
    caller: Caller,
    platform: web::Data<Platform>,
    id: web::Path<Uuid>,
    body: Json<Renamed>,
) -> Result<HttpResponse, Problem> {
    let (tenant, me, id) = (caller.tenant.id, caller.person()?, id.into_inner());
    let name = text(body.into_inner().name, "/name", 1..=NAME_LENGTH)?;
    let (vault, now) = (platform.vault.clone(), platform.clock.now());
    let rename = move |conn: &mut _| devices::call(conn, &vault, now, (tenant, me.id, id), &name);
    let is_theirs = platform.db.of(tenant).write(rename).await?;
    if is_theirs { Ok(HttpResponse::NoContent().finish()) } else { Err(not_found()) }
}

/// Revokes a device of one's own, and ends its sessions: at the latest one second later no node takes their tokens. For good:
/// its key cannot come back. Every contact is told.
#[utoipa::path(tag = "me", security(("key" = ["me"])), responses((status = 204)))]
#[delete("/v1/me/devices/{id}", wrap = "May(Scope::Me)")]
async fn revoke_device(
    req: HttpRequest,
    caller: Caller,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let me = Me { person: caller.person()?, shown: None };
    let visit = doors.visit(&req, &platform, caller.tenant.clone())?;
    let (of, id) = (platform.db.of(visit.tenant.id), id.into_inner());
    let ended = of.write(move |conn| own::revoke_device(conn, &visit, &me, id)).await?;
    platform.keyring.ended(&ended);
    Ok(HttpResponse::NoContent().finish())
}

/// A contact of one's own.
#[derive(Serialize, ToSchema)]
struct ContactBody {
    /// Its id.
    id: Uuid,
    /// `email` or `phone`.
    #[schema(example = "email")]
    kind: &'static str,
    /// The contact.
    value: String,
    /// When it was proved.
    proved_at: DateTime<Utc>,
}

impl ContactBody {
    fn of(proved: &Proved) -> Self {
        let (kind, value) = (proved.contact.kind().word(), proved.contact.reveal().to_owned());
        Self { id: proved.id, kind, value, proved_at: proved.proved_at }
    }
}

/// A contact to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewContact {
    /// A mail address.
    #[schema(example = "anna@example.org")]
    email: String,
}

/// The code that came.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ContactCode {
    /// The eight digits.
    #[schema(example = "01234567")]
    code: String,
}

/// Lists one's own contacts, oldest first.
#[utoipa::path(tag = "me", security(("key" = ["me"])), responses((status = 200, body = [ContactBody])))]
#[get("/v1/me/contacts", wrap = "May(Scope::Me)")]
async fn list_contacts(caller: Caller, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    let (tenant, me, vault) = (caller.tenant.id, caller.person()?, platform.vault.clone());
    let found = platform.db.of(tenant).read(move |conn| contacts::list(conn, &vault, tenant, me.id)).await?;
    Ok(HttpResponse::Ok().json(found.iter().map(ContactBody::of).collect::<Vec<_>>()))
}

/// Begins to add a contact: a code goes there. The answer is the same whether or not it is somebody's.
///
/// Wants what adding a passkey wants.
#[utoipa::path(tag = "me", request_body = NewContact, security(("key" = ["me:money"])),
    params(("DPoP" = Option<String>, Header, description = "The device's proof over this request and the token")),
    responses((status = 202, body = BegunBody)))]
#[post("/v1/me/contacts", wrap = "May(Scope::MeMoney)")]
async fn begin_contact(
    req: HttpRequest,
    caller: Caller,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    post: web::Data<Post>,
    body: Json<NewContact>,
) -> Result<HttpResponse, Problem> {
    let (visit, me) = me(&req, (&platform, &doors), &caller)?;
    let contact = Contact::email(&body.email)?;
    post.is_set()?;
    let of = platform.db.of(visit.tenant.id);
    let begin = move |conn: &mut _| {
        let person = people::find(conn, visit.tenant.id, me.person.id).map_err(own::OwnError::from)?;
        let locale = person.map_or(visit.tenant.locale, |person| person.locale);
        own::begin_contact(conn, &visit, &me, (contact, locale))
    };
    let begun = of.write(begin).await?;
    post.send(&begun.mail)?;
    Ok(HttpResponse::Accepted().json(BegunBody::of(&begun)))
}

/// Says the code, and has the contact as one's own from now on. The contacts there were before are told.
///
/// Wants what adding a passkey wants.
#[utoipa::path(tag = "me", request_body = ContactCode, security(("key" = ["me:money"])),
    params(("DPoP" = Option<String>, Header, description = "The device's proof over this request and the token")),
    responses((status = 204)))]
#[post("/v1/me/contacts/{id}/code", wrap = "May(Scope::MeMoney)")]
async fn add_contact(
    req: HttpRequest,
    caller: Caller,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    id: web::Path<Uuid>,
    body: Json<ContactCode>,
) -> Result<HttpResponse, Problem> {
    let (visit, me) = me(&req, (&platform, &doors), &caller)?;
    let digits: String = body.code.chars().filter(|c| !c.is_whitespace()).take(16).collect();
    let (of, id) = (platform.db.of(visit.tenant.id), id.into_inner());
    let added = of.write(move |conn| own::add_contact(conn, &visit, &me, (id, &digits))).await?;
    added.map(|_id| HttpResponse::NoContent().finish()).ok_or_else(code_refused)
}

/// Ends a contact of one's own; the last one stays. Every contact is told, that one too.
///
/// Wants what adding a passkey wants.
#[utoipa::path(tag = "me", security(("key" = ["me:money"])),
    params(("DPoP" = Option<String>, Header, description = "The device's proof over this request and the token")),
    responses((status = 204)))]
#[delete("/v1/me/contacts/{id}", wrap = "May(Scope::MeMoney)")]
async fn end_contact(
    req: HttpRequest,
    caller: Caller,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (visit, me) = me(&req, (&platform, &doors), &caller)?;
    let (of, id) = (platform.db.of(visit.tenant.id), id.into_inner());
    of.write(move |conn| own::end_contact(conn, &visit, &me, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
