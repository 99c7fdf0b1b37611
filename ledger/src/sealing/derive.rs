//! Leaves made of rows: the one place that knows which columns of which tables a leaf commits to.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use diesel::PgConnection;
use uuid::Uuid;

use super::store::rows::{self, RecordRow, SideRow, TransferRow, Written};
use crate::apply::Map;
use crate::archive::{ArchiveError, FileReader};
use crate::forks::Lines;
use crate::proof::keys::Salt;
use crate::proof::leaf::{Header, Leaf, Parts, SideFacts, SideOf};
use crate::store::StoreError;
use crate::{Archived, Asset, AssetId, JournalId};

/// Public ids of accounts that are remembered, which never change.
const REMEMBERED: usize = 50_000;

/// What leaves of one journal are made with, as far as it stays the same from page to page.
pub(crate) struct Deriver {
    journal: JournalId,
    lines: Lines,
    assets: Map<AssetId, Asset>,
    public_ids: Map<i64, Uuid>,
    /// Files that stand in for archived ranges, in order.
    files: Vec<Ahead>,
}

/// A file of archived transfers, read as far as leaves were made.
struct Ahead {
    range: Archived,
    file: FileReader,
    next: Option<TransferRow>,
}

/// A leaf as it was made, and what it opens to.
pub(super) struct Made<'a> {
    pub(super) leaf: Leaf,
    pub(super) parts: Parts<'a>,
    /// In the order of the parts.
    pub(super) sides: Vec<SideFacts<'static>>,
    pub(super) meta: Vec<u8>,
}

impl Deriver {
    /// For a journal whose head stands on the line `fork`.
    pub(crate) fn new(conn: &mut PgConnection, journal: JournalId, fork: Uuid) -> Result<Self, StoreError> {
        let lines = Lines::read(conn, journal, fork)?;
        Ok(Self {
            journal,
            lines,
            assets: crate::store::assets(conn, journal)?,
            public_ids: Map::default(),
            files: Vec::new(),
        })
    }

    /// Takes the transfers of archived ranges from these files, which are then read once from their beginning to their end.
    pub(crate) fn with_files(self, files: Vec<FileReader>) -> Self {
        let ahead = |file: FileReader| Ahead { range: file.header().range, file, next: None };
        Self { files: files.into_iter().map(ahead).collect(), ..self }
    }

    /// The leaves of these seqs, in order; all of them are committed.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] names the first seq that has no whole record.
    pub(crate) fn leaves(
        &mut self,
        conn: &mut PgConnection,
        first: i64,
        last: i64,
        salt: &Salt,
    ) -> Result<Vec<Leaf>, StoreError> {
        let written = self.read(conn, first, last)?;
        self.leaves_of(conn, first..=last, written, salt)
    }

    /// The same of rows that need not be read.
    ///
    /// # Errors
    /// As [`leaves`](Self::leaves).
    pub(super) fn leaves_of(
        &mut self,
        conn: &mut PgConnection,
        seqs: RangeInclusive<i64>,
        written: Written,
        salt: &Salt,
    ) -> Result<Vec<Leaf>, StoreError> {
        let mut leaves = Vec::with_capacity(written.records.len());
        self.each(conn, seqs, written, salt, |parts, header, _, _| leaves.push(parts.leaf(header)))?;
        Ok(leaves)
    }

