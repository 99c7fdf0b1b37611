//! `tessera bench http`: transactions over HTTP, one a request and a hundred, against a server that only echoes.
//!
//! The yardstick is actix-web sending the same bodies back, asked by the same generator ([`load`](super::load)) with the
//! same headers. Each server is a process of its own, and what it uses of the cores is taken from the kernel's account of
//! it: ours with the journal's writer and its followers, PostgreSQL's not counted. Contenders take turns, three times; each
//! figure is the median of its three, of the number of connections that did best. The run ends with `verify`, and what was
//! acknowledged is held against the books.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::load::{LoadReport, Plan, closed_loop};
use super::payments::{admin_key, all_answered, ms};
use super::reference::Stage;
use super::server::Server;
use super::{cpu, open_files, pgbench, wire};
use crate::commands::client::Client;
use crate::platform::clock::Clock;
use crate::platform::ids::{Ids, derived};

/// What is measured is how fast it goes, not when it turns away: limits are looked at, and far off.
const LIMITS: &str = "money=1000000,patience-ms=60000";
/// How often each contender runs.
const ROUNDS: usize = 3;
/// Transactions of a bulk request.
const BULK: u64 = 100;
/// Accounts in use.
const ACCOUNTS: u64 = 10_000;

/// What came out.
#[derive(Debug, Serialize)]
pub struct Http {
    /// Requests a second of the server that only echoes the body of a single transaction.
    pub echo_rps: u64,
    /// Requests a second, each with one transaction of one transfer.
    pub single_rps: u64,
    /// Transfers a second, in requests of a hundred transactions, each by itself.
    pub bulk_transfers_per_s: u64,
    /// What a request costs our server, in microseconds of CPU.
    pub single_cpu_us: Decimal,
    /// What a request costs the other one.
    pub echo_cpu_us: Decimal,
    /// What a transfer in bulk costs our server.
    pub bulk_transfer_cpu_us: Decimal,
    /// `single_rps` over `echo_rps`.
    pub single_ratio: Decimal,
    /// `bulk_transfers_per_s` over `echo_rps`.
    pub bulk_ratio: Decimal,
    /// `single_cpu_us` over `echo_cpu_us`.
    pub cpu_ratio: Decimal,
    /// Answer time of a single one, at the load of `single_rps`.
    pub single_p50_ms: Decimal,
    /// The same, 99th percentile.
    pub single_p99_ms: Decimal,
    /// Answer time of a bulk request, at the load of `bulk_transfers_per_s`.
    pub bulk_p50_ms: Decimal,
    /// The same, 99th percentile.
    pub bulk_p99_ms: Decimal,
    /// Every run.
    pub runs: Vec<Run>,
    /// Transfers acknowledged, by all runs.
    pub acknowledged: u64,
    /// Transactions in the books.
    pub rows: u64,
    /// What verify said.
    pub verify_ok: bool,
    /// Of the database.
    pub durability: pgbench::Durability,
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { echo_rps, single_rps, bulk_transfers_per_s, single_ratio, bulk_ratio, cpu_ratio, .. } = self;
        writeln!(f, "echo {echo_rps}/s; single {single_rps}/s ({single_ratio} x, CPU {cpu_ratio} x)")?;
        write!(f, "bulk of {BULK}: {bulk_transfers_per_s} transfers/s ({bulk_ratio} x)")
    }
}

/// Who is asked what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The other server, a body of one transaction.
    Echo,
    /// Ours, one transaction.
    Single,
    /// Ours, a hundred.
    Bulk,
}

/// Who, and by how many connections.
const CONTENDERS: [(What, usize); 6] = [
    (What::Echo, 64),
    (What::Single, 256),
    (What::Bulk, 16),
    (What::Echo, 256),
    (What::Single, 1_024),
    (What::Bulk, 64),
];

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Who.
    pub what: What,
    /// Connections.
    pub connections: usize,
    /// Requests a second.
    pub rps: u64,
    /// Requests answered.
    pub answered: u64,
    /// CPU of the server for each.
    pub cpu_us: Decimal,
    /// Answer time.
    pub p50_ms: Decimal,
    /// The same, 99th percentile.
    pub p99_ms: Decimal,
}

