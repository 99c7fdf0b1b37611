//! `tessera export journal`: every record of a tenant's journal as a line of JSON.
//!
//! The first line says which books these are, then come their assets, then the records in order, each with its companions,
//! its key and its exact bytes, after each commit a line for it, and at the end a line that says that it is the end: a file
//! without it was cut off ([`super::journal_file`]). Memory does not grow with the journal. Beside a node that writes, the
//! export ends at the head it found. `tessera import journal` reads it. Not here: secrets, so neither the tenant's nor the
//! salts of the proof.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diesel::{Connection, PgConnection};
use indicatif::{ProgressBar, ProgressStyle};
use ledger::canonical::{Place, canonical_bytes};
use ledger::forks::Lines;
use ledger::read::records::{self, Size};
use ledger::read::whole::{self, Batch};
use ledger::{Asset, AssetId, Body, JournalId, Key, Record};
use ring::digest::{Context, SHA256};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::journal_file::{
    AssetLine, BatchLine, BooksLine, CompanionPart, EndLine, FORMAT, FormerLine, Frame, KeyPart, hex,
};
use super::node::DatabaseArgs;
use crate::books::{Assets, RecordBody};
use crate::identity;
use crate::platform::keyring::Tenant;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<Uuid>,
    #[serde(flatten)]
    exact: Exact<'a>,
}

/// The part that [`super::import`] takes whole; `seq` is the record's own.
#[derive(Serialize)]
struct Exact<'a> {
    canonical: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyPart>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    companions: Vec<CompanionPart<'a>>,
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
    // One snapshot: keys are read by a cursor beside the records.
    let (count, head) = ledger::read::in_snapshot(conn, |conn| write(conn, &tenant, &args, &mut file))?;
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
    tenant: &Tenant,
    args: &JournalArgs,
    out: &mut impl Write,
) -> anyhow::Result<(i64, i64)> {
    let journal = JournalId(tenant.id);
    let mut export = Export::open(conn, tenant, args, out)?;
    let bar = progress(export.head);
    let mut after = args.from.saturating_sub(1);
    while after < export.head {
        let size = Size { records: PAGE.records.min(export.head.saturating_sub(after)), ..PAGE };
        let (page, _) = records::after(conn, journal, after, size)?;
        let last = page.last().context("a record is missing: run tessera verify")?.seq;
        let mut companions = records::companions(conn, journal, after.saturating_add(1), last)?.into_iter().peekable();
        for record in &page {
            let mut own = Vec::new();
            while let Some(one) = companions.next_if(|one| one.seq == record.seq) {
                own.push(CompanionPart { kind: one.kind, key: one.key, body: STANDARD.encode(&one.body).into() });
            }
            export.record(conn, record, own)?;
        }
        after = last;
        bar.set_position(u64::try_from(after).unwrap_or(0));
    }
    bar.finish_and_clear();
    let (head, count) = (export.head, export.head.saturating_sub(args.from.saturating_sub(1)).max(0));
    export.frame(&Frame::End(EndLine { records: count, seq: head }))?;
    Ok((count, head))
}

/// An export under way.
struct Export<'a, W> {
    journal: JournalId,
    head: i64,
    lines: Lines,
    assets: Assets,
    by_id: HashMap<AssetId, Asset>,
    keys: VecDeque<(i64, Key)>,
    batches: VecDeque<Batch>,
    out: &'a mut W,
    /// Over the lines since the last commit.
    hash: Context,
}

