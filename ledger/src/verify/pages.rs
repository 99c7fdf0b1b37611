//! Pages of the journal's tables, one sort for each, and the questions that fill them.

use diesel::sql_types::{Array, BigInt, Binary, Integer, Nullable, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::cursor::Columns;
use super::rows::{BatchRow, ClaimRow, CompanionRow, HoldRow, KeyRow, LinkRow, RecordRow, SideRow, TransferRow};
use crate::bind::{Arg, statement};
use crate::store::StoreError;
use crate::{AccountId, AssetId, JournalId, Key, LegRef, Scope};

type Ints = Nullable<Array<BigInt>>;
type Int4s = Nullable<Array<Integer>>;
type Uuids = Nullable<Array<SqlUuid>>;
type Bytes = Nullable<Binary>;
type Column<T> = Option<Vec<T>>;

/// Where the next page begins: after the last row of this one.
fn last(seq: &[i64]) -> Arg<'static> {
    Arg::Int(seq.last().copied().unwrap_or(i64::MIN))
}

fn one<T>(rows: Vec<T>) -> Option<T> {
    rows.into_iter().next()
}

/// Byte strings of a page one after the other, with where each ends.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    fn new(bytes: Option<Vec<u8>>, lengths: Option<Vec<i32>>) -> Self {
        let mut end = 0_usize;
        let ends = lengths.unwrap_or_default().into_iter().map(|length| {
            end = end.saturating_add(usize::try_from(length).unwrap_or(0));
            end
        });
        let ends = ends.collect();
        Self { bytes: bytes.unwrap_or_default(), ends }
    }

    fn at(&self, place: usize) -> Option<Vec<u8>> {
        let begin = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.bytes.get(begin..*self.ends.get(place)?).map(<[u8]>::to_vec)
    }
}

#[derive(Default)]
pub(super) struct Batches(Vec<BatchRow>);

impl Columns for Batches {
    type Row = BatchRow;

    fn following(&self, conn: &mut PgConnection, journal: JournalId) -> Result<Self, StoreError> {
        const TEXT: &str = "SELECT last_seq, first_seq, epoch, version, recorded_us, digest FROM journal.batch \
            WHERE journal = ? AND last_seq > ? ORDER BY last_seq FETCH FIRST 1000 ROWS WITH TIES";
        type Row = (BigInt, BigInt, BigInt, Integer, BigInt, Binary);
        let after = Arg::Int(self.0.last().map_or(i64::MIN, |row| row.last_seq));
        let args = [Arg::Int(journal.0), after];
        let rows = statement::<Row>(TEXT, &args).load::<(i64, i64, i64, i32, i64, Vec<u8>)>(conn)?;
        let read = |(last_seq, first_seq, epoch, version, recorded_us, digest)| BatchRow {
            last_seq,
            first_seq,
            epoch,
            version,
            recorded_us,
            digest,
        };
        Ok(Self(rows.into_iter().map(read).collect()))
    }

    fn seq(&self, place: usize) -> Option<i64> {
        self.0.get(place).map(|row| row.last_seq)
    }

    fn row(&mut self, place: usize) -> Option<BatchRow> {
        let row = self.0.get_mut(place)?;
        Some(BatchRow { digest: std::mem::take(&mut row.digest), ..*row })
    }
}

#[derive(Default)]
pub(super) struct Records {
    seq: Vec<i64>,
    kind: Vec<i32>,
    id: Vec<Uuid>,
    recorded_us: Vec<i64>,
    effective_us: Vec<i64>,
    body: Texts,
    meta: Texts,
}

impl Columns for Records {
    type Row = RecordRow;

