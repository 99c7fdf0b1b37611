//! Who asks for a page: for which tenant, in which language, with which session.

use std::fmt;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpRequest, HttpResponse, ResponseError, web};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use header::{HeaderMap, HeaderName, LOCATION, ORIGIN, SET_COOKIE};
use url::form_urlencoded;

use super::{cookies, device, frame};
use crate::identity::doors::{Doors, Visit};
use crate::identity::own;
use crate::identity::tenant_by_slug;
use crate::platform::Platform;
use crate::platform::http::not_found;
use crate::platform::keyring::{Caller, Operator, Person, Scope, Tenant};
use crate::platform::limits;
use crate::platform::problem::Problem;
use crate::platform::text::Lang;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Longest address to go on to.
const NEXT_BYTES: usize = 500;

/// Whose pages: people's, or those of who works for the tenant. Each side has its addresses, and its session's cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// People's.
    My,
    /// Operators'.
    Staff,
}

impl Side {
    /// What its addresses begin with.
    pub(super) const fn root(self) -> &'static str {
        match self {
            Self::My => "/my/",
            Self::Staff => "/staff/",
        }
    }

    fn of(path: &str) -> Self {
        if path.starts_with(Self::Staff.root()) { Self::Staff } else { Self::My }
    }
}

/// Around every page: whoever changes something comes from a page of ours, and a language that is chosen is kept.
///
/// # Errors
/// 403 `origin-refused`.
pub(super) async fn guard(
    req: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if !req.method().is_safe() && !is_from_our_page(&req) {
        let remedy = "Go to the page itself, load it again and send it from there.";
        return Err(Problem::new(403, "origin-refused", "This does not come from one of our pages", remedy).into());
    }
    let chosen = chosen(req.query_string());
    let mut response = next.call(req).await?;
    if let Some(cookie) = chosen.and_then(cookies::keep_language) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Browsers say with each POST where it comes from, and no page can say otherwise for them.
fn is_from_our_page(req: &ServiceRequest) -> bool {
    let Some(doors) = req.app_data::<web::Data<Doors>>() else { return false };
    let mut given = req.headers().get_all(ORIGIN);
    let (Some(origin), None) = (given.next(), given.next()) else { return false };
    doors.origins().iter().any(|ours| origin == ours.as_str())
}

/// The language that an address asks for.
fn chosen(query: &str) -> Option<Lang> {
    form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "lang").and_then(|(_, tag)| Lang::from_tag(&tag))
}

/// The language of a request, as far as its headers say.
pub(super) fn language(headers: &HeaderMap) -> Lang {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    cookies::language(headers).unwrap_or_else(|| accepted.map_or_else(Lang::default, Lang::from_header))
}

/// Why somebody gets something else than the page they asked for.
#[derive(Debug)]
pub(super) enum Halt {
    /// It is refused.
    No(Problem),
    /// There is another page for them, at this address.
    Elsewhere(String),
    /// They come from another site, so their cookie stayed behind: the same page again, this time from a page of ours.
    Through(Lang, Side),
}

impl From<Problem> for Halt {
    fn from(problem: Problem) -> Self {
        Self::No(problem)
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No(problem) => problem.fmt(f),
            Self::Elsewhere(_) => f.write_str("there is another page"),
            Self::Through(..) => f.write_str("the same page again"),
        }
    }
}

impl ResponseError for Halt {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::No(problem) => problem.status(),
            Self::Elsewhere(_) => StatusCode::SEE_OTHER,
            Self::Through(..) => StatusCode::OK,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::No(problem) => problem.error_response(),
            Self::Elsewhere(address) => elsewhere(address),
            Self::Through(lang, side) => frame::through(*lang, *side),
        }
    }
}

/// On to another page.
pub(super) fn elsewhere(address: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, address)).finish()
}

/// A value of an address.
fn encoded(value: &str) -> String {
    form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

/// A request for a page: an extractor.
pub(super) struct Ask {
    /// The request itself.
    pub(super) req: HttpRequest,
    /// The ground.
    pub(super) platform: web::Data<Platform>,
    /// The language to write in.
    pub(super) lang: Lang,
    /// Whose pages these are.
    pub(super) side: Side,
    /// The tenant's slug, as the address has it.
    pub(super) slug: String,
}

impl FromRequest for Ask {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Self::of(req))
    }
}

impl Ask {
    pub(super) fn of(req: &HttpRequest) -> Result<Self, Problem> {
        let platform = req.app_data::<web::Data<Platform>>().cloned().ok_or_else(not_found)?;
        let slug = req.match_info().get("tenant").unwrap_or_default().to_owned();
        let lang = chosen(req.query_string()).unwrap_or_else(|| language(req.headers()));
        Ok(Self { req: req.clone(), platform, lang, side: Side::of(req.path()), slug })
    }

    /// The address of a page of this tenant: `""` is its first.
    pub(super) fn address(&self, page: &str) -> String {
        format!("{}{}{page}", self.side.root(), self.slug)
    }

