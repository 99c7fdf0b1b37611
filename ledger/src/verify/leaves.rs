//! The log against the rows and against itself: leaves, tiles, heads, and a head that is trusted from elsewhere.
//!
//! One pass in seq order. With the salt secrets every leaf is derived again from its rows, so that a changed bit of any of
//! them names its seq; without, leaves are taken as they are kept, and what is shown is that tiles, heads and signatures
//! belong together. The report says which it was. A head of elsewhere must be the log's beginning: that finds a tail cut off and
//! a history written anew, which nothing inside the database can.
//!
//! Not here: whether the books follow from the rows (the rest of [`verify`](super)). The tree is derived by the code that seals, since its form
//! is one and golden vectors hold it; what is compared is what was kept.

use std::collections::VecDeque;

use diesel::sql_types::BigInt;
use diesel::{PgConnection, RunQueryDsl};

use super::Unread;
use super::archived::open_files;
pub use super::log_report::{Against, BrokenLog, LogCheck, LogReport, Mode};
use super::log_report::{Stop, broken};
use crate::JournalId;
use crate::archive::{self, FileReader, Files};
use crate::bind::{Arg, statement};
use crate::proof::head::trust;
use crate::proof::tiles::{Edge, Strip, WIDTH};
use crate::proof::{Hash, KeyId, PublicKey, SignedHead};
use crate::sealing::store::{self as log, StripRow};
use crate::sealing::{Deriver, FOLLOWER};
use crate::store::StoreError;

/// Strips of leaves read at a time: 4,096 leaves at most.
const STRIPS: i64 = 16;
/// Heads read at a time.
const HEADS: i64 = 500;

/// Verifies the log of a journal as far as it is sealed, in one snapshot. `progress` hears of (seq reached, sealed).
///
/// # Errors
/// [`StoreError`] when the rows could not be read; what they say wrongly is in the report.
pub fn verify_log(
    conn: &mut PgConnection,
    journal: JournalId,
    against: Against<'_>,
    progress: impl FnMut(i64, i64),
) -> Result<LogReport, StoreError> {
    verify_log_with(conn, journal, against, &Files::default(), progress)
}

/// The same with the transfers of archived ranges, as far as their files are here.
///
/// # Errors
/// [`StoreError`].
pub fn verify_log_with(
    conn: &mut PgConnection,
    journal: JournalId,
    against: Against<'_>,
    files: &Files,
    mut progress: impl FnMut(i64, i64),
) -> Result<LogReport, StoreError> {
    let mut report = LogReport {
        ok: false,
        journal,
        mode: if against.salts.is_some() { Mode::Rows } else { Mode::TilesAndHeads },
        leaves: 0,
        derived: 0,
        heads: 0,
        root: String::new(),
        since: against.since.map(|since| since.head.size),
        behind: 0,
        unread: Vec::new(),
        broken: None,
    };
    let outcome = conn
        .build_transaction()
        .repeatable_read()
        .read_only()
        .run(|conn| Walk::run(conn, journal, (against, files), &mut report, &mut progress));
    match outcome {
        Ok(()) => report.ok = true,
        Err(Stop::Broken(broken)) => report.broken = Some(broken),
        Err(Stop::Store(error)) => return Err(error),
    }
    Ok(report)
}

struct Walk<'a> {
    journal: JournalId,
    against: Against<'a>,
    /// Where the files of archived ranges are.
    files: &'a Files,
    edge: Edge,
    /// Levels of tiles above the leaves, as they are kept.
    levels: Vec<Level>,
    heads: VecDeque<SignedHead>,
    last_head: i64,
    /// Who must sign the next head.
    signs_on: Option<KeyId>,
    keys: Vec<PublicKey>,
    /// Seqs of which leaves cannot be derived, from and to, in order.
    unread: Vec<(i64, i64)>,
}