    fn following(&self, conn: &mut PgConnection, journal: JournalId) -> Result<Self, StoreError> {
        const TEXT: &str = "SELECT array_agg(seq), array_agg(kind), array_agg(id), array_agg(recorded_us), \
            array_agg(effective_us), string_agg(body, ''), array_agg(octet_length(body)), \
            string_agg(meta, ''), array_agg(octet_length(meta)) FROM (SELECT * FROM journal.record \
            WHERE journal = ? AND seq > ? ORDER BY seq FETCH FIRST 4096 ROWS WITH TIES) r";
        type Row = (Ints, Int4s, Uuids, Ints, Ints, Bytes, Int4s, Bytes, Int4s);
        type Values = (
            Column<i64>,
            Column<i32>,
            Column<Uuid>,
            Column<i64>,
            Column<i64>,
            Column<u8>,
            Column<i32>,
            Column<u8>,
            Column<i32>,
        );
        let rows = statement::<Row>(TEXT, &[Arg::Int(journal.0), last(&self.seq)]).load::<Values>(conn)?;
        let Some((seq, kind, id, recorded_us, effective_us, body, bodies, meta, metas)) = one(rows) else {
            return Ok(Self::default());
        };
        Ok(Self {
            seq: seq.unwrap_or_default(),
            kind: kind.unwrap_or_default(),
            id: id.unwrap_or_default(),
            recorded_us: recorded_us.unwrap_or_default(),
            effective_us: effective_us.unwrap_or_default(),
            body: Texts::new(body, bodies),
            meta: Texts::new(meta, metas),
        })
    }

    fn seq(&self, place: usize) -> Option<i64> {
        self.seq.get(place).copied()
    }

    fn row(&mut self, place: usize) -> Option<RecordRow> {
        Some(RecordRow {
            seq: *self.seq.get(place)?,
            kind: *self.kind.get(place)?,
            id: *self.id.get(place)?,
            recorded_us: *self.recorded_us.get(place)?,
            effective_us: *self.effective_us.get(place)?,
            body: self.body.at(place)?,
            meta: self.meta.at(place)?,
        })
    }
}

#[derive(Default)]
pub(super) struct Transfers {
    seq: Vec<i64>,
    leg: Vec<i32>,
    kind: Vec<i32>,
    asset: Vec<i32>,
    amount: Vec<i64>,
    debit: Sides,
    credit: Sides,
}

#[derive(Default)]
struct Sides {
    account: Vec<i64>,
    balance: Vec<i64>,
    held: Vec<i64>,
    version: Vec<i64>,
}

impl Sides {
    fn at(&self, place: usize) -> Option<SideRow> {
        Some(SideRow {
            account: AccountId(*self.account.get(place)?),
            balance: *self.balance.get(place)?,
            held: *self.held.get(place)?,
            version: *self.version.get(place)?,
        })
    }
}

impl Columns for Transfers {
    type Row = TransferRow;

    fn following(&self, conn: &mut PgConnection, journal: JournalId) -> Result<Self, StoreError> {
        const TEXT: &str = "SELECT array_agg(seq), array_agg(leg), array_agg(kind), array_agg(asset), array_agg(amount), \
            array_agg(debit), array_agg(debit_balance), array_agg(debit_held), array_agg(debit_version), \
            array_agg(credit), array_agg(credit_balance), array_agg(credit_held), array_agg(credit_version) \
            FROM (SELECT * FROM journal.transfer WHERE journal = ? AND seq >= ? AND (seq, leg) > (?, ?) \
            ORDER BY seq, leg FETCH FIRST 4096 ROWS WITH TIES) t";
        type Row = (Ints, Int4s, Int4s, Int4s, Ints, Ints, Ints, Ints, Ints, Ints, Ints, Ints, Ints);
        type Values = (
            Column<i64>,
            Column<i32>,
            Column<i32>,
            Column<i32>,
            Column<i64>,
            Column<i64>,
            Column<i64>,
            Column<i64>,
            Column<i64>,
            Column<i64>,
            Column<i64>,
            Column<i64>,
            Column<i64>,
        );
        let seq = last(&self.seq);
        let leg = Arg::Int4(self.leg.last().copied().unwrap_or(i32::MIN));
        let rows = statement::<Row>(TEXT, &[Arg::Int(journal.0), seq, seq, leg]).load::<Values>(conn)?;
        let Some((seq, leg, kind, asset, amount, debit, db, dh, dv, credit, cb, ch, cv)) = one(rows) else {
            return Ok(Self::default());
        };
        let sides = |account: Column<i64>, balance: Column<i64>, held: Column<i64>, version: Column<i64>| Sides {
            account: account.unwrap_or_default(),
            balance: balance.unwrap_or_default(),
            held: held.unwrap_or_default(),
            version: version.unwrap_or_default(),
        };
        Ok(Self {
            seq: seq.unwrap_or_default(),
            leg: leg.unwrap_or_default(),
            kind: kind.unwrap_or_default(),
            asset: asset.unwrap_or_default(),
            amount: amount.unwrap_or_default(),
            debit: sides(debit, db, dh, dv),
            credit: sides(credit, cb, ch, cv),
        })
    }

