//! The reward rule: what a payment earns. Pure; the same function serves payment, quote, import and simulation.
//!
//! Roundings, stated once: cashback is rounded down to the cent per payment, then capped; points count whole major units
//! of the payment, the rest of a unit earns nothing. Not here: who funds it (the campaign's budgets) and whether the
//! budget lasts (the journal decides).

use serde::{Deserialize, Serialize};

/// Ten thousand basis points are the whole.
const WHOLE_BPS: i128 = 10_000;
/// Minor units of one euro.
const CENTS: i64 = 100;

/// One published version of a campaign's rule. It never changes; a refund will be measured by the version that earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// From 1, without a gap.
    pub version: i32,
    /// Cashback in basis points of the amount paid: 200 is 2 %.
    pub cashback_bps: i32,
    /// The most cashback one payment gives, in cents; none is no cap.
    pub cashback_cap: Option<i64>,
    /// Points per whole euro.
    pub points_per_unit: i64,
}

/// What a payment earns under a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reward {
    /// Cents of cashback.
    pub cashback_minor: i64,
    /// Points.
    pub points: i64,
}

/// The reward does not fit 64 bits: the payment is far above what may be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reward does not fit")]
pub struct TooLarge;

impl Rule {
    /// What `paid_minor` cents earn.
    ///
    /// # Errors
    /// [`TooLarge`] past 64 bits.
    ///
    /// # Examples
    /// ```
    /// use wallet_api::loyalty::{Reward, Rule};
    /// let rule = Rule { version: 1, cashback_bps: 200, cashback_cap: Some(500), points_per_unit: 1 };
    /// assert_eq!(rule.reward(1_999), Ok(Reward { cashback_minor: 39, points: 19 })); // 39.98 cents, 19.99 euro
    /// assert_eq!(rule.reward(100_000), Ok(Reward { cashback_minor: 500, points: 1_000 })); // capped
    /// ```
    pub fn reward(&self, paid_minor: i64) -> Result<Reward, TooLarge> {
        let cashback = i128::from(paid_minor)
            .checked_mul(i128::from(self.cashback_bps))
            .and_then(|share| share.checked_div(WHOLE_BPS))
            .and_then(|cents| i64::try_from(cents).ok())
            .ok_or(TooLarge)?;
        let whole_units = paid_minor.checked_div(CENTS).ok_or(TooLarge)?;
        let points = whole_units.checked_mul(self.points_per_unit).ok_or(TooLarge)?;
        let cashback_minor = self.cashback_cap.map_or(cashback, |cap| cashback.min(cap));
        Ok(Reward { cashback_minor, points })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(cashback_bps: i32, cashback_cap: Option<i64>, points_per_unit: i64) -> Rule {
        Rule { version: 1, cashback_bps, cashback_cap, points_per_unit }
    }

    #[test]
    fn w1_points_count_whole_euro_per_payment() {
        for (paid, points) in [(99, 0), (100, 1), (1_999, 19), (3_560, 35), (297, 2)] {
            assert_eq!(rule(0, None, 1).reward(paid).unwrap().points, points, "{paid}");
        }
    }

    #[test]
    fn w2_cashback_is_rounded_down_to_the_cent() {
        for (paid, cashback) in [(105, 10), (115, 11), (125, 12), (1_999, 199)] {
            assert_eq!(rule(1_000, None, 0).reward(paid).unwrap().cashback_minor, cashback, "{paid}");
        }
    }

    #[test]
    fn w3_the_cap_is_per_payment() {
        assert_eq!(rule(1_000, Some(1_500), 0).reward(20_000).unwrap().cashback_minor, 1_500);
    }

    proptest! {
        /// No payment earns more than its share, its cap, or less by a whole cent than its share.
        #[test]
        fn a_reward_is_its_share_rounded_down(paid in 1..=ledger::MAX_AMOUNT, bps in 0..=10_000i32, cap in 1..1_000_000i64) {
            let share = i128::from(paid) * i128::from(bps);
            let free = rule(bps, None, 0).reward(paid).unwrap().cashback_minor;
            prop_assert!(i128::from(free) * 10_000 <= share && share < (i128::from(free) + 1) * 10_000);
            prop_assert_eq!(rule(bps, Some(cap), 0).reward(paid).unwrap().cashback_minor, free.min(cap));
        }

        /// Splitting a payment never earns more: rounding down favours nobody who splits.
        #[test]
        fn e19_splitting_never_earns_more(one in 1..1_000_000i64, other in 1..1_000_000i64, bps in 0..=10_000i32) {
            let rule = rule(bps, None, 3);
            let (first, second, whole) = (rule.reward(one).unwrap(), rule.reward(other).unwrap(), rule.reward(one + other).unwrap());
            prop_assert!(first.cashback_minor + second.cashback_minor <= whole.cashback_minor);
            prop_assert!(first.points + second.points <= whole.points);
        }
    }
}