impl<'a> Walk<'a> {
    fn run(
        conn: &mut PgConnection,
        journal: JournalId,
        (against, files): (Against<'a>, &'a Files),
        report: &mut LogReport,
        progress: &mut dyn FnMut(i64, i64),
    ) -> Result<(), Stop> {
        archive::keep_still(conn)?;
        statement::<()>("SET LOCAL statement_timeout = 0", &[]).execute(conn)?;
        let head = crate::store::head(conn, journal)?.ok_or(diesel::result::Error::NotFound)?;
        let sealed = sealed_upto(conn, journal)?;
        report.behind = head.seq.saturating_sub(sealed);
        if sealed > head.seq {
            return Err(broken(LogCheck::Leaves, sealed, "more is sealed than was committed").into());
        }
        let other = against.salts.map(|salts| log::other_salts(conn, journal, salts)).transpose()?;
        if let Some(version) = other.iter().flatten().next() {
            let what = format!("the salt secret of version {version} given here is not the one it was sealed with");
            return Err(broken(LogCheck::Secrets, 0, what).into());
        }
        let mut walk = Self {
            journal,
            against,
            files,
            edge: Edge::default(),
            levels: Vec::new(),
            heads: VecDeque::new(),
            last_head: 0,
            signs_on: None,
            keys: keys_to_trust(conn, journal, against)?,
            unread: Vec::new(),
        };
        let mut deriver = Deriver::new(conn, journal, head.fork)?;
        if against.salts.is_some() {
            deriver = deriver.with_files(walk.open_files(conn, report)?);
        }
        let mut at = (-1, 0);
        loop {
            let strips = log::strips_after(conn, journal, 0, at, STRIPS)?;
            let Some(last) = strips.last() else { break };
            at = (last.tile, last.start);
            walk.strips(conn, &strips, sealed, &mut deriver, report)?;
            progress(walk.size(), sealed);
        }
        walk.end(conn, sealed, report)
    }

    fn size(&self) -> i64 {
        i64::try_from(self.edge.size()).unwrap_or(i64::MAX)
    }

    /// Takes strips of leaves, those of one salt version together.
    fn strips(
        &mut self,
        conn: &mut PgConnection,
        strips: &[StripRow],
        sealed: i64,
        deriver: &mut Deriver,
        report: &mut LogReport,
    ) -> Result<(), Stop> {
        for run in strips.chunk_by(|one, next| one.salt == next.salt) {
            let first = self.size().saturating_add(1);
            let mut next = self.size();
            for strip in run {
                let here = strip.tile.saturating_mul(256).saturating_add(i64::from(strip.start));
                if here != next
                    || strip.hashes.len().saturating_add(usize::try_from(strip.start).unwrap_or(WIDTH)) > WIDTH
                {
                    return Err(broken(LogCheck::Leaves, next.saturating_add(1), "its leaf is missing").into());
                }
                next = next.saturating_add(i64::try_from(strip.hashes.len()).unwrap_or(0));
            }
            if next > sealed {
                let what = "a leaf lies past what was sealed";
                return Err(broken(LogCheck::Leaves, sealed.saturating_add(1), what).into());
            }
            let salt = run.first().map_or(0, |strip| strip.salt);
            let expected = self.derive(conn, first, next, salt, deriver)?;
            let derived = expected.iter().flatten().count();
            report.derived = report.derived.saturating_add(u64::try_from(derived).unwrap_or(0));
            let kept = run.iter().flat_map(|strip| &strip.hashes);
            for (leaf, expected) in kept.zip(expected) {
                if expected.is_some_and(|expected| expected != *leaf) {
                    let what = "its rows are not those that were sealed, or its leaf was changed";
                    return Err(broken(LogCheck::Leaves, self.size().saturating_add(1), what).into());
                }
                self.push(conn, *leaf, report)?;
            }
        }
        Ok(())
    }

    /// The files of archived ranges that are at hand; those that are not are told.
    fn open_files(&mut self, conn: &mut PgConnection, report: &mut LogReport) -> Result<Vec<FileReader>, Stop> {
        let all = open_files(conn, self.journal, self.files);
        let mut here = Vec::new();
        for (noted, file) in all.map_err(Stop::of_books)? {
            if file.is_none() {
                self.unread.push((noted.range.first_seq, noted.range.last_seq));
                report.unread.push(Unread::of(&noted));
            }
            here.extend(file);
        }
        Ok(here)
    }

