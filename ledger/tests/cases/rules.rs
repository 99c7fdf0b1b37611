//! 17, 18, 25, 34 and 35 where rules change, and quotas.

use ledger::{Amount, Change, Command, How, Invalid, Nature, Rate, Refusal, Transfer};
use uuid::Uuid;

use super::{ask, balance, capturing, desk, desk_with, dues, holding, post, refusal, refused, version, voiding};
use crate::play::{Desk, sums};
use crate::requests::{
    BREAKAGE, CAPPED, CLUB, DAILY, ISSUE, MONTHLY, NOW, OVERDRAFT, POINTS, POOL, PTS, SETTLEMENT, WALLET, account, by,
    earning, empty_books, points, request, terms, transaction, transfer,
};

fn change(account: Uuid, change: Change) -> ledger::Request {
    request(7, Command::Change { account, change })
}

fn limits(account: Uuid, floor: Option<i64>, ceiling: Option<i64>) -> ledger::Request {
    change(account, Change::Limits { floor, ceiling })
}

fn closed(account: Uuid, closed: bool) -> ledger::Request {
    change(account, Change::Closed { closed })
}

#[test]
fn case_17_a_split_adds_up_because_its_odd_unit_is_a_leg_of_its_own() {
    let mut desk = desk();
    let third = Rate { of: 0, numerator: 3_333, denominator: 10_000 };
    let part = |to, minor| Transfer { rate: Some(third), ..transfer(POOL, to, minor) };
    let split =
        |odd: i64| vec![transfer(WALLET, POOL, 100), part(CAPPED, 33), part(OVERDRAFT, 33), part(account(2), 33 + odd)];
    assert_eq!(transaction(1, split(1)).check(), Err(Invalid::Rate { leg: 3 }));
    post(&mut desk, [split(0), vec![transfer(POOL, SETTLEMENT, 1)]].concat(), NOW);
    assert_eq!(
        (balance(&desk.state, POOL), balance(&desk.state, CAPPED), balance(&desk.state, OVERDRAFT)),
        (0, 66, 33)
    );
}

#[test]
fn case_18_an_exchange_rounds_down_both_ways_and_what_is_left_stays_with_the_house() {
    let mut desk = desk();
    let before = sums(&desk.state);
    let there = |minor| {
        let rate = Some(Rate { of: 0, numerator: 7, denominator: 3 });
        vec![transfer(WALLET, POOL, 100), Transfer { rate, ..points(BREAKAGE, POINTS, minor) }]
    };
    assert_eq!(transaction(1, there(234)).check(), Err(Invalid::Rate { leg: 1 }));
    post(&mut desk, there(233), NOW);
    let rate = Some(Rate { of: 0, numerator: 3, denominator: 7 });
    let back = |minor| vec![points(POINTS, BREAKAGE, 233), Transfer { rate, ..transfer(POOL, WALLET, minor) }];
    assert_eq!(transaction(2, back(100)).check(), Err(Invalid::Rate { leg: 1 }));
    post(&mut desk, back(99), NOW);
    assert_eq!((balance(&desk.state, WALLET), balance(&desk.state, POOL), balance(&desk.state, POINTS)), (99, 1, 0));
    assert_eq!(sums(&desk.state), before);
}

#[test]
fn case_25_an_account_closes_when_nothing_is_on_it_and_opens_again() {
    let mut desk = desk();
    let full = ask(&mut desk, &closed(WALLET, true)).unwrap();
    assert_eq!(refusal(&full), Some(Refusal::NotEmpty { account: WALLET }));
    post(&mut desk, vec![transfer(WALLET, SETTLEMENT, 100)], NOW);
    ask(&mut desk, &closed(WALLET, true)).unwrap();
    // Closed is said before frozen.
    ask(&mut desk, &request(8, Command::Freeze { account: WALLET, debits: true, credits: true })).unwrap();
    let shut = Some(Refusal::Closed { account: WALLET });
    assert_eq!(refused(&mut desk, vec![transfer(SETTLEMENT, WALLET, 1)], NOW), shut);
    assert_eq!(refused(&mut desk, vec![transfer(WALLET, SETTLEMENT, 1)], NOW), shut);
    ask(&mut desk, &request(9, Command::Freeze { account: WALLET, debits: false, credits: false })).unwrap();
    ask(&mut desk, &closed(WALLET, false)).unwrap();
    post(&mut desk, vec![transfer(SETTLEMENT, WALLET, 1)], NOW);
    assert_eq!((balance(&desk.state, WALLET), version(&desk.state, WALLET)), (1, 3));
}

#[test]
fn case_25_what_is_held_keeps_an_account_open_until_it_expires() {
    let mut desk = desk();
    // An overdraft: it has nothing and holds something.
    post(&mut desk, vec![holding(transfer(OVERDRAFT, CAPPED, 30), Some(NOW + 10))], NOW);
    let close = closed(OVERDRAFT, true);
    assert_eq!(refusal(&ask(&mut desk, &close).unwrap()), Some(Refusal::NotEmpty { account: OVERDRAFT }));
    let applied = desk.commit(&[close], NOW + 10);
    assert_eq!((dues(&applied).len(), applied.records.len()), (1, 2));
    assert!(desk.state.account(OVERDRAFT).unwrap().closed, "the hold was over");
}

