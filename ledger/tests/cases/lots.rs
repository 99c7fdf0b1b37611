//! 55 to 57 and 63 to 66: which units a burn takes, what an account owes, and how many lots there are.

use ledger::apply::LOTS;
use ledger::{How, LotTerms, NEVER, Refusal, Transfer};
use uuid::Uuid;

use super::{
    ask, balance, capturing, desk, held, holding, lots, one_answer, post, posted, refunding, refusal, refused, voiding,
};
use crate::play::Desk;
use crate::requests::{CLUB, DAY_US, GRACED, ISSUE, NOW, POINTS, by, earning, points, transaction};
use ledger::LegRef;

/// Three lots, of 10, 20 and 30, which expire in this order.
fn earned() -> crate::play::Desk {
    let mut desk = desk();
    let lots = [(30, NOW + 90), (10, NOW + 30), (20, NOW + 60)];
    post(&mut desk, lots.map(|(minor, expires_us)| earning(CLUB, minor, expires_us)).to_vec(), NOW);
    desk
}

#[test]
fn case_55_a_burn_takes_the_earliest_to_a_lots_end_and_one_unit_more() {
    let burn = |minor| {
        let mut desk = earned();
        let record = ask(&mut desk, &transaction(1, vec![points(CLUB, ISSUE, minor)])).unwrap();
        assert_eq!(balance(&desk.state, CLUB), 60 - minor);
        let taken: Vec<_> = posted(&record).0[0].debit_lots().iter().map(|p| (p.lot.expires_us, p.minor)).collect();
        (taken, lots(&desk, CLUB))
    };
    let (taken, left) = burn(9);
    assert_eq!((taken, left[0]), (vec![(NOW + 30, 9)], (NOW + 30, 1, 0)));
    let (taken, left) = burn(10);
    assert_eq!((taken, left), (vec![(NOW + 30, 10)], vec![(NOW + 60, 20, 0), (NOW + 90, 30, 0)]));
    let (taken, left) = burn(11);
    assert_eq!((taken, left[0]), (vec![(NOW + 30, 10), (NOW + 60, 1)], (NOW + 60, 19, 0)));
    let (taken, left) = burn(60);
    assert_eq!((taken.len(), left), (3, vec![]));
    let mut desk = earned();
    assert_eq!(refused(&mut desk, vec![points(CLUB, ISSUE, 61)], NOW), Some(Refusal::Floor { account: CLUB }));
}

#[test]
fn case_56_of_equal_expiry_the_older_goes_first_then_by_campaign_and_cost() {
    let mut desk = desk();
    let terms = |campaign, unit_cost| {
        let lot = LotTerms {
            expires_us: Some(NOW + DAY_US),
            campaign: Uuid::from_u128(campaign),
            unit_cost,
            activates_us: None,
        };
        Transfer { lot: Some(lot), ..points(ISSUE, CLUB, 5) }
    };
    let older = ledger::Request { effective_us: Some(NOW - DAY_US), ..transaction(1, vec![terms(9, 9)]) };
    post(&mut desk, vec![terms(2, 0), terms(1, 7), terms(1, 3)], NOW);
    ask(&mut desk, &older).unwrap();
    let order: Vec<_> = (2..6)
        .map(|number| {
            let record = ask(&mut desk, &transaction(number, vec![points(CLUB, ISSUE, 5)])).unwrap();
            let lot = posted(&record).0[0].debit_lots()[0].lot;
            (lot.campaign.as_u128(), lot.unit_cost)
        })
        .collect();
    assert_eq!(order, [(9, 9), (1, 3), (1, 7), (2, 0)]);
    assert_eq!(balance(&desk.state, CLUB), 0);
}

#[test]
fn case_57_what_never_expires_goes_last() {
    let mut desk = desk();
    post(&mut desk, vec![points(ISSUE, CLUB, 5), earning(CLUB, 5, NOW + 900 * DAY_US)], NOW);
    post(&mut desk, vec![points(CLUB, ISSUE, 6)], NOW);
    assert_eq!(lots(&desk, CLUB), [(NEVER, 4, 0)]);
}

