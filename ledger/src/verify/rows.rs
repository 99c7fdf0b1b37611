//! The rows of the journal's tables as they are stored, and the readings of two tables that have no order of seqs.

use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Uuid as SqlUuid};
use diesel::{PgConnection, RunQueryDsl};
use uuid::Uuid;

use super::Stop;
use crate::bind::{Arg, statement};
use crate::store::{StoreError, read_nature};
use crate::{AccountId, AssetId, JournalId, Key, LegRef, Lot, Nature};

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
