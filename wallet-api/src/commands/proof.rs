//! `tessera proof`: check a receipt with a public key alone, look at the signed heads, rotate the keys.
//!
//! `check` and `evidence` open no database, ask nobody and know nothing but their files: they are what a customer runs, anywhere.
//! Not here: verification of whole books (`verify`).

mod evidence;

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use diesel::{Connection, PgConnection};
use ledger::proof::head::trust;
use ledger::proof::{Proven, PublicKey, Receipt, SideFacts, SideOf, SignedHead};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::json;

use super::backup::beside;
use super::node::DatabaseArgs;
use crate::platform::ids::Ids;
use crate::platform::sealing::{HeadForm, Keys, Published, public_key_line, read_public_keys};

/// What to do with proofs.
#[derive(Debug, clap::Subcommand)]
pub enum ProofCommand {
    /// Check a receipt, offline: it needs a public key and nothing else.
    Check(CheckArgs),
    /// Check that a payer approved a payment and that the books say the same, offline.
    Evidence(evidence::EvidenceArgs),
    /// Print the last signed head of each journal, as a file that `verify --since` trusts.
    Head(HeadArgs),
    /// Make the next signing key, or the next salt secret; a running node takes it up by itself.
    Rotate(RotateArgs),
}

/// What to check, and by what.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The receipt: as the API gives it, binary or JSON.
    receipt: PathBuf,
    /// A file of public keys that you trust, one a line.
    #[arg(long)]
    key: PathBuf,
    /// What /v1/ledger/keys answers, to follow rotations from a key you trust to a later one.
    #[arg(long)]
    rotations: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Whose heads.
#[derive(Debug, clap::Args)]
pub struct HeadArgs {
    #[command(flatten)]
    database: DatabaseArgs,
}

/// What to rotate.
#[derive(Debug, clap::Args)]
pub struct RotateArgs {
    /// The proof folder; without it, the one beside the data folder.
    #[arg(long, env = "TESSERA_PROOF_DIR")]
    proof_dir: Option<PathBuf>,
    /// The folder of the private database.
    #[arg(long, env = "TESSERA_DATA_DIR", default_value = "./.tessera")]
    data_dir: PathBuf,
    /// Make a new salt secret, for records from here on, instead of a new signing key.
    #[arg(long)]
    salt: bool,
}

