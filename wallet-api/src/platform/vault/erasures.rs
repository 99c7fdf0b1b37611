//! The erasure ledger: who was forgotten, in a file outside the database, so that a restored backup forgets them again.
//!
//! One line for each erasure, which is its signed receipt: so the file can be believed line by line, and who writes into it
//! cannot have anybody forgotten. Lines are only ever added, under a lock, and are on disk before a receipt is given
//! out. A last line without its end is of a process that died writing: nobody was given that receipt, and it is cut
//! off. Any other line that does not read is damage, and nothing goes on over it: an erasure may be lost.
//! Not here: comparing it with the database (`level.rs`).

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use uuid::Uuid;

use super::receipt::Receipt;
use crate::platform::sealing::{KeyError, files};

/// The first line.
const HEADER: &str = "{\"tessera\":\"erasures\",\"format\":1}";
/// How long to wait for another process that writes.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(10);

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It is not there, though the database knows of keys.
    #[error(
        "{} is not there, and this database has sealed data: bring the vault folder of the node that had it, or, only \
             if nobody was forgotten since this copy of the database was made, create an empty file of that name",
        .0.display()
    )]
    Lost(PathBuf),
    /// This node keeps none.
    #[error("this node keeps no erasure ledger, without which nobody can be forgotten: name a folder with --vault-dir")]
    None,
    /// It could not be read or written.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner may write into it.
    #[error(transparent)]
    Loose(#[from] KeyError),
    /// A line is damaged; which, counted from 1.
    #[error("{}, line {line}: this is no erasure: put the file back from a copy", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// Somebody else holds it.
    #[error("{} is in use by another process for too long", .0.display())]
    Busy(PathBuf),
}

/// The file, and what was read of it.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    known: Mutex<Known>,
}

/// What was read, up to where.
#[derive(Debug, Default)]
struct Known {
    end: u64,
    lines: usize,
    receipts: HashMap<(i64, Uuid), Receipt>,
}

/// How much of a tenant there is, in a form that two sides can compare cheaply: how many, and their numbers mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    pub(super) count: i64,
    pub(super) mix: i64,
}

impl Tally {
    pub(super) fn with(self, person: Uuid) -> Self {
        let (_, low) = person.as_u64_pair();
        Self { count: self.count.saturating_add(1), mix: self.mix ^ i64::from_be_bytes(low.to_be_bytes()) }
    }
}

impl Ledger {
    /// The ledger at this path, made where it may be.
    ///
    /// # Errors
    /// [`LedgerError`]: damaged, or not there and not to be made.
    pub fn open(path: &Path, may_make: bool) -> Result<Self, LedgerError> {
        if !path.exists() && !may_make {
            return Err(LedgerError::Lost(path.to_path_buf()));
        }
        let ledger = Self { path: path.to_path_buf(), known: Mutex::default() };
        ledger.locked(|_, _| Ok(()))?;
        files::must_be_closed(path, files::OTHERS_WRITE, 0o600)?;
        Ok(ledger)
    }

    /// Whether a line could be added now.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        self.locked(|_, _| Ok(()))
    }

    /// Adds those that are not in it; on disk when this returns.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub(super) fn add(&self, receipts: &[Receipt]) -> Result<(), LedgerError> {
        self.locked(|file, known| {
            let mut text = String::new();
            for receipt in receipts.iter().filter(|new| !known.receipts.contains_key(&(new.tenant, new.person))) {
                text.push_str(&receipt.text());
                text.push('\n');
            }
            if text.is_empty() {
                return Ok(());
            }
            file.seek(SeekFrom::Start(known.end))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })?;
        // Read back what was written: it is known once it can be read, and not before.
        self.check()
    }

    /// The tenants in it, each with its tally.
    pub(super) fn tallies(&self) -> Result<HashMap<i64, Tally>, LedgerError> {
        self.check()?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tallies: HashMap<i64, Tally> = HashMap::new();
        for (tenant, person) in known.receipts.keys() {
            let tally = tallies.entry(*tenant).or_default();
            *tally = tally.with(*person);
        }
        Ok(tallies)
    }

    /// A tenant's erasures.
    pub(super) fn of(&self, tenant: i64) -> Vec<Receipt> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.receipts.values().filter(|receipt| receipt.tenant == tenant).cloned().collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).receipts.len()
    }

    /// Whether nobody was forgotten yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs `work` alone with the file, all of which has been read.
    fn locked(&self, work: impl FnOnce(&mut File, &Known) -> io::Result<()>) -> Result<(), LedgerError> {
        let wrong = |source| LedgerError::File { path: self.path.clone(), source };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&self.path).map_err(wrong)?;
        self.lock(&file)?;
        let rest = self.read_on(&mut file, &mut known)?;
        if rest > 0 {
            tracing::warn!(path = %self.path.display(), bytes = rest, "an erasure was half written and is cut off");
            file.set_len(known.end).map_err(wrong)?;
        }
        if known.end == 0 {
            begin(&mut file, &self.path, &mut known).map_err(wrong)?;
        }
        work(&mut file, &known).map_err(wrong) // closing it gives the lock back
    }

    fn lock(&self, file: &File) -> Result<(), LedgerError> {
        let began = Instant::now();
        loop {
            match flock(file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(Errno::WOULDBLOCK | Errno::INTR) if began.elapsed() < PATIENCE => std::thread::sleep(RETRY),
                Err(Errno::WOULDBLOCK) => return Err(LedgerError::Busy(self.path.clone())),
                Err(error) => return Err(LedgerError::File { path: self.path.clone(), source: error.into() }),
            }
        }
    }

    /// Reads what came since; tells how many bytes at the end are no whole line.
    fn read_on(&self, file: &mut File, known: &mut Known) -> Result<usize, LedgerError> {
        let wrong = |source| LedgerError::File { path: self.path.clone(), source };
        if file.metadata().map_err(wrong)?.len() < known.end {
            // Shorter than it was: somebody put another file there. Read it as a new one.
            *known = Known::default();
        }
        file.seek(SeekFrom::Start(known.end)).map_err(wrong)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(wrong)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
        let (lines, rest) = text.split_at_checked(whole).unwrap_or_default();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            self.take(line.trim_ascii_end(), known)?;
        }
        known.end = known.end.saturating_add(u64::try_from(whole).unwrap_or(u64::MAX));
        Ok(rest.len())
    }

    fn take(&self, line: &[u8], known: &mut Known) -> Result<(), LedgerError> {
        known.lines = known.lines.saturating_add(1);
        if known.lines == 1 && line == HEADER.as_bytes() {
            return Ok(());
        }
        let receipt = std::str::from_utf8(line).ok().and_then(|line| Receipt::parse(line).ok());
        let Some(receipt) = receipt.filter(|_| known.lines > 1) else {
            let damaged = LedgerError::Damaged { path: self.path.clone(), line: known.lines };
            *known = Known::default();
            return Err(damaged);
        };
        known.receipts.entry((receipt.tenant, receipt.person)).or_insert(receipt);
        Ok(())
    }
}

