//! The vault folder: keys that encrypt keys as files, beside the ledger of erasures.
//!
//! ```text
//! FOLDER/kek-1.key        0600, 64 hexadecimal digits; the highest number is the newest
//! FOLDER/erasures.jsonl   0600, who was forgotten (`erasures.rs`)
//! ```
//! A key is made whole or not at all, and never written over. Files that others may read are refused. The folder belongs
//! apart from the database and from its backups: who has both reads everything. It is read again when it changes, so a
//! rotation needs no restart.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

use super::aead::Key;
use super::kms::{Fingerprint, Keks, Kms, KmsError};
use crate::platform::sealing::{KeyError, files};

const KEK: &str = "kek-";
/// Longest key file, in bytes.
const LONGEST: usize = 256;

/// Keys in a folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    read: Mutex<(Option<SystemTime>, Arc<Keks>)>,
}

impl Folder {
    /// Whether a folder has keys.
    ///
    /// # Errors
    /// [`KmsError::File`] when it cannot be read.
    pub fn has_keys(path: &Path) -> Result<bool, KmsError> {
        Ok(path.is_dir() && !files::numbers(path, KEK)?.is_empty())
    }

    /// Makes the folder and its first key, where there is none.
    ///
    /// # Errors
    /// [`KmsError::File`].
    pub fn make(path: &Path) -> Result<(), KmsError> {
        files::make_folder(path)?;
        if files::numbers(path, KEK)?.is_empty() {
            place(path, 1)?;
        }
        Ok(())
    }

    /// Reads the folder as it is.
    ///
    /// # Errors
    /// [`KmsError`], also where there is no key.
    pub fn open(path: &Path) -> Result<Self, KmsError> {
        let stamp = stamp(path);
        let keks = read(path)?;
        keks.newest()?;
        Ok(Self { path: path.to_path_buf(), read: Mutex::new((stamp, Arc::new(keks))) })
    }

    /// The keys as they are now. A folder that cannot be read any more leaves those that were read last.
    fn keks(&self) -> Arc<Keks> {
        let stamp = stamp(&self.path);
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != stamp {
            match read(&self.path) {
                Ok(keks) => *last = (stamp, Arc::new(keks)),
                Err(error) => tracing::error!(%error, "the vault's keys were changed and cannot be read"),
            }
        }
        Arc::clone(&last.1)
    }
}

impl Kms for Folder {
    fn newest(&self) -> Result<i32, KmsError> {
        self.keks().newest()
    }

    fn fingerprint(&self, version: i32) -> Result<Fingerprint, KmsError> {
        self.keks().fingerprint(version)
    }

    fn make_next(&self) -> Result<i32, KmsError> {
        let next = files::numbers(&self.path, KEK)?.last().map_or(1, |last| last.saturating_add(1));
        place(&self.path, next)?;
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (stamp(&self.path), Arc::new(read(&self.path)?));
        Ok(next)
    }

    fn wrap(&self, version: i32, context: &[u8], key: &Key) -> Result<Vec<u8>, KmsError> {
        self.keks().wrap(version, context, key)
    }

    fn unwrap(&self, version: i32, context: &[u8], wrapped: &[u8]) -> Result<Key, KmsError> {
        self.keks().unwrap(version, context, wrapped)
    }
}

/// When the folder last had a file come or go. Writing to the ledger changes the file, not the folder.
fn stamp(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn read(path: &Path) -> Result<Keks, KmsError> {
    files::must_be_closed(path, files::OTHERS_WRITE, 0o700)?;
    let mut keks = Keks::default();
    for number in files::numbers(path, KEK)? {
        keks.add(number, read_key(&path.join(files::name(KEK, number)))?);
    }
    Ok(keks)
}

fn read_key(path: &Path) -> Result<Key, KmsError> {
    files::must_be_closed(path, files::OTHERS, 0o600)?;
    let text = fs::read(path).map(Zeroizing::new).map_err(files::file(path))?;
    let digits = text.get(..LONGEST.min(text.len())).unwrap_or_default().trim_ascii();
    let bytes = HEXLOWER_PERMISSIVE.decode(digits).ok().map(Zeroizing::new);
    let key = bytes.and_then(|bytes| Key::from_slice(&bytes));
    key.ok_or_else(|| KeyError::Form(path.to_path_buf()).into())
}

fn place(folder: &Path, number: i32) -> Result<(), KmsError> {
    let digits = Zeroizing::new(HEXLOWER.encode(Key::random().expose()));
    match files::place(&folder.join(files::name(KEK, number)), &digits, 0o600) {
        // Another node of the same folder was faster: its key is the one.
        Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        placed => Ok(placed?),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn made() -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("vault");
        Folder::make(&path).unwrap();
        (place, path)
    }

    #[test]
    fn the_first_start_makes_a_key_and_the_next_one_finds_it() {
        let (_place, path) = made();
        let first = Folder::open(&path).unwrap().fingerprint(1).unwrap();
        Folder::make(&path).unwrap();
        assert_eq!(Folder::open(&path).unwrap().fingerprint(1).unwrap(), first);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&path.join("kek-1.key"))), (0o700, 0o600));
    }

    #[test]
    fn a_new_key_is_found_by_whoever_has_the_folder_open_and_the_former_ones_stay() {
        let (_place, path) = made();
        let (node, command) = (Folder::open(&path).unwrap(), Folder::open(&path).unwrap());
        let wrapped = node.wrap(1, b"", &Key::random()).unwrap();
        assert_eq!(command.make_next().unwrap(), 2);
        assert_eq!(node.newest().unwrap(), 2);
        assert_eq!(node.fingerprint(2).unwrap(), command.fingerprint(2).unwrap());
        node.unwrap(1, b"", &wrapped).unwrap();
    }

    #[test]
    fn keys_that_others_may_read_or_that_are_none_are_refused_by_name() {
        let (_place, path) = made();
        let key = path.join("kek-1.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = Folder::open(&path).unwrap_err().to_string();
        assert!(refused.contains("kek-1.key") && refused.contains("640"), "{refused}");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&key, "no key").unwrap();
        assert!(Folder::open(&path).unwrap_err().to_string().contains("kek-1.key"));
        fs::remove_file(&key).unwrap();
        assert!(matches!(Folder::open(&path), Err(KmsError::Missing(1))));
        assert!(!Folder::has_keys(&path).unwrap());
    }
}
