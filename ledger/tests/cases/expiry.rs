//! 58 to 62 and 67: what is worth nothing any more.

use ledger::{Calendar, How, LotTerms, NEVER, Period, Refusal, Request, Transfer};

use super::{ask, ask_at, balance, capturing, desk, dues, held, holding, lots, post, refunding, refused, voiding};
use crate::requests::{
    BREAKAGE, CLUB, DAILY, DAY_US, GRACE_US, GRACED, ISSUE, NOW, POINTS, POOL, by, earning, points, transaction,
    transfer,
};

#[test]
fn case_58_a_lot_is_worth_something_until_its_moment_and_nothing_at_it() {
    for (now_us, passes) in [(NOW + 9, true), (NOW + 10, false), (NOW + 11, false)] {
        let mut desk = desk();
        post(&mut desk, vec![earning(CLUB, 40, NOW + 10)], NOW);
        let refusal = refused(&mut desk, vec![points(CLUB, ISSUE, 40)], now_us);
        assert_eq!(refusal, (!passes).then_some(Refusal::Floor { account: CLUB }));
        assert_eq!((balance(&desk.state, CLUB), balance(&desk.state, BREAKAGE)), if passes { (0, 0) } else { (0, 40) });
    }
}

#[test]
fn case_58_a_day_ends_at_its_own_midnight() {
    let mut desk = desk();
    let (_, midnight) = Period::Day.around(Calendar::Utc, NOW);
    post(&mut desk, vec![transfer(DAILY, POOL, 100)], NOW);
    let more = vec![transfer(DAILY, POOL, 1)];
    assert_eq!(refused(&mut desk, more.clone(), midnight - 1), Some(Refusal::Floor { account: DAILY }));
    post(&mut desk, more, midnight);
    assert_eq!((balance(&desk.state, DAILY), desk.state.account(DAILY).unwrap().period_us), (99, midnight + DAY_US));
}

#[test]
fn case_58_a_lot_is_spent_from_its_first_moment_on() {
    let mut desk = desk();
    let lot = LotTerms { activates_us: Some(NOW + 5), ..LotTerms::default() };
    post(&mut desk, vec![Transfer { lot: Some(lot), ..points(ISSUE, CLUB, 40) }], NOW);
    let burn = vec![points(CLUB, ISSUE, 10)];
    assert_eq!(refused(&mut desk, burn.clone(), NOW + 4), Some(Refusal::Floor { account: CLUB }));
    let pinning = vec![holding(points(CLUB, ISSUE, 10), None)];
    assert_eq!(refused(&mut desk, pinning, NOW + 4), Some(Refusal::Floor { account: CLUB }));
    let up_to = transaction(2, vec![by(How::UpTo, points(CLUB, ISSUE, 10))]);
    assert!(super::posted(&ask_at(&mut desk, &up_to, NOW + 4).unwrap()).0.is_empty(), "as much as possible is nothing");
    post(&mut desk, burn, NOW + 5);
    // Who claws back takes what is pending too.
    assert_eq!((balance(&desk.state, CLUB), lots(&desk, CLUB)), (30, vec![(NEVER, 30, 0)]));
}

#[test]
fn case_59_what_is_earned_already_expired_goes_to_breakage_with_the_next_touch() {
    let mut desk = desk();
    let import =
        Request { effective_us: Some(NOW - 90 * DAY_US), ..transaction(1, vec![earning(CLUB, 40, NOW - DAY_US)]) };
    let again = transaction(2, vec![points(ISSUE, CLUB, 1)]);
    let applied = desk.commit(&[import, again], NOW);
    assert_eq!(dues(&applied).len(), 1);
    let earned_day = dues(&applied)[0].1[0].debit_lots()[0].lot.earned_day;
    assert_eq!(i64::from(earned_day), (NOW - 90 * DAY_US) / DAY_US);
    assert_eq!((balance(&desk.state, CLUB), balance(&desk.state, BREAKAGE)), (1, 40));
    assert_eq!(lots(&desk, CLUB), [(NEVER, 1, 0)]);
}

