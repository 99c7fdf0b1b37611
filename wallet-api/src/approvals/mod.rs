//! Approvals: what one person asked for and takes four eyes is decided by another, and done from the very bytes that were asked.
//!
//! Promise: done once. A table of limits and a rule of strong authentication are published in the transaction of the decision; a refund is posted after it under
//! the request's id as the journal's key; an erasure forgets once by itself. So where the answer was lost, or a node died between
//! decision and deed, approving again does what is not done and tells what is, for as long as the request stands. What the
//! books refuse then is refused for good, and the decision stays. Whoever decides may also do what the act is about; what they
//! may not decide is to them not there.
//! Not here: who asks (refunds, limits, erasures, rules), whose eyes are whose (`identity::four_eyes`), corrections of the books.

mod routes;

use actix_web::web;
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use ledger::Journal;
use serde_json::Value;
use uuid::Uuid;

pub use routes::routes;

use crate::identity::four_eyes::{self, Act, EyesError, Filter, Proposal};
use crate::identity::sca::rules;
use crate::levels;
use crate::payments::Payments;
use crate::platform::Platform;
use crate::platform::keyring::{Caller, Scope};
use crate::platform::post::Post;
use crate::platform::problem::{Describe, Problem};
use crate::privacy::{self, Erasing};

/// What was asked that the caller may decide, newest first, their own requests among it: what waits, or all.
///
/// # Errors
/// 403 `role-missing` or `scope-missing`; the database's.
pub async fn page(
    caller: &Caller,
    platform: &Platform,
    (is_all, before): (bool, Option<(DateTime<Utc>, Uuid)>),
    most: i64,
) -> Result<Vec<Proposal>, Problem> {
    caller.require(Scope::Approvals)?;
    let acts = Act::ALL.into_iter().filter(|act| caller.require(act.decided_with()).is_ok()).collect();
    let (tenant, now) = (caller.tenant.id, platform.clock.now());
    let filter = Filter { acts, pending_at: (!is_all).then_some(now), before };
    let read = move |conn: &mut PgConnection| four_eyes::page(conn, tenant, &filter, most);
    platform.db.of(tenant).read(read).await
}

/// What was asked, to whoever may decide such an act. To others it is not there.
///
/// # Errors
/// 403 `role-missing` or `scope-missing`, 404 `request-for-eyes-unknown`; the database's.
pub async fn find(caller: &Caller, platform: &Platform, id: Uuid) -> Result<Proposal, Problem> {
    caller.require(Scope::Approvals)?;
    let tenant = caller.tenant.id;
    let found = platform.db.of(tenant).read(move |conn| four_eyes::find(conn, tenant, id)).await?;
    let found = found.filter(|it| caller.require(it.act.decided_with()).is_ok());
    found.ok_or_else(|| EyesError::Unknown.describe())
}

/// Rejects what somebody else asked for. Again changes nothing.
///
/// # Errors
/// As [`find`]; [`EyesError`].
pub async fn reject(caller: &Caller, platform: &Platform, id: Uuid) -> Result<Proposal, Problem> {
    let id = find(caller, platform, id).await?.id;
    let (tenant, by, now) = (caller.tenant.id, caller.clone(), platform.clock.now());
    let decide = move |conn: &mut PgConnection| four_eyes::decide(conn, now, &by, id, false);
    let (rejected, _) = platform.db.of(tenant).write(decide).await??;
    Ok(rejected)
}

/// What doing it takes.
pub struct Hands {
    /// The ground.
    pub platform: web::Data<Platform>,
    /// The books.
    pub journal: web::Data<Journal>,
    /// What refunds.
    pub payments: web::Data<Payments>,
    /// What writes to who was forgotten.
    pub post: web::Data<Post>,
}

impl Hands {
    /// Approves what somebody else asked for, and does it; of an erasure with its signed receipt. Again it does what is not done.
    ///
    /// # Errors
    /// As [`find`]; [`EyesError`]; what refunds, limits and erasures refuse.
    pub async fn approve(&self, caller: &Caller, id: Uuid) -> Result<(Proposal, Option<Value>), Problem> {
        let found = find(caller, &self.platform, id).await?;
        let approved = self.decide(caller, &found).await?;
        let mut receipt = None;
        match approved.act {
            Act::Limits => self.payments.levels.forget(caller.tenant.id),
            Act::ScaRule => {} // every payment reads the rules anew
            Act::Refund => self.payments.refund_approved(&caller.tenant, &approved).await?,
            Act::Erasure => {
                let (platform, journal) = (&self.platform, &self.journal);
                let (customers, post) = (&self.payments.customers, &self.post);
                let with = Erasing { platform, journal, customers, post, tenant: &caller.tenant };
                let signed = privacy::erase_approved(with, caller.actor.into(), &approved).await?;
                receipt = Some(serde_json::to_value(signed).map_err(|error| Problem::internal(&error))?);
            }
        }
        Ok((approved, receipt))
    }

    /// Decides, and publishes in the same transaction what is done so. A refusal is kept, and what it counted.
    async fn decide(&self, caller: &Caller, found: &Proposal) -> Result<Proposal, Problem> {
        let (platform, tenant, id) = (&self.platform, caller.tenant.id, found.id);
        let now = platform.clock.now();
        let present = levels::present(platform, &self.payments.programmes, tenant).await?;
        let by = caller.clone();
        let decide = move |conn: &mut PgConnection| -> Result<Result<Proposal, EyesError>, Problem> {
            let (approved, was_before) = match four_eyes::decide(conn, now, &by, id, true)? {
                Ok(decided) => decided,
                Err(refused) => return Ok(Err(refused)),
            };
            if was_before {
                return Ok(Ok(approved));
            }
            match approved.act {
                Act::Limits => levels::publish_approved(conn, (now, present), by.actor.into(), tenant, &approved)?,
                Act::ScaRule => rules::publish_approved(conn, now, by.actor.into(), tenant, &approved)?,
                Act::Refund | Act::Erasure => {} // done after it
            }
            Ok(Ok(approved))
        };
        Ok(platform.db.of(tenant).write(decide).await??)
    }
}
