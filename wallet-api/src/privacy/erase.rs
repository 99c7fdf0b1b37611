//! Forgetting a person: who asks for it, or whom two of the staff decided on.
//!
//! Who asks for it themselves shows what a change of their ways in wants, and waits while there is caution. Either way every contact
//! is told, by a letter that the post has in hand before the key goes. It waits in memory alone: an address that were kept to
//! write to later would outlive the key, in the database and in its backups. So a node that dies in the seconds after has told
//! nobody, and a letter may tell of an erasure whose commit failed.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use ledger::{Body, Change, Command, Invalid, Journal, JournalError, Key, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use crate::identity::four_eyes::Proposal;
use crate::identity::notices;
use crate::identity::own::{self, Me};
use crate::identity::sessions::{self, End};
use crate::platform::Platform;
use crate::platform::audit::{self, Action, Actor, Entry, Object};
use crate::platform::books::{HOUSE, Paper, ask, describe_refusal};
use crate::platform::chart::Purpose;
use crate::platform::keyring::Tenant;
use crate::platform::post::{Mail, Post};
use crate::platform::problem::Problem;
use crate::platform::vault::{Forgotten, Receipt, Vault};
use crate::profile::Customers;

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
    /// What tells the person's contacts.
    pub post: &'a Post,
    /// Whose.
    pub tenant: &'a Arc<Tenant>,
}

/// Forgets a person, in a session of theirs, and gives the signed receipt. Asked again by whoever still can, it gives the same.
///
/// # Errors
/// 401 `passkey-needed`, `proof-needed` and 403 `erasure-too-soon` as [`own::may_be_forgotten`] says; 409 `wallet-not-empty`;
/// 503 `mail-not-set`, `mail-busy` when nobody could be told; what the vault, the journal and the database say. The wallet may be
/// closed then, and nothing else has happened.
#[tracing::instrument(name = "privacy.erase", skip_all, fields(tenant = with.tenant.id))]
pub async fn erase(with: Erasing<'_>, me: Me) -> Result<Receipt, Problem> {
    let person = me.person.id;
    forget(with, (Actor::Person(person), person), Some(me)).await
}

/// Forgets a person as two of the staff decided, and gives the signed receipt; again the same one.
///
/// # Errors
/// As [`erase`], but for what a person has to show.
#[tracing::instrument(name = "privacy.erase_approved", skip_all, fields(tenant = with.tenant.id))]
pub async fn erase_approved(with: Erasing<'_>, by: Actor, approved: &Proposal) -> Result<Receipt, Problem> {
    let Ordered { customer } = serde_json::from_slice(&approved.body).map_err(|error| Problem::internal(&error))?;
    forget(with, (by, customer), None).await
}

async fn forget(with: Erasing<'_>, (by, person): (Actor, Uuid), me: Option<Me>) -> Result<Receipt, Problem> {
    let Erasing { platform, customers, tenant, post, .. } = with;
    let (id, now, vault, post) = (tenant.id, platform.clock.now(), platform.vault.clone(), post.clone());
    let parting = Parting { tenant: Arc::clone(tenant), person, me, vault: vault.clone(), post: post.clone(), now };
    let first = parting.clone();
    platform.db.of(id).read(move |conn| first.letters(conn)).await?;
    with.close_wallet(person).await?;
    let forget = move |conn: &mut PgConnection| -> Result<(Forgotten, Vec<String>), Problem> {
        let letters = parting.letters(conn)?;
        let ended = sessions::end_others(conn, now, id, person, None, End::Closed)?;
        let forgotten = vault.forget(conn, id, person, now)?;
        note(conn, id, (by, person), now)?;
        // Last, and before the commit: nobody is forgotten whom the post could not take a letter to.
        letters.iter().try_for_each(|letter| post.send(letter))?;
        Ok((forgotten, ended))
    };
    let (forgotten, ended) = platform.db.of(id).write(forget).await?;
    platform.keyring.ended(&ended);
    customers.forget(id, person);
    Ok(platform.vault.receipt(forgotten)?)
}

/// What is asked before anything is done, and once more in the transaction that forgets: a recovery may have come in between.
#[derive(Clone)]
struct Parting {
    tenant: Arc<Tenant>,
    person: Uuid,
    /// Who asks for it themselves.
    me: Option<Me>,
    vault: Vault,
    post: Post,
    now: DateTime<Utc>,
}

impl Parting {
    /// What the contacts are told, if the person may be forgotten and the contacts can be told.
    fn letters(&self, conn: &mut PgConnection) -> Result<Vec<Mail>, Problem> {
        if let Some(me) = &self.me {
            own::may_be_forgotten(conn, self.now, self.tenant.id, me)?;
        }
        let letters = notices::farewells(conn, &self.vault, self.now, (&self.tenant, self.person))?;
        if !letters.is_empty() {
            self.post.is_set()?;
        }
        Ok(letters)
    }
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
