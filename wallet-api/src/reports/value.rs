//! What unspent points are worth: revenue put off until they are used (IFRS 15, customer options with a material right).
//!
//! What customers paid is shared between goods and points by their stand-alone prices; the points' part becomes revenue
//! as points are used, in the proportion of used to *expected to be used*, so that breakage is earned with use and not at
//! once. A new estimate counts from then on by catching up: what is recognised in all is always of the latest estimate.
//! Pure, whole minor units, each figure rounded once, half away from zero, and the two halves of a sum never rounded both.
//! Source: IFRS 15 paragraphs 74, B39 to B41, illustrative example 52. Not here: which estimate is right.

/// Millionths: of a minor unit in prices, of one in rates.
pub const MILLION: i128 = 1_000_000;

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// A price, number of units or sum is below zero.
    #[error("a figure is below zero")]
    Negative,
    /// Nothing has a stand-alone price, so nothing can be shared by it.
    #[error("neither the goods nor the points have a price")]
    NoPrice,
    /// A figure does not fit.
    #[error("a figure is too large")]
    Overflow,
}

/// What is paid, shared between what was sold and the points given with it; minor units, together all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Revenue at once.
    pub goods: i128,
    /// Put off.
    pub points: i128,
}

/// `total × part ÷ whole`, rounded half away from zero.
///
/// # Errors
/// [`ValueError`]; [`ValueError::NoPrice`] for a `whole` of zero.
pub fn portion(total: i128, part: i128, whole: i128) -> Result<i128, ValueError> {
    if total < 0 || part < 0 || whole < 0 {
        return Err(ValueError::Negative);
    }
    let doubled = total.checked_mul(part).and_then(|product| product.checked_mul(2)).ok_or(ValueError::Overflow)?;
    let doubled = doubled.checked_add(whole).ok_or(ValueError::Overflow)?;
    let divisor = whole.checked_mul(2).ok_or(ValueError::Overflow)?;
    doubled.checked_div(divisor).ok_or(ValueError::NoPrice)
}

/// The units that are expected to be used of those issued, by a rate in millionths: 950,000 is 95 %.
///
/// # Errors
/// [`ValueError`].
pub fn expected_units(issued: i128, rate_millionths: i128) -> Result<i128, ValueError> {
    portion(issued, rate_millionths, MILLION)
}

/// The stand-alone price of units expected to be used, in minor units; the price of one is in millionths of a minor unit.
///
/// # Errors
/// [`ValueError`].
pub fn points_price(expected: i128, unit_price_millionths: i128) -> Result<i128, ValueError> {
    portion(expected, unit_price_millionths, MILLION)
}

/// Shares what was paid by relative stand-alone prices. The points' part is rounded, the goods have the rest.
///
/// # Errors
/// [`ValueError`].
pub fn share(paid: i128, goods_price: i128, points_price: i128) -> Result<Shares, ValueError> {
    if goods_price < 0 || points_price < 0 {
        return Err(ValueError::Negative);
    }
    let whole = goods_price.checked_add(points_price).ok_or(ValueError::Overflow)?;
    let points = portion(paid, points_price, whole)?;
    Ok(Shares { goods: paid.saturating_sub(points), points })
}

/// What of the points' part is revenue by now, when so many were used of those expected to be: all of it when none are
/// expected any more, or more were used than expected.
///
/// # Errors
/// [`ValueError`].
pub fn recognised(points: i128, used: i128, expected: i128) -> Result<i128, ValueError> {
    if points < 0 || used < 0 || expected < 0 {
        return Err(ValueError::Negative);
    }
    if used >= expected { Ok(points) } else { portion(points, used, expected) }
}

/// What an accountant says of a programme, beside what the books say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What customers paid for goods and points together, minor units.
    pub paid: i128,
    /// The stand-alone price of the goods, minor units.
    pub goods_price: i128,
    /// The stand-alone price of one unit that is used, millionths of a minor unit.
    pub unit_price_millionths: i128,
    /// How many of the units issued were expected to be used when they were sold, millionths.
    pub sold_rate_millionths: i128,
    /// Units now expected to be used in all; none is what was expected when they were sold.
    pub expected: Option<i128>,
    /// Revenue of earlier periods.
    pub recognised_before: i128,
}

