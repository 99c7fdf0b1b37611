//! 39 to 47: what is set aside, and how it ends.

use ledger::apply::LOTS;
use ledger::{Change, Command, Group, Invalid, LegRef, Refusal, RowKind, Transfer};

use super::{
    ask, ask_at, balance, capturing, desk, dues, held, hold_at, holding, lots, post, posted, refused, voiding,
};
use crate::requests::{
    CAPPED, CLUB, DAY_US, NOW, POINTS, SETTLEMENT, WALLET, earning, points, request, transaction, transfer,
};

/// The wallet sets aside in favour of the capped one.
fn buying(minor: i64) -> Transfer {
    transfer(WALLET, CAPPED, minor)
}

#[test]
fn case_39_a_hold_is_captured_in_full_and_then_ended() {
    let mut desk = desk();
    let hold = post(&mut desk, vec![holding(buying(60), None)], NOW);
    assert_eq!((balance(&desk.state, WALLET), held(&desk.state, WALLET)), (100, 60));
    post(&mut desk, vec![capturing(buying(60), hold)], NOW);
    assert_eq!((balance(&desk.state, WALLET), held(&desk.state, WALLET), balance(&desk.state, CAPPED)), (40, 0, 60));
    let ended = Some(Refusal::HoldEnded { hold });
    assert_eq!(refused(&mut desk, vec![capturing(buying(1), hold)], NOW), ended);
    assert_eq!(refused(&mut desk, vec![voiding(buying(0), hold)], NOW), ended);
    assert_eq!(hold_at(&desk, hold).remaining, 0);
}

#[test]
fn case_39_a_hold_is_captured_in_parts_never_beyond_it_and_the_rest_given_back() {
    let mut desk = desk();
    let hold = post(&mut desk, vec![holding(buying(60), None)], NOW);
    post(&mut desk, vec![capturing(buying(25), hold), capturing(buying(10), hold)], NOW);
    assert_eq!(hold_at(&desk, hold).remaining, 25);
    let exceeded = refused(&mut desk, vec![capturing(buying(26), hold)], NOW);
    assert_eq!(exceeded, Some(Refusal::HoldExceeded { hold }));
    post(&mut desk, vec![voiding(buying(0), hold)], NOW);
    assert_eq!((balance(&desk.state, WALLET), held(&desk.state, WALLET), balance(&desk.state, CAPPED)), (65, 0, 35));
}

#[test]
fn case_39_only_the_accounts_of_a_hold_capture_it() {
    let mut desk = desk();
    let hold = post(&mut desk, vec![holding(buying(60), None)], NOW);
    let nowhere = LegRef { leg: 1, ..hold };
    let wrong = [(transfer(WALLET, SETTLEMENT, 5), hold), (transfer(CAPPED, WALLET, 5), hold), (buying(5), nowhere)];
    for (leg, of) in wrong {
        let no_row = Err(Invalid::NotThatRow { of });
        assert_eq!(ask(&mut desk, &transaction(1, vec![capturing(leg, of)])), no_row);
        assert_eq!(ask(&mut desk, &transaction(1, vec![voiding(leg, of)])), no_row);
    }
    assert_eq!((held(&desk.state, WALLET), desk.state.seq), (60, hold.seq));
}

#[test]
fn case_40_of_two_captures_in_one_batch_the_second_finds_it_ended() {
    let mut desk = desk();
    let hold = post(&mut desk, vec![holding(buying(60), None)], NOW);
    let capture = |number| transaction(number, vec![capturing(buying(60), hold)]);
    let applied = desk.commit(&[capture(1), capture(2)], NOW);
    assert_eq!(super::refusal(&applied.records[1]), Some(Refusal::HoldEnded { hold }));
    assert_eq!((balance(&desk.state, WALLET), balance(&desk.state, CAPPED)), (40, 60));
}

