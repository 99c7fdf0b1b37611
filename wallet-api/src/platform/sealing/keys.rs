//! The proof folder: signing keys and salt secrets as files that nobody but their owner may read.
//!
//! ```text
//! FOLDER/signing-1.key   0600, 64 hexadecimal digits: the seed of an Ed25519 key; the highest number signs
//! FOLDER/signing-1.pub   the public half, to be given to anyone
//! FOLDER/salt-1.key      0600, 64 hexadecimal digits: what salts commitments; the highest number salts
//! ```
//! A key is made whole or not at all, and never written over. Files and folder that others may read or write are refused: a
//! key that may have been read signs nothing. Whoever has the salt secret can open every commitment in the log; whoever
//! has the signing key can sign another history. Both belong into the backup, and apart from the database.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ledger::proof::{PublicKey, Ring, Salts, Signer};

use crate::platform::ids::Ids;

const SIGNING: &str = "signing-";
const SALT: &str = "salt-";
const SECRET: &str = ".key";
/// How a line of a public key begins.
const PUBLIC: &str = "tessera-proof-key-1";
/// Bits that would let others than the owner at a secret.
pub(in crate::platform) const OTHERS: u32 = 0o077;
pub(in crate::platform) const OTHERS_WRITE: u32 = 0o022;

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file could not be read or written.
    #[error("cannot use {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than the owner may get at a secret.
    #[error("{} may be read or changed by others (mode {mode:o}): chmod it to {wanted:o}, and rotate if that was not you", path.display())]
    Loose {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What it should be.
        wanted: u32,
    },
    /// A file does not hold what its name says.
    #[error("{} is not a key of this program: put the right file back from a backup", .0.display())]
    Form(PathBuf),
    /// Keys of one sort are there, of the other not.
    #[error("{} has signing keys or salt secrets, but not both: put the missing ones back from a backup", .0.display())]
    Half(PathBuf),
}

pub(in crate::platform) fn file(path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_path_buf();
    move |source| KeyError::File { path, source }
}

/// The keys of a folder, read again when it changes.
#[derive(Debug)]
pub struct Keys {
    folder: PathBuf,
    read: Mutex<(Option<SystemTime>, Arc<Ring>)>,
}

impl Keys {
    /// Reads the folder; makes it, and the first keys, where there are none.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open(folder: &Path, ids: &Ids) -> Result<Self, KeyError> {
        make_folder(folder)?;
        if numbers(folder, SIGNING)?.is_empty() && numbers(folder, SALT)?.is_empty() {
            make(folder, SALT, 1, ids)?;
            make(folder, SIGNING, 1, ids)?;
        }
        Self::of(folder)
    }

    /// Reads the folder as it is.
    ///
    /// # Errors
    /// [`KeyError`], also where there are none.
    pub fn of(folder: &Path) -> Result<Self, KeyError> {
        let stamp = stamp(folder);
        let ring = Arc::new(read(folder)?);
        Ok(Self { folder: folder.to_path_buf(), read: Mutex::new((stamp, ring)) })
    }

    /// The keys of a folder as it is, by themselves.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(folder: &Path) -> Result<Ring, KeyError> {
        read(folder)
    }

    /// The keys as they are now. A folder that cannot be read any more leaves those that were read last.
    #[must_use]
    pub fn ring(&self) -> Arc<Ring> {
        let stamp = stamp(&self.folder);
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != stamp {
            match read(&self.folder) {
                Ok(ring) => *last = (stamp, Arc::new(ring)),
                Err(error) => tracing::error!(%error, "the proof keys were changed and cannot be read"),
            }
        }
        Arc::clone(&last.1)
    }

    /// Makes the next signing key. Each journal's next head is signed by both, and then by this one alone.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn rotate_signing(&self, ids: &Ids) -> Result<PublicKey, KeyError> {
        let next = numbers(&self.folder, SIGNING)?.last().map_or(1, |last| last.saturating_add(1));
        make(&self.folder, SIGNING, next, ids)?;
        Ok(read(&self.folder)?.current().public())
    }

    /// Makes the next salt secret, for leaves from here on, and tells its version.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn rotate_salt(&self, ids: &Ids) -> Result<i32, KeyError> {
        let next = numbers(&self.folder, SALT)?.last().map_or(1, |last| last.saturating_add(1));
        make(&self.folder, SALT, next, ids)?;
        Ok(next)
    }

    /// Copies every file into a new folder, as closed as this one.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn copy_to(folder: &Path, to: &Path) -> Result<(), KeyError> {
        make_folder(to)?;
        for (prefix, public) in [(SALT, false), (SIGNING, true)] {
            for number in numbers(folder, prefix)? {
                let secret = secret_of(folder, prefix, number)?;
                place_secret(&to.join(name(prefix, number)), &secret)?;
                if public {
                    write_public(to, number, &secret)?;
                }
            }
        }
        Ok(())
    }
}

