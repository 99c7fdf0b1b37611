//! A private PostgreSQL for this crate's own tests: one cluster while any test holds it, a database per test.
//!
//! Smaller than the harness of `tests/`, which cannot be reached from here; it knows only the distribution's folders.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

/// A fresh, empty database; the roles of migration 1 exist.
pub(crate) struct Scratch {
    pub(crate) url: String,
    cluster: Arc<Cluster>,
}

struct Cluster {
    folder: tempfile::TempDir,
    server: Mutex<Child>,
    next: std::sync::atomic::AtomicU32,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static CURRENT: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = current.upgrade().unwrap_or_else(|| Arc::new(Cluster::start()));
        *current = Arc::downgrade(&cluster);
        let name = format!("t{}", cluster.next.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        let mut admin = PgConnection::establish(&cluster.url("postgres")).unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        Self { url: cluster.url(&name), cluster }
    }

    /// A migrated one.
    pub(crate) fn migrated() -> Self {
        let scratch = Self::new();
        super::db::migrate(&scratch.url).unwrap();
        scratch
    }

    pub(crate) fn connect(&self) -> PgConnection {
        PgConnection::establish(&self.url).unwrap()
    }

    /// Ends every other session of this database, as a restart of the server would.
    pub(crate) fn cut_sessions(&self) {
        let mut admin = PgConnection::establish(&self.cluster.url("postgres")).unwrap();
        let name = self.url.rsplit_once("dbname=").unwrap().1;
        admin
            .batch_execute(&format!(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
            ))
            .unwrap();
    }
}

impl Cluster {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tw").tempdir_in("/var/tmp").unwrap();
        if let Some((uid, gid)) = other_user() {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let data = folder.path().join("data");
        let init =
            command("initdb").args(["-A", "trust", "-U", "tessera", "--no-sync", "-D"]).arg(&data).output().unwrap();
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        let server = command("postgres")
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"])
            .arg(folder.path())
            .arg("-D")
            .arg(&data)
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let cluster = Self { folder, server: Mutex::new(server), next: 0.into() };
        let mut admin = cluster.wait_until_ready();
        admin
            .batch_execute("CREATE ROLE tessera_app NOLOGIN; CREATE ROLE tessera_tenant NOLOGIN ROLE tessera_app")
            .unwrap();
        cluster
    }

    fn url(&self, database: &str) -> String {
        format!("host={} user=tessera dbname={database}", self.folder.path().display())
    }

    fn wait_until_ready(&self) -> PgConnection {
        for _ in 0..200 {
            if let Ok(conn) = PgConnection::establish(&self.url("postgres")) {
                return conn;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{}", std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pid) = rustix::process::Pid::from_raw(i32::try_from(server.id()).unwrap_or(0)) {
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::QUIT);
        }
        let _status = server.wait();
    }
}

fn command(program: &str) -> Command {
    let mut command = Command::new(programs().join(program));
    command.env_clear().env("LC_ALL", "C").current_dir("/").process_group(0);
    if let Some((uid, gid)) = other_user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// The newest of the distribution's folders.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").unwrap().flatten().map(|entry| entry.path().join("bin"));
    versions.filter(|bin| bin.join("initdb").exists()).max().unwrap()
}

/// PostgreSQL refuses root: when we are, the user its package made.
fn other_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:")).unwrap().to_owned();
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
