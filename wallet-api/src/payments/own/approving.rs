//! Approving: payers' answers are judged, and what they agree to is posted.
//!
//! Answers that come at once to payments of one tenant are judged in one transaction ([`Together`]), each for itself; where
//! one of them keeps that from being done, each is judged in a transaction of its own.

use std::collections::btree_map::Entry as Place;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use tracing::Span;
use uuid::Uuid;

use super::model::{Agreed, Agreement, Intended, Own, PayersAnswer};
use super::{POST_FOR, caution, scope_of, store};
use crate::identity::passkeys::RelyingParty;
use crate::identity::sca::{self, Approval, DeviceNeeded, DeviceProof, Intent, Refusal, Sealed, Verdict};
use crate::identity::{devices, notices, people, sessions};
use crate::payments::Payments;
use crate::platform::Platform;
use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};
use crate::platform::http::not_found;
use crate::platform::keyring::{Person, Tenant};
use crate::platform::problem::{Describe, Problem};
use crate::platform::together::{Together, Width};

/// While one batch of a tenant's commits, the next is judged.
const WIDTH: Width = Width { batches: 2, questions: 128 };

/// Judges payers' answers; clones share the work.
#[derive(Clone)]
pub struct Approver(Together<i64, Answered, Result<Judged, Problem>>);

/// An answer that came in.
#[derive(Clone)]
struct Answered {
    person: Person,
    party: RelyingParty,
    payment: Uuid,
    answer: PayersAnswer,
    span: Span,
}

/// What an answer came to. Each is kept: what was spent and counted must not come back.
enum Judged {
    Agreed(Box<Intended>),
    DeviceNeeded,
    Refused(Refusal),
}

/// What each payer's answer came to.
type Each = BTreeMap<Uuid, Result<Judged, Problem>>;

impl Payments {
    /// Judges a payer's answer, and posts what it approves. Of a payment that was approved before, it tells what became of it, or
    /// posts it if nobody did: the answer is not looked at then.
    ///
    /// # Errors
    /// 404 for a payment that is not theirs; 403 `approval-refused`, `device-needed`, `caution`; the journal's problems. That the journal refused
    /// is no error.
    #[tracing::instrument(name = "payments.approve", skip_all, fields(tenant = tenant.id, payment.id = %id))]
    pub async fn approve(
        &self,
        tenant: &Tenant,
        person: Person,
        party: &RelyingParty,
        id: Uuid,
        answer: PayersAnswer,
    ) -> Result<Own, Problem> {
        let answered = Answered { person, party: party.clone(), payment: id, answer, span: Span::current() };
        let judged = self.approver.0.ask(tenant.id, answered).await;
        match judged.ok_or_else(|| Problem::internal(&CutShort))?? {
            Judged::Agreed(intended) => self.post_agreed(tenant, scope_of(person), *intended).await,
            Judged::DeviceNeeded => Err(DeviceNeeded.describe()),
            Judged::Refused(refusal) => Err(refusal.describe()),
        }
    }
}

/// The work was given up: what became of the answer is not known here.
#[derive(Debug, thiserror::Error)]
#[error("an approval was cut short")]
struct CutShort;

impl Approver {
    /// One that judges by this ground.
    #[must_use]
    pub fn new(platform: Platform) -> Self {
        let judge = move |tenant, answers| judge_in_turn(platform.clone(), tenant, answers);
        Self(Together::new(WIDTH, judge))
    }
}

/// Judges answers, one of each payer at a time.
async fn judge_in_turn(platform: Platform, tenant: i64, answers: Vec<Answered>) -> Vec<Result<Judged, Problem>> {
    let mut judged = Vec::new();
    let mut waiting: Vec<_> = answers.into_iter().enumerate().collect();
    while !waiting.is_empty() {
        let (mut places, mut turn, mut later) = (Vec::new(), BTreeMap::new(), Vec::new());
        for (place, answered) in waiting {
            match turn.entry(answered.person.id) {
                Place::Vacant(free) => {
                    places.push((place, *free.key()));
                    free.insert(answered);
                }
                Place::Occupied(_) => later.push((place, answered)),
            }
        }
        let mut each = judge_each(&platform, tenant, turn).await;
        let lost = || Err(Problem::internal(&CutShort));
        judged.extend(places.into_iter().map(|(place, person)| (place, each.remove(&person).unwrap_or_else(lost))));
        waiting = later;
    }
    judged.sort_by_key(|(place, _)| *place);
    judged.into_iter().map(|(_, judged)| judged).collect()
}

