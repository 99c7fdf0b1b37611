//! A node inside this process, on a thread and a runtime of its own.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Once, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use ledger::{Journal, Memory};
use tokio::sync::oneshot;
use wallet_api::commands::node::{Node, Server, Settings};
use wallet_api::engagement::hooks::guard::Policy;
use wallet_api::identity::Doors;
use wallet_api::identity::passkeys::RelyingParty;
use wallet_api::platform::ids::Ids;
use wallet_api::platform::post::{self, Post};
use wallet_api::platform::vault::Vault;
use wallet_api::platform::{sealing, vault};

use crate::{Api, Ground, MailServer, TestDb, World, payer, proof_dir, vault_dir};

/// A node that leads a database of its own; both end with the value.
pub struct TestApp {
    /// The tenant, its keys and clients.
    pub world: World,
    node: Option<Running>,
    db: TestDb<'static>,
}

struct Running {
    address: SocketAddr,
    journal: Journal,
    vault: Vault,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestApp {
    /// Starts a node on a fresh database with one tenant, and waits until it leads.
    pub fn start() -> Self {
        Self::over(Ground::fast().database())
    }

    /// The same with a mail server.
    pub fn with_mail(mails: &MailServer) -> Self {
        let url = format!("smtp://127.0.0.1:{}", mails.port);
        let settings = post::Settings::new(&url, "Club <wallet@example.org>", None).unwrap();
        Self::started(Ground::fast().database(), Some(settings))
    }

    /// Starts a node on this database, adding a tenant of a new name.
    pub fn over(db: TestDb<'static>) -> Self {
        Self::started(db, None)
    }

    fn started(db: TestDb<'static>, mail: Option<post::Settings>) -> Self {
        let node = Running::start(&db.url(), mail);
        let world = World::new(&db.url(), &node.address.to_string(), "acme");
        Self { world, node: Some(node), db }
    }

    /// A client with every right.
    pub fn api(&self) -> Api {
        self.world.api.clone()
    }

    /// Its database.
    pub fn db(&self) -> &TestDb<'static> {
        &self.db
    }

    /// Its journal, past HTTP.
    pub fn journal(&self) -> &Journal {
        &self.node.as_ref().expect("the node runs").journal
    }

    /// Its vault, past HTTP.
    pub fn vault(&self) -> Vault {
        self.node.as_ref().expect("the node runs").vault.clone()
    }

    /// Where it listens, as `host:port`.
    pub fn authority(&self) -> String {
        self.node.as_ref().map(|node| node.address.to_string()).unwrap_or_default()
    }

    /// Where its pages are, as a browser has to ask for them.
    pub fn origin(&self) -> String {
        let address = self.node.as_ref().map(|node| node.address).expect("the node runs");
        format!("http://localhost:{}", address.port())
    }

    /// Stops the node in order and starts another over the same books, elsewhere.
    pub fn restart(&mut self) {
        self.node = None;
        let node = Running::start(&self.db.url(), None);
        self.world.api.authority = node.address.to_string();
        self.node = Some(node);
    }

    /// The same, with something done to its database while no node leads it.
    pub fn meanwhile(&mut self, work: impl FnOnce(&TestDb<'static>)) {
        self.node = None;
        work(&self.db);
        self.restart();
    }

    /// Stops the node in order and leaves its database.
    pub fn into_db(mut self) -> (TestDb<'static>, World) {
        self.node = None;
        let Self { world, node: _, db } = self;
        (db, world)
    }
}

impl Running {
    fn start(url: &str, mail: Option<post::Settings>) -> Self {
        log_if_asked();
        let (started, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let url = url.to_owned();
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(url, mail, &started, stopped));
        };
        let thread = std::thread::Builder::new().name("node".into()).spawn(body).unwrap();
        let (address, journal, vault) =
            address.recv_timeout(Duration::from_secs(30)).expect("the node starts and leads");
        Self { address, journal, vault, stop: Some(stop), thread: Some(thread) }
    }
}

/// With `RUST_LOG` set, nodes in this process log to its standard error.
fn log_if_asked() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("RUST_LOG").is_some() {
            wallet_api::platform::telemetry::init(None).unwrap();
        }
    });
}

async fn serve(
    url: String,
    mail: Option<post::Settings>,
    started: &mpsc::Sender<(SocketAddr, Journal, Vault)>,
    stopped: oneshot::Receiver<()>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let hook_policy = Policy { allow_private: true, allow_http: true, ..Policy::default() };
    let sealing = sealing::Settings { folder: proof_dir(), publish: None };
    let vault = vault::Settings { folder: Some(vault_dir(&url)), keys: None };
    let (memory, ids, sealing) = (Memory::default(), Ids::system(), Some(sealing));
    let settings = Settings { url, address, memory, ids, hook_policy, sealing, vault };
    let mut node = Node::start(settings).unwrap();
    // Passkeys want a domain, and browsers take plain http from this one only. Clients that are no browser know the other name.
    let origin = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let party = RelyingParty::new(payer::RP_ID, &[origin, payer::ORIGIN.to_owned()]).unwrap();
    node.parts.doors = Doors::new(&Ids::system(), Vec::new()).of(party);
    if let Some(mail) = mail {
        node.parts.post = Post::start(&mail, Ids::system()).unwrap();
    }
    let server = Server::start(listener, &node.parts, 2).unwrap();
    assert!(node.parts.journal.wait_until_leading(Duration::from_secs(20)).await);
    let vault = node.parts.platform.vault.clone();
    started.send((server.address, node.parts.journal.clone(), vault)).unwrap();
    _ = stopped.await; // a dropped sender is an order to stop too
    node.parts.books.end_streams();
    server.stop().await;
    node.stop().await;
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) && !std::thread::panicking() {
            panic!("the node panicked");
        }
    }
}
