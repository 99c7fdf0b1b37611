//! What a private database needs of this machine: PostgreSQL's programs, a folder, and room on the disk.

use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::platform::cluster::{ClusterError, Endpoint, Tools};

/// Free space below which a start is refused by us, and soon by PostgreSQL, in bytes.
const DISK_FAIL: u64 = 256 * 1024 * 1024;
/// Free space below which a day of work may fill the disk: the log of changes alone may take 4 GiB. In bytes.
const DISK_WARN: u64 = 5 * 1024 * 1024 * 1024;
/// How to get the programs, on the systems we know.
const INSTALL: &str = "Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17";

pub(super) fn check_tools(tools: Result<&Tools, &ClusterError>) -> Finding {
    const CHECK: &str = "postgresql";
    match tools {
        Ok(tools) => Finding::ok(CHECK, format!("PostgreSQL {} in {}", tools.version(), tools.folder().display())),
        Err(error) => Finding::fail(CHECK, error.to_string(), INSTALL),
    }
}

pub(super) fn check_bench(tools: Result<&Tools, &ClusterError>) -> Finding {
    const CHECK: &str = "pgbench";
    let Ok(tools) = tools else {
        return Finding::warn(CHECK, "not looked for without PostgreSQL", INSTALL);
    };
    match tools.program("pgbench") {
        Ok(path) => Finding::ok(CHECK, path.display().to_string()),
        Err(_) => Finding::warn(
            CHECK,
            "not found: `tessera bench` has nothing to compare with",
            "Debian, Ubuntu: apt-get install postgresql-contrib; macOS: brew install postgresql@17",
        ),
    }
}

/// Looks at the data folder, or at the folder in which it would be made.
pub(super) fn check_folder(data_dir: &Path) -> Finding {
    const CHECK: &str = "data folder";
    let shown = data_dir.display();
    if !data_dir.exists() {
        return match writable(&nearest_folder(data_dir)) {
            true => Finding::ok(CHECK, format!("{shown} will be made at the first start")),
            false => Finding::fail(CHECK, format!("{shown} cannot be made here"), "set TESSERA_DATA_DIR"),
        };
    }
    if !data_dir.is_dir() || !writable(data_dir) {
        return Finding::fail(CHECK, format!("{shown} is no folder that we can write"), "set TESSERA_DATA_DIR");
    }
    match Endpoint::of_running(data_dir) {
        Ok(endpoint) => {
            Finding::ok(CHECK, format!("{shown}; its server listens in {}", endpoint.socket_dir().display()))
        }
        Err(ClusterError::NotRunning { .. }) => Finding::ok(CHECK, format!("{shown}; no server is running")),
        Err(error) => Finding::fail(CHECK, error.to_string(), "set TESSERA_DATA_DIR, or do what the message says"),
    }
}

pub(super) fn check_disk(data_dir: &Path) -> Finding {
    const CHECK: &str = "disk";
    let folder = nearest_folder(data_dir);
    match rustix::fs::statvfs(&folder) {
        Ok(facts) => judge_disk(CHECK, facts.f_bavail.saturating_mul(facts.f_frsize)),
        Err(error) => Finding::warn(CHECK, format!("cannot look at {}: {error}", folder.display()), "look by hand"),
    }
}

fn judge_disk(check: &'static str, free: u64) -> Finding {
    let detail = format!("{} MiB free", free.checked_div(1024 * 1024).unwrap_or(0));
    match free {
        0..DISK_FAIL => Finding::fail(check, detail, "free some space, or set TESSERA_DATA_DIR to another disk"),
        DISK_FAIL..DISK_WARN => Finding::warn(check, detail, "the database may need 5 GiB: free some space"),
        _ => Finding::ok(check, detail),
    }
}

/// The folder itself, or the nearest parent that exists.
fn nearest_folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    absolute.ancestors().find(|folder| folder.exists()).map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
}

fn writable(folder: &Path) -> bool {
    let writes = fs::metadata(folder).is_ok_and(|facts| facts.is_dir());
    writes && rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::commands::doctor::State;

    #[test]
    fn a_full_disk_fails_and_a_tight_one_warns() {
        assert_eq!(judge_disk("disk", DISK_FAIL - 1).state, State::Fail);
        assert_eq!(judge_disk("disk", DISK_FAIL).state, State::Warn);
        assert_eq!(judge_disk("disk", DISK_WARN).state, State::Ok);
    }

    #[test]
    fn missing_programs_come_with_the_line_that_installs_them() {
        let finding = check_tools(Err(&ClusterError::ToolsMissing));
        assert_eq!(finding.state, State::Fail);
        assert!(finding.remedy.is_some_and(|remedy| remedy.contains("apt-get install postgresql")));
    }

    #[test]
    fn a_data_folder_that_is_a_file_is_refused() -> io::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        assert_eq!(check_folder(file.path()).state, State::Fail);
        assert_eq!(check_folder(&file.path().join("below")).state, State::Fail);
        Ok(())
    }
}