    /// The leaves that the rows of these seqs make; none where none is asked for, or its rows cannot be read.
    fn derive(
        &self,
        conn: &mut PgConnection,
        first: i64,
        last: i64,
        salt: i32,
        deriver: &mut Deriver,
    ) -> Result<Vec<Option<Hash>>, Stop> {
        let count = |first: i64, last: i64| usize::try_from(last.saturating_add(1).saturating_sub(first)).unwrap_or(0);
        let mut leaves: Vec<Option<Hash>> = Vec::with_capacity(count(first, last));
        let trusted = self.against.since.map_or(0, |since| since.head.size);
        let from = first.max(trusted.saturating_add(1));
        let Some(salts) = self.against.salts.filter(|_| from <= last) else {
            return Ok(vec![None; count(first, last)]);
        };
        let missing = || broken(LogCheck::Secrets, first, format!("there is no salt secret of version {salt} here"));
        let salt = salts.of(salt).ok_or_else(missing)?;
        leaves.resize(count(first, from.saturating_sub(1)), None);
        let mut at = from;
        while at <= last {
            let ahead = self.unread.iter().find(|(_, end)| *end >= at).copied().unwrap_or((i64::MAX, i64::MAX));
            let upto = last.min(if ahead.0 <= at { ahead.1 } else { ahead.0.saturating_sub(1) });
            if ahead.0 <= at {
                leaves.extend(std::iter::repeat_n(None, count(at, upto)));
            } else {
                leaves.extend(deriver.leaves(conn, at, upto, salt)?.iter().map(|leaf| Some(leaf.hash())));
            }
            at = upto.saturating_add(1);
        }
        Ok(leaves)
    }

    /// Takes one leaf: everything above it, and the head of this size.
    fn push(&mut self, conn: &mut PgConnection, leaf: Hash, report: &mut LogReport) -> Result<(), Stop> {
        let mut grown = Vec::new();
        self.edge.push(leaf, &mut grown);
        for strip in grown.iter().filter(|strip| strip.level > 0) {
            self.check_above(conn, strip)?;
        }
        let size = self.size();
        if self.against.since.is_some_and(|since| since.head.size == size && since.head.root != self.edge.root()) {
            let what = "the log does not begin with the trusted head: history before it was changed";
            return Err(broken(LogCheck::Trusted, size, what).into());
        }
        while self.next_head(conn)?.is_some_and(|next| next.head.size <= size) {
            let Some(signed) = self.heads.pop_front() else { break };
            self.check_head(&signed)?;
            report.heads = report.heads.saturating_add(1);
        }
        Ok(())
    }

    fn check_above(&mut self, conn: &mut PgConnection, strip: &Strip) -> Result<(), Stop> {
        let place = usize::try_from(strip.level).unwrap_or(usize::MAX).saturating_sub(1);
        while self.levels.len() <= place {
            let level = u32::try_from(self.levels.len()).unwrap_or(0).saturating_add(1);
            self.levels.push(Level { level, at: (-1, 0), kept: VecDeque::new() });
        }
        let kept = match self.levels.get_mut(place) {
            Some(level) => level.next(conn, self.journal)?,
            None => None,
        };
        let expected = strip.hashes.first().map(|hash| (strip.tile, strip.start, *hash));
        if kept == expected {
            return Ok(());
        }
        let what = format!(
            "entry {} of tile {} of level {} is not the root of what lies below",
            strip.start, strip.tile, strip.level
        );
        Err(broken(LogCheck::Tiles, self.size(), what).into())
    }

    fn next_head(&mut self, conn: &mut PgConnection) -> Result<Option<&SignedHead>, Stop> {
        if self.heads.is_empty() && self.last_head < i64::MAX {
            self.heads = log::heads_after(conn, self.journal, self.last_head, HEADS)?.into();
            // Nothing after the last one: not asked again for each leaf.
            self.last_head = self.heads.back().map_or(i64::MAX, |last| last.head.size);
        }
        Ok(self.heads.front())
    }

