//! A relay between one node and its database, that can fall silent.
//!
//! It listens in a folder of its own under the name of PostgreSQL's socket and passes all bytes on. Once silent it passes
//! nothing in either direction, on connections that are open and on new ones, and closes none: whoever hangs up on one side
//! is not noticed on the other. That is what a cable is like when it is pulled, or a firewall that drops. Dropping it
//! closes everything. Not here: delays, torn messages (the tests' proxy has those).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What libpq and the server call a socket in its folder: the port, which the stage's database never changes, names it.
const SOCKET: &str = ".s.PGSQL.5432";
/// How long to wait when the system has no file left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// A relay at work.
#[derive(Debug)]
pub(super) struct Relay {
    folder: TempDir,
    silent: Arc<watch::Sender<bool>>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// A relay before the server whose socket is in this folder.
    pub(super) fn before(socket_dir: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("tessera-relay-").tempdir_in(std::env::temp_dir())?;
        let listener = UnixListener::bind(folder.path().join(SOCKET))?;
        let silent = Arc::new(watch::Sender::new(false));
        let accepting = tokio::spawn(accept(listener, socket_dir.join(SOCKET), Arc::clone(&silent)));
        Ok(Self { folder, silent, accepting })
    }

    /// The folder of its own socket.
    pub(super) fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// Falls silent for ever, and returns when nothing passes any more.
    pub(super) async fn silence(&self) {
        self.silent.send_replace(true);
        self.silent.closed().await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: UnixListener, server: PathBuf, silent: Arc<watch::Sender<bool>>) {
    // Ends with this task, and closes what it holds.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => _ = connections.spawn(relay(client, server.clone(), silent.subscribe())),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// Passes bytes on until one side hangs up; once silent, keeps both sides for ever. `silent` is dropped when nothing passes.
async fn relay(mut client: UnixStream, at: PathBuf, mut silent: watch::Receiver<bool>) {
    let mut server = None;
    let passing = async {
        let server = server.insert(UnixStream::connect(&at).await?);
        tokio::io::copy_bidirectional(&mut client, server).await
    };
    let is_silent = tokio::select! {
        biased; // silence is looked at before anything passes
        _ = silent.wait_for(|silent| *silent) => true,
        _ended = passing => false,
    };
    drop(silent);
    if is_silent {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that sends back what it gets, and tells how often somebody hung up on it.
    struct Echo {
        folder: TempDir,
        hung_up: watch::Receiver<u32>,
    }

    impl Echo {
        fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
            let (sender, hung_up) = watch::channel(0);
            tokio::spawn(async move {
                let sender = Arc::new(sender);
                while let Ok((mut stream, _)) = listener.accept().await {
                    let sender = Arc::clone(&sender);
                    tokio::spawn(async move {
                        let (mut from, mut to) = stream.split();
                        _ = tokio::io::copy(&mut from, &mut to).await;
                        sender.send_modify(|count| *count += 1);
                    });
                }
            });
            Self { folder, hung_up }
        }
    }

    async fn connect(relay: &Relay) -> UnixStream {
        UnixStream::connect(relay.socket_dir().join(SOCKET)).await.unwrap()
    }

    async fn echoed(stream: &mut UnixStream) -> [u8; 4] {
        let mut answer = [0; 4];
        stream.write_all(b"ping").await.unwrap();
        stream.read_exact(&mut answer).await.unwrap();
        answer
    }

    /// Neither an answer nor an end within a moment.
    async fn hangs(stream: &mut UnixStream) -> bool {
        let read = stream.read_u8();
        tokio::time::timeout(Duration::from_millis(50), read).await.is_err()
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_so_does_hanging_up() {
        let mut echo = Echo::start();
        let relay = Relay::before(echo.folder.path()).unwrap();
        let mut client = connect(&relay).await;
        assert_eq!(&echoed(&mut client).await, b"ping");
        drop(client);
        echo.hung_up.wait_for(|count| *count == 1).await.unwrap();
    }

    #[tokio::test]
    async fn once_silent_nothing_passes_and_nothing_closes_until_the_relay_goes() {
        let mut echo = Echo::start();
        let relay = Relay::before(echo.folder.path()).unwrap();
        let (mut open, mut closing) = (connect(&relay).await, connect(&relay).await);
        assert_eq!((&echoed(&mut open).await, &echoed(&mut closing).await), (b"ping", b"ping"));

        relay.silence().await;
        open.write_all(b"ping").await.unwrap();
        drop(closing);
        let mut new = connect(&relay).await;
        new.write_all(b"ping").await.unwrap();
        assert!(hangs(&mut open).await && hangs(&mut new).await);
        assert_eq!(*echo.hung_up.borrow(), 0, "the server is not told who hung up");

        drop(relay);
        echo.hung_up.wait_for(|count| *count == 2).await.unwrap();
        assert!(open.read_u8().await.is_err() && new.read_u8().await.is_err());
    }
}
