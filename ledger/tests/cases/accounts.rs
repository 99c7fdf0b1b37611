//! 20 to 25: which accounts a transfer may name, and what one transaction does to one account.

use ledger::{Amount, Command, Invalid, Refusal, Transfer};

use super::{ask, balance, desk, posted, refusal, version};
use crate::play::sums;
use crate::requests::{
    CAPPED, EUR, ISSUE, NO_ASSET, NOBODY, NOW, POINTS, PTS, SETTLEMENT, WALLET, account, points, request, terms,
    transaction, transfer, with_groups,
};

#[test]
fn no_transfer_goes_from_an_account_to_itself() {
    let request = with_groups(1, vec![transfer(SETTLEMENT, WALLET, 1)], vec![vec![transfer(WALLET, WALLET, 1)]]);
    assert_eq!(request.check(), Err(Invalid::SameAccount { account: WALLET }));
}

#[test]
fn case_21_each_leg_of_one_account_sees_the_leg_before_it() {
    let mut desk = desk();
    // The wallet has 100: it pays 90, gets 30 back, pays 40 more.
    let legs = vec![transfer(WALLET, SETTLEMENT, 90), transfer(SETTLEMENT, WALLET, 30), transfer(WALLET, CAPPED, 40)];
    let record = ask(&mut desk, &transaction(1, legs)).unwrap();
    let rows = posted(&record).0;
    let wallet = [rows[0].debit, rows[1].credit, rows[2].debit].map(|side| (side.balance, side.version));
    assert_eq!(wallet, [(10, 2), (40, 3), (0, 4)]);
    // In the other order the floor is passed on the way, and that counts.
    let legs = vec![transfer(WALLET, SETTLEMENT, 1), transfer(SETTLEMENT, WALLET, 1)];
    let record = ask(&mut desk, &transaction(2, legs)).unwrap();
    assert_eq!(refusal(&record), Some(Refusal::Floor { account: WALLET }));
    assert_eq!(version(&desk.state, WALLET), 4);
}

#[test]
fn case_22_unbalanced_cannot_be_said() {
    // A transfer has one amount and two accounts: whatever is asked, each asset's balances go on adding up to zero.
    let mut desk = desk();
    let before = sums(&desk.state);
    let points = points(ISSUE, POINTS, 50);
    ask(&mut desk, &transaction(1, vec![transfer(WALLET, SETTLEMENT, 60), points])).unwrap();
    assert_eq!(sums(&desk.state), before);
    assert!(before.values().all(|sum| *sum == 0));
}

#[test]
fn case_23_both_accounts_of_a_leg_hold_its_asset() {
    let mut desk = desk();
    let leg = |debit, credit, asset| Transfer::moving(debit, credit, Amount::new(5, asset));
    let wrong = [
        (leg(WALLET, POINTS, EUR), POINTS),
        (leg(ISSUE, WALLET, EUR), ISSUE),
        (leg(WALLET, SETTLEMENT, PTS), WALLET),
        (leg(WALLET, SETTLEMENT, NO_ASSET), WALLET),
    ];
    let seq = desk.state.seq;
    for (number, (leg, account)) in (1..).zip(wrong) {
        // In a group just as in a mandatory leg: a wrong asset is no state of an account, so it drops nothing.
        let grouped = with_groups(number, vec![transfer(SETTLEMENT, WALLET, 1)], vec![vec![leg]]);
        for request in [transaction(number, vec![leg]), grouped] {
            assert_eq!(ask(&mut desk, &request), Err(Invalid::AssetMismatch { account }));
        }
    }
    assert_eq!(desk.state.seq, seq);
}

#[test]
fn case_24_an_unknown_account_is_no_request_even_in_a_group() {
    let mut desk = desk();
    let unknown = Err(Invalid::UnknownAccount { account: NOBODY });
    assert_eq!(ask(&mut desk, &transaction(1, vec![transfer(WALLET, NOBODY, 1)])), unknown);
    let grouped = with_groups(2, vec![transfer(SETTLEMENT, WALLET, 1)], vec![vec![transfer(NOBODY, WALLET, 1)]]);
    assert_eq!(ask(&mut desk, &grouped), unknown);
    let freeze = Command::Freeze { account: NOBODY, debits: true, credits: true };
    assert_eq!(ask(&mut desk, &request(3, freeze)), unknown);
    assert_eq!((balance(&desk.state, WALLET), desk.state.seq), (100, 10_000));
}

#[test]
fn case_24_a_frozen_side_refuses_and_the_other_side_does_not() {
    let mut desk = desk();
    let freeze = |debits, credits| Command::Freeze { account: WALLET, debits, credits };
    let (pay, fill) = (vec![transfer(WALLET, SETTLEMENT, 1)], vec![transfer(SETTLEMENT, WALLET, 1)]);
    let frozen = Some(Refusal::Frozen { account: WALLET });
    ask(&mut desk, &request(1, freeze(true, false))).unwrap();
    assert_eq!(refusal(&ask(&mut desk, &transaction(2, pay.clone())).unwrap()), frozen);
    assert_eq!(refusal(&ask(&mut desk, &transaction(3, fill.clone())).unwrap()), None);
    ask(&mut desk, &request(4, freeze(false, true))).unwrap();
    assert_eq!(refusal(&ask(&mut desk, &transaction(5, pay.clone())).unwrap()), None);
    assert_eq!(refusal(&ask(&mut desk, &transaction(6, fill.clone())).unwrap()), frozen);
    ask(&mut desk, &request(7, freeze(false, false))).unwrap();
    assert_eq!(refusal(&ask(&mut desk, &transaction(8, [pay, fill].concat())).unwrap()), None);
    assert_eq!((balance(&desk.state, WALLET), version(&desk.state, WALLET)), (100, 5));
}

#[test]
fn case_25_a_freeze_leaves_balance_and_version_where_they_are() {
    let mut desk = desk();
    let freeze = Command::Freeze { account: WALLET, debits: true, credits: true };
    ask(&mut desk, &request(1, freeze)).unwrap();
    assert_eq!((balance(&desk.state, WALLET), version(&desk.state, WALLET)), (100, 1));
}

#[test]
fn an_account_is_open_only_if_the_transaction_that_opens_it_is_accepted() {
    let mut desk = desk();
    let new = account(8);
    let opening = |number, minor| {
        let mut asked = transaction(number, vec![transfer(SETTLEMENT, new, minor), transfer(new, WALLET, 7)]);
        if let Command::Transact { open, .. } = &mut asked.command {
            *open = vec![terms(new), terms(new), terms(WALLET)];
        }
        asked
    };
    let batch = [opening(1, 6), transaction(2, vec![transfer(SETTLEMENT, new, 1)]), opening(3, 7), opening(4, 9)];
    let applied = desk.commit(&batch, NOW);
    assert_eq!(refusal(&super::one_answer(&applied, 0).unwrap()), Some(Refusal::Floor { account: new }));
    assert_eq!(super::one_answer(&applied, 1), Err(Invalid::UnknownAccount { account: new }));
    // Refusal, opening, transaction, transaction: opened once, under the seq of its own record.
    let kinds: Vec<i32> = applied.records.iter().map(|record| record.body.kind()).collect();
    assert_eq!(kinds, [4, 2, 1, 1]);
    assert_eq!(desk.state.account(new).unwrap().id.0, 10_002);
    assert_eq!((balance(&desk.state, new), version(&desk.state, new)), (2, 4));
}
