//! What a backup folder holds, and the label of each backup in it.
//!
//! ```text
//! TO_DIR/base-20260102T030405Z/label.json   who, when, which heads; written last
//! TO_DIR/base-20260102T030405Z/data/        what pg_basebackup copied, with its manifest
//! TO_DIR/base-20260102T030405Z/proof/       the keys of the log, 0600: keep backups as closed as those
//! TO_DIR/wal/                               the archived log, unless it is kept elsewhere
//! ```
//! A backup that was cut short is named `….part` and counts for nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::heads::Heads;
use crate::platform::db;

/// Of the label and the folder.
const FORMAT: u32 = 1;
/// How the name of every backup begins, and how that of an unfinished one ends.
const PREFIX: &str = "base-";
pub(super) const UNFINISHED: &str = ".part";

/// The label of a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Label {
    format: u32,
    /// The program that made it.
    tessera: String,
    /// The newest migration of its tables.
    schema: String,
    pub(super) postgres: String,
    /// Which database.
    pub(super) system_id: String,
    /// When the copy was whole: the earliest time that can be restored from it.
    pub(super) finished_at: DateTime<Utc>,
    /// Where the log after it is archived; none when it was not asked for.
    pub(super) archive: Option<PathBuf>,
    /// Where the node that was backed up keeps its known heads.
    pub(super) heads_file: Option<PathBuf>,
    /// The heads before the copy began: it holds at least these.
    pub(super) heads: Heads,
    manifest_sha256: String,
}

impl Label {
    /// The label of a copy that has just been made.
    pub(super) fn new(
        data: &Path,
        postgres: String,
        (heads, finished_at): (Heads, DateTime<Utc>),
        (archive, heads_file): (Option<PathBuf>, Option<PathBuf>),
    ) -> anyhow::Result<Self> {
        Ok(Self {
            format: FORMAT,
            tessera: env!("CARGO_PKG_VERSION").to_owned(),
            schema: db::newest_known()?,
            postgres,
            system_id: heads.system_id.clone(),
            finished_at,
            archive,
            heads_file,
            heads,
            manifest_sha256: manifest_sha256(data)?,
        })
    }
}

/// A finished backup.
#[derive(Debug, Clone)]
pub(super) struct Backup {
    pub(super) folder: PathBuf,
    pub(super) label: Label,
}

impl Backup {
    /// What pg_basebackup copied.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The keys of the log, if the node that was backed up had some.
    pub(super) fn proof(&self) -> PathBuf {
        self.folder.join("proof")
    }

    /// Where its log is archived: where the label says, or beside it when the whole folder was moved.
    pub(super) fn archive(&self) -> Option<PathBuf> {
        let recorded = self.label.archive.clone()?;
        let beside = self.folder.parent().map(|folder| folder.join("wal"));
        if recorded.is_dir() { Some(recorded) } else { beside.filter(|beside| beside.is_dir()).or(Some(recorded)) }
    }

    /// Whether manifest, tables and database are those that the label names.
    ///
    /// # Errors
    /// What does not fit, with what to do.
    pub(super) fn must_fit_its_label(&self) -> anyhow::Result<()> {
        let (data, label) = (self.data(), &self.label);
        let newest = db::newest_known()?;
        anyhow::ensure!(
            label.schema <= newest,
            "this backup's tables are of migration {}, this binary knows {newest}: restore with tessera {} or newer",
            label.schema,
            label.tessera
        );
        anyhow::ensure!(
            label.manifest_sha256 == manifest_sha256(&data)?,
            "{} was changed since the backup was made: use another backup",
            data.join("backup_manifest").display()
        );
        let system_id = system_id_of(&data)?;
        anyhow::ensure!(
            label.system_id == system_id,
            "the label is of database {}, the files are of {system_id}: this backup was put together from two",
            label.system_id
        );
        Ok(())
    }
}

/// The finished backups of a folder, oldest first, and the names of unfinished ones.
///
/// # Errors
/// A folder that cannot be read, a label that does not read.
pub(super) fn backups(folder: &Path) -> anyhow::Result<(Vec<Backup>, Vec<String>)> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let (mut finished, mut unfinished) = (Vec::new(), Vec::new());
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(PREFIX) {
            continue;
        }
        match read_label(&entry.path())? {
            Some(label) if !name.ends_with(UNFINISHED) => finished.push(Backup { folder: entry.path(), label }),
            _ => unfinished.push(name),
        }
    }
    finished.sort_by(|one, other| one.folder.cmp(&other.folder));
    Ok((finished, unfinished))
}

fn read_label(backup: &Path) -> anyhow::Result<Option<Label>> {
    let path = backup.join("label.json");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    #[derive(Deserialize)]
    struct Form {
        format: u32,
    }
    let wrong = || format!("{} is no label of a backup: use another backup", path.display());
    let form: Form = serde_json::from_str(&text).with_context(wrong)?;
    anyhow::ensure!(form.format == FORMAT, "{} is of format {}: use a newer tessera", path.display(), form.format);
    Ok(Some(serde_json::from_str(&text).with_context(wrong)?))
}

/// The folder name of a backup that begins now; unfinished at first.
pub(super) fn name(now: DateTime<Utc>) -> String {
    format!("{PREFIX}{}", now.format("%Y%m%dT%H%M%SZ"))
}

fn manifest_sha256(data: &Path) -> anyhow::Result<String> {
    let path = data.join("backup_manifest");
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, &bytes).as_ref()))
}

/// The database's own number, the first eight bytes of its control file.
fn system_id_of(data: &Path) -> anyhow::Result<String> {
    let path = data.join("global/pg_control");
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let first = bytes.first_chunk::<8>().with_context(|| format!("{} is too short", path.display()))?;
    Ok(u64::from_ne_bytes(*first).to_string())
}
