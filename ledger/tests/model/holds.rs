//! Value set aside: how it is, how it is captured, how it is given back.

use ledger::{Amount, LegRef, More, NEVER, Piece, Posted, Refusal, RowKind, Transfer};
use uuid::Uuid;

use super::accounts::Asked;
use super::lots::units;
use super::moves::{Earning, said};
use super::{Model, small};

/// A hold, open or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub debit: Uuid,
    pub credit: Uuid,
    pub amount: Amount,
    pub remaining: i128,
    pub expires_us: i64,
    /// The units it pinned, in the order they are captured.
    pub pieces: Vec<Piece>,
}

impl Pending {
    /// The pinned units after those captured so far, so many of them.
    fn next(&self, minor: i128) -> Vec<Piece> {
        let captured = i128::from(self.amount.minor) - self.remaining;
        units(&self.pieces, captured, captured + minor)
    }
}

impl Model {
    pub(super) fn hold(&mut self, at: LegRef, asked: &Transfer, expires_us: Option<i64>) -> Result<Posted, Refusal> {
        let Transfer { debit: payer, credit: payee, amount, .. } = *asked;
        let minor = amount.minor.into();
        let debit = self.give(payer, 0, minor, Asked::Floor)?;
        let pieces = self.spendable_units(payer, minor)?;
        self.page(payer).restock(&pieces, 0, 1);
        self.lets_in(payee)?;
        let credit = self.receive(payee, 0, true)?;
        let hold = Pending {
            debit: payer,
            credit: payee,
            amount,
            remaining: minor,
            expires_us: expires_us.unwrap_or(NEVER),
            pieces: pieces.clone(),
        };
        self.holds.insert(at, hold);
        let more = More { expires_us, debit_lots: pieces, ..More::default() };
        Ok(Posted { leg: 0, kind: RowKind::Hold, amount, debit, credit, more: said(more) })
    }

    pub(super) fn capture(&mut self, asked: &Transfer, hold: LegRef, earning: Earning) -> Result<Posted, Refusal> {
        let minor = i128::from(asked.amount.minor);
        let pending = self.holds[&hold].clone();
        if pending.remaining == 0 {
            return Err(Refusal::HoldEnded { hold });
        }
        if minor > pending.remaining {
            return Err(Refusal::HoldExceeded { hold });
        }
        let pieces = pending.next(minor);
        let debit = self.give(asked.debit, -minor, -minor, Asked::Passage)?;
        self.page(asked.debit).restock(&pieces, -1, -1);
        self.holds.get_mut(&hold).unwrap().remaining -= minor;
        let more = More { of: Some(hold), ..More::default() };
        self.finish(RowKind::Capture, asked, minor, debit, pieces.clone(), pieces, earning, more)
    }

    pub(super) fn void(&mut self, hold: LegRef) -> Result<Posted, Refusal> {
        if self.holds[&hold].remaining == 0 {
            return Err(Refusal::HoldEnded { hold });
        }
        self.release(hold, RowKind::Void)
    }

    /// Gives back all that is still set aside. What was owed meanwhile is paid out of it at once.
    pub(super) fn release(&mut self, hold: LegRef, kind: RowKind) -> Result<Posted, Refusal> {
        let pending = self.holds[&hold].clone();
        let minor = pending.remaining;
        let pieces = pending.next(minor);
        let repaid = units(&pieces, 0, self.page(pending.debit).debt().min(minor));
        let debit = self.give(pending.debit, 0, -minor, Asked::Nothing)?;
        let page = self.page(pending.debit);
        page.restock(&pieces, 0, -1);
        page.restock(&repaid, -1, 0);
        let credit = self.receive(pending.credit, 0, true)?;
        self.holds.get_mut(&hold).unwrap().remaining = 0;
        let more = More { of: Some(hold), debit_lots: pieces, repaid, ..More::default() };
        let amount = Amount::new(small(minor), pending.amount.asset);
        Ok(Posted { leg: 0, kind, amount, debit, credit, more: said(more) })
    }
}
