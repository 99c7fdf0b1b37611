//! 48 to 54: back where it came from, and never more than came.

use ledger::{Calendar, Invalid, LegRef, Period, Refusal};

use super::{ask, ask_at, balance, capturing, desk, held, holding, lots, post, posted, refunding, refused};
use crate::play::sums;
use crate::requests::by;
use crate::requests::{
    CAPPED, CLUB, DAILY, DAY_US, ISSUE, NOW, OVERDRAFT, POINTS, POOL, SETTLEMENT, WALLET, earning, points, transaction,
    transfer, with_groups,
};
use ledger::How;

#[test]
fn case_48_partial_refunds_reach_exactly_the_total_and_not_a_unit_more() {
    let mut desk = desk();
    let paid = post(&mut desk, vec![transfer(WALLET, CAPPED, 90)], NOW);
    let back = |minor| vec![refunding(transfer(CAPPED, WALLET, minor), paid, false)];
    let exceeded = Some(Refusal::RefundExceeded { of: paid });
    assert_eq!(refused(&mut desk, back(91), NOW), exceeded);
    post(&mut desk, back(30), NOW);
    post(&mut desk, [back(20), back(15)].concat(), NOW);
    assert_eq!(refused(&mut desk, back(26), NOW), exceeded);
    post(&mut desk, back(25), NOW + 400 * DAY_US);
    assert_eq!(refused(&mut desk, back(1), NOW), exceeded);
    assert_eq!((balance(&desk.state, WALLET), balance(&desk.state, CAPPED)), (100, 0));
    assert_eq!(desk.refunded[&paid], 90);
}

#[test]
fn case_48_a_refund_in_full_is_linked_to_its_row() {
    let mut desk = desk();
    let paid = post(&mut desk, vec![transfer(WALLET, CAPPED, 90)], NOW);
    let refund = transaction(1, vec![refunding(transfer(CAPPED, WALLET, 90), paid, false)]);
    let applied = desk.commit(&[refund], NOW);
    let by = LegRef { seq: paid.seq + 1, leg: 0 };
    assert_eq!(applied.links.iter().map(|link| (link.of, link.by, link.minor)).collect::<Vec<_>>(), [(paid, by, 90)]);
    assert_eq!(posted(&applied.records[0]).0[0].of(), Some(paid));
    assert_eq!((balance(&desk.state, WALLET), balance(&desk.state, CAPPED)), (100, 0));
}

#[test]
fn case_49_a_second_refund_of_the_whole_moves_nothing() {
    // The same key never reaches a batch twice; under another key there is nothing left.
    let mut desk = desk();
    let paid = post(&mut desk, vec![transfer(WALLET, CAPPED, 90)], NOW);
    let refund = |number| transaction(number, vec![refunding(transfer(CAPPED, WALLET, 90), paid, true)]);
    let applied = desk.commit(&[refund(1), refund(2)], NOW);
    assert_eq!(super::refusal(&applied.records[1]), Some(Refusal::RefundExceeded { of: paid }));
    assert_eq!((balance(&desk.state, WALLET), balance(&desk.state, CAPPED)), (100, 0));
}

#[test]
fn case_50_a_refund_is_not_itself_refunded_nor_is_what_never_moved() {
    let mut desk = desk();
    let paid = post(&mut desk, vec![transfer(WALLET, CAPPED, 60), holding(transfer(WALLET, CAPPED, 5), None)], NOW);
    let back = post(&mut desk, vec![refunding(transfer(CAPPED, WALLET, 60), paid, false)], NOW);
    let again = |of, minor| transaction(1, vec![refunding(transfer(WALLET, CAPPED, minor), of, false)]);
    let seq = desk.state.seq;
    let held_row = LegRef { leg: 1, ..paid };
    let other_way = transaction(2, vec![refunding(transfer(CAPPED, WALLET, 5), held_row, false)]);
    assert_eq!(ask(&mut desk, &again(back, 60)), Err(Invalid::NotThatRow { of: back }));
    assert_eq!(ask(&mut desk, &again(paid, 60)), Err(Invalid::NotThatRow { of: paid }));
    assert_eq!(ask(&mut desk, &other_way), Err(Invalid::NotThatRow { of: held_row }));
    assert_eq!((balance(&desk.state, WALLET), desk.state.seq), (100, seq));
}

#[test]
fn case_51_a_payee_who_has_spent_it_is_refused_or_owes_by_what_the_caller_says() {
    let mut desk = desk();
    let paid = post(&mut desk, vec![transfer(WALLET, CAPPED, 90)], NOW);
    post(&mut desk, vec![transfer(CAPPED, SETTLEMENT, 80)], NOW);
    let back = |owing| vec![refunding(transfer(CAPPED, WALLET, 90), paid, owing)];
    assert_eq!(refused(&mut desk, back(false), NOW), Some(Refusal::Floor { account: CAPPED }));
    assert_eq!(balance(&desk.state, CAPPED), 10);
    post(&mut desk, back(true), NOW);
    assert_eq!((balance(&desk.state, WALLET), balance(&desk.state, CAPPED)), (100, -80));
    // What comes next repays it, and until then nothing goes out.
    assert_eq!(
        refused(&mut desk, vec![transfer(CAPPED, SETTLEMENT, 1)], NOW),
        Some(Refusal::Floor { account: CAPPED })
    );
    post(&mut desk, vec![transfer(SETTLEMENT, CAPPED, 100)], NOW);
    assert_eq!(balance(&desk.state, CAPPED), 20);
}

