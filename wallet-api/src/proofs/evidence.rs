//! Evidence of a payment: one file that shows offline, with the log's public key, that its payer approved it, and that what was
//! approved is what the books say.
//!
//! It holds the evidence of the approval ([`sca::verify_evidence`]), the record's receipt with the payer's sides opened, and the
//! record's metadata opened, which names the evidence's SHA-256. [`check`] is pure: no database, no clock. It shows that one key
//! approved this amount to this payee out of this account, and that the record of this very payment, in the signed log, says
//! so. What it does not show: that the key was the payer's, which the register of passkeys does. See `docs/sca.md`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ledger::RowKind;
use ledger::proof::{Hash, OpenedMeta, ProofError, Proven, PublicKey, Receipt, SideFacts, SideOf};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::identity::passkeys::RelyingParty;
use crate::identity::sca::{self, EvidenceFault, Shown};

/// Longest file that is read, bytes: longer than any receipt and any evidence are.
const MOST_BYTES: usize = 4 << 20;
const FORMAT: &str = "tessera-payment-evidence";
const VERSION: u8 = 1;
/// The kinds of records that a payment has, as leaves number them.
const TRANSACTION: i32 = 1;
const REFUSAL: i32 = 4;

/// The file. Its members are a format: they never change their meaning.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceFile {
    /// `tessera-payment-evidence`.
    format: String,
    /// 1.
    v: u8,
    /// Whose passkeys and pages they were.
    relying_party: PartyForm,
    /// The evidence of the approval, JSON as text: its SHA-256 is that of these bytes.
    evidence: String,
    /// What the record says of itself.
    record: RecordForm,
    /// The record's receipt, in base64: what `tessera proof check` reads.
    receipt: String,
}

/// Who we are to passkeys.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PartyForm {
    /// The domain.
    id: String,
    /// Where the pages are.
    origins: Vec<String>,
}

/// A record's metadata, opened.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RecordForm {
    /// The metadata, JSON as text.
    meta: String,
    /// Its salt, base64url.
    salt: String,
    /// The hashes from it to the root over the record's parts.
    path: Vec<String>,
}

/// Whose passkeys are believed.
#[derive(Debug, Clone)]
pub struct Party {
    /// The domain.
    pub id: String,
    /// Where its pages are.
    pub origins: Vec<String>,
}

/// What a file shows.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The approval.
    pub shown: Shown,
    /// Whose passkeys and pages it was taken to be by.
    pub party: Party,
    /// Whether the money moved; else the books refused it.
    pub is_paid: bool,
    /// The receipt.
    pub receipt: Receipt,
}

/// Why a file does not show what it should. Nothing of it is to be believed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// It cannot be read.
    #[error("the file is no payment's evidence of a form we know")]
    Malformed,
    /// The approval shows nothing.
    #[error(transparent)]
    Evidence(#[from] EvidenceFault),
    /// The receipt or the metadata is not of the signed log.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The record names other evidence, or none.
    #[error("the record does not name this evidence")]
    OtherEvidence,
    /// The record is of another payment, payer, payee or amount than was approved.
    #[error("the record's {0} is not what was approved")]
    OtherPayment(&'static str),
}

impl Unproven {
    /// Its word for programs: it stays when the sentence changes.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "form-unknown",
            Self::Evidence(fault) => fault.code(),
            Self::Proof(error) => error.code(),
            Self::OtherEvidence => "other-evidence",
            Self::OtherPayment(_) => "other-payment",
        }
    }
}

impl EvidenceFile {
    /// The file of a payment. None when its evidence or metadata is no text, which both always are.
    #[must_use]
    pub fn of(party: &RelyingParty, evidence: Vec<u8>, receipt: &Receipt, meta: &OpenedMeta) -> Option<Self> {
        Some(Self {
            format: FORMAT.to_owned(),
            v: VERSION,
            relying_party: PartyForm { id: party.id().to_owned(), origins: party.origins().to_vec() },
            evidence: String::from_utf8(evidence).ok()?,
            record: RecordForm {
                meta: String::from_utf8(meta.meta.clone()).ok()?,
                salt: BASE64URL_NOPAD.encode(&meta.salt),
                path: meta.path.iter().map(ToString::to_string).collect(),
            },
            receipt: STANDARD.encode(receipt.to_bytes()),
        })
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MOST_BYTES {
            return None;
        }
        let read: Self = serde_json::from_slice(bytes).ok()?;
        (read.format == FORMAT && read.v == VERSION).then_some(read)
    }

    fn meta(&self) -> Option<OpenedMeta> {
        let RecordForm { meta, salt, path } = &self.record;
        Some(OpenedMeta {
            meta: meta.clone().into_bytes(),
            salt: BASE64URL_NOPAD.decode(salt.as_bytes()).ok()?.try_into().ok()?,
            path: path.iter().map(|hash| Hash::from_hex(hash)).collect::<Option<_>>()?,
        })
    }
}

/// Checks a file by these public keys of the log; for passkeys of this party, or else of whom the file says.
///
/// # Errors
/// [`Unproven`]: the first thing that does not hold.
pub fn check(bytes: &[u8], keys: &[PublicKey], party: Option<Party>) -> Result<Checked, Unproven> {
    let file = EvidenceFile::read(bytes).ok_or(Unproven::Malformed)?;
    let PartyForm { id, origins } = file.relying_party.clone();
    let party = party.unwrap_or(Party { id, origins });
    let shown = sca::verify_evidence(file.evidence.as_bytes(), &party.id, &party.origins)?;
    let receipt = STANDARD.decode(&file.receipt).map_err(|_form| Unproven::Malformed)?;
    let receipt = Receipt::from_bytes(&receipt)?;
    let proven = receipt.check(keys)?;
    let meta = file.meta().ok_or(Unproven::Malformed)?;
    meta.check(&receipt.leaf)?;
    let is_paid = is_of(&shown, &proven, &meta.meta)?;
    Ok(Checked { shown, party, is_paid, receipt })
}

/// Whether the record is of what was approved, and says so; true when it moved the money.
fn is_of(shown: &Shown, proven: &Proven<'_>, meta: &[u8]) -> Result<bool, Unproven> {
    let meta: Value = serde_json::from_slice(meta).map_err(|_form| Unproven::Malformed)?;
    let text = |at: &str| meta.pointer(at).and_then(Value::as_str).unwrap_or_default();
    if text("/sca/evidence") != HEXLOWER.encode(&shown.digest) {
        return Err(Unproven::OtherEvidence);
    }
    let (payload, header) = (&shown.payload, proven.header);
    for (is_same, what) in [
        (text("/kind") == "payment" && header.id == payload.payment_id, "payment"),
        (header.journal.0.to_string() == payload.tenant, "tenant"),
        (text("/customer") == shown.person.to_string(), "payer"),
        (text("/merchant") == payload.payee_id, "payee"),
    ] {
        if !is_same {
            return Err(Unproven::OtherPayment(what));
        }
    }
    match header.kind {
        REFUSAL => Ok(false),
        TRANSACTION if proven.sides.iter().any(|side| is_payment(shown, side)) => Ok(true),
        _ => Err(Unproven::OtherPayment("amount or account")),
    }
}

/// Whether a side is the approved amount leaving the approved account: the first leg, which is the payment itself.
fn is_payment(Shown { payload, .. }: &Shown, side: &SideFacts<'_>) -> bool {
    side.leg == 0
        && side.side == SideOf::Debit
        && side.kind == RowKind::Move.code()
        && side.account == payload.payer_account
        && side.amount.to_string() == payload.amount_minor
        && side.asset == payload.currency
}
