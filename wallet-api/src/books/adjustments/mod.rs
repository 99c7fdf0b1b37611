//! Adjustments: corrections of the books by hand, with four eyes.
//!
//! One proposes, with a reason and words; another approves or rejects before the proposal's time is over. What is
//! approved is posted under a key made from its id: of two approvals at once, and of one that is repeated after a crash
//! between decision and posting, one posting comes. Both eyes stand in the record, with a commitment to the words. What
//! the books cannot take any more when it is approved has its key given up, so that no late twin posts it either.
//! Two pairs of eyes are two people: whoever proposed may not decide by another role, session or key of theirs.
//! A key of the house, which may be in many hands, proposes and decides nothing.
//! Not here: who people are, and other kinds of transfers than moves.

mod model;
mod store;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{Connection, QueryResult};
use ledger::{Body, Command, JournalError, Record};
use serde_json::{Value, json};
use uuid::Uuid;

pub use model::{Adjustment, Transfer};
pub(super) use model::{AdjustmentError, Reason, Status, Wish};
pub(super) use store::Filter;

use super::Books;
use crate::identity::four_eyes;
use crate::platform::audit::{self, Action, Entry, Fact, Object};
use crate::platform::books::{Paper, ask, describe_refusal, give_up, journal_of, refusal_code};
use crate::platform::fields::text;
use crate::platform::http::IdempotencyKey;
use crate::platform::ids::derived;
use crate::platform::keyring::{Caller, Scope, Tenant};
use crate::platform::problem::{Describe, Problem};
use crate::platform::staff;

/// Characters of the words of a proposal or a rejection.
pub(super) const WORDS: std::ops::RangeInclusive<usize> = 1..=500;

impl Books {
    /// Notes a proposal, or finds the one that this key made before; true when it was.
    ///
    /// # Errors
    /// 422 for what cannot be posted so; `key-reused` for another body under the key.
    pub(super) async fn propose(
        &self,
        caller: &Caller,
        key: &IdempotencyKey,
        fingerprint: Uuid,
        wish: Wish,
    ) -> Result<(Adjustment, bool), Problem> {
        let tenant = &caller.tenant;
        let key = key.bytes16(&tenant.secret);
        let (client, number) = (caller.client().to_be_bytes(), tenant.id.to_be_bytes());
        let id = derived("adjustment", &[&number, &client, &key]);
        let mut salt = [0; 32];
        self.platform.ids.fill(&mut salt);
        let now = self.platform.clock.now();
        let proposed = Adjustment::proposed(id, (caller.client(), caller.eyes()), now, salt, wish)?;
        let assets = self.assets(tenant.id).await?;
        let (journal, command) = (journal_of(tenant), proposed.command(&assets)?);
        let request = proposed.request(tenant, command.clone());
        request.check().map_err(|invalid| ledger::JournalError::Invalid(invalid).describe())?;
        let (tenant, by) = (tenant.id, caller.actor);
        let store = move |conn: &mut diesel::PgConnection| -> Result<_, Problem> {
            model::check_accounts(conn, journal, &command)?;
            let new = conn.transaction(|conn| {
                let new = store::insert(conn, tenant, &proposed, fingerprint)?;
                if new {
                    let act = Entry::done(tenant, by, Action::AdjustmentProposed, Object::Adjustment(id));
                    let act = act.with("reason", Fact::Word(proposed.reason.word()));
                    audit::append(conn, &act, now)?;
                }
                Ok::<_, diesel::result::Error>(new)
            })?;
            let (found, print) = store::find(conn, tenant, id)?.ok_or_else(|| AdjustmentError::Unknown.describe())?;
            if print != fingerprint {
                return Err(ledger::JournalError::KeyReused.describe());
            }
            Ok((found, !new))
        };
        self.platform.db.of(tenant).write(store).await
    }

