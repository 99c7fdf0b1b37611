//! A private Redis that can be stopped, killed and emptied, and a proxy before it that lies.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use crate::eventually;
use crate::ground::root;
use crate::process::copy_program;

/// How long a server may take to answer its first PING.
const START: Duration = Duration::from_secs(10);

/// A `redis-server` of one's own on a unix socket, without a network port and without memory of its past.
pub struct Redis {
    child: Child,
    folder: PathBuf,
}

impl Redis {
    /// Starts an empty one.
    pub fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = root().join(format!("redis{}", NEXT.fetch_add(1, Ordering::SeqCst)));
        fs::create_dir(&folder).unwrap();
        // A copy, so that whatever clears the tests' folder finds what runs from it. Its name is how it knows itself.
        copy_program(&installed(), &folder.join("redis-server"));
        let mut redis = Self { child: launch(&folder), folder };
        redis.wait();
        redis
    }

    /// Kills it and starts an empty one in its place.
    pub fn kill_and_restart(&mut self) {
        self.kill();
        self.child = launch(&self.folder);
        self.wait();
    }

    /// Kills it.
    pub fn kill(&mut self) {
        _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// What to give to a node.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("s")
    }

    /// Runs a command, and gives the answer as it came.
    pub fn command(&self, words: &[&str]) -> String {
        self.try_command(words).unwrap()
    }

    fn try_command(&self, words: &[&str]) -> std::io::Result<String> {
        let mut stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("{}\r\nQUIT\r\n", words.join(" ")).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.trim_end_matches("+OK\r\n").to_owned())
    }

    fn wait(&mut self) {
        eventually("redis answers", START, || {
            assert!(self.child.try_wait().unwrap().is_none(), "redis-server ended");
            self.try_command(&["PING"]).is_ok_and(|answer| answer.starts_with("+PONG")).then_some(())
        });
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn launch(folder: &Path) -> Child {
    let mut command = Command::new(folder.join("redis-server"));
    command.args(["--port", "0", "--unixsocket", "s", "--save", "", "--appendonly", "no", "--daemonize", "no"]);
    command.env_clear().current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn installed() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/bin".into(), "/usr/sbin".into(), "/usr/local/bin".into()]);
    let found = places.map(|folder| folder.join("redis-server")).find(|program| program.is_file());
    found.expect("redis-server is needed: run `make setup`")
}

/// What a proxy does to what Redis answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    Truth = 0,
    /// Bytes that are no answer at all.
    Garbage = 1,
    /// An answer of another type to every command.
    WrongType = 2,
    /// A number beyond all measure to every command.
    Huge = 3,
    /// No answer.
    Silence = 4,
}

/// A proxy before a Redis, over TCP.
pub struct LyingRedis {
    address: SocketAddr,
    lie: Arc<AtomicU8>,
    told: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl LyingRedis {
    /// Starts one that tells the truth.
    pub async fn start(redis: &Redis) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, socket) = (listener.local_addr().unwrap(), redis.socket());
        let (lie, told) = (Arc::<AtomicU8>::default(), Arc::<AtomicU64>::default());
        let (lies, count) = (Arc::clone(&lie), Arc::clone(&told));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, socket.clone(), Arc::clone(&lies), Arc::clone(&count)));
            }
        });
        Self { address, lie, told, task }
    }

    /// What to give to a node.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Lies so from now on.
    pub fn lie(&self, lie: Lie) {
        self.lie.store(lie as u8, Ordering::SeqCst);
    }

    /// How many answers were not what Redis said.
    pub fn told(&self) -> u64 {
        self.told.load(Ordering::SeqCst)
    }
}

impl Drop for LyingRedis {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes one connection on, and answers itself while it lies.
async fn pass(mut client: tokio::net::TcpStream, socket: PathBuf, lie: Arc<AtomicU8>, told: Arc<AtomicU64>) {
    let Ok(mut server) = tokio::net::UnixStream::connect(socket).await else { return };
    let (mut asked, mut answered) = ([0; 16_384], [0; 16_384]);
    loop {
        let from_client = tokio::select! {
            read = client.read(&mut asked) => (true, read.unwrap_or(0)),
            read = server.read(&mut answered) => (false, read.unwrap_or(0)),
        };
        let mode = lie.load(Ordering::SeqCst);
        let sent = match (from_client, mode) {
            (_, _) if from_client.1 == 0 => return,
            ((true, n), 0) => server.write_all(&asked[..n]).await,
            ((false, n), 0) => client.write_all(&answered[..n]).await,
            ((true, n), mode) => {
                let commands = asked[..n].split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"*")).count();
                told.fetch_add(u64::try_from(commands).unwrap(), Ordering::SeqCst);
                let one: &[u8] = match mode {
                    1 => b"\x00\xff!no redis says this\n\r\n",
                    2 => b"*1\r\n$5\r\nhello\r\n",
                    3 => b":9223372036854775807\r\n",
                    _ => b"",
                };
                client.write_all(&one.repeat(commands)).await
            }
            ((false, _), _) => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}
