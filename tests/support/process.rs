//! The real binary: nodes as processes that can be stopped, resumed and killed, and commands run to their end.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::Value;

use crate::ground::{proof_dir, root};
use crate::{Api, TestDb, eventually};

/// How long a node may take to listen: it may have to wait for a database that recovers.
const START: Duration = Duration::from_secs(30);
/// How long a node may take to end in order.
const END: Duration = Duration::from_secs(30);

/// The `tessera` of this build: built once per test process, then kept where no other build replaces it.
pub fn node_binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(build);
    &BINARY
}

fn build() -> PathBuf {
    // target/<profile>/deps/tests-<hash>: the binary lies one folder up, and was built as this test was.
    let test = std::env::current_exe().unwrap();
    let profile_dir = test.parent().and_then(Path::parent).unwrap().to_owned();
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev".to_owned(),
        Some(other) => other.to_owned(),
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--workspace", "--bins", "--profile", &profile]).current_dir(workspace);
    command.arg("--target-dir").arg(profile_dir.parent().unwrap());
    // What cargo told this test of its package; dependencies that look at it would be built anew, and again next time.
    let told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)) {
        command.env_remove(name);
    }
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kept = root().join("tessera");
    let built = profile_dir.join("tessera");
    // Another file system has no hard links to ours.
    if fs::hard_link(&built, &kept).is_err() {
        copy_program(&built, &kept);
    }
    kept
}

/// Copies what is to be executed at once. A process of its own writes it: a child that another test forks meanwhile
/// inherits no file that is open for writing, which nobody could execute until that child is gone.
pub(crate) fn copy_program(from: &Path, to: &Path) {
    assert!(Command::new("cp").args([from, to]).status().expect("cp runs").success(), "{}", to.display());
}

/// What a command left.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its data.
    pub out: String,
    /// Its log and its last words.
    pub err: String,
}

impl Output {
    /// Its data as JSON, when it ended well.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert!(self.status.success(), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A `tessera` that knows nothing of our environment, in an empty folder of its own.
pub fn tessera(args: &[&str]) -> Command {
    tessera_in(&scratch_dir(), args)
}

/// The same in this folder.
pub fn tessera_in(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(node_binary());
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// An empty folder that lasts as long as this process.
pub fn scratch_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let folder = root().join(format!("work{}", NEXT.fetch_add(1, Ordering::SeqCst)));
    fs::create_dir(&folder).unwrap();
    folder
}

/// Runs commands to their end.
pub trait Run {
    /// Runs to the end, both outputs in hand.
    fn run(&mut self) -> Output;
}

impl Run for Command {
    fn run(&mut self) -> Output {
        let output = self.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Output { status: output.status, out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A `tessera serve` as a process; killed with the value.
pub struct NodeProcess {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl NodeProcess {
    /// Starts a node on this database and waits until it listens.
    pub fn start(db: &TestDb<'_>, env: &[(&str, &str)]) -> Self {
        let (url, owner_url) = (db.url(), db.owner_url());
        let database = [("DATABASE_URL", url.as_str()), ("DATABASE_OWNER_URL", owner_url.as_str())];
        Self::start_env(&[&database[..], env].concat())
    }

    /// Starts a node on the private database of a data folder and waits until it listens.
    pub fn start_private(data_dir: &Path, env: &[(&str, &str)]) -> Self {
        Self::start_env(&[&[("TESSERA_DATA_DIR", data_dir.to_str().unwrap())][..], env].concat())
    }

    /// Starts a node that knows this environment only and waits until it listens.
    pub fn start_env(env: &[(&str, &str)]) -> Self {
        let mut node = Self::launch_env(env);
        node.address = eventually("the node listens", START, || {
            let ended = node.child.try_wait().unwrap();
            assert!(ended.is_none(), "the node ended: {}", node.log());
            address_in(&node.log())
        });
        node
    }

    /// Starts a node that knows this environment only, and may not live to listen.
    pub fn launch_env(env: &[(&str, &str)]) -> Self {
        let folder = scratch_dir();
        let log = folder.join("log");
        let mut command = tessera_in(&folder, &["serve", "--listen", "127.0.0.1:0", "--workers", "2"]);
        if env.iter().any(|(name, _)| *name == "DATABASE_URL") {
            command.env("TESSERA_PROOF_DIR", proof_dir());
        }
        command.envs(env.iter().copied());
        let child = command.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log }
    }

    /// Where it listens, as `host:port`.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// The same client, of this node.
    pub fn api(&self, like: &Api) -> Api {
        Api { authority: self.authority(), ..like.clone() }
    }

    /// Everything it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits until the process has been stopped, by itself or by a signal.
    pub fn wait_until_stopped(&self, within: Duration) {
        let options = WaitOptions::UNTRACED | WaitOptions::NOHANG;
        eventually("the process stops", within, || {
            let (_, status) = waitpid(Some(self.pid()), options).unwrap()?;
            assert!(status.stopped(), "the process ended instead: {}", self.log());
            Some(())
        });
    }

    /// Waits for an end that was asked for, and says how it was.
    pub fn wait_until_ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the process ends", END, || child.try_wait().unwrap())
    }

    /// What it holds of the machine at this moment.
    pub fn footprint(&self) -> Footprint {
        let process = PathBuf::from(format!("/proc/{}", self.child.id()));
        let count = |folder: &str| fs::read_dir(process.join(folder)).map_or(0, Iterator::count);
        Footprint { files: count("fd"), threads: count("task") }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }
}

/// What a process holds of the machine. Zero where the system does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Open files, sockets among them.
    pub files: usize,
    /// Threads.
    pub threads: usize,
}

/// Sends a signal to a process by its number.
pub fn signal_process(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let telling = |line: &&str| !line.contains(r#""message":"answered""#);
            let tail: Vec<&str> = log.lines().rev().filter(telling).take(30).collect();
            eprintln!("-- log of {}, newest line first --\n{}", self.address, tail.join("\n"));
        }
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The address in the log's line that says the node serves.
fn address_in(log: &str) -> Option<SocketAddr> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let serving = lines.into_iter().find(|line| line["message"] == "serving")?;
    serving["address"].as_str()?.parse().ok()
}
