//! Rows that move value at once: plain, as much as there is, whatever there is, and back.

use ledger::{LegRef, LotTerms, More, Nature, Piece, Posted, Refusal, RowKind, Side, Transfer};
use uuid::Uuid;

use super::accounts::Asked;
use super::lots::{earned, sum, units};
use super::{Model, small};

/// When something is earned, and under which terms.
#[derive(Clone, Copy)]
pub struct Earning {
    pub terms: Option<LotTerms>,
    pub at_us: i64,
}

impl Model {
    pub(super) fn move_all(&mut self, asked: &Transfer, minor: i128, earning: Earning) -> Result<Posted, Refusal> {
        let debit = self.give(asked.debit, -minor, 0, Asked::Floor)?;
        let taken = self.spend(asked.debit, minor)?;
        let more = More { rate: asked.rate, ..More::default() };
        self.finish(RowKind::Move, asked, minor, debit, taken.clone(), taken, earning, more)
    }

    pub(super) fn move_owing(&mut self, asked: &Transfer, earning: Earning) -> Result<Posted, Refusal> {
        let minor = i128::from(asked.amount.minor);
        let debit = self.give(asked.debit, -minor, 0, Asked::Passage)?;
        let taken = if self.page(asked.debit).keeps_lots() {
            let pieces = self.page(asked.debit).pick(minor, |_| true);
            self.page(asked.debit).restock(&pieces, -1, 0);
            pieces
        } else {
            Vec::new()
        };
        let more = More { owing: true, ..More::default() };
        self.finish(RowKind::Move, asked, minor, debit, taken.clone(), taken, earning, more)
    }

    pub(super) fn move_up_to(&mut self, asked: &Transfer, earning: Earning) -> Result<Option<Posted>, Refusal> {
        let (payer, payee) = (&self.accounts[&asked.debit], &self.accounts[&asked.credit]);
        let mut minor = i128::from(asked.amount.minor);
        if let Some(floor) = payer.terms.floor {
            minor = minor.min(payer.available() - i128::from(floor));
        }
        if let Some(ceiling) = payee.terms.ceiling {
            minor = minor.min(i128::from(ceiling) - payee.balance);
        }
        if payer.keeps_lots() {
            minor = minor.min(sum(&payer.pick(i128::MAX, self.spendable())));
        }
        if minor <= 0 { Ok(None) } else { self.move_all(asked, minor, earning).map(Some) }
    }

    /// Back where it came from.
    pub(super) fn refund(
        &mut self,
        asked: &Transfer,
        of: LegRef,
        owing: bool,
        earning: Earning,
    ) -> Result<Option<Posted>, Refusal> {
        let past = self.rows[&of].clone();
        let minor = i128::from(asked.amount.minor);
        let left = i128::from(past.row.amount.minor) - past.refunded;
        if minor > left {
            return Err(Refusal::RefundExceeded { of });
        }
        // The allowance of a period that is over comes back to nobody.
        if let Nature::Quota { period, calendar, .. } = self.accounts[&asked.credit].terms.nature
            && past.recorded_us < period.around(calendar, self.now_us).0
        {
            return Ok(None);
        }
        let debit = self.give(asked.debit, -minor, 0, if owing { Asked::Passage } else { Asked::Floor })?;
        let taken = self.take_back(asked.debit, past.row.credit_lots(), minor);
        if self.page(asked.debit).keeps_lots() && sum(&taken) < minor && !owing {
            return Err(Refusal::Floor { account: asked.debit });
        }
        let mut back = units(past.row.debit_lots(), left - minor, left);
        if let Nature::Lots { grace_us, .. } = self.accounts[&asked.credit].terms.nature
            && grace_us > 0
        {
            let over = back.iter_mut().filter(|piece| piece.lot.expires_us <= self.now_us);
            over.for_each(|piece| piece.lot.expires_us = self.now_us.saturating_add(grace_us));
        }
        self.rows.get_mut(&of).unwrap().refunded += minor;
        let more = More { of: Some(of), owing, ..More::default() };
        self.finish(RowKind::Move, asked, minor, debit, taken, back, earning, more).map(Some)
    }

    /// What came is taken first, then whatever there is.
    fn take_back(&mut self, account: Uuid, came: &[Piece], minor: i128) -> Vec<Piece> {
        let page = self.page(account);
        if !page.keeps_lots() {
            return Vec::new();
        }
        let mut taken = Vec::new();
        for piece in came {
            let pieces = page.pick_of(&[*piece], minor - sum(&taken));
            page.restock(&pieces, -1, 0);
            taken.extend(pieces);
        }
        let others = page.pick(minor - sum(&taken), |_| true);
        page.restock(&others, -1, 0);
        taken.extend(others);
        taken
    }

    /// Units that can be spent now leave an account that keeps lots.
    fn spend(&mut self, account: Uuid, minor: i128) -> Result<Vec<Piece>, Refusal> {
        let pieces = self.spendable_units(account, minor)?;
        self.page(account).restock(&pieces, -1, 0);
        Ok(pieces)
    }

    pub(super) fn spendable_units(&mut self, account: Uuid, minor: i128) -> Result<Vec<Piece>, Refusal> {
        let spendable = self.spendable();
        let page = self.page(account);
        if !page.keeps_lots() {
            return Ok(Vec::new());
        }
        let pieces = page.pick(minor, spendable);
        if sum(&pieces) < minor { Err(Refusal::Floor { account }) } else { Ok(pieces) }
    }

    /// The credit side of whatever moves. `arriving` are the lots that reach an account which keeps them; what they do
    /// not cover is earned now.
    #[expect(clippy::too_many_arguments, reason = "all there is to say of a row")]
    pub(super) fn finish(
        &mut self,
        kind: RowKind,
        asked: &Transfer,
        minor: i128,
        debit: Side,
        debit_lots: Vec<Piece>,
        mut arriving: Vec<Piece>,
        earning: Earning,
        more: More,
    ) -> Result<Posted, Refusal> {
        let owed = self.page(asked.credit).debt();
        let credit = self.receive(asked.credit, minor, false)?;
        let mut credit_lots = Vec::new();
        if self.page(asked.credit).keeps_lots() {
            let rest = minor - sum(&arriving);
            if rest > 0 {
                let new = Piece { lot: earned(earning.terms, earning.at_us), minor: small(rest) };
                // What comes back begins with what was never a lot, because it was owed.
                let comes_back = more.of.is_some() && kind == RowKind::Move;
                arriving.insert(if comes_back { 0 } else { arriving.len() }, new);
            }
            credit_lots = self.stock(asked.credit, owed, &arriving);
        }
        let more = More { debit_lots, credit_lots, ..more };
        let amount = ledger::Amount::new(small(minor), asked.amount.asset);
        Ok(Posted { leg: 0, kind, amount, debit, credit, more: said(more) })
    }
}

/// None when there is nothing more to say.
pub fn said(more: More) -> Option<Box<More>> {
    if more == More::default() { None } else { Some(Box::new(more)) }
}