#[test]
fn case_41_of_a_void_and_a_capture_the_first_wins() {
    for void_first in [true, false] {
        let mut desk = desk();
        let hold = post(&mut desk, vec![holding(buying(60), None)], NOW);
        let (void, capture) = (voiding(buying(0), hold), capturing(buying(60), hold));
        let race = if void_first { [void, capture] } else { [capture, void] };
        let applied = desk.commit(&race.map(|leg| transaction(1, vec![leg])), NOW);
        assert_eq!(super::refusal(&applied.records[1]), Some(Refusal::HoldEnded { hold }));
        let expected = if void_first { (100, 0) } else { (40, 60) };
        assert_eq!((balance(&desk.state, WALLET), balance(&desk.state, CAPPED)), expected);
        assert_eq!(held(&desk.state, WALLET), 0);
    }
}

#[test]
fn case_42_at_the_instant_it_expires_a_hold_can_no_longer_be_captured() {
    let mut desk = desk();
    let hold = post(&mut desk, vec![holding(buying(60), Some(NOW + 10))], NOW);
    post(&mut desk, vec![capturing(buying(20), hold)], NOW + 9);
    let capture = transaction(1, vec![capturing(buying(20), hold)]);
    let applied = desk.commit(std::slice::from_ref(&capture), NOW + 10);
    assert_eq!(super::refusal(&applied.records[1]), Some(Refusal::HoldEnded { hold }));
    let (account, rows) = &dues(&applied)[0];
    assert_eq!((*account, rows.len(), rows[0].kind, rows[0].amount.minor), (WALLET, 1, RowKind::Expire, 40));
    assert_eq!((balance(&desk.state, WALLET), held(&desk.state, WALLET)), (80, 0));
}

#[test]
fn case_42_no_hold_begins_that_has_ended() {
    let mut desk = desk();
    for expires_us in [NOW, NOW - 1, 0] {
        let hold = transaction(1, vec![transfer(SETTLEMENT, WALLET, 1), holding(buying(1), Some(expires_us))]);
        assert_eq!(ask(&mut desk, &hold), Err(Invalid::Dates { leg: 1 }));
    }
    assert_eq!((balance(&desk.state, WALLET), desk.state.seq), (100, 10_000));
}

#[test]
fn case_43_more_expired_holds_than_are_written_down_at_a_time_refuse_nobody() {
    let mut desk = desk();
    let many = i64::try_from(LOTS).unwrap() + 5;
    post(&mut desk, vec![transfer(SETTLEMENT, WALLET, many - 100)], NOW);
    let legs = (0..many).map(|n| holding(buying(1), Some(NOW + 10 + n % 3))).collect();
    post(&mut desk, legs, NOW);
    assert_eq!(held(&desk.state, WALLET), many, "nothing is left to be spent");
    let later = NOW + 20;
    let all = transaction(1, vec![transfer(WALLET, SETTLEMENT, many)]);
    let again = Err(Invalid::StillDue { account: WALLET });
    assert_eq!(ask_at(&mut desk, &all, later), again, "the rest is held by nothing but a page's end");
    assert_eq!(held(&desk.state, WALLET), 5, "what was looked up was written down");
    assert!(ask_at(&mut desk, &all, later).is_ok_and(|record| super::refusal(&record).is_none()));
    assert_eq!((balance(&desk.state, WALLET), held(&desk.state, WALLET)), (0, 0));
}

#[test]
fn case_43_many_holds_of_which_few_have_expired_are_in_nobodys_way() {
    let mut desk = desk();
    let many = i64::try_from(LOTS).unwrap() + 5;
    post(&mut desk, vec![transfer(SETTLEMENT, WALLET, many)], NOW);
    let legs = (0..many).map(|n| holding(buying(1), Some(NOW + 10 + n))).collect();
    post(&mut desk, legs, NOW);
    post(&mut desk, vec![transfer(WALLET, SETTLEMENT, 101)], NOW + 10);
    assert_eq!((balance(&desk.state, WALLET), held(&desk.state, WALLET)), (many - 1, many - 1));
    assert_eq!(desk.state.account(WALLET).unwrap().next_due_us, NOW + 11);
}