    fn seq(&self, place: usize) -> Option<i64> {
        self.seq.get(place).copied()
    }

    fn row(&mut self, place: usize) -> Option<TransferRow> {
        Some(TransferRow {
            seq: *self.seq.get(place)?,
            leg: *self.leg.get(place)?,
            kind: *self.kind.get(place)?,
            asset: AssetId(*self.asset.get(place)?),
            amount: *self.amount.get(place)?,
            debit: self.debit.at(place)?,
            credit: self.credit.at(place)?,
        })
    }
}

#[derive(Default)]
pub(super) struct Keys {
    seq: Vec<i64>,
    scope: Vec<i64>,
    key: Vec<Uuid>,
    fingerprint: Vec<Uuid>,
}

impl Columns for Keys {
    type Row = KeyRow;

    fn following(&self, conn: &mut PgConnection, _: JournalId) -> Result<Self, StoreError> {
        type Row = (Ints, Ints, Uuids, Uuids);
        type Values = (Column<i64>, Column<i64>, Column<Uuid>, Column<Uuid>);
        let rows = statement::<Row>("FETCH 1 FROM keys", &[]).load::<Values>(conn)?;
        let Some((seq, scope, key, fingerprint)) = one(rows) else { return Ok(Self::default()) };
        Ok(Self {
            seq: seq.unwrap_or_default(),
            scope: scope.unwrap_or_default(),
            key: key.unwrap_or_default(),
            fingerprint: fingerprint.unwrap_or_default(),
        })
    }

    fn seq(&self, place: usize) -> Option<i64> {
        self.seq.get(place).copied()
    }

    fn row(&mut self, place: usize) -> Option<KeyRow> {
        let (seq, scope) = (*self.seq.get(place)?, Scope(*self.scope.get(place)?));
        let (key, fingerprint) = (*self.key.get(place)?, *self.fingerprint.get(place)?);
        Some(KeyRow { seq, key: Key { scope, key, fingerprint } })
    }
}

#[derive(Default)]
pub(super) struct Claims {
    seq: Vec<i64>,
    claim: Vec<Uuid>,
}

impl Columns for Claims {
    type Row = ClaimRow;

    fn following(&self, conn: &mut PgConnection, _: JournalId) -> Result<Self, StoreError> {
        let rows = statement::<(Ints, Uuids)>("FETCH 1 FROM claims", &[]).load::<(Column<i64>, Column<Uuid>)>(conn)?;
        let Some((seq, claim)) = one(rows) else { return Ok(Self::default()) };
        Ok(Self { seq: seq.unwrap_or_default(), claim: claim.unwrap_or_default() })
    }

    fn seq(&self, place: usize) -> Option<i64> {
        self.seq.get(place).copied()
    }

    fn row(&mut self, place: usize) -> Option<ClaimRow> {
        Some(ClaimRow { seq: *self.seq.get(place)?, claim: *self.claim.get(place)? })
    }
}

#[derive(Default)]
pub(super) struct Companions {
    seq: Vec<i64>,
    kind: Vec<i32>,
    key: Vec<Uuid>,
    body: Texts,
}

impl Columns for Companions {
    type Row = CompanionRow;

    fn following(&self, conn: &mut PgConnection, journal: JournalId) -> Result<Self, StoreError> {
        const TEXT: &str = "SELECT array_agg(seq), array_agg(kind), array_agg(key), string_agg(body, ''), \
            array_agg(octet_length(body)) FROM (SELECT * FROM (SELECT * FROM journal.companion \
            WHERE journal = ? AND seq > ? ORDER BY seq FETCH FIRST 500 ROWS WITH TIES) c ORDER BY seq, place) c";
        type Row = (Ints, Int4s, Uuids, Bytes, Int4s);
        type Values = (Column<i64>, Column<i32>, Column<Uuid>, Column<u8>, Column<i32>);
        let rows = statement::<Row>(TEXT, &[Arg::Int(journal.0), last(&self.seq)]).load::<Values>(conn)?;
        let Some((seq, kind, key, body, bodies)) = one(rows) else { return Ok(Self::default()) };
        Ok(Self {
            seq: seq.unwrap_or_default(),
            kind: kind.unwrap_or_default(),
            key: key.unwrap_or_default(),
            body: Texts::new(body, bodies),
        })
    }

