//! The last known heads, in a small file outside the data folder.
//!
//! Whoever restores a backup must be able to say what is missing, and the lost disk cannot tell. So a node that serves
//! writes down each journal's (fork, seq, digest) every [`EVERY`], and a backup does too; a restore compares. What was
//! acknowledged in the last [`EVERY`] before a loss is not in the file: a finding says "at least". The file is replaced
//! whole, never written in place. Not here: what is made of a difference (`lines.rs`).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use diesel::{Connection, PgConnection};
use ledger::JournalId;
use ledger::forks::{self, Known};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::store;

/// How often a node that serves writes the file, if anything changed.
const EVERY: Duration = Duration::from_secs(5);
/// Of the file's form.
const FORMAT: u32 = 1;

/// The heads of one database at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Heads {
    format: u32,
    /// Which database: a copy has the same.
    pub(super) system_id: String,
    /// By the server's clock.
    pub(super) at: DateTime<Utc>,
    pub(super) journals: Vec<HeadLine>,
}

/// One journal's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeadLine {
    journal: i64,
    fork: Uuid,
    seq: i64,
    digest: String,
}

impl HeadLine {
    fn known(&self) -> anyhow::Result<Known> {
        let digest = HEXLOWER.decode(self.digest.as_bytes()).context("a digest is not hexadecimal")?;
        Ok(Known { journal: JournalId(self.journal), fork: self.fork, seq: self.seq, digest })
    }
}

impl Heads {
    /// Asks the database.
    pub(super) fn read_from(conn: &mut PgConnection) -> anyhow::Result<Self> {
        let (system_id, at) = (store::system_id(conn)?, store::now(conn)?);
        let line = |known: Known| HeadLine {
            journal: known.journal.0,
            fork: known.fork,
            seq: known.seq,
            digest: HEXLOWER.encode(&known.digest),
        };
        let journals = forks::known_heads(conn)?.into_iter().map(line).collect();
        Ok(Self { format: FORMAT, system_id, at, journals })
    }

    /// Reads a file, if it is there.
    pub(super) fn load(path: &Path) -> anyhow::Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let wrong = || format!("{} is no file of known heads; put a whole one there, or remove it", path.display());
        let heads: Self = serde_json::from_str(&text).with_context(wrong)?;
        anyhow::ensure!(heads.format == FORMAT, "{}: format {} is not known", wrong(), heads.format);
        Ok(Some(heads))
    }

    /// Writes the file. Heads of another database that are there already are kept beside it, under that one's number:
    /// whoever began anew in the place of a lost database may still want to know what it was.
    pub(super) fn save(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(other) = Self::load(path)?.filter(|found| found.system_id != self.system_id) {
            let kept = PathBuf::from(format!("{}.{}", path.display(), other.system_id));
            tracing::warn!(kept = %kept.display(), "the file of known heads was another database's: keeping it");
            fs::rename(path, kept)?;
        }
        replace(path, &serde_json::to_vec_pretty(self)?).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Whether these heads are on the lines of history that those were on.
    pub(super) fn continues(&self, those: &Self) -> bool {
        let mut pairs = those.journals.iter().filter_map(|then| {
            self.journals.iter().find(|now| now.journal == then.journal).map(|now| (now.fork, then.fork))
        });
        pairs.all(|(now, then)| now == then)
    }

    /// The heads, to be compared.
    pub(super) fn known(&self) -> anyhow::Result<Vec<Known>> {
        self.journals.iter().map(HeadLine::known).collect()
    }
}

/// Replaces a file by a whole one that is on disk.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

/// Where what must outlive a private database is kept when nobody says: beside its data folder, named after it.
pub(crate) fn beside(data_dir: &Path, what: &str) -> Option<PathBuf> {
    let name = std::path::absolute(data_dir).ok()?;
    let file = name.file_name()?.to_str()?.to_owned();
    Some(name.with_file_name(format!("{file}.{what}")))
}

/// Writes the heads down while a node serves.
pub(crate) struct Keeper {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Keeper {
    /// Compares the database with the file, refuses if it is behind, and begins to keep the file.
    ///
    /// # Errors
    /// Books that lack what the file knows of: they were restored, or failed over, by somebody who did not say so.
    pub(crate) fn start(url: &str, path: PathBuf) -> anyhow::Result<Self> {
        super::lines::must_hold(&mut PgConnection::establish(url)?, &path)?;
        let (stop, url) = (Arc::new(AtomicBool::new(false)), url.to_owned());
        let stopping = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("heads".into()).spawn(move || keep(&url, &path, &stopping))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Writes the last heads and ends.
    pub(crate) fn stop(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        if thread.join().is_err() {
            tracing::error!("the keeper of the known heads panicked");
        }
    }
}

fn keep(url: &str, path: &Path, stopping: &AtomicBool) {
    let (mut written, mut conn) = (None, None);
    loop {
        let last = stopping.load(Ordering::SeqCst);
        if let Err(error) = write_if_new(url, path, &mut conn, &mut written) {
            conn = None;
            tracing::warn!(error = format!("{error:#}"), "the known heads were not written down");
        }
        if last {
            return;
        }
        std::thread::park_timeout(EVERY);
    }
}

fn write_if_new(
    url: &str,
    path: &Path,
    conn: &mut Option<PgConnection>,
    written: &mut Option<Vec<HeadLine>>,
) -> anyhow::Result<()> {
    let conn = match conn {
        Some(conn) => conn,
        None => conn.insert(PgConnection::establish(url)?),
    };
    let heads = Heads::read_from(conn)?;
    if written.as_ref() != Some(&heads.journals) {
        heads.save(path)?;
        *written = Some(heads.journals);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(system_id: &str) -> Heads {
        let journals = vec![HeadLine { journal: 1, fork: Uuid::from_u128(7), seq: 9, digest: "00ff".into() }];
        Heads { format: FORMAT, system_id: system_id.into(), at: DateTime::UNIX_EPOCH, journals }
    }

    #[test]
    fn heads_of_a_database_that_was_lost_are_never_overwritten_by_another() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("x.heads.json");
        heads("1").save(&path)?;
        heads("2").save(&path)?;
        assert_eq!(Heads::load(&path)?, Some(heads("2")));
        assert_eq!(Heads::load(&folder.path().join("x.heads.json.1"))?, Some(heads("1")));
        assert_eq!(heads("1").known()?.first().map(|known| known.digest.clone()), Some(vec![0, 255]));
        Ok(())
    }

    #[test]
    fn a_file_that_is_no_file_of_heads_is_refused_with_its_name() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("heads.json");
        assert_eq!(Heads::load(&path)?, None);
        for wrong in ["", "{}", r#"{"format":2,"system_id":"1","at":"2026-01-01T00:00:00Z","journals":[]}"#] {
            fs::write(&path, wrong)?;
            assert!(Heads::load(&path).is_err_and(|error| format!("{error:#}").contains("heads.json")), "{wrong}");
        }
        Ok(())
    }

    #[test]
    fn heads_lie_beside_the_data_folder_however_it_is_spelled() {
        for spelled in ["/srv/data", "/srv/data/"] {
            assert_eq!(beside(Path::new(spelled), "heads.json"), Some(PathBuf::from("/srv/data.heads.json")));
        }
        assert_eq!(beside(Path::new("/"), "heads.json"), None);
    }
}
