//! Payers: customers who pay at one node, one payment after the other, whatever becomes of the leader.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::payments::Shop;
use super::PATIENCE;
use crate::commands::client::Client;
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;

/// How many there are.
const PAYERS: usize = 16;

/// Customers who pay at one node, and when their payments were sent and acknowledged.
pub(super) struct Payers {
    tasks: JoinSet<()>,
    acknowledged: Arc<AtomicU64>,
    /// Sent, and not acknowledged so far.
    open: Arc<AtomicU64>,
    /// When the payment acknowledged last was sent, and when it was acknowledged.
    last: watch::Receiver<Option<(Instant, Instant)>>,
}

impl Payers {
    /// Has customers of a shop pay at the node of this client.
    pub(super) fn start(shop: &Shop, client: &Client) -> anyhow::Result<Self> {
        let (sender, last) = watch::channel(None);
        let (sender, acknowledged, open) = (Arc::new(sender), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let mut tasks = JoinSet::new();
        for customer in shop.customers.iter().take(PAYERS) {
            let body = json!({"customer": customer, "merchant": shop.merchant, "instrument": {"kind": "wallet"},
                "amount": {"amount": "1999", "asset": "EUR"}});
            let (client, sender) = (client.clone(), Arc::clone(&sender));
            let (acknowledged, open) = (Arc::clone(&acknowledged), Arc::clone(&open));
            tasks.spawn(async move {
                loop {
                    let (sent, key) = (Instant::now(), Ids::system().uuid_v7(Clock::System.now()));
                    open.fetch_add(1, Ordering::SeqCst);
                    if client.post("/v1/payments", key, &body).await.is_ok_and(|reply| reply.status == 201) {
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                        open.fetch_sub(1, Ordering::SeqCst);
                        sender.send_replace(Some((sent, Instant::now())));
                    }
                }
            });
        }
        Ok(Self { tasks, acknowledged, open, last })
    }

    /// Waits until so many payments are acknowledged.
    pub(super) async fn until(&self, acknowledged: u64) -> anyhow::Result<()> {
        let mut last = self.last.clone();
        let enough = async {
            while self.acknowledged.load(Ordering::SeqCst) < acknowledged {
                last.changed().await?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, enough).await.context("payments are not acknowledged")?
    }

    /// From a moment to the first acknowledgement of a payment sent after it.
    pub(super) async fn first_after(&self, moment: Instant) -> anyhow::Result<Duration> {
        let mut last = self.last.clone();
        let sent_after = |seen: &Option<(Instant, Instant)>| seen.is_some_and(|(sent, _)| sent > moment);
        let seen = *tokio::time::timeout(PATIENCE, last.wait_for(sent_after)).await.context("nobody took over")??;
        let (_, acknowledged) = seen.context("nothing was acknowledged")?;
        Ok(acknowledged.saturating_duration_since(moment))
    }

    /// How many were acknowledged, and how many were not.
    pub(super) async fn stop(mut self) -> (u64, u64) {
        self.tasks.shutdown().await;
        (self.acknowledged.load(Ordering::SeqCst), self.open.load(Ordering::SeqCst))
    }
}
