//! Pages for operators: their invitation and sign-in, what waits for a second pair of eyes, the password they fall back on.
//!
//! Promise: whoever is shown one of these that asks for somebody is an operator in a session of theirs, never a person; what
//! waits is decided by the same functions as over the API, whose refusals are told in their own words. An operator who is here
//! outside the hours of their roles is told who they are, and decides nothing.
//! Not here: whose eyes are whose, what a role may, when a password may be set (identity); what is done once it is approved
//! (`approvals`, `books`).

mod asked;
mod corrections;
mod home;
mod invitation;
mod password;
mod sign_in;

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use super::ask::{Ask, Halt, elsewhere};
use crate::approvals::Hands;
use crate::books::Books;
use crate::platform::http::not_found;
use crate::platform::keyring::{Caller, Operator, Scope};
use crate::platform::problem::Problem;

/// Adds them, below `/staff/<slug>`.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let by_password = web::resource("/sign-in/password");
    config
        .route("", web::get().to(home::show))
        .service(
            web::resource("/invitation")
                .route(web::get().to(invitation::show))
                .route(web::post().to(invitation::begin)),
        )
        .route("/invitation/passkey", web::post().to(invitation::finish))
        .service(web::resource("/sign-in").route(web::get().to(sign_in::show)).route(web::post().to(sign_in::enter)))
        .service(
            by_password.route(web::get().to(sign_in::show_password)).route(web::post().to(sign_in::enter_by_password)),
        )
        .route("/sign-out", web::post().to(sign_in::leave))
        .route("/approvals/{id}/approve", web::post().to(home::approve))
        .route("/approvals/{id}/reject", web::post().to(home::reject))
        .route("/corrections/{id}/approve", web::post().to(corrections::approve))
        .route("/corrections/{id}/reject", web::post().to(corrections::reject))
        .service(web::resource("/password").route(web::get().to(password::show)).route(web::post().to(password::set)))
        .route("/password/end", web::post().to(password::end));
}

/// An operator who is signed in: an extractor, so a page that takes one is shown to nobody else.
struct Colleague {
    /// What they ask.
    ask: Ask,
    /// Who they are to the platform, with the roles of this moment.
    caller: Caller,
    /// Who they are.
    me: Operator,
}

impl FromRequest for Colleague {
    type Error = Halt;
    type Future = LocalBoxFuture<'static, Result<Self, Halt>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let ask = Ask::of(req);
        async move {
            let ask = ask?;
            let Some((caller, me)) = ask.known_operator().await? else { return Err(ask.sign_in()) };
            ask.enter(&caller, Scope::Staff)?;
            Ok(Self { ask, caller, me })
        }
        .boxed_local()
    }
}

impl Colleague {
    /// On to a page of this tenant.
    fn on_to(&self, page: &str) -> HttpResponse {
        elsewhere(&self.ask.address(page))
    }
}

/// What is decided with: an extractor.
struct Desk {
    /// What does what was asked.
    hands: Hands,
    /// What corrects the books.
    books: web::Data<Books>,
}

impl FromRequest for Desk {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(req))
    }
}

impl Desk {
    fn of(req: &HttpRequest) -> Result<Self, Problem> {
        fn data<T: 'static>(req: &HttpRequest) -> Result<web::Data<T>, Problem> {
            req.app_data().cloned().ok_or_else(not_found)
        }
        let hands = Hands { platform: data(req)?, journal: data(req)?, payments: data(req)?, post: data(req)? };
        Ok(Self { hands, books: data(req)? })
    }
}
