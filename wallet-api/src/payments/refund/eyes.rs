//! Refunds that wait for another pair of eyes: asked for under an id that follows from the client's key, done under that id as
//! the journal's key.
//!
//! Promise: what waits under a key that was given up is withdrawn with it, and what was approved is told as what it came to.

use std::sync::Arc;

use diesel::PgConnection;
use ledger::{Answer, Body, JournalError, Key, Record, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{Alone, RefundWish, Refunded, overtaken};
use crate::identity::four_eyes::{self, Act, Proposal, Wish};
use crate::payments::Payments;
use crate::platform::audit::Object;
use crate::platform::books::{HOUSE, give_up, journal_of, refusal_code};
use crate::platform::ids::derived;
use crate::platform::keyring::{Caller, Tenant};
use crate::platform::problem::{Describe, Problem};
use crate::platform::reply::created;

/// A refund as it waits for another pair of eyes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    amount_minor: i64,
    hook_depth: i16,
    owing: bool,
    payment: Uuid,
    /// The fingerprint of the request that asked for it.
    request: Uuid,
}

impl Payments {
    /// Has a refund wait for another pair of eyes, and gives what waits. None when the journal has an answer to the key by now:
    /// whoever resolves it looks for what waits once the key is given up, so one of the two sees the other.
    pub(super) async fn ask_eyes(
        &self,
        alone: &Alone<'_>,
        key: Key,
        payment: Uuid,
        wish: RefundWish,
    ) -> Result<Option<Proposal>, Problem> {
        let RefundWish { amount_minor, owing, hook_depth } = wish;
        let amount_minor = amount_minor.unwrap_or_default();
        let asked = Asked { amount_minor, hook_depth, owing, payment, request: key.fingerprint };
        let body = serde_json_canonicalizer::to_vec(&asked).map_err(|error| Problem::internal(&error))?;
        let wish = Wish { act: Act::Refund, object: Object::Payment(payment), body };
        let (by, id, now) = (alone.by.clone(), alone.request, self.platform.clock.now());
        let tenant = by.tenant.id;
        let ask = move |conn: &mut PgConnection| four_eyes::ask(conn, (id, now), &by, &wish);
        let asked = same_request(self.platform.db.of(tenant).write(ask).await?, key)?;
        if self.answered(&alone.by.tenant, key).await?.is_none() {
            return Ok(Some(asked));
        }
        self.withdraw(alone.by, id).await?;
        Ok(None)
    }

    async fn withdraw(&self, by: &Caller, id: Uuid) -> Result<Option<Proposal>, Problem> {
        let (tenant, now, by) = (by.tenant.id, self.platform.clock.now(), by.clone());
        let withdraw = move |conn: &mut PgConnection| four_eyes::withdraw(conn, now, &by, id);
        self.platform.db.of(tenant).write(withdraw).await
    }

    /// What the journal says to a client's key; where a refund waited under it and was approved, what it says to that.
    ///
    /// # Errors
    /// The database's.
    pub async fn answer_to(&self, by: &Caller, key: Key) -> Result<Option<Record>, Problem> {
        let (tenant, id) = (by.tenant.id, request_for(by.tenant.id, key));
        let find = move |conn: &mut PgConnection| four_eyes::find(conn, tenant, id);
        let approved = self.platform.db.of(tenant).read(find).await?.filter(is_approved);
        self.answered(&by.tenant, approved.map_or(key, |asked| key_of(&asked))).await
    }

    /// Gives a client's key up, and with it the refund that waits under it: nobody approves it any more. One that was approved is
    /// what the journal says it is; approved and not done yet, it is given up too.
    ///
    /// # Errors
    /// The database's and the journal's problems: ask again, it is one answer for ever.
    pub async fn give_up(&self, by: &Caller, key: Key) -> Result<Arc<Record>, Problem> {
        let meta = || json!({"kind": "resolve"});
        let answer = give_up(&self.journal, &by.tenant, key, meta()).await?;
        if !matches!(answer.record.body, Body::Abandoned) {
            return Ok(answer.record);
        }
        let waited = self.withdraw(by, request_for(by.tenant.id, key)).await?;
        Ok(match waited.filter(is_approved) {
            Some(approved) => give_up(&self.journal, &by.tenant, key_of(&approved), meta()).await?.record,
            None => answer.record,
        })
    }