/// Judges answers of as many payers in one transaction; if that fails, each in one of its own, so that nobody bears what is
/// another's. What all would meet again (no database, no place) is told to all at once.
async fn judge_each(platform: &Platform, tenant: i64, answers: BTreeMap<Uuid, Answered>) -> Each {
    let answers = Arc::new(answers);
    let problem = match judge(platform, tenant, Arc::clone(&answers)).await {
        Ok(each) => return each,
        Err(problem) => problem,
    };
    if answers.len() == 1 || problem.status() == 503 {
        return answers.keys().map(|person| (*person, Err(problem.clone()))).collect();
    }
    let mut each = Each::new();
    for (person, answered) in &*answers {
        match judge(platform, tenant, Arc::new(BTreeMap::from([(*person, answered.clone())]))).await {
            Ok(one) => each.extend(one),
            Err(problem) => _ = each.insert(*person, Err(problem)),
        }
    }
    each
}

async fn judge(platform: &Platform, tenant: i64, answers: Arc<BTreeMap<Uuid, Answered>>) -> Result<Each, Problem> {
    let now = platform.clock.now();
    let bench = Bench { platform: platform.clone(), now, tenant };
    platform.db.of(tenant).write(move |conn| bench.judge(conn, &answers)).await
}

/// What answers are judged by.
struct Bench {
    platform: Platform,
    now: DateTime<Utc>,
    tenant: i64,
}

/// An answer that is to be judged, of the payment it is about.
struct Case<'a> {
    answered: &'a Answered,
    intended: Intended,
    intent: Intent,
    device: Option<DeviceProof>,
}

impl Bench {
    fn judge(&self, conn: &mut PgConnection, answers: &BTreeMap<Uuid, Answered>) -> Result<Each, Problem> {
        let (persons, payments): (Vec<_>, Vec<_>) =
            answers.iter().map(|(person, answered)| (*person, answered.payment)).unzip();
        let locked = store::lock_all(conn, self.tenant, (&persons, &payments))?;
        let standings = sca::hold(conn, self.tenant, &persons)?;
        let mut each = Each::new();
        let mut cases = self.cases(conn, answers, locked, &mut each)?;
        let keeper = Sealed { vault: self.platform.vault.clone(), now: self.now };
        let approvals = cases.iter().map(|(person, case)| (*person, case.approval())).collect();
        let verdicts = sca::approve(conn, self.now, &standings, &approvals, &keeper)?;
        let mut approved = Vec::new();
        for (person, verdict) in verdicts {
            let Some(Case { answered, intended, .. }) = cases.remove(&person) else { continue };
            let judged = match verdict {
                Verdict::Approved(evidence) => {
                    approved.push((intended.id, evidence.digest));
                    Judged::Agreed(Box::new(self.agreed(intended, evidence.digest)))
                }
                Verdict::DeviceNeeded => Judged::DeviceNeeded,
                Verdict::Refused(refusal) => {
                    answered.span.in_scope(|| self.note(conn, person, intended.id, refusal))?;
                    Judged::Refused(refusal)
                }
            };
            each.insert(person, Ok(judged));
        }
        if !approved.is_empty() {
            store::set_approved(conn, self.tenant, &approved, (self.now, self.now + POST_FOR))?;
        }
        Ok(each)
    }

    fn agreed(&self, intended: Intended, digest: [u8; 32]) -> Intended {
        let how = Agreed::Approved(digest);
        Intended { agreement: Some(Agreement { how, at: self.now, post_until: self.now + POST_FOR }), ..intended }
    }

