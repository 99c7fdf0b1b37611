//! Where a private database lives, as whom its server runs, and who may use it now.
//!
//! Three folders: the *data folder* is what the caller names; the *home* holds the database, its log and its lock; the
//! *runtime folder* holds the socket, and its path is short because a system cuts socket paths at about 100 bytes. Home
//! and data folder are the same, unless we are root and the server's account, which may not be root, cannot enter the
//! data folder (`/root` is closed to it). Then the home lies under [`FALLBACK`], and the file `location` in the data
//! folder says where. Access lists beyond the permission bits are not read: a folder they open counts as closed.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use tempfile::TempDir;

use super::ClusterError;

/// Parent of the homes whose data folder the server cannot reach.
const FALLBACK: &str = "/var/lib/tessera";
/// The note in the data folder that names a home elsewhere.
const LOCATION: &str = "location";
/// How the name of every runtime folder begins.
const RUNTIME_PREFIX: &str = "tessera-pg-";
/// Accounts that a package may have made for PostgreSQL, then the account that is in no group and owns nothing.
const ACCOUNTS: [&str; 3] = ["postgres", "_postgres", "nobody"];
/// User and group `nobody` of systems that list no accounts.
const NOBODY: u32 = 65_534;

/// Whom the server runs as when we are root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// Picks the unprivileged account of the server from the system's list.
    fn for_server() -> Self {
        let list = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = ACCOUNTS.iter().find_map(|name| Self::in_list(&list, name));
        found.unwrap_or_else(|| Self { name: "nobody".to_owned(), uid: NOBODY, gid: NOBODY })
    }

    fn in_list(list: &str, name: &str) -> Option<Self> {
        let line = list.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2);
        let (uid, gid) = (ids.next()?.parse().ok()?, ids.next()?.parse().ok()?);
        Some(Self { name: name.to_owned(), uid, gid })
    }

    /// Finds the topmost folder on the way to `path` that this account may not enter.
    fn first_closed(&self, path: &Path) -> Result<Option<PathBuf>, ClusterError> {
        let mut closed = None;
        for folder in path.ancestors() {
            let facts = fs::metadata(folder).map_err(ClusterError::io("look at", folder))?;
            let enter_bit = match (facts.uid() == self.uid, facts.gid() == self.gid) {
                (true, _) => 0o100,
                (false, true) => 0o010,
                (false, false) => 0o001,
            };
            if facts.mode() & enter_bit == 0 {
                closed = Some(folder.to_path_buf());
            }
        }
        Ok(closed)
    }

    /// Gives a folder to this account, to nobody else.
    fn own(&self, folder: &Path) -> Result<(), ClusterError> {
        chown(folder, Some(self.uid), Some(self.gid)).map_err(ClusterError::io("give away", folder))
    }
}

/// The folder that holds the database, its log and its lock.
#[derive(Debug, Clone)]
pub(super) struct Home {
    folder: PathBuf,
    /// `None`: the server runs as we do.
    account: Option<Account>,
    notice: Option<String>,
}

impl Home {
    /// Finds the home that belongs to a data folder, or `None` where no database was ever made.
    pub(super) fn find(data_dir: &Path) -> Result<Option<Self>, ClusterError> {
        let Ok(data_dir) = fs::canonicalize(data_dir) else { return Ok(None) };
        let recorded = recorded_location(&data_dir)?;
        let folder = recorded.unwrap_or(data_dir);
        let database = folder.join("postgres");
        let Ok(facts) = fs::metadata(&database) else { return Ok(None) };
        let us = rustix::process::geteuid();
        if us.as_raw() == facts.uid() {
            return Ok(Some(Self { folder, account: None, notice: None }));
        }
        if !us.is_root() {
            return Err(ClusterError::OwnedByAnother { folder: database, owner: facts.uid() });
        }
        let account = Account { name: format!("user id {}", facts.uid()), uid: facts.uid(), gid: facts.gid() };
        Ok(Some(Self { folder, account: Some(account), notice: None }))
    }

