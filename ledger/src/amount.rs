//! Quantities of an asset, in integers.
//!
//! No float ever enters; sums are checked; two assets never mix. Not here: rates and percentages (the callers' rules,
//! in wider integers) and how an amount is written for people.

use serde::{Deserialize, Serialize};

/// The largest amount one transfer may move: ten to the fifteenth minor units.
///
/// With balances bounded by `i64` this leaves room for thousands of such transfers on one account before the balance
/// itself is refused.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000_000;

/// An asset of one journal: `EUR`, or the points of a programme. Small, assigned by the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AssetId(pub i32);

/// What an asset is: its code at the edge and how many decimals its minor unit stands for. Neither ever changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The journal's number for it.
    pub id: AssetId,
    /// `EUR`, `PTS:club`: what the API shows.
    pub code: String,
    /// Decimals of the minor unit: 2 for `EUR`, 0 for points.
    pub scale: i16,
}

/// A quantity of one asset, in its minor unit: `1099` of `EUR` (scale 2) is 10.99 euro.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Minor units.
    pub minor: i64,
    /// Of what.
    pub asset: AssetId,
}

/// Why a sum of amounts does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Two different assets cannot be added.
    #[error("amounts of two assets cannot be added")]
    AssetMismatch,
    /// The result does not fit 64 bits.
    #[error("the sum does not fit")]
    Overflow,
}

impl Amount {
    /// An amount of `minor` units of `asset`.
    #[must_use]
    pub const fn new(minor: i64, asset: AssetId) -> Self {
        Self { minor, asset }
    }

    /// Adds a quantity of the same asset, or says why it cannot.
    ///
    /// # Errors
    /// [`AmountError::AssetMismatch`] for two assets, [`AmountError::Overflow`] past 64 bits.
    ///
    /// # Examples
    /// ```
    /// use ledger::{Amount, AmountError, AssetId};
    /// let eur = AssetId(1);
    /// assert_eq!(Amount::new(1_099, eur).checked_add(Amount::new(1, eur)), Ok(Amount::new(1_100, eur)));
    /// assert_eq!(Amount::new(i64::MAX, eur).checked_add(Amount::new(1, eur)), Err(AmountError::Overflow));
    /// ```
    pub fn checked_add(self, other: Self) -> Result<Self, AmountError> {
        if self.asset != other.asset {
            return Err(AmountError::AssetMismatch);
        }
        let minor = self.minor.checked_add(other.minor).ok_or(AmountError::Overflow)?;
        Ok(Self { minor, ..self })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The sum is the exact one or an error; never a wrapped one, never of two assets.
        #[test]
        fn a_sum_is_exact_or_refused(one: i64, other: i64, assets in (0..2_i32, 0..2_i32)) {
            let (left, right) = (Amount::new(one, AssetId(assets.0)), Amount::new(other, AssetId(assets.1)));
            let expected = match i64::try_from(i128::from(one) + i128::from(other)) {
                _ if assets.0 != assets.1 => Err(AmountError::AssetMismatch),
                Ok(minor) => Ok(Amount::new(minor, left.asset)),
                Err(_) => Err(AmountError::Overflow),
            };
            prop_assert_eq!(left.checked_add(right), expected);
            prop_assert_eq!(right.checked_add(left), expected);
        }
    }
}
