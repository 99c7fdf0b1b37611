//! `tessera serve`: a node until it is asked to stop.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context as _;

use super::node::{DatabaseArgs, Node, RedisArgs, Server, Settings, asked_to_stop};
use crate::engagement::hooks::guard::Policy;
use crate::platform::ids::Ids;
use crate::platform::limits;

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
    /// Let hooks go to private addresses and over plain HTTP: for development only.
    #[arg(long, env = "TESSERA_ALLOW_PRIVATE_HOOKS")]
    allow_private_hooks: bool,
    /// How much is too much: `off`, `default`, or what differs, as in `money=500:1000,tenant.read=200,at-once.bulk=4`.
    #[arg(long, env = "TESSERA_LIMITS", default_value = "default")]
    limits: limits::Policy,
}

/// Serves until Ctrl-C or SIGTERM, then finishes what was accepted.
pub async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let redis = args.redis.settings()?;
    let database = args.database.open()?;
    let listener = TcpListener::bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = args.address.unwrap_or(format!("http://{}", listener.local_addr()?));
    let allow = args.allow_private_hooks;
    let hook_policy = Policy { allow_private: allow, allow_http: allow, ..Policy::default() };
    let settings = Settings { url: database.url.clone(), address, ids: Ids::system(), hook_policy };
    let mut node = Node::start(settings)?;
    node.parts.limits = node.parts.limits.with_policy(args.limits);
    let link = redis.map(|settings| node.parts.link(settings));
    let workers = args.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, Into::into));
    let server = Server::start(listener, &node.parts, workers)?;
    tracing::info!(address = %server.address, "serving");
    asked_to_stop().await?;
    tracing::info!("stopping: finishing what was accepted");
    server.stop().await;
    drop(link);
    node.stop().await;
    if let Some(cluster) = database.cluster {
        cluster.stop()?;
    }
    Ok(())
}
