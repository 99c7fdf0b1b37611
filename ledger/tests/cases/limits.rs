//! 33 to 38: floors and ceilings.

use ledger::{Account, Command, Invalid, MAX_AMOUNT, NewAccount, Refusal};

use super::{ask, balance, desk, desk_with, refusal};
use crate::requests::{CAPPED, OVERDRAFT, SETTLEMENT, WALLET, account, request, terms, transaction, transfer};

#[test]
fn case_33_exactly_at_the_floor_passes_and_one_unit_below_does_not() {
    for (payer, has, left) in [(WALLET, 100, 0), (OVERDRAFT, 500, -500)] {
        let mut desk = desk();
        let below = ask(&mut desk, &transaction(1, vec![transfer(payer, SETTLEMENT, has + 1)])).unwrap();
        assert_eq!(refusal(&below), Some(Refusal::Floor { account: payer }));
        let at = ask(&mut desk, &transaction(2, vec![transfer(payer, SETTLEMENT, has)])).unwrap();
        assert_eq!(refusal(&at), None);
        let one_more = ask(&mut desk, &transaction(3, vec![transfer(payer, SETTLEMENT, 1)])).unwrap();
        assert_eq!(refusal(&one_more), Some(Refusal::Floor { account: payer }));
        assert_eq!(balance(&desk.state, payer), left);
    }
}

#[test]
fn case_34_limits_exclude_no_opening_balance_and_do_not_move_by_opening_again() {
    let above_zero = NewAccount { floor: Some(1), ..terms(account(8)) };
    let limits = Err(Invalid::Limits { account: account(8) });
    assert_eq!(request(1, Command::Open(above_zero)).check(), limits);
    let below_zero = NewAccount { ceiling: Some(-1), ..terms(account(8)) };
    assert_eq!(request(2, Command::Open(below_zero)).check(), limits);
    let mut desk = desk();
    let mut lower = transaction(3, vec![transfer(WALLET, SETTLEMENT, 101)]);
    if let Command::Transact { open, .. } = &mut lower.command {
        *open = vec![NewAccount { floor: Some(-1_000), ..terms(WALLET) }];
    }
    assert_eq!(refusal(&ask(&mut desk, &lower).unwrap()), Some(Refusal::Floor { account: WALLET }));
    assert_eq!(balance(&desk.state, WALLET), 100);
}

#[test]
fn case_35_the_ceiling_counts_on_receipt() {
    let mut desk = desk();
    let fill = |number, minor| transaction(number, vec![transfer(SETTLEMENT, CAPPED, minor)]);
    let above = ask(&mut desk, &fill(1, 1_001)).unwrap();
    assert_eq!(refusal(&above), Some(Refusal::Ceiling { account: CAPPED }));
    assert_eq!(refusal(&ask(&mut desk, &fill(2, 1_000)).unwrap()), None);
    let one_more = ask(&mut desk, &fill(3, 1)).unwrap();
    assert_eq!(refusal(&one_more), Some(Refusal::Ceiling { account: CAPPED }));
    // Whoever is above it, by a rule that came later, may still pay.
    let over = |account: &mut Account| account.balance = 5_000;
    let mut desk = desk_with(CAPPED, over);
    ask(&mut desk, &transaction(4, vec![transfer(CAPPED, SETTLEMENT, 10)])).unwrap();
    assert_eq!(balance(&desk.state, CAPPED), 4_990);
}

#[test]
fn case_36_the_floor_counts_what_is_held() {
    let mut desk = desk_with(WALLET, |account| account.held = 30);
    let too_much = ask(&mut desk, &transaction(1, vec![transfer(WALLET, SETTLEMENT, 71)])).unwrap();
    assert_eq!(refusal(&too_much), Some(Refusal::Floor { account: WALLET }));
    let all = ask(&mut desk, &transaction(2, vec![transfer(WALLET, SETTLEMENT, 70)])).unwrap();
    assert_eq!(refusal(&all), None);
    assert_eq!(desk.state.account(WALLET).unwrap().held, 30);
}

#[test]
fn case_37_a_credit_that_only_repays_an_overdraft_passes() {
    let mut desk = desk_with(WALLET, |account| account.balance = -80);
    let repay = ask(&mut desk, &transaction(1, vec![transfer(SETTLEMENT, WALLET, 30)])).unwrap();
    assert_eq!(refusal(&repay), None);
    assert_eq!(balance(&desk.state, WALLET), -50);
    let pay = ask(&mut desk, &transaction(2, vec![transfer(WALLET, SETTLEMENT, 1)])).unwrap();
    assert_eq!(refusal(&pay), Some(Refusal::Floor { account: WALLET }));
}

#[test]
fn case_38_an_account_of_the_house_has_no_limit() {
    let mut desk = desk();
    for number in 1..=20 {
        let most = transaction(number, vec![transfer(SETTLEMENT, WALLET, MAX_AMOUNT); 100]);
        assert_eq!(refusal(&ask(&mut desk, &most).unwrap()), None);
    }
    assert_eq!(balance(&desk.state, SETTLEMENT), -100 - 2_000 * MAX_AMOUNT);
}