    /// What a refund came to that waited: it waits yet, or what the journal said once it was approved.
    pub(super) async fn what_came_of(&self, tenant: &Tenant, asked: Proposal) -> Result<Refunded, Problem> {
        let Some(record) = self.answered(tenant, key_of(&asked)).await? else {
            return Ok(Refunded::Waits(Box::new(asked)));
        };
        let answer = Answer { replayed: true, record: Arc::new(record) };
        overtaken(&answer)?;
        self.recalled(tenant, answer).await.map(Refunded::Done)
    }

    /// What the journal answered to a key; none when it was not asked.
    pub(super) async fn answered(&self, tenant: &Tenant, key: Key) -> Result<Option<Record>, Problem> {
        let journal = journal_of(tenant);
        let answer = move |conn: &mut PgConnection| ledger::read::answer_to(conn, journal, &key);
        self.platform.db.of(tenant.id).read(answer).await
    }

    /// What the journal answered to each refund that was asked for and approved.
    ///
    /// # Errors
    /// The database's.
    pub async fn outcomes(
        &self,
        tenant: &Tenant,
        asked: &[Proposal],
    ) -> Result<Vec<Option<four_eyes::Outcome>>, Problem> {
        let journal = journal_of(tenant);
        let approved = |it: &Proposal| (it.act == Act::Refund && is_approved(it)).then(|| key_of(it));
        let keys: Vec<Option<Key>> = asked.iter().map(approved).collect();
        let read = move |conn: &mut PgConnection| -> Result<Vec<Option<Record>>, ledger::StoreError> {
            let of = |key: &Option<Key>| match key {
                Some(key) => ledger::read::answer_to(conn, journal, key),
                None => Ok(None),
            };
            keys.iter().map(of).collect()
        };
        let records = self.platform.db.of(tenant.id).read(read).await?;
        Ok(records.iter().map(|record| record.as_ref().map(outcome)).collect())
    }

    /// Refunds what another pair of eyes approved, to the letter; again changes nothing.
    ///
    /// # Errors
    /// As [`refund`](Self::refund), and the journal's refusals.
    pub async fn refund_approved(&self, tenant: &Tenant, approved: &Proposal) -> Result<(), Problem> {
        let Asked { amount_minor, hook_depth, owing, payment, .. } = read(approved)?;
        let wish = RefundWish { amount_minor: Some(amount_minor), owing, hook_depth };
        match self.refund(tenant, key_of(approved), payment, wish, None).await? {
            Refunded::Done(done) => created(&done.answer).map(drop), // what the books refused is refused here
            Refunded::Waits(_) => Ok(()),                            // only who asks alone is made to wait
        }
    }
}

/// Under which id a refund waits that was asked for with a key.
pub(super) fn request_for(tenant: i64, key: Key) -> Uuid {
    derived("refund-for-eyes", &[&tenant.to_be_bytes(), &key.scope.0.to_be_bytes(), key.key.as_bytes()])
}

fn is_approved(asked: &Proposal) -> bool {
    asked.decided.is_some_and(|decided| decided.is_approved)
}

/// The journal's key of what is approved.
fn key_of(asked: &Proposal) -> Key {
    let print = derived("refund-approved", &[&asked.fingerprint]);
    Key { scope: HOUSE, key: asked.id, fingerprint: print }
}

fn outcome(record: &Record) -> four_eyes::Outcome {
    let refused = if let Body::Refused { refusal } = &record.body {
        let is_overtaken = matches!(refusal, Refusal::ClaimSpent { .. });
        Some(if is_overtaken { "refund-overtaken" } else { refusal_code(refusal) })
    } else {
        None
    };
    four_eyes::Outcome { seq: record.seq, refused }
}

fn read(asked: &Proposal) -> Result<Asked, Problem> {
    serde_json::from_slice(&asked.body).map_err(|error| Problem::internal(&error))
}

/// One key asks for one thing, as it does without four eyes.
pub(super) fn same_request(asked: Proposal, key: Key) -> Result<Proposal, Problem> {
    if read(&asked)?.request == key.fingerprint { Ok(asked) } else { Err(JournalError::KeyReused.describe()) }
}