/// Runs the bench; each contender takes `seconds`, three times.
///
/// # Errors
/// When anything makes the figures void.
pub async fn http(seconds: u32) -> anyhow::Result<Http> {
    open_files::allow(8_192)?;
    let stage = Stage::set(seconds)?;
    let tenant = stage.tenant()?;
    let key = admin_key(&stage.url(), tenant.id)?;
    let echo = Server::run(&["bench", "echo"], None).await?;
    let server = Server::run(&["serve", "--log", "warn", "--limits", LIMITS], Some(&stage.url())).await?;
    let desk = Desk::open(server.address, &key).await?;
    stage.settle()?;
    let time = Duration::from_secs(u64::from(seconds));
    let mut runs = Vec::new();
    for _ in 0..ROUNDS {
        for (what, connections) in CONTENDERS {
            let at = if what == What::Echo { &echo } else { &server };
            runs.push(desk.run(what, connections, at, time).await?);
        }
    }
    server.stop()?;
    let conn = &mut PgConnection::establish(&stage.url())?;
    let report = ledger::verify::verify(conn, ledger::JournalId(tenant.id), |_, _| {})?;
    anyhow::ensure!(report.ok, "the books do not verify: {:?}", report.broken);
    let of = |what| runs.iter().filter(move |run: &&Run| run.what == what);
    let answered = |what| of(what).map(|run| run.answered).fold(0, u64::saturating_add);
    let acknowledged = answered(What::Single).saturating_add(answered(What::Bulk).saturating_mul(BULK));
    let rows = report.transactions;
    anyhow::ensure!(rows == acknowledged, "{acknowledged} transactions were acknowledged, {rows} are in the books");
    let durability = pgbench::durability(conn)?;
    anyhow::ensure!(durability.is_full(), "durability is not fully on: the figures are void");
    let (echoed, single, bulk) = (best(&runs, What::Echo)?, best(&runs, What::Single)?, best(&runs, What::Bulk)?);
    let bulk_transfers_per_s = bulk.rps.saturating_mul(BULK);
    let over = |one: Decimal, other: Decimal| one.checked_div(other).map(|ratio| ratio.trunc_with_scale(2));
    let against = |rps: u64| over(rps.into(), echoed.rps.into()).context("the echo did nothing");
    Ok(Http {
        echo_rps: echoed.rps,
        single_rps: single.rps,
        bulk_transfers_per_s,
        single_cpu_us: single.cpu_us,
        echo_cpu_us: echoed.cpu_us,
        bulk_transfer_cpu_us: over(bulk.cpu_us, BULK.into()).unwrap_or_default(),
        single_ratio: against(single.rps)?,
        bulk_ratio: against(bulk_transfers_per_s)?,
        cpu_ratio: over(single.cpu_us, echoed.cpu_us).context("the echo used no CPU")?,
        single_p50_ms: single.p50_ms,
        single_p99_ms: single.p99_ms,
        bulk_p50_ms: bulk.p50_ms,
        bulk_p99_ms: bulk.p99_ms,
        runs,
        acknowledged,
        rows,
        verify_ok: report.ok,
        durability,
    })
}

/// The medians of a contender's runs, with the number of connections that did best.
fn best(runs: &[Run], what: What) -> anyhow::Result<Run> {
    let of = |connections| {
        let all: Vec<&Run> = runs.iter().filter(|run| run.what == what && run.connections == connections).collect();
        Some(Run {
            what,
            connections,
            rps: median(&all, |run| run.rps)?,
            answered: median(&all, |run| run.answered)?,
            cpu_us: median(&all, |run| run.cpu_us)?,
            p50_ms: median(&all, |run| run.p50_ms)?,
            p99_ms: median(&all, |run| run.p99_ms)?,
        })
    };
    let contenders = CONTENDERS.iter().filter(|(who, _)| *who == what).filter_map(|(_, connections)| of(*connections));
    contenders.max_by_key(|run| run.rps).context("a contender did not run")
}

fn median<T: Ord>(runs: &[&Run], value: impl Fn(&Run) -> T) -> Option<T> {
    let mut values: Vec<T> = runs.iter().map(|run| value(run)).collect();
    values.sort();
    let middle = values.len().checked_div(2)?;
    values.into_iter().nth(middle)
}

/// Ten thousand accounts without a floor, and how to ask for transfers between them.
struct Desk {
    accounts: Arc<[String]>,
    authorization: Arc<str>,
}

