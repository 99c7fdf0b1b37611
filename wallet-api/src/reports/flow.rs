//! What happened to lots, in a report's words: each row of the journal that made, took or moved units, as [`Flow`]s.
//!
//! Promise: what the flows of a record add is what its lots became more, unit by unit; what an account came to owe, and
//! repaid, is told apart ([`Debt`]), because debt has no campaign. Pure. A row is read by what it is:
//! - *expired*: posted to breakage by time itself; *clawed back*: a refund of what was earned, or an owing debit;
//! - *restored*: a refund of what was spent; *burned*: any other debit, captures too; *earned*: any other credit;
//! - *sent* and *received*: between two accounts that keep lots, whatever else the row is;
//! - *offset*: lots given back by a hold that went into what the account owed at once.
//!
//! Holds set lots aside and change nothing here. Not here: when, and what a unit is worth.

use ledger::read::unspent::{Leg, Touched};
use ledger::{AssetId, Body, Lot, Piece, Posted, RowKind, total};

/// What may happen to units of a lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Given for something.
    Earned,
    /// Given back by a refund of what was spent.
    Restored,
    /// Came from another account that keeps lots.
    Received,
    /// Spent.
    Burned,
    /// Went to breakage by time.
    Expired,
    /// Taken back.
    ClawedBack,
    /// Went to another account that keeps lots.
    Sent,
    /// Given back by a hold, into what the account owed.
    Offset,
}

impl What {
    /// All, those that add first.
    pub const ALL: [Self; 8] = [
        Self::Earned,
        Self::Restored,
        Self::Received,
        Self::Burned,
        Self::Expired,
        Self::ClawedBack,
        Self::Sent,
        Self::Offset,
    ];

    /// Whether it makes units more, or fewer.
    #[must_use]
    pub const fn adds(self) -> bool {
        match self {
            Self::Earned | Self::Restored | Self::Received => true,
            Self::Burned | Self::Expired | Self::ClawedBack | Self::Sent | Self::Offset => false,
        }
    }
}

/// Units of one lot that came or went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Of which asset.
    pub asset: AssetId,
    /// How.
    pub what: What,
    /// Of which lot.
    pub lot: Lot,
    /// How many; positive.
    pub minor: i64,
}

/// What a row did to what accounts owe out of what they earn next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debt {
    /// Of which asset.
    pub asset: AssetId,
    /// Came to be owed.
    pub incurred: i64,
    /// Was paid back.
    pub repaid: i64,
}

/// What a record did, row by row.
pub fn flows(touched: &Touched) -> impl Iterator<Item = (Vec<Flow>, Option<Debt>)> + '_ {
    let due = matches!(touched.record.body, Body::Due { .. });
    touched.legs.iter().filter_map(move |leg| {
        let posted = touched.record.body.transfers().iter().find(|posted| posted.leg == leg.leg)?;
        Some(of_row(posted, *leg, due))
    })
}

fn of_row(posted: &Posted, leg: Leg, due: bool) -> (Vec<Flow>, Option<Debt>) {
    let asset = posted.amount.asset;
    let tell = |what: What, pieces: &[Piece]| -> Vec<Flow> {
        pieces.iter().map(|Piece { lot, minor }| Flow { asset, what, lot: *lot, minor: *minor }).collect()
    };
    match posted.kind {
        RowKind::Hold => (Vec::new(), None),
        RowKind::Void | RowKind::Expire => {
            let repaid = posted.more.as_ref().map_or(&[][..], |more| &more.repaid);
            (tell(What::Offset, repaid), debt(asset, 0, total(repaid)))
        }
        RowKind::Move | RowKind::Capture => {
            let (mut told, mut incurred, mut repaid) = (Vec::new(), 0, 0);
            if leg.debit {
                told.extend(tell(taken_as(posted, leg, due), posted.debit_lots()));
                incurred = posted.amount.minor.saturating_sub(total(posted.debit_lots()));
            }
            if leg.credit {
                told.extend(tell(given_as(posted, leg), posted.credit_lots()));
                repaid = posted.amount.minor.saturating_sub(total(posted.credit_lots()));
            }
            (told, debt(asset, incurred, repaid))
        }
    }
}

fn debt(asset: AssetId, incurred: i64, repaid: i64) -> Option<Debt> {
    ((incurred, repaid) != (0, 0)).then_some(Debt { asset, incurred, repaid })
}

fn taken_as(posted: &Posted, leg: Leg, due: bool) -> What {
    let owing = posted.more.as_ref().is_some_and(|more| more.owing);
    match () {
        () if due => What::Expired,
        () if leg.credit => What::Sent,
        () if owing || is_refund(posted) => What::ClawedBack,
        () => What::Burned,
    }
}

fn given_as(posted: &Posted, leg: Leg) -> What {
    match () {
        () if leg.debit => What::Received,
        () if is_refund(posted) => What::Restored,
        () => What::Earned,
    }
}

