//! A node: the database it uses or runs itself, the journal, the followers, the HTTP server, started and stopped in order.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use ledger::{Config, Journal, Memory};
use tokio::task::JoinHandle;

use super::{backup, doctor};
use crate::app::{self, Parts};
use crate::engagement::hooks::guard::Policy;
use crate::engagement::hooks::{self, Hooks};
use crate::platform::Platform;
use crate::platform::clock::Clock;
use crate::platform::cluster::{Cluster, Endpoint, Role};
use crate::platform::db::{self, Db, HouseDb};
use crate::platform::follow::Follower;
use crate::platform::http::edge;
use crate::platform::ids::Ids;
use crate::platform::keyring::Keyring;
use crate::platform::link::{self, Link, LinkEnd, Seal};
use crate::platform::metrics::{self, Exporter, HookView};
use crate::platform::redis;
use crate::platform::sealing::{self, Sealing};
use crate::platform::vault;
use crate::proofs::Proofs;
use crate::{identity, payments, profile};

/// The database of the private cluster.
pub(super) const DATABASE: &str = "tessera";
/// Connections for requests, and for followers.
const REQUEST_CONNECTIONS: u32 = 10;
const FOLLOWER_CONNECTIONS: u32 = 2;
const HOOK_CONNECTIONS: u32 = 4;
const SEALER_CONNECTIONS: u32 = 1;
/// How long requests in hand may take when the server stops. With twice [`LAST_CALLS`] less than the 30 seconds that those who
/// stop nodes commonly wait for one, however the database hangs.
const LAST_REQUESTS_S: u64 = 12;
/// How long followers and hooks, and then the journal, may take: more than a database call may ([`db::DEADLINE`]).
const LAST_CALLS: Duration = Duration::from_secs(8);

/// Where the database is.
#[derive(Debug, Clone, clap::Args)]
pub struct DatabaseArgs {
    /// The database, as the role that may not change the past; without it Tessera runs a private PostgreSQL.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// The same database as its owner, for migrations; without it a database that lacks one is refused.
    #[arg(long, env = "DATABASE_OWNER_URL", hide_env_values = true)]
    pub owner_url: Option<String>,
    /// The folder of the private database.
    #[arg(long, env = "TESSERA_DATA_DIR", default_value = "./.tessera")]
    pub data_dir: PathBuf,
    /// Accept a remote database without TLS.
    #[arg(long, env = "TESSERA_ALLOW_PLAINTEXT")]
    pub allow_plaintext: bool,
}

/// A database that is there, migrated.
pub struct Database {
    /// The private server, if it is ours to stop.
    pub cluster: Option<Cluster>,
    /// As the app role.
    pub url: String,
    /// As the owner, if we may be.
    pub owner_url: Option<String>,
}

/// Where the Redis is, if there is one.
#[derive(Debug, Clone, clap::Args)]
pub struct RedisArgs {
    /// A Redis by which nodes tell each other of limits and changes; without it, each finds out by itself.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,
    /// What its keys begin with: installations that share a Redis need one each.
    #[arg(long, env = "TESSERA_REDIS_PREFIX", default_value = "tessera")]
    pub redis_prefix: String,
}

impl RedisArgs {
    /// The Redis named; nothing is asked of it.
    ///
    /// # Errors
    /// When the URL or the prefix cannot be.
    pub fn settings(&self) -> Result<Option<redis::Settings>, redis::SettingsError> {
        let url = self.redis_url.as_deref().filter(|url| !url.is_empty());
        url.map(|url| redis::Settings::new(url, &self.redis_prefix)).transpose()
    }
}

impl DatabaseArgs {
    /// Starts the private cluster or takes the database named. Its tables are brought up to date where we may be their
    /// owner, else checked.
    ///
    /// # Errors
    /// What refuses, with what to do about it.
    pub fn open(&self) -> anyhow::Result<Database> {
        let database = self.connect()?;
        let Some(owner_url) = &database.owner_url else {
            db::check_migrated(&database.url)?;
            return Ok(database);
        };
        let done = db::migrate(owner_url)?;
        if !done.is_empty() {
            tracing::info!(migrations = done.len(), "the database is up to date");
        }
        Ok(database)
    }