    /// This page in another language.
    pub(super) fn in_language(&self, lang: Lang) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let kept = form_urlencoded::parse(self.req.query_string().as_bytes()).filter(|(name, _)| name != "lang");
        query.extend_pairs(kept).append_pair("lang", lang.tag());
        format!("{}?{}", self.req.path(), query.finish())
    }

    /// The tenant, for whoever is nobody yet.
    pub(super) async fn tenant(&self) -> Result<Arc<Tenant>, Problem> {
        let slug = self.slug.clone();
        // Whose slug it is, is what is asked.
        let found = self.platform.db.house().run(move |conn| tenant_by_slug(conn, &slug)).await;
        found.map(Arc::new).map_err(|problem| if problem.code() == "tenant-unknown" { not_found() } else { problem })
    }

    /// What people come in by.
    pub(super) fn doors(&self) -> Result<&Doors, Problem> {
        self.req.app_data::<web::Data<Doors>>().map(|doors| doors.as_ref()).ok_or_else(not_found)
    }

    /// The request as the doors take it, for whoever is nobody yet.
    pub(super) async fn visit(&self) -> Result<Visit, Problem> {
        let tenant = self.tenant().await?;
        self.doors()?.visit(&self.req, &self.platform, tenant)
    }

    /// The person who is signed in here; none when nobody is.
    pub(super) async fn known(&self) -> Result<Option<(Caller, Person)>, Problem> {
        Ok(self.admitted().await?.and_then(|caller| caller.person().ok().map(|me| (caller, me))))
    }

    /// The operator who is signed in here; none when nobody is.
    pub(super) async fn known_operator(&self) -> Result<Option<(Caller, Operator)>, Problem> {
        Ok(self.admitted().await?.and_then(|caller| caller.operator().map(|me| (caller, me))))
    }

    async fn admitted(&self) -> Result<Option<Caller>, Problem> {
        let Some(token) = cookies::session(self.req.headers(), self.side, &self.slug) else { return Ok(None) };
        match self.platform.keyring.admit(&token).await {
            Ok(caller) if caller.tenant.slug == self.slug => Ok(Some(caller)),
            Ok(_another_tenants) => Ok(None),
            Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// Notes who was let in, has them spend a token, and asks for what all of the side's pages ask for.
    pub(super) fn enter(&self, caller: &Caller, scope: Scope) -> Result<(), Problem> {
        tracing::Span::current().record("tenant", caller.tenant.id).record("client", caller.client());
        limits::charge(&self.req, caller)?;
        caller.require(scope)
    }

    /// What somebody who is not signed in gets: the sign-in, which leads back here.
    pub(super) fn sign_in(&self) -> Halt {
        let is_read = self.req.method() == Method::GET;
        let from = self.req.headers().get(FETCH_SITE).and_then(|value| value.to_str().ok());
        if is_read && from == Some("cross-site") {
            return Halt::Through(self.lang, self.side);
        }
        let address = self.address("/sign-in");
        if !is_read || self.req.path() == self.address("") {
            return Halt::Elsewhere(address);
        }
        let there = self.req.uri().path_and_query().map_or_else(|| self.req.path().to_owned(), ToString::to_string);
        Halt::Elsewhere(format!("{address}?next={}", encoded(&there)))
    }

    /// To show the passkey again, and then on to this page.
    pub(super) fn again(&self, page: &str) -> Halt {
        Halt::Elsewhere(format!("{}?next={}", self.address("/sign-in"), encoded(&self.address(page))))
    }

    /// An address of this tenant's pages to go on to after the sign-in, if it is one; else the first page (T27).
    pub(super) fn next(&self, wish: Option<&str>) -> String {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-?=&.%_~+".contains(&byte);
        let below = self.address("/");
        let is_ours = |wish: &&str| {
            wish.starts_with(&below) && wish.len() <= NEXT_BYTES && wish.bytes().all(is_plain) && !wish.contains("//")
        };
        wish.filter(is_ours).map_or_else(|| self.address(""), str::to_owned)
    }
}

/// Somebody who is signed in: an extractor, so a page that takes one is shown to nobody else.
pub(super) struct Visitor {
    /// What they ask.
    pub(super) ask: Ask,
    /// Who they are to the platform.
    pub(super) caller: Caller,
    /// Who they are.
    pub(super) me: Person,
}

impl FromRequest for Visitor {
    type Error = Halt;
    type Future = LocalBoxFuture<'static, Result<Self, Halt>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let ask = Ask::of(req);
        async move {
            let ask = ask?;
            let Some((caller, me)) = ask.known().await? else { return Err(ask.sign_in()) };
            ask.enter(&caller, Scope::Me)?;
            Ok(Self { ask, caller, me })
        }
        .boxed_local()
    }
}

impl Visitor {
    /// The tenant's number, and the person's id.
    pub(super) fn who(&self) -> (i64, uuid::Uuid) {
        (self.caller.tenant.id, self.me.id)
    }

    /// The same as the doors and their owner take it, with the device's key if the form proves one.
    pub(super) fn own(&self, proof: &str) -> Result<(Visit, own::Me), Problem> {
        let visit = self.ask.doors()?.visit(&self.ask.req, &self.ask.platform, self.caller.tenant.clone())?;
        let shown = device::shown_in_session(self, proof, visit.now)?;
        Ok((visit, own::Me { person: self.me, shown }))
    }

    /// Goes on if they are there, so that money may be shown and moved; else by the sign-in, and on to this page.
    pub(super) fn is_there(&self, page: &str) -> Result<(), Halt> {
        self.caller.require(Scope::MeMoney).map_err(|_away| self.ask.again(page))
    }

    /// A deed that was refused. Whoever did not show a passkey just now, or whose browser has lost its key, does by the sign-in, and
    /// goes on to this page.
    pub(super) fn halted(&self, problem: Problem, page: &str) -> Halt {
        match problem.code() {
            "passkey-needed" | "proof-needed" => self.ask.again(page),
            _ => problem.into(),
        }
    }

    /// On to a page of this tenant.
    pub(super) fn on_to(&self, page: &str) -> HttpResponse {
        elsewhere(&self.ask.address(page))
    }
}
