//! Lots: what was earned together, with the dates and the cost it was earned under.
//!
//! On an account that keeps lots, every credit is a lot and every debit takes lots, earliest-expiring first. Earnings of
//! one day with equal dates, campaign and unit cost are one [`Lot`]: nothing tells them apart, so they are counted
//! together, and an account with a hundred thousand earnings stays a few hundred rows. What an account lacks is *debt*
//! (held less balance, if positive), which the next credit repays before it makes a lot; debt and lots that could be
//! spent never stand side by side (I8).
//! Not here: when lots are taken (`apply`), what a unit is worth in a report.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::canonical::{Reader, Writer};

/// The end of a lot that never expires, of a hold that never does, of an account with nothing due.
pub const NEVER: i64 = i64::MAX;

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Under which dates something is earned, as the caller says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LotTerms {
    /// Not to be spent before, microseconds since 1970; none is at once.
    pub activates_us: Option<i64>,
    /// Worth nothing from this moment on; none is never.
    pub expires_us: Option<i64>,
    /// What it was earned by; nil for nothing in particular.
    pub campaign: Uuid,
    /// What one unit costs whoever gives it, in millionths of the cost currency's minor unit.
    pub unit_cost: i64,
}

/// Earnings that nothing tells apart. The order of the fields is the order they are spent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lot {
    /// Worth nothing from this moment on; [`NEVER`] comes last.
    pub expires_us: i64,
    /// The day it was earned, counted from 1970 (UTC).
    pub earned_day: i32,
    /// Not to be spent before.
    pub activates_us: i64,
    /// What it was earned by.
    pub campaign: Uuid,
    /// What one unit costs, in millionths of the cost currency's minor unit.
    pub unit_cost: i64,
}

impl Lot {
    /// The lot of what is earned under these terms at this moment.
    #[must_use]
    pub fn of(terms: LotTerms, earned_us: i64) -> Self {
        Self {
            expires_us: terms.expires_us.unwrap_or(NEVER),
            earned_day: i32::try_from(earned_us.div_euclid(DAY_US)).unwrap_or(i32::MAX),
            activates_us: terms.activates_us.unwrap_or(0),
            campaign: terms.campaign,
            unit_cost: terms.unit_cost,
        }
    }

    /// The same lot given back now: what expired meanwhile is worth something for the grace. What has not is as it was, or
    /// spending it and taking it back in time would make it last for ever.
    #[must_use]
    pub(crate) const fn given_back(self, now_us: i64, grace_us: i64) -> Self {
        if self.expires_us > now_us || grace_us <= 0 {
            return self;
        }
        Self { expires_us: now_us.saturating_add(grace_us), ..self }
    }
}

/// So much of a lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Of which.
    pub lot: Lot,
    /// How much, in minor units; positive.
    pub minor: i64,
}

/// What pieces add up to.
#[must_use]
pub fn total(pieces: &[Piece]) -> i64 {
    pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.minor))
}

/// The units `skip..skip + take` of a row of pieces, in their order.
#[must_use]
pub fn slice(pieces: &[Piece], mut skip: i64, mut take: i64) -> Vec<Piece> {
    let mut part = Vec::new();
    for piece in pieces {
        let skipped = skip.min(piece.minor);
        skip = skip.saturating_sub(skipped);
        let minor = piece.minor.saturating_sub(skipped).min(take);
        take = take.saturating_sub(minor);
        if minor > 0 {
            part.push(Piece { minor, ..*piece });
        }
    }
    part
}

pub(crate) fn write_pieces(out: &mut Writer, pieces: &[Piece]) {
    out.list(pieces, |out, Piece { lot, minor }| {
        out.i64(lot.expires_us).i32(lot.earned_day).i64(lot.activates_us).uuid(lot.campaign).i64(lot.unit_cost);
        out.i64(*minor);
    });
}

pub(crate) fn read_pieces(bytes: &mut Reader<'_>) -> Option<Vec<Piece>> {
    bytes.list(|bytes| {
        let lot = Lot {
            expires_us: bytes.i64()?,
            earned_day: bytes.i32()?,
            activates_us: bytes.i64()?,
            campaign: bytes.uuid()?,
            unit_cost: bytes.i64()?,
        };
        Some(Piece { lot, minor: bytes.i64()? })
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn pieces(sizes: &[i64]) -> Vec<Piece> {
        let lot = |day| Lot::of(LotTerms::default(), day * DAY_US);
        (0..).zip(sizes).map(|(day, minor)| Piece { lot: lot(day), minor: *minor }).collect()
    }

    proptest! {
        /// Cut anywhere, the two parts are the whole again: no unit is lost, none is there twice.
        #[test]
        fn parts_of_pieces_are_the_whole(sizes in vec(1..9_i64, 0..6), cut in 0..60_i64) {
            let whole = pieces(&sizes);
            let (front, back) = (slice(&whole, 0, cut), slice(&whole, cut, NEVER));
            prop_assert_eq!(total(&front), cut.min(total(&whole)));
            prop_assert_eq!(total(&front) + total(&back), total(&whole));
            let mut by_lot = std::collections::BTreeMap::<Lot, i64>::new();
            front.iter().chain(&back).for_each(|piece| *by_lot.entry(piece.lot).or_default() += piece.minor);
            prop_assert_eq!(by_lot, whole.iter().map(|piece| (piece.lot, piece.minor)).collect());
        }
    }

    #[test]
    fn lots_are_spent_by_expiry_then_by_age_and_those_that_never_expire_come_last() {
        let lot = |expires_us, day| Lot::of(LotTerms { expires_us, ..LotTerms::default() }, day * DAY_US);
        let mut lots = [lot(None, 0), lot(Some(9), 5), lot(Some(9), 2), lot(Some(4), 7)];
        lots.sort_unstable();
        assert_eq!(lots, [lot(Some(4), 7), lot(Some(9), 2), lot(Some(9), 5), lot(None, 0)]);
    }
}