/// The value of a programme's points at some time, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// Units issued: earned less clawed back.
    pub issued: i128,
    /// Units used: burned less restored.
    pub used: i128,
    /// Units expected to be used in all.
    pub expected: i128,
    /// The points' stand-alone price.
    pub points_price: i128,
    /// How what was paid is shared.
    pub shares: Shares,
    /// Of the points' part, revenue by now.
    pub recognised: i128,
    /// Of that, revenue of this period.
    pub revenue: i128,
    /// Of the points' part, still put off.
    pub liability: i128,
}

impl Terms {
    /// The value of units issued and used by some time.
    ///
    /// # Errors
    /// [`ValueError`].
    pub fn value(&self, issued: i128, used: i128) -> Result<Value, ValueError> {
        let sold = expected_units(issued, self.sold_rate_millionths)?;
        let expected = self.expected.unwrap_or(sold);
        let points_price = points_price(sold, self.unit_price_millionths)?;
        let shares = share(self.paid, self.goods_price, points_price)?;
        let recognised = recognised(shares.points, used, expected)?;
        let revenue = recognised.checked_sub(self.recognised_before).ok_or(ValueError::Overflow)?;
        let liability = shares.points.saturating_sub(recognised);
        Ok(Value { issued, used, expected, points_price, shares, recognised, revenue, liability })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Goods of 100,000 with 10,000 points, each worth 1 when used, 95 % of which are expected to be; after a year 4,500
    /// were used; after two 8,500, and 9,700 are expected.
    #[test]
    fn w22_a_programmes_revenue_is_put_off_and_recognised_as_points_are_used() {
        let sold = Terms {
            paid: 100_000,
            goods_price: 100_000,
            unit_price_millionths: MILLION,
            sold_rate_millionths: 950_000,
            expected: None,
            recognised_before: 0,
        };
        let first = sold.value(10_000, 4_500).unwrap();
        assert_eq!((first.points_price, first.expected), (9_500, 9_500));
        assert_eq!(first.shares, Shares { goods: 91_324, points: 8_676 });
        assert_eq!((first.revenue, first.liability), (4_110, 4_566));
        let later = Terms { expected: Some(9_700), recognised_before: first.recognised, ..sold };
        let second = later.value(10_000, 8_500).unwrap();
        assert_eq!(second.shares, first.shares, "a new estimate does not share anew what was paid");
        assert_eq!((second.revenue, second.liability), (3_493, 1_073));
    }

    proptest! {
        /// Goods and points are all of what was paid, and revenue and liability all of the points' part.
        #[test]
        fn nothing_is_lost_between_the_parts(
            paid in 0..1_000_000_000_000_i128, goods in 0..1_000_000_000_i128, price in 1..1_000_000_000_i128,
            used in 0..2_000_i128, expected in 0..2_000_i128,
        ) {
            let shares = share(paid, goods, price).unwrap();
            prop_assert_eq!(shares.goods + shares.points, paid);
            prop_assert!(shares.goods >= 0 && shares.points >= 0);
            let revenue = recognised(shares.points, used, expected).unwrap();
            prop_assert!((0..=shares.points).contains(&revenue));
            if used >= expected { prop_assert_eq!(revenue, shares.points); }
        }

        /// More use never means less revenue.
        #[test]
        fn revenue_grows_with_use(points in 0..1_000_000_i128, used in 0..1_000_i128, expected in 1..1_000_i128) {
            prop_assert!(recognised(points, used, expected).unwrap() <= recognised(points, used + 1, expected).unwrap());
        }
    }

    #[test]
    fn halves_are_rounded_away_from_zero_once() {
        assert_eq!([1, 2, 3, 5].map(|part| portion(1, part, 4).unwrap()), [0, 1, 1, 1]);
        assert_eq!(portion(i128::from(i64::MAX), i128::from(i64::MAX), i128::from(i64::MAX)), Ok(i128::from(i64::MAX)));
    }

    #[test]
    fn figures_that_make_no_sense_are_refused() {
        assert_eq!(share(1, 0, 0), Err(ValueError::NoPrice));
        assert_eq!(share(-1, 1, 1), Err(ValueError::Negative));
        assert_eq!(recognised(1, -1, 1), Err(ValueError::Negative));
        assert_eq!(portion(i128::MAX, 2, 3), Err(ValueError::Overflow));
    }
}
