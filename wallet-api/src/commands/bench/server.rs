//! A server under test: this program again, as a process of its own, that can be killed, put to sleep and woken.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::commands::client::Client;

/// How long it may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// The server, as a process of its own.
pub(super) struct Server {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Server {
    pub(super) async fn start(url: &str) -> anyhow::Result<Self> {
        Self::run(&["serve", "--allow-private-hooks", "--log", "warn"], Some(url)).await
    }

    /// Starts this program with these words and an address to listen at, and waits until it is ready.
    pub(super) async fn run(words: &[&str], url: Option<&str>) -> anyhow::Result<Self> {
        // A port that was free a moment ago: whoever is started says so if it was taken since.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(std::env::current_exe()?)
            .args(words)
            .args(["--listen", &address.to_string()])
            .envs(url.map(|url| ("DATABASE_URL", url)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self { child, address };
        let ready = Client::new(&format!("http://{address}"), "")?;
        let until = Instant::now().checked_add(PATIENCE);
        while !ready.get("/readyz").await.is_ok_and(|reply| reply.status == 200) {
            anyhow::ensure!(Some(Instant::now()) < until, "the server did not become ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, and says when.
    pub(super) fn kill(&mut self) -> anyhow::Result<Instant> {
        self.child.kill()?;
        let killed = Instant::now();
        self.child.wait()?;
        Ok(killed)
    }

    /// Puts it to sleep, and says when all of it slept: until then a thread of it may still answer.
    pub(super) fn freeze(&self) -> anyhow::Result<Instant> {
        self.signal(Signal::STOP)?;
        // Not reaped, should it have ended instead: that is for who waits for its end.
        let look = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = retry_on_intr(|| waitid(WaitId::Pid(self.pid()), look))?;
        anyhow::ensure!(status.is_some_and(|status| status.stopped()), "the server ended instead of falling asleep");
        Ok(Instant::now())
    }

    /// Wakes it up again.
    pub(super) fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "the server did not stop in order: {status}");
        Ok(())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill_process(self.pid(), signal)?)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ended already, or the bench failed and nobody will ask it to.
        _ = self.child.kill();
    }
}