#[test]
fn case_43_an_expired_hold_frees_what_it_held_for_whoever_asks_next() {
    let mut desk = desk();
    post(&mut desk, vec![holding(buying(60), Some(NOW + 10))], NOW);
    let pay = |minor| vec![transfer(WALLET, SETTLEMENT, minor)];
    assert_eq!(refused(&mut desk, pay(41), NOW + 9), Some(Refusal::Floor { account: WALLET }));
    // Nobody swept anything.
    post(&mut desk, pay(100), NOW + 10);
    assert_eq!((balance(&desk.state, WALLET), held(&desk.state, WALLET)), (0, 0));
}

#[test]
fn case_44_what_is_due_is_written_once_however_late_and_however_often_somebody_comes() {
    let mut desk = desk();
    let first = post(&mut desk, vec![holding(buying(10), Some(NOW + 20))], NOW);
    let second = post(&mut desk, vec![holding(buying(20), Some(NOW + 10))], NOW);
    let late = NOW + 9 * DAY_US;
    let touch = |number| transaction(number, vec![transfer(SETTLEMENT, WALLET, 1)]);
    let applied = desk.commit(&[touch(1), touch(2)], late);
    let again = desk.commit(&[touch(3)], late + 1);
    let swept = dues(&applied);
    assert_eq!((swept.len(), dues(&again).len()), (1, 0));
    // In the order in which they ended.
    let ended: Vec<_> = swept[0].1.iter().map(|row| (row.of().unwrap(), row.amount.minor)).collect();
    assert_eq!(ended, [(second, 20), (first, 10)]);
    assert_eq!((balance(&desk.state, WALLET), held(&desk.state, WALLET)), (103, 0));
}

#[test]
fn case_44_a_sweep_writes_what_is_due_and_a_second_one_finds_nothing() {
    let mut desk = desk();
    post(&mut desk, vec![holding(buying(10), Some(NOW + 20))], NOW);
    let sweep = |number| request(number, Command::Sweep { account: WALLET });
    assert_eq!(ask_at(&mut desk, &sweep(1), NOW + 19), Err(Invalid::NothingDue { account: WALLET }));
    let applied = desk.commit(&[sweep(2), sweep(3)], NOW + 20);
    assert_eq!(applied.answers, [Ok(0), Err(Invalid::NothingDue { account: WALLET })]);
    assert_eq!((dues(&applied)[0].1[0].amount.minor, applied.records.len()), (10, 1));
    assert_eq!((balance(&desk.state, WALLET), held(&desk.state, WALLET)), (100, 0));
}

#[test]
fn case_45_holds_of_one_transaction_are_captured_together_or_not_at_all() {
    let mut desk = desk();
    let first = post(&mut desk, vec![holding(buying(30), None), holding(buying(40), None)], NOW);
    let second = LegRef { leg: 1, ..first };
    post(&mut desk, vec![voiding(buying(0), second)], NOW);
    let both = vec![capturing(buying(30), first), capturing(buying(40), second)];
    assert_eq!(refused(&mut desk, both, NOW), Some(Refusal::HoldEnded { hold: second }));
    assert_eq!((hold_at(&desk, first).remaining, held(&desk.state, WALLET)), (30, 30));
    // In an optional group it falls back on what there still is.
    let mut fallback = transaction(1, vec![transfer(SETTLEMENT, WALLET, 1)]);
    if let Command::Transact { groups, .. } = &mut fallback.command {
        let transfers = vec![capturing(buying(30), first), capturing(buying(40), second)];
        *groups = vec![Group { transfers, fallback: vec![capturing(buying(30), first)] }];
    }
    let record = ask(&mut desk, &fallback).unwrap();
    let (rows, dropped) = posted(&record);
    assert_eq!(
        rows.iter().map(|row| (row.leg, row.kind)).collect::<Vec<_>>(),
        [(0, RowKind::Move), (3, RowKind::Capture)]
    );
    assert_eq!(dropped[0].refusal, Refusal::HoldEnded { hold: second });
    assert_eq!((balance(&desk.state, CAPPED), held(&desk.state, WALLET)), (30, 0));
}

