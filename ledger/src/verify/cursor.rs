//! The journal's tables as sorted streams of one snapshot.
//!
//! A page goes on where the one before ended, ties included: rows of one place are all in one page, also where somebody
//! took the constraints away that forbid them.

use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Check, Stop, broken};
use crate::bind::{Arg, statement};
use crate::store::{StoreError, read_nature};
use crate::{AccountId, AssetId, JournalId, Key, LegRef, Lot, Nature, Scope};

/// One table in seq order, a page of columns in memory at a time.
pub(super) struct Stream<P: Columns> {
    journal: JournalId,
    page: P,
    next: usize,
    /// A page came back empty: there is nothing more to ask for.
    has_ended: bool,
}

/// A page of a table, column by column: PostgreSQL sends each column as one array, so that a row costs neither a message
/// nor an allocation of its own.
pub(super) trait Columns: Default {
    /// A row, put together from the columns.
    type Row;

    /// The rows that come after those of this page; none at the end.
    fn following(&self, conn: &mut PgConnection, journal: JournalId) -> Result<Self, StoreError>;

    /// The seq of a row, none past the last.
    fn seq(&self, place: usize) -> Option<i64>;

    /// A row of the page.
    fn row(&mut self, place: usize) -> Option<Self::Row>;
}

impl<P: Columns> Stream<P> {
    fn new(journal: JournalId) -> Self {
        Self { journal, page: P::default(), next: 0, has_ended: false }
    }

    /// The seq of the next row.
    fn ahead(&mut self, conn: &mut PgConnection) -> Result<Option<i64>, StoreError> {
        if let Some(seq) = self.page.seq(self.next) {
            return Ok(Some(seq));
        }
        if self.has_ended {
            return Ok(None);
        }
        self.page = self.page.following(conn, self.journal)?;
        self.next = 0;
        let first = self.page.seq(0);
        self.has_ended = first.is_none();
        Ok(first)
    }

    pub(super) fn next(&mut self, conn: &mut PgConnection) -> Result<Option<P::Row>, StoreError> {
        self.ahead(conn)?;
        let row = self.page.row(self.next);
        self.next = self.next.saturating_add(1);
        Ok(row)
    }

