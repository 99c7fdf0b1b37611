//! A deployment to be hit: nodes, each behind a proxy of its own before one database, a receiver of hooks, and load that
//! remembers. Here stands, in one place, what must hold after every fault ([`Scene::assert_laws`]).

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    Api, Footprint, Inbox, Load, NodeProcess, Proxy, Rewards, Shop, Tally, TestDb, World, eventually_async, rows,
    run_sql,
};

/// Customers that pay at once.
pub const CLIENTS: usize = 16;
/// A node, a database or a pool is back within five seconds on a machine of its own; tests share their cores.
pub const HEALED: Duration = Duration::from_secs(30);
/// Sessions a node may have: its pools (10, 2, 4 and 1), and the journal's writer, the two of its pipe, its keeper,
/// checkpointer, three that keep the history and the one it looks for a leader with.
const SESSIONS: usize = 26;
/// Files that a node may hold more than it did before: its pools are filled as they are needed, and so are the
/// connections to a receiver of hooks (64).
const MORE_FILES: usize = SESSIONS + 64;
/// The same of threads: those for blocking work come and go.
const MORE_THREADS: usize = 20;

/// What 15 s do to the hooks that a dead node held.
const HOOKS_ARE_DUE: &str = "UPDATE hook_delivery SET next_at = now() WHERE status = 0 AND next_at > now()";
/// Files and threads of a node, at most, whatever it went through: its pools, its clients and receivers, and room.
const MOST: Footprint = Footprint { files: 256, threads: 128 };

/// A node and the proxy through which alone it reaches the database.
pub struct Member {
    /// The node.
    pub node: NodeProcess,
    /// The proxy.
    pub proxy: Proxy,
    _folder: TempDir,
}

/// A way to the database for a node that is still to be started.
pub struct Door {
    /// The proxy.
    pub proxy: Proxy,
    folder: TempDir,
    env: Vec<(String, String)>,
}

/// Nodes over one database, what they are asked and what they tell.
pub struct Scene<'g> {
    /// The tenant; its client asks the first node.
    pub world: World,
    /// The nodes that live.
    pub nodes: Vec<Member>,
    /// Whom the hooks go to.
    pub inbox: Inbox,
    /// Their database.
    pub db: TestDb<'g>,
    shop: Shop,
    load: Option<Load>,
    committed: BTreeMap<Uuid, i64>,
    env: Vec<(String, String)>,
    /// Waits the 15 s after which hooks that a dead node held are taken up; else they are due at once.
    pub patient: bool,
}

impl<'g> Scene<'g> {
    /// Starts so many nodes with this environment, the first of which leads, with a shop whose campaign is soon spent.
    pub async fn start(db: TestDb<'g>, nodes: usize, env: &[(&str, &str)]) -> Self {
        let hooks = [("TESSERA_ALLOW_PRIVATE_HOOKS", "true")];
        let env: Vec<_> = hooks.iter().chain(env).map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let first = Door::before(&db, &env).open();
        let world = World::new(&db.url(), &first.node.authority(), "acme");
        wait_until_leading(&world.api).await;
        // Its floor is met soon: R5 has something to hold.
        let shop = world.shop("shop", Rewards { budget: 100, ..Rewards::PLENTY }).await;
        let inbox = Inbox::start(&world).await;
        let (nodes_wanted, nodes) = (nodes, vec![first]);
        let mut scene =
            Self { world, nodes, inbox, db, shop, load: None, committed: BTreeMap::new(), env, patient: false };
        for _ in 1..nodes_wanted {
            scene.add();
        }
        scene
    }

    /// A way to the database for one more node.
    pub fn door(&self) -> Door {
        Door::before(&self.db, &self.env)
    }

    /// Starts one more node.
    pub fn add(&mut self) {
        self.join(self.door().open());
    }

    /// Takes a node in.
    pub fn join(&mut self, member: Member) {
        self.nodes.push(member);
        self.tell();
    }

    /// Takes a node out, without a word to it.
    pub fn part(&mut self, at: usize) -> Member {
        let member = self.nodes.remove(at);
        self.tell();
        member
    }

    /// Kills a node with what it has in hand.
    pub fn kill(&mut self, at: usize) {
        self.nodes[at].node.signal(Signal::KILL);
        drop(self.part(at));
    }

    /// Tells the load, and the world, which nodes there are. Where there is none, the load goes on asking the last ones.
    fn tell(&mut self) {
        let all = self.authorities();
        let Some(first) = all.first() else { return };
        self.world.api.authority.clone_from(first);
        if let Some(load) = &self.load {
            load.ask(&all);
        }
    }

    /// Where the nodes listen.
    pub fn authorities(&self) -> Vec<String> {
        self.nodes.iter().map(|member| member.node.authority()).collect()
    }

    /// A client of this node.
    pub fn api(&self, at: usize) -> Api {
        self.nodes[at].node.api(&self.world.api)
    }

    /// What a node says of itself, if it answers.
    pub async fn said(&self, at: usize) -> Option<Value> {
        let reply = self.api(at).try_get("/v1/node").await.ok()?;
        (reply.status == 200).then(|| reply.json())
    }

    /// Waits until one of the nodes leads, and says which.
    pub async fn leader(&self) -> usize {
        self.leader_but(None).await
    }