fn stamp(folder: &Path) -> Option<SystemTime> {
    fs::metadata(folder).and_then(|metadata| metadata.modified()).ok()
}

pub(in crate::platform) fn name(prefix: &str, number: i32) -> String {
    format!("{prefix}{number}{SECRET}")
}

pub(in crate::platform) fn make_folder(folder: &Path) -> Result<(), KeyError> {
    if !folder.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(file(folder))?;
    }
    Ok(())
}

/// The numbers of a folder's keys of one sort, in order.
pub(in crate::platform) fn numbers(folder: &Path, prefix: &str) -> Result<Vec<i32>, KeyError> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).map_err(file(folder))? {
        let name = entry.map_err(file(folder))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(prefix)?.strip_suffix(SECRET)?.parse().ok());
        numbers.extend(number.filter(|number: &i32| *number > 0));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn read(folder: &Path) -> Result<Ring, KeyError> {
    must_be_closed(folder, OTHERS_WRITE, 0o700)?;
    let mut salts = Salts::default();
    for number in numbers(folder, SALT)? {
        salts.add(number, &secret_of(folder, SALT, number)?);
    }
    let mut signers = Vec::new();
    for number in numbers(folder, SIGNING)? {
        let seed = secret_of(folder, SIGNING, number)?;
        let signer = Signer::from_seed(&seed);
        signers.push(signer.ok_or_else(|| KeyError::Form(folder.join(name(SIGNING, number))))?);
    }
    Ring::new(signers, salts).ok_or_else(|| KeyError::Half(folder.to_path_buf()))
}

pub(in crate::platform) fn must_be_closed(path: &Path, bits: u32, wanted: u32) -> Result<(), KeyError> {
    let mode = fs::metadata(path).map_err(file(path))?.mode() & 0o7777;
    if mode & bits == 0 { Ok(()) } else { Err(KeyError::Loose { path: path.to_path_buf(), mode, wanted }) }
}

fn secret_of(folder: &Path, prefix: &str, number: i32) -> Result<[u8; 32], KeyError> {
    let path = folder.join(name(prefix, number));
    must_be_closed(&path, OTHERS, 0o600)?;
    let text = fs::read_to_string(&path).map_err(file(&path))?;
    let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(KeyError::Form(path))
}

fn make(folder: &Path, prefix: &str, number: i32, ids: &Ids) -> Result<(), KeyError> {
    let mut secret = [0; 32];
    ids.fill(&mut secret);
    let path = folder.join(name(prefix, number));
    match place_secret(&path, &secret) {
        // Another node of the same folder was faster: its key is the one.
        Err(KeyError::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        placed => placed?,
    }
    if prefix == SIGNING { write_public(folder, number, &secret) } else { Ok(()) }
}

/// Writes a file that must not be there yet, whole and on disk, for its owner alone.
fn place_secret(path: &Path, secret: &[u8; 32]) -> Result<(), KeyError> {
    place(path, &HEXLOWER.encode(secret), 0o600)
}

fn write_public(folder: &Path, number: i32, seed: &[u8; 32]) -> Result<(), KeyError> {
    let path = folder.join(format!("{SIGNING}{number}.pub"));
    let signer = Signer::from_seed(seed).ok_or_else(|| KeyError::Form(path.clone()))?;
    place(&path, &public_key_line(&signer.public()), 0o644)
}

pub(in crate::platform) fn place(path: &Path, line: &str, mode: u32) -> Result<(), KeyError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = || {
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(temporary, "{line}")?;
        temporary.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        temporary.as_file().sync_all()?;
        temporary.persist_noclobber(path).map_err(|refused| refused.error)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(file(path))
}

/// A public key as a line of text: name and version, id, the key in base64.
#[must_use]
pub fn public_key_line(key: &PublicKey) -> String {
    format!("{PUBLIC} {} {}", key.id(), STANDARD.encode(key.0))
}

/// Reads public keys, one a line; empty lines and lines that begin with `#` are none.
///
/// # Errors
/// The line that is none, as a number from 1.
pub fn read_public_keys(text: &str) -> Result<Vec<PublicKey>, usize> {
    let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(number, line)| read_public_key(line).ok_or(number)).collect()
}

