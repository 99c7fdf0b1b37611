//! How much moves, in what manner, and under which dates.

use ledger::{How, Limits, LotTerms, MAX_AMOUNT};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

use super::picks::any_pick;
use super::{DAY_US, NOW};

pub fn any_how() -> impl Strategy<Value = How> {
    let expires = prop_oneof![
        3 => Just(None),
        12 => (1..14_i64).prop_map(Some),
        2 => (DAY_US..2 * DAY_US).prop_map(Some),
        1 => select(vec![-1, 0, Limits::LATEST_US, Limits::LATEST_US + 1, i64::MIN + 1]).prop_map(Some),
    ];
    prop_oneof![
        24 => Just(How::Move),
        5 => Just(How::UpTo),
        4 => Just(How::Owing),
        9 => expires.prop_map(|expires_us| How::Hold { expires_us }),
        7 => any_pick().prop_map(|hold| How::Capture { hold }),
        4 => any_pick().prop_map(|hold| How::Void { hold }),
        8 => (any_pick(), proptest::bool::weighted(0.3)).prop_map(|(of, owing)| How::Refund { of, owing }),
    ]
}

/// Dates of what is earned, mostly a few microseconds around now, and how odd the rest may be.
pub fn any_lot() -> impl Strategy<Value = (Option<LotTerms>, u8)> {
    let activates = prop_oneof![6 => Just(None), 3 => (-2..6_i64).prop_map(Some), 1 => Just(Some(-NOW))];
    let expires = prop_oneof![
        2 => Just(None),
        10 => (2..16_i64).prop_map(Some),
        2 => (-3..2_i64).prop_map(Some),
        3 => select(vec![DAY_US, 2 * DAY_US]).prop_map(Some),
        1 => Just(Some(Limits::LATEST_US)),
    ];
    let cost = prop_oneof![60 => 0..3_i64, 1 => Just(-1)];
    let lot = (activates, expires, 0..2_u128, cost).prop_map(|(activates_us, expires_us, campaign, unit_cost)| {
        LotTerms { activates_us, expires_us, campaign: Uuid::from_u128(campaign), unit_cost }
    });
    (option::weighted(0.7, lot), 0..60_u8)
}

pub fn any_minor() -> impl Strategy<Value = i64> {
    prop_oneof![
        60 => 1..=20_i64,
        16 => select(vec![30, 50, 99, 100, 101, 499, 500, 501, 999, 1_000, 1_001]),
        4 => select(vec![MAX_AMOUNT - 1, MAX_AMOUNT]),
        1 => select(vec![MAX_AMOUNT + 1, 0, -1, i64::MAX, i64::MIN]),
    ]
}
