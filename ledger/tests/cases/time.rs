//! 68 to 70: when things are recorded, and when they count.

use ledger::{Body, Command, Invalid, Limits, Request};

use super::{ask, balance, desk, posted};
use crate::play::Desk;
use crate::requests::{NOW, SETTLEMENT, WALLET, old_books, request, transaction, transfer};

fn filling(number: u128, effective_us: Option<i64>) -> Request {
    Request { effective_us, ..transaction(number, vec![transfer(SETTLEMENT, WALLET, 5)]) }
}

#[test]
fn case_68_a_backdated_transaction_counts_then_and_is_recorded_now() {
    let mut desk = desk();
    let first = ask(&mut desk, &filling(1, None)).unwrap();
    let backdated = ask(&mut desk, &filling(2, Some(NOW - 86_400_000_000))).unwrap();
    assert_eq!((backdated.recorded_us, backdated.effective_us), (NOW, NOW - 86_400_000_000));
    // Recorded balances follow the order of recording, whatever the dates.
    let after = |record| posted(record).0[0].credit.balance;
    assert_eq!((after(&first), after(&backdated), balance(&desk.state, WALLET)), (105, 110, 110));
    for outside in [-1, Limits::LATEST_US + 1, i64::MIN, i64::MAX] {
        assert_eq!(filling(3, Some(outside)).check(), Err(Invalid::EffectiveDate));
    }
    assert_eq!(filling(4, Some(0)).check(), Ok(()));
    assert_eq!(filling(5, Some(Limits::LATEST_US)).check(), Ok(()));
}

#[test]
fn case_69_two_transactions_in_one_microsecond_stand_in_order() {
    let mut desk = desk();
    let batch = desk.commit(&[filling(1, None), filling(2, None)], NOW);
    let next = desk.commit(&[filling(3, None)], NOW);
    let recorded: Vec<_> = batch.records.iter().chain(&next.records).map(|r| (r.recorded_us, r.seq)).collect();
    assert_eq!(recorded, [(NOW, 10_001), (NOW, 10_002), (NOW, 10_003)]);
}

#[test]
fn case_70_a_clock_going_backwards_does_not_take_the_journal_with_it() {
    let mut desk = desk();
    let times = [NOW, NOW - 1_000_000, 0, -5, NOW + 1];
    let recorded = times.map(|now_us| desk.commit(&[filling(1, None)], now_us).records[0].recorded_us);
    assert_eq!(recorded, [NOW, NOW, NOW, NOW, NOW + 1]);
    // The state began at three microseconds before: a node that starts late keeps to that.
    assert_eq!(self::desk().commit(&[filling(1, None)], 0).records[0].recorded_us, NOW - 3);
}

#[test]
fn case_70_a_sandbox_clock_goes_forward_only_and_production_has_none() {
    let moving = |by_us| request(1, Command::MoveClock { by_us });
    for by_us in [0, -1, i64::MIN] {
        assert_eq!(moving(by_us).check(), Err(Invalid::Clock));
    }
    assert_eq!(ask(&mut desk(), &moving(1)), Err(Invalid::Clock));
    let mut sandbox = Desk::new(old_books(true));
    // The batch that moves the clock still happens at its own one time; the next one is later.
    let applied = sandbox.commit(&[moving(500), moving(70), filling(2, None)], NOW);
    assert_eq!(applied.records[1].body, Body::ClockMoved { offset_us: 570 });
    assert!(applied.records.iter().all(|record| record.recorded_us == NOW));
    assert_eq!(sandbox.commit(&[filling(3, None)], NOW + 1).records[0].recorded_us, NOW + 571);
    // No sum of moves passes 64 bits.
    assert_eq!(ask(&mut sandbox, &moving(i64::MAX)), Err(Invalid::Clock));
}
