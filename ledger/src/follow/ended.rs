//! Holds that time ended, as a follower is told of them: each with what was written beside the record that opened it.
//!
//! A hold ends by time in a record of what was due, whoever wrote that: the sweeper, or a batch that touched the account.
//! So each is told once. Not here: what a hold was for (its companions say).

use diesel::sql_types::{BigInt, Binary, Integer, Nullable, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Entry, Said, Written};
use crate::apply::Map;
use crate::bind::{Arg, statement};
use crate::store::{StoreError, rows};
use crate::{Amount, Archived, JournalId, LegRef, Posted, RowKind};

/// A hold that time ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The record that says so.
    pub seq: i64,
    /// Which of those that the record ended, from zero.
    pub ordinal: i32,
    /// The row that opened it.
    pub hold: LegRef,
    /// What was left of it, and was given back.
    pub left: Amount,
    /// The companions of the record that opened it.
    pub companions: Vec<Written>,
}

/// The holds that these records ended, in order. Nothing is read where none of them says what was due.
pub(super) fn ended(conn: &mut PgConnection, journal: JournalId, entries: &[Entry]) -> Result<Vec<Ended>, StoreError> {
    let due: Vec<i64> = entries.iter().filter(|entry| entry.said == Said::Due).map(|entry| entry.seq).collect();
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let due = with_holds(conn, journal, &due)?;
    let mut records = rows::records_at(conn, journal, &due)?;
    records.sort_by_key(|record| record.seq);
    let mut all = Vec::new();
    for record in &records {
        let expired = record.body.transfers().iter().filter(|posted| posted.kind == RowKind::Expire);
        let holds = expired.filter_map(|posted: &Posted| Some((posted.of()?, posted.amount)));
        all.extend((0..).zip(holds).map(|(ordinal, (hold, left))| Ended {
            seq: record.seq,
            ordinal,
            hold,
            left,
            companions: Vec::new(),
        }));
    }
    let opened: Vec<i64> = all.iter().map(|ended| ended.hold.seq).collect();
    let mut beside: Map<i64, Vec<Written>> = Map::default();
    for companion in companions_at(conn, journal, opened)? {
        beside.entry(companion.seq).or_default().push(companion);
    }
    for ended in &mut all {
        ended.companions = beside.get(&ended.hold.seq).cloned().unwrap_or_default();
    }
    Ok(all)
}

/// Those of these records that ended a hold: of lots and periods there are many more, and nobody is told.
fn with_holds(conn: &mut PgConnection, journal: JournalId, due: &[i64]) -> Result<Vec<i64>, StoreError> {
    const TEXT: &str = "SELECT t.seq, a.first_seq, a.last_seq FROM unnest(?) AS q(seq) LEFT JOIN LATERAL \
        (SELECT seq FROM journal.transfer WHERE journal = ? AND seq = q.seq AND kind = ? LIMIT 1) t ON true \
        LEFT JOIN LATERAL (SELECT * FROM journal.archived WHERE journal = ? AND first_seq <= q.seq \
            ORDER BY first_seq DESC LIMIT 1) a ON a.last_seq >= q.seq WHERE t.seq IS NOT NULL OR a.first_seq IS NOT NULL";
    type Row = (Nullable<BigInt>, Nullable<BigInt>, Nullable<BigInt>);
    type Values = (Option<i64>, Option<i64>, Option<i64>);
    let number = Arg::Int(journal.0);
    let args = [Arg::Ints(due), number, Arg::Int4(RowKind::Expire.code()), number];
    let found = statement::<Row>(TEXT, &args).load::<Values>(conn)?;
    let read = |(seq, first_seq, last_seq): Values| match (seq, first_seq.zip(last_seq)) {
        (None, Some((first_seq, last_seq))) => Err(Archived { journal, first_seq, last_seq }.into()),
        (seq, _) => Ok(seq),
    };
    found.into_iter().filter_map(|row| read(row).transpose()).collect()
}

/// The companions of the records of these seqs.
fn companions_at(conn: &mut PgConnection, journal: JournalId, mut seqs: Vec<i64>) -> Result<Vec<Written>, StoreError> {
    const TEXT: &str = "SELECT c.seq, c.kind, c.key, c.body FROM unnest(?) AS q(seq) CROSS JOIN LATERAL \
        (SELECT * FROM journal.companion WHERE journal = ? AND seq = q.seq ORDER BY place LIMIT 100) c ORDER BY c.seq, c.place";
    seqs.sort_unstable();
    seqs.dedup();
    if seqs.is_empty() {
        return Ok(Vec::new());
    }
    let args = [Arg::Ints(&seqs), Arg::Int(journal.0)];
    let rows = statement::<(BigInt, Integer, SqlUuid, Binary)>(TEXT, &args).load::<(i64, i32, Uuid, Vec<u8>)>(conn)?;
    Ok(rows.into_iter().map(|(seq, kind, key, body)| Written { seq, kind, key, body }).collect())
}
