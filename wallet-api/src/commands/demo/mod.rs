//! `tessera demo`: the main job played for a reader, on a database and a node of its own.
//!
//! A customer pays, the reward is posted in the payment's own transaction, they approve one with a passkey whose evidence is
//! checked, the card follows, a signed hook arrives, the books are verified. The story goes over HTTP, as anybody's client would, and every step says what it expects: one that
//! comes out otherwise ends the demo with exit code 1. Each run makes a sandbox tenant of its own, so that a data folder
//! can be played in again and again. The seed decides names and references only: keys, secrets and ids are always the
//! system's, since a demo's node serves on.
//!
//! Not here: a database of somebody else's. `DATABASE_URL` is not read, a demo has no business there.

mod approved;
mod listener;
mod next;
mod page;
mod scene;
mod story;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use ledger::Memory;

use self::listener::Listener;
use self::page::Page;
use self::scene::Scene;
use super::backup::beside;
use super::client::Client;
use super::keys::create_tenant;
use super::node::{DatabaseArgs, Node, Server, Settings, asked_to_stop};
use super::payer::local_party;
use crate::engagement::hooks::guard::Policy;
use crate::identity::{self, Doors, IdentityError, NewKey, NewTenant};
use crate::platform::audit::Actor;
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;
use crate::platform::keyring::{Scope, Tenant};
use crate::platform::sealing;
use crate::platform::text::Lang;
use crate::platform::vault;

/// Where the demo listens unless told otherwise.
const PORT: u16 = 8080;
/// Threads that serve requests: enough for one reader.
const WORKERS: usize = 2;
/// How long the journal may take to find its leader.
const PATIENCE: Duration = Duration::from_secs(20);
/// Slugs that are tried before giving up; each run in a data folder takes one.
const SLUGS: usize = 10_000;

/// How to play.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// End after the story, instead of serving until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Decides names and references: the same seed tells the same story.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Where to listen; without it 127.0.0.1:8080, or a free port when that one is taken.
    #[arg(long, env = "TESSERA_LISTEN")]
    listen: Option<SocketAddr>,
    /// The folder of the demo's private database.
    #[arg(long, env = "TESSERA_DATA_DIR", default_value = "./.tessera")]
    data_dir: PathBuf,
}

/// Starts database, node and listener, plays the story, serves on unless told to end, and stops everything in order.
pub async fn demo(args: DemoArgs) -> anyhow::Result<()> {
    let DemoArgs { once, seed, listen, data_dir } = args;
    let socket = bind(listen)?;
    let url = format!("http://{}", socket.local_addr()?);
    let database =
        DatabaseArgs { database_url: None, owner_url: None, data_dir: data_dir.clone(), allow_plaintext: false };
    let database = database.open()?;
    let hook_policy = Policy { allow_private: true, allow_http: true, ..Policy::default() };
    let sealing = beside(&data_dir, "proof").map(|folder| sealing::Settings { folder, publish: None });
    let vault = vault::Settings { folder: beside(&data_dir, "vault"), keys: None };
    let (memory, ids) = (Memory::default(), Ids::system());
    let settings =
        Settings { url: database.url.clone(), address: url.clone(), memory, ids, hook_policy, sealing, vault };
    let mut node = Node::start(settings)?;
    node.parts.doors = Doors::new(&Ids::system(), Vec::new()).of(local_party()?);
    let server = Server::start(socket, &node.parts, WORKERS)?;
    let stage = Stage { url, database_url: database.url, data_dir, seed, once };
    let played = tokio::select! {
        played = Box::pin(stage.play(&node)) => played,
        asked = asked_to_stop() => asked,
    };
    server.stop().await;
    node.stop().await;
    let stopped = database.cluster.map_or(Ok(()), |cluster| cluster.stop());
    played.and(stopped.map_err(Into::into))
}

/// The address asked for, or the usual one, or a free one when nobody asked and the usual one is taken.
fn bind(listen: Option<SocketAddr>) -> anyhow::Result<TcpListener> {
    if let Some(listen) = listen {
        return TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"));
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, PORT))
        .or_else(|_taken| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .context("no port of 127.0.0.1 is free")
}

/// What the story is played on.
struct Stage {
    url: String,
    database_url: String,
    data_dir: PathBuf,
    seed: u64,
    once: bool,
}

impl Stage {
    /// Plays; ends after the story, or never.
    async fn play(&self, node: &Node) -> anyhow::Result<()> {
        let out = &mut io::stdout();
        // Streams of their own: how many slugs were taken before must not change the story.
        let stream = |of: &str| Ids::seeded(format!("tessera demo {of} {}", self.seed).as_bytes());
        let (tenant, key) = self.tenant(&stream("tenant"))?;
        anyhow::ensure!(node.parts.journal.wait_until_leading(PATIENCE).await, "the journal found no leader");
        let mut listener = Listener::start().await?;
        let mut scene = Scene::new(Client::new(&self.url, &key)?, stream("story"), Page::new(out));
        let cast = story::tell(&mut scene, &mut listener, (tenant.id, &tenant.slug), &self.database_url).await?;
        let page = &mut scene.page;
        if self.once {
            return Ok(page.say("The story ends here, as asked (--once).")?);
        }
        let place = next::Place { url: &self.url, key: &key, tenant: &tenant.slug, data_dir: &self.data_dir };
        next::print(page, &place, &cast)?;
        loop {
            let delivery = listener.next().await?;
            page.say(&listener.in_words(&delivery, Clock::System.now()))?;
        }
    }

    /// A sandbox tenant nobody has played in, and a key that may do everything in it.
    fn tenant(&self, ids: &Ids) -> anyhow::Result<(Tenant, String)> {
        let conn = &mut PgConnection::establish(&self.database_url)?;
        let tenant = (0..SLUGS).find_map(|_| self.try_tenant(conn, ids).transpose());
        let tenant = tenant.context("every name for a demo's tenant is taken: use another --data-dir")??;
        let wish = NewKey { tenant: tenant.id, name: "demo".into(), scopes: vec![Scope::Admin], client: None };
        let made = identity::create_key(conn, &Ids::system(), Clock::System.now(), Actor::Operator, &wish)?;
        Ok((tenant, made.key.reveal().to_owned()))
    }

    /// None when the next slug of the seed is taken.
    fn try_tenant(&self, conn: &mut PgConnection, ids: &Ids) -> anyhow::Result<Option<Tenant>> {
        let slug = format!("demo-{:06x}", ids.random_u64() & 0xff_ffff);
        let zone = chrono_tz::Europe::Rome;
        let wish = NewTenant { name: slug.clone(), slug, sandbox: true, zone, locale: Lang::It };
        match create_tenant(conn, &Ids::system(), &wish) {
            Ok(tenant) => Ok(Some(tenant)),
            Err(error) if matches!(error.downcast_ref(), Some(IdentityError::SlugTaken)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_evaded_unless_it_was_asked_for() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        assert!(bind(Some(taken.local_addr().unwrap())).is_err());
        let usual = TcpListener::bind((Ipv4Addr::LOCALHOST, PORT));
        let other = bind(None).unwrap();
        assert!(usual.is_err() || other.local_addr().unwrap().port() != PORT);
    }
}
