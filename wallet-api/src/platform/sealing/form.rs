//! Heads as JSON: in the API, in the published file, and in the file that `tessera verify --since` trusts. The published
//! file has the audit log's heads beside the journal's.
//!
//! Hashes and ids of keys are hexadecimal, keys and signatures base64, times RFC 3339. What is signed is the binary form
//! ([`ledger::proof::head`]), made again from these fields: nothing of this text is believed for itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER_PERMISSIVE;
use ledger::JournalId;
use ledger::proof::{Hash, Head, KeyId, PublicKey, SignedHead};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::platform::audit::head::AuditHeadForm;

/// Of the published file.
const FORMAT: u32 = 1;

/// A field of a head that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the head's {0} does not read")]
pub struct FormError(&'static str);

/// A signed head: what the log of a journal was at a size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SignedHead)]
#[serde(deny_unknown_fields)]
pub struct HeadForm {
    /// The books' number.
    pub journal: i64,
    /// The line of history that was written then.
    pub fork: Uuid,
    /// How many records: the last sealed seq.
    #[schema(example = 1042)]
    pub size: i64,
    /// The root over them: 64 hexadecimal digits.
    #[schema(example = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")]
    pub root: String,
    /// When the last of them was recorded.
    pub recorded_at: DateTime<Utc>,
    /// When this was signed.
    pub signed_at: DateTime<Utc>,
    /// The version of the secret that salted the last leaf.
    pub salt_version: i32,
    /// Who signed: 16 hexadecimal digits.
    pub key: String,
    /// The key that signs from here on, in base64, where this head rotates them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_key: Option<String>,
    /// The signature, in base64.
    pub signature: String,
    /// The signature of the next key, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_signature: Option<String>,
}

impl From<&SignedHead> for HeadForm {
    fn from(signed: &SignedHead) -> Self {
        let SignedHead { head, signature, next_signature } = signed;
        let time = |us| DateTime::from_timestamp_micros(us).unwrap_or_default();
        Self {
            journal: head.journal.0,
            fork: head.fork,
            size: head.size,
            root: head.root.to_string(),
            recorded_at: time(head.recorded_us),
            signed_at: time(head.signed_us),
            salt_version: head.salt,
            key: head.key.to_string(),
            next_key: head.next.as_ref().map(|next| STANDARD.encode(next.0)),
            signature: STANDARD.encode(signature),
            next_signature: next_signature.as_ref().map(|signature| STANDARD.encode(signature)),
        }
    }
}

impl HeadForm {
    /// The head that this text writes. Whether it is signed by anybody is yet to be checked.
    ///
    /// # Errors
    /// [`FormError`] names the field.
    pub fn read(&self) -> Result<SignedHead, FormError> {
        let key = HEXLOWER_PERMISSIVE.decode(self.key.as_bytes()).ok().and_then(|key| key.try_into().ok());
        let head = Head {
            journal: JournalId(self.journal),
            fork: self.fork,
            size: self.size,
            root: Hash::from_hex(&self.root).ok_or(FormError("root"))?,
            recorded_us: self.recorded_at.timestamp_micros(),
            signed_us: self.signed_at.timestamp_micros(),
            salt: self.salt_version,
            key: KeyId(key.ok_or(FormError("key"))?),
            next: self.next_key.as_deref().map(array).transpose()?.map(PublicKey),
        };
        let next_signature = self.next_signature.as_deref().map(array).transpose()?;
        Ok(SignedHead { head, signature: array(&self.signature)?, next_signature })
    }
}

fn array<const N: usize>(text: &str) -> Result<[u8; N], FormError> {
    let bytes = STANDARD.decode(text).map_err(|_other| FormError("base64"))?;
    bytes.try_into().map_err(|_length| FormError("length"))
}

/// The last head of each journal and of each audit log, as they are published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    format: u32,
    /// By journal, in order.
    pub heads: Vec<HeadForm>,
    /// By tenant, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audit: Vec<AuditHeadForm>,
}

impl Published {
    /// Nothing yet.
    #[must_use]
    pub fn none() -> Self {
        Self { format: FORMAT, heads: Vec::new(), audit: Vec::new() }
    }