#[test]
fn case_63_a_clawback_beyond_the_balance_is_debt_that_the_next_earning_pays_first() {
    let mut desk = desk();
    let earned = post(&mut desk, vec![earning(CLUB, 50, NOW + 90)], NOW);
    post(&mut desk, vec![points(CLUB, POINTS, 30)], NOW);
    post(&mut desk, vec![refunding(points(CLUB, ISSUE, 50), earned, true)], NOW);
    assert_eq!((balance(&desk.state, CLUB), lots(&desk, CLUB)), (-30, vec![]));
    assert_eq!(refused(&mut desk, vec![points(CLUB, ISSUE, 1)], NOW), Some(Refusal::Floor { account: CLUB }));
    // Less than the debt makes no lot; more makes one of what is over.
    post(&mut desk, vec![earning(CLUB, 20, NOW + 40)], NOW);
    assert_eq!((balance(&desk.state, CLUB), lots(&desk, CLUB)), (-10, vec![]));
    post(&mut desk, vec![earning(CLUB, 25, NOW + 40)], NOW);
    assert_eq!((balance(&desk.state, CLUB), lots(&desk, CLUB)), (15, vec![(NOW + 40, 15, 0)]));
}

#[test]
fn case_63_what_a_hold_gives_back_pays_the_debt_at_once() {
    let mut desk = desk();
    post(&mut desk, vec![earning(CLUB, 50, NOW + 90)], NOW);
    let hold = post(&mut desk, vec![holding(points(CLUB, POINTS, 40), None)], NOW);
    post(&mut desk, vec![by(How::Owing, points(CLUB, ISSUE, 25))], NOW);
    // 25 are there, 40 are held: 15 are owed, and what is pinned stays pinned.
    assert_eq!((balance(&desk.state, CLUB), lots(&desk, CLUB)), (25, vec![(NOW + 90, 40, 40)]));
    let record = ask(&mut desk, &transaction(1, vec![voiding(points(CLUB, POINTS, 0), hold)])).unwrap();
    let repaid = posted(&record).0[0].more.as_ref().map(|more| ledger::total(&more.repaid));
    assert_eq!((repaid, held(&desk.state, CLUB), lots(&desk, CLUB)), (Some(15), 0, vec![(NOW + 90, 25, 0)]));
}

#[test]
fn case_64_two_burns_of_one_lot_in_one_batch_never_take_a_unit_twice() {
    let mut desk = earned();
    let burn = |number| transaction(number, vec![points(CLUB, ISSUE, 35)]);
    let applied = desk.commit(&[burn(1), burn(2)], NOW);
    assert_eq!(refusal(&one_answer(&applied, 1).unwrap()), Some(Refusal::Floor { account: CLUB }));
    assert_eq!((balance(&desk.state, CLUB), lots(&desk, CLUB)), (25, vec![(NOW + 90, 25, 0)]));
}

#[test]
fn case_65_a_hundred_thousand_earnings_of_a_day_are_as_many_lots_as_there_are_dates() {
    let mut desk = desk();
    let dates = |n: i64| NOW + DAY_US + n % 7;
    let batch: Vec<_> = (0..1_000)
        .map(|n| {
            let legs = (0..100).map(|leg| earning(CLUB, 1, dates(n + leg))).collect();
            transaction(u128::try_from(n).unwrap(), legs)
        })
        .collect();
    desk.commit(&batch, NOW);
    assert_eq!((balance(&desk.state, CLUB), lots(&desk, CLUB).len()), (100_000, 7));
    post(&mut desk, vec![points(CLUB, ISSUE, 99_999)], NOW);
    assert_eq!(lots(&desk, CLUB), [(NOW + DAY_US + 6, 1, 0)]);
}

/// So many lots of one unit, each with an end of its own.
fn with_lots(count: i64) -> Desk {
    let mut desk = desk();
    let legs: Vec<_> = (0..count).map(|n| earning(CLUB, 1, NOW + 1 + n)).collect();
    legs.chunks(LOTS / 2).for_each(|some| _ = post(&mut desk, some.to_vec(), NOW));
    desk
}

#[test]
fn case_65_more_lots_than_one_transaction_takes_are_taken_in_several() {
    let many = i64::try_from(LOTS).unwrap();
    let mut desk = with_lots(many + many / 2);
    let all = transaction(1, vec![points(CLUB, ISSUE, many + many / 2)]);
    assert_eq!(ask(&mut desk, &all), Err(ledger::Invalid::TooManyLots { account: CLUB }));
    assert_eq!(balance(&desk.state, CLUB), many + many / 2);
    post(&mut desk, vec![points(CLUB, ISSUE, many / 2)], NOW);
    post(&mut desk, vec![points(CLUB, ISSUE, many / 2)], NOW);
    assert_eq!((balance(&desk.state, CLUB), lots(&desk, CLUB).len()), (many / 2, LOTS / 2));
}

