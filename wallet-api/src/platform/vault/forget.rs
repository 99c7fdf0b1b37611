//! Forgetting a person: the key is destroyed in the caller's transaction, the receipt given out once the ledger has it.

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection};
use uuid::Uuid;

use super::receipt::Receipt;
use super::{LedgerError, Vault, VaultError, store};

/// A person whose key was destroyed in a transaction that may not be committed yet. Take it out of that transaction, and
/// turn it into a receipt: [`Vault::receipt`].
#[must_use = "nobody outside the database knows of this erasure before `Vault::receipt` wrote it down"]
#[derive(Debug)]
pub struct Forgotten(Receipt);

impl Vault {
    /// Destroys a person's key, with the rest of what the caller's transaction does. What the key sealed does not open
    /// from the commit on, on any node. A person forgotten again keeps the first receipt; one who never had a key gets
    /// none ever.
    ///
    /// # Errors
    /// [`VaultError::NoSigner`] and [`LedgerError`] where this node could not say so lastingly;
    /// [`VaultError::Closed`], [`VaultError::Behind`]; what the database says.
    pub fn forget(
        &self,
        conn: &mut PgConnection,
        tenant: i64,
        person: Uuid,
        now: DateTime<Utc>,
    ) -> Result<Forgotten, VaultError> {
        self.must_be_open()?;
        let signers = self.0.parts.signers.as_ref().ok_or(VaultError::NoSigner)?;
        // Before anything is destroyed: a full disk is no reason to have an erasure that nobody wrote down.
        self.ledger()?.check()?;
        conn.transaction(|conn| {
            let key = store::person_key_to_forget(conn, tenant, person)?;
            if let Some(text) = store::receipt(conn, tenant, person)? {
                let receipt = Receipt::parse(&text).map_err(|error| VaultError::Receipt(error.to_string()))?;
                return Ok(Forgotten(receipt));
            }
            let wrapped = key.as_ref().and_then(|key| key.wrapped.as_deref());
            let receipt = Receipt::sign(signers.ring().current(), (tenant, person), now, wrapped);
            store::erase(conn, (tenant, person), now, &receipt.text())?;
            Ok(Forgotten(receipt))
        })
    }

    /// Writes an erasure that was committed into the ledger outside the database, and gives its receipt. Should this fail,
    /// the erasure holds, and the node writes it down by itself within seconds; ask again by forgetting again.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn receipt(&self, forgotten: Forgotten) -> Result<Receipt, VaultError> {
        let Forgotten(receipt) = forgotten;
        self.ledger()?.add(std::slice::from_ref(&receipt))?;
        Ok(receipt)
    }

    /// The receipt that a person was forgotten by, if they were: for whoever asks for it again.
    ///
    /// # Errors
    /// [`VaultError::Receipt`] when what the database has is none; what the database says.
    pub fn receipt_of(
        &self,
        conn: &mut PgConnection,
        tenant: i64,
        person: Uuid,
    ) -> Result<Option<Receipt>, VaultError> {
        let text = store::receipt(conn, tenant, person)?;
        let receipt = text.map(|text| Receipt::parse(&text)).transpose();
        receipt.map_err(|error| VaultError::Receipt(error.to_string()))
    }

    pub(super) fn ledger(&self) -> Result<&super::Ledger, VaultError> {
        self.0.parts.ledger.as_ref().ok_or(VaultError::Ledger(LedgerError::None))
    }
}
