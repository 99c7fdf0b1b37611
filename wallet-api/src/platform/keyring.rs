//! Who may come in: machine clients by their API key.
//!
//! `Authorization: Bearer tsk_<prefix>_<secret>`: the prefix finds the key, the SHA-256 of the whole proves it (the
//! secret has 256 random bits, so no slow hash is needed). What the directory said is kept for [`FRESH`], counted from
//! before it was asked: a revoked key is refused after at most that long, on every node. Prefixes nobody has are kept as
//! long, so that a flood of them asks the database once each. Whatever is wrong with a key, the answer is the same 401.
//! Not here: how keys are made and stored (`identity`), rate limits, and people, who will be another [`Actor`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, http::header, web};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use diesel::{PgConnection, QueryResult};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use ring::{digest, hmac};
use subtle::ConstantTimeEq;

use super::Platform;
use super::clock::Clock;
use super::db::Db;
use super::ids::Ids;
use super::problem::Problem;
use super::text::Lang;

/// How long an answer of the directory is believed; so, how long a revoked key may still work.
const FRESH: Duration = Duration::from_secs(1);

/// How many prefixes are remembered; past it unknown ones go first.
const REMEMBERED: usize = 10_000;

/// What a key may do. The words are part of the API and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Make payments, top-ups and refunds.
    PaymentsWrite,
    /// See payments, balances and statements.
    PaymentsRead,
    /// Add and change customers.
    CustomersWrite,
    /// See customers and their cards.
    CustomersRead,
    /// Add and change merchants.
    MerchantsWrite,
    /// Set up programmes, campaigns and rules.
    LoyaltyWrite,
    /// See them, and ask what a payment would earn.
    LoyaltyRead,
    /// Set up hook endpoints.
    HooksWrite,
    /// See them and their attempts.
    HooksRead,
    /// Move a sandbox's clock.
    SandboxWrite,
    /// Everything.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 11] = [
        Self::PaymentsWrite,
        Self::PaymentsRead,
        Self::CustomersWrite,
        Self::CustomersRead,
        Self::MerchantsWrite,
        Self::LoyaltyWrite,
        Self::LoyaltyRead,
        Self::HooksWrite,
        Self::HooksRead,
        Self::SandboxWrite,
        Self::Admin,
    ];

    /// Its word in the API, in commands and in the database.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::PaymentsWrite => "payments:write",
            Self::PaymentsRead => "payments:read",
            Self::CustomersWrite => "customers:write",
            Self::CustomersRead => "customers:read",
            Self::MerchantsWrite => "merchants:write",
            Self::LoyaltyWrite => "loyalty:write",
            Self::LoyaltyRead => "loyalty:read",
            Self::HooksWrite => "hooks:write",
            Self::HooksRead => "hooks:read",
            Self::SandboxWrite => "sandbox:write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A word that is no scope.
#[derive(Debug, thiserror::Error)]
#[error("no scope is called {0:?}")]
pub struct UnknownScope(String);

impl std::str::FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.word() == word).ok_or_else(|| UnknownScope(word.to_owned()))
    }
}

/// A tenant as requests need it.
#[derive(Debug)]
pub struct Tenant {
    /// Its number, and its journal's.
    pub id: i64,
    /// Its name in URLs and commands.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Whether its money is play money and its clock can be moved.
    pub sandbox: bool,
    /// Where its days begin and end.
    pub zone: Tz,
    /// The language it writes to its customers in, when they have not said.
    pub locale: Lang,
    /// Root of its HMACs.
    pub secret: TenantSecret,
}

/// The root of a tenant's HMACs; it is never shown.
#[derive(Clone)]
pub struct TenantSecret(hmac::Key);

impl TenantSecret {
    /// From the 32 random bytes of the tenant's row.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// HMAC-SHA-256 over `purpose` and `parts`, each preceded by its length; `purpose` keeps the uses apart.
    #[must_use]
    pub fn sign(&self, purpose: &str, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
            // A slice's length always fits: usize is at most 64 bits wide.
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        context.sign()
    }

