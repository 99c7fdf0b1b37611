//! What a balance is made of: units in order, taken, pinned, given back.

use ledger::{Lot, LotTerms, NEVER, Piece};
use uuid::Uuid;

use super::{Model, Page, small};

/// So much of a lot is there, and so much of it is pinned by holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stock {
    pub remaining: i128,
    pub held: i128,
}

/// The lot of what is earned under these terms on that day.
pub fn earned(terms: Option<LotTerms>, earned_us: i64) -> Lot {
    let terms = terms.unwrap_or_default();
    Lot {
        expires_us: terms.expires_us.unwrap_or(NEVER),
        earned_day: (earned_us / 86_400_000_000).try_into().unwrap(),
        activates_us: terms.activates_us.unwrap_or(0),
        campaign: terms.campaign,
        unit_cost: terms.unit_cost,
    }
}

pub fn sum(pieces: &[Piece]) -> i128 {
    pieces.iter().map(|piece| i128::from(piece.minor)).sum()
}

/// Of the units that pieces are made of, those from one place up to another.
pub fn units(pieces: &[Piece], from: i128, to: i128) -> Vec<Piece> {
    let (mut cut, mut begin) = (Vec::new(), 0);
    for piece in pieces {
        let end = begin + i128::from(piece.minor);
        let minor = end.min(to) - begin.max(from);
        if minor > 0 {
            cut.push(Piece { lot: piece.lot, minor: small(minor) });
        }
        begin = end;
    }
    cut
}

impl Page {
    /// Free units of lots that will do, in lot order, as many as wanted or as there are.
    pub fn pick(&self, wanted: i128, will_do: impl Fn(&Lot) -> bool) -> Vec<Piece> {
        let free = self
            .lots
            .iter()
            .filter(|(lot, _)| will_do(lot))
            .map(|(lot, stock)| Piece { lot: *lot, minor: small(stock.remaining - stock.held) });
        units(&free.collect::<Vec<_>>(), 0, wanted)
    }

    /// Free units of these pieces, as many as wanted or as there are.
    pub fn pick_of(&self, pieces: &[Piece], wanted: i128) -> Vec<Piece> {
        let free = pieces.iter().map(|piece| {
            let stock = self.lots.get(&piece.lot).copied().unwrap_or_default();
            Piece { lot: piece.lot, minor: small((stock.remaining - stock.held).min(piece.minor.into())) }
        });
        units(&free.collect::<Vec<_>>(), 0, wanted)
    }

    /// What pieces change about the stock, each unit so much.
    pub fn restock(&mut self, pieces: &[Piece], remaining: i128, held: i128) {
        for Piece { lot, minor } in pieces {
            let stock = self.lots.entry(*lot).or_default();
            stock.remaining += i128::from(*minor) * remaining;
            stock.held += i128::from(*minor) * held;
            assert!(0 <= stock.held && stock.held <= stock.remaining, "no lot is less than nothing");
            if stock.remaining == 0 {
                self.lots.remove(lot);
            }
        }
    }
}

impl Model {
    /// Whether it can be spent now.
    pub(super) fn spendable(&self) -> impl Fn(&Lot) -> bool + use<> {
        let now_us = self.now_us;
        move |lot| lot.activates_us <= now_us && now_us < lot.expires_us
    }

    /// Units that reach an account which owed something: the first of them pay that, the others stay.
    pub(super) fn stock(&mut self, account: Uuid, owed: i128, pieces: &[Piece]) -> Vec<Piece> {
        let kept = units(pieces, owed, i128::MAX);
        self.page(account).restock(&kept, 1, 0);
        kept
    }
}
