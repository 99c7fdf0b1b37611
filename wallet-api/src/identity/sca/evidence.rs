//! Evidence: one file that shows, to whoever has it and nothing else of ours, that a payer approved a payment.
//!
//! [`verify_evidence`] is pure: the payload's hash is the signed challenge, the signature is the credential's, the flags say
//! that somebody was there and was verified, and where the rule wanted the device's own proof it is there. What it does
//! not show: that the credential was the payer's, which the journal's record of the file's digest and the register of
//! passkeys do; and the time, which is ours. See `docs/sca.md` for how to do the same by hand.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::device::DeviceProof;
use super::payload::{Payload, sha256};
use crate::platform::webauthn::{
    Assertion, Ceremony, Expected, Fault, Instrument, Known, PaymentShown, PublicKey, b64url, verify,
};

/// Longest file that is read, bytes.
const MOST_BYTES: usize = 256 * 1024;
/// What the file says it is.
const FORMAT: &str = "tessera-sca-evidence";
const VERSION: u8 = 1;

/// How a payer approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// By a passkey, on our own page.
    #[serde(rename = "webauthn.get")]
    Passkey,
    /// By a passkey, in the browser's own payment dialogue (Secure Payment Confirmation).
    #[serde(rename = "payment.get")]
    Confirmation,
}

/// A category of authentication (Directive (EU) 2015/2366, art. 4(30)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factor {
    /// The authenticator that has the key.
    Possession,
    /// The PIN or the body that the authenticator verified; which, it does not tell.
    KnowledgeOrInherence,
    /// The device that has its own key.
    DevicePossession,
}

/// The file. Its members are a format: they never change their meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) format: String,
    pub(super) v: u8,
    pub(super) payload: Payload,
    #[serde(with = "b64url")]
    pub(super) payload_sha256: Vec<u8>,
    pub(super) method: Method,
    pub(super) instrument: Option<Instrument>,
    pub(super) person: Uuid,
    pub(super) approved_at: DateTime<Utc>,
    pub(super) factors: Vec<Factor>,
    pub(super) credential: Credential,
    pub(super) assertion: Parts,
    pub(super) device: Option<DeviceProof>,
    pub(super) rule: Rule,
}

/// The credential, as it was on file when it was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Credential {
    #[serde(with = "b64url")]
    pub(super) id: Vec<u8>,
    #[serde(with = "b64url")]
    pub(super) public_key: Vec<u8>,
    pub(super) backup_eligible: bool,
    pub(super) counter_before: u32,
}

/// What the browser and the authenticator said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    #[serde(with = "b64url")]
    pub(super) client_data_json: Vec<u8>,
    #[serde(with = "b64url")]
    pub(super) authenticator_data: Vec<u8>,
    #[serde(with = "b64url")]
    pub(super) signature: Vec<u8>,
}

/// The rule it was approved under: up to what a credential that may be synced suffices alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) synced_max_minor: String,
    pub(super) valid_from: Option<DateTime<Utc>>,
}

/// Evidence that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The payment.
    pub payment_id: Uuid,
    /// Who approved it.
    pub person: Uuid,
    /// When.
    pub approved_at: DateTime<Utc>,
    /// The file: JSON.
    pub file: Vec<u8>,
    /// SHA-256 of the file: what a record of the journal can name.
    pub digest: [u8; 32],
}

/// What a file shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What was approved.
    pub payload: Payload,
    /// By whom, as the file says.
    pub person: Uuid,
    /// When, as the file says.
    pub approved_at: DateTime<Utc>,
    /// How.
    pub method: Method,
    /// With which categories.
    pub factors: Vec<Factor>,
    /// The credential's public key, as a COSE key: to compare with the register's.
    pub public_key: Vec<u8>,
    /// SHA-256 of the file: to compare with the journal's.
    pub digest: [u8; 32],
}

/// Why a file shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceFault {
    /// It cannot be read.
    #[error("the file is no evidence of a form we know")]
    Malformed,
    /// The hash it states is not the payload's.
    #[error("the payload is not the one whose hash is stated")]
    Payload,
    /// It was approved when it could not be any more.
    #[error("it was approved after its time")]
    Late,
    /// The passkey's answer does not approve this payload.
    #[error("the passkey's answer does not approve this payload: {0}")]
    Assertion(#[from] Fault),
    /// The device's proof is missing or is of something else.
    #[error("the device's own proof is missing or is of something else")]
    Device,
    /// It claims categories that it does not show.
    #[error("it claims factors that it does not show")]
    Factors,
}

