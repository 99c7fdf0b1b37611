//! Records read back from their rows.

use diesel::sql_types::{BigInt, Binary, Integer, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::StoreError;
use crate::apply::Map;
use crate::bind::{Arg, statement};
use crate::follow::{Entry, Said};
use crate::history::{Place, Sides};
use crate::{AccountId, Amount, Archived, AssetId, Body, JournalId, LegRef, Piece, Posted, Record, RowKind, Side};

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
        UNION ALL SELECT first_seq, -1, 0, 0, last_seq, 0, ?, 0, 0, 0, 0, ?, 0, 0, 0 FROM journal.archived \
        WHERE journal = ? AND first_seq <= ? AND last_seq >= ? ORDER BY 1, 2";
    let (number, none) = (Arg::Int(journal.0), Arg::Uuid(Uuid::nil()));
    let args = [number, Arg::Int(first), Arg::Int(last), none, none, number, Arg::Int(last), Arg::Int(first)];
    let transfers = statement::<TransferRow>(TRANSFERS, &args).load::<TransferValues>(conn)?;
    let args = [number, Arg::Int(first), Arg::Int(last)];
    let records = statement::<RecordRow>(HEADERS, &args).load::<RecordValues>(conn)?;
    assemble(journal, records, transfers)?.all()
}

/// The places of the transfers from `first` to `last`, in order.
pub(crate) fn sides(
    conn: &mut PgConnection,
    journal: JournalId,
    first: i64,
    last: i64,
) -> Result<Vec<Sides>, StoreError> {
    const TEXT: &str = "SELECT seq, leg, debit, credit FROM journal.transfer \
        WHERE journal = ? AND seq BETWEEN ? AND ? \
        UNION ALL SELECT first_seq, -1, last_seq, 0 FROM journal.archived \
        WHERE journal = ? AND first_seq <= ? AND last_seq >= ? ORDER BY 1, 2";
    let (number, first, last) = (Arg::Int(journal.0), Arg::Int(first), Arg::Int(last));
    let args = [number, first, last, number, last, first];
    let rows = statement::<(BigInt, Integer, BigInt, BigInt)>(TEXT, &args).load::<(i64, i32, i64, i64)>(conn)?;
    if let Some((first_seq, _, last_seq, _)) = rows.iter().find(|(_, leg, ..)| *leg == AWAY) {
        return Err(Archived { journal, first_seq: *first_seq, last_seq: *last_seq }.into());
    }
    Ok(rows.into_iter().map(|(seq, leg, debit, credit)| Sides { place: Place { seq, leg }, debit, credit }).collect())
}

/// The records of these seqs, each once, in no order.
pub(crate) fn records_at(conn: &mut PgConnection, journal: JournalId, seqs: &[i64]) -> Result<Vec<Record>, StoreError> {
    records_found(conn, journal, seqs)?.all()
}

/// The same for those who can do without some: which of them miss their transfers is told.
pub(crate) fn records_found(conn: &mut PgConnection, journal: JournalId, seqs: &[i64]) -> Result<Found, StoreError> {
    const RECORDS: &str = "SELECT r.seq, r.kind, r.id, r.recorded_us, r.effective_us, r.body, r.meta \
        FROM unnest(?) AS q(seq) CROSS JOIN LATERAL (SELECT * FROM journal.record WHERE journal = ? AND seq = q.seq LIMIT 1) r";
    const TRANSFERS: &str = "SELECT t.seq, t.leg, t.kind, t.asset, t.amount, \
        t.debit, d.public_id, t.debit_balance, t.debit_held, t.debit_version, \
        t.credit, c.public_id, t.credit_balance, t.credit_held, t.credit_version \
        FROM unnest(?) AS q(seq) \
        CROSS JOIN LATERAL (SELECT * FROM journal.transfer WHERE journal = ? AND seq = q.seq ORDER BY leg LIMIT 1000) t \
        CROSS JOIN LATERAL (SELECT public_id FROM journal.account WHERE journal = t.journal AND id = t.debit LIMIT 1) d \
        CROSS JOIN LATERAL (SELECT public_id FROM journal.account WHERE journal = t.journal AND id = t.credit LIMIT 1) c \
        UNION ALL SELECT first_seq, -1, 0, 0, last_seq, 0, ?, 0, 0, 0, 0, ?, 0, 0, 0 FROM journal.archived \
        WHERE journal = ? AND first_seq <= ? AND last_seq >= ? ORDER BY 1, 2";
    // Several keys of one batch may lead to one record, whose rows would else come as often.
    let mut seqs = seqs.to_vec();
    seqs.sort_unstable();
    seqs.dedup();
    let (number, none) = (Arg::Int(journal.0), Arg::Uuid(Uuid::nil()));
    let (first, last) = (seqs.first().copied().unwrap_or(0), seqs.last().copied().unwrap_or(0));
    let args = [Arg::Ints(&seqs), number, none, none, number, Arg::Int(last), Arg::Int(first)];
    let transfers = statement::<TransferRow>(TRANSFERS, &args).load::<TransferValues>(conn)?;
    let args = [Arg::Ints(&seqs), number];
    let records = statement::<RecordRow>(RECORDS, &args).load::<RecordValues>(conn)?;
    assemble(journal, records, transfers)
}