/// A capture names its hold, a refund the row that it moves back.
fn is_refund(posted: &Posted) -> bool {
    posted.kind == RowKind::Move && posted.of().is_some()
}

#[cfg(test)]
mod tests {
    use ledger::{AccountId, Amount, LegRef, LotTerms, More, Record, Side};
    use uuid::Uuid;

    use super::*;

    fn lot(day: i64) -> Lot {
        Lot::of(LotTerms::default(), day * 86_400_000_000)
    }

    fn posted(kind: RowKind, minor: i64, more: More) -> Posted {
        let side = Side { account: AccountId(1), public_id: Uuid::nil(), balance: 0, held: 0, version: 1 };
        Posted { leg: 0, kind, amount: Amount::new(minor, AssetId(1)), debit: side, credit: side, more: more.boxed() }
    }

    /// Units by sort; what was incurred and repaid.
    type Told = (Vec<(What, i64)>, Option<(i64, i64)>);

    fn told(posted: Posted, debit: bool, credit: bool, due: bool) -> Told {
        let transfers = vec![posted];
        let body = match due {
            true => Body::Due { account: Uuid::nil(), period_us: 0, transfers },
            false => Body::Transaction { transfers, dropped: vec![], claim: None, companions: None },
        };
        let record = Record { seq: 1, id: Uuid::nil(), recorded_us: 0, effective_us: 0, body, meta: vec![] };
        let touched = Touched { record, legs: vec![Leg { leg: 0, debit, credit }] };
        let (flows, debt) = flows(&touched).next().unwrap();
        (flows.iter().map(|flow| (flow.what, flow.minor)).collect(), debt.map(|debt| (debt.incurred, debt.repaid)))
    }

    fn taking(minor: i64) -> More {
        More { debit_lots: vec![Piece { lot: lot(1), minor }], ..More::default() }
    }

    fn giving(minor: i64) -> More {
        More { credit_lots: vec![Piece { lot: lot(1), minor }], ..More::default() }
    }

    const OF: Option<LegRef> = Some(LegRef { seq: 1, leg: 0 });

    #[test]
    fn a_debit_is_what_its_row_is() {
        let burned = told(posted(RowKind::Move, 5, taking(5)), true, false, false);
        assert_eq!(burned, (vec![(What::Burned, 5)], None));
        let captured = told(posted(RowKind::Capture, 5, More { of: OF, ..taking(5) }), true, false, false);
        assert_eq!(captured, (vec![(What::Burned, 5)], None));
        let expired = told(posted(RowKind::Move, 5, taking(5)), true, false, true);
        assert_eq!(expired, (vec![(What::Expired, 5)], None));
        let taken_back = told(posted(RowKind::Move, 5, More { of: OF, ..taking(5) }), true, false, false);
        assert_eq!(taken_back, (vec![(What::ClawedBack, 5)], None));
        let owing = told(posted(RowKind::Move, 9, More { owing: true, ..taking(5) }), true, false, false);
        assert_eq!(owing, (vec![(What::ClawedBack, 5)], Some((4, 0))), "what was not there is owed");
    }

    #[test]
    fn a_credit_is_what_its_row_is_and_debt_is_repaid_first() {
        assert_eq!(told(posted(RowKind::Move, 5, giving(5)), false, true, false), (vec![(What::Earned, 5)], None));
        let restored = told(posted(RowKind::Move, 5, More { of: OF, ..giving(5) }), false, true, false);
        assert_eq!(restored, (vec![(What::Restored, 5)], None));
        assert_eq!(
            told(posted(RowKind::Move, 5, giving(2)), false, true, false),
            (vec![(What::Earned, 2)], Some((0, 3)))
        );
        assert_eq!(told(posted(RowKind::Move, 5, More::default()), false, true, false), (vec![], Some((0, 5))));
    }

    #[test]
    fn between_two_accounts_with_lots_units_are_sent_and_received() {
        let more = More { credit_lots: vec![Piece { lot: lot(1), minor: 4 }], ..taking(5) };
        let (flows, debt) = told(posted(RowKind::Move, 5, more), true, true, false);
        assert_eq!((flows, debt), (vec![(What::Sent, 5), (What::Received, 4)], Some((0, 1))));
    }

    #[test]
    fn holds_change_nothing_but_what_they_give_back_into_debt() {
        assert_eq!(told(posted(RowKind::Hold, 5, taking(5)), true, false, false), (vec![], None));
        assert_eq!(told(posted(RowKind::Void, 5, More { of: OF, ..taking(5) }), true, false, false), (vec![], None));
        let repaid = vec![Piece { lot: lot(1), minor: 3 }];
        let void = posted(RowKind::Void, 5, More { of: OF, repaid, ..taking(5) });
        assert_eq!(told(void, true, false, false), (vec![(What::Offset, 3)], Some((0, 3))));
    }
}
