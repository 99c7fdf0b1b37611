//! `tessera check-backup`: whether a backup can be relied on, as far as that can be told without restoring it.
//!
//! Promise: it reads and changes nothing, and says what it could not tell. Not here: what the rows say, which only a
//! restore and `verify` can.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::archive::{self, Reach};
use super::label::{self, Backup};
use crate::platform::cluster::verify_backup;

/// What to check.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// A folder of backups, or one base backup made by pg_basebackup.
    folder: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    backups: Vec<Checked>,
    /// Cut short, and worth nothing.
    unfinished: Vec<String>,
    /// What this check cannot tell.
    unchecked: Vec<&'static str>,
}

/// One backup.
#[derive(Debug, Serialize)]
struct Checked {
    backup: PathBuf,
    finished_at: Option<String>,
    /// Archived segments after it, and the last.
    segments: usize,
    last_segment: Option<String>,
    /// Why it cannot be relied on.
    broken: Option<String>,
}

/// Of any backup.
const ONLY_RESTORE_TELLS: &str = "whether the books in it are whole: only `tessera restore` and `verify` tell that; \
    restore one now and then";
/// Of one that is not ours.
const NO_LABEL: &str = "which heads it should hold, whether its log is archived without a gap, and whether this binary \
    knows its tables: it has no label of ours";

/// Checks and prints; exit code 1 when something is broken.
pub fn check(args: &CheckArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let report = if args.folder.join("backup_manifest").is_file() {
        check_foreign(&args.folder)
    } else {
        check_ours(&args.folder)?
    };
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        report.print(out)?;
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check_ours(folder: &Path) -> anyhow::Result<Report> {
    let (backups, unfinished) = label::backups(folder)?;
    let checked: Vec<Checked> = backups.iter().map(check_backup).collect();
    anyhow::ensure!(
        !checked.is_empty(),
        "{} holds no finished backup ({} cut short): run `tessera backup` again, with room and time to end",
        folder.display(),
        unfinished.len()
    );
    let ok = checked.iter().all(|one| one.broken.is_none());
    Ok(Report { ok, backups: checked, unfinished, unchecked: vec![ONLY_RESTORE_TELLS] })
}

fn check_foreign(data: &Path) -> Report {
    let broken = verify_backup(data).err().map(|error| error.to_string());
    let one = Checked { backup: data.to_path_buf(), finished_at: None, segments: 0, last_segment: None, broken };
    let ok = one.broken.is_none();
    Report { ok, backups: vec![one], unfinished: Vec::new(), unchecked: vec![ONLY_RESTORE_TELLS, NO_LABEL] }
}

fn check_backup(backup: &Backup) -> Checked {
    let (reach, broken) = match examine(backup) {
        Ok(Some(Reach { missing: Some(missing), segments, last })) => {
            let broken = format!("segment {missing} of the log is missing: nothing after it can be restored");
            (Some((segments, last)), Some(broken))
        }
        Ok(reach) => (reach.map(|reach| (reach.segments, reach.last)), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let (segments, last_segment) = reach.unwrap_or_default();
    let finished_at = Some(backup.label.finished_at.to_rfc3339());
    Checked { backup: backup.folder.clone(), finished_at, segments, last_segment, broken }
}

/// Everything that can be told of a backup where it lies; what its archive has, if it has one.
///
/// # Errors
/// What is wrong with it, and what to do.
pub(super) fn examine(backup: &Backup) -> anyhow::Result<Option<Reach>> {
    backup.must_fit_its_label()?;
    verify_backup(&backup.data())?;
    match backup.archive() {
        Some(archive) => Ok(Some(archive::reach(&backup.data(), &archive, &backup.label.system_id)?)),
        None => Ok(None),
    }
}

impl Report {
    fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for Checked { backup, finished_at, segments, last_segment, broken } in &self.backups {
            let (at, last) = (finished_at.as_deref().unwrap_or("?"), last_segment.as_deref().unwrap_or("none"));
            match broken {
                None => writeln!(
                    out,
                    "{}: whole at {at}; {segments} archived segments after it, last {last}",
                    backup.display()
                )?,
                Some(broken) => writeln!(out, "{}: BROKEN. {broken}", backup.display())?,
            }
        }
        for name in &self.unfinished {
            writeln!(out, "{name}: was cut short and counts for nothing; remove it")?;
        }
        for what in &self.unchecked {
            writeln!(out, "not checked: {what}")?;
        }
        Ok(())
    }
}
