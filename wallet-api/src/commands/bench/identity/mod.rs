//! `tessera bench identity`: what letting people in costs, and what their approvals do to payments, against pgbench.
//!
//! An approval with its payment is one request: the passkey's answer is judged, the evidence sealed and kept, and the payment posted.
//! What it answers is prepared before it is timed: payments are asked for and signed in software. Each payer approves one after
//! the other, as people do, so there are many. Latencies come from an open loop at half of peak. Then the same load once more
//! while two hundred passwords at once are tried each second.

mod checks;
mod passwords;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use hyper::Method;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use self::passwords::Tried;
use super::load::{Answer, LoadReport, Plan, closed_loop, open_loop};
use super::payments::{admin_key, all_answered, ms};
use super::pgbench::{CLIENTS, ratio};
use super::reference::{Reference, Stage};
use super::server::Server;
use super::{open_files, wire};
use crate::commands::client::Client;
use crate::commands::payer::{Payer, local_party};
use crate::platform::authenticator::Make;
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;

/// Concurrent requests that are tried.
const CONCURRENT: [usize; 3] = [16, 32, 64];
/// Payers, who approve in turn.
const PAYERS: usize = 512;
/// Enough in each wallet that none runs out.
const FUNDS: &str = "1000000000000";
/// How many times as long payments are asked for as they are approved, and by how many at once: approving is the faster.
const ASKED_FOR: (u32, usize) = (10, 16);
/// What an open loop is warmed up for.
const WARM: Duration = Duration::from_secs(2);
/// Sessions that are ended to see how long others take them.
const REVOKED: usize = 5;
const PATIENCE: Duration = Duration::from_secs(10);

/// What came out.
#[derive(Debug, Serialize)]
pub struct Identity {
    /// Letting in a token that is fresh, 99th percentile, microseconds.
    pub token_check_p99_us: u32,
    /// The same with its device's proof.
    pub token_check_with_proof_p99_us: u32,
    /// Approvals with their payments a second, the best of the concurrencies.
    pub approvals_per_s: u64,
    /// `approvals_per_s` over the reference's best.
    pub sca_ratio: Decimal,
    /// An approval with its payment at half of peak, from when it was due, 99th percentile.
    pub approval_p99_ms: Decimal,
    /// The same, median.
    pub approval_p50_ms: Decimal,
    /// Approvals a second of the open loop.
    pub open_rate: u32,
    /// The same 99th percentile while two hundred passwords at once are tried each second.
    pub approval_with_passwords_p99_ms: Decimal,
    /// That over the one without.
    pub argon_payment_p99_ratio: Decimal,
    /// Passwords that were looked at meanwhile.
    pub passwords_looked_at: u64,
    /// Passwords that were told to come back.
    pub passwords_told_to_wait: u64,
    /// From the answer that a session was ended at one node to its refusal at another, without Redis: the longest, seconds.
    pub revocation_s: Decimal,
    /// Approvals answered 2xx.
    pub acknowledged: u64,
    /// Payments in the books.
    pub rows: u64,
    /// What verify said.
    pub verify_ok: bool,
    /// The other side.
    #[serde(flatten)]
    pub reference: Reference,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { approvals_per_s, sca_ratio, approval_p99_ms, revocation_s, .. } = self;
        let Self { token_check_p99_us, token_check_with_proof_p99_us, argon_payment_p99_ratio, .. } = self;
        writeln!(
            f,
            "{approvals_per_s} approvals with payment/s ({sca_ratio} x pgbench), p99 {approval_p99_ms} ms at half"
        )?;
        writeln!(f, "with 200 passwords at once its p99 is {argon_payment_p99_ratio} x as long")?;
        write!(
            f,
            "token p99 {token_check_p99_us} us, with proof {token_check_with_proof_p99_us} us; revoked in {revocation_s} s"
        )
    }
}