/// `tessera proof …`
pub fn proof(command: ProofCommand, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match command {
        ProofCommand::Check(args) => return check(&args, out),
        ProofCommand::Evidence(args) => return evidence::check(&args, out),
        ProofCommand::Head(args) => head(&args, out)?,
        ProofCommand::Rotate(args) => rotate(&args, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check(args: &CheckArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let bytes = std::fs::read(&args.receipt).with_context(|| format!("cannot read {}", args.receipt.display()))?;
    let keys = trusted_keys(&args.key)?;
    let keys = match &args.rotations {
        Some(path) => trust(&keys, &rotations(path)?).context("the rotations do not begin at a key you trust")?,
        None => keys,
    };
    let began = Instant::now();
    let receipt = Receipt::from_bytes(&binary_form(bytes));
    let checked = receipt.as_ref().map_err(Clone::clone).and_then(|receipt| receipt.check(&keys));
    let check_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let code = if checked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    match (checked, args.json) {
        (Ok(proven), true) => writeln!(out, "{}", facts(&proven, check_us))?,
        (Ok(proven), false) => write!(out, "{}", words(&proven))?,
        (Err(error), true) => writeln!(
            out,
            "{}",
            json!({"ok": false, "code": error.code(), "what": error.to_string(), "check_us": check_us})
        )?,
        (Err(error), false) => writeln!(out, "The receipt does NOT hold: {error}. It proves nothing.")?,
    }
    Ok(code)
}

/// A file of public keys.
///
/// # Errors
/// When it cannot be read, or has none.
pub(super) fn trusted_keys(path: &Path) -> anyhow::Result<Vec<PublicKey>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let keys = read_public_keys(&text);
    let keys = keys.map_err(|line| anyhow::anyhow!("{}, line {line}: that is no public key", path.display()))?;
    anyhow::ensure!(!keys.is_empty(), "{} holds no key", path.display());
    Ok(keys)
}

/// The rotations that a file tells, as the API answers them.
///
/// # Errors
/// When it cannot be read, or tells none.
pub(super) fn rotations(path: &Path) -> anyhow::Result<Vec<SignedHead>> {
    #[derive(Deserialize)]
    struct Told {
        rotations: Vec<HeadForm>,
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let told: Told = serde_json::from_str(&text).with_context(|| format!("{} tells no rotations", path.display()))?;
    Ok(told.rotations.iter().map(HeadForm::read).collect::<Result<_, _>>()?)
}

/// The receipt itself, out of the API's JSON or of base64, if that is what the file holds.
fn binary_form(bytes: Vec<u8>) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Told {
        receipt: String,
    }
    let told = serde_json::from_slice::<Told>(&bytes).map(|told| told.receipt);
    let text = told.or_else(|_no_json| String::from_utf8(bytes.clone()));
    text.ok().and_then(|text| STANDARD.decode(text.trim()).ok()).unwrap_or(bytes)
}

fn time(us: i64) -> String {
    let at = DateTime::from_timestamp_micros(us).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn amount(minor: i64, side: &SideFacts<'_>) -> String {
    let scale = u32::try_from(side.scale).unwrap_or(0);
    let decimal = Decimal::try_from_i128_with_scale(i128::from(minor), scale).unwrap_or_default();
    format!("{decimal} {}", side.asset)
}

fn sort(kind: i32) -> &'static str {
    match kind {
        1 => "transaction",
        2 => "opening of account",
        3 => "freeze of account",
        4 => "refusal",
        _ => "record",
    }
}

fn movement(side: &SideFacts<'_>) -> &'static str {
    match (side.kind, side.side) {
        (1 | 3, SideOf::Debit) => "gave",
        (1 | 3, SideOf::Credit) => "received",
        (2, SideOf::Debit) => "had held",
        (2, SideOf::Credit) => "was promised",
        (_, SideOf::Debit) => "had given back",
        (_, SideOf::Credit) => "lost the promise of",
    }
}

fn words(proven: &Proven<'_>) -> String {
    let (header, head) = (proven.header, &proven.head.head);
    let mut text = "The receipt holds. It proves:\n".to_owned();
    // Writing to a String does not fail.
    _ = writeln!(
        text,
        "- {} {} is record {} of journal {};",
        sort(header.kind),
        header.id,
        header.seq,
        header.journal.0
    );
    _ = writeln!(text, "  recorded {}, counted from {};", time(header.recorded_us), time(header.effective_us));
    _ = writeln!(
        text,
        "- it is in the log of {} records that key {} signed {}.",
        head.size,
        head.key,
        time(head.signed_us)
    );
    for side in &proven.sides {
        let (moved, left) = (amount(side.amount, side), amount(side.balance, side));
        let (account, row) = (side.account, side.version);
        _ = writeln!(
            text,
            "- account {account} {} {moved}, and stood at {left} after it (its row {row}).",
            movement(side)
        );
    }
    text.push_str("It does not prove what happened since, nor whose account it is.\n");
    text
}

fn facts(proven: &Proven<'_>, check_us: u64) -> serde_json::Value {
    let side = |side: &&SideFacts<'_>| {
        let of = match side.side {
            SideOf::Debit => "debit",
            SideOf::Credit => "credit",
        };
        json!({
            "leg": side.leg, "side": of, "account": side.account, "amount": side.amount.to_string(), "asset": side.asset,
            "scale": side.scale, "balance": side.balance.to_string(), "held": side.held.to_string(), "version": side.version,
        })
    };
    let header = proven.header;
    json!({
        "ok": true, "journal": header.journal.0, "fork": header.fork, "seq": header.seq, "kind": header.kind, "id": header.id,
        "recorded_at": time(header.recorded_us), "effective_at": time(header.effective_us),
        "sides": proven.sides.iter().map(side).collect::<Vec<_>>(),
        "head": HeadForm::from(proven.head), "check_us": check_us,
    })
}

fn head(args: &HeadArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let database = args.database.join()?;
    let conn = &mut PgConnection::establish(&database.url)?;
    let mut published = Published::none();
    for journal in ledger::journals(conn)? {
        if let Some(last) = ledger::sealing::last_head(conn, journal)? {
            published.put(HeadForm::from(&last));
        }
    }
    writeln!(out, "{}", serde_json::to_string_pretty(&published)?)?;
    Ok(())
}

fn rotate(args: &RotateArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let folder = args.proof_dir.clone().or_else(|| beside(&args.data_dir, "proof"));
    let folder = folder.context("name the proof folder with --proof-dir")?;
    let keys = Keys::of(&folder)?;
    if args.salt {
        let version = keys.rotate_salt(&Ids::system())?;
        writeln!(out, "salt secret {version} is made: records sealed from now on are salted with it")?;
    } else {
        let key = keys.rotate_signing(&Ids::system())?;
        writeln!(out, "{}", public_key_line(&key))?;
        writeln!(
            out,
            "The next head of each journal is signed by the former key and by this one, then by this one alone."
        )?;
    }
    writeln!(out, "Copy {} to every node, and back it up: `tessera backup` takes it along.", folder.display())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_found_in_whatever_form_the_api_gave_it() {
        let receipt = vec![0, 0, 0, 17, 255, 7];
        let base64 = STANDARD.encode(&receipt);
        let json = format!("{{\"seq\":1,\"receipt\":\"{base64}\"}}");
        for form in
            [receipt.clone(), base64.clone().into_bytes(), format!("{base64}\n").into_bytes(), json.into_bytes()]
        {
            assert_eq!(binary_form(form), receipt);
        }
        assert_eq!(binary_form(b"not base64!".to_vec()), b"not base64!");
    }
}
