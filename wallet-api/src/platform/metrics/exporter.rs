//! Asks everybody what they count, and writes it down.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use ledger::follow::parked;
use ledger::health::{self, Lag, Lease};
use ledger::{Journal, StoreError};

use super::hooks::{self, HookBacklog, HookView};
use super::text::{Seconds, Text};
use super::{HTTP, process, seals};
use crate::platform::clock::Clock;
use crate::platform::db::{HouseDb, Meter};

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pairs of follower and journal that are told, those furthest behind first.
const LAGS: i64 = 200;
/// Slots that are told.
const LEASES: i64 = 256;
/// Pending deliveries that are counted, and endpoints.
const COUNTED: i64 = 10_000;
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Whom to ask.
#[derive(Clone)]
pub struct Exporter {
    /// The books.
    pub journal: Journal,
    /// The pools, by what they are for.
    pub pools: Vec<(&'static str, Meter)>,
    /// Which of them to ask the database through: one that neither requests nor hooks wait for.
    pub asks: HouseDb,
    /// How hooks fare.
    pub hooks: HookView,
    /// To compare with the database's.
    pub clock: Clock,
}

/// What the database knows.
struct Sample {
    clock_us: i64,
    leases: Vec<Lease>,
    lags: Vec<Lag>,
    parked: Vec<(String, i64)>,
    hooks: HookBacklog,
}

impl Exporter {
    /// Everything, as Prometheus reads it.
    pub async fn text(&self) -> String {
        let mut text = Text::default();
        text.family("tessera_build_info", "gauge", "Which build this is.");
        text.sample("tessera_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        process::write(&mut text);
        self.write_journal(&mut text);
        self.write_pools(&mut text);
        write_http(&mut text);
        hooks::write_counts(&mut text);
        seals::write_seals(&mut text);
        hooks::write_load(&mut text, &(self.hooks.load)());
        let sample = self.sample().await;
        text.gauge("tessera_database_up", "1 when the database answered this scrape.", u8::from(sample.is_some()));
        if let Some(sample) = sample {
            write_sample(&mut text, &sample, self.clock.now());
        }
        text.into_string()
    }

    async fn sample(&self) -> Option<Sample> {
        let backlog = self.hooks.backlog;
        let ask = move |conn: &mut PgConnection| {
            let (leases, lags) = (health::leases(conn, LEASES)?, health::lags(conn, LAGS)?);
            let parked = parked::counts(conn)?;
            let hooks = backlog(conn, COUNTED)?;
            // Last, so that it is compared with ours as soon as it is read.
            let clock_us = health::database_clock(conn)?;
            Ok::<_, StoreError>(Sample { clock_us, leases, lags, parked, hooks })
        };
        // No word to the log: whoever looks sees it, and looks again.
        self.asks.with_deadline(PATIENCE).run(ask).await.ok()?.ok()
    }

    fn write_journal(&self, text: &mut Text) {
        let (status, measures) = (self.journal.status(), self.journal.measures());
        text.gauge("tessera_journal_leading", "How many slots of journals this node writes.", status.slots_led);
        text.counter("tessera_journal_terms_total", "How often this node began to lead.", status.terms);
        text.gauge("tessera_journal_slots", "Into how many slots the journals are spread.", status.slots);
        text.gauge("tessera_journal_queue_length", "Requests that wait for the writers.", status.queued);
        let help = "As many may wait in the slots this node leads; one more is refused.";
        text.gauge("tessera_journal_queue_limit", help, status.queue_limit);
        let help = "Accounts of the journals this node leads that are in memory.";
        text.gauge("tessera_journal_accounts", help, status.accounts);
        let help = "Accounts that left memory because there were too many.";
        text.counter("tessera_journal_evicted_accounts_total", help, status.evicted_accounts);
        text.counter("tessera_journal_batches_total", "Batches committed.", status.batches);
        let help = "Batches whose rows were written while the one before was committed.";
        text.counter("tessera_journal_piped_batches_total", help, status.piped_batches);
        text.counter("tessera_journal_records_total", "Records committed.", status.records);
        let help = "Batches that a later leader kept out: a takeover, or two that lead.";
        text.counter("tessera_journal_fenced_batches_total", help, status.fenced_batches);
        let help = "Batches whose outcome was not known when their callers were answered.";
        text.counter("tessera_journal_unknown_batches_total", help, status.unknown_batches);
        let history = self.journal.history();
        let help = "Transfers of open ranges that this node keeps in mind, 16 bytes each.";
        text.gauge("tessera_journal_history_transfers", help, history.len());
        let help = "As many it keeps in mind at most; a journal that is too much is looked through, which is slow.";
        text.gauge("tessera_journal_history_limit", help, history.limit());
        let name = "tessera_journal_batch_records";
        text.family(name, "histogram", "Records in a batch.");
        text.counts(name, &[], &measures.batch_records);
        let name = "tessera_journal_commit_seconds";
        text.family(name, "histogram", "From sending a batch to knowing that it is durable.");
        text.times(name, &[], &measures.commit_us);
    }

    fn write_pools(&self, text: &mut Text) {
        let usages: Vec<_> = self.pools.iter().map(|(name, pool)| (*name, pool, pool.usage())).collect();
        text.family("tessera_pool_size", "gauge", "Database connections that a pool may have.");
        for (name, _, usage) in &usages {
            text.sample("tessera_pool_size", &[("pool", name)], usage.size);
        }
        text.family("tessera_pool_connections", "gauge", "Database connections that a pool has, in use or idle.");
        for (name, _, usage) in &usages {
            text.sample("tessera_pool_connections", &[("pool", name), ("state", "in_use")], usage.in_use);
            text.sample("tessera_pool_connections", &[("pool", name), ("state", "idle")], usage.idle);
        }
        text.family("tessera_pool_full_total", "counter", "Calls turned away because no place in the pool came free.");
        for (name, _, usage) in &usages {
            text.sample("tessera_pool_full_total", &[("pool", name)], usage.turned_away);
        }
        let name = "tessera_pool_wait_seconds";
        text.family(name, "histogram", "How long calls waited for a place in the pool.");
        for (name_of, pool, _) in &usages {
            text.times(name, &[("pool", name_of)], pool.waits());
        }
    }
}

fn write_http(text: &mut Text) {
    let routes = HTTP.read();
    let name = "tessera_http_requests_total";
    text.family(name, "counter", "Requests answered, by route pattern, method and class of the status.");
    for one in &routes {
        for (class, count) in CLASSES.iter().zip(one.by_class).filter(|(_, count)| *count > 0) {
            text.sample(name, &[("route", one.route), ("method", one.method), ("status", class)], count);
        }
    }
    let name = "tessera_http_request_seconds";
    text.family(name, "histogram", "From a request's headers to its answer.");
    for one in &routes {
        text.times(name, &[("route", one.route), ("method", one.method)], one.took_us);
    }
    let name = "tessera_refusals_total";
    text.family(name, "counter", "Requests refused, by the problem's code.");
    for (code, count) in HTTP.refusals().read() {
        text.sample(name, &[("code", code)], count);
    }
}

fn write_sample(text: &mut Text, sample: &Sample, now: DateTime<Utc>) {
    let skew = now.timestamp_micros().saturating_sub(sample.clock_us);
    text.gauge("tessera_clock_skew_seconds", "This node's clock less the database's.", Seconds(skew));
    let name = "tessera_lease_left_seconds";
    text.family(name, "gauge", "How long a slot's lease lasts from now; below 0 when nobody holds it.");
    for lease in &sample.leases {
        let left = Seconds(lease.left_ms.saturating_mul(1_000));
        text.sample(name, &[("slot", &lease.slot.to_string())], left);
    }
    let name = "tessera_lease_epoch";
    text.family(name, "gauge", "How often a slot's lease was taken.");
    for lease in &sample.leases {
        text.sample(name, &[("slot", &lease.slot.to_string())], lease.epoch);
    }
    let name = "tessera_follower_lag_records";
    text.family(name, "gauge", "Records that a follower has not taken yet; of many, those furthest behind.");
    for lag in &sample.lags {
        let journal = lag.journal.0.to_string();
        text.sample(name, &[("follower", &lag.follower), ("journal", &journal)], lag.records);
    }
    let name = "tessera_follower_parked_records";
    text.family(name, "gauge", "Records that a follower could not read and went past.");
    for (follower, count) in &sample.parked {
        text.sample(name, &[("follower", follower)], count);
    }
    hooks::write_backlog(text, &sample.hooks, COUNTED, now);
}