/// Begins an empty file.
fn begin(file: &mut File, path: &Path, known: &mut Known) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{HEADER}")?;
    file.sync_all()?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    known.end = u64::try_from(HEADER.len().saturating_add(1)).unwrap_or(u64::MAX);
    known.lines = 1;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use chrono::DateTime;
    use ledger::proof::Signer;

    use super::*;

    fn receipt(person: u128) -> Receipt {
        let signer = Signer::from_seed(&[1; 32]).unwrap();
        Receipt::sign(&signer, (1, Uuid::from_u128(person)), DateTime::UNIX_EPOCH, None)
    }

    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erasures.jsonl");
        (folder, path)
    }

    #[test]
    fn what_one_process_adds_the_other_reads_and_nothing_stands_there_twice() {
        let (_folder, path) = place();
        let (one, two) = (Ledger::open(&path, true).unwrap(), Ledger::open(&path, true).unwrap());
        one.add(&[receipt(1), receipt(2)]).unwrap();
        two.add(&[receipt(2), receipt(3)]).unwrap();
        let tally = Tally::default().with(Uuid::from_u128(3)).with(Uuid::from_u128(1)).with(Uuid::from_u128(2));
        assert_eq!(one.tallies().unwrap()[&1], tally);
        assert_eq!((one.len(), one.of(1).len(), one.of(2).len()), (3, 3, 0));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 4, "a header and three");
        assert_eq!(Ledger::open(&path, false).unwrap().len(), 3);
    }

    #[test]
    fn a_line_half_written_is_cut_off_and_any_other_damage_stops_everything() {
        let (_folder, path) = place();
        let ledger = Ledger::open(&path, true).unwrap();
        ledger.add(&[receipt(1)]).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{}", &receipt(2).text()[..40])).unwrap();
        assert_eq!(Ledger::open(&path, false).unwrap().len(), 1);
        assert_eq!(fs::read_to_string(&path).unwrap(), whole);
        ledger.add(&[receipt(2)]).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        fs::write(&path, good.replacen("\"tenant\":1", "\"tenant\":x", 1)).unwrap();
        let refused = Ledger::open(&path, false).unwrap_err().to_string();
        assert!(refused.contains("line 2"), "{refused}");
        fs::write(&path, "dear diary\n").unwrap();
        assert!(matches!(Ledger::open(&path, true), Err(LedgerError::Damaged { line: 1, .. })));
    }

    #[test]
    fn t65_a_ledger_that_should_be_there_is_not_made_anew() {
        let (_folder, path) = place();
        assert!(matches!(Ledger::open(&path, false), Err(LedgerError::Lost(_))));
        assert!(!path.exists());
        fs::write(&path, "").unwrap(); // what the refusal tells an operator who knows better
        assert!(Ledger::open(&path, false).unwrap().is_empty());
    }

    #[test]
    fn a_ledger_that_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_folder, path) = place();
        Ledger::open(&path, true).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(matches!(Ledger::open(&path, true), Err(LedgerError::Loose(_))));
    }
}
