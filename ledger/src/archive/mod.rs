//! Archival: the transfers of closed ranges leave the database for files, and come back from them (ADR 10).
//!
//! Promise: a transfer is in the database, or in a file that was read back and compared, at any moment and whatever is
//! killed; which, is noted in the transaction that takes the rows away, together with how each account stood after its last
//! row there. What is read and needs a row that is in a file says so ([`Archived`]) and names the file. Brought back, a
//! range is what it was, to the byte.
//!
//! Limits: ranges go in order, only closed ones, never the first one, which is common to all journals; only what every
//! follower, the sealer and the checkpoints have passed. Records, keys, claims, companions, links, places, hashes and
//! heads stay. Needs the owner of the tables, and lets nodes run if they are all of a release that knows archives: those who
//! read the past, or still write a range that this journal has left, wait for moments. Not here: where files are kept, and that they are kept twice.

mod file;
pub(crate) mod store;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use diesel::result::Error as DieselError;
use diesel::{Connection, PgConnection};

use crate::JournalId;
use crate::forks::Lines;
use crate::store::StoreError;

pub use file::Header;
pub(crate) use file::{FileReader, Row};
pub use store::Noted;

use file::FileWriter;

/// A range of one journal's transfers that is, or is to be, in a file and not in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[error(
    "the transfers of seqs {first_seq} to {last_seq} of journal {} are archived: `tessera archive --back {}` brings them back",
    .journal.0,
    self.file_name()
)]
pub struct Archived {
    /// Whose books.
    pub journal: JournalId,
    /// Its first seq.
    pub first_seq: i64,
    /// Its last seq.
    pub last_seq: i64,
}

impl Archived {
    /// The name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("tessera-journal-{}-seqs-{}-{}.transfers", self.journal.0, self.first_seq, self.last_seq)
    }
}

/// Why a range was not archived, or not brought back. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The rows could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be read or written: no room, no right, no such folder.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not one we wrote, or was changed since.
    #[error("{} does not read, line {line}: {what}", path.display())]
    Form {
        /// Which.
        path: PathBuf,
        /// Where, from one.
        line: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// There is a file of this name with other contents: of another line of history, or changed.
    #[error("{} is there and holds something else: move it away, or archive to another folder", .0.display())]
    Exists(PathBuf),
    /// What was written is not what is read back from the disk.
    #[error("{} does not hold what was written to it: the disk cannot be relied on", .0.display())]
    Miswritten(PathBuf),
    /// Somebody has not passed the range.
    #[error("{range}: {name} has only come to seq {seq}. {}", remedy(name))]
    Behind {
        /// The range, as "seqs 300 to 499".
        range: String,
        /// A follower's name, or `checkpoints`.
        name: String,
        /// How far it has come.
        seq: i64,
    },
    /// The range was not let go, because others read the past all the time.
    #[error(
        "others were reading the past all the time: a long report, an export or a verification. Nothing was taken away; \
         try again when it is over"
    )]
    Busy,
    /// Somebody else archives the same journal.
    #[error("journal {} is being archived by somebody else: wait until that is over", .0.0)]
    Twice(JournalId),
    /// The file's range is not archived.
    #[error("seqs {} to {} of journal {} are not archived: their transfers are in the database", .0.first_seq, .0.last_seq, .0.journal.0)]
    NotArchived(Archived),
    /// The file is whole and not the one that the range left for.
    #[error("{} is not the file that was archived: {what}", path.display())]
    OtherFile {
        /// Which.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// There are no such books.
    #[error("there are no books of journal {}", .0.0)]
    UnknownJournal(JournalId),
}

/// What helps somebody to pass a range.
fn remedy(name: &str) -> &'static str {
    match name {
        crate::sealing::FOLLOWER => "Let a node with a proof folder seal the journal, then try again",
        "checkpoints" => "Let a node lead the journal for some seconds, then try again",
        _ => "Let a node lead the journal until it has caught up, then try again",
    }
}

impl From<DieselError> for ArchiveError {
    fn from(error: DieselError) -> Self {
        Self::Store(error.into())
    }
}

impl ArchiveError {
    /// An error of the system, about this file.
    fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path: path.clone(), source }
    }
}

