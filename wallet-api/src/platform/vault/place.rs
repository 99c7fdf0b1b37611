//! Where a node's vault is: a folder, keys given by configuration, or nowhere.

use std::path::PathBuf;
use std::sync::Arc;

use diesel::PgConnection;

use super::erasures::{Ledger, LedgerError};
use super::folder::Folder;
use super::kms::{GivenKeys, KeyText, Kms};
use super::{KmsError, Parts, TenantColumn, Vault, store};
use crate::platform::sealing;

/// The ledger's name in the folder.
const ERASURES: &str = "erasures.jsonl";

/// Why a node's vault cannot be used as it was set. It does not start so: what it would seal, nobody might open again.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The database has sealed data, and the folder has no keys.
    #[error(
        "this database has sealed data, and {} has no keys: bring the vault folder of the node that had it \
             (keys and erasures); a new key would open nothing",
        .0.display()
    )]
    Lost(PathBuf),
    /// Keys.
    #[error(transparent)]
    Kms(#[from] KmsError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The database.
    #[error("the database does not tell which keys it was sealed with")]
    Database(#[from] diesel::result::Error),
}

/// What a node was told of its vault.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The folder of keys and erasures.
    pub folder: Option<PathBuf>,
    /// Keys given by configuration, in the place of the folder's.
    pub keys: Option<KeyText>,
}

impl Settings {
    /// Opens the vault for a database. A folder is made, with its first key, unless the database was sealed with others;
    /// without folder and keys the vault is closed.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn open(
        &self,
        conn: &mut PgConnection,
        signers: Option<Arc<sealing::Keys>>,
        columns: &'static [TenantColumn],
    ) -> Result<Vault, PlaceError> {
        if self.folder.is_none() && self.keys.is_none() {
            return Ok(Vault::closed());
        }
        let keks = store::keks(conn)?;
        let kms = self.kms(keks.is_empty())?;
        if let Some(current) = keks.last() {
            let is_ours = kms.fingerprint(current.version)?.as_slice() == current.fingerprint;
            is_ours.then_some(()).ok_or(KmsError::Foreign(current.version))?;
        }
        let ledger = self.folder.as_ref().map(|folder| Ledger::open(&folder.join(ERASURES), keks.is_empty()));
        Ok(Vault::new(Parts { kms: Some(kms), ledger: ledger.transpose()?, signers, columns }))
    }

    fn kms(&self, is_new: bool) -> Result<Box<dyn Kms>, PlaceError> {
        if let Some(keys) = &self.keys {
            if let Some(folder) = &self.folder {
                sealing::files::make_folder(folder).map_err(KmsError::from)?;
            }
            return Ok(Box::new(GivenKeys::read(keys)?));
        }
        let folder = self.folder.clone().unwrap_or_default();
        if !is_new && !Folder::has_keys(&folder)? {
            return Err(PlaceError::Lost(folder));
        }
        if is_new {
            Folder::make(&folder)?;
        }
        Ok(Box::new(Folder::open(&folder)?))
    }
}
