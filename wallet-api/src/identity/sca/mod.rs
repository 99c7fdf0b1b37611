//! Strong customer authentication with dynamic linking: a payer approves one payment, as it was shown, once.
//!
//! [`offer`] keeps the payment's canonical payload, whose hash is the challenge, before anybody shows it; [`approve`] spends
//! it in the caller's transaction and keeps the evidence. Promise: what was approved and what is about to be paid are the
//! same to the letter, or nothing is; one payload approves once, within five minutes, by a passkey of the payer with its
//! user verified; the fifth failure in a row blocks; a failure never says which part was wrong, and touches no counter but
//! the failures'. A refusal is a value: what it spent and counted is committed, so the caller's transaction must not be
//! rolled back for it.
//! Not here: paying, sending notices, device keys (their proof comes in as a [`DeviceProof`]), routes.
//! Law: Regulation (EU) 2018/389, art. 4 (codes), 5 (dynamic linking), 16 (low value: [`exemption`]).

mod currency;
mod device;
mod evidence;
pub mod exemption;
mod failure;
mod keeper;
mod payload;
mod policy;
mod store;

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use data_encoding::BASE64URL_NOPAD;
use diesel::{PgConnection, QueryResult};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

pub use currency::Currency;
pub use device::{DeviceProof, device_message};
pub use evidence::{Evidence, EvidenceFault, Factor, Method, Shown, verify_evidence};
pub use failure::{Notice, Standing};
pub use keeper::{EvidenceCell, InClear, Keeper, Sealed};
pub use payload::{Intent, IntentFault, Payload};
pub use policy::{SyncedRule, needs_device};

use super::passkeys::{self, Asked, CHALLENGE_SECONDS, Holder, HolderKind, Passkey, Purpose, RelyingParty};
use crate::platform::db::join;
use crate::platform::ids::Ids;
use crate::platform::problem::{Describe, Problem};
use crate::platform::vault::VaultError;
use crate::platform::webauthn::{self, Assertion, Ceremony, Fault, Instrument};
use evidence::File;

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

/// An approval that came in.
#[derive(Debug, Clone, Copy)]
pub struct Approval<'a> {
    /// Who.
    pub payer: Payer,
    /// Which offer.
    pub offer: Uuid,
    /// What is about to be paid.
    pub intent: &'a Intent,
    /// How it was approved.
    pub method: Method,
    /// The passkey's answer.
    pub assertion: &'a Assertion,
    /// The device's own proof, by a key that the caller knows to be bound to the payer.
    pub device: Option<&'a DeviceProof>,
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

/// Judges an approval, in the caller's transaction. Spends the offer whatever it comes to.
///
/// # Errors
/// The keeper's and the database's: then nothing was spent. A refusal is no error.
#[tracing::instrument(name = "sca.approve", skip_all, fields(payment.id = %approval.intent.payment_id))]
pub fn approve(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    party: &RelyingParty,
    approval: &Approval<'_>,
    keeper: &dyn Keeper,
) -> Result<Verdict, VaultError> {
    let Payer { tenant, person } = approval.payer;
    join(conn, |conn| {
        // First, and kept until the end: of approvals of one person at once, each sees what the one before it counted.
        let standing = store::lock_standing(conn, tenant, person)?;
        let asked =
            passkeys::spend(conn, tenant, approval.offer, (Purpose::Approve, HolderKind::Person, Some(person)), now)?;
        let passkey = passkeys::usable(conn, tenant, HolderKind::Person, approval.assertion)?;
        let passkey = passkey.filter(|passkey| passkey.holder.id == person);
        let Some(kept) = asked.as_ref().and_then(|asked| serde_json::from_str::<Kept>(&asked.state).ok()) else {
            // Spent, late or none: nothing was tried, so nothing is counted; but it takes as long.
            webauthn::judge_in_vain(approval.assertion);
            return Ok(refused(None, false));
        };
        let Some(passkey) = passkey else {
            webauthn::judge_in_vain(approval.assertion);
            return Ok(failed(conn, approval.payer, standing, Fault::Credential, now)?);
        };
        let judged = judge(party, approval, &kept, &passkey);
        if standing.is_blocked(now) {
            return Ok(refused(None, false));
        }
        passkeys::note(conn, tenant, &passkey, judged, now)?;
        match judged {
            Ok(_) => settle(conn, approval, keeper, &kept, &passkey, standing, now),
            Err(fault) => Ok(failed(conn, approval.payer, standing, fault, now)?),
        }
    })
}

/// Whether the passkey's answer, and the device's where there is one, approve what was kept.
fn judge(
    party: &RelyingParty,
    approval: &Approval<'_>,
    kept: &Kept,
    passkey: &Passkey,
) -> Result<webauthn::Verified, Fault> {
    let (hash, value) = (kept.payload.hash(), kept.payload.decimal().ok_or(Fault::Payment)?);
    let shown = match (approval.method, &kept.instrument) {
        (Method::Passkey, _) => None,
        (Method::Confirmation, Some(instrument)) => Some(evidence::payment_shown(&kept.payload, &value, instrument)),
        (Method::Confirmation, None) => return Err(Fault::Ceremony),
    };
    let ceremony = shown.as_ref().map_or(Ceremony::Get, Ceremony::Payment);
    let is_device_right = approval.device.is_none_or(|device| device.proves(&hash));
    let verified = passkeys::judge(approval.assertion, &party.expects(ceremony, &hash), passkey)?;
    if is_device_right { Ok(verified) } else { Err(Fault::Signature) }
}

