//! `tessera verify`: the books against themselves, their log against the books, and both against a head that is trusted.
//! With `--audit`, the audit log instead.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use diesel::{Connection, PgConnection};
use indicatif::{ProgressBar, ProgressStyle};
use ledger::archive::Files;
use ledger::proof::{PublicKey, Ring, SignedHead};
use ledger::verify::leaves::{Against, LogReport, Mode, verify_log_with};
use ledger::verify::{Report, Unread, verify_with};
use serde::Serialize;
use serde_json::json;

use super::backup::beside;
use super::node::DatabaseArgs;
use super::proof::trusted_keys;
use crate::platform::audit::head::SignedAuditHead;
use crate::platform::audit::verify::{self as audit, AuditReport};
use crate::platform::keyring::Tenant;
use crate::platform::sealing::{Keys, Published};

/// How the bytes begin that a report's signature is over.
const REPORT: &str = "tessera.report.1\n";

/// What to verify.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Only this tenant's books.
    #[arg(long)]
    tenant: Option<String>,
    /// Compute the audit log again instead of the books: every row, the heads, what was signed for.
    #[arg(long, conflicts_with_all = ["report", "archive"])]
    audit: bool,
    /// Heads that you trust, as published or as `proof head` printed them: the log must begin with each, and what came
    /// after it is derived again from the rows.
    #[arg(long, value_name = "HEADFILE")]
    since: Option<PathBuf>,
    /// The proof folder; without it, the one beside the data folder, if there is one. With its secrets every leaf of the
    /// log is derived again from the rows; without, tiles and heads alone are checked.
    #[arg(long, env = "TESSERA_PROOF_DIR")]
    proof_dir: Option<PathBuf>,
    /// A file of public keys that heads must be signed by; without it, the proof folder's, else those in the database.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Write what was found to this file, signed with the proof folder's key.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Folders or files of archived transfers: with them, ranges that are archived are checked as if their rows were here.
    #[arg(long, value_name = "PATH")]
    archive: Vec<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What the logs are held against; nothing checks them by themselves.
#[derive(Debug, Default)]
pub struct Trusted {
    ring: Option<Ring>,
    keys: Vec<PublicKey>,
    since: Vec<SignedHead>,
    audit: Vec<SignedAuditHead>,
    files: Files,
}

impl Trusted {
    fn of(args: &VerifyArgs) -> anyhow::Result<Self> {
        let usual = || beside(&args.database.data_dir, "proof").filter(|folder| folder.is_dir());
        let private = args.database.database_url.is_none();
        let folder = args.proof_dir.clone().or_else(|| if private { usual() } else { None });
        let ring = folder.map(|folder| Keys::read(&folder)).transpose()?;
        let mut keys: Vec<PublicKey> = ring.iter().flat_map(Ring::public_keys).collect();
        if let Some(path) = &args.key {
            keys = trusted_keys(path)?;
        }
        let published = args.since.as_deref().map(heads_of).transpose()?.unwrap_or_else(Published::none);
        let read = published.heads.iter().map(crate::platform::sealing::HeadForm::read);
        let since: Vec<SignedHead> = read.collect::<Result<_, _>>()?;
        let read = published.audit.iter().map(crate::platform::audit::head::AuditHeadForm::read);
        let audit: Vec<SignedAuditHead> = read.collect::<Result<_, _>>()?;
        if !keys.is_empty() {
            let signed = since.iter().try_for_each(|head| head.check(&keys));
            let signed = signed.and_then(|()| audit.iter().try_for_each(|head| head.check(&keys)));
            signed.context("the trusted head is not signed by a key that is trusted here")?;
        }
        Ok(Self { ring, keys, since, audit, files: Files::at(args.archive.clone()) })
    }
}

fn heads_of(path: &Path) -> anyhow::Result<Published> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Published::parse(&text).map_err(|what| anyhow::anyhow!("{} holds no heads: {what}", path.display()))
}

/// All journals' reports together.
#[derive(Debug, Serialize)]
pub struct Verified {
    /// Nothing is broken.
    pub ok: bool,
    /// Transactions in all.
    pub transactions: u64,
    /// Transfers in all.
    pub transfers: u64,
    /// Records in all.
    pub records: u64,
    /// Accounts in all.
    pub accounts: u64,
    /// One report per tenant.
    pub journals: Vec<Report>,
    /// One per tenant on its log.
    pub logs: Vec<LogReport>,
}