/// Records, and those that were not put together because their transfers are archived.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) records: Vec<Record>,
    pub(crate) away: Map<i64, Archived>,
}

impl Found {
    fn all(self) -> Result<Vec<Record>, StoreError> {
        match self.away.into_iter().min_by_key(|(seq, _)| *seq) {
            Some((_, range)) => Err(range.into()),
            None => Ok(self.records),
        }
    }
}

/// In the place of a leg, among the transfers of a stretch: this stands for an archived range, told in the same statement so
/// that no moment lies between it and the rows.
const AWAY: i32 = -1;

fn assemble(
    journal: JournalId,
    records: Vec<RecordValues>,
    transfers: Vec<TransferValues>,
) -> Result<Found, StoreError> {
    let (mut legs, mut ranges): (Map<i64, Vec<Posted>>, Vec<Archived>) = (Map::default(), Vec::new());
    for row in transfers {
        let (seq, leg, _, _, minor, ..) = row;
        if leg == AWAY {
            ranges.push(Archived { journal, first_seq: seq, last_seq: minor });
        } else {
            legs.entry(seq).or_default().push(read_transfer(journal, row)?);
        }
    }
    let mut found = Found { records: Vec::with_capacity(records.len()), away: Map::default() };
    for (seq, kind, id, recorded_us, effective_us, body, meta) in records {
        let range = ranges.iter().find(|range| (range.first_seq..=range.last_seq).contains(&seq));
        if let Some(range) = range.filter(|_| Body::has_rows(kind)) {
            found.away.insert(seq, *range);
            continue;
        }
        let corrupt = StoreError::Corrupt { journal: journal.0, seq, what: "record body" };
        let body = Body::from_bytes(kind, &body, legs.remove(&seq).unwrap_or_default()).ok_or(corrupt)?;
        found.records.push(Record { seq, id, recorded_us, effective_us, body, meta });
    }
    Ok(found)
}

/// What the rows of these holds pinned, by the records that opened them: it stands in their bytes, wherever the rows are.
pub(crate) fn pinned(
    conn: &mut PgConnection,
    journal: JournalId,
    places: &[LegRef],
) -> Result<Map<LegRef, Vec<Piece>>, StoreError> {
    const TEXT: &str = "SELECT r.seq, r.kind, r.body FROM unnest(?) AS q(seq) CROSS JOIN LATERAL \
        (SELECT seq, kind, body FROM journal.record WHERE journal = ? AND seq = q.seq LIMIT 1) r";
    let mut seqs: Vec<i64> = places.iter().map(|place| place.seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    let mut found = Map::default();
    if seqs.is_empty() {
        return Ok(found);
    }
    let args = [Arg::Ints(&seqs), Arg::Int(journal.0)];
    for (seq, kind, body) in statement::<(BigInt, Integer, Binary)>(TEXT, &args).load::<(i64, i32, Vec<u8>)>(conn)? {
        let corrupt = StoreError::Corrupt { journal: journal.0, seq, what: "record body" };
        for (leg, more) in Body::more_of_rows(kind, &body).ok_or(corrupt)? {
            found.insert(LegRef { seq, leg }, more.debit_lots);
        }
    }
    Ok(found)
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
