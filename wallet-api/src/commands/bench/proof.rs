//! `tessera bench proof`: how fast rows are sealed, proved, checked and verified, over rows of the usual book.
//!
//! The rows are posted first, nothing being sealed meanwhile; then one sealer takes them all. Receipts are of random records,
//! with both accounts of the payer's side opened, made one at a time as the API makes them.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::PgConnection;
use ledger::JournalId;
use ledger::proof::{Receipt, Ring};
use ledger::sealing::{self, SealError, Sealer};
use ledger::verify::leaves::{Against, verify_log};
use serde::Serialize;

use super::posting::{Bank, IN_USE, Keys, Kind, Load, ring};
use super::reference::Stage;
use crate::platform::clock::Clock;

/// Receipts that are made and checked.
const RECEIPTS: i64 = 500;

/// What came out.
#[derive(Debug, Serialize)]
pub struct ProofBench {
    /// Records in the log.
    pub leaves: i64,
    /// Leaves that one sealer adds in a second.
    pub sealed_per_s: u64,
    /// Leaves that verification derives again in a second.
    pub verified_per_s: u64,
    /// Bytes of the log's tables for each leaf.
    pub log_bytes_per_leaf: i64,
    /// Binary path and head, the largest.
    pub proof_bytes: usize,
    /// A whole receipt with one side opened, the largest.
    pub receipt_bytes: usize,
    /// Making one receipt, median, microseconds.
    pub make_us: u64,
    /// Checking one offline, median, microseconds.
    pub check_us: u64,
    /// The same, the slowest.
    pub check_max_us: u64,
    /// Everything verified.
    pub verify_ok: bool,
}

impl fmt::Display for ProofBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leaves, sealed_per_s, verified_per_s, proof_bytes, receipt_bytes, make_us, check_us, .. } = self;
        writeln!(f, "{leaves} leaves: {sealed_per_s}/s sealed, {verified_per_s}/s verified")?;
        write!(f, "proof {proof_bytes} B, receipt {receipt_bytes} B, made in {make_us} us, checked in {check_us} us")
    }
}

/// Posts for `seconds`, then seals and proves what was posted.
///
/// # Errors
/// When anything makes the figures void.
pub async fn proof(seconds: u32) -> anyhow::Result<ProofBench> {
    let stage = Stage::set(seconds)?;
    let mut bank = Bank::open(&stage, "proved", IN_USE.try_into()?).await?;
    let time = Duration::from_secs(u64::from(seconds));
    bank.run(Load { kind: Kind::Spread, keys: Keys::Ordered, callers: 1_024, time }).await?;
    let id = bank.id;
    let conn = &mut bank.reader()?;
    let ring = ring()?;
    let epoch = bank.journal.leading_epoch(id).context("the journal is not led any more")?;
    let (leaves, took) = seal_all(conn, &ring, id, epoch)?;
    let began = Instant::now();
    let keys: Vec<_> = ring.public_keys().collect();
    let report = verify_log(conn, id, Against { salts: Some(&ring.salts), keys: &keys, since: None }, |_, _| {})?;
    let verified_per_s = per_s(leaves, began.elapsed());
    let log_bytes_per_leaf = sealing::bytes_of_log(conn)?.checked_div(leaves).unwrap_or(0);
    let Proved { proof_bytes, receipt_bytes, made, checked } = prove_some(conn, &ring, id)?;
    let ((make_us, _), (check_us, check_max_us)) = (spread(made), spread(checked));
    let figures = ProofBench {
        leaves,
        sealed_per_s: per_s(leaves, took),
        verified_per_s,
        log_bytes_per_leaf,
        proof_bytes,
        receipt_bytes,
        make_us,
        check_us,
        check_max_us,
        verify_ok: report.ok,
    };
    bank.stop().await?;
    drop(stage);
    Ok(figures)
}

fn seal_all(conn: &mut PgConnection, ring: &Ring, id: JournalId, epoch: i64) -> anyhow::Result<(i64, Duration)> {
    let (mut sealer, mut leaves, began) = (Sealer::default(), 0_i64, Instant::now());
    loop {
        let sealed = sealer.turn(conn, ring, id, epoch, Clock::System.now().timestamp_micros());
        let sealed = sealed.map_err(|error: SealError| anyhow::anyhow!(error))?;
        leaves = leaves.saturating_add(sealed.leaves);
        if sealed.whole.is_some() {
            return Ok((leaves, began.elapsed()));
        }
        if sealed.behind == 0 {
            std::thread::sleep(Duration::from_millis(50)); // the head is due in less than a second
        }
    }
}

/// Binary path and head of records of a bank that is sealed, the largest of some hundred.
///
/// # Errors
/// What the database refuses; receipts that do not check.
pub fn path_and_head(bank: &Bank, ring: &Ring) -> anyhow::Result<usize> {
    Ok(prove_some(&mut bank.reader()?, ring, bank.id)?.proof_bytes)
}

/// Receipts that were made and checked: the largest sizes, every time.
#[derive(Default)]
struct Proved {
    proof_bytes: usize,
    receipt_bytes: usize,
    made: Vec<Duration>,
    checked: Vec<Duration>,
}

fn prove_some(conn: &mut PgConnection, ring: &Ring, id: JournalId) -> anyhow::Result<Proved> {
    let keys: Vec<_> = ring.public_keys().collect();
    let head = sealing::last_head(conn, id)?.context("there is no head")?;
    let leaves = head.head.size;
    let step = leaves.checked_div(RECEIPTS).unwrap_or(1).max(1);
    let mut proved = Proved::default();
    for number in 0..RECEIPTS.min(leaves) {
        let seq = number.saturating_mul(step).saturating_add(1);
        let record = ledger::read::record(conn, id, seq)?.context("a record is missing")?;
        let mut payer = None;
        if let ledger::Body::Transaction { transfers, .. } = &record.body {
            payer = transfers.first().map(|posted| posted.debit.public_id);
        }
        let began = Instant::now();
        let receipt = sealing::receipt(conn, &ring.salts, seq, payer.as_slice(), head)?.context("no secret")?;
        proved.made.push(began.elapsed());
        let bytes = receipt.to_bytes();
        let began = Instant::now();
        Receipt::from_bytes(&bytes)?.check(&keys)?;
        proved.checked.push(began.elapsed());
        let path = receipt.path.len().saturating_mul(32).saturating_add(4);
        proved.proof_bytes = proved.proof_bytes.max(path.saturating_add(head.to_bytes().len()));
        proved.receipt_bytes = proved.receipt_bytes.max(bytes.len());
    }
    Ok(proved)
}

/// Median and maximum, microseconds.
fn spread(mut times: Vec<Duration>) -> (u64, u64) {
    times.sort_unstable();
    let micros = |time: Option<&Duration>| time.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    (micros(times.get(times.len() / 2)), micros(times.last()))
}

fn per_s(count: i64, took: Duration) -> u64 {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    u64::try_from(count).unwrap_or(0).saturating_mul(1_000_000).checked_div(micros).unwrap_or(0)
}
