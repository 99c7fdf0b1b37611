//! The journal's tables as sorted streams of one snapshot.

use std::collections::VecDeque;

use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Check, Stop, broken};
use crate::bind::{Arg, statement};
use crate::store::{StoreError, read_nature};
use crate::{AccountId, AssetId, JournalId, Key, LegRef, Lot, Nature, Scope};

/// One table in seq order, a page in memory at a time.
pub(super) struct Stream<R> {
    fetch: fn(&mut PgConnection) -> Result<Vec<R>, StoreError>,
    seq_of: fn(&R) -> i64,
    page: VecDeque<R>,
}

impl<R> Stream<R> {
    fn new(fetch: fn(&mut PgConnection) -> Result<Vec<R>, StoreError>, seq_of: fn(&R) -> i64) -> Self {
        Self { fetch, seq_of, page: VecDeque::new() }
    }

    fn fill(&mut self, conn: &mut PgConnection) -> Result<Option<&R>, StoreError> {
        if self.page.is_empty() {
            self.page = (self.fetch)(conn)?.into();
        }
        Ok(self.page.front())
    }

    pub(super) fn next(&mut self, conn: &mut PgConnection) -> Result<Option<R>, StoreError> {
        self.fill(conn)?;
        Ok(self.page.pop_front())
    }

