//! Approving: what payers answered is judged, each for itself, in one transaction.
//!
//! First every row that an answer is judged by is read and locked, for all of them at once ([`Ground`]); then each answer is
//! decided on, purely ([`decide`]); then what they change is written, for all of them at once ([`write`]). A person has one
//! answer in a transaction, so none depends on what another one counted.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::result::Error as SqlError;
use diesel::{PgConnection, QueryResult};
use tracing::Span;
use uuid::Uuid;

use super::evidence::{self, Evidence, File, Method};
use super::failure::{Notice, Standing};
use super::keeper::{EvidenceCell, Keeper};
use super::policy::{SyncedRule, needs_device};
use super::{DeviceProof, Intent, Kept, Refusal, Verdict, payload, store};
use crate::identity::passkeys::{self, HolderKind, Passkey, Purpose, RelyingParty};
use crate::platform::vault::VaultError;
use crate::platform::webauthn::{self, Assertion, Ceremony, Fault};

/// An approval that came in.
#[derive(Clone, Copy)]
pub struct Approval<'a> {
    /// Which offer.
    pub offer: Uuid,
    /// What is about to be paid.
    pub intent: &'a Intent,
    /// Whose passkeys they are.
    pub party: &'a RelyingParty,
    /// How it was approved.
    pub method: Method,
    /// The passkey's answer.
    pub assertion: &'a Assertion,
    /// The device's own proof, by a key that the caller knows to be bound to the payer.
    pub device: Option<&'a DeviceProof>,
    /// What is logged of it is logged within this.
    pub span: &'a Span,
}

/// How payers stand who are kept from being judged elsewhere until the transaction ends: of approvals of one person at once,
/// each sees what the one before it counted.
#[derive(Debug)]
pub struct Standings {
    tenant: i64,
    of: HashMap<Uuid, Standing>,
}

/// Waits until nobody else judges approvals of these payers, and keeps others waiting until the transaction ends.
///
/// # Errors
/// The database's.
pub fn hold(conn: &mut PgConnection, tenant: i64, persons: &[Uuid]) -> QueryResult<Standings> {
    Ok(Standings { tenant, of: store::lock_standings(conn, tenant, persons)? })
}

/// Judges approvals, at most one of each payer, in the caller's transaction, which holds them. Spends their offers whatever
/// they come to.
///
/// # Errors
/// The keeper's and the database's, for all of them, and when a payer is not held: then nothing was spent, once the transaction
/// is rolled back. A refusal is no error.
#[tracing::instrument(name = "sca.approve", skip_all, fields(approvals = approvals.len()))]
pub fn approve(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    standings: &Standings,
    approvals: &BTreeMap<Uuid, Approval<'_>>,
    keeper: &dyn Keeper,
) -> Result<BTreeMap<Uuid, Verdict>, VaultError> {
    let tenant = standings.tenant;
    if approvals.keys().any(|person| !standings.of.contains_key(person)) {
        return Err(SqlError::NotFound.into());
    }
    let mut ground = Ground::read(conn, now, tenant, approvals)?;
    let judged = approvals.iter().filter_map(|(person, approval)| {
        let held = Held {
            standing: *standings.of.get(person)?,
            kept: ground.kept.remove(&approval.offer),
            passkey: ground.passkeys.remove(person),
            rule: ground.rules.get(approval.intent.currency.as_str()).copied(),
        };
        let decision = approval.span.in_scope(|| decide((tenant, *person), now, approval, held));
        Some((*person, decision))
    });
    let mut decisions: BTreeMap<_, _> = judged.collect();
    write(conn, now, tenant, keeper, approvals, &mut decisions)?;
    Ok(decisions.into_iter().map(|(person, decision)| (person, decision.verdict)).collect())
}

/// What answers are judged by: spent and locked.
struct Ground<'a> {
    /// By the offer.
    kept: HashMap<Uuid, Kept>,
    /// By the person.
    passkeys: HashMap<Uuid, Passkey>,
    /// By the currency.
    rules: HashMap<&'a str, SyncedRule>,
}

