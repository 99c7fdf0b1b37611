//! The archived log: which segments are there, whether they are of one database, and whether one is missing.
//!
//! A segment's name is its timeline and its place, 8 and 16 hexadecimal digits, the last 8 counting segments of 16 MiB
//! within 4 GiB; its first page has the number of the database. Source: PostgreSQL 15, `xlog_internal.h`, `xlogfile.c`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Segments in 4 GiB, when one is 16 MiB, which is what `initdb` makes.
const SEGMENTS: u64 = 256;
/// Where the first page of a segment has the database's number: after magic, flags, timeline, address, remainder.
const SYSTEM_ID_AT: usize = 24;

/// A segment by its timeline and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    timeline: u64,
    number: u64,
}

impl Segment {
    /// Reads a segment's name; none for anything else that lies in an archive.
    pub(super) fn parse(name: &str) -> Option<Self> {
        if name.len() != 24 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let part = |from: usize| u64::from_str_radix(name.get(from..from.checked_add(8)?)?, 16).ok();
        let (timeline, high, low) = (part(0)?, part(8)?, part(16)?);
        Some(Self { timeline, number: high.checked_mul(SEGMENTS)?.checked_add(low)? })
    }

    fn next(self) -> Self {
        Self { number: self.number.saturating_add(1), ..self }
    }
}

impl std::fmt::Display for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { timeline, number } = self;
        write!(f, "{timeline:08X}{:08X}{:08X}", number / SEGMENTS, number % SEGMENTS)
    }
}

/// What an archive has of the log after a base backup.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// Archived segments that follow each other from the backup on.
    pub(super) segments: usize,
    /// The last of them.
    pub(super) last: Option<String>,
    /// The first that is missing although later ones are there.
    pub(super) missing: Option<String>,
}

/// Follows the log from the segment in which a base backup began, through the backup's own copy and the archive.
///
/// # Errors
/// A folder that cannot be read, a segment of another database.
pub(super) fn reach(data: &Path, archive: &Path, system_id: &str) -> anyhow::Result<Reach> {
    let start = start_of(data)?;
    let (own, archived) = (segments(&data.join("pg_wal"))?, segments(archive)?);
    for segment in archived.iter().filter(|segment| **segment >= start && segment.timeline == start.timeline) {
        must_be_of(&archive.join(segment.to_string()), system_id)?;
    }
    let (mut at, mut found, mut last) = (start, 0_usize, None);
    while own.contains(&at) || archived.contains(&at) {
        if archived.contains(&at) {
            found = found.saturating_add(1);
            last = Some(at.to_string());
        }
        at = at.next();
    }
    let later = archived.iter().any(|segment| segment.timeline == at.timeline && *segment > at);
    Ok(Reach { segments: found, last, missing: later.then(|| at.to_string()) })
}

/// The segment in which a base backup began.
fn start_of(data: &Path) -> anyhow::Result<Segment> {
    let path = data.join("backup_label");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let name =
        text.lines().find(|line| line.starts_with("START WAL LOCATION")).and_then(|line| line.split("file ").nth(1));
    let segment = name.and_then(|name| Segment::parse(name.trim_end_matches(')')));
    segment.with_context(|| format!("{} does not say where the log begins", path.display()))
}

fn segments(folder: &Path) -> anyhow::Result<BTreeSet<Segment>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter_map(|name| Segment::parse(&name)).collect())
}

fn must_be_of(segment: &PathBuf, system_id: &str) -> anyhow::Result<()> {
    let mut first = [0_u8; SYSTEM_ID_AT + 8];
    let read = File::open(segment).and_then(|mut file| file.read_exact(&mut first));
    read.with_context(|| format!("{} is no segment of a log", segment.display()))?;
    let found = first.last_chunk::<8>().map(|bytes| u64::from_ne_bytes(*bytes).to_string());
    anyhow::ensure!(
        found.as_deref() == Some(system_id),
        "{} is of database {}, the backup of {system_id}: two databases were archived into one folder",
        segment.display(),
        found.unwrap_or_default()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_count_through_their_names() {
        let last_of_the_first = Segment::parse("0000000100000000000000FF").map(Segment::next);
        assert_eq!(last_of_the_first.map(|next| next.to_string()).as_deref(), Some("000000010000000100000000"));
        for other in ["00000002.history", "000000010000000000000001.part", "00000001000000000000000G", ""] {
            assert_eq!(Segment::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_segment_that_is_missing_among_others_is_named() -> anyhow::Result<()> {
        let (data, archive) = (tempfile::tempdir()?, tempfile::tempdir()?);
        fs::create_dir(data.path().join("pg_wal"))?;
        let label = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nSTART TIMELINE: 1\n";
        fs::write(data.path().join("backup_label"), label)?;
        let segment = |number: u64| {
            let mut bytes = vec![0; SYSTEM_ID_AT];
            bytes.extend(77_u64.to_ne_bytes());
            fs::write(archive.path().join(format!("0000000100000000000000{number:02X}")), bytes)
        };
        fs::write(data.path().join("pg_wal/000000010000000000000002"), "")?;
        segment(3)?;
        segment(4)?;
        let last = Some("000000010000000000000004".to_owned());
        assert_eq!(reach(data.path(), archive.path(), "77")?, Reach { segments: 2, last: last.clone(), missing: None });
        segment(6)?;
        let missing = Some("000000010000000000000005".to_owned());
        assert_eq!(reach(data.path(), archive.path(), "77")?, Reach { segments: 2, last, missing });
        let foreign = reach(data.path(), archive.path(), "78");
        assert!(foreign.is_err_and(|error| error.to_string().contains("two databases")));
        Ok(())
    }
}