fn read_public_key(line: &str) -> Option<PublicKey> {
    let mut words = line.split_whitespace();
    let (PUBLIC, id, key, None) = (words.next()?, words.next()?, words.next()?, words.next()) else { return None };
    let key = PublicKey(STANDARD.decode(key).ok()?.try_into().ok()?);
    (key.id().to_string() == id).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_start_makes_keys_and_the_next_one_finds_them() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("proof");
        let made = Keys::open(&folder, &Ids::system()).unwrap().ring();
        let found = Keys::open(&folder, &Ids::system()).unwrap().ring();
        assert_eq!(made.current().public(), found.current().public());
        assert_eq!(made.salts.newest().map(|salt| salt.id()), found.salts.newest().map(|salt| salt.id()));
        for (name, mode) in [("signing-1.key", 0o600), ("salt-1.key", 0o600), ("signing-1.pub", 0o644)] {
            assert_eq!(fs::metadata(folder.join(name)).unwrap().mode() & 0o777, mode, "{name}");
        }
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        let public = fs::read_to_string(folder.join("signing-1.pub")).unwrap();
        assert_eq!(read_public_keys(&public), Ok(vec![found.current().public()]));
    }

    #[test]
    fn keys_that_others_may_read_are_refused_with_their_name() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("proof");
        Keys::open(&folder, &Ids::system()).unwrap();
        for (name, mode, wanted) in [("signing-1.key", 0o640, 0o600), ("salt-1.key", 0o604, 0o600), ("", 0o770, 0o700)]
        {
            let path = folder.join(name);
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = Keys::open(&folder, &Ids::system()).unwrap_err().to_string();
            assert!(refused.contains(&format!("{mode:o}")) && refused.contains(&format!("{wanted:o}")), "{refused}");
            fs::set_permissions(&path, fs::Permissions::from_mode(wanted)).unwrap();
        }
        fs::write(folder.join("salt-1.key"), "no key\n").unwrap();
        assert!(Keys::open(&folder, &Ids::system()).unwrap_err().to_string().contains("salt-1.key"));
        fs::remove_file(folder.join("salt-1.key")).unwrap();
        assert!(
            matches!(Keys::open(&folder, &Ids::system()), Err(KeyError::Half(_))),
            "never a new salt beside an old key"
        );
    }

    #[test]
    fn rotated_keys_are_noticed_and_the_former_ones_stay() {
        let place = tempfile::tempdir().unwrap();
        let keys = Keys::open(&place.path().join("proof"), &Ids::system()).unwrap();
        let first = keys.ring().current().public();
        let second = keys.rotate_signing(&Ids::system()).unwrap();
        assert_eq!(keys.rotate_salt(&Ids::system()).unwrap(), 2);
        let ring = keys.ring();
        assert_eq!((ring.current().public(), ring.salts.newest().map(|salt| salt.version())), (second, Some(2)));
        assert!(ring.signer(first.id()).is_some() && ring.salts.of(1).is_some());
        let copy = place.path().join("copy");
        Keys::copy_to(&keys.folder, &copy).unwrap();
        assert_eq!(Keys::of(&copy).unwrap().ring().current().public(), second);
    }

    #[test]
    fn a_line_that_is_no_public_key_is_named() {
        let key = Signer::from_seed(&[1; 32]).unwrap().public();
        let line = public_key_line(&key);
        assert_eq!(read_public_keys(&format!("# ours\n\n{line}\n")), Ok(vec![key]));
        let other = line.replacen(&key.id().to_string(), "0000000000000000", 1);
        for (text, wrong) in [(other.as_str(), 1), (&line[..40], 1), ("\nssh-ed25519 AAAA", 2)] {
            assert_eq!(read_public_keys(text), Err(wrong), "{text}");
        }
    }
}
