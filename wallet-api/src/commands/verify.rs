//! `tessera verify`: the books against themselves.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use diesel::{Connection, PgConnection};
use indicatif::{ProgressBar, ProgressStyle};
use ledger::verify::{Report, verify as verify_journal};
use serde::Serialize;

use super::node::DatabaseArgs;

/// What to verify.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Only this tenant's books.
    #[arg(long)]
    tenant: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
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
}

/// Verifies and prints; exit code 1 when something is broken.
pub fn verify(args: &VerifyArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let database = args.database.join()?;
    let verified = verify_database(&database.url, args.tenant.as_deref())?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&verified)?)?;
    } else {
        verified.print(out)?;
    }
    Ok(if verified.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Verifies every tenant's books, or one's.
///
/// # Errors
/// When they cannot be read.
pub fn verify_database(url: &str, tenant: Option<&str>) -> anyhow::Result<Verified> {
    let mut conn = PgConnection::establish(url)?;
    let tenants = match tenant {
        Some(slug) => vec![crate::identity::tenant_by_slug(&mut conn, slug)?],
        None => crate::identity::tenants(&mut conn)?,
    };
    let mut journals = Vec::new();
    for tenant in tenants {
        let bar = progress(&tenant.slug);
        let report = verify_journal(&mut conn, ledger::JournalId(tenant.id), |at, head| {
            bar.set_length(u64::try_from(head).unwrap_or(0));
            bar.set_position(u64::try_from(at).unwrap_or(0));
        })?;
        bar.finish_and_clear();
        journals.push(report);
    }
    let sum = |of: fn(&Report) -> u64| journals.iter().map(of).fold(0, u64::saturating_add);
    Ok(Verified {
        ok: journals.iter().all(|report| report.ok),
        transactions: sum(|report| report.transactions),
        transfers: sum(|report| report.transfers),
        records: sum(|report| report.records),
        accounts: sum(|report| report.accounts),
        journals,
    })
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
        }
        let verdict =
            if self.ok { "The books are whole." } else { "The books are NOT whole: keep everything as it is." };
        writeln!(out, "{verdict}")
    }
}