    /// Waits until another node leads than this one, and says which.
    pub async fn leader_but(&self, but: Option<usize>) -> usize {
        eventually_async("a node leads", HEALED, async || {
            for at in (0..self.nodes.len()).filter(|at| Some(*at) != but) {
                if self.said(at).await.is_some_and(|node| node["role"] == "leading") {
                    return Some(at);
                }
            }
            None
        })
        .await
    }

    /// The load; begun when first asked for, and under way when this returns.
    pub async fn load(&mut self) -> &Load {
        if self.load.is_none() {
            let load = Load::start(&self.world, self.shop, &self.authorities(), CLIENTS).await;
            load.more(100, HEALED).await;
            self.load = Some(load);
        }
        self.load.as_ref().unwrap()
    }

    /// Waits until more calls have failed than these.
    pub async fn noticed(&mut self, failed: u64) {
        let load = self.load().await;
        eventually_async("the load notices", HEALED, async || (load.failed() > failed).then_some(())).await;
    }

    /// Ends the load and holds what it saw, the books, the hooks and the nodes against the laws (`domain` names them):
    ///
    /// - R1, R2, R5, R7 of all transactions: sums, balances, floors and digests, derived again from the rows;
    /// - R3: every acknowledged command is in the books once, and no other of these clients is;
    /// - R4: no command stays unknown for longer than a minute, and each gives the same bytes when it is asked again;
    /// - R6: exactly the committed payments were told, each in one body under one id;
    /// - R9: the load goes on, no session, open transaction, file or thread is left over;
    /// - R10: no key is in a log.
    pub async fn assert_laws(&mut self) -> Tally {
        self.load().await.more(50, HEALED).await;
        let tally = self.load.take().unwrap().stop().await;
        tally.assert_equals_books(&self.db.url());
        self.world.assert_whole();
        let asked = &self.nodes[tally.acknowledged.len() % self.nodes.len()];
        tally.assert_stable(&asked.node.authority()).await;
        self.committed.extend(tally.payments());
        if !self.patient {
            run_sql(&self.db.super_url(), HOOKS_ARE_DUE);
        }
        self.inbox.assert_told(&self.committed).await;
        self.assert_nothing_left_over().await;
        for key in [self.world.api.key.as_str(), tally.key()] {
            assert!(self.nodes.iter().all(|member| !member.node.log().contains(key)), "a key is in a log");
        }
        tally
    }

    async fn assert_nothing_left_over(&self) {
        let url = self.db.super_url();
        let sessions = "SELECT state, coalesce(xact_start < now() - interval '15 seconds', false) AS old \
            FROM pg_stat_activity WHERE datname = current_database() AND usename = 'tessera_app'";
        let most = SESSIONS * self.nodes.len();
        let settled = async || {
            let sessions = rows(&url, sessions);
            let is_old = |session: &Vec<Option<String>>| session[1].as_deref() == Some("true");
            let small = |at| self.footprint(at).files <= MOST.files && self.footprint(at).threads <= MOST.threads;
            let are_small = (0..self.nodes.len()).all(small);
            (sessions.len() <= most && !sessions.iter().any(is_old) && are_small).then_some(())
        };
        eventually_async("no session is left over", HEALED, settled).await;
    }

    /// What a node holds of the machine.
    pub fn footprint(&self, at: usize) -> Footprint {
        self.nodes[at].node.footprint()
    }

    /// R9: a node that lived on holds no more of the machine than it did before.
    pub async fn assert_no_growth(&self, at: usize, before: Footprint) {
        let settled = async || {
            let now = self.footprint(at);
            (now.files <= before.files + MORE_FILES && now.threads <= before.threads + MORE_THREADS).then_some(())
        };
        eventually_async("no file and no thread is left over", HEALED, settled).await;
    }
}

impl Door {
    fn before(db: &TestDb<'_>, env: &[(String, String)]) -> Self {
        // Short: the address of a socket has room for a hundred bytes.
        let folder = tempfile::Builder::new().prefix("tp").tempdir_in("/tmp").unwrap();
        let proxy = Proxy::before_database(folder.path(), db.socket_dir());
        let through = |url: String| {
            let (before, _) = url.split_once("?host=").unwrap();
            format!("{before}?host={}", proxy.authority.replace('/', "%2F"))
        };
        let database = [("DATABASE_URL", through(db.url())), ("DATABASE_OWNER_URL", through(db.owner_url()))];
        let env = database.map(|(name, url)| (name.to_owned(), url)).into_iter().chain(env.to_vec()).collect();
        Self { proxy, folder, env }
    }

    /// Starts a node behind it and waits until it listens.
    pub fn open(self) -> Member {
        let node = NodeProcess::start_env(&self.env());
        Member { node, proxy: self.proxy, _folder: self.folder }
    }

    /// Starts a node behind it that may not live to listen.
    pub fn push(&self) -> NodeProcess {
        NodeProcess::launch_env(&self.env())
    }

    fn env(&self) -> Vec<(&str, &str)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

async fn wait_until_leading(api: &Api) {
    eventually_async("the node leads", HEALED, async || {
        let node = api.try_get("/v1/node").await.ok()?;
        (node.status == 200 && node.json()["role"] == "leading").then_some(())
    })
    .await;
}
