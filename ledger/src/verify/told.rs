//! The laws of the books over records that are told instead of stored: what an export says, before any of it is written.
//!
//! The same fold as [`super::verify`]'s, batch by batch. Not here: what only the stored rows of earlier batches can
//! answer (keys, claims and public ids that were used before, what of a row was moved back).

use super::books::Books;
use super::parts::Parts;
use super::rows::{BatchRow, ClaimRow, CompanionRow, HoldRow, KeyRow, LinkRow, RecordRow, SideRow, TransferRow};
use super::{Broken, Report};
use crate::apply::Map;
use crate::canonical::Place;
use crate::{Asset, AssetId, Body, Companion, JournalId, Key, LegRef, NEVER, Posted, Record, RowKind, Side};

/// A commit, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit<'a> {
    pub(crate) first_seq: i64,
    pub(crate) last_seq: i64,
    pub(crate) version: i32,
    pub(crate) recorded_us: i64,
    pub(crate) digest: &'a [u8],
}

/// The fold so far.
pub(crate) struct Told {
    books: Books,
    report: Report,
}

impl Told {
    /// Before the first record of a journal.
    pub(crate) fn new(place: Place, sandbox: bool, assets: Map<AssetId, Asset>) -> Self {
        let report = Report::none(place.journal);
        Self { books: Books::new(place, sandbox, 0, assets, Vec::new()), report }
    }

    /// Takes a batch, or names the first law that its first wrong record breaks; the fold is of no use then.
    pub(crate) fn batch<'a>(
        &mut self,
        fork: uuid::Uuid,
        commit: &Commit<'_>,
        records: impl Iterator<Item = (&'a Record, Option<&'a Key>, &'a [Companion])>,
    ) -> Result<(), Broken> {
        let Commit { first_seq, last_seq, version, recorded_us, digest } = *commit;
        // Under which epoch it was committed is no part of what is hashed, and is not told.
        let batch = BatchRow { last_seq, first_seq, epoch: 1, version, recorded_us, digest: digest.to_vec() };
        self.books.on_line(fork);
        self.books.begin_batch(&batch)?;
        for (record, key, companions) in records {
            self.books.record(row_of(record), &parts_of(record, key, companions), &mut self.report)?;
        }
        self.books.end_batch(&batch)
    }
}

fn row_of(record: &Record) -> RecordRow {
    let Record { seq, id, recorded_us, effective_us, ref body, ref meta } = *record;
    RecordRow { seq, kind: body.kind(), id, recorded_us, effective_us, body: body.to_bytes(), meta: meta.clone() }
}

/// What will be stored beside a record: what it says itself, so that only key and companions can be wrong.
fn parts_of(record: &Record, key: Option<&Key>, companions: &[Companion]) -> Parts {
    let seq = record.seq;
    let transfers = record.body.transfers();
    let claim = if let Body::Transaction { claim, .. } = &record.body { *claim } else { None };
    let companion = |one: &Companion| CompanionRow { seq, kind: one.kind, key: one.key, body: one.body.clone() };
    Parts {
        unread: false,
        transfers: transfers.iter().map(|posted| transfer_of(seq, posted)).collect(),
        keys: key.map(|key| KeyRow { seq, key: *key }).into_iter().collect(),
        claims: claim.map(|claim| ClaimRow { seq, claim: claim.0 }).into_iter().collect(),
        companions: companions.iter().map(companion).collect(),
        links: transfers.iter().filter_map(|posted| link_of(seq, posted)).collect(),
        holds: transfers.iter().filter(|posted| posted.kind == RowKind::Hold).map(|it| hold_of(seq, it)).collect(),
    }
}

fn transfer_of(seq: i64, posted: &Posted) -> TransferRow {
    let side =
        |side: &Side| SideRow { account: side.account, balance: side.balance, held: side.held, version: side.version };
    let (debit, credit) = (side(&posted.debit), side(&posted.credit));
    let (kind, asset, amount) = (posted.kind.code(), posted.amount.asset, posted.amount.minor);
    TransferRow { seq, leg: posted.leg, kind, asset, amount, debit, credit }
}

fn link_of(seq: i64, posted: &Posted) -> Option<LinkRow> {
    let by = LegRef { seq, leg: posted.leg };
    Some(LinkRow { of: posted.of()?, by, kind: posted.kind.code(), amount: posted.amount.minor })
}

/// Of a hold that ends nothing is left; of one that does not, nothing is asked.
fn hold_of(seq: i64, posted: &Posted) -> HoldRow {
    HoldRow {
        place: LegRef { seq, leg: posted.leg },
        debit: posted.debit.account,
        credit: posted.credit.account,
        asset: posted.amount.asset,
        amount: posted.amount.minor,
        remaining: 0,
        expires_us: posted.more.as_ref().and_then(|more| more.expires_us).unwrap_or(NEVER),
    }
}

impl Report {
    /// Of books of which nothing was read.
    pub(super) const fn none(journal: JournalId) -> Self {
        Self {
            ok: false,
            journal,
            seq: 0,
            records: 0,
            transactions: 0,
            refusals: 0,
            transfers: 0,
            accounts: 0,
            digest: String::new(),
            unread: Vec::new(),
            broken: None,
        }
    }
}
