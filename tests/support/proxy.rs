//! A proxy that can be told to misbehave: between two nodes, or between a node and its database.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::wire::{self, Point};

/// The name of PostgreSQL's socket in its folder.
const SOCKET: &str = ".s.PGSQL.5432";

/// What the proxy does with what goes through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Passes everything on.
    None,
    /// Passes questions on, and closes the connection instead of the first bytes of the answer.
    LoseAnswers,
    /// Swallows everything, on connections that are open and new ones.
    Blackhole,
    /// Closes every connection, and every new one at once.
    Reset,
}

const FAULTS: [Fault; 4] = [Fault::None, Fault::LoseAnswers, Fault::Blackhole, Fault::Reset];

/// A running proxy; it ends with the runtime.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where it listens: `host:port`, or the folder of a socket.
    pub authority: String,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
pub(crate) struct Shared {
    fault: AtomicU8,
    hits: AtomicU64,
    strikes: Mutex<Strikes>,
}

/// Which point is to be struck, and how often each was.
#[derive(Debug, Default)]
struct Strikes {
    armed: Option<Armed>,
    struck: BTreeMap<Point, u64>,
}

#[derive(Debug, Clone, Copy)]
struct Armed {
    point: Point,
    blow: Blow,
    /// So often the point is passed by first.
    passes: u32,
}

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blow {
    /// The node is killed.
    Kill,
    /// The database's server is killed: this process.
    KillServer(Pid),
    /// The connection is cut.
    Cut,
}

impl Shared {
    pub(crate) fn fault(&self) -> Fault {
        FAULTS[usize::from(self.fault.load(Ordering::SeqCst))]
    }

    pub(crate) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::SeqCst);
    }

    fn strikes(&self) -> MutexGuard<'_, Strikes> {
        self.strikes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to happen at this place and time: told once, and again after a miss.
    pub(crate) fn due(&self, point: Point) -> Option<Blow> {
        let mut strikes = self.strikes();
        let armed = strikes.armed.as_mut().filter(|armed| armed.point == point)?;
        let blow = armed.blow;
        if armed.passes > 0 {
            armed.passes -= 1;
            return None;
        }
        strikes.armed = None;
        Some(blow)
    }

    pub(crate) fn struck(&self, point: Point) {
        *self.strikes().struck.entry(point).or_default() += 1;
    }

    /// The server refused what should have come before: the next one, then.
    pub(crate) fn missed(&self, point: Point, blow: Blow) {
        self.strikes().armed = Some(Armed { point, blow, passes: 0 });
    }
}

impl Proxy {
    /// A port of its own, before it is known where to.
    pub async fn bind() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        (Self { authority, shared: Arc::default() }, listener)
    }

    /// Passes on to the server at `to`.
    pub fn serve(&self, listener: TcpListener, to: String) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if shared.fault() == Fault::Reset {
                    shared.hit();
                    continue;
                }
                let Ok(server) = TcpStream::connect(&to).await else { continue };
                _ = (client.set_nodelay(true), server.set_nodelay(true));
                tokio::spawn(join(client, server, Arc::clone(&shared)));
            }
        });
    }

    /// A proxy before a PostgreSQL: what is said to the socket in `folder` goes to the one in `to`.
    pub fn before_database(folder: &Path, to: &Path) -> Self {
        let listener = UnixListener::bind(folder.join(SOCKET)).unwrap();
        let proxy = Self { authority: folder.to_str().unwrap().to_owned(), shared: Arc::default() };
        let (shared, to) = (Arc::clone(&proxy.shared), to.join(SOCKET));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if shared.fault() == Fault::Reset {
                    shared.hit();
                    continue;
                }
                let Ok(server) = UnixStream::connect(&to).await else { continue };
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { wire::converse(client, server, &shared).await });
            }
        });
        proxy
    }

    /// Kills the node that comes to this point, once, after it has passed it by so often.
    pub fn kill_at(&self, point: Point, passes: u32) {
        self.shared.strikes().armed = Some(Armed { point, blow: Blow::Kill, passes });
    }

    /// Kills the server of the database, by the number of its process, when a node comes to this point.
    pub fn kill_server_at(&self, point: Point, server: i32) {
        let blow = Blow::KillServer(Pid::from_raw(server).unwrap());
        self.shared.strikes().armed = Some(Armed { point, blow, passes: 0 });
    }

    /// Cuts the connection that comes to this point, once, after it was passed by so often.
    pub fn cut_at(&self, point: Point, passes: u32) {
        self.shared.strikes().armed = Some(Armed { point, blow: Blow::Cut, passes });
    }

    /// Strikes at no point any more.
    pub fn spare(&self) {
        self.shared.strikes().armed = None;
    }

    /// How often this point was struck.
    pub fn struck(&self, point: Point) -> u64 {
        self.shared.strikes().struck.get(&point).copied().unwrap_or(0)
    }

    /// Misbehaves like this from here on.
    pub fn set(&self, fault: Fault) {
        let code = FAULTS.iter().position(|one| *one == fault).unwrap();
        self.shared.fault.store(u8::try_from(code).unwrap(), Ordering::SeqCst);
    }

    /// How often a fault struck something that was under way: a test that wants one fails when this is zero.
    pub fn hits(&self) -> u64 {
        self.shared.hits.load(Ordering::SeqCst)
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + 'static> Stream for T {}

async fn join(client: impl Stream, server: impl Stream, shared: Arc<Shared>) {
    let (from_client, to_client) = tokio::io::split(client);
    let (from_server, to_server) = tokio::io::split(server);
    tokio::select! {
        () = pass(from_client, to_server, Arc::clone(&shared), false) => {}
        () = pass(from_server, to_client, shared, true) => {}
    }
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, shared: Arc<Shared>, answers: bool) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(len @ 1..) = from.read(&mut buffer).await else { return };
        match shared.fault() {
            Fault::None => {}
            Fault::LoseAnswers if !answers => {}
            Fault::Blackhole => {
                shared.hit();
                continue;
            }
            Fault::LoseAnswers | Fault::Reset => return shared.hit(),
        }
        if to.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}