#[test]
fn case_52_what_was_captured_is_refunded_and_the_hold_stays_ended() {
    let mut desk = desk();
    let leg = |minor| transfer(WALLET, CAPPED, minor);
    let hold = post(&mut desk, vec![holding(leg(60), None)], NOW);
    let captured = post(&mut desk, vec![capturing(leg(40), hold)], NOW);
    let back = |minor| vec![refunding(transfer(CAPPED, WALLET, minor), captured, false)];
    assert_eq!(refused(&mut desk, back(41), NOW), Some(Refusal::RefundExceeded { of: captured }));
    post(&mut desk, back(40), NOW);
    assert_eq!((balance(&desk.state, WALLET), held(&desk.state, WALLET)), (100, 20));
    post(&mut desk, vec![capturing(leg(20), hold)], NOW);
    assert_eq!((balance(&desk.state, WALLET), held(&desk.state, WALLET)), (80, 0));
}

#[test]
fn case_53_a_refund_in_a_later_month_counts_then_and_gives_no_allowance_of_a_month_that_is_over() {
    let mut desk = desk();
    let bought = post(&mut desk, vec![transfer(WALLET, CAPPED, 30), transfer(DAILY, POOL, 30)], NOW);
    assert_eq!(balance(&desk.state, DAILY), 70);
    let used = LegRef { leg: 1, ..bought };
    let back = |minor| {
        vec![
            refunding(transfer(CAPPED, WALLET, minor), bought, false),
            refunding(transfer(POOL, DAILY, minor), used, false),
        ]
    };
    post(&mut desk, back(10), NOW);
    assert_eq!(balance(&desk.state, DAILY), 80);
    let (_, midnight) = Period::Day.around(Calendar::Utc, NOW);
    let record = ask_at(&mut desk, &transaction(1, back(20)), midnight).unwrap();
    assert_eq!(posted(&record).0.len(), 1);
    assert_eq!((record.effective_us, record.recorded_us), (midnight, midnight));
    // A new day has begun with its own hundred, and not with more.
    assert_eq!((balance(&desk.state, DAILY), balance(&desk.state, WALLET), desk.refunded[&used]), (100, 100, 10));
}

#[test]
fn case_54_a_split_tender_comes_back_in_its_mix_and_the_odd_unit_has_its_place() {
    let mut desk = desk();
    post(&mut desk, vec![earning(CLUB, 50, NOW + 100)], NOW);
    // Seven parts money, three parts points; half of it back: the caller says which leg has the odd unit.
    let paid = post(&mut desk, vec![transfer(WALLET, CAPPED, 7), points(CLUB, ISSUE, 3)], NOW);
    let of_points = LegRef { leg: 1, ..paid };
    let before = sums(&desk.state);
    let back = |money, pts| {
        let money = refunding(transfer(CAPPED, WALLET, money), paid, false);
        vec![money, refunding(points(ISSUE, CLUB, pts), of_points, false)]
    };
    post(&mut desk, back(4, 1), NOW);
    assert_eq!(refused(&mut desk, back(4, 2), NOW), Some(Refusal::RefundExceeded { of: paid }));
    post(&mut desk, back(3, 2), NOW);
    assert_eq!((balance(&desk.state, WALLET), balance(&desk.state, CLUB)), (100, 50));
    assert_eq!(lots(&desk, CLUB), [(NOW + 100, 50, 0)]);
    assert_eq!(sums(&desk.state), before);
}

#[test]
fn case_51_a_refund_that_is_refused_in_a_group_leaves_the_rest() {
    let mut desk = desk();
    let paid = post(&mut desk, vec![transfer(WALLET, OVERDRAFT, 90)], NOW);
    post(&mut desk, vec![transfer(OVERDRAFT, SETTLEMENT, 590)], NOW);
    let back = vec![refunding(transfer(OVERDRAFT, WALLET, 90), paid, false)];
    let up_to = vec![by(How::UpTo, transfer(SETTLEMENT, WALLET, 5))];
    let record = ask(&mut desk, &with_groups(1, up_to, vec![back])).unwrap();
    let (rows, dropped) = posted(&record);
    assert_eq!((rows.len(), dropped[0].refusal), (1, Refusal::Floor { account: OVERDRAFT }));
    assert_eq!(
        (balance(&desk.state, WALLET), balance(&desk.state, OVERDRAFT), balance(&desk.state, POINTS)),
        (15, -500, 0)
    );
}