    fn seq(&self, place: usize) -> Option<i64> {
        self.seq.get(place).copied()
    }

    fn row(&mut self, place: usize) -> Option<CompanionRow> {
        let (seq, kind) = (*self.seq.get(place)?, *self.kind.get(place)?);
        Some(CompanionRow { seq, kind, key: *self.key.get(place)?, body: self.body.at(place)? })
    }
}

#[derive(Default)]
pub(super) struct Links {
    seq: Vec<i64>,
    leg: Vec<i32>,
    of_seq: Vec<i64>,
    of_leg: Vec<i32>,
    kind: Vec<i32>,
    amount: Vec<i64>,
}

impl Columns for Links {
    type Row = LinkRow;

    fn following(&self, conn: &mut PgConnection, _: JournalId) -> Result<Self, StoreError> {
        type Row = (Ints, Int4s, Ints, Int4s, Int4s, Ints);
        type Values = (Column<i64>, Column<i32>, Column<i64>, Column<i32>, Column<i32>, Column<i64>);
        let rows = statement::<Row>("FETCH 1 FROM links", &[]).load::<Values>(conn)?;
        let Some((seq, leg, of_seq, of_leg, kind, amount)) = one(rows) else { return Ok(Self::default()) };
        Ok(Self {
            seq: seq.unwrap_or_default(),
            leg: leg.unwrap_or_default(),
            of_seq: of_seq.unwrap_or_default(),
            of_leg: of_leg.unwrap_or_default(),
            kind: kind.unwrap_or_default(),
            amount: amount.unwrap_or_default(),
        })
    }

    fn seq(&self, place: usize) -> Option<i64> {
        self.seq.get(place).copied()
    }

    fn row(&mut self, place: usize) -> Option<LinkRow> {
        Some(LinkRow {
            of: LegRef { seq: *self.of_seq.get(place)?, leg: *self.of_leg.get(place)? },
            by: LegRef { seq: *self.seq.get(place)?, leg: *self.leg.get(place)? },
            kind: *self.kind.get(place)?,
            amount: *self.amount.get(place)?,
        })
    }
}

#[derive(Default)]
pub(super) struct Holds(Vec<HoldRow>);

impl Columns for Holds {
    type Row = HoldRow;

    fn following(&self, conn: &mut PgConnection, journal: JournalId) -> Result<Self, StoreError> {
        const TEXT: &str = "SELECT seq, leg, debit, credit, asset, amount, remaining, expires_us FROM journal.hold \
            WHERE journal = ? AND seq >= ? AND (seq, leg) > (?, ?) ORDER BY seq, leg LIMIT 4096";
        type Row = (BigInt, Integer, BigInt, BigInt, Integer, BigInt, BigInt, BigInt);
        type Values = (i64, i32, i64, i64, i32, i64, i64, i64);
        let after = self.0.last().map_or(LegRef { seq: i64::MIN, leg: i32::MIN }, |row| row.place);
        let args = [Arg::Int(journal.0), Arg::Int(after.seq), Arg::Int(after.seq), Arg::Int4(after.leg)];
        let rows = statement::<Row>(TEXT, &args).load::<Values>(conn)?;
        let read = |(seq, leg, debit, credit, asset, amount, remaining, expires_us): Values| HoldRow {
            place: LegRef { seq, leg },
            debit: AccountId(debit),
            credit: AccountId(credit),
            asset: AssetId(asset),
            amount,
            remaining,
            expires_us,
        };
        Ok(Self(rows.into_iter().map(read).collect()))
    }

    fn seq(&self, place: usize) -> Option<i64> {
        self.0.get(place).map(|row| row.place.seq)
    }

    fn row(&mut self, place: usize) -> Option<HoldRow> {
        self.0.get(place).copied()
    }
}
