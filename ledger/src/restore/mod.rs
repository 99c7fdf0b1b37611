//! Restore: the records of an export posted again as they were, into books without any.
//!
//! Promise: what is posted has the bytes, dates, keys and batches it had, so that balances, digests and the leaves of the
//! log come out the same; each batch was held against the laws of the books ([`crate::verify`]'s own fold) and against
//! the rows before it, and is committed whole or not at all, through the head, under the epoch of the lease. Killed
//! anywhere, the same export goes on where the head stands; read again to its end it changes nothing. Memory grows with
//! accounts and open holds, never with the history.
//!
//! While it lasts no node leads these books. At its end their line of history ends too: whoever has written the export may
//! have written more since, and what is written here from now on must never be taken for that (JOURNAL 29).
//! Not here: files (the command), tenants, salts and signed heads of the log.

mod desk;
mod fold;
mod store;

use diesel::PgConnection;
use diesel::result::{DatabaseErrorKind, Error};
use uuid::Uuid;

use crate::apply::{Applied, Map};
use crate::canonical::{Names, Place, Unread, read_record};
use crate::store::{self as journal, StoreError, found, rows};
use crate::verify::told::{self, Told};
use crate::verify::{Broken, Check, broken};
use crate::{Asset, Body, Command, Companion, JournalId, Key, LegRef, Posted, Record, Request, RowKind};
use desk::Desk;
use fold::Fold;

/// Which books an export is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Their number, which is part of every hash.
    pub journal: JournalId,
    /// The line of history of the last record.
    pub fork: Uuid,
    /// Lines that ended before, oldest first, each with its last seq.
    pub former: Vec<(Uuid, i64)>,
    /// The last seq.
    pub head: i64,
    /// The version of the rules of the first batch.
    pub version: i32,
    /// Whether the clock may have moved.
    pub sandbox: bool,
    /// All assets, with their numbers.
    pub assets: Vec<Asset>,
}

/// A commit, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The first seq.
    pub first_seq: i64,
    /// The last one.
    pub last_seq: i64,
    /// The version of the rules it was decided by.
    pub version: i32,
    /// When it was decided, microseconds since 1970.
    pub recorded_us: i64,
    /// The digest after it.
    pub digest: Vec<u8>,
    /// Its records.
    pub records: Vec<RecordTold>,
}

/// A record, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordTold {
    /// Its canonical bytes.
    pub canonical: Vec<u8>,
    /// The key that leads to it, if one does.
    pub key: Option<Key>,
    /// What was written with it.
    pub companions: Vec<Companion>,
}