    /// Approves a proposal and posts it. Again, by whoever may: the same posting, and the same answer.
    ///
    /// # Errors
    /// 403 to who may not; [`AdjustmentError`]; the refusal, when the books refused; what the journal says when it is not known to be done,
    /// and then approving it again tells.
    pub async fn approve(&self, caller: &Caller, id: Uuid) -> Result<Adjustment, Problem> {
        caller.require(Scope::LedgerApprove)?;
        let (tenant, by, now) = (caller.tenant.id, caller.clone(), self.platform.clock.now());
        let approved = self.platform.db.of(tenant).write(move |conn| decide(conn, &by, now, id, None)).await??;
        if approved.status == Status::Posted {
            return Ok(approved);
        }
        let record = self.post_adjustment(&caller.tenant, &approved).await?;
        let (seq, refused) = (record.seq, refused(&record));
        let code = refused.as_ref().map(|(code, _)| code.clone());
        let settled = self
            .platform
            .db
            .of(tenant)
            .write(move |conn| store::settle(conn, tenant, id, seq, code.as_deref()))
            .await?;
        match refused {
            Some((_, why)) => Err(why),
            None => settled.ok_or_else(|| AdjustmentError::Unknown.describe()),
        }
    }

    /// Posts what was approved, or finds what became of it. What is no request any more never happens: its key is given up.
    async fn post_adjustment(&self, tenant: &Tenant, approved: &Adjustment) -> Result<Arc<Record>, Problem> {
        let assets = self.assets(tenant.id).await?;
        let ledger::Request { key, command, effective_us, .. } = approved.request(tenant, approved.command(&assets)?);
        let paper = Paper { effective_us, meta: approved.meta(), ..Paper::default() };
        let code = match ask(&self.journal, tenant, key, command, paper).await {
            Err(error @ JournalError::Invalid(_)) if !error.may_pass() => error.describe().code(),
            // Given up before: the record has the reason.
            Err(JournalError::Abandoned { .. }) => "",
            answer => return Ok(answer?.record),
        };
        let meta = json!({"kind": "adjustment", "adjustment": approved.id, "code": code});
        Ok(give_up(&self.journal, tenant, key, meta).await?.record)
    }

    /// Rejects a proposal, and says why. Again changes nothing.
    ///
    /// # Errors
    /// 403 to who may not, 422 without words; [`AdjustmentError`].
    pub async fn reject(&self, caller: &Caller, id: Uuid, words: String) -> Result<Adjustment, Problem> {
        caller.require(Scope::LedgerApprove)?;
        let words = text(words, "/text", WORDS)?;
        let (tenant, by, now) = (caller.tenant.id, caller.clone(), self.platform.clock.now());
        Ok(self.platform.db.of(tenant).write(move |conn| decide(conn, &by, now, id, Some(&words))).await??)
    }

    /// Proposals that wait for another pair of eyes, newest first, for whoever may decide them: their own among them.
    ///
    /// # Errors
    /// 403 to who may not; the database's.
    pub async fn waiting(&self, caller: &Caller, most: i64) -> Result<Vec<Adjustment>, Problem> {
        caller.require(Scope::LedgerRead)?;
        caller.require(Scope::LedgerApprove)?;
        let in_time = Some((false, self.platform.clock.now()));
        let filter = Filter { status: Some(Status::Proposed), expired: in_time, reason: None };
        self.adjustments(caller, filter, None, most).await
    }

    /// One adjustment.
    pub(super) async fn adjustment(&self, caller: &Caller, id: Uuid) -> Result<Option<Adjustment>, Problem> {
        let tenant = caller.tenant.id;
        let found = self.platform.db.of(tenant).read(move |conn| store::find(conn, tenant, id)).await?;
        Ok(found.map(|(adjustment, _)| adjustment))
    }

    /// The next adjustments before one, newest first.
    pub(super) async fn adjustments(
        &self,
        caller: &Caller,
        filter: Filter,
        before: Option<(DateTime<Utc>, Uuid)>,
        limit: i64,
    ) -> Result<Vec<Adjustment>, Problem> {
        let tenant = caller.tenant.id;
        self.platform.db.of(tenant).read(move |conn| store::page(conn, tenant, filter, before, limit)).await
    }
}

