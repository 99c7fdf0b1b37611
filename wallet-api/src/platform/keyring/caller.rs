//! The caller as an extractor: a route that takes one refuses everybody else. What they may do is asked by [`May`](super::May).

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, http::header, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use uuid::Uuid;

use super::{Scope, Tenant, Token, unauthenticated};
use crate::platform::problem::Problem;
use crate::platform::{Platform, limits};

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A machine client, by its number, which its keys share.
    Client(i64),
    /// A person, in a session of theirs.
    Person(Person),
}

/// A person who was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// Who: the customer of the same id.
    pub id: Uuid,
    /// Their number, of the same sequence as the clients'.
    pub number: i64,
    /// In which session.
    pub session: Uuid,
}

/// Somebody who was let in: an extractor, so a route that takes one refuses everybody else with 401.
#[derive(Debug, Clone)]
pub struct Caller {
    /// For whom.
    pub tenant: Arc<Tenant>,
    /// Who.
    pub actor: Actor,
    scopes: Arc<[Scope]>,
}

impl Caller {
    /// A caller who may do `scopes`; [`Scope::Admin`] stands for all.
    #[must_use]
    pub fn new(tenant: Arc<Tenant>, actor: Actor, scopes: impl Into<Arc<[Scope]>>) -> Self {
        Self { tenant, actor, scopes: scopes.into() }
    }

    /// The scope of idempotency keys: two clients may use the same key for different things, and so may two people.
    #[must_use]
    pub fn client(&self) -> i64 {
        match self.actor {
            Actor::Client(client) => client,
            Actor::Person(person) => person.number,
        }
    }

    /// The person, where one asks.
    ///
    /// # Errors
    /// 403 `people-only` to a machine.
    pub fn person(&self) -> Result<Person, Problem> {
        let Actor::Person(person) = self.actor else {
            let remedy = "Sign in as the person whose it is.";
            return Err(Problem::new(403, "people-only", "This is for people", remedy));
        };
        Ok(person)
    }

    /// Lets the caller go on if it may do `scope`.
    ///
    /// # Errors
    /// 403 `scope-missing`, naming the scope.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.contains(&scope) || (self.scopes.contains(&Scope::Admin) && !scope.is_of_people()) {
            return Ok(());
        }
        if matches!(self.actor, Actor::Person(_)) && scope == Scope::MeMoney {
            let remedy = "Sign in again with your passkey: five minutes went by without anything being asked.";
            return Err(Problem::new(401, "sign-in-again", "You were away for too long", remedy));
        }
        let detail = format!("It lacks the scope {scope}: use a key that has it.");
        Err(Problem::new(403, "scope-missing", "The key may not do this", detail).with("scope", scope.word()))
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        if let Some(caller) = req.extensions().get::<Self>() {
            return std::future::ready(Ok(caller.clone())).boxed_local(); // let in by what the route is wrapped in
        }
        if let Some(known) = Self::known(req) {
            return std::future::ready(known).boxed_local();
        }
        let platform = req.app_data::<web::Data<Platform>>().cloned();
        let key = bearer(req).and_then(Token::parse);
        let req = req.clone();
        async move {
            let platform = platform.ok_or_else(|| Problem::internal(&NotConfigured))?;
            let caller = platform.keyring.admit(&key.ok_or_else(unauthenticated)?).await?;
            caller.enter(&req)
        }
        .boxed_local()
    }
}

impl Caller {
    /// Who asks, when that is known already and nobody has to be waited for: nearly always.
    pub(super) fn known(req: &HttpRequest) -> Option<Result<Self, Problem>> {
        let platform = req.app_data::<web::Data<Platform>>()?;
        let known = platform.keyring.known(&bearer(req).and_then(Token::parse)?)?;
        Some(known.and_then(|caller| caller.enter(req)))
    }

    /// Notes who was let in, and has them spend a token.
    fn enter(self, req: &HttpRequest) -> Result<Self, Problem> {
        let span = tracing::Span::current();
        span.record("tenant", self.tenant.id).record("client", self.client());
        limits::charge(req, &self)?; // only now: nobody spends what is another's
        Ok(self)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the app was built without its Platform")]
struct NotConfigured;

/// The token of the one `Authorization: Bearer` header; none if there are several.
fn bearer(req: &HttpRequest) -> Option<&str> {
    let mut headers = req.headers().get_all(header::AUTHORIZATION);
    let (value, None) = (headers.next()?.to_str().ok()?, headers.next()) else { return None };
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}
