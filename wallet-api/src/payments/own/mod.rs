//! A person's own payments: out of their own wallet, agreed to by them, posted once.
//!
//! Three steps, each of one commit. [`Payments::intend`] keeps what is asked as one row, and puts it to its payer
//! ([`sca::offer`]). [`Payments::approve`] judges the answer and keeps the agreement: the evidence's digest on that row, in the
//! transaction that spends the approval; answers that come at once share it ([`Approver`]). Then it is posted, made of the same row, under the payment's id as the journal's key,
//! with the digest in the record.
//! Promise: what was approved is what is posted, to the letter; an approval that was spent posts at most once, however often
//! and by however many it is sent; what happens between the agreement and the posting is not guessed: the journal's key says what
//! became of it. Whoever asks again within [`POST_MINUTES`] posts it, and so does the house ([`Finisher`]) if nobody asks; after
//! that the key is given up in the journal, and so "not paid" is as final as "paid". A refusal of the journal (no money) moves nothing and leaves the evidence.
//! What goes without approval ([`exemption`]) takes its use with the row, and settles it by what the journal says.
//! Not here: what evidence is (`identity::sca`), routes (`payments::routes::own`), limits of levels (the journal's), and caution
//! with what machines pay.

mod approving;
mod caution;
mod finishing;
mod model;
mod offering;
mod store;

use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};
use ledger::{Answer, Body, Key, Record, Scope};
use serde_json::json;
use uuid::Uuid;

pub use approving::Approver;
pub use finishing::Finisher;
pub use model::{Agreed, Agreement, Intended, Offered, Own, OwnWish, PayersAnswer, Stands};

use super::Payments;
use crate::identity::sca::exemption::{self, Outcome};
use crate::loyalty::Config;
use crate::platform::books::{give_up, journal_of};
use crate::platform::http::not_found;
use crate::platform::keyring::{Person, Tenant};
use crate::platform::problem::Problem;

/// How long after the agreement a payment is posted.
pub const POST_MINUTES: i64 = 5;
const POST_FOR: TimeDelta = TimeDelta::minutes(POST_MINUTES);
/// How long after the agreement the house looks whether it was posted: longer than a node takes that lives.
const LOOK_AFTER: TimeDelta = TimeDelta::seconds(10);

impl Payments {
    /// A payment of a person's own, and where it stands.
    ///
    /// # Errors
    /// 404 for one that is not theirs; the journal's problems.
    pub async fn own(&self, tenant: &Tenant, person: Person, id: Uuid) -> Result<Own, Problem> {
        let find = move |conn: &mut diesel::PgConnection, tenant| store::find(conn, tenant, person.id, id);
        let number = tenant.id;
        let found = self.platform.db.of(number).read(move |conn| find(conn, number)).await?;
        self.standing(tenant, scope_of(person), found.ok_or_else(not_found)?).await
    }