    /// Reads a file's text: what was published, or one head alone.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(one) = serde_json::from_str::<HeadForm>(text) {
            return Ok(Self { heads: vec![one], ..Self::none() });
        }
        if let Ok(one) = serde_json::from_str::<AuditHeadForm>(text) {
            return Ok(Self { audit: vec![one], ..Self::none() });
        }
        let read: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if read.format == FORMAT { Ok(read) } else { Err(format!("format {} is not known here", read.format)) }
    }

    /// Takes an audit log's head in the place of its former one. One that covers more stays: of a database that lost rows,
    /// it is what tells.
    pub fn put_audit(&mut self, head: AuditHeadForm) {
        if self.audit.iter().any(|known| known.tenant == head.tenant && known.audit_seq > head.audit_seq) {
            return;
        }
        self.audit.retain(|known| known.tenant != head.tenant);
        self.audit.push(head);
        self.audit.sort_by_key(|head| head.tenant);
    }

    /// Takes a head in the place of that journal's former one.
    pub fn put(&mut self, head: HeadForm) {
        self.heads.retain(|known| known.journal != head.journal);
        self.heads.push(head);
        self.heads.sort_by_key(|head| head.journal);
    }
}

#[cfg(test)]
mod tests {
    use ledger::proof::{Ring, Salts, Signer};

    use super::*;

    fn signed(size: i64) -> SignedHead {
        let mut salts = Salts::default();
        salts.add(1, &[1; 32]);
        let ring = Ring::new(vec![Signer::from_seed(&[2; 32]).unwrap(), Signer::from_seed(&[3; 32]).unwrap()], salts);
        let (root, at) = (ledger::proof::EMPTY, 1_750_000_000_123_456);
        let head = Head {
            journal: JournalId(size % 3),
            fork: Uuid::from_u128(9),
            size,
            root,
            recorded_us: at,
            signed_us: at + 1,
            salt: 1,
            key: KeyId([0; 8]),
            next: None,
        };
        let first = Signer::from_seed(&[2; 32]).unwrap().public().id();
        SignedHead::sign(&ring.unwrap(), Some(first), head).unwrap()
    }

    fn audit_head() -> AuditHeadForm {
        AuditHeadForm {
            tenant: 1,
            audit_seq: 1,
            hash: "00".repeat(32),
            signed_at: DateTime::UNIX_EPOCH,
            key: "00".repeat(8),
            next_key: None,
            signature: String::new(),
            next_signature: None,
        }
    }

    #[test]
    fn a_head_is_the_same_after_json_to_the_last_microsecond() {
        let signed = signed(7);
        let text = serde_json::to_string(&HeadForm::from(&signed)).unwrap();
        let read = Published::parse(&text).unwrap().heads.remove(0).read().unwrap();
        assert_eq!(read, signed);
        assert_eq!(read.check(&[Signer::from_seed(&[2; 32]).unwrap().public()]), Ok(()));
    }

    #[test]
    fn what_is_published_has_one_head_for_each_journal() {
        let mut published = Published::none();
        [5, 4, 8].into_iter().for_each(|size| published.put(HeadForm::from(&signed(size))));
        let sizes: Vec<i64> = published.heads.iter().map(|head| head.size).collect();
        assert_eq!(sizes, [4, 8]);
        for (tenant, audit_seq) in [(2, 1), (1, 7), (2, 3), (2, 2)] {
            published.put_audit(AuditHeadForm { tenant, audit_seq, ..audit_head() });
        }
        let seqs: Vec<i64> = published.audit.iter().map(|head| head.audit_seq).collect();
        assert_eq!(seqs, [7, 3], "one for each tenant too, the one that covers most");
        let alone = serde_json::to_string(&audit_head()).unwrap();
        assert_eq!(Published::parse(&alone).unwrap().audit, [audit_head()]);
        let text = serde_json::to_string(&published).unwrap();
        assert_eq!(Published::parse(&text).unwrap(), published);
        for wrong in ["", "{}", r#"{"format":2,"heads":[]}"#, r#"{"format":1,"heads":[{}]}"#] {
            assert!(Published::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_field_that_does_not_read_is_named() {
        let good = HeadForm::from(&signed(7));
        let wrong = HeadForm { root: "00".into(), ..good.clone() };
        assert_eq!(wrong.read(), Err(FormError("root")));
        let wrong = HeadForm { key: "zz".into(), ..good.clone() };
        assert_eq!(wrong.read(), Err(FormError("key")));
        let wrong = HeadForm { signature: "AAAA".into(), ..good };
        assert_eq!(wrong.read(), Err(FormError("length")));
    }
}