    /// Every row not taken yet whose seq is at most `seq`.
    pub(super) fn take_upto(&mut self, conn: &mut PgConnection, seq: i64) -> Result<Vec<P::Row>, StoreError> {
        let mut taken = Vec::new();
        while self.ahead(conn)?.is_some_and(|ahead| ahead <= seq) {
            taken.extend(self.page.row(self.next));
            self.next = self.next.saturating_add(1);
        }
        Ok(taken)
    }
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

/// A commit.
pub(super) struct BatchRow {
    pub(super) last_seq: i64,
    pub(super) first_seq: i64,
    pub(super) epoch: i64,
    pub(super) version: i32,
    pub(super) recorded_us: i64,
    pub(super) digest: Vec<u8>,
}

/// A record, its body still bytes.
pub(super) struct RecordRow {
    pub(super) seq: i64,
    pub(super) kind: i32,
    pub(super) id: Uuid,
    pub(super) recorded_us: i64,
    pub(super) effective_us: i64,
    pub(super) body: Vec<u8>,
    pub(super) meta: Vec<u8>,
}

/// One account's part of a transfer.
#[derive(Clone, Copy)]
pub(super) struct SideRow {
    pub(super) account: AccountId,
    pub(super) balance: i64,
    pub(super) held: i64,
    pub(super) version: i64,
}

pub(super) struct TransferRow {
    pub(super) seq: i64,
    pub(super) leg: i32,
    pub(super) kind: i32,
    pub(super) asset: AssetId,
    pub(super) amount: i64,
    pub(super) debit: SideRow,
    pub(super) credit: SideRow,
}

pub(super) struct KeyRow {
    pub(super) seq: i64,
    pub(super) key: Key,
}

pub(super) struct ClaimRow {
    pub(super) seq: i64,
    pub(super) claim: Uuid,
}

pub(super) struct CompanionRow {
    pub(super) seq: i64,
    pub(super) kind: i32,
    pub(super) key: Uuid,
    pub(super) body: Vec<u8>,
}

pub(super) struct LinkRow {
    pub(super) of: LegRef,
    pub(super) by: LegRef,
    pub(super) kind: i32,
    pub(super) amount: i64,
}

#[derive(Clone, Copy)]
pub(super) struct HoldRow {
    pub(super) place: LegRef,
    pub(super) debit: AccountId,
    pub(super) credit: AccountId,
    pub(super) asset: AssetId,
    pub(super) amount: i64,
    pub(super) remaining: i64,
    pub(super) expires_us: i64,
}

pub(super) struct LotRow {
    pub(super) account: AccountId,
    pub(super) lot: Lot,
    pub(super) remaining: i64,
    pub(super) held: i64,
}

/// An account's row, as a whole.
pub(super) struct AccountRow {
    pub(super) id: AccountId,
    pub(super) public_id: Uuid,
    pub(super) asset: AssetId,
    pub(super) normal_side: i32,
    pub(super) owner: Option<Uuid>,
    pub(super) floor: Option<i64>,
    pub(super) ceiling: Option<i64>,
    pub(super) debits_frozen: bool,
    pub(super) credits_frozen: bool,
    pub(super) closed: bool,
    /// None when its columns do not read as one.
    pub(super) nature: Option<Nature>,
    pub(super) period_us: i64,
    pub(super) balance: i64,
    pub(super) held: i64,
    pub(super) version: i64,
}

/// All tables of a journal, read side by side.
pub(super) struct Rows {
    pub(super) batches: Stream<Batches>,
    pub(super) records: Stream<Records>,
    pub(super) transfers: Stream<Transfers>,
    pub(super) keys: Stream<Keys>,
    pub(super) claims: Stream<Claims>,
    pub(super) companions: Stream<Companions>,
    pub(super) links: Stream<Links>,
    pub(super) holds: Stream<Holds>,
}

/// Tables that are found by key only are sorted once, by cursors that give a page of seqs at a time.
const CURSORS: [&str; 3] = [
    "DECLARE keys NO SCROLL CURSOR FOR SELECT array_agg(seq), array_agg(scope), array_agg(key), array_agg(fingerprint) \
     FROM (SELECT seq / 4096 AS page, seq, scope, key, fingerprint FROM journal.key WHERE journal = ? ORDER BY 1, 2) k \
     GROUP BY page ORDER BY page",
    "DECLARE claims NO SCROLL CURSOR FOR SELECT array_agg(seq), array_agg(claim) \
     FROM (SELECT seq / 4096 AS page, seq, claim FROM journal.claim WHERE journal = ? ORDER BY 1, 2) c \
     GROUP BY page ORDER BY page",
    "DECLARE links NO SCROLL CURSOR FOR SELECT array_agg(seq), array_agg(leg), array_agg(of_seq), array_agg(of_leg), \
     array_agg(kind), array_agg(amount) FROM (SELECT seq / 4096 AS page, seq, leg, of_seq, of_leg, kind, amount \
     FROM journal.link WHERE journal = ? ORDER BY 1, 2, 3) l GROUP BY page ORDER BY page",
];

impl Rows {
    pub(super) fn open(conn: &mut PgConnection, journal: JournalId) -> Result<Self, StoreError> {
        // A hash of all pages at once would have no bound; sorted, a page is complete when the next one begins. Rows of a
        // table with few statistics must still come by its index, in order, and not be sorted for each page.
        const IN_ORDER: &str = "SELECT set_config('enable_hashagg', 'off', true), set_config('enable_seqscan', 'off', true), \
            set_config('enable_bitmapscan', 'off', true), set_config('cursor_tuple_fraction', '1', true)";
        statement::<(Text, Text, Text, Text)>(IN_ORDER, &[]).load::<(String, String, String, String)>(conn)?;
        for cursor in CURSORS {
            statement::<()>(cursor, &[Arg::Int(journal.0)]).execute(conn)?;
        }
        Ok(Self {
            batches: Stream::new(journal),
            records: Stream::new(journal),
            transfers: Stream::new(journal),
            keys: Stream::new(journal),
            claims: Stream::new(journal),
            companions: Stream::new(journal),
            links: Stream::new(journal),
            holds: Stream::new(journal),
        })
    }