#[test]
fn case_25_expired_lots_do_not_keep_an_account_open() {
    let mut desk = desk();
    post(&mut desk, vec![earning(CLUB, 40, NOW + 10)], NOW);
    let close = closed(CLUB, true);
    assert_eq!(refusal(&ask(&mut desk, &close).unwrap()), Some(Refusal::NotEmpty { account: CLUB }));
    desk.commit(&[close], NOW + 10);
    assert_eq!((desk.state.account(CLUB).unwrap().closed, balance(&desk.state, BREAKAGE)), (true, 40));
}

#[test]
fn case_34_a_floor_moves_down_freely_and_up_to_what_is_available() {
    let mut desk = desk();
    post(&mut desk, vec![holding(transfer(WALLET, CAPPED, 30), None)], NOW);
    let above = ask(&mut desk, &limits(WALLET, Some(71), None)).unwrap();
    assert_eq!(refusal(&above), Some(Refusal::Floor { account: WALLET }));
    ask(&mut desk, &limits(WALLET, Some(70), None)).unwrap();
    assert_eq!(
        refused(&mut desk, vec![transfer(WALLET, SETTLEMENT, 1)], NOW),
        Some(Refusal::Floor { account: WALLET })
    );
    ask(&mut desk, &limits(WALLET, Some(-200), None)).unwrap();
    post(&mut desk, vec![transfer(WALLET, SETTLEMENT, 270)], NOW);
    assert_eq!(balance(&desk.state, WALLET), -170);
    assert_eq!(limits(WALLET, Some(5), Some(4)).check(), Err(Invalid::Limits { account: WALLET }));
}

#[test]
fn case_34_what_keeps_lots_or_counts_has_no_credit() {
    let mut desk = desk();
    for account in [CLUB, DAILY] {
        for floor in [None, Some(-1)] {
            assert_eq!(ask(&mut desk, &limits(account, floor, None)), Err(Invalid::Nature { account }));
        }
        ask(&mut desk, &limits(account, Some(0), None)).unwrap();
        assert_eq!(desk.state.account(account).unwrap().floor, Some(0));
    }
}

#[test]
fn case_35_a_ceiling_comes_down_below_the_balance_and_lets_nothing_in_until_there_is_room() {
    let mut desk = desk();
    ask(&mut desk, &limits(WALLET, Some(0), Some(60))).unwrap();
    assert_eq!(balance(&desk.state, WALLET), 100);
    let comes = |minor| vec![transfer(SETTLEMENT, WALLET, minor)];
    assert_eq!(refused(&mut desk, comes(1), NOW), Some(Refusal::Ceiling { account: WALLET }));
    post(&mut desk, vec![transfer(WALLET, SETTLEMENT, 50)], NOW);
    assert_eq!(refused(&mut desk, comes(11), NOW), Some(Refusal::Ceiling { account: WALLET }));
    post(&mut desk, comes(10), NOW);
    assert_eq!(balance(&desk.state, WALLET), 60);
}

#[test]
fn case_34_a_floor_that_stays_is_not_judged_when_the_ceiling_changes() {
    let mut desk = desk_with(WALLET, |account| account.balance = -30);
    let changed = ask(&mut desk, &limits(WALLET, Some(0), Some(500))).unwrap();
    assert_eq!(refusal(&changed), None);
    let other = ask(&mut desk, &limits(WALLET, Some(-10), Some(500))).unwrap();
    assert_eq!(refusal(&other), Some(Refusal::Floor { account: WALLET }));
    let left = desk.state.accounts[&desk.state.by_public_id[&WALLET]];
    assert_eq!((left.balance, left.floor, left.ceiling), (-30, Some(0), Some(500)));
}

#[test]
fn case_35_a_ceiling_counts_for_what_is_captured() {
    let mut desk = desk();
    ask(&mut desk, &limits(WALLET, Some(0), Some(100))).unwrap();
    // A hold for it is no receipt yet; its capture is.
    let leg = transfer(OVERDRAFT, WALLET, 5);
    let hold = post(&mut desk, vec![holding(leg, None)], NOW);
    assert_eq!(refused(&mut desk, vec![capturing(leg, hold)], NOW), Some(Refusal::Ceiling { account: WALLET }));
    post(&mut desk, vec![voiding(leg, hold)], NOW);
    assert_eq!((balance(&desk.state, WALLET), balance(&desk.state, OVERDRAFT)), (100, 0));
}