    /// The database for a command that may run beside a node: the node's own private cluster is joined, not refused.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn join(&self) -> anyhow::Result<Database> {
        match &self.database_url {
            Some(_) => self.open(),
            None => match Endpoint::of_running(&self.data_dir) {
                Ok(endpoint) => Ok(Database::at(None, &endpoint)),
                Err(_nobody_runs_it) => self.open(),
            },
        }
    }

    /// What these settings do not mean together: the key that is wrong, and why.
    #[must_use]
    pub fn contradiction(&self) -> Option<(&'static str, String)> {
        let Some(url) = &self.database_url else {
            let wrong = "there is no database_url, so this owner would have nothing to own: set both or neither";
            return self.owner_url.is_some().then(|| ("owner_url", wrong.to_owned()));
        };
        let options = doctor::Options::here(self.data_dir.clone(), Some(url.clone()), self.allow_plaintext);
        let finding = doctor::check_transport(url, &options);
        let remedy = finding.remedy.unwrap_or_default();
        (finding.state >= doctor::State::Fail).then(|| ("database_url", format!("{}: {remedy}", finding.detail)))
    }

    fn connect(&self) -> anyhow::Result<Database> {
        if let Some((_, wrong)) = self.contradiction() {
            anyhow::bail!(wrong);
        }
        if let Some(url) = &self.database_url {
            return Ok(Database { cluster: None, url: url.clone(), owner_url: self.owner_url.clone() });
        }
        let cluster = Cluster::start(&self.data_dir)?;
        if let Some(notice) = cluster.notice() {
            tracing::warn!("{notice}");
        }
        if PgConnection::establish(&cluster.url(Role::Owner, DATABASE)).is_err() {
            cluster.create_database(DATABASE)?;
        }
        let endpoint = cluster.endpoint().clone();
        Ok(Database::at(Some(cluster), &endpoint))
    }
}

impl Database {
    fn at(cluster: Option<Cluster>, endpoint: &Endpoint) -> Self {
        let (url, owner_url) = (endpoint.url(Role::App, DATABASE), endpoint.url(Role::Owner, DATABASE));
        Self { cluster, url, owner_url: Some(owner_url) }
    }
}

/// How much of the journals may be in memory.
#[derive(Debug, Clone, clap::Args)]
pub struct MemoryArgs {
    /// Accounts of the journals this node leads that may stay in memory, some 350 bytes each; the others are read when
    /// they are needed.
    #[arg(long, env = "TESSERA_ACCOUNTS_IN_MEMORY", default_value_t = Memory::default().accounts)]
    accounts_in_memory: usize,
    /// Transfers of ranges that are not closed yet whose places may be in memory, 16 bytes each; past that, history of
    /// such ranges is looked for in all of their rows.
    #[arg(long, env = "TESSERA_TRANSFERS_IN_MEMORY", default_value_t = Memory::default().transfers)]
    transfers_in_memory: usize,
}

impl MemoryArgs {
    /// The same as the journal has it.
    #[must_use]
    pub const fn memory(&self) -> Memory {
        Memory { accounts: self.accounts_in_memory, transfers: self.transfers_in_memory }
    }
}

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database, as the app role.
    pub url: String,
    /// Where others reach this node.
    pub address: String,
    /// How much of the journals may be in memory.
    pub memory: Memory,
    /// Randomness: the system's, or a demo's seed.
    pub ids: Ids,
    /// Where hooks may go.
    pub hook_policy: Policy,
    /// How to seal what this node leads; without it, another node does or nobody.
    pub sealing: Option<sealing::Settings>,
    /// Where the vault's keys are; without any, what needs the vault is refused.
    pub vault: vault::Settings,
}

/// A running node without its HTTP server: import needs no more.
pub struct Node {
    /// What the routes stand on.
    pub parts: Parts,
    /// The sessions of what works over all tenants now and then.
    pub house: HouseDb,
    card: Follower,
    hooks: Arc<Hooks>,
    sealing: Option<Sealing>,
    erasures: vault::Keeper,
}

impl Node {
    /// Starts journal and followers. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the database cannot be reached, or holds books whose restore nobody has accepted.
    pub fn start(settings: Settings) -> anyhow::Result<Self> {
        let Settings { url, address, memory, ids, hook_policy, sealing, vault } = settings;
        backup::must_be_accepted(&mut PgConnection::establish(&url)?)?;
        let db = Db::open(&url, REQUEST_CONNECTIONS)?;
        let clock = Clock::System;
        let keyring = Keyring::new(db.clone(), clock.clone(), identity::directory());
        // A holder is one start of one process: never seeded, or two nodes would be one.
        let holder = Ids::system().uuid_v7(clock.now());
        let seal = Seal::new(&link::secret(&mut PgConnection::establish(&url)?).context("nodes share no secret yet")?);
        let link = Arc::new(Link::new(seal.clone(), tokio::runtime::Handle::current())?);
        let journal =
            Journal::start(Config { memory, ..Config::new(url.clone(), holder, address.clone()).forwarding(link) })?;
        let history = journal.history().clone();
        let sealer = SealerParts::open(&url, sealing)?;
        let signers = sealer.as_ref().map(|sealer| Arc::clone(&sealer.keys));
        let vault = vault.open(&mut PgConnection::establish(&url)?, signers, app::SEALED_COLUMNS)?;
        let platform = Platform { db, history, clock, ids, keyring, vault };
        let hook_db = HouseDb::open(&url, HOOK_CONNECTIONS)?;
        let wake = hooks::Wake::default();
        let hook_settings =
            hooks::Settings { policy: hook_policy.clone(), wake: wake.clone(), ..hooks::Settings::default() };
        let hooks = Arc::new(Hooks::start(
            platform.clone(),
            hook_db.clone(),
            journal.clone(),
            payments::events,
            hook_settings,
        )?);
        let end = LinkEnd { seal, address, journal: journal.clone() };
        let followers = HouseDb::open(&url, FOLLOWER_CONNECTIONS)?;
        let pools =
            vec![("requests", platform.db.meter()), ("hooks", hook_db.meter()), ("followers", followers.meter())];
        let view = HookView { load: Arc::new(hooks.look()), backlog: hooks::backlog };
        let (asks, clock) = (followers.clone(), platform.clock.clone());
        let exporter = Exporter { journal: journal.clone(), pools, asks, hooks: view, clock };
        let erasures = vault::Keeper::start(platform.vault.clone(), followers.clone())?;
        let clock = platform.clock.clone();
        let proofs = Proofs { keys: sealer.as_ref().map(|sealer| Arc::clone(&sealer.keys)) };
        let parts = Parts { proofs, ..Parts::new(platform, journal.clone(), hook_policy, wake, end, exporter) };
        let sealing = sealer.map(|sealer| sealer.start(journal.clone(), clock));
        let house = followers.clone();
        let card = Follower::start(profile::CARD, followers, journal, profile::follow_payments);
        Ok(Self { parts, house, card, hooks, sealing, erasures })
    }