#[test]
fn case_46_a_hold_on_an_account_frozen_meanwhile_is_not_captured_and_can_be_given_back() {
    let mut desk = desk();
    let hold = post(&mut desk, vec![holding(buying(60), Some(NOW + 10))], NOW);
    let other = post(&mut desk, vec![holding(buying(5), None)], NOW);
    ask(&mut desk, &request(2, Command::Freeze { account: WALLET, debits: true, credits: true })).unwrap();
    let capture = vec![capturing(buying(60), hold)];
    assert_eq!(refused(&mut desk, capture, NOW), Some(Refusal::Frozen { account: WALLET }));
    post(&mut desk, vec![voiding(buying(0), other)], NOW);
    // Time asks nobody either.
    assert_eq!(
        refused(&mut desk, vec![transfer(SETTLEMENT, WALLET, 1)], NOW + 10),
        Some(Refusal::Frozen { account: WALLET })
    );
    assert_eq!((balance(&desk.state, WALLET), held(&desk.state, WALLET)), (100, 0));
}

#[test]
fn case_46_a_hold_for_an_account_closed_meanwhile_is_given_back_only() {
    let mut desk = desk();
    let hold = post(&mut desk, vec![holding(buying(60), None)], NOW);
    let close = |account| request(2, Command::Change { account, change: Change::Closed { closed: true } });
    ask(&mut desk, &close(CAPPED)).unwrap();
    assert_eq!(refused(&mut desk, vec![capturing(buying(60), hold)], NOW), Some(Refusal::Closed { account: CAPPED }));
    post(&mut desk, vec![voiding(buying(0), hold)], NOW);
    assert_eq!((balance(&desk.state, WALLET), held(&desk.state, WALLET), balance(&desk.state, CAPPED)), (100, 0, 0));
}

#[test]
fn case_47_what_was_held_is_captured_whatever_the_floor_has_become() {
    let mut desk = desk();
    let hold = post(&mut desk, vec![holding(buying(60), None)], NOW);
    let floor =
        |floor| Command::Change { account: WALLET, change: Change::Limits { floor: Some(floor), ceiling: None } };
    // Forty are available: no floor above that, and what is held is not touched by one at that.
    let above = ask(&mut desk, &request(2, floor(41))).unwrap();
    assert_eq!(super::refusal(&above), Some(Refusal::Floor { account: WALLET }));
    ask(&mut desk, &request(3, floor(40))).unwrap();
    post(&mut desk, vec![capturing(buying(60), hold)], NOW);
    assert_eq!((balance(&desk.state, WALLET), held(&desk.state, WALLET)), (40, 0));
}

#[test]
fn case_39_a_hold_pins_lots_in_order_and_captures_them_in_order() {
    let mut desk = desk();
    post(&mut desk, vec![earning(CLUB, 30, NOW + 50), earning(CLUB, 30, NOW + 90)], NOW);
    let hold = post(&mut desk, vec![holding(points(CLUB, POINTS, 40), None)], NOW);
    assert_eq!(lots(&desk, CLUB), [(NOW + 50, 30, 30), (NOW + 90, 30, 10)]);
    post(&mut desk, vec![capturing(points(CLUB, POINTS, 35), hold)], NOW);
    assert_eq!(lots(&desk, CLUB), [(NOW + 90, 25, 5)]);
    let applied = desk.commit(&[transaction(1, vec![voiding(points(CLUB, POINTS, 0), hold)])], NOW);
    assert_eq!(posted(&applied.records[0]).0[0].debit_lots().iter().map(|piece| piece.minor).sum::<i64>(), 5);
    assert_eq!(lots(&desk, CLUB), [(NOW + 90, 25, 0)]);
    let spend = ask_at(&mut desk, &transaction(2, vec![points(CLUB, POINTS, 25)]), NOW).unwrap();
    assert_eq!((posted(&spend).0.len(), balance(&desk.state, CLUB)), (1, 0));
}
