//! Books to begin with, and requests to ask of them: by hand for the named cases, at random for the laws.
//!
//! Few accounts and few claims, so that requests collide; amounts that sit on the limits of those accounts; two
//! accounts at the edges of 64 bits. One request in some is wrong in one of the ways a caller can be wrong.

use ledger::apply::State;
use ledger::{
    Account, AccountId, Amount, Asset, AssetId, Claim, Command, Companion, Group, JournalId, Key, Limits, MAX_AMOUNT,
    NewAccount, NormalSide, Request, Scope, Transfer,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

pub const EUR: AssetId = AssetId(1);
pub const PTS: AssetId = AssetId(2);
/// No books know this one.
pub const NO_ASSET: AssetId = AssetId(9);
/// The first moment of the tests.
pub const NOW: i64 = 1_750_000_000_000_000;

/// An account's public id by a small number. Those from 20 on are never opened.
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
/// Nobody's.
pub const NOBODY: Uuid = account(20);

/// The terms the tests open an account with: each number has its own.
pub fn terms(public_id: Uuid) -> NewAccount {
    let (asset, normal_side, floor, ceiling) = match public_id {
        SETTLEMENT => (EUR, NormalSide::Debit, None, None),
        CAPPED => (EUR, NormalSide::Credit, Some(0), Some(1_000)),
        OVERDRAFT => (EUR, NormalSide::Credit, Some(-500), None),
        ISSUE => (PTS, NormalSide::Debit, None, None),
        POINTS => (PTS, NormalSide::Credit, Some(0), None),
        TOP | BOTTOM => (EUR, NormalSide::Credit, None, None),
        _ => (EUR, NormalSide::Credit, Some(0), None),
    };
    NewAccount { public_id, asset, normal_side, owner: Some(Uuid::from_u128(0x0a)), floor, ceiling }
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
    let balances = [
        (SETTLEMENT, -100, 1),
        (WALLET, 100, 1),
        (CAPPED, 0, 0),
        (OVERDRAFT, 0, 0),
        (ISSUE, 0, 0),
        (POINTS, 0, 0),
        (TOP, edge, 9_300),
        (BOTTOM, -edge, 9_300),
    ];
    for (number, (public_id, balance, version)) in (1..).zip(balances) {
        put(&mut state, Account { balance, version, ..opened(public_id, number) });
    }
    state
}

/// Nothing opens a hold yet, but what is held counts already: 30 of the wallet's, and all that is left at the bottom.
fn with_holds(mut state: State) -> State {
    for (public_id, held) in [(WALLET, 30), (BOTTOM, 9)] {
        let held = Account { held, ..*state.account(public_id).unwrap() };
        put(&mut state, held);
    }
    state
}

/// An account as it is right after its opening.
pub fn opened(public_id: Uuid, number: i64) -> Account {
    let NewAccount { asset, normal_side, owner, floor, ceiling, .. } = terms(public_id);
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
    Transfer { debit, credit, amount: Amount::new(minor, EUR) }
}

/// A transaction of these transfers, without anything else. `number` makes key and id its own.
pub fn transaction(number: u128, transfers: Vec<Transfer>) -> Request {
    with_groups(number, transfers, Vec::new())
}

/// A transaction with optional groups.
pub fn with_groups(number: u128, transfers: Vec<Transfer>, groups: Vec<Vec<Transfer>>) -> Request {
    let groups = groups.into_iter().map(|transfers| Group { transfers }).collect();
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

/// Requests that arrive together, at what the database calls this time.
#[derive(Debug, Clone)]
pub struct Asked {
    pub now_us: i64,
    pub requests: Vec<Request>,
}

/// Books and what is asked of them.
pub fn any_story() -> impl Strategy<Value = (State, Vec<Asked>)> {
    let books = (any::<bool>(), any::<bool>())
        .prop_map(|(old, sandbox)| if old { with_holds(old_books(sandbox)) } else { empty_books(sandbox) });
    // The database's clock goes back now and then.
    let asked = vec((NOW - 5..NOW + 5, vec(any_request(), 0..14)), 1..7);
    (books, asked.prop_map(numbered))
}

/// Gives each request a key and an id of its own.
fn numbered(batches: Vec<(i64, Vec<Request>)>) -> Vec<Asked> {
    let mut numbers = 0_u128..;
    let mut number = |mut request: Request| {
        let own = self::request(numbers.next().unwrap(), Command::MoveClock { by_us: 1 });
        request.key = own.key;
        if let Command::Transact { id, .. } = &mut request.command {
            *id = own.key.key;
        }
        for (place, companion) in (0..).zip(&mut request.companions) {
            companion.key = Uuid::from_u128(own.key.key.as_u128() << 32 | place);
        }
        request
    };
    let batches = batches.into_iter();
    batches.map(|(now_us, asked)| Asked { now_us, requests: asked.into_iter().map(&mut number).collect() }).collect()
}

fn any_request() -> impl Strategy<Value = Request> {
    let effective = prop_oneof![
        20 => Just(None),
        4 => (0..=Limits::LATEST_US).prop_map(Some),
        1 => select(vec![-1, 0, Limits::LATEST_US, Limits::LATEST_US + 1]).prop_map(Some),
    ];
    let meta = prop_oneof![
        40 => vec(any::<u8>(), 0..4),
        1 => select(vec![Limits::META_BYTES, Limits::META_BYTES + 1]).prop_map(|len| vec![7; len]),
    ];
    (any_command(), effective, meta, any_companions()).prop_map(|(command, effective_us, meta, companions)| Request {
        effective_us,
        meta,
        companions,
        ..request(0, command)
    })
}

fn any_companions() -> impl Strategy<Value = Vec<Companion>> {
    let companion = |len| Companion { kind: 3, key: Uuid::nil(), body: vec![1; len] };
    prop_oneof![
        30 => vec((0..5_usize).prop_map(companion), 0..3),
        1 => select(vec![Limits::COMPANIONS, Limits::COMPANIONS + 1]).prop_map(move |n| vec![companion(1); n]),
        1 => select(vec![Limits::COMPANION_BYTES, Limits::COMPANION_BYTES + 1]).prop_map(move |n| vec![companion(n)]),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    let freeze = (any_account(), any::<bool>(), any::<bool>());
    // Thawing comes more often than freezing, else everything soon stands still.
    let freeze = freeze.prop_map(|(account, debits, credits)| Command::Freeze {
        account,
        debits: debits && credits,
        credits: credits && !debits,
    });
    prop_oneof![
        20 => any_transaction(),
        2 => any_terms().prop_map(Command::Open),
        2 => freeze,
        1 => select(vec![1, 1_000_000, 86_400_000_000, 0, -1, i64::MIN]).prop_map(|by_us| Command::MoveClock { by_us }),
        1 => Just(Command::Abandon),
    ]
}

fn any_transaction() -> impl Strategy<Value = Command> {
    let transfers = prop_oneof![30 => vec(any_transfer(), 1..5), 1 => Just(Vec::new())];
    let group = vec(any_transfer(), 0..4).prop_map(|transfers| Group { transfers });
    let claim = prop_oneof![3 => Just(None), 1 => (0..4_u128).prop_map(|n| Some(Claim(Uuid::from_u128(n))))];
    // Most transactions open what they need, else little ever happens.
    let open = (proptest::bool::weighted(0.75), vec(any_terms(), 0..2));
    (open, transfers, vec(group, 0..4), claim).prop_map(|((opening, mut open), transfers, groups, claim)| {
        if opening {
            let every = transfers.iter().chain(groups.iter().flat_map(|group| &group.transfers));
            open.extend(every.flat_map(|t| [t.debit, t.credit]).filter(|id| *id != NOBODY).map(terms));
        }
        Command::Transact { id: Uuid::nil(), open, transfers, groups, claim }
    })
}

fn any_account() -> impl Strategy<Value = Uuid> {
    prop_oneof![60 => (0..10_u128).prop_map(account), 1 => Just(NOBODY)]
}

/// Mostly those the tests always use; some as another caller would have them.
fn any_terms() -> impl Strategy<Value = NewAccount> {
    let other = (0..6_u8, any_account()).prop_map(|(what, id)| {
        let usual = terms(id);
        match what {
            0 => NewAccount { asset: if usual.asset == EUR { PTS } else { EUR }, ..usual },
            1 => NewAccount { asset: NO_ASSET, ..usual },
            2 => NewAccount { owner: None, ..usual },
            3 => NewAccount { floor: Some(-7), ceiling: Some(7), ..usual },
            4 => NewAccount { floor: Some(1), ..usual },
            _ => NewAccount { ceiling: Some(-1), ..usual },
        }
    });
    prop_oneof![6 => any_account().prop_map(terms), 1 => other]
}

fn any_transfer() -> impl Strategy<Value = Transfer> {
    const MONEY: [Uuid; 8] = [SETTLEMENT, WALLET, CAPPED, OVERDRAFT, TOP, BOTTOM, account(8), account(9)];
    // Half of all money comes from where there is always some.
    let payer = prop_oneof![Just(SETTLEMENT), select(MONEY.to_vec())];
    let money = (payer, select(MONEY.to_vec()), any_minor(), Just(EUR));
    let points = (select(vec![ISSUE, ISSUE, POINTS]), select(vec![ISSUE, POINTS]), any_minor(), Just(PTS));
    let wild = (any_account(), any_account(), any_minor(), select(vec![EUR, PTS, NO_ASSET]));
    let transfer = prop_oneof![30 => money, 8 => points, 1 => wild];
    transfer.prop_map(|(debit, credit, minor, asset)| {
        // One in eight would else be to itself, and little would be left.
        let credit = if debit == credit && minor % 8 != 0 { next(debit) } else { credit };
        Transfer { debit, credit, amount: Amount::new(minor, asset) }
    })
}

fn next(account: Uuid) -> Uuid {
    match account {
        POINTS => ISSUE,
        ISSUE => POINTS,
        SETTLEMENT => WALLET,
        _ => SETTLEMENT,
    }
}

fn any_minor() -> impl Strategy<Value = i64> {
    prop_oneof![
        40 => 1..=20_i64,
        24 => select(vec![99, 100, 101, 499, 500, 501, 999, 1_000, 1_001]),
        6 => select(vec![MAX_AMOUNT - 1, MAX_AMOUNT]),
        1 => select(vec![MAX_AMOUNT + 1, 0, -1, i64::MAX, i64::MIN]),
    ]
}