    /// A person's own payments, newest first, from before this one on: at most `limit` and one more.
    ///
    /// # Errors
    /// As [`own`](Self::own).
    pub async fn owns(
        &self,
        tenant: &Tenant,
        person: Person,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Vec<Own>, Problem> {
        let (number, most) = (tenant.id, i64::from(limit).saturating_add(1));
        let read = move |conn: &mut diesel::PgConnection| store::page(conn, number, person.id, before, most);
        let mut owns = Vec::new();
        for intended in self.platform.db.of(number).read(read).await? {
            owns.push(self.standing(tenant, scope_of(person), intended).await?);
        }
        Ok(owns)
    }

    async fn standing(&self, tenant: &Tenant, scope: Scope, intended: Intended) -> Result<Own, Problem> {
        let stands = self.stands(tenant, scope, &intended).await?;
        Ok(Own { intended, stands })
    }

    /// Where a payment stands, as the journal says. One whose time to be posted is over is made final.
    async fn stands(&self, tenant: &Tenant, scope: Scope, intended: &Intended) -> Result<Stands, Problem> {
        let now = self.platform.clock.now();
        let Some(agreement) = &intended.agreement else {
            let is_offered = intended.offer.is_some_and(|(_, until)| now < until);
            return Ok(if is_offered { Stands::Waiting } else { Stands::Expired });
        };
        let (journal, key) = (journal_of(tenant), key_of(tenant, scope, intended, agreement.how));
        let read = move |conn: &mut diesel::PgConnection| ledger::read::answer_to(conn, journal, &key);
        match self.platform.db.of(tenant.id).read(read).await? {
            Some(record) => self.told(tenant, intended, Arc::new(record)).await,
            None if now < agreement.post_until => Ok(Stands::Agreed),
            None => {
                let meta = json!({"kind": "payment_lapsed", "customer": intended.person});
                let answer = give_up(&self.journal, tenant, key, meta).await?;
                self.told(tenant, intended, answer.record).await
            }
        }
    }

    /// Posts what was agreed to, or tells what became of it.
    async fn post_agreed(&self, tenant: &Tenant, scope: Scope, intended: Intended) -> Result<Own, Problem> {
        let agreement = intended.agreement.filter(|agreement| self.platform.clock.now() < agreement.post_until);
        let Some(agreement) = agreement else { return self.standing(tenant, scope, intended).await };
        let config = self.programmes.config(&self.platform, tenant.id).await?;
        let (today, key) = (self.today(tenant, &config), key_of(tenant, scope, &intended, agreement.how));
        let posted = self.post(tenant, key, intended.id, &intended.wish(today), Some(agreement.how)).await;
        let paid = match posted {
            Ok(paid) => paid,
            // Its time was over for somebody else: what became of it is certain.
            Err(problem) if problem.code() == "request-abandoned" => {
                return self.standing(tenant, scope, intended).await;
            }
            Err(problem) => return Err(problem),
        };
        let stands = self.settled(tenant, &intended, stands_of(paid)).await?;
        Ok(Own { intended, stands })
    }

    /// Where a record says that a payment stands.
    async fn told(&self, tenant: &Tenant, intended: &Intended, record: Arc<Record>) -> Result<Stands, Problem> {
        if matches!(record.body, Body::Abandoned) {
            return self.settled(tenant, intended, Stands::Lapsed { seq: record.seq }).await;
        }
        let done = self.recalled(tenant, Answer { record, replayed: true }).await?;
        self.settled(tenant, intended, stands_of(done)).await
    }

    /// Settles the exemption of one that needed no approval, by what became of it.
    async fn settled(&self, tenant: &Tenant, intended: &Intended, stands: Stands) -> Result<Stands, Problem> {
        if !matches!(intended.agreement, Some(Agreement { how: Agreed::Exempt(_), .. })) {
            return Ok(stands);
        }
        let outcome = match &stands {
            Stands::Paid(_) => Outcome::Executed,
            Stands::Refused { .. } | Stands::Lapsed { .. } => Outcome::Released,
            Stands::Waiting | Stands::Expired | Stands::Agreed => return Ok(stands),
        };
        let (number, id, now) = (tenant.id, intended.id, self.platform.clock.now());
        let settle = move |conn: &mut diesel::PgConnection| exemption::settle(conn, number, id, outcome, now);
        self.platform.db.of(number).write(settle).await?;
        Ok(stands)
    }

    /// The tenant's day.
    fn today(&self, tenant: &Tenant, config: &Config) -> NaiveDate {
        self.now(config).with_timezone(&tenant.zone).date_naive()
    }
}

fn stands_of(done: super::Paid) -> Stands {
    if let Body::Refused { refusal } = &done.answer.record.body {
        return Stands::Refused { refusal: *refusal, seq: done.answer.record.seq };
    }
    Stands::Paid(Box::new(done))
}

/// Where the keys of a person's own payments are unique.
const fn scope_of(person: Person) -> Scope {
    Scope(person.number)
}

/// The journal's key of a payment: its id, among those of its payer. Its fingerprint is of how they agreed, so that under one
/// agreement nothing is posted that says another.
fn key_of(tenant: &Tenant, scope: Scope, intended: &Intended, how: Agreed) -> Key {
    let how: &[u8] = match &how {
        Agreed::Approved(digest) => digest,
        Agreed::Exempt(article) => article.word().as_bytes(),
    };
    let print = tenant.secret.sign16("own-payment", &[intended.id.as_bytes(), how]);
    Key { scope, key: intended.id, fingerprint: Uuid::from_bytes(print) }
}
