//! Stories at random: batches of requests, and the time at which each arrives.

use ledger::apply::State;
use ledger::{
    Amount, Calendar, Change, Claim, Command, Companion, Group, How, Limits, MAX_AMOUNT, Nature, NewAccount, Period,
    Rate, Request, Transfer,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::manners::{any_how, any_lot, any_minor};
use super::*;

/// Requests that arrive together, at what the database calls this time.
#[derive(Debug, Clone)]
pub struct Asked {
    pub now_us: i64,
    pub requests: Vec<Request>,
}

/// Books and what is asked of them. Some books are lived in: their story begins with earnings and holds.
pub fn any_story() -> impl Strategy<Value = (State, Vec<Asked>)> {
    any_long_story(7)
}

/// The same with up to so many batches, less one.
pub fn any_long_story(batches: usize) -> impl Strategy<Value = (State, Vec<Asked>)> {
    let books = (any::<bool>(), any::<bool>())
        .prop_map(|(old, sandbox)| (old, if old { old_books(sandbox) } else { empty_books(sandbox) }));
    // The database's clock goes back now and then, and sometimes a day or a month passes.
    let step = prop_oneof![
        20 => -3..6_i64,
        2 => Just(DAY_US),
        1 => Just(31 * DAY_US),
    ];
    let asked = vec((step, vec(any_request(), 0..14)), 1..batches);
    (books, asked).prop_map(|((old, state), batches)| {
        let mut story = numbered(batches);
        if old {
            story.insert(0, Asked { now_us: NOW - 3, requests: prelude() });
        }
        (state, story)
    })
}

/// Earnings with a few dates, holds on them and on money, a debt, allowances in use, one account closed and one frozen.
fn prelude() -> Vec<Request> {
    let hold = |expires_us| How::Hold { expires_us };
    let (closed, frozen) = (account(8), account(9));
    let transfers = [
        vec![earning(CLUB, 40, NOW + 3), earning(CLUB, 30, NOW + DAY_US), points(ISSUE, CLUB, 20)],
        vec![earning(GRACED, 50, NOW + 2), Transfer { lot: Some(until(NOW + 4)), ..transfer(SETTLEMENT, CASHBACK, 8) }],
        vec![by(hold(Some(NOW + 1)), points(CLUB, POINTS, 25)), by(hold(Some(NOW)), points(GRACED, ISSUE, 10))],
        vec![by(hold(Some(NOW + 5)), transfer(WALLET, CAPPED, 30)), by(hold(None), transfer(BOTTOM, WALLET, 9))],
        vec![transfer(DAILY, POOL, 15), points(MONTHLY, ISSUE, 5), points(CLUB, POINTS, 35)],
        vec![by(How::Owing, points(GRACED, ISSUE, 45))],
    ];
    let commands = [
        Command::Open(terms(closed)),
        Command::Change { account: closed, change: Change::Closed { closed: true } },
        Command::Open(terms(frozen)),
        Command::Freeze { account: frozen, debits: true, credits: true },
    ];
    let transfers = (1_000_000..).zip(transfers).map(|(number, transfers)| transaction(number, transfers));
    transfers.chain((2_000_000..).zip(commands).map(|(number, command)| request(number, command))).collect()
}

/// Gives each request a key and an id of its own, and makes its small dates those around its batch's time.
fn numbered(batches: Vec<(i64, Vec<Request>)>) -> Vec<Asked> {
    let mut numbers = 0_u128..;
    let mut now_us = NOW;
    let mut number = |mut request: Request, now_us: i64| {
        let own = super::request(numbers.next().unwrap(), Command::Abandon);
        request.key = own.key;
        if let Command::Transact { id, transfers, groups, .. } = &mut request.command {
            *id = own.key.key;
            let grouped = groups.iter_mut().flat_map(|group| group.transfers.iter_mut().chain(&mut group.fallback));
            transfers.iter_mut().chain(grouped).for_each(|transfer| date(transfer, now_us));
        }
        for (place, companion) in (0..).zip(&mut request.companions) {
            companion.key = Uuid::from_u128(own.key.key.as_u128() << 32 | place);
        }
        request
    };
    let asked = batches.into_iter().map(|(step, asked)| {
        now_us += step;
        Asked { now_us, requests: asked.into_iter().map(|request| number(request, now_us)).collect() }
    });
    asked.collect()
}

fn date(transfer: &mut Transfer, now_us: i64) {
    let dated = |us: i64| if us.abs() < NOW / 1_000 { now_us + us } else { us };
    if let How::Hold { expires_us } = &mut transfer.how {
        *expires_us = expires_us.map(dated);
    }
    if let Some(lot) = &mut transfer.lot {
        (lot.activates_us, lot.expires_us) = (lot.activates_us.map(dated), lot.expires_us.map(dated));
    }
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
        60 => vec((0..5_usize).prop_map(companion), 0..2),
        1 => select(vec![Limits::COMPANIONS, Limits::COMPANIONS + 1]).prop_map(move |n| vec![companion(1); n]),
        1 => select(vec![Limits::COMPANION_BYTES, Limits::COMPANION_BYTES + 1]).prop_map(move |n| vec![companion(n)]),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    let freeze = (any_account(), any::<bool>(), any::<bool>());
    // Thawing comes more often than freezing, else everything soon stands still.
    let freeze =
        freeze.prop_map(|(account, debits, credits)| Command::Freeze { account, debits, credits: credits && !debits });
    let change = (any_account(), any_change()).prop_map(|(account, change)| Command::Change { account, change });
    let quotas = (select(vec![DAILY, MONTHLY, YEARLY]), any_allowance());
    let allowance = quotas.prop_map(|(account, change)| Command::Change { account, change });
    prop_oneof![
        80 => any_transaction(),
        6 => any_terms().prop_map(Command::Open),
        5 => freeze,
        9 => change,
        2 => allowance,
        2 => select(vec![1, 3, 1_000_000, DAY_US, 0, -1, i64::MIN, i64::MAX])
            .prop_map(|by_us| Command::MoveClock { by_us }),
        3 => any_account().prop_map(|account| Command::Sweep { account }),
        2 => Just(Command::Abandon),
    ]
}

fn any_allowance() -> impl Strategy<Value = Change> {
    select(vec![0, 20, 50, 100, 140, MAX_AMOUNT, MAX_AMOUNT + 1, -1]).prop_map(|minor| Change::Allowance { minor })
}

fn any_change() -> impl Strategy<Value = Change> {
    let floors = select(vec![None, Some(0), Some(0), Some(0), Some(-500), Some(-20), Some(50)]);
    let ceilings = select(vec![None, None, None, Some(1_000), Some(300), Some(40)]);
    let closed = proptest::bool::weighted(0.7);
    prop_oneof![
        4 => (floors, ceilings).prop_map(|(floor, ceiling)| Change::Limits { floor, ceiling }),
        1 => any_allowance(),
        4 => closed.prop_map(|closed| Change::Closed { closed }),
    ]
}

fn any_transaction() -> impl Strategy<Value = Command> {
    let transfers = prop_oneof![60 => vec(any_transfer(), 1..5), 1 => Just(Vec::new())];
    let fallback = prop_oneof![2 => Just(Vec::new()), 1 => vec(any_transfer(), 1..3)];
    let group = (vec(any_transfer(), 0..4), fallback).prop_map(|(transfers, fallback)| Group { transfers, fallback });
    let claim = prop_oneof![5 => Just(None), 1 => (0..4_u128).prop_map(|n| Some(Claim(Uuid::from_u128(n))))];
    // Most transactions open what they need, else little ever happens.
    let open = (proptest::bool::weighted(0.75), option::weighted(0.1, any_terms()));
    let rate = option::weighted(0.1, (0..2_i32, 1..40_i64, 1..9_i64, 0..12_i64));
    let groups = prop_oneof![2 => Just(Vec::new()), 2 => vec(group, 1..4)];
    (open, transfers, groups, claim, rate).prop_map(|((opening, other), mut transfers, groups, claim, rate)| {
        if let Some(rate) = rate {
            exchange(&mut transfers, rate);
        }
        let mut open = Vec::new();
        if opening {
            let every = transfers.iter().chain(groups.iter().flat_map(Group::every));
            let named = every.flat_map(|t| [t.debit, t.credit]).filter(|id| *id != NOBODY).map(terms);
            // A quota cannot be used by what opens it.
            for terms in named.filter(|terms| !matches!(terms.nature, Nature::Quota { .. })) {
                open.extend(terms.nature.counterpart().map(super::terms));
                open.push(terms);
            }
        }
        open.extend(other);
        Command::Transact { id: Uuid::nil(), open, transfers, groups, claim }
    })
}

/// Gives the second transfer a rate, of the first as a rule, and mostly the amount that the rate makes.
fn exchange(transfers: &mut [Transfer], (of, numerator, denominator, odd): (i32, i64, i64, i64)) {
    let [first, second, ..] = transfers else { return };
    (first.how, second.how) = (How::Move, How::Move);
    let made = i128::from(first.amount.minor) * i128::from(numerator) / i128::from(denominator);
    second.amount.minor = i64::try_from(made).unwrap_or(1).saturating_add(i64::from(odd == 1));
    let denominator = if odd == 2 { 0 } else { denominator };
    second.rate = Some(Rate { of: i32::from(of == 1 && odd < 3), numerator, denominator });
}

fn any_account() -> impl Strategy<Value = Uuid> {
    prop_oneof![60 => (0..18_u128).prop_map(account), 1 => Just(NOBODY)]
}

/// Mostly those the tests always use; some as another caller would have them.
fn any_terms() -> impl Strategy<Value = NewAccount> {
    let other = (0..12_u8, any_account()).prop_map(|(what, id)| {
        let usual = terms(id);
        let lots = |breakage, grace_us| Nature::Lots { breakage, grace_us };
        let quota = |pool, allowance| Nature::Quota { pool, allowance, period: Period::Ever, calendar: Calendar::Utc };
        match what {
            0 => NewAccount { asset: if usual.asset == EUR { PTS } else { EUR }, ..usual },
            1 => NewAccount { asset: NO_ASSET, ..terms(account(19)) },
            2 => NewAccount { owner: None, ..usual },
            3 => NewAccount { floor: Some(-7), ceiling: Some(7), ..usual },
            4 => NewAccount { floor: Some(1), ..usual },
            5 => NewAccount { ceiling: Some(-1), ..usual },
            6 => NewAccount { nature: lots(SETTLEMENT, 1), ..usual },
            7 => NewAccount { nature: lots(NOBODY, 0), ..usual },
            8 => NewAccount { nature: lots(CLUB, -1), ..usual },
            9 => NewAccount { nature: quota(CLUB, 10), ..usual },
            10 => NewAccount { nature: quota(usual.public_id, 10), ..usual },
            _ => NewAccount { nature: quota(POOL, -1), ..usual },
        }
    });
    prop_oneof![4 => any_account().prop_map(terms), 1 => other]
}

fn any_transfer() -> impl Strategy<Value = Transfer> {
    const MONEY: [Uuid; 13] = [
        SETTLEMENT,
        WALLET,
        CAPPED,
        OVERDRAFT,
        TOP,
        BOTTOM,
        account(8),
        account(9),
        CASHBACK,
        CASHBACK,
        DAILY,
        POOL,
        YEARLY,
    ];
    const POINTS_TOO: [Uuid; 9] = [ISSUE, POINTS, CLUB, CLUB, CLUB, GRACED, GRACED, BREAKAGE, MONTHLY];
    // Half of all money comes from where there is always some.
    let payer = prop_oneof![Just(SETTLEMENT), select(MONEY.to_vec())];
    let money = (payer, select(MONEY.to_vec()), any_minor(), Just(EUR));
    let payer = prop_oneof![Just(ISSUE), select(POINTS_TOO.to_vec())];
    let points = (payer, select(POINTS_TOO.to_vec()), any_minor(), Just(PTS));
    let wild = (any_account(), any_account(), any_minor(), select(vec![EUR, PTS, NO_ASSET]));
    let transfer = prop_oneof![60 => money, 60 => points, 1 => wild];
    (transfer, any_how(), any_lot()).prop_map(|((debit, credit, minor, asset), how, (lot, odd))| {
        let (debit, credit) = apart(debit, credit, minor);
        let minor = if matches!(how, How::Void { .. }) && odd > 1 { 0 } else { minor };
        // Dates where there are no lots are a fault.
        let lot = lot.filter(|_| odd == 0 || terms(credit).nature.keeps_lots());
        Transfer { lot, ..Transfer::by(how, debit, credit, Amount::new(minor, asset)) }
    })
}

/// One in eight would else be to itself, and little would be left.
fn apart(debit: Uuid, credit: Uuid, minor: i64) -> (Uuid, Uuid) {
    if debit == credit && minor % 8 != 0 { (debit, next(debit)) } else { (debit, credit) }
}

fn next(account: Uuid) -> Uuid {
    match account {
        ISSUE => CLUB,
        SETTLEMENT => WALLET,
        other if terms(other).asset == PTS => ISSUE,
        _ => SETTLEMENT,
    }
}
