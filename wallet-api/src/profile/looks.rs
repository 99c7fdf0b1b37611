//! Operators' looks at customers: how far their right reaches, and that each is written down.
//!
//! Staff of a shop sees the customers who have paid there, a few milliseconds after they did, and nobody else: whoever is
//! out of reach is answered as whoever does not exist. Each look is in the audit log about the customer before anything is
//! shown, also one that was refused; whoever reads the books ([`AccountLook`], [`look_at_accounts`], [`look_at_owner`]) looks at
//! the customer whose account it is. A key that was made for an operator looks as they do. The house's machines' and people's own
//! looks are not told: the first are the tenant's systems, which answer for who looks through them.

use std::collections::BTreeSet;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use ledger::read::accounts;
use uuid::Uuid;

use super::{Customers, store, unknown};
use crate::platform::Platform;
use crate::platform::audit::{self, Entry, Outcome};
use crate::platform::books::journal_of;
use crate::platform::keyring::{Caller, Reach, Scope};
use crate::platform::problem::Problem;
use crate::platform::staff;

impl Customers {
    /// Lets a caller look at a customer as far as their right reaches, and writes down that an operator did.
    ///
    /// # Errors
    /// 404 `customer-unknown` when there is no such customer or the right does not reach them.
    pub async fn look(
        &self,
        platform: &Platform,
        caller: &Caller,
        scope: Scope,
        customer: Uuid,
        what: &'static str,
    ) -> Result<(), Problem> {
        let reach = caller.reach(scope)?;
        if !staff::acts(caller) {
            return Ok(());
        }
        let (tenant, by, now) = (caller.tenant.id, caller.clone(), platform.clock.now());
        let decide = move |conn: &mut PgConnection| -> QueryResult<bool> {
            if store::customer(conn, tenant, customer)?.is_none() {
                return Ok(false);
            }
            let may = reaches(conn, tenant, customer, &reach)?;
            let outcome = if may { Outcome::Done } else { Outcome::Refused };
            note(conn, &by, (customer, what), outcome, now)?;
            Ok(may)
        };
        let may = platform.db.of(tenant).write(decide).await?;
        if may { Ok(()) } else { Err(unknown()) }
    }

    /// Writes down that an operator was shown, or changed, what is a customer's, after it was found to be in their reach.
    ///
    /// # Errors
    /// The database's problems.
    pub async fn note_look(
        &self,
        platform: &Platform,
        caller: &Caller,
        customer: Uuid,
        what: &'static str,
    ) -> Result<(), Problem> {
        if !staff::acts(caller) {
            return Ok(());
        }
        let (by, now) = (caller.clone(), platform.clock.now());
        let write = move |conn: &mut PgConnection| note(conn, &by, (customer, what), Outcome::Done, now);
        platform.db.of(caller.tenant.id).write(write).await
    }
}

/// A look at the account of the books that a path names: an extractor, which tells the customer whose it is that an operator
/// looks, before anything is read for them. What is nobody's or a merchant's is told to nobody.
pub struct AccountLook(());

impl FromRequest for AccountLook {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = Caller::extract(req);
        let account = req.match_info().get("id").and_then(|id| id.parse::<Uuid>().ok());
        let platform = req.app_data::<web::Data<Platform>>().cloned();
        async move {
            let caller = caller.await?;
            if let (Some(account), Some(platform)) = (account, platform) {
                look_at_accounts(&platform, &caller, vec![account]).await?;
            }
            Ok(Self(()))
        }
        .boxed_local()
    }
}

/// Tells the customers whose accounts of the books these are that somebody of the staff looks, if one does.
///
/// # Errors
/// The database's problems.
pub async fn look_at_accounts(platform: &Platform, caller: &Caller, accounts: Vec<Uuid>) -> Result<(), Problem> {
    if accounts.is_empty() || !staff::acts(caller) {
        return Ok(());
    }
    let (by, journal, now) = (caller.clone(), journal_of(&caller.tenant), platform.clock.now());
    let history = platform.history.clone();
    let tell = move |conn: &mut PgConnection| -> Result<(), Problem> {
        let found = accounts::accounts(conn, &history, journal, &accounts)?;
        let owners: BTreeSet<Uuid> = found.into_iter().filter_map(|found| found.account.owner).collect();
        for owner in owners {
            tell(conn, &by, (owner, "account"), now)?;
        }
        Ok(())
    };
    platform.db.of(caller.tenant.id).write(tell).await
}

/// The same of whoever is named as an owner of accounts.
///
/// # Errors
/// The database's problems.
pub async fn look_at_owner(platform: &Platform, caller: &Caller, owner: Uuid) -> Result<(), Problem> {
    if !staff::acts(caller) {
        return Ok(());
    }
    let (by, now) = (caller.clone(), platform.clock.now());
    let tell = move |conn: &mut PgConnection| tell(conn, &by, (owner, "accounts"), now);
    platform.db.of(caller.tenant.id).write(tell).await
}

/// What is nobody's or a merchant's is told to nobody.
fn tell(
    conn: &mut PgConnection,
    by: &Caller,
    (owner, what): (Uuid, &'static str),
    now: DateTime<Utc>,
) -> QueryResult<()> {
    if store::customer(conn, by.tenant.id, owner)?.is_some() {
        note(conn, by, (owner, what), Outcome::Done, now)?;
    }
    Ok(())
}

fn reaches(conn: &mut PgConnection, tenant: i64, customer: Uuid, reach: &Reach) -> QueryResult<bool> {
    match reach {
        Reach::All => Ok(true),
        Reach::Within { customers, .. } if customers.contains(&customer) => Ok(true),
        Reach::Within { merchants, .. } => store::was_at(conn, tenant, customer, merchants),
    }
}

fn note(
    conn: &mut PgConnection,
    by: &Caller,
    (customer, what): (Uuid, &'static str),
    outcome: Outcome,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    audit::append(conn, &Entry { outcome, ..audit::look(by, customer, what) }, now).map(drop)
}