    /// Nothing may lie past the last batch.
    pub(super) fn expect_end(&mut self, conn: &mut PgConnection, head: i64) -> Result<(), Stop> {
        let past = |seq: i64, what: &str| {
            broken(Check::Seqs, seq, format!("a {what} lies past the last batch, head is {head}"))
        };
        if let Some(row) = self.records.next(conn)? {
            return Err(past(row.seq, "record").into());
        }
        if let Some(row) = self.transfers.next(conn)? {
            return Err(past(row.seq, "transfer").into());
        }
        if let Some(row) = self.keys.next(conn)? {
            return Err(broken(Check::Keys, row.seq, "a key leads past the last batch").into());
        }
        if let Some(row) = self.claims.next(conn)? {
            return Err(broken(Check::Claims, row.seq, "a claim lies past the last batch").into());
        }
        if let Some(row) = self.links.next(conn)? {
            return Err(broken(Check::Refunds, row.by.seq, "a link lies past the last batch").into());
        }
        if let Some(row) = self.holds.next(conn)? {
            return Err(broken(Check::Holds, row.place.seq, "a hold lies past the last batch").into());
        }
        match self.companions.next(conn)? {
            Some(row) => Err(broken(Check::Companions, row.seq, "a companion lies past the last batch").into()),
            None => Ok(()),
        }
    }
}

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

/// Runs over the lots of which something is left.
pub(super) fn lots(
    conn: &mut PgConnection,
    journal: JournalId,
    mut each: impl FnMut(LotRow) -> Result<(), Stop>,
) -> Result<(), Stop> {
    const TEXT: &str = "DECLARE lots NO SCROLL CURSOR FOR SELECT account, expires_us, earned_day, activates_us, campaign, \
        unit_cost, remaining, held FROM journal.lot WHERE journal = ? AND (remaining <> 0 OR held <> 0)";
    type Row = (BigInt, BigInt, Integer, BigInt, SqlUuid, BigInt, BigInt, BigInt);
    type Values = (i64, i64, i32, i64, Uuid, i64, i64, i64);
    statement::<()>(TEXT, &[Arg::Int(journal.0)]).execute(conn)?;
    loop {
        let rows = statement::<Row>("FETCH 5000 FROM lots", &[]).load::<Values>(conn)?;
        if rows.is_empty() {
            return Ok(());
        }
        for (account, expires_us, earned_day, activates_us, campaign, unit_cost, remaining, held) in rows {
            let lot = Lot { expires_us, earned_day, activates_us, campaign, unit_cost };
            each(LotRow { account: AccountId(account), lot, remaining, held })?;
        }
    }
}

/// The next thousand account rows after this number.
pub(super) fn account_rows(
    conn: &mut PgConnection,
    journal: JournalId,
    after: i64,
) -> Result<Vec<AccountRow>, StoreError> {
    const TEXT: &str = "SELECT id, public_id, asset, normal_side, owner, floor, ceiling, debits_frozen, credits_frozen, \
        closed, checkpoint_balance, checkpoint_held, checkpoint_version, nature, counterpart, nature_minor, period, \
        calendar, period_us FROM journal.account WHERE journal = ? AND id > ? ORDER BY id LIMIT 1000";
    type Row = (
        (BigInt, SqlUuid, Integer, Integer, Nullable<SqlUuid>, Nullable<BigInt>, Nullable<BigInt>),
        (Bool, Bool, Bool, BigInt, BigInt, BigInt),
        (Integer, Nullable<SqlUuid>, BigInt, Integer, Integer, BigInt),
    );
    type Values = (
        (i64, Uuid, i32, i32, Option<Uuid>, Option<i64>, Option<i64>),
        (bool, bool, bool, i64, i64, i64),
        (i32, Option<Uuid>, i64, i32, i32, i64),
    );
    let rows = statement::<Row>(TEXT, &[Arg::Int(journal.0), Arg::Int(after)]).load::<Values>(conn)?;
    let read = |(terms, state, (nature, counterpart, minor, period, calendar, period_us)): Values| {
        let (id, public_id, asset, normal_side, owner, floor, ceiling) = terms;
        let (debits_frozen, credits_frozen, closed, balance, held, version) = state;
        AccountRow {
            id: AccountId(id),
            public_id,
            asset: AssetId(asset),
            normal_side,
            owner,
            floor,
            ceiling,
            debits_frozen,
            credits_frozen,
            closed,
            nature: read_nature(nature, counterpart, minor, period, calendar),
            period_us,
            balance,
            held,
            version,
        }
    };
    Ok(rows.into_iter().map(read).collect())
}
