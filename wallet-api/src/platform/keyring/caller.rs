//! The caller as an extractor: a route that takes one refuses everybody else. What they may do is asked by [`May`](super::May).

use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest, http::header, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use uuid::Uuid;

use super::{Reach, Rights, Role, Scope, Tenant, Token, unauthenticated};
use crate::platform::problem::Problem;
use crate::platform::{Platform, limits};

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A machine client, by its number, which its keys share.
    Client(i64),
    /// A person, in a session of theirs.
    Person(Person),
    /// Somebody who works for the tenant, in a session of theirs.
    Operator(Operator),
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

/// Somebody who works for the tenant and was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operator {
    /// Who.
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
    rights: Arc<Rights>,
    eyes: i64,
}

impl Caller {
    /// A machine or a person who may do `scopes`; a machine's [`Scope::Admin`] stands for all.
    #[must_use]
    pub fn new(tenant: Arc<Tenant>, actor: Actor, scopes: impl Into<Arc<[Scope]>>) -> Self {
        Self { tenant, actor, scopes: scopes.into(), rights: Arc::default(), eyes: number(actor) }
    }

    /// Somebody who works for the tenant, with the rights of this moment.
    #[must_use]
    pub fn of_operator(tenant: Arc<Tenant>, operator: Operator, rights: Rights) -> Self {
        Self { rights: Arc::new(rights), ..Self::new(tenant, Actor::Operator(operator), []) }
    }

    /// The same machine, whose key belongs to the operator of this number.
    #[must_use]
    pub fn of_number(self, operator: i64) -> Self {
        Self { eyes: operator, ..self }
    }

    /// The scope of idempotency keys: two clients may use the same key for different things, and so may two people.
    #[must_use]
    pub fn client(&self) -> i64 {
        number(self.actor)
    }

    /// Whose eyes these are, where four are asked for: an operator's are the same whatever the role, the session or the key
    /// of theirs they come with; a key of the house has its client's.
    #[must_use]
    pub const fn eyes(&self) -> i64 {
        self.eyes
    }

    /// Who works for the tenant, where such a one asks.
    #[must_use]
    pub const fn operator(&self) -> Option<Operator> {
        match self.actor {
            Actor::Operator(operator) => Some(operator),
            Actor::Client(_) | Actor::Person(_) => None,
        }
    }

    /// The roles of an operator that are in force, each with the merchant it is bound to.
    #[must_use]
    pub fn roles(&self) -> &[(Role, Option<Uuid>)] {
        &self.rights.roles
    }

    /// Whether an operator has this customer's data open in an emergency.
    #[must_use]
    pub fn is_emergency(&self, customer: Uuid) -> bool {
        self.rights.emergencies.contains(&customer)
    }

    /// Who works for the tenant.
    ///
    /// # Errors
    /// 403 `operators-only` to everybody else.
    pub fn require_operator(&self) -> Result<Operator, Problem> {
        let remedy = "Sign in as somebody who works for the company.";
        self.operator().ok_or_else(|| Problem::new(403, "operators-only", "This is for operators", remedy))
    }

    /// How far `scope` reaches: an operator's as their roles and emergencies say, everybody else's over the whole tenant.
    ///
    /// # Errors
    /// 403 when the caller does not have it at all.
    pub fn reach(&self, scope: Scope) -> Result<Reach, Problem> {
        let Actor::Operator(_) = self.actor else { return self.require(scope).map(|()| Reach::All) };
        self.rights.reach(scope).ok_or_else(|| role_missing(scope))
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

    /// Lets the caller go on if it may do `scope` over the whole tenant.
    ///
    /// # Errors
    /// 403 `scope-missing` or, to an operator, `role-missing`, naming the scope.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if let Actor::Operator(_) = self.actor {
            let is_whole = self.rights.reach(scope) == Some(Reach::All);
            return if is_whole { Ok(()) } else { Err(role_missing(scope)) };
        }
        if self.scopes.iter().any(|one| one.stands_for(scope)) {
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

const fn number(actor: Actor) -> i64 {
    match actor {
        Actor::Client(client) => client,
        Actor::Person(person) => person.number,
        Actor::Operator(operator) => operator.number,
    }
}

fn role_missing(scope: Scope) -> Problem {
    let detail = format!("It takes a role with {scope}, at this hour and for this: ask an administrator.");
    Problem::new(403, "role-missing", "Your roles do not allow this", detail).with("scope", scope.word())
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
