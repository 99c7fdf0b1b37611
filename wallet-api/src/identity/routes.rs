//! Routes of people: their sessions and devices.
//!
//! Not here yet: sign-up, sign-in, approvals.

use actix_web::http::header::HeaderName;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::devices::proof::{Asked, Judge, ProofError};
use super::devices::{self, BoundBy, Device};
use super::passkeys::RelyingParty;
use super::sessions::{self, End, Issued, Pair, Refreshed, Session};
use super::{break_glass, operators};
use crate::platform::Platform;
use crate::platform::http::{Json, not_found};
use crate::platform::ids::Ids;
use crate::platform::keyring::{Caller, May, Scope, Token};
use crate::platform::problem::Problem;

/// The header a device's proof comes in, and the one its nonce goes out in (RFC 9449, sections 4.1 and 8).
const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config
        .configure(operators::routes)
        .configure(break_glass::routes)
        .service(refresh_session)
        .service(list_sessions)
        .service(end_session)
        .service(list_devices)
        .service(revoke_device);
}

/// What people come in by: who judges their devices' proofs, and under which names we are known. Apps hold it as `web::Data`.
#[derive(Clone)]
pub struct Doors {
    judge: Judge,
    origins: Vec<String>,
    party: Option<RelyingParty>,
}

impl Doors {
    /// Doors of a node that is known by these origins, such as `https://wallet.example`.
    #[must_use]
    pub fn new(ids: &Ids, origins: Vec<String>) -> Self {
        Self { judge: Judge::new(ids), origins, party: None }
    }

    /// The same for the passkeys of a relying party, known by its origins.
    #[must_use]
    pub fn of(self, party: RelyingParty) -> Self {
        Self { origins: party.origins().to_vec(), party: Some(party), ..self }
    }

    /// Who we are to passkeys.
    ///
    /// # Errors
    /// 503 `passkeys-not-set`.
    pub fn party(&self) -> Result<&RelyingParty, Problem> {
        let remedy = "Whoever runs it names the domain and the pages of its passkeys: --rp-id and --origin.";
        self.party.as_ref().ok_or_else(|| Problem::new(503, "passkeys-not-set", "This node knows no passkeys", remedy))
    }

    /// The device key whose holder proves with this request that it is theirs; none when it brings no proof.
    fn shown(&self, req: &HttpRequest, access: Option<&Token>, now: DateTime<Utc>) -> Result<Option<[u8; 32]>, Shown> {
        let mut given = req.headers().get_all(DPOP);
        let (proof, None) = (given.next(), given.next()) else { return Err(Shown::Refused) };
        let Some(proof) = proof else { return Ok(None) };
        let asked = Asked { method: req.method().as_str(), origins: &self.origins, path: req.path(), access };
        match self.judge.judge(proof.to_str().unwrap_or_default(), asked, now) {
            Ok(key) => Ok(Some(key.thumbprint())),
            Err(ProofError::Nonce) => Err(Shown::Nonce),
            Err(ProofError::Worthless) => Err(Shown::Refused),
            Err(ProofError::Overrun) => Err(Shown::Overrun),
        }
    }

    /// The refusal of a proof, with the nonce to use.
    fn refusal(&self, shown: &Shown, now: DateTime<Utc>) -> HttpResponse {
        let mut response = HttpResponse::from_error(Problem::from(shown));
        if let Ok(nonce) = self.judge.nonce(now).parse() {
            response.headers_mut().insert(DPOP_NONCE, nonce);
        }
        response
    }
}

/// What a request's proof came to, when not to a key.
enum Shown {
    Nonce,
    Refused,
    Overrun,
}

impl From<&Shown> for Problem {
    fn from(shown: &Shown) -> Self {
        match shown {
            Shown::Nonce => {
                let remedy = "Make the proof again with the nonce of the DPoP-Nonce header.";
                Self::new(401, "use-dpop-nonce", "The proof has not our nonce", remedy)
            }
            Shown::Refused => refused(),
            Shown::Overrun => {
                let remedy = "Try again in a moment.";
                Self::new(503, "overloaded", "Too much at once", remedy).retry_after(1)
            }
        }
    }
}