/// Why a restore does not begin or go on. Nothing of the batch it is about was posted.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A record breaks a law of the books, or is not what its batch's digest was made of.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The books have records that are not the export's.
    #[error("the books have other records: an export is restored into books without any")]
    NotEmpty,
    /// Somebody leads these books.
    #[error("{address} leads these books: stop it, or restore where none runs")]
    Held {
        /// Where it is reached.
        address: String,
    },
    /// The lease was lost.
    #[error("another writer has taken over; what was posted stays, and the same export goes on from there")]
    Fenced,
    /// The export ended before its last record.
    #[error("the export ends at seq {at}, and says that it goes up to {head}")]
    CutOff {
        /// Where it ended.
        at: i64,
        /// Where it should.
        head: i64,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Error> for RestoreError {
    fn from(error: Error) -> Self {
        Self::Store(error.into())
    }
}

impl RestoreError {
    /// The stable name of the reason.
    #[must_use]
    pub fn code(&self) -> String {
        match self {
            Self::Broken(broken) => broken.check.to_string().to_lowercase(),
            Self::NotEmpty => "not-empty".to_owned(),
            Self::Held { .. } => "held".to_owned(),
            Self::Fenced => "fenced".to_owned(),
            Self::CutOff { .. } => "cut-off".to_owned(),
            Self::Store(_) => "database".to_owned(),
        }
    }

    /// The record it is about, if it is about one.
    #[must_use]
    pub const fn seq(&self) -> Option<i64> {
        if let Self::Broken(broken) = self { Some(broken.seq) } else { None }
    }

    fn of_commit(error: Error, first_seq: i64) -> Self {
        let Error::DatabaseError(kind, info) = &error else { return Self::Store(error.into()) };
        if info.message().starts_with("fenced:") {
            return Self::Fenced;
        }
        let check = match info.table_name() {
            Some("key") => Check::Keys,
            Some("claim") => Check::Claims,
            Some("account") => Check::Accounts,
            Some("companion") => Check::Companions,
            _ => return Self::Store(error.into()),
        };
        if matches!(kind, DatabaseErrorKind::UniqueViolation) {
            return Self::Broken(broken(check, first_seq, "a record of this batch uses what an earlier one used up"));
        }
        Self::Store(error.into())
    }
}

/// A restore that goes on.
pub struct Restore {
    source: Source,
    owner: PgConnection,
    desk: Desk,
    told: Told,
    fold: Fold,
    next_fork: Uuid,
    /// Up to where the books had the export's records when this run began.
    stood: i64,
    at: i64,
    posted: u64,
}

impl Restore {
    /// Begins, or takes up what was begun. `url` is the app role's, `owner` the owner of the tables; `next_fork` is the line
    /// of history that begins after the last record; the books are there, with or without a part of this very export.
    ///
    /// # Errors
    /// [`RestoreError::NotEmpty`], [`RestoreError::Held`], [`RestoreError::Store`].
    pub fn begin(
        url: &str,
        mut owner: PgConnection,
        source: Source,
        next_fork: Uuid,
        address: &str,
    ) -> Result<Self, RestoreError> {
        let mut desk = Desk::take(url, &source, next_fork, address)?;
        let next_fork = match store::begun(&mut owner, &source)? {
            Some(begun) => begun.next_fork,
            None if store::begin(&mut owner, &source, next_fork)? => next_fork,
            None => return Err(RestoreError::NotEmpty),
        };
        let head = journal::head(desk.conn(), source.journal)?.ok_or(RestoreError::NotEmpty)?;
        let ended = store::former_end(desk.conn(), source.journal, source.fork)?;
        if head.fork != source.fork && ended != Some(source.head) || head.sandbox != source.sandbox {
            return Err(RestoreError::NotEmpty);
        }
        // Of books that have gone on since, the part that is the export's.
        let stood = if head.fork == source.fork { head.seq } else { source.head };
        let assets: Map<_, _> = source.assets.iter().map(|asset| (asset.id, asset.clone())).collect();
        let told = Told::new(Place { journal: source.journal, fork: source.fork }, source.sandbox, assets);
        Ok(Self { source, owner, desk, told, fold: Fold::default(), next_fork, stood, at: 0, posted: 0 })
    }

    /// Of a batch that was posted before, the digest says so.
    fn stands(&mut self, first_seq: i64, last_seq: i64, digest: &[u8]) -> Result<(), RestoreError> {
        let stood = self.stood;
        let ends_there = last_seq == stood;
        let passes = first_seq <= stood && last_seq > stood;
        if passes || ends_there && !journal::has_batch(self.desk.conn(), self.source.journal, last_seq, digest)? {
            return Err(RestoreError::NotEmpty);
        }
        Ok(())
    }

    /// How many records were posted by this run.
    #[must_use]
    pub const fn posted(&self) -> u64 {
        self.posted
    }

    /// The last seq taken.
    #[must_use]
    pub const fn at(&self) -> i64 {
        self.at
    }

    /// Takes the next batch: posts it, or finds that it stands.
    ///
    /// # Errors
    /// [`RestoreError`]; nothing of it was posted, and there is no going on.
    pub fn batch(&mut self, batch: Batch) -> Result<(), RestoreError> {
        let Batch { first_seq, last_seq, version, recorded_us, digest, records } = batch;
        // Also while batches are read that stand already.
        self.desk.renew()?;
        let read = self.read(first_seq, &records)?;
        let commit = told::Commit { first_seq, last_seq, version, recorded_us, digest: &digest };
        let told = read.iter().zip(&records).map(|(record, told)| (record, told.key.as_ref(), &*told.companions));
        self.told.batch(self.fork_of(first_seq), &commit, told)?;
        self.stands(first_seq, last_seq, &digest)?;
        let mut applied = self.fold.batch(read);
        let requests = self.requests(&mut applied, records);
        if last_seq > self.stood {
            check_refunds(self.desk.conn(), self.source.journal, &applied)?;
            let requests: Vec<&Request> = requests.iter().collect();
            self.desk.post((first_seq, version, &digest), &requests, &applied)?;
            self.posted = self.posted.saturating_add(u64::try_from(applied.records.len()).unwrap_or(u64::MAX));
        }
        self.at = last_seq;
        self.desk.changed(&applied, &self.fold.accounts)
    }

    /// The export is over: ends its line of history and lets nodes lead. Tells the line that is written from here on.
    ///
    /// # Errors
    /// [`RestoreError::CutOff`] when records are missing at its end.
    pub fn end(mut self) -> Result<Uuid, RestoreError> {
        let (at, head) = (self.at, self.source.head);
        if at != head {
            return Err(RestoreError::CutOff { at, head });
        }
        self.desk.checkpoint(head, &self.fold.accounts)?;
        store::end(&mut self.owner, &self.source, self.next_fork)?;
        Ok(self.next_fork)
    }

    /// The records of a batch, of which each may name accounts that one before it opens.
    fn read(&mut self, first_seq: i64, records: &[RecordTold]) -> Result<Vec<Record>, Broken> {
        let mut read = Vec::with_capacity(records.len());
        for (seq, told) in (first_seq..).zip(records) {
            let names = Names { accounts: &self.fold.by_public_id, assets: &self.source.assets };
            let (place, record) = read_record(&told.canonical, &names).map_err(|why| unread(seq, why))?;
            if place != (Place { journal: self.source.journal, fork: self.fork_of(seq) }) {
                return Err(broken(Check::Form, seq, "the record is of other books, or of another line of history"));
            }
            if record.seq != seq {
                return Err(broken(Check::Seqs, seq, format!("seq {} stands in its place", record.seq)));
            }
            self.fold.learn(&record);
            read.push(record);
        }
        Ok(read)
    }

    fn fork_of(&self, seq: i64) -> Uuid {
        let former = self.source.former.iter().find(|(_, last)| seq <= *last);
        former.map_or(self.source.fork, |(fork, _)| *fork)
    }

    /// Keys and companions as requests bring them, answered by their records.
    fn requests(&self, applied: &mut Applied, records: Vec<RecordTold>) -> Vec<Request> {
        let mut requests = Vec::new();
        for (index, told) in records.into_iter().enumerate() {
            let Some(key) = told.key else { continue };
            let (journal, companions) = (self.source.journal, told.companions);
            let command = Command::Abandon;
            requests.push(Request { journal, key, command, effective_us: None, meta: Vec::new(), companions });
            applied.answers.push(Ok(index));
        }
        requests
    }
}

fn unread(seq: i64, why: Unread) -> Broken {
    match why {
        Unread::Form => broken(Check::Form, seq, "the record does not read as one we wrote"),
        Unread::Account(account) => broken(Check::Accounts, seq, format!("account {account} was never opened")),
        Unread::Asset => broken(Check::Accounts, seq, "an asset that was not defined so"),
    }
}

/// No row is moved back by more than it moved, or to other accounts: what the fold, which forgets rows, cannot see.
fn check_refunds(conn: &mut PgConnection, journal: JournalId, applied: &Applied) -> Result<(), RestoreError> {
    let refunds: Vec<(i64, &Posted, LegRef)> = applied
        .records
        .iter()
        .flat_map(|record| record.body.transfers().iter().map(|posted| (record.seq, posted)))
        .filter(|(_, posted)| posted.kind == RowKind::Move)
        .filter_map(|(seq, posted)| Some((seq, posted, posted.of()?)))
        .collect();
    if refunds.is_empty() {
        return Ok(());
    }
    let places: Vec<LegRef> = refunds.iter().map(|(_, _, of)| *of).collect();
    let mut before = found::refunded(conn, journal, &places)?;
    let seqs: Vec<i64> = places.iter().map(|place| place.seq).collect();
    let mut earlier = rows::records_at(conn, journal, &seqs)?;
    earlier.sort_by_key(|record| record.seq);
    let own = |seq: i64| applied.records.iter().find(|record| record.seq == seq);
    for (seq, posted, of) in refunds {
        let fails = |what: &str| broken(Check::Refunds, seq, what);
        let stored = earlier.binary_search_by_key(&of.seq, |record| record.seq).ok();
        let record = stored.and_then(|place| earlier.get(place)).or_else(|| own(of.seq));
        let original = record.and_then(|record| leg_of(&record.body, of.leg));
        let original = original.filter(|_| of.seq < seq).ok_or_else(|| fails("it moves back a row there is not"))?;
        let turned = (original.credit.account, original.debit.account, original.amount.asset);
        let moved = matches!(original.kind, RowKind::Move | RowKind::Capture);
        if !moved || turned != (posted.debit.account, posted.credit.account, posted.amount.asset) {
            return Err(fails("it moves back a row that was none, or elsewhere").into());
        }
        let back = before.entry(of).or_default();
        *back = back.saturating_add(posted.amount.minor);
        if *back > original.amount.minor {
            return Err(fails("more is moved back than was moved").into());
        }
    }
    Ok(())
}

fn leg_of(body: &Body, leg: i32) -> Option<&Posted> {
    body.transfers().iter().find(|posted| posted.leg == leg)
}
