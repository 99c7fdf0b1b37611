//! Routes of recovery. Open: whoever comes here has nothing to show any more.

use actix_web::{HttpRequest, HttpResponse, post, web};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::bodies::{BegunBody, CodeSaid, ContactWish, EnteredBody, NewPasskeyBody, OptionsBody, code_refused, visit};
use crate::identity::doors::Doors;
use crate::identity::recovery::{self, Recovered};
use crate::platform::Platform;
use crate::platform::http::Json;
use crate::platform::post::Post;
use crate::platform::problem::Problem;

/// Adds these routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(begin_recovery).service(prove_recovery).service(finish_recovery);
}

/// Begins a recovery: a code goes to the contact.
///
/// The answer is the same whether or not somebody has a wallet with it; where nobody has, the letter says so.
#[utoipa::path(tag = "doors", request_body = ContactWish, security(()), responses((status = 202, body = BegunBody)))]
#[post("/v1/recoveries")]
async fn begin_recovery(
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
    let begun = of.write(move |conn| recovery::begin(conn, &visit, wish)).await?;
    post.send(&begun.mail)?;
    Ok(HttpResponse::Accepted().json(BegunBody::of(&begun)))
}

/// Says the code, and gives what to make a new passkey with. Every contact of the person is told.
#[utoipa::path(tag = "doors", request_body = CodeSaid, security(()), responses((status = 200, body = OptionsBody)))]
#[post("/v1/recoveries/{id}/code")]
async fn prove_recovery(
    req: HttpRequest,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    id: web::Path<Uuid>,
    body: Json<CodeSaid>,
) -> Result<HttpResponse, Problem> {
    let visit = visit(&req, &platform, &doors, &body.tenant).await?;
    let (id, digits, of) = (id.into_inner(), body.digits(), platform.db.of(visit.tenant.id));
    let opened = of.write(move |conn| recovery::prove(conn, &visit, id, &digits)).await?;
    Ok(HttpResponse::Ok().json(OptionsBody::of(opened.ok_or_else(code_refused)?)))
}

/// Ends a recovery: registers the passkey, ends all sessions of the person and opens one. For a day little may be paid.
#[utoipa::path(tag = "doors", request_body = NewPasskeyBody, security(()),
    params(("DPoP" = Option<String>, Header, description = "The device's proof over this request")), responses(
    (status = 201, body = EnteredBody),
))]
#[post("/v1/recoveries/{id}/passkey")]
async fn finish_recovery(
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
    let recovered = of.write(move |conn| recovery::finish(conn, &visit, (id, &name), &answer)).await?;
    let entered = recovered.map(|Recovered { entered, ended }| {
        platform.keyring.ended(&ended);
        entered
    });
    EnteredBody::answer(entered)
}
