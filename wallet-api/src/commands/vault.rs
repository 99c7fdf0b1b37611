//! `tessera vault`: how the keys stand, rotating them, and receipts of erasure.
//!
//! `receipt check` opens no database, asks nobody and knows nothing but its two files. A rotation runs beside nodes, can be
//! killed, and goes on when it is run again. Not here: forgetting a person, which is the slices' to decide.

use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use indicatif::ProgressBar;
use ledger::proof::head::trust;
use serde_json::json;
use uuid::Uuid;

use super::backup::beside;
use super::node::{Database, DatabaseArgs};
use super::proof::{rotations, trusted_keys};
use crate::app::SEALED_COLUMNS;
use crate::identity;
use crate::platform::clock::Clock;
use crate::platform::db;
use crate::platform::sealing::Keys;
use crate::platform::vault::{KeyText, Receipt, Rotated, Settings, Status, Step, TenantStatus, Vault};

/// More than any transaction that writes may take: before an old key goes, whoever read with it has ended.
const GRACE: Duration = db::DEADLINE.saturating_add(Duration::from_secs(1));

/// What to do with the vault.
#[derive(Debug, clap::Subcommand)]
pub enum VaultCommand {
    /// Tell which keys there are, what uses them, and who was forgotten.
    Status(StatusArgs),
    /// Have a new key wrap the tenants' keys, or give a tenant a new key. Goes on where a killed one stopped.
    Rotate(RotateArgs),
    /// Receipts that a person was forgotten.
    Receipt {
        #[command(subcommand)]
        what: ReceiptCommand,
    },
}

/// What to do with receipts.
#[derive(Debug, clap::Subcommand)]
pub enum ReceiptCommand {
    /// Check a receipt, offline: it needs a public key and nothing else.
    Check(CheckArgs),
    /// Print the receipt of a person who was forgotten.
    Show(ShowArgs),
}

/// Where the vault is.
#[derive(Debug, Clone, clap::Args)]
pub struct VaultArgs {
    /// The folder of the vault's keys and of the erasure ledger, made at the first start; the same on every node. Without
    /// it, beside the data folder of a private database; with a database of your own, what needs the vault is refused.
    #[arg(long, env = "TESSERA_VAULT_DIR")]
    vault_dir: Option<PathBuf>,
    /// Keys of the vault in the place of the folder's: `1:` and 64 hexadecimal digits, several versions parted by commas.
    /// Give them by variable, file or descriptor (`TESSERA_VAULT_KEYS_FILE=/dev/fd/3`): others see flags.
    #[arg(long, env = "TESSERA_VAULT_KEYS", hide_env_values = true)]
    vault_keys: Option<KeyText>,
}

/// Whose vault.
#[derive(Debug, clap::Args)]
pub struct OpenArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    vault: VaultArgs,
    /// The proof folder, whose keys sign receipts; without it, the one beside the data folder.
    #[arg(long, env = "TESSERA_PROOF_DIR")]
    proof_dir: Option<PathBuf>,
}

/// What to tell.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What to rotate.
#[derive(Debug, clap::Args)]
pub struct RotateArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// Give this tenant a new key, instead of wrapping all tenants' keys by a new one.
    #[arg(long)]
    tenant: Option<String>,
    /// Only make the new key's file, to bring it to every node before it is used; rotate again then.
    #[arg(long, conflicts_with = "tenant")]
    prepare: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What to check, and by what.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The receipt.
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

/// Whose receipt.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// Whose customer.
    #[arg(long)]
    tenant: String,
    /// The person's number.
    person: Uuid,
}

impl VaultArgs {
    /// Where it is, with the data folder of a private database to be beside of.
    pub(super) fn settings(&self, private: Option<&Path>) -> Settings {
        let folder = self.vault_dir.clone().or_else(|| private.and_then(|data_dir| beside(data_dir, "vault")));
        Settings { folder, keys: self.vault_keys.clone() }
    }
}

/// An open vault with a connection that sees all tenants.
pub(super) struct Opened {
    pub(super) vault: Vault,
    pub(super) conn: PgConnection,
    _database: Database,
}

impl OpenArgs {
    pub(super) fn open(&self) -> anyhow::Result<Opened> {
        let database = self.database.join()?;
        let private = self.database.database_url.is_none().then_some(self.database.data_dir.as_path());
        let proof_dir = self.proof_dir.clone().or_else(|| private.and_then(|data_dir| beside(data_dir, "proof")));
        let signers = proof_dir.filter(|folder| folder.is_dir()).map(|folder| Keys::of(&folder)).transpose()?;
        let mut conn = PgConnection::establish(&database.url)?;
        let vault = self.vault.settings(private).open(&mut conn, signers.map(Arc::new), SEALED_COLUMNS)?;
        Ok(Opened { vault, conn, _database: database })
    }
}