/// Runs the bench; each contender takes `seconds`.
///
/// # Errors
/// When anything makes the figures void.
pub async fn identity(seconds: u32) -> anyhow::Result<Identity> {
    open_files::allow(8_192)?;
    let mut stage = Stage::set(seconds)?;
    let tenant = stage.tenant()?;
    let vault = tempfile::Builder::new().prefix("tessera-bench-vault-").tempdir_in(std::env::temp_dir())?;
    let vault = vault.path().to_str().context("a folder whose name is no text")?;
    // Whoever tries passwords says where they come from, as if a proxy stood in front.
    let words = ["serve", "--log", "warn", "--limits", "off", "--vault-dir", vault, "--trusted-proxy", "127.0.0.1"];
    let server = Server::run(&words, Some(&stage.url())).await?;
    let mut till = Till::open(&server, &stage.url(), tenant.id).await?;
    let first = till.payers.first().context("no payers")?.token.clone();
    let checked = checks::checks(&stage.url(), &first).await?;
    stage.settle()?;
    let time = Duration::from_secs(u64::from(seconds));
    let (mut best, mut acknowledged) = (0, 0_u64);
    for (concurrent, clients) in CONCURRENT.into_iter().zip(CLIENTS) {
        stage.run_reference(clients)?;
        let report = till.closed(concurrent, time).await?;
        best = report.ok_per_s().max(best);
        acknowledged = acknowledged.saturating_add(report.ok);
    }
    let open_rate = u32::try_from(best.checked_div(2).unwrap_or(0))?.max(1);
    let (open, _) = till.open_run(&stage, open_rate, time, None).await?;
    let (beside, tried) = till.open_run(&stage, open_rate, time, Some(&tenant.slug)).await?;
    anyhow::ensure!(tried.looked_at > 0 && tried.told_to_wait > 0, "no passwords were tried: the figures are void");
    acknowledged = acknowledged.saturating_add(open.ok).saturating_add(beside.ok);
    let other = Server::run(&words, Some(&stage.url())).await?;
    let revocation_s = till.revoke(&other).await?;
    other.stop()?;
    server.stop()?;
    let conn = &mut PgConnection::establish(&stage.url())?;
    let report = ledger::verify::verify(conn, ledger::JournalId(tenant.id), |_, _| {})?;
    anyhow::ensure!(report.ok, "the books do not verify: {:?}", report.broken);
    let top_ups = u64::try_from(PAYERS)?;
    let rows = report.transactions.saturating_sub(top_ups);
    anyhow::ensure!(
        rows == acknowledged,
        "{acknowledged} approvals were acknowledged, {rows} payments are in the books"
    );
    let reference = stage.close()?;
    Ok(Identity {
        token_check_p99_us: checked.token_us,
        token_check_with_proof_p99_us: checked.proof_us,
        approvals_per_s: best,
        sca_ratio: ratio(best, reference.pgbench_tps).context("the reference did nothing")?,
        approval_p99_ms: ms(&open.latencies, 990),
        approval_p50_ms: ms(&open.latencies, 500),
        approval_with_passwords_p99_ms: ms(&beside.latencies, 990),
        argon_payment_p99_ratio: times(ms(&beside.latencies, 990), ms(&open.latencies, 990))?,
        passwords_looked_at: tried.looked_at,
        passwords_told_to_wait: tried.told_to_wait,
        open_rate,
        revocation_s,
        acknowledged,
        rows,
        verify_ok: report.ok,
        reference,
    })
}

/// A merchant, and people who pay there.
struct Till {
    address: SocketAddr,
    merchant: Uuid,
    payers: Vec<Payer>,
    authorizations: Arc<[String]>,
}

/// An approval as it will be sent: whose, of which payment, and its body.
struct Prepared {
    payer: usize,
    payment: Uuid,
    body: String,
}

