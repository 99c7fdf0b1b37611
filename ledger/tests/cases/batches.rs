//! 26 to 31: what a batch does, and what its requests see of each other.

use ledger::{Claim, Command, Dropped, Invalid, Limits, NewAccount, Refusal, Request};
use uuid::Uuid;

use super::{ask, balance, desk, one_answer, posted, refusal, version};
use crate::requests::{CAPPED, NOW, OVERDRAFT, SETTLEMENT, WALLET, account, terms, transaction, transfer, with_groups};

/// The capped wallet takes 1,000 and no more.
const TOO_MUCH: i64 = 1_001;

#[test]
fn case_26_a_group_that_fails_at_its_first_item_is_gone() {
    let mut desk = desk();
    let group = vec![transfer(SETTLEMENT, CAPPED, TOO_MUCH), transfer(SETTLEMENT, WALLET, 5)];
    let record = ask(&mut desk, &with_groups(1, vec![transfer(SETTLEMENT, WALLET, 1)], vec![group])).unwrap();
    let (rows, dropped) = posted(&record);
    assert_eq!(rows.len(), 1);
    assert_eq!(dropped, [Dropped { group: 0, refusal: Refusal::Ceiling { account: CAPPED } }]);
    assert_eq!((balance(&desk.state, WALLET), balance(&desk.state, CAPPED)), (101, 0));
}