    /// Stops in order: what was accepted is finished, then followers, then the journal gives its lease up. A database
    /// session that hangs holds up neither: what waits for it is left to its time-outs, and to the end of the process.
    pub async fn stop(self) {
        let Self { parts, house: _, card, hooks, sealing, erasures } = self;
        let sealed = async {
            if let Some(sealing) = sealing {
                sealing.stop().await;
            }
        };
        tokio::join!(
            in_time("a follower", card.stop()),
            in_time("hooks", off_thread(move || hooks.stop())),
            in_time("the sealer", sealed),
            in_time("erasures", off_thread(move || drop(erasures)))
        );
        let journal = parts.journal;
        in_time("journal", off_thread(move || journal.stop())).await;
    }
}

/// What a sealer is started with, once its keys and what was published are found in order.
struct SealerParts {
    keys: Arc<sealing::Keys>,
    publish: Option<sealing::Publish>,
    db: HouseDb,
}

impl SealerParts {
    fn open(url: &str, settings: Option<sealing::Settings>) -> anyhow::Result<Option<Self>> {
        let Some(sealing::Settings { folder, publish }) = settings else { return Ok(None) };
        let keys = Arc::new(sealing::Keys::open(&folder, &Ids::system())?);
        if let Some(publish) = &publish {
            backup::must_hold_published(&mut PgConnection::establish(url)?, &keys.ring(), publish)?;
        }
        Ok(Some(Self { keys, publish, db: HouseDb::open(url, SEALER_CONNECTIONS)? }))
    }

    fn start(self, journal: Journal, clock: Clock) -> Sealing {
        Sealing::start(self.keys, self.publish, self.db, journal, clock)
    }
}

async fn off_thread(stop: impl FnOnce() + Send + 'static) {
    if tokio::task::spawn_blocking(stop).await.is_err() {
        tracing::error!("a part of the node did not stop in order");
    }
}

async fn in_time(what: &'static str, stopping: impl Future<Output = ()>) {
    if tokio::time::timeout(LAST_CALLS, stopping).await.is_err() {
        tracing::error!(what, "did not stop in time, and is left behind: the database hangs");
    }
}

/// The HTTP server of a node.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Serves a node's routes on a socket that is already bound.
    ///
    /// # Errors
    /// When the socket cannot be served.
    pub fn start(listener: TcpListener, parts: &Parts, workers: usize) -> anyhow::Result<Self> {
        let parts = parts.clone();
        Self::run(listener, workers, move |config| app::configure(&parts)(config))
    }

    /// Serves a node's figures, and nothing else, to whoever reaches this socket.
    ///
    /// # Errors
    /// When the socket cannot be served.
    pub fn start_metrics(listener: TcpListener, parts: &Parts) -> anyhow::Result<Self> {
        let exporter = parts.exporter.clone();
        Self::run(listener, 1, move |config| {
            config
                .app_data(web::Data::new(exporter.clone()))
                .route("/metrics", web::get().to(metrics::get_metrics_anywhere));
        })
    }

    fn run(
        listener: TcpListener,
        workers: usize,
        routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    ) -> anyhow::Result<Self> {
        let address = listener.local_addr()?;
        let server = HttpServer::new(move || App::new().wrap(from_fn(edge)).configure(routes.clone()))
            .workers(workers)
            .client_request_timeout(Duration::from_secs(5))
            .keep_alive(Duration::from_secs(75))
            .shutdown_timeout(LAST_REQUESTS_S)
            .disable_signals()
            .listen(listener)?
            .run();
        let handle = server.handle();
        Ok(Self { address, handle, task: tokio::spawn(server) })
    }

    /// Takes no more connections and finishes the requests in hand.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        if !matches!(self.task.await, Ok(Ok(()))) {
            tracing::error!("the server did not stop in order");
        }
    }
}

/// Ends when the operator says so: Ctrl-C or SIGTERM.
///
/// # Errors
/// When signals cannot be heard.
pub async fn asked_to_stop() -> anyhow::Result<()> {
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt?,
        _ = term.recv() => {}
    }
    Ok(())
}