/// What others of a batch took of the lots that were looked up is no reason to say that a request wants too many.
#[test]
fn case_65_who_comes_after_others_of_a_batch_is_asked_to_come_again_and_not_to_take_less() {
    let many = i64::try_from(LOTS).unwrap();
    let mut desk = with_lots(2 * many);
    let part = many * 2 / 5;
    let burn = |number| transaction(number, vec![points(CLUB, ISSUE, part)]);
    let applied = desk.commit(&[burn(1), burn(2), burn(3)], NOW);
    assert!(one_answer(&applied, 1).is_ok_and(|record| refusal(&record).is_none()));
    assert_eq!(one_answer(&applied, 2), Err(ledger::Invalid::StillDue { account: CLUB }));
    assert_eq!(balance(&desk.state, CLUB), 2 * many - 2 * part);
    assert!(ask(&mut desk, &burn(3)).is_ok_and(|record| refusal(&record).is_none()));
}

/// In two steps it takes too many as in one.
#[test]
fn case_65_what_a_transaction_took_itself_counts_against_it() {
    let many = i64::try_from(LOTS).unwrap();
    let mut desk = with_lots(2 * many);
    let steps = transaction(1, vec![points(CLUB, ISSUE, many / 2), points(CLUB, ISSUE, many / 2 + 1)]);
    assert_eq!(ask(&mut desk, &steps), Err(ledger::Invalid::TooManyLots { account: CLUB }));
    assert_eq!(balance(&desk.state, CLUB), 2 * many);
}

#[test]
fn case_65_more_expired_lots_than_are_written_down_at_a_time_are_in_nobodys_way() {
    let mut desk = desk();
    let many = i64::try_from(LOTS).unwrap() + 5;
    post(&mut desk, (0..many).map(|n| earning(CLUB, 1, NOW + 10 + n)).collect(), NOW);
    post(&mut desk, vec![earning(CLUB, 7, NOW + DAY_US)], NOW);
    let burn = transaction(1, vec![points(CLUB, ISSUE, 7)]);
    let later = NOW + 10 + many;
    assert_eq!(super::ask_at(&mut desk, &burn, later), Err(ledger::Invalid::StillDue { account: CLUB }));
    assert!(super::ask_at(&mut desk, &burn, later).is_ok_and(|record| refusal(&record).is_none()));
    assert_eq!((balance(&desk.state, CLUB), balance(&desk.state, crate::requests::BREAKAGE)), (0, many));
}

/// As much as possible of lots that are not all looked up is not known.
#[test]
fn case_65_as_much_as_possible_of_more_lots_than_that_is_asked_for_in_parts() {
    let many = i64::try_from(LOTS).unwrap();
    let mut desk = with_lots(many + many / 2);
    let up_to = |minor| transaction(1, vec![by(How::UpTo, points(CLUB, ISSUE, minor))]);
    assert_eq!(ask(&mut desk, &up_to(many + 1)), Err(ledger::Invalid::TooManyLots { account: CLUB }));
    for left in [many / 2, 0] {
        ask(&mut desk, &up_to(many)).unwrap();
        assert_eq!(balance(&desk.state, CLUB), left);
    }
}

#[test]
fn case_66_what_is_passed_on_keeps_its_lots() {
    let mut desk = earned();
    post(&mut desk, vec![points(CLUB, GRACED, 25)], NOW);
    assert_eq!(lots(&desk, GRACED), [(NOW + 30, 10, 0), (NOW + 60, 15, 0)]);
    assert_eq!(lots(&desk, CLUB), [(NOW + 60, 5, 0), (NOW + 90, 30, 0)]);
    // Captured instead of moved, they keep them too.
    let hold = post(&mut desk, vec![holding(points(CLUB, GRACED, 30), None)], NOW);
    post(&mut desk, vec![capturing(points(CLUB, GRACED, 8), hold)], NOW);
    assert_eq!(lots(&desk, GRACED), [(NOW + 30, 10, 0), (NOW + 60, 20, 0), (NOW + 90, 3, 0)]);
    // And back again, they are where they were.
    let of = LegRef { seq: desk.state.seq, leg: 0 };
    post(&mut desk, vec![refunding(points(GRACED, CLUB, 8), of, false)], NOW);
    assert_eq!((balance(&desk.state, GRACED), balance(&desk.state, CLUB), held(&desk.state, CLUB)), (25, 35, 22));
}
