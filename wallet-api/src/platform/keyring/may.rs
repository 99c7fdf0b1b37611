//! What a route asks of its caller, asked before anything else of the request is looked at.
//!
//! `#[post("/v1/payments", wrap = "May(Scope::PaymentsWrite)")]`: a stranger is told 401 and a key without the scope 403,
//! whatever the rest of the request is, and however long its body. The handler's own [`Caller`] is the one let in here.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::{Error, HttpMessage};
use futures_util::future::{Either, LocalBoxFuture, MapOk};
use futures_util::{FutureExt, TryFutureExt};

use super::{Caller, Scope};
use crate::platform::problem::Problem;

/// Lets through who may do this, and refuses the others before the route reads anything of theirs.
#[derive(Debug, Clone, Copy)]
pub struct May(pub Scope);

/// The same for a route that asks how far its caller's right reaches ([`Caller::reach`]), and keeps within: it lets those
/// in too whose roles are bound to a merchant. [`May`] does not.
#[derive(Debug, Clone, Copy)]
pub struct Within(pub Scope);

impl<S, B> Transform<S, ServiceRequest> for May
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type InitError = ();
    type Transform = Asking<S>;
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(Asking { scope: self.0, keeps_within: false, inner: Rc::new(inner) }))
    }
}

impl<S, B> Transform<S, ServiceRequest> for Within
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type InitError = ();
    type Transform = Asking<S>;
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(Asking { scope: self.0, keeps_within: true, inner: Rc::new(inner) }))
    }
}

/// A route behind [`May`] or [`Within`].
#[derive(Debug)]
pub struct Asking<S> {
    scope: Scope,
    keeps_within: bool,
    inner: Rc<S>,
}

impl<S, B> Service<ServiceRequest> for Asking<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = Either<LetIn<S::Future, B>, LocalBoxFuture<'static, Result<Self::Response, Error>>>;

    forward_ready!(inner);

    fn call(&self, mut req: ServiceRequest) -> Self::Future {
        let (asked, inner) = ((self.scope, self.keeps_within), Rc::clone(&self.inner));
        // Known nearly always, and then nothing has to be kept for waiting.
        match Caller::known(req.request()).map(|caller| may(caller, asked)) {
            Some(Ok(caller)) => {
                req.extensions_mut().insert(caller);
                return Either::Left(inner.call(req).map_ok(ServiceResponse::map_into_left_body));
            }
            Some(Err(refusal)) => {
                let refused = req.error_response(refusal).map_into_right_body();
                return Either::Right(std::future::ready(Ok(refused)).boxed_local());
            }
            None => {}
        }
        let waiting = async move {
            let caller = req.extract::<Caller>().await;
            match may(caller, asked) {
                Ok(caller) => {
                    req.extensions_mut().insert(caller);
                    Ok(inner.call(req).await?.map_into_left_body())
                }
                Err(refusal) => Ok(req.error_response(refusal).map_into_right_body()),
            }
        };
        Either::Right(waiting.boxed_local())
    }
}

/// The answer of a route to whoever was let in.
type LetIn<F, B> = MapOk<F, fn(ServiceResponse<B>) -> ServiceResponse<EitherBody<B>>>;

fn may(caller: Result<Caller, Problem>, (scope, keeps_within): (Scope, bool)) -> Result<Caller, Problem> {
    let caller = caller?;
    if keeps_within {
        caller.reach(scope)?;
    } else {
        caller.require(scope)?;
    }
    Ok(caller)
}