/// Why the record that an approved adjustment came to is no posting: the code, and the problem that it is told as.
fn refused(record: &Record) -> Option<(String, Problem)> {
    match &record.body {
        Body::Refused { refusal } => Some((refusal_code(refusal).to_owned(), describe_refusal(refusal, record.seq))),
        Body::Abandoned => {
            let meta = serde_json::from_slice::<Value>(&record.meta).unwrap_or_default();
            let code = meta.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
            let problem = AdjustmentError::Impossible.describe().with("seq", record.seq);
            Some((code.clone(), problem.with("reason", code)))
        }
        Body::Transaction { .. }
        | Body::Opened { .. }
        | Body::Frozen { .. }
        | Body::Changed { .. }
        | Body::Due { .. }
        | Body::ClockMoved { .. } => None,
    }
}

/// Decides a proposal, with words to reject it and none to approve it; one that was decided the same way before is found.
/// A decision is in the audit log with itself, and so is the try of whoever proposed it or has no eyes: a refusal is a value, so
/// that this is committed.
fn decide(
    conn: &mut diesel::PgConnection,
    by: &Caller,
    now: DateTime<Utc>,
    id: Uuid,
    reject: Option<&str>,
) -> QueryResult<Result<Adjustment, AdjustmentError>> {
    let (tenant, client, eyes) = (by.tenant.id, by.client(), by.eyes());
    let (decided, action) = match reject {
        Some(_) => (Status::Rejected, Action::AdjustmentRejected),
        None => (Status::Approved, Action::AdjustmentApproved),
    };
    let has_eyes = staff::acts(by);
    let is_orphaned = reject.is_none() && is_orphaned(conn, tenant, id)?;
    // The update matches an open proposal of another only: of two at once, the second finds what the first decided.
    let is_new = has_eyes && !is_orphaned && store::decide(conn, tenant, id, decided, reject, (client, eyes, now))?;
    let Some((found, _)) = store::find(conn, tenant, id)? else { return Ok(Err(AdjustmentError::Unknown)) };
    let act = Entry::done(tenant, by.actor, action, Object::Adjustment(id));
    let is_same = found.proposed_eyes == eyes;
    let refused = if is_same {
        Some(AdjustmentError::SameEyes)
    } else if !has_eyes {
        Some(AdjustmentError::Eyeless)
    } else if is_orphaned && found.status == Status::Proposed && found.expires_at > now {
        Some(AdjustmentError::Orphaned)
    } else {
        None
    };
    if let Some(refused) = refused {
        audit::append(conn, &act.refused(), now)?;
        return Ok(Err(refused));
    }
    if is_new {
        audit::append(conn, &act, now)?;
    }
    Ok(match (found.status, decided) {
        (Status::Rejected, Status::Rejected)
        | (Status::Approved | Status::Posted | Status::Refused, Status::Approved) => Ok(found),
        (Status::Proposed, _) => Err(AdjustmentError::Expired),
        (Status::Rejected | Status::Approved | Status::Posted | Status::Refused, _) => Err(AdjustmentError::Decided),
    })
}

/// Whether whoever proposed it could not any more: they left, or lost the role that it took.
fn is_orphaned(conn: &mut diesel::PgConnection, tenant: i64, id: Uuid) -> QueryResult<bool> {
    let Some((found, _)) = store::find(conn, tenant, id)? else { return Ok(false) };
    let asked = (found.proposed_by, found.proposed_eyes);
    four_eyes::is_orphaned(conn, tenant, asked, (Scope::LedgerAdjust, found.proposed_at))
}

impl Adjustment {
    /// The request that it is once it is approved: the same for ever.
    fn request(&self, tenant: &Tenant, command: Command) -> ledger::Request {
        let key = derived("adjustment-posting", &[self.id.as_bytes()]);
        ledger::Request {
            journal: journal_of(tenant),
            key: ledger::Key { scope: model::SCOPE, key, fingerprint: key },
            command,
            effective_us: self.effective_at.map(|at| at.timestamp_micros()),
            meta: self.meta().to_string().into_bytes(),
            companions: Vec::new(),
        }
    }
}
