//! Records read back from their rows.

use diesel::sql_types::{BigInt, Binary, Integer, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::StoreError;
use crate::apply::Map;
use crate::bind::{Arg, statement};
use crate::follow::{Entry, Said};
use crate::history::{Place, Sides};
use crate::{AccountId, Amount, AssetId, Body, JournalId, Posted, Record, RowKind, Side};

type RecordRow = (BigInt, Integer, SqlUuid, BigInt, BigInt, Binary, Binary);
type RecordValues = (i64, i32, Uuid, i64, i64, Vec<u8>, Vec<u8>);
type TransferRow = (
    BigInt,
    Integer,
    Integer,
    Integer,
    BigInt,
    BigInt,
    SqlUuid,
    BigInt,
    BigInt,
    BigInt,
    BigInt,
    SqlUuid,
    BigInt,
    BigInt,
    BigInt,
);
type TransferValues = (i64, i32, i32, i32, i64, i64, Uuid, i64, i64, i64, i64, Uuid, i64, i64, i64);

const HEADERS: &str = "SELECT seq, kind, id, recorded_us, effective_us, body, meta FROM journal.record \
    WHERE journal = ? AND seq BETWEEN ? AND ? ORDER BY seq";

/// What the records from `first` to `last` say, in order. Their transfers are not read, which is what costs.
pub(crate) fn entries(
    conn: &mut PgConnection,
    journal: JournalId,
    first: i64,
    last: i64,
) -> Result<Vec<Entry>, StoreError> {
    let args = [Arg::Int(journal.0), Arg::Int(first), Arg::Int(last)];
    let rows = statement::<RecordRow>(HEADERS, &args).load::<RecordValues>(conn)?;
    let read = |(seq, kind, id, recorded_us, effective_us, body, meta): RecordValues| {
        let corrupt = StoreError::Corrupt { journal: journal.0, seq, what: "record body" };
        let said = match Body::without_rows(kind, &body).ok_or(corrupt)? {
            Body::Transaction { dropped, .. } => Said::Posted { dropped },
            Body::Refused { refusal } => Said::Refused { refusal },
            Body::Due { .. } => Said::Due,
            Body::Opened { .. }
            | Body::Frozen { .. }
            | Body::Changed { .. }
            | Body::ClockMoved { .. }
            | Body::Abandoned => Said::Other,
        };
        Ok(Entry { seq, id, recorded_us, effective_us, said, meta })
    };
    rows.into_iter().map(read).collect()
}

/// The records from `first` to `last`, in order.
pub(crate) fn records(
    conn: &mut PgConnection,
    journal: JournalId,
    first: i64,
    last: i64,
) -> Result<Vec<Record>, StoreError> {
    const TRANSFERS: &str = "SELECT t.seq, t.leg, t.kind, t.asset, t.amount, \
        t.debit, d.public_id, t.debit_balance, t.debit_held, t.debit_version, \
        t.credit, c.public_id, t.credit_balance, t.credit_held, t.credit_version \
        FROM (SELECT * FROM journal.transfer WHERE journal = ? AND seq BETWEEN ? AND ?) t \
        CROSS JOIN LATERAL (SELECT public_id FROM journal.account WHERE journal = t.journal AND id = t.debit LIMIT 1) d \
        CROSS JOIN LATERAL (SELECT public_id FROM journal.account WHERE journal = t.journal AND id = t.credit LIMIT 1) c \
        ORDER BY t.seq, t.leg";
    let args = [Arg::Int(journal.0), Arg::Int(first), Arg::Int(last)];
    let transfers = statement::<TransferRow>(TRANSFERS, &args).load::<TransferValues>(conn)?;
    let records = statement::<RecordRow>(HEADERS, &args).load::<RecordValues>(conn)?;
    assemble(journal, records, transfers)
}

/// The places of the transfers from `first` to `last`, in order.
pub(crate) fn sides(
    conn: &mut PgConnection,
    journal: JournalId,
    first: i64,
    last: i64,
) -> Result<Vec<Sides>, StoreError> {
    const TEXT: &str = "SELECT seq, leg, debit, credit FROM journal.transfer \
        WHERE journal = ? AND seq BETWEEN ? AND ? ORDER BY seq, leg";
    let args = [Arg::Int(journal.0), Arg::Int(first), Arg::Int(last)];
    let rows = statement::<(BigInt, Integer, BigInt, BigInt)>(TEXT, &args).load::<(i64, i32, i64, i64)>(conn)?;
    Ok(rows.into_iter().map(|(seq, leg, debit, credit)| Sides { place: Place { seq, leg }, debit, credit }).collect())
}

/// The records of these seqs, each once, in no order.
pub(crate) fn records_at(conn: &mut PgConnection, journal: JournalId, seqs: &[i64]) -> Result<Vec<Record>, StoreError> {
    const RECORDS: &str = "SELECT r.seq, r.kind, r.id, r.recorded_us, r.effective_us, r.body, r.meta \
        FROM unnest(?) AS q(seq) CROSS JOIN LATERAL (SELECT * FROM journal.record WHERE journal = ? AND seq = q.seq LIMIT 1) r";
    const TRANSFERS: &str = "SELECT t.seq, t.leg, t.kind, t.asset, t.amount, \
        t.debit, d.public_id, t.debit_balance, t.debit_held, t.debit_version, \
        t.credit, c.public_id, t.credit_balance, t.credit_held, t.credit_version \
        FROM unnest(?) AS q(seq) \
        CROSS JOIN LATERAL (SELECT * FROM journal.transfer WHERE journal = ? AND seq = q.seq ORDER BY leg LIMIT 1000) t \
        CROSS JOIN LATERAL (SELECT public_id FROM journal.account WHERE journal = t.journal AND id = t.debit LIMIT 1) d \
        CROSS JOIN LATERAL (SELECT public_id FROM journal.account WHERE journal = t.journal AND id = t.credit LIMIT 1) c \
        ORDER BY t.seq, t.leg";
    // Several keys of one batch may lead to one record, whose rows would else come as often.
    let mut seqs = seqs.to_vec();
    seqs.sort_unstable();
    seqs.dedup();
    let args = [Arg::Ints(&seqs), Arg::Int(journal.0)];
    let transfers = statement::<TransferRow>(TRANSFERS, &args).load::<TransferValues>(conn)?;
    let records = statement::<RecordRow>(RECORDS, &args).load::<RecordValues>(conn)?;
    assemble(journal, records, transfers)
}

fn assemble(
    journal: JournalId,
    records: Vec<RecordValues>,
    transfers: Vec<TransferValues>,
) -> Result<Vec<Record>, StoreError> {
    let mut legs: Map<i64, Vec<Posted>> = Map::default();
    for row in transfers {
        legs.entry(row.0).or_default().push(read_transfer(journal, row)?);
    }
    let read = |(seq, kind, id, recorded_us, effective_us, body, meta): RecordValues| {
        let corrupt = StoreError::Corrupt { journal: journal.0, seq, what: "record body" };
        let body = Body::from_bytes(kind, &body, legs.remove(&seq).unwrap_or_default()).ok_or(corrupt)?;
        Ok(Record { seq, id, recorded_us, effective_us, body, meta })
    };
    records.into_iter().map(read).collect()
}

fn read_transfer(journal: JournalId, row: TransferValues) -> Result<Posted, StoreError> {
    let (seq, leg, kind, asset, minor, ..) = row;
    let (.., debit, debit_id, debit_balance, debit_held, debit_version, _, _, _, _, _) = row;
    let (.., credit, credit_id, credit_balance, credit_held, credit_version) = row;
    let kind = RowKind::from_code(kind).ok_or(StoreError::Corrupt { journal: journal.0, seq, what: "row kind" })?;
    Ok(Posted {
        leg,
        kind,
        amount: Amount::new(minor, AssetId(asset)),
        debit: Side {
            account: AccountId(debit),
            public_id: debit_id,
            balance: debit_balance,
            held: debit_held,
            version: debit_version,
        },
        credit: Side {
            account: AccountId(credit),
            public_id: credit_id,
            balance: credit_balance,
            held: credit_held,
            version: credit_version,
        },
        // In the record's bytes.
        more: None,
    })
}