#[test]
fn case_26_a_group_that_fails_at_its_last_item_takes_the_others_with_it() {
    let mut desk = desk();
    let failing = vec![transfer(SETTLEMENT, WALLET, 5), transfer(WALLET, CAPPED, 3), transfer(CAPPED, SETTLEMENT, 4)];
    let good = vec![transfer(SETTLEMENT, WALLET, 7)];
    let request = with_groups(1, vec![transfer(SETTLEMENT, WALLET, 1)], vec![failing, good]);
    let record = ask(&mut desk, &request).unwrap();
    let (rows, dropped) = posted(&record);
    // Legs are those of the request, so that the gap shows what is missing; versions have no gap.
    assert_eq!(rows.iter().map(|row| row.leg).collect::<Vec<_>>(), [0, 4]);
    assert_eq!(rows.iter().map(|row| row.credit.version).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(dropped, [Dropped { group: 0, refusal: Refusal::Floor { account: CAPPED } }]);
    assert_eq!((balance(&desk.state, WALLET), balance(&desk.state, CAPPED)), (108, 0));
    assert_eq!(version(&desk.state, CAPPED), 0);
}

#[test]
fn case_26_a_mandatory_leg_that_fails_last_takes_the_groups_with_it() {
    let mut desk = desk();
    let legs = vec![transfer(SETTLEMENT, WALLET, 5), transfer(SETTLEMENT, CAPPED, TOO_MUCH)];
    let record = ask(&mut desk, &with_groups(1, legs, vec![vec![transfer(SETTLEMENT, WALLET, 7)]])).unwrap();
    assert_eq!(refusal(&record), Some(Refusal::Ceiling { account: CAPPED }));
    assert_eq!((balance(&desk.state, WALLET), version(&desk.state, WALLET)), (100, 1));
}

#[test]
fn case_27_an_item_sees_what_the_one_before_it_did() {
    let mut desk = desk();
    let batch = [
        transaction(1, vec![transfer(SETTLEMENT, OVERDRAFT, 50)]),
        // Has 50 and may go to −500 only thanks to the item before.
        transaction(2, vec![transfer(OVERDRAFT, WALLET, 550)]),
        transaction(3, vec![transfer(WALLET, SETTLEMENT, 650)]),
    ];
    let applied = desk.commit(&batch, NOW);
    assert!(applied.records.iter().all(|record| refusal(record).is_none()));
    assert_eq!((balance(&desk.state, OVERDRAFT), balance(&desk.state, WALLET)), (-500, 0));
}

#[test]
fn case_28_an_item_does_not_see_what_a_refused_one_tried() {
    let mut desk = desk();
    let batch = [
        transaction(1, vec![transfer(WALLET, SETTLEMENT, 40)]),
        transaction(2, vec![transfer(SETTLEMENT, WALLET, 500), transfer(SETTLEMENT, CAPPED, TOO_MUCH)]),
        transaction(3, vec![transfer(WALLET, SETTLEMENT, 61)]),
        transaction(4, vec![transfer(WALLET, SETTLEMENT, 60)]),
    ];
    let applied = desk.commit(&batch, NOW);
    let refusals: Vec<_> = applied.records.iter().map(refusal).collect();
    let (ceiling, floor) = (Refusal::Ceiling { account: CAPPED }, Refusal::Floor { account: WALLET });
    assert_eq!(refusals, [None, Some(ceiling), Some(floor), None]);
    assert_eq!((balance(&desk.state, WALLET), version(&desk.state, WALLET)), (0, 3));
}

#[test]
fn case_28_a_refused_item_uses_up_no_claim_and_the_second_winner_learns_of_the_first() {
    let mut desk = desk();
    let claiming = |number, minor| {
        let mut asked = transaction(number, vec![transfer(SETTLEMENT, CAPPED, minor)]);
        if let Command::Transact { claim, .. } = &mut asked.command {
            *claim = Some(Claim(Uuid::from_u128(5)));
        }
        asked
    };
    let applied = desk.commit(&[claiming(1, TOO_MUCH), claiming(2, 10), claiming(3, 10)], NOW);
    let spent = Some(Refusal::ClaimSpent { seq: 10_002 });
    assert_eq!(refusal(&one_answer(&applied, 1).unwrap()), None);
    assert_eq!(refusal(&one_answer(&applied, 2).unwrap()), spent);
    // And so does a later batch, before anything else is looked at.
    assert_eq!(refusal(&ask(&mut desk, &claiming(4, TOO_MUCH)).unwrap()), spent);
    assert_eq!(balance(&desk.state, CAPPED), 10);
}

#[test]
fn case_29_an_empty_batch_is_nothing() {
    let mut desk = desk();
    let applied = desk.commit(&[], NOW);
    assert!(applied.records.is_empty() && applied.answers.is_empty() && applied.changed.is_empty());
    assert_eq!((desk.state.seq, desk.state.last_us), (10_000, NOW - 3));
    assert_eq!(transaction(1, vec![]).check(), Err(Invalid::Empty));
}

#[test]
fn case_29_the_largest_transaction_passes_and_one_leg_more_does_not() {
    let mut desk = desk();
    let legs = |count| vec![transfer(SETTLEMENT, WALLET, 1); count];
    let most = with_groups(1, legs(Limits::TRANSFERS - 2), vec![legs(1), legs(1)]);
    assert_eq!(most.check(), Ok(()));
    ask(&mut desk, &most).unwrap();
    assert_eq!((balance(&desk.state, WALLET), version(&desk.state, WALLET)), (1_100, 1_001));
    let more = with_groups(2, legs(Limits::TRANSFERS - 2), vec![legs(1), legs(2)]);
    assert_eq!(more.check(), Err(Invalid::TooMany { what: "transfers", limit: Limits::TRANSFERS }));
    let opening = |count: usize| {
        let mut asked = transaction(3, legs(1));
        if let Command::Transact { open, .. } = &mut asked.command {
            let terms = |number| NewAccount { public_id: account(number), ..terms(WALLET) };
            *open = (100..).take(count).map(terms).collect();
        }
        asked
    };
    assert_eq!(opening(Limits::OPENS).check(), Ok(()));
    let too_many = Invalid::TooMany { what: "accounts to open", limit: Limits::OPENS };
    assert_eq!(opening(Limits::OPENS + 1).check(), Err(too_many));
}

#[test]
fn case_31_all_items_of_a_batch_on_one_hot_account() {
    let mut desk = desk();
    let batch: Vec<Request> = (0..4_096).map(|n| transaction(n, vec![transfer(SETTLEMENT, WALLET, 3)])).collect();
    let applied = desk.commit(&batch, NOW);
    let standings = applied.records.iter().map(|record| {
        let side = posted(record).0[0].credit;
        (side.balance, side.version)
    });
    assert!(standings.eq((1..=4_096).map(|n| (100 + 3 * n, 1 + n))));
    assert_eq!(balance(&desk.state, WALLET), 100 + 3 * 4_096);
}