    /// The first 16 bytes of [`sign`](Self::sign): enough to tell requests apart, small enough for a key column.
    #[must_use]
    pub fn sign16(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 16] {
        let tag = self.sign(purpose, parts);
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(tag.as_ref()) {
            *to = *from;
        }
        bytes
    }
}

impl fmt::Debug for TenantSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TenantSecret(..)")
    }
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A machine client, by its number, which its keys share.
    Client(i64),
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

    /// The scope of idempotency keys: two clients may use the same key for different things.
    #[must_use]
    pub fn client(&self) -> i64 {
        match self.actor {
            Actor::Client(client) => client,
        }
    }

    /// Lets the caller go on if it may do `scope`.
    ///
    /// # Errors
    /// 403 `scope-missing`, naming the scope.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin) {
            return Ok(());
        }
        let detail = format!("It lacks the scope {scope}: use a key that has it.");
        Err(Problem::new(403, "scope-missing", "The key may not do this", detail).with("scope", scope.word()))
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let platform = req.app_data::<web::Data<Platform>>().cloned();
        let key = bearer(req).and_then(ApiKey::parse);
        async move {
            let platform = platform.ok_or_else(|| Problem::internal(&NotConfigured))?;
            let caller = platform.keyring.admit(&key.ok_or_else(unauthenticated)?).await?;
            let span = tracing::Span::current();
            span.record("tenant", caller.tenant.id).record("client", caller.client());
            Ok(caller)
        }
        .boxed_local()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the app was built without its Platform")]
struct NotConfigured;

fn unauthenticated() -> Problem {
    Problem::new(401, "unauthenticated", "We do not know you", "Send a valid key: Authorization: Bearer tsk_...")
}

/// The token of the one `Authorization: Bearer` header; none if there are several.
fn bearer(req: &HttpRequest) -> Option<&str> {
    let mut headers = req.headers().get_all(header::AUTHORIZATION);
    let (value, None) = (headers.next()?.to_str().ok()?, headers.next()) else { return None };
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// An API key as its client holds it. Not shown by `Debug`.
pub struct ApiKey {
    prefix: String,
    whole: String,
}

const PREFIX_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;

impl ApiKey {
    /// A new key from 6 random bytes of prefix and 32 of secret, written in hexadecimal.
    #[must_use]
    pub fn generate(ids: &Ids) -> Self {
        let (mut prefix, mut secret) = ([0; PREFIX_BYTES], [0; SECRET_BYTES]);
        ids.fill(&mut prefix);
        ids.fill(&mut secret);
        let prefix = hex(&prefix);
        Self { whole: format!("tsk_{prefix}_{}", hex(&secret)), prefix }
    }

    /// Reads a key, or says nothing about why it is none.
    #[must_use]
    pub fn parse(whole: &str) -> Option<Self> {
        let (prefix, secret) = whole.strip_prefix("tsk_")?.split_once('_')?;
        let is_hex = |text: &str, bytes: usize| {
            text.len() == bytes * 2 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let well_formed = is_hex(prefix, PREFIX_BYTES) && is_hex(secret, SECRET_BYTES);
        well_formed.then(|| Self { prefix: prefix.to_owned(), whole: whole.to_owned() })
    }

    /// The part that finds the key; no secret.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The whole key, to be shown once to whoever will use it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.whole
    }

    /// What is stored of it: SHA-256 of the whole key.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(digest::digest(&digest::SHA256, self.whole.as_bytes()).as_ref()) {
            *to = *from;
        }
        bytes
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey(tsk_{}_..)", self.prefix)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A live key as the directory knows it.
#[derive(Debug)]
pub struct KeyRecord {
    /// Its number within the tenant.
    pub id: i64,
    /// [`ApiKey::hash`] of the key that fits.
    pub hash: [u8; 32],
    /// Whom it lets in.
    pub caller: Caller,
}

/// Who keeps the keys.
pub trait Directory: Send + Sync + 'static {
    /// The key with this prefix, unless it is revoked.
    ///
    /// # Errors
    /// What the database says.
    fn find(&self, conn: &mut PgConnection, prefix: &str) -> QueryResult<Option<KeyRecord>>;

    /// Notes that the key was used; once a minute is enough.
    ///
    /// # Errors
    /// What the database says.
    fn touch(&self, conn: &mut PgConnection, key: &KeyRecord, now: DateTime<Utc>) -> QueryResult<()>;
}

