//! Closed days: what the books said when a day was over.
//!
//! A closing pins a day to a seq, the last one recorded before the day ended, with the trial balance there. It is written
//! once; closing a day again gives the same answer. Nothing is locked by it: what is recorded later and counts in a day
//! that was closed is *late*, and belongs to the next closing, which says how many there are. Each closing's digest goes
//! over the one before, so none can be changed or left out alone; `verify` derives all of them again.
//! Limit: recorded times never go back, so a day is over for good once the journal has a record after it. Where it has none,
//! a node that is stopped for a minute between deciding and sending, and that nobody replaced, could still write into
//! the day; `verify` would name it.
//! Not here: where midnight is, and who may close.

pub(crate) mod store;

use diesel::PgConnection;
use ring::digest::{Context, SHA256};

use crate::canonical::{Reader, Writer};
use crate::read::{AssetTotal, At, ReadError, TrialBalance, Until, head, seq_at, trial_balance};
use crate::store::StoreError;
use crate::{AssetId, History, JournalId};

pub use store::{Late, clock_us, closings, late};

/// How long after its end a day can be closed: no commit that was decided within it is under way any more.
pub const SETTLED_US: i64 = 60_000_000;
/// The day before the first closing.
pub(crate) const NO_DAY: i32 = i32::MIN;

/// A day that was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Whose.
    pub journal: JournalId,
    /// Counted from 1970.
    pub day: i32,
    /// The day closed before it.
    pub former_day: Option<i32>,
    /// The first moment after it, microseconds since 1970.
    pub ends_us: i64,
    /// The last seq of the closing before.
    pub after_seq: i64,
    /// The last seq recorded before the day ended.
    pub seq: i64,
    /// Transactions after the one and up to the other that count in a day that had been closed.
    pub late: i64,
    /// The trial balance after `seq`.
    pub totals: Vec<(AssetId, AssetTotal)>,
    /// When it was closed, microseconds since 1970.
    pub closed_us: i64,
    /// The client that did; 0 at the command line.
    pub closed_by: i64,
    /// Over all of this and the digest of the closing before.
    pub digest: [u8; 32],
}

/// A day to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Counted from 1970.
    pub day: i32,
    /// The first moment after it, microseconds since 1970.
    pub ends_us: i64,
    /// The journal's time now.
    pub now_us: i64,
    /// The client; 0 at the command line.
    pub by: i64,
    /// Days between the last closing and this one are closed with it.
    pub skip: bool,
}

/// Why a day was not closed.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// It can be closed a minute after its end.
    #[error("the day is not over")]
    NotOver,
    /// Earlier days are open, and it was not said that they are skipped; the first of them, counted from 1970.
    #[error("an earlier day is open")]
    EarlierOpen(i32),
    /// It was skipped when a later day was closed; which, counted from 1970.
    #[error("a later day is closed")]
    Passed(i32),
    /// The books cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<StoreError> for CloseError {
    fn from(error: StoreError) -> Self {
        Self::Read(error.into())
    }
}

/// How a day stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It was closed, so.
    Closed(Closing),
    /// It can be, so: [`write`] it.
    Open(Closing),
}

/// Closes a day, or tells how it was closed.
///
/// # Errors
/// [`CloseError`]; a day that was closed before is an answer.
pub fn close(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    day: Day,
    until: Until,
) -> Result<Closing, CloseError> {
    loop {
        match look(conn, history, journal, day, until)? {
            Standing::Closed(closed) => return Ok(closed),
            Standing::Open(closing) if write(conn, &closing)? => return Ok(closing),
            Standing::Open(_somebody_closed_a_day) => {}
        }
    }
}

/// The first half of [`close`], which reads every account and writes nothing: for whoever reads in one transaction and
/// writes in another.
///
/// # Errors
/// [`CloseError`].
pub fn look(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    day: Day,
    until: Until,
) -> Result<Standing, CloseError> {
    if head(conn, journal)?.is_none() {
        return Err(ReadError::UnknownJournal(journal).into());
    }
    // In this order: whoever closes the day between the two reads is found by the second.
    let former = store::last(conn, journal)?;
    if let Some(closed) = store::closing(conn, journal, day.day)? {
        return Ok(Standing::Closed(closed));
    }
    may_close(&day, former.as_ref())?;
    Ok(Standing::Open(derive(conn, history, journal, (&day, until), former.as_ref())?))
}

/// The second half: writes a closing. False when somebody else has closed a day meanwhile: then it is looked at again, and
/// more is closed than was.
///
/// # Errors
/// [`StoreError`].
pub fn write(conn: &mut PgConnection, closing: &Closing) -> Result<bool, StoreError> {
    store::insert(conn, closing)
}

fn may_close(day: &Day, former: Option<&Closing>) -> Result<(), CloseError> {
    if day.now_us < day.ends_us.saturating_add(SETTLED_US) {
        return Err(CloseError::NotOver);
    }
    let Some(former) = former else { return Ok(()) };
    let next = former.day.saturating_add(1);
    if day.day <= former.day {
        return Err(CloseError::Passed(former.day));
    }
    if day.day > next && !day.skip {
        return Err(CloseError::EarlierOpen(next));
    }
    Ok(())
}

