//! `tessera proof evidence`: check that a payer approved a payment, and that the books say the same, with a public key alone.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::SecondsFormat;
use data_encoding::HEXLOWER;
use ledger::proof::head::trust;
use serde_json::{Value, json};

use super::{rotations, trusted_keys};
use crate::identity::sca::Factor;
use crate::platform::sealing::HeadForm;
use crate::proofs::evidence::{self, Checked, Party};

/// What to check, and by what.
#[derive(Debug, clap::Args)]
pub struct EvidenceArgs {
    /// The evidence, as /v1/me/payments/{id}/evidence gives it.
    file: PathBuf,
    /// A file of the log's public keys that you trust, one a line.
    #[arg(long)]
    key: PathBuf,
    /// What /v1/ledger/keys answers, to follow rotations from a key you trust to a later one.
    #[arg(long)]
    rotations: Option<PathBuf>,
    /// The domain that passkeys must be of; without it, the one that the file names is taken.
    #[arg(long, requires = "origins")]
    rp_id: Option<String>,
    /// Where the pages must have been.
    #[arg(long = "origin", requires = "rp_id")]
    origins: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Checks, and says what it came to.
///
/// # Errors
/// When a file cannot be read. That the evidence does not hold is no error: the exit code says it.
pub(super) fn check(args: &EvidenceArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let bytes = std::fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let keys = trusted_keys(&args.key)?;
    let keys = match &args.rotations {
        Some(path) => trust(&keys, &rotations(path)?).context("the rotations do not begin at a key you trust")?,
        None => keys,
    };
    let party = args.rp_id.clone().map(|id| Party { id, origins: args.origins.clone() });
    let (checked, is_said) = (evidence::check(&bytes, &keys, party.clone()), party.is_none());
    let code = if checked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    match (checked, args.json) {
        (Ok(checked), true) => writeln!(out, "{}", facts(&checked))?,
        (Ok(checked), false) => write!(out, "{}", words(&checked, is_said))?,
        (Err(error), true) => {
            writeln!(out, "{}", json!({"ok": false, "code": error.code(), "what": error.to_string()}))?
        }
        (Err(error), false) => writeln!(out, "The evidence does NOT hold: {error}. It proves nothing.")?,
    }
    Ok(code)
}

fn factor(factor: &Factor) -> &'static str {
    match factor {
        Factor::Possession => "possession of the authenticator",
        Factor::KnowledgeOrInherence => "a PIN or the body, verified by it",
        Factor::DevicePossession => "possession of a registered device",
    }
}

fn words(Checked { shown, party, is_paid, receipt }: &Checked, is_said: bool) -> String {
    let (payload, header, head) = (&shown.payload, &receipt.leaf.header, &receipt.head.head);
    let amount = payload.decimal().unwrap_or_default();
    let (factors, became): (Vec<_>, _) = (
        shown.factors.iter().map(factor).collect(),
        if *is_paid { "it was paid" } else { "the books refused it, and nothing moved" },
    );
    let mut text = "The evidence holds. It proves:\n".to_owned();
    // Writing to a String does not fail.
    _ = writeln!(
        text,
        "- payment {}: {amount} {} to {}",
        payload.payment_id, payload.currency, payload.payee_name_shown
    );
    _ = writeln!(
        text,
        "  ({}), out of account {}, on {};",
        payload.payee_id, payload.payer_account, payload.execution_date
    );
    _ = writeln!(text, "- whoever has the passkey's key approved exactly this, by {};", factors.join(", "));
    let says = if is_said { ", as the file says: compare it, or give --rp-id and --origin" } else { "" };
    _ = writeln!(text, "  for {} on {}{says};", party.id, party.origins.join(", "));
    _ = writeln!(text, "- {became}: record {} of journal {} names this evidence,", header.seq, header.journal.0);
    _ = writeln!(text, "  and is in the log of {} records that key {} signed.", head.size, head.key);
    _ = writeln!(text, "It does not prove whose passkey it is, nor when it was approved: person {},", shown.person);
    _ = writeln!(
        text,
        "{}, is our word, which the record bears.",
        shown.approved_at.to_rfc3339_opts(SecondsFormat::Secs, true)
    );
    text
}

fn facts(Checked { shown, party, is_paid, receipt }: &Checked) -> Value {
    json!({
        "ok": true, "paid": is_paid, "payload": shown.payload, "person": shown.person, "approved_at": shown.approved_at,
        "method": shown.method, "factors": shown.factors, "public_key": HEXLOWER.encode(&shown.public_key),
        "evidence_sha256": HEXLOWER.encode(&shown.digest), "rp_id": party.id, "origins": party.origins,
        "journal": receipt.leaf.header.journal.0, "seq": receipt.leaf.header.seq, "head": HeadForm::from(&receipt.head),
    })
}