impl<'a, W: Write> Export<'a, W> {
    /// Writes what comes before the first record.
    fn open(conn: &mut PgConnection, tenant: &Tenant, args: &JournalArgs, out: &'a mut W) -> anyhow::Result<Self> {
        let journal = JournalId(tenant.id);
        let lines = records::lines(conn, journal)?.context("there are no such books")?;
        let head = ledger::read::head(conn, journal)?.context("there are no such books")?.seq;
        let all = ledger::read::assets_of(conn, journal)?;
        let batches: VecDeque<Batch> = whole::batches(conn, journal, args.from.saturating_sub(1))?.into();
        whole::open_keys(conn, journal, args.from)?;
        let former = lines.former().iter().map(|(fork, seq)| FormerLine { fork: *fork, seq: *seq }).collect();
        let books = BooksLine {
            format: FORMAT,
            tenant: tenant.slug.as_str().into(),
            fork: lines.of(head),
            from: args.from,
            head,
            number: tenant.id,
            name: tenant.name.as_str().into(),
            sandbox: tenant.sandbox,
            zone: tenant.zone.name().into(),
            locale: tenant.locale.tag().into(),
            former,
            rules: batches.front().map_or(1, |batch| batch.version),
        };
        let by_id = all.iter().map(|asset| (asset.id, asset.clone())).collect();
        let (assets, keys, hash) = (Assets::new(all), VecDeque::new(), Context::new(&SHA256));
        let mut export = Self { journal, head, lines, assets, by_id, keys, batches, out, hash };
        export.frame(&Frame::Journal(books))?;
        let assets: Vec<Asset> = export.assets.all().to_vec();
        for asset in &assets {
            let (code, number) = (asset.code.as_str().into(), asset.id.0);
            export.frame(&Frame::Asset(AssetLine { code, scale: asset.scale, number }))?;
        }
        Ok(export)
    }

    /// Writes a record, and its commit if it is the last of it.
    fn record(
        &mut self,
        conn: &mut PgConnection,
        record: &Record,
        companions: Vec<CompanionPart<'_>>,
    ) -> anyhow::Result<()> {
        let place = Place { journal: self.journal, fork: self.lines.of(record.seq) };
        let canonical = STANDARD.encode(canonical_bytes(place, record, |id| self.by_id.get(&id)));
        let key = self.key_of(conn, record.seq)?.map(Into::into);
        let line = Line {
            record: RecordBody::of(record, &self.assets),
            fork: place.fork,
            meta_raw: std::str::from_utf8(&record.meta).context("metadata that is no text")?,
            claim: claim(record),
            exact: Exact { canonical, key, companions },
        };
        let text = serde_json::to_vec(&line)?;
        self.line(text)?;
        self.commit(conn, record.seq)
    }

    /// The key that leads to this record, if one does.
    fn key_of(&mut self, conn: &mut PgConnection, seq: i64) -> anyhow::Result<Option<Key>> {
        if self.keys.is_empty() {
            self.keys = whole::next_keys(conn)?.into();
        }
        let found = self.keys.pop_front_if(|(of, _)| *of == seq);
        Ok(found.map(|(_, key)| key))
    }

    fn commit(&mut self, conn: &mut PgConnection, seq: i64) -> anyhow::Result<()> {
        if self.batches.is_empty() {
            self.batches = whole::batches(conn, self.journal, seq.saturating_sub(1))?.into();
        }
        let Some(batch) = self.batches.pop_front_if(|batch| batch.last_seq == seq) else { return Ok(()) };
        let hash = std::mem::replace(&mut self.hash, Context::new(&SHA256)).finish();
        let Batch { first_seq: first, last_seq: last, version: rules, recorded_us, digest } = batch;
        let line = BatchLine { first, last, rules, recorded_us, digest: hex(&digest), sha256: hex(hash.as_ref()) };
        self.frame(&Frame::Batch(line))?;
        // The line that vouches for those before it is not among those the next one vouches for.
        self.hash = Context::new(&SHA256);
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>) -> anyhow::Result<()> {
        self.line(serde_json::to_vec(frame)?)
    }

    fn line(&mut self, mut text: Vec<u8>) -> anyhow::Result<()> {
        text.push(b'\n');
        self.hash.update(&text);
        Ok(self.out.write_all(&text)?)
    }
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