    fn check_head(&mut self, signed: &SignedHead) -> Result<(), Stop> {
        let size = signed.head.size;
        let fails = |what: String| Err(Stop::Broken(broken(LogCheck::Heads, size, what)));
        if size != self.size() || signed.head.root != self.edge.root() {
            return fails(format!("the head of size {size} has another root than the log"));
        }
        if self.signs_on.is_some_and(|key| key != signed.head.key) {
            return fails(format!("it is signed by key {}, to which nobody signed over", signed.head.key));
        }
        if let Err(error) = signed.check(&self.keys) {
            return fails(error.to_string());
        }
        self.signs_on = Some(signed.head.signs_on());
        self.keys.extend(signed.head.next.filter(|next| !self.keys.contains(next)));
        Ok(())
    }

    fn end(mut self, conn: &mut PgConnection, sealed: i64, report: &mut LogReport) -> Result<(), Stop> {
        let size = self.size();
        (report.leaves, report.root) = (size, self.edge.root().to_string());
        if size != sealed {
            return Err(broken(LogCheck::Leaves, size.saturating_add(1), "its leaf is missing").into());
        }
        if let Some(since) = self.against.since.filter(|since| since.head.size > size) {
            let what = format!(
                "seqs {} to {} of the trusted head are not in the log",
                size.saturating_add(1),
                since.head.size
            );
            return Err(broken(LogCheck::Trusted, size.saturating_add(1), what).into());
        }
        if let Some(stray) = self.next_head(conn)? {
            let what = "a head is larger than the log";
            return Err(broken(LogCheck::Heads, stray.head.size, what).into());
        }
        for level in (1..8).map(|level| usize::try_from(level).unwrap_or(0)) {
            let mut fresh = Level { level: u32::try_from(level).unwrap_or(0), at: (-1, 0), kept: VecDeque::new() };
            let level = self.levels.get_mut(level.saturating_sub(1)).unwrap_or(&mut fresh);
            if level.next(conn, self.journal)?.is_some() {
                return Err(broken(LogCheck::Tiles, size, "a tile has more entries than the log").into());
            }
        }
        Ok(())
    }
}

/// The keys that signatures are held against. A trusted head adds those that were signed over to before it.
fn keys_to_trust(conn: &mut PgConnection, journal: JournalId, against: Against<'_>) -> Result<Vec<PublicKey>, Stop> {
    if against.keys.is_empty() {
        return Ok(log::public_keys(conn, journal)?);
    }
    let rotations = log::rotations(conn, journal)?;
    // Keys are given new to old as often as old to new: a rotation to a given key vouches for nothing before it.
    Ok(trust(against.keys, &rotations).unwrap_or_else(|_untrusted| against.keys.to_vec()))
}

fn sealed_upto(conn: &mut PgConnection, journal: JournalId) -> Result<i64, StoreError> {
    const TEXT: &str = "SELECT seq FROM journal.follower WHERE journal = ? AND name = ?";
    let rows = statement::<(BigInt,)>(TEXT, &[Arg::Int(journal.0), Arg::Text(FOLLOWER)]).load::<(i64,)>(conn)?;
    Ok(rows.first().map_or(0, |(seq,)| *seq))
}

/// One level of tiles above the leaves, entry by entry as it is kept.
struct Level {
    level: u32,
    at: (i64, i32),
    kept: VecDeque<(u64, usize, Hash)>,
}

impl Level {
    fn next(&mut self, conn: &mut PgConnection, journal: JournalId) -> Result<Option<(u64, usize, Hash)>, StoreError> {
        if self.kept.is_empty() {
            let strips = log::strips_after(conn, journal, self.level, self.at, STRIPS)?;
            self.at = strips.last().map_or(self.at, |last| (last.tile, last.start));
            for strip in strips {
                let (tile, start) = (u64::try_from(strip.tile).unwrap_or(0), usize::try_from(strip.start).unwrap_or(0));
                self.kept.extend((start..).zip(strip.hashes).map(|(place, hash)| (tile, place, hash)));
            }
        }
        Ok(self.kept.pop_front())
    }
}