    /// The leaf of one seq with everything that opens it.
    pub(super) fn made<'a>(
        &mut self,
        conn: &mut PgConnection,
        seq: i64,
        salt: &'a Salt,
    ) -> Result<Made<'a>, StoreError> {
        let mut made = None;
        let written = self.read(conn, seq, seq)?;
        self.each(conn, seq..=seq, written, salt, |parts, header, sides, meta| {
            let owned = |side: SideFacts<'_>| SideFacts { asset: Cow::Owned(side.asset.into_owned()), ..side };
            made = Some(Made { leaf: parts.leaf(header), parts, sides: sides.into_iter().map(owned).collect(), meta });
        })?;
        made.ok_or_else(|| self.corrupt(seq, "the record is missing"))
    }

    fn each<'a>(
        &mut self,
        conn: &mut PgConnection,
        mut seqs: RangeInclusive<i64>,
        Written { records, transfers, rules }: Written,
        salt: &'a Salt,
        mut take: impl FnMut(Parts<'a>, Header, Vec<SideFacts<'_>>, Vec<u8>),
    ) -> Result<(), StoreError> {
        let mut rules = rules.into_iter().peekable();
        self.learn(conn, &transfers)?;
        let mut rest = transfers.as_slice();
        for record in records {
            let seq = record.seq;
            let expected = seqs.next().unwrap_or(seq);
            if expected != seq {
                return Err(self.corrupt(seq.min(expected), "the record is missing, or there twice"));
            }
            let count = rest.iter().take_while(|row| row.seq <= seq).count();
            let (own, later) = rest.split_at(count);
            rest = later;
            while rules.next_if(|(last_seq, _)| *last_seq < seq).is_some() {}
            let version = rules.peek().map(|(_, version)| *version);
            let version = version.ok_or_else(|| self.corrupt(seq, "the record is of no batch"))?;
            let header = self.header(&record, salt, version);
            let mut parts = Parts::new(salt, header.fork, seq, &record.body, &record.meta);
            let mut sides = Vec::with_capacity(own.len().saturating_mul(2));
            for row in own {
                sides
                    .extend([self.side(row, SideOf::Debit, &row.debit)?, self.side(row, SideOf::Credit, &row.credit)?]);
            }
            sides.iter().for_each(|side| parts.side(side));
            take(parts, header, sides, record.meta);
        }
        match (seqs.next(), rest.first()) {
            (None, None) => Ok(()),
            (Some(seq), _) => Err(self.corrupt(seq, "the record is missing")),
            (None, Some(row)) => Err(self.corrupt(row.seq, "a transfer belongs to no record")),
        }
    }

    fn read(&mut self, conn: &mut PgConnection, first: i64, last: i64) -> Result<Written, StoreError> {
        Ok(Written {
            records: rows::records(conn, self.journal, first, last)?,
            transfers: self.transfers(conn, first, last)?,
            rules: rows::rules(conn, self.journal, first, last)?,
        })
    }

    /// The transfers of these seqs, wherever they are.
    fn transfers(&mut self, conn: &mut PgConnection, first: i64, last: i64) -> Result<Vec<TransferRow>, StoreError> {
        let (mut rows, away) = rows::transfers(conn, self.journal, first, last)?;
        for range in away {
            let file = self.files.iter_mut().find(|file| file.range == range).ok_or(range)?;
            let unread = |_| StoreError::Corrupt { journal: range.journal.0, seq: first, what: "its archive file" };
            file.take(first, last, &mut rows).map_err(unread)?;
        }
        rows.sort_by_key(|row| (row.seq, row.leg));
        Ok(rows)
    }

    fn header(&self, record: &RecordRow, salt: &Salt, rules: i32) -> Header {
        Header {
            journal: self.journal,
            fork: self.lines.of(record.seq),
            seq: record.seq,
            kind: record.kind,
            id: record.id,
            recorded_us: record.recorded_us,
            effective_us: record.effective_us,
            salt: salt.version(),
            rules,
        }
    }

    fn side<'b>(&'b self, row: &TransferRow, side: SideOf, of: &SideRow) -> Result<SideFacts<'b>, StoreError> {
        let account = self.public_ids.get(&of.account);
        let asset = self.assets.get(&row.asset);
        Ok(SideFacts {
            leg: row.leg,
            side,
            kind: row.kind,
            amount: row.amount,
            asset: Cow::Borrowed(&asset.ok_or_else(|| self.corrupt(row.seq, "an unknown asset"))?.code),
            scale: asset.map_or(0, |asset| i32::from(asset.scale)),
            account: *account.ok_or_else(|| self.corrupt(row.seq, "an unknown account"))?,
            balance: of.balance,
            held: of.held,
            version: of.version,
        })
    }

    /// Learns the public ids and the assets of these rows.
    fn learn(&mut self, conn: &mut PgConnection, rows: &[TransferRow]) -> Result<(), StoreError> {
        if self.public_ids.len() > REMEMBERED {
            self.public_ids.clear();
        }
        let accounts = rows.iter().flat_map(|row| [row.debit.account, row.credit.account]);
        let mut unknown: Vec<i64> = accounts.filter(|account| !self.public_ids.contains_key(account)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            self.public_ids.extend(rows::public_ids(conn, self.journal, &unknown)?);
        }
        if rows.iter().any(|row| !self.assets.contains_key(&row.asset)) {
            self.assets = crate::store::assets(conn, self.journal)?;
        }
        Ok(())
    }

    fn corrupt(&self, seq: i64, what: &'static str) -> StoreError {
        StoreError::Corrupt { journal: self.journal.0, seq, what }
    }
}

impl Ahead {
    /// Takes the rows of these seqs; those before are passed over.
    fn take(&mut self, first: i64, last: i64, rows: &mut Vec<TransferRow>) -> Result<(), ArchiveError> {
        loop {
            if self.next.is_none() {
                let Some(row) = self.file.next()? else { return Ok(()) };
                let row = rows::from_file(&row).ok_or_else(|| self.file.fails("a number does not fit"))?;
                self.next = Some(row);
            }
            match self.next.take_if(|row| row.seq <= last) {
                Some(row) if row.seq >= first => rows.push(row),
                Some(_) => {}
                None => return Ok(()),
            }
        }
    }
}
