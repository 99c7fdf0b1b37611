//! Reads held against the books: whether what was told is how they stand.

use std::collections::BTreeMap;

use ledger::AssetId;
use ledger::read::{AssetTotal, At};
use uuid::Uuid;

use super::fold::Fold;
use super::history::{Seen, Span};
use super::standing;
use crate::model::Model;

/// The model's books after one of its records.
#[derive(Clone, Copy)]
pub struct Books<'a> {
    pub model: &'a Model,
    /// Its records so far.
    pub fold: &'a Fold,
}

impl Books<'_> {
    /// Whether a read tells how the model stands now.
    pub fn is_so(self, seen: &Seen, span: Span) -> bool {
        let (fold, head) = (self.fold, self.model.seq);
        match seen {
            Seen::Balance(account, told) => standing::balance(self.model, *account, told.as_ref(), span),
            Seen::Terms { account, floor, debits_frozen } => {
                let page = self.model.accounts.get(account);
                page.is_some_and(|page| (page.terms.floor, page.debits_frozen) == (*floor, *debits_frozen))
            }
            Seen::Hold(place, told) => standing::hold(self.model, *place, told.as_ref(), span),
            Seen::Standing(place, told) => standing::hold_in_full(self, *place, told.as_ref(), span),
            Seen::Kept { account, head: told, holds, lots } => {
                *told == head && standing::kept(self.model, *account) == (holds.clone(), lots.clone())
            }
            Seen::Totals(told) => *told == standing::totals(self.model),
            Seen::BalanceAt(account, at, told) => {
                let Some(told) = told else { return !fold.is_open(*account, head) };
                fold.is_open(*account, head)
                    && told.seq == self.seq_of(*at)
                    && told.asset == fold.opened[account].1
                    && told.balance == self.balance(*account, *at)
            }
            Seen::Entries(account, limit, told) => {
                fold.is_open(*account, head) && fold.entries(*account, 0, head).take(*limit).eq(told)
            }
            Seen::Links(seq, told) => fold.links.get(seq).map_or(&[][..], Vec::as_slice) == told,
            Seen::Trial(at, told) => {
                // Today's accounts, at what counted then; or those of then.
                let seq = if matches!(at, At::Effective(_)) { head } else { self.seq_of(*at) };
                told.seq == seq && self.totals(*at, seq).into_iter().eq(told.assets.iter().copied())
            }
            Seen::Records { after, records, head: told } => {
                let from = usize::try_from(*after).unwrap_or(usize::MAX).min(fold.records.len());
                *told == head && fold.records[from..].starts_with(records)
            }
            Seen::Statement { account, .. } => fold.is_open(*account, head) && self.is_statement(seen),
        }
    }

    fn is_statement(self, seen: &Seen) -> bool {
        let Seen::Statement { account, from_us, until_us, window, pages, size } = seen else { return false };
        let (fold, head) = (self.fold, self.model.seq);
        let upto = until_us.map_or(head, |us| fold.recorded(us - 1, head));
        let after = fold.recorded(from_us - 1, head).min(upto);
        let (opening, closing) = (fold.balance(*account, after), fold.balance(*account, upto));
        let mut rest: Vec<_> = fold.entries(*account, after, upto).collect();
        for (place, page) in pages.iter().enumerate() {
            let entries: Vec<_> = rest.drain(..rest.len().min(*size)).collect();
            let whole = (page.opening, page.closing) == (opening, closing);
            let is_last = place + 1 == pages.len();
            let goes_on = page.has_more != rest.is_empty() && is_last == rest.is_empty();
            if !whole || !goes_on || !entries.into_iter().eq(&page.entries) {
                return false;
            }
        }
        (window.after, window.upto) == (after, upto)
    }

    /// Up to which seq a read at this time looks, when this is the head.
    fn seq_of(self, at: At) -> i64 {
        let head = self.model.seq;
        match at {
            At::Now | At::Effective(_) => head,
            At::Seq(seq) => seq.clamp(0, head),
            At::Recorded(us) => self.fold.recorded(us, head),
        }
    }

    fn balance(self, account: Uuid, at: At) -> i64 {
        match at {
            At::Effective(us) => self.fold.effective(account, self.model.seq, us),
            At::Now | At::Seq(_) | At::Recorded(_) => self.fold.balance(account, self.seq_of(at)),
        }
    }

    fn totals(self, at: At, seq: i64) -> BTreeMap<AssetId, AssetTotal> {
        self.fold.totals(seq, |account| self.balance(account, at))
    }
}