#[test]
fn case_60_of_a_lot_partly_burned_only_the_rest_expires() {
    let mut desk = desk();
    post(&mut desk, vec![earning(CLUB, 40, NOW + 10), earning(CLUB, 5, NOW + 50)], NOW);
    post(&mut desk, vec![points(CLUB, ISSUE, 15)], NOW);
    post(&mut desk, vec![points(ISSUE, CLUB, 1)], NOW + 10);
    assert_eq!((balance(&desk.state, CLUB), balance(&desk.state, BREAKAGE)), (6, 25));
    assert_eq!(lots(&desk, CLUB), [(NOW + 50, 5, 0), (NEVER, 1, 0)]);
}

#[test]
fn case_60_of_a_lot_partly_held_only_the_free_part_expires() {
    let mut desk = desk();
    post(&mut desk, vec![earning(CLUB, 40, NOW + 10)], NOW);
    post(&mut desk, vec![holding(points(CLUB, POINTS, 15), None)], NOW);
    post(&mut desk, vec![points(ISSUE, CLUB, 1)], NOW + 10);
    assert_eq!((balance(&desk.state, CLUB), held(&desk.state, CLUB), balance(&desk.state, BREAKAGE)), (16, 15, 25));
    assert_eq!(lots(&desk, CLUB), [(NOW + 10, 15, 15), (NEVER, 1, 0)]);
}

#[test]
fn case_61_a_lot_that_expires_under_a_hold_can_be_captured() {
    let mut desk = desk();
    post(&mut desk, vec![earning(CLUB, 40, NOW + 10)], NOW);
    let hold = post(&mut desk, vec![holding(points(CLUB, POINTS, 40), None)], NOW);
    post(&mut desk, vec![capturing(points(CLUB, POINTS, 40), hold)], NOW + 99);
    assert_eq!((balance(&desk.state, POINTS), balance(&desk.state, BREAKAGE), lots(&desk, CLUB)), (40, 0, vec![]));
}

#[test]
fn case_61_a_void_gives_expired_units_back_and_the_next_touch_takes_them_to_breakage() {
    let mut desk = desk();
    post(&mut desk, vec![earning(CLUB, 40, NOW + 10)], NOW);
    let hold = post(&mut desk, vec![holding(points(CLUB, POINTS, 40), None)], NOW);
    post(&mut desk, vec![voiding(points(CLUB, POINTS, 0), hold)], NOW + 99);
    assert_eq!((balance(&desk.state, CLUB), lots(&desk, CLUB)), (40, vec![(NOW + 10, 40, 0)]));
    // It is due at once: whoever comes next finds nothing to spend.
    assert_eq!(refused(&mut desk, vec![points(CLUB, ISSUE, 1)], NOW + 99), Some(Refusal::Floor { account: CLUB }));
    assert_eq!((balance(&desk.state, CLUB), balance(&desk.state, BREAKAGE), lots(&desk, CLUB)), (0, 40, vec![]));
}

#[test]
fn case_61_a_hold_that_expires_with_its_lots_is_given_back_and_goes_to_breakage_in_one_record() {
    let mut desk = desk();
    post(&mut desk, vec![earning(CLUB, 40, NOW + 10)], NOW);
    post(&mut desk, vec![holding(points(CLUB, POINTS, 30), Some(NOW + 20))], NOW);
    let applied = desk.commit(&[transaction(1, vec![points(ISSUE, CLUB, 1)])], NOW + 20);
    let amounts: Vec<_> = dues(&applied).remove(0).1.iter().map(|row| row.amount.minor).collect();
    assert_eq!(amounts, [30, 40]);
    assert_eq!((balance(&desk.state, CLUB), held(&desk.state, CLUB), balance(&desk.state, BREAKAGE)), (1, 0, 40));
}

#[test]
fn case_62_a_refund_gives_the_units_back_to_the_lots_they_came_from() {
    let mut desk = desk();
    post(&mut desk, vec![earning(CLUB, 10, NOW + 30), earning(CLUB, 20, NOW + 60)], NOW);
    let burnt = post(&mut desk, vec![points(CLUB, ISSUE, 25)], NOW);
    // The last taken come back first, so that what is refunded lasts longest.
    post(&mut desk, vec![refunding(points(ISSUE, CLUB, 15), burnt, false)], NOW);
    assert_eq!(lots(&desk, CLUB), [(NOW + 60, 20, 0)]);
    post(&mut desk, vec![refunding(points(ISSUE, CLUB, 10), burnt, false)], NOW);
    assert_eq!((lots(&desk, CLUB), balance(&desk.state, CLUB)), (vec![(NOW + 30, 10, 0), (NOW + 60, 20, 0)], 30));
}