    /// Finds the home that belongs to a data folder, and makes one where there is none.
    pub(super) fn find_or_make(data_dir: &Path) -> Result<Self, ClusterError> {
        fs::create_dir_all(data_dir).map_err(ClusterError::io("create", data_dir))?;
        let data_dir = fs::canonicalize(data_dir).map_err(ClusterError::io("look at", data_dir))?;
        if let Some(home) = Self::find(&data_dir)? {
            home.must_be_reachable()?;
            let notice = (home.folder != data_dir).then(|| format!("the database lives in {}", home.folder.display()));
            return Ok(Self { notice, ..home });
        }
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { folder: data_dir, account: None, notice: None });
        }
        let account = Account::for_server();
        match account.first_closed(&data_dir)? {
            None => Ok(Self { folder: data_dir, account: Some(account), notice: None }),
            Some(closed) => Self::elsewhere(&data_dir, account, &closed),
        }
    }

    fn elsewhere(data_dir: &Path, account: Account, closed: &Path) -> Result<Self, ClusterError> {
        let folder = Path::new(FALLBACK).join(short_hash(data_dir));
        let make = |folder| DirBuilder::new().recursive(true).mode(0o755).create(folder);
        make(&folder).map_err(ClusterError::io("create", &folder))?;
        let note = data_dir.join(LOCATION);
        fs::write(&note, format!("{}\n", folder.display())).map_err(ClusterError::io("write", note))?;
        let (name, closed) = (&account.name, closed.display());
        let notice = format!("the account {name} cannot enter {closed}: the database lives in {}", folder.display());
        Ok(Self { folder, account: Some(account), notice: Some(notice) })
    }

    /// A database whose way was closed since must not be replaced by a new, empty one elsewhere.
    fn must_be_reachable(&self) -> Result<(), ClusterError> {
        self.must_reach(&self.folder)
    }

    /// Refuses a folder that the server's account cannot enter.
    pub(super) fn must_reach(&self, folder: &Path) -> Result<(), ClusterError> {
        let Some(account) = &self.account else { return Ok(()) };
        match account.first_closed(folder)? {
            None => Ok(()),
            Some(closed) => {
                let account = account.name.clone();
                Err(ClusterError::Unreachable { folder: folder.to_path_buf(), closed, account })
            }
        }
    }

    pub(super) fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    pub(super) fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// PostgreSQL's own data folder.
    pub(super) fn database(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// The folder that `initdb` fills before it takes the name of [`Self::database`].
    pub(super) fn nursery(&self) -> PathBuf {
        self.folder.join("postgres.new")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes an empty folder, closed to all but the server's account.
    pub(super) fn make_private(&self, folder: &Path) -> Result<(), ClusterError> {
        DirBuilder::new().mode(0o700).create(folder).map_err(ClusterError::io("create", folder))?;
        self.account.as_ref().map_or(Ok(()), |account| account.own(folder))
    }

    /// Takes the home for this process, until the file is dropped or the process dies.
    pub(super) fn lock(&self) -> Result<File, ClusterError> {
        let path = self.folder.join("lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true).mode(0o644);
        let mut file = options.open(&path).map_err(ClusterError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let pid = file.read_to_string(&mut holder).ok().and_then(|_| holder.trim().parse().ok());
                return Err(ClusterError::Held { folder: self.folder.clone(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(ClusterError::Io { action: "lock", path, source }),
        }
        let sign = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        sign(&mut file).map_err(ClusterError::io("write", path))?;
        Ok(file)
    }

    /// Makes a new runtime folder, removed again with the value.
    pub(super) fn runtime(&self) -> Result<TempDir, ClusterError> {
        let closed = Permissions::from_mode(0o700);
        let mut builder = tempfile::Builder::new();
        builder.prefix(RUNTIME_PREFIX).permissions(closed);
        let make = |base: &Path| builder.tempdir_in(base);
        let folder = match self.account {
            // Kept off /tmp where we can: some systems sweep old files there.
            Some(_) => make(Path::new("/run")).or_else(|_| make(Path::new("/tmp"))),
            None => make(Path::new("/tmp")),
        };
        let folder = folder.map_err(ClusterError::io("create a folder in", "/tmp"))?;
        if let Some(account) = &self.account {
            account.own(folder.path())?;
        }
        Ok(folder)
    }

    /// Removes the runtime folder of a start that was killed, if it is one of ours and nobody else's.
    pub(super) fn sweep_runtime(&self, left: &Path) -> Result<(), ClusterError> {
        let ours = left.parent().is_some_and(|base| [Path::new("/run"), Path::new("/tmp")].contains(&base))
            && left.file_name().is_some_and(|name| name.to_string_lossy().starts_with(RUNTIME_PREFIX));
        let owner = self.account.as_ref().map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid);
        match fs::symlink_metadata(left) {
            Ok(facts) if ours && facts.is_dir() && facts.uid() == owner => {
                fs::remove_dir_all(left).map_err(ClusterError::io("remove", left))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Reads where the home of this data folder is, when it is elsewhere.
///
/// The note may lie in a folder that others can write, and root follows it: only our own kind of place is believed.
fn recorded_location(data_dir: &Path) -> Result<Option<PathBuf>, ClusterError> {
    let note = data_dir.join(LOCATION);
    let Ok(text) = fs::read_to_string(&note) else { return Ok(None) };
    let folder = PathBuf::from(text.trim());
    let name_fits = |name: &str| name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = folder.parent() == Some(Path::new(FALLBACK))
        && folder.file_name().and_then(|name| name.to_str()).is_some_and(name_fits);
    if !fits {
        return Err(ClusterError::BadLocation { note, location: text.trim().to_owned() });
    }
    Ok(Some(folder))
}

/// Shortens a path to 16 hexadecimal digits: 64 bits, plenty for the data folders of one machine.
fn short_hash(path: &Path) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, path.as_os_str().as_encoded_bytes());
    HEXLOWER.encode(digest.as_ref()).chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_by_its_whole_name() {
        let list = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:/x\npostgres:x:101:104:Admin,,,:/var:/x\nbad:x\n";
        let account = Account::in_list(list, "postgres");
        assert_eq!(account, Some(Account { name: "postgres".to_owned(), uid: 101, gid: 104 }));
        assert_eq!(Account::in_list(list, "bad"), None);
        assert_eq!(Account::in_list(list, "nobody"), None);
    }

    #[test]
    fn the_topmost_closed_folder_bars_the_way() -> Result<(), Box<dyn std::error::Error>> {
        let closed = Permissions::from_mode(0o700);
        let top = tempfile::Builder::new().permissions(closed).tempdir_in("/var/tmp")?;
        let deep = top.path().join("open/deep");
        fs::create_dir_all(&deep)?;
        let stranger = Account { name: "stranger".to_owned(), uid: 54_321, gid: 54_321 };
        assert_eq!(stranger.first_closed(&deep)?.as_deref(), Some(top.path()));
        fs::set_permissions(top.path(), Permissions::from_mode(0o711))?;
        assert_eq!(stranger.first_closed(&deep)?, None);
        let owner = Account { name: "owner".to_owned(), uid: fs::metadata(&deep)?.uid(), gid: 54_321 };
        fs::set_permissions(&deep, Permissions::from_mode(0o677))?; // open to all but its owner
        assert_eq!(owner.first_closed(&deep)?.as_deref(), Some(deep.as_path()));
        Ok(())
    }

    #[test]
    fn a_note_that_names_another_place_is_not_followed() -> Result<(), Box<dyn std::error::Error>> {
        let data = tempfile::tempdir()?;
        let note = data.path().join(LOCATION);
        for place in ["/etc", "/var/lib/tessera", "/var/lib/tessera/../../../etc", "/var/lib/tessera/00112233445566zz"]
        {
            fs::write(&note, place)?;
            assert!(matches!(recorded_location(data.path()), Err(ClusterError::BadLocation { .. })), "{place}");
        }
        fs::write(&note, "/var/lib/tessera/0011223344556677\n")?;
        assert_eq!(recorded_location(data.path())?, Some(PathBuf::from("/var/lib/tessera/0011223344556677")));
        Ok(())
    }

    #[test]
    fn only_a_runtime_folder_of_ours_is_swept() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let home = Home { folder: folder.path().to_path_buf(), account: None, notice: None };
        let stranger = tempfile::tempdir_in("/tmp")?;
        home.sweep_runtime(stranger.path())?;
        assert!(stranger.path().exists());
        let left = home.runtime()?.keep();
        home.sweep_runtime(&left)?;
        assert!(!left.exists());
        Ok(())
    }
}
