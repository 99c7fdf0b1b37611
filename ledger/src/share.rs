//! What goes back of a whole of which part goes back: shares that add up to it, and never to one unit more.
//!
//! What was given for a payment goes back in proportion, rounded down until all of the payment has gone back. What was
//! paid with several tenders goes back in their mix; what rounding leaves goes to the last of them that has room.
//! Pure, in minor units; no value overflows. Not here: which rows these are, and who may ask.

/// One of the tenders of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tender {
    /// What was paid with it; zero or more.
    pub whole: i64,
    /// What of it has gone back so far; at most the whole.
    pub back: i64,
}

impl Tender {
    /// What may still go back.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.whole.saturating_sub(self.back).max(0)
    }
}

/// The share of `given` that belongs to `part` of `whole`, rounded down: all of it for the whole, nothing for nothing.
#[must_use]
pub fn share(given: i64, part: i64, whole: i64) -> i64 {
    let part = i128::from(part.clamp(0, whole.max(0)));
    let exact = i128::from(given).saturating_mul(part).checked_div(i128::from(whole)).unwrap_or(0);
    i64::try_from(exact).unwrap_or(given)
}

/// What of `minor` goes back to each tender; none when less is left of them, or `minor` is negative.
#[must_use]
pub fn mix(tenders: &[Tender], minor: i64) -> Option<Vec<i64>> {
    let sum = |of: fn(&Tender) -> i64| tenders.iter().map(of).try_fold(0_i64, i64::checked_add);
    let (whole, back, left) = (sum(|one| one.whole)?, sum(|one| one.back)?, sum(Tender::left)?);
    if !(0..=left).contains(&minor) {
        return None;
    }
    let (after, mut rest) = (back.checked_add(minor)?, minor);
    let mut take = |most: i64| {
        let part = most.clamp(0, rest);
        rest = rest.saturating_sub(part);
        part
    };
    let in_proportion = |one: &Tender| share(one.whole, after, whole).saturating_sub(one.back);
    let mut parts: Vec<i64> = tenders.iter().map(|one| take(in_proportion(one))).collect();
    for (part, one) in parts.iter_mut().zip(tenders).rev() {
        *part = part.saturating_add(take(one.left().saturating_sub(*part)));
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A payment and refunds of it, the last of which is of all that is left.
    fn paid_and_refunded() -> impl Strategy<Value = (Vec<i64>, Vec<i64>)> {
        (vec(0..100_000_i64, 1..6), vec(0..50_000_i64, 0..8)).prop_map(|(wholes, asked)| {
            let mut left: i64 = wholes.iter().sum();
            let mut refunds: Vec<i64> = Vec::new();
            for minor in asked {
                let minor = minor.min(left);
                left -= minor;
                refunds.push(minor);
            }
            refunds.push(left);
            (wholes, refunds)
        })
    }

    proptest! {
        /// Whatever is refunded, in any parts: never more of a reward than there was, all of it in the end.
        #[test]
        fn case_54_a_reward_goes_back_in_shares_that_only_grow_and_end_at_all_of_it(
            given in 0..i64::MAX, (wholes, refunds) in paid_and_refunded()
        ) {
            let whole: i64 = wholes.iter().sum();
            let (mut refunded, mut taken) = (0, 0);
            for minor in refunds {
                refunded += minor;
                let share = share(given, refunded, whole);
                prop_assert!((taken..=given).contains(&share));
                taken = share;
            }
            prop_assert_eq!(taken, if whole == 0 { 0 } else { given });
        }

        /// Refunds of a mix add up to what was asked, to no tender's more than it paid, and to each tender in the end;
        /// on the way each is as near to its proportion as whole units allow.
        #[test]
        fn case_54_a_mix_goes_back_in_its_proportion_to_the_last_unit((wholes, refunds) in paid_and_refunded()) {
            let whole: i64 = wholes.iter().sum();
            let mut tenders: Vec<Tender> = wholes.iter().map(|whole| Tender { whole: *whole, back: 0 }).collect();
            let (mut refunded, units) = (0, i64::try_from(wholes.len()).unwrap());
            for minor in refunds {
                let parts = mix(&tenders, minor).unwrap();
                prop_assert_eq!(parts.iter().sum::<i64>(), minor);
                refunded += minor;
                for (tender, part) in tenders.iter_mut().zip(parts) {
                    prop_assert!((0..=tender.left()).contains(&part));
                    tender.back += part;
                    prop_assert!((tender.back - share(tender.whole, refunded, whole)).abs() <= units);
                }
            }
            prop_assert!(tenders.iter().all(|tender| tender.left() == 0));
            prop_assert_eq!(mix(&tenders, 1), None);
        }
    }

    #[test]
    fn case_54_the_odd_unit_goes_to_the_later_tender() {
        let paid = |back: [i64; 2]| [Tender { whole: 50, back: back[0] }, Tender { whole: 50, back: back[1] }];
        assert_eq!(mix(&paid([0, 0]), 25), Some(vec![12, 13]));
        assert_eq!(mix(&paid([12, 13]), 25), Some(vec![13, 12]), "and comes out even");
        assert_eq!(mix(&paid([0, 0]), 101), None);
        assert_eq!(mix(&paid([0, 0]), -1), None);
        assert_eq!(share(3, 1, 2), 1);
        assert_eq!(share(i64::MAX, i64::MAX, i64::MAX), i64::MAX);
        assert_eq!(share(5, 1, 0), 0);
    }
}