/// Tells callers from strangers; clones share what they remember.
#[derive(Clone)]
pub struct Keyring {
    db: Db,
    clock: Clock,
    directory: Arc<dyn Directory>,
    memory: Arc<Mutex<HashMap<String, Arc<Entry>>>>,
}

/// What is known about one prefix. Whoever holds the gate asks the directory; the others wait for the answer.
#[derive(Default)]
struct Entry {
    gate: tokio::sync::Mutex<()>,
    known: Mutex<Option<Known>>,
}

#[derive(Clone)]
struct Known {
    asked_at: Instant,
    key: Option<Arc<KeyRecord>>,
}

impl Keyring {
    /// A keyring that asks `directory` through `db`.
    #[must_use]
    pub fn new(db: Db, clock: Clock, directory: Arc<dyn Directory>) -> Self {
        Self { db, clock, directory, memory: Arc::default() }
    }

    /// Who the holder of `key` is.
    ///
    /// # Errors
    /// 401 `unauthenticated` if nobody; 503 when the database cannot say.
    pub async fn admit(&self, key: &ApiKey) -> Result<Caller, Problem> {
        let entry = self.entry(key.prefix());
        if let Some(known) = entry.fresh() {
            return known.judge(key);
        }
        let gate = entry.gate.lock().await;
        if let Some(known) = entry.fresh() {
            return known.judge(key); // somebody asked while we waited
        }
        let known = self.ask(key).await?;
        entry.remember(known.clone());
        drop(gate);
        known.judge(key)
    }

    async fn ask(&self, key: &ApiKey) -> Result<Known, Problem> {
        let (directory, prefix, hash) = (Arc::clone(&self.directory), key.prefix().to_owned(), key.hash());
        let (asked_at, now) = (Instant::now(), self.clock.now());
        let find = move |conn: &mut PgConnection| -> QueryResult<_> {
            let found = directory.find(conn, &prefix)?;
            if let Some(record) = found.as_ref().filter(|record| record.fits(&hash))
                && let Err(error) = directory.touch(conn, record, now)
            {
                tracing::warn!(%error, "use of a key was not noted"); // no reason to refuse its holder
            }
            Ok(found)
        };
        let key = self.db.run(find).await?.map(Arc::new);
        Ok(Known { asked_at, key })
    }

    fn entry(&self, prefix: &str) -> Arc<Entry> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = memory.get(prefix) {
            return Arc::clone(entry);
        }
        if memory.len() >= REMEMBERED {
            memory.retain(|_, entry| entry.fresh().is_some_and(|known| known.key.is_some()));
        }
        let entry = Arc::new(Entry::default());
        if memory.len() < REMEMBERED {
            memory.insert(prefix.to_owned(), Arc::clone(&entry));
        }
        entry
    }
}

impl Entry {
    fn fresh(&self) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone().filter(|known| known.asked_at.elapsed() < FRESH)
    }

    fn remember(&self, known: Known) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
    }
}

impl KeyRecord {
    fn fits(&self, hash: &[u8; 32]) -> bool {
        self.hash.ct_eq(hash).into()
    }
}

impl Known {
    fn judge(&self, key: &ApiKey) -> Result<Caller, Problem> {
        let record = self.key.as_ref().filter(|record| record.fits(&key.hash()));
        record.map(|record| record.caller.clone()).ok_or_else(unauthenticated)
    }
}