    /// The answers that are to be judged; what others come to is told.
    fn cases<'a>(
        &self,
        conn: &mut PgConnection,
        answers: &'a BTreeMap<Uuid, Answered>,
        locked: Vec<Intended>,
        each: &mut Each,
    ) -> Result<BTreeMap<Uuid, Case<'a>>, Problem> {
        let persons: Vec<_> = answers.keys().copied().collect();
        let cautions = people::cautions(conn, self.tenant, &persons, self.now)?;
        let mut locked: HashMap<_, _> = locked.into_iter().map(|one| ((one.person, one.id), one)).collect();
        let mut devices = self.device_proofs(conn, answers)?;
        let mut cases = BTreeMap::new();
        for (person, answered) in answers {
            let Some(intended) = locked.remove(&(*person, answered.payment)) else {
                each.insert(*person, Err(not_found()));
                continue;
            };
            if intended.agreement.is_some() {
                each.insert(*person, Ok(Judged::Agreed(Box::new(intended))));
                continue;
            }
            if let Some(caution) = cautions.get(person) {
                let of = (self.tenant, *person);
                if let Err(problem) = caution::bears(conn, self.now, *caution, of, intended.amount_minor) {
                    each.insert(*person, Err(problem));
                    continue;
                }
            }
            let (intent, device) = (intended.intent(self.tenant), devices.remove(person));
            cases.insert(*person, Case { answered, intended, intent, device });
        }
        Ok(cases)
    }

    /// The devices' own proofs: by the key of the device that each session is at, if it has one and was not revoked.
    fn device_proofs(
        &self,
        conn: &mut PgConnection,
        answers: &BTreeMap<Uuid, Answered>,
    ) -> QueryResult<HashMap<Uuid, DeviceProof>> {
        let signed = |answered: &Answered| Some((answered.person, answered.answer.device_signature.clone()?));
        let signed: Vec<_> = answers.values().filter_map(signed).collect();
        if signed.is_empty() {
            return Ok(HashMap::new());
        }
        let sessions: Vec<_> = signed.iter().map(|(person, _)| (person.session, person.id)).collect();
        let at = sessions::devices_of(conn, self.now, self.tenant, &sessions)?;
        let keys = devices::keys(conn, self.tenant, &at.values().copied().collect::<Vec<_>>())?;
        let proof = |(person, signature): (Person, Vec<u8>)| {
            let (_, key) = keys.get(at.get(&person.session)?).filter(|(owner, _)| *owner == person.id)?;
            Some((person.id, DeviceProof::of(key, signature)?))
        };
        Ok(signed.into_iter().filter_map(proof).collect())
    }

    /// What of a refusal others must know of. Each single failure is counted, and is in no log.
    fn note(&self, conn: &mut PgConnection, person: Uuid, payment: Uuid, refusal: Refusal) -> QueryResult<()> {
        let actor = Actor::Person(person);
        let entry = |action| Entry::done(self.tenant, actor, action, Object::Payment(payment)).about(person).refused();
        if refusal.is_tampered {
            tracing::error!(payment.id = %payment, "a payment is not the one that was approved: somebody changed it");
            audit::append(conn, &entry(Action::ApprovalOfAnother), self.now)?;
        }
        if let Some(notice) = refusal.notice {
            let told = notices::Notice::Approvals(notice);
            notices::tell(conn, &self.platform.ids, self.now, (self.tenant, person), told)?;
            let is_barred = matches!(notice, sca::Notice::Barred);
            let entry = entry(Action::ApprovalsBlocked).with("for_good", Fact::Flag(is_barred));
            audit::append(conn, &entry, self.now)?;
        }
        Ok(())
    }
}

impl Case<'_> {
    fn approval(&self) -> Approval<'_> {
        let Answered { party, answer, span, .. } = self.answered;
        Approval {
            offer: answer.offer,
            intent: &self.intent,
            party,
            method: answer.method,
            assertion: &answer.assertion,
            device: self.device.as_ref(),
            span,
        }
    }
}
