//! Forgetting a person: who asks for it, or whom two of the staff decided on.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::PgConnection;
use ledger::{Body, Change, Command, Invalid, Journal, JournalError, Key, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::identity::four_eyes::Proposal;
use crate::identity::sessions::{self, End};
use crate::platform::Platform;
use crate::platform::audit::{self, Action, Actor, Entry, Object};
use crate::platform::books::{HOUSE, Paper, ask, describe_refusal};
use crate::platform::chart::Purpose;
use crate::platform::keyring::{Person, Tenant};
use crate::platform::problem::Problem;
use crate::platform::vault::{Forgotten, Receipt};
use crate::profile::Customers;

/// How long ago the person may have shown that it is them.
const FRESH: TimeDelta = TimeDelta::minutes(5);

/// An erasure as it waits for another pair of eyes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ordered {
    /// Who is to be forgotten.
    pub customer: Uuid,
}

/// What forgetting somebody takes.
#[derive(Clone, Copy)]
pub struct Erasing<'a> {
    /// Database, time, vault.
    pub platform: &'a Platform,
    /// The books.
    pub journal: &'a Journal,
    /// Who remembers customers.
    pub customers: &'a Customers,
    /// Whose.
    pub tenant: &'a Tenant,
}

/// Forgets a person, in a session of theirs, and gives the signed receipt. Asked again by whoever still can, it gives the same.
///
/// # Errors
/// 401 `sign-in-again` when they did not show within five minutes that it is them; 409 `wallet-not-empty`; what the vault, the
/// journal and the database say. The wallet may be closed then, and nothing else has happened.
#[tracing::instrument(name = "privacy.erase", skip_all, fields(tenant = with.tenant.id))]
pub async fn erase(with: Erasing<'_>, me: Person) -> Result<Receipt, Problem> {
    let Erasing { platform, tenant, .. } = with;
    let (id, now) = (tenant.id, platform.clock.now());
    let shown = platform.db.of(id).read(move |conn| sessions::authenticated_at(conn, id, me.session)).await?;
    if shown.is_none_or(|at| now.signed_duration_since(at) > FRESH) {
        let remedy = "Sign in again with your passkey: this asks for one that was shown within five minutes.";
        return Err(Problem::new(401, "passkey-stale", "Show your passkey again", remedy));
    }
    forget(with, Actor::Person(me.id), me.id).await
}

/// Forgets a person as two of the staff decided, and gives the signed receipt; again the same one.
///
/// # Errors
/// As [`erase`], but for the passkey.
#[tracing::instrument(name = "privacy.erase_approved", skip_all, fields(tenant = with.tenant.id))]
pub async fn erase_approved(with: Erasing<'_>, by: Actor, approved: &Proposal) -> Result<Receipt, Problem> {
    let Ordered { customer } = serde_json::from_slice(&approved.body).map_err(|error| Problem::internal(&error))?;
    forget(with, by, customer).await
}

async fn forget(with: Erasing<'_>, by: Actor, person: Uuid) -> Result<Receipt, Problem> {
    let Erasing { platform, customers, tenant, .. } = with;
    let (id, now) = (tenant.id, platform.clock.now());
    with.close_wallet(person).await?;
    let vault = platform.vault.clone();
    let forget = move |conn: &mut PgConnection| -> Result<(Forgotten, Vec<String>), Problem> {
        let ended = sessions::end_others(conn, now, id, person, None, End::Closed)?;
        let forgotten = vault.forget(conn, id, person, now)?;
        note(conn, id, (by, person), now)?;
        Ok((forgotten, ended))
    };
    let (forgotten, ended) = platform.db.of(id).write(forget).await?;
    platform.keyring.ended(&ended);
    customers.forget(id, person);
    Ok(platform.vault.receipt(forgotten)?)
}

fn note(
    conn: &mut PgConnection,
    tenant: i64,
    (by, person): (Actor, Uuid),
    now: DateTime<Utc>,
) -> diesel::QueryResult<()> {
    let entry = Entry::done(tenant, by, Action::PersonErased, Object::Person(person));
    audit::append(conn, &entry.about(person), now).map(drop)
}

impl Erasing<'_> {
    /// Closes the wallet in the books, on every node at once: nothing comes in or leaves from here on.
    async fn close_wallet(self, person: Uuid) -> Result<(), Problem> {
        let account = Purpose::Available(person).account(self.tenant.id);
        let command = Command::Change { account, change: Change::Closed { closed: true } };
        let key = self.platform.ids.uuid_v7(self.platform.clock.now());
        let key = Key { scope: HOUSE, key, fingerprint: key };
        let paper = Paper { meta: json!({"kind": "wallet_closed", "customer": person}), ..Paper::default() };
        match ask(self.journal, self.tenant, key, command, paper).await {
            Ok(answer) => {
                let Body::Refused { refusal } = &answer.record.body else { return Ok(()) };
                if !matches!(refusal, Refusal::NotEmpty { .. }) {
                    return Err(describe_refusal(refusal, answer.record.seq));
                }
                let detail = "Spend what is in it, or have it paid out, and let what is set aside end. Then ask again.";
                Err(Problem::new(409, "wallet-not-empty", "There is money in the wallet", detail))
            }
            // Nothing ever moved in it.
            Err(JournalError::Invalid(Invalid::UnknownAccount { .. })) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