#[test]
fn case_33_as_much_as_possible_goes_to_the_floor_and_the_ceiling_and_no_further() {
    let up_to = |debit, credit, minor| vec![by(How::UpTo, transfer(debit, credit, minor))];
    let mut desk = desk_with(CAPPED, |account| account.balance = 930);
    post(&mut desk, up_to(WALLET, CAPPED, 500), NOW);
    assert_eq!((balance(&desk.state, WALLET), balance(&desk.state, CAPPED)), (30, 1_000));
    let nothing = ask(&mut desk, &transaction(1, up_to(WALLET, CAPPED, 500))).unwrap();
    assert!(super::posted(&nothing).0.is_empty());
    post(&mut desk, up_to(WALLET, SETTLEMENT, 500), NOW);
    post(&mut desk, up_to(OVERDRAFT, SETTLEMENT, 700), NOW);
    assert_eq!((balance(&desk.state, WALLET), balance(&desk.state, OVERDRAFT)), (0, -500));
}

#[test]
fn case_36_an_allowance_is_used_in_the_transaction_of_its_cause() {
    let mut desk = desk();
    let pay = |minor| vec![transfer(WALLET, CAPPED, minor), transfer(DAILY, POOL, minor)];
    post(&mut desk, pay(60), NOW);
    ask(&mut desk, &transaction(1, vec![transfer(SETTLEMENT, WALLET, 60)])).unwrap();
    assert_eq!(refused(&mut desk, pay(41), NOW), Some(Refusal::Floor { account: DAILY }));
    post(&mut desk, pay(40), NOW);
    assert_eq!((balance(&desk.state, DAILY), balance(&desk.state, WALLET)), (0, 60));
}

#[test]
fn case_34_an_allowance_that_changes_changes_what_is_left_by_the_difference() {
    let mut desk = desk();
    let allow = |minor| change(DAILY, Change::Allowance { minor });
    post(&mut desk, vec![transfer(DAILY, POOL, 30)], NOW);
    let period_us = desk.state.account(DAILY).unwrap().period_us;
    let raised = desk.commit(&[allow(150)], NOW);
    assert_eq!(dues(&raised)[0].1[0].amount.minor, 50);
    assert_eq!(balance(&desk.state, DAILY), 120);
    ask(&mut desk, &allow(20)).unwrap();
    // Thirty of twenty are used: nothing more today.
    assert_eq!((balance(&desk.state, DAILY), desk.state.account(DAILY).unwrap().period_us), (-10, period_us));
    assert_eq!(refused(&mut desk, vec![transfer(DAILY, POOL, 1)], NOW), Some(Refusal::Floor { account: DAILY }));
    post(&mut desk, vec![transfer(DAILY, POOL, 20)], period_us);
    assert_eq!(balance(&desk.state, DAILY), 0);
    assert_eq!(
        ask(&mut desk, &change(WALLET, Change::Allowance { minor: 1 })),
        Err(Invalid::Nature { account: WALLET })
    );
}

#[test]
fn case_34_an_allowance_that_its_pool_cannot_give_is_refused_and_stays_as_it_was() {
    let mut desk = desk_with(POOL, |account| account.balance = i64::MIN + 100);
    post(&mut desk, vec![transfer(SETTLEMENT, DAILY, 1)], NOW);
    let before = *desk.state.account(DAILY).unwrap();
    let applied = desk.commit(&[change(DAILY, Change::Allowance { minor: 101 })], NOW);
    assert_eq!(applied.records.len(), 1, "one request, one record");
    assert_eq!(refusal(&applied.records[0]), Some(Refusal::Overflow { account: POOL }));
    assert_eq!(*desk.state.account(DAILY).unwrap(), before);
}

#[test]
fn case_24_an_account_keeps_lots_or_counts_only_beside_a_plain_one_of_its_asset() {
    let mut desk = Desk::new(empty_books(false));
    let open = |number| request(1, Command::Open(terms(number)));
    assert_eq!(ask(&mut desk, &open(CLUB)), Err(Invalid::Nature { account: CLUB }));
    for number in [BREAKAGE, CLUB, POOL, DAILY, ISSUE] {
        ask(&mut desk, &open(number)).unwrap();
    }
    let beside = |asset, breakage| {
        let nature = Nature::Lots { breakage, grace_us: 0 };
        request(2, Command::Open(ledger::NewAccount { asset, nature, ..terms(account(30)) }))
    };
    let euros = terms(POOL).asset;
    for (asset, other) in [(PTS, CLUB), (euros, DAILY), (PTS, POOL), (euros, BREAKAGE)] {
        assert_eq!(ask(&mut desk, &beside(asset, other)), Err(Invalid::Nature { account: account(30) }));
    }
    // What opens a quota does not use it: its first period is not there yet.
    let mut uses = transaction(3, vec![points(MONTHLY, ISSUE, 1)]);
    if let Command::Transact { open, .. } = &mut uses.command {
        *open = vec![terms(MONTHLY)];
    }
    assert_eq!(ask(&mut desk, &uses), Err(Invalid::Nature { account: MONTHLY }));
    assert_eq!((desk.state.accounts.len(), balance(&desk.state, ISSUE)), (5, 0));
    assert_eq!(Amount::new(1, PTS).asset, terms(MONTHLY).asset);
}
