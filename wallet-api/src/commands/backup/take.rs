//! `tessera backup`: a base backup of the private database, and from then on its log.
//!
//! Promise: a backup has its name only once it is whole and checked against its manifest; one that was cut short is named
//! `….part` and counts for nothing. The command succeeds once the server is seen to archive its log, or was not to.
//! Not here: encryption, upload, removing old backups, databases of one's own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use diesel::{Connection, PgConnection};

use super::super::node::{DATABASE, DatabaseArgs};
use super::heads::{self, Heads};
use super::label::{self, Label, UNFINISHED};
use super::store;
use crate::platform::cluster::{Role, Source, verify_backup};
use crate::platform::sealing::Keys;

/// How long the server may take to archive a segment once it is told of it.
const ARCHIVED_WITHIN: Duration = Duration::from_secs(60);

/// What to do with a database that is not ours to copy.
const EXTERNAL: &str = "DATABASE_URL names a server of your own, and its files are not ours to copy: use \
    its own backup (pg_basebackup and archive_command, or your provider's), keep the file of known heads that `tessera \
    serve --heads-file` writes, and after a restore run `tessera begin-fork`; docs/operations/backup.md has the steps";

/// What to back up, and where to.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The folder of backups, best on another disk; several backups share one.
    to: PathBuf,
    /// Where the server archives its log from now on; without it, `wal` in the folder of backups.
    #[arg(long)]
    archive: Option<PathBuf>,
    /// Leave the archive as it is: this backup can be restored only as it stands.
    #[arg(long, conflicts_with = "archive")]
    no_archive: bool,
    /// The file of known heads; without it, the one beside the data folder.
    #[arg(long, env = "TESSERA_HEADS_FILE")]
    heads_file: Option<PathBuf>,
    /// The proof folder; without it, the one beside the data folder, if there is one.
    #[arg(long, env = "TESSERA_PROOF_DIR")]
    proof_dir: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Backs up. A node may run meanwhile.
pub fn backup(args: &BackupArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    anyhow::ensure!(args.database.database_url.is_none(), "{EXTERNAL}");
    let to = made(&args.to)?;
    let inside = fs::canonicalize(&args.database.data_dir).is_ok_and(|data_dir| to.starts_with(data_dir));
    anyhow::ensure!(!inside, "{} is in the data folder, and would be lost with it: name another folder", to.display());
    let _running = args.database.join()?; // keeps the server up when it is ours
    let source = Source::of_running(&args.database.data_dir)?;
    let conn = &mut PgConnection::establish(&source.url(Role::Super, DATABASE))?;
    let heads = Heads::read_from(conn)?;
    must_belong(&to, &heads)?;
    let archive = if args.no_archive { None } else { Some(archive_from_now_on(args, &source, &to)?) };
    let name = label::name(heads.at);
    let (unfinished, finished) = (to.join(format!("{name}{UNFINISHED}")), to.join(&name));
    source.make_folder(&unfinished)?;
    source.base_backup(&unfinished.join("data"))?;
    verify_backup(&unfinished.join("data"))?;
    let proof_dir = args.proof_dir.clone().or_else(|| heads::beside(&args.database.data_dir, "proof"));
    if let Some(folder) = proof_dir.filter(|folder| folder.is_dir()) {
        Keys::copy_to(&folder, &unfinished.join("proof"))?;
    }
    let heads_file = args.heads_file.clone().or_else(|| heads::beside(&args.database.data_dir, "heads.json"));
    let places = (archive.clone(), heads_file.clone());
    let times = (heads.clone(), store::now(conn)?);
    let label = Label::new(&unfinished.join("data"), source.tools().version().to_string(), times, places)?;
    heads::replace(&unfinished.join("label.json"), &serde_json::to_vec_pretty(&label)?)?;
    fs::rename(&unfinished, &finished)?;
    fs::File::open(&to)?.sync_all()?;
    if let Some(archive) = &archive {
        await_archived(conn, archive)?;
    }
    if let Some(path) = &heads_file {
        Heads::read_from(conn)?.save(path)?;
    }
    print(args.json, &finished, &label, out)
}

/// The folder of backups, by its whole name: the server works elsewhere.
fn made(folder: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::canonicalize(folder).with_context(|| format!("cannot enter {}", folder.display()))
}

/// One folder holds one database's backups, and of one line of history: the log after a restore has the names of the
/// log it replaced.
fn must_belong(to: &Path, heads: &Heads) -> anyhow::Result<()> {
    let (backups, _unfinished) = label::backups(to)?;
    let Some(last) = backups.last() else { return Ok(()) };
    let (found, ours) = (&last.label.system_id, &heads.system_id);
    anyhow::ensure!(
        found == ours,
        "{} holds backups of database {found}, this is {ours}: name another folder",
        to.display()
    );
    anyhow::ensure!(
        heads.continues(&last.label.heads),
        "{} holds backups from before this database was restored: name another folder",
        to.display()
    );
    Ok(())
}

fn archive_from_now_on(args: &BackupArgs, source: &Source, to: &Path) -> anyhow::Result<PathBuf> {
    let folder = args.archive.clone().unwrap_or_else(|| to.join("wal"));
    if !folder.exists() {
        source.make_folder(&folder)?;
    }
    let folder = made(&folder)?;
    source.make_folder(&folder)?;
    source.archive_into(&folder)?;
    Ok(folder)
}

/// Waits until what was written so far is in the archive: only then does the archive work.
fn await_archived(conn: &mut PgConnection, archive: &Path) -> anyhow::Result<()> {
    let (failures, _) = store::archiver_failures(conn)?;
    let segment = archive.join(store::end_segment(conn)?);
    let began = Instant::now();
    while !segment.is_file() {
        let (failed, on) = store::archiver_failures(conn)?;
        anyhow::ensure!(
            failed == failures && began.elapsed() < ARCHIVED_WITHIN,
            "the base backup is whole, but the server does not archive into {} (last failure on {on:?}): see server.log \
             beside the database; is there room, and may its account write there?",
            archive.display()
        );
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn print(json: bool, folder: &Path, label: &Label, out: &mut dyn Write) -> anyhow::Result<()> {
    if json {
        let facts = serde_json::json!({"backup": folder, "finished_at": label.finished_at, "archive": label.archive});
        writeln!(out, "{facts}")?;
        return Ok(());
    }
    writeln!(out, "backup {} is whole and was checked", folder.display())?;
    match &label.archive {
        Some(archive) => {
            writeln!(out, "the log after it is archived into {}, at least once a minute", archive.display())?
        }
        None => writeln!(out, "the log after it is not archived: it can be restored only as it stands")?,
    }
    Ok(())
}
