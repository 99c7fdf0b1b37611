//! 10 to 19: amounts.

use ledger::{Invalid, MAX_AMOUNT, Refusal};

use super::{ask, balance, desk, desk_with, posted, refusal};
use crate::requests::{BOTTOM, SETTLEMENT, TOP, WALLET, transaction, transfer, with_groups};

#[test]
fn zero_is_no_amount() {
    let request = transaction(1, vec![transfer(SETTLEMENT, WALLET, 0)]);
    assert_eq!(request.check(), Err(Invalid::Amount { minor: 0 }));
}

#[test]
fn a_negative_amount_is_none_in_a_group_either() {
    for minor in [-1, -MAX_AMOUNT, i64::MIN] {
        let request = with_groups(1, vec![transfer(SETTLEMENT, WALLET, 1)], vec![vec![transfer(WALLET, TOP, minor)]]);
        assert_eq!(request.check(), Err(Invalid::Amount { minor }));
    }
}

#[test]
fn case_12_the_largest_amount_passes_and_one_more_does_not() {
    let mut desk = desk();
    let most = transaction(1, vec![transfer(SETTLEMENT, WALLET, MAX_AMOUNT)]);
    assert_eq!(most.check(), Ok(()));
    ask(&mut desk, &most).unwrap();
    assert_eq!(balance(&desk.state, WALLET), MAX_AMOUNT + 100);
    for minor in [MAX_AMOUNT + 1, i64::MAX] {
        let request = transaction(2, vec![transfer(SETTLEMENT, WALLET, minor)]);
        assert_eq!(request.check(), Err(Invalid::Amount { minor }));
    }
}

#[test]
fn case_13_a_balance_reaches_the_edge_of_64_bits_and_is_refused_past_it() {
    let mut desk = desk();
    let to_the_edge = transaction(1, vec![transfer(BOTTOM, TOP, 10)]);
    ask(&mut desk, &to_the_edge).unwrap();
    assert_eq!((balance(&desk.state, TOP), balance(&desk.state, BOTTOM)), (i64::MAX, -i64::MAX));
    let past_the_top = ask(&mut desk, &transaction(2, vec![transfer(SETTLEMENT, TOP, 1)])).unwrap();
    assert_eq!(refusal(&past_the_top), Some(Refusal::Overflow { account: TOP }));
    // The smallest balance there is has one more unit than the largest.
    ask(&mut desk, &transaction(3, vec![transfer(BOTTOM, WALLET, 1)])).unwrap();
    assert_eq!(balance(&desk.state, BOTTOM), i64::MIN);
    let past_the_bottom = ask(&mut desk, &transaction(4, vec![transfer(BOTTOM, WALLET, 1)])).unwrap();
    assert_eq!(refusal(&past_the_bottom), Some(Refusal::Overflow { account: BOTTOM }));
    assert_eq!(balance(&desk.state, WALLET), 101);
}

#[test]
fn case_13_a_sum_that_passes_64_bits_only_on_its_way_is_refused_too() {
    // In and out of the same account would end where it began; each row's balance is real, so the first row decides.
    let mut desk = desk();
    let there_and_back = vec![transfer(SETTLEMENT, TOP, 11), transfer(TOP, SETTLEMENT, 11)];
    let record = ask(&mut desk, &transaction(1, there_and_back)).unwrap();
    assert_eq!(refusal(&record), Some(Refusal::Overflow { account: TOP }));
}

#[test]
fn case_14_balance_less_held_past_64_bits_is_refused() {
    let mut desk = desk_with(BOTTOM, |account| account.held = 20);
    let record = ask(&mut desk, &transaction(1, vec![transfer(BOTTOM, WALLET, 1)])).unwrap();
    assert_eq!(refusal(&record), Some(Refusal::Overflow { account: BOTTOM }));
}

#[test]
fn case_19_balances_above_two_to_the_53_are_exact() {
    let mut desk = desk();
    let odd = (1_i64 << 53) + 1;
    let full = vec![transfer(SETTLEMENT, WALLET, MAX_AMOUNT); 9];
    ask(&mut desk, &transaction(1, full)).unwrap();
    let rest = odd - balance(&desk.state, WALLET);
    let record = ask(&mut desk, &transaction(2, vec![transfer(SETTLEMENT, WALLET, rest)])).unwrap();
    assert_eq!(posted(&record).0[0].credit.balance, odd);
    assert_eq!(balance(&desk.state, SETTLEMENT), -odd);
}
