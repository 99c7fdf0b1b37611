//! The private servers of a test process, and the databases cloned from their template.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use wallet_api::platform::cluster::{Cluster, Endpoint, Role};
use wallet_api::platform::db;
use wallet_api::platform::ids::derived;

/// The migrated database that all others are cloned from.
const TEMPLATE: &str = "tessera_template";

/// How much of its log a server keeps when many rows are written at once: the usual 4 GB, times the servers of all tests,
/// is more than some disks have.
const LOG_SIZE: (&str, &str) = ("max_wal_size", "256MB");

/// What makes a server fast and forgetful: for tests that kill nothing.
const FAST: [(&str, &str); 6] = [
    LOG_SIZE,
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("max_connections", "500"),
    ("shared_buffers", "128MB"),
];

/// A server and its template. Dropping one stops it; the two shared ones last as long as this process.
pub struct Ground {
    cluster: Mutex<Cluster>,
    endpoint: Endpoint,
    next: AtomicU32,
}

impl Ground {
    /// The fast server that tests of behaviour share.
    pub fn fast() -> &'static Self {
        static FAST_GROUND: LazyLock<Ground> = LazyLock::new(|| Ground::start("fast", &FAST));
        &FAST_GROUND
    }

    /// The durable server that tests of faults share: as in production.
    pub fn durable() -> &'static Self {
        static DURABLE_GROUND: LazyLock<Ground> = LazyLock::new(|| Ground::start("durable", &[LOG_SIZE]));
        &DURABLE_GROUND
    }

    /// A durable server of one's own, to kill.
    pub fn own(name: &str) -> Self {
        Self::start(name, &[LOG_SIZE])
    }

    fn start(name: &str, settings: &[(&str, &str)]) -> Self {
        let cluster = Cluster::start_with(&root().join(name), settings).unwrap();
        cluster.create_database(TEMPLATE).unwrap();
        db::migrate(&cluster.url(Role::Owner, TEMPLATE)).unwrap();
        let endpoint = cluster.endpoint().clone();
        Self { cluster: Mutex::new(cluster), endpoint, next: AtomicU32::new(0) }
    }

    /// The server itself, to kill and restart it.
    pub fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A migrated database of one's own.
    pub fn database(&self) -> TestDb<'_> {
        self.clone_of(TEMPLATE)
    }

    /// A copy of a database that nobody is connected to.
    pub fn clone_of(&self, template: &str) -> TestDb<'_> {
        let name = format!("t{}", self.next.fetch_add(1, Ordering::SeqCst));
        self.cluster().create_from_template(&name, template).unwrap();
        TestDb { ground: self, name }
    }
}

/// A database, dropped with the value.
pub struct TestDb<'a> {
    ground: &'a Ground,
    name: String,
}

impl TestDb<'_> {
    /// Its name on its server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As the role that may not change the past.
    pub fn url(&self) -> String {
        self.ground.endpoint.url(Role::App, &self.name)
    }

    /// As the owner of the tables.
    pub fn owner_url(&self) -> String {
        self.ground.endpoint.url(Role::Owner, &self.name)
    }

    /// Where its server listens.
    pub fn socket_dir(&self) -> &Path {
        self.ground.endpoint.socket_dir()
    }

    /// As somebody who may do anything: a forger.
    pub fn super_url(&self) -> String {
        self.ground.endpoint.url(Role::Super, &self.name)
    }
}

impl Drop for TestDb<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.ground.cluster().drop_database(&self.name) {
            eprintln!("database {} stays: {error}", self.name);
        }
    }
}

/// The proof folder that all nodes of this process share.
pub fn proof_dir() -> PathBuf {
    root().join("proof")
}

/// The vault folder of a database: erasures are of one database alone.
pub fn vault_dir(url: &str) -> PathBuf {
    root().join(format!("vault-{}", derived("vault", &[url.as_bytes()])))
}

/// The folder of this process: everything the tests make on disk lies in it.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(make_root);
    &ROOT
}

/// Clears up once its standard input ends, which is when this process does, however it does: ends processes that run a
/// binary of the folder, browsers whose profile is in it, then servers whose data is in it, then removes the folder and the servers' socket folders.
const WATCHER: &str = r#"
cat >/dev/null
for exe in /proc/[0-9]*/exe; do
    case "$(readlink "$exe" 2>/dev/null)" in "$1"/*) pid=${exe#/proc/}; kill -9 "${pid%/exe}" ;; esac
done
for line in /proc/[0-9]*/cmdline; do
    if tr '\0' ' ' <"$line" 2>/dev/null | grep -qF -e "-data-dir=$1/" -e "--log-path=$1/"; then
        pid=${line#/proc/}; kill -9 "${pid%/cmdline}"
    fi
done
find "$1" -name postmaster.pid -type f | while read -r file; do
    { read -r pid; read -r data; read -r started; read -r port; read -r socket; } <"$file"
    kill -QUIT "$pid" 2>/dev/null
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
    case "$socket" in */tessera-pg-*) rm -rf "$socket" ;; esac
done
rm -rf "$1"
"#;

fn make_root() -> PathBuf {
    // Not under /tmp alone: some systems keep it in memory, and a durable server belongs on a disk.
    let parent = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
    let folder = tempfile::Builder::new().prefix("tessera-tests-").tempdir_in(parent).unwrap().keep();
    let folder = fs::canonicalize(folder).unwrap();
    // The server's account must be able to enter it when we are root.
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    let mut watcher = Command::new("sh");
    watcher.args(["-c", WATCHER, "watcher"]).arg(&folder).current_dir("/").process_group(0);
    watcher.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // Our end of the pipe is never closed by hand: the kernel does it when we are gone.
    std::mem::forget(watcher.spawn().unwrap());
    folder
}