/// The answer is right: is it of what is about to be paid, and does it suffice? Then evidence is kept.
fn settle(
    conn: &mut PgConnection,
    approval: &Approval<'_>,
    keeper: &dyn Keeper,
    kept: &Kept,
    passkey: &Passkey,
    standing: Standing,
    now: DateTime<Utc>,
) -> Result<Verdict, VaultError> {
    let Payer { tenant, person } = approval.payer;
    if !kept.payload.is_of(tenant, approval.intent) {
        tracing::warn!(tenant.id = tenant, "a payment is not the one that was approved");
        return Ok(refused(None, true));
    }
    let rule = store::synced_rule(conn, tenant, &approval.intent.currency, now)?;
    if approval.device.is_none() && needs_device(rule, passkey.backup_eligible, approval.intent.amount_minor) {
        return Ok(Verdict::DeviceNeeded);
    }
    let evidence = evidence_of(approval, kept, passkey, rule, now);
    let cell = EvidenceCell { tenant, person, payment_id: evidence.payment_id };
    let sealed = keeper.seal(conn, &cell, &evidence.file)?;
    if !store::insert_evidence(conn, tenant, &evidence, &sealed)? {
        return Ok(refused(None, false));
    }
    if standing != Standing::default() {
        store::set_standing(conn, tenant, person, Standing::default())?;
    }
    store::reset_counters(conn, tenant, approval.intent.payer_account)?;
    Ok(Verdict::Approved(Box::new(evidence)))
}

fn evidence_of(
    approval: &Approval<'_>,
    kept: &Kept,
    passkey: &Passkey,
    rule: Option<SyncedRule>,
    now: DateTime<Utc>,
) -> Evidence {
    let (format, v) = File::format();
    let file = File {
        format,
        v,
        payload: kept.payload.clone(),
        payload_sha256: kept.payload.hash().to_vec(),
        method: approval.method,
        instrument: kept.instrument.clone().filter(|_| approval.method == Method::Confirmation),
        person: approval.payer.person,
        approved_at: now,
        factors: evidence::factors(approval.device.is_some()),
        credential: evidence::Credential {
            id: passkey.credential_id.clone(),
            public_key: passkey.key.to_cose(),
            backup_eligible: passkey.backup_eligible,
            counter_before: passkey.counter,
        },
        assertion: evidence::Parts {
            client_data_json: approval.assertion.client_data_json.clone(),
            authenticator_data: approval.assertion.authenticator_data.clone(),
            signature: approval.assertion.signature.clone(),
        },
        device: approval.device.cloned(),
        rule: evidence::Rule {
            synced_max_minor: rule.map_or(0, |rule| rule.most_minor).to_string(),
            valid_from: rule.map(|rule| rule.valid_from),
        },
    };
    let file = file.write();
    let digest = payload::sha256(&file);
    let (payment_id, person) = (approval.intent.payment_id, approval.payer.person);
    Evidence { payment_id, person, approved_at: now, file, digest }
}

/// A wrong answer to a right offer: it is counted, unless approvals are blocked already.
fn failed(
    conn: &mut PgConnection,
    Payer { tenant, person }: Payer,
    standing: Standing,
    fault: Fault,
    now: DateTime<Utc>,
) -> QueryResult<Verdict> {
    if standing.is_blocked(now) {
        return Ok(refused(None, false));
    }
    tracing::info!(%fault, "an approval was refused");
    let (standing, notice) = standing.after_failure(now);
    store::set_standing(conn, tenant, person, standing)?;
    Ok(refused(notice, false))
}

const fn refused(notice: Option<Notice>, is_tampered: bool) -> Verdict {
    Verdict::Refused(Refusal { notice, is_tampered })
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

/// Waits until nobody else judges an approval of this payer, and keeps others waiting until the transaction ends.
///
/// # Errors
/// The database's.
pub fn wait_for_others(conn: &mut PgConnection, payer: Payer) -> QueryResult<()> {
    store::lock_standing(conn, payer.tenant, payer.person).map(drop)
}

/// Lets somebody approve again who proved anew who they are.
///
/// # Errors
/// The database's.
pub fn readmit(conn: &mut PgConnection, payer: Payer) -> QueryResult<()> {
    store::set_standing(conn, payer.tenant, payer.person, Standing::default())
}

/// Adds a tenant's rule for passkeys that may be synced, from a moment on. Four eyes are the caller's to see to.
///
/// # Errors
/// The database's, also when there is a rule from this very moment.
pub fn set_synced_rule(conn: &mut PgConnection, tenant: i64, currency: Currency, rule: SyncedRule) -> QueryResult<()> {
    store::insert_synced_rule(conn, tenant, currency.code(), rule)
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
