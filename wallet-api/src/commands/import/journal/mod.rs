//! `tessera import journal`: accounts and transactions of a file, dated as they were, in the order of the file.
//!
//! One JSON object a line ([`line`]): a file made by hand, or by `tessera export journal`. It is read once, as a stream,
//! so that its size does not matter. Each line has a key of its own, made from its `id` or from its place in the export,
//! so a second run, or one after a kill, finds what the first did and changes nothing. Lines are posted in lots, each lot
//! in order and after the one before; what is refused is set aside with its line and reason, and the rest goes on.
//! An export says how each transfer left both accounts, and is held to it: the import ends at the first difference.
//! Not here: the times at which things were recorded, which are those of the import.

mod desk;
mod line;
mod whole;

use std::fs::{self, File};
use std::io::{BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::ImportError;
use super::lines::Lines;
use super::purchases::{tenant, with_remedy};
use super::rejects::Rejects;
use crate::commands::node::{DatabaseArgs, Node, Settings};
use crate::engagement::hooks::guard::Policy;
use crate::platform::ids::Ids;
use crate::platform::keyring::Tenant;
use crate::platform::vault;
use desk::Desk;
use line::LONGEST;

/// Whose books, when nobody says.
const TENANT: &str = "import";
/// Which file, into which books.
#[derive(Debug, clap::Args)]
pub struct JournalArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// A file with one JSON object a line.
    file: PathBuf,
    /// Whose books; made, as a sandbox, if there is no such tenant. With `--whole`, the tenant of the export unless you say
    /// another name.
    #[arg(long)]
    tenant: Option<String>,
    /// Restore an export as it was, record by record, into books without any: dates, refusals, holds, lots and all, to the
    /// same bytes and the same root. Run it again after a kill, and it goes on.
    #[arg(long, conflicts_with = "rejects")]
    whole: bool,
    /// Where lines go that are refused, with reason; without it, beside the file's name in this folder.
    #[arg(long)]
    rejects: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What an import did.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Lines read.
    pub lines: u64,
    /// Posted now.
    pub posted: u64,
    /// Posted before, under the same key.
    pub replayed: u64,
    /// Of an export: what changed no balance, and is not posted.
    pub passed_over: u64,
    /// Set aside with their reason.
    pub rejected: u64,
}

/// `tessera import journal …`
pub async fn journal(args: JournalArgs) -> anyhow::Result<()> {
    if args.whole {
        return whole::restore(&args);
    }
    let file =
        File::open(&args.file).map_err(|source| with_remedy(ImportError::Open { path: args.file.clone(), source }))?;
    let database = args.database.open()?;
    let tenant = tenant(&database.url, args.tenant.as_deref().unwrap_or(TENANT))?;
    let settings = Settings {
        url: database.url.clone(),
        address: "import".into(),
        memory: ledger::Memory::default(),
        ids: Ids::system(),
        hook_policy: Policy::default(),
        sealing: None,
        vault: vault::Settings::default(),
    };
    let node = Node::start(settings)?;
    let done = import(&node, &tenant, &args, file).await;
    node.stop().await;
    if let Some(cluster) = database.cluster {
        cluster.stop()?;
    }
    let (imported, rejects) = done?;
    report(&args, &imported, rejects.as_deref())
}

fn report(args: &JournalArgs, imported: &Imported, rejects: Option<&Path>) -> anyhow::Result<()> {
    let out = &mut std::io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(imported)?)?;
        return Ok(());
    }
    let Imported { lines, posted, replayed, passed_over, rejected } = imported;
    writeln!(out, "{lines} lines: {posted} posted, {replayed} posted before, {rejected} set aside")?;
    if *passed_over > 0 {
        writeln!(out, "{passed_over} records of the export changed no balance and are not posted")?;
    }
    if *posted == 0 {
        writeln!(out, "Nothing was new: the books are as they were.")?;
    }
    if let Some(rejects) = rejects {
        writeln!(out, "Lines that were set aside are in {}", rejects.display())?;
    }
    writeln!(out, "Next: tessera verify")?;
    Ok(())
}

async fn import(
    node: &Node,
    tenant: &Tenant,
    args: &JournalArgs,
    file: File,
) -> anyhow::Result<(Imported, Option<PathBuf>)> {
    anyhow::ensure!(
        node.parts.journal.wait_until_leading(Duration::from_secs(10)).await,
        "another node writes to these books: stop it, or import where it does not run"
    );
    let rejects = Rejects::new(&rejects_path(args), &args.file).map_err(with_remedy)?;
    let bar = progress(fs::metadata(&args.file).map_or(0, |file| file.len()));
    let mut desk = Desk::open(node, tenant, rejects).await?;
    let mut lines = Lines::with_longest(BufReader::with_capacity(1 << 18, file), LONGEST);
    loop {
        let line = lines.number();
        let read = lines.next_line();
        let read = read.map_err(|source| with_remedy(ImportError::Read { line, source }))?;
        let Some(line) = read else { break };
        if let Err(wrong) = desk.take(line.number, line.bytes, line.too_long).await? {
            desk.set_aside(line.number, &wrong, line.bytes)?;
        }
        if desk.is_full() {
            desk.post().await?;
            bar.set_position(lines.bytes_read());
        }
    }
    desk.post().await?;
    bar.finish_and_clear();
    anyhow::ensure!(
        !desk.is_open,
        "the export is cut off after line {}: what was read is posted; export again and import that",
        lines.number()
    );
    let Desk { imported, rejects, .. } = desk;
    let imported = Imported { lines: lines.number(), rejected: rejects.count(), ..imported };
    Ok((imported, rejects.finish().map_err(with_remedy)?))
}

fn rejects_path(args: &JournalArgs) -> PathBuf {
    let name = args.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    args.rejects.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.rejects.csv")))
}

fn progress(bytes: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left");
    let bar = ProgressBar::new(bytes);
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