/// One refusal for whatever is wrong with a refresh: unknown, over, ended, used, of another device.
fn refused() -> Problem {
    Problem::new(401, "session-over", "The session is over", "Sign in again.")
}

/// A token to go on with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    /// The refresh token of the answer before.
    refresh_token: String,
}

/// What the holder of a session has. Shown once.
#[derive(Serialize, ToSchema)]
struct PairBody {
    /// The session.
    session: Uuid,
    /// For every request: `Authorization: Bearer …`.
    access_token: String,
    /// Until when.
    access_until: DateTime<Utc>,
    /// For the next pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_until: Option<DateTime<Utc>>,
}

impl PairBody {
    fn of(pair: &Pair) -> Self {
        let Pair { session, access, refresh } = pair;
        let shown = |issued: &Issued| issued.token.reveal().to_owned();
        Self {
            session: *session,
            access_token: shown(access),
            access_until: access.until,
            refresh_token: refresh.as_ref().map(shown),
            refresh_until: refresh.as_ref().map(|issued| issued.until),
        }
    }
}

/// Gives the next pair of tokens for a refresh token, which is good once.
///
/// A session at a device with a key wants a proof by it in the `DPoP` header (RFC 9449). A used token that comes again ends
/// the session; only the device itself may repeat its last refresh within ten seconds, in case the answer was lost.
#[utoipa::path(tag = "me", request_body = Refresh, security(()),
    params(("DPoP" = Option<String>, Header, description = "The device's proof over this request")), responses(
    (status = 200, body = PairBody),
))]
#[post("/v1/sessions/refresh")]
async fn refresh_session(
    req: HttpRequest,
    platform: web::Data<Platform>,
    doors: web::Data<Doors>,
    body: Json<Refresh>,
) -> Result<HttpResponse, Problem> {
    let now = platform.clock.now();
    let shown = match doors.shown(&req, None, now) {
        Ok(shown) => shown,
        Err(shown) => return Ok(doors.refusal(&shown, now)),
    };
    let token = Token::parse(&body.into_inner().refresh_token).ok_or_else(refused)?;
    let ids = platform.ids.clone();
    let come = platform.db.house().run(move |conn| sessions::refresh(conn, &ids, now, &token, shown)).await?;
    match come {
        Refreshed::Next(pair, ended) => {
            platform.keyring.ended([&ended]);
            Ok(HttpResponse::Ok().json(PairBody::of(&pair)))
        }
        Refreshed::Reused { tenant, access_prefix, .. } => {
            tracing::warn!(tenant, "a used refresh token came again: its session has ended");
            platform.keyring.ended([&access_prefix]);
            Err(refused())
        }
        Refreshed::Refused => Err(refused()),
    }
}

/// A session of one's own.
#[derive(Serialize, ToSchema)]
struct SessionBody {
    /// Its id.
    id: Uuid,
    /// At which device.
    device: Uuid,
    /// Since when.
    created_at: DateTime<Utc>,
    /// When something was last asked, to half a minute.
    last_seen_at: DateTime<Utc>,
    /// Until when at the most.
    until: DateTime<Utc>,
    /// Whether it is this one.
    current: bool,
}

/// Lists one's own sessions, newest first; those that ended are left out.
#[utoipa::path(tag = "me", security(("key" = ["me"])), responses(
    (status = 200, body = [SessionBody]),
))]
#[get("/v1/me/sessions", wrap = "May(Scope::Me)")]
async fn list_sessions(caller: Caller, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    let (tenant, me, now) = (caller.tenant.id, caller.person()?, platform.clock.now());
    let found = platform.db.of(tenant).read(move |conn| sessions::living(conn, now, tenant, me.id)).await?;
    let body = |session: Session| SessionBody {
        id: session.id,
        device: session.device,
        created_at: session.created_at,
        last_seen_at: session.seen_at,
        until: session.until,
        current: session.id == me.session,
    };
    Ok(HttpResponse::Ok().json(found.into_iter().map(body).collect::<Vec<_>>()))
}

