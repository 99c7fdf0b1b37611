//! The house brings every agreed payment to its end, whether somebody asks or not.
//!
//! One task a node, over all tenants. Of several nodes each takes what the others have not ([`LEASE`]); two that had the same one
//! would still post it once, by the journal's key. Some seconds after its agreement each payment is looked for in the books: there
//! it is done with, else it is posted while its time lasts, and given up after that. What cannot be told now (no leader, no
//! database) stays and is looked at again. What one tenant or one payment has wrong holds up no other. A node that dies with
//! payments in hand delays them by a lease.
//! Not here: what was offered and not agreed to, which is nothing.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{Connection, PgConnection};
use ledger::{JournalId, Key, Scope, StoreError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::model::{Intended, Stands};
use super::store;
use crate::identity::{self, people};
use crate::payments::Payments;
use crate::platform::db::HouseDb;
use crate::platform::keyring::Tenant;
use crate::platform::problem::{Describe, Problem};

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(1);
/// How long what is in hand may take when the node stops.
const LAST_TURN: Duration = Duration::from_secs(5);
/// For how long what a node took is nobody else's.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// Payments of a tenant that are taken in one go.
const AT_ONCE: i64 = 100;
/// How often one tenant may have that in one turn, so that the others get theirs.
const GOES: u32 = 20;
/// Of a row that a newer release wrote, or that somebody damaged.
const UNREADABLE: &str = "an agreed payment cannot be read; it is left where it is";

/// The task; [`stop`](Self::stop) ends it in order.
pub struct Finisher {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Finisher {
    /// Starts it. Needs a tokio runtime.
    #[must_use]
    pub fn start(payments: Payments, db: HouseDb) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let house = House { payments, db, stopped: stopped.clone() };
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    _ = stopped.changed() => return,
                }
                if let Err(problem) = house.turn().await {
                    tracing::error!(code = problem.code(), "agreed payments were not looked at; trying again");
                }
            }
        });
        Self { stop, task }
    }

    /// Ends it, once the payment it has in hand is done; what is left is another node's after the lease.
    pub async fn stop(mut self) {
        _ = self.stop.send(true);
        match tokio::time::timeout(LAST_TURN, &mut self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(_panicked)) => tracing::error!("the house work of agreed payments panicked"),
            Err(_elapsed) => self.task.abort(),
        }
    }
}

struct House {
    payments: Payments,
    db: HouseDb,
    stopped: watch::Receiver<bool>,
}

impl House {
    async fn turn(&self) -> Result<(), Problem> {
        let tenants = self.db.run(identity::tenants).await.map_err(|error| error.describe())?;
        for tenant in tenants.map_err(|error| error.describe())?.into_iter().map(Arc::new) {
            if let Err(problem) = self.turn_of(&tenant).await {
                let (tenant, code) = (tenant.id, problem.code());
                tracing::error!(tenant, code, "agreed payments were not looked at; trying again");
            }
        }
        Ok(())
    }

    async fn turn_of(&self, tenant: &Arc<Tenant>) -> Result<(), Problem> {
        for _ in 0..GOES {
            if !self.go(tenant).await? {
                break;
            }
        }
        Ok(())
    }

    /// Takes some of a tenant's and finishes them; tells whether there may be more.
    async fn go(&self, tenant: &Arc<Tenant>) -> Result<bool, Problem> {
        let (number, now) = (tenant.id, self.payments.platform.clock.now());
        let Taken { count, left } = self.in_house(move |conn| take(conn, number, now)).await?;
        let is_full = i64::try_from(count).is_ok_and(|count| count >= AT_ONCE);
        let mut finished = Vec::new();
        for (scope, intended) in left {
            if *self.stopped.borrow() {
                break;
            }
            let id = intended.id;
            match self.payments.finish(tenant, scope, intended).await {
                Ok(true) => finished.push(id),
                Ok(false) => {}
                Err(problem) => {
                    tracing::warn!(payment.id = %id, code = problem.code(), "an agreed payment is not finished yet");
                }
            }
        }
        if !finished.is_empty() {
            self.in_house(move |conn| Ok(store::set_look_at(conn, number, &finished, None)?)).await?;
        }
        Ok(is_full && !*self.stopped.borrow())
    }

    async fn in_house<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut PgConnection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let done = self.db.run(work).await.map_err(|error| error.describe())?;
        done.map_err(|error| error.describe())
    }
}

/// What was taken.
struct Taken {
    count: usize,
    /// What the books do not have, or what more than that they have it is to be asked of.
    left: Vec<(Scope, Intended)>,
}

/// Takes some of a tenant's payments for the time of a lease. Of those that were approved and are in the books nothing is left to do,
/// and that is nearly all of them: it is asked of all at once.
fn take(conn: &mut PgConnection, tenant: i64, now: DateTime<Utc>) -> Result<Taken, StoreError> {
    conn.transaction(|conn| {
        let rows = store::lock_unfinished(conn, tenant, now, AT_ONCE)?;
        let (count, ids): (_, Vec<_>) = (rows.len(), rows.iter().map(|(id, _)| *id).collect());
        let mut intended = Vec::with_capacity(count);
        for (id, read) in rows {
            match read {
                Ok(one) => intended.push(one),
                // Nobody's but this one's: it comes again with the lease, and is in the log as often.
                Err(error) => tracing::error!(tenant, payment.id = %id, %error, "{UNREADABLE}"),
            }
        }
        let persons: Vec<_> = intended.iter().map(|one| one.person).collect();
        let numbers = people::numbers(conn, tenant, &persons)?;
        let of_somebody = |one: Intended| match numbers.get(&one.person) {
            Some(number) => Some((Scope(*number), one)),
            None => {
                tracing::error!(tenant, payment.id = %one.id, "{UNREADABLE}");
                None
            }
        };
        let scoped: Vec<_> = intended.into_iter().filter_map(of_somebody).collect();
        let key = |(scope, one): &(Scope, Intended)| Key { scope: *scope, key: one.id, fingerprint: one.id };
        let keys: Vec<_> = scoped.iter().map(key).collect();
        let in_books = ledger::read::are_answered(conn, JournalId(tenant), &keys)?;
        let (mut done, mut left) = (Vec::new(), Vec::new());
        for ((scope, one), is_in_books) in scoped.into_iter().zip(in_books) {
            if is_in_books && one.is_approved() {
                done.push(one.id);
            } else {
                left.push((scope, one));
            }
        }
        let again: Vec<_> = ids.into_iter().filter(|id| !done.contains(id)).collect();
        store::set_look_at(conn, tenant, &done, None)?;
        store::set_look_at(conn, tenant, &again, Some(now + LEASE))?;
        Ok(Taken { count, left })
    })
}

impl Payments {
    /// Brings an agreed payment to its end: what the books have is told, else it is posted, or given up when its time is over.
    /// False when its time was over in between, and the journal has not said so yet.
    ///
    /// # Errors
    /// When that cannot be told now.
    async fn finish(&self, tenant: &Tenant, scope: Scope, intended: Intended) -> Result<bool, Problem> {
        if !matches!(self.stands(tenant, scope, &intended).await?, Stands::Agreed) {
            return Ok(true);
        }
        let id = intended.id;
        let own = self.post_agreed(tenant, scope, intended).await?;
        tracing::info!(payment.id = %id, "an agreed payment was posted that nobody asked for again");
        Ok(!matches!(own.stands, Stands::Agreed))
    }
}