/// `tessera vault …`
pub fn vault(command: VaultCommand, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match command {
        VaultCommand::Status(args) => status(&args, out)?,
        VaultCommand::Rotate(args) => rotate(&args, out)?,
        VaultCommand::Receipt { what: ReceiptCommand::Check(args) } => return check(&args, out),
        VaultCommand::Receipt { what: ReceiptCommand::Show(args) } => show(&args, out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn status(args: &StatusArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let Opened { vault, mut conn, _database } = args.open.open()?;
    let status = vault.status(&mut conn)?;
    if args.json {
        return Ok(writeln!(out, "{}", serde_json::to_string(&status)?)?);
    }
    let Status { keks, newest_kek, is_rotation_begun, tenants, erasures_written_down } = status;
    for kek in &keks {
        let here = if kek.is_here { "" } else { ", NOT among this node's keys" };
        let retired = if kek.is_retired { ", retired (keep it as long as backups)" } else { "" };
        writeln!(out, "key {}: wraps {} tenant keys{retired}{here}", kek.version, kek.wraps)?;
    }
    if keks.is_empty() {
        writeln!(out, "nothing is sealed yet; key {newest_kek} will wrap the first tenant's key")?;
    }
    if is_rotation_begun {
        writeln!(out, "a rotation to key {newest_kek} is not finished: run `tessera vault rotate`")?;
    }
    for TenantStatus { tenant, versions, left_to_rotate, persons, forgotten } in &tenants {
        writeln!(out, "tenant {tenant}: key version {versions:?}, {persons} persons, {forgotten} forgotten")?;
        if versions.len() > 1 {
            writeln!(out, "  its rotation is not finished, {left_to_rotate} to go: run it again with --tenant")?;
        }
    }
    match erasures_written_down {
        Some(count) => writeln!(out, "erasures in the ledger outside the database: {count}")?,
        None => writeln!(out, "no erasure ledger here: nobody can be forgotten without --vault-dir")?,
    }
    Ok(())
}

fn rotate(args: &RotateArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let Opened { vault, mut conn, _database } = args.open.open()?;
    let conn = &mut conn;
    if args.prepare {
        anyhow::ensure!(!vault.is_rotation_begun(conn)?, "the newest key does not wrap everything yet: rotate first");
        let version = vault.prepare()?;
        if args.json {
            return Ok(writeln!(out, "{}", json!({"prepared": version}))?);
        }
        return Ok(writeln!(out, "key {version} is made: bring it to every node, then run `tessera vault rotate`")?);
    }
    vault.level(conn)?;
    let (now, bar) = (Clock::System.now(), bar());
    let mut watch = |step: Step| {
        bar.set_message(words(step));
        bar.tick();
        true
    };
    let done = match &args.tenant {
        None => vault.rotate(conn, now, &mut watch)?,
        Some(slug) => {
            let tenant = identity::tenant_by_slug(conn, slug)?;
            vault.rotate_tenant(conn, tenant.id, GRACE, now, &mut watch)?
        }
    };
    bar.finish_and_clear();
    if args.json {
        return Ok(writeln!(out, "{}", serde_json::to_string(&done)?)?);
    }
    tell(&done, args.tenant.as_deref(), out)
}

fn tell(done: &Rotated, tenant: Option<&str>, out: &mut dyn Write) -> anyhow::Result<()> {
    let Rotated { version, resumed, tenants, persons, indexes, cells, retired } = done;
    let begun = if *resumed { "the rotation that was begun is finished" } else { "rotated" };
    match tenant {
        None => {
            writeln!(out, "{begun}: key {version} wraps all tenants' keys ({tenants} now), {retired} older retired")?;
            writeln!(out, "Keep older keys as long as backups that were made under them.")?;
        }
        Some(slug) => writeln!(
            out,
            "{begun}: tenant {slug} has key version {version} ({persons} persons' keys, {indexes} indexes' and {cells} \
             cells now), {retired} older destroyed"
        )?,
    }
    Ok(())
}

fn bar() -> ProgressBar {
    if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() }
}

fn words(step: Step) -> String {
    match step {
        Step::NewKek(version) => format!("key {version} wraps what is new"),
        Step::Tenant(tenant) => format!("tenant {tenant} is wrapped by it"),
        Step::NewKey(version) => format!("the tenant has key version {version}"),
        Step::Persons(count) => format!("{count} more persons' keys"),
        Step::Indexes(count) => format!("{count} indexes' keys"),
        Step::Cells(count) => format!("{count} more cells"),
        Step::Waiting(grace) => format!("waiting {} s for whoever still reads with the old key", grace.as_secs()),
        Step::Retired(count) => format!("{count} older retired"),
    }
}

fn check(args: &CheckArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let text =
        std::fs::read_to_string(&args.receipt).with_context(|| format!("cannot read {}", args.receipt.display()))?;
    let keys = trusted_keys(&args.key)?;
    let keys = match &args.rotations {
        Some(path) => trust(&keys, &rotations(path)?).context("the rotations do not begin at a key you trust")?,
        None => keys,
    };
    let checked = Receipt::parse(text.trim()).and_then(|receipt| receipt.check(&keys).map(|()| receipt));
    let code = if checked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    match (checked, args.json) {
        (Ok(Receipt { tenant, person, erased_at, key, destroyed, .. }), true) => {
            let told = json!({"ok": true, "tenant": tenant, "person": person, "erased_at": erased_at, "key": key, "destroyed": destroyed});
            writeln!(out, "{told}")?;
        }
        (Ok(Receipt { tenant, person, erased_at, key, .. }), false) => {
            writeln!(
                out,
                "The receipt holds: key {key} signed that the key of person {person} of tenant {tenant} was"
            )?;
            writeln!(out, "destroyed at {erased_at}. It does not prove that no backup is left that is older.")?;
        }
        (Err(error), true) => {
            writeln!(out, "{}", json!({"ok": false, "code": error.code(), "what": error.to_string()}))?
        }
        (Err(error), false) => writeln!(out, "The receipt does NOT hold: {error}. It proves nothing.")?,
    }
    Ok(code)
}

fn show(args: &ShowArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let Opened { vault, mut conn, _database } = args.open.open()?;
    let tenant = identity::tenant_by_slug(&mut conn, &args.tenant)?;
    let receipt = vault.receipt_of(&mut conn, tenant.id, args.person)?;
    let receipt = receipt.context("nobody of that number was forgotten")?;
    Ok(writeln!(out, "{}", receipt.text())?)
}