/// Verifies and prints; exit code 1 when something is broken.
pub fn verify(args: &VerifyArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let database = args.database.join()?;
    let trusted = Trusted::of(args)?;
    if args.audit {
        let verified = verify_audit(&database.url, args.tenant.as_deref(), &trusted)?;
        if args.json {
            writeln!(out, "{}", serde_json::to_string(&verified)?)?
        } else {
            verified.print(out)?
        }
        return Ok(if verified.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let verified = verify_database(&database.url, args.tenant.as_deref(), &trusted)?;
    if let Some(path) = &args.report {
        let ring = trusted
            .ring
            .as_ref()
            .context("a report is signed with the proof folder's key: name it with --proof-dir")?;
        write_report(path, &verified, ring)?;
    }
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&verified)?)?;
    } else {
        verified.print(out)?;
    }
    Ok(if verified.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes what was found, and the signature over it: over the words above and then the text of `report`.
fn write_report(path: &Path, verified: &Verified, ring: &Ring) -> anyhow::Result<()> {
    let report = serde_json::to_string(verified)?;
    let signer = ring.current();
    let signature = signer.sign(format!("{REPORT}{report}").as_bytes());
    let signed =
        json!({"report": report, "key": signer.public().id().to_string(), "signature": STANDARD.encode(signature)});
    fs::write(path, format!("{signed}\n")).with_context(|| format!("cannot write {}", path.display()))
}

/// Verifies every tenant's books, or one's, and their logs.
///
/// # Errors
/// When they cannot be read.
pub fn verify_database(url: &str, tenant: Option<&str>, trusted: &Trusted) -> anyhow::Result<Verified> {
    let mut conn = PgConnection::establish(url)?;
    let only = tenant;
    let tenants = tenants(&mut conn, only)?;
    if only.is_none() {
        none_is_gone(&tenants, trusted.since.iter().map(|since| since.head.journal.0))?;
    }
    let (mut journals, mut logs) = (Vec::new(), Vec::new());
    for tenant in tenants {
        let bar = progress(&tenant.slug);
        let journal = ledger::JournalId(tenant.id);
        let report = verify_with(&mut conn, journal, &trusted.files, |at, head| {
            bar.set_length(u64::try_from(head).unwrap_or(0));
            bar.set_position(u64::try_from(at).unwrap_or(0));
        })?;
        journals.push(report);
        let since = trusted.since.iter().find(|since| since.head.journal == journal);
        let against = Against { salts: trusted.ring.as_ref().map(|ring| &ring.salts), keys: &trusted.keys, since };
        logs.push(verify_log_with(&mut conn, journal, against, &trusted.files, |at, sealed| {
            bar.set_length(u64::try_from(sealed).unwrap_or(0));
            bar.set_position(u64::try_from(at).unwrap_or(0));
        })?);
        bar.finish_and_clear();
    }
    let sum = |of: fn(&Report) -> u64| journals.iter().map(of).fold(0, u64::saturating_add);
    Ok(Verified {
        ok: journals.iter().all(|report| report.ok) && logs.iter().all(|log| log.ok),
        transactions: sum(|report| report.transactions),
        transfers: sum(|report| report.transfers),
        records: sum(|report| report.records),
        accounts: sum(|report| report.accounts),
        journals,
        logs,
    })
}

/// Whoever trusts a head knows of its books: they cannot be left out by there being no such tenant any more.
fn none_is_gone(tenants: &[Tenant], trusted: impl Iterator<Item = i64>) -> anyhow::Result<()> {
    for journal in trusted {
        anyhow::ensure!(
            tenants.iter().any(|tenant| tenant.id == journal),
            "a trusted head is of tenant {journal}, which is not in this database: its books are gone, or this is another database"
        );
    }
    Ok(())
}

fn tenants(conn: &mut PgConnection, only: Option<&str>) -> anyhow::Result<Vec<Tenant>> {
    Ok(match only {
        Some(slug) => vec![crate::identity::tenant_by_slug(conn, slug)?],
        None => crate::identity::tenants(conn)?,
    })
}

/// All tenants' audit logs together.
#[derive(Debug, Serialize)]
struct AuditVerified {
    /// Nothing is broken.
    ok: bool,
    /// Entries in all.
    entries: i64,
    /// One report per tenant.
    logs: Vec<AuditReport>,
}

fn verify_audit(url: &str, tenant: Option<&str>, trusted: &Trusted) -> anyhow::Result<AuditVerified> {
    let mut conn = PgConnection::establish(url)?;
    let mut logs = Vec::new();
    let all = tenants(&mut conn, tenant)?;
    if tenant.is_none() {
        none_is_gone(&all, trusted.audit.iter().map(|since| since.head.tenant))?;
    }
    for tenant in all {
        let since = trusted.audit.iter().find(|since| since.head.tenant == tenant.id);
        logs.push(audit::verify(&mut conn, tenant.id, audit::Against { keys: &trusted.keys, since })?);
    }
    let entries = logs.iter().map(|log| log.entries).fold(0, i64::saturating_add);
    Ok(AuditVerified { ok: logs.iter().all(|log| log.ok), entries, logs })
}

impl AuditVerified {
    fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for log in &self.logs {
            let AuditReport { tenant, entries, heads, signed_upto, .. } = log;
            let signatures = if log.signatures { "" } else { ", whose signatures were not checked: no key is here" };
            match &log.broken {
                None => writeln!(
                    out,
                    "audit log of tenant {tenant}: whole. {entries} entries, signed for up to {signed_upto} by {heads} heads{signatures}"
                )?,
                Some(broken) => writeln!(out, "audit log of tenant {tenant}: BROKEN. {broken}")?,
            }
            if let Some(since) = log.since.filter(|_| log.ok) {
                writeln!(out, "audit log of tenant {tenant}: has the trusted head of seq {since}")?;
            }
        }
        let verdict =
            if self.ok { "The audit logs are whole." } else { "They are NOT whole: keep everything as it is." };
        writeln!(out, "{verdict}")
    }
}

