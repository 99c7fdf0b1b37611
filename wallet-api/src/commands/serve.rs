//! `tessera serve`: a node until it is asked to stop.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::backup::{Keeper, beside};
use super::node::{DatabaseArgs, MemoryArgs, Node, RedisArgs, Server, Settings, asked_to_stop};
use super::party::PartyArgs;
use super::post::PostArgs;
use super::systemd;
use super::vault::VaultArgs;
use crate::engagement::hooks::guard::Policy;
use crate::identity::{Doors, Housekeeper};
use crate::payments::own::Finisher;
use crate::platform::ids::Ids;
use crate::platform::limits;
use crate::platform::post::Post;
use crate::platform::sealing::{self, Publish};

/// How long mails that wait may take when the node stops.
const LAST_MAILS: Duration = Duration::from_secs(5);

/// How to serve.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    redis: RedisArgs,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, env = "TESSERA_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where other nodes and clients reach this one; without it, where it listens.
    #[arg(long, env = "TESSERA_ADDRESS")]
    address: Option<String>,
    /// Threads that serve requests; without it, one per core.
    #[arg(long, env = "TESSERA_WORKERS")]
    workers: Option<usize>,
    /// Where to tell figures to Prometheus, to whoever reaches it: an address of the operators' own network. Without it,
    /// /metrics of the API, while that listens on this machine alone.
    #[arg(long, env = "TESSERA_METRICS_LISTEN")]
    metrics_listen: Option<SocketAddr>,
    /// Let hooks go to private addresses and over plain HTTP: for development only.
    #[arg(long, env = "TESSERA_ALLOW_PRIVATE_HOOKS")]
    allow_private_hooks: bool,
    /// Addresses of proxies in front of this node: what they say of whom they got a request from (X-Forwarded-For) is believed.
    /// Without them, all who come through a proxy count as one address where sign-ups and sign-ins are limited.
    #[arg(long = "trusted-proxy", env = "TESSERA_TRUSTED_PROXIES", value_delimiter = ',')]
    trusted_proxies: Vec<IpAddr>,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    party: PartyArgs,
    /// How much is too much: `off`, `default`, or what differs, as in `money=500:1000,tenant.read=200,at-once.bulk=4`.
    #[arg(long, env = "TESSERA_LIMITS", default_value = "default")]
    limits: limits::Policy,
    /// Where to write down the last known heads, to tell after a restore what was lost; without it, beside the data
    /// folder of a private database.
    #[arg(long, env = "TESSERA_HEADS_FILE")]
    heads_file: Option<PathBuf>,
    /// The folder of the keys that sign and salt the log of the journals, made at the first start; the same on every node.
    /// Without it, beside the data folder of a private database, and with a database of your own nothing is sealed.
    #[arg(long, env = "TESSERA_PROOF_DIR")]
    proof_dir: Option<PathBuf>,
    /// Where signed heads are published: a file, best on other storage than the database, or http://host/path for a POST.
    #[arg(long, env = "TESSERA_PROOF_PUBLISH")]
    proof_publish: Option<Publish>,
    #[command(flatten)]
    vault: VaultArgs,
    #[command(flatten)]
    post: PostArgs,
}

/// Serves until Ctrl-C or SIGTERM, then finishes what was accepted.
pub async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let data_dir = args.database.data_dir.clone();
    // Before anything starts: a wrong one would be found by the first customer otherwise.
    let party = args.party.party()?;
    tracing::debug!(rp.id = party.id(), origins = ?party.origins(), "passkeys are bound to this relying party");
    let redis = args.redis.settings()?;
    let mail = args.post.settings()?;
    let database = args.database.open()?;
    let listener = bind(args.listen)?;
    let metrics_listener = args.metrics_listen.map(bind).transpose()?;
    let private = database.cluster.is_some();
    let heads_file = args.heads_file.or_else(|| private.then(|| beside(&data_dir, "heads.json")).flatten());
    let proof_dir = args.proof_dir.or_else(|| private.then(|| beside(&data_dir, "proof")).flatten());
    anyhow::ensure!(
        proof_dir.is_some() || args.proof_publish.is_none(),
        "there are no heads to publish without --proof-dir"
    );
    let sealing = proof_dir.map(|folder| sealing::Settings { folder, publish: args.proof_publish });
    if sealing.is_none() {
        tracing::warn!("no --proof-dir: this node seals nothing, and can prove only what others sealed");
    }
    let keeper = heads_file.map(|path| Keeper::start(&database.url, path)).transpose()?;
    let address = args.address.unwrap_or(format!("http://{}", listener.local_addr()?));
    let allow = args.allow_private_hooks;
    let hook_policy = Policy { allow_private: allow, allow_http: allow, ..Policy::default() };
    let memory = args.memory.memory();
    let vault = args.vault.settings(private.then_some(data_dir.as_path()));
    if vault.folder.is_none() && vault.keys.is_none() {
        tracing::warn!("no --vault-dir: what is sealed cannot be read or written here");
    }
    let ids = Ids::system();
    let settings = Settings { url: database.url.clone(), address, memory, ids, hook_policy, sealing, vault };
    let mut node = Node::start(settings)?;
    node.parts.limits = node.parts.limits.with_policy(args.limits);
    node.parts.doors = Doors::new(&Ids::system(), Vec::new()).of(party).behind(args.trusted_proxies);
    if let Some(mail) = &mail {
        node.parts.post = Post::start(mail, Ids::system())?;
    }
    let post = node.parts.post.clone();
    let housekeeper = Housekeeper::start(node.parts.platform.clone(), node.house.clone(), post.clone());
    let finisher = Finisher::start(node.parts.payments.clone(), node.house.clone());
    let sharing = redis.map(|settings| node.parts.join_redis(settings));
    let workers = args.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, Into::into));
    tracing::debug!(workers, allow_private_hooks = allow, "starting the server");
    let server = Server::start(listener, &node.parts, workers)?;
    let metrics = metrics_listener.map(|listener| Server::start_metrics(listener, &node.parts)).transpose()?;
    if let Some(metrics) = &metrics {
        tracing::info!(address = %metrics.address, "serving metrics");
    }
    tracing::info!(address = %server.address, "serving");
    let manager = systemd::Manager::start(node.parts.journal.clone());
    asked_to_stop().await?;
    manager.stopping();
    tracing::info!("stopping: finishing what was accepted");
    node.parts.books.end_streams();
    // What waits for nothing of the other ends beside it: whoever stops nodes waits half a minute for one (see [`Node::stop`]).
    tokio::join!(server.stop(), housekeeper.stop(), finisher.stop());
    drop(sharing);
    tokio::join!(post.drain(LAST_MAILS), node.stop());
    // Last, so that a node which takes long to stop can be seen stopping.
    if let Some(metrics) = metrics {
        metrics.stop().await;
    }
    if let Some(keeper) = keeper {
        keeper.stop();
    }
    if let Some(cluster) = database.cluster {
        cluster.stop()?;
    }
    drop(manager); // alive until everything has ended
    Ok(())
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))
}
