//! The model's records, folded: what each account was at each seq. Plain lists; nothing here knows how a row came about.

use std::collections::BTreeMap;

use ledger::read::{AssetTotal, Entry, LinkAt};
use ledger::{AssetId, Body, LegRef, Posted, Record, RowKind};
use uuid::Uuid;

#[derive(Debug, Default)]
pub struct Fold {
    pub records: Vec<Record>,
    /// The seq and the asset each account was opened with.
    pub opened: BTreeMap<Uuid, (i64, AssetId)>,
    /// Each account's rows, oldest first.
    pub lines: BTreeMap<Uuid, Vec<Entry>>,
    /// What builds on rows of each record, in order.
    pub links: BTreeMap<i64, Vec<LinkAt>>,
}

impl Fold {
    pub fn push(&mut self, record: Record) {
        if let Body::Opened { account, .. } = &record.body {
            self.opened.insert(account.public_id, (record.seq, account.asset));
        }
        for row in record.body.transfers() {
            self.line(&record, row, true);
            self.line(&record, row, false);
            if let Some(of) = row.of() {
                let by = LegRef { seq: record.seq, leg: row.leg };
                let link = LinkAt { of, by, record: record.id, kind: row.kind, minor: row.amount.minor };
                self.links.entry(of.seq).or_default().push(link);
            }
        }
        self.records.push(record);
    }

    fn line(&mut self, record: &Record, row: &Posted, is_debit: bool) {
        let (side, other) = if is_debit { (row.debit, row.credit) } else { (row.credit, row.debit) };
        let moves = matches!(row.kind, RowKind::Move | RowKind::Capture);
        let change = if !moves {
            0
        } else if is_debit {
            -row.amount.minor
        } else {
            row.amount.minor
        };
        let entry = Entry {
            seq: record.seq,
            leg: row.leg,
            transaction: record.id,
            change,
            balance: side.balance,
            version: side.version,
            other: other.public_id,
            recorded_us: record.recorded_us,
            effective_us: record.effective_us,
            meta: record.meta.clone(),
        };
        self.lines.entry(side.public_id).or_default().push(entry);
    }

    pub fn is_open(&self, account: Uuid, seq: i64) -> bool {
        self.opened.get(&account).is_some_and(|(opened, _)| *opened <= seq)
    }

    /// An account's rows up to a seq.
    pub fn upto(&self, account: Uuid, seq: i64) -> impl DoubleEndedIterator<Item = &Entry> {
        let lines = self.lines.get(&account).map_or(&[][..], Vec::as_slice);
        let end = lines.partition_point(|entry| entry.seq <= seq);
        lines[..end].iter()
    }

    pub fn balance(&self, account: Uuid, seq: i64) -> i64 {
        self.upto(account, seq).next_back().map_or(0, |entry| entry.balance)
    }

    /// What counts by a date, of what was recorded up to a seq.
    pub fn effective(&self, account: Uuid, seq: i64, us: i64) -> i64 {
        self.upto(account, seq).filter(|entry| entry.effective_us <= us).map(|entry| entry.change).sum()
    }

    /// An account's entries after a seq and up to another, newest first.
    pub fn entries(&self, account: Uuid, after: i64, upto: i64) -> impl Iterator<Item = &Entry> {
        let lines = self.upto(account, upto).rev().take_while(move |entry| entry.seq > after);
        lines.filter(|entry| entry.change != 0)
    }

    /// The last seq, up to `head`, that was recorded by then.
    pub fn recorded(&self, us: i64, head: i64) -> i64 {
        let end = self.records.partition_point(|record| record.recorded_us <= us);
        end.checked_sub(1).map_or(0, |last| self.records[last].seq).min(head)
    }

    /// The totals of accounts that were open at a seq, by what each stood at.
    pub fn totals(&self, seq: i64, balance: impl Fn(Uuid) -> i64) -> BTreeMap<AssetId, AssetTotal> {
        let mut totals = BTreeMap::<AssetId, AssetTotal>::new();
        for (account, (_, asset)) in self.opened.iter().filter(|(_, (opened, _))| *opened <= seq) {
            let (minor, total) = (i128::from(balance(*account)), totals.entry(*asset).or_default());
            total.accounts += 1;
            *(if minor < 0 { &mut total.debits } else { &mut total.credits }) += minor.abs();
        }
        totals
    }
}
