//! The marks beside a database: how its home is laid out, and that a restore into it has not ended.
//!
//! A home without the first mark is older than the mark. A build that gives files other places or meanings raises
//! [`KNOWN`] and brings older homes up to date; this one refuses a newer. Not here: the database's own tables, which have
//! migrations.

use std::fs::{self, File};

use super::{ClusterError, place::Home};

/// The file that says how the home is laid out.
const LAYOUT: &str = "layout";
/// How this build lays a home out.
const KNOWN: u32 = 1;
/// The file that is there while a database is being restored.
const RESTORING: &str = "restoring";

impl Home {
    /// Refuses a home that a later build laid out. One without a mark is older than the mark, and laid out as number 1.
    pub(super) fn check_layout(&self) -> Result<(), ClusterError> {
        let path = self.folder().join(LAYOUT);
        let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
        match text.trim().parse::<u32>() {
            Ok(KNOWN) => Ok(()),
            Ok(found) if found > KNOWN => Err(ClusterError::NewerLayout { folder: self.folder().to_path_buf(), found }),
            Ok(_) | Err(_) => Err(ClusterError::BadLayout { path, text: text.trim().chars().take(40).collect() }),
        }
    }

    /// Marks the home as laid out by this build.
    pub(super) fn write_layout(&self) -> Result<(), ClusterError> {
        let path = self.folder().join(LAYOUT);
        if path.exists() {
            return Ok(());
        }
        fs::write(&path, format!("{KNOWN}\n")).map_err(ClusterError::io("write", path))
    }

    /// Refuses a home whose restore has not ended.
    pub(super) fn must_be_whole(&self) -> Result<(), ClusterError> {
        if self.folder().join(RESTORING).exists() {
            return Err(ClusterError::HalfRestored { folder: self.folder().to_path_buf() });
        }
        Ok(())
    }

    pub(super) fn begin_restore(&self) -> Result<(), ClusterError> {
        let path = self.folder().join(RESTORING);
        fs::write(&path, "").map_err(ClusterError::io("write", path))
    }

    /// The database is whole: so says the folder, on disk.
    pub(super) fn end_restore(&self) -> Result<(), ClusterError> {
        self.write_layout()?;
        let path = self.folder().join(RESTORING);
        fs::remove_file(&path).map_err(ClusterError::io("remove", path))?;
        let sync = File::open(self.folder()).and_then(|folder| folder.sync_all());
        sync.map_err(ClusterError::io("write", self.folder()))
    }
}