/// Ends a session of one's own: at the latest one second later no node takes its token.
#[utoipa::path(tag = "me", security(("key" = ["me"])), responses((status = 204)))]
#[delete("/v1/me/sessions/{id}", wrap = "May(Scope::Me)")]
async fn end_session(
    caller: Caller,
    platform: web::Data<Platform>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (tenant, me, now) = (caller.tenant.id, caller.person()?, platform.clock.now());
    let which = (me.id, id.into_inner());
    let ended =
        platform.db.of(tenant).write(move |conn| sessions::end(conn, now, tenant, which, End::SignedOut)).await?;
    platform.keyring.ended([&ended.ok_or_else(not_found)?]);
    Ok(HttpResponse::NoContent().finish())
}

/// A device of one's own.
#[derive(Serialize, ToSchema)]
struct DeviceBody {
    /// Its id.
    id: Uuid,
    /// Whether it keeps a key that cannot leave it.
    has_key: bool,
    /// What was shown before it was bound: `sign-up`, `older-device` or `recovery`.
    #[schema(example = "sign-up")]
    bound_by: &'static str,
    /// Since when.
    created_at: DateTime<Utc>,
    /// When something was last asked from it, to half a minute.
    last_seen_at: DateTime<Utc>,
    /// Since when it may not come in.
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<DateTime<Utc>>,
}

impl DeviceBody {
    fn of(device: &Device) -> Self {
        let bound_by = match device.bound_by {
            BoundBy::SignUp => "sign-up",
            BoundBy::OlderDevice => "older-device",
            BoundBy::Recovery => "recovery",
        };
        let Device { id, created_at, last_seen_at, revoked_at, .. } = *device;
        Self { id, has_key: device.key.is_some(), bound_by, created_at, last_seen_at, revoked_at }
    }
}

/// Lists one's own devices, oldest first, those that were revoked too.
#[utoipa::path(tag = "me", security(("key" = ["me"])), responses(
    (status = 200, body = [DeviceBody]),
))]
#[get("/v1/me/devices", wrap = "May(Scope::Me)")]
async fn list_devices(caller: Caller, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    let (tenant, me) = (caller.tenant.id, caller.person()?);
    let found = platform.db.of(tenant).read(move |conn| devices::list(conn, tenant, me.id)).await?;
    Ok(HttpResponse::Ok().json(found.iter().map(DeviceBody::of).collect::<Vec<_>>()))
}

/// Revokes a device of one's own, and ends its sessions: at the latest one second later no node takes their tokens. For good:
/// its key cannot come back.
#[utoipa::path(tag = "me", security(("key" = ["me"])), responses((status = 204)))]
#[delete("/v1/me/devices/{id}", wrap = "May(Scope::Me)")]
async fn revoke_device(
    caller: Caller,
    platform: web::Data<Platform>,
    id: web::Path<Uuid>,
) -> Result<HttpResponse, Problem> {
    let (tenant, me, now, device) = (caller.tenant.id, caller.person()?, platform.clock.now(), id.into_inner());
    let revoke = move |conn: &mut PgConnection| -> QueryResult<Option<Vec<String>>> {
        if !devices::revoke(conn, now, tenant, me.id, device)? {
            return Ok(None);
        }
        sessions::end_of_device(conn, now, tenant, device, End::DeviceRevoked).map(Some)
    };
    let ended = platform.db.of(tenant).write(revoke).await?.ok_or_else(not_found)?;
    platform.keyring.ended(&ended);
    Ok(HttpResponse::NoContent().finish())
}