#[test]
fn case_62_a_refund_of_what_expired_meanwhile_lasts_for_the_grace_or_is_due_at_once() {
    for (account, expires_us) in [(GRACED, NOW + 99 + GRACE_US), (CLUB, NOW + 10)] {
        let mut desk = desk();
        post(&mut desk, vec![earning(account, 40, NOW + 10)], NOW);
        let burnt = post(&mut desk, vec![points(account, ISSUE, 40)], NOW);
        post(&mut desk, vec![refunding(points(ISSUE, account, 40), burnt, false)], NOW + 99);
        assert_eq!(lots(&desk, account), [(expires_us, 40, 0)]);
        let spend = refused(&mut desk, vec![points(account, ISSUE, 40)], NOW + 99 + GRACE_US - 1);
        let none = Refusal::Floor { account };
        assert_eq!(spend, (account == CLUB).then_some(none));
        assert_eq!((balance(&desk.state, account), lots(&desk, account)), (0, vec![]));
    }
}

#[test]
fn case_62_what_is_given_back_before_it_expires_lasts_no_longer_for_it() {
    let mut desk = desk();
    post(&mut desk, vec![earning(GRACED, 40, NOW + 10)], NOW);
    let burnt = post(&mut desk, vec![points(GRACED, ISSUE, 40)], NOW);
    post(&mut desk, vec![refunding(points(ISSUE, GRACED, 40), burnt, false)], NOW + 9);
    assert_eq!(lots(&desk, GRACED), [(NOW + 10, 40, 0)]);
}

/// 30 of the 100 were lots, 70 were owed: what comes back repays those first, in however many parts.
#[test]
fn case_62_a_refund_of_what_was_owed_gives_back_the_lots_and_not_others_in_their_place() {
    for parts in [vec![100], vec![50, 50], vec![70, 1, 29]] {
        let mut desk = desk();
        post(&mut desk, vec![earning(CLUB, 30, NOW + 90)], NOW);
        let taken = post(&mut desk, vec![by(How::Owing, points(CLUB, ISSUE, 100))], NOW);
        assert_eq!((balance(&desk.state, CLUB), lots(&desk, CLUB)), (-70, vec![]));
        for part in parts {
            post(&mut desk, vec![refunding(points(ISSUE, CLUB, part), taken, false)], NOW);
        }
        assert_eq!((balance(&desk.state, CLUB), lots(&desk, CLUB)), (30, vec![(NOW + 90, 30, 0)]));
    }
}

#[test]
fn case_67_a_lot_expires_once_whoever_touches_it_and_however_often() {
    let mut desk = desk();
    post(&mut desk, vec![earning(CLUB, 40, NOW + 10), earning(CLUB, 30, NOW + 20)], NOW);
    let touch = |number| transaction(number, vec![points(ISSUE, CLUB, 1), points(ISSUE, CLUB, 1)]);
    let sweeps = [NOW + 10, NOW + 10, NOW + 15, NOW + 20, NOW + 500 * DAY_US].map(|now_us| {
        let applied = desk.commit(&[touch(1), touch(2)], now_us);
        dues(&applied).iter().flat_map(|(_, rows)| rows).map(|row| row.amount.minor).collect::<Vec<_>>()
    });
    assert_eq!(sweeps, [vec![40], vec![], vec![], vec![30], vec![]]);
    assert_eq!((balance(&desk.state, CLUB), balance(&desk.state, BREAKAGE)), (20, 70));
}

#[test]
fn case_67_what_is_due_stays_even_when_the_request_is_refused_or_is_none() {
    let mut desk = desk();
    post(&mut desk, vec![earning(CLUB, 40, NOW + 10)], NOW);
    let wrong = transaction(1, vec![transfer(CLUB, ISSUE, 1)]);
    assert!(ask_at(&mut desk, &wrong, NOW + 10).is_err());
    assert_eq!((balance(&desk.state, CLUB), balance(&desk.state, BREAKAGE)), (0, 40));
    assert_eq!(refused(&mut desk, vec![points(CLUB, ISSUE, 1)], NOW + 10), Some(Refusal::Floor { account: CLUB }));
    assert_eq!(
        ask(&mut desk, &wrong).map_err(|fault| matches!(fault, ledger::Invalid::AssetMismatch { .. })),
        Err(true)
    );
}
