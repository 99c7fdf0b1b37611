//! Books to begin with, and requests to ask of them: by hand for the named cases, at random for the laws.
//!
//! Few accounts and few claims, so that requests collide; amounts that sit on the limits of those accounts; dates a few
//! microseconds around now; two accounts at the edges of 64 bits. One request in some is wrong in one of the ways a caller
//! can be wrong. What a random request captures or moves back is a [`Pick`], resolved when it is played.

mod manners;
mod picks;
mod random;
mod tell;

pub use picks::{Manner, Pick};
pub use random::{Asked, any_long_story, any_story};
pub use tell::tell;

use ledger::apply::State;
use ledger::{
    Account, AccountId, Amount, Asset, AssetId, Calendar, Command, Group, How, JournalId, Key, LotTerms, NEVER, Nature,
    NewAccount, NormalSide, Period, Request, Scope, Transfer,
};
use uuid::Uuid;

pub const EUR: AssetId = AssetId(1);
pub const PTS: AssetId = AssetId(2);
/// No books know this one.
pub const NO_ASSET: AssetId = AssetId(9);
/// The first moment of the tests.
pub const NOW: i64 = 1_750_000_000_000_000;

/// An account's public id by a small number. Those from 20 on are never opened at random.
pub const fn account(number: u128) -> Uuid {
    Uuid::from_u128(0xacc0_0000 + number)
}

/// No limits: money comes from here.
pub const SETTLEMENT: Uuid = account(0);
/// Floor 0.
pub const WALLET: Uuid = account(1);
/// Floor 0, ceiling 1,000.
pub const CAPPED: Uuid = account(2);
/// Floor −500.
pub const OVERDRAFT: Uuid = account(3);
/// Points, no limits.
pub const ISSUE: Uuid = account(4);
/// Points, floor 0.
pub const POINTS: Uuid = account(5);
/// Ten below the largest balance there is; no limits.
pub const TOP: Uuid = account(6);
/// Ten above the smallest balance there is; no limits.
pub const BOTTOM: Uuid = account(7);
/// Points with lots: what expires goes to [`BREAKAGE`] at once.
pub const CLUB: Uuid = account(10);
/// Points with lots, at most 300: a refund of what expired meanwhile lasts five microseconds more.
pub const GRACED: Uuid = account(11);
/// Cashback with lots: what expires goes to [`TOP`], which has room for ten.
pub const CASHBACK: Uuid = account(12);
/// What may be paid in a day, in UTC: 100, out of [`POOL`].
pub const DAILY: Uuid = account(13);
/// Points, no limits.
pub const BREAKAGE: Uuid = account(14);
/// Money, no limits.
pub const POOL: Uuid = account(15);
/// What points may be given in a month of Italy: 50, out of [`ISSUE`].
pub const MONTHLY: Uuid = account(16);
/// What may be paid in a year: 60, out of [`BOTTOM`], which has ten to give.
pub const YEARLY: Uuid = account(17);
/// How long a refund of [`GRACED`]'s expired points lasts, microseconds.
pub const GRACE_US: i64 = 5;
/// Microseconds of a day.
pub const DAY_US: i64 = 86_400_000_000;
/// Nobody's.
pub const NOBODY: Uuid = account(20);

/// The terms the tests open an account with: each number has its own.
pub fn terms(public_id: Uuid) -> NewAccount {
    let (asset, normal_side, floor, ceiling) = match public_id {
        SETTLEMENT | POOL => (EUR, NormalSide::Debit, None, None),
        CAPPED => (EUR, NormalSide::Credit, Some(0), Some(1_000)),
        OVERDRAFT => (EUR, NormalSide::Credit, Some(-500), None),
        ISSUE | BREAKAGE => (PTS, NormalSide::Debit, None, None),
        POINTS | CLUB | MONTHLY => (PTS, NormalSide::Credit, Some(0), None),
        GRACED => (PTS, NormalSide::Credit, Some(0), Some(300)),
        TOP | BOTTOM => (EUR, NormalSide::Credit, None, None),
        _ => (EUR, NormalSide::Credit, Some(0), None),
    };
    let quota = |pool, allowance, period, calendar| Nature::Quota { pool, allowance, period, calendar };
    let nature = match public_id {
        CLUB => Nature::Lots { breakage: BREAKAGE, grace_us: 0 },
        GRACED => Nature::Lots { breakage: BREAKAGE, grace_us: GRACE_US },
        CASHBACK => Nature::Lots { breakage: TOP, grace_us: 2 },
        DAILY => quota(POOL, 100, Period::Day, Calendar::Utc),
        MONTHLY => quota(ISSUE, 50, Period::Month, Calendar::Rome),
        YEARLY => quota(BOTTOM, 60, Period::Year, Calendar::Utc),
        _ => Nature::Plain,
    };
    NewAccount { public_id, asset, normal_side, owner: Some(Uuid::from_u128(0x0a)), floor, ceiling, nature }
}

