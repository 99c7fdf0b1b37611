//! Routes of sign-up. Open: whoever comes here is nobody yet.

use actix_web::{HttpRequest, HttpResponse, post, web};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::bodies::{BegunBody, CodeSaid, ContactWish, EnteredBody, NewPasskeyBody, OptionsBody, code_refused, visit};
use crate::identity::doors::Doors;
use crate::identity::sign_up;
use crate::platform::Platform;
use crate::platform::http::Json;
use crate::platform::post::Post;
use crate::platform::problem::Problem;

/// Adds these routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(begin_sign_up).service(prove_sign_up).service(finish_sign_up);
}

/// Begins a sign-up: a code goes to the contact.
///
/// The answer is the same whether or not somebody has a wallet with it; who has one is written that they do.
#[utoipa::path(tag = "doors", request_body = ContactWish, security(()), responses((status = 202, body = BegunBody)))]
#[post("/v1/sign-ups")]
async fn begin_sign_up(
    req: HttpRequest,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    post: web::Data<Post>,
    body: Json<ContactWish>,
) -> Result<HttpResponse, Problem> {
    let visit = visit(&req, &platform, &doors, &body.tenant).await?;
    let wish = body.read(&visit)?;
    post.is_set()?;
    let of = platform.db.of(visit.tenant.id);
    let begun = of.write(move |conn| sign_up::begin(conn, &visit, wish)).await?;
    post.send(&begun.mail)?;
    Ok(HttpResponse::Accepted().json(BegunBody::of(&begun)))
}

/// Says the code, and gives what to make a passkey with.
#[utoipa::path(tag = "doors", request_body = CodeSaid, security(()), responses((status = 200, body = OptionsBody)))]
#[post("/v1/sign-ups/{id}/code")]
async fn prove_sign_up(
    req: HttpRequest,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    id: web::Path<Uuid>,
    body: Json<CodeSaid>,
) -> Result<HttpResponse, Problem> {
    let visit = visit(&req, &platform, &doors, &body.tenant).await?;
    let (id, digits, of) = (id.into_inner(), body.digits(), platform.db.of(visit.tenant.id));
    let opened = of.write(move |conn| sign_up::prove(conn, &visit, id, &digits)).await?;
    Ok(HttpResponse::Ok().json(OptionsBody::of(opened.ok_or_else(code_refused)?)))
}

/// Ends a sign-up: registers the passkey, and makes a customer who is signed in.
///
/// A device that keeps a key proves it in the `DPoP` header (RFC 9449): it is the person's first device then.
#[utoipa::path(tag = "doors", request_body = NewPasskeyBody, security(()),
    params(("DPoP" = Option<String>, Header, description = "The device's proof over this request")), responses(
    (status = 201, body = EnteredBody),
))]
#[post("/v1/sign-ups/{id}/passkey")]
async fn finish_sign_up(
    req: HttpRequest,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    id: web::Path<Uuid>,
    body: Json<NewPasskeyBody>,
) -> Result<HttpResponse, Problem> {
    let device = doors.shown(&req, None, platform.clock.now())?;
    let visit = visit(&req, &platform, &doors, &body.tenant).await?;
    let (answer, name) = body.into_inner().into_answer(device);
    let (id, of) = (id.into_inner(), platform.db.of(visit.tenant.id));
    EnteredBody::answer(of.write(move |conn| sign_up::finish(conn, &visit, (id, &name), &answer)).await?)
}
