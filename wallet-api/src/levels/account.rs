//! The accounts that hold a person to their limits, and what a payment moves on them. Pure.
//!
//! What may still be paid in a day and in a month is the balance of a quota (JOURNAL 9); what one payment may be is the ceiling
//! of an account through which its amount passes, so that the journal alone decides each of them. The money in a wallet is held
//! by the wallet's own ceiling. All of a person's counters are there whatever their level, and a payment counts on all of them:
//! a limit that comes, or comes down, finds what was paid before.

use ledger::{
    Amount, AssetId, Calendar, Change, Command, How, LegRef, MAX_AMOUNT, Nature, NewAccount, Period, Posted, Refusal,
    RowKind, Transfer,
};
use uuid::Uuid;

use super::model::{Allowed, Limit};
use crate::platform::chart::{Counted, Purpose};
use crate::platform::keyring::Tenant;

/// A person whose payments are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counting {
    tenant: i64,
    person: Uuid,
    asset: AssetId,
}

/// How many rows a payment has for being counted.
const LEGS: i32 = 4;

impl Counting {
    pub(super) const fn of(tenant: i64, person: Uuid, asset: AssetId) -> Self {
        Self { tenant, person, asset }
    }

    fn counter(&self, counted: Counted) -> Uuid {
        Purpose::Counted(counted, self.person).account(self.tenant)
    }

    fn amount(&self, minor: i64) -> Amount {
        Amount::new(minor, self.asset)
    }

    /// How many rows are behind a payment's own for being counted.
    #[must_use]
    pub const fn legs(&self) -> i32 {
        LEGS
    }

    /// What counts a payment of so many cents, to be posted right behind its own first row.
    #[must_use]
    pub fn payment(&self, minor: i64) -> Vec<Transfer> {
        self.by(How::Move, minor)
    }

    /// What counts an authorisation: what may still be paid is set aside with the money, until then.
    #[must_use]
    pub fn authorisation(&self, minor: i64, expires_us: i64) -> Vec<Transfer> {
        self.by(How::Hold { expires_us: Some(expires_us) }, minor)
    }

    fn by(&self, how: How, minor: i64) -> Vec<Transfer> {
        let (pool, amount) = (Purpose::CountedPool.account(self.tenant), self.amount(minor));
        let gate = self.counter(Counted::Payment);
        vec![
            // The limit of one payment: its amount passes through an account that has a ceiling, and stays nowhere.
            Transfer::moving(pool, gate, amount),
            Transfer::moving(gate, pool, amount),
            Transfer::by(how, self.counter(Counted::Day), pool, amount),
            Transfer::by(how, self.counter(Counted::Month), pool, amount),
        ]
    }
}

/// Which limit of a person a refusal is by; none if it is by something else.
#[must_use]
pub fn limit_of(tenant: i64, person: Uuid, refusal: &Refusal) -> Option<Limit> {
    let is = |account: &Uuid, purpose: Purpose| *account == purpose.account(tenant);
    match refusal {
        Refusal::Ceiling { account } if is(account, Purpose::Available(person)) => Some(Limit::Stored),
        Refusal::Ceiling { account } if is(account, Purpose::Counted(Counted::Payment, person)) => Some(Limit::Payment),
        Refusal::Floor { account } if is(account, Purpose::Counted(Counted::Day, person)) => Some(Limit::Day),
        Refusal::Floor { account } if is(account, Purpose::Counted(Counted::Month, person)) => Some(Limit::Month),
        Refusal::Ceiling { .. }
        | Refusal::Floor { .. }
        | Refusal::Frozen { .. }
        | Refusal::Overflow { .. }
        | Refusal::ClaimSpent { .. }
        | Refusal::Closed { .. }
        | Refusal::NotEmpty { .. }
        | Refusal::HoldEnded { .. }
        | Refusal::HoldExceeded { .. }
        | Refusal::RefundExceeded { .. } => None,
    }
}

/// The rows by which a transaction counted on a person's day and month: what captures, voids and refunds them again.
pub fn counted_rows(tenant: i64, person: Uuid, rows: &[Posted]) -> impl Iterator<Item = &Posted> {
    let counters = [Counted::Day, Counted::Month].map(|counted| Purpose::Counted(counted, person).account(tenant));
    rows.iter().filter(move |row| counters.contains(&row.debit.public_id))
}

/// What captures so much of what an authorisation set aside on the counters, or with zero gives back what is left of it.
#[must_use]
pub fn ending(seq: i64, rows: &[Posted], minor: i64) -> Vec<Transfer> {
    let held = rows.iter().filter(|row| row.kind == RowKind::Hold);
    let end = |row: &Posted| {
        let hold = LegRef { seq, leg: row.leg };
        let how = if minor > 0 { How::Capture { hold } } else { How::Void { hold } };
        Transfer::by(how, row.debit.public_id, row.credit.public_id, Amount { minor, ..row.amount })
    };
    held.map(end).collect()
}

/// A person's counters as they are opened: without a limit, which is set right after.
pub(super) fn opening(tenant: &Tenant, person: Uuid, transaction: Uuid, asset: AssetId, money: AssetId) -> Command {
    let id = tenant.id;
    let quota = |counted, period| {
        let pool = Purpose::CountedPool.account(id);
        let nature = Nature::Quota { pool, allowance: MAX_AMOUNT, period, calendar: calendar(tenant) };
        NewAccount { nature, ..Purpose::Counted(counted, person).opening(id, asset) }
    };
    let (turns, pool) = (Purpose::CountedTurns.opening(id, asset), Purpose::CountedPool.opening(id, asset));
    let turn = Transfer::moving(turns.public_id, pool.public_id, Amount::new(1, asset));
    let open = vec![
        turns,
        pool,
        Purpose::Available(person).opening(id, money),
        Purpose::Counted(Counted::Payment, person).opening(id, asset),
        quota(Counted::Day, Period::Day),
        quota(Counted::Month, Period::Month),
    ];
    let (transfers, groups, claim) = (vec![turn], Vec::new(), None);
    Command::Transact { id: transaction, open, transfers, groups, claim }
}

/// What brings a person's accounts to these limits. The wallet's floor stays what it is.
pub(super) fn changes(tenant: i64, person: Uuid, wallet_floor: Option<i64>, allowed: &Allowed) -> [Command; 4] {
    let change = |purpose: Purpose, change| Command::Change { account: purpose.account(tenant), change };
    let allowance = |counted, minor: Option<i64>| {
        change(Purpose::Counted(counted, person), Change::Allowance { minor: minor.unwrap_or(MAX_AMOUNT) })
    };
    let ceiling = |floor, ceiling| Change::Limits { floor, ceiling };
    [
        change(Purpose::Available(person), ceiling(wallet_floor, allowed.stored)),
        change(Purpose::Counted(Counted::Payment, person), ceiling(Some(0), allowed.payment)),
        allowance(Counted::Day, allowed.day),
        allowance(Counted::Month, allowed.month),
    ]
}

/// Where a tenant's days begin: the law's are Italy's, unless the tenant lives by Greenwich.
#[must_use]
pub fn calendar(tenant: &Tenant) -> Calendar {
    if [chrono_tz::UTC, chrono_tz::Etc::UTC].contains(&tenant.zone) { Calendar::Utc } else { Calendar::Rome }
}