/// Books with both assets and no account.
pub fn empty_books(sandbox: bool) -> State {
    let assets = [("EUR", EUR, 2), ("PTS:club", PTS, 0)];
    let assets = assets.map(|(code, id, scale)| (id, Asset { id, code: code.into(), scale }));
    State { sandbox, assets: assets.into_iter().collect(), ..State::default() }
}

/// Books with the accounts named above; the wallet has 100.
pub fn old_books(sandbox: bool) -> State {
    let mut state = State { seq: 10_000, last_us: NOW - 3, ..empty_books(sandbox) };
    let edge = i64::MAX - 10;
    let mut balances = vec![
        (SETTLEMENT, -100, 1),
        (WALLET, 100, 1),
        (CAPPED, 0, 0),
        (OVERDRAFT, 0, 0),
        (ISSUE, 0, 0),
        (POINTS, 0, 0),
        (TOP, edge, 9_300),
        (BOTTOM, -edge, 9_300),
    ];
    let others = [CLUB, GRACED, CASHBACK, DAILY, BREAKAGE, POOL, MONTHLY, YEARLY];
    balances.extend(others.map(|public_id| (public_id, 0, 0)));
    for (number, (public_id, balance, version)) in (1..).zip(balances) {
        put(&mut state, Account { balance, version, ..opened(public_id, number) });
    }
    state
}

/// An account as it is right after its opening.
pub fn opened(public_id: Uuid, number: i64) -> Account {
    let NewAccount { asset, normal_side, owner, floor, ceiling, nature, .. } = terms(public_id);
    Account {
        id: AccountId(number),
        public_id,
        asset,
        normal_side,
        owner,
        floor,
        ceiling,
        debits_frozen: false,
        credits_frozen: false,
        closed: false,
        nature,
        period_us: 0,
        next_due_us: if matches!(nature, Nature::Quota { .. }) { 0 } else { NEVER },
        balance: 0,
        held: 0,
        version: 0,
    }
}

/// Puts an account into the state, or puts it anew.
pub fn put(state: &mut State, account: Account) {
    state.by_public_id.insert(account.public_id, account.id);
    state.accounts.insert(account.id, account);
}

/// Moves euro cents.
pub const fn transfer(debit: Uuid, credit: Uuid, minor: i64) -> Transfer {
    Transfer::moving(debit, credit, Amount::new(minor, EUR))
}

/// Moves points.
pub const fn points(debit: Uuid, credit: Uuid, minor: i64) -> Transfer {
    Transfer::moving(debit, credit, Amount::new(minor, PTS))
}

/// Gives points that expire then.
pub fn earning(credit: Uuid, minor: i64, expires_us: i64) -> Transfer {
    Transfer { lot: Some(until(expires_us)), ..points(ISSUE, credit, minor) }
}

/// Dates of what is earned and expires then.
pub fn until(expires_us: i64) -> LotTerms {
    LotTerms { expires_us: Some(expires_us), ..LotTerms::default() }
}

/// The same transfer in another manner.
pub const fn by(how: How, transfer: Transfer) -> Transfer {
    Transfer { how, ..transfer }
}

/// A transaction of these transfers, without anything else. `number` makes key and id its own.
pub fn transaction(number: u128, transfers: Vec<Transfer>) -> Request {
    with_groups(number, transfers, Vec::new())
}

/// A transaction with optional groups.
pub fn with_groups(number: u128, transfers: Vec<Transfer>, groups: Vec<Vec<Transfer>>) -> Request {
    let groups = groups.into_iter().map(Group::of).collect();
    let id = Uuid::from_u128(0x7a_0000 + number);
    request(number, Command::Transact { id, open: Vec::new(), transfers, groups, claim: None })
}

pub fn request(number: u128, command: Command) -> Request {
    Request {
        journal: JournalId(1),
        key: Key {
            scope: Scope(1),
            key: Uuid::from_u128(0x4e_0000 + number),
            fingerprint: Uuid::from_u128(0xf1_0000 + number),
        },
        command,
        effective_us: None,
        meta: Vec::new(),
        companions: Vec::new(),
    }
}
