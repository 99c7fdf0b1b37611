//! Strong customer authentication with dynamic linking: a payer approves one payment, as it was shown, once.
//!
//! [`offer`] keeps the payment's canonical payload, whose hash is the challenge, before anybody shows it; [`approve`] spends
//! it in the caller's transaction and keeps the evidence, of many payers at once. Promise: what was approved and what is about
//! to be paid are the same to the letter, or nothing is; one payload approves once, within five minutes, by a passkey of the
//! payer with its user verified; the fifth failure in a row blocks; a failure never says which part was wrong, and touches no
//! counter but the failures'. A refusal is a value: what it spent and counted is committed, so the caller's transaction must
//! not be rolled back for it.
//! Not here: paying, sending notices, device keys (their proof comes in as a [`DeviceProof`]). Routes are of a tenant's [`rules`] alone.
//! Law: Regulation (EU) 2018/389, art. 4 (codes), 5 (dynamic linking), 16 (low value: [`exemption`]).

mod approving;
mod currency;
mod device;
mod evidence;
pub mod exemption;
mod failure;
mod keeper;
mod payload;
mod policy;
pub mod rules;
mod store;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use data_encoding::BASE64URL_NOPAD;
use diesel::{PgConnection, QueryResult};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

pub use approving::{Approval, Standings, approve, hold};
pub use currency::Currency;
pub use device::{DeviceProof, device_message};
pub use evidence::{Evidence, EvidenceFault, Factor, Method, Shown, verify_evidence};
pub use failure::{Notice, Standing};
pub use keeper::{EvidenceCell, InClear, Keeper, Sealed};
pub use payload::{Intent, IntentFault, Payload};
pub use policy::{SyncedRule, needs_device};

use super::passkeys::{self, Asked, CHALLENGE_SECONDS, Holder, HolderKind, Passkey, Purpose, RelyingParty};
use crate::platform::ids::Ids;
use crate::platform::problem::{Describe, Problem};
use crate::platform::vault::VaultError;
use crate::platform::webauthn::Instrument;

/// Who approves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payer {
    /// The tenant's number.
    pub tenant: i64,
    /// The customer's id.
    pub person: Uuid,
}

/// A payment put to its payer.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Names it when it is approved.
    pub id: Uuid,
    /// What to show, and what is approved.
    pub payload: Payload,
    /// What is signed: the payload's hash.
    pub hash: [u8; 32],
    /// The payer's passkeys that may approve.
    pub credentials: Vec<Vec<u8>>,
    /// Some of them may be synced, and then the device's own proof is needed beside them.
    pub synced_needs_device: bool,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// Why nothing is put to the payer.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// The payment cannot be shown.
    #[error("the payment cannot be put to its payer: {0}")]
    Intent(#[from] IntentFault),
    /// The payer has nothing to approve with.
    #[error("the payer has no passkey")]
    NoPasskey,
    /// What the database says.
    #[error("database call failed")]
    Database(#[from] diesel::result::Error),
}

/// What an approval comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The payment is approved, and this shows it.
    Approved(Box<Evidence>),
    /// The passkey is right, and may be synced: the device's own proof is needed beside it. The offer is spent.
    DeviceNeeded,
    /// It is not approved.
    Refused(Refusal),
}

/// Why a payment is not approved: nothing that the payer is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What the payer must be told, on every channel, when this failure led to a block.
    pub notice: Option<Notice>,
    /// What is about to be paid is not what was approved: somebody changed it. For an alert.
    pub is_tampered: bool,
}

/// What is kept of an offer until it is answered.
#[derive(Serialize, Deserialize)]
struct Kept {
    payload: Payload,
    instrument: Option<Instrument>,
}

/// Puts a payment to its payer: keeps its payload, and gives what to show and to sign. With an instrument, it can be
/// approved in the browser's payment dialogue too.
///
/// # Errors
/// [`OfferError`].
#[tracing::instrument(name = "sca.offer", skip_all, fields(payment.id = %intent.payment_id))]
pub fn offer(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    payer: Payer,
    intent: &Intent,
    instrument: Option<&Instrument>,
) -> Result<Offer, OfferError> {
    intent.check()?;
    let passkeys = passkeys::live(conn, payer.tenant, Holder::person(payer.person))?;
    if passkeys.is_empty() {
        return Err(OfferError::NoPasskey);
    }
    let mut salt = [0; 32];
    ids.fill(&mut salt);
    let exp = now + chrono::TimeDelta::seconds(CHALLENGE_SECONDS);
    let payload = Payload::of(payer.tenant, intent, &salt, exp);
    let hash = payload.hash();
    let kept = json!(Kept { payload: payload.clone(), instrument: instrument.cloned() }).to_string();
    let asked = Asked { holder: Some(payer.person), nonce: hash, state: kept };
    let purpose = (Purpose::Approve, HolderKind::Person);
    let (id, expires_at) = passkeys::keep(conn, ids, now, payer.tenant, purpose, &asked)?;
    Ok(shown(conn, now, payer, passkeys, (id, payload, expires_at))?)
}

