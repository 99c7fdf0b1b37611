//! What is done at the doors when nobody is there: notices are sent, and what is over is taken away.
//!
//! One task a node, over all tenants. Of several nodes each takes what the others have not. It needs a mail server only to send:
//! without one notices wait for a node that has one. Not here: what is due, and what is over (`notices`, `codes`,
//! `passkeys`, `claims`, `sign_in`).

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::notices::{self, NoticeError};
use super::{claims, codes, passkeys, sign_in, store};
use crate::platform::Platform;
use crate::platform::db::HouseDb;
use crate::platform::keyring::Tenant;
use crate::platform::post::Post;

/// From one look for notices to the next.
const EVERY: Duration = Duration::from_secs(1);
/// How long what is in hand may take when the node stops.
const LAST_TURN: Duration = Duration::from_secs(5);
/// Looks from one sweep to the next.
const SWEEP_EVERY: u32 = 60;
/// Rows of a sort that one sweep takes away of a tenant.
const SWEPT: i64 = 1_000;

/// The task; [`stop`](Self::stop) ends it in order.
pub struct Housekeeper {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Housekeeper {
    /// Starts it. Needs a tokio runtime.
    #[must_use]
    pub fn start(platform: Platform, db: HouseDb, post: Post) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let house = House { platform, db, post };
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            for turn in 0_u32.. {
                tokio::select! {
                    _ = ticks.tick() => {}
                    _ = stopped.changed() => return,
                }
                house.turn(turn.is_multiple_of(SWEEP_EVERY)).await;
            }
        });
        Self { stop, task }
    }

    /// Ends it, once what it has in hand is done; what takes longer than [`LAST_TURN`] is left, and another node does it again.
    pub async fn stop(mut self) {
        _ = self.stop.send(true);
        match tokio::time::timeout(LAST_TURN, &mut self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(_panicked)) => tracing::error!("the doors' house work panicked"),
            Err(_elapsed) => self.task.abort(),
        }
    }
}

struct House {
    platform: Platform,
    db: HouseDb,
    post: Post,
}

impl House {
    async fn turn(&self, sweeps: bool) {
        let tenants = match self.db.run(store::tenants).await {
            Ok(Ok(tenants)) => tenants,
            Ok(Err(error)) => return tracing::error!(%error, "the doors' house work failed; trying again"),
            Err(error) => return tracing::error!(%error, "the doors' house work failed; trying again"),
        };
        for tenant in tenants.into_iter().map(Arc::new) {
            let id = tenant.id;
            if let Err(error) = self.turn_of(tenant, sweeps).await {
                tracing::error!(tenant = id, %error, "the doors' house work failed; trying again");
            }
        }
    }

    async fn turn_of(&self, tenant: Arc<Tenant>, sweeps: bool) -> Result<(), NoticeError> {
        if sweeps {
            self.sweep(&tenant).await?;
        }
        if self.post.is_set().is_ok() {
            let Platform { vault, clock, .. } = &self.platform;
            notices::send_due(&self.db, (vault, &self.post, clock), tenant).await?;
        }
        Ok(())
    }

    async fn sweep(&self, tenant: &Tenant) -> Result<(), NoticeError> {
        let (id, now) = (tenant.id, self.platform.clock.now());
        let swept = self.db.run(move |conn| sweep(conn, id, now)).await??;
        if swept > 0 {
            tracing::debug!(tenant = id, rows = swept, "what was over at the doors was taken away");
        }
        Ok(())
    }
}

fn sweep(conn: &mut PgConnection, tenant: i64, now: DateTime<Utc>) -> QueryResult<usize> {
    let swept = [
        codes::sweep(conn, tenant, now, SWEPT)?,
        claims::sweep(conn, tenant, now, SWEPT)?,
        passkeys::forget_expired(conn, tenant, SWEPT, now)?,
        sign_in::sweep(conn, tenant, now, SWEPT)?,
    ];
    Ok(swept.into_iter().fold(0, usize::saturating_add))
}