impl Till {
    async fn open(server: &Server, url: &str, tenant: i64) -> anyhow::Result<Self> {
        let client = Client::new(&format!("http://{}", server.address), &admin_key(url, tenant)?)?;
        let post = async |path: &str, body: Value| -> anyhow::Result<Value> {
            client.post(path, Ids::system().uuid_v7(Clock::System.now()), &body).await?.done()
        };
        let id = |body: &Value| -> anyhow::Result<Uuid> {
            Ok(body.get("id").and_then(Value::as_str).context("no id in the answer")?.parse()?)
        };
        let merchant = id(&post("/v1/merchants", json!({"reference": "m", "name": "Shop"})).await?)?;
        let (conn, party) = (&mut PgConnection::establish(url)?, local_party()?);
        // Answers of one payer may overtake each other here, so their passkeys do not count.
        let make = Make { counts: false, ..Make::DEVICE };
        let mut payers = Vec::new();
        for number in 0..PAYERS {
            let customer = id(&post("/v1/customers", json!({"reference": format!("c{number}")})).await?)?;
            let amount = json!({"amount": FUNDS, "asset": "EUR"});
            post("/v1/top-ups", json!({"customer": customer, "amount": amount, "rail": "card"})).await?;
            payers.push(Payer::enrol(conn, &party, (tenant, customer), make)?);
        }
        let authorizations = payers.iter().map(|payer| format!("Bearer {}", payer.token)).collect();
        Ok(Self { address: server.address, merchant, payers, authorizations })
    }

    /// Asks for payments for some time, and has them signed.
    async fn prepare(&mut self, time: Duration) -> anyhow::Result<Vec<Prepared>> {
        let (times, concurrent) = ASKED_FOR;
        let time = time.saturating_mul(times);
        let (authorizations, merchant) = (Arc::clone(&self.authorizations), self.merchant);
        let run = Ids::system().uuid_v7(Clock::System.now());
        let make = move |number: u64, out: &mut Vec<u8>| {
            let payer = turn(number, authorizations.len());
            let key = Uuid::from_u128((u128::from(number) << 64) | (run.as_u128() >> 64));
            let body = format!(r#"{{"merchant":"{merchant}","amount":{{"amount":"1999","asset":"EUR"}}}}"#);
            write(out, format_args!("/v1/me/payments"), authorizations.get(payer), key, &body);
        };
        let asked = Arc::new(Mutex::new(Vec::<(u64, Vec<u8>)>::new()));
        let noted = Arc::clone(&asked);
        let note = move |answer: &Answer<'_>| {
            noted.lock().unwrap_or_else(PoisonError::into_inner).push((answer.number, answer.body.to_vec()));
        };
        all_answered(&closed_loop(Plan::new(self.address, concurrent, make).on_ok(note), time).await?)?;
        let asked = std::mem::take(&mut *asked.lock().unwrap_or_else(PoisonError::into_inner));
        let mut prepared = Vec::with_capacity(asked.len());
        for (number, body) in asked {
            let body: Value = serde_json::from_slice(&body)?;
            let payer = turn(number, self.payers.len());
            let payment = body.get("id").and_then(Value::as_str).context("no id in the answer")?.parse()?;
            let approval = self.payers.get_mut(payer).context("no such payer")?.approve(&body)?;
            prepared.push(Prepared { payer, payment, body: approval.to_string() });
        }
        Ok(prepared)
    }

    /// What sends them in their order, and says when there were too few.
    fn approvals(&self, prepared: Vec<Prepared>, ran_out: &Arc<AtomicBool>) -> impl Fn(u64, &mut Vec<u8>) + use<> {
        let (authorizations, ran_out) = (Arc::clone(&self.authorizations), Arc::clone(ran_out));
        move |number: u64, out: &mut Vec<u8>| {
            let one = usize::try_from(number).ok().and_then(|number| prepared.get(number));
            let Some(Prepared { payer, payment, body }) = one.or_else(|| prepared.first()) else { return };
            ran_out.fetch_or(one.is_none(), Ordering::Relaxed);
            let path = format_args!("/v1/me/payments/{payment}/approval");
            write(out, path, authorizations.get(*payer), *payment, body);
        }
    }