impl EvidenceFault {
    /// Its word for programs: it stays when the sentence changes.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "form-unknown",
            Self::Payload => "payload-changed",
            Self::Late => "late",
            Self::Assertion(_) => "assertion-wrong",
            Self::Device => "device-missing",
            Self::Factors => "factors-not-shown",
        }
    }
}

/// Checks evidence by itself, without a database: for our relying party id and origins, or whoever's it says it is.
///
/// # Errors
/// [`EvidenceFault`]: what it does not show.
pub fn verify_evidence(file: &[u8], rp_id: &str, origins: &[String]) -> Result<Shown, EvidenceFault> {
    let read = File::read(file)?;
    let hash = read.payload.hash();
    if read.payload_sha256 != hash {
        return Err(EvidenceFault::Payload);
    }
    if read.approved_at >= read.payload.exp {
        return Err(EvidenceFault::Late);
    }
    read.check_assertion(&hash, rp_id, origins)?;
    read.check_device(&hash)?;
    if read.factors != factors(read.device.is_some()) {
        return Err(EvidenceFault::Factors);
    }
    let File { payload, person, approved_at, method, factors, credential, .. } = read;
    let digest = sha256(file);
    Ok(Shown { payload, person, approved_at, method, factors, public_key: credential.public_key, digest })
}

/// The categories that an approval shows: a verified user is always asked for.
pub(super) fn factors(with_device: bool) -> Vec<Factor> {
    let mut shown = vec![Factor::Possession, Factor::KnowledgeOrInherence];
    if with_device {
        shown.push(Factor::DevicePossession);
    }
    shown
}

impl File {
    fn read(file: &[u8]) -> Result<Self, EvidenceFault> {
        if file.len() > MOST_BYTES {
            return Err(EvidenceFault::Malformed);
        }
        let read: Self = serde_json::from_slice(file).map_err(|_form| EvidenceFault::Malformed)?;
        let is_known = read.format == FORMAT && read.v == VERSION && read.payload.is_known();
        if is_known { Ok(read) } else { Err(EvidenceFault::Malformed) }
    }

    fn check_assertion(&self, hash: &[u8; 32], rp_id: &str, origins: &[String]) -> Result<(), EvidenceFault> {
        let key = PublicKey::from_cose(&self.credential.public_key)?;
        let assertion = Assertion {
            credential_id: self.credential.id.clone(),
            client_data_json: self.assertion.client_data_json.clone(),
            authenticator_data: self.assertion.authenticator_data.clone(),
            signature: self.assertion.signature.clone(),
            user_handle: None,
        };
        let Credential { counter_before, backup_eligible, .. } = self.credential;
        let known = Known { key: &key, counter: counter_before, backup_eligible };
        let value = self.payload.decimal().ok_or(EvidenceFault::Malformed)?;
        let shown = match (self.method, &self.instrument) {
            (Method::Passkey, _) => None,
            (Method::Confirmation, Some(instrument)) => Some(payment_shown(&self.payload, &value, instrument)),
            (Method::Confirmation, None) => return Err(EvidenceFault::Malformed),
        };
        let ceremony = shown.as_ref().map_or(Ceremony::Get, Ceremony::Payment);
        verify(&assertion, &Expected { ceremony, challenge: hash, rp_id, origins }, &known)?;
        Ok(())
    }

    fn check_device(&self, hash: &[u8; 32]) -> Result<(), EvidenceFault> {
        let most = self.rule.synced_max_minor.parse::<i64>().map_err(|_form| EvidenceFault::Malformed)?;
        let minor = self.payload.minor().ok_or(EvidenceFault::Malformed)?;
        let is_proven = match &self.device {
            Some(device) => device.proves(hash),
            None => !self.credential.backup_eligible || minor <= most,
        };
        if is_proven { Ok(()) } else { Err(EvidenceFault::Device) }
    }

    /// The file's bytes: canonical, so that one approval has one file.
    pub(super) fn write(&self) -> Vec<u8> {
        // Text, numbers and booleans: nothing in it can fail to be written.
        serde_json_canonicalizer::to_vec(self).unwrap_or_default()
    }

    pub(super) fn format() -> (String, u8) {
        (FORMAT.to_owned(), VERSION)
    }
}

/// A payload as the browser's payment dialogue shows it.
pub(super) fn payment_shown<'a>(payload: &'a Payload, value: &'a str, instrument: &'a Instrument) -> PaymentShown<'a> {
    PaymentShown { payee_name: &payload.payee_name_shown, value, currency: &payload.currency, instrument }
}
