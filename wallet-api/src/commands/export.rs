//! `tessera export journal`: every record of a tenant's journal as a line of JSON.
//!
//! The first line says which books these are, then come their assets, then the records in order, each with its companions
//! and the exact bytes that are not rows, and at the end a line that says that it is the end: a file without it was cut
//! off. Memory does not grow with the journal. Beside a node that writes, the export ends at the head it found.
//! `tessera import journal` reads it. Not here: salts of the proof.

use std::fs::{self, File};
use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diesel::{Connection, PgConnection};
use indicatif::{ProgressBar, ProgressStyle};
use ledger::read::records::{self, Size};
use ledger::{Body, JournalId, Record};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::node::DatabaseArgs;
use crate::books::{Assets, RecordBody};
use crate::identity;

/// The version of the file's form.
pub(super) const FORMAT: u32 = 1;
/// Read at a time.
const PAGE: Size = Size { records: 2_000, transfers: 20_000 };

/// What to export.
#[derive(Debug, clap::Subcommand)]
pub enum ExportCommand {
    /// A tenant's journal, every record of it.
    Journal(JournalArgs),
}

/// Which journal, and where to.
#[derive(Debug, clap::Args)]
pub struct JournalArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Whose books.
    #[arg(long)]
    tenant: String,
    /// The first seq to export, for a file that goes on where another one ended.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    from: i64,
    /// Where to; it is replaced when all of it is there.
    file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A record as a line.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    record: RecordBody<'a>,
    /// The line of history it was written on.
    fork: Uuid,
    /// Its metadata, as it stands.
    meta_raw: &'a str,
    /// All of it but transfers and metadata, in the journal's own form.
    body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<Uuid>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    companions: Vec<Companion>,
}

#[derive(Serialize)]
struct Companion {
    kind: i32,
    key: Uuid,
    body: String,
}

/// `tessera export …`
///
/// # Errors
/// When the books cannot be read or the file not be written.
pub fn export(what: ExportCommand, out: &mut dyn Write) -> anyhow::Result<()> {
    let ExportCommand::Journal(args) = what;
    let database = args.database.join()?;
    let conn = &mut PgConnection::establish(&database.url)?;
    let tenant = identity::tenant_by_slug(conn, &args.tenant)?;
    // Beside its place, so that a name which had a whole export never has half of one.
    let mut part = args.file.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let file = File::create(&part).with_context(|| format!("cannot write {}", part.display()))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let (count, head) = write(conn, JournalId(tenant.id), &args, &mut file)?;
    file.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    fs::rename(&part, &args.file).with_context(|| format!("cannot write {}", args.file.display()))?;
    if args.json {
        writeln!(out, "{}", json!({"records": count, "from": args.from, "head": head}))?;
    } else {
        writeln!(out, "{count} records up to seq {head} are in {}", args.file.display())?;
    }
    Ok(())
}

/// Writes everything; tells how many records, and the last seq.
fn write(
    conn: &mut PgConnection,
    journal: JournalId,
    args: &JournalArgs,
    out: &mut impl Write,
) -> anyhow::Result<(i64, i64)> {
    let lines = records::lines(conn, journal)?.context("there are no such books")?;
    let head = ledger::read::head(conn, journal)?.context("there are no such books")?.seq;
    let books = json!({
        "type": "journal", "format": FORMAT, "tenant": args.tenant, "fork": lines.of(head), "from": args.from,
        "head": head,
    });
    writeln!(out, "{books}")?;
    let assets = Assets::new(ledger::read::assets_of(conn, journal)?);
    for asset in assets.all() {
        writeln!(out, "{}", json!({"type": "asset", "code": asset.code, "scale": asset.scale}))?;
    }
    let bar = progress(head);
    let mut after = args.from.saturating_sub(1);
    while after < head {
        let size = Size { records: PAGE.records.min(head.saturating_sub(after)), ..PAGE };
        let (page, _) = records::after(conn, journal, after, size)?;
        let last = page.last().context("a record is missing: run tessera verify")?.seq;
        let mut companions = records::companions(conn, journal, after.saturating_add(1), last)?.into_iter().peekable();
        for record in &page {
            let mut own = Vec::new();
            while let Some(one) = companions.next_if(|one| one.seq == record.seq) {
                own.push(Companion { kind: one.kind, key: one.key, body: STANDARD.encode(&one.body) });
            }
            let line = Line {
                record: RecordBody::of(record, &assets),
                fork: lines.of(record.seq),
                meta_raw: std::str::from_utf8(&record.meta).context("metadata that is no text")?,
                body: STANDARD.encode(record.body.to_bytes()),
                claim: claim(record),
                companions: own,
            };
            serde_json::to_writer(&mut *out, &line)?;
            out.write_all(b"\n")?;
        }
        after = last;
        bar.set_position(u64::try_from(after).unwrap_or(0));
    }
    bar.finish_and_clear();
    let count = head.saturating_sub(args.from.saturating_sub(1)).max(0);
    writeln!(out, "{}", json!({"type": "end", "records": count, "seq": head}))?;
    Ok((count, head))
}

fn claim(record: &Record) -> Option<Uuid> {
    let Body::Transaction { claim, .. } = &record.body else { return None };
    claim.map(|claim| claim.0)
}

fn progress(head: i64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} records, {per_sec}, {eta} left");
    let bar = ProgressBar::new(u64::try_from(head).unwrap_or(0));
    style.map_or(bar.clone(), |style| bar.with_style(style))
}