impl Desk {
    async fn open(address: SocketAddr, key: &str) -> anyhow::Result<Self> {
        let client = Client::new(&format!("http://{address}"), key)?;
        client.post("/v1/ledger/assets", Uuid::nil(), &json!({"code": "EUR", "scale": 2})).await?.done()?;
        let ids = (0..ACCOUNTS).map(|number| derived("bench", &[&number.to_be_bytes()]));
        let open = async |id: Uuid| -> anyhow::Result<String> {
            client.post("/v1/ledger/accounts", id, &json!({"id": id, "asset": "EUR"})).await?.done()?;
            Ok(id.to_string())
        };
        let accounts: Vec<String> = stream::iter(ids).map(open).buffered(64).try_collect().await?;
        Ok(Self { accounts: accounts.into(), authorization: format!("Bearer {key}").into() })
    }

    async fn run(&self, what: What, connections: usize, at: &Server, time: Duration) -> anyhow::Result<Run> {
        let used = || cpu::used_us(at.id()).context("this system tells no CPU time: the figures are void");
        let run = Ids::system().uuid_v7(Clock::System.now());
        let before = used()?;
        let report = if what == What::Bulk {
            closed_loop(Plan::new(at.address, connections, self.bulk(run)), time).await?
        } else {
            closed_loop(Plan::new(at.address, connections, self.single(run)), time).await?
        };
        let cpu = used()?.saturating_sub(before);
        all_answered(&report)?;
        let LoadReport { ok, latencies, .. } = &report;
        let cpu_us = Decimal::from(cpu).checked_div((*ok).into()).context("nothing was answered")?.trunc_with_scale(2);
        let (p50_ms, p99_ms) = (ms(latencies, 500), ms(latencies, 990));
        Ok(Run { what, connections, rps: report.ok_per_s(), answered: *ok, cpu_us, p50_ms, p99_ms })
    }

    /// One transaction a request.
    fn single(&self, run: Uuid) -> impl Fn(u64, &mut Vec<u8>) + Send + Sync + 'static {
        let (accounts, authorization) = (Arc::clone(&self.accounts), Arc::clone(&self.authorization));
        move |number, out| {
            let (debit, credit) = pair(&accounts, number);
            let body =
                format!(r#"{{"transfers":[{{"debit":"{debit}","credit":"{credit}","amount":"1","asset":"EUR"}}]}}"#);
            let headers = [
                ("content-type", format_args!("application/json")),
                ("authorization", format_args!("{authorization}")),
                ("idempotency-key", format_args!("{}", key_of(run, number))),
            ];
            wire::write_post(out, format_args!("/v1/ledger/transactions"), &headers, body.as_bytes());
        }
    }

    /// A hundred.
    fn bulk(&self, run: Uuid) -> impl Fn(u64, &mut Vec<u8>) + Send + Sync + 'static {
        use std::fmt::Write as _;
        let (accounts, authorization) = (Arc::clone(&self.accounts), Arc::clone(&self.authorization));
        move |number, out| {
            let mut body = String::with_capacity(24 * 1024);
            body.push_str(r#"{"mode":"independent","transactions":["#);
            let first = number.saturating_mul(BULK);
            for number in first..first.saturating_add(BULK) {
                let ((debit, credit), id) = (pair(&accounts, number), key_of(run, number));
                let comma = if number == first { "" } else { "," };
                // A String takes everything.
                _ = write!(
                    body,
                    r#"{comma}{{"id":"{id}","transfers":[{{"debit":"{debit}","credit":"{credit}","amount":"1","asset":"EUR"}}]}}"#
                );
            }
            body.push_str("]}");
            let headers = [
                ("content-type", format_args!("application/json")),
                ("authorization", format_args!("{authorization}")),
            ];
            wire::write_post(out, format_args!("/v1/ledger/transactions"), &headers, body.as_bytes());
        }
    }
}

/// Time-ordered like a UUIDv7: a counter above, the run's own bits below.
fn key_of(run: Uuid, number: u64) -> Uuid {
    Uuid::from_u128((u128::from(number) << 64) | (run.as_u128() >> 64))
}

/// A multiplicative walk over the accounts: every pair differs, none is favoured.
fn pair(accounts: &[String], number: u64) -> (&str, &str) {
    let at = |n: u64| usize::try_from(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).unwrap_or(0);
    let place = |n: u64| at(n).checked_rem(accounts.len()).unwrap_or(0);
    let (from, mut to) = (place(number), place(number.wrapping_add(1)));
    if from == to {
        to = to.saturating_add(1).checked_rem(accounts.len()).unwrap_or(0);
    }
    let name = |place: usize| accounts.get(place).map_or("", String::as_str);
    (name(from), name(to))
}