    async fn closed(&mut self, concurrent: usize, time: Duration) -> anyhow::Result<LoadReport> {
        let prepared = self.prepare(time).await?;
        let ran_out = Arc::new(AtomicBool::new(false));
        let plan = Plan::new(self.address, concurrent, self.approvals(prepared, &ran_out));
        let report = closed_loop(plan, time).await?;
        all_answered(&report)?;
        anyhow::ensure!(!ran_out.load(Ordering::Relaxed), "too few payments were asked for: the figures are void");
        Ok(report)
    }

    /// At a rate, after as much of it untimed as wakes sessions and plans that the rest before it put to sleep; with a tenant's
    /// slug, while passwords are tried there.
    async fn open_run(
        &mut self,
        stage: &Stage,
        rate: u32,
        time: Duration,
        tried: Option<&str>,
    ) -> anyhow::Result<(LoadReport, Tried)> {
        let mut prepared = self.prepare(time).await?;
        stage.tidy().await?;
        let ran_out = Arc::new(AtomicBool::new(false));
        let rate = NonZeroU32::new(rate).context("the server answers nothing")?;
        let of_warm = usize::try_from(rate.get())?.saturating_mul(usize::try_from(WARM.as_secs())?).min(prepared.len());
        let rest = prepared.split_off(of_warm);
        let warm = open_loop(Plan::new(self.address, 256, self.approvals(prepared, &ran_out)), rate, WARM).await?;
        all_answered(&warm)?;
        let load = open_loop(Plan::new(self.address, 256, self.approvals(rest, &ran_out)), rate, time);
        let tries = async {
            match tried {
                Some(slug) => passwords::bursts(self.address, slug, time).await,
                None => Ok(Tried::default()),
            }
        };
        let (report, tried) = tokio::join!(load, tries);
        let mut report = report?;
        all_answered(&report)?;
        anyhow::ensure!(!ran_out.load(Ordering::Relaxed), "too few payments were asked for: the figures are void");
        report.ok = report.ok.saturating_add(warm.ok);
        Ok((report, tried?))
    }

    /// Ends sessions here, and sees how long the other node lets them in.
    async fn revoke(&self, other: &Server) -> anyhow::Result<Decimal> {
        let mut longest = Duration::ZERO;
        for payer in self.payers.iter().take(REVOKED) {
            let here = Client::new(&format!("http://{}", self.address), &payer.token)?;
            let there = Client::new(&format!("http://{}", other.address), &payer.token)?;
            there.get("/v1/me/sessions").await?.done()?;
            here.call(Method::DELETE, &format!("/v1/me/sessions/{}", payer.session), None, "en").await?.done()?;
            let ended = Instant::now();
            while there.get("/v1/me/sessions").await?.status != 401 {
                anyhow::ensure!(ended.elapsed() < PATIENCE, "a session that was ended goes on elsewhere");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            longest = ended.elapsed().max(longest);
        }
        Ok(Decimal::new(i64::try_from(longest.as_millis())?, 3))
    }
}

fn times(with: Decimal, without: Decimal) -> anyhow::Result<Decimal> {
    Ok(with.checked_div(without).context("nothing was answered")?.round_dp(2))
}

fn turn(number: u64, payers: usize) -> usize {
    usize::try_from(number).unwrap_or(0).checked_rem(payers).unwrap_or(0)
}

fn write(out: &mut Vec<u8>, path: fmt::Arguments<'_>, authorization: Option<&String>, key: Uuid, body: &str) {
    let authorization = authorization.map(String::as_str).unwrap_or_default();
    let headers = [
        ("content-type", format_args!("application/json")),
        ("authorization", format_args!("{authorization}")),
        ("idempotency-key", format_args!("{key}")),
    ];
    wire::write_post(out, path, &headers, body.as_bytes());
}
