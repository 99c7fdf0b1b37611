//! `tessera archive`: moves the transfers of closed ranges out of the database into files, and brings them back.
//!
//! Every range is written, read back and compared before its rows go; killed anywhere, run it again. Nodes may run. It needs the
//! owner of the tables. Without `--to` and `--back` it only tells what is archived, and what could be.
//! Not here: where the files are kept, and that they are kept twice.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use diesel::{Connection, PgConnection, QueryResult};
use ledger::archive::{self, Header, Noted, Written};
use ledger::{Archived, JournalId};
use serde_json::json;

use super::node::DatabaseArgs;
use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};
use crate::platform::clock::Clock;

/// What to archive, or to bring back.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["tenant", "back"])))]
#[command(group(clap::ArgGroup::new("until").args(["upto", "before"])))]
pub struct ArchiveArgs {
    /// Whose books.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Ranges that end with this seq or earlier.
    #[arg(long, value_name = "SEQ", requires = "tenant")]
    upto: Option<i64>,
    /// Ranges that were recorded before this moment, as 2021-01-01T00:00:00Z.
    #[arg(long, value_name = "TIME", requires = "tenant")]
    before: Option<DateTime<Utc>>,
    /// The folder that gets one file for each range.
    #[arg(long, value_name = "FOLDER", requires_all = ["tenant", "until"])]
    to: Option<PathBuf>,
    /// Bring back the transfers that this file holds.
    #[arg(long, value_name = "FILE")]
    back: Option<PathBuf>,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// `tessera archive --tenant TENANT [--upto SEQ | --before TIME] [--to FOLDER]`, `tessera archive --back FILE`
pub fn archive(args: &ArchiveArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let database = args.database.join()?;
    let owner_url =
        database.owner_url.as_ref().context("set DATABASE_OWNER_URL: only the owner of the tables archives")?;
    let conn = &mut PgConnection::establish(owner_url)?;
    if let Some(file) = &args.back {
        return back(&archive::bring_back_and(conn, file, note_back)?, args.json, out);
    }
    let tenant = args.tenant.as_deref().context("say whose books: --tenant")?;
    let journal = JournalId(crate::identity::tenant_by_slug(conn, tenant)?.id);
    let upto = match args.before {
        Some(before) => ledger::read::seq_at(conn, journal, before.timestamp_micros().saturating_sub(1))?,
        None => args.upto.unwrap_or(i64::MAX),
    };
    let closed = archive::closed(conn, journal, upto)?;
    let Some(folder) = &args.to else {
        return tell(&archive::noted(conn, journal)?, &closed, args.json, out);
    };
    let mut done = Vec::new();
    for range in closed {
        let written = archive::archive_and(conn, range, folder, note_archived)?;
        if !args.json {
            let Written { header, path, .. } = &written;
            let Archived { first_seq, last_seq, .. } = header.range;
            writeln!(out, "seqs {first_seq} to {last_seq}: {} transfers are in {}", header.rows, path.display())?;
        }
        done.push(written);
    }
    match (args.json, done.as_slice()) {
        (true, done) => writeln!(out, "{}", json!({"archived": done.iter().map(of_file).collect::<Vec<_>>()}))?,
        (false, []) => writeln!(out, "no closed range ends by then: nothing to archive")?,
        (false, _) => writeln!(out, "Keep the files twice, and elsewhere: the database has these transfers no more.")?,
    }
    Ok(())
}

/// Writes down that transfers leave, where they leave.
fn note_archived(conn: &mut PgConnection, written: &Written) -> QueryResult<()> {
    let entry = entry(Action::RangeArchived, &written.header).with("sha256", Fact::Digest(written.sha256));
    audit::append(conn, &entry, Clock::System.now()).map(drop)
}

fn note_back(conn: &mut PgConnection, header: &Header) -> QueryResult<()> {
    audit::append(conn, &entry(Action::RangeBroughtBack, header), Clock::System.now()).map(drop)
}

fn entry(action: Action, header: &Header) -> Entry {
    let Archived { journal, first_seq, last_seq } = header.range;
    Entry::done(journal.0, Actor::Operator, action, Object::Range(first_seq))
        .with("last_seq", Fact::Number(last_seq))
        .with("transfers", Fact::Number(header.rows))
}

fn of_file(written: &Written) -> serde_json::Value {
    let Written { header, sha256, path } = written;
    json!({
        "first_seq": header.range.first_seq,
        "last_seq": header.range.last_seq,
        "transfers": header.rows,
        "sha256": HEXLOWER.encode(sha256),
        "file": path.display().to_string(),
    })
}

fn back(header: &Header, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let Header { range: Archived { journal, first_seq, last_seq }, rows, .. } = header;
    if json {
        let told = json!({"journal": journal.0, "first_seq": first_seq, "last_seq": last_seq, "transfers": rows});
        return Ok(writeln!(out, "{told}")?);
    }
    Ok(writeln!(out, "seqs {first_seq} to {last_seq} of journal {}: {rows} transfers are back", journal.0)?)
}

fn tell(noted: &[Noted], closed: &[Archived], json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    if json {
        let archived = noted.iter().map(|noted| {
            json!({
                "first_seq": noted.range.first_seq,
                "last_seq": noted.range.last_seq,
                "transfers": noted.rows,
                "sha256": HEXLOWER.encode(&noted.sha256),
                "file": noted.file,
                "at": noted.archived_at,
            })
        });
        let closed = closed.iter().map(|range| json!({"first_seq": range.first_seq, "last_seq": range.last_seq}));
        let told = json!({"archived": archived.collect::<Vec<_>>(), "closed": closed.collect::<Vec<_>>()});
        return Ok(writeln!(out, "{told}")?);
    }
    for Noted { range, rows, file, archived_at, .. } in noted {
        let Archived { first_seq, last_seq, .. } = range;
        writeln!(out, "seqs {first_seq} to {last_seq}: {rows} transfers in {file} since {archived_at}")?;
    }
    for Archived { first_seq, last_seq, .. } in closed {
        writeln!(out, "seqs {first_seq} to {last_seq}: closed, in the database")?;
    }
    if noted.is_empty() && closed.is_empty() {
        writeln!(out, "Nothing is archived, and no range is closed yet: see `tessera ranges` for how large they are.")?;
    }
    Ok(())
}
