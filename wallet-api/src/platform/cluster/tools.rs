//! Finds the PostgreSQL programs of this machine.
//!
//! Distributions keep `postgres` and `initdb` off the `PATH` and put wrappers with familiar names on it, so a folder
//! counts only when the real `postgres` and `initdb` lie in it side by side, links resolved. Order: `PATH`, `pg_config`,
//! then the usual folders, newest version first. Nothing is installed here: `scripts/setup.sh` does that.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::ClusterError;

/// The oldest PostgreSQL that speaks our SQL.
pub const OLDEST_MAJOR: u32 = 15;

/// Where packages put their programs: in `<parent>/<prefix>*/bin`.
const LAYOUTS: [(&str, &str); 7] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/usr/local", "pgsql"),
    ("/opt/homebrew/opt", "postgresql"),
    ("/usr/local/opt", "postgresql"),
    ("/opt/local/lib", "postgresql"),
    ("/Applications/Postgres.app/Contents/Versions", ""),
];

/// A version of PostgreSQL, as in 15.18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The part that decides who can open a data folder.
    pub major: u32,
    /// The part that only carries fixes.
    pub minor: u32,
}

impl Version {
    /// Reads what `postgres --version` prints, such as `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
    ///
    /// A beta (`18beta1`) has minor 0.
    fn from_banner(banner: &str) -> Option<Self> {
        let words = banner.split_whitespace().skip_while(|word| *word != "(PostgreSQL)");
        let mut numbers = words.skip(1).take(1).flat_map(|word| word.split(|c: char| !c.is_ascii_digit()));
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next().and_then(|digits| digits.parse().ok()).unwrap_or(0);
        Some(Self { major, minor })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// One installation of PostgreSQL: a folder with `postgres` and `initdb`.
#[derive(Debug, Clone)]
pub struct Tools {
    folder: PathBuf,
    version: Version,
}

impl Tools {
    /// Finds the first installation of at least [`OLDEST_MAJOR`].
    ///
    /// # Errors
    /// [`ClusterError::ToolsMissing`] where there is none, [`ClusterError::ToolsTooOld`] where all are older.
    pub fn find() -> Result<Self, ClusterError> {
        Self::choose(Self::all(), |version| version.major >= OLDEST_MAJOR)
    }

    /// Finds an installation of exactly this major version: the one that can open a folder it made.
    pub(super) fn find_major(major: u32) -> Option<Self> {
        Self::choose(Self::all(), |version| version.major == major).ok()
    }

    fn choose(all: Vec<Self>, fits: impl Fn(Version) -> bool) -> Result<Self, ClusterError> {
        let newest = all.iter().max_by_key(|tools| tools.version).cloned();
        all.into_iter().find(|tools| fits(tools.version)).ok_or(match newest {
            Some(old) => ClusterError::ToolsTooOld { found: old.version.to_string(), folder: old.folder },
            None => ClusterError::ToolsMissing,
        })
    }

    /// Lists every installation, in the order of preference.
    fn all() -> Vec<Self> {
        let mut seen = BTreeSet::new();
        candidate_folders()
            .iter()
            .filter_map(|folder| real_folder(folder))
            .filter(|folder| seen.insert(folder.clone()))
            .filter_map(Self::in_folder)
            .collect()
    }

    fn in_folder(folder: PathBuf) -> Option<Self> {
        let banner = output_of(folder.join("postgres"), "--version")?;
        Some(Self { version: Version::from_banner(&banner)?, folder })
    }

    /// The version of this installation.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The folder of its programs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Finds a program, such as `pgbench`: beside `postgres` first, since what stands on `PATH` may be a wrapper that
    /// picks another version.
    ///
    /// # Errors
    /// [`ClusterError::ProgramMissing`] where no folder has it.
    pub fn program(&self, name: &str) -> Result<PathBuf, ClusterError> {
        let folders = std::iter::once(self.folder.clone()).chain(candidate_folders());
        let missing = || ClusterError::ProgramMissing { name: name.to_owned(), folder: self.folder.clone() };
        folders.map(|folder| folder.join(name)).find(|path| path.is_file() && !is_wrapper(path)).ok_or_else(missing)
    }
}

/// Debian's wrappers answer for whichever cluster the machine has registered; ours never is.
fn is_wrapper(path: &Path) -> bool {
    fs::canonicalize(path).is_ok_and(|real| real.file_name() == Some(OsStr::new("pg_wrapper")))
}

/// The folder in which `postgres` really lies, when `initdb` lies there too.
fn real_folder(folder: &Path) -> Option<PathBuf> {
    let server = fs::canonicalize(folder.join("postgres")).ok()?;
    let real = server.parent()?.to_path_buf();
    real.join("initdb").is_file().then_some(real)
}

fn candidate_folders() -> Vec<PathBuf> {
    let on_path = env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let told = output_of("pg_config", "--bindir").map(|folder| PathBuf::from(folder.trim()));
    let usual = LAYOUTS.iter().flat_map(|(parent, prefix)| newest_first(Path::new(parent), prefix));
    on_path.into_iter().chain(told).chain(usual).collect()
}

/// Lists `<parent>/<prefix>*/bin` with the highest number in the name first.
fn newest_first(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(prefix)?;
            let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
            Some((digits.parse().unwrap_or(0), entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn output_of(program: impl AsRef<OsStr>, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_any_vendors_banner() {
        let read = |banner| Version::from_banner(banner).map(|version| version.to_string());
        assert_eq!(read("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n").as_deref(), Some("15.18"));
        assert_eq!(read("postgres (PostgreSQL) 18beta1").as_deref(), Some("18.0"));
        assert_eq!(read("postgres (EnterpriseDB) nine"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn an_old_server_is_refused_by_name_and_the_right_major_is_chosen() {
        let tools = |major| Tools { folder: PathBuf::from("/opt/x"), version: Version { major, minor: 2 } };
        let refusal = Tools::choose(vec![tools(13), tools(14)], |version| version.major >= OLDEST_MAJOR);
        assert!(refusal.is_err_and(|error| error.to_string().starts_with("PostgreSQL 14.2 in /opt/x is too old")));
        let chosen = Tools::choose(vec![tools(16), tools(15)], |version| version.major == 15);
        assert_eq!(chosen.map(|tools| tools.version.major).ok(), Some(15));
        assert!(matches!(Tools::choose(Vec::new(), |_| true), Err(ClusterError::ToolsMissing)));
    }

    #[test]
    fn versioned_folders_come_newest_first() -> std::io::Result<()> {
        let parent = tempfile::tempdir()?;
        for name in ["pg-9", "pg-17", "pg-15", "other"] {
            fs::create_dir(parent.path().join(name))?;
        }
        let names = newest_first(parent.path(), "pg-");
        let expected = ["pg-17", "pg-15", "pg-9"].map(|name| parent.path().join(name).join("bin"));
        assert_eq!(names, expected);
        Ok(())
    }

    #[test]
    fn the_real_programs_are_found_and_no_wrapper() -> Result<(), ClusterError> {
        let tools = Tools::find()?;
        assert!(tools.version().major >= OLDEST_MAJOR);
        for name in ["postgres", "initdb", "psql", "pgbench"] {
            let path = tools.program(name)?;
            assert!(!is_wrapper(&path), "{} is a wrapper", path.display());
        }
        assert!(matches!(tools.program("pg_no_such_program"), Err(ClusterError::ProgramMissing { .. })));
        Ok(())
    }
}
