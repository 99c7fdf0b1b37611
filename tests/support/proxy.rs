//! A proxy that can be told to misbehave: between two nodes, or between a node and its database.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

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
struct Shared {
    fault: AtomicU8,
    hits: AtomicU64,
}

impl Shared {
    fn fault(&self) -> Fault {
        FAULTS[usize::from(self.fault.load(Ordering::SeqCst))]
    }

    fn hit(&self) {
        self.hits.fetch_add(1, Ordering::SeqCst);
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
                tokio::spawn(join(client, server, Arc::clone(&shared)));
            }
        });
        proxy
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