/// An offer again, as it was made; none when it was answered or is late.
///
/// # Errors
/// The database's.
pub fn still_offered(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    payer: Payer,
    offer: Uuid,
) -> QueryResult<Option<Offer>> {
    let of = (Purpose::Approve, HolderKind::Person, payer.person);
    let Some((asked, expires_at)) = passkeys::still_open(conn, payer.tenant, offer, of, now)? else { return Ok(None) };
    let Ok(kept) = serde_json::from_str::<Kept>(&asked.state) else { return Ok(None) };
    let passkeys = passkeys::live(conn, payer.tenant, Holder::person(payer.person))?;
    shown(conn, now, payer, passkeys, (offer, kept.payload, expires_at)).map(Some)
}

fn shown(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    payer: Payer,
    passkeys: Vec<Passkey>,
    (id, payload, expires_at): (Uuid, Payload, DateTime<Utc>),
) -> QueryResult<Offer> {
    let rule = store::synced_rule(conn, payer.tenant, &payload.currency, now)?;
    let minor = payload.minor().unwrap_or(i64::MAX);
    let synced_needs_device = passkeys.iter().any(|passkey| needs_device(rule, passkey.backup_eligible, minor));
    let credentials = passkeys.into_iter().map(|passkey| passkey.credential_id).collect();
    Ok(Offer { id, hash: payload.hash(), payload, credentials, synced_needs_device, expires_at })
}

impl Offer {
    /// Options for `navigator.credentials.get()`, on a page that shows the payload.
    #[must_use]
    pub fn passkey_options(&self, party: &RelyingParty) -> Value {
        json!({"publicKey": {
            "challenge": BASE64URL_NOPAD.encode(&self.hash),
            "rpId": party.id(),
            "allowCredentials": passkeys::descriptors(&self.credentials),
            "userVerification": "required",
            "timeout": CHALLENGE_SECONDS.saturating_mul(1_000),
        }})
    }

    /// The data of the payment method `secure-payment-confirmation`, and the total to ask for it with.
    #[must_use]
    pub fn confirmation_request(&self, party: &RelyingParty, instrument: &Instrument) -> Value {
        let ids: Vec<_> = self.credentials.iter().map(|id| BASE64URL_NOPAD.encode(id)).collect();
        json!({
            "data": {
                "challenge": BASE64URL_NOPAD.encode(&self.hash),
                "rpId": party.id(),
                "credentialIds": ids,
                "instrument": instrument,
                "payeeName": self.payload.payee_name_shown,
                "timeout": CHALLENGE_SECONDS.saturating_mul(1_000),
            },
            "total": {"value": self.payload.decimal(), "currency": self.payload.currency},
        })
    }
}

/// An approved payment: its id, the SHA-256 of its evidence, and when it was approved.
pub type Approved = (Uuid, Vec<u8>, DateTime<Utc>);

/// Which payments a person approved, by id after one.
///
/// # Errors
/// The database's.
pub fn evidence_list(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    after: Uuid,
    limit: i64,
) -> QueryResult<Vec<Approved>> {
    store::evidence_list(conn, tenant, person, after, limit)
}

/// The evidence of a payment, opened: one file that can be checked without us ([`verify_evidence`]).
///
/// # Errors
/// The database's, and the keeper's.
pub fn export_evidence(
    conn: &mut PgConnection,
    tenant: i64,
    payment_id: Uuid,
    keeper: &dyn Keeper,
) -> Result<Option<Evidence>, VaultError> {
    let Some(kept) = store::evidence(conn, tenant, payment_id)? else { return Ok(None) };
    let cell = EvidenceCell { tenant, person: kept.person, payment_id };
    let file = keeper.open(conn, &cell, &kept.file)?;
    Ok(Some(Evidence { file, ..kept }))
}

/// Lets somebody approve again who proved anew who they are.
///
/// # Errors
/// The database's.
pub fn readmit(conn: &mut PgConnection, payer: Payer) -> QueryResult<()> {
    store::set_standing(conn, payer.tenant, payer.person, Standing::default())
}

impl Describe for Refusal {
    fn describe(&self) -> Problem {
        // One text for all: which part was wrong is nobody's to learn here (art. 4(3)(a)).
        let detail = "Nothing was paid. Look at the payment and approve it again.";
        Problem::new(403, "approval-refused", "The payment was not approved", detail)
    }
}

/// The passkey alone does not suffice for this payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceNeeded;

impl Describe for DeviceNeeded {
    fn describe(&self) -> Problem {
        let detail = "Approve it on a device that is registered as yours.";
        Problem::new(403, "device-needed", "This payment needs a registered device", detail)
    }
}

impl Describe for OfferError {
    fn describe(&self) -> Problem {
        match self {
            Self::Intent(fault) => {
                let detail = "Nothing was put to the payer: see why, and make the payment otherwise.";
                Problem::new(422, "approval-impossible", "This payment cannot be approved", detail)
                    .with("reason", fault.to_string())
            }
            Self::NoPasskey => {
                Problem::new(403, "no-passkey", "There is no passkey to approve with", "Register a passkey first.")
            }
            Self::Database(error) => error.describe(),
        }
    }
}
