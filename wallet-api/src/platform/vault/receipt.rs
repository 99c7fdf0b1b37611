//! Receipts of erasure: signed, so that anyone can check offline that a person's key was said to be destroyed, and when.
//!
//! As JSON; what is signed is the binary form made again from its fields, so nothing of the text is believed for itself. The
//! keys are those that sign the journals' heads ([`ledger::proof::Ring`]). A receipt names the person by their
//! number only. It proves what we said, and to whom the hash of the destroyed key belongs; that no copy was left nobody can
//! sign: backups keep a wrapped key until they are thrown away (docs/operations/vault.md).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER_PERMISSIVE;
use ledger::proof::{PublicKey, Signer};
use ring::digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::cell::Words;

/// Of the form.
const FORMAT: u32 = 1;

/// Why a receipt does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It is not a receipt that this program writes.
    #[error("it is not a receipt of erasure that this program can read: {0}")]
    Form(String),
    /// A key that is not trusted here signed it.
    #[error("it is signed by key {0}, which is not among the keys that were given")]
    UnknownKey(String),
    /// The signature is not that key's over this receipt.
    #[error("the signature is not that of key {0} over this receipt")]
    Signature(String),
}

impl ReceiptError {
    /// Its word for programs: it stays when the sentence changes.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Form(_) => "form-unknown",
            Self::UnknownKey(_) => "key-unknown",
            Self::Signature(_) => "signature-wrong",
        }
    }
}

/// That a person's key was destroyed, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    format: u32,
    /// The tenant's number.
    pub tenant: i64,
    /// The person's number.
    pub person: Uuid,
    /// When it was destroyed.
    pub erased_at: DateTime<Utc>,
    /// SHA-256 of the wrapped key that was destroyed, 64 hexadecimal digits; none when the person never had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destroyed: Option<String>,
    /// Who signed: 16 hexadecimal digits.
    pub key: String,
    /// The signature, in base64.
    pub signature: String,
}

impl Receipt {
    /// Signs that a person's key was destroyed; `wrapped` is what the database had of it.
    pub(super) fn sign(
        signer: &Signer,
        (tenant, person): (i64, Uuid),
        erased_at: DateTime<Utc>,
        wrapped: Option<&[u8]>,
    ) -> Self {
        let hash = |bytes| data_encoding::HEXLOWER.encode(digest::digest(&digest::SHA256, bytes).as_ref());
        let key = signer.public().id().to_string();
        let mut receipt = Self {
            format: FORMAT,
            tenant,
            person,
            erased_at,
            destroyed: wrapped.map(hash),
            key,
            signature: String::new(),
        };
        let bytes = receipt.signed_bytes().unwrap_or_default();
        receipt.signature = STANDARD.encode(signer.sign(&bytes));
        receipt
    }

    /// Reads a receipt's text. Whether anybody signed it is yet to be checked.
    ///
    /// # Errors
    /// [`ReceiptError::Form`].
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        let receipt: Self = serde_json::from_str(text).map_err(|error| ReceiptError::Form(error.to_string()))?;
        if receipt.format == FORMAT {
            return Ok(receipt);
        }
        Err(ReceiptError::Form(format!("format {} is not known here", receipt.format)))
    }

    /// One line of JSON.
    #[must_use]
    pub fn text(&self) -> String {
        // A struct of numbers and texts always has a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Checks it by keys that the caller trusts.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn check(&self, keys: &[PublicKey]) -> Result<(), ReceiptError> {
        let key = keys.iter().find(|key| key.id().to_string() == self.key);
        let key = key.ok_or_else(|| ReceiptError::UnknownKey(self.key.clone()))?;
        let wrong = || ReceiptError::Signature(self.key.clone());
        let signature = STANDARD.decode(&self.signature).ok().and_then(|bytes| bytes.try_into().ok());
        let signature: [u8; 64] = signature.ok_or_else(wrong)?;
        let bytes = self.signed_bytes().ok_or_else(wrong)?;
        key.verify(&bytes, &signature).map_err(|_signature| wrong())
    }

    fn signed_bytes(&self) -> Option<Vec<u8>> {
        let destroyed = match &self.destroyed {
            Some(hash) => HEXLOWER_PERMISSIVE.decode(hash.as_bytes()).ok().filter(|hash| hash.len() == 32)?,
            None => Vec::new(),
        };
        let words = Words::of("tessera.erasure.1")
            .bytes(&self.tenant.to_be_bytes())
            .bytes(self.person.as_bytes())
            .bytes(&self.erased_at.timestamp_micros().to_be_bytes())
            .bytes(&destroyed)
            .bytes(self.key.as_bytes());
        Some(words.done())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(seed: u8) -> Signer {
        Signer::from_seed(&[seed; 32]).unwrap()
    }

    fn receipt() -> Receipt {
        let at = DateTime::from_timestamp_micros(1_750_000_000_123_456).unwrap();
        Receipt::sign(&signer(1), (7, Uuid::from_u128(9)), at, Some(b"wrapped"))
    }

    #[test]
    fn a_receipt_holds_after_its_text_was_read_and_by_its_key_alone() {
        let read = Receipt::parse(&receipt().text()).unwrap();
        assert_eq!(read, receipt());
        assert_eq!(read.check(&[signer(2).public(), signer(1).public()]), Ok(()));
        assert!(matches!(read.check(&[signer(2).public()]), Err(ReceiptError::UnknownKey(_))));
        let never = Receipt::sign(&signer(1), (7, Uuid::nil()), DateTime::UNIX_EPOCH, None);
        assert_eq!(Receipt::parse(&never.text()).unwrap().check(&[signer(1).public()]), Ok(()));
    }

    #[test]
    fn a_receipt_with_anything_changed_does_not_hold() {
        let good = receipt();
        let changed = [
            Receipt { tenant: 8, ..good.clone() },
            Receipt { person: Uuid::nil(), ..good.clone() },
            Receipt { erased_at: good.erased_at + chrono::TimeDelta::microseconds(1), ..good.clone() },
            Receipt { destroyed: None, ..good.clone() },
            Receipt { destroyed: Some("00".into()), ..good.clone() },
            Receipt { signature: "AAAA".into(), ..good.clone() },
        ];
        for wrong in changed {
            assert!(matches!(wrong.check(&[signer(1).public()]), Err(ReceiptError::Signature(_))), "{wrong:?}");
        }
        let text = good.text();
        for wrong in ["", "{}", &text.replace("\"format\":1", "\"format\":2"), &text.replace("tenant", "tenant_")] {
            assert!(Receipt::parse(wrong).is_err(), "{wrong}");
        }
    }
}