/// A file that holds a range whole: it was read back and compared with the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What it says of itself.
    pub header: Header,
    /// SHA-256 of all but its last line.
    pub sha256: [u8; 32],
    /// Where it is.
    pub path: PathBuf,
}

/// The ranges of a journal that are archived, in order.
///
/// # Errors
/// [`StoreError`].
pub fn noted(conn: &mut PgConnection, journal: JournalId) -> Result<Vec<Noted>, StoreError> {
    store::noted(conn, journal)
}

/// The ranges of a journal up to this seq that could be archived by what they are, in order.
///
/// # Errors
/// [`ArchiveError::UnknownJournal`], [`ArchiveError::Store`].
pub fn closed(conn: &mut PgConnection, journal: JournalId, upto: i64) -> Result<Vec<Archived>, ArchiveError> {
    crate::store::head(conn, journal)?.ok_or(ArchiveError::UnknownJournal(journal))?;
    let mut ranges = store::closed(conn, journal)?;
    ranges.retain(|range| range.last_seq <= upto);
    Ok(ranges)
}

/// Takes care that no range leaves or comes back while the caller's transaction lasts. For one that reads transfers in a
/// snapshot, as its first statement: a snapshot taken before a range left would see neither the rows nor that they left.
///
/// # Errors
/// The database's.
pub fn keep_still(conn: &mut PgConnection) -> Result<(), DieselError> {
    store::keep_still(conn)
}

/// Archives one range: its file is written, then its rows are let go.
///
/// # Errors
/// [`ArchiveError`]. Whatever it is, the rows are in the database; done again, it goes on.
pub fn archive(conn: &mut PgConnection, range: Archived, folder: &Path) -> Result<Written, ArchiveError> {
    archive_and(conn, range, folder, |_, _| Ok(()))
}

/// The same, with something else that the caller writes in the transaction that takes the rows away.
///
/// # Errors
/// [`ArchiveError`], also for what `also` refuses: then the rows stay.
pub fn archive_and(
    conn: &mut PgConnection,
    range: Archived,
    folder: &Path,
    also: impl FnOnce(&mut PgConnection, &Written) -> Result<(), DieselError>,
) -> Result<Written, ArchiveError> {
    if !store::take(conn, range.journal)? {
        return Err(ArchiveError::Twice(range.journal));
    }
    let archived = write(conn, range, folder).and_then(|written| let_go_and(conn, &written, also).map(|()| written));
    store::give(conn, range.journal);
    archived
}

/// Writes the file of a closed range that everybody has passed, and compares what the disk has with the rows. The rows stay.
///
/// # Errors
/// [`ArchiveError`].
pub fn write(conn: &mut PgConnection, range: Archived, folder: &Path) -> Result<Written, ArchiveError> {
    let (name, seq) = store::hindmost(conn, range.journal)?;
    if seq < range.last_seq {
        let range = format!("seqs {} to {}", range.first_seq, range.last_seq);
        return Err(ArchiveError::Behind { range, name, seq });
    }
    let (rows, fork) = store::size(conn, range)?;
    let fork = Lines::read(conn, range.journal, fork)?.of(range.last_seq);
    let header = Header { range, fork, rows };
    let path = folder.join(range.file_name());
    let part = folder.join(format!("{}.part", range.file_name()));
    let mut file = FileWriter::begin(&part, &header)?;
    each_row(conn, range, |row| file.row(&row))?;
    let sha256 = file.end(rows)?;
    compare(conn, &header, &part)?;
    if path.try_exists().map_err(ArchiveError::io(&path))? {
        let same = FileReader::open(&path).and_then(|mut there| Ok((*there.header(), there.finish()?)));
        if same.ok() != Some((header, sha256)) {
            return Err(ArchiveError::Exists(path));
        }
    }
    fs::rename(&part, &path).map_err(ArchiveError::io(&path))?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(ArchiveError::io(folder))?;
    Ok(Written { header, sha256, path })
}

fn each_row(
    conn: &mut PgConnection,
    range: Archived,
    mut each: impl FnMut(Row) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let mut after = (i64::MIN, i64::MIN);
    loop {
        let page = store::rows(conn, range, after)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.place();
        page.into_iter().try_for_each(&mut each)?;
    }
}