impl<'a> Ground<'a> {
    fn read(
        conn: &mut PgConnection,
        now: DateTime<Utc>,
        tenant: i64,
        approvals: &BTreeMap<Uuid, Approval<'a>>,
    ) -> QueryResult<Self> {
        let offers: Vec<_> = approvals.iter().map(|(person, approval)| (approval.offer, *person)).collect();
        let spent = passkeys::spend_all(conn, tenant, (Purpose::Approve, HolderKind::Person), &offers, now)?;
        let kept =
            spent.into_iter().filter_map(|(offer, asked)| Some((offer, serde_json::from_str(&asked.state).ok()?)));
        let named: Vec<_> = approvals.iter().map(|(person, approval)| (*person, approval.assertion)).collect();
        let passkeys = passkeys::usable_all(conn, tenant, HolderKind::Person, &named)?;
        let currencies: HashSet<_> = approvals.values().map(|approval| approval.intent.currency.as_str()).collect();
        let mut rules = HashMap::new();
        for currency in currencies {
            rules.extend(store::synced_rule(conn, tenant, currency, now)?.map(|rule| (currency, rule)));
        }
        Ok(Self { kept: kept.collect(), passkeys, rules })
    }
}

/// What one answer is judged by.
struct Held {
    standing: Standing,
    kept: Option<Kept>,
    passkey: Option<Passkey>,
    rule: Option<SyncedRule>,
}

/// What an answer comes to, and what of it is to be written beside its evidence.
struct Decision {
    verdict: Verdict,
    /// How its payer stood, and how they stand now.
    standing: (Standing, Standing),
    /// Of the credential that answered.
    judged: Option<(Uuid, Result<webauthn::Verified, Fault>)>,
}

/// What an answer comes to. Whatever is wrong with it takes as long.
fn decide((tenant, person): (i64, Uuid), now: DateTime<Utc>, approval: &Approval<'_>, held: Held) -> Decision {
    let Held { standing, kept, passkey, rule } = held;
    let (kept, passkey) = match (kept, passkey) {
        (Some(kept), Some(passkey)) => (kept, passkey),
        (kept, _) => {
            webauthn::judge_in_vain(approval.assertion);
            // Spent, late or none: nothing was tried, so nothing is counted.
            return if kept.is_some() { failed(standing, Fault::Credential, now) } else { unchanged(standing) };
        }
    };
    let judged = judge(approval, &kept, &passkey);
    if standing.is_blocked(now) {
        return unchanged(standing);
    }
    let decision = match judged {
        Ok(_) => settled((tenant, person), now, approval, &kept, &passkey, (standing, rule)),
        Err(fault) => failed(standing, fault, now),
    };
    Decision { judged: Some((passkey.id, judged)), ..decision }
}

/// Whether the passkey's answer, and the device's where there is one, approve what was kept.
fn judge(approval: &Approval<'_>, kept: &Kept, passkey: &Passkey) -> Result<webauthn::Verified, Fault> {
    let (hash, value) = (kept.payload.hash(), kept.payload.decimal().ok_or(Fault::Payment)?);
    let shown = match (approval.method, &kept.instrument) {
        (Method::Passkey, _) => None,
        (Method::Confirmation, Some(instrument)) => Some(evidence::payment_shown(&kept.payload, &value, instrument)),
        (Method::Confirmation, None) => return Err(Fault::Ceremony),
    };
    let ceremony = shown.as_ref().map_or(Ceremony::Get, Ceremony::Payment);
    let is_device_right = approval.device.is_none_or(|device| device.proves(&hash));
    let verified = passkeys::judge(approval.assertion, &approval.party.expects(ceremony, &hash), passkey)?;
    if is_device_right { Ok(verified) } else { Err(Fault::Signature) }
}