fn progress(slug: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} {per_sec}");
    let bar = ProgressBar::new(0).with_message(slug.to_owned());
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

impl Verified {
    /// In words.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for report in &self.journals {
            let Report { journal, seq, transactions, transfers, refusals, accounts, digest, .. } = report;
            match &report.broken {
                None => writeln!(
                    out,
                    "journal {}: whole up to seq {seq}. {transactions} transactions, {transfers} transfers, \
                     {refusals} refusals, {accounts} accounts; digest {digest}",
                    journal.0
                )?,
                Some(broken) => writeln!(out, "journal {}: BROKEN. {broken}", journal.0)?,
            }
            for Unread { first_seq, last_seq, file } in &report.unread {
                writeln!(
                    out,
                    "journal {}: NOT LOOKED AT: the transfers of seqs {first_seq} to {last_seq}, which are in {file}",
                    journal.0
                )?;
            }
        }
        for log in &self.logs {
            let LogReport { journal, leaves, heads, behind, derived, .. } = log;
            let mode = match log.mode {
                Mode::Rows => format!("{derived} leaves derived again from their rows"),
                Mode::TilesAndHeads => "tiles and heads only, since the salt secret is not here".to_owned(),
            };
            match &log.broken {
                None => writeln!(
                    out,
                    "log of journal {}: whole. {leaves} leaves, {heads} heads, {behind} records not sealed yet; {mode}",
                    journal.0
                )?,
                Some(broken) => writeln!(out, "log of journal {}: BROKEN. {broken}", journal.0)?,
            }
            if let Some(since) = log.since.filter(|_| log.ok) {
                writeln!(out, "log of journal {}: begins with the trusted head of size {since}", journal.0)?;
            }
        }
        let all_read = self.journals.iter().all(|report| report.unread.is_empty());
        let verdict = match (self.ok, all_read) {
            (true, true) => "The books are whole.",
            (true, false) => {
                "The books are whole as far as they were looked at: name the archive files with --archive to look at all, \
                 holds and lots after them too."
            }
            (false, _) => "The books are NOT whole: keep everything as it is.",
        };
        writeln!(out, "{verdict}")
    }
}
