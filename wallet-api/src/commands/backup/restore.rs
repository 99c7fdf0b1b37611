//! `tessera restore`: a new data folder from a backup, at its end or at a time; its journals on a new line of history.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection};

use super::super::node::DATABASE;
use super::super::verify::{Trusted, verify_database};
use super::heads::{self, Heads};
use super::label::{self, Backup};
use super::{check, lines};
use crate::platform::cluster::{Cluster, Copy, Role};
use crate::platform::db;
use crate::platform::sealing::Keys;

/// What to restore, and where to.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The folder of backups.
    from: PathBuf,
    /// The new data folder: empty, or not there.
    #[arg(long)]
    data_dir: PathBuf,
    /// Restore what was committed before this time, as in 2026-01-02T03:04:05Z; without it, all there is.
    #[arg(long)]
    until: Option<DateTime<Utc>>,
    /// The archive of the log; without it, where the backup says.
    #[arg(long)]
    archive: Option<PathBuf>,
    /// The file of known heads to compare with; without it, the one of the node that was backed up.
    #[arg(long)]
    heads_file: Option<PathBuf>,
    /// Accept what is lost: nodes may lead at once.
    #[arg(long)]
    accept_loss: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Restores, verifies, compares and says what is missing.
pub fn restore(args: &RestoreArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let backup = choose(&args.from, args.until)?;
    let heads = known_heads(args, &backup)?;
    let reach = check::examine(&backup).with_context(|| format!("{} cannot be restored", backup.folder.display()))?;
    if let Some(missing) = reach.and_then(|reach| reach.missing) {
        tracing::warn!(%missing, "a segment of the log is missing: what came after it is lost");
    }
    let copy = Copy { base: backup.data(), archive: archive(args, &backup)?, until: args.until.map(for_postgres) };
    let cluster = Cluster::restore(&args.data_dir, &copy)?;
    let owner = cluster.url(Role::Owner, DATABASE);
    db::migrate(&owner)?;
    must_be_whole(&owner, &backup)?;
    let findings = lines::begin_lines(&mut PgConnection::establish(&owner)?, heads.as_ref(), args.accept_loss)?;
    restore_proof_folder(args, &backup)?;
    cluster.restored()?;
    cluster.stop()?;
    lines::print(&findings, args.accept_loss, args.json, out)?;
    if !args.json {
        writeln!(out, "This database archives nothing yet: take a new backup, into a new folder")?;
    }
    Ok(())
}

/// The newest backup that was whole by then.
fn choose(from: &Path, until: Option<DateTime<Utc>>) -> anyhow::Result<Backup> {
    let (backups, unfinished) = label::backups(from)?;
    let oldest = backups.first().map(|backup| backup.label.finished_at);
    let fits = |backup: &Backup| until.is_none_or(|until| backup.label.finished_at <= until);
    let chosen = backups.into_iter().rev().find(fits);
    chosen.with_context(|| match oldest {
        Some(oldest) => format!(
            "the oldest backup in {} was finished at {oldest}: nothing before it can be restored",
            from.display()
        ),
        None => {
            format!("{} holds no finished backup ({} cut short): name another folder", from.display(), unfinished.len())
        }
    })
}

/// The known heads to compare with: as named, or where the node that was backed up keeps them.
fn known_heads(args: &RestoreArgs, backup: &Backup) -> anyhow::Result<Option<Heads>> {
    if let Some(path) = &args.heads_file {
        let missing =
            || format!("{} is not there: name the file of known heads, or leave --heads-file away", path.display());
        return Ok(Some(Heads::load(path)?.with_context(missing)?));
    }
    let places = [backup.label.heads_file.clone(), heads::beside(&args.data_dir, "heads.json")];
    for path in places.into_iter().flatten() {
        // The place may have been taken by another database since.
        if let Some(heads) = Heads::load(&path)?.filter(|heads| heads.system_id == backup.label.system_id) {
            return Ok(Some(heads));
        }
    }
    Ok(None)
}

/// Brings the keys of the log back beside the new data folder, unless there are some: those are never written over.
fn restore_proof_folder(args: &RestoreArgs, backup: &Backup) -> anyhow::Result<()> {
    let (from, to) = (backup.proof(), heads::beside(&args.data_dir, "proof"));
    let Some(to) = to.filter(|to| from.is_dir() && !to.exists()) else { return Ok(()) };
    Ok(Keys::copy_to(&from, &to)?)
}

fn archive(args: &RestoreArgs, backup: &Backup) -> anyhow::Result<Option<PathBuf>> {
    let Some(folder) = args.archive.clone().or_else(|| backup.archive()) else { return Ok(None) };
    let missing = || format!("the archive of the log, {}, is not there: name it with --archive", folder.display());
    Ok(Some(std::fs::canonicalize(&folder).with_context(missing)?))
}

fn for_postgres(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

/// The books follow from their rows, and hold what the backup's label says.
fn must_be_whole(url: &str, backup: &Backup) -> anyhow::Result<()> {
    let verified = verify_database(url, None, &Trusted::default())?;
    if let Some(log) = verified.logs.iter().find(|log| !log.ok) {
        let broken = log.broken.as_ref().map(ToString::to_string).unwrap_or_default();
        anyhow::bail!(
            "the log of journal {} in this backup is broken. {broken}. Restore an older backup",
            log.journal.0
        );
    }
    let broken =
        verified.journals.iter().find_map(|report| report.broken.as_ref().map(|broken| (report.journal.0, broken)));
    if let Some((journal, broken)) = broken {
        anyhow::bail!("journal {journal} of this backup is broken. {broken}. Restore an older backup");
    }
    let conn = &mut PgConnection::establish(url)?;
    for known in backup.label.heads.known()? {
        let comparison = ledger::forks::compare(conn, &known)?;
        anyhow::ensure!(
            comparison == ledger::forks::Comparison::Whole,
            "journal {} does not hold seq {}, which the backup's label says it has: use another backup",
            known.journal.0,
            known.seq
        );
    }
    Ok(())
}
