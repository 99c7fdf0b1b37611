//! A person's rights over HTTP.

use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, post, web};
use diesel::PgConnection;
use futures_util::stream;
use ledger::Journal;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::erase::Ordered;
use super::{Erasing, Export, Source, erase};
use crate::identity::Doors;
use crate::identity::four_eyes::{self, Act, ProposalBody, Wish};
use crate::identity::own::Me;
use crate::loyalty::Programmes;
use crate::payments;
use crate::platform::Platform;
use crate::platform::audit::{self, Action, Entry, Object};
use crate::platform::http::not_found;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::post::Post;
use crate::platform::problem::Problem;
use crate::profile::{self, Customers};

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(export_me).service(erase_me).service(erase_customer);
}

/// Gives one file of everything that is kept of me, who looked at it included: a JSON object a line, each with its `kind`.
///
/// It comes as it is read, however long it is; a file whose last line is not of kind `end` was cut off.
#[utoipa::path(tag = "me", security(("key" = ["me:money"])), responses(
    (status = 200, content((String = "application/x-ndjson"))),
))]
#[post("/v1/me/export", wrap = "May(Scope::MeMoney)")]
async fn export_me(
    caller: Caller,
    platform: web::Data<Platform>,
    programmes: web::Data<Programmes>,
) -> Result<HttpResponse, Problem> {
    let (tenant, me, now) = (caller.tenant.id, caller.person()?, platform.clock.now());
    let config = programmes.config(&platform, tenant).await?;
    let accounts = payments::own_accounts(tenant, &config, me.id);
    let act = Entry::done(tenant, caller.actor, Action::PersonExported, Object::Person(me.id)).about(me.id);
    platform.db.of(tenant).write(move |conn| audit::append(conn, &act, now)).await?;
    let (db, history, vault) = (platform.db.clone(), platform.history.clone(), platform.vault.clone());
    let mut export = Export::of(Source { db, history, tenant, person: me.id, accounts, vault, now });
    // The first page before the answer begins: what is refused is still a refusal then.
    let first = export.next().await?.map(Bytes::from);
    let rest = stream::unfold((first, Some(export)), |(first, export)| async move {
        if let Some(first) = first {
            return Some((Ok(first), (None, export)));
        }
        let mut export = export?;
        match export.next().await {
            Ok(bytes) => bytes.map(|bytes| (Ok(Bytes::from(bytes)), (None, Some(export)))),
            Err(problem) => Some((Err(problem), (None, None))),
        }
    });
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CONTENT_TYPE, "application/x-ndjson"));
    response.insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"export.ndjson\""));
    Ok(response.streaming(rest))
}

/// Forgets me: destroys the key that what is known of me is sealed with, closes my wallet, ends my sessions. For good.
///
/// Wants what adding a passkey wants: a sign-in of at most five minutes ago and, where the session is bound to a device, its proof with
/// the access token. The wallet must be empty, and no recovery or new device less than a day ago. Every contact is told. Rewards that
/// were not used lapse. What the law makes us keep stays under an id that nothing leads to. The answer is the signed receipt,
/// which `tessera vault receipt check` checks without us.
#[utoipa::path(tag = "me", security(("key" = ["me:money"])),
    params(("DPoP" = Option<String>, Header, description = "The device's proof over this request and the token")),
    responses((status = 200, body = Object)))]
#[post("/v1/me/erasure", wrap = "May(Scope::MeMoney)")]
async fn erase_me(
    req: HttpRequest,
    caller: Caller,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    journal: web::Data<Journal>,
    customers: web::Data<Customers>,
    post: web::Data<Post>,
) -> Result<HttpResponse, Problem> {
    let me = Me { person: caller.person()?, shown: doors.shown_with_token(&req, platform.clock.now())? };
    let with =
        Erasing { platform: &platform, journal: &journal, customers: &customers, post: &post, tenant: &caller.tenant };
    let receipt = erase(with, me).await?;
    Ok(HttpResponse::Ok().json(receipt))
}

/// Asks for a person to be forgotten who did not ask for it in a session of theirs: by letter, say. It takes four eyes: somebody
/// else approves it (`/v1/approvals`), whose answer has the signed receipt.
#[utoipa::path(tag = "customers", security(("key" = ["admin"])), responses(
    (status = 202, body = ProposalBody),
))]
#[post("/v1/customers/{id}/erasure", wrap = "May(Scope::Admin)")]
async fn erase_customer(
    caller: Caller,
    platform: web::Data<Platform>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (tenant, customer, now) = (caller.tenant.id, id.into_inner(), platform.clock.now());
    let body = serde_json_canonicalizer::to_vec(&Ordered { customer }).map_err(|error| Problem::internal(&error))?;
    let wish = Wish { act: Act::Erasure, object: Object::Person(customer), body };
    let id = platform.ids.uuid_v7(now);
    let ask = move |conn: &mut PgConnection| -> Result<_, Problem> {
        // Whoever never had a wallet of their own is remembered too: by a card, by what was paid.
        if !profile::is_customer(conn, tenant, customer)? {
            return Err(not_found());
        }
        Ok(four_eyes::ask(conn, (id, now), &caller, &wish)?)
    };
    let asked = platform.db.of(tenant).write(ask).await?;
    Ok(asked.accepted(now))
}
