//! Approving: the payer's answer is judged, and what it agrees to is posted.

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

use super::model::{Agreed, Agreement, Intended, Own, PayersAnswer};
use super::{POST_FOR, caution, scope_of, store};
use crate::identity::passkeys::RelyingParty;
use crate::identity::sca::{self, Approval, DeviceNeeded, DeviceProof, Payer, Refusal, Sealed, Verdict};
use crate::identity::{devices, notices, sessions};
use crate::payments::Payments;
use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};
use crate::platform::http::not_found;
use crate::platform::ids::Ids;
use crate::platform::keyring::{Person, Tenant};
use crate::platform::problem::{Describe, Problem};

/// What an answer came to. Each is kept: what was spent and counted must not come back.
enum Judged {
    Agreed(Box<Intended>),
    DeviceNeeded,
    Refused(Refusal),
}

/// What an answer is judged by.
struct Bench {
    party: RelyingParty,
    keeper: Sealed,
    ids: Ids,
    now: DateTime<Utc>,
    tenant: i64,
    person: Person,
}

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
        let now = self.platform.clock.now();
        let keeper = Sealed { vault: self.platform.vault.clone(), now };
        let ids = self.platform.ids.clone();
        let bench = Bench { party: party.clone(), keeper, ids, now, tenant: tenant.id, person };
        match self.platform.db.of(tenant.id).write(move |conn| bench.judge(conn, id, &answer)).await? {
            Judged::Agreed(intended) => self.post_agreed(tenant, scope_of(person), *intended).await,
            Judged::DeviceNeeded => Err(DeviceNeeded.describe()),
            Judged::Refused(refusal) => Err(refusal.describe()),
        }
    }
}

impl Bench {
    fn judge(&self, conn: &mut PgConnection, id: Uuid, answer: &PayersAnswer) -> Result<Judged, Problem> {
        let intended = store::lock(conn, self.tenant, self.person.id, id)?.ok_or_else(not_found)?;
        if intended.agreement.is_some() {
            return Ok(Judged::Agreed(Box::new(intended)));
        }
        caution::allows(conn, self.now, (self.tenant, self.person.id), intended.amount_minor)?;
        let device = self.device_proof(conn, answer)?;
        let intent = intended.intent(self.tenant);
        let approval = Approval {
            payer: Payer { tenant: self.tenant, person: self.person.id },
            offer: answer.offer,
            intent: &intent,
            method: answer.method,
            assertion: &answer.assertion,
            device: device.as_ref(),
        };
        match sca::approve(conn, self.now, &self.party, &approval, &self.keeper)? {
            Verdict::Approved(evidence) => {
                let how = Agreed::Approved(evidence.digest);
                let agreement = Agreement { how, at: self.now, post_until: self.now + POST_FOR };
                store::set_agreement(conn, self.tenant, id, &agreement)?;
                Ok(Judged::Agreed(Box::new(Intended { agreement: Some(agreement), ..intended })))
            }
            Verdict::DeviceNeeded => Ok(Judged::DeviceNeeded),
            Verdict::Refused(refusal) => {
                self.note(conn, id, refusal)?;
                Ok(Judged::Refused(refusal))
            }
        }
    }

    /// The device's own proof: by the key of the device that this session is at, if it has one and was not revoked.
    fn device_proof(&self, conn: &mut PgConnection, answer: &PayersAnswer) -> QueryResult<Option<DeviceProof>> {
        let Some(signature) = answer.device_signature.clone() else { return Ok(None) };
        let living = sessions::living(conn, self.now, self.tenant, self.person.id)?;
        let Some(session) = living.into_iter().find(|session| session.id == self.person.session) else {
            return Ok(None);
        };
        let device = devices::find(conn, self.tenant, self.person.id, session.device)?;
        let key = device.filter(|device| device.revoked_at.is_none()).and_then(|device| device.key);
        Ok(key.and_then(|key| DeviceProof::of(&key, signature)))
    }

    /// What of a refusal others must know of. Each single failure is counted, and is in no log.
    fn note(&self, conn: &mut PgConnection, id: Uuid, refusal: Refusal) -> QueryResult<()> {
        let actor = Actor::Person(self.person.id);
        let entry =
            |action| Entry::done(self.tenant, actor, action, Object::Payment(id)).about(self.person.id).refused();
        if refusal.is_tampered {
            tracing::error!(payment.id = %id, "a payment is not the one that was approved: somebody changed it");
            audit::append(conn, &entry(Action::ApprovalOfAnother), self.now)?;
        }
        if let Some(notice) = refusal.notice {
            let told = notices::Notice::Approvals(notice);
            notices::tell(conn, &self.ids, self.now, (self.tenant, self.person.id), told)?;
            let is_barred = matches!(notice, sca::Notice::Barred);
            let entry = entry(Action::ApprovalsBlocked).with("for_good", Fact::Flag(is_barred));
            audit::append(conn, &entry, self.now)?;
        }
        Ok(())
    }
}