    /// Every row not taken yet whose seq is at most `seq`.
    pub(super) fn take_upto(&mut self, conn: &mut PgConnection, seq: i64) -> Result<Vec<R>, StoreError> {
        let mut taken = Vec::new();
        let seq_of = self.seq_of;
        while self.fill(conn)?.is_some_and(|row| seq_of(row) <= seq) {
            taken.extend(self.page.pop_front());
        }
        Ok(taken)
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
    pub(super) batches: Stream<BatchRow>,
    pub(super) records: Stream<RecordRow>,
    pub(super) transfers: Stream<TransferRow>,
    pub(super) keys: Stream<KeyRow>,
    pub(super) claims: Stream<ClaimRow>,
    pub(super) companions: Stream<CompanionRow>,
    pub(super) links: Stream<LinkRow>,
    pub(super) holds: Stream<HoldRow>,
}

const CURSORS: [&str; 8] = [
    "DECLARE batches NO SCROLL CURSOR FOR SELECT last_seq, first_seq, epoch, version, recorded_us, digest \
     FROM journal.batch WHERE journal = ? ORDER BY last_seq",
    "DECLARE records NO SCROLL CURSOR FOR SELECT seq, kind, id, recorded_us, effective_us, body, meta \
     FROM journal.record WHERE journal = ? ORDER BY seq",
    "DECLARE transfers NO SCROLL CURSOR FOR SELECT seq, leg, kind, asset, amount, debit, debit_balance, debit_held, \
     debit_version, credit, credit_balance, credit_held, credit_version FROM journal.transfer WHERE journal = ? ORDER BY seq, leg",
    "DECLARE keys NO SCROLL CURSOR FOR SELECT seq, scope, key, fingerprint FROM journal.key WHERE journal = ? ORDER BY seq",
    "DECLARE claims NO SCROLL CURSOR FOR SELECT seq, claim FROM journal.claim WHERE journal = ? ORDER BY seq",
    "DECLARE companions NO SCROLL CURSOR FOR SELECT seq, kind, key, body FROM journal.companion WHERE journal = ? \
     ORDER BY seq, place",
    "DECLARE links NO SCROLL CURSOR FOR SELECT of_seq, of_leg, seq, leg, kind, amount FROM journal.link WHERE journal = ? \
     ORDER BY seq, leg",
    "DECLARE holds NO SCROLL CURSOR FOR SELECT seq, leg, debit, credit, asset, amount, remaining, expires_us \
     FROM journal.hold WHERE journal = ? ORDER BY seq, leg",
];

impl Rows {
    pub(super) fn open(conn: &mut PgConnection, journal: JournalId) -> Result<Self, StoreError> {
        for cursor in CURSORS {
            statement::<()>(cursor, &[Arg::Int(journal.0)]).execute(conn)?;
        }
        Ok(Self {
            batches: Stream::new(batches, |row| row.last_seq),
            records: Stream::new(records, |row| row.seq),
            transfers: Stream::new(transfers, |row| row.seq),
            keys: Stream::new(keys, |row| row.seq),
            claims: Stream::new(claims, |row| row.seq),
            companions: Stream::new(companions, |row| row.seq),
            links: Stream::new(links, |row| row.by.seq),
            holds: Stream::new(holds, |row| row.place.seq),
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

fn batches(conn: &mut PgConnection) -> Result<Vec<BatchRow>, StoreError> {
    type Row = (BigInt, BigInt, BigInt, Integer, BigInt, Binary);
    let rows = statement::<Row>("FETCH 1000 FROM batches", &[]).load::<(i64, i64, i64, i32, i64, Vec<u8>)>(conn)?;
    let read = |(last_seq, first_seq, epoch, version, recorded_us, digest)| BatchRow {
        last_seq,
        first_seq,
        epoch,
        version,
        recorded_us,
        digest,
    };
    Ok(rows.into_iter().map(read).collect())
}

fn records(conn: &mut PgConnection) -> Result<Vec<RecordRow>, StoreError> {
    type Row = (BigInt, Integer, SqlUuid, BigInt, BigInt, Binary, Binary);
    type Values = (i64, i32, Uuid, i64, i64, Vec<u8>, Vec<u8>);
    let rows = statement::<Row>("FETCH 5000 FROM records", &[]).load::<Values>(conn)?;
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

fn transfers(conn: &mut PgConnection) -> Result<Vec<TransferRow>, StoreError> {
    type Row =
        (BigInt, Integer, Integer, Integer, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt, BigInt);
    type Values = (i64, i32, i32, i32, i64, i64, i64, i64, i64, i64, i64, i64, i64);
    let rows = statement::<Row>("FETCH 5000 FROM transfers", &[]).load::<Values>(conn)?;
    let read = |(seq, leg, kind, asset, amount, debit, db, dh, dv, credit, cb, ch, cv): Values| TransferRow {
        seq,
        leg,
        kind,
        asset: AssetId(asset),
        amount,
        debit: SideRow { account: AccountId(debit), balance: db, held: dh, version: dv },
        credit: SideRow { account: AccountId(credit), balance: cb, held: ch, version: cv },
    };
    Ok(rows.into_iter().map(read).collect())
}

fn keys(conn: &mut PgConnection) -> Result<Vec<KeyRow>, StoreError> {
    type Row = (BigInt, BigInt, SqlUuid, SqlUuid);
    let rows = statement::<Row>("FETCH 5000 FROM keys", &[]).load::<(i64, i64, Uuid, Uuid)>(conn)?;
    let read = |(seq, scope, key, fingerprint)| KeyRow { seq, key: Key { scope: Scope(scope), key, fingerprint } };
    Ok(rows.into_iter().map(read).collect())
}

fn claims(conn: &mut PgConnection) -> Result<Vec<ClaimRow>, StoreError> {
    let rows = statement::<(BigInt, SqlUuid)>("FETCH 5000 FROM claims", &[]).load::<(i64, Uuid)>(conn)?;
    Ok(rows.into_iter().map(|(seq, claim)| ClaimRow { seq, claim }).collect())
}

fn companions(conn: &mut PgConnection) -> Result<Vec<CompanionRow>, StoreError> {
    type Row = (BigInt, Integer, SqlUuid, Binary);
    let rows = statement::<Row>("FETCH 1000 FROM companions", &[]).load::<(i64, i32, Uuid, Vec<u8>)>(conn)?;
    Ok(rows.into_iter().map(|(seq, kind, key, body)| CompanionRow { seq, kind, key, body }).collect())
}

fn links(conn: &mut PgConnection) -> Result<Vec<LinkRow>, StoreError> {
    type Row = (BigInt, Integer, BigInt, Integer, Integer, BigInt);
    let rows = statement::<Row>("FETCH 5000 FROM links", &[]).load::<(i64, i32, i64, i32, i32, i64)>(conn)?;
    let read = |(of_seq, of_leg, seq, leg, kind, amount)| LinkRow {
        of: LegRef { seq: of_seq, leg: of_leg },
        by: LegRef { seq, leg },
        kind,
        amount,
    };
    Ok(rows.into_iter().map(read).collect())
}

fn holds(conn: &mut PgConnection) -> Result<Vec<HoldRow>, StoreError> {
    type Row = (BigInt, Integer, BigInt, BigInt, Integer, BigInt, BigInt, BigInt);
    let rows = statement::<Row>("FETCH 5000 FROM holds", &[]).load::<(i64, i32, i64, i64, i32, i64, i64, i64)>(conn)?;
    let read = |(seq, leg, debit, credit, asset, amount, remaining, expires_us)| HoldRow {
        place: LegRef { seq, leg },
        debit: AccountId(debit),
        credit: AccountId(credit),
        asset: AssetId(asset),
        amount,
        remaining,
        expires_us,
    };
    Ok(rows.into_iter().map(read).collect())
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