/// Reads a file and the rows side by side.
fn compare(conn: &mut PgConnection, header: &Header, path: &Path) -> Result<(), ArchiveError> {
    let miswritten = || ArchiveError::Miswritten(path.to_owned());
    let mut file = FileReader::open(path)?;
    if file.header() != header {
        return Err(miswritten());
    }
    each_row(conn, header.range, |row| if file.next()? == Some(row) { Ok(()) } else { Err(miswritten()) })?;
    if file.next()?.is_some() { Err(miswritten()) } else { Ok(()) }
}

/// Lets the rows of a range go that a file holds: one transaction, tried for some time where others read the past.
///
/// # Errors
/// [`ArchiveError::Busy`], [`ArchiveError::Store`].
pub fn let_go(conn: &mut PgConnection, written: &Written) -> Result<(), ArchiveError> {
    let_go_and(conn, written, |_, _| Ok(()))
}

fn let_go_and(
    conn: &mut PgConnection,
    written: &Written,
    also: impl FnOnce(&mut PgConnection, &Written) -> Result<(), DieselError>,
) -> Result<(), ArchiveError> {
    briefly(conn, |conn| {
        let gone = store::let_go(conn, &written.header, &written.sha256)?;
        if gone {
            also(conn, written)?;
        }
        Ok(gone)
    })
}

/// Brings a range back from its file: one transaction.
///
/// # Errors
/// [`ArchiveError`]: a file with other contents than were archived brings nothing back.
pub fn bring_back(conn: &mut PgConnection, path: &Path) -> Result<Header, ArchiveError> {
    bring_back_and(conn, path, |_, _| Ok(()))
}

/// The same, with something else that the caller writes in that transaction.
///
/// # Errors
/// [`ArchiveError`], also for what `also` refuses: then nothing comes back.
pub fn bring_back_and(
    conn: &mut PgConnection,
    path: &Path,
    also: impl FnOnce(&mut PgConnection, &Header) -> Result<(), DieselError>,
) -> Result<Header, ArchiveError> {
    let header = *FileReader::open(path)?.header();
    let range = header.range;
    let noted = store::noted(conn, range.journal)?.into_iter().find(|noted| noted.range.first_seq == range.first_seq);
    let noted = noted.ok_or(ArchiveError::NotArchived(range))?;
    let other = |what| ArchiveError::OtherFile { path: path.to_owned(), what };
    if (noted.range, noted.rows) != (range, header.rows) {
        return Err(other("it has another range or another number of rows"));
    }
    briefly(conn, |conn| {
        let mut file = FileReader::open(path)?;
        store::make_back(conn, range)?;
        let mut page = Vec::new();
        loop {
            let row = file.next()?;
            let ended = row.is_none();
            page.extend(row);
            if ended || i64::try_from(page.len()).is_ok_and(|rows| rows >= store::PAGE) {
                store::put_back(conn, range, &page)?;
                page.clear();
            }
            if ended {
                break;
            }
        }
        if (file.digest(), *file.header()) != (Some(noted.sha256), header) {
            return Err(other("its SHA-256 is not the one that was noted"));
        }
        let back = store::take_back(conn, range)?;
        if back {
            also(conn, &header)?;
        }
        Ok(back)
    })?;
    Ok(header)
}

/// Runs a transaction that waits for no lock for long, and is undone where others were in the way all the time.
fn briefly(
    conn: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection) -> Result<bool, ArchiveError>,
) -> Result<(), ArchiveError> {
    conn.transaction(|conn| {
        store::be_brief(conn)?;
        if work(conn)? { Ok(()) } else { Err(ArchiveError::Busy) }
    })
}

/// Where archive files are looked for: folders of them, or files.
#[derive(Debug, Clone, Default)]
pub struct Files(Vec<PathBuf>);

impl Files {
    /// In these places.
    #[must_use]
    pub fn at(places: Vec<PathBuf>) -> Self {
        Self(places)
    }

    /// The file of a range, if it is in one of the places.
    pub(crate) fn find(&self, range: &Archived) -> Option<PathBuf> {
        let name = range.file_name();
        let here = |place: &PathBuf| if place.is_dir() { place.join(&name) } else { place.clone() };
        let is_it = |path: &PathBuf| path.is_file() && path.file_name().is_some_and(|file| file == name.as_str());
        self.0.iter().map(here).find(is_it)
    }
}
