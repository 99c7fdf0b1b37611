//! The rows that leaves are made of: as they are read, as their writer has just sent them, as an archive's file has them.

use diesel::sql_types::{BigInt, Binary, Integer, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::archive::Row;
use crate::bind::{Arg, statement};
use crate::sealing::Batch;
use crate::store::StoreError;
use crate::{Archived, AssetId, JournalId};

/// A record's own row, its body still bytes: a leaf commits to them as they are.
pub(crate) struct RecordRow {
    pub(crate) seq: i64,
    pub(crate) kind: i32,
    pub(crate) id: Uuid,
    pub(crate) recorded_us: i64,
    pub(crate) effective_us: i64,
    pub(crate) body: Vec<u8>,
    pub(crate) meta: Vec<u8>,
}

/// One account's part of a transfer.
pub(crate) struct SideRow {
    pub(crate) account: i64,
    pub(crate) balance: i64,
    pub(crate) held: i64,
    pub(crate) version: i64,
}

pub(crate) struct TransferRow {
    pub(crate) seq: i64,
    pub(crate) leg: i32,
    pub(crate) kind: i32,
    pub(crate) asset: AssetId,
    pub(crate) amount: i64,
    pub(crate) debit: SideRow,
    pub(crate) credit: SideRow,
}

/// The rows of a stretch of seqs, in order.
#[derive(Default)]
pub(in crate::sealing) struct Written {
    pub(in crate::sealing) records: Vec<RecordRow>,
    pub(in crate::sealing) transfers: Vec<TransferRow>,
    /// The batches they are of, as (last seq, version of the rules).
    pub(in crate::sealing) rules: Vec<(i64, i32)>,
}

impl Written {
    /// Adds those of a batch that come after `from`.
    pub(in crate::sealing) fn add(&mut self, batch: &Batch, from: i64) {
        let Batch { first, last, recorded_us, version, rows, .. } = batch;
        self.records.extend(rows.records(*first, *recorded_us).filter(|record| record.seq > from));
        self.transfers.extend(rows.transfers().filter(|row| row.seq > from));
        self.rules.push((*last, *version));
    }
}

pub(in crate::sealing) fn records(
    conn: &mut PgConnection,
    journal: JournalId,
    first: i64,
    last: i64,
) -> Result<Vec<RecordRow>, StoreError> {
    const TEXT: &str = "SELECT seq, kind, id, recorded_us, effective_us, body, meta FROM journal.record \
        WHERE journal = ? AND seq BETWEEN ? AND ? ORDER BY seq";
    type Row = (BigInt, Integer, SqlUuid, BigInt, BigInt, Binary, Binary);
    type Values = (i64, i32, Uuid, i64, i64, Vec<u8>, Vec<u8>);
    let args = [Arg::Int(journal.0), Arg::Int(first), Arg::Int(last)];
    let rows = statement::<Row>(TEXT, &args).load::<Values>(conn)?;
    let read = |(seq, kind, id, recorded_us, effective_us, body, meta): Values| RecordRow {
        seq,
        kind,
        id,
        recorded_us,
        effective_us,
        body,
        meta,
    };
    Ok(rows.into_iter().map(read).collect())
}

/// The transfers of these seqs, and the archived ranges among them, of which there are none here.
pub(in crate::sealing) fn transfers(
    conn: &mut PgConnection,
    journal: JournalId,
    first: i64,
    last: i64,
) -> Result<(Vec<TransferRow>, Vec<Archived>), StoreError> {
    const TEXT: &str = "SELECT seq, leg, kind, asset, amount, debit, debit_balance, debit_held, debit_version, \
        credit, credit_balance, credit_held, credit_version FROM journal.transfer \
        WHERE journal = ? AND seq BETWEEN ? AND ? \
        UNION ALL SELECT first_seq, -1, 0, 0, last_seq, 0, 0, 0, 0, 0, 0, 0, 0 FROM journal.archived \
        WHERE journal = ? AND first_seq <= ? AND last_seq >= ? ORDER BY 1, 2";
    type Row =
        (BigInt, Integer, Integer, Integer, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt);
    type Values = (i64, i32, i32, i32, i64, i64, i64, i64, i64, i64, i64, i64, i64);
    let (number, first, last) = (Arg::Int(journal.0), Arg::Int(first), Arg::Int(last));
    let args = [number, first, last, number, last, first];
    let rows = statement::<Row>(TEXT, &args).load::<Values>(conn)?;
    let (away, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, leg, ..)| *leg < 0);
    let range =
        |(first_seq, _, _, _, last_seq, ..): &Values| Archived { journal, first_seq: *first_seq, last_seq: *last_seq };
    let away = away.iter().map(range).collect();
    let read = |(seq, leg, kind, asset, amount, debit, db, dh, dv, credit, cb, ch, cv): Values| TransferRow {
        seq,
        leg,
        kind,
        asset: AssetId(asset),
        amount,
        debit: SideRow { account: debit, balance: db, held: dh, version: dv },
        credit: SideRow { account: credit, balance: cb, held: ch, version: cv },
    };
    Ok((rows.into_iter().map(read).collect(), away))
}

/// A transfer as its file has it; none when a number does not fit.
pub(in crate::sealing) fn from_file(row: &Row) -> Option<TransferRow> {
    let [seq, leg, kind, asset, debit, credit, amount, debit_balance, debit_held, debit_version, ..] = row.0;
    let [.., credit_balance, credit_held, credit_version] = row.0;
    Some(TransferRow {
        seq,
        leg: leg.try_into().ok()?,
        kind: kind.try_into().ok()?,
        asset: AssetId(asset.try_into().ok()?),
        amount,
        debit: SideRow { account: debit, balance: debit_balance, held: debit_held, version: debit_version },
        credit: SideRow { account: credit, balance: credit_balance, held: credit_held, version: credit_version },
    })
}

/// The batches that hold these seqs, as (last seq, version of the rules), in order.
pub(in crate::sealing) fn rules(
    conn: &mut PgConnection,
    journal: JournalId,
    first: i64,
    last: i64,
) -> Result<Vec<(i64, i32)>, StoreError> {
    // The batch that holds the last of them ends there or later.
    const TEXT: &str = "SELECT last_seq, version FROM (\
        (SELECT last_seq, version FROM journal.batch WHERE journal = ? AND last_seq BETWEEN ? AND ?) UNION ALL \
        (SELECT last_seq, version FROM journal.batch WHERE journal = ? AND last_seq > ? ORDER BY last_seq LIMIT 1)\
        ) b ORDER BY last_seq";
    let journal = Arg::Int(journal.0);
    let args = [journal, Arg::Int(first), Arg::Int(last), journal, Arg::Int(last)];
    Ok(statement::<(BigInt, Integer)>(TEXT, &args).load::<(i64, i32)>(conn)?)
}

/// The public ids of these accounts.
pub(in crate::sealing) fn public_ids(
    conn: &mut PgConnection,
    journal: JournalId,
    accounts: &[i64],
) -> Result<Vec<(i64, Uuid)>, StoreError> {
    const TEXT: &str = "SELECT a.id, a.public_id FROM unnest(?) AS q(id) CROSS JOIN LATERAL \
        (SELECT id, public_id FROM journal.account WHERE journal = ? AND id = q.id LIMIT 1) a";
    let args = [Arg::Ints(accounts), Arg::Int(journal.0)];
    Ok(statement::<(BigInt, SqlUuid)>(TEXT, &args).load::<(i64, Uuid)>(conn)?)
}