/// The answer is right: is it of what is about to be paid, and does it suffice? Then it is evidence.
fn settled(
    (tenant, person): (i64, Uuid),
    now: DateTime<Utc>,
    approval: &Approval<'_>,
    kept: &Kept,
    passkey: &Passkey,
    (standing, rule): (Standing, Option<SyncedRule>),
) -> Decision {
    if !kept.payload.is_of(tenant, approval.intent) {
        tracing::warn!(tenant.id = tenant, "a payment is not the one that was approved");
        return Decision { verdict: refused(None, true), ..unchanged(standing) };
    }
    if approval.device.is_none() && needs_device(rule, passkey.backup_eligible, approval.intent.amount_minor) {
        return Decision { verdict: Verdict::DeviceNeeded, ..unchanged(standing) };
    }
    let evidence = evidence_of(person, approval, kept, passkey, rule, now);
    Decision { verdict: Verdict::Approved(Box::new(evidence)), standing: (standing, Standing::default()), judged: None }
}

fn evidence_of(
    person: Uuid,
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
        person,
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
    Evidence { payment_id: approval.intent.payment_id, person, approved_at: now, file, digest }
}

/// A wrong answer to a right offer: it is counted, unless approvals are blocked already.
fn failed(standing: Standing, fault: Fault, now: DateTime<Utc>) -> Decision {
    if standing.is_blocked(now) {
        return unchanged(standing);
    }
    tracing::info!(%fault, "an approval was refused");
    let (after, notice) = standing.after_failure(now);
    Decision { verdict: refused(notice, false), standing: (standing, after), judged: None }
}

/// A refusal that counts nowhere.
const fn unchanged(standing: Standing) -> Decision {
    Decision { verdict: refused(None, false), standing: (standing, standing), judged: None }
}

/// A refusal. Which part was wrong is nobody's to learn.
pub(super) const fn refused(notice: Option<Notice>, is_tampered: bool) -> Verdict {
    Verdict::Refused(Refusal { notice, is_tampered })
}

/// Writes what was decided: credentials' counters, evidence, failures, and of who approved that they did.
fn write(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    keeper: &dyn Keeper,
    approvals: &BTreeMap<Uuid, Approval<'_>>,
    decisions: &mut BTreeMap<Uuid, Decision>,
) -> Result<(), VaultError> {
    let judged: Vec<_> = decisions.values().filter_map(|decision| decision.judged).collect();
    passkeys::note(conn, tenant, &judged, now)?;
    let kept = keep(conn, tenant, keeper, decisions)?;
    // A payment that has its approval takes no second one.
    for (_, decision) in decisions.iter_mut().filter(|(person, _)| !kept.contains(*person)) {
        if matches!(decision.verdict, Verdict::Approved(_)) {
            *decision = unchanged(decision.standing.0);
        }
    }
    for (person, decision) in decisions.iter().filter(|(_, decision)| decision.standing.0 != decision.standing.1) {
        store::set_standing(conn, tenant, *person, decision.standing.1)?;
    }
    let approved = approvals.iter().filter(|(person, _)| kept.contains(person));
    let accounts: Vec<_> = approved.map(|(_, approval)| approval.intent.payer_account).collect();
    if !accounts.is_empty() {
        store::reset_counters(conn, tenant, &accounts)?;
    }
    Ok(())
}

/// Keeps the evidence of who approved, sealed; whose it was kept of.
fn keep(
    conn: &mut PgConnection,
    tenant: i64,
    keeper: &dyn Keeper,
    decisions: &BTreeMap<Uuid, Decision>,
) -> Result<HashSet<Uuid>, VaultError> {
    let evidence = decisions.values().filter_map(|decision| match &decision.verdict {
        Verdict::Approved(evidence) => Some(&**evidence),
        Verdict::DeviceNeeded | Verdict::Refused(_) => None,
    });
    let evidence: Vec<_> = evidence.collect();
    if evidence.is_empty() {
        return Ok(HashSet::new());
    }
    let cell = |evidence: &Evidence| EvidenceCell { tenant, person: evidence.person, payment_id: evidence.payment_id };
    let files: Vec<_> = evidence.iter().map(|evidence| (cell(evidence), evidence.file.as_slice())).collect();
    let sealed = keeper.seal(conn, &files)?;
    let rows: Vec<_> = evidence.into_iter().zip(sealed).collect();
    Ok(store::insert_evidence(conn, tenant, &rows)?.into_iter().collect())
}