fn derive(
    conn: &mut PgConnection,
    history: &History,
    journal: JournalId,
    (day, until): (&Day, Until),
    former: Option<&Closing>,
) -> Result<Closing, CloseError> {
    let after_seq = former.map_or(0, |former| former.seq);
    let seq = seq_at(conn, journal, day.ends_us.saturating_sub(1))?.max(after_seq);
    let TrialBalance { assets, .. } = trial_balance(conn, history, journal, At::Seq(seq), until)?;
    let late = former.map_or(Ok(0), |former| store::count_late(conn, journal, after_seq, seq, former.ends_us))?;
    let closing = Closing {
        journal,
        day: day.day,
        former_day: former.map(|former| former.day),
        ends_us: day.ends_us,
        after_seq,
        seq,
        late,
        totals: assets,
        closed_us: day.now_us,
        closed_by: day.by,
        digest: [0; 32],
    };
    let digest = closing.digest_after(former.map(|former| former.digest));
    Ok(Closing { digest, ..closing })
}

impl Closing {
    /// The digest it must have after the one before it.
    #[must_use]
    pub fn digest_after(&self, former: Option<[u8; 32]>) -> [u8; 32] {
        let mut bytes = Writer::default();
        bytes.bytes(b"tessera.closing.1").i64(self.journal.0).i32(self.day).i32(self.former_day.unwrap_or(NO_DAY));
        bytes.i64(self.ends_us).i64(self.after_seq).i64(self.seq).i64(self.late);
        bytes.bytes(&totals_bytes(&self.totals)).i64(self.closed_us).i64(self.closed_by);
        let mut hash = Context::new(&SHA256);
        hash.update(&former.unwrap_or([0; 32]));
        hash.update(&bytes.into_bytes());
        let mut digest = [0; 32];
        digest.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
        digest
    }
}

/// Totals as they are stored and hashed.
fn totals_bytes(totals: &[(AssetId, AssetTotal)]) -> Vec<u8> {
    let mut out = Writer::default();
    out.list(totals, |out, (asset, total)| {
        out.i32(asset.0).raw(&total.accounts.to_be_bytes());
        out.raw(&total.debits.to_be_bytes()).raw(&total.credits.to_be_bytes());
    });
    out.into_bytes()
}

/// Totals as they were stored; none for what we did not write.
fn read_totals(bytes: &[u8]) -> Option<Vec<(AssetId, AssetTotal)>> {
    // Sixteen bytes, which is what an id is read from.
    let wide = |bytes: &mut Reader<'_>| Some(i128::from_be_bytes(bytes.uuid()?.into_bytes()));
    let mut bytes = Reader::new(bytes);
    let totals = bytes.list(|bytes| {
        let asset = AssetId(bytes.i32()?);
        let accounts = u64::try_from(bytes.i64()?).ok()?;
        Some((asset, AssetTotal { accounts, debits: wide(bytes)?, credits: wide(bytes)? }))
    })?;
    bytes.is_empty().then_some(totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closing(day: i32) -> Closing {
        let total = AssetTotal { accounts: 3, debits: i128::from(i64::MAX) * 2, credits: 7 };
        Closing {
            journal: JournalId(1),
            day,
            former_day: None,
            ends_us: 5,
            after_seq: 0,
            seq: 9,
            late: 0,
            totals: vec![(AssetId(1), total), (AssetId(2), AssetTotal::default())],
            closed_us: 6,
            closed_by: 7,
            digest: [0; 32],
        }
    }

    #[test]
    fn totals_are_their_bytes_and_back() {
        let totals = closing(1).totals;
        let bytes = totals_bytes(&totals);
        assert_eq!(read_totals(&bytes), Some(totals));
        assert_eq!(read_totals(&[bytes.as_slice(), &[0]].concat()), None);
    }

    /// Every field is under the digest, and so is the closing before.
    #[test]
    fn no_field_of_a_closing_can_change_alone() {
        let whole = closing(1);
        let digest = whole.digest_after(None);
        let changed = [
            Closing { journal: JournalId(2), ..whole.clone() },
            Closing { day: 2, ..whole.clone() },
            Closing { former_day: Some(0), ..whole.clone() },
            Closing { ends_us: 6, ..whole.clone() },
            Closing { after_seq: 1, ..whole.clone() },
            Closing { seq: 8, ..whole.clone() },
            Closing { late: 1, ..whole.clone() },
            Closing { totals: vec![], ..whole.clone() },
            Closing { closed_us: 7, ..whole.clone() },
            Closing { closed_by: 8, ..whole.clone() },
        ];
        assert!(changed.iter().all(|changed| changed.digest_after(None) != digest));
        assert_ne!(whole.digest_after(Some([1; 32])), digest);
        assert_eq!(Closing { digest, ..whole }.digest_after(None), digest, "its own digest is not under itself");
    }

    #[test]
    fn days_are_closed_in_order_when_they_are_over() {
        let day = Day { day: 5, ends_us: 100, now_us: 100 + SETTLED_US, by: 0, skip: false };
        assert!(may_close(&day, None).is_ok());
        assert!(matches!(may_close(&Day { now_us: day.now_us - 1, ..day }, None), Err(CloseError::NotOver)));
        assert!(may_close(&day, Some(&closing(4))).is_ok());
        assert!(matches!(may_close(&day, Some(&closing(3))), Err(CloseError::EarlierOpen(4))));
        assert!(may_close(&Day { skip: true, ..day }, Some(&closing(3))).is_ok());
        assert!(matches!(may_close(&Day { skip: true, ..day }, Some(&closing(6))), Err(CloseError::Passed(6))));
    }
}
